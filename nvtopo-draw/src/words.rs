//! Descriptions of a machine and its parts, shared by text and pictures.

use super::places::{Empty, Place, disks, memory_node};
use nvtopo::Bytes;
use nvtopo::NodeSet;
use nvtopo::model::{
    Basis, Gpu, GroupShape, LinkKind, Machine, Nic, NodeId, NodeKind, Note, NoteCode, NoteKind, NumaNode,
    NvlinkGroup, Origin, Pair, PciFacts, PcieTraining, PortState, Rate,
};
use nvtopo::nearest_nics;
pub(crate) use nvtopo::render::count_of;
use nvtopo::{PathType, PlacedGpu, Placement, Topology};
use std::collections::BTreeMap;

/// The most letters of a name that are shown, for it stands in many places. An interface's has 15 at most, an RDMA device's 63; a
/// model or a list of interfaces may be longer.
const LONGEST: usize = 200;

/// Returns the name of a device by its position.
pub(crate) fn name(topology: &Topology, device: usize) -> String {
    short(topology.device_name(device))
}

/// Shortens a name that no device has, with an ellipsis at its end.
pub(crate) fn short(mut name: String) -> String {
    if let Some((end, _)) = name.char_indices().nth(LONGEST) {
        name.truncate(end);
        name.push('…');
    }
    name
}

/// Returns the name of the machine.
pub fn machine_name(topology: &Topology) -> String {
    match (&topology.machine().product, topology.origin()) {
        (Some(product), Origin::Preset(preset)) => format!("{product} (preset {preset})"),
        (None, Origin::Preset(preset)) => format!("preset {preset}"),
        (Some(product), _) => product.clone(),
        (None, _) => "Machine".to_owned(),
    }
}

/// Returns the numbers of its devices, nodes and CPUs, and its driver.
pub fn machine_facts(topology: &Topology) -> String {
    let Machine { driver, hypervisor, .. } = topology.machine();
    let (nodes, cpus) = (topology.numa_nodes().count(), topology.cpus().len());
    // A source may list those near devices alone.
    let least = |count: usize| if count > 0 && !topology.lists_all_cpus() { "at least " } else { "" };
    let mut facts = vec![
        count_of(topology.gpus().len(), "GPU"),
        count_of(topology.nics().len(), "NIC"),
        known(nodes, "NUMA node"),
        format!("{}{}", least(cpus), known(cpus, "CPU")),
    ];
    let disks = topology.nodes().filter(|(_, node)| matches!(node.kind, NodeKind::Nvme(_))).count();
    if disks > 0 {
        facts.push(count_of(disks, "NVMe disk"));
    }
    facts.extend(driver.as_ref().map(|driver| format!("driver {driver}")));
    facts.extend(hypervisor.known().map(|name| match name.as_str() {
        "unnamed" => "virtual machine".to_owned(),
        name => format!("virtual machine ({name})"),
    }));
    facts.join(" · ")
}

/// Counts what every machine has: none is unknown.
fn known(count: usize, what: &str) -> String {
    if count == 0 { format!("{what}s unknown") } else { count_of(count, what) }
}

/// Returns the CPUs and the memory that may be used, where these are not all.
pub fn allowed(topology: &Topology) -> Option<String> {
    let (machine, all) = (topology.machine(), topology.cpus());
    let cpus = machine.allowed_cpus.iter().filter(|allowed| !all.is_subset(allowed));
    let cpus = cpus.map(|allowed| format!("CPUs {allowed} ({} of {})", allowed.len(), all.len()));
    let outside = |allowed: &&NodeSet| topology.numa_nodes().any(|numa| !allowed.contains(numa.os_index));
    let memory = machine.allowed_nodes.iter().filter(outside);
    let memory = memory.map(|allowed| format!("memory of NUMA nodes {allowed}"));
    let all: Vec<String> = cpus.chain(memory).collect();
    (!all.is_empty()).then(|| format!("Allowed here: {}", all.join(", ")))
}

/// Returns the names of chosen GPUs, in the order of ranks.
pub(crate) fn placed_names(topology: &Topology, placement: &Placement) -> String {
    let names = placement.gpus().iter().map(|gpu| name(topology, gpu.position));
    names.collect::<Vec<_>>().join(" ")
}

/// Returns what belongs to a chosen GPU.
pub(crate) fn placed(gpu: &PlacedGpu) -> String {
    let mut words = vec![format!("GPU{}", gpu.index)];
    let cpus = if gpu.cpus.is_empty() { "CPUs unknown".to_owned() } else { format!("CPUs {}", gpu.cpus) };
    words.push(cpus);
    words.extend((!gpu.mems.is_empty()).then(|| format!("memory of node {}", gpu.mems)));
    words.extend(gpu.nic.as_ref().map(|nic| format!("NIC {nic}")));
    words.join(" · ")
}

