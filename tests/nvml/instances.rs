//! Divided GPUs (MIG).

use super::{Machine, assert_note, assert_same, faults_noted, notes};
use nvtopo::Topology;
use nvtopo::model::{GpuInstance, MigMode, MigPlacement, NodeKind, P2pStatus};

/// Returns the instances, each with the index of its GPU.
fn instances(topology: &Topology) -> Vec<(u32, GpuInstance)> {
    let nodes = topology.nodes().filter_map(|(_, node)| match &node.kind {
        NodeKind::GpuInstance(instance) => {
            let gpu = topology.node(node.parent?).kind.as_gpu()?.index;
            Some((gpu, (**instance).clone()))
        }
        _ => None,
    });
    nodes.collect()
}

#[test]
fn instances_lie_below_their_gpus() {
    let machine = Machine::new("dgx-a100");
    let found = machine.discover("mig:2,mig:4:1g+1g");
    assert_same(&found, &machine.truth, &[]);
    assert_note(&found, "GPU2, GPU4: only administrators are told where its MIG instances lie");
    assert_eq!(faults_noted(&found).len(), 1, "{}", notes(&found));
    assert_eq!(faults_noted(&machine.discover("mig:2,root")), Vec::<String>::new());
    let all = instances(&found);
    let profiles = |gpu: u32| {
        let own = all.iter().filter(|(own, _)| *own == gpu);
        own.map(|(_, instance)| instance.profile.clone().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(profiles(2), ["3g.40gb", "2g.20gb", "1g.10gb"]);
    assert_eq!(profiles(4), ["1g.10gb", "1g.10gb"]);
    let (_, first) = &all[0];
    let memory = machine.truth.gpus().nth(2).unwrap().memory.unwrap();
    let mut expected = GpuInstance::default();
    expected.uuid = Some("MIG-00000003-0000-5000-8000-000000000001".to_owned());
    expected.gpu_instance = Some(1);
    expected.compute_instance = Some(0);
    expected.profile = Some("3g.40gb".to_owned());
    expected.slices = Some(3);
    expected.memory = Some(memory / 2);
    assert_eq!(*first, expected);
    let modes: Vec<_> = found.gpus().map(|gpu| gpu.mig.unwrap().current).collect();
    assert_eq!(modes, [false, false, true, false, true, false, false, false]);
    let status = |a: usize, b: usize| found.p2p(found.devices()[a], found.devices()[b]).unwrap().read;
    assert_eq!([status(0, 2), status(0, 1)], [Some(P2pStatus::NotSupported), Some(P2pStatus::Ok)]);
}

#[test]
fn administrators_see_where_instances_lie() {
    let machine = Machine::new("dgx-h100");
    let placements = |faults: &str| {
        instances(&machine.discover(faults)).iter().map(|(_, own)| own.placement).collect::<Vec<_>>()
    };
    let place = |start, size| Some(MigPlacement::new(start, size));
    assert_eq!(placements("mig:0,root"), [place(0, 4), place(4, 2), place(6, 1)]);
    assert_eq!(placements("mig:0"), [None; 3]);
    let found = machine.discover("mig:0,root,failing:nvmlGpuInstanceGetInfo");
    assert_eq!(instances(&found).len(), 3);
    assert_note(&found, "GPU0: the driver did not answer nvmlGpuInstanceGetInfo");
}

#[test]
fn a_gpu_divided_into_nothing_is_told() {
    let machine = Machine::new("dgx-a100");
    let found = machine.discover("mig:2:none");
    assert_note(&found, "GPU2: MIG is enabled, and there is no instance that a job could use");
    assert_eq!(instances(&found), []);
    let found = machine.discover("mig-pending:1");
    assert_eq!(found.gpus().nth(1).unwrap().mig, Some(MigMode::new(false, true)));
    assert_note(&found, "GPU1: its MIG mode changes with its next reset");
    assert_eq!(faults_noted(&found).len(), 1, "{}", notes(&found));
}

#[test]
fn only_some_generations_can_be_divided() {
    for (preset, can) in
        [("dgx-1-v100", false), ("rtx-a6000-4-bridged", false), ("l40s-8-pcie", false), ("dgx-b200", true)]
    {
        let found = Machine::new(preset).discover("");
        assert!(found.gpus().all(|gpu| gpu.mig.is_some() == can), "{preset}");
    }
}

#[test]
fn instances_of_a_gpu_that_the_kernel_does_not_know_come_with_it() {
    let found = Machine::with("dgx-a100", |_| false).discover("mig:7:7g");
    let all = instances(&found);
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].0, all[0].1.profile.as_deref()), (7, Some("7g.80gb")));
}
