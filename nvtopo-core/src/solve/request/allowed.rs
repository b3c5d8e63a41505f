//! Tables of allowed sets, such as the partitions of Fabric Manager, and the choice among them.

use crate::error::{Error, Result};
use crate::model::Topology;
use crate::query::Weight;
use crate::solve::process::GpuRef;
use crate::solve::search;
use crate::solve::search::problem::{NoSet, Solution, Task};
use crate::solve::search::set::{MAX_CANDIDATES, Set};
use crate::solve::search::weights::Weights;
use crate::units::count_of;
use std::collections::BTreeSet;

/// The greatest number of sets of a table.
const MAX_SETS: usize = 4096;

/// A table of allowed sets of GPUs, such as the partitions of a Fabric Manager.
///
/// ```
/// use nvtopo::solve::AllowedSets;
/// use nvtopo::{Request, Topology};
///
/// let table = AllowedSets::read("partitions", "0-7  # whole\n0-3\n4-7\n")?;
/// let dgx = Topology::preset("dgx-h100")?;
/// assert_eq!(table.resolve(&dgx)?, [vec![0, 1, 2, 3, 4, 5, 6, 7], vec![0, 1, 2, 3], vec![4, 5, 6, 7]]);
/// let placement = Request::gpus(4).exclude([1]).allowed_sets(table.clone()).solve(&dgx)?;
/// assert_eq!(placement.gpu_indices(), [4, 5, 6, 7]);
/// let error = Request::gpus(2).allowed_sets(table).solve(&dgx).unwrap_err();
/// assert!(error.to_string().contains("no allowed set has 2 GPUs; the nearest have 4"));
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AllowedSets {
    /// The name of the table in errors; empty if it has none.
    name: String,
    /// The sets with their lines; 0 for a set without a line.
    sets: Vec<(usize, Vec<GpuRef>)>,
}

impl AllowedSets {
    /// Reads a table; `name` identifies it in errors. Each line has a set: `0,1`, `4-7`, PCI addresses or UUIDs. Empty lines and
    /// text after `#` are ignored.
    pub fn read(name: &str, text: &str) -> Result<Self> {
        let mut sets = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            if sets.len() == MAX_SETS {
                return Err(Error::input(format!("{MAX_SETS} sets are the most")).in_input(name));
            }
            let mut gpus = Vec::new();
            for part in line.split([',', ' ', '\t']).filter(|part| !part.is_empty()) {
                let part = GpuRef::parse_list(part);
                gpus.extend(part.map_err(|error| error.in_input(name).at(number + 1, 1))?);
            }
            sets.push((number + 1, gpus));
        }
        if sets.is_empty() {
            return Err(Error::input("there is no set in this table").in_input(name));
        }
        Ok(Self { name: name.to_owned(), sets })
    }

    /// Returns a table of these sets. A request error if there is none, one is empty, or there are more than 4096.
    pub fn new<R: Into<GpuRef>>(sets: impl IntoIterator<Item = impl IntoIterator<Item = R>>) -> Result<Self> {
        let sets = sets.into_iter().take(MAX_SETS + 1);
        let sets: Vec<(usize, Vec<GpuRef>)> =
            sets.map(|set| (0, set.into_iter().map(Into::into).collect())).collect();
        if sets.len() > MAX_SETS {
            return Err(Error::request(format!("{MAX_SETS} allowed sets are the most")));
        }
        if sets.is_empty() || sets.iter().any(|(_, gpus)| gpus.is_empty()) {
            let what = if sets.is_empty() { "there is no allowed set" } else { "an allowed set is empty" };
            return Err(Error::request(what).help("without allowed sets, any GPUs may be used together"));
        }
        Ok(Self { name: String::new(), sets })
    }

    /// Returns the positions of the GPUs of each set in [`Topology::gpus`], increasing.
    pub fn resolve(&self, topology: &Topology) -> Result<Vec<Vec<usize>>> {
        let set = |(line, gpus): &(usize, Vec<GpuRef>)| {
            let positions = gpus.iter().map(|gpu| gpu.resolve(topology)).collect::<Result<BTreeSet<_>>>();
            let positions = positions.map_err(|error| match line {
                0 => error,
                line => error.in_input(&self.name).at(*line, 1),
            });
            positions.map(|positions| positions.into_iter().collect())
        };
        self.sets.iter().map(set).collect()
    }

    /// Returns the sets as bits of the positions; [`Unsupported`](crate::ErrorKind::Unsupported) for positions above 127.
    pub fn bits(&self, topology: &Topology) -> Result<Vec<u128>> {
        let bit = |position: &usize| match *position {
            position if position < MAX_CANDIDATES => Ok(1 << position),
            _ => {
                let message = format!("allowed sets are of the first {MAX_CANDIDATES} GPUs of a machine");
                Err(Error::new(crate::ErrorKind::Unsupported, message))
            }
        };
        let set = |set: Vec<usize>| set.iter().try_fold(0, |set, position| Ok(set | bit(position)?));
        self.resolve(topology)?.into_iter().map(set).collect()
    }
}

