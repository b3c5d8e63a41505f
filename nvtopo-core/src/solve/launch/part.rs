//! The part of one process in a job: its GPUs, CPUs, memory and NICs.

use super::plan::Plan;
use super::without_gpus::part_without_gpus;
use crate::cpuset::{CpuSet, NodeSet};
use crate::error::{Error, Result};
use crate::model::{NodeId, Shares, Topology};
use crate::solve::cpus::{CpuLimits, CpuPolicy, CpuRules, cut, memory_nodes, own_cores, shares, unbalanced};
use crate::solve::nics::fair_nics;
use crate::solve::placement::{PlacedGpu, Placement};
use crate::solve::process::cuda_order::OrderBasis;
use crate::solve::process::layout::RankLayout;
use crate::solve::process::rank::LocalRank;
use crate::solve::process::visible::{VisibleDevice, VisibleGpus};
use crate::units::count_of;

/// The GPUs, CPUs and memory of one process.
///
/// ```
/// use nvtopo::{CpuLimits, CudaOrder, LocalRank, Part, Topology, VisibleGpus};
///
/// let dgx = Topology::preset("dgx-h100")?;
/// let rank = LocalRank { rank: 1, size: Some(2) };
/// let visible = VisibleGpus::resolve(&dgx, Some("4,5"), CudaOrder::default());
/// let part = Part::of_visible(&dgx, &visible, Some(rank), &CpuLimits::default())?;
/// assert_eq!((part.gpus, part.cpus.to_string()), (vec![5], "70-83,182-195".to_owned()));
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The positions of its GPUs in [`Topology::gpus`].
    pub gpus: Vec<usize>,
    /// The MIG instances that it uses of them, where it does not use whole GPUs.
    pub instances: Vec<NodeId>,
    /// The shares of these GPUs together, or that of a rank which uses none. Empty when no GPU is visible to one that uses some:
    /// nothing is known then of where to run.
    pub cpus: CpuSet,
    /// The NUMA nodes to take memory from; empty when unknown.
    pub mems: NodeSet,
    /// How many cores it has threads of that no other rank has; 0 where they are shared or that is unknown.
    pub own_cores: usize,
    /// A NIC for each of its GPUs as far as known, as positions in [`Topology::devices`].
    pub nics: Vec<usize>,
    /// What a person should know.
    pub remarks: Vec<String>,
}

impl Part {
    /// The part of a process that sees these GPUs, by the default policy. Local rank n takes the n-th of them; a process
    /// without a rank takes them all. A MIG instance has its part in the CPUs of its GPU, which all instances of
    /// it divide equally, visible or not.
    ///
    /// Errors as [`of_visible_by`](Self::of_visible_by).
    pub fn of_visible(
        topology: &Topology,
        visible: &VisibleGpus,
        rank: Option<LocalRank>,
        limits: &CpuLimits,
    ) -> Result<Self> {
        let rules = CpuRules { limits: limits.clone(), ..CpuRules::default() };
        Self::of_visible_by(topology, visible, rank, &rules)
    }

    /// That there is something to bind to.
    ///
    /// Errors with [`Unsatisfiable`](crate::ErrorKind::Unsatisfiable) where no CPUs are known to run on, with the reason.
    ///
    /// ```
    /// use nvtopo::Part;
    ///
    /// let error = Part::default().require_cpus().unwrap_err();
    /// assert_eq!(error.kind(), nvtopo::ErrorKind::Unsatisfiable);
    /// ```
    pub fn require_cpus(&self) -> Result<()> {
        if !self.cpus.is_empty() {
            return Ok(());
        }
        let why = if self.remarks.is_empty() {
            "no CPUs near to a GPU are known".to_owned()
        } else {
            self.remarks.join("; ")
        };
        Err(Error::unsatisfiable(format!("there is nothing to bind to: {why}")))
    }

    /// As [`of_visible`](Self::of_visible), with the CPUs dealt out by rules.
    ///
    /// Where the number of ranks is unknown, so is whether another rank uses the same GPU: then the CPUs near the GPU are
    /// shared, whatever the policy. A process that is allowed just the CPUs which it would get on the whole machine has
    /// been bound before, and keeps them.
    ///
    /// Errors as [`Plan::new`], and with [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for a rank that is none of so
    /// many.
    pub fn of_visible_by(
        topology: &Topology,
        visible: &VisibleGpus,
        rank: Option<LocalRank>,
        rules: &CpuRules,
    ) -> Result<Self> {
        if let Some(allowed) = &rules.limits.allowed {
            // A process that was bound to its part keeps it, instead of cutting it once more.
            let mut unlimited = rules.clone();
            unlimited.limits.allowed = None;
            let whole = Self::by(topology, visible, rank, &unlimited)?;
            if whole.cpus == *allowed {
                return Ok(whole);
            }
        }
        Self::by(topology, visible, rank, rules)
    }

