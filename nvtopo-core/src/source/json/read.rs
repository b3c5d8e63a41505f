//! From the text to a fragment, with every error at its line and column where the text alone shows it.

use super::VERSION;
use super::document::{self, Body, Convert, Dialect, Document, Measured, Node, Origin, Source};
use super::values::{List, StatedList};
use crate::cpuset::{CpuSet, NodeSet};
use crate::error::{Error, Result};
use crate::model::identities::Twice;
use crate::model::{self, Fragment, NodeId, NodeKind, Stated, StatedPath};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::str::FromStr;

/// What a document says of itself, whatever its version.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u64,
}

/// Reads a document.
pub(super) fn read(bytes: &[u8]) -> Result<Fragment> {
    let head: Head = parse(bytes)?;
    if head.format != "nvtopo-topology" {
        let format: String = head.format.chars().take(40).collect();
        return Err(Error::input(format!("the document's format is '{format}', not nvtopo-topology")));
    }
    if head.version > u64::from(VERSION) {
        let version = head.version;
        return Err(Error::input(format!(
            "version {version} is later than the {VERSION} that this nvtopo reads"
        ))
        .help("use a newer nvtopo"));
    }
    if head.version == 0 {
        return Err(Error::input("there is no version 0 of the format"));
    }
    let document: Document = parse(bytes)?;
    Reader::default().fragment(document.topology)
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| {
        let text = error.to_string();
        let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
        let text = match error.classify() {
            serde_json::error::Category::Eof => "the document ends too early",
            _ => text,
        };
        // serde_json counts columns from 0 at a line's start.
        Error::input(text).at(error.line(), error.column().max(1))
    })
}

/// The most memory that the sets of one document take. A machine of 8192 CPUs with three levels of caches needs
/// half of it; a short text could otherwise name sets of gigabytes.
const MAX_SETS: usize = 64 << 20;

#[derive(Default)]
struct Reader {
    /// The memory that the sets read so far take.
    sets: usize,
}

impl Reader {
    fn fragment(&mut self, body: Body) -> Result<Fragment> {
        let mut fragment = Fragment::new(body.source.into());
        fragment.origin = origin(body.origin);
        fragment.nvlink_known = body.nvlink_known;
        if let Some(Dialect::Soc) = body.dialect {
            fragment.dialect = model::Dialect::Soc;
        }
        let count = body.nodes.len();
        for (position, node) in body.nodes.into_iter().enumerate() {
            let node = self
                .node(node, body.source, position)
                .map_err(|error| Error::input(format!("nodes[{position}]: {error}")))?;
            if position == 0 { fragment.nodes[0] = node } else { fragment.nodes.push(node) }
        }
        if count == 0 {
            return Err(Error::input("nodes is empty: the machine at least must be there"));
        }
        check_identities(&fragment.nodes)?;
        for (position, link) in body.links.into_iter().enumerate() {
            let (a, b) = ends(link.between, count, "links", position)?;
            let rate = link
                .rate
                .map(|rate| model::Rate { bandwidth: rate.mb_per_s.convert(), basis: rate.basis.into() });
            let (reported, redirects) = (link.reported_mb_per_s.convert(), link.redirects);
            let kind = link.kind.into();
            fragment.link(a, b, model::Link { kind, lanes: link.lanes, rate, reported, redirects });
        }
        let mut seen = BTreeSet::new();
        for (position, path) in body.paths.into_iter().enumerate() {
            let (a, b) = ends(path.between, count, "paths", position)?;
            let stated = StatedPath { a: a.min(b), b: a.max(b), path: path.path.into() };
            if !seen.insert((stated.a, stated.b)) {
                let (a, b) = path.between;
                return Err(Error::input(format!("paths[{position}]: nodes {a} and {b} occur twice")));
            }
            fragment.paths.push(stated);
        }
        let mut seen = BTreeSet::new();
        for (position, measured) in body.measured.into_iter().enumerate() {
            let (from, to) = ends((measured.from, measured.to), count, "measured", position)?;
            if !seen.insert((from, to)) {
                let Measured { from, to, .. } = measured;
                return Err(Error::input(format!("measured[{position}]: from {from} to {to} occurs twice")));
            }
            fragment.measure(from, to, measured.mb_per_s.convert());
        }
        let mut seen = BTreeSet::new();
        for (position, p2p) in body.p2p.into_iter().enumerate() {
            let (a, b) = ends(p2p.between, count, "p2p", position)?;
            if !seen.insert((a.min(b), a.max(b))) {
                let (a, b) = p2p.between;
                return Err(Error::input(format!("p2p[{position}]: nodes {a} and {b} occur twice")));
            }
            let (read, write) = (p2p.read.convert(), p2p.write.convert());
            let (nvlink, atomics) = (p2p.nvlink.convert(), p2p.atomics.convert());
            fragment.state_p2p(model::P2p { a, b, read, write, nvlink, atomics });
        }
        for note in body.notes {
            fragment.note(note.kind.into(), note.text);
        }
        Ok(fragment)
    }

