//! Jobs that come and go on a machine, and many at once, against every division of the GPUs.

use crate::oracle::{Machine, machine, subsets};
use nvtopo::PathType;
use nvtopo::solve::{Allocator, Constraint, JobId};
use nvtopo::{ErrorKind, Request, Topology};
use proptest::prelude::*;

fn topology(machine: &Machine) -> Topology {
    machine.topology(&(0..machine.gpus as u32).collect::<Vec<_>>())
}

fn gpus(allocator: &Allocator, job: JobId) -> Vec<usize> {
    allocator.placement(job).unwrap().gpus().iter().map(|gpu| gpu.position).collect()
}

/// The bandwidth of the rings of a set as a part of the best of its size; nearness counts in the last digits.
fn share(topology: &Topology, set: &[usize]) -> f64 {
    if set.len() < 2 {
        return 0.0;
    }
    let worth = |set: &[usize]| {
        let rings = topology.rings(set).unwrap();
        let near = rings.path.map_or(0, |path| PathType::Dis as u64 - path as u64);
        (rings.bandwidth.as_mb_per_s() << 17 | near) as f64
    };
    let all: Vec<usize> = (0..topology.gpus().len()).collect();
    let most = subsets(&all, set.len()).iter().map(|set| worth(set)).fold(0.0, f64::max);
    worth(set) / most
}

/// The most that jobs of these sizes can have in sum, by every division; `None` where they do not fit.
fn best(topology: &Topology, free: &[usize], sizes: &[usize]) -> Option<f64> {
    let Some((size, others)) = sizes.split_first() else { return Some(0.0) };
    let with = |set: Vec<usize>| {
        let rest: Vec<usize> = free.iter().copied().filter(|gpu| !set.contains(gpu)).collect();
        Some(share(topology, &set) + best(topology, &rest, others)?)
    };
    subsets(free, *size).into_iter().filter_map(with).reduce(f64::max)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn release_undoes_place(machine in machine(8), counts in prop::collection::vec(1usize..=4, 1..6)) {
        let mut allocator = Allocator::new(&topology(&machine)).unwrap();
        let mut jobs = Vec::new();
        let mut states = Vec::new();
        for count in counts {
            let free = allocator.free();
            match allocator.what_if(&Request::gpus(count)) {
                Err(error) => {
                    prop_assert_eq!(error.kind(), ErrorKind::Unsatisfiable);
                    prop_assert!(allocator.place(&Request::gpus(count)).is_err() && count > free.len());
                }
                Ok(expected) => {
                    prop_assert_eq!(allocator.free(), free.clone());
                    let job = allocator.place(&Request::gpus(count)).unwrap();
                    let own = gpus(&allocator, job);
                    prop_assert_eq!(expected.gpus().iter().map(|gpu| gpu.position).collect::<Vec<_>>(), own.clone());
                    prop_assert!(own.iter().all(|gpu| free.contains(gpu)));
                    states.push(free);
                    jobs.push(job);
                }
            }
        }
        prop_assert_eq!(allocator.jobs().len(), jobs.len());
        for (job, free) in jobs.into_iter().zip(states).rev() {
            allocator.release(job).unwrap();
            prop_assert_eq!(allocator.free(), free);
            prop_assert_eq!(allocator.release(job).unwrap_err().kind(), ErrorKind::InvalidRequest);
        }
    }

    #[test]
    fn a_batch_is_the_best_of_all_divisions(machine in machine(7), sizes in prop::collection::vec(1usize..=3, 1..4)) {
        let topology = topology(&machine);
        let mut allocator = Allocator::new(&topology).unwrap();
        let requests: Vec<Request> = sizes.iter().map(|size| Request::gpus(*size)).collect();
        let several = sizes.iter().filter(|size| **size > 1).count();
        let best = best(&topology, &allocator.free(), &sizes);
        match (allocator.place_all(&requests), best) {
            (Ok(batch), Some(best)) => {
                prop_assert!(batch.optimal);
                let mut all: Vec<usize> = Vec::new();
                for (job, size) in batch.jobs.iter().zip(&sizes) {
                    let own = gpus(&allocator, *job);
                    prop_assert_eq!(own.len(), *size);
                    prop_assert!(own.iter().all(|gpu| !all.contains(gpu)));
                    all.extend(own);
                }
                let expected = if several == 0 { 1.0 } else { best / several as f64 };
                prop_assert!((batch.share - expected).abs() < 1e-5, "{} {}", batch.share, expected);
            }
            (Err(error), None) => {
                prop_assert_eq!(error.kind(), ErrorKind::Unsatisfiable);
                prop_assert_eq!(allocator.jobs().len(), 0);
            }
            (answer, best) => prop_assert!(false, "{answer:?} {best:?}"),
        }
    }

    #[test]
    fn there_is_room_for_as_many_as_can_be_divided(machine in machine(8), count in 1usize..=3) {
        let topology = topology(&machine);
        let allocator = Allocator::new(&topology).unwrap();
        let request = Request::gpus(count).require([Constraint::SameNvlinkGroup]);
        let groups = topology.nvlink_groups().iter().map(|group| group.gpus.len() / count);
        prop_assert_eq!(allocator.room_for(&request).unwrap(), (groups.sum::<usize>(), true));
    }
}

