//! The PCI controllers of a guest, and the place of each passed device.
//!
//! Each NUMA node of the host with a passed device has an expander bus. Below it are root ports, each with a device, or with a
//! switch where the host's devices share one. Switches that hold only one of the devices are left out. Firmware counts buses
//! depth first, by slots, so that the addresses in the guest are known beforehand.

use super::devices::{self, Function};
use crate::error::{Error, Result};
use crate::ids::PciAddress;
use crate::model::{NodeId, NodeKind, Topology};

/// The first bus of expander buses: what is below the root itself comes before.
const FIRST_BUS: u32 = 0x20;

/// The number of buses in a PCI domain.
const BUSES: u32 = 0x100;

/// The buses that an expander bus has room for are a multiple of this, where there are enough.
const ROUND: u32 = 16;

/// The slots of a bus with several.
const SLOTS: usize = 32;

/// The kind of a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Model {
    Root,
    /// With the NUMA node of the host, where it is known.
    Expander(Option<u32>),
    RootPort,
    /// The upstream port of a switch of the host.
    Upstream(NodeId),
    Downstream,
}

/// A controller. Its place in the list is its index.
#[derive(Debug)]
pub(super) struct Controller {
    pub(super) model: Model,
    /// The index of the controller that it is on.
    pub(super) on: usize,
    pub(super) slot: Slot,
    /// The bus below it.
    pub(super) bus: u32,
}

/// A place on a bus.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slot {
    pub(super) device: u8,
    pub(super) function: u8,
    /// True for function 0 of a slot with several.
    pub(super) is_multifunction: bool,
}

impl Slot {
    const fn address(self, bus: u32) -> PciAddress {
        PciAddress { domain: 0, bus: bus as u8, device: self.device, function: self.function }
    }
}

/// A passed device.
#[derive(Debug)]
pub(super) struct Passed {
    pub(super) function: Function,
    /// The index of the controller that it is on.
    pub(super) on: usize,
    pub(super) slot: Slot,
    pub(super) address: PciAddress,
}

/// The layout of a guest.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) controllers: Vec<Controller>,
    pub(super) passed: Vec<Passed>,
}

/// A device or a switch below a port.
enum Item {
    /// Functions of one slot of the host.
    Card(Vec<Function>),
    Switch(NodeId, Vec<Self>),
}

impl Layout {
    pub(super) fn new(host: &Topology, passed: Vec<Function>) -> Result<Self> {
        let chains = passed.into_iter().map(|function| (switches(host, function[0]), function)).collect();
        let mut expanders: Vec<(Option<u32>, Vec<Item>)> = Vec::new();
        for item in items(host, chains, 0) {
            // A switch belongs to one node, so one known device tells it for all.
            let node = item.functions().into_iter().find_map(|function| numa_node(host, function[0]));
            let item = item.without_lone_switches();
            match expanders.iter_mut().find(|(other, _)| *other == node) {
                Some((_, items)) => items.push(item),
                None => expanders.push((node, vec![item])),
            }
        }
        let needs: Vec<u32> = expanders.iter().map(|(_, items)| 1 + sum(items)).collect();
        let rounded: Vec<u32> = needs.iter().map(|need| need.next_multiple_of(ROUND)).collect();
        let fits = |sizes: &[u32]| sizes.iter().sum::<u32>() <= BUSES - FIRST_BUS;
        let sizes = if fits(&rounded) { rounded } else { needs };
        if !fits(&sizes) {
            let text = format!(
                "the guest would have {} PCI buses below its expander buses, and there is room for {}",
                sizes.iter().sum::<u32>(),
                BUSES - FIRST_BUS
            );
            return Err(Error::request(text).help("pass fewer devices"));
        }
        let root = Controller { model: Model::Root, on: 0, slot: Slot::default(), bus: 0 };
        let mut layout = Self { controllers: vec![root], passed: Vec::new() };
        let mut first = FIRST_BUS;
        for ((node, items), size) in expanders.into_iter().zip(sizes) {
            let mut next = first;
            let expander = layout.controller(Model::Expander(node), 0, Slot::default(), &mut next);
            layout.ports(Model::RootPort, expander, items, &mut next);
            first += size;
        }
        Ok(layout)
    }

    fn controller(&mut self, model: Model, on: usize, slot: Slot, next: &mut u32) -> usize {
        self.controllers.push(Controller { model, on, slot, bus: *next });
        *next += 1;
        self.controllers.len() - 1
    }

