//! A request for GPUs, and what it asks for.

use super::allowed::AllowedSets;
use crate::cpuset::CpuSet;
use crate::error::{Error, Result};
use crate::model::Topology;
use crate::solve::constraint::Constraint;
use crate::solve::cpus::{Cores, CpuLimits, Isolated};
use crate::solve::objective::mix::SizeMix;
use crate::solve::placement::needs::{Allotment, Needs, Supply, Taken};
use crate::solve::process::gpu_ref::GpuRef;
use crate::solve::process::visible::VisibleGpus;
use std::collections::BTreeSet;

/// A request for GPUs.
///
/// ```
/// use nvtopo::{Request, Topology};
///
/// let dgx1 = Topology::preset("dgx-1-v100")?;
/// let placement = Request::gpus(4).exclude([0]).solve(&dgx1)?;
/// assert_eq!(placement.gpu_indices(), [4, 5, 6, 7]);
/// assert!(placement.is_optimal());
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[must_use]
pub struct Request {
    pub(in crate::solve) count: usize,
    pub(in crate::solve) only: Option<Vec<GpuRef>>,
    pub(in crate::solve) exclude: Vec<GpuRef>,
    pub(in crate::solve) include: Vec<GpuRef>,
    /// The GPUs that the process sees, where not all.
    pub(in crate::solve) visible: Option<VisibleGpus>,
    pub(super) objectives: Option<Vec<String>>,
    pub(super) mix: Option<SizeMix>,
    /// By how much measured rates may differ and still count as equal: the bits of a number, so that requests can be compared.
    pub(super) tolerance: Option<u64>,
    pub(super) require: Vec<Constraint>,
    pub(super) prefer: Vec<Constraint>,
    /// Only GPUs that no process uses.
    pub(super) free: bool,
    /// So much memory in bytes that a new process could have, of each GPU; 0: no matter.
    pub(super) free_memory: u64,
    /// The sets of GPUs that may be used together, where not all may.
    pub(super) allowed: Option<AllowedSets>,
    pub(super) limits: CpuLimits,
    pub(super) needs: Needs,
    /// The positions of GPUs that other jobs have.
    pub(in crate::solve) taken: Vec<usize>,
    /// What else other jobs have; `None` where nobody keeps account of it.
    pub(super) used: Option<Taken>,
    /// What the chosen GPUs are to be given, where that was decided with other jobs.
    pub(super) given: Option<Vec<Allotment>>,
}

impl Request {
    /// `count` GPUs of any kind.
    pub fn gpus(count: usize) -> Self {
        Self { count, ..Self::default() }
    }

    /// Only these may be taken: the free ones. A GPU that cannot be used is never taken. A GPU that is divided into
    /// instances (MIG) is taken only where this or [`include`](Self::include) names it, and not by its model; one that is there for
    /// screens only where these name it, by its model too.
    pub fn only<R: Into<GpuRef>>(mut self, gpus: impl IntoIterator<Item = R>) -> Self {
        self.only.get_or_insert_default().extend(gpus.into_iter().map(Into::into));
        self
    }

