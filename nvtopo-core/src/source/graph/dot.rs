//! DOT for Graphviz: packages and NUMA nodes as boxes, what hangs on them, and the links. CPUs are left out.

use super::{kind, name, words};
use crate::error::Result;
use crate::model::{LinkKind, NodeId, NodeKind, Topology};
use crate::printable::printable;
use crate::source::{WriteOptions, Written, losses};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The width of the fastest link, beyond that of one of unknown rate, in points.
const PENS: f64 = 4.0;

/// The colour of NVLinks, which is told from black in grey as well.
const NVLINK: &str = "#1b7837";

/// The facts that are left out.
const LOST: [losses::Facts; 12] = [
    losses::UUIDS,
    losses::VERSIONS,
    losses::ADDRESSES,
    losses::PCI_NUMBERS,
    losses::GPU_MEMORY,
    losses::FABRICS,
    losses::NODE_MEMORY,
    losses::CORES,
    losses::NIC_PORTS,
    losses::MEASURED,
    losses::P2P,
    losses::ACS,
];

/// Writes the graph.
#[allow(clippy::unnecessary_wraps, reason = "the type of all writers")]
pub(in crate::source) fn write(topology: &Topology, _options: &WriteOptions) -> Result<Written> {
    let mut drawing = Drawing { topology, below: BTreeMap::new(), out: String::new() };
    let shown: Vec<NodeId> =
        topology.nodes().filter(|(id, _)| is_shown(topology, *id)).map(|(id, _)| id).collect();
    for id in &shown {
        let container = topology.ancestors(*id).skip(1).find(|id| is_box(topology, *id));
        drawing.below.entry(container.unwrap_or(NodeId::MACHINE)).or_default().push(*id);
    }
    let title = text(&name(topology.node(NodeId::MACHINE)));
    drawing.out = format!(
        "graph machine {{\n  label={title};\n  labelloc=t;\n  compound=true;\n  fontname=\"sans-serif\";\n  node [shape=box, fontname=\"sans-serif\"];\n  \
         edge [fontname=\"sans-serif\", fontsize=10];\n"
    );
    drawing.fill(NodeId::MACHINE, 1);
    drawing.links(&shown);
    drawing.out += "}\n";
    let mut written = Written::new(drawing.out);
    losses::note(topology, "the picture", &LOST, &mut written);
    Ok(written)
}

fn is_box(topology: &Topology, id: NodeId) -> bool {
    matches!(topology.node(id).kind, NodeKind::Package(_) | NodeKind::NumaNode(_))
}

fn is_shown(topology: &Topology, id: NodeId) -> bool {
    !matches!(
        topology.node(id).kind,
        NodeKind::Machine(_) | NodeKind::Cache(_) | NodeKind::Group(_) | NodeKind::Core(_) | NodeKind::Pu(_)
    )
}

struct Drawing<'a> {
    topology: &'a Topology,
    /// The shown nodes directly in each box.
    below: BTreeMap<NodeId, Vec<NodeId>>,
    out: String,
}

