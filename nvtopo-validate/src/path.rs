//! The links that the data of a figure crosses, by their names: the parts that can be to blame.

use crate::figure::Subject;
use nvtopo::model::{Link, LinkKind, NodeId, NodeKind};
use nvtopo::{PathType, Topology};

/// The links on the way of a figure, by names that are equal for equal links, the one first that no other figure but those of the
/// same two devices crosses.
pub(crate) fn links(topology: &Topology, subject: &Subject) -> Vec<String> {
    let name = |device: usize| topology.device_name(device);
    let gpus = topology.gpus().len();
    match *subject {
        Subject::Path { from, to } if from < gpus && to < gpus => {
            if topology.pairs().pair(from, to).path == Some(PathType::Nvl) {
                return over_nvlink(topology, from, to);
            }
            over_host(topology, from, to)
        }
        Subject::Path { from, to } if from >= gpus && to >= gpus => {
            let mut links = vec![between(topology, from, to)];
            links.extend([from, to].map(|nic| format!("port of {}", name(nic))));
            links.extend(to_host(topology, from));
            links.extend(to_host(topology, to));
            links
        }
        Subject::Path { from, to } => {
            let mut links = over_host(topology, from, to);
            links.push(format!("port of {}", name(from.max(to))));
            links
        }
        Subject::ToGpu(gpu) | Subject::FromGpu(gpu) => {
            let id = topology.devices()[gpu];
            if topology.links_of(id).any(|(_, link)| link.kind == LinkKind::C2c) {
                return vec![format!("NVLink-C2C of {}", name(gpu))];
            }
            to_host(topology, gpu)
        }
        Subject::Adapter(nic) => {
            let mut links = vec![format!("port of {}", name(nic))];
            links.extend(to_host(topology, nic));
            links
        }
        Subject::Group(ref gpus) => vec![crate::figure::group_name(topology, gpus)],
    }
}

fn over_nvlink(topology: &Topology, from: usize, to: usize) -> Vec<String> {
    let (a, b) = (topology.devices()[from], topology.devices()[to]);
    let (from, to) = (topology.device_name(from), topology.device_name(to));
    let direct = topology.links_of(a).any(|(far, link)| far == b && link.kind.is_fabric());
    let (low, high) = if a < b { (&from, &to) } else { (&to, &from) };
    let between =
        |what: &str| [format!("{what} between {low} and {high}"), format!("{what} from {from} to {to}")];
    if direct {
        return between("NVLink").into();
    }
    // Over NVSwitches each GPU has links of its own, of which no one belongs to a pair.
    let mut links = Vec::from(between("path over NVSwitches"));
    links.extend([format!("NVLinks out of {from}"), format!("NVLinks into {to}")]);
    links.extend([from, to].map(|gpu| format!("NVLinks of {gpu}")));
    links
}

/// The PCIe links of two devices up to where their ways meet, and the interconnect of their NUMA nodes.
fn over_host(topology: &Topology, a: usize, b: usize) -> Vec<String> {
    let ids = [topology.devices()[a], topology.devices()[b]];
    let common = topology.ancestors(ids[0]).find(|id| topology.ancestors(ids[1]).any(|other| other == *id));
    let mut links = vec![between(topology, a, b)];
    for id in ids {
        let own = pcie_up(topology, id);
        let below = own.iter().take_while(|(below, _)| Some(*below) != common);
        links.extend(below.map(|(below, _)| pcie_name(topology, *below)));
    }
    let mut numa = ids.map(|id| topology.numa_ancestor(id));
    numa.sort_unstable();
    if let ([Some(a), Some(b)], true) = (numa, numa[0] != numa[1]) {
        let (a, b) = (node_name(topology, a), node_name(topology, b));
        links.push(format!("interconnect between {a} and {b}"));
    }
    links
}

fn between(topology: &Topology, a: usize, b: usize) -> String {
    let [a, b] = [a.min(b), a.max(b)].map(|device| topology.device_name(device));
    format!("path between {a} and {b}")
}

fn to_host(topology: &Topology, device: usize) -> Vec<String> {
    pcie_up(topology, topology.devices()[device])
        .iter()
        .map(|(below, _)| pcie_name(topology, *below))
        .collect()
}

fn pcie_name(topology: &Topology, below: NodeId) -> String {
    match topology.node(below).kind {
        NodeKind::PcieSwitch(_) => format!("PCIe link above {}", node_name(topology, below)),
        _ => format!("PCIe link of {}", node_name(topology, below)),
    }
}

/// Returns the PCIe links from a device up to its host bridge, each with the node below it.
pub(crate) fn pcie_up(topology: &Topology, id: NodeId) -> Vec<(NodeId, &Link)> {
    let up = |below: NodeId| {
        let parent = topology.node(below).parent?;
        let mut links =
            topology.links_of(below).filter(|(far, link)| *far == parent && link.kind == LinkKind::Pcie);
        links.next().map(|(_, link)| (below, link))
    };
    topology.ancestors(id).filter_map(up).collect()
}

/// Returns the name of a node for people.
pub(crate) fn node_name(topology: &Topology, id: NodeId) -> String {
    if let Some(device) = topology.devices().iter().position(|own| *own == id) {
        return topology.device_name(device);
    }
    match &topology.node(id).kind {
        NodeKind::PcieSwitch(switch) => {
            let place = switch.address.map_or_else(|| id.index().to_string(), |address| address.to_string());
            format!("PCIe switch {place}")
        }
        NodeKind::NumaNode(numa) => format!("NUMA node {}", numa.os_index),
        _ => format!("node {}", id.index()),
    }
}