    /// Only the GPUs that a process sees may be taken, unless [`only`](Self::only) names others. An error or the placement
    /// says which are hidden. On a topology of this machine, [`visible_here`](crate::apply::visible_here) tells them.
    ///
    /// ```
    /// use nvtopo::{CudaOrder, Request, Topology, VisibleGpus};
    ///
    /// let dgx = Topology::preset("dgx-h100")?;
    /// let visible = VisibleGpus::resolve(&dgx, Some("5,4"), CudaOrder::PciBusId);
    /// let placement = Request::gpus(1).visible(&visible).solve(&dgx)?;
    /// assert_eq!(placement.gpu_indices(), [4]);
    /// assert_eq!(placement.remarks(), ["CUDA_VISIBLE_DEVICES hides GPU0-3,6-7"]);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn visible(mut self, visible: &VisibleGpus) -> Self {
        self.visible = Some(visible.clone());
        self
    }

    /// These must not be taken.
    pub fn exclude<R: Into<GpuRef>>(mut self, gpus: impl IntoIterator<Item = R>) -> Self {
        self.exclude.extend(gpus.into_iter().map(Into::into));
        self
    }

    /// These must be among the chosen. One that cannot be used makes the request unsatisfiable.
    pub fn include<R: Into<GpuRef>>(mut self, gpus: impl IntoIterator<Item = R>) -> Self {
        self.include.extend(gpus.into_iter().map(Into::into));
        self
    }

    /// All of this must hold between the chosen GPUs.
    pub fn require(mut self, constraints: impl IntoIterator<Item = Constraint>) -> Self {
        self.require.extend(constraints);
        self
    }

    /// The first of these that can be met must be met as well; where none can, none is. The placement tells
    /// [which](crate::solve::Placement::preference), and [why not a better one](crate::solve::Placement::unmet).
    ///
    /// ```
    /// use nvtopo::{Request, Topology, solve::Constraint};
    ///
    /// let bridged = Topology::preset("rtx-a6000-4-bridged")?;
    /// let steps = [Constraint::SameNvlinkGroup, Constraint::SameNumaNode];
    /// let placement = Request::gpus(4).prefer(steps).solve(&bridged)?;
    /// assert_eq!(placement.unmet()[0].to_string(), "nvlink-group: there are no 4 of the 4 GPUs to choose from that are of one \
    ///     NVLink group; at most 2 can be had, such as GPU0 and GPU1");
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn prefer(mut self, constraints: impl IntoIterator<Item = Constraint>) -> Self {
        self.prefer.extend(constraints);
        self
    }

    /// Only GPUs that no process uses, as far as the topology tells: those of a live machine as they were when it was read. One of
    /// which that is unknown is not chosen, nor one with over 1 GiB in use where no process is seen, since those of other
    /// containers may be hidden. The placement and errors tell why each was left out.
    ///
    /// ```
    /// use nvtopo::{Request, Topology};
    ///
    /// let error = Request::gpus(1).free().solve(&Topology::preset("dgx-h100")?).unwrap_err();
    /// assert!(error.to_string().contains("whether a process uses it is unknown"));
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn free(mut self) -> Self {
        self.free = true;
        self
    }

    /// Only GPUs of which so much memory in bytes is unused, as far as the topology tells; 0: no matter. One of which that is unknown
    /// is not chosen.
    pub fn free_memory(mut self, bytes: u64) -> Self {
        self.free_memory = bytes;
        self
    }

    /// Only one of these sets as a whole may be chosen, such as a partition of a Fabric Manager. An error tells the nearest sizes
    /// where none has so many GPUs.
    pub fn allowed_sets(mut self, sets: AllowedSets) -> Self {
        self.allowed = Some(sets);
        self
    }

    /// What counts, most important first, by the names in [`OBJECTIVES`](crate::solve::objective::OBJECTIVES). What they
    /// leave open, the default objectives decide.
    pub fn objectives<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.objectives = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Lets the default objectives decide, whatever was said before.
    pub fn default_objectives(mut self) -> Self {
        self.objectives = None;
        self
    }

    /// Takes all sizes of jobs to come alike, whatever was said before.
    pub fn default_mix(mut self) -> Self {
        self.mix = None;
        self
    }

    /// How often jobs of each size come: what the GPUs left over are worth is judged by it. Without, all sizes come alike.
    pub fn mix(mut self, mix: SizeMix) -> Self {
        self.mix = Some(mix);
        self
    }

    /// Measured rates that differ by less than this part, at least 0 and below 1, count as equal when sets are compared. 0.05
    /// unless it is said otherwise: two measurements of equal links are never equal, and that must not decide. With 0, all
    /// rates are told apart. Scores stay what was measured; no set is better than the chosen one by more than the tolerance.
    ///
    /// ```
    /// use nvtopo::{ErrorKind, Request, Topology};
    ///
    /// let text = "Unidirectional P2P=Enabled Bandwidth (P2P Writes) Matrix (GB/s)\n   D\\D 0 1 2\n \
    ///     0 900 49.8 50.1\n 1 49.8 900 50.2\n 2 50.1 50.2 900\n";
    /// let measured = Topology::parse("p2p.txt", text.as_bytes())?;
    /// assert_eq!(Request::gpus(2).solve(&measured)?.gpu_indices(), [0, 1]);
    /// assert_eq!(Request::gpus(2).tolerance(0.0).solve(&measured)?.gpu_indices(), [1, 2]);
    /// let error = Request::gpus(2).tolerance(1.0).solve(&measured).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn tolerance(mut self, part: f64) -> Self {
        self.tolerance = Some(part.to_bits());
        self
    }

    /// Only these CPUs may be given to the job, besides what the topology itself allows.
    pub fn allowed_cpus(mut self, cpus: CpuSet) -> Self {
        self.limits.allowed = Some(cpus);
        self
    }

    /// These CPUs are kept for others.
    pub fn reserved_cpus(mut self, cpus: CpuSet) -> Self {
        self.limits.reserved = cpus;
        self
    }

    /// Leaves CPUs that the kernel keeps out of scheduling out, or uses them.
    pub fn isolated(mut self, isolated: Isolated) -> Self {
        self.limits.isolated = isolated;
        self
    }

    /// Uses all cores of a machine whose cores are not alike, or the fast ones.
    pub fn cores(mut self, cores: Cores) -> Self {
        self.limits.cores = cores;
        self
    }

    /// So many CPUs (hardware threads) near each GPU, which no other GPU of the job gets: whole cores first. Without, or with 0,
    /// each gets its [share](crate::solve::share_cpus). GPUs near which there are not so many are not chosen.
    ///
    /// ```
    /// use nvtopo::{ErrorKind, Request, Topology};
    ///
    /// let dgx = Topology::preset("dgx-h100")?; // 112 CPUs beside each half
    /// let placement = Request::gpus(2).cpus_per_gpu(8).solve(&dgx)?;
    /// assert_eq!(placement.gpus()[0].cpus.to_string(), "0-3,112-115");
    /// // Two such jobs' CPUs are not near to one half.
    /// assert_eq!(Request::gpus(2).cpus_per_gpu(64).solve(&dgx)?.gpu_indices(), [0, 4]);
    /// assert_eq!(Request::gpus(3).cpus_per_gpu(64).solve(&dgx).unwrap_err().kind(), ErrorKind::Unsatisfiable);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn cpus_per_gpu(mut self, cpus: usize) -> Self {
        self.needs.cpus = cpus;
        self
    }

    /// So much memory in bytes for each GPU from the NUMA nodes beside it; 0: no matter. What was set aside as huge pages is not
    /// counted, nor is the memory of GPUs. Nodes are taken to be empty, but for what jobs of an
    /// [`Allocator`](crate::solve::Allocator) asked for. A node of which nobody knows the memory is taken to have enough, and the
    /// placement remarks on it.
    ///
    /// ```
    /// use nvtopo::{Request, Topology};
    ///
    /// let dgx = Topology::preset("dgx-h100")?; // 1 TiB beside each half
    /// let placement = Request::gpus(2).memory_per_gpu(600 << 30).solve(&dgx)?;
    /// assert_eq!(placement.gpu_indices(), [0, 4]);
    /// assert_eq!(placement.gpus()[1].memory.as_ref().unwrap()[0].node, 1);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn memory_per_gpu(mut self, bytes: u64) -> Self {
        self.needs.memory = bytes;
        self
    }

    /// So many huge pages of a size in bytes for each GPU from the NUMA nodes beside it; 0: no matter. Said again for other sizes,
    /// all of them. The pages that the topology shows as free are counted, less those that jobs of an
    /// [`Allocator`](crate::solve::Allocator) asked for.
    ///
    /// ```
    /// use nvtopo::{Request, Topology};
    ///
    /// let dgx = Topology::preset("dgx-h100")?;
    /// let placement = Request::gpus(2).hugepages_per_gpu(2 << 20, 1024).solve(&dgx)?;
    /// assert_eq!(placement.remarks(), ["the number of 2 MiB pages of NUMA node 0 is unknown: not checked"]);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn hugepages_per_gpu(mut self, page_size: u64, count: u64) -> Self {
        self.needs.pages.insert(page_size, count);
        self
    }

    /// A NIC serves at most so many GPUs, those of other jobs of an [`Allocator`](crate::solve::Allocator) counted; 0: as many
    /// as it has to where [all GPUs use NICs](crate::solve::gpus_per_nic). No set is chosen that is too large for the NICs, and those
    /// are compared by how well they reach what is left of these.
    ///
    /// ```
    /// use nvtopo::{ErrorKind, Request, Topology};
    ///
    /// let dgx1 = Topology::preset("dgx-1-v100")?; // 8 GPUs, 4 NICs
    /// let placement = Request::gpus(4).gpus_per_nic(1).solve(&dgx1)?;
    /// let mut nics: Vec<_> = placement.gpus().iter().filter_map(|gpu| gpu.nic.clone()).collect();
    /// nics.sort();
    /// assert_eq!(nics, ["mlx5_0", "mlx5_1", "mlx5_2", "mlx5_3"]);
    /// assert_eq!(Request::gpus(5).gpus_per_nic(1).solve(&dgx1).unwrap_err().kind(), ErrorKind::Unsatisfiable);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn gpus_per_nic(mut self, gpus: usize) -> Self {
        self.needs.per_nic = gpus;
        self
    }

    /// The GPUs at these positions belong to other jobs.
    pub(in crate::solve) fn taken(mut self, positions: Vec<usize>) -> Self {
        self.taken = positions;
        self
    }

    /// What else belongs to other jobs.
    pub(in crate::solve) fn used(mut self, used: Taken) -> Self {
        self.used = Some(used);
        self
    }

    /// What the chosen GPUs are to be given, in their order.
    pub(in crate::solve) fn given(mut self, given: Vec<Allotment>) -> Self {
        self.given = Some(given);
        self
    }

    pub(in crate::solve) fn limits(&self) -> &CpuLimits {
        &self.limits
    }

    /// What there is beside the GPUs; `None` where nothing of it is asked for.
    pub(in crate::solve) fn supply(&self, topology: &Topology) -> Result<Option<Supply>> {
        if self.needs.pages.contains_key(&0) {
            return Err(Error::request("huge pages of 0 bytes were asked for").help("a usual size is 2 MiB"));
        }
        let none = Taken::default();
        let used = self.used.as_ref().unwrap_or(&none);
        Ok((!self.needs.is_empty()).then(|| Supply::of(topology, &self.needs, &self.limits, used)))
    }

    /// Whether more is asked for than a number of GPUs.
    pub(in crate::solve) fn is_constrained(&self) -> bool {
        !self.require.is_empty() || !self.needs.is_empty() || self.allowed.is_some()
    }

    /// The sets that may be used together, by positions, where not all may.
    pub(in crate::solve) fn sets(&self, topology: &Topology) -> Result<Option<Vec<BTreeSet<usize>>>> {
        let sets = self.allowed.as_ref().map(|table| table.resolve(topology)).transpose()?;
        Ok(sets.map(|sets| sets.into_iter().map(BTreeSet::from_iter).collect()))
    }

    pub(in crate::solve) fn count(&self) -> usize {
        self.count
    }

    pub(in crate::solve) fn required(&self) -> &[Constraint] {
        &self.require
    }

    pub(in crate::solve) fn preferred(&self) -> &[Constraint] {
        &self.prefer
    }
}
