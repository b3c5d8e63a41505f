//! The machine as NVML would know it, from a topology: what a topology lacks (UUIDs, some addresses) is made up.

use crate::fabric::{self, Fabric};
use crate::faults::Faults;
use crate::mig::{self, Instance};
use crate::products;
use nvml_wrapper_sys::bindings as nvml;
use nvtopo::model::{LinkKind, NodeId, NodeKind, PcieSwitch, rates};
use nvtopo::{CpuSet, NodeSet, PciAddress, Topology};
use std::collections::BTreeMap;

pub(crate) struct Machine {
    pub(crate) gpus: Vec<Gpu>,
    pub(crate) faults: Faults,
}

pub(crate) struct Gpu {
    /// The number of the GPU in this process.
    pub(crate) index: u32,
    pub(crate) minor: u32,
    pub(crate) name: String,
    pub(crate) uuid: String,
    pub(crate) serial: Option<String>,
    pub(crate) address: PciAddress,
    /// The ids of the chip, and of the board.
    pub(crate) pci: (u32, u32),
    pub(crate) memory: u64,
    pub(crate) cpus: CpuSet,
    pub(crate) nodes: NodeSet,
    pub(crate) memory_node: Option<u32>,
    pub(crate) capability: (i32, i32),
    /// Generation and width.
    pub(crate) pcie: Option<(u32, u32)>,
    /// The links of C2C.
    pub(crate) c2c: u32,
    /// The instances that it is divided into, if it is.
    pub(crate) instances: Option<Vec<Instance>>,
    pub(crate) fabric: Option<Fabric>,
    pub(crate) links: Vec<NvLink>,
    /// The levels to all GPUs, by position.
    pub(crate) levels: Vec<nvml::nvmlGpuTopologyLevel_t>,
}

