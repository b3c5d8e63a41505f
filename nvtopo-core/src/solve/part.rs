//! The part of one process in a job: its GPUs, CPUs and memory.

use super::cpus::{CpuLimits, share_cpus};
use super::gpu_ref::visible_gpus;
use super::placement::Placement;
use super::rank::LocalRank;
use crate::cpuset::{CpuSet, NodeSet};
use crate::model::Topology;

/// The GPUs, CPUs and memory of one process.
///
/// ```
/// use nvtopo::{CpuLimits, LocalRank, Part, Topology};
///
/// let dgx = Topology::preset("dgx-h100")?;
/// let rank = LocalRank { rank: 1, size: Some(2) };
/// let part = Part::of_visible(&dgx, Some("4,5"), Some(rank), &CpuLimits::default());
/// assert_eq!((part.gpus, part.cpus.to_string()), (vec![5], "70-83,182-195".to_owned()));
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The positions of its GPUs in [`Topology::gpus`].
    pub gpus: Vec<usize>,
    /// The shares of these GPUs together. Empty when there is no GPU: nothing is known then of where to run.
    pub cpus: CpuSet,
    /// The NUMA nodes to take memory from; empty when unknown.
    pub mems: NodeSet,
    /// What a person should know.
    pub remarks: Vec<String>,
}

impl Part {
    /// The part of a process that sees the GPUs of this `CUDA_VISIBLE_DEVICES` (`None`: it is not set, and all are
    /// visible). Local rank n takes the n-th of them; a process without a rank takes them all.
    pub fn of_visible(
        topology: &Topology,
        visible: Option<&str>,
        rank: Option<LocalRank>,
        limits: &CpuLimits,
    ) -> Self {
        let visible = match visible {
            Some(variable) => visible_gpus(topology, variable),
            None => (0..topology.gpus().len()).collect(),
        };
        let shares = share_cpus(topology, limits);
        let owned = visible.into_iter().map(|gpu| (gpu, &shares.gpus[gpu].cpus, &shares.gpus[gpu].mems));
        Self::of(owned.collect(), rank, shares.remarks.clone())
    }

    /// The part of a process in a placement: local rank n takes the n-th GPU; a process without a rank takes all.
    pub fn of_placement(placement: &Placement, rank: Option<LocalRank>) -> Self {
        let gpus = placement.gpus().iter().map(|gpu| (gpu.position, &gpu.cpus, &gpu.mems));
        Self::of(gpus.collect(), rank, placement.remarks().to_vec())
    }

    fn of(gpus: Vec<(usize, &CpuSet, &NodeSet)>, rank: Option<LocalRank>, mut remarks: Vec<String>) -> Self {
        if gpus.is_empty() {
            remarks.push("no GPU is visible, so there is nothing to be near to".to_owned());
        }
        let count = gpus.len().max(1);
        if let Some(LocalRank { rank, size }) = rank
            && size.unwrap_or(rank + 1) > count
            && gpus.len() > 1
        {
            remarks.push(format!("there are more ranks than the {count} visible GPUs; some share a GPU"));
        }
        // A launcher that shows each rank one GPU only: that one, whatever the rank.
        let mine = |index: usize| rank.is_none_or(|own| own.rank % count == index);
        let mut part = Self { remarks, ..Self::default() };
        let mut mems_known = true;
        for (_, (gpu, cpus, mems)) in gpus.into_iter().enumerate().filter(|(index, _)| mine(*index)) {
            part.gpus.push(gpu);
            part.cpus = part.cpus.union(cpus);
            part.mems = part.mems.union(mems);
            mems_known &= !mems.is_empty();
        }
        if !mems_known {
            part.mems = NodeSet::new();
        }
        part
    }
}
