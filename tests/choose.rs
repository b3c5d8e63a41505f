//! Choosing from memory: the same answers as a request gives, whatever is free.

use crate::linked_pairs::pairs;
use nvtopo::model::{Fragment, Gpu, NodeId, NumaNode, NvSwitch, Provenance, TopologyBuilder, rates};
use nvtopo::{Chooser, ErrorKind, Request, Topology};

fn by_request(topology: &Topology, free: u128, count: usize, objective: Option<&str>) -> u128 {
    let gpus = topology.gpus().enumerate().filter(|(position, _)| free >> position & 1 == 1);
    let request = Request::gpus(count).only(gpus.map(|(_, gpu)| gpu.index));
    let request = match objective {
        Some(name) => request.objectives([name]),
        None => request,
    };
    let placement = request.solve(topology).unwrap();
    placement.gpus().iter().fold(0, |set, gpu| set | 1 << gpu.position)
}

#[test]
fn the_answers_are_those_of_requests_first_and_again() {
    for (preset, objective) in [
        ("dgx-1-v100", None),
        ("dgx-1-v100", Some("ring")),
        ("l40s-8-pcie", None),
        ("hgx-a100-4", Some("tree")),
    ] {
        let topology = Topology::preset(preset).unwrap();
        let chooser = match objective {
            Some(name) => Chooser::by_objectives(&topology, [name], None).unwrap(),
            None => Chooser::new(&topology).unwrap(),
        };
        let gpus = topology.gpus().len();
        for free in 0..1u128 << gpus {
            for count in 1..=free.count_ones() as usize {
                let first = chooser.choose(free, count).unwrap();
                assert_eq!(
                    first,
                    by_request(&topology, free, count, objective),
                    "{preset} {free:#b} {count}"
                );
                assert_eq!(chooser.choose(free | 1 << 100, count), Some(first), "{preset} {free:#b} {count}");
            }
            assert_eq!(chooser.choose(free, free.count_ones() as usize + 1), None);
            assert_eq!(chooser.choose(free, 0), None);
        }
    }
}

#[test]
fn more_than_memory_holds_is_still_answered() {
    let topology = pairs(1, &(0..20).collect::<Vec<_>>());
    let chooser = Chooser::new(&topology).unwrap();
    let free = 0xf_fffe;
    assert_eq!(chooser.choose(free, 2), Some(by_request(&topology, free, 2, None)));
    let large = pairs(1, &(0..130).collect::<Vec<_>>());
    assert_eq!(Chooser::new(&large).unwrap_err().kind(), ErrorKind::Unsupported);
}

/// GPUs on one NVSwitch, on so many NUMA nodes; with none nobody states where they are.
fn switched(gpus: u32, nodes: u32) -> Topology {
    let mut fragment = Fragment::new(Provenance::Preset);
    let switch = fragment.add(NodeId::MACHINE, NvSwitch::default());
    let numa = (0..nodes).map(NumaNode::new);
    let numa: Vec<NodeId> = numa.map(|node| fragment.add(NodeId::MACHINE, node)).collect();
    for index in 0..gpus {
        let parent = numa.get((index * nodes / gpus) as usize).copied().unwrap_or(NodeId::MACHINE);
        let gpu = fragment.add(parent, Gpu::new(index));
        fragment.link(gpu, switch, rates::nvlink(5, 18));
    }
    TopologyBuilder::new().with(fragment).build().unwrap()
}

#[test]
fn many_gpus_that_are_alike_are_chosen_as_by_the_search() {
    for nodes in [0, 1, 4] {
        let topology = switched(20, nodes);
        let chooser = Chooser::new(&topology).unwrap();
        let mut free: u128 = 0xb_7fe1;
        for step in 0..12 {
            free = (free * 5 + step) & 0xf_ffff;
            for count in [1, 2, 3, 5] {
                if free.count_ones() >= count {
                    let expected = by_request(&topology, free, count as usize, None);
                    assert_eq!(
                        chooser.choose(free, count as usize),
                        Some(expected),
                        "{nodes} {free:#b} {count}"
                    );
                    assert_eq!(
                        chooser.clone().choose(free, count as usize),
                        Some(expected),
                        "again, {nodes} {free:#b} {count}"
                    );
                }
            }
        }
        // Those of one node are alike.
        assert_eq!(chooser.choose(0x1e, 3), Some(0xe));
    }
}

#[test]
fn gpus_that_cannot_be_used_are_never_chosen() {
    let mut fragment = Fragment::new(Provenance::Preset);
    for index in 0..4 {
        let unusable = (index == 1).then(|| "has fallen off the bus".to_owned());
        let gpu = fact!(Gpu::new(index), unusable = unusable);
        fragment.add(NodeId::MACHINE, gpu);
    }
    let topology = TopologyBuilder::new().with(fragment).build().unwrap();
    let chooser = Chooser::new(&topology).unwrap();
    assert_eq!(chooser.choose(0b1111, 3), Some(0b1101));
    assert_eq!(chooser.choose(0b1111, 4), None);
}
