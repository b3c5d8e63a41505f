//! Hints of NUMA nodes, and how the kubelet's topology manager makes one of many.
//!
//! Source: what `pkg/kubelet/cm/topologymanager` does since Kubernetes 1.27 (`HintMerger`), written anew. The kubelet tries
//! every combination of hints, one of each resource. The outcome does not depend on the order, so that sets of masks do.

use nvtopo::{Error, NodeSet, Result};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// The policy of the topology manager.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Policy {
    /// Nothing is aligned: the default of the kubelet.
    #[default]
    None,
    /// Aligned where it can be, admitted anyway.
    BestEffort,
    /// Refused where as few NUMA nodes as could be are not free.
    Restricted,
    /// Refused where one NUMA node does not do.
    SingleNumaNode,
}

impl Policy {
    /// All policies, the loosest first.
    pub const ALL: [Self; 4] = [Self::None, Self::BestEffort, Self::Restricted, Self::SingleNumaNode];

    /// The name in `topologyManagerPolicy`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::BestEffort => "best-effort",
            Self::Restricted => "restricted",
            Self::SingleNumaNode => "single-numa-node",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Policy {
    type Err = Error;

    /// Reads the names of `topologyManagerPolicy`.
    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|policy| policy.name() == text).ok_or_else(|| {
            Error::request(format!("'{text}' is no policy of the topology manager"))
                .help("give none, best-effort, restricted or single-numa-node")
        })
    }
}

/// The unit that the topology manager aligns: a container or a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// One container after the other: the default of the kubelet.
    #[default]
    Container,
    /// All containers of a pod together.
    Pod,
}

impl Scope {
    /// Both scopes.
    pub const ALL: [Self; 2] = [Self::Container, Self::Pod];

    /// The name in `topologyManagerScope`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Pod => "pod",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scope {
    type Err = Error;

    /// Reads the names of `topologyManagerScope`.
    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == text).ok_or_else(|| {
            Error::request(format!("'{text}' is no scope of the topology manager"))
                .help("give container or pod")
        })
    }
}

/// A set of NUMA nodes below 64, which is all that the kubelet can name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Mask(pub(crate) u64);

impl Mask {
    /// The most that a node's number can be, plus one.
    pub(crate) const BITS: u32 = u64::BITS;

    pub(crate) fn node(node: u32) -> Self {
        Self(1_u64.checked_shl(node).unwrap_or(0))
    }

    pub(crate) fn of(nodes: impl IntoIterator<Item = u32>) -> Self {
        nodes.into_iter().fold(Self::default(), |mask, node| Self(mask.0 | Self::node(node).0))
    }

    pub(crate) fn count(self) -> u32 {
        self.0.count_ones()
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn has(self, node: u32) -> bool {
        self.touches(Self::node(node))
    }

    pub(crate) fn touches(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn contains(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) fn nodes(self) -> impl Iterator<Item = u32> {
        (0..Self::BITS).filter(move |node| self.has(*node))
    }

    pub(crate) fn to_set(self) -> NodeSet {
        self.nodes().collect()
    }

    /// All masks within this one that are not empty, in the order of their numbers.
    pub(crate) fn subsets(self) -> impl Iterator<Item = Self> {
        let mut next = Some(0_u64);
        std::iter::from_fn(move || {
            // Counts up in the bits of the mask alone.
            let now = next?.wrapping_sub(self.0) & self.0;
            next = (now != 0).then_some(now);
            next.map(Self)
        })
    }
}

/// One hint: the nodes that a resource could come from, and whether there are as few of them as could be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Hint {
    /// `None`: any.
    pub(crate) affinity: Option<Mask>,
    pub(crate) preferred: bool,
}

impl Hint {
    pub(crate) const ANY: Self = Self { affinity: None, preferred: true };
    pub(crate) const NONE: Self = Self { affinity: None, preferred: false };
}

/// The hints of one resource. `None`: it does not care. An empty list: it cannot be had.
pub(crate) type Hints = Option<Vec<Hint>>;

/// The NUMA nodes of a machine, with the distances that decide under `prefer-closest-numa-nodes`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numa {
    pub(crate) all: Mask,
    /// By the numbers of two nodes.
    pub(crate) distances: Vec<Vec<u32>>,
}

impl Numa {
    fn average_distance(&self, mask: Mask) -> f64 {
        let distance = |a: u32, b: u32| {
            self.distances.get(a as usize).and_then(|row| row.get(b as usize)).copied().unwrap_or_default()
        };
        let sum: f64 = mask.nodes().flat_map(|a| mask.nodes().map(move |b| f64::from(distance(a, b)))).sum();
        sum / f64::from(mask.count().pow(2).max(1))
    }

