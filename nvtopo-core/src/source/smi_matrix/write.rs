//! The writer of `nvidia-smi topo -m`: what the driver prints on a machine, cell by cell.
//!
//! Columns and names are those of the source where it was such a text, else those of drivers since R535.

use super::columns::is_rdma;
use crate::error::{Error, Result};
use crate::model::{
    Dialect, Gpu, Nic, NodeId, NodeKind, Note, NoteCode, Pair, PathType, Provenance, Stated, Topology, tree,
};
use crate::source::{WriteOptions, Written, losses};
use std::fmt::{Display, Write as _};

/// The columns beside the matrix, and the names of NICs, which changed with the versions of the driver.
struct Form {
    /// The number of columns: `CPU Affinity`, since R450 `NUMA Affinity`, since R535 `GPU NUMA ID`.
    affinities: usize,
    /// True where NICs are numbered and have a legend, since R525; false where they have the names of their RDMA devices.
    numbered: bool,
    /// True where the source is such a text.
    as_read: bool,
}

/// Writes the matrix, with its legends.
pub(in crate::source) fn write(topology: &Topology, _options: &WriteOptions) -> Result<Written> {
    if topology.gpus().len() == 0 {
        let help = "--to json writes machines without GPUs";
        let help = topology.driver_trouble().map_or_else(|| help.to_owned(), |why| format!("{why}; {help}"));
        return Err(Error::request(
            "the topology has no GPU, and the matrix of nvidia-smi has a row for each",
        )
        .help(help));
    }
    let form = Form::of(topology);
    let mut written = Written::default();
    let devices = devices(topology, &form, &mut written);
    let names = names(topology, &form, &devices);
    let mut out = String::new();
    for name in &names {
        _ = write!(out, "\t{name}");
    }
    for heading in &["CPU Affinity", "NUMA Affinity", "GPU NUMA ID"][..form.affinities] {
        _ = write!(out, "\t{heading}");
    }
    out += "\n";
    let is_open = !topology.nvlink_known() && topology.gpus().len() > 1;
    let has_links = topology.links().any(|(_, _, link)| link.kind.is_fabric());
    let mut unknown = 0;
    for (row, name) in devices.iter().zip(&names) {
        out += name;
        for column in &devices {
            let are_open = is_open && has_links && *row.max(column) < topology.gpus().len();
            let is_told = !are_open || topology.pairs().pair(*row, *column).nvlinks > 0;
            let word = if row == column {
                Some(" X ".to_owned())
            } else {
                word(topology, *row, *column).filter(|_| is_told)
            };
            unknown += usize::from(word.is_none() && row < column);
            out += "\t";
            out += word.as_deref().unwrap_or("N/A");
        }
        match &topology.node(topology.devices()[*row]).kind {
            NodeKind::Gpu(gpu) => affinities(topology, *row, gpu, &form, &mut out),
            // Empty cells; two tabs stand before the last column.
            _ => out += ["\t", "\t\t", "\t\t\t\t"][form.affinities - 1],
        }
        out += "\n";
    }
    out += legend(topology.dialect());
    // As `topo -mp`: a matrix that explains NV# and has none says that there are no NVLinks.
    if is_open && !has_links {
        out.truncate(out.find("  NV#").unwrap_or(out.len()));
    }
    out += &nic_legend(topology, &form, &devices, &names);
    written.text = out;
    if unknown > 0 {
        let text = format!("the paths between {unknown} pairs of devices are unknown: their cells are N/A");
        written.note(Note::new(NoteCode::PathsUnknown, text));
    }
    note_affinities(topology, &mut written);
    if is_open {
        let text = "NVLinks are unknown: pairs of GPUs without NV# may have some, so their cells are N/A";
        let text =
            if has_links { text } else { "NVLinks are unknown: the matrix is that of nvidia-smi topo -mp" };
        written.note(Note::new(NoteCode::NvlinksUnknown, text));
    }
    losses::note(topology, "the matrix of nvidia-smi", &LOST, &mut written);
    Ok(written)
}

/// The facts that the matrix does not tell.
const LOST: [losses::Facts; 16] = [
    losses::MODELS,
    losses::UUIDS,
    losses::VERSIONS,
    losses::ADDRESSES,
    losses::PCI_NUMBERS,
    losses::GPU_MEMORY,
    losses::MIG,
    losses::FABRICS,
    losses::FAR_NODES,
    losses::NODE_MEMORY,
    losses::CORES,
    losses::NIC_RATES,
    losses::DISKS,
    losses::RATES,
    losses::XGMI,
    losses::P2P,
];

impl Form {
    fn of(topology: &Topology) -> Self {
        let of_text = |device: &NodeId| topology.node(*device).provenance == Provenance::Smi;
        let devices = topology.devices();
        let has = |fact: fn(&Gpu) -> bool| topology.gpus().any(fact);
        let as_read = devices.iter().all(of_text) && has(|gpu| gpu.cpus != Stated::Unstated);
        if !as_read {
            return Self { affinities: 3, numbered: true, as_read };
        }
        Self {
            affinities: if has(|gpu| gpu.memory_node != Stated::Unstated) {
                3
            } else {
                1 + usize::from(has(|gpu| gpu.nodes != Stated::Unstated))
            },
            numbered: topology.nics().any(|nic| number(&nic.name).is_some()),
            as_read,
        }
    }
}

/// Returns the number of a NIC that is named by it.
fn number(name: &str) -> Option<u32> {
    name.strip_prefix("NIC")?.parse().ok()
}