    /// Adds a port for each of some items.
    fn ports(&mut self, model: Model, on: usize, items: Vec<Item>, next: &mut u32) {
        let functions = items.len().div_ceil(SLOTS);
        for (place, item) in items.into_iter().enumerate() {
            let (device, function) = ((place / functions) as u8, (place % functions) as u8);
            let slot = Slot { device, function, is_multifunction: functions > 1 && function == 0 };
            let port = self.controller(model, on, slot, next);
            let bus = self.controllers[port].bus;
            match item {
                Item::Card(functions) => {
                    let several = functions.len() > 1;
                    for (number, function) in (0..).zip(functions) {
                        let is_multifunction = several && number == 0;
                        let slot = Slot { device: 0, function: number, is_multifunction };
                        self.passed.push(Passed { function, on: port, slot, address: slot.address(bus) });
                    }
                }
                Item::Switch(switch, below) => {
                    let upstream = self.controller(Model::Upstream(switch), port, Slot::default(), next);
                    self.ports(Model::Downstream, upstream, below, next);
                }
            }
        }
    }

    /// Returns the address of a controller in the guest.
    pub(super) fn address(&self, controller: &Controller) -> PciAddress {
        controller.slot.address(self.controllers[controller.on].bus)
    }

    /// Returns the nodes of all passed devices.
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.passed.iter().flat_map(|passed| passed.function.iter().copied())
    }
}

impl Item {
    /// Returns the functions at and below it.
    fn functions(&self) -> Vec<&Function> {
        match self {
            Self::Card(functions) => functions.iter().collect(),
            Self::Switch(_, below) => below.iter().flat_map(Self::functions).collect(),
        }
    }

    /// Leaves out the outer switches that lead to one thing only.
    fn without_lone_switches(mut self) -> Self {
        loop {
            match self {
                Self::Switch(_, mut below) if below.len() == 1 => self = below.remove(0),
                _ => return self,
            }
        }
    }

    /// Returns the number of buses of its port and all below.
    fn buses(&self) -> u32 {
        match self {
            Self::Card(_) => 1,
            Self::Switch(_, below) => 2 + sum(below),
        }
    }
}

fn sum(items: &[Item]) -> u32 {
    items.iter().map(Item::buses).sum()
}

/// Returns the number of the host's NUMA node of a device.
pub(super) fn numa_node(host: &Topology, id: NodeId) -> Option<u32> {
    let containing = host.numa_ancestor(id).and_then(|node| host.node(node).kind.as_numa_node());
    containing.map(|node| node.os_index).or_else(|| {
        let near = host.local_nodes(id);
        near.known().filter(|nodes| nodes.len() == 1)?.first()
    })
}

/// Returns the PCIe switches above a device, the outermost first.
fn switches(host: &Topology, id: NodeId) -> Vec<NodeId> {
    let is_switch = |id: &NodeId| matches!(host.node(*id).kind, NodeKind::PcieSwitch(_));
    let mut above: Vec<NodeId> = host.ancestors(id).filter(is_switch).collect();
    above.reverse();
    above
}

/// A device with the switches above it.
type Chain = (Vec<NodeId>, Function);

/// The host's switch, or the slot of a card.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Switch(NodeId),
    Slot(PciAddress),
    Alone(NodeId),
}

/// Divides devices by the switch at this depth, or by their slots.
fn items(host: &Topology, chains: Vec<Chain>, depth: usize) -> Vec<Item> {
    let key = |(chain, function): &Chain| match chain.get(depth) {
        Some(switch) => Key::Switch(*switch),
        None => devices::address(host, function[0])
            .map_or(Key::Alone(function[0]), |own| Key::Slot(PciAddress { function: 0, ..own })),
    };
    let mut groups: Vec<(Key, Vec<Chain>)> = Vec::new();
    for chain in chains {
        let own = key(&chain);
        match groups.iter_mut().find(|(key, _)| *key == own) {
            Some((_, group)) => group.push(chain),
            None => groups.push((own, vec![chain])),
        }
    }
    let item = |(key, group): (Key, Vec<Chain>)| match key {
        Key::Switch(switch) => Item::Switch(switch, items(host, group, depth + 1)),
        Key::Slot(_) | Key::Alone(_) => {
            let mut functions: Vec<Function> = group.into_iter().map(|(_, function)| function).collect();
            functions.sort_by_key(|function| devices::address(host, function[0]));
            Item::Card(functions)
        }
    };
    groups.into_iter().map(item).collect()
}
