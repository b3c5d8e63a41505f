//! Enumerations of the document: a word for each value of the model.

use super::record::{Read, Sets, Write};
use crate::error::Result;
use serde::{Deserialize, Serialize};

/// An enumeration of the document with the words for it, and the model's values that they stand for.
macro_rules! words {
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

/// Where something was learned.
pub(in super::super) type Source = Provenance;

words! {
    /// Where something was learned.
    Provenance {
        "sysfs" Sysfs, "nvml" Nvml, "hwloc" Hwloc, "nvidia-smi" Smi, "preset" Preset,
        "measurement" Measurement, "inferred" Inferred,
    }
}

words! {
    /// What a cache holds.
    CacheKind { "unified" Unified, "data" Data, "instruction" Instruction, }
}

words! {
    /// The kind of a group of CPUs.
    GroupKind { "die" Die, "cluster" Cluster, "book" Book, "drawer" Drawer, "other" Other, }
}

words! {
    /// What a link is made of.
    LinkKind { "nvlink" NvLink, "c2c" C2c, "pcie" Pcie, "smp" Smp, "net" Net, }
}

words! {
    /// How a bandwidth is known.
    Basis {
        "measured" Measured, "reported" Reported, "nominal" Nominal, "typical" Typical, "assumed" Assumed,
    }
}

words! {
    /// The class of a path, in `nvidia-smi`'s words.
    PathType {
        "X" Loc, "NVL" Nvl, "NVB" Nvb, "C2C" C2c, "PIX" Pix, "PXB" Pxb, "PHB" Phb, "NODE" Node, "SYS" Sys,
        "NET" Net, "DIS" Dis,
    }
}

words! {
    /// What a note is about.
    NoteKind { "damage" Damage, "unknown" Unknown, "conflict" Conflict, "inferred" Inferred, "driver" Driver, }
}

words! {
    /// What a core is among the cores of a machine that are not alike.
    CoreClass {
        "efficiency" Efficiency, "standard" Standard, "performance" Performance, "priority" Priority,
    }
}

words! {
    /// Whether a port can carry data.
    PortState { "down" Down, "initialize" Initialize, "armed" Armed, "active" Active, }
}

words! {
    /// What a port speaks.
    LinkLayer { "infiniband" InfiniBand, "ethernet" Ethernet, }
}

words! {
    /// How far the registration of a GPU with its NVLink fabric has come.
    FabricState {
        "unknown" Unknown, "not-started" NotStarted, "in-progress" InProgress, "completed" Completed,
    }
}

words! {
    /// Whether something is allowed, in the words of `nvidia-smi topo -p2p`.
    P2pStatus {
        "OK" Ok, "CNS" ChipsetNotSupported, "GNS" GpuNotSupported, "TNS" TopologyNotSupported,
        "DR" DisabledBySetting, "NS" NotSupported, "U" Unknown,
    }
}

words! {
    /// What is wrong with a GPU's place in its NVLink fabric.
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