/// Returns the name of a place, and its facts.
pub(crate) fn place(topology: &Topology, place: &Place<'_>) -> (String, String) {
    let name = match place.nodes.as_ref().filter(|nodes| !nodes.is_empty()) {
        Some(nodes) if nodes.len() == 1 => format!("NUMA node {nodes}"),
        Some(nodes) => format!("NUMA nodes {nodes}"),
        None => "NUMA node unknown".to_owned(),
    };
    let cpus = || place.cpus.as_ref().map_or_else(String::new, |cpus| format!("CPUs {cpus}"));
    (name, place.node.map_or_else(cpus, |(id, numa)| node_facts(topology, id, numa)))
}

fn node_facts(topology: &Topology, id: NodeId, numa: &NumaNode) -> String {
    let mut facts = Vec::new();
    if numa.cpus.is_empty() {
        facts.push(without_cpus(topology).to_owned());
    } else {
        facts.push(format!("CPUs {}", numa.cpus));
    }
    if let Some(memory) = numa.memory {
        facts.push(Bytes(memory).to_string());
    }
    let disks = disks(topology, Some(id)).count();
    if disks > 0 {
        facts.push(count_of(disks, "NVMe disk"));
    }
    if let Some(address) = numa.gpu {
        let gpu = topology.gpus().find(|gpu| gpu.address == Some(address));
        facts.push(
            gpu.map_or_else(|| format!("memory of GPU {address}"), |gpu| format!("memory of {}", gpu.name())),
        );
    }
    facts.join(" · ")
}

/// Returns the words for a NUMA node without CPUs: a source may not have told them.
fn without_cpus(topology: &Topology) -> &'static str {
    let is_noted = topology.notes().iter().any(|note| note.code() == NoteCode::NumaCpusUnknown);
    if is_noted || !topology.lists_all_cpus() { "CPUs unknown" } else { "no CPUs" }
}

/// Returns the names of empty NUMA nodes, and their facts together.
pub(crate) fn empty(topology: &Topology, empty: &Empty) -> (String, String) {
    let mut facts = vec!["no devices".to_owned()];
    let listed = || format!("CPUs {}", empty.cpus);
    facts.push(if empty.cpus.is_empty() { without_cpus(topology).to_owned() } else { listed() });
    facts.extend(empty.memory.map(|memory| Bytes(memory).to_string()));
    (format!("NUMA nodes {}", empty.nodes), facts.join(" · "))
}

/// Returns the memory of a GPU, and the NUMA node that it is.
pub fn gpu_memory(topology: &Topology, gpu: &Gpu) -> String {
    let node = memory_node(topology, gpu);
    let size = gpu.memory.or_else(|| node.and_then(|node| node.memory));
    let number = node.map(|node| node.os_index).or_else(|| gpu.memory_node.known().copied());
    let size = size.map(|size| Bytes(size).to_string());
    size.into_iter().chain(number.map(|number| format!("node {number}"))).collect::<Vec<_>>().join(", ")
}

/// Returns the rate of a NIC.
pub fn nic_rate(nic: &Nic) -> String {
    match (nic.rate, nic.measured) {
        (Some(rate), Some(measured)) => format!("{rate}, {measured} measured"),
        (None, Some(measured)) => format!("{measured} measured"),
        (rate, None) => rate.map(|rate| rate.to_string()).unwrap_or_default(),
    }
}

