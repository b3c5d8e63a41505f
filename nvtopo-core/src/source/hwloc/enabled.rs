//! Asking libhwloc.

use super::super::{TextFormat, hwloc_xml::HwlocXml, this_machine};
use crate::error::{Error, Result};
use crate::model::{Fragment, MachineIdentity, Origin};
use hwlocality::Topology;
use hwlocality::topology::builder::{BuildFlags, TypeFilter};
use hwlocality::topology::export::xml::XMLExportFlags;

/// The live machine, with all that hwloc knows of its devices.
pub(in crate::source) fn fragment() -> Result<Fragment> {
    let wrong = |what: &str, error: &dyn std::fmt::Display| Error::input(format!("libhwloc {what}: {error}"));
    let builder = Topology::builder().with_io_type_filter(TypeFilter::KeepAll);
    let builder = builder.map_err(|error| wrong("does not take its settings", &error))?;
    // CPUs that this process may not use are there, too; the sets of allowed ones are told apart.
    let builder = builder.with_flags(BuildFlags::INCLUDE_DISALLOWED);
    let builder = builder.map_err(|error| wrong("does not take its settings", &error))?;
    let topology = builder.build().map_err(|error| wrong("could not read this machine", &error))?;
    let xml = topology.export_xml(XMLExportFlags::empty());
    let xml = xml.map_err(|error| wrong("could not write what it found", &error))?;
    let mut fragment = HwlocXml::read(xml.as_ref()).map_err(|error| error.in_input("libhwloc"))?;
    if *this_machine() != MachineIdentity::default() {
        fragment.set_origin(Origin::Machine(this_machine().clone()));
    }
    Ok(fragment)
}
