//! The health of a GPU within its NVLink fabric, decoded from NVML's bits.

use super::Fabric;
use std::fmt;

words! {
    /// A fault of a GPU within its NVLink fabric.
    ///
    /// Source: `NVML_GPU_FABRIC_HEALTH_MASK_…` and `NVML_GPU_FABRIC_HEALTH_SUMMARY_…` in `nvml.h` (R580 and later).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[non_exhaustive]
    pub enum FabricFault {
        /// Degraded bandwidth.
        DegradedBandwidth = "degraded-bandwidth",
        /// A route is being recovered.
        RouteRecovery = "route-recovery",
        /// A route is broken.
        UnhealthyRoute = "unhealthy-route",
        /// An access timed out, and the GPU is recovering from it.
        AccessTimeoutRecovery = "access-timeout-recovery",
        /// The GUID of its system is wrong.
        IncorrectSystemGuid = "incorrect-system-guid",
        /// The serial number of its chassis is wrong.
        IncorrectChassisSerial = "incorrect-chassis-serial",
        /// It belongs to no partition.
        NoPartition = "no-partition",
        /// It has too few NVLinks.
        InsufficientNvlinks = "insufficient-nvlinks",
        /// Its firmware does not go with the fabric.
        IncompatibleFirmware = "incompatible-firmware",
        /// It is where no GPU should be.
        InvalidLocation = "invalid-location",
        /// The state of the GPU is invalid.
        InvalidGpuState = "invalid-gpu-state",
        /// It is configured wrongly, in a way that this version of nvtopo does not know.
        IncorrectConfiguration = "incorrect-configuration",
        /// The fabric has assigned it to no partition.
        UnassignedPartition = "unassigned-partition",
        /// The fabric manager that runs the whole fabric is not connected.
        DisconnectedManager = "disconnected-manager",
        /// The driver calls it limited in capacity, and does not say by what.
        LimitedCapacity = "limited-capacity",
        /// The driver calls it unhealthy, and does not say why.
        Unhealthy = "unhealthy",
    }
    /// The name used in documents.
    word
}

impl FabricFault {
    /// Returns true where the fault excludes the GPU from the fabric, rather than slowing it down.
    pub const fn excludes(self) -> bool {
        matches!(
            self,
            Self::IncorrectSystemGuid
                | Self::IncorrectChassisSerial
                | Self::NoPartition
                | Self::IncompatibleFirmware
                | Self::InvalidLocation
                | Self::InvalidGpuState
                | Self::UnassignedPartition
        )
    }
}

impl fmt::Display for FabricFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        macro_rules! wrongly {
            ($how:literal) => {
                concat!("the NVLink fabric is configured wrongly", $how)
            };
        }
        f.write_str(match self {
            Self::DegradedBandwidth => "its bandwidth in the NVLink fabric is degraded",
            Self::RouteRecovery => "a route of the NVLink fabric to it is being recovered",
            Self::UnhealthyRoute => "a route of the NVLink fabric to it is unhealthy",
            Self::AccessTimeoutRecovery => "it recovers from an access over the NVLink fabric that timed out",
            Self::UnassignedPartition => "the NVLink fabric has assigned it to no partition",
            Self::DisconnectedManager => "the manager of the whole NVLink fabric is not connected",
            Self::LimitedCapacity => "the driver calls its place in the NVLink fabric limited in capacity",
            Self::Unhealthy => "the driver calls its place in the NVLink fabric unhealthy",
            Self::IncorrectSystemGuid => wrongly!(": another system GUID"),
            Self::IncorrectChassisSerial => wrongly!(": another serial number of the chassis"),
            Self::NoPartition => wrongly!(": it is in no partition"),
            Self::InsufficientNvlinks => wrongly!(": too few NVLinks"),
            Self::IncompatibleFirmware => wrongly!(": the GPU's firmware does not go with it"),
            Self::InvalidLocation => wrongly!(": no GPU should be in that place"),
            Self::InvalidGpuState => wrongly!(": the GPU's state is invalid"),
            Self::IncorrectConfiguration => wrongly!(", in a way that nvtopo does not know"),
        })
    }
}

/// The values of two bits for true and false; others mean unknown.
const TRUE: u32 = 1;
const FALSE: u32 = 2;

/// The bits of `NVML_GPU_FABRIC_HEALTH_SUMMARY_…`.
const UNHEALTHY: u32 = 2;
const LIMITED_CAPACITY: u32 = 3;

