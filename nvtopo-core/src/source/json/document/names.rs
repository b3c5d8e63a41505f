//! Enumerations of the document: a name for each value of the model.

use super::record::{Read, Sets, Write};
use crate::error::Result;
use serde::{Deserialize, Serialize};

/// An enumeration of the document with the words for it, and the model's values that they stand for.
macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($word:literal $variant:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub(in super::super) enum $name {
            $(#[serde(rename = $word)] $variant,)*
        }

        impl Write<$name> for crate::model::$name {
            fn write(self) -> $name {
                match self {
                    $(Self::$variant => $name::$variant,)*
                }
            }
        }

        impl Read<crate::model::$name> for $name {
            fn read(self, _: &mut Sets) -> Result<crate::model::$name> {
                Ok(match self {
                    $(Self::$variant => crate::model::$name::$variant,)*
                })
            }
        }
    };
}

/// The source of a fact.
pub(in super::super) type Source = Provenance;

names! {
    /// The source of a fact.
    Provenance {
        "sysfs" Sysfs, "nvml" Nvml, "hwloc" Hwloc, "nvidia-smi" Smi, "preset" Preset,
        "measurement" Measurement, "inferred" Inferred,
    }
}

names! {
    /// The kind of a cache's content.
    CacheKind { "unified" Unified, "data" Data, "instruction" Instruction, }
}

names! {
    /// The kind of a group of CPUs.
    GroupKind { "die" Die, "cluster" Cluster, "book" Book, "drawer" Drawer, "other" Other, }
}

names! {
    /// The kind of a link.
    LinkKind { "nvlink" NvLink, "c2c" C2c, "pcie" Pcie, "smp" Smp, "net" Net, }
}

names! {
    /// The basis of a bandwidth.
    Basis {
        "measured" Measured, "reported" Reported, "nominal" Nominal, "typical" Typical, "assumed" Assumed,
    }
}

names! {
    /// The class of a path, in `nvidia-smi`'s words.
    PathType {
        "X" Loc, "NVL" Nvl, "NVB" Nvb, "C2C" C2c, "PIX" Pix, "PXB" Pxb, "PHB" Phb, "NODE" Node, "SYS" Sys,
        "NET" Net, "DIS" Dis,
    }
}

names! {
    /// The subject of a note.
    NoteKind { "damage" Damage, "unknown" Unknown, "conflict" Conflict, "inferred" Inferred, "driver" Driver, }
}

names! {
    /// The class of a core on a machine whose cores differ.
    CoreClass {
        "efficiency" Efficiency, "standard" Standard, "performance" Performance, "priority" Priority,
    }
}

names! {
    /// The state of a port.
    PortState { "down" Down, "initialize" Initialize, "armed" Armed, "active" Active, }
}

names! {
    /// The link layer of a port.
    LinkLayer { "infiniband" InfiniBand, "ethernet" Ethernet, }
}

names! {
    /// The state of the registration of a GPU with its NVLink fabric.
    FabricState {
        "unknown" Unknown, "not-started" NotStarted, "in-progress" InProgress, "completed" Completed,
    }
}

names! {
    /// The status of peer-to-peer access, in the words of `nvidia-smi topo -p2p`.
    P2pStatus {
        "OK" Ok, "CNS" ChipsetNotSupported, "GNS" GpuNotSupported, "TNS" TopologyNotSupported,
        "DR" DisabledBySetting, "NS" NotSupported, "U" Unknown,
    }
}

names! {
    /// A fault of a GPU's place in its NVLink fabric.
    FabricFault {
        "degraded-bandwidth" DegradedBandwidth, "route-recovery" RouteRecovery, "unhealthy-route" UnhealthyRoute,
        "access-timeout-recovery" AccessTimeoutRecovery, "incorrect-system-guid" IncorrectSystemGuid,
        "incorrect-chassis-serial" IncorrectChassisSerial, "no-partition" NoPartition,
        "insufficient-nvlinks" InsufficientNvlinks, "incompatible-firmware" IncompatibleFirmware,
        "invalid-location" InvalidLocation, "invalid-gpu-state" InvalidGpuState,
        "incorrect-configuration" IncorrectConfiguration, "unassigned-partition" UnassignedPartition,
        "disconnected-manager" DisconnectedManager, "limited-capacity" LimitedCapacity, "unhealthy" Unhealthy,
    }
}
