//! Machines of more than 8 GPUs, on two levels: groups are packed into domains, and each domain is searched exactly.
//!
//! A domain is an NVLink group, or a NUMA node where there is no NVLink. Where the packing does not meet the bound,
//! domains are improved one by one, eight ranks at a time, and then pairs of ranks exchange their GPUs as long as that
//! helps (local search).

use super::cost::{Costs, Problem, faster_than, slots};
use super::exact;
use super::exact::Bounds;
use std::collections::BTreeMap;

/// The number of ranks that are searched exactly at once.
const WINDOW: usize = 8;

/// The most passes over all domains and all pairs.
const MAX_ROUNDS: usize = 4;

/// The most cuts and parts of mappings examined to improve on a packing: some tenths of a second.
const MAX_WORK: u64 = 1 << 20;

/// Returns the slot of each rank, no slower than in the launcher's order, which stays where nothing is faster.
pub(super) fn solve(costs: &mut Costs<'_>, bound: f64) -> Vec<usize> {
    let problem = costs.problem;
    let launcher: Vec<usize> = (0..problem.ranks()).collect();
    let start = State::of(costs, launcher.clone());
    if start.time() <= bound {
        return launcher;
    }
    let domains = domains(problem);
    let packed = State::of(costs, pack(problem, &domains));
    let time = start.time();
    let mut state = if packed.value() < start.value() { packed } else { start };
    let limit = costs.work + MAX_WORK;
    for _ in 0..MAX_ROUNDS {
        let before = state.value();
        inside(costs, &mut state, &domains, bound, limit);
        exchange(costs, &mut state, bound, limit);
        if state.value() >= before || state.time() <= bound || costs.work >= limit {
            break;
        }
    }
    if state.time() < faster_than(time) { state.slot_of } else { launcher }
}

/// A mapping with the times of all groups.
#[derive(Clone)]
struct State {
    slot_of: Vec<usize>,
    /// The times, by family and group.
    times: Vec<Vec<f64>>,
}

impl State {
    fn of(costs: &mut Costs<'_>, slot_of: Vec<usize>) -> Self {
        let times = costs.problem.families.iter().enumerate().map(|(family, own)| {
            own.groups.iter().map(|group| costs.seconds(family, slots(group, &slot_of))).collect()
        });
        Self { times: times.collect(), slot_of }
    }

    fn time(&self) -> f64 {
        self.value().0
    }

    /// Returns the sum of the slowest groups' times, and that of all groups: the second shows progress where several
    /// are the slowest.
    fn value(&self) -> (f64, f64) {
        let worst = |times: &Vec<f64>| times.iter().copied().fold(0.0, f64::max);
        let all = self.times.iter().map(|times| times.iter().sum::<f64>());
        (self.times.iter().map(worst).sum(), all.sum())
    }

    /// Gives some ranks other slots, where that is better.
    fn improve(&mut self, costs: &mut Costs<'_>, moved: &[(usize, usize)]) {
        let mut next = self.clone();
        for (rank, slot) in moved {
            next.slot_of[*rank] = *slot;
        }
        for (family, own) in costs.problem.families.iter().enumerate() {
            for (index, group) in own.groups.iter().enumerate() {
                if moved.iter().any(|(rank, _)| group.contains(rank)) {
                    next.times[family][index] = costs.seconds(family, slots(group, &next.slot_of));
                }
            }
        }
        if next.value() < self.value() {
            *self = next;
        }
    }
}

/// Returns the slots of each domain; domains of one NUMA node follow each other.
fn domains(problem: &Problem<'_>) -> Vec<Vec<usize>> {
    let topology = problem.topology;
    let groups = topology.nvlink_groups();
    let mut domains: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (slot, gpu) in problem.gpus.iter().enumerate() {
        let numa = |gpu: usize| topology.numa_ancestor(topology.devices()[gpu]);
        let group = groups.iter().find(|group| group.gpus.contains(gpu) && group.gpus.len() > 1);
        let key = match group {
            Some(group) => (numa(group.gpus[0]), group.gpus[0]),
            None => (numa(*gpu), usize::MAX),
        };
        domains.entry(key).or_default().push(slot);
    }
    domains.into_values().collect()
}

