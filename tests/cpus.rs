//! The shares of CPUs on random machines: disjoint, equal, local, whole cores, and inside the limits.

use nvtopo::model::{
    Core, Fragment, Gpu, Nic, NodeId, NodeKind, NumaNode, Provenance, Pu, Stated, TopologyBuilder,
};
use nvtopo::solve::check::{Claim, Verdict, check};
use nvtopo::{
    CpuLimits, CpuRules, CpuSet, CudaOrder, Isolated, LocalRank, Part, Placement, Request, Topology,
    VisibleGpus, nic_interrupt_cpus, share_cpus, split_cpus,
};
use proptest::prelude::*;

/// NUMA nodes of equal cores, with their GPUs.
#[derive(Clone, Debug)]
struct Machine {
    cores: Vec<u32>,
    threads: u32,
    gpus: Vec<usize>,
}

impl Machine {
    /// The CPUs of each core, first threads numbered before second ones.
    fn cores_of(&self, node: usize) -> Vec<CpuSet> {
        let before: u32 = self.cores[..node].iter().sum();
        let total: u32 = self.cores.iter().sum();
        (before..before + self.cores[node])
            .map(|core| (0..self.threads).map(|thread| core + thread * total).collect())
            .collect()
    }

    fn topology(&self) -> Topology {
        let mut fragment = Fragment::new(Provenance::Preset);
        let mut index = 0;
        for (node, count) in self.gpus.iter().enumerate() {
            let cores = self.cores_of(node);
            let cpus = cores.iter().fold(CpuSet::new(), |all, core| all.union(core));
            let numa = fact!(NumaNode::new(node as u32), cpus = cpus, memory = Some(1 << 30));
            let numa = fragment.add(NodeId::MACHINE, numa);
            for (number, core) in cores.iter().enumerate() {
                let id = fragment.add(NodeId::MACHINE, Core::new(number as u32));
                for cpu in core.iter() {
                    fragment.add(id, Pu::new(cpu));
                }
            }
            for _ in 0..*count {
                fragment.add(numa, Gpu::new(index));
                index += 1;
            }
        }
        TopologyBuilder::new().with(fragment).build().unwrap()
    }
}

fn machine() -> impl Strategy<Value = Machine> {
    (1usize..=4, 1u32..=2).prop_flat_map(|(nodes, threads)| {
        (prop::collection::vec(1u32..=9, nodes), prop::collection::vec(0usize..=4, nodes))
            .prop_map(move |(cores, gpus)| Machine { cores, threads, gpus })
    })
}

proptest! {
    #[test]
    fn shares_are_disjoint_equal_local_and_inside_the_limits(machine in machine(), forbidden in prop::collection::btree_set(0u32..72, 0..10)) {
        let topology = machine.topology();
        let reserved: CpuSet = forbidden.into_iter().collect();
        let limits = CpuLimits { reserved: reserved.clone(), ..CpuLimits::default() };
        let shares = share_cpus(&topology, &(&limits).into()).gpus;
        let usable = |node: usize| machine.cores_of(node).iter().any(|core| !core.is_subset(&reserved));
        let strays = (0..machine.gpus.len()).any(|node| machine.gpus[node] > 0 && !usable(node));
        let mut first = 0;
        for (node, count) in machine.gpus.iter().enumerate() {
            let own = &shares[first..first + count];
            first += count;
            let cores: Vec<CpuSet> = machine.cores_of(node).iter().map(|core| core.difference(&reserved)).filter(|core| !core.is_empty()).collect();
            let threads: usize = cores.iter().map(CpuSet::len).sum();
            if *count == 0 || threads == 0 {
                continue;
            }
            let local = cores.iter().fold(CpuSet::new(), |all, core| all.union(core));
            for (index, share) in own.iter().enumerate() {
                prop_assert!(!share.cpus.is_empty());
                prop_assert!(share.cpus.is_subset(&local), "{:?} is not near", share);
                prop_assert_eq!(share.mems.to_string(), node.to_string());
                if threads >= *count && !strays {
                    prop_assert!(own[..index].iter().all(|other| other.cpus.is_disjoint(&share.cpus)));
                }
            }
            // GPUs of a node without usable CPUs come here too, and then the counts are no longer this node's.
            if cores.len() >= *count && !strays {
                let whole = |share: &CpuSet| cores.iter().filter(|core| core.is_subset(share)).count();
                let counts: Vec<usize> = own.iter().map(|share| whole(&share.cpus)).collect();
                prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{:?}", counts);
                prop_assert_eq!(counts.iter().sum::<usize>(), cores.len());
            }
        }
    }
}

