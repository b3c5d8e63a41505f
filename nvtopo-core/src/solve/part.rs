//! The part of one process in a job: its GPUs, CPUs and memory.

use super::cpus::{CpuLimits, shares_of};
use super::gpu_ref::visible_gpus;
use super::placement::Placement;
use super::rank::LocalRank;
use crate::cpuset::{CpuSet, NodeSet};
use crate::model::{Share, Topology};

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
        let mut part = Self::default();
        part.gpus = part.of_rank(&visible, rank);
        let shares = shares_of(topology, limits, &part.gpus, &visible);
        let own: Vec<&Share> = part.gpus.iter().map(|gpu| &shares.gpus[*gpu]).collect();
        part.take(own.into_iter().map(|share| (&share.cpus, &share.mems)));
        part.remarks.extend_from_slice(&shares.remarks);
        part
    }

    /// The part of a process in a placement: local rank n takes the n-th GPU; a process without a rank takes all.
    pub fn of_placement(placement: &Placement, rank: Option<LocalRank>) -> Self {
        let mut part = Self::default();
        let own = part.of_rank(placement.gpus(), rank);
        part.gpus = own.iter().map(|gpu| gpu.position).collect();
        part.take(own.iter().map(|gpu| (&gpu.cpus, &gpu.mems)));
        part.remarks.extend_from_slice(placement.remarks());
        part
    }

    /// Those of the GPUs that belong to the rank.
    fn of_rank<T: Clone>(&mut self, gpus: &[T], rank: Option<LocalRank>) -> Vec<T> {
        let Some(LocalRank { rank, size }) = rank.filter(|_| !gpus.is_empty()) else {
            if gpus.is_empty() {
                self.remarks.push("no GPU is visible, so there is nothing to be near to".to_owned());
            }
            return gpus.to_vec();
        };
        let count = gpus.len();
        // A launcher that shows each rank one GPU only means that one, whatever the rank.
        if count > 1 && size.unwrap_or(0).max(rank.saturating_add(1)) > count {
            self.remarks
                .push(format!("there are more ranks than the {count} visible GPUs; some share a GPU"));
        }
        vec![gpus[rank % count].clone()]
    }

    /// Adds the shares of its GPUs. Memory of which one is unknown is unknown.
    fn take<'a>(&mut self, shares: impl Iterator<Item = (&'a CpuSet, &'a NodeSet)>) {
        let mut known = true;
        for (cpus, mems) in shares {
            self.cpus = self.cpus.union(cpus);
            self.mems = self.mems.union(mems);
            known &= !mems.is_empty();
        }
        if !known {
            self.mems = NodeSet::new();
        }
    }
}
