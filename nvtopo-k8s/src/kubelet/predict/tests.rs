//! Answers of a real kubelet, and what must hold of any.

use super::boards::Board;
use super::hints::{Hint, Mask};
use super::{GpuLinks, Plugin, Pod, Policy, Prediction, Predictor, Scope, Settings, Taken, Verdict};
use nvtopo::model::{Core, Fragment, Gpu, NodeId, NumaNode, Provenance, Pu, Stated, TopologyBuilder};
use nvtopo::{CpuSet, Kubelet, NodeSet};
use proptest::prelude::*;

const EACH: Scope = Scope::Container;

fn predict(board: &Board, settings: Settings, taken: &Taken, pod: &Pod, policy: Policy) -> Prediction {
    Predictor::new(&board.topology(), settings, taken).unwrap().predict(pod, policy, EACH).unwrap()
}

fn plain() -> Settings {
    Settings::default().plugin(Plugin::Silent)
}

fn cpus(of: &str, count: u64, options: &str) -> String {
    let board = Board {
        packages: 2,
        nodes: 1,
        cores: 32,
        threads: 2,
        cache: 0,
        gpus: vec![],
        links: vec![],
        memory: None,
    };
    let all: CpuSet = "0-127".parse().unwrap();
    let taken = all.difference(&of.parse().unwrap());
    let settings = plain().cpu_manager(Some(options.parse::<Kubelet>().unwrap()));
    let answer =
        predict(&board, settings, &Taken::default().with_cpus(&taken), &Pod::gpus(0, count), Policy::None);
    answer.containers[0].cpus.clone().unwrap().to_string()
}

/// Recorded from Kubernetes 1.36 on two packages of 32 cores with two threads each.
#[test]
fn cpus_are_packed_as_recorded() {
    for (of, count, options, given) in [
        ("0-127", 8, "", "0-3,64-67"),
        ("1-63,65-127", 8, "", "1-4,65-68"),
        ("0-127", 65, "", "0-32,64-95"),
        ("1-63,65-127", 70, "", "1-3,32-63,65-67,96-127"),
        ("1-63,65-127", 70, "distribute-cpus-across-numa", "1-18,32-49,65-81,96-112"),
        ("0-127", 8, "distribute-cpus-across-cores", "0-7"),
    ] {
        assert_eq!(cpus(of, count, options), given, "{count} of {of} {options}");
    }
}

/// The kubelet remembers the best four of seven nodes in memory that the next four overwrite: CPU 0 to 2 would leave the machine
/// as balanced, and are not what comes out.
#[test]
fn remembered_nodes_change_as_in_the_kubelet() {
    let board = Board {
        packages: 2,
        nodes: 4,
        cores: 1,
        threads: 1,
        cache: 0,
        gpus: vec![],
        links: vec![],
        memory: None,
    };
    let settings = plain()
        .reserved_cpus("4".parse().unwrap())
        .cpu_manager(Some("distribute-cpus-across-numa".parse().unwrap()));
    let answer = predict(&board, settings, &Taken::default(), &Pod::gpus(0, 4), Policy::None);
    assert_eq!(answer.containers[0].cpus.as_ref().unwrap().to_string(), "3,5-7");
}

/// Recorded from Kubernetes 1.36: four NUMA nodes with a GPU each, NVLink between 0 and 1, and 2 and 3.
#[test]
fn pairs_across_nodes_end_as_recorded() {
    let board = Board::linked_across_nodes();
    let ask = |gpus, cpus, taken, policy| predict(&board, plain(), &taken, &Pod::gpus(gpus, cpus), policy);
    let none = Taken::default;
    for cpus in [0, 8, 48] {
        let answer = ask(2, cpus, none(), Policy::SingleNumaNode);
        assert_eq!(answer.verdict, Verdict::TopologyAffinityError, "{cpus}");
    }
    assert_eq!(ask(2, 8, none(), Policy::Restricted).verdict, Verdict::TopologyAffinityError);
    let wide = ask(2, 48, none(), Policy::Restricted);
    assert_eq!((&wide.verdict, wide.containers[0].gpus.as_slice()), (&Verdict::Admitted, [0, 1].as_slice()));
    assert_eq!(wide.containers[0].links, GpuLinks::All);
    for closest in [false, true] {
        let settings = plain().prefer_closest_numa_nodes(closest);
        let busy = predict(&board, settings, &Taken::gpus([0]), &Pod::gpus(2, 48), Policy::Restricted);
        let container = &busy.containers[0];
        assert_eq!(container.hint.as_ref().unwrap().to_string(), "1-2");
        assert!(container.preferred && busy.verdict.is_admitted());
        assert_eq!((container.gpus.as_slice(), container.links), ([1, 2].as_slice(), GpuLinks::Apart));
        assert!(busy.has_unlinked() && !busy.is_good());
    }
}