proptest! {
    #[test]
    fn split_cpus_are_all_of_them_in_equal_whole_cores(machine in machine(), left_out in prop::collection::btree_set(0u32..72, 0..10), parts in 1usize..40) {
        let topology = machine.topology();
        let left_out: CpuSet = left_out.into_iter().collect();
        let cores: Vec<CpuSet> = (0..machine.cores.len()).flat_map(|node| machine.cores_of(node)).map(|core| core.difference(&left_out)).filter(|core| !core.is_empty()).collect();
        let cpus: CpuSet = cores.iter().collect();
        let split = split_cpus(&topology, &cpus, parts).unwrap();
        prop_assert_eq!(split.len(), parts);
        prop_assert_eq!(&split.iter().collect::<CpuSet>(), &cpus);
        if parts <= cpus.len() {
            prop_assert_eq!(split.iter().map(CpuSet::len).sum::<usize>(), cpus.len());
        }
        if parts <= cores.len() {
            let counts: Vec<usize> = split.iter().map(|part| cores.iter().filter(|core| core.is_subset(part)).count()).collect();
            prop_assert_eq!(counts.iter().sum::<usize>(), cores.len());
            prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{:?}", counts);
        } else if !cpus.is_empty() {
            prop_assert!(split.iter().all(|part| part.len() <= cpus.len().div_ceil(parts)));
        }
    }
}

#[test]
fn split_cpus_of_unknown_cores_and_of_none() {
    let text = stated(&["0-7,16-23"]);
    let texts = |cpus: &str, parts: usize| -> Vec<String> {
        split_cpus(&text, &cpus.parse().unwrap(), parts).unwrap().iter().map(ToString::to_string).collect()
    };
    assert_eq!(texts("0-7,16-23", 2), ["0-3,16-19", "4-7,20-23"]);
    assert_eq!(texts("0-1", 3), ["0", "0", "1"]);
    assert_eq!(texts("", 2), ["", ""]);
    assert!(texts("0-7", 0).is_empty());
    let many = split_cpus(&text, &CpuSet::new(), usize::MAX).unwrap_err();
    assert_eq!(many.kind(), nvtopo::ErrorKind::InvalidRequest);
}

/// GPUs whose affinities are stated, on a machine without known cores.
fn stated(affinities: &[&str]) -> Topology {
    let mut fragment = Fragment::new(Provenance::Smi);
    for (index, cpus) in affinities.iter().enumerate() {
        let cpus = Stated::Known(cpus.parse().unwrap());
        fragment.add(NodeId::MACHINE, fact!(Gpu::new(index as u32), cpus = cpus));
    }
    TopologyBuilder::new().with(fragment).build().unwrap()
}

fn share_texts(topology: &Topology, limits: &CpuLimits) -> Vec<String> {
    share_cpus(topology, &limits.into()).gpus.iter().map(|share| share.cpus.to_string()).collect()
}

#[test]
fn threads_of_a_core_stay_together_in_the_usual_numbering() {
    let topology = stated(&["0-7,16-23", "0-7,16-23", "8-15,24-31"]);
    assert_eq!(share_texts(&topology, &CpuLimits::default()), ["0-3,16-19", "4-7,20-23", "8-15,24-31"]);
}

