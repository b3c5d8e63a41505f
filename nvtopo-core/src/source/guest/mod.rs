//! The virtual machine that gets some devices of a host by PCI passthrough.
//!
//! [`devices`] finds the devices by name, [`layout`] gives them PCI addresses below expander buses and switches like those of
//! the host, [`cells`] proposes CPUs and memory, and [`machine`] makes a topology of all that. Every writer takes the topology;
//! [`libvirt`] writes the layout that it came from. So the guest of all formats is the same.
//!
//! Source: libvirt's "Domain XML format" and "PCI addresses in domain XML and guest OS"; `docs/pcie.txt` and
//! `docs/pci_expander_bridge.txt` of QEMU.

mod cells;
mod devices;
mod layout;
pub(super) mod libvirt;
mod machine;
mod notes;

use crate::error::Result;
use crate::model::{Note, Topology};
use cells::Cell;
use layout::Layout;

/// A virtual machine on a host.
pub(super) struct Guest<'t> {
    host: &'t Topology,
    /// Its PCI controllers, and the place of each passed device.
    layout: Layout,
    /// Its NUMA nodes, by number.
    cells: Vec<Cell>,
    /// The machine as programs in it should see it.
    pub(super) topology: Topology,
    /// The facts that it hides, and the proposals.
    pub(super) notes: Vec<Note>,
}

impl<'t> Guest<'t> {
    /// Lays out the guest that gets these devices, or all GPUs and NICs where there is no list.
    ///
    /// Errors where a name is no device or names one again, and where the guest had too many PCI buses.
    pub(super) fn new(host: &'t Topology, names: &[String]) -> Result<Self> {
        let passed = devices::find(host, names)?;
        let layout = Layout::new(host, passed)?;
        let cells = cells::propose(host, &layout);
        let topology = machine::build(host, &layout, &cells)?;
        let notes = notes::of(host, &layout, &cells);
        Ok(Self { host, layout, cells, topology, notes })
    }
}
