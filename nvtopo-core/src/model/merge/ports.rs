//! The rate of NVLinks that one source counts and another tells one by one.

use crate::model::{Basis, Fragment, LinkKind, NodeId, rates};
use crate::units::Bandwidth;

/// Gives links of an unknown generation the rate that the ports of their GPUs report, where all of a GPU's report one.
pub(super) fn rate(fragment: &mut Fragment) {
    let nodes = &fragment.nodes;
    // A fragment that stands alone is checked after this only: its links can name nodes that are not there.
    let each = |id: NodeId| {
        let mut rates = nodes.get(id.index())?.kind.as_gpu()?.nvlinks.iter().filter_map(|port| port.reported);
        let first = rates.next()?;
        rates.all(|rate| rate == first).then_some(first)
    };
    for (a, b, link) in &mut fragment.links {
        let poor = link.rate.is_none_or(|rate| rate.basis == Basis::Assumed);
        let (LinkKind::NvLink, true, Some(links)) = (link.kind, poor, link.lanes) else { continue };
        let told: Option<Bandwidth> = match (each(*a), each(*b)) {
            (Some(own), Some(other)) if own != other => None,
            (own, other) => own.or(other),
        };
        if let Some(each) = told {
            *link = rates::nvlink_reported(each, links);
        }
    }
}