#[test]
fn overlapping_affinities_are_shared_as_equally_as_they_can_be() {
    // GPU0 alone reaches 0-1; the rest is open to both, so that each gets four.
    let topology = stated(&["0-7", "2-7"]);
    let shares = share_texts(&topology, &CpuLimits::default());
    assert_eq!(shares, ["0-3", "4-7"]);
}

#[test]
fn a_gpu_that_bridges_two_groups_changes_nothing_in_their_order() {
    // Whoever joins the groups of the others, GPUs of lower numbers come first.
    for (affinities, expected) in [
        (["0-1", "2-3", "0-3"], ["0", "2-3", "1"]),
        (["2-3", "0-1", "0-3"], ["2", "0-1", "3"]),
        (["0-3", "0-1", "2-3"], ["0,2", "1", "3"]),
    ] {
        assert_eq!(share_texts(&stated(&affinities), &CpuLimits::default()), expected, "{affinities:?}");
    }
}

#[test]
fn jobs_that_need_cpus_get_those_of_their_own_shares() {
    // Both reach 0-3, and GPU1 alone has 4-7.
    for affinities in [["0-3", "0-7"], ["4-7", "0-7"]] {
        let topology = stated(&affinities);
        let shares: Vec<CpuSet> =
            share_cpus(&topology, &CpuRules::default()).gpus.into_iter().map(|share| share.cpus).collect();
        for count in 1..=4 {
            let placement = Request::gpus(2).cpus_per_gpu(count).solve(&topology).unwrap();
            for (gpu, share) in placement.gpus().iter().zip(&shares) {
                assert!(
                    gpu.cpus.len() == count && gpu.cpus.is_subset(share),
                    "{affinities:?} {count}: {gpu:?}"
                );
            }
        }
    }
}

/// The most equal counts that GPUs can have, lowest first, by all ways to give each CPU to one of those near it.
fn most_equal(near: &[CpuSet], cpus: &[u32], counts: &mut Vec<usize>) -> Vec<usize> {
    let Some((cpu, rest)) = cpus.split_first() else {
        let mut sorted = counts.clone();
        sorted.sort_unstable();
        return sorted;
    };
    let takers: Vec<usize> = (0..near.len()).filter(|gpu| near[*gpu].contains(*cpu)).collect();
    let with = |gpu: &usize| {
        counts[*gpu] += 1;
        let found = most_equal(near, rest, counts);
        counts[*gpu] -= 1;
        found
    };
    takers.iter().map(with).max().unwrap_or_else(|| most_equal(near, rest, counts))
}

proptest! {
    #[test]
    fn affinities_that_overlap_are_shared_as_equally_as_any_way_does(
        ranges in prop::collection::vec((0u32..7, 1u32..7), 1..=4),
    ) {
        let near: Vec<CpuSet> = ranges.iter().map(|(first, count)| (*first..(first + count).min(8)).collect()).collect();
        let texts: Vec<String> = near.iter().map(ToString::to_string).collect();
        let shares = share_cpus(&stated(&texts.iter().map(String::as_str).collect::<Vec<_>>()), &CpuRules::default()).gpus;
        let all: CpuSet = near.iter().collect();
        let best = most_equal(&near, &all.iter().collect::<Vec<_>>(), &mut vec![0; near.len()]);
        for (share, near) in shares.iter().zip(&near) {
            prop_assert!(share.cpus.is_subset(near) && !share.cpus.is_empty(), "{:?} of {:?}", share, near);
        }
        if best[0] > 0 {
            let mut counts: Vec<usize> = shares.iter().map(|share| share.cpus.len()).collect();
            counts.sort_unstable();
            prop_assert_eq!(counts, best, "{:?}", shares);
            let disjoint = |a: usize, b: usize| shares[a].cpus.is_disjoint(&shares[b].cpus);
            prop_assert!((0..near.len()).all(|a| (0..a).all(|b| disjoint(a, b))), "{:?}", shares);
        }
    }

    #[test]
    fn affinities_that_cut_through_cores_give_no_cpu_beyond_them(
        masks in prop::collection::vec(1u32..256, 1..=3),
    ) {
        // Four cores of two threads each, four apart.
        let mut fragment = Fragment::new(Provenance::Preset);
        for core in 0..4 {
            let id = fragment.add(NodeId::MACHINE, Core::new(core));
            for os_index in [core, core + 4] {
                fragment.add(id, Pu::new(os_index));
            }
        }
        let near: Vec<CpuSet> = masks.iter().map(|mask| (0..8).filter(|cpu| mask >> cpu & 1 == 1).collect()).collect();
        for (index, cpus) in (0..).zip(&near) {
            let gpu = fact!(Gpu::new(index), cpus = Stated::Known(cpus.clone()));
            fragment.add(NodeId::MACHINE, gpu);
        }
        let topology = TopologyBuilder::new().with(fragment).build().unwrap();
        for policy in ["exclusive", "scattered", "balanced"] {
            let rules = CpuRules { policy: policy.parse().unwrap(), ..CpuRules::default() };
            for (share, near) in share_cpus(&topology, &rules).gpus.iter().zip(&near) {
                prop_assert!(share.cpus.is_subset(near) && !share.cpus.is_empty(), "{} {:?} of {:?}", policy, share, near);
            }
        }
    }
}

