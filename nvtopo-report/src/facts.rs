//! The facts of the machine as tables: software and firmware, GPUs, NICs, NUMA nodes, NVLinks, and the sources of all of them.

use crate::node_report::NodeReport;
use crate::table::Table;
use nvtopo::model::{Gpu, NodeKind, Provenance};
use nvtopo::render::count_of;
use nvtopo::{Bytes, CpuSet, Topology, nearest_nics};
use nvtopo_audit::Status;
use nvtopo_draw::words;
use std::collections::{BTreeMap, BTreeSet};

/// The most saved texts that are named.
const MOST_TEXTS: usize = 40;
/// The most facts of a source that are named.
const MOST_FACTS: usize = 12;

/// Returns the software, the firmware, and settings of the machine, each with its name.
pub(crate) fn software(report: &NodeReport<'_>) -> Table {
    let topology = report.topology();
    let machine = topology.machine();
    let mut table = Table::new(["Fact", "Value"]);
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            table.row([name.to_owned(), value]);
        }
    };
    let set = |cpus: &CpuSet| (!cpus.is_empty()).then(|| format!("{cpus} ({})", cpus.len()));
    add("product", machine.product.clone());
    add("packages", packages(topology));
    add("hypervisor", machine.hypervisor.known().cloned());
    for (name, value) in report.state().inventory() {
        add(&name, Some(value));
    }
    add("allowed CPUs", machine.allowed_cpus.as_ref().and_then(set));
    add("isolated CPUs", set(&machine.isolated_cpus));
    add("CPUs that are off", set(&machine.offline_cpus));
    add("fingerprint of the structure", Some(report.state().structure()));
    table
}

/// Returns the models of the CPUs, each with the number of packages.
fn packages(topology: &Topology) -> Option<String> {
    let mut models: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, node) in topology.nodes() {
        if let NodeKind::Package(package) = &node.kind {
            *models.entry(package.model.as_deref().unwrap_or("of unknown model")).or_default() += 1;
        }
    }
    let words = models.into_iter().map(|(model, count)| format!("{count} × {model}"));
    Some(words.collect::<Vec<_>>().join(", ")).filter(|words| !words.is_empty())
}

/// Returns the GPUs.
pub(crate) fn gpus(report: &NodeReport<'_>) -> Table {
    let topology = report.topology();
    let heads = [
        "GPU",
        "Model",
        "Memory",
        "PCI address",
        "NUMA node",
        "CPUs near it",
        "Nearest NICs",
        "NVLinks",
        "Faults",
    ];
    let mut table = Table::new(heads);
    for (position, gpu) in topology.gpus().enumerate() {
        let (nics, path) = nearest_nics(topology, position);
        let nics: Vec<String> = nics.iter().map(|nic| topology.device_name(*nic)).collect();
        let nics = path.map(|path| format!("{} ({})", nics.join(" "), path.word()));
        table.row([
            gpu.name(),
            gpu.model.clone().unwrap_or_default(),
            words::gpu_memory(topology, gpu),
            gpu.address.map(|address| address.to_string()).unwrap_or_default(),
            near_nodes(topology, position),
            near_cpus(topology, position),
            nics.unwrap_or_default(),
            nvlinks(topology, position, gpu),
            faults(report, words::gpu_marks(topology, position, gpu), &gpu.name()),
        ]);
    }
    table.without_empty_columns()
}

/// Returns the faults of a device: what its facts tell, and the checks that fail for it.
fn faults(report: &NodeReport<'_>, mut marks: Vec<String>, name: &str) -> String {
    let failed = report.audit.of_status(Status::Fail).filter(|own| own.subject == name);
    marks.extend(failed.map(|own| format!("fails {}", own.check.code)));
    marks.join("; ")
}

