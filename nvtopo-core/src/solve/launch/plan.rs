//! The resources of every rank of a job on one machine, computed by each rank alone: the same topology, variables and
//! rules give the same plan everywhere, so that the ranks need not communicate.

use super::devices::{Devices, devices_share};
use super::part::Part;
use super::without_gpus::{part_without_gpus, parts_without_gpus};
use crate::cpuset::{CpuSet, NodeSet};
use crate::error::{Error, Result};
use crate::model::Topology;
use crate::query::fair_nics;
use crate::solve::cpus::{
    Arrangement, CoreClasses, CpuLimits, CpuPolicy, CpuRules, all_memory, cores, cpu_remarks, deal,
    memory_nodes, overlapping, own_cores, shares, unbalanced,
};
use crate::solve::process::{LocalRank, RankLayout, VisibleDevice, VisibleGpus};
use crate::units::count_of;

/// The most local ranks of one plan.
pub const MAX_LOCAL_RANKS: usize = 4096;

/// The parts of all ranks.
///
/// ```
/// use nvtopo::{CpuRules, CudaOrder, Plan, Topology, VisibleGpus};
///
/// let dgx = Topology::preset("dgx-h100")?;
/// let visible = VisibleGpus::all(&dgx, CudaOrder::PciBusId);
/// let plan = Plan::new(&dgx, &visible, 8, &CpuRules::default())?;
/// assert_eq!(plan.parts()[5].cpus.to_string(), "70-83,182-195");
/// assert_eq!(dgx.device_name(plan.parts()[5].nics[0]), "mlx5_9");
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    topology: Topology,
    policy: CpuPolicy,
    parts: Vec<Part>,
    remarks: Vec<String>,
}

impl Plan {
    /// Plans for a number of ranks that all see the same GPUs. Local rank n uses the n-th of them; where there are more
    /// ranks than GPUs, they begin again at the first, and divide the CPUs of the job's GPUs. A [`RankLayout`] in the
    /// rules overrides this.
    ///
    /// Errors with [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for no ranks, for more than [`MAX_LOCAL_RANKS`], and
    /// for a layout that the policy cannot give; with [`Unsatisfiable`](crate::ErrorKind::Unsatisfiable) for a layout that
    /// asks for more GPUs or cores than there are.
    pub fn new(topology: &Topology, visible: &VisibleGpus, ranks: usize, rules: &CpuRules) -> Result<Self> {
        if ranks == 0 || ranks > MAX_LOCAL_RANKS {
            return Err(Error::request(format!("there is no plan for {ranks} ranks of one machine"))
                .help(format!("give 1 to {MAX_LOCAL_RANKS}")));
        }
        let mut remarks = Vec::new();
        let parts = if rules.layout.gpus == Some(0) {
            parts_without_gpus(topology, ranks, rules, &mut remarks)?
        } else {
            let some = rules.layout.gpus.is_some_and(|each| each != visible.devices.len());
            let devices = Devices::of(topology, visible, ranks > 1 || some, &mut remarks);
            remarks.extend(devices.too_few_for(ranks, &rules.layout));
            deal_to_ranks(topology, &devices, ranks, rules, &mut remarks)?
        };
        Ok(Self { topology: topology.clone(), policy: rules.policy, parts, remarks })
    }

    /// Returns the machine.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Returns the policy by which the CPUs were dealt out.
    pub fn policy(&self) -> CpuPolicy {
        self.policy
    }

    /// Returns the parts by local rank, without the remarks on all of them.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Returns the remarks for people.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// Returns the part of one rank, with the remarks.
    pub fn part(&self, rank: usize) -> Option<Part> {
        let part = self.parts.get(rank)?.clone();
        Some(Part { remarks: self.remarks.clone(), ..part })
    }
}