/// Returns the positions of the devices in the matrix. The driver knows RDMA devices only.
fn devices(topology: &Topology, form: &Form, written: &mut Written) -> Vec<usize> {
    let gpus = topology.gpus().len();
    let is_listed = |nic: &Nic| form.as_read || nic.rdma_device.is_some() || is_rdma(&nic.name);
    let left_out: Vec<&str> =
        topology.nics().filter(|nic| !is_listed(nic)).map(|nic| nic.name.as_str()).collect();
    if !left_out.is_empty() {
        let text = format!("nvidia-smi lists RDMA devices only; left out: {}", left_out.join(", "));
        written.note(Note::new(NoteCode::DeviceLeftOut, text));
    }
    let nics = topology.nics().enumerate().filter(|(_, nic)| is_listed(nic));
    (0..gpus).chain(nics.map(|(nic, _)| gpus + nic)).collect()
}

fn names(topology: &Topology, form: &Form, devices: &[usize]) -> Vec<String> {
    let gpus = topology.gpus().len();
    let name = |(place, device): (usize, &usize)| match device.checked_sub(gpus) {
        Some(_) if form.numbered && !form.as_read => format!("NIC{}", place - gpus),
        _ => topology.device_name(*device),
    };
    devices.iter().enumerate().map(name).collect()
}

/// Returns the cell of two devices. The driver does not count NVLinks through another GPU, nor networks.
fn word(topology: &Topology, a: usize, b: usize) -> Option<String> {
    let pair = topology.pairs().pair(a, b);
    match pair.path? {
        PathType::Nvb | PathType::Net | PathType::Dis => {
            let ends = (topology.devices()[a], topology.devices()[b]);
            let path = tree::path(|id| topology.node(id), ends.0, ends.1)?;
            Pair::new(Some(path), 0, None).word(topology.dialect())
        }
        _ => pair.word(topology.dialect()),
    }
}

fn affinities(topology: &Topology, device: usize, gpu: &Gpu, form: &Form, out: &mut String) {
    let id = topology.devices()[device];
    let cpus = text(&topology.local_cpus(id));
    *out += "\t";
    *out += &if form.affinities == 1 { ranges(&cpus) } else { cpus };
    if form.affinities > 1 {
        _ = write!(out, "\t{}", text(&topology.local_nodes(id)));
    }
    if form.affinities > 2 {
        let node = if form.as_read { gpu.memory_node.clone() } else { memory_node(gpu) };
        _ = write!(out, "\t\t{}", text(&node));
    }
}

/// Returns a list in which a single CPU is a range too, as drivers before R450 print it.
fn ranges(list: &str) -> String {
    let range = |part: &str| match part.parse::<u32>() {
        Ok(cpu) => format!("{cpu}-{cpu}"),
        Err(_) => part.to_owned(),
    };
    list.split(',').map(range).collect::<Vec<_>>().join(",")
}

/// Returns the node of a GPU's memory. Where no source tells of one, there is none: it is a node of the kernel.
fn memory_node(gpu: &Gpu) -> Stated<u32> {
    match &gpu.memory_node {
        Stated::Known(node) => Stated::Known(*node),
        _ => Stated::NotAvailable,
    }
}

fn text(fact: &Stated<impl Display>) -> String {
    match fact {
        Stated::Known(fact) => fact.to_string(),
        Stated::NotAvailable => "N/A".to_owned(),
        Stated::Unstated | Stated::Unreadable => String::new(),
    }
}

fn note_affinities(topology: &Topology, written: &mut Written) {
    let unknown = |id: &&NodeId| matches!(topology.local_cpus(**id), Stated::Unstated | Stated::Unreadable);
    let gpus = &topology.devices()[..topology.gpus().len()];
    let unknown = gpus.iter().filter(unknown).count();
    if unknown > 0 {
        let text = format!("the CPUs near {unknown} GPUs are unknown: their cells are empty");
        written.note(Note::new(NoteCode::CpusUnknown, text));
    }
}

fn legend(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sys => {
            "
Legend:

  X    = Self
  SYS  = Connection traversing PCIe as well as the SMP interconnect between NUMA nodes (e.g., QPI/UPI)
  NODE = Connection traversing PCIe as well as the interconnect between PCIe Host Bridges within a NUMA node
  PHB  = Connection traversing PCIe as well as a PCIe Host Bridge (typically the CPU)
  PXB  = Connection traversing multiple PCIe bridges (without traversing the PCIe Host Bridge)
  PIX  = Connection traversing at most a single PCIe bridge
  NV#  = Connection traversing a bonded set of # NVLinks
"
        }
        Dialect::Soc => {
            "
Legend:

  X   = Self
  SOC  = Connection traversing PCIe as well as the SMP link between CPU sockets(e.g. QPI)
  PHB  = Connection traversing PCIe as well as a PCIe Host Bridge (typically the CPU)
  PXB  = Connection traversing multiple PCIe switches (without traversing the PCIe Host Bridge)
  PIX  = Connection traversing a single PCIe switch
  NV#  = Connection traversing a bonded set of # NVLinks
"
        }
    }
}

fn nic_legend(topology: &Topology, form: &Form, devices: &[usize], names: &[String]) -> String {
    let mut lines = String::new();
    for (device, name) in devices.iter().zip(names).filter(|_| form.numbered) {
        let NodeKind::Nic(nic) = &topology.node(topology.devices()[*device]).kind else { continue };
        let rdma = nic.rdma_device.as_deref().or_else(|| (!form.as_read).then_some(&*nic.name));
        if let Some(rdma) = rdma {
            _ = writeln!(lines, "  {name}: {rdma}");
        }
    }
    if lines.is_empty() { lines } else { format!("\nNIC Legend:\n\n{lines}") }
}
