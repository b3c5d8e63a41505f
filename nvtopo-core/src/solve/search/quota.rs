//! Quotas: upper limits on the number of GPUs of some groups, because each group draws on one supply.

use super::set::Set;

/// The greatest number of GPUs of one group that may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Quota {
    gpus: Set,
    most: u32,
}

/// Several quotas, the smaller groups first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::solve) struct Quotas {
    list: Vec<Quota>,
    /// True if two groups overlap and neither contains the other.
    crossing: bool,
}

impl Quotas {
    /// Returns the quotas of some sets of GPUs, each with the greatest number of its GPUs that may be chosen.
    pub(in crate::solve) fn new(quotas: impl IntoIterator<Item = (Set, u32)>) -> Self {
        let mut list: Vec<Quota> = quotas.into_iter().map(|(gpus, most)| Quota { gpus, most }).collect();
        list.retain(|quota| quota.gpus.count_ones() > quota.most);
        list.sort_by_key(|quota| (quota.gpus.count_ones(), quota.gpus, quota.most));
        list.dedup_by_key(|quota| quota.gpus);
        let apart = |a: Set, b: Set| a & b == 0 || a & b == a;
        let crossing = list
            .iter()
            .enumerate()
            .any(|(index, small)| list[index + 1..].iter().any(|large| !apart(small.gpus, large.gpus)));
        Self { list, crossing }
    }

    /// Returns whether a partial set may have no feasible completion although there is room for what is missing.
    pub(in crate::solve) fn may_mislead(&self) -> bool {
        self.crossing
    }

    /// Returns the open GPUs that may join the chosen ones.
    pub(in crate::solve) fn open(&self, chosen: Set, open: Set) -> Set {
        let full = |quota: &&Quota| (quota.gpus & chosen).count_ones() >= quota.most;
        self.list.iter().filter(full).fold(open, |open, quota| open & !quota.gpus)
    }

    /// Returns an upper bound on the number of open GPUs that can join the chosen ones together.
    pub(in crate::solve) fn room(&self, chosen: Set, open: Set) -> usize {
        let mut left = open;
        // Groups already counted, each with the number of its GPUs that can join.
        let mut counted: Vec<(Set, u32)> = Vec::new();
        for Quota { gpus, most } in &self.list {
            let (inside, outside): (Vec<_>, Vec<_>) =
                counted.iter().copied().partition(|(group, _)| group & !gpus == 0);
            // An overlapping group was counted already.
            if outside.iter().any(|(group, _)| group & gpus != 0) {
                continue;
            }
            let of_groups: u32 = inside.iter().map(|(_, most)| most).sum();
            let room = most.saturating_sub((gpus & chosen).count_ones());
            counted = outside;
            counted.push((*gpus, room.min(of_groups + (left & gpus).count_ones())));
            left &= !gpus;
        }
        (counted.iter().map(|(_, most)| most).sum::<u32>() + left.count_ones()) as usize
    }

    /// Returns whether a set is within every quota.
    pub(super) fn hold(&self, set: Set) -> bool {
        self.list.iter().all(|quota| (quota.gpus & set).count_ones() <= quota.most)
    }

    /// Returns whether two GPUs are in the same groups.
    pub(in crate::solve) fn alike(&self, a: usize, b: usize) -> bool {
        self.list.iter().all(|quota| quota.gpus >> a & 1 == quota.gpus >> b & 1)
    }

    /// Returns whether there are no quotas, so that any GPU may join.
    pub(in crate::solve) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas(list: &[(Set, u32)]) -> Quotas {
        Quotas::new(list.iter().copied())
    }

    #[test]
    fn groups_within_groups_are_counted_once() {
        let quotas = quotas(&[(0b1111, 3), (0b0011, 1), (0b1100, 5), (0b11_0000, 1)]);
        assert!(!quotas.may_mislead());
        // One of the first two, both of the next, one of the last two, and the one that is in no group.
        assert_eq!(quotas.room(0, 0b111_1111), 1 + 2 + 1 + 1);
        assert_eq!(quotas.room(0b0001, 0b1110), 2);
        assert_eq!(quotas.open(0b0001, 0b11_1110), 0b11_1100);
        assert_eq!(quotas.open(0b0_1101, 0b11_0010), 0b11_0000);
        assert!(quotas.alike(2, 3) && quotas.alike(0, 1) && !quotas.alike(1, 2));
    }

    #[test]
    fn what_overlaps_is_an_upper_bound() {
        let quotas = quotas(&[(0b011, 1), (0b110, 1)]);
        assert!(quotas.may_mislead());
        assert_eq!(quotas.room(0, 0b111), 2);
        assert_eq!(quotas.open(0b010, 0b101), 0);
        let none = super::Quotas::default();
        assert!(none.is_empty() && none.room(0, 0b111) == 3);
    }
}