/// Packs ranks into domains: the dimension with the most traffic stays inside domains, then the next one with it, as
/// far as they fit.
fn pack(problem: &Problem<'_>, domains: &[Vec<usize>]) -> Vec<usize> {
    let mut heaviest: Vec<usize> = (0..problem.families.len()).collect();
    heaviest.sort_by_key(|family| std::cmp::Reverse(problem.families[*family].bytes));
    // Level by level, the block of each rank by its first rank: the ranks that communicate in the dimensions so far.
    let mut levels: Vec<Vec<usize>> = vec![(0..problem.ranks()).collect()];
    for family in heaviest {
        let mut blocks = levels[levels.len() - 1].clone();
        for group in &problem.families[family].groups {
            let first = group.iter().map(|rank| blocks[*rank]).min().unwrap_or(0);
            let joined: Vec<usize> = group.iter().map(|rank| blocks[*rank]).collect();
            for block in blocks.iter_mut().filter(|block| joined.contains(block)) {
                *block = first;
            }
        }
        levels.push(blocks);
    }
    let mut packing = Packing {
        levels,
        // In reverse, so that the first slot is popped last.
        free: domains.iter().map(|slots| slots.iter().rev().copied().collect()).collect(),
        slot_of: vec![0; problem.ranks()],
    };
    packing.place((0..problem.ranks()).collect(), packing.levels.len() - 1);
    packing.slot_of
}

struct Packing {
    levels: Vec<Vec<usize>>,
    free: Vec<Vec<usize>>,
    slot_of: Vec<usize>,
}

impl Packing {
    /// Puts ranks into one domain, the fullest that holds them all; where none does, their blocks one by one.
    fn place(&mut self, ranks: Vec<usize>, level: usize) {
        let fits = self.free.iter().enumerate().filter(|(_, free)| free.len() >= ranks.len());
        let domain = fits.min_by_key(|(_, free)| free.len()).map(|(domain, _)| domain);
        let mut blocks: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for rank in &ranks {
            blocks.entry(self.levels[level][*rank]).or_default().push(*rank);
        }
        match (domain, level) {
            (Some(domain), _) => {
                for rank in self.sorted(ranks) {
                    if let Some(slot) = self.free[domain].pop() {
                        self.slot_of[rank] = slot;
                    }
                }
            }
            // A single rank always fits somewhere: there are as many slots as ranks.
            (None, 0) => blocks.into_values().for_each(|block| self.place(block, 0)),
            (None, _) if blocks.len() == 1 => self.place(ranks, level - 1),
            (None, _) => blocks.into_values().for_each(|block| self.place(block, level)),
        }
    }

    /// Sorts ranks block by block, on every level.
    fn sorted(&self, mut ranks: Vec<usize>) -> Vec<usize> {
        ranks.sort_by_key(|rank| {
            let blocks: Vec<usize> = self.levels.iter().rev().map(|level| level[*rank]).collect();
            blocks
        });
        ranks
    }
}

/// Searches each domain exactly, for the groups that have a rank in it.
fn inside(costs: &mut Costs<'_>, state: &mut State, domains: &[Vec<usize>], bound: f64, limit: u64) {
    let problem = costs.problem;
    let unordered = vec![Vec::new(); problem.ranks()];
    for window in domains.iter().flat_map(|slots| slots.chunks(WINDOW)) {
        if costs.work >= limit || state.time() <= bound {
            return;
        }
        let ranks: Vec<usize> =
            (0..problem.ranks()).filter(|rank| window.contains(&state.slot_of[*rank])).collect();
        let mut own = vec![0.0; problem.families.len()];
        for (family, worst) in own.iter_mut().enumerate() {
            for (index, group) in problem.families[family].groups.iter().enumerate() {
                if group.iter().any(|rank| ranks.contains(rank)) {
                    *worst = state.times[family][index].max(*worst);
                }
            }
        }
        let (before, floors, best) = (&unordered[..], &vec![0.0; own.len()][..], own.iter().sum());
        let bounds = Bounds { ranks: &ranks, before, floors, best, limit };
        if let Some(slot_of) = exact::search(costs, &state.slot_of, &bounds) {
            let slots: Vec<(usize, usize)> = ranks.iter().map(|rank| (*rank, slot_of[*rank])).collect();
            state.improve(costs, &slots);
        }
    }
}

