//! The best sets by a bare matrix against a look at all sets.

use nvtopo::solve::{BestSet, PairMatrix};
use nvtopo::{ErrorKind, Request, Topology};
use proptest::prelude::*;

/// The sum of the pairs and the worst pair of a set.
fn values(matrix: &PairMatrix, set: u128) -> (u64, u64) {
    let members: Vec<usize> = (0..matrix.gpus()).filter(|gpu| set >> gpu & 1 == 1).collect();
    let pairs =
        members.iter().enumerate().flat_map(|(index, a)| members[index + 1..].iter().map(move |b| (a, b)));
    let weights: Vec<u64> = pairs.map(|(a, b)| matrix.pair(*a, *b).into()).collect();
    (weights.iter().sum(), weights.iter().copied().min().unwrap_or(0))
}

/// The set with the greatest value, and the first of several by its members.
fn brute_force(
    matrix: &PairMatrix,
    (free, include, count): (u128, u128, usize),
    value: impl Fn((u64, u64)) -> u64,
) -> (u128, u64) {
    let sets = (1..1u128 << matrix.gpus())
        .filter(|set| set & !free == 0 && include & !set == 0 && set.count_ones() as usize == count);
    let earlier = |a: u128, b: u128| a & (a ^ b) & (a ^ b).wrapping_neg() != 0;
    let best = sets.map(|set| (set, value(values(matrix, set)))).reduce(|best, own| {
        if own.1 > best.1 || own.1 == best.1 && earlier(own.0, best.0) { own } else { best }
    });
    best.expect("some set")
}

fn matrices(most: usize, levels: u32) -> impl Strategy<Value = PairMatrix> {
    (1..=most).prop_flat_map(move |gpus| {
        prop::collection::vec(0..=levels, gpus * gpus)
            .prop_map(move |cells| PairMatrix::new(gpus, |a, b| cells[a * gpus + b]).unwrap())
    })
}

/// Numbers without an order to see in them.
fn random(gpus: usize, levels: u32, seed: u64) -> PairMatrix {
    let hash = |a: usize, b: usize| {
        let mixed = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ ((a * 128 + b) as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 29).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 33) as u32
    };
    PairMatrix::new(gpus, |a, b| hash(a, b) % levels).unwrap()
}

fn all(gpus: usize) -> u128 {
    u128::MAX >> (128 - gpus)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn no_set_is_better_and_no_equal_one_comes_before(
        // Few levels leave many sets equal.
        matrix in prop_oneof![matrices(12, 1), matrices(12, 3), matrices(12, u32::MAX)],
        free: u128,
        include: u128,
    ) {
        let free = (free | free >> 64) & all(matrix.gpus());
        for include in [0, free & include & (include >> 64)] {
            for count in 1..=matrix.gpus() {
                let question = (free, include, count);
                let sums = matrix.best_by_pair_sum(free, include, count);
                let worst = matrix.best_by_min_pair(free, include, count);
                if (count as u32) < include.count_ones() || count as u32 > free.count_ones() {
                    prop_assert_eq!((sums, worst), (None, None));
                    continue;
                }
                let (sums, worst) = (sums.unwrap(), worst.unwrap());
                prop_assert_eq!((sums.set, sums.value), brute_force(&matrix, question, |values| values.0));
                prop_assert_eq!((worst.set, worst.value), brute_force(&matrix, question, |values| values.1));
                prop_assert!(sums.proven && worst.proven);
                prop_assert_eq!((sums.bound, worst.bound), (sums.value, worst.value));
            }
        }
    }

    #[test]
    fn other_names_change_no_value(matrix in matrices(24, 4), order in Just((0..24).collect::<Vec<usize>>()).prop_shuffle()) {
        let gpus = matrix.gpus();
        let order: Vec<usize> = order.into_iter().filter(|gpu| *gpu < gpus).collect();
        let renamed = PairMatrix::new(gpus, |a, b| matrix.pair(order[a], order[b])).unwrap();
        for count in [1, 2, gpus / 3, gpus / 2, gpus - gpus / 4].into_iter().filter(|count| (1..=gpus).contains(count)) {
            let answers = |matrix: &PairMatrix| {
                let (sum, worst) = (matrix.best_by_pair_sum(all(gpus), 0, count), matrix.best_by_min_pair(all(gpus), 0, count));
                [sum, worst].map(Option::unwrap)
            };
            let (own, other) = (answers(&matrix), answers(&renamed));
            prop_assert!(own.iter().chain(&other).all(|best| best.proven));
            prop_assert_eq!(own.map(|best| best.value), other.map(|best| best.value));
        }
    }
}