    fn by(
        topology: &Topology,
        visible: &VisibleGpus,
        rank: Option<LocalRank>,
        rules: &CpuRules,
    ) -> Result<Self> {
        if let Some(LocalRank { rank, size: Some(size) }) = rank {
            let rank = LocalRank::of(rank, size)?.rank;
            return Ok(Plan::new(topology, visible, size, rules)?.part(rank).unwrap_or_default());
        }
        if rank.is_none() && rules.layout != RankLayout::default() {
            // The only rank that there is.
            return Ok(Plan::new(topology, visible, 1, rules)?.part(0).unwrap_or_default());
        }
        if rules.layout.cores.is_some() {
            return Err(Error::request(
                "how many local ranks there are is unknown, so no cores can be set apart for each",
            )
            .help("a launcher that tells it, such as torchrun or nvtopo run, is needed for that"));
        }
        if rules.layout.gpus == Some(0) {
            return part_without_gpus(topology, rules);
        }
        let mut part = Self::default();
        let mut rules = rules.clone();
        let several = rank.is_some_and(|rank| rank.size != Some(1));
        let devices = Devices::of(topology, visible, several, &mut part.remarks);
        let mut own = devices.list.clone();
        if let Some(LocalRank { rank, .. }) = rank.filter(|_| !own.is_empty()) {
            own = devices.of_rank(topology, rank, &rules.layout)?;
            if rules.layout.gpus.is_none() {
                part.remarks.extend(devices.too_few_for(topology, rank.saturating_add(1)));
            }
            if rules.policy.is_disjoint() {
                rules.policy = CpuPolicy::shared();
                part.remarks.push(format!(
                    "how many ranks there are is unknown, so the CPUs near the GPU are shared with others: by the policy \
                     {}",
                    rules.policy
                ));
            }
        }
        let shares = shares(topology, &rules, &visible.positions());
        part.gpus = VisibleGpus { devices: own.clone(), ..VisibleGpus::default() }.positions();
        part.instances = own.iter().filter_map(|device| device.instance).collect();
        let cpus: Vec<CpuSet> = own.iter().map(|device| device_share(topology, &shares, *device)).collect();
        let mems = own.iter().zip(&cpus).map(|(device, cpus)| memory_nodes(topology, device.gpu, cpus));
        let mems: Vec<NodeSet> = mems.collect();
        part.take(cpus.iter().zip(&mems));
        if !own.is_empty() {
            part.remarks.extend_from_slice(&shares.remarks);
        }
        if rules.policy.is_disjoint() {
            // Of an instance's GPU the rest is for the other instances.
            let rest = |gpu: usize| shares.gpus[gpu].cpus.difference(&part.cpus);
            let others: Vec<CpuSet> = (0..shares.gpus.len()).map(rest).collect();
            part.own_cores = own_cores(topology, &part.cpus, &others);
        }
        part.remarks.extend(unbalanced(topology, std::iter::once(("this process".to_owned(), &part.cpus))));
        let nics = fair_nics(topology);
        part.nics = part.gpus.iter().filter_map(|gpu| nics[*gpu]).collect();
        Ok(part)
    }

    /// The part of a process in a placement: local rank n takes the n-th GPU; a process without a rank takes all.
    ///
    /// Errors with [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for a rank beyond the placement: its GPUs have their
    /// CPUs, and none are left for another rank.
    ///
    /// ```
    /// use nvtopo::{LocalRank, Part, Request, Topology};
    ///
    /// let placement = Request::gpus(2).solve(&Topology::preset("dgx-h100")?)?;
    /// let rank = |rank| Some(LocalRank { rank, size: None });
    /// assert_eq!(Part::of_placement(&placement, rank(1))?.gpus, [1]);
    /// assert!(Part::of_placement(&placement, rank(2)).is_err());
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn of_placement(placement: &Placement, rank: Option<LocalRank>) -> Result<Self> {
        let mut remarks = Vec::new();
        let gpus = placement.gpus();
        let own: Vec<&PlacedGpu> = match rank {
            Some(LocalRank { rank, size }) => {
                let ranks = size.unwrap_or(0).max(rank.saturating_add(1));
                let Some(gpu) = gpus.get(rank) else {
                    let message = format!(
                        "the placement has {}, and none for local rank {rank}",
                        count_of(gpus.len(), "GPU")
                    );
                    return Err(Error::request(message).help(format!(
                        "place {}, one for each local rank, or bind by the topology",
                        count_of(ranks, "GPU")
                    )));
                };
                if ranks > gpus.len() {
                    remarks.push(format!(
                        "there are {ranks} local ranks, and the placement has {}: the ranks beyond have none",
                        count_of(gpus.len(), "GPU")
                    ));
                }
                vec![gpu]
            }
            None => gpus.iter().collect(),
        };
        let part = Self::of_placed(placement, &own);
        remarks.extend_from_slice(&part.remarks);
        Ok(Self { remarks, ..part })
    }

