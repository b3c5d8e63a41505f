//! A guest as a topology: the machine that a reader would find inside, with the rates of the host.
//!
//! NICs have no names in it, as the guest's kernel names them: their PCI addresses stand for them.

use super::cells::Cell;
use super::devices;
use super::layout::{Controller, Layout, Model, Passed};
use crate::error::Result;
use crate::ids::PciAddress;
use crate::model::{
    Core, Fragment, Gpu, HostBridge, Link, LinkKind, Machine, Nic, NodeId, NodeKind, NumaNode, NvLinkFar,
    NvSwitch, Package, PciFacts, PcieSwitch, Provenance, Pu, Stated, Topology, TopologyBuilder, rates,
};
use std::collections::{BTreeMap, BTreeSet};

/// Builds the topology of a guest.
pub(super) fn build(host: &Topology, layout: &Layout, cells: &[Cell]) -> Result<Topology> {
    let address = |passed: &Passed| Some((devices::address(host, passed.function[0])?, passed.address));
    let mut builder = Builder {
        host,
        fragment: Fragment::new(Provenance::Inferred),
        moved: BTreeMap::new(),
        addresses: layout.passed.iter().filter_map(address).collect(),
    };
    *builder.fragment.machine() = Machine {
        hypervisor: Stated::Known("kvm".to_owned()),
        cpu: host.machine().cpu.clone(),
        ..Machine::default()
    };
    if !host.nvlink_known() {
        builder.fragment.set_nvlink_unknown();
    }
    let nodes = builder.cells(cells);
    builder.devices(layout, &nodes);
    builder.links();
    TopologyBuilder::new().with(builder.fragment).build()
}

struct Builder<'t> {
    host: &'t Topology,
    fragment: Fragment,
    /// The nodes of the host that are in the guest.
    moved: BTreeMap<NodeId, NodeId>,
    /// The addresses of passed devices: on the host, and in the guest.
    addresses: BTreeMap<PciAddress, PciAddress>,
}

