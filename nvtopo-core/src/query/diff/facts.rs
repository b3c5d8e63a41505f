//! The facts of the parts of a machine, as texts to compare.

use super::Findings;
use super::matching::memory;
use crate::cpuset::CpuSet;
use crate::model::{
    Basis, CacheKind, Gpu, GpuInstance, LinkLayer, Nic, NodeId, NodeKind, NumaNode, Nvme, PciFacts,
    PcieSpeed, PortState, Provenance, Stated, Topology,
};
use crate::units::{Bandwidth, count_of, exact_bytes};
use std::collections::{BTreeMap, BTreeSet};

/// The nature of a fact: of what the machine is built, which piece it is, or how it is set and does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nature {
    Structure,
    Identity,
    State,
}

/// A fact as a text; `None`: unknown.
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) nature: Nature,
    pub(super) value: Option<String>,
}

fn fact(name: &'static str, nature: Nature, value: Option<impl ToString>) -> Fact {
    let value = value.map(|value| value.to_string());
    Fact { name, nature, value: value.map(|value| if value.is_empty() { "none".to_owned() } else { value }) }
}

use Nature::{Identity, State, Structure};

/// Compares the facts of the machines as a whole.
pub(super) fn machine(before: &Topology, after: &Topology, found: &mut Findings) {
    found.facts("machine", of_machine(before), of_machine(after));
}

/// Returns the facts of the machine as a whole.
pub(super) fn of_machine(topology: &Topology) -> Vec<Fact> {
    let machine = topology.machine();
    let kinds = || topology.nodes().map(|(_, node)| &node.kind);
    // Of a machine whose CPUs nobody told, sets are unknown, not empty.
    let knows_cpus = knows_cpus(topology);
    let of_cpus = |cpus: &CpuSet| knows_cpus.then(|| cpus.clone());
    let number = |is: fn(&NodeKind) -> bool| {
        let number = kinds().filter(|kind| is(kind)).count();
        (number > 0).then_some(number)
    };
    let online: CpuSet = kinds()
        .filter_map(|kind| if let NodeKind::Pu(pu) = kind { Some(pu.os_index) } else { None })
        .collect();
    vec![
        fact("product", Structure, machine.product.as_ref()),
        fact("hypervisor", Structure, stated(&machine.hypervisor)),
        fact("CPU models", Structure, packages(topology)),
        fact("packages", Structure, number(|kind| matches!(kind, NodeKind::Package(_)))),
        fact("cores", Structure, number(|kind| matches!(kind, NodeKind::Core(_)))),
        fact("number of CPUs", Structure, knows_cpus.then(|| online.len())),
        fact("level 3 caches", Structure, caches(topology)),
        fact("CPUs", Identity, knows_cpus.then_some(&online)),
        fact("offline CPUs", State, of_cpus(&machine.offline_cpus)),
        fact("isolated CPUs", State, of_cpus(&machine.isolated_cpus)),
        fact("nohz_full CPUs", State, of_cpus(&machine.nohz_full_cpus)),
        fact("driver version", State, machine.driver.as_ref()),
        fact("CUDA version", State, machine.cuda.as_ref()),
        fact("NVSwitches", Structure, nvswitches(topology)),
    ]
}

/// Returns the number of NVSwitches. One that was inferred, or of which not even the address is told, stands for all of a fabric.
fn nvswitches(topology: &Topology) -> Option<usize> {
    let told = topology.nodes().filter_map(|(_, node)| match &node.kind {
        NodeKind::NvSwitch(switch) if node.provenance != Provenance::Inferred => {
            Some(switch.address.is_some() || node.provenance == Provenance::Preset)
        }
        _ => None,
    });
    let told: Vec<bool> = told.collect();
    (told.len() > 1 || told == [true]).then_some(told.len())
}

/// Returns true where a source told CPUs: without one, the sets of CPUs of NUMA nodes are unknown.
pub(super) fn knows_cpus(topology: &Topology) -> bool {
    topology.nodes().any(|(_, node)| matches!(node.kind, NodeKind::Pu(_)))
}

/// Returns the models of the CPUs; each once.
fn packages(topology: &Topology) -> Option<String> {
    let models = topology.nodes().filter_map(|(_, node)| match &node.kind {
        NodeKind::Package(own) => own.model.as_deref(),
        _ => None,
    });
    let models: BTreeSet<&str> = models.collect();
    (!models.is_empty()).then(|| models.into_iter().collect::<Vec<_>>().join(", "))
}

