//! The independent check of an answer, without the search that found it: the values by their definitions, the constraints, and a
//! comparison with every other set where there are few enough.
//!
//! Slow and simple on purpose. It shares with the search only the meaning of a request and the queries of the topology.

mod served;

use crate::error::Result;
use crate::model::{Pair, PathType, Topology};
use crate::solve::constraint::Constraint;
use crate::solve::cpus::usable_by_all;
use crate::solve::placement::Placement;
use crate::solve::placement::needs::Supply;
use crate::solve::placement::score::Score;
use crate::solve::quantity::Quantity;
use crate::solve::request::decision::Question;
use crate::solve::request::{Request, Solver};
use crate::units::{Bandwidth, Bytes};
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The greatest number of sets that are compared.
const MAX_SETS: u64 = 50_000;

/// The greatest number of GPUs of a machine for which remainders are computed.
const MAX_REMAINDER: usize = 10;

/// The claim of an answer: its GPUs, its scores, and whether it is optimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The positions of the chosen GPUs in [`Topology::gpus`].
    pub gpus: Vec<usize>,
    /// One value for each objective, most important first.
    pub scores: Vec<Score>,
    /// True if the answer claims that no set is better.
    pub optimal: bool,
    /// The preference that the answer claims to meet.
    pub preference: Option<Constraint>,
}

impl From<&Placement> for Claim {
    fn from(placement: &Placement) -> Self {
        Self {
            gpus: placement.gpus().iter().map(|gpu| gpu.position).collect(),
            scores: placement.scores().to_vec(),
            optimal: placement.is_optimal(),
            preference: placement.preference(),
        }
    }
}

/// A claim that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The proof that no set is better.
    Proven {
        /// The number of sets compared.
        sets: u64,
        /// The number of objectives compared, most important first: on machines of more than ten GPUs, neither the remainder nor
        /// any objective after it is computed.
        objectives: usize,
    },
    /// The GPUs, the constraints and the values were checked. The sets are too many to compare, or the answer does not claim to
    /// be optimal.
    Consistent,
}

/// A claim that does not hold, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Flaw(String);

/// Checks an answer to a request. Errors are those of the request; what is wrong with the answer is a [`Flaw`].
///
/// ```
/// use nvtopo::solve::check::{Claim, Verdict, check};
/// use nvtopo::{Request, Topology};
///
/// let dgx1 = Topology::preset("dgx-1-v100")?;
/// let request = Request::gpus(4);
/// let mut claim = Claim::from(&request.solve(&dgx1)?);
/// assert_eq!(check(&dgx1, &request, &claim)?, Ok(Verdict::Proven { sets: 70, objectives: 5 }));
/// claim.gpus = vec![0, 1, 2, 4];
/// assert!(check(&dgx1, &request, &claim)?.is_err());
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn check(
    topology: &Topology,
    request: &Request,
    claim: &Claim,
) -> Result<std::result::Result<Verdict, Flaw>> {
    let questions = request.questions(&Solver::new(topology))?;
    let topology = &topology.with_allowed_cpus(&usable_by_all(topology, &request.limits));
    let choice = |question: &Question| {
        let positions = |set| question.weights.positions(set);
        (positions(question.free), positions(question.include))
    };
    let choices: Vec<(Vec<usize>, Vec<usize>)> = questions.iter().map(choice).collect();
    let inside = |(free, include): &(Vec<usize>, Vec<usize>)| {
        claim.gpus.iter().all(|gpu| free.contains(gpu)) && include.iter().all(|gpu| claim.gpus.contains(gpu))
    };
    // GPUs with faults may be chosen if the others do not suffice; only a constraint can bring that about.
    let fits = choices.iter().position(inside).filter(|_| request.is_constrained()).unwrap_or_default();
    let question = questions.into_iter().nth(fits);
    let question = question.ok_or_else(|| crate::solve::process::no_gpu_error(topology))?;
    let supply = request.supply(topology)?;
    let names: Vec<&str> = question.criteria.objectives.iter().map(|objective| objective.name()).collect();
    let remainder =
        names.iter().position(|name| *name == "remainder" && topology.gpus().len() > MAX_REMAINDER);
    let sets = request.sets(topology)?;
    let checker = |topology, at: usize| Checker {
        topology,
        checked: remainder.unwrap_or(names.len()),
        rings: RefCell::default(),
        candidates: &choices[at].0,
        include: &choices[at].1,
        required: &request.require,
        sets: sets.as_deref(),
        preferred: &request.prefer,
        supply: supply.as_ref(),
        names: &names,
        mix: &question.criteria.mix,
    };
    let sounder = (0..fits).find_map(|at| checker(topology, at).first_allowed(question.count));
    if let Some(set) = sounder {
        let text = format!("{} meet the request with fewer faults", topology.device_names(&set));
        return Ok(flaw(text));
    }
    // Sets are compared by classes of measured rates, as the search does.
    let classes = topology.with_rate_classes(request.rate_tolerance()?.millionths());
    Ok(checker(topology, fits).check(claim, question.count, &checker(&classes, fits)))
}

