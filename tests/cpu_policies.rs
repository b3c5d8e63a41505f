//! The policies by which CPUs are dealt out, on random machines and on chosen ones.

use crate::made_machine::{Made, is_anothers, made, nodes, union};
use nvtopo::model::TopologyBuilder;
use nvtopo::solve::CPU_POLICIES;
use nvtopo::{CpuLimits, CpuPolicy, CpuRules, CpuSet, Smt, Topology, share_cpus};
use proptest::prelude::*;

/// Counts the cores of which a share has a thread.
fn count(cores: &[CpuSet], share: &CpuSet) -> usize {
    cores.iter().filter(|core| !core.is_disjoint(share)).count()
}

/// The greatest less the least.
fn spread(counts: &[usize]) -> usize {
    counts.iter().max().unwrap_or(&0) - counts.iter().min().unwrap_or(&0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn shares_keep_what_their_policy_promises(
        made in made(),
        forbidden in prop::collection::btree_set(0u32..72, 0..24),
        policy in prop::sample::select(CPU_POLICIES),
        smt in prop::sample::select(&[Smt::All, Smt::One][..]),
    ) {
        let topology = made.topology();
        let allowed = topology.cpus().difference(&forbidden.into_iter().collect());
        prop_assume!(!allowed.is_empty());
        let limits = CpuLimits { allowed: Some(allowed.clone()), ..CpuLimits::default() };
        let rules = CpuRules { policy, smt, limits, ..CpuRules::default() };
        let shares = share_cpus(&topology, &rules);
        let mut cores = made.usable_cores(&allowed);
        if smt == Smt::One {
            cores = cores.iter().map(|core| core.iter().take(1).collect()).collect();
        }
        let usable = union(&cores);
        let homes = made.homes();
        let near: Vec<CpuSet> = homes.iter().map(|home| made.near(*home, &usable)).collect();
        let too_few = shares.remarks.iter().any(|remark| remark.contains("share CPUs"));

        for (gpu, share) in shares.gpus.iter().enumerate() {
            prop_assert!(!share.cpus.is_empty(), "GPU{} has nothing", gpu);
            prop_assert!(share.cpus.is_subset(&usable), "{} reaches beyond {}", share.cpus, usable);
            if smt == Smt::One {
                prop_assert!(cores.iter().all(|core| core.intersection(&share.cpus).len() <= 1));
            }
            match policy.name() {
                "machine" => {}
                _ if is_anothers(policy) => {}
                "socket" => prop_assert!(near[gpu].is_subset(&share.cpus)),
                "node" => prop_assert_eq!(&share.cpus, &near[gpu]),
                _ => prop_assert!(share.cpus.is_subset(&near[gpu]), "{} is not near: {}", share.cpus, near[gpu]),
            }
            for node in share.mems.iter() {
                prop_assert!((node as usize) < made.cores.len(), "memory of GPU memory node {}", node);
            }
        }
        if !policy.is_disjoint() {
            return Ok(());
        }
        let cpus: Vec<CpuSet> = shares.gpus.iter().map(|share| share.cpus.clone()).collect();
        if too_few {
            // There really are fewer CPUs than GPUs somewhere.
            let crowded = near.iter().any(|place| {
                let rivals = near.iter().filter(|other| !other.is_disjoint(place)).count();
                place.len() < rivals || made.unknown_gpus > 0 || is_anothers(policy)
            });
            prop_assert!(crowded, "{:?}", shares.remarks);
            return Ok(());
        }
        for (gpu, share) in cpus.iter().enumerate() {
            prop_assert!(cpus[..gpu].iter().all(|other| other.is_disjoint(share)), "{:?}", cpus);
        }
        let counts: Vec<usize> = cpus.iter().map(|share| count(&cores, share)).collect();
        if is_anothers(policy) {
            return Ok(());
        }
        if policy.name() == "machine" && cores.len() >= cpus.len() || policy.name() == "balanced" {
            prop_assert!(spread(&counts) <= 1, "{:?} on {:?}", cpus, near);
        }
        // Those that compete for the same CPUs, where none of them has others too.
        for place in &near {
            let rivals: Vec<usize> = (0..near.len()).filter(|gpu| !near[*gpu].is_disjoint(place)).collect();
            if policy.name() == "machine" || rivals.iter().any(|gpu| near[*gpu] != *place) {
                continue;
            }
            let own: Vec<usize> = rivals.iter().map(|gpu| counts[*gpu]).collect();
            prop_assert!(spread(&own) <= 1, "{:?} on {}", cpus, place);
            let here = count(&cores, place);
            let all: CpuSet = union(&rivals.iter().map(|gpu| cpus[*gpu].clone()).collect::<Vec<_>>());
            if here >= rivals.len() {
                let whole = |core: &CpuSet| rivals.iter().any(|gpu| core.is_subset(&cpus[*gpu]));
                let halves = cores.iter().filter(|core| !core.is_disjoint(&all) && !whole(core)).count();
                prop_assert_eq!(halves, 0, "cores are cut: {:?}", cpus);
            }
            if matches!(policy.name(), "exclusive" | "scattered") {
                prop_assert_eq!(&all, place, "CPUs are left over");
            }
        }
    }
}

/// One node of 16 cores under four caches, with so many GPUs.
fn epyc(gpus: usize) -> Topology {
    let made = Made {
        cores: vec![16, 16],
        gpus: vec![gpus, 0],
        threads: 1,
        siblings_adjacent: false,
        complex: 4,
        nodes_per_package: 1,
        gpus_on_memory: 0,
        unknown_gpus: 0,
    };
    made.topology()
}

fn shares(topology: &Topology, policy: &str) -> Vec<String> {
    let rules = CpuRules { policy: policy.parse().unwrap(), ..CpuRules::default() };
    share_cpus(topology, &rules).gpus.iter().map(|share| share.cpus.to_string()).collect()
}

#[test]
fn each_policy_deals_in_its_own_way() {
    let two = epyc(2);
    assert_eq!(shares(&two, "exclusive"), ["0-7", "8-15"]);
    assert_eq!(shares(&two, "compact"), shares(&two, "exclusive"));
    assert_eq!(shares(&two, "scattered"), ["0,2,4,6,8,10,12,14", "1,3,5,7,9,11,13,15"]);
    assert_eq!(shares(&two, "node"), ["0-15", "0-15"]);
    assert_eq!(shares(&two, "socket"), ["0-15", "0-15"]);
    assert_eq!(shares(&two, "core-complex"), ["0-7", "8-15"]);
    assert_eq!(shares(&two, "machine"), ["0-7,16-23", "8-15,24-31"]);
    // Three GPUs on four caches: one cache each, none of them cut. Equal shares of cores cut two.
    assert_eq!(shares(&epyc(3), "core-complex"), ["0-3", "8-11", "12-15"]);
    assert_eq!(shares(&epyc(3), "exclusive"), ["0-5", "6-10", "11-15"]);
    // Six on four: two caches are halved, and all get as much.
    assert_eq!(shares(&epyc(6), "core-complex"), ["0-1", "4-5", "8-9", "12-13", "2-3", "6-7"]);
}

#[test]
fn crowded_gpus_take_from_a_node_without_gpus_on_request() {
    let uneven = Made { gpus: vec![3, 1], ..plain() };
    assert_eq!(shares(&uneven.topology(), "exclusive"), ["0-1", "2", "3", "4-7"]);
    assert_eq!(shares(&uneven.topology(), "balanced"), ["0", "2", "3", "4"]);
    assert_eq!(shares(&uneven.topology(), "machine"), ["0-1", "2,6", "3,7", "4-5"]);
}

fn plain() -> Made {
    nodes(&[4, 4], &[1, 1])
}

#[test]
fn names_of_policies_are_read_and_written() {
    for policy in CPU_POLICIES {
        assert_eq!(policy.name().parse::<CpuPolicy>().unwrap(), *policy);
        assert!(!policy.summary().is_empty());
    }
    let error = "best".parse::<CpuPolicy>().unwrap_err().to_string();
    assert!(error.contains("'best'") && error.contains("core-complex"), "{error}");
}

#[test]
fn isolated_cpus_are_kept_back_unless_there_are_no_others() {
    let mut fragment = plain().fragment();
    fragment.machine().isolated_cpus = "0-1".parse().unwrap();
    let topology = TopologyBuilder::new().with(fragment).build().unwrap();
    assert_eq!(shares(&topology, "exclusive"), ["2-3", "4-7"]);
    let meant = CpuLimits { allowed: Some("0-1".parse().unwrap()), ..CpuLimits::default() };
    let rules = CpuRules { limits: meant, ..CpuRules::default() };
    assert_eq!(share_cpus(&topology, &rules).gpus[0].cpus.to_string(), "0");
}

#[test]
fn siblings_are_found_where_they_are_not_numbered_as_core_plus_n() {
    let adjacent = Made { threads: 2, siblings_adjacent: true, ..plain() };
    let rules = |smt| CpuRules { smt, ..CpuRules::default() };
    let cpus = |smt| share_cpus(&adjacent.topology(), &rules(smt)).gpus[1].cpus.to_string();
    assert_eq!((cpus(Smt::All), cpus(Smt::One)), ("8-15".to_owned(), "8,10,12,14".to_owned()));
}
