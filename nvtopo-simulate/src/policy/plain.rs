//! Policies without look-ahead of their own: by chance, by number, by pairs, and by a request's objectives.

use super::{Policy, State, Table, Task, first_best};
use crate::machine::{Machine, Set, members, subsets};
use crate::partition;
use crate::partition::Scores;
use crate::random::Random;
use nvtopo::Chooser;
use nvtopo::Result;

struct Chance(Random);

impl Policy for Chance {
    fn choose(&mut self, state: &State<'_>, count: usize) -> Set {
        let (mut left, mut chosen) = (state.free, 0);
        for _ in 0..count {
            let pick = self.0.below(left.count_ones()) as usize;
            let gpu = members(left).nth(pick).unwrap_or_default();
            chosen |= 1 << gpu;
            left &= !(1 << gpu);
        }
        chosen
    }
}

pub(super) fn random<'a>(_: &'a Machine<'a>, task: &Task<'_>) -> Result<Box<dyn Policy + 'a>> {
    // Not the numbers that the jobs were drawn with.
    Ok(Box::new(Chance(Random::new(!task.options.seed))))
}

pub(super) fn first_fit<'a>(machine: &'a Machine<'a>, _: &Task<'_>) -> Result<Box<dyn Policy + 'a>> {
    Ok(Box::new(Table::new(machine.gpus, lowest)))
}

fn lowest(free: Set, count: usize) -> Set {
    members(free).take(count).fold(0, |set, gpu| set | 1 << gpu)
}

pub(super) fn device_plugin<'a>(machine: &'a Machine<'a>, _: &Task<'_>) -> Result<Box<dyn Policy + 'a>> {
    let scores = Scores::of(machine.topology)?;
    Ok(Box::new(Table::new(machine.gpus, move |free, count| {
        partition::best(&scores, free, 0, count).map_or(0, |partition| partition.chosen)
    })))
}

pub(super) fn pair_sum<'a>(machine: &'a Machine<'a>, _: &Task<'_>) -> Result<Box<dyn Policy + 'a>> {
    let pairs = machine.topology.pairs();
    let between = move |a, b| pairs.pair(a, b).rate.map_or(0, |rate| rate.bandwidth.as_mb_per_s());
    let sum = move |set: Set| -> u64 {
        members(set).flat_map(|a| members(set & !((2 << a) - 1)).map(move |b| between(a, b))).sum()
    };
    Ok(Box::new(Table::new(machine.gpus, move |free, count| first_best(subsets(free, count), sum))))
}

pub(super) fn nvtopo<'a>(machine: &'a Machine<'a>, task: &Task<'_>) -> Result<Box<dyn Policy + 'a>> {
    struct Choice(Chooser);

    impl Policy for Choice {
        fn choose(&mut self, state: &State<'_>, count: usize) -> Set {
            self.0.choose(state.free.into(), count).unwrap_or_default() as Set
        }
    }
    Ok(Box::new(Choice(Chooser::by_objectives(machine.topology, &task.options.objectives, Some(task.mix))?)))
}
