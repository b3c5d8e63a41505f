//! From the model to the document.

use super::VERSION;
use super::document::{
    Body, Cache, Convert, Core, Dialect, Document, Format, Gpu, GpuInstance, Group, Identity, Learned, Link,
    Located, Machine, Measured, Nic, Node, Note, NumaNode, NvSwitch, Nvme, Origin, P2p, Package, Path, Pu,
    Rate, Source,
};
use super::values::{List, StatedList};
use crate::model::{self, NodeId, NodeKind, Stated, Topology};
use std::fmt::Display;
use std::num::NonZeroU32;

impl Document {
    /// The document of a topology.
    pub(crate) fn of(topology: &Topology) -> Self {
        let source = topology.node(NodeId::MACHINE).provenance;
        let links = topology.links().map(|(a, b, link)| Link {
            between: (a.0, b.0),
            kind: link.kind.into(),
            lanes: link.lanes,
            rate: link.rate.map(|rate| Rate { mb_per_s: rate.bandwidth.convert(), basis: rate.basis.into() }),
            reported_mb_per_s: link.reported.convert(),
            redirects: link.redirects,
        });
        let paths = topology.stated_paths().iter();
        let paths = paths.map(|path| Path { between: (path.a.0, path.b.0), path: path.path.into() });
        let measured = topology.measurements().iter().map(|measured| Measured {
            from: measured.from.0,
            to: measured.to.0,
            mb_per_s: measured.bandwidth.convert(),
        });
        let p2p = topology.all_p2p().iter().map(|p2p| P2p {
            between: (p2p.a.0, p2p.b.0),
            read: p2p.read.convert(),
            write: p2p.write.convert(),
            nvlink: p2p.nvlink.convert(),
            atomics: p2p.atomics.convert(),
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
            p2p: p2p.collect(),
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
    let learned: Vec<Learned> = node.learned.clone().convert();
    match node.kind.clone() {
        NodeKind::Machine(own) => Node::Machine(Box::new(machine(own, learned))),
        NodeKind::Package(model::Package { os_index, model }) => {
            Node::Package(Box::new(Package { parent, os_index, model, source, learned }))
        }
        NodeKind::NumaNode(own) => Node::NumaNode(Box::new(NumaNode {
            parent,
            os_index: own.os_index.convert(),
            cpus: list(&own.cpus),
            memory_bytes: own.memory,
            distances: own.distances,
            huge_pages: own.huge_pages.convert(),
            gpu: own.gpu.convert(),
            source,
            learned,
        })),
        NodeKind::Cache(own) => Node::Cache(Box::new(Cache {
            parent,
            level: own.level,
            holds: own.kind.into(),
            size_bytes: own.size,
            cpus: list(&own.cpus),
            source,
            learned,
        })),
        NodeKind::Group(own) => {
            let (kind, cpus) = (own.kind.into(), list(&own.cpus));
            Node::Group(Box::new(Group { parent, kind, cpus, source, learned }))
        }
        NodeKind::Core(model::Core { os_index, class }) => {
            Node::Core(Core { parent, os_index, class: class.convert(), source, learned })
        }
        NodeKind::Pu(model::Pu { os_index }) => {
            Node::Pu(Pu { parent, os_index: os_index.convert(), source, learned })
        }
        NodeKind::HostBridge(model::HostBridge { address }) => {
            Node::HostBridge(Located { parent, address: address.convert(), source, learned })
        }
        NodeKind::PcieSwitch(model::PcieSwitch { address }) => {
            Node::PcieSwitch(Located { parent, address: address.convert(), source, learned })
        }
        NodeKind::NvSwitch(model::NvSwitch { address, pci }) => {
            let (address, pci) = (address.convert(), pci.convert());
            Node::NvSwitch(Box::new(NvSwitch { parent, address, pci, source, learned }))
        }
        NodeKind::Gpu(own) => Node::Gpu(Box::new(gpu(*own, parent, source, learned))),
        NodeKind::GpuInstance(own) => Node::GpuInstance(Box::new(GpuInstance {
            parent,
            uuid: own.uuid,
            gpu_instance: own.gpu_instance,
            compute_instance: own.compute_instance,
            profile: own.profile,
            slices: own.slices,
            memory_bytes: own.memory,
            placement: own.placement.convert(),
            source,
            learned,
        })),
        NodeKind::Nic(own) => Node::Nic(Box::new(nic(*own, parent, source, learned))),
        NodeKind::Nvme(own) => Node::Nvme(Box::new(Nvme {
            parent,
            name: own.name,
            address: own.address.convert(),
            pci: own.pci.convert(),
            model: own.model,
            size_bytes: own.size,
            source,
            learned,
        })),
    }
}

fn machine(machine: model::Machine, learned: Vec<Learned>) -> Machine {
    Machine {
        product: machine.product,
        hypervisor: machine.hypervisor.convert(),
        allowed_cpus: machine.allowed_cpus.as_ref().map(list),
        allowed_nodes: machine.allowed_nodes.as_ref().map(list),
        offline_cpus: list(&machine.offline_cpus),
        isolated_cpus: list(&machine.isolated_cpus),
        nohz_full_cpus: list(&machine.nohz_full_cpus),
        driver: machine.driver,
        cuda: machine.cuda,
        learned,
    }
}

fn gpu(gpu: model::Gpu, parent: u32, source: Option<Source>, learned: Vec<Learned>) -> Gpu {
    Gpu {
        parent,
        index: gpu.index,
        minor: gpu.minor,
        model: gpu.model,
        compute_capability: gpu.compute_capability.convert(),
        uuid: gpu.uuid.convert(),
        serial: gpu.serial,
        address: gpu.address.convert(),
        pci: gpu.pci.convert(),
        memory_bytes: gpu.memory,
        cpus: stated(&gpu.cpus),
        nodes: stated(&gpu.nodes),
        memory_node: gpu.memory_node.convert(),
        mig: gpu.mig.convert(),
        fabric: gpu.fabric.convert(),
        nvlinks: gpu.nvlinks.convert(),
        unusable: gpu.unusable,
        processes: gpu.usage.processes,
        memory_used_bytes: gpu.usage.memory_used,
        memory_free_bytes: gpu.usage.memory_free,
        source,
        learned,
    }
}

fn nic(nic: model::Nic, parent: u32, source: Option<Source>, learned: Vec<Learned>) -> Nic {
    Nic {
        parent,
        name: nic.name,
        address: nic.address.convert(),
        pci: nic.pci.convert(),
        rdma_device: nic.rdma_device,
        port: nic.port.and_then(NonZeroU32::new),
        net_devices: nic.net_devices,
        model: nic.model,
        firmware: nic.firmware,
        state: nic.state.convert(),
        link_layer: nic.link_layer.convert(),
        mb_per_s: nic.rate.convert(),
        measured_mb_per_s: nic.measured.convert(),
        mtu: nic.mtu,
        bond: nic.bond,
        cpus: stated(&nic.cpus),
        nodes: stated(&nic.nodes),
        source,
        learned,
    }
}

fn list(set: &impl Display) -> List {
    List(set.to_string())
}

fn stated(set: &Stated<impl Display>) -> Option<StatedList> {
    set.as_ref().map(list).convert()
}
