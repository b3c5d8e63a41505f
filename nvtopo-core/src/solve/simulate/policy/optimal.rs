//! The policy that no other is better than on average, where arrivals are Poisson and service is exponential.
//!
//! The states are the sets of GPUs that jobs run on; what a job is worth is its ring bandwidth as a part of the most that
//! its size could have. Every job that fits is taken, so policies differ in the sets only. Relative value iteration over the
//! uniformized chain (Puterman, "Markov Decision Processes", 1994, sections 8.5 and 11.5) gives what each state is worth;
//! the policy chooses the set with the most of its own worth and of what follows.

use super::{Policy, State, Task};
use crate::error::Result;
use crate::solve::simulate::SizeMix;
use crate::solve::simulate::machine::{Machine, Set, subsets};
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
            let free = machine.all() & !running.iter().fold(0, |busy, set| busy | set);
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

    /// What each state is worth beside the empty machine, in shares of a job, with the rounds that it took and the span of
    /// the differences in the last.
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
            values.iter_mut().for_each(|value| *value -= empty);
            rounds += 1;
            if most - least < SPAN || rounds == MAX_ROUNDS {
                // Of all jobs that arrive.
                let gain = (most + least) / 2.0 * events / rate;
                return Solved { values, gain, span: most - least, rounds };
            }
        }
    }
}

struct Solved {
    values: Vec<f64>,
    #[cfg_attr(not(test), allow(dead_code, reason = "tests compare it with what is played"))]
    gain: f64,
    #[cfg_attr(not(test), allow(dead_code, reason = "tests hold it"))]
    span: f64,
    #[cfg_attr(not(test), allow(dead_code, reason = "tests hold it"))]
    rounds: usize,
}

struct Optimal {
    states: HashMap<Key, u32>,
    /// For each state and size, what to choose.
    chosen: Vec<Vec<Set>>,
    /// For each size of jobs its place in the mix.
    places: Vec<usize>,
}

impl Policy for Optimal {
    fn choose(&mut self, state: &State<'_>, count: usize) -> Result<Set> {
        let index = self.states[&key(state.running)] as usize;
        Ok(self.chosen[index][self.places[count]])
    }
}

pub(super) fn optimal<'a>(machine: &'a Machine<'a>, task: &Task<'_>) -> Result<Box<dyn Policy + 'a>> {
    let chain = Chain::new(machine, task.mix);
    let solved = chain.solve(task.mix, task.rate, machine.gpus);
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
