//! Limits on the CPUs that may be given away.

use crate::cpuset::CpuSet;
use crate::error::Error;

/// The CPUs that may be given away. Offline CPUs are never given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CpuLimits {
    /// Only these, besides what the topology itself allows. `None`: no further limit.
    pub allowed: Option<CpuSet>,
    /// CPUs kept for others: for the system and the kubelet (`reservedSystemCPUs`), for the interrupts of NICs (see
    /// [`nic_interrupt_cpus`](crate::nic_interrupt_cpus)).
    pub reserved: CpuSet,
    /// The use of CPUs that the kernel keeps out of scheduling.
    pub isolated: Isolated,
    /// The cores that are used of a machine whose cores are not alike.
    pub cores: Cores,
}

words! {
    /// The use of isolated CPUs: those that the kernel keeps out of scheduling (`isolcpus`, isolated cpusets).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum Isolated {
        /// Left out, unless there are no others.
        #[default]
        Avoid = "avoid",
        /// Given away like all others.
        Use = "use",
    }
    /// Returns its word.
    word, |text| {
        Error::request(format!("'{text}' says nothing of isolated CPUs")).help("there are avoid and use")
    }
}

words! {
    /// The cores that are used of a machine whose cores are not alike.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum Cores {
        /// All.
        #[default]
        All = "all",
        /// The cores of the fastest class: the performance cores of a hybrid CPU, or the priority cores.
        Fast = "fast",
    }
    /// Returns its word.
    word, |text| {
        Error::request(format!("'{text}' names no cores: give all or fast"))
            .help("fast cores are the performance or priority cores of a machine whose cores are not alike")
    }
}

words! {
    /// The use of the hardware threads of a core.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum Smt {
        /// All threads of a core that may be used.
        #[default]
        All = "all",
        /// The first of them; its siblings stay idle.
        One = "one",
    }
    /// Returns its word.
    word, |text| Error::request(format!("'{text}' threads of a core")).help("there are all and one")
}