/// Returns the sets of `count` GPUs, by their positions, whose GPUs are all candidates and include all of `include`: each once,
/// lower GPUs first. The error names the nearest sizes that are available.
pub(super) fn of_size(
    sets: &[Vec<usize>],
    candidates: &[usize],
    include: &[usize],
    count: usize,
) -> Result<Vec<Vec<usize>>> {
    let can = |set: &[usize]| {
        set.iter().all(|gpu| candidates.contains(gpu)) && include.iter().all(|gpu| set.contains(gpu))
    };
    let fits: BTreeSet<&Vec<usize>> = sets.iter().filter(|set| set.len() == count && can(set)).collect();
    if !fits.is_empty() {
        return Ok(fits.into_iter().cloned().collect());
    }
    let any = sets.iter().any(|set| set.len() == count);
    let mut message = format!("no allowed set has {}", count_of(count, "GPU"));
    if any {
        let which = if include.is_empty() { "" } else { ", those that must be included among them" };
        message = format!("{message} of which all can be chosen{which}");
    }
    let sizes: BTreeSet<usize> = sets.iter().filter(|set| can(set)).map(Vec::len).collect();
    let nearest = [sizes.range(..count).next_back(), sizes.range(count + 1..).next()];
    let nearest: Vec<String> = nearest.into_iter().flatten().map(ToString::to_string).collect();
    if nearest.is_empty() {
        message.push_str("; no other allowed set can be chosen");
        return Err(Error::unsatisfiable(message));
    }
    message = format!("{message}; the nearest have {}", nearest.join(" and "));
    Err(Error::unsatisfiable(message).help("ask for as many GPUs as an allowed set has"))
}

/// Returns the reason why none of some sets, at least one, meets what is stated, as parts of a sentence.
pub(super) fn none_of(sets: &[Set], held: &[String]) -> String {
    let (number, count) = (sets.len(), sets[0].count_ones());
    let sets =
        if number == 1 { "the allowed set".to_owned() } else { format!("none of the {number} allowed sets") };
    let is = if number == 1 { "is not" } else { "is" };
    format!("{sets} of {count} GPUs {is} of GPUs that {}", held.join(" and "))
}

