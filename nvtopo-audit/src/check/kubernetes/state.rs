//! The kubelet's state files: CPUs, memory and hints of the containers that have GPUs.

use super::{NO_KUBELET, cpu_nodes};
use crate::evidence::{Evidence, NODE};
use crate::finding::Verdicts;
use crate::reading::kubelet::Kubelet;
use crate::reading::kubelet_state::{self, Held};
use nvtopo::model::{NodeId, Stated};
use nvtopo::{CpuSet, NodeSet};
use std::collections::BTreeMap;

/// Returns a state that is there. Else the reason is a verdict.
fn present<T>(evidence: &Evidence<'_>, state: Stated<T>, name: &str, verdicts: &mut Verdicts) -> Option<T> {
    match state {
        Stated::Known(state) => return Some(state),
        Stated::Unreadable => verdicts.unknown(NODE, format!("{name} cannot be read")),
        _ if matches!(evidence.kubelet(), Kubelet::None)
            && evidence.profile.expect.kubernetes != Some(true) =>
        {
            verdicts.not_applicable(NODE, NO_KUBELET);
        }
        _ => verdicts.unknown(NODE, format!("{name} is not there")),
    }
    None
}

/// The GPUs of each container, by pod and name. `None`: one of them is not known here.
pub(crate) type GpusOf<'h> = BTreeMap<(&'h str, &'h str), Option<Vec<NodeId>>>;

/// Returns the GPUs of each container.
pub(crate) fn gpus_of<'h>(evidence: &Evidence<'_>, held: &'h [Held]) -> GpusOf<'h> {
    let mut all: GpusOf<'h> = BTreeMap::new();
    for own in held.iter().filter(|own| own.is_gpus()) {
        let gpus = all.entry((&own.pod, &own.container)).or_insert_with(|| Some(Vec::new()));
        for (id, _) in &own.devices {
            match (gpus.as_mut(), gpu(evidence, id)) {
                (Some(gpus), Some(gpu)) => gpus.push(gpu),
                _ => *gpus = None,
            }
        }
    }
    all
}

/// Returns the GPU of a device's name: its UUID or its number, with `::` and a number behind where it is shared.
fn gpu(evidence: &Evidence<'_>, id: &str) -> Option<NodeId> {
    let id = id.split("::").next().unwrap_or(id);
    let is_own = |uuid: &dyn std::fmt::Display| uuid.to_string().eq_ignore_ascii_case(id);
    let mut gpus = evidence.gpus();
    match id.parse::<u32>() {
        Ok(number) => gpus.find(|(_, _, gpu)| gpu.index == number).map(|(_, node, _)| node),
        Err(_) => gpus
            .find(|(_, _, gpu)| gpu.uuid.as_ref().is_some_and(|uuid| is_own(uuid)))
            .map(|(_, node, _)| node),
    }
}

/// The CPUs near any of some GPUs. `None`: those of one are not known.
fn near_cpus(evidence: &Evidence<'_>, gpus: &[NodeId]) -> Option<CpuSet> {
    let mut near = CpuSet::new();
    for gpu in gpus {
        near = near.union(evidence.topology.local_cpus(*gpu).known().filter(|cpus| !cpus.is_empty())?);
    }
    Some(near)
}

/// The NUMA nodes near any of some GPUs. `None`: those of one are not known.
pub(crate) fn near_nodes(evidence: &Evidence<'_>, gpus: &[NodeId]) -> Option<NodeSet> {
    let mut near = NodeSet::new();
    for gpu in gpus {
        near = near.union(evidence.topology.local_nodes(*gpu).known().filter(|nodes| !nodes.is_empty())?);
    }
    Some(near)
}

const CPUS: &str = "cpu_manager_state";
const MEMORY: &str = "memory_manager_state";
const DEVICES: &str = "kubelet_internal_checkpoint";

