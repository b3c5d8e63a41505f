//! The policy that is optimal on average, where arrivals are Poisson and service is exponential.
//!
//! The states are the sets of GPUs that jobs run on; what a job is worth is its ring bandwidth as a part of the most that
//! its size could have. Every job that fits is taken, so policies differ in the sets only. Relative value iteration over the
//! uniformized chain (Puterman, "Markov Decision Processes", 1994, sections 8.5 and 11.5) gives what each state is worth;
//! the policy chooses the set with the most of its own worth and of what follows.

use super::{Policy, State, Task};
use crate::machine::{Machine, Set, subsets};
use nvtopo::Result;
use nvtopo::solve::SizeMix;
use std::collections::HashMap;

/// The span of the differences between two rounds at which the values are good enough, in shares of a job.
const SPAN: f64 = 1e-7;

/// Rounds after which they have to be.
const MAX_ROUNDS: usize = 5_000;

/// The running jobs: their sets, increasing, a byte each.
type Key = u64;

fn key(running: &[Set]) -> Key {
    running.iter().fold(0, |key, set| key << 8 | Key::from(*set))
}

fn with(running: &[Set], set: Set) -> Vec<Set> {
    let at = running.partition_point(|other| *other < set);
    [&running[..at], &[set], &running[at..]].concat()
}

/// The chain of states.
struct Chain {
    states: HashMap<Key, u32>,
    running: Vec<Vec<Set>>,
    /// For each state the states that the end of a job leads to, and for each size of jobs what can be chosen.
    ends: Vec<Vec<u32>>,
    choices: Vec<Vec<Vec<Choice>>>,
}

#[derive(Clone, Copy)]
struct Choice {
    set: Set,
    share: f64,
    next: u32,
}

impl Chain {
    /// All states that can be reached from the empty machine.
    fn new(machine: &Machine<'_>, mix: &SizeMix) -> Self {
        let mut chain = Self {
            states: HashMap::from([(0, 0)]),
            running: vec![Vec::new()],
            ends: Vec::new(),
            choices: Vec::new(),
        };
        while chain.choices.len() < chain.running.len() {
            let running = chain.running[chain.choices.len()].clone();
            let free = machine.all & !running.iter().fold(0, |busy, set| busy | set);
            let of_size = |(size, _): &(usize, f64)| {
                let choice = |set| {
                    // One GPU has nobody to exchange anything with.
                    let share = if *size > 1 { machine.share(set) } else { 0.0 };
                    Choice { set, share, next: chain.index(with(&running, set)) }
                };
                subsets(free, *size).into_iter().map(choice).collect()
            };
            let choices = mix.sizes().iter().map(of_size).collect();
            chain.choices.push(choices);
        }
        for running in chain.running.clone() {
            let without = |at: usize| [&running[..at], &running[at + 1..]].concat();
            let ends = (0..running.len()).map(|at| chain.index(without(at))).collect();
            chain.ends.push(ends);
        }
        chain
    }

    fn index(&mut self, running: Vec<Set>) -> u32 {
        *self.states.entry(key(&running)).or_insert_with(|| {
            self.running.push(running);
            self.running.len() as u32 - 1
        })
    }

    /// Returns the value of each state relative to the empty machine, in shares of a job.
    fn solve(&self, mix: &SizeMix, rate: f64, most_jobs: usize) -> Solved {
        // Something happens this often at most; what is missing to it changes nothing.
        let events = rate + most_jobs as f64;
        let mut values = vec![0.0; self.running.len()];
        let mut next = values.clone();
        let mut rounds = 0;
        loop {
            let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
            for (state, new) in next.iter_mut().enumerate() {
                let own = values[state];
                let sizes = mix.sizes().iter().zip(&self.choices[state]);
                let arrivals: f64 = sizes
                    .map(|((_, weight), choices)| {
                        let worth = |choice: &Choice| choice.share + values[choice.next as usize];
                        let best = choices.iter().map(worth).reduce(f64::max);
                        weight * best.unwrap_or(own)
                    })
                    .sum();
                let ends: f64 = self.ends[state].iter().map(|end| values[*end as usize]).sum();
                let nothing = most_jobs as f64 - self.ends[state].len() as f64;
                *new = (rate * arrivals + ends + nothing * own) / events;
                least = least.min(*new - own);
                most = most.max(*new - own);
            }
            std::mem::swap(&mut values, &mut next);
            let empty = values[0];
            for value in &mut values {
                *value -= empty;
            }
            rounds += 1;
            if most - least < SPAN || rounds == MAX_ROUNDS {
                let gain = f64::midpoint(most, least) * events / rate;
                return Solved { values, proof: (gain, most - least) };
            }
        }
    }
}

