//! The part of one process in a job: its GPUs, CPUs, memory and NICs.

use crate::cpuset::{CpuSet, NodeSet};
use crate::error::{Error, Result};
use crate::model::NodeId;
use crate::solve::cpus::{CpuRules, all_memory, own_cores, shares};
use crate::solve::placement::{PlacedGpu, Placement};
use crate::solve::process::{LocalRank, RankLayout};
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
    /// The positions of its GPUs in [`Topology::gpus`](crate::Topology::gpus).
    pub gpus: Vec<usize>,
    /// The MIG instances of them that it uses, where it does not use whole GPUs.
    pub instances: Vec<NodeId>,
    /// The shares of these GPUs together, or that of a rank which uses none. Empty when no GPU is visible to a process
    /// that uses some: its locality is unknown then.
    pub cpus: CpuSet,
    /// The NUMA nodes to take memory from; empty when unknown.
    pub mems: NodeSet,
    /// The number of cores with threads that no other rank has; 0 where they are shared or that is unknown.
    pub own_cores: usize,
    /// A NIC for each of its GPUs as far as known, as positions in [`Topology::devices`](crate::Topology::devices).
    pub nics: Vec<usize>,
    /// Remarks for people.
    pub remarks: Vec<String>,
}

impl Part {
    /// Checks that there are CPUs to bind to.
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
        let remarks = self.remarks.join("; ");
        let why = if remarks.is_empty() { "no CPUs near to a GPU are known" } else { &remarks };
        Err(Error::unsatisfiable(format!("there is nothing to bind to: {why}")))
    }

    /// Returns the part of a process in a placement: local rank n takes the n-th GPU; a process without a rank takes
    /// all.
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
        let gpus = placement.gpus();
        let Some(own) = rank else {
            return Ok(Self::of_placed(placement, &gpus.iter().collect::<Vec<_>>()));
        };
        let (rank, ranks, there) = (own.rank, own.least_ranks(), count_of(gpus.len(), "GPU"));
        let Some(gpu) = gpus.get(rank) else {
            let message = format!("the placement has {there}, and none for local rank {rank}");
            let ranks = count_of(ranks, "GPU");
            return Err(Error::request(message)
                .help(format!("place {ranks}, one for each local rank, or bind by the topology")));
        };
        let mut part = Self::of_placed(placement, &[gpu]);
        if ranks > gpus.len() {
            let beyond = "the ranks beyond have none";
            let remark = format!("there are {ranks} local ranks, and the placement has {there}: {beyond}");
            part.remarks.insert(0, remark);
        }
        Ok(part)
    }

    /// Returns the part as [`of_placement`](Self::of_placement) does, with the GPUs of the placement given to ranks by
    /// a layout, and at most its number of cores for each.
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
            (Some(_), own) => {
                layout.check_turns(own.size)?;
                let places = layout.places(gpus.len(), own.least_ranks())?.swap_remove(own.rank);
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

    /// Returns the part of a process that has these GPUs of a placement.
    fn of_placed(placement: &Placement, own: &[&PlacedGpu]) -> Self {
        let topology = placement.topology();
        let named = |name: &String| {
            (topology.gpus().len()..topology.devices().len()).find(|nic| topology.device_name(*nic) == *name)
        };
        let mut part = Self {
            gpus: own.iter().map(|gpu| gpu.position).collect(),
            cpus: own.iter().map(|gpu| &gpu.cpus).collect(),
            mems: all_memory(own.iter().map(|gpu| &gpu.mems)),
            nics: own.iter().filter_map(|gpu| gpu.nic.as_ref().and_then(named)).collect(),
            remarks: placement.remarks().to_vec(),
            ..Self::default()
        };
        part.own_cores = own_cores(topology, &part.cpus, &others_of(placement, &part));
        part
    }

    /// Returns this part, where the process may have all of its CPUs. A placement that all ranks of a job compute alike
    /// does not depend on the CPUs to which a launcher has bound each of them.
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
}

/// Returns the CPUs of the placement's other GPUs, and those of GPUs outside where these are cut from the same CPUs.
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
