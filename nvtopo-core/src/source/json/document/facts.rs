//! Facts of nodes that have several parts.

use super::super::values::{MbPerS, Text};
use super::record::{Read, Sets, Write};
use super::words::{FabricFault, FabricState, Source};
use crate::error::Result;
use crate::ids::PciAddress;
use crate::model;
use serde::{Deserialize, Serialize};

record! {
    /// A fact that was filled in from another source.
    Learned = Learned {
        /// What notes call the fact.
        fact: String,
        /// Who told it.
        source: Source = provenance,
    }
}

record! {
    /// What the PCI bus tells of a device.
    #[derive(Default)]
    PciFacts = PciFacts {
        /// Who made the chip.
        vendor?: u16,
        /// Which chip it is.
        device?: u16,
        /// Who made the board.
        subsystem_vendor?: u16,
        /// Which board it is.
        subsystem_device?: u16,
        /// Its PCIe link, as it runs and as it could run.
        link?: PcieTraining,
        /// The number of its IOMMU group.
        iommu_group?: u32,
        /// How the IOMMU treats it, in the kernel's words, or `off`.
        iommu_mode?: String,
        /// Its virtual functions (SR-IOV).
        virtual_functions?: VirtualFunctions,
    }
}

record! {
    /// How a PCIe link runs, and how it could run.
    PcieTraining = PcieTraining {
        /// As it runs now.
        now: PcieSpeed,
        /// The most that the device can do.
        device: PcieSpeed,
        /// The most that the port above it can do.
        port: PcieSpeed,
    }
}

record! {
    /// The speed of a PCIe link.
    PcieSpeed = PcieSpeed {
        /// The generation, from 1.
        generation?: u8,
        /// How many lanes.
        width?: u16,
    }
}

record! {
    /// Virtual functions (SR-IOV).
    VirtualFunctions = VirtualFunctions {
        /// How many there are now.
        enabled: u16,
        /// How many there can be.
        total: u16,
    }
}

record! {
    /// Pages of one size that were set aside.
    HugePages = HugePages {
        /// The size of one.
        size_bytes: u64 = size,
        /// How many there are.
        total: u64,
        /// How many of them are free.
        free: u64,
    }
}

record! {
    /// Whether a GPU is divided into instances.
    MigMode = MigMode {
        /// Now.
        current: bool,
        /// After the next reset of the GPU.
        pending: bool,
    }
}

record! {
    /// Where a GPU instance lies among the memory slices of its GPU.
    MigPlacement = MigPlacement {
        /// The first memory slice.
        start: u32,
        /// How many.
        size: u32,
    }
}

record! {
    /// A GPU's place in an NVLink fabric.
    Fabric {
        /// How far its registration has come.
        state: FabricState,
        /// What came of it, as NVML numbers errors.
        status?: u32,
        /// The UUID of the NVLink domain.
        cluster?: String,
        /// The number of the group in the domain whose GPUs reach each other.
        clique?: u32,
        /// NVML's bits of what is wrong.
        health?: u32,
        /// NVML's number for the health as a whole.
        health_summary?: u32,
        /// The names of what is wrong. They follow from the two numbers above, and are not read.
        faults*: Vec<FabricFault>,
    }
}

impl Write<Fabric> for model::Fabric {
    fn write(self) -> Fabric {
        let faults = self.faults().write();
        let Self { state, status, cluster, clique, health, health_summary } = self;
        Fabric { state: state.write(), status, cluster, clique, health, health_summary, faults }
    }
}

impl Read<model::Fabric> for Fabric {
    fn read(self, sets: &mut Sets) -> Result<model::Fabric> {
        let Self { state, status, cluster, clique, health, health_summary, faults: _ } = self;
        Ok(model::Fabric { state: state.read(sets)?, status, cluster, clique, health, health_summary })
    }
}

record! {
    /// One NVLink of a GPU.
    NvLinkPort = NvLinkPort {
        /// Its number on this GPU.
        number: u32,
        /// Whether it is up.
        up?: bool,
        /// The generation of NVLink: that of the GPU's architecture, else as the driver tells it.
        generation?: u8,
        /// What the driver reports that it carries, one direction, in MB/s (1e6 bytes per second).
        reported_mb_per_s?: MbPerS = reported,
        /// What is at its other end.
        far?: NvLinkFar,
    }
}

/// What an NVLink leads to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum NvLinkFar {
    /// The GPU at this address.
    Gpu(Text<PciAddress>),
    /// An NVSwitch, with its address unless the driver hides it.
    Switch(Option<Text<PciAddress>>),
    /// A CPU.
    Cpu,
}

impl Write<Option<NvLinkFar>> for model::NvLinkFar {
    fn write(self) -> Option<NvLinkFar> {
        match self {
            Self::Unknown => None,
            Self::Gpu(address) => Some(NvLinkFar::Gpu(Text(address))),
            Self::Switch(address) => Some(NvLinkFar::Switch(address.map(Text))),
            Self::Cpu => Some(NvLinkFar::Cpu),
        }
    }
}

impl Read<model::NvLinkFar> for Option<NvLinkFar> {
    fn read(self, sets: &mut Sets) -> Result<model::NvLinkFar> {
        Ok(match self {
            None => model::NvLinkFar::Unknown,
            Some(NvLinkFar::Gpu(address)) => model::NvLinkFar::Gpu(address.0),
            Some(NvLinkFar::Switch(address)) => model::NvLinkFar::Switch(address.read(sets)?),
            Some(NvLinkFar::Cpu) => model::NvLinkFar::Cpu,
        })
    }
}
