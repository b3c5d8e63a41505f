//! The PCI functions that become nodes of the graph, by class and vendor. Sources that see the bus decide by this alone.

use crate::model::Gpu;

/// NVIDIA, as maker of chips.
pub(super) const NVIDIA: u16 = 0x10de;

/// AMD, as maker of chips.
pub(super) const AMD: u16 = 0x1002;

/// Returns true for a GPU of AMD.
pub(super) fn is_amd(gpu: &Gpu) -> bool {
    // RCCL's files name the architecture of each.
    gpu.pci.vendor == Some(AMD) || gpu.nccl.as_ref().is_some_and(|own| own.contains_key("gcn"))
}

/// Drivers that hold a GPU for virtual machines: this system cannot use it.
pub(super) const FOR_GUESTS: [&str; 4] = ["vfio-pci", "nvgrace-gpu-vfio-pci", "pci-stub", "xen-pciback"];

/// The kind of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Gpu,
    NvSwitch,
    Nic,
    Nvme,
    /// A DMA function of a network adapter.
    DataDirect,
}

/// Returns the kind of a function by its class and subclass. `by_nvidia` is asked where that matters.
pub(super) fn kind(class: u16, mut by_nvidia: impl FnMut() -> bool) -> Option<Kind> {
    match class {
        // Displays and 3D controllers; the audio and USB functions of a GPU have classes of their own.
        0x0300 | 0x0302 if by_nvidia() => Some(Kind::Gpu),
        0x0680 if by_nvidia() => Some(Kind::NvSwitch),
        // InfiniBand adapters can be among the serial buses.
        0x0200..=0x02ff | 0x0c06 => Some(Kind::Nic),
        0x0108 => Some(Kind::Nvme),
        _ => None,
    }
}
