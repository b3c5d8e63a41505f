//! What requests were answered, whole: with values, bounds and proof, which the table of chosen sets lacks. A launcher
//! that asks the same thing for every rank then has its answer at once.

use super::criteria::{Criteria, Key};
use super::exact::{NoSet, Solution, Task, solve};
use super::objective::Set;
use super::weights::Weights;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The most answers that are kept; when there are more, all are forgotten.
const MAX_KEPT: usize = 64;

/// The bytes that one of them takes by a usual list of objectives.
const KEPT_BYTES: usize = 640;

/// Answers by what was asked.
#[derive(Default)]
pub(super) struct Kept(Mutex<BTreeMap<Asked, Arc<Solution>>>);

type Asked = (Set, Set, usize, Key);

impl Kept {
    /// The answer; from memory where nothing but the set of free GPUs and what has to be in limits it.
    pub(super) fn solve(
        &self,
        weights: &Weights,
        task: &Task<'_>,
        criteria: &Criteria,
    ) -> Result<Arc<Solution>, NoSet> {
        if !task.is_plain() {
            return solve(weights, task).map(Arc::new);
        }
        let kept = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = (task.free, task.include, task.count, criteria.key());
        if let Some(known) = kept().get(&asked) {
            return Ok(Arc::clone(known));
        }
        let solution = Arc::new(solve(weights, task)?);
        let mut kept = kept();
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(asked, Arc::clone(&solution));
        Ok(solution)
    }

    /// The bytes that this may come to hold.
    pub(super) const fn size() -> usize {
        MAX_KEPT * KEPT_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::super::mix::SizeMix;
    use super::*;
    use crate::model::Topology;

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