    /// As [`of_placement`](Self::of_placement), with the GPUs of the placement given to ranks by a layout, and no more cores for
    /// each than it says.
    ///
    /// Errors also with [`Unsatisfiable`](crate::ErrorKind::Unsatisfiable) where the GPUs or cores are not enough.
    ///
    /// ```
    /// use nvtopo::{LocalRank, Part, RankLayout, Request, Topology};
    ///
    /// let placement = Request::gpus(4).cpus_per_gpu(4).solve(&Topology::preset("dgx-h100")?)?;
    /// let layout = RankLayout { gpus: Some(2), cores: Some(3), ..RankLayout::default() };
    /// let second = Some(LocalRank { rank: 1, size: Some(2) });
    /// let part = Part::of_placement_by(&placement, second, &layout)?;
    /// assert_eq!((part.gpus, part.own_cores), (vec![2, 3], 3));
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn of_placement_by(
        placement: &Placement,
        rank: Option<LocalRank>,
        layout: &RankLayout,
    ) -> Result<Self> {
        let gpus = placement.gpus();
        let all = LocalRank { rank: 0, size: Some(1) };
        let mut part = match (layout.gpus, rank.unwrap_or(all)) {
            (None, _) if layout.distribution.is_some() => {
                return Err(Error::request("one GPU for each rank leaves nothing to distribute")
                    .help("leave the distribution out, or say how many GPUs each rank has"));
            }
            (None, _) => Self::of_placement(placement, rank)?,
            (Some(0), _) => {
                return Err(Error::request("the GPUs were chosen for ranks that use none")
                    .help("leave the number of GPUs for each rank out, or the choice of GPUs"));
            }
            (Some(_), LocalRank { rank, size }) => {
                layout.check_turns(size)?;
                let ranks = size.unwrap_or(0).max(rank.saturating_add(1));
                let places = layout.places(gpus.len(), ranks, false)?.swap_remove(rank);
                let own: Vec<&PlacedGpu> = places.into_iter().map(|place| &gpus[place]).collect();
                Self::of_placed(placement, &own)
            }
        };
        if layout.cores.is_some() {
            let topology = placement.topology();
            let rules = CpuRules { layout: layout.clone(), ..CpuRules::default() };
            let first = rank.map_or(0, |rank| rank.rank);
            let cpus = std::slice::from_mut(&mut part.cpus);
            RankLayout::trim(topology, &rules, first, cpus, &mut part.remarks)?;
            part.own_cores = own_cores(topology, &part.cpus, &others_of(placement, &part));
        }
        Ok(part)
    }

    /// The part of a process that has these GPUs of a placement.
    fn of_placed(placement: &Placement, own: &[&PlacedGpu]) -> Self {
        let mut part = Self { gpus: own.iter().map(|gpu| gpu.position).collect(), ..Self::default() };
        part.take(own.iter().map(|gpu| (&gpu.cpus, &gpu.mems)));
        let topology = placement.topology();
        part.own_cores = own_cores(topology, &part.cpus, &others_of(placement, &part));
        let named = |name: &String| {
            (topology.gpus().len()..topology.devices().len()).find(|nic| topology.device_name(*nic) == *name)
        };
        part.nics = own.iter().filter_map(|gpu| gpu.nic.as_ref().and_then(named)).collect();
        part.remarks.extend_from_slice(placement.remarks());
        part
    }

