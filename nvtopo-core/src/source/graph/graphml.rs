//! `GraphML`: every node and every link, with typed attributes, and what each node is contained in.

use super::{kind, name};
use crate::error::Result;
use crate::model::{Node, NodeKind, Stated, Topology};
use crate::printable::printable;
use crate::source::{WriteOptions, Written, losses};
use crate::units::Bandwidth;
use std::fmt::{Display, Write as _};

/// The attributes: of nodes or edges, name, type.
const KEYS: &[(&str, &str, &str)] = &[
    ("node", "kind", "string"),
    ("node", "name", "string"),
    ("node", "index", "long"),
    ("node", "model", "string"),
    ("node", "uuid", "string"),
    ("node", "address", "string"),
    ("node", "memory_bytes", "long"),
    ("node", "cpus", "string"),
    ("node", "source", "string"),
    ("edge", "relation", "string"),
    ("edge", "lanes", "int"),
    ("edge", "gb_per_s", "double"),
    ("edge", "basis", "string"),
    ("edge", "reported_gb_per_s", "double"),
];

/// The facts that are left out.
const LOST: [losses::Facts; 10] = [
    losses::VERSIONS,
    losses::PCI_NUMBERS,
    losses::CAPABILITIES,
    losses::FABRICS,
    losses::NODE_DISTANCES,
    losses::NIC_RATES,
    losses::NIC_PORTS,
    losses::MEASURED,
    losses::P2P,
    losses::ACS,
];

/// Writes the graph.
#[allow(clippy::unnecessary_wraps, reason = "the type of all writers")]
pub(in crate::source) fn write(topology: &Topology, _options: &WriteOptions) -> Result<Written> {
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\">\n",
    );
    for (of, name, kind) in KEYS {
        _ = writeln!(
            out,
            "  <key id=\"{}_{name}\" for=\"{of}\" attr.name=\"{name}\" attr.type=\"{kind}\"/>",
            &of[..1]
        );
    }
    out += "  <graph id=\"machine\" edgedefault=\"undirected\">\n";
    for (id, node) in topology.nodes() {
        _ = writeln!(out, "    <node id=\"n{}\">", id.index());
        facts(node, &mut out);
        out += "    </node>\n";
    }
    for (id, node) in topology.nodes() {
        if let Some(parent) = node.parent {
            _ = writeln!(out, "    <edge source=\"n{}\" target=\"n{}\">", parent.index(), id.index());
            data(&mut out, "e_relation", "contains");
            out += "    </edge>\n";
        }
    }
    for (a, b, link) in topology.links() {
        _ = writeln!(out, "    <edge source=\"n{}\" target=\"n{}\">", a.index(), b.index());
        data(&mut out, "e_relation", link.kind.name());
        optional(&mut out, "e_lanes", link.lanes);
        optional(&mut out, "e_gb_per_s", link.rate.map(|rate| rate.bandwidth.as_gb_per_s()));
        optional(&mut out, "e_basis", link.rate.map(|rate| rate.basis.name()));
        optional(&mut out, "e_reported_gb_per_s", link.reported.map(Bandwidth::as_gb_per_s));
        out += "    </edge>\n";
    }
    out += "  </graph>\n</graphml>\n";
    let mut written = Written::new(out);
    losses::note(topology, "GraphML", &LOST, &mut written);
    Ok(written)
}

fn facts(node: &Node, out: &mut String) {
    data(out, "n_kind", kind(node));
    data(out, "n_name", name(node));
    match &node.kind {
        NodeKind::Package(package) => {
            data(out, "n_index", package.os_index);
            optional(out, "n_model", package.model.as_deref());
        }
        NodeKind::NumaNode(numa) => {
            data(out, "n_index", numa.os_index);
            optional(out, "n_memory_bytes", numa.memory);
            data(out, "n_cpus", &numa.cpus);
        }
        NodeKind::Cache(cache) => data(out, "n_cpus", &cache.cpus),
        NodeKind::Group(group) => data(out, "n_cpus", &group.cpus),
        NodeKind::Core(core) => data(out, "n_index", core.os_index),
        NodeKind::Pu(pu) => data(out, "n_index", pu.os_index),
        NodeKind::HostBridge(bridge) => optional(out, "n_address", bridge.address.as_ref()),
        NodeKind::PcieSwitch(switch) => optional(out, "n_address", switch.address.as_ref()),
        NodeKind::NvSwitch(switch) => optional(out, "n_address", switch.address.as_ref()),
        NodeKind::Gpu(gpu) => {
            data(out, "n_index", gpu.index);
            optional(out, "n_model", gpu.model.as_deref());
            optional(out, "n_uuid", gpu.uuid.as_ref());
            optional(out, "n_address", gpu.address.as_ref());
            optional(out, "n_memory_bytes", gpu.memory);
            if let Stated::Known(cpus) = &gpu.cpus {
                data(out, "n_cpus", cpus);
            }
        }
        NodeKind::GpuInstance(instance) => {
            optional(out, "n_uuid", instance.uuid.as_deref());
            optional(out, "n_memory_bytes", instance.memory);
        }
        NodeKind::Nic(nic) => {
            optional(out, "n_model", nic.model.as_deref());
            optional(out, "n_address", nic.address.as_ref());
        }
        NodeKind::Nvme(nvme) => {
            optional(out, "n_model", nvme.model.as_deref());
            optional(out, "n_address", nvme.address.as_ref());
        }
        NodeKind::Machine(_) => {}
    }
    data(out, "n_source", node.provenance.name());
}

fn optional(out: &mut String, key: &str, value: Option<impl Display>) {
    if let Some(value) = value {
        data(out, key, value);
    }
}

fn data(out: &mut String, key: &str, value: impl Display) {
    let value = value.to_string();
    let value = printable(&value).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    _ = writeln!(out, "      <data key=\"{key}\">{value}</data>");
}