impl Fabric {
    /// Returns the faults that the driver reports; empty where it reports none.
    ///
    /// ```
    /// use nvtopo::model::{Fabric, FabricFault};
    ///
    /// let mut fabric = Fabric::default();
    /// fabric.health = Some(425);
    /// assert_eq!(fabric.faults(), [FabricFault::DegradedBandwidth]);
    /// ```
    pub fn faults(&self) -> Vec<FabricFault> {
        let mask = self.health.unwrap_or(0);
        let pair = |shift: u32| mask >> shift & 0b11;
        let bits = [
            (pair(0) == TRUE, FabricFault::DegradedBandwidth),
            (pair(2) == TRUE, FabricFault::RouteRecovery),
            (pair(4) == TRUE, FabricFault::UnhealthyRoute),
            (pair(6) == TRUE, FabricFault::AccessTimeoutRecovery),
        ];
        let more = [
            (pair(12) == FALSE, FabricFault::UnassignedPartition),
            (pair(14) == FALSE, FabricFault::DisconnectedManager),
        ];
        let configuration = match mask >> 8 & 0b1111 {
            0 | 1 => None,
            2 => Some(FabricFault::IncorrectSystemGuid),
            3 => Some(FabricFault::IncorrectChassisSerial),
            4 => Some(FabricFault::NoPartition),
            5 => Some(FabricFault::InsufficientNvlinks),
            6 => Some(FabricFault::IncompatibleFirmware),
            7 => Some(FabricFault::InvalidLocation),
            8 => Some(FabricFault::InvalidGpuState),
            _ => Some(FabricFault::IncorrectConfiguration),
        };
        let told = |(set, fault): (bool, FabricFault)| set.then_some(fault);
        let mut faults: Vec<FabricFault> = bits
            .into_iter()
            .filter_map(told)
            .chain(configuration)
            .chain(more.into_iter().filter_map(told))
            .collect();
        if faults.is_empty() {
            faults.extend(match self.health_summary {
                Some(UNHEALTHY) => Some(FabricFault::Unhealthy),
                Some(LIMITED_CAPACITY) => Some(FabricFault::LimitedCapacity),
                _ => None,
            });
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(health: Option<u32>, health_summary: Option<u32>) -> Vec<&'static str> {
        let fabric = Fabric { health, health_summary, ..Fabric::default() };
        fabric.faults().into_iter().map(FabricFault::word).collect()
    }

    #[test]
    fn bits_are_named_one_by_one() {
        // Not supported, all well, and what is not said.
        for sound in [0, 0b10_10_10_10, 0b0101_0001_1010_1010, 0xffff_0000] {
            assert_eq!(words(Some(sound), None), [""; 0], "{sound:#b}");
        }
        assert_eq!(words(None, None), [""; 0]);
        assert_eq!(words(Some(425), Some(3)), ["degraded-bandwidth"]);
        assert_eq!(words(Some(0b01 << 2), None), ["route-recovery"]);
        assert_eq!(words(Some(0b01 << 4), None), ["unhealthy-route"]);
        assert_eq!(words(Some(0b01 << 6), None), ["access-timeout-recovery"]);
        assert_eq!(words(Some(0b10 << 12), None), ["unassigned-partition"]);
        assert_eq!(words(Some(0b10 << 14), None), ["disconnected-manager"]);
        let all = [
            "incorrect-system-guid",
            "incorrect-chassis-serial",
            "no-partition",
            "insufficient-nvlinks",
            "incompatible-firmware",
            "invalid-location",
            "invalid-gpu-state",
            "incorrect-configuration",
        ];
        for (value, word) in (2..).zip(all) {
            assert_eq!(words(Some(value << 8), None), [word]);
        }
        assert_eq!(words(Some(0b01_01_01_01), Some(2)).len(), 4);
    }

    #[test]
    fn a_summary_counts_where_nothing_else_is_told() {
        assert_eq!(words(Some(0b10_10_10_10), Some(2)), ["unhealthy"]);
        assert_eq!(words(None, Some(3)), ["limited-capacity"]);
        assert_eq!(words(Some(425), Some(2)), ["degraded-bandwidth"]);
        for fine in [0, 1, 4, u32::MAX] {
            assert_eq!(words(None, Some(fine)), [""; 0]);
        }
    }
}
