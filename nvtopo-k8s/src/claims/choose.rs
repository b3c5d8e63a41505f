//! The alternatives of a claim: at most eight pools of GPUs, the best first.
//!
//! The rule. Any GPUs may be taken when a pod comes; each set of taken GPUs is a *state*, and all states count alike. An
//! alternative serves a state where enough of its pool are free. The allocator takes the first alternative that does, and any
//! of its pool that are free: a driver lists them in its own order, so that the worst is counted. Alternatives are added one by
//! one: each time the one with which most states are served, and among those the one with which the sets that are given are
//! best, by the objectives of the core. One that adds neither is not added. So pools that complete one another come before better ones
//! of the same GPUs, and where there are eight linked pools or fewer, each state in which a linked set is free is served with a
//! linked set.

use super::pools::{Closeness, Nearness, edges, members, sets_of};
use nvtopo::solve::Quantity;
use nvtopo::solve::objective::{DEFAULT_OBJECTIVES, Set};
use nvtopo::{Error, PathType, Request, Result, Topology, fair_nics};
use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The most alternatives of one request.
///
/// Source: `FirstAvailableDeviceRequestMaxSize` of the API.
pub const MAX_ALTERNATIVES: usize = 8;
/// The most GPUs of which all states are looked at; of more, a fixed sample is.
const MAX_EXHAUSTIVE: u32 = 10;
/// The size of that sample.
const SAMPLE: usize = 96;
/// The most GPUs of one machine.
const MAX_GPUS: usize = 64;

/// Some GPUs of a machine, of which a claim takes some or all.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Alternative {
    /// The positions of the GPUs in [`Topology::gpus`], increasing.
    pub gpus: Vec<usize>,
    /// The closeness of the GPUs to one another.
    pub closeness: Closeness,
}

/// The chosen alternatives, with how well they serve.
pub(super) struct Choice {
    pub(super) alternatives: Vec<Alternative>,
    /// The number of states in which an alternative is free.
    pub(super) served: usize,
    /// The number of states in which any pool is free.
    pub(super) servable: usize,
    /// Not all states were looked at.
    pub(super) sampled: bool,
    /// The number of alternatives that were dropped afterwards.
    pub(super) dropped: usize,
    /// The GPUs that are left out, each with the reason.
    pub(super) left_out: Vec<(usize, String)>,
}

/// The value of a set by an objective, and the worst of the paths that it rests on, which tells equal values apart: a path
/// through one PCIe switch and one through the host bridge may carry as much.
type Value = (Option<Quantity>, Option<PathType>);
/// The values of a set by each objective, most important first; more is better.
type Worth = Vec<Value>;

/// Returns the worst path between the GPUs of a set, or from each to the NIC that is its own; `None` where one is unknown, or the
/// objective rests on no paths.
fn worst_path(topology: &Topology, set: Set, objective: &str) -> Option<PathType> {
    let path = |a: usize, b: usize| topology.pairs().pair(a, b).path;
    match objective {
        "model-span" | "numa-span" | "remainder" => None,
        "nic" => {
            let nics = fair_nics(topology);
            let to_nic = |gpu: usize| path(gpu, (*nics.get(gpu)?)?);
            members(set).map(to_nic).collect::<Option<Vec<_>>>()?.into_iter().max()
        }
        _ => {
            let pairs = members(set).flat_map(|a| members(set).filter(move |b| a < *b).map(move |b| (a, b)));
            pairs.map(|(a, b)| path(a, b)).collect::<Option<Vec<_>>>()?.into_iter().max()
        }
    }
}

