//! The mistakes that other binders make, each named in plain words. Those that only a real process can show are in
//! `binding.rs`.

use crate::made_machine::{is_anothers, nodes, union};
use nvtopo::apply::{Export, environment, hazards};
use nvtopo::model::{Fragment, Gpu, Nic, NodeId, NodeKind, NumaNode, PortState, Provenance, TopologyBuilder};
use nvtopo::solve::CPU_POLICIES;
use nvtopo::{
    CpuLimits, CpuRules, CpuSet, CudaOrder, LocalRank, Part, Plan, Topology, VisibleGpus, share_cpus,
};

fn job(topology: &Topology, visible: Option<&str>, ranks: usize, rules: &CpuRules) -> Vec<Part> {
    let visible = VisibleGpus::resolve(topology, visible, CudaOrder::PciBusId);
    Plan::new(topology, &visible, ranks, rules).unwrap().parts().to_vec()
}

fn inside(allowed: &str, policy: &str) -> CpuRules {
    let limits = CpuLimits { allowed: Some(allowed.parse().unwrap()), ..CpuLimits::default() };
    CpuRules { policy: policy.parse().unwrap(), limits, ..CpuRules::default() }
}

fn texts(parts: &[Part]) -> Vec<String> {
    parts.iter().map(|part| part.cpus.to_string()).collect()
}

#[test]
fn mistake_1_the_number_of_a_visible_gpu_is_taken_for_that_of_the_gpu() {
    let mut fragment = nodes(&[4, 4], &[2, 2]).fragment();
    let uuid = "GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77";
    let gpus: Vec<NodeId> = ids(&fragment, |kind| kind.as_gpu().is_some());
    if let NodeKind::Gpu(gpu) = fragment.node_mut(gpus[3]) {
        gpu.uuid = uuid.parse().ok();
    }
    for id in &gpus[..3] {
        if let NodeKind::Gpu(gpu) = fragment.node_mut(*id) {
            gpu.uuid = format!("GPU-0000000{}-d33d-2b2c-524d-9e3d8d2b8a77", gpu.index).parse().ok();
        }
    }
    let topology = TopologyBuilder::new().with(fragment).build().unwrap();
    let rules = CpuRules::default();
    // Local rank 0 of the job, and GPU number 3 of the machine.
    for list in [uuid, "3", "3,2", "GPU-5d5ba0d6"] {
        let parts = job(&topology, Some(list), 1, &rules);
        assert_eq!((parts[0].gpus[0], texts(&parts)[0].as_str()), (3, "6-7"), "{list}");
    }
}

/// The nodes of a kind, in the order in which they were added.
fn ids(fragment: &Fragment, is: impl Fn(&NodeKind) -> bool) -> Vec<NodeId> {
    let topology = TopologyBuilder::new().with(fragment.clone()).build().unwrap();
    topology.nodes().filter(|(_, node)| is(&node.kind)).map(|(id, _)| id).collect()
}

#[test]
fn mistake_2_cpus_are_cut_over_the_visible_gpus_so_that_two_jobs_overlap() {
    let topology = nodes(&[16], &[4]).topology();
    let rules = CpuRules::default();
    assert_eq!(texts(&job(&topology, Some("0,1"), 2, &rules)), ["0-3", "4-7"]);
    assert_eq!(texts(&job(&topology, Some("2,3"), 2, &rules)), ["8-11", "12-15"]);
}

#[test]
fn mistake_3_cpus_are_taken_that_the_process_may_not_use() {
    let topology = nodes(&[2], &[2]).topology();
    for policy in CPU_POLICIES {
        let parts = job(&topology, None, 2, &inside("1", policy.name()));
        assert_eq!(texts(&parts), ["1", "1"], "{policy}");
    }
}

#[test]
fn mistake_4_nothing_is_left_where_no_near_cpu_may_be_used() {
    let mut made = nodes(&[4, 4, 4], &[2, 0, 0]);
    // Node 1 is in the package of node 0, and nearer than node 2.
    made.nodes_per_package = 2;
    made.complex = 2;
    let topology = made.topology();
    for policy in CPU_POLICIES.iter().filter(|policy| policy.name() != "socket" && !is_anothers(**policy)) {
        let shares = share_cpus(&topology, &inside("6-11", policy.name()));
        let all = union(&shares.gpus.iter().map(|share| share.cpus.clone()).collect::<Vec<_>>());
        assert!(shares.gpus.iter().all(|share| !share.cpus.is_empty()), "{policy}");
        let expected: CpuSet = if policy.name() == "machine" { "6-11" } else { "6-7" }.parse().unwrap();
        assert!(all.is_subset(&expected), "{policy} takes {all}");
        assert!(shares.remarks.iter().any(|remark| remark.contains("the nearest others are taken")));
    }
}