/// Recorded from Kubernetes 1.36: of 2 × 4 GPUs two and two are free, and four are asked for.
#[test]
fn four_of_two_and_two_end_as_recorded() {
    let board = Board::two_of_four();
    for (policy, admitted) in [
        (Policy::SingleNumaNode, false),
        (Policy::Restricted, false),
        (Policy::BestEffort, true),
        (Policy::None, true),
    ] {
        let answer = predict(&board, plain(), &Taken::gpus([0, 1, 4, 5]), &Pod::gpus(4, 0), policy);
        assert_eq!(answer.verdict.is_admitted(), admitted, "{policy}");
        if admitted {
            assert_eq!(answer.containers[0].gpus, [2, 3, 6, 7]);
        }
    }
}

#[test]
fn the_plugin_is_asked_only_where_there_are_more_than_needed() {
    let board = Board { links: vec![(0, 2), (1, 3)], gpus: vec![Some(0); 4], ..Board::two_of_four() };
    let ask = |plugin, taken, policy| {
        let settings = Settings::default().plugin(plugin);
        predict(&board, settings, &taken, &Pod::gpus(2, 0), policy)
    };
    let linked = ask(Plugin::Linked, Taken::default(), Policy::BestEffort);
    assert_eq!((linked.containers[0].gpus.as_slice(), linked.any), ([0, 2].as_slice(), false));
    let silent = ask(Plugin::Silent, Taken::default(), Policy::BestEffort);
    assert_eq!((silent.containers[0].gpus.as_slice(), silent.any), ([0, 1].as_slice(), true));
    assert_eq!(silent.containers[0].links, GpuLinks::Apart);
    // Nobody is asked where there are just as many.
    let rest = ask(Plugin::Linked, Taken::gpus([0, 3]), Policy::BestEffort);
    assert_eq!((rest.containers[0].gpus.as_slice(), rest.any), ([1, 2].as_slice(), false));
}

#[test]
fn whole_cores_are_kept_whole() {
    let board = Board::two_of_four();
    let options = || plain().cpu_manager(Some("full-pcpus-only".parse().unwrap()));
    let odd = predict(&board, options(), &Taken::default(), &Pod::gpus(1, 3), Policy::None);
    assert_eq!(odd.verdict.reason(), Some("SMTAlignmentError"));
    // One thread of a core is reserved, and its sibling is lost: 190 are left.
    let reserved = options().reserved_cpus("0".parse().unwrap());
    assert!(
        predict(&board, reserved.clone(), &Taken::default(), &Pod::gpus(1, 190), Policy::None)
            .verdict
            .is_admitted()
    );
    let all = predict(&board, reserved, &Taken::default(), &Pod::gpus(1, 192), Policy::None);
    assert_eq!(all.verdict.reason(), Some("SMTAlignmentError"));
    assert!(all.verdict.message().unwrap().contains("available physical CPUs = 190"));
}

#[test]
fn what_init_containers_had_is_used_again_and_sidecars_keep_theirs() {
    let pod = |policy: &str| {
        Pod::from_yaml(
            "p",
            &format!(
                "
apiVersion: v1
kind: Pod
spec:
  initContainers:
  - {{name: first, {policy} resources: {{limits: {{cpu: 4, memory: 1Gi, nvidia.com/gpu: 2}}}}}}
  containers:
  - {{name: main, resources: {{limits: {{cpu: 4, memory: 1Gi, nvidia.com/gpu: 2}}}}}}
"
            ),
        )
        .unwrap()
    };
    let board = Board::two_of_four();
    let ask = |pod: &Pod| predict(&board, plain(), &Taken::default(), pod, Policy::Restricted).containers;
    let again = ask(&pod(""));
    assert_eq!((&again[0].gpus, &again[0].cpus), (&again[1].gpus, &again[1].cpus));
    let beside = ask(&pod("restartPolicy: Always,"));
    assert_eq!(
        (beside[0].gpus.as_slice(), beside[1].gpus.as_slice()),
        ([0, 1].as_slice(), [2, 3].as_slice())
    );
    assert!(beside[0].cpus.as_ref().unwrap().is_disjoint(beside[1].cpus.as_ref().unwrap()));
}

