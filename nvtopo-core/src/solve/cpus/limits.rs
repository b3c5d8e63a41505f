//! The CPUs that may be given away.

use crate::cpuset::CpuSet;
use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// Which CPUs may be given away. Those that are switched off are never given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CpuLimits {
    /// Only these, besides what the topology itself allows. `None`: no further limit.
    pub allowed: Option<CpuSet>,
    /// These are kept for others: for the system and the kubelet (`reservedSystemCPUs`), for the interrupts of NICs (see
    /// [`nic_interrupt_cpus`](crate::solve::nic_interrupt_cpus)).
    pub reserved: CpuSet,
    /// The use of CPUs that the kernel keeps out of scheduling.
    pub isolated: Isolated,
    /// The cores that are used of a machine whose cores are not alike.
    pub cores: Cores,
}

/// The use of isolated CPUs: those that the kernel keeps out of scheduling (`isolcpus`, isolated cpusets).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Isolated {
    /// They are left out, unless there are no others.
    #[default]
    Avoid,
    /// They are given away as all others.
    Use,
}

impl FromStr for Isolated {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "avoid" => Ok(Self::Avoid),
            "use" => Ok(Self::Use),
            _ => Err(Error::request(format!("'{text}' says nothing of isolated CPUs"))
                .help("there are avoid and use")),
        }
    }
}

impl fmt::Display for Isolated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Avoid => "avoid",
            Self::Use => "use",
        })
    }
}

/// The cores that are used of a machine whose cores are not alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Cores {
    /// All.
    #[default]
    All,
    /// Those of the fastest class: the performance cores of a hybrid CPU, or the priority cores.
    Fast,
}

impl FromStr for Cores {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "all" => Ok(Self::All),
            "fast" => Ok(Self::Fast),
            _ => Err(Error::request(format!("'{text}' names no cores: give all or fast")).help(
                "fast cores are the performance or priority cores of a machine whose cores are not alike",
            )),
        }
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::Fast => "fast",
        })
    }
}

/// Whether the hardware threads of a core are used together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Smt {
    /// All threads of a core that may be used.
    #[default]
    All,
    /// The first of them; its siblings stay idle.
    One,
}

impl FromStr for Smt {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "all" => Ok(Self::All),
            "one" => Ok(Self::One),
            _ => Err(Error::request(format!("'{text}' threads of a core")).help("there are all and one")),
        }
    }
}

impl fmt::Display for Smt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::One => "one",
        })
    }
}
