//! The reason why no set meets constraints, and how many GPUs at most do.

use crate::model::Topology;
use crate::solve::search;
use crate::solve::search::problem::{NoSet, Task};
use crate::solve::search::weights::Weights;

/// Why no set of the task is of GPUs that do what is said, as parts of a sentence, with the most GPUs that do.
pub(in crate::solve) fn witness(
    topology: &Topology,
    weights: &Weights,
    task: &Task<'_>,
    held: &[String],
    none: NoSet,
) -> String {
    let any = |count: usize| search::solve(weights, &Task { count, objectives: &[], ..*task });
    let mut proven = none.proven;
    let least = (task.include.count_ones() as usize).max(1);
    let most = (least..task.count).rev().find_map(|count| match any(count) {
        Ok(found) => Some(found.chosen),
        Err(none) => {
            proven &= none.proven;
            None
        }
    });
    let names = |set| {
        let gpus = weights.positions(set);
        let names: Vec<String> = gpus.iter().map(|gpu| topology.device_name(*gpu)).collect();
        names.join(" and ")
    };
    let count = most.map_or(0, u128::count_ones);
    let found = match most {
        Some(_) if count == 1 => "; no two can be had".to_owned(),
        Some(set) if proven => format!("; at most {count} can be had, such as {}", names(set)),
        Some(set) => format!("; {count} can be had, such as {}", names(set)),
        None if task.include != 0 => {
            format!("; those that must be included are not to be had, {}", names(task.include))
        }
        None => String::new(),
    };
    let no = if proven { "there are no" } else { "the search stopped before it found" };
    let (asked, free, held) = (task.count, task.free.count_ones(), held.join(" and "));
    format!("{no} {asked} of the {free} GPUs to choose from that {held}{found}")
}
