//! The division of stocks among consumers that may each draw on some of them: maximum flow by augmenting paths.

use std::collections::VecDeque;

/// Returns the amount that each consumer gets of each stock; `None` if they cannot all have what they need. A consumer draws on its
/// stocks in the listed order, as far as the others leave it the choice.
pub(super) fn divide<S: AsRef<[usize]>>(
    needs: &[u64],
    stocks_of: &[S],
    stocks: &[u64],
) -> Option<Vec<Vec<u64>>> {
    let mut left = stocks.to_vec();
    let mut drawn = vec![vec![0; stocks.len()]; needs.len()];
    // Greedily first, then along augmenting paths.
    let mut missing: Vec<u64> = Vec::with_capacity(needs.len());
    for (consumer, need) in needs.iter().enumerate() {
        let mut need = *need;
        for &stock in stocks_of[consumer].as_ref() {
            let own = need.min(left[stock]);
            (drawn[consumer][stock], left[stock], need) =
                (drawn[consumer][stock] + own, left[stock] - own, need - own);
        }
        missing.push(need);
    }
    for (consumer, missing) in missing.iter_mut().enumerate() {
        while *missing > 0 {
            let (way, end) = way(consumer, stocks_of, &drawn, &left)?;
            let of_others =
                way.iter().skip(1).map(|(other, from)| drawn[*other][*from]).min().unwrap_or(u64::MAX);
            let amount = (*missing).min(left[end]).min(of_others);
            // Each consumer on the path gives up a stock to the one before and draws on the next instead.
            for (index, (own, from)) in way.iter().enumerate() {
                let to = way.get(index + 1).map_or(end, |(_, to)| *to);
                if index > 0 {
                    drawn[*own][*from] -= amount;
                }
                drawn[*own][to] += amount;
            }
            left[end] -= amount;
            *missing -= amount;
        }
    }
    Some(drawn)
}

/// Finds a shortest augmenting path from one consumer to a stock with something left: the consumers, each with the stock that it gives
/// up, which is meaningless for the first.
fn way<S: AsRef<[usize]>>(
    start: usize,
    stocks_of: &[S],
    drawn: &[Vec<u64>],
    left: &[u64],
) -> Option<(Vec<(usize, usize)>, usize)> {
    // The consumer that reaches each stock, and for each consumer the stock it would give up.
    let mut wanted_by = vec![None; left.len()];
    let mut gives = vec![None; drawn.len()];
    let mut queue = VecDeque::from([start]);
    while let Some(consumer) = queue.pop_front() {
        for &stock in stocks_of[consumer].as_ref() {
            if wanted_by[stock].is_some() {
                continue;
            }
            wanted_by[stock] = Some(consumer);
            if left[stock] > 0 {
                let mut chain = Vec::new();
                let mut own = consumer;
                while let Some((stock, before)) = gives[own] {
                    chain.push((own, stock));
                    own = before;
                }
                chain.push((start, usize::MAX));
                chain.reverse();
                return Some((chain, stock));
            }
            for other in 0..drawn.len() {
                if other != start && gives[other].is_none() && drawn[other][stock] > 0 {
                    gives[other] = Some((stock, consumer));
                    queue.push_back(other);
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn others_move_out_of_the_way() {
        // The first takes of stock 0, which is all that the last can use; the one between can use both.
        let drawn = divide::<&[usize]>(&[4, 4, 4], &[&[0, 1], &[1, 2], &[0]], &[4, 4, 5]).unwrap();
        assert_eq!(drawn, [vec![0, 4, 0], vec![0, 0, 4], vec![4, 0, 0]]);
        assert_eq!(divide::<&[usize]>(&[4, 4, 4], &[&[0, 1], &[1], &[0]], &[4, 4, 5]), None);
    }

    #[test]
    fn needs_are_split_where_they_must_be() {
        let drawn = divide(&[6, 6], &[&[0, 1], &[0, 1]], &[8, 4]).unwrap();
        assert_eq!(drawn, [vec![6, 0], vec![2, 4]]);
        assert_eq!(divide::<&[usize]>(&[1], &[&[]], &[]), None);
        assert_eq!(divide::<&[usize]>(&[], &[], &[3]), Some(vec![]));
    }

    /// Returns whether all can have what they need, by trying every division.
    fn can(needs: &[u64], stocks_of: &[&[usize]], left: &mut [u64]) -> bool {
        let Some((need, others)) = needs.split_first() else { return true };
        let Some((stock, more)) = stocks_of[0].split_first() else {
            return *need == 0 && can(others, &stocks_of[1..], left);
        };
        (0..=(*need).min(left[*stock])).any(|amount| {
            left[*stock] -= amount;
            let needs: Vec<u64> = std::iter::once(need - amount).chain(others.iter().copied()).collect();
            let stocks_of: Vec<&[usize]> =
                std::iter::once(more).chain(stocks_of[1..].iter().copied()).collect();
            let found = can(&needs, &stocks_of, left);
            left[*stock] += amount;
            found
        })
    }

    proptest! {
        #[test]
        fn it_is_divided_wherever_that_can_be(
            stocks in prop::collection::vec(0u64..5, 4),
            consumers in prop::collection::vec((0u64..5, prop::sample::subsequence(vec![0usize, 1, 2, 3], 0..=4).prop_shuffle()), 1..=4),
        ) {
            let needs: Vec<u64> = consumers.iter().map(|(need, _)| *need).collect();
            let stocks_of: Vec<&[usize]> = consumers.iter().map(|(_, stocks)| stocks.as_slice()).collect();
            let drawn = divide(&needs, &stocks_of, &stocks);
            prop_assert_eq!(drawn.is_some(), can(&needs, &stocks_of, &mut stocks.clone()));
            for (consumer, drawn) in drawn.iter().flatten().enumerate() {
                prop_assert_eq!(drawn.iter().sum::<u64>(), needs[consumer]);
                prop_assert!((0..4).all(|stock| drawn[stock] == 0 || stocks_of[consumer].contains(&stock)));
            }
            for (stock, most) in stocks.iter().enumerate() {
                prop_assert!(drawn.iter().flatten().map(|drawn| drawn[stock]).sum::<u64>() <= *most);
            }
        }
    }
}
