//! [`FleetNode`]: the small row that is kept of each machine.

use super::FleetOptions;
use crate::baseline::{Facts, counted_firmware, inventory, of_inventory, structure};
use crate::evidence::Evidence;
use crate::reading::growth::{taken, written};
use nvtopo::Topology;
use nvtopo::model::NodeKind;
use nvtopo::render::count_of;
use nvtopo::source::Contents;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The fields of a row: names in documents, and for people. Like nodes are compared by all of them.
pub(super) const FIELDS: [(&str, &str); 20] = [
    ("product", "product"),
    ("cpu_models", "CPU models"),
    ("cpus", "CPUs"),
    ("numa_nodes", "NUMA nodes"),
    ("gpus", "GPUs"),
    ("nvlinks", "NVLinks of GPUs"),
    ("nics", "NICs"),
    ("pcie_lanes", "PCIe lanes"),
    ("mtu", "MTU of NICs"),
    ("nic_rate", "rate of NICs"),
    ("gpu_memory", "memory of GPUs"),
    ("memory", "memory of CPUs"),
    ("driver", "driver"),
    ("cuda", "CUDA"),
    ("kernel", "kernel"),
    ("bios", "BIOS"),
    ("gpu_firmware", "firmware of GPUs"),
    ("nic_firmware", "firmware of NICs"),
    ("kubelet", "kubelet"),
    ("structure", "structure"),
];

/// The fields that are numbers.
pub(super) const NUMBERS: [&str; 2] = ["cpus", "numa_nodes"];

/// The board of nodes that tell neither product nor model.
pub(super) const UNKNOWN_BOARD: &str = "machines of unknown kind";

/// The number of the field of the machine's product.
pub(super) const PRODUCT: usize = 0;

/// The number of the field of the structure's fingerprint.
pub(super) const STRUCTURE: usize = FIELDS.len() - 1;

/// The fields that tell of the structure: where one of them differs, so does the fingerprint.
pub(super) const STRUCTURAL: std::ops::Range<usize> = 0..8;

/// A machine of a fleet.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FleetNode {
    /// Its name: that of its file or directory, without the ending.
    pub name: String,
    /// Its file or directory.
    pub path: PathBuf,
    /// The board: the machine's product, and the model of most of its GPUs. Nodes of one board are compared.
    pub board: Arc<str>,
    /// Its GPUs, then its NICs.
    pub devices: Vec<FleetDevice>,
    /// The number of its GPUs.
    pub gpu_count: usize,
    /// The time of its snapshot in seconds since 1970. `None`: unknown, as of topology documents.
    pub taken: Option<u64>,
    pub(super) values: [Option<Arc<str>>; FIELDS.len()],
    /// The fingerprint of software and firmware.
    pub(super) inventory: Option<Arc<str>>,
}

/// A device of a node.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FleetDevice {
    /// Its name, such as `GPU3` or `mlx5_0`.
    pub name: Arc<str>,
    /// Its model, or the numbers of its PCI vendor and device.
    pub model: Option<Arc<str>>,
    /// Its firmware.
    pub firmware: Option<Arc<str>>,
    /// Its UUID. `None`: unknown, or left out.
    pub uuid: Option<Box<str>>,
    /// Its serial number. `None`: unknown, or left out.
    pub serial: Option<Box<str>>,
}

/// The values that were met: like nodes share them, so that a row takes little.
#[derive(Default)]
pub(super) struct Words(Mutex<BTreeSet<Arc<str>>>);

impl Words {
    fn shared(&self, text: &str) -> Arc<str> {
        let mut words = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(word) = words.get(text) {
            return word.clone();
        }
        let word: Arc<str> = text.into();
        words.insert(word.clone());
        word
    }
}