#[test]
fn where_nothing_near_is_allowed_the_nearest_is_taken() {
    let machine = Machine { cores: vec![4, 4], threads: 1, gpus: vec![1, 1] };
    let limits = CpuLimits { allowed: Some("4-7".parse().unwrap()), ..CpuLimits::default() };
    let shares = share_cpus(&machine.topology(), &(&limits).into());
    assert_eq!(share_texts(&machine.topology(), &limits), ["4-5", "6-7"]);
    assert!(shares.remarks.iter().any(|remark| remark.contains("GPU0")), "{:?}", shares.remarks);
}

#[test]
fn fewer_cpus_than_gpus_are_shared_with_a_remark() {
    let machine = Machine { cores: vec![1], threads: 2, gpus: vec![3] };
    let shares = share_cpus(&machine.topology(), &CpuRules::default());
    assert_eq!(share_texts(&machine.topology(), &CpuLimits::default()), ["0-1", "0-1", "0-1"]);
    assert!(shares.remarks.iter().any(|remark| remark.contains("share")), "{:?}", shares.remarks);
}

#[test]
fn a_process_that_was_bound_keeps_its_share() {
    let topology = Topology::preset("dgx-h100").unwrap();
    let visible = VisibleGpus::all(&topology, CudaOrder::PciBusId);
    let part = |rank: Option<LocalRank>, allowed: Option<CpuSet>| {
        Part::of_visible(&topology, &visible, rank, &CpuLimits { allowed, ..CpuLimits::default() })
            .unwrap()
            .cpus
    };
    for rank in [Some(LocalRank { rank: 5, size: Some(8) }), None] {
        let first = part(rank, None);
        assert_eq!(part(rank, Some(first.clone())), first);
    }
    let placement = |allowed: CpuSet| Request::gpus(2).allowed_cpus(allowed).solve(&topology).unwrap().cpus();
    let first = placement(topology.cpus());
    assert_eq!(placement(first.clone()), first);
}