/// Returns the faults of the GPU at a position.
pub fn gpu_marks(topology: &Topology, device: usize, gpu: &Gpu) -> Vec<String> {
    let mut marks: Vec<String> =
        gpu.unusable.iter().map(|why| short(format!("cannot be used: {why}"))).collect();
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

/// Returns the faults of a NIC.
pub fn nic_marks(nic: &Nic) -> Vec<String> {
    let state = nic.state.filter(|state| *state != PortState::Active);
    state.map(|state| state.word().to_owned()).into_iter().chain(link_marks(&nic.pci, true)).collect()
}

/// Returns a fault where a PCIe link runs below the speed of both ends. `steady`: the device does not slow its link down
/// while idle, so that the generation counts too.
pub(crate) fn link_marks(pci: &PciFacts, steady: bool) -> Vec<String> {
    let lanes = pci.link.as_ref().and_then(PcieTraining::lanes_lost);
    let generation = pci.link.as_ref().filter(|_| steady).and_then(PcieTraining::generations_lost);
    let lanes = lanes.map(|(now, most)| format!("PCIe x{now} of x{most}"));
    let generation = generation.map(|(now, most)| format!("PCIe {now}.0 of {most}.0"));
    lanes.into_iter().chain(generation).collect()
}

/// Returns the names of GPUs as a list: `GPU0-3,6`.
pub fn gpu_names(topology: &Topology, gpus: &[usize]) -> String {
    let indices: NodeSet =
        gpus.iter().filter_map(|gpu| topology.gpus().nth(*gpu)).map(|gpu| gpu.index).collect();
    format!("GPU{indices}")
}

/// Returns the shape of an NVLink group, and the links and rate of a pair.
pub fn group_facts(topology: &Topology, group: &NvlinkGroup) -> String {
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
    let rate = rate_words(most.rate);
    let at_most = if least.nvlinks == most.nvlinks { "" } else { " at most" };
    format!("{} · {links} a pair{rate}{at_most}", group.shape)
}

/// Returns the NVLinks that the pairs of GPUs do not show: all of a GPU without a group, and those of others that are down.
/// GPUs with equal facts are grouped.
pub fn own_links(topology: &Topology) -> Vec<(Vec<usize>, String)> {
    let mut told: Vec<(Vec<usize>, String)> = Vec::new();
    for group in topology.nvlink_groups() {
        for &position in &group.gpus {
            let Some(gpu) = topology.gpus().nth(position) else { continue };
            let alone = group.shape == GroupShape::Single;
            let Some(facts) = own_link_facts(topology, position, gpu, alone) else { continue };
            match told.iter_mut().find(|(_, own)| *own == facts) {
                Some((gpus, _)) => gpus.push(position),
                None => told.push((vec![position], facts)),
            }
        }
    }
    told
}

fn own_link_facts(topology: &Topology, position: usize, gpu: &Gpu, alone: bool) -> Option<String> {
    let all = gpu.nvlinks.len();
    let up = || gpu.nvlinks.iter().filter(|link| link.up == Some(true));
    let down: NodeSet =
        gpu.nvlinks.iter().filter(|link| link.up == Some(false)).map(|link| link.number).collect();
    let rates: Vec<_> = up().filter_map(|link| link.reported).collect();
    let each = match (rates.iter().min(), rates.iter().max()) {
        (Some(least), Some(most)) if least == most => format!(", {most} each"),
        (Some(least), Some(most)) => format!(", {least} to {most} each"),
        _ => String::new(),
    };
    match (all, up().count(), down.is_empty()) {
        (0, ..) if alone => {
            let (links, rate) = topology.nvlinks_of(position);
            (links > 0).then(|| count_of(links.into(), "NVLink") + &rate_words(rate))
        }
        (_, 0, false) if alone => Some(format!("no NVLink up; down: {down}")),
        (_, up, true) if alone && up > 0 => Some(format!("{} up{each}", count_of(up, "NVLink"))),
        (all, up, false) if up > 0 => Some(format!("{up} of {all} NVLinks up{each}; down: {down}")),
        _ => None,
    }
}

/// Returns the rate of links, after a comma.
pub(crate) fn rate_words(rate: Option<Rate>) -> String {
    rate.map_or_else(String::new, |rate| match rate.basis {
        Basis::Assumed => format!(", about {} (assumed)", rate.bandwidth),
        _ => format!(", {}", rate.bandwidth),
    })
}

/// Returns the links of GPUs to CPUs by NVLink-C2C or NVLink, each with a description.
pub fn cpu_links(topology: &Topology) -> Vec<(usize, String)> {
    let gpus = (0..topology.gpus().len()).flat_map(|gpu| {
        let links = topology.links_of(topology.devices()[gpu]);
        links.filter_map(move |(far, link)| {
            let node = match &topology.node(far).kind {
                NodeKind::Gpu(_) | NodeKind::NvSwitch(_) => return None,
                NodeKind::NumaNode(numa) => Some(numa.os_index),
                _ => {
                    let numa = topology.numa_ancestor(far).map(|id| topology.node(id));
                    numa.and_then(|node| node.kind.as_numa_node()).map(|numa| numa.os_index)
                }
            };
            let kind = match link.kind {
                LinkKind::C2c => "NVLink-C2C",
                LinkKind::NvLink => "NVLink",
                _ => return None,
            };
            let node = node.map_or_else(String::new, |node| format!(" of node {node}"));
            Some((gpu, format!("{kind} to the CPU{node}{}", rate_words(link.rate))))
        })
    });
    gpus.collect()
}

/// Returns the meaning of a path class.
pub fn meaning(path: PathType) -> &'static str {
    match path {
        PathType::Loc => "itself",
        PathType::Nvl => "NVLink",
        PathType::Nvb => "NVLink through another GPU",
        PathType::C2c => "NVLink-C2C",
        PathType::Pix => "one PCIe switch",
        PathType::Pxb => "several PCIe switches",
        PathType::Phb => "a host bridge",
        PathType::Node => "several host bridges",
        PathType::Sys => "between NUMA nodes",
        PathType::Net => "a network",
        PathType::Dis => "no path",
        other => other.word(),
    }
}