/// Returns what names each GPU and its firmware. Empty: nothing is known of them.
pub(crate) fn identities(topology: &Topology) -> Table {
    let mut table = Table::new(["GPU", "UUID", "Serial number", "Firmware"]);
    let is_known = |gpu: &Gpu| gpu.uuid.is_some() || gpu.serial.is_some() || gpu.firmware.is_some();
    for gpu in topology.gpus().filter(|gpu| is_known(gpu)) {
        table.row([
            gpu.name(),
            gpu.uuid.map(|uuid| uuid.to_string()).unwrap_or_default(),
            gpu.serial.clone().unwrap_or_default(),
            gpu.firmware.clone().unwrap_or_default(),
        ]);
    }
    table.without_empty_columns()
}

/// Returns the NVLinks of a GPU: how many are up, of how many.
fn nvlinks(topology: &Topology, position: usize, gpu: &Gpu) -> String {
    let up = gpu.nvlinks.iter().filter(|port| port.up == Some(true)).count();
    match gpu.nvlinks.len() {
        0 if !topology.nvlink_known() => String::new(),
        0 => topology.nvlinks_of(position).0.to_string(),
        all if up == all => format!("{all} up"),
        all => format!("{up} of {all} up"),
    }
}

fn near_nodes(topology: &Topology, position: usize) -> String {
    topology.local_nodes(topology.devices()[position]).known().map(ToString::to_string).unwrap_or_default()
}

fn near_cpus(topology: &Topology, position: usize) -> String {
    topology.local_cpus(topology.devices()[position]).known().map(ToString::to_string).unwrap_or_default()
}

/// Returns the NICs.
pub(crate) fn nics(report: &NodeReport<'_>) -> Table {
    let topology = report.topology();
    let heads = [
        "NIC",
        "Interfaces",
        "Rate",
        "Port",
        "Model",
        "PCI address",
        "NUMA node",
        "MTU",
        "Firmware",
        "Faults",
    ];
    let mut table = Table::new(heads);
    let gpus = topology.gpus().len();
    for (position, nic) in (gpus..).zip(topology.nics()) {
        let rdma = nic.rdma_device.iter().filter(|rdma| **rdma != nic.name);
        let nets = nic.net_devices.iter().filter(|net| **net != nic.name);
        let port = nic.link_layer.map(|layer| layer.word().to_owned());
        let port =
            port.into_iter().chain(nic.state.map(|state| state.word().to_owned())).chain(nic.bond.clone());
        table.row([
            nic.name.clone(),
            rdma.chain(nets).cloned().collect::<Vec<_>>().join(" "),
            words::nic_rate(nic),
            port.collect::<Vec<_>>().join(", "),
            nic.model.clone().unwrap_or_default(),
            nic.address.map(|address| address.to_string()).unwrap_or_default(),
            near_nodes(topology, position),
            nic.mtu.map(|mtu| mtu.to_string()).unwrap_or_default(),
            nic.firmware.clone().unwrap_or_default(),
            faults(report, words::nic_marks(nic), &nic.name),
        ]);
    }
    table.without_empty_columns()
}

/// Returns the NUMA nodes with the devices that are nearest to each.
pub(crate) fn numa_nodes(topology: &Topology) -> Table {
    let mut table = Table::new(["NUMA node", "CPUs", "Memory", "GPUs", "NICs"]);
    let gpus = topology.gpus().len();
    for numa in topology.numa_nodes() {
        let near = |device: &usize| {
            let nodes = topology.local_nodes(topology.devices()[*device]);
            nodes.known().is_some_and(|nodes| nodes.contains(numa.os_index))
        };
        let near_gpus: Vec<usize> = (0..gpus).filter(near).collect();
        let near_nics = (gpus..topology.devices().len()).filter(near);
        let nics: Vec<String> = near_nics.map(|nic| topology.device_name(nic)).collect();
        table.row([
            numa.os_index.to_string(),
            numa.cpus.to_string(),
            numa.memory.map(|memory| Bytes(memory).to_string()).unwrap_or_default(),
            if near_gpus.is_empty() { String::new() } else { words::gpu_names(topology, &near_gpus) },
            nics.join(" "),
        ]);
    }
    table.without_empty_columns()
}

