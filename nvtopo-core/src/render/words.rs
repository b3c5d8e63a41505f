//! What is said of a machine and its parts, alike in text and in pictures.

use super::places::{Place, disks};
use crate::cpuset::NodeSet;
use crate::model::{
    Basis, Gpu, GroupShape, Machine, Nic, NodeId, NodeKind, NumaNode, NvlinkGroup, Origin, PciFacts,
    PcieTraining, PortState, Stated, Topology,
};
use crate::solve::nearest_nics;
use crate::units::Bytes;

/// What the machine is called.
pub(super) fn machine_name(topology: &Topology) -> String {
    match (&topology.machine().product, topology.origin()) {
        (Some(product), Origin::Preset(preset)) => format!("{product} (preset {preset})"),
        (None, Origin::Preset(preset)) => format!("preset {preset}"),
        (Some(product), _) => product.clone(),
        (None, _) => "Machine".to_owned(),
    }
}

/// How much of what it holds.
pub(super) fn machine_facts(topology: &Topology) -> String {
    let Machine { driver, hypervisor, .. } = topology.machine();
    let mut facts = vec![
        count(topology.gpus().len(), "GPU", "GPUs"),
        count(topology.nics().len(), "NIC", "NICs"),
        count(topology.numa_nodes().count(), "NUMA node", "NUMA nodes"),
        count(topology.cpus().len(), "CPU", "CPUs"),
    ];
    let disks = topology.nodes().filter(|(_, node)| matches!(node.kind, NodeKind::Nvme(_))).count();
    if disks > 0 {
        facts.push(count(disks, "NVMe disk", "NVMe disks"));
    }
    facts.extend(driver.as_ref().map(|driver| format!("driver {driver}")));
    facts.extend(hypervisor.known().map(|name| match name.as_str() {
        "unnamed" => "virtual machine".to_owned(),
        name => format!("virtual machine ({name})"),
    }));
    facts.join(" · ")
}

/// The name of a place, and what it holds beside devices.
pub(super) fn place(topology: &Topology, place: &Place<'_>) -> (String, String) {
    match (place.node, &place.cpus) {
        (Some((id, numa)), _) => (format!("NUMA node {}", numa.os_index), node_facts(topology, id, numa)),
        (None, Some(cpus)) => ("NUMA node unknown".to_owned(), format!("CPUs {cpus}")),
        (None, None) => ("NUMA node unknown".to_owned(), String::new()),
    }
}

fn node_facts(topology: &Topology, id: NodeId, numa: &NumaNode) -> String {
    let mut facts = Vec::new();
    if numa.cpus.is_empty() {
        facts.push("no CPUs".to_owned());
    } else {
        facts.push(format!("CPUs {}", numa.cpus));
    }
    if let Some(memory) = numa.memory {
        facts.push(Bytes(memory).to_string());
    }
    let disks = disks(topology, Some(id)).count();
    if disks > 0 {
        facts.push(count(disks, "NVMe disk", "NVMe disks"));
    }
    if let Some(address) = numa.gpu {
        let gpu = topology.gpus().find(|gpu| gpu.address == Some(address));
        facts.push(
            gpu.map_or_else(|| format!("memory of GPU {address}"), |gpu| format!("memory of {}", gpu.name())),
        );
    }
    facts.join(" · ")
}

/// The memory of a GPU, or the NUMA node that it is.
pub(super) fn gpu_memory(gpu: &Gpu) -> String {
    match (gpu.memory, &gpu.memory_node) {
        (Some(memory), _) => Bytes(memory).to_string(),
        (None, Stated::Known(node)) => format!("node {node}"),
        _ => String::new(),
    }
}

/// What a NIC carries.
pub(super) fn nic_rate(nic: &Nic) -> String {
    match (nic.rate, nic.measured) {
        (Some(rate), Some(measured)) => format!("{rate}, {measured} measured"),
        (None, Some(measured)) => format!("{measured} measured"),
        (rate, None) => rate.map(|rate| rate.to_string()).unwrap_or_default(),
    }
}