impl Drawing<'_> {
    /// Writes what is in a box; boxes are few levels deep, as packages hold NUMA nodes or the other way.
    fn fill(&mut self, id: NodeId, depth: usize) {
        let indent = "  ".repeat(depth);
        for node in self.below.get(&id).cloned().unwrap_or_default() {
            let is_box = is_box(self.topology, node) && depth < 8;
            let label = text(&self.label(node));
            let kind = kind(self.topology.node(node));
            if is_box {
                _ = writeln!(
                    self.out,
                    "{indent}subgraph cluster_{} {{\n{indent}  label={label};",
                    node.index()
                );
                if self.is_end(node) {
                    _ = writeln!(self.out, "{indent}  n{} [shape=point, class={kind}];", node.index());
                }
                self.fill(node, depth + 1);
                _ = writeln!(self.out, "{indent}}}");
            } else {
                let style = match self.topology.node(node).kind {
                    NodeKind::Gpu(_) => ", style=filled, fillcolor=\"#d9f0d3\"",
                    NodeKind::Nic(_) => ", style=filled, fillcolor=\"#d1e5f0\"",
                    NodeKind::NvSwitch(_) => ", style=filled, fillcolor=\"#fde0b6\"",
                    _ => "",
                };
                _ = writeln!(self.out, "{indent}n{} [label={label}, class={kind}{style}];", node.index());
            }
        }
    }

    /// Returns whether lines lead to a box: links, and those to what it holds.
    fn is_end(&self, id: NodeId) -> bool {
        let holds = |inner: &NodeId| !is_box(self.topology, *inner);
        let is_shown = |(other, _): (NodeId, _)| is_shown(self.topology, other);
        self.topology.links_of(id).any(is_shown) || self.below.get(&id).into_iter().flatten().any(holds)
    }

    fn is_switch(&self, id: NodeId) -> bool {
        matches!(self.topology.node(id).kind, NodeKind::NvSwitch(_))
    }

    fn label(&self, id: NodeId) -> String {
        let node = self.topology.node(id);
        let more = match &node.kind {
            NodeKind::NumaNode(numa) if !numa.cpus.is_empty() => Some(format!("CPUs {}", numa.cpus)),
            NodeKind::Gpu(gpu) => gpu.model.clone(),
            NodeKind::Nic(nic) => nic.rate.map(|rate| rate.to_string()),
            NodeKind::Package(package) => package.model.clone(),
            // Its many links are alike, and have no words of their own.
            NodeKind::NvSwitch(_) => {
                let words: BTreeSet<String> =
                    self.topology.links_of(id).map(|(_, link)| words(link)).collect();
                Some(words).filter(|words| words.len() == 1).and_then(|words| words.into_iter().next())
            }
            _ => None,
        };
        more.map_or_else(|| name(node).into_owned(), |more| format!("{}\n{more}", name(node)))
    }

    /// Writes the links, and a line to the container where no link leads there.
    fn links(&mut self, shown: &[NodeId]) {
        let widest =
            self.topology.links().filter_map(|(_, _, link)| link.rate).map(|rate| rate.bandwidth).max();
        let widest = widest.map_or(1.0, |widest| widest.as_gb_per_s().max(1.0));
        let known: BTreeSet<NodeId> = shown.iter().copied().collect();
        let mut linked = BTreeSet::new();
        for (a, b, link) in self.topology.links() {
            if !(known.contains(&a) && known.contains(&b)) {
                continue;
            }
            linked.extend([(a, b), (b, a)]);
            let pen = link.rate.map_or(1.0, |rate| 1.0 + PENS * rate.bandwidth.as_gb_per_s() / widest);
            let more = match link.kind {
                LinkKind::Smp => ", constraint=false".to_owned(),
                kind if kind.is_fabric() => format!(", color=\"{NVLINK}\", fontcolor=\"{NVLINK}\""),
                _ => String::new(),
            };
            let words = text(&words(link));
            let is_of_switch = self.is_switch(a) || self.is_switch(b);
            let label = match link.kind {
                _ if is_of_switch => "tooltip",
                // Graphviz 2.43 fails to place the label of an edge that constrains nothing.
                LinkKind::Smp => "xlabel",
                _ => "label",
            };
            _ = writeln!(
                self.out,
                "  n{} -- n{} [{label}={words}, class={}, penwidth={pen:.1}{more}];",
                a.index(),
                b.index(),
                link.kind.name(),
            );
        }
        for id in shown {
            let container = self.topology.ancestors(*id).skip(1).find(|id| known.contains(id));
            let Some(container) = container.filter(|_| !is_box(self.topology, *id)) else { continue };
            if !linked.contains(&(*id, container)) {
                _ = writeln!(
                    self.out,
                    "  n{} -- n{} [class=contains, style=dotted];",
                    container.index(),
                    id.index()
                );
            }
        }
    }
}

/// Returns a text in quotes. A line break stays one.
fn text(text: &str) -> String {
    let lines = text.lines().map(|line| printable(line).replace('\\', "\\\\").replace('"', "\\\""));
    format!("\"{}\"", lines.collect::<Vec<_>>().join("\\n"))
}