#[derive(Clone)]
pub(crate) struct NvLink {
    pub(crate) up: bool,
    /// Up, and saving power.
    pub(crate) asleep: bool,
    pub(crate) end: End,
    /// The number of the link or port at the other end.
    pub(crate) far: usize,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum End {
    Gpu(PciAddress),
    Switch(Option<PciAddress>),
}

impl Gpu {
    /// Returns whether NVLinks lead from this GPU to another, directly or through NVSwitches.
    pub(crate) fn is_linked(&self, other: &Self) -> bool {
        let up =
            |gpu: &'_ Self, is: &dyn Fn(End) -> bool| gpu.links.iter().any(|link| link.up && is(link.end));
        let switch = |end: End| matches!(end, End::Switch(_));
        up(self, &|end| end == End::Gpu(other.address)) || (up(self, &switch) && up(other, &switch))
    }
}

impl Machine {
    pub(crate) fn of(topology: &Topology, faults: Faults) -> Self {
        let ids: Vec<NodeId> = topology.devices()[..topology.gpus().len()].to_vec();
        let mut gpus: Vec<Gpu> = ids.iter().map(|id| gpu(topology, *id, &ids)).collect();
        let addresses: Vec<PciAddress> = gpus.iter().map(|gpu| gpu.address).collect();
        for (a, b, link) in topology.links().filter(|(_, _, link)| link.kind == LinkKind::NvLink) {
            let place = |id: NodeId| ids.iter().position(|own| *own == id);
            for _ in 0..link.lanes.unwrap_or(1) {
                match (place(a), place(b)) {
                    (Some(a), Some(b)) => {
                        let numbers = (gpus[a].links.len(), gpus[b].links.len());
                        gpus[a].links.push(NvLink {
                            up: true,
                            end: End::Gpu(addresses[b]),
                            far: numbers.1,
                            asleep: false,
                        });
                        gpus[b].links.push(NvLink {
                            up: true,
                            end: End::Gpu(addresses[a]),
                            far: numbers.0,
                            asleep: false,
                        });
                    }
                    (Some(gpu), None) => gpus[gpu].links.push(to_switch(topology, b, &faults)),
                    (None, Some(gpu)) => gpus[gpu].links.push(to_switch(topology, a, &faults)),
                    // Between NVSwitches; NVML does not show it.
                    (None, None) => {}
                }
            }
        }
        number_ports(&mut gpus);
        for gpu in &mut gpus {
            gpu.instances = faults.mig(gpu.index).map(|profiles| mig::divide(gpu, &profiles));
            gpu.fabric = fabric::of(gpu, &faults);
        }
        for (gpu, link) in faults.links("asleep") {
            if let Some(own) = gpus.get_mut(gpu as usize).and_then(|gpu| gpu.links.get_mut(link)) {
                own.asleep = true;
            }
        }
        for (gpu, link) in faults.links("down") {
            take_down(&mut gpus, gpu as usize, link);
        }
        hide(&mut gpus, &faults);
        Self { gpus, faults }
    }
}

/// Numbers the ports of each NVSwitch in the order of GPUs.
fn number_ports(gpus: &mut [Gpu]) {
    let mut used: BTreeMap<PciAddress, usize> = BTreeMap::new();
    for link in gpus.iter_mut().flat_map(|gpu| &mut gpu.links) {
        if let End::Switch(Some(address)) = link.end {
            let next = used.entry(address).or_default();
            link.far = *next;
            *next += 1;
        }
    }
}

/// Takes a link down, at both ends.
fn take_down(gpus: &mut [Gpu], gpu: usize, link: usize) {
    let Some(own) = gpus.get_mut(gpu).and_then(|gpu| gpu.links.get_mut(link)) else { return };
    own.up = false;
    if let End::Gpu(address) = own.end {
        let far = own.far;
        let other = gpus.iter_mut().find(|gpu| gpu.address == address);
        if let Some(other) = other.and_then(|gpu| gpu.links.get_mut(far)) {
            other.up = false;
        }
    }
}

/// Hides some GPUs from the process, which counts the others from 0.
fn hide(gpus: &mut Vec<Gpu>, faults: &Faults) {
    let shown: Vec<bool> = gpus.iter().map(|gpu| !faults.hides(gpu.index)).collect();
    gpus.retain(|gpu| !faults.hides(gpu.index));
    for (index, gpu) in (0..).zip(gpus) {
        gpu.index = index;
        let mut shown = shown.iter();
        gpu.levels.retain(|_| shown.next() == Some(&true));
    }
}

fn to_switch(topology: &Topology, id: NodeId, faults: &Faults) -> NvLink {
    let NodeKind::NvSwitch(switch) = &topology.node(id).kind else {
        return NvLink { up: false, end: End::Switch(None), far: 0, asleep: false };
    };
    let address = switch.address.filter(|_| !faults.anonymous());
    NvLink { up: true, end: End::Switch(address), far: 0, asleep: false }
}

fn gpu(topology: &Topology, id: NodeId, all: &[NodeId]) -> Gpu {
    let NodeKind::Gpu(gpu) = &topology.node(id).kind else { unreachable!("the first devices are GPUs") };
    let made_up = format!("GPU-00000000-0000-4000-8000-{:012x}", gpu.index + 1);
    let name = gpu.model.clone().unwrap_or_else(|| "NVIDIA GPU".to_owned());
    let product = products::of(&name);
    let links = || topology.links_of(id);
    let parent = topology.node(id).parent;
    let pcie = links().find(|(far, link)| link.kind == LinkKind::Pcie && Some(*far) == parent);
    let ids = |upper: Option<u16>, lower: Option<u16>, otherwise: u32| {
        upper.zip(lower).map_or(otherwise, |(upper, lower)| u32::from(upper) << 16 | u32::from(lower))
    };
    Gpu {
        index: gpu.index,
        // Another driver has taken the first file.
        minor: gpu.minor.unwrap_or(gpu.index + 1),
        uuid: gpu.uuid.map_or(made_up, |uuid| uuid.to_string()),
        serial: product
            .is_for_servers()
            .then(|| gpu.serial.clone().unwrap_or_else(|| format!("165092{:07}", 1000 + gpu.index))),
        address: gpu.address.unwrap_or(PciAddress {
            domain: 0,
            bus: gpu.index as u8 * 8 + 1,
            device: 0,
            function: 0,
        }),
        pci: (
            ids(gpu.pci.device, gpu.pci.vendor, product.device << 16 | products::NVIDIA),
            ids(gpu.pci.subsystem_device, gpu.pci.subsystem_vendor, product.board << 16 | products::NVIDIA),
        ),
        memory: gpu.memory.unwrap_or_default(),
        cpus: topology.local_cpus(id).known().cloned().unwrap_or_default(),
        nodes: topology.local_nodes(id).known().cloned().unwrap_or_default(),
        memory_node: gpu.memory_node.known().copied(),
        capability: gpu.compute_capability.map_or(product.capability, |capability| {
            (i32::from(capability.major), i32::from(capability.minor))
        }),
        pcie: pcie.and_then(|(_, link)| {
            let lanes = link.lanes?;
            let generation = (1..=6).find(|generation| rates::pcie(*generation, lanes).rate == link.rate)?;
            Some((generation.into(), lanes.into()))
        }),
        c2c: links()
            .filter(|(_, link)| link.kind == LinkKind::C2c)
            .filter_map(|(_, link)| link.lanes)
            .map(u32::from)
            .sum(),
        instances: None,
        fabric: None,
        links: Vec::new(),
        levels: all.iter().map(|other| level(topology, id, *other)).collect(),
        name,
    }
}

/// Computes the level of the common ancestor by containment, independently of nvtopo's own rule, which is compared with
/// it.
fn level(topology: &Topology, a: NodeId, b: NodeId) -> nvml::nvmlGpuTopologyLevel_t {
    let above = |id: NodeId| topology.ancestors(id).skip(1).collect::<Vec<_>>();
    let (a, b) = (above(a), above(b));
    let Some(common) = a.iter().find(|id| b.contains(id)) else {
        return nvml::nvmlGpuLevel_enum_NVML_TOPOLOGY_SYSTEM;
    };
    let switch = |id: &&NodeId| matches!(topology.node(**id).kind, NodeKind::PcieSwitch(PcieSwitch { .. }));
    let below = |ids: &[NodeId]| ids.iter().take_while(|id| *id != common).filter(switch).count();
    match topology.node(*common).kind {
        NodeKind::PcieSwitch(_) if below(&a) + below(&b) == 0 => nvml::nvmlGpuLevel_enum_NVML_TOPOLOGY_SINGLE,
        NodeKind::PcieSwitch(_) => nvml::nvmlGpuLevel_enum_NVML_TOPOLOGY_MULTIPLE,
        NodeKind::HostBridge(_) => nvml::nvmlGpuLevel_enum_NVML_TOPOLOGY_HOSTBRIDGE,
        NodeKind::NumaNode(_) => nvml::nvmlGpuLevel_enum_NVML_TOPOLOGY_NODE,
        _ => nvml::nvmlGpuLevel_enum_NVML_TOPOLOGY_SYSTEM,
    }
}