#[test]
fn the_scope_of_a_pod_keeps_containers_together() {
    let two = "
apiVersion: v1
kind: Pod
spec:
  containers:
  - {name: a, resources: {limits: {cpu: 8, memory: 1Gi, nvidia.com/gpu: 3}}}
  - {name: b, resources: {limits: {cpu: 8, memory: 1Gi, nvidia.com/gpu: 3}}}
";
    let pod = Pod::from_yaml("p", two).unwrap();
    let predictor = Predictor::new(&Board::two_of_four().topology(), plain(), &Taken::default()).unwrap();
    let nodes = |scope| {
        let answer = predictor.predict(&pod, Policy::Restricted, scope).unwrap();
        answer.containers.iter().map(|one| one.gpu_nodes.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(nodes(Scope::Container), ["0", "1"]);
    // Both together need two nodes, and CPUs prefer one.
    assert!(nodes(Scope::Pod).is_empty());
    let loose = predictor.predict(&pod, Policy::BestEffort, Scope::Pod).unwrap();
    assert!(loose.verdict.is_admitted());
}

#[test]
fn memory_narrows_the_nodes() {
    let board = Board::linked_across_nodes();
    let settings = || plain().reserved_memory([(0, 1 << 30)]);
    let pod = |memory: &str| {
        let text = format!(
            "apiVersion: v1\nkind: Pod\nspec: {{containers: [{{name: a, resources: {{limits: {{cpu: 2, memory: {memory}}}}}}}]}}"
        );
        Pod::from_yaml("p", &text).unwrap()
    };
    let ask = |memory: &str, policy| predict(&board, settings(), &Taken::default(), &pod(memory), policy);
    let one = ask("64Gi", Policy::SingleNumaNode);
    assert_eq!(one.containers[0].memory.as_ref().unwrap().nodes.to_string(), "1");
    assert_eq!(one.containers[0].cpu_nodes.to_string(), "1");
    assert_eq!(ask("65Gi", Policy::SingleNumaNode).verdict, Verdict::TopologyAffinityError);
    // No nodes have it: no hints are no preference, and the memory manager fails.
    let none = ask("300Gi", Policy::Restricted);
    assert_eq!(none.verdict.reason(), Some("UnexpectedAdmissionError"));
    assert_eq!(ask("100Gi", Policy::None).containers[0].memory.as_ref().unwrap().nodes.to_string(), "0-1");
    let unknown = Board { memory: None, ..board.clone() };
    assert!(Predictor::new(&unknown.topology(), settings(), &Taken::default()).is_err());
}

#[test]
fn what_nobody_has_is_refused_in_no_time() {
    let most = "9999999999999999999999";
    let one = format!("resources: {{limits: {{cpu: {most}, memory: {most}, nvidia.com/gpu: {most}}}}}");
    let text =
        format!("apiVersion: v1\nkind: Pod\nspec: {{containers: [{{name: a, {one}}}, {{name: b, {one}}}]}}");
    let pod = Pod::from_yaml("p", &text).unwrap();
    let settings = plain().reserved_memory([(0, 1)]);
    let predictor = Predictor::new(&Board::two_of_four().topology(), settings, &Taken::gpus([0])).unwrap();
    for answer in predictor.predict_all(&pod).unwrap() {
        assert!(!answer.verdict.is_admitted(), "{answer:?}");
    }
    let none = predictor.predict(&Pod::gpus(9, 0), Policy::None, EACH).unwrap();
    let told = none.verdict.message().unwrap().to_owned();
    assert!(told.contains("unavailable for nvidia.com/gpu. Requested: 9, Available: 7, which"), "{told}");
    // More NUMA nodes than a mask can name, and more than can be tried.
    let wide = Board {
        packages: 1,
        nodes: 65,
        cores: 1,
        threads: 1,
        cache: 0,
        gpus: vec![],
        links: vec![],
        memory: None,
    };
    assert!(Predictor::new(&wide.topology(), plain(), &Taken::default()).is_err());
    let many = Board { nodes: 17, ..wide };
    assert!(Predictor::new(&many.topology(), plain(), &Taken::default()).is_err());
}

#[test]
fn a_kubelet_that_does_not_start_is_told() {
    let board = Board {
        packages: 2,
        nodes: 5,
        cores: 1,
        threads: 1,
        cache: 0,
        gpus: vec![],
        links: vec![],
        memory: None,
    };
    let predictor = Predictor::new(&board.topology(), plain(), &Taken::default()).unwrap();
    assert!(predictor.predict(&Pod::gpus(0, 1), Policy::BestEffort, EACH).is_err());
    assert_eq!(predictor.predict_all(&Pod::gpus(0, 1)).unwrap().len(), 1);
    let more = plain().max_allowable_numa_nodes(10);
    let predictor = Predictor::new(&board.topology(), more, &Taken::default()).unwrap();
    assert_eq!(predictor.predict_all(&Pod::gpus(0, 1)).unwrap().len(), 7);
    assert!(
        Predictor::new(&board.topology(), plain().max_allowable_numa_nodes(7), &Taken::default()).is_err()
    );
}

#[test]
fn options_that_newer_kubelets_take_otherwise_are_noted() {
    let options =
        |text: &str| plain().reserved_cpus("0".parse().unwrap()).cpu_manager(Some(text.parse().unwrap()));
    let notes = |text| {
        let predictor =
            Predictor::new(&Board::two_of_four().topology(), options(text), &Taken::default()).unwrap();
        predictor.notes().join("\n")
    };
    assert!(notes("align-by-socket,distribute-cpus-across-numa").contains("1.37"));
    assert_eq!(notes("align-by-socket"), "");
}

#[test]
fn what_is_taken_is_checked() {
    let board = Board::two_of_four().topology();
    let with = |taken: &str| {
        Predictor::new(&board, plain().reserved_cpus("0".parse().unwrap()), &taken.parse().unwrap())
    };
    assert!(with("0,1/8-15").is_ok() && with("").is_ok() && with("/8").is_ok());
    for wrong in ["8", "0/1000", "0/0"] {
        assert!(with(wrong).is_err(), "{wrong}");
    }
    assert!("x".parse::<Taken>().is_err() && "0/y".parse::<Taken>().is_err());
}

fn boards() -> impl Strategy<Value = Board> {
    (1_u32..3, 1_u32..4, 1_u32..5, 1_u32..3, 0_u32..3).prop_flat_map(
        |(packages, nodes, cores, threads, cache)| {
            let all = packages * nodes;
            proptest::collection::vec(proptest::option::weighted(0.95, 0..all), 0..7).prop_map(move |gpus| {
                let links = (1..gpus.len()).map(|gpu| (gpu - 1, gpu)).collect();
                Board { packages, nodes, cores, threads, cache, gpus, links, memory: Some(1 << 30) }
            })
        },
    )
}

fn options() -> impl Strategy<Value = Kubelet> {
    (any::<[bool; 5]>()).prop_filter_map("options exclude each other", |on| {
        let names = [
            "full-pcpus-only",
            "distribute-cpus-across-numa",
            "align-by-socket",
            "distribute-cpus-across-cores",
            "prefer-align-cpus-by-uncorecache",
        ];
        let text: Vec<&str> = names.into_iter().zip(on).filter(|(_, on)| *on).map(|(name, _)| name).collect();
        text.join(",").parse().ok()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_admitted_is_there_and_near(
        board in boards(), options in options(), gpus in 0_u64..5, cpus in 0_u64..9,
        taken in proptest::collection::btree_set(0_u32..7, 0..4), busy in proptest::collection::btree_set(0_u32..16, 0..6),
        memory: bool, closest: bool,
    ) {
        let topology = board.topology();
        let taken: Vec<u32> = taken.into_iter().filter(|gpu| (*gpu as usize) < board.gpus.len()).collect();
        let busy: CpuSet = busy.into_iter().collect::<CpuSet>().intersection(&topology.cpus());
        let mut settings = plain().cpu_manager(Some(options)).prefer_closest_numa_nodes(closest);
        if memory {
            settings = settings.reserved_memory([(0, 1)]);
        }
        let predictor = Predictor::new(&topology, settings, &Taken::gpus(taken.clone()).with_cpus(&busy)).unwrap();
        let pod = Pod::gpus(gpus, cpus);
        for answer in predictor.predict_all(&pod).unwrap() {
            if matches!(answer.policy, Policy::BestEffort | Policy::None) {
                prop_assert!(answer.verdict != Verdict::TopologyAffinityError);
            }
            if !answer.verdict.is_admitted() {
                continue;
            }
            let given = &answer.containers[0];
            prop_assert_eq!(given.gpus.len() as u64, gpus);
            prop_assert!(given.gpus.iter().all(|gpu| !taken.contains(gpu)));
            if let Some(own) = &given.cpus {
                prop_assert_eq!(own.len() as u64, cpus);
                prop_assert!(own.is_disjoint(&busy) && own.is_subset(&topology.cpus()));
            }
            if answer.policy == Policy::SingleNumaNode {
                prop_assert!(given.cpu_nodes.len() <= 1);
                let placed = given.gpus.iter().filter_map(|gpu| board.gpus[*gpu as usize]);
                let mut nodes: Vec<u32> = placed.chain(given.cpu_nodes.iter()).collect();
                nodes.dedup();
                prop_assert!(nodes.len() <= 1 || board.gpus.iter().all(Option::is_none), "{:?}", nodes);
            }
        }
    }

    #[test]
    fn the_version_changes_only_what_is_not_aligned(
        board in boards(), gpus in 1_u64..5, cpus in 0_u64..9,
        taken in proptest::collection::btree_set(0_u32..7, 0..4), busy in proptest::collection::btree_set(0_u32..16, 0..6),
    ) {
        let topology = board.topology();
        let taken: Vec<u32> = taken.into_iter().filter(|gpu| (*gpu as usize) < board.gpus.len()).collect();
        let taken = Taken::gpus(taken).with_cpus(&busy.into_iter().collect::<CpuSet>().intersection(&topology.cpus()));
        let predict = |version: &str, policy| {
            let settings = plain().version(version.parse().unwrap());
            let predictor = Predictor::new(&topology, settings, &taken).unwrap();
            predictor.predict(&Pod::gpus(gpus, cpus), policy, EACH).unwrap()
        };
        for policy in [Policy::None, Policy::Restricted, Policy::SingleNumaNode] {
            prop_assert_eq!(predict("1.36", policy), predict("1.37", policy));
        }
        let (old, new) = (predict("1.36", Policy::BestEffort), predict("1.37", Policy::BestEffort));
        let aligned = |one: &Prediction| one.verdict.is_admitted() && one.containers[0].preferred;
        prop_assert_eq!(aligned(&old), aligned(&new));
        prop_assert!(!aligned(&old) || old == new);
    }

    #[test]
    fn a_restricted_pod_that_starts_is_preferred(board in boards(), gpus in 0_u64..5, cpus in 0_u64..9) {
        let topology = board.topology();
        let predictor = Predictor::new(&topology, plain(), &Taken::default()).unwrap();
        let answer = predictor.predict(&Pod::gpus(gpus, cpus), Policy::Restricted, EACH).unwrap();
        prop_assert!(!answer.verdict.is_admitted() || answer.containers[0].preferred);
    }
}

/// The GPU is on node 2, whose CPUs are taken. Node 0 is free, and node 1 in part.
#[test]
fn before_1_37_devices_hint_at_all_nodes() {
    let board = Board { gpus: vec![Some(2)], links: vec![], cores: 8, ..Board::linked_across_nodes() };
    let topology = board.topology();
    let taken = Taken::default().with_cpus(&"8-11,40-43,16-31,48-63".parse().unwrap());
    let given = |version: &str| {
        let settings = plain().version(version.parse().unwrap());
        let predictor = Predictor::new(&topology, settings, &taken).unwrap();
        let answer = predictor.predict(&Pod::gpus(1, 4), Policy::BestEffort, EACH).unwrap();
        answer.containers[0].cpus.as_ref().unwrap().to_string()
    };
    assert_eq!((given("1.30"), given("1.36")), ("0-1,32-33".to_owned(), "0-1,32-33".to_owned()));
    // What node 2 lacks is taken from anywhere: the fullest node first.
    assert_eq!(given("1.37"), "12-13,44-45");
}

#[test]
fn all_nodes_of_a_machine_are_not_tried_without_end() {
    // As the memory of GPUs is: nodes without CPUs.
    let mut made = Fragment::new(Provenance::Preset);
    let mut numa = NumaNode::new(0);
    numa.cpus = "0-1".parse().unwrap();
    let first = made.add(NodeId::MACHINE, numa);
    for cpu in 0..2 {
        let core = made.add(first, Core::new(cpu));
        made.add(core, Pu::new(cpu));
    }
    let mut gpu = Gpu::new(0);
    gpu.nodes = Stated::Known(NodeSet::from_iter([0]));
    made.add(first, gpu);
    for os_index in 1..34 {
        made.add(NodeId::MACHINE, NumaNode::new(os_index));
    }
    let topology = TopologyBuilder::new().with(made).build().unwrap();
    let with = |version: &str| {
        let settings = plain().version(version.parse().unwrap()).max_allowable_numa_nodes(34);
        Predictor::new(&topology, settings, &Taken::default())
    };
    let error = with("1.36").unwrap_err();
    assert!(error.to_string().contains("combinations of 34 NUMA nodes"), "{error}");
    let answer = with("1.37").unwrap().predict(&Pod::gpus(1, 1), Policy::Restricted, EACH).unwrap();
    assert!(answer.verdict.is_admitted());
}

/// As the printed configurations say where the largest pod spans nodes.
#[test]
fn memory_of_several_nodes_waits_for_memory_of_one() {
    let board = Board { memory: Some(64 << 30), ..Board::two_of_four() };
    let settings = || plain().reserved_memory([(0, 1 << 30), (1, 1 << 30)]);
    let pod = |memory: &str| {
        let limits = format!("{{cpu: 8, memory: {memory}, nvidia.com/gpu: 8}}");
        let text = format!(
            "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - {{name: a, resources: {{limits: {limits}}}}}\n"
        );
        Pod::from_yaml("pod", &text).unwrap()
    };
    let mut beside = Taken::default();
    let cell = |node: u32, used: u64| {
        let all = 63_u64 << 30;
        format!(
            r#""{node}":{{"numberOfAssignments":{},"memoryMap":{{"memory":{{"total":{},"systemReserved":{},"allocatable":{all},"reserved":{used},"free":{}}}}},"cells":[{node}]}}"#,
            u32::from(used > 0),
            64_u64 << 30,
            1_u64 << 30,
            all - used
        )
    };
    let entry = r#"{"p":{"c":[{"numaAffinity":[0],"type":"memory","size":1073741824}]}}"#;
    let (first, second) = (cell(0, 1 << 30), cell(1, 0));
    let state = format!(
        r#"{{"policyName":"Static","machineState":{{{first},{second}}},"entries":{entry},"checksum":1}}"#
    );
    beside.read("memory_manager_state", &state).unwrap();
    let ask = |taken: &Taken, memory| predict(&board, settings(), taken, &pod(memory), Policy::BestEffort);
    for memory in ["32Gi", "100Gi"] {
        let alone = ask(&Taken::default(), memory);
        assert_eq!(alone.containers[0].memory.as_ref().unwrap().nodes.to_string(), "0-1", "{memory}");
    }
    assert_eq!(ask(&beside, "32Gi").containers[0].memory.as_ref().unwrap().nodes.to_string(), "0");
    assert_eq!(ask(&beside, "100Gi").verdict.reason(), Some("UnexpectedAdmissionError"));
}

#[test]
fn options_that_the_version_does_not_know_are_refused() {
    let topology = Board::two_of_four().topology();
    let with = |version: &str, option: &str| {
        let settings = plain().version(version.parse().unwrap()).cpu_manager(Some(option.parse().unwrap()));
        Predictor::new(&topology, settings, &Taken::default())
    };
    for (option, since) in [
        ("full-pcpus-only", 30),
        ("distribute-cpus-across-numa", 30),
        ("align-by-socket", 30),
        ("distribute-cpus-across-cores", 31),
        ("strict-cpu-reservation", 32),
        ("prefer-align-cpus-by-uncorecache", 32),
    ] {
        for minor in 30..=37 {
            assert_eq!(with(&format!("1.{minor}"), option).is_ok(), minor >= since, "{option} 1.{minor}");
        }
    }
    let more = plain().max_allowable_numa_nodes(16);
    let old = more.version("1.30".parse().unwrap());
    let error = Predictor::new(&topology, old, &Taken::default()).unwrap_err();
    assert!(error.to_string().contains("max-allowable-numa-nodes"), "{error}");
}

#[test]
fn nodes_beyond_those_of_devices_are_no_hints() {
    let board = Board { gpus: vec![Some(1), Some(1)], ..Board::linked_across_nodes() };
    let topology = Board { links: vec![], ..board }.topology();
    let node = super::node::Node::of(&topology, &plain()).unwrap();
    let hints = super::managers::devices(&node.resources["nvidia.com/gpu"], &[], &[], 1).unwrap();
    assert_eq!(hints, [Hint { affinity: Some(Mask(2)), preferred: true }]);
}
