//! The search for the best set of GPUs: bits in, the best set out. It knows no request and no text.

pub(in crate::solve) mod answers;
pub(in crate::solve) mod bounded;
pub(in crate::solve) mod clique;
pub(in crate::solve) mod domains;
pub(in crate::solve) mod exact;
mod exchange;
mod irregular;
pub(in crate::solve) mod links;
pub(in crate::solve) mod memo;
pub(in crate::solve) mod objective;
pub(in crate::solve) mod problem;
pub(in crate::solve) mod quota;
pub(in crate::solve) mod set;
pub(in crate::solve) mod surroundings;
mod switched;
mod threshold;
pub(in crate::solve) mod tolerance;
pub(in crate::solve) mod value;
pub(in crate::solve) mod weights;
pub(in crate::solve) mod worth;

use problem::{NoSet, Solution, Task};
use weights::Weights;

/// The most GPUs that are searched where domains would tell more.
const MAX_SEARCHED: usize = 16;

/// The best set.
pub(in crate::solve) fn solve(weights: &Weights, task: &Task<'_>) -> Result<Solution, NoSet> {
    let by_domains = if weights.gpus() > MAX_SEARCHED { domains::search(weights, task) } else { None };
    by_domains.unwrap_or_else(|| match weights.gpus() {
        0..=MAX_SEARCHED => exact::search(weights, task),
        _ => irregular::search(weights, task),
    })
}