struct Solved {
    values: Vec<f64>,
    /// Shares of a job that an arrival gets on average, and the span of the differences in the last round.
    #[cfg_attr(not(test), allow(dead_code, reason = "the policy needs the values only"))]
    proof: (f64, f64),
}

struct Optimal {
    states: HashMap<Key, u32>,
    /// For each state and size, what to choose.
    chosen: Vec<Vec<Set>>,
    /// For each size of jobs its place in the mix.
    places: Vec<usize>,
}

impl Policy for Optimal {
    fn choose(&mut self, state: &State<'_>, count: usize) -> Set {
        let index = self.states[&key(state.running)] as usize;
        self.chosen[index][self.places[count]]
    }
}

pub(super) fn optimal<'a>(machine: &'a Machine<'a>, task: &Task<'_>) -> Result<Box<dyn Policy + 'a>> {
    let chain = Chain::new(machine, task.mix);
    let solved = chain.solve(task.mix, task.rate, machine.capacity());
    let best = |choices: &Vec<Choice>| {
        super::first_best(0..choices.len() as u32, |index| {
            let choice = choices[index as usize];
            choice.share + solved.values[choice.next as usize]
        })
    };
    let chosen = |sizes: &Vec<Vec<Choice>>| {
        let set = |choices: &Vec<Choice>| choices.get(best(choices) as usize).map_or(0, |choice| choice.set);
        sizes.iter().map(set).collect()
    };
    let mut places = vec![0; machine.gpus + 1];
    for (place, (size, _)) in task.mix.sizes().iter().enumerate() {
        places[*size] = place;
    }
    Ok(Box::new(Optimal { chosen: chain.choices.iter().map(chosen).collect(), states: chain.states, places }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Stream, Workload, simulate};
    use nvtopo::Topology;

    #[test]
    fn what_is_played_is_what_the_values_promise() {
        let dgx1 = Topology::preset("dgx-1-v100").unwrap();
        let mix = SizeMix::usual(8).unwrap();
        let machine = Machine::new(&dgx1).unwrap();
        let chain = Chain::new(&machine, &mix);
        assert_eq!(chain.running.len(), 20_991);
        let rate = 0.9 * 8.0 / mix.mean();
        let (gain, span) = chain.solve(&mix, rate, 8).proof;
        assert!(span < 1e-6, "{span}");
        let stream = Stream { load: 0.9, jobs: 100_000, mix, seed: 3 };
        let options = Options { policies: vec!["optimal".to_owned()], ..Options::default() };
        let workload = Workload::random(&stream, 8).unwrap();
        let report = simulate(&dgx1, &workload, &options, &mut |_, _| ()).unwrap();
        let several: usize = report.sizes.iter().filter(|size| size.gpus > 1).map(|size| size.accepted).sum();
        let played = report.policies[0].mean.unwrap().share * several as f64 / report.jobs as f64;
        assert!((played / gain - 1.0).abs() < 0.01, "{played} {gain}");
    }

    #[test]
    fn two_gpus_are_worth_what_can_be_computed_by_hand() {
        // Jobs of two GPUs only: a job is accepted when the machine is empty, which is 1 / (1 + rate) of the time.
        let text = "\tGPU0\tGPU1\tCPU Affinity\nGPU0\t X \tNV4\t0-15\nGPU1\tNV4\t X \t0-15\n";
        let topology = Topology::parse("two", text.as_bytes()).unwrap();
        let mix = SizeMix::new([(2, 1.0)]).unwrap();
        let machine = Machine::new(&topology).unwrap();
        let chain = Chain::new(&machine, &mix);
        let (gain, _) = chain.solve(&mix, 1.5, 2).proof;
        assert!((gain - 1.0 / 2.5).abs() < 1e-5, "{gain}");
    }
}
