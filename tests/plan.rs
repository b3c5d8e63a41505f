//! The plan of all ranks of a machine: a property on random machines and on every preset.

use crate::made_machine::{is_anothers, made, nodes, union};
use nvtopo::solve::CPU_POLICIES;
use nvtopo::source::PRESETS;
use nvtopo::{
    CpuLimits, CpuPolicy, CpuRules, CpuSet, CudaOrder, LocalRank, Part, Plan, Smt, Topology, VisibleGpus,
};
use proptest::prelude::*;

fn plan(topology: &Topology, ranks: usize, rules: &CpuRules) -> Plan {
    let visible = VisibleGpus::all(topology, CudaOrder::PciBusId);
    Plan::new(topology, &visible, ranks, rules).unwrap()
}

fn disjoint() -> Vec<CpuPolicy> {
    CPU_POLICIES.iter().copied().filter(CpuPolicy::is_disjoint).collect()
}

/// The invariants of a plan on any machine. `near` are the usable CPUs near each GPU.
fn keeps_its_promises(plan: &Plan, rules: &CpuRules, usable: &CpuSet, cores: &[CpuSet], near: &[CpuSet]) {
    let parts = plan.parts();
    let context = || format!("{} for {} ranks: {:#?}", rules.policy, parts.len(), plan.remarks());
    for part in parts {
        assert!(!part.cpus.is_empty(), "a rank has nothing, {}", context());
        assert!(part.cpus.is_subset(usable), "{} is outside {usable}, {}", part.cpus, context());
        let own = &near[part.gpus[0]];
        match rules.policy.name() {
            "socket" => assert!(own.is_subset(&part.cpus), "{}", context()),
            "machine" => {}
            _ if is_anothers(rules.policy) => {}
            _ => assert!(part.cpus.is_subset(own), "{} is not near {own}, {}", part.cpus, context()),
        }
    }
    // Each rank alone comes to the same.
    let visible = VisibleGpus::all(plan.topology(), CudaOrder::PciBusId);
    for (rank, part) in parts.iter().enumerate() {
        let alone = LocalRank { rank, size: Some(parts.len()) };
        let alone = Part::of_visible_by(plan.topology(), &visible, Some(alone), rules).unwrap();
        assert_eq!(alone.gpus, part.gpus, "{}", context());
        // A process that has just the CPUs which it would get on the whole machine is taken to be bound already.
        if Some(&alone.cpus) != rules.limits.allowed.as_ref() {
            assert_eq!(alone.cpus, part.cpus, "{}", context());
        }
    }
    let too_few = plan.remarks().iter().any(|remark| remark.contains("share CPUs"));
    // Ranks that all see one GPU of several may each see another one.
    if !rules.policy.is_disjoint() || too_few {
        return;
    }
    for (rank, part) in parts.iter().enumerate() {
        let others = &parts[..rank];
        assert!(others.iter().all(|other| other.cpus.is_disjoint(&part.cpus)), "{}", context());
        // Threads of a core that another rank runs on too are no core of its own.
        let others =
            parts.iter().enumerate().filter(|(other, _)| *other != rank).map(|(_, other)| other.cpus.clone());
        let others = union(&others.collect::<Vec<_>>());
        let own =
            cores.iter().filter(|core| !core.is_disjoint(&part.cpus) && core.is_disjoint(&others)).count();
        assert_eq!(part.own_cores, own, "{}", context());
    }
    // Equal where all ranks compete for the same, as on a machine of one node: to within one core. What whole complexes
    // allow is as equal only while there is one GPU for each rank.
    let same = parts.iter().all(|part| near[part.gpus[0]] == near[parts[0].gpus[0]]);
    let whole = rules.policy.name() != "core-complex" || parts.len() <= near.len();
    let count = |part: &Part| cores.iter().filter(|core| !core.is_disjoint(&part.cpus)).count();
    let counts: Vec<usize> = parts.iter().map(count).collect();
    let spread = counts.iter().max().unwrap() - counts.iter().min().unwrap();
    if same
        && whole
        && !is_anothers(rules.policy)
        && rules.policy.name() != "machine"
        && cores.len() >= parts.len()
    {
        assert!(spread <= 1, "{counts:?}, {}", context());
    }
    if parts.len() <= near.len()
        && matches!(rules.policy.name(), "balanced" | "machine")
        && cores.len() >= near.len()
    {
        assert!(spread <= 1, "{counts:?}, {}", context());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_plan_is_disjoint_equal_inside_the_limits_and_local(
        made in made(),
        forbidden in prop::collection::btree_set(0u32..72, 0..16),
        policy in prop::sample::select(CPU_POLICIES),
        smt in prop::sample::select(&[Smt::All, Smt::One][..]),
        ranks in 1usize..=8,
    ) {
        let topology = made.topology();
        let allowed = topology.cpus().difference(&forbidden.into_iter().collect());
        prop_assume!(!allowed.is_empty() && !made.homes().is_empty());
        let limits = CpuLimits { allowed: Some(allowed.clone()), ..CpuLimits::default() };
        let rules = CpuRules { policy, smt, limits, ..CpuRules::default() };
        let mut cores = made.usable_cores(&allowed);
        if smt == Smt::One {
            cores = cores.iter().map(|core| core.iter().take(1).collect()).collect();
        }
        let usable = union(&cores);
        let near: Vec<CpuSet> = made.homes().iter().map(|home| made.near(*home, &usable)).collect();
        keeps_its_promises(&plan(&topology, ranks, &rules), &rules, &usable, &cores, &near);
    }

    #[test]
    fn two_jobs_on_one_machine_never_overlap(made in made(), policy in prop::sample::select(disjoint()), cut in 0usize..8) {
        let topology = made.topology();
        let gpus = topology.gpus().len();
        prop_assume!(gpus >= 2);
        let cut = 1 + cut % (gpus - 1);
        let rules = CpuRules { policy, ..CpuRules::default() };
        let job = |gpus: std::ops::Range<usize>| {
            let list: Vec<String> = gpus.clone().map(|gpu| gpu.to_string()).collect();
            let visible = VisibleGpus::resolve(&topology, Some(&list.join(",")), CudaOrder::PciBusId);
            let plan = Plan::new(&topology, &visible, gpus.len(), &rules).unwrap();
            let told = plan.remarks().iter().any(|remark| remark.contains("share CPUs"));
            (union(&plan.parts().iter().map(|part| part.cpus.clone()).collect::<Vec<_>>()), told)
        };
        let ((first, shared), (second, _)) = (job(0..cut), job(cut..gpus));
        prop_assert!(shared || first.is_disjoint(&second), "{} and {}", first, second);
    }
}

#[test]
fn every_preset_has_a_plan_for_one_to_eight_ranks() {
    for preset in PRESETS {
        let topology = Topology::preset(preset.name).unwrap();
        if topology.gpus().len() == 0 {
            continue;
        }
        let cores: Vec<CpuSet> = nvtopo_cores(&topology);
        let usable = topology.cpus();
        if usable.is_empty() {
            continue;
        }
        let local = |gpu: usize| topology.local_cpus(topology.devices()[gpu]).known().cloned();
        let near: Vec<CpuSet> = (0..topology.gpus().len())
            .map(|gpu| local(gpu).filter(|cpus| !cpus.is_empty()).unwrap_or_else(|| usable.clone()))
            .collect();
        for policy in CPU_POLICIES {
            let rules = CpuRules { policy: *policy, ..CpuRules::default() };
            // What other binders answer takes them longer.
            for ranks in if is_anothers(*policy) { 8..=8 } else { 1..=8 } {
                keeps_its_promises(&plan(&topology, ranks, &rules), &rules, &usable, &cores, &near);
            }
        }
    }
}

/// The cores of a machine by its PUs.
fn nvtopo_cores(topology: &Topology) -> Vec<CpuSet> {
    let mut cores = std::collections::BTreeMap::<_, CpuSet>::new();
    for (_, node) in topology.nodes() {
        if let nvtopo::model::NodeKind::Pu(pu) = &node.kind {
            cores.entry(node.parent).or_default().insert(pu.os_index);
        }
    }
    cores.into_values().collect()
}

fn one_node(gpus: usize, cores: u32) -> Topology {
    nodes(&[cores], &[gpus]).topology()
}

fn cpus(plan: &Plan) -> Vec<String> {
    plan.parts().iter().map(|part| part.cpus.to_string()).collect()
}

#[test]
fn more_ranks_than_gpus_divide_what_the_gpus_have() {
    let rules = CpuRules::default();
    assert_eq!(cpus(&plan(&one_node(2, 8), 4, &rules)), ["0-1", "4-5", "2-3", "6-7"]);
    // Two on the first GPU and one on the second: all get as much.
    assert_eq!(cpus(&plan(&one_node(2, 8), 3, &rules)), ["0-2", "3-5", "6-7"]);
    // One GPU, and nothing else that a rank could see.
    assert_eq!(cpus(&plan(&one_node(1, 4), 2, &rules)), ["0-1", "2-3"]);
    let crowded = plan(&one_node(1, 2), 3, &rules);
    assert_eq!(cpus(&crowded), ["0-1", "0-1", "0-1"]);
    let told = |what: &str| crowded.remarks().iter().any(|remark| remark.contains(what));
    assert!(told("share CPUs") && told("3 ranks share them"), "{:?}", crowded.remarks());
}

#[test]
fn a_rank_that_sees_one_gpu_of_several_takes_its_share_whole() {
    let topology = one_node(4, 8);
    let visible = VisibleGpus::resolve(&topology, Some("2"), CudaOrder::PciBusId);
    let part = Part::of_visible(
        &topology,
        &visible,
        Some(LocalRank { rank: 2, size: Some(4) }),
        &CpuLimits::default(),
    )
    .unwrap();
    assert_eq!((part.gpus, part.cpus.to_string()), (vec![2], "4-5".to_owned()));
}

#[test]
fn ranks_that_are_known_to_see_the_same_gpu_divide_its_cpus() {
    let topology = one_node(4, 16);
    let mut visible = VisibleGpus::resolve(&topology, Some("2"), CudaOrder::PciBusId);
    let parts = |visible: &VisibleGpus| {
        let plan = Plan::new(&topology, visible, 2, &CpuRules::default()).unwrap();
        (cpus(&plan), plan.remarks().iter().any(|remark| remark.contains("more local ranks than the 1 GPU")))
    };
    assert_eq!(parts(&visible), (vec!["8-11".to_owned(), "8-11".to_owned()], false));
    visible.same_for_all = true;
    assert_eq!(parts(&visible), (vec!["8-9".to_owned(), "10-11".to_owned()], true));
}

#[test]
fn a_rank_beyond_the_placement_is_an_error() {
    let topology = one_node(4, 8);
    let placement = nvtopo::Request::gpus(2).solve(&topology).unwrap();
    let part = |rank, size| Part::of_placement(&placement, Some(LocalRank { rank, size }));
    assert_eq!(
        part(1, Some(2)).unwrap().gpus,
        placement.gpus()[1..].iter().map(|gpu| gpu.position).collect::<Vec<_>>()
    );
    assert_eq!(part(1, Some(2)).unwrap().remarks, placement.remarks());
    let told = part(1, Some(4)).unwrap().remarks;
    assert!(told[0].contains("there are 4 local ranks, and the placement has 2 GPUs"), "{told:?}");
    for rank in [2, 3, usize::MAX] {
        let error = part(rank, None).unwrap_err();
        assert_eq!(error.kind(), nvtopo::ErrorKind::InvalidRequest);
        assert!(error.to_string().contains(&format!("local rank {rank}")), "{error}");
    }
    // A rank that is none of so many has no part either.
    let visible = VisibleGpus::all(&topology, CudaOrder::PciBusId);
    for (rank, size) in [(2, 2), (0, 0), (0, 5000)] {
        let own = Some(LocalRank { rank, size: Some(size) });
        assert!(
            Part::of_visible(&topology, &visible, own, &CpuLimits::default()).is_err(),
            "{rank} of {size}"
        );
    }
}

#[test]
fn without_the_number_of_ranks_nothing_is_taken_for_oneself() {
    let topology = one_node(2, 8);
    let visible = VisibleGpus::all(&topology, CudaOrder::PciBusId);
    let unknown =
        Part::of_visible(&topology, &visible, Some(LocalRank { rank: 1, size: None }), &CpuLimits::default())
            .unwrap();
    assert_eq!((unknown.gpus, unknown.cpus.to_string(), unknown.own_cores), (vec![1], "0-7".to_owned(), 0));
    assert!(
        unknown.remarks.iter().any(|remark| remark.contains("by the policy node")),
        "{:?}",
        unknown.remarks
    );
    // A process outside a launcher has all GPUs to itself.
    let alone = Part::of_visible(&topology, &visible, None, &CpuLimits::default()).unwrap();
    assert_eq!((alone.cpus.to_string(), alone.own_cores), ("0-7".to_owned(), 8));
}

#[test]
fn a_plan_for_nobody_is_refused() {
    let topology = one_node(1, 4);
    let visible = VisibleGpus::all(&topology, CudaOrder::PciBusId);
    for ranks in [0, 5000] {
        assert!(Plan::new(&topology, &visible, ranks, &CpuRules::default()).is_err());
    }
    let rules = CpuRules { policy: CpuPolicy::default(), ..CpuRules::default() };
    assert_eq!(plan(&topology, 1, &rules).policy().name(), "exclusive");
}
