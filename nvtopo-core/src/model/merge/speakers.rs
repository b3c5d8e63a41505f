//! The sources of facts in notes: their kind, and the file where several are merged.

use crate::model::{NodeId, Provenance};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A source, as notes name it: `nvidia-smi`, or `nvidia-smi (topo.txt)`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Speaker {
    pub(super) provenance: Provenance,
    pub(super) file: Option<Arc<str>>,
}

impl fmt::Display for Speaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{} ({file})", self.provenance),
            None => write!(f, "{}", self.provenance),
        }
    }
}

/// The sources of what the base says, while others are folded into it.
#[derive(Default)]
pub(super) struct Speakers {
    /// The file of the base itself.
    pub(super) file: Option<Arc<str>>,
    /// The source of its NVLinks, where it is another one.
    pub(super) nvlinks: Option<Speaker>,
    /// The source of its stated paths, where it is another one.
    pub(super) paths: Option<Speaker>,
    /// The sources of nodes that were added.
    nodes: BTreeMap<NodeId, Speaker>,
    /// The sources of facts that were filled in.
    facts: BTreeMap<(NodeId, &'static str), Speaker>,
}

impl Speakers {
    /// Returns the base, as the one who says what it knows from a kind of source.
    pub(super) fn base(&self, provenance: Provenance) -> Speaker {
        Speaker { provenance, file: self.file.clone() }
    }

    /// Returns the source of a fact of one of the base's nodes, which is known from a kind of source.
    pub(super) fn of(&self, id: NodeId, fact: &str, provenance: Provenance) -> Speaker {
        let of_node = (id, "")..;
        let mut facts = self.facts.range(of_node).take_while(|((node, _), _)| *node == id);
        let fact = facts.find(|((_, name), _)| *name == fact);
        let known = fact.map(|(_, speaker)| speaker).or_else(|| self.nodes.get(&id));
        known.cloned().unwrap_or_else(|| self.base(provenance))
    }

    /// Takes down the source of a fact that was filled in.
    pub(super) fn learned(&mut self, id: NodeId, fact: &'static str, by: &Speaker) {
        self.facts.insert((id, fact), by.clone());
    }

    /// Takes down the source of a node that was added.
    pub(super) fn added(&mut self, id: NodeId, by: &Speaker) {
        self.nodes.insert(id, by.clone());
    }
}