impl Part {
    /// Returns the part of a process that sees these GPUs, by the default policy. Local rank n takes the n-th of them;
    /// a process without a rank takes them all. A MIG instance has its part in the CPUs of its GPU, which all instances
    /// of it divide equally, visible or not.
    ///
    /// Errors as [`of_visible_by`](Self::of_visible_by).
    pub fn of_visible(
        topology: &Topology,
        visible: &VisibleGpus,
        rank: Option<LocalRank>,
        limits: &CpuLimits,
    ) -> Result<Self> {
        Self::of_visible_by(topology, visible, rank, &CpuRules::from(limits))
    }

    /// Returns the part as [`of_visible`](Self::of_visible) does, with the CPUs dealt out by rules.
    ///
    /// Where the number of ranks is unknown, another rank may use the same GPU: then the CPUs near the GPU are shared,
    /// whatever the policy. A process that is allowed exactly the CPUs which it would get on the whole machine has been
    /// bound before, and keeps them.
    ///
    /// Errors as [`Plan::new`], and with [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for a rank that is not
    /// below the number of ranks.
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
            let whole = Self::of_visible_by(topology, visible, rank, &unlimited)?;
            if whole.cpus == *allowed {
                return Ok(whole);
            }
        }
        if let Some(LocalRank { rank, size: Some(size) }) = rank {
            let rank = LocalRank::of(rank, size)?.rank;
            return Ok(Plan::new(topology, visible, size, rules)?.part(rank).unwrap_or_default());
        }
        if rank.is_none() && rules.layout != RankLayout::default() {
            // The only rank.
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
            own = devices.of_rank(rank, &rules.layout)?;
            part.remarks.extend(devices.too_few_for(rank.saturating_add(1), &rules.layout));
            if rules.policy.is_disjoint() {
                rules.policy = CpuPolicy::by_node();
                let shared =
                    format!("the CPUs near the GPU are shared with others: by the policy {}", rules.policy);
                part.remarks.push(format!("how many ranks there are is unknown, so {shared}"));
            }
        }
        let shares = shares(topology, &rules, &visible.positions());
        let cpus = devices_share(topology, &shares, &own);
        part = Self { remarks: part.remarks, ..Self::of_devices(topology, &own, cpus, &fair_nics(topology)) };
        if !own.is_empty() {
            part.remarks.extend_from_slice(&shares.remarks);
        }
        if rules.policy.is_disjoint() {
            // The rest of the GPU's CPUs is for the other instances.
            let rest = |gpu: usize| shares.gpus[gpu].cpus.difference(&part.cpus);
            let others: Vec<CpuSet> = (0..shares.gpus.len()).map(rest).collect();
            part.own_cores = own_cores(topology, &part.cpus, &others);
        }
        part.remarks.extend(unbalanced(topology, std::iter::once(("this process".to_owned(), &part.cpus))));
        Ok(part)
    }

    /// Returns the part of a process with some CPUs that uses these devices.
    fn of_devices(
        topology: &Topology,
        devices: &[VisibleDevice],
        cpus: CpuSet,
        nics: &[Option<usize>],
    ) -> Self {
        let gpus = VisibleGpus { devices: devices.to_vec(), ..VisibleGpus::default() }.positions();
        let memory = memory_nodes(topology);
        let nodes: Vec<NodeSet> = gpus.iter().map(|gpu| memory(*gpu, &cpus)).collect();
        Self {
            instances: devices.iter().filter_map(|device| device.instance).collect(),
            nics: gpus.iter().filter_map(|gpu| nics[*gpu]).collect(),
            gpus,
            cpus,
            mems: all_memory(nodes.iter()),
            ..Self::default()
        }
    }
}

