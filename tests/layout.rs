//! The part of each rank by a layout: several GPUs, so many cores, or none but its share of the CPUs.

use crate::made_machine::{Made, made, nodes, union};
use nvtopo::render::LAUNCH_FORMATS;
use nvtopo::solve::{CPU_POLICIES, Distribution};
use nvtopo::{
    CpuLimits, CpuRules, CpuSet, CudaOrder, ErrorKind, LocalRank, Part, Plan, RankLayout, Result, Topology,
    VisibleGpus,
};
use proptest::prelude::*;

fn layout(gpus: Option<usize>, distribution: Option<Distribution>, cores: Option<usize>) -> CpuRules {
    CpuRules { layout: RankLayout { gpus, distribution, cores }, ..CpuRules::default() }
}

fn without_gpus() -> CpuRules {
    layout(Some(0), None, None)
}

fn plan(topology: &Topology, ranks: usize, rules: &CpuRules) -> Result<Plan> {
    let visible = VisibleGpus::all(topology, CudaOrder::PciBusId);
    Plan::new(topology, &visible, ranks, rules)
}

fn gpus(plan: &Plan) -> Vec<Vec<usize>> {
    plan.parts().iter().map(|part| part.gpus.clone()).collect()
}

fn cpus(plan: &Plan) -> Vec<String> {
    plan.parts().iter().map(|part| part.cpus.to_string()).collect()
}

fn told(plan: &Plan, what: &str) -> bool {
    plan.remarks().iter().any(|remark| remark.contains(what))
}

/// A machine of nodes with so many cores each, of one thread, and equal numbers of GPUs.
fn alike(cores: &[u32], gpus: usize) -> Made {
    nodes(cores, &vec![gpus; cores.len()])
}

#[test]
fn several_gpus_go_to_a_rank_in_blocks_or_in_turns() {
    let dgx = Topology::preset("dgx-h100").unwrap();
    let block = plan(&dgx, 4, &layout(Some(2), None, None)).unwrap();
    assert_eq!(gpus(&block), [[0, 1], [2, 3], [4, 5], [6, 7]]);
    assert_eq!(cpus(&block), ["0-27,112-139", "28-55,140-167", "56-83,168-195", "84-111,196-223"]);
    let names = |part: &Part| part.nics.iter().map(|nic| dgx.device_name(*nic)).collect::<Vec<_>>();
    assert_eq!(names(&block.parts()[3]).len(), 2);
    assert_eq!((block.parts()[3].own_cores, block.parts()[3].mems.to_string()), (28, "1".to_owned()));
    let cyclic = plan(&dgx, 4, &layout(Some(2), Some(Distribution::Cyclic), None)).unwrap();
    assert_eq!(gpus(&cyclic), [[0, 4], [1, 5], [2, 6], [3, 7]]);
    assert_eq!(cyclic.parts()[1].mems.to_string(), "0-1");
    assert_eq!(cyclic.parts()[1].cpus.to_string(), "14-27,70-83,126-139,182-195");
    // Ranks alone come to the same, by every launcher that tells how many there are.
    for rules in [layout(Some(2), None, Some(4)), layout(Some(2), Some(Distribution::Cyclic), None)] {
        let whole = plan(&dgx, 4, &rules).unwrap();
        let visible = VisibleGpus::all(&dgx, CudaOrder::PciBusId);
        for (rank, part) in whole.parts().iter().enumerate() {
            let own = LocalRank { rank, size: Some(4) };
            let alone = Part::of_visible_by(&dgx, &visible, Some(own), &rules).unwrap();
            assert_eq!((&alone.gpus, &alone.cpus), (&part.gpus, &part.cpus));
        }
    }
}

