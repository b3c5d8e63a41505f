//! The fragment of a table of facts.

use super::layout::{Bridge, Coherent, Cpu, Item, Layout, Nvlink};
use crate::cpuset::CpuSet;
use crate::ids::PciAddress;
use crate::model::{
    Core, Fragment, Gpu, HostBridge, Nic, NodeId, NodeKind, NoteKind, NumaNode, NvSwitch, Origin, Package,
    PcieSwitch, Provenance, Pu, Stated, rates,
};
use crate::units::Bandwidth;
use std::collections::BTreeMap;

/// Returns the fragment of a layout.
pub(super) fn expand(name: &str, layout: &Layout) -> Fragment {
    let mut expansion = Expansion {
        fragment: Fragment::new(Provenance::Preset),
        layout,
        packages: Vec::new(),
        nodes: BTreeMap::new(),
        gpus: BTreeMap::new(),
    };
    expansion.fragment.set_origin(Origin::Preset(name.to_owned()));
    expansion.fragment.machine().product = Some(layout.product.to_owned());
    expansion.cpus();
    for bridge in layout.bridges {
        expansion.bridge(bridge);
    }
    for coherent in layout.coherent {
        expansion.coherent(coherent);
    }
    expansion.nvlinks();
    for remark in layout.remarks {
        expansion.fragment.note(NoteKind::Unknown, *remark);
    }
    expansion.fragment
}

struct Expansion<'a> {
    fragment: Fragment,
    layout: &'a Layout,
    packages: Vec<NodeId>,
    /// NUMA nodes by the kernel's number.
    nodes: BTreeMap<u32, NodeId>,
    /// GPUs by index.
    gpus: BTreeMap<u32, NodeId>,
}

