//! The domains of a machine, with what is precomputed for them.

use super::numa::NumaDomains;
use super::tree::Tree;
use crate::model::Topology;
use crate::query::Weight;

/// The domains of a machine.
#[derive(Debug)]
pub(in crate::solve) struct Domains {
    pub(super) tree: Tree,
    /// The NUMA domains, if GPUs differ by nothing else.
    pub(super) numa: Option<NumaDomains>,
    /// The best weights that an empty machine gives to jobs of each size.
    pub(super) whole: Vec<Weight>,
}

impl Domains {
    /// Returns the domains of a machine; `None`: it has another structure.
    pub(in crate::solve) fn of(topology: &Topology) -> Option<Self> {
        let tree = Tree::of(topology)?;
        let whole = tree.best_left(&tree.most(&|domain| tree.size(domain)));
        let numa = NumaDomains::of(&tree);
        Some(Self { tree, numa, whole })
    }
}
