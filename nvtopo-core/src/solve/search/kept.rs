//! What requests were answered, whole: with values, bounds and proof, which the table of chosen sets lacks. A launcher
//! that asks the same thing for every rank then has its answer at once.

use super::bounded::Bounded;
use super::problem::{NoSet, Solution, Task};
use super::solve;
use super::weights::Weights;
use crate::solve::objective::criteria::{Criteria, Key};
use crate::solve::search::set::Set;
use std::sync::Arc;

/// The most answers that are kept.
const MAX_KEPT: usize = 64;

/// The bytes that one of them takes by a usual list of objectives.
const KEPT_BYTES: usize = 640;

/// Answers by what was asked.
#[derive(Default)]
pub(in crate::solve) struct Kept(Bounded<Asked, Arc<Solution>, MAX_KEPT>);

type Asked = (Set, Set, usize, Key);

impl Kept {
    /// The answer; from memory where nothing but the set of free GPUs and what has to be in limits it.
    pub(in crate::solve) fn solve(
        &self,
        weights: &Weights,
        task: &Task<'_>,
        criteria: &Criteria,
    ) -> Result<Arc<Solution>, NoSet> {
        let compute = || solve(weights, task).map(Arc::new);
        if !task.is_plain() {
            return compute();
        }
        self.0.try_at((task.free, task.include, task.count, criteria.key()), compute)
    }

    /// The bytes that this may come to hold.
    pub(in crate::solve) const fn size() -> usize {
        MAX_KEPT * KEPT_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Topology;
    use crate::solve::objective::mix::SizeMix;

    #[test]
    fn only_the_same_question_is_remembered() {
        let topology = Topology::preset("dgx-h100").unwrap();
        let weights = Weights::of(&topology, &[0, 1, 2, 3, 4, 5, 6, 7]);
        let kept = Kept::default();
        let ask = |weight: usize, count: usize| {
            let mix = SizeMix::new([(1, weight as f64), (2, 1000.0)]).unwrap();
            let criteria = Criteria::new::<&str>(None, Some(&mix), 8).unwrap();
            let task = Task::new(0xff, count, &criteria.objectives, &criteria.mix);
            kept.solve(&weights, &task, &criteria).unwrap()
        };
        let first = ask(1, 4);
        assert!(Arc::ptr_eq(&first, &ask(1, 4)));
        assert!(!Arc::ptr_eq(&ask(1, 3), &ask(1, 2)));
        assert!(!Arc::ptr_eq(&first, &ask(2, 4)), "another mix");
        for weight in 0..=MAX_KEPT {
            ask(10 + weight, 4);
        }
        let again = ask(1, 4);
        assert!(!Arc::ptr_eq(&first, &again), "it was forgotten after so many others");
        assert_eq!(again.chosen, first.chosen);
    }
}