impl Expansion<'_> {
    fn cpus(&mut self) {
        let cpu = &self.layout.cpu;
        for package in 0..cpu.packages {
            let model = Some(cpu.model.to_owned());
            let kind = NodeKind::Package(Package { os_index: package, model });
            let parent = self.fragment.add(NodeId::MACHINE, kind);
            self.packages.push(parent);
            for node in package * cpu.nodes..(package + 1) * cpu.nodes {
                self.node(parent, node);
            }
        }
        let total = cpu.packages * cpu.nodes;
        for (a, b) in (0..total).flat_map(|a| (a + 1..total).map(move |b| (a, b))) {
            self.fragment.link(self.nodes[&a], self.nodes[&b], rates::smp_link(Some(cpu.model)));
        }
    }

    /// Adds a NUMA node with its cores and their threads.
    fn node(&mut self, package: NodeId, os_index: u32) {
        let cpu = &self.layout.cpu;
        let all = cpu.packages * cpu.cores;
        let cores = cores_of(cpu, os_index);
        let threads = |core: u32| (0..cpu.threads).map(move |thread| thread * all + core);
        let cpus: CpuSet = cores.clone().flat_map(threads).collect();
        let memory = cpu.memory_gib.map(|gib| gib << 30);
        let distances = self.distances(os_index);
        let kind = NumaNode { os_index, cpus, memory, distances, ..NumaNode::default() };
        let node = self.fragment.add(package, kind);
        self.nodes.insert(os_index, node);
        for core in cores {
            let kind = NodeKind::Core(Core { os_index: core % cpu.cores, class: None });
            let parent = self.fragment.add(node, kind);
            for os_index in threads(core) {
                self.fragment.add(parent, Pu { os_index });
            }
        }
    }

    /// Returns the distances from a node of CPUs to all others, those that are a GPU's memory included.
    fn distances(&self, from: u32) -> Vec<(u32, u32)> {
        let cpu = &self.layout.cpu;
        let (near, far) = cpu.distances;
        let others = (0..cpu.packages * cpu.nodes).filter(|to| *to != from);
        let cpus = others.map(|to| (to, if to / cpu.nodes == from / cpu.nodes { near } else { far }));
        let gpus = self.layout.coherent.iter().map(|coherent| {
            let (near, far) = coherent.distances;
            (coherent.memory_node, if coherent.cpu_node == from { near } else { far })
        });
        cpus.chain(gpus).collect()
    }

    fn bridge(&mut self, bridge: &Bridge) {
        let kind = NodeKind::HostBridge(HostBridge::default());
        let parent = self.fragment.add(self.nodes[&bridge.node], kind);
        for item in bridge.below {
            self.item(parent, item);
        }
    }

    fn item(&mut self, parent: NodeId, item: &Item) {
        let kind = match item {
            Item::Switch(_) => NodeKind::PcieSwitch(PcieSwitch::default()),
            Item::Gpu(index, address) => NodeKind::Gpu(Box::new(Gpu {
                index: *index,
                model: Some(self.layout.gpu.name.to_owned()),
                address: *address,
                memory: Some(self.layout.gpu.memory_mib << 20),
                memory_node: Stated::NotAvailable,
                ..Gpu::default()
            })),
            Item::Nic(number, gbit_per_s, address) => nic(format!("mlx5_{number}"), *gbit_per_s, *address),
            Item::Named(name, gbit_per_s, address) => nic((*name).to_owned(), *gbit_per_s, *address),
        };
        let id = self.fragment.add(parent, kind);
        self.fragment.link(parent, id, rates::pcie(self.layout.pcie, 16));
        match item {
            Item::Switch(below) => below.iter().for_each(|item| self.item(id, item)),
            Item::Gpu(index, _) => {
                self.gpus.insert(*index, id);
            }
            Item::Nic(..) | Item::Named(..) => {}
        }
    }

    fn coherent(&mut self, coherent: &Coherent) {
        let (gpu, cpu) = (self.gpus[&coherent.gpu], self.nodes[&coherent.cpu_node]);
        let mut address = None;
        if let NodeKind::Gpu(gpu) = self.fragment.node_mut(gpu) {
            gpu.memory_node = Stated::Known(coherent.memory_node);
            address = gpu.address;
        }
        let (near, far) = coherent.distances;
        let cpus = self.nodes.keys().copied();
        let others = self.layout.coherent.iter().map(|other| other.memory_node);
        let distances = cpus.chain(others).filter(|to| *to != coherent.memory_node);
        let distances: BTreeMap<u32, u32> =
            distances.map(|to| (to, if to == coherent.cpu_node { near } else { far })).collect();
        let kind = NumaNode {
            os_index: coherent.memory_node,
            cpus: CpuSet::new(),
            memory: Some(self.layout.gpu.memory_mib << 20),
            distances: distances.into_iter().collect(),
            gpu: address,
            ..NumaNode::default()
        };
        let package = self.packages[(coherent.cpu_node / self.layout.cpu.nodes) as usize];
        let node = self.fragment.add(package, kind);
        self.nodes.insert(coherent.memory_node, node);
        self.fragment.link(cpu, gpu, rates::c2c(coherent.links));
    }

    fn nvlinks(&mut self) {
        match &self.layout.nvlink {
            Nvlink::None => {}
            Nvlink::Direct { generation, pairs } => {
                for (a, b, links) in *pairs {
                    self.fragment.link(self.gpus[a], self.gpus[b], rates::nvlink(*generation, *links));
                }
            }
            Nvlink::Bridges { pairs } => {
                for (a, b, links) in *pairs {
                    self.fragment.link(self.gpus[a], self.gpus[b], rates::nvlink_rtx(*links));
                }
            }
            Nvlink::Switched { generation, links, boards, trunk } => {
                let mut previous: Vec<NodeId> = Vec::new();
                for board in *boards {
                    let address = |index: usize| board.switches.get(index).copied().flatten();
                    let switches: Vec<NodeId> = (0..links.len())
                        .map(|index| {
                            NodeKind::NvSwitch(NvSwitch { address: address(index), ..NvSwitch::default() })
                        })
                        .map(|kind| self.fragment.add(NodeId::MACHINE, kind))
                        .collect();
                    for gpu in board.gpus.0..board.gpus.1 {
                        for (switch, links) in switches.iter().zip(*links) {
                            self.fragment.link(self.gpus[&gpu], *switch, rates::nvlink(*generation, *links));
                        }
                    }
                    for (a, b) in previous.iter().zip(&switches) {
                        self.fragment.link(*a, *b, rates::nvlink(*generation, *trunk));
                    }
                    previous = switches;
                }
            }
        }
    }
}

fn nic(name: String, gbit_per_s: u64, address: Option<PciAddress>) -> NodeKind {
    let rate = Some(Bandwidth::from_mb_per_s(gbit_per_s * 1000 / 8));
    NodeKind::from(Nic { address, rdma_device: Some(name.clone()), rate, ..Nic::new(name) })
}

/// Returns the cores of a NUMA node, counted through the machine.
fn cores_of(cpu: &Cpu, node: u32) -> std::ops::Range<u32> {
    let each = cpu.cores / cpu.nodes;
    node * each..(node + 1) * each
}
