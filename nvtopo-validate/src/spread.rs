//! Medians, and the Wilcoxon rank-sum test (Mann-Whitney): whether one of two series of figures is lower by more than chance.

/// Returns the median. `None` for no values.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// Returns the least and the greatest value. `None` for no values.
pub(crate) fn range(values: &[f64]) -> Option<(f64, f64)> {
    let least = values.iter().copied().min_by(f64::total_cmp)?;
    Some((least, values.iter().copied().max_by(f64::total_cmp)?))
}

/// The most values of a series for which the test is exact; of more, the first count.
const MOST: usize = 50;

/// Returns the probability that `low` is as far below `high` as it is, or further, if both came from one distribution: the exact
/// one-sided rank-sum test. Ties count against a difference. 1 where a series is empty.
pub(crate) fn chance(low: &[f64], high: &[f64]) -> f64 {
    let (low, high) = (&low[..low.len().min(MOST)], &high[..high.len().min(MOST)]);
    if low.is_empty() || high.is_empty() {
        return 1.0;
    }
    // The number of pairs in which the lower series is not below the other.
    let against = low.iter().map(|a| high.iter().filter(|b| *a >= **b).count()).sum::<usize>();
    let (all, few) = (low.len(), high.len());
    // ways[n][u]: arrangements of n values of one series among the others so far, with u pairs in the wrong order.
    let most = all * few;
    let mut ways = vec![vec![0.0_f64; most + 1]; all + 1];
    for own in &mut ways {
        // The values of the first series stand in gaps of the second, in order: partitions in a box of all × few.
        own[0] = 1.0;
    }
    for part in 1..=few {
        // Partitions with parts up to `few`, at most `all` of them.
        for parts in 1..=all {
            for sum in part..=most {
                let more = ways[parts - 1][sum - part];
                ways[parts][sum] += more;
            }
        }
    }
    let count: f64 = ways[all].iter().sum();
    ways[all][..=against].iter().sum::<f64>() / count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_ranges() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!((median(&[]), range(&[])), (None, None));
        assert_eq!(range(&[2.0, -1.0]), Some((-1.0, 2.0)));
    }

    /// The number of arrangements of the pooled values in which as few pairs stand against the difference, by trying them all.
    fn by_trial(first: usize, second: usize, against: usize) -> f64 {
        let (mut as_far, mut all) = (0_u32, 0_u32);
        for set in 0_u32..1 << (first + second) {
            if set.count_ones() as usize != first {
                continue;
            }
            all += 1;
            let own = |at: usize| set >> at & 1 == 1;
            let wrong: usize = (0..first + second)
                .filter(|at| own(*at))
                .map(|at| (0..at).filter(|below| !own(*below)).count())
                .sum();
            as_far += u32::from(wrong <= against);
        }
        f64::from(as_far) / f64::from(all)
    }

    #[test]
    fn the_test_is_exact() {
        // All values of one below all of the other.
        assert!((chance(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]) - 1.0 / 20.0).abs() < 1e-12);
        assert!((chance(&[4.0, 5.0, 6.0], &[1.0, 2.0, 3.0]) - 1.0).abs() < 1e-12);
        for (low, high) in [
            (vec![1.0, 3.0], vec![2.0, 4.0, 5.0]),
            (vec![5.0, 1.0, 7.0, 2.5], vec![6.0, 2.0, 8.0]),
            (vec![2.0], vec![1.0, 3.0, 4.0, 5.0, 6.0]),
        ] {
            let against = low.iter().map(|a| high.iter().filter(|b| a >= *b).count()).sum();
            let expected = by_trial(low.len(), high.len(), against);
            assert!((chance(&low, &high) - expected).abs() < 1e-12, "{low:?} {high:?}");
        }
        // Equal values are no difference.
        assert!((chance(&[1.0; 5], &[1.0; 5]) - 1.0).abs() < 1e-12);
        assert!((chance(&[], &[1.0]) - 1.0).abs() < 1e-12);
    }
}
