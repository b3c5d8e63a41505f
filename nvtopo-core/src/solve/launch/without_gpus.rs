//! The ranks of a job that uses no GPU: equal shares of the CPUs that keep inside NUMA nodes.

use super::part::Part;
use crate::cpuset::CpuSet;
use crate::error::{Error, Result};
use crate::model::Topology;
use crate::solve::cpus::{
    CpuPolicy, CpuRules, by_class, cpu_remarks, memory_beside, package_cpus, usable_cores,
};
use crate::solve::process::{Distribution, RankLayout};
use std::collections::{BTreeMap, BTreeSet};

/// The policies that have a meaning without GPUs.
const POLICIES: [&str; 4] = ["exclusive", "balanced", "node", "socket"];

/// Returns the parts of `ranks` ranks. All get the same number of cores, the greatest such that each rank's are of one
/// NUMA node. Where there are fewer ranks than nodes, each has whole nodes of one package, and where there are fewer
/// than packages too, of any; nodes of unequal size are cut then.
///
/// Errors with [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for a policy that goes by GPUs, and as
/// [`RankLayout::trim`].
pub(super) fn parts_without_gpus(
    topology: &Topology,
    ranks: usize,
    rules: &CpuRules,
    remarks: &mut Vec<String>,
) -> Result<Vec<Part>> {
    check_policy(rules.policy)?;
    let cores = usable_cores(topology, rules, remarks);
    if cores.is_empty() {
        remarks.push("no CPUs are known that may be used, so there is nothing to share".to_owned());
        return Ok(vec![Part::default(); ranks]);
    }
    let (mut cpus, own) = match rules.policy.name() {
        "node" | "socket" => (around(topology, rules, &cores, ranks), false),
        _ => deal(topology, rules, &cores, ranks, remarks),
    };
    RankLayout::trim(topology, rules, 0, &mut cpus, remarks)?;
    let sets = cpus.iter().enumerate().map(|(rank, cpus)| (format!("rank {rank}"), cpus));
    remarks.extend(cpu_remarks(topology, sets));
    let core_of: BTreeMap<u32, usize> =
        cores.iter().enumerate().flat_map(|(place, core)| core.iter().map(move |cpu| (cpu, place))).collect();
    let part = |cpus: CpuSet| {
        let touched: BTreeSet<&usize> = cpus.iter().filter_map(|cpu| core_of.get(&cpu)).collect();
        let own_cores = if own { touched.len() } else { 0 };
        Part { mems: memory_beside(topology, &cpus), own_cores, cpus, ..Part::default() }
    };
    Ok(cpus.into_iter().map(part).collect())
}

/// Returns the part of one process of an unknown number: all CPUs are shared.
pub(super) fn part_without_gpus(topology: &Topology, rules: &CpuRules) -> Result<Part> {
    check_policy(rules.policy)?;
    let mut remarks = Vec::new();
    let cpus: CpuSet = usable_cores(topology, rules, &mut remarks).iter().collect();
    remarks.push("how many ranks there are is unknown, so they share all CPUs".to_owned());
    Ok(Part { mems: memory_beside(topology, &cpus), cpus, remarks, ..Part::default() })
}

fn check_policy(policy: CpuPolicy) -> Result<()> {
    if POLICIES.contains(&policy.name()) {
        return Ok(());
    }
    Err(Error::request(format!("the policy {policy} deals CPUs out to GPUs, and the ranks use none"))
        .help(format!("there are {} for them", POLICIES.join(", "))))
}

/// Groups the cores by NUMA node, by package, or all together: the finest level with no more groups than ranks.
fn domains(topology: &Topology, cores: &[CpuSet], ranks: usize) -> Vec<Vec<CpuSet>> {
    for level in [node_cpus(topology), package_cpus(topology)] {
        let domains = divide(&level, cores);
        if domains.len() <= ranks {
            return domains;
        }
    }
    vec![cores.to_vec()]
}

/// Returns the cores under each of some sets, and those under none as the last group.
fn divide(sets: &[CpuSet], cores: &[CpuSet]) -> Vec<Vec<CpuSet>> {
    let mut places = BTreeMap::new();
    for (place, set) in sets.iter().enumerate() {
        for cpu in set.iter() {
            places.entry(cpu).or_insert(place);
        }
    }
    let mut domains = vec![Vec::new(); sets.len() + 1];
    for core in cores {
        let place = core.first().and_then(|first| places.get(&first).copied());
        domains[place.unwrap_or(sets.len())].push(core.clone());
    }
    domains.retain(|domain| !domain.is_empty());
    domains
}

