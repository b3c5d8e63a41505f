//! Machines of many GPUs made of equal domains: exact by how many GPUs each domain gives.

use nvtopo::PathType;
use nvtopo::model::{Fragment, Gpu, Nic, NodeId, NvSwitch, Provenance, Stated, TopologyBuilder, rates};
use nvtopo::solve::{Constraint, Quantity};
use nvtopo::{Chooser, ErrorKind, Request, Topology};

/// GPUs of one NUMA node.
const NODE: usize = 2;
/// GPUs of one rack.
const RACK: usize = 72;

/// Racks of 72 GPUs on an NVSwitch each, two GPUs to a NUMA node, and a NIC beside each.
fn racks(count: usize) -> Topology {
    let mut fragment = Fragment::new(Provenance::Preset);
    let mut gpus = Vec::new();
    for rack in 0..count {
        let switch = fragment.add(NodeId::MACHINE, NvSwitch::default());
        for index in rack * RACK..(rack + 1) * RACK {
            let nodes = Stated::Known([(index / NODE) as u32].into_iter().collect());
            let gpu = fact!(Gpu::new(index as u32), nodes = nodes);
            let gpu = fragment.add(NodeId::MACHINE, gpu);
            fragment.link(gpu, switch, rates::nvlink(5, 18));
            let nic = Nic::new(format!("mlx5_{index}"));
            let nic = fragment.add(NodeId::MACHINE, nic);
            fragment.state_path(gpu, nic, PathType::Pix);
            for (other, far) in &gpus {
                if other / RACK != rack {
                    fragment.state_path(gpu, *far, PathType::Sys);
                }
            }
            gpus.push((index, gpu));
        }
    }
    TopologyBuilder::new().with(fragment).build().unwrap()
}

/// Random free GPUs.
fn free(gpus: usize, mut seed: u64) -> Vec<u32> {
    let mut coin = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 62 != 0
    };
    (0..gpus as u32).filter(|_| coin()).collect()
}

/// The fewest NUMA nodes that hold so many free GPUs of one rack, over the racks that have as many.
fn fewest_nodes(racks: usize, free: &[u32], count: usize) -> Option<u32> {
    let of_rack = |rack: usize| {
        let mut nodes = vec![0; RACK / NODE];
        for gpu in free.iter().map(|gpu| *gpu as usize).filter(|gpu| gpu / RACK == rack) {
            nodes[gpu % RACK / NODE] += 1;
        }
        nodes.sort_unstable_by(|a, b| b.cmp(a));
        let mut held = 0;
        let used = nodes.iter().position(|own| {
            held += own;
            held >= count
        });
        used.map(|used| used as u32 + 1)
    };
    (0..racks).filter_map(of_rack).min()
}

#[test]
fn hundreds_of_gpus_are_placed_in_the_best_domain() {
    for (count, seeds) in [(1, 0..40), (8, 0..3)] {
        let topology = racks(count);
        for seed in seeds {
            let free = free(count * RACK, seed);
            for gpus in [2, 5, 16, 33] {
                let placement = Request::gpus(gpus).only(free.iter().copied()).solve(&topology).unwrap();
                let chosen = placement.gpu_indices();
                assert!(placement.is_optimal() && chosen.len() == gpus);
                assert!(chosen.iter().all(|gpu| free.contains(gpu)));
                assert!(chosen.iter().all(|gpu| *gpu as usize / RACK == chosen[0] as usize / RACK));
                let score = |name: &str| {
                    placement.scores().iter().find(|score| score.objective == name).unwrap().value
                };
                assert_eq!(score("ring").unwrap().to_string(), "900 GB/s");
                let nodes = fewest_nodes(count, &free, gpus).unwrap();
                assert_eq!(score("numa-span"), Some(Quantity::NumaNodes(nodes)), "{gpus} of {free:?}");
            }
        }
    }
}

#[test]
fn what_is_left_decides_between_racks() {
    let topology = racks(2);
    // The first rack is whole, the second has what is asked for and a few more.
    let free: Vec<u32> = (0..72).chain(72..84).collect();
    let placement = Request::gpus(8).only(free.iter().copied()).solve(&topology).unwrap();
    assert_eq!(placement.gpu_indices(), (72..80).collect::<Vec<_>>());
    let explained = Request::gpus(8).only(free).exclude([72]).explain(&topology).unwrap();
    assert_eq!(explained.placement.gpu_indices(), (74..82).collect::<Vec<_>>());
    assert_eq!(explained.first_fit.unwrap().loss.unwrap().objective, "remainder");
    // More than a rack has go to several, as near as they can be.
    let many = Request::gpus(100).solve(&topology).unwrap();
    assert!(many.is_optimal());
    assert_eq!(many.gpu_indices(), (0..100).collect::<Vec<_>>());
}

#[test]
fn hundreds_are_explained_and_refused_in_words() {
    let topology = racks(8);
    let mut request = Request::gpus(4).include([575, 300]);
    let placement = request.solve(&topology).unwrap();
    assert_eq!(placement.gpu_indices(), [300, 301, 574, 575]);
    let explained = Request::gpus(4).explain(&topology).unwrap();
    assert_eq!(explained.placement.gpu_indices(), [0, 1, 2, 3]);
    assert_eq!(explained.next.unwrap().loss, None, "those beside are as good");
    assert_eq!(explained.first_fit, None);
    request = Request::gpus(4).require([Constraint::SameNumaNode]);
    assert_eq!(request.solve(&topology).unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(Request::gpus(577).solve(&topology).unwrap_err().kind(), ErrorKind::Unsatisfiable);
    assert_eq!(Chooser::new(&topology).unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn a_chooser_and_a_request_agree_on_a_rack() {
    let topology = racks(1);
    let chooser = Chooser::new(&topology).unwrap();
    for seed in 0..20 {
        let free = free(RACK, seed);
        let bits = free.iter().fold(0, |bits, gpu| bits | 1u128 << gpu);
        for count in [1, 3, 8, 20] {
            let placement = Request::gpus(count).only(free.iter().copied()).solve(&topology).unwrap();
            let own = placement.gpu_indices().iter().fold(0, |bits, gpu| bits | 1u128 << gpu);
            assert_eq!(chooser.choose(bits, count), Some(own));
        }
    }
}
