//! What the PCI bus tells of a device, besides its address.

/// A device on the bus. Everything is `None` where no source spoke of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PciFacts {
    /// Who made the chip: `0x10de` is NVIDIA.
    pub vendor: Option<u16>,
    /// Which chip it is.
    pub device: Option<u16>,
    /// Who made the board.
    pub subsystem_vendor: Option<u16>,
    /// Which board it is.
    pub subsystem_device: Option<u16>,
    /// Its PCIe link, as it runs and as it could run.
    pub link: Option<PcieTraining>,
    /// The number of its IOMMU group: devices of one group cannot be kept apart.
    pub iommu_group: Option<u32>,
    /// How the IOMMU treats it, in the kernel's words: `identity` (passed through), `DMA`, `DMA-FQ`; `off` where no
    /// IOMMU stands before it.
    pub iommu_mode: Option<String>,
    /// Its virtual functions, where it can have some (SR-IOV).
    pub virtual_functions: Option<VirtualFunctions>,
}

/// How a PCIe link runs, and how it could run: what is slower than both of its ends has trained badly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PcieTraining {
    /// As it runs now. GPUs slow their links down while they are idle.
    pub now: PcieSpeed,
    /// The most that the device can do.
    pub device: PcieSpeed,
    /// The most that the port above it can do.
    pub port: PcieSpeed,
}

/// The speed of a PCIe link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PcieSpeed {
    /// The generation, from 1.
    pub generation: Option<u8>,
    /// How many lanes.
    pub width: Option<u16>,
}

/// Virtual functions (SR-IOV).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VirtualFunctions {
    /// How many there are now.
    pub enabled: u16,
    /// How many there can be.
    pub total: u16,
}
