//! The topology manager.

use super::{Entry, Plan};
use crate::kubelet::board::nodes_are;
use crate::kubelet::lint::FEW_NODES_SINCE;
use crate::kubelet::options::{MAX_NUMA_NODES, Manager};

/// The largest pod on the NUMA nodes.
pub(super) struct Span {
    /// The GPUs of the largest pod.
    largest: usize,
    /// The GPUs of the NUMA node that has most; `None` where the nodes of GPUs are unknown.
    most: Option<usize>,
    /// True where the largest pod needs several NUMA nodes.
    pub(super) several_nodes: bool,
}

impl Span {
    pub(super) fn sentence(&self) -> String {
        let most = self.most.unwrap_or_default();
        format!("A pod of {} GPUs spans NUMA nodes: none has more than {most}.", self.largest)
    }
}

pub(super) fn spans(plan: &Plan<'_>) -> Span {
    let largest = plan.options.largest_pod.unwrap_or(plan.board.gpus());
    let most = plan.board.gpus_by_node().and_then(|counts| counts.values().max().copied());
    Span { largest, most, several_nodes: most.is_some_and(|most| largest > most) }
}

pub(super) fn add(plan: &mut Plan<'_>, span: &Span) {
    let (policy, why) = match choice(plan, span) {
        Ok(chosen) => chosen,
        Err(why) => {
            plan.leave_out("topologyManagerPolicy", why);
            return;
        }
    };
    plan.entries.push(Entry::new("topologyManagerPolicy", policy, why));
    if policy == "none" {
        return;
    }
    plan.entries.push(Entry::new(
        "topologyManagerScope",
        "pod",
        "All containers of a pod are placed together, so that a helper beside the one with the GPUs does not run far away from it.",
    ));
    let mut options = Vec::new();
    if let Some(why) = distances(plan)
        && plan.allows(Manager::Topology, "prefer-closest-numa-nodes")
    {
        options.push(Entry::new("prefer-closest-numa-nodes", "true", why));
    }
    let counted = plan.board.counted_nodes();
    if counted > MAX_NUMA_NODES {
        let why = format!(
            "The kubelet counts {counted} NUMA nodes, also those without CPUs, and starts with {MAX_NUMA_NODES} at most without this."
        );
        options.push(Entry::new("max-allowable-numa-nodes", counted.to_string(), why));
    }
    plan.entries.extend(Entry::map("topologyManagerPolicyOptions", options, ""));
}

/// The policy, with the reason; or why there is none.
fn choice(plan: &Plan<'_>, span: &Span) -> Result<(&'static str, String), String> {
    let board = plan.board;
    let nodes = board.cpu_nodes().count();
    if nodes == 0 {
        return Err("no NUMA node is known here".to_owned());
    }
    if nodes == 1 && board.is_complete() {
        return Ok(("none", "All CPUs are on one NUMA node: there is nothing to align.".to_owned()));
    }
    let counted = board.counted_nodes();
    let gpus: Vec<u32> = board.gpu_nodes().map(|node| node.os_index).collect();
    if !gpus.is_empty() && plan.options.version.number() < FEW_NODES_SINCE {
        return Ok((
            "none",
            format!(
                "{} memory of GPUs. With empty ones, and those of the CPUs, the kubelet counts {counted}. Before 1.{FEW_NODES_SINCE} it \
                 tries all sets of them for each pod, and pods with devices hang (kubernetes#135541). Load the driver with \
                 NVreg_CoherentGPUMemoryMode=driver, so that they are none, and configure again.",
                nodes_are(&gpus)
            ),
        ));
    }
    if counted > MAX_NUMA_NODES
        && let Err(why) = plan.usable(Manager::Topology, "max-allowable-numa-nodes")
    {
        return Ok((
            "none",
            format!(
                "There are {counted} NUMA nodes; to start with more than {MAX_NUMA_NODES} takes max-allowable-numa-nodes, and {why}."
            ),
        ));
    }
    Ok(match span.most {
        Some(most) if !span.several_nodes && board.is_complete() && span.largest > 0 => (
            "restricted",
            format!(
                "A NUMA node has up to {most} GPUs, and the largest pod {}: each pod fits on one node. One that cannot have its CPUs and \
                 GPUs together is refused (TopologyAffinityError) and does not run split.",
                span.largest
            ),
        ),
        Some(_) if span.several_nodes => (
            "best-effort",
            format!(
                "{} single-numa-node would never start it, and restricted only where its CPUs and memory need as many nodes. \
                 best-effort aligns what can be aligned, and itself refuses none.",
                span.sentence()
            ),
        ),
        _ if board.topology.gpus().len() == 0 => (
            "best-effort",
            "No GPU is known here. CPUs, memory and NICs come from one NUMA node where they can, and no pod is refused."
                .to_owned(),
        ),
        _ => (
            "best-effort",
            "On which NUMA nodes GPUs and CPUs are is not fully known here. best-effort aligns what can be aligned, and refuses no pod."
                .to_owned(),
        ),
    })
}

/// Why the distances between NUMA nodes decide something; `None` where they do not, or are unknown.
fn distances(plan: &Plan<'_>) -> Option<String> {
    let nodes: Vec<_> = plan.board.cpu_nodes().collect();
    if nodes.len() < 3 {
        return None;
    }
    let mut all = Vec::new();
    for node in &nodes {
        for other in nodes.iter().filter(|other| other.os_index != node.os_index) {
            all.push(node.distances.iter().find(|(to, _)| *to == other.os_index)?.1);
        }
    }
    let (near, far) = (all.iter().min()?, all.iter().max()?);
    (near != far).then(|| {
        format!("NUMA nodes are {near} to {far} apart (10 is the same node): of as many nodes the nearest ones are taken.")
    })
}
