//! The variables that tell libraries what was chosen. Only what is safe for every program is set unasked; the rest is on
//! request, and what would undo a binding (`OMP_PLACES` and its like) or steer NCCL is never set.

use crate::error::{Error, Result};
use crate::model::{PortState, Topology};
use crate::solve::{Part, VisibleGpus, cuda_environment};
use std::fmt;
use std::str::FromStr;

/// What is told on request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Export {
    /// `CUDA_VISIBLE_DEVICES`: the GPUs of the job by UUID, in one order for all ranks of the node.
    Gpus,
    /// `OMP_NUM_THREADS` even where it is set, as torchrun sets it to 1.
    Threads,
    /// `NCCL_IB_HCA`: the RDMA devices of the node whose ports are active, the same for all ranks. NCCL chooses among
    /// them; a list for each rank makes it hang.
    IbHca,
    /// `UCX_NET_DEVICES`: the NIC of this rank; ranks that are equally near take turns.
    UcxDevice,
}

impl Export {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Gpus, Self::Threads, Self::IbHca, Self::UcxDevice];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Gpus => "gpus",
            Self::Threads => "threads",
            Self::IbHca => "ib-hca",
            Self::UcxDevice => "ucx-device",
        }
    }
}

impl fmt::Display for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Export {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|export| export.word() == text).ok_or_else(|| {
            let words = Self::ALL.map(Self::word).join(", ");
            Error::request(format!("nothing called '{text}' can be told")).help(format!("there are {words}"))
        })
    }
}

/// The variables for a process that was bound to its part. Unasked, only `OMP_NUM_THREADS`, where it is not set and the
/// cores are the process's own. What is unknown is not told.
///
/// ```
/// use nvtopo::apply::{Export, environment};
/// use nvtopo::{CpuLimits, CudaOrder, LocalRank, Part, Topology, VisibleGpus};
///
/// let dgx = Topology::preset("dgx-h100")?;
/// let visible = VisibleGpus::all(&dgx, CudaOrder::PciBusId);
/// let rank = LocalRank { rank: 1, size: Some(8) };
/// let part = Part::of_visible(&dgx, &visible, Some(rank), &CpuLimits::default())?;
/// let nothing = |_: &str| None;
/// assert_eq!(environment(&dgx, &visible, &part, &[], nothing), [("OMP_NUM_THREADS", "14".to_owned())]);
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn environment(
    topology: &Topology,
    visible: &VisibleGpus,
    part: &Part,
    exports: &[Export],
    variable: impl Fn(&str) -> Option<String>,
) -> Vec<(&'static str, String)> {
    let mut variables = Vec::new();
    let set = variable("OMP_NUM_THREADS").is_some_and(|value| !value.trim().is_empty());
    if part.own_cores > 0 && (!set || exports.contains(&Export::Threads)) {
        variables.push(("OMP_NUM_THREADS", part.own_cores.to_string()));
    }
    // A list of MIG instances stays as it is: CUDA shows a process one of them only.
    let whole = !visible.devices.is_empty() && visible.devices.iter().all(|device| device.instance.is_none());
    if exports.contains(&Export::Gpus) && whole {
        variables.extend(cuda_environment(topology, &visible.positions()));
    }
    if exports.contains(&Export::IbHca) {
        let active = topology.nics().filter(|nic| nic.state == Some(PortState::Active));
        let mut devices: Vec<&str> = active.filter_map(|nic| nic.rdma_device.as_deref()).collect();
        devices.sort_unstable();
        devices.dedup();
        if !devices.is_empty() {
            // Without the sign, mlx5_1 would also be mlx5_10.
            variables.push(("NCCL_IB_HCA", format!("={}", devices.join(","))));
        }
    }
    if exports.contains(&Export::UcxDevice) {
        let name = |nic: &usize| {
            let nic = topology.nics().nth(nic.checked_sub(topology.gpus().len())?)?;
            let device = nic.rdma_device.as_deref()?;
            let ports = topology.nics().filter(|other| other.rdma_device.as_deref() == Some(device)).count();
            // Of a device with several ports nobody knows which one this is.
            (ports == 1).then(|| format!("{device}:1"))
        };
        let devices: Vec<String> = part.nics.iter().filter_map(name).collect();
        if !devices.is_empty() {
            variables.push(("UCX_NET_DEVICES", devices.join(",")));
        }
    }
    variables
}
