//! The matrices after the objects: distances between NUMA nodes, and the bandwidths of NVLinks.

use super::super::matrix::FABRICS;
use super::super::nvlink;
use super::Out;
use super::objects::Tree;
use crate::error::Result;
use crate::model::{Gpu, Link, LinkKind, NodeId, NodeKind, Topology};
use crate::source::pci_kind::is_amd;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The number of values in one element, as hwloc writes them.
const PER_ELEMENT: usize = 10;

/// The value of a GPU and itself in MB/s, as hwloc writes it: faster than all links.
const OWN: u64 = 1_000_000;

/// Writes the matrices.
pub(super) fn write(
    topology: &Topology,
    tree: &Tree<'_>,
    out: &mut Out,
    remarks: &mut Vec<String>,
) -> Result<()> {
    latencies(tree, out, remarks)?;
    for (kind, name) in FABRICS {
        fabric(topology, kind, name, out, remarks)?;
    }
    Ok(())
}

/// Writes the distances of NUMA nodes, where all pairs are known.
fn latencies(tree: &Tree<'_>, out: &mut Out, remarks: &mut Vec<String>) -> Result<()> {
    let nodes: Vec<_> = tree.memory.iter().map(|memory| &memory.node).collect();
    if nodes.len() < 2 || nodes.iter().all(|node| node.distances.is_empty()) {
        return Ok(());
    }
    let mut values = Vec::with_capacity(nodes.len() * nodes.len());
    for from in &nodes {
        let to: BTreeMap<u32, u32> = from.distances.iter().copied().collect();
        values.extend(nodes.iter().map(|node| {
            let own = (node.os_index == from.os_index).then_some(10);
            own.or(to.get(&node.os_index).copied()).map(u64::from)
        }));
    }
    let Some(values) = values.into_iter().collect::<Option<Vec<u64>>>() else {
        remarks.push(
            "the distances of some NUMA nodes are unknown, so none were written: hwloc takes all or none"
                .to_owned(),
        );
        return Ok(());
    };
    out.start(
        "distances2",
        &[
            ("type", "NUMANode".into()),
            ("nbobjs", nodes.len().to_string().into()),
            // By the operating system; latencies.
            ("kind", "5".into()),
            ("name", "NUMALatency".into()),
            ("indexing", "os".into()),
        ],
    )?;
    list(out, "indexes", nodes.iter().map(|node| node.os_index))?;
    list(out, "u64values", values)?;
    out.end("distances2")
}

/// Writes the bandwidths of the links of a kind in MB/s, between GPUs by the driver's names for them, and NVSwitches.
fn fabric(
    topology: &Topology,
    kind: LinkKind,
    name: &'static str,
    out: &mut Out,
    remarks: &mut Vec<String>,
) -> Result<()> {
    let all = || topology.links().filter(|(_, _, link)| link.kind == kind);
    let is_there = |id: &NodeId| out.numbers.contains_key(id);
    let is_switch = |id: &NodeId| matches!(topology.node(*id).kind, NodeKind::NvSwitch(_));
    let is_hidden = |id: &NodeId| is_switch(id) && !is_there(id);
    let links = || all().filter(|(a, b, _)| !is_hidden(a) && !is_hidden(b));
    let is_cut = all().any(|(a, b, _)| is_hidden(&a) || is_hidden(&b));
    if is_cut {
        let text = "hwloc's XML has no place for NVLinks to NVSwitches that the guest does not see: they are left out";
        remarks.push(text.to_owned());
    }
    let is_end = |id: &NodeId| links().any(|(a, b, _)| a == *id || b == *id);
    let is_of_kind = |gpu: &Gpu| is_amd(gpu) == (kind == LinkKind::Xgmi);
    let is_gpu =
        |id: &NodeId| topology.node(*id).kind.as_gpu().is_some_and(|gpu| is_of_kind(gpu) || is_end(id));
    let gpus: Vec<NodeId> = topology.devices().iter().copied().filter(is_gpu).collect();
    let switches = topology.nodes().filter(|(_, node)| matches!(node.kind, NodeKind::NvSwitch(_)));
    let switches: Vec<NodeId> = switches.map(|(id, _)| id).filter(is_end).collect();
    // Without a link, hwloc writes no matrix; nor does it where the links are unknown.
    let is_known = topology.nvlink_known() && !is_cut && gpus.len() > 1;
    if gpus.len() + switches.len() < 2 || (links().next().is_none() && !is_known) {
        return Ok(());
    }
    let ends: Vec<NodeId> = gpus.iter().chain(&switches).copied().collect();
    let position: BTreeMap<NodeId, usize> = ends.iter().copied().zip(0..).collect();
    let mut unrated = 0;
    let mut values = vec![0u64; ends.len() * ends.len()];
    for own in 0..ends.len() {
        values[own * ends.len() + own] = OWN;
    }
    for (a, b, link) in links() {
        let (Some(from), Some(to)) = (position.get(&a), position.get(&b)) else { continue };
        let rate = if kind == LinkKind::NvLink {
            value(topology, a, b, link)
        } else {
            link.rate.map_or(0, |rate| rate.bandwidth.as_mb_per_s())
        };
        unrated += usize::from(rate == 0);
        values[from * ends.len() + to] += rate;
        values[to * ends.len() + from] += rate;
    }
    if unrated > 0 {
        remarks.push(format!("the rates of {unrated} links between GPUs are unknown: they are left out"));
    }
    let numbers: Vec<(&str, u64)> = ends.iter().filter_map(|id| out.numbers.get(id).copied()).collect();
    if numbers.len() != ends.len() {
        return Ok(());
    }
    let mut all = vec![("nbobjs", ends.len().to_string().into())];
    // By the operating system; bandwidths; of several types.
    all.push(("kind", if switches.is_empty() { "9" } else { "25" }.into()));
    all.push(("name", name.into()));
    if switches.is_empty() {
        all.insert(0, ("type", "OSDev".into()));
        all.push(("indexing", "gp".into()));
        out.start("distances2", &all)?;
        list(out, "indexes", numbers.iter().map(|(_, number)| number))?;
        list(out, "u64values", values)?;
        return out.end("distances2");
    }
    out.start("distances2hetero", &all)?;
    list(out, "indexes", numbers.iter().map(|(kind, number)| format!("{kind}:{number}")))?;
    list(out, "u64values", values)?;
    out.end("distances2hetero")
}

/// Returns the bandwidth of NVLinks as hwloc counts it: a fixed rate for each link, by the model of the GPU.
fn value(topology: &Topology, a: NodeId, b: NodeId, link: &Link) -> u64 {
    let model = |id| topology.node(id).kind.as_gpu().and_then(|gpu| gpu.pci.device);
    let rate = link.rate.map(|rate| rate.bandwidth.as_mb_per_s());
    match (model(a).or(model(b)), link.lanes) {
        (Some(model), Some(lanes)) => nvlink::one(Some(model)) * u64::from(lanes),
        (_, lanes) => rate.unwrap_or_else(|| nvlink::one(None) * u64::from(lanes.unwrap_or(1))),
    }
}

/// Writes values in elements that tell their length, as hwloc demands.
fn list<T: std::fmt::Display>(out: &mut Out, name: &str, values: impl IntoIterator<Item = T>) -> Result<()> {
    let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    for part in values.chunks(PER_ELEMENT) {
        let mut text = String::new();
        for value in part {
            write!(text, "{value} ").unwrap_or_default();
        }
        out.text(name, &[("length", text.len().to_string().into())], &text)?;
    }
    Ok(())
}