    /// Returns true where the first mask is fitter.
    fn is_fitter(&self, a: Mask, b: Mask, closest: bool) -> bool {
        if a.count() != b.count() {
            return a.count() < b.count();
        }
        if closest {
            let (one, other) = (self.average_distance(a), self.average_distance(b));
            if one.total_cmp(&other).is_ne() {
                return one < other;
            }
        }
        a.0 < b.0
    }

    fn fittest(&self, masks: impl IntoIterator<Item = Mask>, closest: bool) -> Option<Mask> {
        masks.into_iter().reduce(|best, mask| if self.is_fitter(mask, best, closest) { mask } else { best })
    }

    /// The one hint of all resources, and whether the policy admits it. Under [`Policy::None`] nothing is merged.
    pub(crate) fn merge(&self, policy: Policy, closest: bool, resources: &[Hints]) -> (Hint, bool) {
        if policy == Policy::None {
            return (Hint::NONE, true);
        }
        let single = policy == Policy::SingleNumaNode;
        let mut lists: Vec<Vec<Hint>> = resources
            .iter()
            .map(|hints| match hints {
                None => vec![Hint::ANY],
                Some(hints) if hints.is_empty() => vec![Hint::NONE],
                Some(hints) => hints.clone(),
            })
            .collect();
        if single {
            let fits = |hint: &Hint| hint.preferred && hint.affinity.is_none_or(|mask| mask.count() == 1);
            for list in &mut lists {
                list.retain(fits);
            }
        }
        let mut best = self.best(&lists, closest && !single);
        if single && best.affinity == Some(self.all) {
            best.affinity = None;
        }
        (best, policy == Policy::BestEffort || best.preferred)
    }

    fn best(&self, lists: &[Vec<Hint>], closest: bool) -> Hint {
        if let Some(mask) = self.fittest(self.preferred(lists), closest) {
            return Hint { affinity: Some(mask), preferred: true };
        }
        let masks = self.reachable(lists);
        let least = |list: &Vec<Hint>| list.iter().filter_map(|hint| hint.affinity).map(Mask::count).min();
        let wanted = lists.iter().filter_map(least).max().unwrap_or(0);
        // As many nodes as the neediest resource needs, else fewer but as many as can be, else as few more as can be.
        let rank = |mask: &Mask| match mask.count() {
            count if count <= wanted => (0, wanted - count),
            count => (1, count),
        };
        let Some(nearest) = masks.iter().map(rank).min() else {
            return Hint { affinity: Some(self.all), preferred: false };
        };
        let affinity = self.fittest(masks.into_iter().filter(|mask| rank(mask) == nearest), closest);
        Hint { affinity, preferred: false }
    }

    /// The masks of combinations in which every hint is preferred, and all that name nodes name the same.
    fn preferred(&self, lists: &[Vec<Hint>]) -> BTreeSet<Mask> {
        let has =
            |list: &[Hint], affinity| list.iter().any(|hint| hint.preferred && hint.affinity == affinity);
        let mut masks = BTreeSet::new();
        if lists.iter().all(|list| has(list, None)) {
            masks.insert(self.all);
        }
        let named = lists.iter().flatten().filter(|hint| hint.preferred).filter_map(|hint| hint.affinity);
        for mask in named.collect::<BTreeSet<_>>() {
            if lists.iter().all(|list| has(list, None) || has(list, Some(mask))) {
                masks.insert(mask.and(self.all));
            }
        }
        masks.remove(&Mask(0));
        masks
    }

