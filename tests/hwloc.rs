//! This machine as libhwloc sees it, beside what the kernel's files say.

use nvtopo::Topology;
use nvtopo::apply::{Trust, check_machine};
use nvtopo::model::{NodeKind, NoteKind};
use nvtopo::source::Locator;

/// Both views of this machine: each of the two alone, and merged.
fn views() -> [Topology; 3] {
    let kernel = Locator::Path("/".into());
    [vec![kernel.clone()], vec![Locator::Hwloc], vec![kernel, Locator::Hwloc]]
        .map(|locators| Topology::open(&locators).unwrap())
}

#[test]
fn both_see_the_same_machine() {
    let [kernel, hwloc, _] = views();
    let count = |topology: &Topology, is: fn(&NodeKind) -> bool| {
        topology.nodes().filter(|(_, node)| is(&node.kind)).count()
    };
    let kinds: [fn(&NodeKind) -> bool; 4] = [
        |kind| matches!(kind, NodeKind::Package(_)),
        |kind| matches!(kind, NodeKind::NumaNode(_)),
        |kind| matches!(kind, NodeKind::Core(_)),
        |kind| matches!(kind, NodeKind::Pu(_)),
    ];
    for is in kinds {
        assert_eq!(count(&kernel, is), count(&hwloc, is));
    }
    assert_eq!(kernel.cpus(), hwloc.cpus());
    assert_eq!(kernel.machine().allowed_cpus, hwloc.machine().allowed_cpus);
    let cpus = |topology: &Topology| {
        topology.numa_nodes().map(|node| (node.os_index, node.cpus.clone())).collect::<Vec<_>>()
    };
    assert_eq!(cpus(&kernel), cpus(&hwloc));
    assert!(check_machine(&hwloc, Trust::ThisMachine).is_ok());
}

#[test]
fn merged_they_do_not_contradict_each_other() {
    let [kernel, _, merged] = views();
    let conflicts = |topology: &Topology| {
        let notes = topology.notes().iter().filter(|note| note.kind() == NoteKind::Conflict);
        notes.map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(conflicts(&merged), conflicts(&kernel));
    assert_eq!(merged.cpus(), kernel.cpus());
}
