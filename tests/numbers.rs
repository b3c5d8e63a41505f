//! A bare matrix of any numbers, beside trying every set.

use nvtopo::ErrorKind;
use nvtopo::solve::{NumberMatrix, PairObjective};

/// The value of a set by the definition: the lower direction of each pair, unknown where one is.
fn value(objective: PairObjective, gpus: usize, rows: &[f64], set: u128) -> Option<f64> {
    let (mut sum, mut worst, mut pairs) = (0.0, f64::INFINITY, 0);
    for a in (0..gpus).filter(|a| set >> a & 1 == 1) {
        for b in (a + 1..gpus).filter(|b| set >> b & 1 == 1) {
            let (there, back) = (rows[a * gpus + b], rows[b * gpus + a]);
            if there.is_nan() || back.is_nan() {
                return None;
            }
            pairs += 1;
            sum += there.min(back);
            worst = worst.min(there).min(back);
        }
    }
    match objective {
        _ if pairs == 0 => Some(0.0),
        PairObjective::PairSum => Some(sum),
        _ => Some(worst),
    }
}

fn random(gpus: usize, seed: u64, number: impl Fn(u64) -> f64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..gpus * gpus).map(|_| number(next())).collect()
}

#[test]
fn the_best_set_is_that_of_trying_all() {
    type Number = fn(u64) -> f64;
    let kinds: [Number; 5] = [
        |n| (n % 4) as f64 * 25.0,
        |n| (n % 5000) as f64 / 100.0,
        |n| n as f64 / u64::MAX as f64,
        |n| (n % 7) as f64 * 1e12,
        |n| (n % 3) as f64 * 1e-12,
    ];
    for (kind, number) in kinds.into_iter().enumerate() {
        for seed in 1..12 {
            let gpus = 2 + seed as usize % 8;
            let rows = random(gpus, seed * 31 + kind as u64, number);
            let matrix = NumberMatrix::from_rows(gpus, &rows).unwrap();
            for objective in [PairObjective::MinPair, PairObjective::PairSum] {
                for count in 1..=gpus {
                    let best = matrix.best_set(objective, u128::MAX, 1, count).unwrap();
                    let sets = (0..1_u128 << gpus).filter(|set| set & 1 == 1);
                    let all = sets.filter(|set| set.count_ones() as usize == count);
                    let most = all.filter_map(|set| value(objective, gpus, &rows, set)).fold(0.0, f64::max);
                    let own = value(objective, gpus, &rows, best.set).unwrap();
                    assert_eq!(best.set.count_ones() as usize, count);
                    let told = best.value.unwrap();
                    assert!(best.proven && best.set & 1 == 1 && (told - own).abs() <= own * 1e-12);
                    assert!(own >= most * (1.0 - 1e-8), "{objective}: {own} of {most}");
                    assert!(best.bound >= told, "{objective}: bound {} of {told}", best.bound);
                }
            }
        }
    }
}

#[test]
fn an_unknown_pair_is_never_worth_a_number() {
    let nan = f64::NAN;
    let rows = [nan, nan, 3.0, 5.0, nan, nan, 3.0, nan, 3.0, 3.0, nan, 0.0];
    let rows = [&rows[..], &[1.0, 2.0, 3.0, nan]].concat();
    let matrix = NumberMatrix::from_rows(4, &rows).unwrap();
    // GPU 0 to GPU 1 is unknown, GPU 1 to GPU 3 in one direction, and GPU 2 to GPU 3 is 0 in one.
    for objective in [PairObjective::MinPair, PairObjective::PairSum] {
        let pair = matrix.best_set(objective, 0b0011, 0, 2).unwrap();
        assert_eq!((pair.set, pair.value), (0b0011, None));
        assert_eq!(matrix.best_set(objective, 0b1010, 0, 2).unwrap().value, None);
        assert_eq!(matrix.best_set(objective, 0b1100, 0, 2).unwrap().value, Some(0.0));
        assert_eq!(matrix.best_set(objective, 0b0111, 0, 2).unwrap().set, 0b0101);
        assert_eq!(matrix.best_set(objective, 0b1111, 0, 1).unwrap().value, Some(0.0));
    }
}

#[test]
fn decimals_are_added_without_an_error() {
    let gpus = 20;
    let rows: Vec<f64> = random(gpus, 7, |n| (n % 3) as f64 * 0.1);
    let best = NumberMatrix::from_rows(gpus, &rows).unwrap();
    let best = best.best_set(PairObjective::PairSum, u128::MAX, 0, 5).unwrap();
    let tenths = best.value.unwrap() * 10.0;
    assert!((tenths - tenths.round()).abs() < 1e-9, "{tenths}");
    assert!(!best.proven || (best.bound - best.value.unwrap()).abs() < f64::EPSILON);
}

#[test]
fn what_is_wrong_is_said() {
    let error = |gpus: usize, rows: &[f64]| NumberMatrix::from_rows(gpus, rows).unwrap_err();
    assert_eq!(error(2, &[0.0, -1.0, 1.0, 0.0]).message(), "the number from GPU 0 to GPU 1 is -1");
    assert_eq!(error(2, &[0.0, 1.0, f64::INFINITY, 0.0]).message(), "the number from GPU 1 to GPU 0 is inf");
    assert_eq!(error(2, &[0.0; 3]).message(), "the matrix has 3 numbers, and 2 GPUs need 4");
    assert_eq!(error(129, &[]).kind(), ErrorKind::Unsupported);
    assert_eq!(error(usize::MAX, &[]).kind(), ErrorKind::Unsupported);
    let matrix = NumberMatrix::from_rows(4, &[1.0; 16]).unwrap();
    let refused = |free, include, count| {
        let error = matrix.best_set(PairObjective::MinPair, free, include, count).unwrap_err();
        (error.kind(), error.message().to_owned())
    };
    let request = |text: &str| (ErrorKind::InvalidRequest, text.to_owned());
    assert_eq!(refused(0b1111, 0, 0), request("0 GPUs were asked for"));
    assert_eq!(refused(0b0111, 0b1000, 2), request("GPU 3 is included, but is not free"));
    assert_eq!(refused(0b1111, 0b111, 2), request("3 GPUs are included, but only 2 asked for"));
    let few = "4 GPUs were asked for, but only 3 of 4 are free".to_owned();
    assert_eq!(refused(0b0111, 0, 4), (ErrorKind::Unsatisfiable, few));
    assert_eq!(matrix.set(&[1, 4]).unwrap_err().message(), "there is no GPU 4: the matrix has 4 rows");
    assert!(NumberMatrix::from_rows(0, &[]).unwrap().best_set(PairObjective::MinPair, 0, 0, 1).is_err());
    assert!("ring".parse::<PairObjective>().unwrap_err().to_string().contains("min-pair and pair-sum"));
    assert_eq!("pair-sum".parse::<PairObjective>().unwrap().to_string(), "pair-sum");
}