#[test]
fn a_batch_does_better_than_one_after_another() {
    // First a job that takes the middle of a chain, and then one that needs both halves.
    let text = "\tGPU0\tGPU1\tGPU2\tGPU3\tCPU Affinity\nGPU0\t X \tNV2\tSYS\tSYS\t0-15\nGPU1\tNV2\t X \tNV3\tSYS\t0-15\n\
                GPU2\tSYS\tNV3\t X \tNV2\t0-15\nGPU3\tSYS\tSYS\tNV2\t X \t0-15\n";
    let topology = Topology::parse("chain", text.as_bytes()).unwrap();
    let pair = Request::gpus(2).objectives(["ring"]);
    let mut allocator = Allocator::new(&topology).unwrap();
    let first = allocator.place(&pair).unwrap();
    assert_eq!(gpus(&allocator, first), [1, 2]);
    allocator.release(first).unwrap();
    let batch = allocator.place_all(&[pair.clone(), pair]).unwrap();
    let sets: Vec<Vec<usize>> = batch.jobs.iter().map(|job| gpus(&allocator, *job)).collect();
    assert_eq!(sets, [[0, 1], [2, 3]]);
    assert!(batch.optimal && (batch.share - 2.0 / 3.0).abs() < 1e-3, "{batch:?}");
}

#[test]
fn a_taken_gpu_is_told_from_one_that_does_not_exist() {
    let mut allocator = Allocator::new(&Topology::preset("dgx-1-v100").unwrap()).unwrap();
    allocator.place(&Request::gpus(2).include([0, 3])).unwrap();
    let error = allocator.what_if(&Request::gpus(2).include([0])).unwrap_err();
    assert_eq!((error.kind(), error.to_string().contains("another job")), (ErrorKind::Unsatisfiable, true));
    assert_eq!(
        allocator.what_if(&Request::gpus(2).include([9])).unwrap_err().kind(),
        ErrorKind::InvalidRequest
    );
    let error = allocator.place_all(&[Request::gpus(4), Request::gpus(4)]).unwrap_err();
    assert!(error.to_string().contains("no room for these 2 jobs of 8 GPUs together: 6 are free"), "{error}");
}

#[test]
fn large_machines_take_batches_too() {
    let pairs = vec![(0, PathType::Pix); 20 * 19 / 2];
    let machine = Machine { gpus: 20, pairs, homes: vec![Some(0); 20], nics: Vec::new() };
    let mut allocator = Allocator::new(&topology(&machine)).unwrap();
    let batch = allocator.place_all(&[Request::gpus(8), Request::gpus(12)]).unwrap();
    assert!(batch.optimal && allocator.free().is_empty());
}
