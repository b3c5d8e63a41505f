//! The graph of the machine for programs of graphs: DOT for Graphviz, `GraphML` for networkx, yEd and Gephi, and the table of
//! all pairs as CSV. None of them is read.

mod csv;
mod dot;
mod graphml;

use crate::model::{Link, LinkKind, Node, NodeKind};
use crate::printable::printable;
use std::borrow::Cow;

pub(super) use csv::write as csv;
pub(super) use dot::write as dot;
pub(super) use graphml::write as graphml;

/// The word for the kind of a node.
fn kind(node: &Node) -> &'static str {
    match &node.kind {
        NodeKind::Machine(_) => "machine",
        NodeKind::Package(_) => "package",
        NodeKind::NumaNode(_) => "numa_node",
        NodeKind::Cache(_) => "cache",
        NodeKind::Group(_) => "group",
        NodeKind::Core(_) => "core",
        NodeKind::Pu(_) => "pu",
        NodeKind::HostBridge(_) => "host_bridge",
        NodeKind::PcieSwitch(_) => "pcie_switch",
        NodeKind::Gpu(_) => "gpu",
        NodeKind::GpuInstance(_) => "gpu_instance",
        NodeKind::NvSwitch(_) => "nvswitch",
        NodeKind::Nic(_) => "nic",
        NodeKind::Nvme(_) => "nvme",
    }
}

/// Returns the name of a node for people.
fn name(node: &Node) -> Cow<'_, str> {
    match &node.kind {
        NodeKind::Machine(machine) => printable(machine.product.as_deref().unwrap_or("machine")),
        NodeKind::Package(package) => format!("package {}", package.os_index).into(),
        NodeKind::NumaNode(numa) => format!("NUMA node {}", numa.os_index).into(),
        NodeKind::Cache(cache) => format!("L{}", cache.level).into(),
        NodeKind::Group(group) => group.kind.name().into(),
        NodeKind::Core(core) => format!("core {}", core.os_index).into(),
        NodeKind::Pu(pu) => format!("CPU {}", pu.os_index).into(),
        NodeKind::HostBridge(_) => "host bridge".into(),
        NodeKind::PcieSwitch(_) => "PCIe switch".into(),
        NodeKind::Gpu(gpu) => gpu.name().into(),
        NodeKind::GpuInstance(instance) => printable(instance.profile.as_deref().unwrap_or("GPU instance")),
        NodeKind::NvSwitch(_) => "NVSwitch".into(),
        NodeKind::Nic(nic) => printable(&nic.name),
        NodeKind::Nvme(nvme) => printable(&nvme.name),
    }
}

/// Returns the link as people write it: `NVLink ×2, 50 GB/s`.
fn words(link: &Link) -> String {
    let kind = match link.kind {
        LinkKind::NvLink => "NVLink",
        LinkKind::C2c => "C2C",
        LinkKind::Pcie => "PCIe",
        LinkKind::Smp => "between sockets",
        LinkKind::Xgmi => "xGMI",
        LinkKind::Net => "network",
    };
    let lanes = link.lanes.map_or(String::new(), |lanes| format!(" ×{lanes}"));
    let rate = link.rate.map_or(String::new(), |rate| format!(", {}", rate.bandwidth));
    format!("{kind}{lanes}{rate}")
}
