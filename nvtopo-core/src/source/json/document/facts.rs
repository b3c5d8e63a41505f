//! Facts of nodes that have several parts. Each names the fields of the model, and converts both ways by them.

use super::super::values::{MbPerS, Text};
use super::convert::Convert;
use super::words::{FabricFault, FabricState, Source};
use crate::ids::PciAddress;
use crate::model;
use serde::{Deserialize, Serialize};

/// A struct of the document with the name of one of the model. Fields are `name = field of the model: type`; those
/// after `;` may be unknown, and are left out then.
macro_rules! facts {
    (
        $(#[$doc:meta])* $name:ident {
            $($(#[$meta:meta])* $field:ident = $own:ident: $type:ty,)*;
            $($(#[$optional_meta:meta])* $optional:ident = $optional_own:ident: $optional_type:ty,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub(in super::super) struct $name {
            $($(#[$meta])* $field: $type,)*
            $($(#[$optional_meta])* #[serde(skip_serializing_if = "Option::is_none")] $optional: Option<$optional_type>,)*
        }

        impl Convert<$name> for model::$name {
            fn convert(self) -> $name {
                $name { $($field: self.$own.convert(),)* $($optional: self.$optional_own.convert(),)* }
            }
        }

        impl Convert<model::$name> for $name {
            fn convert(self) -> model::$name {
                model::$name { $($own: self.$field.convert(),)* $($optional_own: self.$optional.convert(),)* }
            }
        }
    };
}

facts! {
    /// A fact that was filled in from another source.
    Learned {
        /// What notes call the fact.
        fact = fact: String,
        /// Who told it.
        source = provenance: Source,;
    }
}

facts! {
    /// What the PCI bus tells of a device.
    #[derive(Default)]
    PciFacts {
        ;
        /// Who made the chip.
        vendor = vendor: u16,
        /// Which chip it is.
        device = device: u16,
        /// Who made the board.
        subsystem_vendor = subsystem_vendor: u16,
        /// Which board it is.
        subsystem_device = subsystem_device: u16,
        /// Its PCIe link, as it runs and as it could run.
        link = link: PcieTraining,
        /// The number of its IOMMU group.
        iommu_group = iommu_group: u32,
        /// How the IOMMU treats it, in the kernel's words, or `off`.
        iommu_mode = iommu_mode: String,
        /// Its virtual functions (SR-IOV).
        virtual_functions = virtual_functions: VirtualFunctions,
    }
}

facts! {
    /// How a PCIe link runs, and how it could run.
    PcieTraining {
        /// As it runs now.
        now = now: PcieSpeed,
        /// The most that the device can do.
        device = device: PcieSpeed,
        /// The most that the port above it can do.
        port = port: PcieSpeed,;
    }
}

facts! {
    /// The speed of a PCIe link.
    PcieSpeed {
        ;
        /// The generation, from 1.
        generation = generation: u8,
        /// How many lanes.
        width = width: u16,
    }
}

facts! {
    /// Virtual functions (SR-IOV).
    VirtualFunctions {
        /// How many there are now.
        enabled = enabled: u16,
        /// How many there can be.
        total = total: u16,;
    }
}

facts! {
    /// Pages of one size that were set aside.
    HugePages {
        /// The size of one.
        size_bytes = size: u64,
        /// How many there are.
        total = total: u64,
        /// How many of them are free.
        free = free: u64,;
    }
}

facts! {
    /// Whether a GPU is divided into instances.
    MigMode {
        /// Now.
        current = current: bool,
        /// After the next reset of the GPU.
        pending = pending: bool,;
    }
}

facts! {
    /// Where a GPU instance lies among the memory slices of its GPU.
    MigPlacement {
        /// The first memory slice.
        start = start: u32,
        /// How many.
        size = size: u32,;
    }
}

/// A GPU's place in an NVLink fabric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in super::super) struct Fabric {
    /// How far its registration has come.
    state: FabricState,
    /// What came of it, as NVML numbers errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u32>,
    /// The UUID of the NVLink domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<String>,
    /// The number of the group in the domain whose GPUs reach each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    clique: Option<u32>,
    /// NVML's bits of what is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<u32>,
    /// NVML's number for the health as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    health_summary: Option<u32>,
    /// The names of what is wrong. They follow from the two numbers above, and are not read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    faults: Vec<FabricFault>,
}

impl Convert<Fabric> for model::Fabric {
    fn convert(self) -> Fabric {
        let faults = self.faults().convert();
        let Self { state, status, cluster, clique, health, health_summary } = self;
        Fabric { state: state.convert(), status, cluster, clique, health, health_summary, faults }
    }
}

impl Convert<model::Fabric> for Fabric {
    fn convert(self) -> model::Fabric {
        let Self { state, status, cluster, clique, health, health_summary, faults: _ } = self;
        model::Fabric { state: state.convert(), status, cluster, clique, health, health_summary }
    }
}

/// One NVLink of a GPU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(in super::super) struct NvLinkPort {
    /// Its number on this GPU.
    number: u32,
    /// Whether it is up.
    #[serde(skip_serializing_if = "Option::is_none")]
    up: Option<bool>,
    /// The generation of NVLink: that of the GPU's architecture, else as the driver tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u8>,
    /// What the driver reports that it carries, one direction, in MB/s (1e6 bytes per second).
    #[serde(skip_serializing_if = "Option::is_none")]
    reported_mb_per_s: Option<MbPerS>,
    /// What is at its other end.
    #[serde(skip_serializing_if = "Option::is_none")]
    far: Option<NvLinkFar>,
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

impl Convert<NvLinkPort> for model::NvLinkPort {
    fn convert(self) -> NvLinkPort {
        let far = match self.far {
            model::NvLinkFar::Unknown => None,
            model::NvLinkFar::Gpu(address) => Some(NvLinkFar::Gpu(Text(address))),
            model::NvLinkFar::Switch(address) => Some(NvLinkFar::Switch(address.map(Text))),
            model::NvLinkFar::Cpu => Some(NvLinkFar::Cpu),
        };
        let reported_mb_per_s = self.reported.convert();
        NvLinkPort { number: self.number, up: self.up, generation: self.generation, reported_mb_per_s, far }
    }
}

impl Convert<model::NvLinkPort> for NvLinkPort {
    fn convert(self) -> model::NvLinkPort {
        let far = match self.far {
            None => model::NvLinkFar::Unknown,
            Some(NvLinkFar::Gpu(address)) => model::NvLinkFar::Gpu(address.0),
            Some(NvLinkFar::Switch(address)) => model::NvLinkFar::Switch(address.convert()),
            Some(NvLinkFar::Cpu) => model::NvLinkFar::Cpu,
        };
        let reported = self.reported_mb_per_s.convert();
        model::NvLinkPort { number: self.number, up: self.up, generation: self.generation, reported, far }
    }
}
