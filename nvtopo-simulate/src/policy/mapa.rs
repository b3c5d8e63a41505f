//! The policies of MAPA (Ranganath et al., SC'21), for comparison only.
//!
//! Their prediction is that of [`crate::mapa`]. The policy that preserves links chooses for jobs that are sensitive to
//! bandwidth, which all are here, what its regression predicts.
//!
//! Source of the policies: socal-ucr/MAPA (`src/MapaPolicies.hh`). What it leaves to the order of its matching goes to the lowest
//! numbers here.

use super::{Policy, Table, Task, first_best};
use crate::machine::{Machine, Set, members, subsets};
use crate::mapa::{Links, best_ring};
use nvtopo::Result;

/// The best of what rings through each set can use, by some measure of their links. A set without a ring comes last.
fn best_rings(machine: &Machine<'_>, measure: impl Fn(Links) -> f64) -> Vec<f64> {
    let pairs = machine.topology.pairs();
    let best = |set: Set| {
        let gpus: Vec<usize> = members(set).collect();
        best_ring(gpus.len(), |a, b| pairs.pair(gpus[a], gpus[b]).nvlinks, &measure)
    };
    (0..1u32 << machine.gpus).map(|set| best(set).unwrap_or(f64::NEG_INFINITY)).collect()
}

pub(super) fn greedy<'a>(machine: &'a Machine<'a>, _: &Task<'_>) -> Result<Box<dyn Policy + 'a>> {
    let best = best_rings(machine, Links::sum);
    Ok(Box::new(Table::new(machine.gpus, move |free, count| {
        first_best(subsets(free, count), |set| best[set as usize])
    })))
}

pub(super) fn preserve<'a>(machine: &'a Machine<'a>, _: &Task<'_>) -> Result<Box<dyn Policy + 'a>> {
    let best = best_rings(machine, Links::predicted);
    let left = move |set: Set| -> f64 {
        let pair = |a: usize, b: usize| match machine.topology.pairs().pair(a, b).nvlinks {
            0 => 0.0,
            1 => 25.0,
            _ => 50.0,
        };
        members(set).flat_map(|a| members(set & !((2 << a) - 1)).map(move |b| pair(a, b))).sum()
    };
    Ok(Box::new(Table::new(machine.gpus, move |free, count| {
        let sets = subsets(free, count);
        // One GPU has no links: what counts is what it leaves to others.
        match count {
            1 => first_best(sets, |set| left(free & !set)),
            _ => first_best(sets, |set| best[set as usize]),
        }
    })))
}