#[test]
fn gpus_that_are_left_over_or_missing_are_told() {
    let dgx = Topology::preset("dgx-h100").unwrap();
    let some = plan(&dgx, 2, &layout(Some(3), None, None)).unwrap();
    assert_eq!(gpus(&some), [[0, 1, 2], [3, 4, 5]]);
    assert!(told(&some, "no rank uses GPU6, GPU7"), "{:?}", some.remarks());
    let missing = plan(&dgx, 3, &layout(Some(3), None, None)).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Unsatisfiable);
    assert!(missing.to_string().contains("enough for 2 ranks"), "{missing}");
    for count in [9, usize::MAX] {
        assert!(plan(&dgx, 2, &layout(Some(count), None, None)).is_err());
    }
    // Exactly one for each rank is no sharing.
    assert!(plan(&dgx, 9, &layout(Some(1), None, None)).is_err());
    let none = VisibleGpus::resolve(&dgx, Some(""), CudaOrder::PciBusId);
    let none = Plan::new(&dgx, &none, 2, &layout(Some(1), None, None)).unwrap_err();
    assert!(none.to_string().contains("no GPU is visible"), "{none}");
    let count = |gpus, text: &str| {
        let visible = VisibleGpus::resolve(&dgx, Some(text), CudaOrder::PciBusId);
        layout(gpus, None, None).layout.ranks_for(&visible)
    };
    assert_eq!(count(Some(2), "0,1,2,3,4").unwrap(), 2);
    assert_eq!(count(Some(9), "0").unwrap(), 1);
    assert_eq!(count(None, "0,1,2").unwrap(), 3);
    assert!(count(Some(0), "0").is_err());
}

#[test]
fn ranks_that_share_gpus_take_turns_or_follow_each_other() {
    let machine = alike(&[8], 2).topology();
    let of = |distribution| gpus(&plan(&machine, 4, &layout(None, distribution, None)).unwrap());
    assert_eq!(of(None), [[0], [1], [0], [1]]);
    assert_eq!(of(Some(Distribution::Cyclic)), [[0], [1], [0], [1]]);
    assert_eq!(of(Some(Distribution::Block)), [[0], [0], [1], [1]]);
    let block = plan(&machine, 4, &layout(None, Some(Distribution::Block), None)).unwrap();
    assert_eq!(cpus(&block), ["0-1", "2-3", "4-5", "6-7"]);
}

#[test]
fn ranks_that_each_see_their_own_gpus_mean_all_of_them() {
    let dgx = Topology::preset("dgx-h100").unwrap();
    let mut visible = VisibleGpus::resolve(&dgx, Some("4,5"), CudaOrder::PciBusId);
    let rules = layout(Some(2), None, None);
    let of = |visible: &VisibleGpus, size| {
        Part::of_visible_by(&dgx, visible, Some(LocalRank { rank: 2, size }), &rules)
    };
    for size in [Some(4), None] {
        let part = of(&visible, size).unwrap();
        assert_eq!(part.gpus, [4, 5]);
    }
    assert_eq!(of(&visible, Some(4)).unwrap().cpus.to_string(), "56-83,168-195");
    visible.same_for_all = true;
    assert_eq!(of(&visible, Some(4)).unwrap_err().kind(), ErrorKind::Unsatisfiable);
    assert_eq!(of(&visible, None).unwrap_err().kind(), ErrorKind::Unsatisfiable);
    // A process without a rank is the only one.
    let only = Part::of_visible_by(&dgx, &visible, None, &layout(Some(1), None, Some(3))).unwrap();
    assert_eq!((only.gpus, only.cpus.len()), (vec![4], 6));
}