impl FleetNode {
    pub(super) fn of(path: &Path, contents: &Contents, options: &FleetOptions, words: &Words) -> Self {
        let topology = &contents.topology;
        let evidence = Evidence::plain(contents);
        let facts = Facts::of(&evidence);
        let share = |text: Option<String>| text.map(|text| words.shared(&text));
        let values = values(topology, &facts).map(share);
        Self {
            name: name_of(path),
            path: path.to_owned(),
            board: words.shared(&name_of_board(topology)),
            devices: devices(topology, options.redact, words),
            gpu_count: topology.gpus().len(),
            taken: taken(&evidence),
            values,
            inventory: share(of_inventory(&inventory(topology, &facts))),
        }
    }

    /// Returns the time of its snapshot, such as `2026-11-30T10:00:00Z`. `None`: unknown.
    pub fn taken_at(&self) -> Option<String> {
        written(self.taken?)
    }

    /// Returns a field by its name in documents, such as `driver` or `gpu_firmware`. `None`: no such field, or not known.
    pub fn field(&self, name: &str) -> Option<&str> {
        if name == "inventory" {
            return self.inventory.as_deref();
        }
        let index = FIELDS.iter().position(|(own, _)| *own == name)?;
        self.values[index].as_deref()
    }
}

/// Returns the name of a node by that of its file.
pub(crate) fn name_of(path: &Path) -> String {
    let file = super::file_name(path);
    let mut name = &*file;
    let endings = [".gz", ".tgz", ".tar", ".json", ".txt", ".snapshot", ".xml", ".log"];
    let shorter = |name: &str| endings.iter().find_map(|end| name.strip_suffix(*end)).map(str::len);
    // Those of an archive are several.
    while let Some(end) = shorter(name).filter(|end| *end > 0 && !path.is_dir()) {
        name = &name[..end];
    }
    name.to_owned()
}

/// Gives nodes whose files differ in their endings alone the whole names of these.
pub(super) fn tell_apart(nodes: &mut [FleetNode]) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for node in nodes.iter() {
        *counts.entry(node.name.clone()).or_default() += 1;
    }
    for node in nodes {
        if counts.get(&node.name).is_some_and(|count| *count > 1) {
            node.name = super::file_name(&node.path);
        }
    }
}

fn counted(values: impl Iterator<Item = Option<String>>) -> Option<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for value in values.flatten() {
        *counts.entry(value).or_default() += 1;
    }
    let told: Vec<String> = counts.into_iter().map(|(value, count)| format!("{count} x {value}")).collect();
    (!told.is_empty()).then(|| told.join(", "))
}

fn model(model: Option<&String>, pci: &nvtopo::model::PciFacts) -> Option<String> {
    let ids = || Some(format!("{:04x}:{:04x}", pci.vendor?, pci.device?));
    model.cloned().or_else(ids)
}

/// Returns the board: the machine's product, and the model of most of its GPUs.
pub(crate) fn board(topology: &Topology) -> (Option<String>, Option<String>) {
    let mut models: BTreeMap<String, usize> = BTreeMap::new();
    for gpu in topology.gpus() {
        if let Some(model) = model(gpu.model.as_ref(), &gpu.pci) {
            *models.entry(model).or_default() += 1;
        }
    }
    let most = models.into_iter().max_by_key(|(_, count)| *count).map(|(model, _)| model);
    (topology.machine().product.clone(), most)
}

fn name_of_board(topology: &Topology) -> String {
    match board(topology) {
        (Some(product), Some(model)) => format!("{product} with {model}"),
        (Some(product), None) => product,
        (None, Some(model)) => format!("machines with {model}"),
        (None, None) => UNKNOWN_BOARD.to_owned(),
    }
}

