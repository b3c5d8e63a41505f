//! Rings, trees and all-to-all over NVSwitches against their definitions: unequal ports, several fabrics, direct links beside
//! them, and what was measured.

use crate::collective::most_over_direct_links;
use nvtopo::model::{Fragment, Gpu, NodeId, NodeKind, NvSwitch, Provenance, TopologyBuilder, rates};
use nvtopo::{Bandwidth, PathType, Topology};
use proptest::prelude::*;

const LINK: u64 = 25_000;

/// GPUs with ports to switches, and direct NVLinks between them, each of 25 GB/s.
#[derive(Clone, Debug)]
struct Machine {
    /// For each switch the ports of each GPU to it.
    ports: Vec<Vec<u16>>,
    /// The direct links of each pair.
    direct: Vec<u16>,
}

impl Machine {
    fn gpus(&self) -> usize {
        self.ports[0].len()
    }

    fn fragment(&self) -> (Fragment, Vec<NodeId>) {
        let mut fragment = Fragment::new(Provenance::Preset);
        let gpu = |index| NodeKind::Gpu(Box::new(Gpu::new(index)));
        let ids: Vec<NodeId> =
            (0..self.gpus() as u32).map(|index| fragment.add(NodeId::MACHINE, gpu(index))).collect();
        for ports in &self.ports {
            let switch = fragment.add(NodeId::MACHINE, NvSwitch::default());
            for (id, ports) in ids.iter().zip(ports).filter(|(_, ports)| **ports > 0) {
                fragment.link(*id, switch, rates::nvlink(2, *ports));
            }
        }
        for ((a, b), links) in pairs(self.gpus()).zip(&self.direct) {
            fragment.state_path(ids[a], ids[b], PathType::Sys);
            if *links > 0 {
                fragment.link(ids[a], ids[b], rates::nvlink(2, *links));
            }
        }
        (fragment, ids)
    }

    fn topology(&self) -> Topology {
        TopologyBuilder::new().with(self.fragment().0).build().unwrap()
    }

    /// MB/s from the GPUs of a part, as bits, to the others.
    fn across(&self, part: u32) -> u64 {
        let direct = pairs(self.gpus()).zip(&self.direct);
        let direct = direct.filter(|((a, b), _)| (part >> a ^ part >> b) & 1 == 1);
        let direct: u64 = direct.map(|(_, links)| u64::from(*links)).sum();
        let switched = self.ports.iter().map(|ports| {
            let side = |inside: u32| {
                let own = ports.iter().enumerate().filter(|(gpu, _)| part >> gpu & 1 == inside);
                own.map(|(_, ports)| u64::from(*ports)).sum::<u64>()
            };
            side(0).min(side(1))
        });
        (direct + switched.sum::<u64>()) * LINK
    }

    /// Every proper part, by its size and what it can send.
    fn parts(&self) -> impl Iterator<Item = (u64, u64)> {
        (1..(1u32 << self.gpus()) - 1).map(|part| (part.count_ones().into(), self.across(part)))
    }
}

fn pairs(gpus: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..gpus).flat_map(move |a| (a + 1..gpus).map(move |b| (a, b)))
}

