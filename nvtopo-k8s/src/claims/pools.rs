//! Pools of GPUs that a claim may name: sets within which any GPUs are as good as others of the same link.

use super::choose::MAX_ALTERNATIVES;
use nvtopo::PathType;
use nvtopo::Topology;
use nvtopo::solve::objective::Set;

/// The most pools that are looked at; meshes of many GPUs have more, of which the rest is left out.
const MAX_POOLS: usize = 512;
/// The most GPUs of which all sets of exactly the asked number are looked at.
const MAX_SETS_OF: u32 = 10;
/// The most rates of links that pools are made of.
const MAX_RATES: usize = 4;

/// The closeness that holds between all GPUs of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Closeness {
    /// Each two are connected over NVLink.
    Linked,
    /// They are of one NVLink group, some pairs of which have no link.
    Group,
    /// Each two reach each other below one host bridge, through PCIe switches.
    Switch,
    /// They are beside one NUMA node.
    NumaNode,
    /// They are of one machine.
    Machine,
}

impl Closeness {
    /// The words for it in a sentence: "GPUs that are …".
    pub const fn words(self) -> &'static str {
        match self {
            Self::Linked => "linked by NVLink, each to each",
            Self::Group => "of one NVLink group, not each linked to each",
            Self::Switch => "below PCIe switches of one host bridge",
            Self::NumaNode => "beside one NUMA node",
            Self::Machine => "of one machine and nothing nearer",
        }
    }
}

/// The members of a set, increasing.
pub(super) fn members(mut set: Set) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        (set != 0).then(|| {
            let lowest = set.trailing_zeros() as usize;
            set &= set - 1;
            lowest
        })
    })
}

/// All sets of exactly `count` members.
pub(super) fn sets_of(set: Set, count: usize) -> Vec<Set> {
    let gpus: Vec<usize> = members(set).collect();
    let mut sets = vec![(0, 0)];
    for _ in 0..count {
        let longer = |(set, next): (Set, usize)| {
            let gpus = &gpus;
            (next..gpus.len()).map(move |at| (set | 1 << gpus[at], at + 1))
        };
        sets = sets.into_iter().flat_map(longer).collect();
    }
    sets.into_iter().map(|(set, _)| set).collect()
}

/// Some sets of exactly `count` members: the lowest, the highest, and members from both ends.
pub(super) fn edges(set: Set, count: usize) -> Vec<Set> {
    let gpus: Vec<usize> = members(set).collect();
    let of = |chosen: &[usize]| chosen.iter().map(|gpu| 1 << gpu).sum::<Set>();
    let Some(from) = gpus.len().checked_sub(count) else { return Vec::new() };
    let (low, high) = gpus.split_at(count.div_ceil(2));
    let both = of(low) | of(&high[high.len().saturating_sub(count - low.len())..]);
    vec![of(&gpus[..count]), of(&gpus[from..]), both]
}

/// The nearness of the GPUs of a machine, pair by pair.
pub(super) struct Nearness<'a> {
    topology: &'a Topology,
    usable: Set,
}

impl<'a> Nearness<'a> {
    pub(super) fn new(topology: &'a Topology, usable: Set) -> Self {
        Self { topology, usable }
    }

    /// Returns true for two GPUs that are so near.
    fn holds(&self, closeness: Closeness, a: usize, b: usize) -> bool {
        let path = self.topology.pairs().pair(a, b).path;
        match closeness {
            Closeness::Linked => path == Some(PathType::Nvl),
            Closeness::Group => self
                .topology
                .nvlink_groups()
                .iter()
                .any(|group| group.gpus.contains(&a) && group.gpus.contains(&b)),
            Closeness::Switch => {
                let host = |gpu: usize| self.topology.devices()[gpu];
                self.topology.host_path(host(a), host(b)).is_some_and(|path| path <= PathType::Pxb)
            }
            Closeness::NumaNode => {
                let nodes = |gpu: usize| self.topology.local_nodes(self.topology.devices()[gpu]);
                let (a, b) = (nodes(a), nodes(b));
                a.known().is_some_and(|nodes| !nodes.is_empty() && b.known() == Some(nodes))
            }
            Closeness::Machine => true,
        }
    }

    /// Returns the nearness of all pairs of a set.
    pub(super) fn of(&self, set: Set) -> Closeness {
        let all =
            |closeness| members(set).all(|a| members(set).all(|b| a >= b || self.holds(closeness, a, b)));
        let steps = [Closeness::Linked, Closeness::Group, Closeness::Switch, Closeness::NumaNode];
        steps.into_iter().find(|step| all(*step)).unwrap_or(Closeness::Machine)
    }

    /// For each GPU those to which something holds.
    fn graph(&self, holds: impl Fn(usize, usize) -> bool) -> Vec<Set> {
        let gpus = self.topology.gpus().len();
        let of = |a: usize| members(self.usable).filter(|b| *b != a && holds(a, *b)).map(|b| 1 << b).sum();
        (0..gpus).map(of).collect()
    }

    /// The maximal sets of at least `count` GPUs, each to each of which something holds.
    fn cliques(&self, count: usize, holds: impl Fn(usize, usize) -> bool) -> Vec<Set> {
        let mut found = Vec::new();
        extend(&self.graph(holds), count, (0, self.usable, 0), &mut found);
        found
    }