/// The value by one objective, greater is better: a bandwidth, then the closeness of its path.
type Worth = (u64, u64);

struct Checker<'a> {
    topology: &'a Topology,
    candidates: &'a [usize],
    include: &'a [usize],
    required: &'a [Constraint],
    /// The sets that may be chosen, where the request limits them.
    sets: Option<&'a [BTreeSet<usize>]>,
    preferred: &'a [Constraint],
    /// The CPUs, memory and other supplies, where the request needs some.
    supply: Option<&'a Supply>,
    names: &'a [&'static str],
    /// The number of objectives that are checked.
    checked: usize,
    /// The memo of ring bandwidths by set.
    rings: RefCell<BTreeMap<Vec<usize>, Worth>>,
    mix: &'a [(usize, u64)],
}

fn flaw<T>(text: String) -> std::result::Result<T, Flaw> {
    Err(Flaw(text))
}

impl Checker<'_> {
    /// Checks a claim. `judge` compares sets: the checker of the same machine with classes of measured rates.
    fn check(&self, claim: &Claim, count: usize, judge: &Checker<'_>) -> std::result::Result<Verdict, Flaw> {
        self.check_set(claim, count)?;
        self.check_values(claim, judge)?;
        if !claim.optimal || choose(self.candidates.len(), count) > MAX_SETS {
            return Ok(Verdict::Consistent);
        }
        let step = self.preferred.iter().position(|own| Some(*own) == claim.preference);
        let better = &self.preferred[..step.unwrap_or(self.preferred.len())];
        let worth = judge.worths(&claim.gpus);
        let mut sets = 0;
        let mut found = None;
        each(self.candidates, count, &mut |set| {
            sets += 1;
            if found.is_some() || !self.allowed(set) {
                return;
            }
            if let Some(preferred) = better.iter().find(|constraint| self.holds(**constraint, set)) {
                found = Some(format!("{} would meet {preferred}", self.listed(set)));
            } else if claim.preference.is_none_or(|own| self.holds(own, set)) && judge.beats(set, &worth) {
                found = Some(format!("{} are better", self.listed(set)));
            }
        });
        match found {
            Some(text) => flaw(text),
            None => Ok(Verdict::Proven { sets, objectives: self.checked }),
        }
    }

    fn check_set(&self, claim: &Claim, count: usize) -> std::result::Result<(), Flaw> {
        let distinct: BTreeSet<usize> = claim.gpus.iter().copied().collect();
        if claim.gpus.len() != count || distinct.len() != count {
            return flaw(format!("{} GPUs were asked for, not {}", count, distinct.len()));
        }
        if let Some(other) = claim.gpus.iter().find(|gpu| !self.candidates.contains(gpu)) {
            return flaw(format!("position {other} was not to be chosen"));
        }
        if !self.allowed(&claim.gpus) {
            return flaw(format!("{} do not meet what is required", self.listed(&claim.gpus)));
        }
        match claim.preference {
            Some(own) if !self.preferred.contains(&own) => flaw(format!("{own} is not preferred")),
            Some(own) if !self.holds(own, &claim.gpus) => {
                flaw(format!("{} do not meet {own}", self.listed(&claim.gpus)))
            }
            _ => Ok(()),
        }
    }

    /// Checks that the scores are the values of the claimed set.
    fn check_values(&self, claim: &Claim, judge: &Checker<'_>) -> std::result::Result<(), Flaw> {
        if !claim.scores.iter().map(|score| score.objective).eq(self.names.iter().copied()) {
            return flaw("the scores are not by the objectives of the request".to_owned());
        }
        let rest = self.rest(&claim.gpus);
        for score in &claim.scores[..self.checked] {
            // The remainder is a share, computed from classes of rates.
            let by = if score.objective == "remainder" { judge } else { self };
            let worth = by.worth(score.objective, &claim.gpus, &rest);
            let value = quantity(score.objective, worth);
            let known = self.is_known(score.objective, &claim.gpus);
            let Some(claimed) = score.value else {
                if known {
                    return flaw(format!("{} is {value}, not unknown", score.objective));
                }
                continue;
            };
            if !known {
                return flaw(format!("{} is unknown, not {claimed}", score.objective));
            }
            if value != claimed {
                return flaw(format!("{} is {value}, not {claimed}", score.objective));
            }
            if let Some(bound) = score.bound.filter(|bound| value.is_better_than(*bound)) {
                return flaw(format!("{} is {value}, above the bound of {bound}", score.objective));
            }
        }
        Ok(())
    }

    /// Returns the first set that may be chosen; `None` too where there are too many sets to look at.
    fn first_allowed(&self, count: usize) -> Option<Vec<usize>> {
        let mut found = None;
        if choose(self.candidates.len(), count) <= MAX_SETS {
            each(self.candidates, count, &mut |set| {
                if found.is_none() && self.allowed(set) {
                    found = Some(set.to_vec());
                }
            });
        }
        found
    }

    /// Returns the values of a set by each checked objective.
    fn worths(&self, set: &[usize]) -> Vec<Worth> {
        let rest = self.rest(set);
        self.names[..self.checked].iter().map(|name| self.worth(name, set, &rest)).collect()
    }

    fn allowed(&self, set: &[usize]) -> bool {
        self.include.iter().all(|gpu| set.contains(gpu))
            && self.sets.is_none_or(|sets| {
                sets.iter().any(|one| one.len() == set.len() && set.iter().all(|gpu| one.contains(gpu)))
            })
            && self.required.iter().all(|constraint| self.holds(*constraint, set))
            && self.supply.is_none_or(|supply| served::lack(supply, set).is_none())
    }

    fn beats(&self, set: &[usize], worth: &[Worth]) -> bool {
        let rest = self.rest(set);
        for (name, other) in self.names.iter().zip(worth) {
            match self.worth(name, set, &rest).cmp(other) {
                std::cmp::Ordering::Greater => return true,
                std::cmp::Ordering::Less => return false,
                std::cmp::Ordering::Equal => {}
            }
        }
        false
    }

    fn rest(&self, set: &[usize]) -> Vec<usize> {
        self.candidates.iter().copied().filter(|gpu| !set.contains(gpu)).collect()
    }

    fn listed(&self, set: &[usize]) -> String {
        self.topology.device_names(set)
    }

    fn pair(&self, a: usize, b: usize) -> Pair {
        self.topology.pairs().pair(a, b)
    }

    fn pairs<'s>(&'s self, set: &'s [usize]) -> impl Iterator<Item = Pair> + 's {
        let pairs =
            set.iter().enumerate().flat_map(|(index, a)| set[index + 1..].iter().map(move |b| (*a, *b)));
        pairs.map(|(a, b)| self.pair(a, b))
    }

    fn holds(&self, constraint: Constraint, set: &[usize]) -> bool {
        let same = |of: &dyn Fn(usize) -> Option<String>| {
            let first = of(set[0]);
            set.len() == 1 || (first.is_some() && set.iter().all(|gpu| of(*gpu) == first))
        };
        let id = |gpu: usize| self.topology.devices()[gpu];
        match constraint {
            Constraint::SameNvlinkGroup => {
                let groups = self.topology.nvlink_groups();
                same(&|gpu| {
                    groups.iter().position(|group| group.gpus.contains(&gpu)).map(|group| group.to_string())
                })
            }
            Constraint::SameNumaNode => {
                same(&|gpu| self.topology.known_nodes(gpu).map(|nodes| nodes.to_string()))
            }
            Constraint::SamePcieSwitch => set.iter().all(|a| {
                let path = |b: usize| self.topology.host_path(id(*a), id(b));
                set.iter().all(|b| a == b || path(*b).is_some_and(|path| path <= PathType::Pxb))
            }),
            Constraint::SameModel => same(&|gpu| {
                let gpu = self.topology.node(id(gpu)).kind.as_gpu();
                gpu.and_then(|gpu| gpu.model.clone())
            }),
            Constraint::GpuMemory(Bytes(least)) => set.iter().all(|gpu| {
                let gpu = self.topology.node(id(*gpu)).kind.as_gpu();
                gpu.and_then(|gpu| gpu.memory).is_some_and(|memory| memory >= least)
            }),
            Constraint::AtLeast(least) => {
                self.pairs(set).all(|pair| pair.rate.map_or(Bandwidth::ZERO, |rate| rate.bandwidth) >= least)
            }
        }
    }

    fn worth(&self, objective: &str, set: &[usize], rest: &[usize]) -> Worth {
        let bandwidth = |bandwidth: Option<Bandwidth>| (bandwidth.map_or(0, mb_per_s), 0);
        let pairs = self.pairs(set).map(of_pair);
        match objective {
            "ring" => self.ring(set),
            "tree" => bandwidth(self.topology.tree_bandwidth(set)),
            "all-to-all" => bandwidth(self.topology.all_to_all_bound(set)),
            "min-pair" => pairs.min().unwrap_or_default(),
            "pair-sum" => pairs.fold((0, 0), |sum, more| (sum.0 + more.0, sum.1 + more.1)),
            "numa-span" => {
                let (nodes, poor) = self.span(set);
                (u64::from(u32::MAX) - nodes, u64::from(u32::MAX) - poor)
            }
            "model-span" => {
                let models = self.models(set);
                let known: BTreeSet<&String> = models.iter().flatten().collect();
                let unknown = models.iter().filter(|model| model.is_none()).count() as u64;
                (u64::from(u32::MAX) - known.len() as u64 - unknown, u64::from(u32::MAX) - unknown)
            }
            "nic" => self.worst_nic(set).unwrap_or_default(),
            "remainder" => self.remainder(rest),
            // Not among the checked objectives.
            _ => (0, 0),
        }
    }

    /// Returns whether the value rests on known facts only. A bandwidth above zero does, but for sums of pairs.
    fn is_known(&self, objective: &str, set: &[usize]) -> bool {
        let gpus: Vec<usize> = (0..self.topology.gpus().len()).collect();
        let rates = |set: &[usize]| self.pairs(set).all(|pair| pair.rate.is_some());
        match objective {
            "numa-span" => set.iter().all(|gpu| self.topology.known_nodes(*gpu).is_some()),
            "model-span" => self.models(set).iter().all(Option::is_some),
            "remainder" => rates(&gpus),
            "pair-sum" => rates(set),
            "nic" => {
                let usable = crate::query::usable_nics(self.topology);
                let pairs = set.iter().flat_map(|gpu| usable.iter().map(|nic| self.pair(*gpu, *nic)));
                let known = || pairs.into_iter().all(|pair| pair.rate.is_some());
                self.worth(objective, set, &[]).0 > 0 || self.topology.nics().len() > 0 && known()
            }
            "tree" | "all-to-all" => {
                let nvlinks = || self.pairs(set).all(|pair| pair.nvlinks == 0 || pair.rate.is_some());
                let known = || self.topology.nvlink_known() && set.len() <= 16 && nvlinks();
                set.len() < 2 || self.worth(objective, set, &[]).0 > 0 || known()
            }
            _ => self.worth(objective, set, &[]).0 > 0 || rates(set),
        }
    }

    fn ring(&self, set: &[usize]) -> Worth {
        let mut known = self.rings.borrow_mut();
        let compute = || {
            let rings = self.topology.rings(set);
            rings.map_or((0, 0), |rings| (mb_per_s(rings.bandwidth), rings.path.map_or(0, nearness)))
        };
        *known.entry(set.to_vec()).or_insert_with(compute)
    }

    fn models(&self, set: &[usize]) -> Vec<Option<String>> {
        let gpu = |gpu: &usize| self.topology.node(self.topology.devices()[*gpu]).kind.as_gpu();
        set.iter().map(|position| gpu(position).and_then(|gpu| gpu.model.clone())).collect()
    }

    /// Returns the number of local NUMA nodes of a set, where a GPU of unknown node counts as a node of its own, and the number of
    /// shortcomings of its GPUs: unknown nodes, and no CPU or no memory left beside them.
    fn span(&self, set: &[usize]) -> (u64, u64) {
        let mut known = BTreeSet::new();
        let mut unknown = 0;
        for gpu in set {
            match self.topology.known_nodes(*gpu) {
                Some(nodes) => known.extend(nodes.iter()),
                None => unknown += 1,
            }
        }
        let usable = self.topology.usable_cpus();
        let cpus = |gpu: usize| self.topology.lacks_cpus(self.topology.devices()[gpu], &usable);
        let lacks = |gpu: &usize| u64::from(cpus(*gpu)) + u64::from(self.topology.lacks_memory(*gpu));
        (known.len() as u64 + unknown, unknown + set.iter().map(lacks).sum::<u64>())
    }

    /// Returns the greatest path such that every GPU has a NIC over at least that path, and no NIC serves more than its part of
    /// the GPUs: each GPU takes a NIC that has some left, or that of another GPU that finds a new one (augmenting paths).
    fn worst_nic(&self, set: &[usize]) -> Option<Worth> {
        let nics = crate::query::usable_nics(self.topology);
        let fair = vec![self.topology.gpus().len().div_ceil(nics.len().max(1)); nics.len()];
        let left = self.supply.and_then(Supply::nics).unwrap_or(&fair);
        let sharing = self.topology.gpus().len().div_ceil(nics.len().max(1)).max(1) as u64;
        let port = |nic: usize| {
            let nic = self.topology.node(self.topology.devices()[nic]).kind.as_nic();
            let rates = nic.into_iter().flat_map(|nic| [nic.rate, nic.measured]).flatten();
            rates.map(|rate| mb_per_s(rate) / sharing).min().unwrap_or(u64::MAX)
        };
        let capped = |gpu: usize, nic: usize| {
            let (bandwidth, near) = of_pair(self.pair(gpu, nic));
            (bandwidth.min(port(nic)), near)
        };
        let paths = |gpu: usize| nics.iter().map(move |nic| capped(gpu, *nic));
        let levels: BTreeSet<Reverse<Worth>> = set.iter().flat_map(|gpu| paths(*gpu)).map(Reverse).collect();
        levels.into_iter().map(|Reverse(level)| level).find(|level| {
            let reached: Vec<BTreeSet<usize>> = set
                .iter()
                .map(|gpu| {
                    paths(*gpu).enumerate().filter(|(_, path)| path >= level).map(|(nic, _)| nic).collect()
                })
                .collect();
            let mut users = vec![Vec::new(); nics.len()];
            (0..set.len()).all(|gpu| finds_nic(gpu, &reached, left, &mut users, &mut BTreeSet::new()))
        })
    }

    fn remainder(&self, rest: &[usize]) -> Worth {
        let all: Vec<usize> = (0..self.topology.gpus().len()).collect();
        let part = |size: usize| -> u128 {
            match size {
                _ if size > rest.len() => 0,
                1 => 1_000_000,
                _ => {
                    let best = |of: &[usize]| {
                        let mut best = (0, 0);
                        each(of, size, &mut |set| best = best.max(self.ring(set)));
                        u128::from(best.0)
                    };
                    (best(rest) * 1_000_000).checked_div(best(&all)).unwrap_or(0)
                }
            }
        };
        (self.mix.iter().map(|(size, often)| part(*size) * u128::from(*often)).sum::<u128>() as u64, 0)
    }
}

