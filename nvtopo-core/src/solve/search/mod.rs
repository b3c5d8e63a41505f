//! The search for the best set of GPUs: sets are bits, and no request and no text is known here.

pub(in crate::solve) mod bounded;
pub(in crate::solve) mod clique;
pub(in crate::solve) mod domains;
pub(in crate::solve) mod exact;
mod exchange;
mod irregular;
pub(in crate::solve) mod links;
pub(in crate::solve) mod locality;
pub(in crate::solve) mod memo;
pub(in crate::solve) mod objective;
pub(in crate::solve) mod problem;
pub(in crate::solve) mod quota;
pub(in crate::solve) mod set;
mod switched;
pub(in crate::solve) mod threshold;
pub(in crate::solve) mod tolerance;
pub(in crate::solve) mod value;
pub(in crate::solve) mod weights;

pub(in crate::solve) use irregular::best_of;
use objective::Objective;
use problem::{NoSet, Solution, Task};
use set::Set;
use weights::Weights;

/// The greatest number of GPUs of a machine whose sets are all searched by branch and bound.
const MAX_SEARCHED: usize = 16;

/// Finds the best set.
pub(in crate::solve) fn solve(weights: &Weights, task: &Task<'_>) -> Result<Solution, NoSet> {
    within_groups(weights, task).unwrap_or_else(|| whole(weights, task))
}

/// Returns the greatest number of steps of a search.
pub(in crate::solve) fn most_steps(weights: &Weights, task: &Task<'_>) -> u64 {
    if weights.gpus() > MAX_SEARCHED { irregular::MAX_STEPS } else { task.most_steps }
}

/// Finds the best set where an objective is best within groups: the other objectives then decide within these. `None` if there is
/// no such objective, or no such set within a group.
fn within_groups(weights: &Weights, task: &Task<'_>) -> Option<Result<Solution, NoSet>> {
    let of = |objective: &&'static dyn Objective| objective.groups(weights);
    let (at, groups) =
        task.objectives.iter().enumerate().find_map(|(at, objective)| Some((at, of(objective)?)))?;
    let mut objectives = task.objectives.to_vec();
    objectives.remove(at);
    let others = Task { objectives: &objectives, ..*task };
    let alike = groups.sets.iter().any(|group| task.free & !group == 0);
    let found = if alike {
        whole(weights, &others)
    } else if at == 0 {
        let inside = |scope: Set| groups.sets.iter().map(move |group| scope & group);
        let free = [task.free];
        let scopes = task.scopes.unwrap_or(&free).iter().flat_map(|scope| inside(*scope));
        let scopes: Vec<Set> = scopes.filter(|scope| *scope != 0).collect();
        whole(weights, &Task { scopes: Some(&scopes), ..others })
    } else {
        // A set across groups may be better by an objective that is more important.
        return None;
    };
    match found {
        Ok(mut found) => {
            found.values.insert(at, groups.worth);
            found.bounds.insert(at, groups.worth);
            Some(Ok(found))
        }
        Err(none) if alike => Some(Err(none)),
        Err(_) => None,
    }
}

/// Finds the best set by all objectives at once.
fn whole(weights: &Weights, task: &Task<'_>) -> Result<Solution, NoSet> {
    let by_domains = if weights.gpus() > MAX_SEARCHED { domains::search(weights, task) } else { None };
    by_domains.unwrap_or_else(|| match weights.gpus() {
        0..=MAX_SEARCHED => exact::search(weights, task),
        _ => irregular::search(weights, task),
    })
}
