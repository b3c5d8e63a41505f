//! From the model to the document.

use super::VERSION;
use super::document::{
    Body, Cache, Dialect, Document, Format, Gpu, Identity, Link, Located, Machine, Measured, Nic, Node, Note,
    NumaNode, Numbered, Origin, Package, Path, Rate, Source,
};
use super::values::{List, StatedIndex, StatedList, Text};
use crate::ids::PciAddress;
use crate::model::{self, NodeId, NodeKind, Stated, Topology};
use std::fmt::Display;

impl Document {
    /// The document of a topology.
    pub(crate) fn of(topology: &Topology) -> Self {
        let source = topology.node(NodeId::MACHINE).provenance;
        let links = topology.links().map(|(a, b, link)| Link {
            between: (a.0, b.0),
            kind: link.kind.into(),
            lanes: link.lanes,
            rate: link
                .rate
                .map(|rate| Rate { mb_per_s: rate.bandwidth.as_mb_per_s(), basis: rate.basis.into() }),
        });
        let paths = topology.stated_paths().iter();
        let paths = paths.map(|path| Path { between: (path.a.0, path.b.0), path: path.path.into() });
        let measured = topology.measurements().iter().map(|measured| Measured {
            from: measured.from.0,
            to: measured.to.0,
            mb_per_s: measured.bandwidth.as_mb_per_s(),
        });
        let notes = topology.notes().iter();
        let notes = notes.map(|note| Note { kind: note.kind.into(), text: note.text.clone() });
        let topology = Body {
            origin: origin(topology.origin()),
            source: source.into(),
            dialect: (topology.dialect() == model::Dialect::Soc).then_some(Dialect::Soc),
            nvlink_known: topology.nvlink_known(),
            nodes: topology.nodes().map(|(_, own)| node(own, source)).collect(),
            links: links.collect(),
            paths: paths.collect(),
            measured: measured.collect(),
            notes: notes.collect(),
        };
        Self { format: Format::Topology, version: VERSION, topology }
    }
}

fn origin(origin: &model::Origin) -> Option<Origin> {
    match origin {
        model::Origin::Unknown => None,
        model::Origin::Preset(name) => Some(Origin::Preset(name.clone())),
        model::Origin::Machine(identity) => {
            let (machine, boot) = (identity.machine.clone(), identity.boot.clone());
            Some(Origin::Machine(Identity { machine, boot }))
        }
    }
}

fn node(node: &model::Node, usual: model::Provenance) -> Node {
    let source = (node.provenance != usual).then(|| Source::from(node.provenance));
    let parent = node.parent.map_or(0, |parent| parent.0);
    let numbered = |os_index: u32| Numbered { parent, os_index, source };
    let located = |address: Option<PciAddress>| Located { parent, address: address.map(Text), source };
    match &node.kind {
        NodeKind::Machine(machine) => Node::Machine(Box::new(self::machine(machine))),
        NodeKind::Package(package) => Node::Package(Box::new(Package {
            parent,
            os_index: package.os_index,
            model: package.model.clone(),
            source,
        })),
        NodeKind::NumaNode(numa) => Node::NumaNode(Box::new(NumaNode {
            parent,
            os_index: numa.os_index,
            cpus: list(&numa.cpus),
            memory_bytes: numa.memory,
            distances: numa.distances.clone(),
            gpu: numa.gpu.map(Text),
            source,
        })),
        NodeKind::Cache(cache) => Node::Cache(Box::new(Cache {
            parent,
            level: cache.level,
            holds: cache.kind.into(),
            size_bytes: cache.size,
            cpus: list(&cache.cpus),
            source,
        })),
        NodeKind::Core(core) => Node::Core(numbered(core.os_index)),
        NodeKind::Pu(pu) => Node::Pu(numbered(pu.os_index)),
        NodeKind::HostBridge(bridge) => Node::HostBridge(located(bridge.address)),
        NodeKind::PcieSwitch(switch) => Node::PcieSwitch(located(switch.address)),
        NodeKind::NvSwitch(switch) => Node::NvSwitch(located(switch.address)),
        NodeKind::Gpu(gpu) => Node::Gpu(Box::new(self::gpu(gpu, parent, source))),
        NodeKind::Nic(nic) => Node::Nic(Box::new(self::nic(nic, parent, source))),
    }
}

fn machine(machine: &model::Machine) -> Machine {
    Machine {
        product: machine.product.clone(),
        allowed_cpus: machine.allowed_cpus.as_ref().map(list),
        allowed_nodes: machine.allowed_nodes.as_ref().map(list),
        offline_cpus: list(&machine.offline_cpus),
        isolated_cpus: list(&machine.isolated_cpus),
        driver: machine.driver.clone(),
        cuda: machine.cuda.clone(),
    }
}

fn gpu(gpu: &model::Gpu, parent: u32, source: Option<Source>) -> Gpu {
    Gpu {
        parent,
        index: gpu.index,
        model: gpu.model.clone(),
        compute_capability: gpu.compute_capability.map(Text),
        uuid: gpu.uuid.map(Text),
        address: gpu.address.map(Text),
        memory_bytes: gpu.memory,
        cpus: stated(&gpu.cpus),
        nodes: stated(&gpu.nodes),
        memory_node: match &gpu.memory_node {
            Stated::Unstated => None,
            Stated::NotAvailable => Some(StatedIndex::NotAvailable),
            Stated::Unreadable => Some(StatedIndex::Unreadable),
            Stated::Known(node) => Some(StatedIndex::Known(*node)),
        },
        source,
    }
}

fn nic(nic: &model::Nic, parent: u32, source: Option<Source>) -> Nic {
    Nic {
        parent,
        name: nic.name.clone(),
        address: nic.address.map(Text),
        rdma_device: nic.rdma_device.clone(),
        net_devices: nic.net_devices.clone(),
        mb_per_s: nic.rate.map(crate::Bandwidth::as_mb_per_s),
        cpus: stated(&nic.cpus),
        nodes: stated(&nic.nodes),
        source,
    }
}

fn list(set: &impl Display) -> List {
    List(set.to_string())
}

fn stated(set: &Stated<impl Display>) -> Option<StatedList> {
    match set {
        Stated::Unstated => None,
        Stated::NotAvailable => Some(StatedList::NotAvailable),
        Stated::Unreadable => Some(StatedList::Unreadable),
        Stated::Known(set) => Some(StatedList::Known(list(set))),
    }
}