/// Finds a NIC for one more GPU, where others may change theirs.
fn finds_nic(
    gpu: usize,
    reached: &[BTreeSet<usize>],
    left: &[usize],
    users: &mut [Vec<usize>],
    tried: &mut BTreeSet<usize>,
) -> bool {
    for nic in &reached[gpu] {
        if !tried.insert(*nic) {
            continue;
        }
        if users[*nic].len() < left[*nic] {
            users[*nic].push(gpu);
            return true;
        }
        for at in 0..users[*nic].len() {
            if finds_nic(users[*nic][at], reached, left, users, tried) {
                users[*nic][at] = gpu;
                return true;
            }
        }
    }
    false
}

fn nearness(path: PathType) -> u64 {
    PathType::Dis as u64 - path as u64
}

/// Returns a bandwidth in MB/s, up to the highest that answers distinguish.
fn mb_per_s(bandwidth: Bandwidth) -> u64 {
    bandwidth.as_mb_per_s().min(u32::MAX.into())
}

fn of_pair(pair: Pair) -> Worth {
    (pair.rate.map_or(0, |rate| mb_per_s(rate.bandwidth)), pair.path.map_or(0, nearness))
}

fn quantity(objective: &str, (worth, _): Worth) -> Quantity {
    match objective {
        "numa-span" => Quantity::NumaNodes((u64::from(u32::MAX) - worth) as u32),
        "model-span" => Quantity::Models((u64::from(u32::MAX) - worth) as u32),
        "remainder" => Quantity::Share((worth / 1_000_000) as u32),
        _ => Quantity::Bandwidth(Bandwidth::from_mb_per_s(worth)),
    }
}

