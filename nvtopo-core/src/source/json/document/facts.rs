//! Facts of nodes that have several parts.

use super::super::values::{MbPerS, Text};
use super::names::{FabricFault, FabricState, Source};
use super::record::{Read, Sets, Write};
use crate::error::Result;
use crate::ids::PciAddress;
use crate::model;
use serde::{Deserialize, Serialize};

record! {
    /// A fact that was filled in from another source.
    Learned = Learned {
        /// The name of the fact, as in notes.
        fact: String,
        /// The source that stated it.
        source: Source = provenance,
    }
}

record! {
    /// The facts of a PCI device.
    #[derive(Default)]
    PciFacts = PciFacts {
        /// The class code of the bus.
        class?: u32,
        /// The vendor of the chip.
        vendor?: u16,
        /// The model of the chip.
        device?: u16,
        /// The vendor of the board.
        subsystem_vendor?: u16,
        /// The model of the board.
        subsystem_device?: u16,
        /// Its PCIe link, as it runs and as it could run.
        link?: PcieTraining,
        /// The number of its IOMMU group.
        iommu_group?: u32,
        /// The mode of the IOMMU for it, in the kernel's words, or `off`.
        iommu_mode?: String,
        /// Its virtual functions (SR-IOV).
        virtual_functions?: VirtualFunctions,
    }
}

record! {
    /// The make of the CPUs of a machine.
    #[derive(Default)]
    CpuMake = CpuMake {
        /// The instruction set: `x86_64`, `arm64`, `ppc64`.
        architecture?: String,
        /// The maker, as CPUID spells it.
        vendor?: String,
        /// The family, as NCCL writes it.
        family?: u32,
        /// The model within the family.
        model?: u32,
    }
}

impl Write<CpuMake> for Box<model::CpuMake> {
    fn write(self) -> CpuMake {
        (*self).write()
    }
}

impl Read<Box<model::CpuMake>> for CpuMake {
    fn read(self, sets: &mut Sets) -> Result<Box<model::CpuMake>> {
        let make: model::CpuMake = self.read(sets)?;
        Ok(Box::new(make))
    }
}

record! {
    /// The current and the highest speeds of a PCIe link.
    PcieTraining = PcieTraining {
        /// The current speed.
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
        /// The number of lanes.
        width?: u16,
    }
}

record! {
    /// Virtual functions (SR-IOV).
    VirtualFunctions = VirtualFunctions {
        /// The number of virtual functions that are enabled.
        enabled: u16,
        /// The largest number of virtual functions.
        total: u16,
    }
}

record! {
    /// Pages of one size that were set aside.
    HugePages = HugePages {
        /// The size of one.
        size_bytes: u64 = size,
        /// The number of pages.
        total: u64,
        /// The number of free pages.
        free: u64,
    }
}

record! {
    /// The MIG mode of a GPU.
    MigMode = MigMode {
        /// Now.
        current: bool,
        /// After the next reset of the GPU.
        pending: bool,
    }
}

record! {
    /// The place of a GPU instance among the memory slices of its GPU.
    MigPlacement = MigPlacement {
        /// The first memory slice.
        start: u32,
        /// The number of slices.
        size: u32,
    }
}

record! {
    /// A GPU's place in an NVLink fabric.
    Fabric {
        /// The state of its registration.
        state: FabricState,
        /// The result of the registration, as NVML numbers errors.
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
        /// The state of the link: up or down.
        up?: bool,
        /// The generation of NVLink: that of the GPU's architecture, else as the driver reports it.
        generation?: u8,
        /// The bandwidth that the driver reports, one direction, in MB/s (1e6 bytes per second).
        reported_mb_per_s?: MbPerS = reported,
        /// The device at its other end.
        far?: NvLinkFar,
    }
}

/// The device at the other end of an NVLink.
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
    /// The device at this address, of unknown kind.
    Device(Text<PciAddress>),
}

impl Write<Option<NvLinkFar>> for model::NvLinkFar {
    fn write(self) -> Option<NvLinkFar> {
        match self {
            Self::Unknown => None,
            Self::Gpu(address) => Some(NvLinkFar::Gpu(Text(address))),
            Self::Switch(address) => Some(NvLinkFar::Switch(address.map(Text))),
            Self::Cpu => Some(NvLinkFar::Cpu),
            Self::Device(address) => Some(NvLinkFar::Device(Text(address))),
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
            Some(NvLinkFar::Device(address)) => model::NvLinkFar::Device(address.0),
        })
    }
}
