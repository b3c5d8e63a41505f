//! The policies of MAPA (Ranganath et al., SC'21), for comparison only.
//!
//! MAPA looks at a job as a ring and at the links that the ring uses: `x` pairs with at least two NVLinks, `y` with one, `z`
//! with none. The policy that preserves links chooses for jobs that are sensitive to bandwidth, which all are here, what a
//! regression over these counts predicts. Its prediction is no bandwidth to rely on: better links often lower it, for it is
//! not monotone, and it goes below zero (for 4, 2 and 2 links around eight GPUs). It is kept out of the objectives for that.
//!
//! Source of the coefficients and of the policies: socal-ucr/MAPA (`src/Props.hh`, `src/MapaPolicies.hh`). What it leaves to
//! the order of its matching goes to the lowest numbers here.

use super::{Policy, Table, Task, first_best};
use crate::error::Result;
use crate::solve::simulate::machine::{Machine, Set, members, subsets};

/// Links of each kind around a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Links {
    double: usize,
    single: usize,
    none: usize,
}

impl Links {
    /// GB/s that MAPA adds up around a ring: what it measured on V100, both directions of each link together.
    fn sum(self) -> f64 {
        (50 * self.double + 25 * self.single + 10 * self.none) as f64
    }

    /// GB/s by MAPA's regression.
    fn predicted(self) -> f64 {
        let (x, y, z) = (self.double as f64, self.single as f64, self.none as f64);
        let linear = 16.396_704_55 * x + 4.536_821_878 * y + 1.556_234_04 * z;
        let inverse = -20.694_845_81 / (x + 1.0) - 9.467_461_958 / (y + 1.0) + 7.615_106_783 / (z + 1.0);
        let pairwise = -7.973_335_727 * x * y + 12.733_237_72 * y * z - 4.195_655_221 * x * z;
        let inverse_pairwise =
            -8.413_419_363 / (x * y + 1.0) + 62.851_258_07 / (y * z + 1.0) + 27.418_325_88 / (x * z + 1.0);
        let triplet = -5.114_108_079 * x * y * z - 46.973_900_71 / (x * y * z + 1.0);
        linear + inverse + pairwise + inverse_pairwise + triplet
    }
}

/// What rings through each set can use, at most by some measure of their links.
fn best_rings(machine: &Machine<'_>, measure: impl Fn(Links) -> f64) -> Vec<f64> {
    let pairs = machine.topology.pairs();
    let step = |a: usize, b: usize| match pairs.pair(a, b).nvlinks {
        0 => (0, 0),
        1 => (0, 1),
        _ => (1, 0),
    };
    let counts = machine.gpus + 1;
    let cell = |double: usize, single: usize| 1u128 << (double * counts + single);
    // For each set and member, the counts of links that paths from the set's lowest member through all to this one can
    // have: a bit for each count of double and single ones.
    let mut paths = vec![vec![0u128; machine.gpus]; 1 << machine.gpus];
    for gpu in 0..machine.gpus {
        paths[1 << gpu][gpu] = cell(0, 0);
    }
    let mut best = vec![0.0; 1 << machine.gpus];
    for set in 1..1u32 << machine.gpus {
        let low = set.trailing_zeros() as usize;
        let size = set.count_ones() as usize;
        let mut rings = 0;
        for last in members(set) {
            let here = paths[set as usize][last];
            let after = |next| {
                let (double, single) = step(last, next);
                here << (double * counts + single)
            };
            if last != low {
                // A ring of two goes over the same pair twice.
                rings |= after(low);
            }
            for next in (low + 1..machine.gpus).filter(|next| set >> next & 1 == 0) {
                paths[set as usize | 1 << next][next] |= after(next);
            }
        }
        let found = (0..counts).flat_map(|double| (0..counts).map(move |single| (double, single)));
        best[set as usize] = found
            .filter(|(double, single)| rings & cell(*double, *single) != 0)
            .map(|(double, single)| measure(Links { double, single, none: size - double - single }))
            .fold(f64::NEG_INFINITY, f64::max);
    }
    best
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Topology;

    #[test]
    fn the_prediction_is_the_published_one_with_its_faults() {
        let predicted = |double, single, none| Links { double, single, none }.predicted();
        // It goes below zero, and a better link lowers it.
        assert!((predicted(4, 2, 2) + 43.0).abs() < 1.0, "{}", predicted(4, 2, 2));
        let mut lower = 0;
        let mut all = 0;
        for edges in 2..=8 {
            for (double, single) in
                (0..=edges).flat_map(|double| (0..=edges - double).map(move |s| (double, s)))
            {
                let none = edges - double - single;
                let own = predicted(double, single, none);
                if none > 0 {
                    all += 1;
                    lower += usize::from(predicted(double, single + 1, none - 1) < own);
                }
                if single > 0 {
                    all += 1;
                    lower += usize::from(predicted(double + 1, single - 1, none) < own);
                }
            }
        }
        assert_eq!((lower, all), (108, 238));
    }

    #[test]
    fn rings_use_what_the_machine_has() {
        let dgx1 = Topology::preset("dgx-1-v100").unwrap();
        let machine = Machine::new(&dgx1).unwrap();
        let best = best_rings(&machine, Links::sum);
        let of = |set: usize| best[set];
        // There and back over two NVLinks; two single ones and a double; 0-3-2-1, of which only the way back is single; and all
        // eight over double ones.
        assert_eq!((of(0b1001), of(0b111), of(0b1111)), (100.0, 100.0, 175.0));
        assert!((of(0xff) - 400.0).abs() < 1e-9);
    }
}
