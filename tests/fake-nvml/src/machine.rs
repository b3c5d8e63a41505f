//! The machine as NVML would know it, from a topology: what a topology lacks (UUIDs, some addresses) is made up.

use crate::faults::Faults;
use nvml_wrapper_sys::bindings as nvml;
use nvtopo::model::{LinkKind, NodeId, NodeKind, PcieSwitch, rates};
use nvtopo::{CpuSet, NodeSet, PciAddress, Topology};

pub(crate) struct Machine {
    pub(crate) gpus: Vec<Gpu>,
    pub(crate) faults: Faults,
}

pub(crate) struct Gpu {
    /// As this process counts.
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) uuid: String,
    pub(crate) address: PciAddress,
    pub(crate) memory: u64,
    pub(crate) cpus: CpuSet,
    pub(crate) nodes: NodeSet,
    pub(crate) memory_node: Option<u32>,
    pub(crate) capability: (i32, i32),
    /// Generation and width.
    pub(crate) pcie: Option<(u32, u32)>,
    pub(crate) c2c: bool,
    pub(crate) links: Vec<NvLink>,
    /// The levels to all GPUs, by position.
    pub(crate) levels: Vec<nvml::nvmlGpuTopologyLevel_t>,
}

#[derive(Clone)]
pub(crate) struct NvLink {
    pub(crate) up: bool,
    pub(crate) end: End,
    /// The number of the link at the other end, where that is a GPU.
    far: usize,
}

#[derive(Clone, Copy)]
pub(crate) enum End {
    Gpu(PciAddress),
    Switch(Option<PciAddress>),
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
                        gpus[a].links.push(NvLink { up: true, end: End::Gpu(addresses[b]), far: numbers.1 });
                        gpus[b].links.push(NvLink { up: true, end: End::Gpu(addresses[a]), far: numbers.0 });
                    }
                    (Some(gpu), None) => gpus[gpu].links.push(to_switch(topology, b, &faults)),
                    (None, Some(gpu)) => gpus[gpu].links.push(to_switch(topology, a, &faults)),
                    // Between NVSwitches; NVML does not show it.
                    (None, None) => {}
                }
            }
        }
        for (gpu, link) in faults.down() {
            take_down(&mut gpus, gpu as usize, link);
        }
        hide(&mut gpus, &faults);
        Self { gpus, faults }
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

/// A process that is not shown some GPUs counts the others from 0.
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
        return NvLink { up: false, end: End::Switch(None), far: 0 };
    };
    let address = switch.address.filter(|_| !faults.anonymous());
    NvLink { up: true, end: End::Switch(address), far: 0 }
}

fn gpu(topology: &Topology, id: NodeId, all: &[NodeId]) -> Gpu {
    let NodeKind::Gpu(gpu) = &topology.node(id).kind else { unreachable!("the first devices are GPUs") };
    let made_up = format!("GPU-00000000-0000-4000-8000-{:012x}", gpu.index + 1);
    let name = gpu.model.clone().unwrap_or_else(|| "NVIDIA GPU".to_owned());
    let links = || topology.links_of(id);
    let parent = topology.node(id).parent;
    let pcie = links().find(|(far, link)| link.kind == LinkKind::Pcie && Some(*far) == parent);
    Gpu {
        index: gpu.index,
        uuid: gpu.uuid.map_or(made_up, |uuid| uuid.to_string()),
        address: gpu.address.unwrap_or(PciAddress {
            domain: 0,
            bus: gpu.index as u8 * 8 + 1,
            device: 0,
            function: 0,
        }),
        memory: gpu.memory.unwrap_or_default(),
        cpus: topology.local_cpus(id).known().cloned().unwrap_or_default(),
        nodes: topology.local_nodes(id).known().cloned().unwrap_or_default(),
        memory_node: gpu.memory_node.known().copied(),
        capability: gpu.compute_capability.map_or_else(
            || capability(&name),
            |capability| (i32::from(capability.major), i32::from(capability.minor)),
        ),
        pcie: pcie.and_then(|(_, link)| {
            let lanes = link.lanes?;
            let generation = (1..=6).find(|generation| rates::pcie(*generation, lanes).rate == link.rate)?;
            Some((generation.into(), lanes.into()))
        }),
        c2c: links().any(|(_, link)| link.kind == LinkKind::C2c),
        links: Vec::new(),
        levels: all.iter().map(|other| level(topology, id, *other)).collect(),
        name,
    }
}

/// Source: NVIDIA, "CUDA GPU Compute Capability".
fn capability(name: &str) -> (i32, i32) {
    let table = [
        ("P100", (6, 0)),
        ("V100", (7, 0)),
        ("A100", (8, 0)),
        ("A6000", (8, 6)),
        ("L40", (8, 9)),
        ("H100", (9, 0)),
        ("GH200", (9, 0)),
        ("H200", (9, 0)),
        ("B200", (10, 0)),
    ];
    table.iter().find(|(word, _)| name.contains(word)).map_or((5, 0), |(_, capability)| *capability)
}

/// By containment, counted here by itself so that nvtopo's own counting is held against it.
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