/// What is wrong with the GPU at a position.
pub(super) fn gpu_marks(topology: &Topology, device: usize, gpu: &Gpu) -> Vec<String> {
    let mut marks: Vec<String> = gpu.unusable.iter().map(|why| format!("cannot be used: {why}")).collect();
    let divided = gpu.mig.is_some_and(|mig| mig.current);
    if divided && topology.gpu_instances(device).next().is_none() {
        marks.push("divided (MIG), without instances".to_owned());
    }
    marks.extend(link_marks(&gpu.pci, false));
    let redirected =
        |nic: &usize| topology.redirected(topology.devices()[device], topology.devices()[*nic]) == Some(true);
    if nearest_nics(topology, device).0.iter().any(redirected) {
        marks.push("reaches NICs through the CPU only (ACS)".to_owned());
    }
    marks
}

/// What is wrong with a NIC.
pub(super) fn nic_marks(nic: &Nic) -> Vec<String> {
    let state = nic.state.filter(|state| *state != PortState::Active);
    state.map(|state| state.word().to_owned()).into_iter().chain(link_marks(&nic.pci, true)).collect()
}

/// Where its PCIe link runs below what both ends can do. The generation tells nothing of a device that slows its link
/// down while it is idle.
pub(super) fn link_marks(pci: &PciFacts, steady: bool) -> Vec<String> {
    let lanes = pci.link.as_ref().and_then(PcieTraining::lanes_lost);
    let generation = pci.link.as_ref().filter(|_| steady).and_then(PcieTraining::generations_lost);
    let lanes = lanes.map(|(now, most)| format!("PCIe x{now} of x{most}"));
    let generation = generation.map(|(now, most)| format!("PCIe {now}.0 of {most}.0"));
    lanes.into_iter().chain(generation).collect()
}

/// `GPU0-3,6`.
pub(super) fn gpu_names(topology: &Topology, gpus: &[usize]) -> String {
    let indices: NodeSet =
        gpus.iter().filter_map(|gpu| topology.gpus().nth(*gpu)).map(|gpu| gpu.index).collect();
    format!("GPU{indices}")
}

/// How the GPUs of an NVLink group are connected, and what a pair carries.
pub(super) fn group_facts(topology: &Topology, group: &NvlinkGroup) -> String {
    let pairs = group.gpus.iter().enumerate().flat_map(|(index, &a)| {
        group.gpus[index + 1..]
            .iter()
            .map(move |&b| topology.pairs().pair(a, b))
            .filter(|pair| pair.nvlinks > 0)
    });
    let least = pairs.clone().min_by_key(|pair| pair.nvlinks);
    let most = pairs.max_by_key(|pair| pair.nvlinks);
    let Some((least, most)) = least.zip(most) else { return group.shape.to_string() };
    let links = match (least.nvlinks, most.nvlinks) {
        (1, 1) => "1 link".to_owned(),
        (least, most) if least == most => format!("{least} links"),
        (least, most) => format!("{least} to {most} links"),
    };
    let rate = most.rate.map_or_else(String::new, |rate| match rate.basis {
        Basis::Assumed => format!(", about {} (assumed)", rate.bandwidth),
        _ => format!(", {}", rate.bandwidth),
    });
    let at_most = if least.nvlinks == most.nvlinks { "" } else { " at most" };
    format!("{} · {links} a pair{rate}{at_most}", group.shape)
}

/// The NVLink groups of several GPUs, and the GPUs outside of them with the reason.
pub(super) fn groups(topology: &Topology) -> (Vec<&NvlinkGroup>, Option<(Vec<usize>, &'static str)>) {
    let (alone, linked): (Vec<_>, Vec<_>) =
        topology.nvlink_groups().iter().partition(|group| group.shape == GroupShape::Single);
    let gpus: Vec<usize> = alone.iter().flat_map(|group| group.gpus.iter().copied()).collect();
    let why = if topology.nvlink_known() { "no NVLink" } else { "NVLink unknown" };
    (linked, (!gpus.is_empty()).then_some((gpus, why)))
}

/// `1 GPU`, `2 GPUs`.
pub(super) fn count(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