fn machine() -> impl Strategy<Value = Machine> {
    (3usize..=6, 1usize..=2, 0u16..=2).prop_flat_map(|(gpus, switches, links)| {
        let ports = prop::collection::vec(prop::collection::vec(0u16..=3, gpus), switches);
        let direct = prop::collection::vec(0..=links, gpus * (gpus - 1) / 2);
        (ports, direct).prop_map(|(ports, direct)| Machine { ports, direct })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn switches_are_cut_on_the_side_that_has_fewer_ports(machine in machine()) {
        let topology = machine.topology();
        let set: Vec<usize> = (0..machine.gpus()).collect();
        let k = machine.gpus() as u64;
        let tree = machine.parts().map(|(size, across)| across * (k - 1) / size).min().unwrap();
        prop_assert_eq!(topology.tree_bandwidth(&set).unwrap().as_mb_per_s(), tree);
        let all = machine.parts().map(|(size, across)| across * (k - 1) / (size * (k - size))).min().unwrap();
        prop_assert_eq!(topology.all_to_all_bound(&set).unwrap().as_mb_per_s(), all);
    }

    #[test]
    fn rings_over_switches_are_no_more_than_every_cut_lets_through(machine in machine()) {
        let topology = machine.topology();
        let set: Vec<usize> = (0..machine.gpus()).collect();
        let rings = topology.rings(&set).unwrap();
        let switched: u64 = machine.ports.iter().map(|ports| u64::from(*ports.iter().min().unwrap())).sum();
        // The rings over the switches, and those that the direct links carry by themselves.
        let direct = most_over_direct_links(machine.gpus(), &machine.direct) * LINK;
        let least = machine.parts().map(|(_, across)| across).min().unwrap();
        if switched + direct == 0 {
            // The best single ring over whatever there is. Several may go over links and switches in turn.
            let both = machine.direct.iter().any(|links| *links > 0) && machine.ports.iter().flatten().any(|ports| *ports > 0);
            prop_assert!(rings.bound >= rings.bandwidth, "{:?}", rings);
            prop_assert!(!both || rings.bound.as_mb_per_s() >= least, "{:?}", rings);
            return Ok(());
        }
        let own = topology.direct_rings(&set).unwrap();
        prop_assert_eq!(own.bandwidth.as_mb_per_s(), switched * LINK + direct);
        // Relays through a GPU of the set carry more where the machine has no switch.
        prop_assert!(rings.bandwidth >= own.bandwidth, "{:?} {:?}", rings, own);
        prop_assert!(rings.bound >= rings.bandwidth && rings.bound.as_mb_per_s() <= least, "{:?}", rings);
        // Only what is known of switches and links together bounds both.
        let reached = machine.ports.iter().any(|ports| ports.iter().any(|ports| *ports > 0));
        prop_assert!(!reached || rings.bound.as_mb_per_s() == least, "{:?}", rings);
    }
}

#[test]
fn a_gpu_with_half_of_its_ports_slows_the_whole_set() {
    let machine = Machine { ports: vec![vec![18, 18, 9]], direct: vec![0; 3] };
    let topology = machine.topology();
    let rings = topology.rings(&[0, 1, 2]).unwrap();
    assert_eq!((rings.bandwidth, rings.bound), (Bandwidth::from_gb_per_s(225.0), rings.bandwidth));
    assert_eq!(topology.tree_bandwidth(&[0, 1, 2]), Some(Bandwidth::from_gb_per_s(225.0)));
    assert_eq!(topology.all_to_all_bound(&[0, 1, 2]), Some(Bandwidth::from_gb_per_s(225.0)));
    // The two others have all of theirs.
    assert_eq!(topology.rings(&[0, 1]).unwrap().bandwidth, Bandwidth::from_gb_per_s(450.0));
}

#[test]
fn what_was_measured_over_a_switch_bounds_its_rings() {
    let machine = Machine { ports: vec![vec![9; 4], vec![9; 4]], direct: vec![0; 6] };
    // By the slowest and the fastest pair of GPU3, and of all others.
    for (slow, fast, least) in [(300, 300, 300), (200, 250, 250), (400, 420, 400)] {
        let (mut fragment, ids) = machine.fragment();
        for (a, b) in pairs(4).flat_map(|(a, b)| [(a, b), (b, a)]) {
            let rate = match (a.min(b), a.max(b)) {
                (0, 3) => fast,
                (_, 3) => slow,
                _ => 400,
            };
            fragment.measure(ids[a], ids[b], Bandwidth::from_gb_per_s(f64::from(rate)));
        }
        let topology = TopologyBuilder::new().with(fragment).build().unwrap();
        let rings = topology.rings(&[0, 1, 2, 3]).unwrap();
        let least = Bandwidth::from_gb_per_s(f64::from(least));
        assert_eq!((rings.bandwidth, rings.bound), (least, least), "{slow} {fast}");
        assert_eq!(topology.tree_bandwidth(&[0, 1, 2, 3]), Some(least));
    }
}