/// Returns the NVLink groups and the NVLinks that the pairs do not show.
pub(crate) fn nvlink_groups(topology: &Topology) -> Table {
    let mut table = Table::new(["GPUs", "NVLink"]);
    let (linked, alone) = words::groups(topology);
    for group in linked {
        table.row([words::gpu_names(topology, &group.gpus), words::group_facts(topology, group)]);
    }
    if let Some((gpus, why)) = alone {
        table.row([words::gpu_names(topology, &gpus), why.to_owned()]);
    }
    for (gpus, facts) in words::own_links(topology) {
        table.row([words::gpu_names(topology, &gpus), facts]);
    }
    for (gpu, facts) in words::cpu_links(topology) {
        table.row([topology.device_name(gpu), facts]);
    }
    table
}

/// Returns the sources: what the topology was read from, and what each kind of source told.
pub(crate) fn sources(report: &NodeReport<'_>) -> Table {
    let contents = report.contents;
    let mut table = Table::new(["Source", "Told"]);
    if !contents.files.is_empty() {
        table.row(["files of the machine".to_owned(), "/sys and /proc, as far as they were read".to_owned()]);
    }
    if !contents.texts.is_empty() {
        let names: BTreeSet<&str> = contents.texts.iter().map(|saved| saved.name.as_str()).collect();
        let more = names.len().saturating_sub(MOST_TEXTS);
        let mut names: Vec<String> = names.into_iter().take(MOST_TEXTS).map(str::to_owned).collect();
        names.extend((more > 0).then(|| format!("and {more} more")));
        table.row(["saved texts".to_owned(), names.join(", ")]);
    }
    for (source, told) in told(report.topology()) {
        table.row([source.name().to_owned(), told]);
    }
    table
}

/// Returns what each kind of source told: devices, and facts of devices that another one found.
fn told(topology: &Topology) -> Vec<(Provenance, String)> {
    let mut devices: BTreeMap<Provenance, BTreeMap<&str, usize>> = BTreeMap::new();
    let mut facts: BTreeMap<Provenance, BTreeSet<String>> = BTreeMap::new();
    for (_, node) in topology.nodes() {
        let kind = match &node.kind {
            NodeKind::Gpu(_) => "GPU",
            NodeKind::GpuInstance(_) => "MIG instance",
            NodeKind::Nic(_) => "NIC",
            NodeKind::NumaNode(_) => "NUMA node",
            NodeKind::Pu(_) => "CPU",
            NodeKind::NvSwitch(_) => "NVSwitch",
            NodeKind::PcieSwitch(_) => "PCIe switch",
            NodeKind::Nvme(_) => "NVMe disk",
            _ => "",
        };
        let own = devices.entry(node.provenance).or_default();
        if !kind.is_empty() {
            *own.entry(kind).or_default() += 1;
        }
        for learned in &node.learned {
            facts.entry(learned.provenance).or_default().insert(learned.fact.to_string());
        }
    }
    let sources: BTreeSet<Provenance> = devices.keys().chain(facts.keys()).copied().collect();
    let words = |source: Provenance| {
        let found = devices.remove(&source).unwrap_or_default();
        let mut words: Vec<String> = found.into_iter().map(|(kind, count)| counted(count, kind)).collect();
        let facts = facts.remove(&source).unwrap_or_default();
        let more = facts.len().saturating_sub(MOST_FACTS);
        words.extend(facts.into_iter().take(MOST_FACTS));
        words.extend((more > 0).then(|| format!("and {more} more facts")));
        (source, words.join(", "))
    };
    sources.into_iter().map(words).filter(|(_, words)| !words.is_empty()).collect()
}

fn counted(count: usize, kind: &str) -> String {
    let switches = count != 1 && kind.ends_with("witch");
    if switches { format!("{count} {kind}es") } else { count_of(count, kind) }
}
