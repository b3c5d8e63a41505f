//! The part of one process in a job: its GPUs, CPUs and memory.

use super::cpus::{CpuLimits, CpuRules, cut, shares_of};
use super::cuda_order::OrderBasis;
use super::placement::Placement;
use super::rank::LocalRank;
use super::visible::{VisibleDevice, VisibleGpus};
use crate::cpuset::{CpuSet, NodeSet};
use crate::model::{NodeId, Share, Topology};

/// The GPUs, CPUs and memory of one process.
///
/// ```
/// use nvtopo::{CpuLimits, CudaOrder, LocalRank, Part, Topology, VisibleGpus};
///
/// let dgx = Topology::preset("dgx-h100")?;
/// let rank = LocalRank { rank: 1, size: Some(2) };
/// let visible = VisibleGpus::resolve(&dgx, Some("4,5"), CudaOrder::default());
/// let part = Part::of_visible(&dgx, &visible, Some(rank), &CpuLimits::default());
/// assert_eq!((part.gpus, part.cpus.to_string()), (vec![5], "70-83,182-195".to_owned()));
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The positions of its GPUs in [`Topology::gpus`].
    pub gpus: Vec<usize>,
    /// The MIG instances that it uses of them, where it does not use whole GPUs.
    pub instances: Vec<NodeId>,
    /// The shares of these GPUs together. Empty when there is no GPU: nothing is known then of where to run.
    pub cpus: CpuSet,
    /// The NUMA nodes to take memory from; empty when unknown.
    pub mems: NodeSet,
    /// What a person should know.
    pub remarks: Vec<String>,
}

impl Part {
    /// The part of a process that sees these GPUs. Local rank n takes the n-th of them; a process without a rank takes
    /// them all. A MIG instance has its part in the CPUs of its GPU, which all visible instances of it divide equally.
    pub fn of_visible(
        topology: &Topology,
        visible: &VisibleGpus,
        rank: Option<LocalRank>,
        limits: &CpuLimits,
    ) -> Self {
        let mut part = Self { remarks: visible.remarks.clone(), ..Self::default() };
        let known = |device: &&VisibleDevice| device.gpu < topology.gpus().len();
        let devices: Vec<VisibleDevice> = visible.devices.iter().filter(known).copied().collect();
        let own = part.of_rank_among(&devices, visible, rank);
        part.gpus = VisibleGpus { devices: own.clone(), ..VisibleGpus::default() }.positions();
        part.instances = own.iter().filter_map(|device| device.instance).collect();
        if let (Some(allowed), false) = (&limits.allowed, part.instances.is_empty()) {
            // A process that was bound to its part of a share keeps it, instead of cutting it once more.
            let unlimited = CpuLimits { allowed: None, reserved: limits.reserved.clone() };
            let mut whole = part.clone();
            whole.share(topology, visible, &own, &unlimited);
            if whole.cpus == *allowed {
                return whole;
            }
        }
        part.share(topology, visible, &own, limits);
        part
    }

    fn share(
        &mut self,
        topology: &Topology,
        visible: &VisibleGpus,
        own: &[VisibleDevice],
        limits: &CpuLimits,
    ) {
        let rules = CpuRules { limits: limits.clone(), ..CpuRules::default() };
        let shares = shares_of(topology, &rules, &self.gpus, &visible.positions());
        let share = |device: &VisibleDevice| {
            let Share { cpus, mems } = shares.gpus[device.gpu].clone();
            let mut on_gpu = visible.devices.iter().filter(|other| other.gpu == device.gpu);
            let count = on_gpu.clone().count();
            let place = on_gpu.position(|other| other == device).unwrap_or(0);
            let cpus = if count > 1 { cut(topology, &cpus, count).swap_remove(place) } else { cpus };
            Share { cpus, mems }
        };
        let parts: Vec<Share> = own.iter().map(share).collect();
        self.take(parts.iter().map(|part| (&part.cpus, &part.mems)));
        self.remarks.extend_from_slice(&shares.remarks);
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

    /// Those of the visible devices that belong to the rank, if their order is known.
    fn of_rank_among(
        &mut self,
        devices: &[VisibleDevice],
        visible: &VisibleGpus,
        rank: Option<LocalRank>,
    ) -> Vec<VisibleDevice> {
        if visible.unresolved {
            return Vec::new();
        }
        if rank.is_some() && devices.len() > 1 {
            self.remarks.extend(visible.order.remark().map(str::to_owned));
            if visible.order == OrderBasis::Unknown {
                return Vec::new();
            }
        }
        self.of_rank(devices, rank)
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
