//! The request for GPUs: its builder.

use super::allowed::AllowedSets;
use crate::cpuset::CpuSet;
use crate::error::{Error, Result};
use crate::model::Topology;
use crate::solve::constraint::Constraint;
use crate::solve::cpus::{Cores, CpuLimits, Isolated};
use crate::solve::objective::mix::SizeMix;
use crate::solve::placement::needs::{Allotment, Needs, Supply, Taken};
use crate::solve::process::{GpuRef, VisibleGpus};
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
    pub(super) only: Option<Vec<GpuRef>>,
    pub(super) exclude: Vec<GpuRef>,
    pub(super) include: Vec<GpuRef>,
    /// The GPUs that the process sees, if not all.
    pub(super) visible: Option<VisibleGpus>,
    pub(super) objectives: Option<Vec<String>>,
    pub(super) mix: Option<SizeMix>,
    /// The tolerance between measured rates that count as equal: the bits of a number, so that requests can be compared.
    pub(super) tolerance: Option<u64>,
    pub(in crate::solve) require: Vec<Constraint>,
    pub(in crate::solve) prefer: Vec<Constraint>,
    /// True if only GPUs that no process uses may be chosen.
    pub(super) free: bool,
    /// The memory in bytes that each GPU must have free for a new process; 0: no requirement.
    pub(super) free_memory: u64,
    /// The allowed sets of GPUs, where not all sets are.
    pub(super) allowed: Option<AllowedSets>,
    pub(in crate::solve) limits: CpuLimits,
    pub(super) needs: Needs,
    /// The positions of GPUs that other jobs have.
    pub(in crate::solve) taken: Vec<usize>,
    /// The resources besides GPUs that other jobs have; `None` if there is no record of them.
    pub(super) used: Option<Taken>,
    /// The allotment of each chosen GPU, if it was decided together with other jobs.
    pub(super) given: Option<Vec<Allotment>>,
}

impl Request {
    /// Returns a request for `count` GPUs of any kind.
    pub fn gpus(count: usize) -> Self {
        Self { count, ..Self::default() }
    }

    /// Restricts the choice to these GPUs: the free ones. A GPU that cannot be used is never chosen. A MIG-enabled GPU is chosen
    /// only if this or [`include`](Self::include) names it, and not by its model; a display GPU only if these name it, by its
    /// model too.
    pub fn only<R: Into<GpuRef>>(mut self, gpus: impl IntoIterator<Item = R>) -> Self {
        self.only.get_or_insert_default().extend(gpus.into_iter().map(Into::into));
        self
    }

    /// Restricts the choice to the GPUs that a process sees, unless [`only`](Self::only) names others. An error or the placement
    /// names the hidden ones. On a topology of this machine, [`visible_here`](crate::apply::visible_here) returns them.
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

    /// Excludes these GPUs.
    pub fn exclude<R: Into<GpuRef>>(mut self, gpus: impl IntoIterator<Item = R>) -> Self {
        self.exclude.extend(gpus.into_iter().map(Into::into));
        self
    }

    /// Includes these GPUs among the chosen. One that cannot be used makes the request unsatisfiable.
    pub fn include<R: Into<GpuRef>>(mut self, gpus: impl IntoIterator<Item = R>) -> Self {
        self.include.extend(gpus.into_iter().map(Into::into));
        self
    }

    /// Requires these constraints between the chosen GPUs.
    pub fn require(mut self, constraints: impl IntoIterator<Item = Constraint>) -> Self {
        self.require.extend(constraints);
        self
    }

    /// Prefers these constraints: the first that can be met is required as well; if none can, none is. The placement has [the one
    /// it meets](crate::Placement::preference), and [the reasons against those before](crate::Placement::unmet).
    ///
    /// ```
    /// use nvtopo::{Request, Topology, solve::Constraint};
    ///
    /// let bridged = Topology::preset("rtx-a6000-4-bridged")?;
    /// let steps = [Constraint::SameNvlinkGroup, Constraint::SameNumaNode];
    /// let placement = Request::gpus(4).prefer(steps).solve(&bridged)?;
    /// assert_eq!(placement.unmet()[0].to_string(), "nvlink-group: no 4 of the 4 GPUs to choose from are of one \
    ///     NVLink group; at most 2 can be had, such as GPU0 and GPU1");
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn prefer(mut self, constraints: impl IntoIterator<Item = Constraint>) -> Self {
        self.prefer.extend(constraints);
        self
    }

    /// Restricts the choice to GPUs that no process uses, according to the topology: on a live machine, its state when it was
    /// read. A GPU is not chosen if its use is unknown, or if no process is seen but over 1 GiB is in use, since the processes of
    /// other containers may be hidden. The placement and errors give the reason for each.
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

    /// Restricts the choice to GPUs with at least this unused memory in bytes, according to the topology; 0: no requirement. A
    /// GPU whose unused memory is unknown is not chosen.
    pub fn free_memory(mut self, bytes: u64) -> Self {
        self.free_memory = bytes;
        self
    }

