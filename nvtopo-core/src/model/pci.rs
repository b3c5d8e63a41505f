//! Facts of the PCI bus about a device, besides its address.

/// Facts of the PCI bus about a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PciFacts {
    /// The class code of the bus, of six digits: `0x030200` is a GPU, `0x060400` a bridge.
    pub class: Option<u32>,
    /// The maker of the chip: `0x10de` is NVIDIA.
    pub vendor: Option<u16>,
    /// The chip.
    pub device: Option<u16>,
    /// The maker of the board.
    pub subsystem_vendor: Option<u16>,
    /// The board.
    pub subsystem_device: Option<u16>,
    /// The training of its PCIe link.
    pub link: Option<PcieTraining>,
    /// The number of its IOMMU group: devices of one group cannot be kept apart.
    pub iommu_group: Option<u32>,
    /// The mode of its IOMMU, as the kernel names it: `identity` (passed through), `DMA`, `DMA-FQ`; `off` where no
    /// IOMMU stands before it.
    pub iommu_mode: Option<String>,
    /// Its virtual functions, where it supports SR-IOV.
    pub virtual_functions: Option<VirtualFunctions>,
}

/// The speed of a PCIe link, and the speeds that its ends support. A link slower than both ends has trained badly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PcieTraining {
    /// The speed now. GPUs slow their links down while they are idle.
    pub now: PcieSpeed,
    /// The highest speed of the device.
    pub device: PcieSpeed,
    /// The highest speed of the port above it.
    pub port: PcieSpeed,
}

impl PcieTraining {
    /// Creates the speeds: now, the highest of the device, and the highest of the port above it.
    pub const fn new(now: PcieSpeed, device: PcieSpeed, port: PcieSpeed) -> Self {
        Self { now, device, port }
    }

    /// Returns the highest speed that both ends support.
    ///
    /// ```
    /// use nvtopo::model::{PcieSpeed, PcieTraining};
    ///
    /// let speed = |generation, width| PcieSpeed::new(Some(generation), Some(width));
    /// let link = PcieTraining::new(speed(1, 8), speed(5, 16), speed(4, 16));
    /// assert_eq!(link.most(), speed(4, 16));
    /// assert_eq!(link.lanes_lost(), Some((8, 16)));
    /// ```
    pub fn most(&self) -> PcieSpeed {
        let generation = self.device.generation.zip(self.port.generation).map(|(a, b)| a.min(b));
        let width = self.device.width.zip(self.port.width).map(|(a, b)| a.min(b));
        PcieSpeed { generation, width }
    }

    /// Returns the lanes in use and those that both ends have, where fewer are in use.
    pub fn lanes_lost(&self) -> Option<(u16, u16)> {
        // The kernel says 0 of a link that is down.
        let now = self.now.width.filter(|now| *now > 0);
        now.zip(self.most().width).filter(|(now, most)| now < most)
    }

    /// Returns the generation in use and that of both ends, where the one in use is lower. For an idle GPU this is normal.
    pub fn generations_lost(&self) -> Option<(u8, u8)> {
        self.now.generation.zip(self.most().generation).filter(|(now, most)| now < most)
    }
}

/// The speed of a PCIe link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PcieSpeed {
    /// The generation, from 1.
    pub generation: Option<u8>,
    /// The number of lanes.
    pub width: Option<u16>,
}

impl PcieSpeed {
    /// Creates a speed by generation and number of lanes.
    pub const fn new(generation: Option<u8>, width: Option<u16>) -> Self {
        Self { generation, width }
    }
}

/// Virtual functions (SR-IOV).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VirtualFunctions {
    /// The number of enabled functions.
    pub enabled: u16,
    /// The number of supported functions.
    pub total: u16,
}

impl VirtualFunctions {
    /// Creates the numbers of enabled and of supported functions.
    pub const fn new(enabled: u16, total: u16) -> Self {
        Self { enabled, total }
    }
}