#[test]
fn so_many_cores_for_each_rank_leave_the_rest_free() {
    let dgx = Topology::preset("dgx-h100").unwrap();
    let some = plan(&dgx, 8, &layout(None, None, Some(4))).unwrap();
    assert_eq!(some.parts()[0].cpus.to_string(), "0-3,112-115");
    assert!(some.parts().iter().all(|part| part.own_cores == 4 && part.cpus.len() == 8));
    let free = some.remarks().iter().find(|remark| remark.contains("stay free")).unwrap();
    assert!(free.starts_with("CPUs 4-13,18-27,"), "{free}");
    // All of them: nothing is free.
    assert!(!told(&plan(&dgx, 8, &layout(None, None, Some(14))).unwrap(), "stay free"));
    let many = plan(&dgx, 8, &layout(None, None, Some(15))).unwrap_err();
    assert_eq!(many.kind(), ErrorKind::Unsatisfiable);
    assert!(many.to_string().contains("rank 0 has a share of 14 cores"), "{many}");
    assert!(plan(&dgx, 8, &layout(None, None, Some(0))).is_err());
    let shared = CpuRules { policy: "node".parse().unwrap(), ..layout(None, None, Some(4)) };
    assert_eq!(plan(&dgx, 8, &shared).unwrap_err().kind(), ErrorKind::InvalidRequest);
    let visible = VisibleGpus::all(&dgx, CudaOrder::PciBusId);
    let unknown = LocalRank { rank: 1, size: None };
    let unknown = Part::of_visible_by(&dgx, &visible, Some(unknown), &layout(None, None, Some(4)));
    assert!(unknown.unwrap_err().to_string().contains("how many local ranks"));
    // Cores of one cache before those of several.
    let caches = Made { complex: 4, ..alike(&[12], 1) }.topology();
    assert_eq!(cpus(&plan(&caches, 1, &layout(None, None, Some(6))).unwrap()), ["0-5"]);
    let reserved = CpuRules {
        limits: CpuLimits { reserved: "0-1".parse().unwrap(), ..CpuLimits::default() },
        ..layout(None, None, Some(3))
    };
    assert_eq!(cpus(&plan(&caches, 1, &reserved).unwrap()), ["4-6"]);
}

#[test]
fn ranks_without_gpus_get_equal_shares_inside_numa_nodes() {
    let dgx = Topology::preset("dgx-h100").unwrap();
    let four = plan(&dgx, 4, &without_gpus()).unwrap();
    assert_eq!(cpus(&four), ["0-27,112-139", "28-55,140-167", "56-83,168-195", "84-111,196-223"]);
    assert!(four.parts().iter().all(|part| part.gpus.is_empty() && part.own_cores == 28));
    let mems: Vec<String> = four.parts().iter().map(|part| part.mems.to_string()).collect();
    assert_eq!(mems, ["0", "0", "1", "1"]);
    let cyclic = plan(&dgx, 4, &layout(Some(0), Some(Distribution::Cyclic), None)).unwrap();
    assert_eq!(cpus(&cyclic), ["0-27,112-139", "56-83,168-195", "28-55,140-167", "84-111,196-223"]);
    // Three cannot be equal inside two nodes without leaving some free.
    let three = plan(&dgx, 3, &without_gpus()).unwrap();
    assert_eq!(cpus(&three), ["0-27,112-139", "28-55,140-167", "56-83,168-195"]);
    assert!(told(&three, "CPUs 84-111,196-223 stay free"), "{:?}", three.remarks());
    assert_eq!(cpus(&plan(&dgx, 1, &without_gpus()).unwrap()), ["0-223"]);
    // Every format can say it.
    for format in LAUNCH_FORMATS {
        let printed = format.print(&four).unwrap();
        assert!(!printed.contains("device"), "{printed}");
    }
    let few = plan(&dgx, 4, &layout(Some(0), None, Some(2))).unwrap();
    assert_eq!(cpus(&few), ["0-1,112-113", "28-29,140-141", "56-57,168-169", "84-85,196-197"]);
    // A machine that has no GPU at all, and nodes of unequal size.
    let uneven = alike(&[12, 4], 0).topology();
    assert_eq!(cpus(&plan(&uneven, 2, &without_gpus()).unwrap()), ["0-5", "6-11"]);
    assert_eq!(cpus(&plan(&uneven, 4, &without_gpus()).unwrap()), ["0-3", "4-7", "8-11", "12-15"]);
    // Fewer ranks than nodes: whole packages.
    let packages = Made { nodes_per_package: 2, ..alike(&[4, 4, 4, 4], 0) }.topology();
    assert_eq!(cpus(&plan(&packages, 2, &without_gpus()).unwrap()), ["0-7", "8-15"]);
    // Whole nodes, although a third of a package would be more.
    let one = Made { nodes_per_package: 4, ..alike(&[4, 4, 4, 4], 0) }.topology();
    let whole = plan(&one, 3, &without_gpus()).unwrap();
    assert_eq!(cpus(&whole), ["0-3", "4-7", "8-11"]);
    assert!(told(&whole, "CPUs 12-15 stay free"), "{:?}", whole.remarks());
    let shared = CpuRules { policy: "node".parse().unwrap(), ..without_gpus() };
    assert_eq!(cpus(&plan(&packages, 4, &shared).unwrap()), ["0-3", "4-7", "8-11", "12-15"]);
    assert_eq!(plan(&packages, 4, &shared).unwrap().parts()[0].own_cores, 0);
    // More ranks than cores, and than threads.
    let small = Made { threads: 2, ..alike(&[1], 0) }.topology();
    let two = plan(&small, 2, &without_gpus()).unwrap();
    assert_eq!((cpus(&two), two.parts()[0].own_cores), (vec!["0".to_owned(), "1".to_owned()], 0));
    let crowd = plan(&small, 3, &without_gpus()).unwrap();
    assert!(told(&crowd, "3 ranks share CPUs") && cpus(&crowd)[2] == "0-1", "{crowd:?}");
    // What goes by GPUs is refused, what nobody knows is said.
    for policy in CPU_POLICIES {
        let means_something = ["exclusive", "balanced", "node", "socket"].contains(&policy.name());
        let rules = CpuRules { policy: *policy, ..without_gpus() };
        assert_eq!(plan(&dgx, 2, &rules).is_ok(), means_something, "{policy}");
    }
    let text = Topology::parse("t", b"\tGPU0\nGPU0\t X \n").unwrap();
    let unknown = plan(&text, 2, &without_gpus()).unwrap();
    assert!(told(&unknown, "no CPUs are known") && cpus(&unknown) == ["", ""], "{unknown:?}");
}