/// Calls `call` with each subset of `count` members.
fn each(of: &[usize], count: usize, call: &mut dyn FnMut(&[usize])) {
    fn grow(of: &[usize], count: usize, set: &mut Vec<usize>, call: &mut dyn FnMut(&[usize])) {
        if set.len() == count {
            return call(set);
        }
        for (index, next) in of.iter().enumerate().take((of.len() + set.len() + 1).saturating_sub(count)) {
            set.push(*next);
            grow(&of[index + 1..], count, set, call);
            set.pop();
        }
    }
    grow(of, count, &mut Vec::new(), call);
}

/// Returns the number of subsets of `count` of `of` members, saturating.
fn choose(of: usize, count: usize) -> u64 {
    let count = count.min(of.saturating_sub(count)) as u64;
    (0..count).fold(1u64, |sets, index| sets.saturating_mul(of as u64 - index) / (index + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_objective_is_known_here() {
        let dgx1 = Topology::preset("dgx-1-v100").unwrap();
        for objective in crate::solve::objective::OBJECTIVES {
            let request = Request::gpus(3).objectives([objective.name()]);
            let claim = Claim::from(&request.solve(&dgx1).unwrap());
            assert_eq!(
                check(&dgx1, &request, &claim).unwrap(),
                Ok(Verdict::Proven { sets: 56, objectives: claim.scores.len() })
            );
        }
    }
}