/// Returns the NVLink counts and path classes that occur, each with its cell of the matrix and its meaning.
pub fn legend(topology: &Topology) -> Vec<(Option<PathType>, u16, String, String)> {
    let devices = topology.devices().len();
    let mut kinds: BTreeMap<(bool, Option<PathType>, u16), Vec<Option<Rate>>> = BTreeMap::new();
    for gpu in 0..topology.gpus().len() {
        for other in (0..devices).filter(|other| *other != gpu) {
            let pair = topology.pairs().pair(gpu, other);
            let rates = kinds.entry((pair.path.is_none(), pair.path, pair.nvlinks)).or_default();
            if pair.path == Some(PathType::Nvl) && !rates.contains(&pair.rate) {
                rates.push(pair.rate);
            }
        }
    }
    kinds
        .into_iter()
        .map(|((_, path, nvlinks), rates)| {
            let pair = Pair::new(path, nvlinks, None);
            let word = pair.word(topology.dialect()).unwrap_or_else(|| "?".to_owned());
            let rate = match rates.as_slice() {
                [rate] => rate_words(*rate),
                _ => String::new(),
            };
            let meaning = match path {
                Some(PathType::Nvl) => format!("{}{rate}", count_of(nvlinks.into(), "NVLink")),
                Some(path) => meaning(path).to_owned(),
                None => "unknown".to_owned(),
            };
            (path, nvlinks, word, meaning)
        })
        .collect()
}

/// Returns the highest number of NVLinks between two GPUs.
pub(crate) fn most_nvlinks(topology: &Topology) -> u16 {
    let gpus = topology.gpus().len();
    let pairs = (0..gpus).flat_map(|a| (0..a).map(move |b| (a, b)));
    pairs.map(|(a, b)| topology.pairs().pair(a, b).nvlinks).max().unwrap_or(0)
}

/// The last line about a machine without GPUs: the next steps.
pub const NO_GPU: &str = "No GPU was found. To look at another machine: nvtopo show --from FILE, with what `nvidia-smi topo -m` \
                                 prints there, or a known one: nvtopo show --from preset:dgx-h100 (nvtopo presets lists all)";

/// Returns the models of the GPUs, each with its GPUs.
pub fn models(topology: &Topology, gpus: &[usize]) -> Vec<(Vec<usize>, String)> {
    let mut models: Vec<(Vec<usize>, String)> = Vec::new();
    for &position in gpus {
        let model = topology.gpus().nth(position).and_then(|gpu| gpu.model.clone());
        let Some(model) = model.map(short) else { continue };
        match models.iter_mut().find(|(_, own)| *own == model) {
            Some((gpus, _)) => gpus.push(position),
            None => models.push((vec![position], model)),
        }
    }
    models
}

/// Returns the notes, the most urgent kinds first: driver, damage, conflicts, unknown facts, conclusions.
pub fn notes(topology: &Topology) -> Vec<&Note> {
    let mut notes: Vec<&Note> = topology.notes().iter().collect();
    notes.sort_by_key(|note| match note.kind() {
        NoteKind::Driver => 0,
        NoteKind::Damage => 1,
        NoteKind::Conflict => 2,
        NoteKind::Unknown => 3,
        _ => 4,
    });
    notes
}

/// Returns the NVLink groups of several GPUs, and the GPUs outside of them with the reason, without those of [`own_links`]
/// and [`cpu_links`].
pub fn groups(topology: &Topology) -> (Vec<&NvlinkGroup>, Option<(Vec<usize>, &'static str)>) {
    let (alone, linked): (Vec<_>, Vec<_>) =
        topology.nvlink_groups().iter().partition(|group| group.shape == GroupShape::Single);
    let own = own_links(topology);
    let cpus = cpu_links(topology);
    let coherent = |gpu: &usize| topology.nvlink_known() && cpus.iter().any(|(own, _)| own == gpu);
    let told = |gpu: &usize| coherent(gpu) || own.iter().any(|(gpus, _)| gpus.contains(gpu));
    let gpus = alone.iter().flat_map(|group| group.gpus.iter().copied());
    let gpus: Vec<usize> = gpus.filter(|gpu| !told(gpu)).collect();
    let why = if topology.nvlink_known() { "no NVLink" } else { "NVLink unknown" };
    (linked, (!gpus.is_empty()).then_some((gpus, why)))
}
