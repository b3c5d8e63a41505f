//! A machine as its domains.

use super::homes::Homes;
use super::tree::Tree;
use crate::model::Topology;
use crate::query::Weight;

/// A machine's domains.
#[derive(Debug)]
pub(in crate::solve) struct Domains {
    pub(super) tree: Tree,
    /// Where GPUs differ by nothing else.
    pub(super) homes: Option<Homes>,
    /// What an empty machine gives to jobs of each size.
    pub(super) whole: Vec<Weight>,
}

impl Domains {
    /// `None`: the machine is not made so.
    pub(in crate::solve) fn of(topology: &Topology) -> Option<Self> {
        let tree = Tree::of(topology)?;
        let whole = tree.best_left(&tree.most(&|domain| tree.size(domain)));
        let homes = Homes::of(&tree);
        Some(Self { tree, homes, whole })
    }
}
