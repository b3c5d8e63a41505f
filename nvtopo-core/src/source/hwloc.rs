//! The machine that runs, as libhwloc sees it.
//!
//! The library is asked for its own XML of the live machine, which our reader of such files then reads: there is one
//! way from hwloc's words to a topology. Files never go to the library, which breaks off the whole process on some that
//! are damaged.

#[cfg(not(feature = "hwloc"))]
use crate::error::ErrorKind;
use crate::error::{Error, Result};
use crate::model::Fragment;

/// Returns the error of a build without the feature, which says how to get one with it.
#[cfg(not(feature = "hwloc"))]
pub(super) fn fragment() -> Result<Fragment> {
    Err(Error::new(ErrorKind::Unsupported, "this build cannot ask libhwloc").help(
        "build with the feature 'hwloc', or read what 'lstopo --of xml FILE' writes, which needs no library",
    ))
}

/// Returns the live machine, with all that hwloc knows of its devices.
#[cfg(feature = "hwloc")]
pub(super) fn fragment() -> Result<Fragment> {
    use super::{TextFormat, hwloc_xml::HwlocXml, this_machine};
    use crate::model::{MachineIdentity, Origin};
    use hwlocality::Topology;
    use hwlocality::topology::builder::{BuildFlags, TypeFilter};
    use hwlocality::topology::export::xml::XMLExportFlags;

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