/// Compares by the first objective by which two sets differ.
fn compare(a: &Worth, b: &Worth) -> Ordering {
    let nearness = |a: &Value, b: &Value| match (a.1, b.1) {
        (Some(a), Some(b)) => b.cmp(&a),
        (a, b) => a.is_some().cmp(&b.is_some()),
    };
    let one = |a: &Value, b: &Value| match (a.0, b.0) {
        (Some(a), Some(b)) if a.is_better_than(b) => Ordering::Greater,
        (Some(a), Some(b)) if b.is_better_than(a) => Ordering::Less,
        (known, other) => known.is_some().cmp(&other.is_some()).then_with(|| nearness(a, b)),
    };
    a.iter().zip(b).map(|(a, b)| one(a, b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// The pools that may be chosen.
#[derive(Clone, Copy)]
pub(super) enum Among<'a> {
    /// Any.
    Pools,
    /// Sets of exactly the asked number.
    Sets,
    /// Only these sets, each as a whole.
    Allowed(&'a [Set]),
}

/// Chooses at most `most` alternatives for `count` GPUs each.
pub(super) fn choose(
    topology: &Topology,
    count: usize,
    most: usize,
    among: Among<'_>,
    objectives: &[String],
) -> Result<Choice> {
    let gpus = topology.gpus().len();
    if gpus > MAX_GPUS {
        let message = format!("this machine has {gpus} GPUs; {MAX_GPUS} are the most for claims");
        return Err(Error::unsatisfiable(message));
    }
    let left_out = left_out(topology);
    let usable: Set =
        (0..gpus).filter(|gpu| left_out.iter().all(|(out, _)| out != gpu)).map(|gpu| 1 << gpu).sum();
    if count == 0 || count > usable.count_ones() as usize {
        let found = usable.count_ones();
        let mut error = format!("there are no {count} GPUs to claim: {found} of {gpus} can be used");
        for (gpu, why) in &left_out {
            let _ = write!(error, "; {}: {why}", topology.device_name(*gpu));
        }
        return Err(Error::unsatisfiable(error));
    }
    let near = Nearness::new(topology, usable);
    let pools = match among {
        Among::Pools => near.pools(count),
        Among::Sets => near.sets(count),
        Among::Allowed(sets) => {
            let fits = |set: &&Set| set.count_ones() as usize == count && **set & !usable == 0;
            sets.iter().filter(fits).copied().collect()
        }
    };
    if pools.is_empty() {
        return Err(Error::unsatisfiable(format!("no allowed set has {count} GPUs that can be used"))
            .help("ask for as many as a set of the table has"));
    }
    let states = states(usable);
    let search = Search::new(topology, &pools, &states, (count, usable), objectives)?;
    let chosen = search.run(most);
    let free = |state: &&Set| pools.iter().any(|pool| (pool & **state).count_ones() as usize >= count);
    let (servable, (served, _)) = (states.iter().filter(free).count(), search.value(&chosen));
    let alternative = |pool: &usize| Alternative {
        gpus: members(pools[*pool]).collect(),
        closeness: near.of(pools[*pool]),
    };
    let alternatives = chosen.iter().map(alternative).collect();
    Ok(Choice {
        alternatives,
        served,
        servable,
        sampled: usable.count_ones() > MAX_EXHAUSTIVE,
        left_out,
        dropped: 0,
    })
}

fn left_out(topology: &Topology) -> Vec<(usize, String)> {
    let why = |(position, gpu): (usize, &nvtopo::model::Gpu)| {
        let faults = topology.gpu_faults(position);
        let why = match (&gpu.unusable, gpu.mig, faults.first()) {
            (Some(why), ..) => why.clone(),
            (_, Some(mig), _) if mig.current => "it is divided into instances (MIG)".to_owned(),
            _ if gpu.is_display() => "it is a display GPU".to_owned(),
            (.., Some(fault)) => fault.to_string(),
            _ => return None,
        };
        Some((position, why))
    };
    topology.gpus().enumerate().filter_map(why).collect()
}

/// The sets of free GPUs that are looked at.
fn states(usable: Set) -> Vec<Set> {
    if usable.count_ones() <= MAX_EXHAUSTIVE {
        // All subsets, by counting within the bits of the set.
        let mut all = vec![usable];
        while let Some(last) = all.last().filter(|last| **last != 0) {
            all.push((last - 1) & usable);
        }
        return all;
    }
    // A fixed sequence of Marsaglia's xorshift: the same answer each time.
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        Set::from(seed)
    };
    let few = members(usable).map(|gpu| usable & !(1 << gpu));
    let mut all: Vec<Set> = std::iter::once(usable).chain(few).collect();
    all.extend(std::iter::repeat_with(|| next() & usable).take(SAMPLE));
    // Half of the states of the sample have few GPUs taken.
    all.extend(std::iter::repeat_with(|| (next() | next()) & usable).take(SAMPLE));
    all.sort_unstable();
    all.dedup();
    all
}

/// The worth of sets of GPUs, as a rank from 1.
fn ranks(topology: &Topology, sets: &[Set], objectives: &[String]) -> Result<BTreeMap<Set, u64>> {
    // What is left over depends on what is free, and is left out here.
    let names = objectives.iter().map(String::as_str);
    let mut names: Vec<&str> =
        names.chain(DEFAULT_OBJECTIVES.iter().map(|objective| objective.name())).collect();
    let mut seen = vec!["remainder"];
    names.retain(|name| {
        let new = !seen.contains(name);
        seen.push(*name);
        new
    });
    let index = |gpu: usize| topology.gpus().nth(gpu).map_or(0, |gpu| gpu.index);
    let worth = |set: &Set| {
        let request = Request::gpus(set.count_ones() as usize).only(members(*set).map(index));
        let placement = request.objectives(names.iter().copied()).solve(topology)?;
        let scores = placement.scores().iter().take(names.len());
        let worth = scores.map(|score| (score.value, worst_path(topology, *set, score.objective)));
        Ok((*set, worth.collect()))
    };
    let mut worths: Vec<(Set, Worth)> = sets.iter().map(worth).collect::<Result<_>>()?;
    worths.sort_by(|(_, a), (_, b)| compare(a, b));
    let mut ranks = BTreeMap::new();
    let mut rank = 1;
    for (at, (set, worth)) in worths.iter().enumerate() {
        if at > 0 && compare(&worths[at - 1].1, worth).is_ne() {
            rank += 1;
        }
        ranks.insert(*set, rank);
    }
    Ok(ranks)
}

struct Search<'a> {
    pools: &'a [Set],
    states: &'a [Set],
    /// The least worth that a pool gives of these free GPUs of it; none where they are not enough.
    least: BTreeMap<Set, u64>,
}

impl<'a> Search<'a> {
    fn new(
        topology: &Topology,
        pools: &'a [Set],
        states: &'a [Set],
        (count, usable): (usize, Set),
        objectives: &[String],
    ) -> Result<Self> {
        let free = pools.iter().flat_map(|pool| states.iter().map(move |state| pool & state));
        let mut free: Vec<Set> = free.filter(|free| free.count_ones() as usize >= count).collect();
        free.sort_unstable();
        free.dedup();
        let all = usable.count_ones() <= MAX_EXHAUSTIVE;
        let within = |free: &Set| if all { sets_of(*free, count) } else { edges(*free, count) };
        let mut sets: Vec<Set> = free.iter().flat_map(within).collect();
        sets.sort_unstable();
        sets.dedup();
        let ranks = ranks(topology, &sets, objectives)?;
        let least = |free: Set| Some((free, within(&free).iter().map(|set| ranks[set]).min()?));
        Ok(Self { pools, states, least: free.iter().filter_map(|free| least(*free)).collect() })
    }

    fn given(&self, pool: usize, state: Set) -> Option<u64> {
        self.least.get(&(self.pools[pool] & state)).copied()
    }

    /// The least and the mean worth of what a pool gives, and how much of it is spare: best first.
    fn order(&self, pool: usize) -> (Reverse<u64>, Reverse<u64>, u32, Set) {
        let set = self.pools[pool];
        let given: Vec<u64> = self.states.iter().filter_map(|state| self.given(pool, *state)).collect();
        let least = given.iter().copied().min().unwrap_or_default();
        let mean = given.iter().sum::<u64>() * 1000 / given.len().max(1) as u64;
        (Reverse(least), Reverse(mean), set.count_ones(), !set.reverse_bits())
    }

    /// Returns the number of states that these alternatives serve, and the sum of the ranks in them.
    fn value(&self, chosen: &[usize]) -> (usize, u64) {
        let given = |state: &Set| chosen.iter().find_map(|pool| self.given(*pool, *state));
        let given = self.states.iter().filter_map(given);
        given.fold((0, 0), |(served, sum), worth| (served + 1, sum + worth))
    }

    fn run(&self, most: usize) -> Vec<usize> {
        let orders: Vec<_> = (0..self.pools.len()).map(|pool| self.order(pool)).collect();
        let sorted = |mut chosen: Vec<usize>| {
            chosen.sort_by_key(|pool| orders[*pool]);
            chosen
        };
        let mut chosen: Vec<usize> = Vec::new();
        let mut value = (0, 0);
        while chosen.len() < most {
            let with = |pool: usize| sorted(chosen.iter().copied().chain([pool]).collect());
            let open = (0..self.pools.len()).filter(|pool| !chosen.contains(pool));
            let best = open.map(|pool| (self.value(&with(pool)), Reverse(orders[pool]), pool)).max();
            match best {
                Some((better, _, pool)) if better > value => {
                    chosen = with(pool);
                    value = better;
                }
                _ => break,
            }
        }
        // One whose states others serve as well is dropped.
        let mut at = 0;
        while at < chosen.len() {
            let mut fewer = chosen.clone();
            fewer.remove(at);
            if self.value(&fewer) >= value { chosen = fewer } else { at += 1 }
        }
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machines() -> impl Iterator<Item = (&'static str, Topology)> {
        let names = ["dgx-1-v100", "dgx-h100", "rtx-a6000-4-bridged", "l40s-8-pcie", "hgx-a100-4"];
        names.into_iter().map(|name| (name, Topology::preset(name).unwrap()))
    }

    fn set(alternative: &Alternative) -> Set {
        alternative.gpus.iter().map(|gpu| 1 << gpu).sum()
    }

    /// The rule, tried on all states of small machines.
    #[test]
    fn each_state_in_which_a_linked_set_is_free_is_served_with_a_linked_set() {
        let mut tried = 0;
        for (name, topology) in machines() {
            let all: Set = (1 << topology.gpus().len()) - 1;
            let near = Nearness::new(&topology, all);
            for count in 2..=topology.gpus().len() {
                let linked: Vec<Set> = sets_of(all, count)
                    .into_iter()
                    .filter(|set| near.of(*set) == Closeness::Linked)
                    .collect();
                if linked.is_empty() {
                    continue;
                }
                let choice = choose(&topology, count, MAX_ALTERNATIVES, Among::Pools, &[]).unwrap();
                assert!(choice.alternatives.len() <= MAX_ALTERNATIVES && !choice.sampled);
                for free in 0..=all {
                    let is_free = linked.iter().any(|set| set & !free == 0);
                    let taken = choice.alternatives.iter().map(|pool| set(pool) & free);
                    let taken = taken.into_iter().find(|pool| pool.count_ones() as usize >= count);
                    assert_eq!(taken.is_some(), is_free, "{name} {count} {free:b}");
                    // Whichever the driver lists first.
                    for given in taken.into_iter().flat_map(|pool| sets_of(pool, count)) {
                        assert_eq!(near.of(given), Closeness::Linked, "{name} {count} {free:b}");
                        tried += 1;
                    }
                }
                assert_eq!(choice.served, choice.servable);
            }
        }
        assert!(tried > 1000, "{tried}");
    }

    #[test]
    fn the_first_alternative_is_as_good_as_the_best_set() {
        for (name, topology) in machines() {
            for count in 2..=topology.gpus().len() {
                let choice = choose(&topology, count, MAX_ALTERNATIVES, Among::Pools, &[]).unwrap();
                let request = Request::gpus(count).objectives(["ring", "numa-span", "nic"]);
                let best = request.solve(&topology).unwrap();
                let first = &choice.alternatives[0].gpus;
                let indices = topology.gpus().enumerate().filter(|(at, _)| first.contains(at));
                let own = request.only(indices.map(|(_, gpu)| gpu.index)).solve(&topology).unwrap();
                let values = |placement: &nvtopo::Placement| {
                    placement.scores()[..3].iter().map(|score| (score.value, None)).collect::<Worth>()
                };
                assert_eq!(compare(&values(&own), &values(&best)), Ordering::Equal, "{name} {count}");
            }
        }
    }

    #[test]
    fn boards_have_the_alternatives_that_a_person_would_write() {
        let of = |name: &str, count: usize, among: Among<'_>| {
            let choice =
                choose(&Topology::preset(name).unwrap(), count, MAX_ALTERNATIVES, among, &[]).unwrap();
            choice.alternatives.into_iter().map(|alternative| alternative.gpus).collect::<Vec<_>>()
        };
        let all: Vec<usize> = (0..8).collect();
        assert_eq!(of("rtx-a6000-4-bridged", 2, Among::Pools), [[0, 1], [2, 3]]);
        // Singles break one pair before the next.
        assert_eq!(of("rtx-a6000-4-bridged", 1, Among::Pools), [[0, 1], [2, 3]]);
        assert_eq!(of("dgx-h100", 4, Among::Pools), [vec![0, 1, 2, 3], vec![4, 5, 6, 7], all.clone()]);
        assert_eq!(of("dgx-h100", 8, Among::Pools), [all]);
        assert_eq!(of("l40s-8-pcie", 2, Among::Pools), [[0, 1], [2, 3], [4, 5], [6, 7]]);
        assert_eq!(of("dgx-h100", 4, Among::Allowed(&[0xff, 0xf0, 0x3])), [[4, 5, 6, 7]]);
        assert_eq!(of("dgx-2", 16, Among::Pools).len(), 1);
        assert_eq!(of("dgx-2", 8, Among::Pools)[..2], [(0..8).collect::<Vec<_>>(), (8..16).collect()]);
    }

    #[test]
    fn what_cannot_be_had_is_refused_with_the_reason() {
        let bridged = Topology::preset("rtx-a6000-4-bridged").unwrap();
        let refused = |count, among| choose(&bridged, count, 8, among, &[]).err().unwrap().to_string();
        assert!(refused(5, Among::Pools).contains("4 of 4"), "{}", refused(5, Among::Pools));
        assert!(refused(0, Among::Pools).contains("no 0 GPUs"));
        assert!(refused(3, Among::Allowed(&[0b11])).contains("no allowed set"));
    }
}