#[test]
fn gpus_beside_which_no_cpu_is_left_are_chosen_last() {
    let dgx = Topology::preset("dgx-h100").unwrap();
    let first: CpuSet = "0-55,112-167".parse().unwrap();
    let of_first = |placement: &Placement| placement.gpus().iter().filter(|gpu| gpu.position < 4).count();
    for count in 1..=8 {
        let request = Request::gpus(count).reserved_cpus(first.clone());
        let placement = request.solve(&dgx).unwrap();
        assert_eq!(of_first(&placement), count.saturating_sub(4), "{count}: {placement:?}");
        let claim = Claim::from(&placement);
        let sets = (1..=count).fold(1, |sets, step| sets * (9 - step) / step) as u64;
        assert_eq!(check(&dgx, &request, &claim).unwrap(), Ok(Verdict::Proven { sets, objectives: 5 }));
        let other = Claim::from(&Request::gpus(count).solve(&dgx).unwrap());
        assert_eq!(check(&dgx, &request, &other).unwrap().is_err(), count < 8, "{count}: {other:?}");
    }
    // Some of the node's CPUs are left, or none of the machine's: then no GPU is worse off.
    for reserved in ["0-54,112-167", "0-223"] {
        let placement = Request::gpus(2).reserved_cpus(reserved.parse().unwrap()).solve(&dgx).unwrap();
        assert_eq!(placement.gpu_indices(), [0, 1], "{reserved}");
    }

    // The limits of a container count alike.
    let mut saved: serde_json::Value = serde_json::from_str(&dgx.to_json()).unwrap();
    saved["topology"]["nodes"][0]["machine"]["allowed_cpus"] = "56-111,168-223".into();
    let within = Topology::parse("dgx.json", saved.to_string().as_bytes()).unwrap();
    assert_eq!(within.machine().allowed_cpus.as_ref().unwrap().len(), 112);
    assert_eq!(Request::gpus(4).solve(&within).unwrap().gpu_indices(), [4, 5, 6, 7]);

    // So does memory that is not allowed: the nearest that is takes its place.
    saved["topology"]["nodes"][0]["machine"] = serde_json::json!({"allowed_nodes": "1"});
    let within = Topology::parse("dgx.json", saved.to_string().as_bytes()).unwrap();
    for count in 1..=8 {
        let request = Request::gpus(count);
        let placement = request.solve(&within).unwrap();
        assert_eq!(of_first(&placement), count.saturating_sub(4), "{count}: {placement:?}");
        assert_eq!(placement.mems().to_string(), "1");
        let told = placement.remarks().iter().any(|remark| remark.contains("none of the memory near"));
        assert_eq!(told, count > 4, "{:?}", placement.remarks());
        assert!(matches!(
            check(&within, &request, &Claim::from(&placement)).unwrap(),
            Ok(Verdict::Proven { .. })
        ));
    }
    assert_eq!(
        share_cpus(&within, &CpuRules::default()).remarks,
        [
            "none of the memory near GPU0, GPU1, GPU2, GPU3 may be used; the nearest that is allowed is taken, of NUMA node 1"
        ]
    );

    let words = nvtopo_draw::words::allowed(&within);
    assert_eq!(words.as_deref(), Some("Allowed here: memory of NUMA nodes 1"));

    // So do isolated CPUs, unless they are used.
    saved["topology"]["nodes"][0]["machine"] = serde_json::json!({"isolated_cpus": "0-55,112-167"});
    let isolated = Topology::parse("dgx.json", saved.to_string().as_bytes()).unwrap();
    assert_eq!(Request::gpus(4).solve(&isolated).unwrap().gpu_indices(), [4, 5, 6, 7]);
    let used = Request::gpus(4).isolated(Isolated::Use).solve(&isolated).unwrap();
    assert_eq!(used.gpu_indices(), [0, 1, 2, 3]);

    // CPUs count where NUMA nodes are unknown.
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/solver/cpus-without-nodes.txt");
    let nodeless = Topology::parse("topo.txt", &std::fs::read(file).unwrap()).unwrap();
    let placement = Request::gpus(2).reserved_cpus("0-47".parse().unwrap()).solve(&nodeless).unwrap();
    assert_eq!(placement.gpu_indices(), [4, 5]);
}

