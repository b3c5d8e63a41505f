//! Foresight without a table of everything: what a remainder is worth to the jobs that will come.
//!
//! V(R) = Σ over sizes k of p(k) · the best share that a job of k GPUs gets in R, where the share of a set is its ring
//! bandwidth as a part of the most that k GPUs carry on the empty machine; 0 where R is too small. V⁺(R) = V(R) + λ Σ over
//! running jobs j of V(R ∪ j): any of them may be the next to end.

use super::{Policy, State, Task, first_best};
use crate::machine::{Machine, Set, subsets};
use nvtopo::Result;
use nvtopo::solve::SizeMix;

/// The value of each remainder, by its GPUs.
pub(super) fn values(machine: &Machine<'_>, mix: &SizeMix) -> Vec<f64> {
    let mut values = vec![0.0; 1 << machine.gpus];
    for &(size, weight) in mix.sizes() {
        let mut best = vec![0.0f64; 1 << machine.gpus];
        for set in 1..1u32 << machine.gpus {
            best[set as usize] = if set.count_ones() as usize == size {
                machine.share(set)
            } else {
                let less = |gpu: usize| best[(set & !(1 << gpu)) as usize];
                (0..machine.gpus).filter(|gpu| set >> gpu & 1 == 1).map(less).fold(0.0, f64::max)
            };
        }
        values.iter_mut().zip(&best).for_each(|(value, best)| *value += weight * best);
    }
    values
}

struct Foresight<'a> {
    machine: &'a Machine<'a>,
    values: Vec<f64>,
    /// The weight of an end beside an arrival.
    ends: f64,
}

impl Policy for Foresight<'_> {
    fn choose(&mut self, state: &State<'_>, count: usize) -> Set {
        let value = |set: Set| self.values[set as usize];
        first_best(subsets(state.free, count), |set| {
            let left = state.free & !set;
            let after: f64 = state.running.iter().map(|job| value(left | job)).sum();
            (self.machine.value(set).bandwidth, value(left) + self.ends * after)
        })
    }
}

pub(super) fn value<'a>(machine: &'a Machine<'a>, task: &Task<'_>) -> Result<Box<dyn Policy + 'a>> {
    Ok(Box::new(Foresight { machine, values: values(machine, task.mix), ends: 0.0 }))
}

pub(super) fn foresight<'a>(machine: &'a Machine<'a>, task: &Task<'_>) -> Result<Box<dyn Policy + 'a>> {
    let values = values(machine, task.mix);
    // The next thing to happen is an arrival `rate` times as often as the end of a certain job.
    Ok(Box::new(Foresight { machine, values, ends: 1.0 / task.rate }))
}