    /// The pools for `count` GPUs each, of the nearest step at which there is one; and those within them that are nearer still.
    pub(super) fn pools(&self, count: usize) -> Vec<Set> {
        use Closeness::{Group, Linked, Machine, NumaNode, Switch};
        let steps = [Linked, Group, Switch, NumaNode, Machine];
        let at = |step: Closeness| self.cliques(count, |a, b| self.holds(step, a, b));
        let found = steps.into_iter().map(|step| (step, at(step))).find(|(_, pools)| !pools.is_empty());
        let Some((nearest, mut pools)) = found else { return Vec::new() };
        if count == 1 {
            // Any single GPU is as good as another; groups are used up one after the other.
            let groups = self.topology.nvlink_groups().iter();
            let groups = groups.map(|group| group.gpus.iter().map(|gpu| 1 << gpu).sum::<Set>() & self.usable);
            let groups: Vec<Set> = groups.filter(|group| *group != 0).collect();
            let linked = groups.iter().any(|group| group.count_ones() > 1);
            return if linked && groups.len() <= MAX_ALTERNATIVES { groups } else { vec![self.usable] };
        }
        // Within these, faster links and shared NUMA nodes and switches are better.
        for rate in self.rates() {
            let fast = |a, b| self.holds(nearest, a, b) && self.rate(a, b) >= Some(rate);
            pools.extend(self.cliques(count, fast));
            pools.extend(self.cliques(count, |a, b| fast(a, b) && self.holds(NumaNode, a, b)));
            pools.extend(self.cliques(count, |a, b| fast(a, b) && self.holds(Switch, a, b)));
        }
        pools.extend(self.cliques(count, |a, b| self.holds(nearest, a, b) && self.holds(NumaNode, a, b)));
        pools.extend(self.cliques(count, |a, b| self.holds(nearest, a, b) && self.holds(Switch, a, b)));
        pools.truncate(MAX_POOLS);
        if self.usable.count_ones() <= MAX_SETS_OF {
            pools.extend(sets_of(self.usable, count).into_iter().filter(|set| self.of(*set) <= nearest));
        }
        pools.sort_by_key(|pool| (std::cmp::Reverse(pool.count_ones()), pool.reverse_bits()));
        pools.dedup();
        pools
    }

    /// The sets of exactly `count` GPUs, of the nearest step at which there is one.
    pub(super) fn sets(&self, count: usize) -> Vec<Set> {
        let mut sets = if self.usable.count_ones() <= MAX_SETS_OF {
            sets_of(self.usable, count)
        } else {
            self.pools(count).into_iter().flat_map(|pool| edges(pool, count)).collect()
        };
        let nearest = sets.iter().map(|set| self.of(*set)).min();
        sets.retain(|set| count == 1 || Some(self.of(*set)) == nearest);
        sets.sort_unstable();
        sets.dedup();
        sets
    }

    fn rate(&self, a: usize, b: usize) -> Option<u64> {
        let pair = self.topology.pairs().pair(a, b);
        // Thousandths of GB/s, to be compared exactly.
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "rates are small and positive"
        )]
        pair.rate.map(|rate| (rate.bandwidth.as_gb_per_s() * 1e3) as u64)
    }

    /// The rates of pairs, the best first.
    fn rates(&self) -> Vec<u64> {
        let pairs = members(self.usable).flat_map(|a| members(self.usable).map(move |b| (a, b)));
        let mut rates: Vec<u64> = pairs.filter(|(a, b)| a < b).filter_map(|(a, b)| self.rate(a, b)).collect();
        rates.sort_unstable_by(|a, b| b.cmp(a));
        rates.dedup();
        rates.truncate(MAX_RATES);
        rates
    }
}

/// Bron and Kerbosch's search with a pivot: `(chosen, open, closed)`.
fn extend(graph: &[Set], count: usize, (chosen, open, closed): (Set, Set, Set), found: &mut Vec<Set>) {
    if found.len() >= MAX_POOLS || ((chosen | open).count_ones() as usize) < count {
        return;
    }
    if open == 0 {
        if closed == 0 {
            found.push(chosen);
        }
        return;
    }
    let pivot = members(open | closed).max_by_key(|gpu| (graph[*gpu] & open).count_ones());
    let near = pivot.map_or(0, |pivot| graph[pivot]);
    let (mut open, mut closed) = (open, closed);
    for gpu in members(open & !near) {
        let bit = 1 << gpu;
        extend(graph, count, (chosen | bit, open & graph[gpu], closed & graph[gpu]), found);
        open &= !bit;
        closed |= bit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cliques_are_those_of_trying_all_sets(edges in proptest::collection::vec(any::<bool>(), 28), count in 1usize..5) {
            let mut graph = vec![0; 8];
            let pairs = (0..8usize).flat_map(|a| (a + 1..8).map(move |b| (a, b)));
            for ((a, b), edge) in pairs.zip(&edges) {
                if *edge {
                    graph[a] |= 1 << b;
                    graph[b] |= 1 << a;
                }
            }
            let mut found = Vec::new();
            extend(&graph, count, (0, 0xff, 0), &mut found);
            found.sort_unstable();
            let clique = |set: Set| members(set).all(|gpu| set & !graph[gpu] == 1 << gpu);
            let maximal = |set: Set| (0..8).all(|gpu| set >> gpu & 1 == 1 || !clique(set | 1 << gpu));
            let wanted: Vec<Set> = (1..256).filter(|set| clique(*set) && maximal(*set) && set.count_ones() as usize >= count).collect();
            prop_assert_eq!(found, wanted);
        }
    }

    #[test]
    fn all_sets_of_a_size_are_made() {
        assert_eq!(sets_of(0b1101, 2), [0b101, 0b1001, 0b1100]);
        assert_eq!(sets_of(0b1101, 4), []);
        assert_eq!(sets_of(0b1101, 0), [0]);
        assert_eq!(edges(0b11_1101, 3), [0b1101, 0b11_1000, 0b10_0101]);
        assert_eq!(edges(0b1101, 4), []);
        assert_eq!(edges(0b1101, 3), [0b1101; 3]);
    }
}