#[test]
fn remarks_on_cpus_that_are_not_there_say_why() {
    let dgx = Topology::preset("dgx-h100").unwrap();
    let remarks = |topology: &Topology, reserved: &str| {
        Request::gpus(1).reserved_cpus(reserved.parse().unwrap()).solve(topology).unwrap().remarks().to_vec()
    };
    let strange = "CPUs 224-600 are reserved, and not there: this machine has CPUs 0-223";
    assert_eq!(remarks(&dgx, "0,200-600"), [strange]);
    assert_eq!(remarks(&dgx, "0,200-223"), [""; 0]);
    let mut saved: serde_json::Value = serde_json::from_str(&dgx.to_json()).unwrap();
    for (machine, reserved, end) in [
        (serde_json::json!({}), "0-223", "fewer have to be reserved, or more allowed"),
        (serde_json::json!({"offline_cpus": "0-223"}), "", "all are offline"),
        (serde_json::json!({"offline_cpus": "0-9", "allowed_cpus": "0-9"}), "", "more have to be allowed"),
    ] {
        saved["topology"]["nodes"][0]["machine"] = machine;
        let topology = Topology::parse("dgx.json", saved.to_string().as_bytes()).unwrap();
        let told = format!("none of the CPUs near GPU0 may be used; and no others are left: {end}");
        assert_eq!(remarks(&topology, reserved), [told]);
    }
    // A matrix of nvidia-smi names the CPUs near GPUs, and no others.
    let text = "\tGPU0\tCPU Affinity\tNUMA Affinity\nGPU0\t X \t0-15\t0\n";
    let told = remarks(&Topology::parse("topo.txt", text.as_bytes()).unwrap(), "99");
    assert!(!told.iter().any(|remark| remark.contains("reserved")), "{told:?}");
}

#[test]
fn gpus_elsewhere_take_nothing_from_a_job_that_does_not_see_them() {
    let topology = Topology::preset("dgx-h100").unwrap();
    let limits = CpuLimits { allowed: Some("0-55".parse().unwrap()), ..CpuLimits::default() };
    let rank = |rank: usize| Some(LocalRank { rank, size: Some(4) });
    let cpus = |visible: &str, own: usize| {
        let visible = VisibleGpus::resolve(&topology, Some(visible), CudaOrder::PciBusId);
        Part::of_visible(&topology, &visible, rank(own), &limits).unwrap().cpus
    };
    assert_eq!(cpus("0,1,2,3", 1).to_string(), "14-27");
    // Seen, they have to run somewhere.
    let part = cpus("3,4", 1);
    assert!(!part.is_empty() && part.is_disjoint(&cpus("3,4", 0)), "{part}");
}

#[test]
fn memory_is_never_taken_from_a_gpu() {
    let text = "\tGPU0\tGPU1\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID\n\
                GPU0\t X \tNV18\t0-71\t0,2-17\t2\nGPU1\tNV18\t X \t72-143\t1,18-33\t18\n";
    let matrix = Topology::parse("gb200.txt", text.as_bytes()).unwrap();
    let preset = Topology::preset("gb200-nvl72-tray").unwrap();
    for (topology, gpu, node) in [(&matrix, 0, "0"), (&matrix, 1, "1"), (&preset, 0, "0"), (&preset, 3, "1")]
    {
        let shares = share_cpus(topology, &CpuRules::default());
        assert_eq!(shares.gpus[gpu].mems.to_string(), node, "{topology:?}");
    }
}

#[test]
fn a_nic_for_which_too_few_cores_are_left_reserves_none() {
    let mut fragment = Fragment::new(Provenance::Preset);
    let numa = fact!(NumaNode::new(0), cpus = "0-2".parse().unwrap());
    let numa = fragment.add(NodeId::MACHINE, numa);
    for core in 0..3 {
        let id = fragment.add(NodeId::MACHINE, Core::new(core));
        fragment.add(id, Pu::new(core));
    }
    for nic in 0..2 {
        fragment.add(numa, NodeKind::Nic(Box::new(Nic::new(format!("mlx5_{nic}")))));
    }
    let topology = TopologyBuilder::new().with(fragment).build().unwrap();
    let reserved = |each: usize| nic_interrupt_cpus(&topology, each).to_string();
    assert_eq!([reserved(1), reserved(2), reserved(3), reserved(4)], ["1-2", "1-2", "0-2", ""]);
}
