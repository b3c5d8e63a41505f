//! The sets that constraints and what is beside the GPUs leave to choose from.

use crate::model::Topology;
use crate::query::of_pair;
use crate::solve::constraint::Constraint;
use crate::solve::placement::needs::{Shortage, Supply};
use crate::solve::search::quota::Quotas;
use crate::solve::search::set::{self, Set, members};
use crate::solve::search::weights::Weights;

/// What several constraints leave to choose from.
#[derive(PartialEq, Eq)]
pub(in crate::solve) struct Limits {
    /// The set lies within one of these.
    pub(in crate::solve) scopes: Option<Vec<Set>>,
    /// For each candidate those that it may be chosen with.
    pub(in crate::solve) near: Option<Vec<Set>>,
    /// What is beside some of them is enough for so many only.
    pub(in crate::solve) quotas: Quotas,
    /// How many GPUs each usable NIC has room for, where the request says so.
    pub(in crate::solve) nic_room: Option<Vec<usize>>,
}

impl Limits {
    /// The topology is the one that was asked about: the weights may be those of another machine of equal structure, with other
    /// names and other paths beside its NVLinks.
    /// What is beside the GPUs must be enough for them.
    pub(in crate::solve) fn new(
        constraints: &[Constraint],
        topology: &Topology,
        weights: &Weights,
        (supply, shortages): (Option<&Supply>, &[Shortage]),
    ) -> Self {
        let mut scopes: Option<Vec<Set>> = None;
        for groups in constraints.iter().filter_map(|constraint| constraint.groups(topology)) {
            let sets = groups.iter().map(|group| weights.set(group));
            scopes = Some(match scopes {
                None => sets.collect(),
                Some(before) => sets.flat_map(|set| before.iter().map(move |other| set & other)).collect(),
            });
        }
        if let Some(scopes) = &mut scopes {
            scopes.retain(|scope| *scope != 0);
            scopes.sort_unstable_by_key(|scope| scope.trailing_zeros());
        }
        let least = constraints.iter().filter_map(|constraint| match constraint {
            Constraint::AtLeast(least) => Some(*least),
            _ => None,
        });
        let near = least.max().map(|least| {
            let near = |a: usize| {
                // What was measured counts, and not its class.
                let enough = |b: &usize| {
                    let pair = topology.pairs().pair(weights.position(a), weights.position(*b));
                    of_pair(pair).bandwidth() >= least
                };
                set::of(members(set::all(weights.gpus()) & !(1 << a)).filter(enough))
            };
            (0..weights.gpus()).map(near).collect()
        });
        let nic_room = supply.and_then(Supply::nics).map(<[usize]>::to_vec);
        Self { scopes, near, quotas: quotas(shortages, weights), nic_room }
    }
}

/// The numbers of GPUs that what is beside them is enough for.
pub(in crate::solve) fn quotas(shortages: &[Shortage], weights: &Weights) -> Quotas {
    Quotas::new(shortages.iter().map(|short| (weights.set(&short.gpus), short.most as u32)))
}