    fn node(&mut self, node: Node, usual: Source, position: usize) -> Result<model::Node> {
        let machine = matches!(node, Node::Machine(_));
        if machine != (position == 0) {
            return Err(Error::input(format!(
                "nodes[{position}]: the first node and no other is the machine"
            )));
        }
        let (kind, parent, source, learned) = match node {
            Node::Machine(own) => {
                let learned = own.learned.clone();
                (NodeKind::Machine(self.machine(*own)?), 0, None, learned)
            }
            Node::Package(own) => {
                let document::Package { parent, os_index, model, source, learned } = *own;
                (NodeKind::Package(model::Package { os_index, model }), parent, source, learned)
            }
            Node::NumaNode(own) => {
                let (parent, source, learned) = (own.parent, own.source, own.learned.clone());
                (NodeKind::NumaNode(self.numa_node(*own)?), parent, source, learned)
            }
            Node::Cache(own) => {
                let cpus = self.set(&own.cpus)?;
                let document::Cache { parent, level, holds, size_bytes, source, learned, .. } = *own;
                let cache = model::Cache { level, kind: holds.into(), size: size_bytes, cpus };
                (NodeKind::Cache(cache), parent, source, learned)
            }
            Node::Group(own) => {
                let cpus = self.set(&own.cpus)?;
                let document::Group { parent, kind, source, learned, .. } = *own;
                (NodeKind::Group(model::Group { kind: kind.into(), cpus }), parent, source, learned)
            }
            Node::Core(document::Core { parent, os_index, class, source, learned }) => {
                let core = model::Core { os_index, class: class.convert() };
                (NodeKind::Core(core), parent, source, learned)
            }
            Node::Pu(document::Pu { parent, os_index, source, learned }) => {
                (NodeKind::Pu(model::Pu { os_index: os_index.convert() }), parent, source, learned)
            }
            Node::HostBridge(document::Located { parent, address, source, learned }) => {
                let bridge = model::HostBridge { address: address.convert() };
                (NodeKind::HostBridge(bridge), parent, source, learned)
            }
            Node::PcieSwitch(document::Located { parent, address, source, learned }) => {
                let switch = model::PcieSwitch { address: address.convert() };
                (NodeKind::PcieSwitch(switch), parent, source, learned)
            }
            Node::NvSwitch(own) => {
                let switch = model::NvSwitch { address: own.address.convert(), pci: own.pci.convert() };
                (NodeKind::NvSwitch(switch), own.parent, own.source, own.learned)
            }
            Node::Gpu(own) => {
                let (parent, source, learned) = (own.parent, own.source, own.learned.clone());
                (NodeKind::Gpu(Box::new(self.gpu(*own)?)), parent, source, learned)
            }
            Node::GpuInstance(own) => {
                let instance = model::GpuInstance {
                    uuid: own.uuid,
                    gpu_instance: own.gpu_instance,
                    compute_instance: own.compute_instance,
                    profile: own.profile,
                    slices: own.slices,
                    memory: own.memory_bytes,
                    placement: own.placement.convert(),
                };
                (NodeKind::GpuInstance(Box::new(instance)), own.parent, own.source, own.learned)
            }
            Node::Nic(own) => {
                let (parent, source, learned) = (own.parent, own.source, own.learned.clone());
                (NodeKind::Nic(Box::new(self.nic(*own)?)), parent, source, learned)
            }
            Node::Nvme(own) => {
                let nvme = model::Nvme {
                    name: own.name,
                    address: own.address.convert(),
                    pci: own.pci.convert(),
                    model: own.model,
                    size: own.size_bytes,
                };
                (NodeKind::Nvme(Box::new(nvme)), own.parent, own.source, own.learned)
            }
        };
        if !machine && parent as usize >= position {
            return Err(Error::input(format!("the parent, {parent}, is not among the nodes before it")));
        }
        let parent = (!machine).then_some(NodeId(parent));
        let provenance = source.unwrap_or(usual).into();
        Ok(model::Node { kind, parent, provenance, learned: learned.convert() })
    }

    fn machine(&mut self, machine: document::Machine) -> Result<model::Machine> {
        Ok(model::Machine {
            product: machine.product,
            hypervisor: machine.hypervisor.convert(),
            allowed_cpus: machine.allowed_cpus.map(|list| self.set(&list)).transpose()?,
            allowed_nodes: machine.allowed_nodes.map(|list| self.set::<NodeSet>(&list)).transpose()?,
            offline_cpus: self.set(&machine.offline_cpus)?,
            isolated_cpus: self.set(&machine.isolated_cpus)?,
            nohz_full_cpus: self.set(&machine.nohz_full_cpus)?,
            driver: machine.driver,
            cuda: machine.cuda,
        })
    }