#[test]
fn mistake_6_a_node_that_has_memory_only_is_taken_for_a_place_to_run_or_for_host_memory() {
    let mut made = nodes(&[4, 4], &[1, 1]);
    made.gpus_on_memory = 1;
    for policy in CPU_POLICIES {
        let parts = job(&made.topology(), None, 3, &inside("0-7", policy.name()));
        for part in &parts {
            assert!(!part.cpus.is_empty(), "{policy}");
            assert!(!part.mems.contains(2), "{policy} takes host memory from the GPU's node");
        }
    }
    // The GPU's own node has no CPUs; node 1 is the nearest that has some.
    let parts = job(&made.topology(), None, 3, &inside("0-7", "node"));
    assert_eq!((parts[2].cpus.to_string(), parts[2].mems.to_string()), ("4-7".to_owned(), "1".to_owned()));

    // Numbers of nodes with holes, as on POWER9: memory is not lost on the second.
    let mut fragment = Fragment::new(Provenance::Preset);
    for (index, node) in [0u32, 8].into_iter().enumerate() {
        let cpus = (index as u32 * 4..index as u32 * 4 + 4).collect();
        let numa = fact!(NumaNode::new(node), cpus = cpus, memory = Some(1 << 30));
        let numa = fragment.add(NodeId::MACHINE, numa);
        let gpu = Gpu::new(index as u32);
        fragment.add(numa, gpu);
    }
    let power9 = TopologyBuilder::new().with(fragment).build().unwrap();
    assert_eq!(job(&power9, None, 2, &CpuRules::default())[1].mems.to_string(), "8");
}

#[test]
fn mistake_7_an_unknown_node_is_read_as_node_0() {
    let mut made = nodes(&[4, 4], &[0, 0]);
    made.unknown_gpus = 2;
    let topology = made.topology();
    let visible = VisibleGpus::all(&topology, CudaOrder::PciBusId);
    let plan = Plan::new(&topology, &visible, 2, &CpuRules::default()).unwrap();
    // All CPUs, in equal parts, and not all ranks on node 0.
    assert_eq!(texts(plan.parts()), ["0-3", "4-7"]);
    assert!(plan.remarks().iter().any(|remark| remark.contains("unknown")), "{:?}", plan.remarks());
}

#[test]
fn mistake_9_variables_are_set_or_overlooked_that_shrink_a_process_to_one_core() {
    let topology = nodes(&[8], &[2]).topology();
    let visible = VisibleGpus::all(&topology, CudaOrder::PciBusId);
    let part = &job(&topology, None, 2, &CpuRules::default())[0];
    let set = environment(&topology, &visible, part, &Export::ALL, |_| None);
    assert!(set.contains(&("OMP_NUM_THREADS", "4".to_owned())), "{set:?}");
    for never in
        ["OMP_PLACES", "OMP_PROC_BIND", "GOMP_CPU_AFFINITY", "KMP_AFFINITY", "NCCL_NET_GDR_LEVEL", "UCX_TLS"]
    {
        assert!(set.iter().all(|(name, _)| *name != never), "{set:?}");
    }
    let warned = |name: &str, value: &str| {
        let variable = |asked: &str| (asked == name).then(|| value.to_owned());
        hazards(variable).len() == 1
    };
    for (name, value) in [
        ("OMP_PLACES", "cores"),
        ("OMP_PROC_BIND", "close"),
        ("OMP_PROC_BIND", "spread"),
        ("OMP_PROC_BIND", "TRUE"),
        ("GOMP_CPU_AFFINITY", "0-1"),
        ("KMP_AFFINITY", "granularity=fine,compact,1,0"),
    ] {
        assert!(warned(name, value), "{name}={value}");
    }
    for (name, value) in [
        ("OMP_PROC_BIND", "false"),
        ("OMP_PROC_BIND", "FALSE"),
        ("OMP_PLACES", ""),
        ("KMP_AFFINITY", "disabled"),
        ("KMP_AFFINITY", "verbose,none"),
        ("OMP_NUM_THREADS", "4"),
    ] {
        assert!(!warned(name, value), "{name}={value}");
    }
    // A number of threads that is there already stays, unless a change is asked for.
    let told = |exports: &[Export]| {
        let variable = |name: &str| (name == "OMP_NUM_THREADS").then(|| "1".to_owned());
        environment(&topology, &visible, part, exports, variable)
    };
    assert_eq!(told(&[]), []);
    assert_eq!(told(&[Export::Threads]), [("OMP_NUM_THREADS", "4".to_owned())]);
}

