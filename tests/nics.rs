//! NICs of GPUs: assignments against all ways to assign, unknown paths, and ports that are down.

use nvtopo::model::{Fragment, Gpu, Nic, NodeId, NodeKind, PortState, Provenance, TopologyBuilder};
use nvtopo::solve::{assign_nics, gpus_per_nic};
use nvtopo::{PathType, Topology, fair_nics};
use proptest::prelude::*;

const CLASSES: [PathType; 5] = [PathType::Pix, PathType::Pxb, PathType::Phb, PathType::Node, PathType::Sys];

/// GPUs and NICs with the path of each pair, where one is known, row by row; some ports are down.
fn machine(paths: &[Vec<Option<PathType>>], down: &[usize]) -> Topology {
    let mut fragment = Fragment::new(Provenance::Preset);
    let gpu = |index| NodeKind::Gpu(Box::new(Gpu::new(index)));
    let gpus: Vec<NodeId> =
        (0..paths.len() as u32).map(|index| fragment.add(NodeId::MACHINE, gpu(index))).collect();
    for nic in 0..paths[0].len() {
        let state = if down.contains(&nic) { PortState::Down } else { PortState::Active };
        let own = fact!(Nic::new(format!("mlx5_{nic}")), state = Some(state));
        let id = fragment.add(NodeId::MACHINE, NodeKind::Nic(Box::new(own)));
        for (gpu, paths) in gpus.iter().zip(paths) {
            if let Some(path) = paths[nic] {
                fragment.state_path(*gpu, id, path);
            }
        }
    }
    TopologyBuilder::new().with(fragment).build().unwrap()
}

/// All ways to give each GPU a NIC of its own.
fn ways(gpus: usize, nics: usize) -> Vec<Vec<usize>> {
    (0..gpus).fold(vec![Vec::new()], |ways, _| {
        let more = |way: Vec<usize>| {
            (0..nics)
                .filter(|nic| !way.contains(nic))
                .map(|nic| [way.clone(), vec![nic]].concat())
                .collect::<Vec<_>>()
        };
        ways.into_iter().flat_map(more).collect()
    })
}

proptest! {
    #[test]
    fn no_way_to_assign_nics_has_a_better_worst_path(
        drawn in (1usize..=4, 0usize..=1)
            .prop_flat_map(|(gpus, more)| prop::collection::vec(prop::collection::vec(0usize..5, gpus + more), gpus)),
    ) {
        let paths: Vec<Vec<Option<PathType>>> =
            drawn.iter().map(|row| row.iter().map(|class| Some(CLASSES[*class])).collect()).collect();
        let topology = machine(&paths, &[]);
        let all: Vec<usize> = (0..drawn.len()).collect();
        let own: Vec<usize> =
            assign_nics(&topology, &all, 1).unwrap().into_iter().map(|nic| nic - drawn.len()).collect();
        // The worst class, and then all of them together.
        let worth = |way: &Vec<usize>| {
            let classes = || way.iter().zip(&drawn).map(|(nic, row)| row[*nic]);
            let rate = |gpu: usize, nic: usize| {
                let pair = topology.pairs().pair(gpu, drawn.len() + nic);
                pair.rate.map_or(0, |rate| rate.bandwidth.as_mb_per_s())
            };
            let rates = || way.iter().enumerate().map(|(gpu, nic)| rate(gpu, *nic));
            let worst = rates().zip(classes().map(std::cmp::Reverse)).min();
            (worst, rates().sum::<u64>(), std::cmp::Reverse(classes().sum::<usize>()))
        };
        let best = ways(drawn.len(), drawn[0].len()).iter().map(worth).max().unwrap();
        prop_assert_eq!(worth(&own), best, "{:?} {:?}", drawn, own);
    }
}

#[test]
fn the_worst_path_counts_before_the_sum() {
    let [pix, pxb, phb, _, sys] = CLASSES.map(Some);
    for last in [phb, sys] {
        let topology = machine(&[vec![pix, pxb], vec![pxb, last]], &[]);
        assert_eq!(assign_nics(&topology, &[0, 1], 1), Some(vec![3, 2]), "{last:?}");
        assert_eq!(fair_nics(&topology), [Some(3), Some(2)], "{last:?}");
    }
}

#[test]
fn a_nic_at_the_end_of_no_known_path_is_none() {
    let pix = Some(PathType::Pix);
    let topology = machine(&[vec![pix, None], vec![None, None]], &[]);
    assert_eq!(topology.pairs().pair(1, 3).path, None);
    assert_eq!(fair_nics(&topology), [Some(2), None]);
}

#[test]
fn ports_that_are_down_serve_nobody() {
    let pix = Some(PathType::Pix);
    let paths = vec![vec![pix; 3]; 3];
    assert_eq!(gpus_per_nic(&machine(&paths, &[])), 1);
    let topology = machine(&paths, &[1]);
    assert_eq!(gpus_per_nic(&topology), 2);
    let fair = fair_nics(&topology);
    assert!(fair.iter().all(|nic| matches!(nic, Some(3 | 5))), "{fair:?}");
    assert_eq!(fair_nics(&machine(&paths, &[0, 1, 2])), [None; 3]);
}
