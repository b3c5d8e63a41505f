//! The memory that a solver comes to hold: a program of its own, since the allocator counts for the whole process.

use nvtopo::{Chooser, Request, Solver, Topology};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The bytes that are held after something was made.
fn held<T>(make: impl FnOnce() -> T) -> (T, isize) {
    let region = Region::new(ALLOCATOR);
    let value = make();
    let change = region.change();
    (value, change.bytes_allocated.cast_signed() - change.bytes_deallocated.cast_signed())
}

#[test]
fn a_solver_and_its_chooser_stay_small_and_leave_nothing_behind() {
    for (preset, most) in [("dgx-h100", 300_000), ("dgx-1-v100", 300_000), ("dgx-2", 4_000_000)] {
        let topology = Topology::preset(preset).unwrap();
        let gpus = topology.gpus().len();
        // What the topology itself keeps.
        Request::gpus(2).solve(&topology).unwrap();
        let ask_all = || {
            let solver = Solver::new(&topology);
            for count in 1..=gpus {
                for excluded in 0..=gpus - count {
                    solver.solve(&Request::gpus(count).exclude(0..excluded as u32)).unwrap();
                }
            }
            solver
        };
        let (solver, bytes) = held(ask_all);
        assert!(bytes < most, "{preset}: a solver holds {bytes} bytes");
        let (chooser, bytes) = held(|| {
            let chooser = Chooser::new(&topology).unwrap();
            assert!((1..1u128 << gpus.min(10)).all(|free| chooser.choose(free, 1).is_some()));
            chooser
        });
        assert!(bytes < most, "{preset}: a chooser holds {bytes} bytes");
        let ((), freed) = held(|| drop((solver, chooser)));
        assert!(freed < -10_000, "{preset}: {freed}");
        let ((), left) = held(|| drop(ask_all()));
        assert_eq!(left, 0, "{preset}");
    }
}