#[test]
fn more_than_sixteen_are_searched_to_the_end_too() {
    for (levels, seed) in [(1, 0), (3, 1), (50, 2), (u32::MAX, 3)] {
        let matrix = random(18, levels, seed);
        for (include, count) in [(0, 2), (0b1010, 5), (0, 9), (1 << 17, 14), (0, 17)] {
            let question = (all(18), include, count);
            let sums = matrix.best_by_pair_sum(all(18), include, count).unwrap();
            assert_eq!(
                (sums.set, sums.value),
                brute_force(&matrix, question, |values| values.0),
                "{levels} {count}"
            );
            let worst = matrix.best_by_min_pair(all(18), include, count).unwrap();
            assert_eq!(
                (worst.set, worst.value),
                brute_force(&matrix, question, |values| values.1),
                "{levels} {count}"
            );
            assert!(sums.proven && worst.proven);
        }
    }
}

#[test]
fn a_search_that_is_cut_off_says_so_and_its_bound_holds() {
    for (gpus, count) in [(64, 10), (64, 24), (128, 14), (128, 100)] {
        let matrix = random(gpus, 40, 7);
        let answers = |steps: u64| {
            let matrix = matrix.clone().most_steps(steps);
            let own = [
                matrix.best_by_pair_sum(all(gpus), 0b100, count),
                matrix.best_by_min_pair(all(gpus), 0b100, count),
            ];
            let own = own.map(Option::unwrap);
            let values = [values(&matrix, own[0].set).0, values(&matrix, own[1].set).1];
            assert_eq!(own.map(|best| best.value), values);
            for best in own {
                assert!(
                    best.set & 0b100 != 0
                        && best.set.count_ones() as usize == count
                        && best.value <= best.bound
                );
                assert!(!best.proven || best.value == best.bound);
            }
            assert_eq!(
                own,
                [
                    matrix.best_by_pair_sum(all(gpus), 0b100, count),
                    matrix.best_by_min_pair(all(gpus), 0b100, count)
                ]
                .map(Option::unwrap)
            );
            own
        };
        // What longer searches find is within the bounds of shorter ones.
        let effort = [1, 30, 1000].map(answers);
        assert!(effort[0].iter().all(|best| !best.proven), "{gpus} {count}: {:?}", effort[0]);
        for (short, long) in [(0, 1), (0, 2), (1, 2)] {
            for (short, long) in effort[short].iter().zip(&effort[long]) {
                assert!(long.value <= short.bound, "{gpus} {count}: {short:?} {long:?}");
            }
        }
    }
}

#[test]
fn switched_and_tiered_machines_are_no_long_search() {
    // All alike, and 8 islands of 16 of which no set is within one.
    let alike = PairMatrix::new(128, |_, _| 900).unwrap();
    for count in [1, 2, 63, 64, 100, 128] {
        for best in [alike.best_by_pair_sum(u128::MAX, 0, count), alike.best_by_min_pair(u128::MAX, 0, count)]
        {
            let BestSet { set, proven, .. } = best.unwrap();
            assert_eq!((set, proven), (all(count), true), "{count}");
        }
    }
    let islands = PairMatrix::new(128, |a, b| if a / 16 == b / 16 { 900 } else { 50 }).unwrap();
    let free = !0b1111;
    let best = islands.best_by_min_pair(free, 0, 16).unwrap();
    assert_eq!((best.set, best.value, best.proven), (0xffff << 16, 900, true));
    let best = islands.best_by_min_pair(free, 0, 17).unwrap();
    assert_eq!((best.value, best.proven), (50, true));
}

#[test]
fn a_machine_gives_its_bandwidths() {
    for preset in ["dgx-1-v100", "dgx-h100", "l40s-8-pcie"] {
        let topology = Topology::preset(preset).unwrap();
        let matrix = PairMatrix::of(&topology).unwrap();
        for count in 2..=8 {
            let scores = Request::gpus(count).objectives(["min-pair", "pair-sum"]).solve(&topology).unwrap();
            let worst = scores.scores()[0].value.unwrap().as_bandwidth().unwrap().as_mb_per_s();
            assert_eq!(matrix.best_by_min_pair(0xff, 0, count).unwrap().value, worst, "{preset} {count}");
            let scores = Request::gpus(count).objectives(["pair-sum"]).solve(&topology).unwrap();
            let sum = scores.scores()[0].value.unwrap().as_bandwidth().unwrap().as_mb_per_s();
            assert_eq!(matrix.best_by_pair_sum(0xff, 0, count).unwrap().value, sum, "{preset} {count}");
        }
    }
}

#[test]
fn what_is_no_question_has_no_answer() {
    let matrix = PairMatrix::new(4, |_, _| 1).unwrap();
    for (free, include, count) in
        [(0b1111, 0, 0), (0b0111, 0, 4), (0b0111, 0b1000, 2), (0b1111, 0b111, 2), (1 << 100, 0, 1), (0, 0, 1)]
    {
        assert_eq!(matrix.best_by_pair_sum(free, include, count), None);
        assert_eq!(matrix.best_by_min_pair(free, include, count), None);
    }
    assert_eq!(PairMatrix::new(0, |_, _| 1).unwrap().best_by_min_pair(0, 0, 1), None);
    assert_eq!(PairMatrix::new(129, |_, _| 1).unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(
        PairMatrix::from_rows(3, &[0; 8]).unwrap_err().to_string().contains("8 numbers, and 3 GPUs need 9")
    );
}