    fn numa_node(&mut self, node: document::NumaNode) -> Result<model::NumaNode> {
        let mut seen = BTreeSet::new();
        if let Some((twice, _)) = node.distances.iter().find(|(to, _)| !seen.insert(*to)) {
            return Err(Error::input(format!("two distances to node {twice}")));
        }
        Ok(model::NumaNode {
            os_index: node.os_index.convert(),
            cpus: self.set(&node.cpus)?,
            memory: node.memory_bytes,
            distances: node.distances,
            huge_pages: node.huge_pages.convert(),
            gpu: node.gpu.convert(),
        })
    }

    fn gpu(&mut self, gpu: document::Gpu) -> Result<model::Gpu> {
        Ok(model::Gpu {
            index: gpu.index,
            minor: gpu.minor,
            model: gpu.model,
            compute_capability: gpu.compute_capability.convert(),
            uuid: gpu.uuid.convert(),
            serial: gpu.serial,
            address: gpu.address.convert(),
            pci: gpu.pci.convert(),
            memory: gpu.memory_bytes,
            cpus: self.stated::<CpuSet>(gpu.cpus)?,
            nodes: self.stated::<NodeSet>(gpu.nodes)?,
            memory_node: gpu.memory_node.convert(),
            mig: gpu.mig.convert(),
            fabric: gpu.fabric.convert(),
            nvlinks: gpu.nvlinks.convert(),
            unusable: gpu.unusable,
            usage: model::GpuUsage {
                processes: gpu.processes,
                memory_used: gpu.memory_used_bytes,
                memory_free: gpu.memory_free_bytes,
            },
        })
    }

    fn nic(&mut self, nic: document::Nic) -> Result<model::Nic> {
        Ok(model::Nic {
            name: nic.name,
            address: nic.address.convert(),
            pci: nic.pci.convert(),
            rdma_device: nic.rdma_device,
            port: nic.port.map(NonZeroU32::get),
            net_devices: nic.net_devices,
            model: nic.model,
            firmware: nic.firmware,
            state: nic.state.convert(),
            link_layer: nic.link_layer.convert(),
            rate: nic.mb_per_s.convert(),
            measured: nic.measured_mb_per_s.convert(),
            mtu: nic.mtu,
            bond: nic.bond,
            cpus: self.stated::<CpuSet>(nic.cpus)?,
            nodes: self.stated::<NodeSet>(nic.nodes)?,
        })
    }

    fn stated<T: FromStr<Err = Error>>(&mut self, list: Option<StatedList>) -> Result<Stated<T>> {
        let list: Stated<List> = list.convert();
        list.try_map(|list| self.set(&list))
    }

    fn set<T: FromStr<Err = Error>>(&mut self, list: &List) -> Result<T> {
        let numbers = list.0.split(|c: char| !c.is_ascii_digit());
        let highest = numbers.filter_map(|number| number.parse::<usize>().ok()).max();
        self.sets += highest.map_or(0, |highest| highest / 8 + 1);
        if self.sets > MAX_SETS {
            return Err(Error::input("the sets of CPUs and NUMA nodes are larger than any machine's"));
        }
        list.0.parse()
    }
}

/// Errors where two devices have one UUID or PCI address.
fn check_identities(nodes: &[model::Node]) -> Result<()> {
    match model::identities::twice(nodes).first() {
        None => Ok(()),
        Some(Twice { identity, first, second }) => {
            let text = format!("nodes[{second}]: {identity} is that of nodes[{first}] too");
            Err(Error::input(text).help("each device has one of its own: correct the one that was copied"))
        }
    }
}

fn origin(origin: Option<Origin>) -> model::Origin {
    match origin {
        None => model::Origin::Unknown,
        Some(Origin::Preset(name)) => model::Origin::Preset(name),
        Some(Origin::Machine(identity)) => {
            model::Origin::Machine(model::MachineIdentity { machine: identity.machine, boot: identity.boot })
        }
    }
}

fn ends(between: (u32, u32), count: usize, list: &str, position: usize) -> Result<(NodeId, NodeId)> {
    let (a, b) = between;
    if let Some(outside) = [a, b].into_iter().find(|end| *end as usize >= count) {
        return Err(Error::input(format!(
            "{list}[{position}]: there is no node {outside}, but {count} nodes"
        )));
    }
    if a == b {
        return Err(Error::input(format!("{list}[{position}]: both ends are node {a}")));
    }
    Ok((NodeId(a), NodeId(b)))
}