pub(super) fn cpus(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let (state, devices) = (kubelet_state::cpus(evidence), kubelet_state::devices(evidence));
    let Some(state) = present(evidence, state, CPUS, verdicts) else { return };
    if state.policy_name != "static" || state.containers().next().is_none() {
        verdicts.not_applicable(NODE, "no container has CPUs for itself");
        return;
    }
    let Some(held) = present(evidence, devices, DEVICES, verdicts) else { return };
    let gpus = gpus_of(evidence, &held);
    for (pod, name, cpus) in state.containers() {
        let Some(gpus) = gpus.get(&(pod, name)) else { continue };
        let subject = format!("{pod}/{name}");
        let Some(near) = gpus.as_ref().and_then(|gpus| near_cpus(evidence, gpus)) else {
            verdicts.unknown(subject, "its GPUs, or the CPUs near them, are not known");
            continue;
        };
        let far = cpus.difference(&near);
        if far.is_empty() {
            verdicts.pass(subject, format!("its CPUs {cpus} are near its GPUs"));
        } else {
            verdicts
                .warn(subject, format!("its CPUs {far} are not near its GPUs, near which CPUs {near} are"));
        }
    }
    verdicts.otherwise_not_applicable("no container with CPUs for itself has GPUs");
}

pub(super) fn memory(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let (state, devices) = (kubelet_state::memory(evidence), kubelet_state::devices(evidence));
    let Some(state) = present(evidence, state, MEMORY, verdicts) else { return };
    if state.policy_name != "Static" || state.containers().next().is_none() {
        verdicts.not_applicable(NODE, "no container has memory of chosen NUMA nodes");
        return;
    }
    let Some(held) = present(evidence, devices, DEVICES, verdicts) else { return };
    let gpus = gpus_of(evidence, &held);
    for (pod, name, blocks) in state.containers() {
        let Some(gpus) = gpus.get(&(pod, name)) else { continue };
        let subject = format!("{pod}/{name}");
        let Some(near) = gpus.as_ref().and_then(|gpus| near_nodes(evidence, gpus)) else {
            verdicts.unknown(subject, "its GPUs, or the NUMA nodes near them, are not known");
            continue;
        };
        let far = blocks.iter().find(|block| {
            !block.numa_affinity.is_empty() && !block.numa_affinity.iter().any(|node| near.contains(*node))
        });
        match far {
            Some(block) => {
                let nodes: NodeSet = block.numa_affinity.iter().copied().collect();
                let text =
                    format!("its {} is from NUMA nodes {nodes}, and its GPUs are near {near}", block.kind);
                verdicts.warn(subject, text);
            }
            None => verdicts.pass(subject, format!("its memory is from NUMA nodes near its GPUs ({near})")),
        }
    }
    verdicts.otherwise_not_applicable("no container with memory of chosen NUMA nodes has GPUs");
}

pub(super) fn hints(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let devices = kubelet_state::devices(evidence);
    let Some(held) = present(evidence, devices, DEVICES, verdicts) else { return };
    match cpu_nodes(evidence) {
        0 => {
            verdicts.unknown(NODE, "the NUMA nodes of the machine are not known");
            return;
        }
        1 => {
            verdicts.not_applicable(NODE, "the machine has one NUMA node");
            return;
        }
        _ => {}
    }
    // The name of a device, and whether a node came with it.
    let mut hints: BTreeMap<&str, Option<bool>> = BTreeMap::new();
    for (id, told) in held.iter().filter(|own| own.is_gpus()).flat_map(|own| &own.devices) {
        hints.insert(id, *told);
    }
    if hints.is_empty() {
        verdicts.unknown(NODE, "no container has a GPU, so the kubelet's file names none");
    }
    for (id, hint) in hints {
        match hint {
            Some(true) => verdicts.pass(id, "the device plugin tells its NUMA node"),
            Some(false) => verdicts.fail(id, "the device plugin tells no NUMA node, and no policy aligns it"),
            None => verdicts.unknown(id, "this kubelet does not write NUMA nodes of devices"),
        }
    }
}