/// Returns the number of level 3 caches by size.
fn caches(topology: &Topology) -> Option<String> {
    let sizes = topology.nodes().filter_map(|(_, node)| match &node.kind {
        NodeKind::Cache(cache) if cache.level == 3 && cache.kind != CacheKind::Instruction => {
            cache.size.map(exact_bytes)
        }
        _ => None,
    });
    counted(sizes)
}

/// Returns how often each text is there: `2 x 1g.10gb, 3g.40gb`.
pub(super) fn counted(texts: impl Iterator<Item = String>) -> Option<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    texts.for_each(|text| *counts.entry(text).or_default() += 1);
    let said =
        counts.into_iter().map(|(text, count)| if count == 1 { text } else { format!("{count} x {text}") });
    Some(said.collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty())
}

fn stated<T: ToString>(fact: &Stated<T>) -> Option<String> {
    match fact {
        Stated::Known(fact) => Some(fact.to_string()),
        Stated::NotAvailable => Some("none".to_owned()),
        Stated::Unstated | Stated::Unreadable => None,
    }
}

/// Returns the facts of a NUMA node. Its memory is compared apart, for the kernel's own part of it varies.
pub(super) fn of_numa_node(numa: &NumaNode, knows_cpus: bool) -> Vec<Fact> {
    let distances: Vec<String> =
        numa.distances.iter().map(|(to, distance)| format!("{to}:{distance}")).collect();
    vec![
        fact("CPUs", Identity, knows_cpus.then_some(&numa.cpus)),
        fact("distances", Identity, (!distances.is_empty()).then(|| distances.join(" "))),
    ]
}