    /// Restricts the choice to one of these sets as a whole, such as a partition of a Fabric Manager. If none has the number of
    /// GPUs, the error names the nearest sizes.
    pub fn allowed_sets(mut self, sets: AllowedSets) -> Self {
        self.allowed = Some(sets);
        self
    }

    /// Sets the objectives, most important first, by the names in [`OBJECTIVES`](crate::solve::objective::OBJECTIVES). The
    /// default objectives break ties.
    pub fn objectives<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.objectives = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Resets the objectives to the default ones.
    pub fn default_objectives(mut self) -> Self {
        self.objectives = None;
        self
    }

    /// Resets the job mix: all job sizes are equally frequent.
    pub fn default_mix(mut self) -> Self {
        self.mix = None;
        self
    }

    /// Sets the frequency of each job size, by which the remaining GPUs are valued. By default all sizes are equally frequent.
    pub fn mix(mut self, mix: SizeMix) -> Self {
        self.mix = Some(mix);
        self
    }

    /// Sets the relative difference, at least 0 and below 1, within which measured rates count as equal when sets are compared.
    /// The default is 0.05: two measurements of equal links are never equal, and that must not decide. With 0, all rates are
    /// distinct. Scores keep the measured values; no set is better than the chosen one by more than the tolerance.
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

    /// Restricts the CPUs of the job to these, besides what the topology itself allows.
    pub fn allowed_cpus(mut self, cpus: CpuSet) -> Self {
        self.limits.allowed = Some(cpus);
        self
    }

    /// Reserves these CPUs for others.
    pub fn reserved_cpus(mut self, cpus: CpuSet) -> Self {
        self.limits.reserved = cpus;
        self
    }

    /// Sets whether CPUs that the kernel isolates from scheduling are left out or used.
    pub fn isolated(mut self, isolated: Isolated) -> Self {
        self.limits.isolated = isolated;
        self
    }

    /// Sets whether all cores are used or only the fast ones, on a machine with several kinds of cores.
    pub fn cores(mut self, cores: Cores) -> Self {
        self.limits.cores = cores;
        self
    }

    /// Sets the number of CPUs (hardware threads) near each GPU, exclusive within the job: whole cores first. By default, or with
    /// 0, each GPU gets its [share](crate::share_cpus). GPUs with fewer CPUs near them are not chosen.
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

    /// Sets the memory in bytes for each GPU from its local NUMA nodes; 0: no requirement. Memory set aside as huge pages is not
    /// counted, nor is the memory of GPUs. Nodes are taken to be empty, except for what jobs of an
    /// [`Allocator`](crate::solve::Allocator) asked for. A node whose memory is unknown is taken to have enough, and the
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

    /// Sets the number of huge pages of a size in bytes for each GPU from its local NUMA nodes; 0: no requirement. Calls for
    /// different sizes are combined. The free pages of the topology are counted, less those that jobs of an
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

    /// Sets the greatest number of GPUs that a NIC serves, including those of other jobs of an
    /// [`Allocator`](crate::solve::Allocator); 0: [the number if all GPUs use NICs](crate::solve::gpus_per_nic). Sets that are
    /// too large for the NICs are not chosen, and the others are compared by their paths to the room that is left on NICs.
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

    /// Marks the GPUs at these positions as those of other jobs.
    pub(in crate::solve) fn taken(mut self, positions: Vec<usize>) -> Self {
        self.taken = positions;
        self
    }

    /// Marks other resources as those of other jobs.
    pub(in crate::solve) fn used(mut self, used: Taken) -> Self {
        self.used = Some(used);
        self
    }

    /// Sets the allotments of the chosen GPUs, in their order.
    pub(in crate::solve) fn given(mut self, given: Vec<Allotment>) -> Self {
        self.given = Some(given);
        self
    }

    /// Returns the supplies local to the GPUs; `None` if the request needs none.
    pub(in crate::solve) fn supply(&self, topology: &Topology) -> Result<Option<Supply>> {
        if self.needs.pages.contains_key(&0) {
            return Err(Error::request("huge pages of 0 bytes were asked for").help("a usual size is 2 MiB"));
        }
        let none = Taken::default();
        let used = self.used.as_ref().unwrap_or(&none);
        Ok((!self.needs.is_empty()).then(|| Supply::of(topology, &self.needs, &self.limits, used)))
    }

    /// Returns whether constraints, resources or allowed sets limit the choice.
    pub(in crate::solve) fn is_constrained(&self) -> bool {
        !self.require.is_empty() || !self.needs.is_empty() || self.allowed.is_some()
    }

    /// Returns the allowed sets, by positions, where not all sets are allowed.
    pub(in crate::solve) fn sets(&self, topology: &Topology) -> Result<Option<Vec<BTreeSet<usize>>>> {
        let sets = self.allowed.as_ref().map(|table| table.resolve(topology)).transpose()?;
        Ok(sets.map(|sets| sets.into_iter().map(BTreeSet::from_iter).collect()))
    }
}