/// Returns the number of atoms of a node, where fewer ranks than nodes can have whole ones; else 1.
fn node_size(topology: &Topology, atoms: &[CpuSet], ranks: usize) -> usize {
    let nodes = divide(&node_cpus(topology), atoms);
    match nodes.first() {
        Some(first) if nodes.len() > ranks && nodes.iter().all(|node| node.len() == first.len()) => {
            first.len()
        }
        _ => 1,
    }
}

/// Assigns a domain to each rank, where each takes `each` of the domains' room. `None`: there is too little.
fn seats(room: &[usize], each: usize, ranks: usize, distribution: Distribution) -> Option<Vec<usize>> {
    let mut seats: Vec<(usize, usize)> = room
        .iter()
        .enumerate()
        .flat_map(|(domain, room)| (0..room / each).map(move |row| (row, domain)))
        .collect();
    seats.sort_unstable();
    seats.truncate(ranks);
    if distribution == Distribution::Block {
        seats.sort_unstable_by_key(|(_, domain)| *domain);
    }
    (seats.len() == ranks).then(|| seats.into_iter().map(|(_, domain)| domain).collect())
}

/// Computes equal shares, and tells whether each rank has its own.
fn deal(
    topology: &Topology,
    rules: &CpuRules,
    cores: &[CpuSet],
    ranks: usize,
    remarks: &mut Vec<String>,
) -> (Vec<CpuSet>, bool) {
    let distribution = rules.layout.distribution.unwrap_or(Distribution::Block);
    let threads: Vec<CpuSet> =
        cores.iter().flat_map(CpuSet::iter).map(|cpu| CpuSet::from_iter([cpu])).collect();
    for (atoms, whole) in [(cores, true), (&threads, false)] {
        let domains = domains(topology, atoms, ranks);
        let room: Vec<usize> = domains.iter().map(Vec::len).collect();
        let most = room.iter().max().copied().unwrap_or(0);
        let whole_nodes = node_size(topology, atoms, ranks);
        let mut sizes = (1..=most).rev().filter(|each| each.is_multiple_of(whole_nodes));
        let found = sizes.find_map(|each| Some((seats(&room, each, ranks, distribution)?, each)));
        if let Some((seats, each)) = found {
            let shares = share(topology, &domains, &seats, each);
            let free = atoms.iter().collect::<CpuSet>().difference(&shares.iter().collect());
            if !free.is_empty() {
                remarks
                    .push(format!("CPUs {free} stay free, so that all ranks get as much inside NUMA nodes"));
            }
            return (shares, whole);
        }
    }
    remarks.push(format!("{ranks} ranks share CPUs: there are fewer than one for each"));
    (around(topology, rules, cores, ranks), false)
}

/// Cuts each domain among its ranks, core class by core class, and leaves all ranks the same number of each class, and
/// at most `most` in all.
fn share(topology: &Topology, domains: &[Vec<CpuSet>], seats: &[usize], most: usize) -> Vec<CpuSet> {
    let ranks_of = |domain: usize| seats.iter().filter(|seat| **seat == domain).count();
    let mut shares = vec![CpuSet::new(); seats.len()];
    let mut taken = vec![0; domains.len()];
    let mut open = most;
    for class in by_class(topology, &domains.concat()) {
        let class: CpuSet = class.iter().collect();
        let of_class = |core: &&CpuSet| core.first().is_some_and(|first| class.contains(first));
        let class: Vec<Vec<&CpuSet>> =
            domains.iter().map(|domain| domain.iter().filter(of_class).collect()).collect();
        let used = (0..domains.len()).filter(|domain| ranks_of(*domain) > 0);
        let each = used.map(|domain| class[domain].len() / ranks_of(domain)).min().unwrap_or(0).min(open);
        open -= each;
        taken.fill(0);
        for (share, domain) in shares.iter_mut().zip(seats) {
            let own = class[*domain].iter().skip(taken[*domain]).take(each);
            own.for_each(|core| *share |= core);
            taken[*domain] += each;
        }
    }
    shares
}

/// Returns the node or the package of each rank, which it shares with others.
fn around(topology: &Topology, rules: &CpuRules, cores: &[CpuSet], ranks: usize) -> Vec<CpuSet> {
    let packages = package_cpus(topology);
    let domains = match rules.policy.name() {
        "socket" if !packages.is_empty() => divide(&packages, cores),
        _ => divide(&node_cpus(topology), cores),
    };
    let place = |rank: usize| match rules.layout.distribution {
        Some(Distribution::Cyclic) => rank % domains.len(),
        _ => rank * domains.len() / ranks,
    };
    (0..ranks).map(|rank| domains[place(rank)].iter().collect()).collect()
}

fn node_cpus(topology: &Topology) -> Vec<CpuSet> {
    topology.numa_nodes().map(|numa| numa.cpus.clone()).collect()
}