#[test]
fn mistake_11_each_rank_is_given_its_own_list_of_nics_for_nccl() {
    let mut fragment = nodes(&[4, 4], &[1, 1]).fragment();
    let homes = ids(&fragment, |kind| kind.as_numa_node().is_some());
    for (number, (home, state)) in
        [(0, PortState::Active), (1, PortState::Active), (1, PortState::Down)].into_iter().enumerate()
    {
        let name = format!("mlx5_{number}");
        let nic = fact!(Nic::new(name.clone()), rdma_device = Some(name), state = Some(state));
        fragment.add(homes[home], nic);
    }
    let topology = TopologyBuilder::new().with(fragment).build().unwrap();
    let visible = VisibleGpus::all(&topology, CudaOrder::PciBusId);
    let parts = job(&topology, None, 2, &CpuRules::default());
    let told = |part: &Part, exports: &[Export], name: &str| {
        let set = environment(&topology, &visible, part, exports, |_| None);
        set.into_iter().find(|(other, _)| *other == name).map(|(_, value)| value)
    };
    for part in &parts {
        assert_eq!(told(part, &[], "NCCL_IB_HCA"), None, "unasked");
        assert_eq!(told(part, &[Export::IbHca], "NCCL_IB_HCA").as_deref(), Some("=mlx5_0,mlx5_1"));
    }
    // A job on one of the GPUs is told of its own alone, and a person of the other.
    let first =
        VisibleGpus { same_for_all: true, ..VisibleGpus::resolve(&topology, Some("0"), CudaOrder::PciBusId) };
    let set = environment(&topology, &first, &parts[0], &[Export::IbHca], |_| None);
    assert!(set.contains(&("NCCL_IB_HCA", "=mlx5_0".to_owned())), "{set:?}");
    let told_of = nvtopo::apply::export_remarks(&topology, &first, &[Export::IbHca]);
    assert_eq!(told_of, ["NCCL_IB_HCA leaves out mlx5_1, mlx5_2: no GPU of the job uses them"]);
    // UCX and UCCL are told the one of the rank.
    assert_eq!(told(&parts[1], &[Export::UcclDevice], "UCCL_P2P_RDMA_DEV").as_deref(), Some("mlx5_1"));
    let ucx = |rank: usize| told(&parts[rank], &[Export::UcxDevice], "UCX_NET_DEVICES");
    assert_eq!((ucx(0).as_deref(), ucx(1).as_deref()), (Some("mlx5_0:1"), Some("mlx5_1:1")));
}

#[test]
fn mistake_13_siblings_are_assumed_to_be_core_plus_n_and_the_remainder_is_dropped() {
    let mut made = nodes(&[7, 3], &[2, 1]);
    made.threads = 2;
    made.siblings_adjacent = true;
    let parts = job(&made.topology(), None, 3, &CpuRules::default());
    assert_eq!(texts(&parts), ["0-7", "8-13", "14-19"]);
    made.siblings_adjacent = false;
    let parts = job(&made.topology(), None, 3, &CpuRules::default());
    assert_eq!(texts(&parts), ["0-3,10-13", "4-6,14-16", "7-9,17-19"]);
}

#[test]
fn a_rank_inside_another_launcher_follows_the_inner_one() {
    // The children of torchrun under srun all have Slurm's local rank 0.
    let variables = [("SLURM_LOCALID", "0"), ("LOCAL_RANK", "1"), ("LOCAL_WORLD_SIZE", "2")];
    let variable =
        |name: &str| variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned());
    let rank = LocalRank::from_environment(variable).unwrap();
    assert_eq!(rank, Some(LocalRank { rank: 1, size: Some(2) }));
}