    /// The masks of all combinations that are not empty.
    fn reachable(&self, lists: &[Vec<Hint>]) -> BTreeSet<Mask> {
        let mut masks = BTreeSet::from([self.all]);
        for list in lists {
            let each: BTreeSet<Option<Mask>> = list.iter().map(|hint| hint.affinity).collect();
            // One by one: all pairs at once would not fit into memory on machines of many nodes.
            let mut next = BTreeSet::new();
            for (mask, hint) in masks.iter().flat_map(|mask| each.iter().map(move |hint| (*mask, *hint))) {
                let both = hint.map_or(mask, |hint| mask.and(hint));
                if !both.is_empty() {
                    next.insert(both);
                }
            }
            masks = next;
        }
        masks.remove(&Mask(0));
        masks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The kubelet's own way: all combinations one after the other, and the better of two.
    fn one_after_the_other(numa: &Numa, policy: Policy, closest: bool, resources: &[Hints]) -> (Hint, bool) {
        let single = policy == Policy::SingleNumaNode;
        let mut lists: Vec<Vec<Hint>> = Vec::new();
        for hints in resources {
            let mut list = match hints {
                None => vec![Hint::ANY],
                Some(list) if list.is_empty() => vec![Hint::NONE],
                Some(list) => list.clone(),
            };
            if single {
                list.retain(|hint| hint.preferred && hint.affinity.is_none_or(|mask| mask.count() == 1));
            }
            lists.push(list);
        }
        let needed = lists
            .iter()
            .map(|list| list.iter().filter_map(|hint| hint.affinity).map(Mask::count).min().unwrap_or(0))
            .max()
            .unwrap_or(0);
        let better = |current: Hint, candidate: Hint| {
            let (Some(a), Some(b)) = (current.affinity, candidate.affinity) else { panic!("merged") };
            let fitter = if numa.is_fitter(b, a, closest && !single) { candidate } else { current };
            match (current.preferred, candidate.preferred) {
                (false, true) => candidate,
                (true, false) => current,
                (false, false) if a.count() > needed => fitter,
                (false, false) if a.count() == needed && b.count() != needed => current,
                (false, false) if a.count() == needed => fitter,
                (false, false) if b.count() > needed => current,
                (false, false) if b.count() == needed => candidate,
                (false, false) if b.count() > a.count() => candidate,
                (false, false) if b.count() < a.count() => current,
                (true, true) | (false, false) => fitter,
            }
        };
        let mut combinations: Vec<Vec<Hint>> = vec![Vec::new()];
        for list in &lists {
            combinations = combinations
                .iter()
                .flat_map(|front| list.iter().map(|hint| [front.as_slice(), &[*hint]].concat()))
                .collect();
        }
        let mut best: Option<Hint> = None;
        for combination in combinations {
            let named: Vec<Mask> = combination.iter().filter_map(|hint| hint.affinity).collect();
            let candidate = Hint {
                affinity: Some(named.iter().fold(numa.all, |all, mask| all.and(*mask))),
                preferred: combination.iter().all(|hint| hint.preferred)
                    && named.iter().all(|m| *m == named[0]),
            };
            if candidate.affinity != Some(Mask(0)) {
                best = Some(best.map_or(candidate, |best| better(best, candidate)));
            }
        }
        let mut best = best.unwrap_or(Hint { affinity: Some(numa.all), preferred: false });
        if single && best.affinity == Some(numa.all) {
            best.affinity = None;
        }
        (best, policy == Policy::BestEffort || best.preferred)
    }

    fn hints() -> impl Strategy<Value = Hints> {
        let hint = (proptest::option::weighted(0.95, 1_u64..16), any::<bool>())
            .prop_map(|(mask, preferred)| Hint { affinity: mask.map(Mask), preferred });
        proptest::option::weighted(0.9, proptest::collection::vec(hint, 0..6))
    }

    fn numa() -> impl Strategy<Value = Numa> {
        proptest::collection::vec(proptest::collection::vec(10_u32..40, 4), 4)
            .prop_map(|distances| Numa { all: Mask(15), distances })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn merging_is_as_one_combination_after_the_other(
            numa in numa(), closest: bool, resources in proptest::collection::vec(hints(), 0..4),
        ) {
            for policy in [Policy::BestEffort, Policy::Restricted, Policy::SingleNumaNode] {
                let merged = numa.merge(policy, closest, &resources);
                prop_assert_eq!(merged, one_after_the_other(&numa, policy, closest, &resources));
                let mut turned = resources.clone();
                turned.reverse();
                prop_assert_eq!(merged, numa.merge(policy, closest, &turned));
            }
        }

        #[test]
        fn best_effort_admits_and_one_node_is_one(
            numa in numa(), closest: bool, resources in proptest::collection::vec(hints(), 0..4),
        ) {
            prop_assert!(numa.merge(Policy::BestEffort, closest, &resources).1);
            let (hint, admitted) = numa.merge(Policy::SingleNumaNode, closest, &resources);
            prop_assert!(!admitted || hint.affinity.is_none_or(|mask| mask.count() == 1));
        }
    }

    #[test]
    fn subsets_count_up() {
        let all: Vec<u64> = Mask(0b1011).subsets().map(|mask| mask.0).collect();
        assert_eq!(all, [1, 2, 3, 8, 9, 10, 11]);
        assert_eq!(Mask(0).subsets().count(), 0);
        assert_eq!(Mask::node(64), Mask(0));
        assert_eq!(Mask(u64::MAX).nodes().count(), 64);
    }

    #[test]
    fn names_are_read() {
        for policy in Policy::ALL {
            assert_eq!(policy.name().parse::<Policy>().unwrap(), policy);
        }
        for scope in Scope::ALL {
            assert_eq!(scope.name().parse::<Scope>().unwrap(), scope);
        }
        assert!("Restricted".parse::<Policy>().is_err() && "node".parse::<Scope>().is_err());
    }
}