    /// This part, where the process may have all of its CPUs. A placement that all ranks of a job make alike does not go by
    /// what a launcher has bound each of them to.
    ///
    /// Errors with [`Unsatisfiable`](crate::ErrorKind::Unsatisfiable) where it may not.
    pub fn within(self, allowed: Option<&CpuSet>) -> Result<Self> {
        match allowed {
            Some(allowed) if !self.cpus.is_subset(allowed) => {
                let cpus = &self.cpus;
                Err(Error::unsatisfiable(format!(
                    "the part is CPUs {cpus}, and this process is bound to {allowed}"
                ))
                .help("the scope cpuset goes beyond what a launcher has bound it to"))
            }
            _ => Ok(self),
        }
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

/// The CPUs of the placement's other GPUs, and those of GPUs outside where these are cut from the same CPUs.
fn others_of(placement: &Placement, part: &Part) -> Vec<CpuSet> {
    let inside = placement.gpus().iter().filter(|gpu| !part.gpus.contains(&gpu.position));
    let mut others: Vec<CpuSet> = inside.map(|gpu| gpu.cpus.clone()).collect();
    let shares = shares(placement.topology(), &CpuRules::default(), &[]);
    let outside = shares.gpus.iter().enumerate().filter(|(gpu, share)| {
        placement.gpus().iter().all(|own| own.position != *gpu) && share.cpus.is_disjoint(&part.cpus)
    });
    others.extend(outside.map(|(_, share)| share.cpus.clone()));
    others
}

/// The devices that the ranks of a job count through.
pub(in crate::solve) struct Devices<'a> {
    pub(in crate::solve) visible: &'a VisibleGpus,
    /// Empty where nobody can tell which rank uses which.
    pub(in crate::solve) list: Vec<VisibleDevice>,
}

impl<'a> Devices<'a> {
    /// Those that are visible, if their order is known where that matters.
    pub(in crate::solve) fn of(
        topology: &Topology,
        visible: &'a VisibleGpus,
        counted: bool,
        remarks: &mut Vec<String>,
    ) -> Self {
        remarks.extend_from_slice(&visible.remarks);
        let known = |device: &&VisibleDevice| device.gpu < topology.gpus().len();
        let mut list: Vec<VisibleDevice> = visible.devices.iter().filter(known).copied().collect();
        if visible.unresolved {
            list.clear();
        } else if list.is_empty() {
            let none = "no GPU is visible, so there is nothing to be near to";
            let why = topology.driver_trouble().map_or_else(String::new, |why| format!(": {why}"));
            remarks.push(format!("{none}{why}"));
        } else if counted && list.len() > 1 {
            remarks.extend(visible.order.remark().map(str::to_owned));
            if visible.order == OrderBasis::Unknown {
                list.clear();
            }
        }
        Self { visible, list }
    }

    /// Whether each rank may see another device than these: a launcher that shows each rank one GPU only shows each
    /// another one, and means that one, whatever the rank.
    pub(in crate::solve) fn may_differ(&self, topology: &Topology, layout: &RankLayout) -> bool {
        let each = layout.gpus.unwrap_or(1);
        self.list.len() == each && topology.gpus().len() > each && !self.visible.same_for_all
    }

    /// Whether there are none, and not only an unknown order.
    pub(in crate::solve) fn are_none(&self) -> bool {
        self.visible.devices.is_empty() && !self.visible.unresolved
    }

    /// Those of one rank of an unknown number.
    fn of_rank(&self, topology: &Topology, rank: usize, layout: &RankLayout) -> Result<Vec<VisibleDevice>> {
        if layout.gpus.is_none() {
            return Ok(vec![self.list[rank % self.list.len()]]);
        }
        if self.may_differ(topology, layout) {
            return Ok(self.list.clone());
        }
        layout.check_turns(None)?;
        let mut places = layout.places(self.list.len(), rank.saturating_add(1), false)?;
        Ok(places.pop().unwrap_or_default().into_iter().map(|place| self.list[place]).collect())
    }

    /// What to say where ranks leave devices out that were to be dealt out by number.
    pub(in crate::solve) fn unused(
        &self,
        topology: &Topology,
        layout: &RankLayout,
        places: &[Vec<usize>],
    ) -> Option<String> {
        layout.gpus?;
        let unused = (0..self.list.len()).filter(|place| !places.iter().any(|own| own.contains(place)));
        let names: Vec<String> = unused.map(|place| topology.device_name(self.list[place].gpu)).collect();
        (!names.is_empty()).then(|| format!("no rank uses {}", names.join(", ")))
    }

    /// What to say where ranks share devices because they are more than these.
    pub(in crate::solve) fn too_few_for(&self, topology: &Topology, ranks: usize) -> Option<String> {
        let devices = self.list.len();
        (devices > 0 && ranks > devices && !self.may_differ(topology, &RankLayout::default())).then(|| {
            let whole = self.list.iter().all(|device| device.instance.is_none());
            let devices = count_of(devices, if whole { "GPU" } else { "device" });
            format!("there are more local ranks than the {devices} that they use: {ranks} ranks share them")
        })
    }
}

/// A device's share of the CPUs: that of its GPU, which all of its instances divide, visible or not, so that jobs on two
/// of them have different ones.
pub(in crate::solve) fn device_share(topology: &Topology, shares: &Shares, device: VisibleDevice) -> CpuSet {
    let cpus = &shares.gpus[device.gpu].cpus;
    let instances: Vec<_> = topology.gpu_instances(device.gpu).map(|(id, _)| Some(id)).collect();
    match instances.iter().position(|id| *id == device.instance) {
        Some(place) if instances.len() > 1 => cut(topology, cpus, instances.len()).swap_remove(place),
        _ => cpus.clone(),
    }
}