#[test]
fn a_rank_without_gpus_of_an_unknown_number_shares_all_cpus() {
    let dgx = Topology::preset("dgx-h100").unwrap();
    let none = VisibleGpus::resolve(&dgx, Some(""), CudaOrder::PciBusId);
    let of = |rank| Part::of_visible_by(&dgx, &none, rank, &without_gpus()).unwrap();
    let unknown = of(Some(LocalRank { rank: 3, size: None }));
    assert_eq!((unknown.cpus.to_string(), unknown.own_cores), ("0-223".to_owned(), 0));
    assert!(unknown.remarks[0].contains("they share all CPUs"), "{:?}", unknown.remarks);
    let known = of(Some(LocalRank { rank: 3, size: Some(4) }));
    assert_eq!(known.cpus.to_string(), "84-111,196-223");
    assert!(!known.remarks.iter().any(|remark| remark.contains("GPU")), "{:?}", known.remarks);
    assert_eq!(of(None).own_cores, 112);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn shares_without_gpus_are_equal_disjoint_inside_nodes_and_as_large_as_can_be(
        made in made(),
        ranks in 1usize..=12,
        cyclic in any::<bool>(),
    ) {
        let topology = made.topology();
        let distribution = cyclic.then_some(Distribution::Cyclic);
        let plan = plan(&topology, ranks, &layout(Some(0), distribution, None)).unwrap();
        let parts = plan.parts();
        if told(&plan, "share CPUs") {
            prop_assert!(topology.cpus().len() < ranks);
            return Ok(());
        }
        let cores: Vec<Vec<CpuSet>> = (0..made.cores.len()).map(|node| made.cores_of(node)).collect();
        let whole = cores.iter().map(Vec::len).sum::<usize>() >= ranks;
        let count = |part: &Part| {
            if !whole {
                return part.cpus.len();
            }
            cores.iter().flatten().filter(|core| core.is_subset(&part.cpus)).count()
        };
        for (rank, part) in parts.iter().enumerate() {
            prop_assert!(count(part) > 0);
            prop_assert_eq!(count(part), count(&parts[0]));
            prop_assert!(parts[..rank].iter().all(|other| other.cpus.is_disjoint(&part.cpus)));
        }
        let by_node: Vec<CpuSet> = cores.iter().map(|cores| union(cores)).collect();
        if whole && ranks >= by_node.len() {
            for part in parts {
                prop_assert!(by_node.iter().any(|node| part.cpus.is_subset(node)));
            }
            // One core more for each has no room.
            let more = count(&parts[0]) + 1;
            prop_assert!(cores.iter().map(|cores| cores.len() / more).sum::<usize>() < ranks);
        }
    }
}