/// Compares a GPU of each machine, by their positions.
pub(super) fn gpus(part: &str, before: (&Topology, usize), after: (&Topology, usize), found: &mut Findings) {
    let gpu = |(topology, position): (&'_ Topology, usize)| topology.gpus().nth(position).cloned();
    let (Some(was), Some(is)) = (gpu(before), gpu(after)) else { return };
    memory(part, was.memory, is.memory, found);
    // A rate stands beside the number of NVLinks where both machines tell it.
    let rated = [before, after].map(|(topology, position)| told_rate(topology, position).is_some());
    if rated[0] != rated[1] && before.0.nvlink_known() && after.0.nvlink_known() {
        found.one_sided("rate of NVLinks", rated[0], part);
    }
    let of = |(topology, position), gpu| of_gpu(topology, position, gpu, rated == [true, true]);
    found.facts(part, of(before, &was), of(after, &is));
}

/// Returns the rate of all NVLinks of a GPU. One that was assumed is not told.
fn told_rate(topology: &Topology, gpu: usize) -> Option<Bandwidth> {
    let (_, rate) = topology.nvlinks_of(gpu);
    rate.filter(|rate| rate.basis != Basis::Assumed).map(|rate| rate.bandwidth)
}

/// Returns the facts of the GPU at a position, with the rate of its NVLinks or without.
pub(super) fn of_gpu(topology: &Topology, position: usize, gpu: &Gpu, rated: bool) -> Vec<Fact> {
    let (links, _) = topology.nvlinks_of(position);
    let links = topology.nvlink_known().then(|| match told_rate(topology, position).filter(|_| rated) {
        Some(rate) => format!("{links}, {rate} each way"),
        None => links.to_string(),
    });
    let down = (!gpu.nvlinks.is_empty()).then(|| {
        let down = gpu.nvlinks.iter().filter(|port| port.up == Some(false));
        down.map(|port| port.number).collect::<CpuSet>()
    });
    let fabric = gpu.fabric.as_ref();
    let mig = gpu.mig.map(|mig| match (mig.current, mig.pending) {
        (true, true) => "on",
        (false, false) => "off",
        (true, false) => "on, off after the next reset",
        (false, true) => "off, on after the next reset",
    });
    let mut facts = vec![
        fact("model", Structure, gpu.model.as_ref()),
        fact("compute capability", Structure, gpu.compute_capability),
        fact("serial number", Identity, gpu.serial.as_ref()),
        fact("firmware", State, gpu.firmware.as_ref()),
        fact("device number", Identity, gpu.minor),
        fact("NUMA node of its memory", Identity, stated(&gpu.memory_node)),
        fact("NVLinks in all", Structure, links),
        fact("NVLinks that are down", State, down),
        fact("MIG mode", State, mig),
        fact("MIG instances", State, mig.and_then(|_| instances(topology, position))),
        fact("state in its fabric", State, fabric.map(|fabric| fabric.state.word())),
        fact("NVLink domain", Identity, fabric.and_then(|fabric| fabric.cluster.as_ref())),
        fact("clique", Identity, fabric.and_then(|fabric| fabric.clique)),
        fact("usability", State, Some(gpu.unusable.as_deref().unwrap_or("usable"))),
    ];
    facts.extend(of_pci(&gpu.pci));
    facts.extend(near(topology, topology.devices()[position]));
    facts
}

fn instances(topology: &Topology, gpu: usize) -> Option<String> {
    let profile = |own: &GpuInstance| own.profile.clone().unwrap_or_else(|| "of unknown profile".to_owned());
    counted(topology.gpu_instances(gpu).map(|(_, own)| profile(own))).or_else(|| Some("none".to_owned()))
}

/// Returns the facts of the NIC that is a node.
pub(super) fn of_nic(topology: &Topology, id: NodeId, nic: &Nic) -> Vec<Fact> {
    let interfaces = (!nic.net_devices.is_empty()).then(|| nic.net_devices.join(", "));
    let mut facts = vec![
        fact("name", Identity, name_of(nic)),
        fact("RDMA device", Identity, nic.rdma_device.as_ref()),
        fact("interfaces", Identity, interfaces),
        fact("model", Structure, nic.model.as_ref()),
        fact("firmware", State, nic.firmware.as_ref()),
        fact("port state", State, nic.state.map(PortState::word)),
        fact("link layer", State, nic.link_layer.map(LinkLayer::word)),
        fact("rate", State, nic.rate),
        fact("MTU", State, nic.mtu),
        fact("bond", State, nic.bond.as_ref()),
    ];
    facts.extend(of_pci(&nic.pci));
    facts.extend(near(topology, id));
    facts
}

/// Returns the name of a NIC; its RDMA device or interface where it has no other.
fn name_of(nic: &Nic) -> Option<&str> {
    Some(&*nic.name)
        .filter(|_| is_named(nic))
        .or(nic.rdma_device.as_deref())
        .or(nic.net_devices.first().map(String::as_str))
}

/// Returns true where the name of a NIC is no stand-in: its address, or its number in a matrix, such as `NIC0`.
pub(super) fn is_named(nic: &Nic) -> bool {
    let number = nic.name.strip_prefix("NIC").unwrap_or_default();
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    !is_number && nic.address.is_none_or(|address| !nic.name.starts_with(&address.to_string()))
}

/// Returns the facts of a disk.
pub(super) fn of_disk(nvme: &Nvme) -> Vec<Fact> {
    let mut facts = vec![
        fact("model", Structure, nvme.model.as_ref()),
        fact("size", Structure, nvme.size.map(exact_bytes)),
    ];
    facts.extend(of_pci(&nvme.pci));
    facts
}

fn of_pci(pci: &PciFacts) -> Vec<Fact> {
    let ids = |vendor: Option<u16>, device: Option<u16>| Some(format!("{:04x}:{:04x}", vendor?, device?));
    let link = pci.link.unwrap_or_default();
    let lanes = link.now.width.map(|width| count_of(usize::from(width), "lane"));
    vec![
        fact("PCI device", Structure, ids(pci.vendor, pci.device)),
        fact("PCI subsystem", Structure, ids(pci.subsystem_vendor, pci.subsystem_device)),
        fact("fastest PCIe of the device", Structure, speed(link.device)),
        fact("fastest PCIe of its port", Structure, speed(link.port)),
        // The generation in use falls while a GPU is idle.
        fact("PCIe lanes in use", State, lanes),
        fact("IOMMU mode", State, pci.iommu_mode.as_ref()),
    ]
}

fn speed(speed: PcieSpeed) -> Option<String> {
    Some(format!("generation {}, x{}", speed.generation?, speed.width?))
}

/// Returns the facts of the CPUs and memory nearest to a device.
fn near(topology: &Topology, id: NodeId) -> Vec<Fact> {
    vec![
        fact("nearest NUMA nodes", Identity, topology.local_nodes(id).known()),
        fact("nearest CPUs", Identity, topology.local_cpus(id).known()),
    ]
}