impl Builder<'_> {
    /// Adds the NUMA nodes, each in a package of its own, and returns them by the numbers of the host's.
    fn cells(&mut self, cells: &[Cell]) -> BTreeMap<u32, NodeId> {
        let model = self.host.nodes().find_map(|(_, node)| match &node.kind {
            NodeKind::Package(package) => package.model.clone(),
            _ => None,
        });
        let mut nodes = BTreeMap::new();
        for (os_index, cell) in (0..).zip(cells) {
            let package = Package { os_index, model: model.clone() };
            let package = self.fragment.add(NodeId::MACHINE, package);
            let node = NumaNode {
                os_index,
                cpus: cell.cpus(),
                memory: cell.memory,
                distances: distances(self.host, cells, cell),
                ..NumaNode::default()
            };
            let node = self.fragment.add(package, node);
            nodes.insert(cell.node, node);
            let is_own = |kind: &NodeKind| kind.as_numa_node().is_some_and(|own| own.os_index == cell.node);
            let of_host = self.host.nodes().find(|(_, other)| is_own(&other.kind));
            self.moved.extend(of_host.map(|(id, _)| (id, node)));
            if cell.threads.is_none() {
                continue;
            }
            let mut next = cell.first;
            for (number, core) in (0..).zip(&cell.cores) {
                let parent = self.fragment.add(node, Core::new(number));
                for _ in core {
                    self.fragment.add(parent, Pu::new(next));
                    next += 1;
                }
            }
        }
        nodes
    }

    /// Adds host bridges, switches and devices.
    fn devices(&mut self, layout: &Layout, cells: &BTreeMap<u32, NodeId>) {
        let mut nodes: Vec<NodeId> = Vec::new();
        for (index, controller) in layout.controllers.iter().enumerate() {
            let above = nodes.get(controller.on).copied().unwrap_or(NodeId::MACHINE);
            let node = match controller.model {
                Model::Root => NodeId::MACHINE,
                Model::Expander(node) => {
                    let parent = node.and_then(|node| cells.get(&node).copied());
                    self.fragment.add(parent.unwrap_or(NodeId::MACHINE), HostBridge::default())
                }
                Model::Upstream(switch) => {
                    let link = self.link_up(switch);
                    self.switch(layout, controller, above, link)
                }
                Model::RootPort | Model::Downstream => {
                    // A root port with the functions of a card is what they have in common.
                    let mut on = layout.passed.iter().filter(|passed| passed.on == index);
                    match (on.next(), on.next()) {
                        (Some(first), Some(_)) if controller.model == Model::RootPort => {
                            let link = self.link_up(first.function[0]);
                            self.switch(layout, controller, above, link)
                        }
                        _ => above,
                    }
                }
            };
            nodes.push(node);
        }
        let mut order: Vec<&Passed> = layout.passed.iter().collect();
        order.sort_by_key(|passed| passed.address);
        // The driver counts GPUs by address.
        let mut gpus = 0;
        for passed in order {
            let kind: NodeKind = match &self.host.node(passed.function[0]).kind {
                NodeKind::Gpu(gpu) => {
                    gpus += 1;
                    self.gpu(gpu, gpus - 1, passed.address).into()
                }
                NodeKind::Nic(nic) => NodeKind::from(Nic {
                    address: Some(passed.address),
                    pci: ids(&nic.pci),
                    model: nic.model.clone(),
                    firmware: nic.firmware.clone(),
                    link_layer: nic.link_layer,
                    rate: nic.rate,
                    ..Nic::new(passed.address.to_string())
                }),
                NodeKind::NvSwitch(switch) => {
                    NvSwitch { address: Some(passed.address), pci: ids(&switch.pci) }.into()
                }
                _ => continue,
            };
            let node = self.fragment.add(nodes[passed.on], kind);
            let link = self.link_up(passed.function[0]);
            self.fragment.link(node, nodes[passed.on], link);
            self.moved.extend(passed.function.iter().map(|id| (*id, node)));
        }
    }

    fn switch(&mut self, layout: &Layout, port: &Controller, above: NodeId, link: Link) -> NodeId {
        let address = Some(layout.address(port));
        let node = self.fragment.add(above, PcieSwitch { address, ..PcieSwitch::default() });
        self.fragment.link(node, above, link);
        node
    }

    /// Returns the PCIe link from a node of the host upwards. A guest does not see whether its ports redirect.
    fn link_up(&self, id: NodeId) -> Link {
        let parent = self.host.node(id).parent;
        let is_up = |far: NodeId, link: &Link| Some(far) == parent && link.kind == LinkKind::Pcie;
        let mut up = self.host.links_of(id).filter(|(far, link)| is_up(*far, link));
        up.next().map_or_else(rates::pcie_unknown, |(_, link)| Link { redirects: None, ..link.clone() })
    }

    fn gpu(&self, gpu: &Gpu, index: u32, address: PciAddress) -> Gpu {
        let mut nvlinks = gpu.nvlinks.clone();
        nvlinks.retain_mut(|port| {
            let inside = |far: &PciAddress| self.addresses.get(far).copied();
            port.far = match port.far {
                NvLinkFar::Gpu(far) => match inside(&far) {
                    Some(far) => NvLinkFar::Gpu(far),
                    None => return false,
                },
                NvLinkFar::Switch(far) => NvLinkFar::Switch(far.as_ref().and_then(inside)),
                NvLinkFar::Device(far) => inside(&far).map_or(NvLinkFar::Unknown, NvLinkFar::Device),
                far => far,
            };
            true
        });
        Gpu {
            index,
            model: gpu.model.clone(),
            compute_capability: gpu.compute_capability,
            uuid: gpu.uuid,
            serial: gpu.serial.clone(),
            firmware: gpu.firmware.clone(),
            address: Some(address),
            pci: ids(&gpu.pci),
            memory: gpu.memory,
            fabric: gpu.fabric.clone(),
            nvlinks,
            ..Gpu::default()
        }
    }

    /// Copies the links of NUMA nodes, GPUs and NVSwitches. NVSwitches that are not passed are there without an address, as
    /// their links are.
    fn links(&mut self) {
        let is_switch = |id: NodeId| matches!(self.host.node(id).kind, NodeKind::NvSwitch(_));
        let ends = self.host.links().flat_map(|(a, b, link)| [(a, b, link), (b, a, link)]);
        let hidden: BTreeSet<NodeId> = ends
            .filter(|(far, _, link)| link.kind.is_fabric() && is_switch(*far))
            .filter(|(far, own, _)| self.moved.contains_key(own) && !self.moved.contains_key(far))
            .map(|(far, ..)| far)
            .collect();
        for switch in hidden {
            let node = self.fragment.add(NodeId::MACHINE, NvSwitch::default());
            self.moved.insert(switch, node);
        }
        for (a, b, link) in self.host.links() {
            let is_kept = link.kind.is_fabric() || matches!(link.kind, LinkKind::Smp | LinkKind::C2c);
            if let (true, Some(a), Some(b)) = (is_kept, self.moved.get(&a), self.moved.get(&b)) {
                self.fragment.link(*a, *b, link.clone());
            }
        }
    }
}

/// Returns the distances from a cell to the others, as far as the host's are known and libvirt takes them.
pub(super) fn distances(host: &Topology, cells: &[Cell], from: &Cell) -> Vec<(u32, u32)> {
    let numa = host.numa_nodes().find(|numa| numa.os_index == from.node);
    let known: BTreeMap<u32, u32> =
        numa.into_iter().flat_map(|numa| numa.distances.iter().copied()).collect();
    let others = (0..).zip(cells).filter(|(_, cell)| cell.node != from.node);
    others
        .filter_map(|(number, cell)| Some((number, known.get(&cell.node).copied()?)))
        .filter(|(_, distance)| (11..=255).contains(distance))
        .collect()
}

/// Returns the part of the facts of the bus that a guest sees: the numbers of a device, not its place.
fn ids(pci: &PciFacts) -> PciFacts {
    PciFacts {
        class: pci.class,
        vendor: pci.vendor,
        device: pci.device,
        subsystem_vendor: pci.subsystem_vendor,
        subsystem_device: pci.subsystem_device,
        ..PciFacts::default()
    }
}