/// Finds the best of some sets by a task; the first of several.
pub(super) fn best_of(
    weights: &Weights,
    task: &Task<'_>,
    sets: &[Set],
) -> std::result::Result<Solution, NoSet> {
    let (mut found, mut steps, mut proven, mut stopped) = (Vec::new(), 0, true, false);
    for set in sets.iter().filter(|set| task.include & !**set == 0 && task.barred & **set == 0) {
        stopped = steps >= task.most_steps;
        if stopped {
            break;
        }
        match search::solve(weights, &Task { include: *set, ..*task }) {
            Ok(own) => {
                steps += own.steps.max(1);
                found.push(own);
            }
            Err(none) => proven &= none.proven,
        }
    }
    let mut best = search::best_of(&found).ok_or(NoSet { proven })?;
    if let [only] = &found[..] {
        best.complete = only.complete;
    }
    if stopped && let Some((first, others)) = best.bounds.split_first_mut() {
        // No other set exceeds the bound of all, allowed or not.
        let any = search::solve(weights, &Task { most_steps: 0, ..*task });
        *first = any.map_or(Weight::MAX, |any| any.bounds[0].max(*first));
        others.fill(Weight::MAX);
        best.complete = false;
    }
    Ok(Solution { steps, ..best })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solve::objective::criteria::Criteria;
    use crate::solve::search::set;

    #[test]
    fn what_is_wrong_in_a_table_is_told_with_its_line() {
        let dgx = Topology::preset("dgx-h100").unwrap();
        let error = AllowedSets::read("t", "0,1\n\n0,x\n").unwrap_err();
        assert_eq!((error.input_name(), error.line()), (Some("t"), Some(3)));
        let error = AllowedSets::read("t", "0,1\n7,8\n").unwrap().resolve(&dgx).unwrap_err();
        assert_eq!((error.input_name(), error.line()), (Some("t"), Some(2)));
        assert!(AllowedSets::read("t", "# none\n").is_err());
        assert!(AllowedSets::read("t", &"0\n".repeat(MAX_SETS + 1)).is_err());
        assert!(AllowedSets::new(vec![[0]; MAX_SETS + 1]).is_err());
        assert!(AllowedSets::new([[0; 0]]).is_err() && AllowedSets::new([[0; 0]; 0]).is_err());
        let error = AllowedSets::new([[0, 8]]).unwrap().resolve(&dgx).unwrap_err();
        assert_eq!((error.input_name(), error.line()), (None, None));
    }

    #[test]
    fn allowed_sets_are_compared_within_the_steps_of_one_search() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/solver/dense18-16.json");
        let topology = Topology::parse("dense18-16.json", &std::fs::read(path).unwrap()).unwrap();
        let weights = Weights::of(&topology, &(0..16).collect::<Vec<_>>());
        let criteria = Criteria::new(Some(&["ring"]), None, &topology).unwrap();
        let task = Task {
            most_steps: 60_000,
            ..Task::new(set::all(16), 8, &criteria.objectives[..1], &criteria.mix)
        };
        // Rings of eight GPUs take a few hundred to 40,000 steps each.
        let sets: Vec<Set> = (0..1 << 16).filter(|set: &Set| set.count_ones() == 8).take(1000).collect();
        let found = best_of(&weights, &task, &sets).unwrap();
        assert!((60_000..110_000).contains(&found.steps) && !found.complete, "{found:?}");
        assert!(found.bounds[0] > found.values[0], "{found:?}");
        let few = best_of(&weights, &task, &sets[..2]).unwrap();
        assert!(few.complete == (few.bounds == few.values) && sets[..2].contains(&few.chosen), "{few:?}");
        let only = best_of(&weights, &task, &sets[..1]).unwrap();
        assert!(only.complete && only.chosen == sets[0], "{only:?}");
    }

    #[test]
    fn the_nearest_sizes_are_told() {
        let sets: Vec<Vec<usize>> =
            vec![vec![0], vec![0, 1], (4..8).collect(), (0..4).collect(), (0..8).collect()];
        let eight: Vec<usize> = (0..8).collect();
        let told = |from: &[usize], include: &[usize], count| {
            of_size(&sets, from, include, count).unwrap_err().message().to_owned()
        };
        assert_eq!(of_size(&sets, &eight, &[], 4).unwrap(), [[0, 1, 2, 3], [4, 5, 6, 7]]);
        assert_eq!(of_size(&sets, &eight[1..], &[], 4).unwrap(), [[4, 5, 6, 7]]);
        assert_eq!(of_size(&sets, &eight, &[7], 4).unwrap(), [[4, 5, 6, 7]]);
        assert_eq!(told(&eight, &[], 3), "no allowed set has 3 GPUs; the nearest have 2 and 4");
        let few = "no allowed set has 2 GPUs of which all can be chosen; the nearest have 4";
        assert_eq!(told(&eight[1..], &[], 2), few);
        let none = "no allowed set has 1 GPU of which all can be chosen; no other allowed set can be chosen";
        assert_eq!(told(&[1, 2], &[], 1), none);
        assert!(
            told(&eight, &[0, 7], 4).contains("those that must be included among them; the nearest have 8")
        );
    }
}