/// Lets two ranks exchange their GPUs wherever that is faster.
fn exchange(costs: &mut Costs<'_>, state: &mut State, bound: f64, limit: u64) {
    let ranks = costs.problem.ranks();
    for (a, b) in (0..ranks).flat_map(|a| (a + 1..ranks).map(move |b| (a, b))) {
        if costs.work >= limit || state.time() <= bound {
            return;
        }
        let slots = [(a, state.slot_of[b]), (b, state.slot_of[a])];
        state.improve(costs, &slots);
    }
}

#[cfg(test)]
mod tests {
    use super::super::ParallelJob;
    use super::super::parallel::tests::problem;
    use super::*;
    use crate::model::Topology;

    /// On machines small enough for the exact answer, the result is between the bound and the launcher's order, and
    /// optimal for all but a few.
    #[test]
    fn packing_and_improving_come_near_the_exact_answer() {
        let (mut met, mut asked) = (0, 0);
        for (preset, (tp, dp, pp)) in
            ["dgx-1-v100", "l40s-8-pcie", "dgx-a100"].into_iter().flat_map(|preset| {
                [(2, 4, 1), (2, 2, 2), (2, 1, 4), (4, 2, 1), (1, 4, 2)].map(move |sizes| (preset, sizes))
            })
        {
            let topology = Topology::preset(preset).unwrap();
            for step in [1, 3, 5, 7] {
                let gpus: Vec<usize> = (0..8).map(|slot| slot * step % 8).collect();
                let job = ["tp=8GB", "dp=3GB", "pp=1GB"]
                    .into_iter()
                    .fold(ParallelJob::new().tp(tp).dp(dp).pp(pp), |job, traffic| {
                        job.traffic(traffic.parse().unwrap())
                    });
                let exact = job.map_to(&topology, &gpus).unwrap();
                let (bound, found) = problem(&job, &topology, &gpus, |problem| {
                    let mut costs = Costs::new(problem);
                    let bound = problem.floors().iter().sum();
                    let slot_of = solve(&mut costs, bound);
                    (bound, State::of(&mut costs, slot_of).time())
                });
                assert!(bound <= exact.seconds() && exact.seconds() <= found);
                assert!(found <= exact.launcher_seconds());
                asked += 1;
                met += usize::from(found <= exact.seconds());
            }
        }
        assert!(met * 10 >= asked * 9, "{met} of {asked}");
    }

    #[test]
    fn the_work_on_a_large_machine_without_structure_has_a_limit() {
        // No two of 64 GPUs have the same links, and no domain is like another.
        let cell = |a: usize, b: usize| match (a * 7 + b * 7 + a * b) % 5 {
            _ if a == b => " X ".to_owned(),
            links @ 1..=2 => format!("NV{links}"),
            _ => "SYS".to_owned(),
        };
        let names: Vec<String> = (0..64).map(|gpu| format!("GPU{gpu}")).collect();
        let cells = |a: usize| (0..64).map(|b| cell(a, b)).collect::<Vec<_>>().join("\t");
        let rows: Vec<String> = (0..64).map(|a| format!("GPU{a}\t{}\t0-63\n", cells(a))).collect();
        let text = format!("\t{}\tCPU Affinity\n{}", names.join("\t"), rows.concat());
        let topology = Topology::parse("topo.txt", text.as_bytes()).unwrap();
        let gpus: Vec<usize> = (0..64).collect();
        let mut limited = 0;
        for (tp, dp, pp) in [(8, 8, 1), (2, 8, 4), (4, 16, 1)] {
            let job = ["tp=8GB", "dp=3GB", "pp=1GB"]
                .into_iter()
                .fold(ParallelJob::new().tp(tp).dp(dp).pp(pp), |job, own| job.traffic(own.parse().unwrap()));
            problem(&job, &topology, &gpus, |problem| {
                let mut costs = Costs::new(problem);
                let bound = problem.floors().iter().sum();
                solve(&mut costs, bound);
                // A step begun before the limit is completed: the groups of a mapping, twice.
                let groups: u64 = problem.families.iter().map(|own| own.groups.len() as u64).sum();
                assert!(costs.work <= MAX_WORK + 4 * (groups << 16), "{}", costs.work);
                limited += usize::from(costs.work >= MAX_WORK);
            });
        }
        assert!(limited > 0, "no job is so hard that the limit counts");
    }
}