/// Computes the shares of the devices, and from them those of the ranks.
fn deal_to_ranks(
    topology: &Topology,
    devices: &Devices<'_>,
    ranks: usize,
    rules: &CpuRules,
    remarks: &mut Vec<String>,
) -> Result<Vec<Part>> {
    let layout = &rules.layout;
    if devices.list.is_empty() {
        // There are none, rather than some in an unknown order.
        let are_none = devices.visible.devices.is_empty() && !devices.visible.unresolved;
        if let Some(each) = layout.gpus.filter(|_| are_none) {
            let message = format!("{} for each rank, and no GPU is visible", count_of(each, "GPU"));
            return Err(Error::unsatisfiable(message).help("ranks that use none ask for 0 GPUs each"));
        }
        return Ok(vec![Part::default(); ranks]);
    }
    let shares = shares(topology, rules, &devices.visible.positions());
    remarks.extend_from_slice(&shares.remarks);
    let alone = ranks > 1 && devices.may_differ(layout);
    // Ranks that see their own devices alone use all of them.
    let every = || vec![(0..devices.list.len()).collect(); ranks];
    let places = if alone { every() } else { layout.places(devices.list.len(), ranks)? };
    remarks.extend(devices.unused(layout, &places));
    let own: Vec<Vec<VisibleDevice>> =
        places.iter().map(|places| places.iter().map(|place| devices.list[*place]).collect()).collect();
    let share_of = |devices: &Vec<VisibleDevice>| devices_share(topology, &shares, devices);
    let mut cpus: Vec<CpuSet> = own.iter().map(share_of).collect();
    if ranks > devices.list.len() && rules.policy.is_disjoint() && !alone {
        let own: Vec<VisibleDevice> = own.iter().flatten().copied().collect();
        cpus = deal_again(topology, rules, devices, &own, cpus, remarks);
    }
    RankLayout::trim(topology, rules, 0, &mut cpus, remarks)?;
    let nics = fair_nics(topology);
    let own_cores = |rank: usize| {
        if !rules.policy.is_disjoint() || alone {
            return 0;
        }
        let others = cpus.iter().enumerate().filter(|(other, _)| *other != rank);
        own_cores(topology, &cpus[rank], others.map(|(_, other)| other))
    };
    let sets = cpus.iter().enumerate().map(|(rank, cpus)| (format!("rank {rank}"), cpus));
    remarks.extend(cpu_remarks(topology, sets));
    let part = |rank: usize| Part {
        own_cores: own_cores(rank),
        ..Part::of_devices(topology, &own[rank], cpus[rank].clone(), &nics)
    };
    Ok((0..ranks).map(part).collect())
}

/// Divides the CPUs of the job's devices among ranks that outnumber them. Where the devices have unequal numbers of
/// ranks, a rank may get CPUs near to it of another device's, so that all get the same number.
fn deal_again(
    topology: &Topology,
    rules: &CpuRules,
    devices: &Devices<'_>,
    own: &[VisibleDevice],
    shares_of_own: Vec<CpuSet>,
    remarks: &mut Vec<String>,
) -> Vec<CpuSet> {
    let uneven = !own.len().is_multiple_of(devices.list.len());
    let all = shares_of_own.iter().collect::<CpuSet>();
    let node = CpuRules { policy: CpuPolicy::by_node(), ..rules.clone() };
    let around = shares(topology, &node, &devices.visible.positions());
    let reach = |(device, share): (&VisibleDevice, CpuSet)| {
        if uneven { share.union(&around.gpus[device.gpu].cpus.intersection(&all)) } else { share }
    };
    let near: Vec<CpuSet> = own.iter().zip(shares_of_own).map(reach).collect();
    let cores = cores(topology, &all, &mut Vec::new());
    let classes = CoreClasses::of(topology);
    let mut dealt = near.clone();
    for group in overlapping(&near) {
        match deal(&group, &near, &cores, &classes, Arrangement::Together) {
            Some(parts) => group.iter().zip(parts).for_each(|(rank, part)| dealt[*rank] = part),
            None => {
                remarks.push(format!("{} ranks share CPUs: there are fewer than one for each", group.len()));
            }
        }
    }
    dealt
}
