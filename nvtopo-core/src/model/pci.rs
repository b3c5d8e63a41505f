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

impl PcieTraining {
    /// The most that both ends can do, where both tell.
    ///
    /// ```
    /// use nvtopo::model::{PcieSpeed, PcieTraining};
    ///
    /// let speed = |generation, width| PcieSpeed { generation: Some(generation), width: Some(width) };
    /// let link = PcieTraining { now: speed(1, 8), device: speed(5, 16), port: speed(4, 16) };
    /// assert_eq!(link.most(), speed(4, 16));
    /// assert_eq!(link.lanes_lost(), Some((8, 16)));
    /// ```
    pub fn most(&self) -> PcieSpeed {
        let generation = self.device.generation.zip(self.port.generation).map(|(a, b)| a.min(b));
        let width = self.device.width.zip(self.port.width).map(|(a, b)| a.min(b));
        PcieSpeed { generation, width }
    }

    /// The lanes that it runs with, and those that both ends have, where they are fewer.
    pub fn lanes_lost(&self) -> Option<(u16, u16)> {
        // The kernel says 0 of a link that is down.
        let now = self.now.width.filter(|now| *now > 0);
        now.zip(self.most().width).filter(|(now, most)| now < most)
    }

    /// The generation that it runs at, and that of both ends, where it is lower. Of a GPU this says nothing unless it is
    /// at work.
    pub fn generations_lost(&self) -> Option<(u8, u8)> {
        self.now.generation.zip(self.most().generation).filter(|(now, most)| now < most)
    }
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