fn values(topology: &Topology, facts: &Facts) -> [Option<String>; FIELDS.len()] {
    let machine = topology.machine();
    let packages: BTreeSet<&str> = topology
        .nodes()
        .filter_map(|(_, node)| match &node.kind {
            NodeKind::Package(package) => package.model.as_deref(),
            _ => None,
        })
        .collect();
    let number = |number: usize| (number > 0).then(|| number.to_string());
    let links = topology
        .nvlink_known()
        .then(|| counted((0..topology.gpus().len()).map(|gpu| Some(topology.nvlinks_of(gpu).0.to_string()))));
    let gpu_lanes = topology.gpus().map(|gpu| ("GPU", gpu.pci.link));
    let lanes = gpu_lanes.chain(topology.nics().map(|nic| ("NIC", nic.pci.link)));
    let lanes =
        lanes.map(|(word, link)| Some(format!("{word} of {}", count_of(link?.now.width?.into(), "lane"))));
    let gpus = topology.gpus().filter_map(|gpu| Some((gpu.model.clone(), gpu.firmware.clone()?)));
    let nics = topology.nics().filter_map(|nic| Some((nic.model.clone(), nic.firmware.clone()?)));
    [
        machine.product.clone(),
        (!packages.is_empty()).then(|| packages.into_iter().collect::<Vec<_>>().join(", ")),
        topology.lists_all_cpus().then(|| number(topology.cpus().len())).flatten(),
        number(topology.numa_nodes().count()),
        counted(topology.gpus().map(|gpu| model(gpu.model.as_ref(), &gpu.pci).or(Some("GPU".to_owned())))),
        links.flatten(),
        counted(topology.nics().map(|nic| model(nic.model.as_ref(), &nic.pci).or(Some("NIC".to_owned())))),
        counted(lanes),
        counted(topology.nics().map(|nic| nic.mtu.map(|mtu| mtu.to_string()))),
        counted(topology.nics().map(|nic| nic.rate.map(|rate| rate.to_string()))),
        counted(topology.gpus().map(|gpu| gpu.memory.map(gibibytes))),
        memory(topology),
        machine.driver.clone(),
        machine.cuda.clone(),
        facts.kernel.clone(),
        facts.bios.clone(),
        counted_firmware(gpus),
        counted_firmware(nics),
        facts.kubelet_version.clone(),
        Some(structure(topology)),
    ]
}

const GIB: u64 = 1 << 30;

/// Writes a size in the nearest GiB: a driver keeps a little of a GPU's memory for itself.
fn gibibytes(bytes: u64) -> String {
    format!("{} GiB", bytes.saturating_add(GIB / 2) / GIB)
}

/// Returns the memory of all NUMA nodes with CPUs, up to the size of the modules: firmware and kernel keep a part of it, of
/// like machines not quite the same. `None`: that of a node is unknown.
fn memory(topology: &Topology) -> Option<String> {
    let nodes = topology.numa_nodes().filter(|node| !node.cpus.is_empty());
    let mut told = nodes.map(|node| node.memory);
    let all = told.try_fold(0_u64, |sum, bytes| sum.checked_add(bytes?)).filter(|bytes| *bytes > 0)?;
    // A step is a 32nd to a 16th of all: more than firmware keeps, and less than what a lost module takes.
    let step = (all.div_ceil(GIB) / 16).max(1);
    let step = 1_u64 << step.ilog2();
    Some(format!("{} GiB", all.div_ceil(GIB).next_multiple_of(step)))
}

fn devices(topology: &Topology, redact: bool, words: &Words) -> Vec<FleetDevice> {
    let share = |text: Option<String>| text.map(|text| words.shared(&text));
    let own = |text: Option<String>| text.filter(|_| !redact).map(String::into_boxed_str);
    let gpus = topology.gpus().map(|gpu| FleetDevice {
        name: words.shared(&gpu.name()),
        model: share(model(gpu.model.as_ref(), &gpu.pci)),
        firmware: share(gpu.firmware.clone()),
        uuid: own(gpu.uuid.map(|uuid| uuid.to_string())),
        serial: own(gpu.serial.clone()),
    });
    let nics = topology.nics().map(|nic| FleetDevice {
        name: words.shared(&nic.name),
        model: share(model(nic.model.as_ref(), &nic.pci)),
        firmware: share(nic.firmware.clone()),
        uuid: None,
        serial: None,
    });
    gpus.chain(nics).collect()
}
