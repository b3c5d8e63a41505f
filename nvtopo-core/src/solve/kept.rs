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
