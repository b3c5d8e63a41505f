//! The interconnect between the NUMA nodes of one machine: every node with CPUs is linked with every other.

use crate::model::{Fragment, NodeId, NoteKind, rates};

/// Beyond this many nodes the links between them, which grow with the square, are left out.
const MAX_LINKED: usize = 64;

/// Links nodes that have CPUs.
pub(super) fn link_all(fragment: &mut Fragment, nodes: &[NodeId], cpu_model: Option<&str>) {
    if nodes.len() > MAX_LINKED {
        let text = format!("the links between {} NUMA nodes were left out", nodes.len());
        fragment.note(NoteKind::Unknown, text);
        return;
    }
    for (index, a) in nodes.iter().enumerate() {
        for b in &nodes[index + 1..] {
            fragment.link(*a, *b, rates::smp_link(cpu_model));
        }
    }
}
