//! The writers of `gres.conf` and of the node's line of `slurm.conf`.

use super::sockets::Sockets;
use crate::error::{Error, Result};
use crate::model::{Gpu, GpuInstance, Note, NoteCode, Origin, Topology};
use crate::source::{WriteOptions, Written};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The place of a node's name that nobody told.
const NODE: &str = "NODE";

/// A device that Slurm gives to jobs: a GPU, or an instance of one.
struct Device {
    /// The position of the GPU.
    gpu: usize,
    /// The device files, and whether they are several of one device.
    files: (String, bool),
    /// The type, by which jobs may ask for it.
    kind: Option<String>,
    is_instance: bool,
}

/// Writes `gres.conf`: a line for each GPU or MIG instance, by the order of the GPUs on the PCI bus.
pub(in crate::source) fn gres(topology: &Topology, options: &WriteOptions) -> Result<Written> {
    check_name(options)?;
    let mut written = Written::default();
    let devices = devices(topology, &mut written);
    if devices.is_empty() {
        let help = "--to slurm.conf writes the line of a node without GPUs";
        let help = topology.driver_trouble().map_or_else(|| help.to_owned(), |why| format!("{why}; {help}"));
        return Err(
            Error::request("the topology has no GPU that a job can use, and gres.conf lists GPUs").help(help)
        );
    }
    let sockets = Sockets::of(topology);
    let mut out = String::from("# gres.conf. In slurm.conf belong with it:\n");
    for line in node_lines(topology, options, &devices, sockets.as_ref(), &mut written) {
        _ = writeln!(out, "#   {line}");
    }
    if let (Some(name), true) = (&options.node, devices.len() > 1) {
        _ = writeln!(out, "# The lines below hold for {name} alone.");
    }
    // Instances have no NVLinks.
    let links_known =
        topology.nvlink_known() || devices.iter().filter(|device| !device.is_instance).count() < 2;
    let (mut widened, mut unknown) = (BTreeSet::new(), BTreeSet::new());
    for (place, device) in devices.iter().enumerate() {
        if let Some(node) = &options.node {
            _ = write!(out, "NodeName={node} ");
        }
        out += "Name=gpu";
        if let Some(kind) = &device.kind {
            _ = write!(out, " Type={kind}");
        }
        let (files, several) = &device.files;
        _ = write!(out, " {}={files}", if *several { "MultipleFiles" } else { "File" });
        let cpus = topology.local_cpus(topology.devices()[device.gpu]);
        match (&sockets, cpus.known()) {
            (Some(sockets), Some(cpus)) => {
                let (cores, wider) = sockets.near(cpus);
                if !cores.is_empty() {
                    _ = write!(out, " Cores={cores}");
                }
                if wider {
                    widened.insert(device.gpu);
                }
            }
            _ => _ = unknown.insert(device.gpu),
        }
        if links_known {
            _ = write!(out, " Links={}", links(topology, &devices, place));
        }
        out += "\n";
    }
    if !links_known {
        let text =
            "Links= is left out, as NVLinks are unknown; nvidia-smi topo -m tells them in a second --from";
        written.note(Note::new(NoteCode::NvlinksUnknown, text));
    }
    let names = |gpus: BTreeSet<usize>| topology.device_names(&gpus.into_iter().collect::<Vec<_>>());
    if !widened.is_empty() {
        let text = format!(
            "Slurm knows cores near a GPU by whole sockets, and nearer are parts of one, of {}; where \
             SlurmdParameters=numa_node_as_socket is set, write Cores= by hand",
            names(widened)
        );
        written.note(Note::new(NoteCode::Inferred, text));
    }
    if !unknown.is_empty() {
        let text = format!(
            "Cores= is left out, as the CPUs near GPUs, or the cores and sockets of CPUs, are unknown, of {}; lscpu tells \
             them in a second --from",
            names(unknown)
        );
        written.note(Note::new(NoteCode::CpusUnknown, text));
    }
    written.text = out;
    Ok(written)
}

/// Writes the lines of `slurm.conf` that a node needs.
pub(in crate::source) fn node(topology: &Topology, options: &WriteOptions) -> Result<Written> {
    check_name(options)?;
    let mut written = Written::default();
    let devices = devices(topology, &mut written);
    let sockets = Sockets::of(topology);
    let lines = node_lines(topology, options, &devices, sockets.as_ref(), &mut written);
    written.text = lines.join("\n") + "\n";
    Ok(written)
}

/// Refuses what would be more than a name in the line.
fn check_name(options: &WriteOptions) -> Result<()> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    match options.node.as_deref() {
        Some(name) if name.is_empty() || !name.chars().all(is_plain) => {
            Err(Error::request(format!("'{name}' is no name of a node"))
                .help("it has letters, digits, dots, dashes and underscores"))
        }
        _ => Ok(()),
    }
}

fn node_lines(
    topology: &Topology,
    options: &WriteOptions,
    devices: &[Device],
    sockets: Option<&Sockets>,
    written: &mut Written,
) -> Vec<String> {
    let mut lines = Vec::new();
    if !devices.is_empty() {
        lines.push("GresTypes=gpu".to_owned());
    }
    let mut line = format!("NodeName={}", options.node.as_deref().unwrap_or(NODE));
    if options.node.is_none() {
        let text = format!("the name of the node is unknown: it belongs in the place of {NODE}");
        written.note(Note::new(NoteCode::Unknown, text));
    }
    if topology.lists_all_cpus() {
        _ = write!(line, " CPUs={}", topology.cpus().len());
    } else {
        let text = "CPUs= is left out, as no source lists all CPUs of the machine; lscpu or numactl --hardware tell them in a \
                    second --from";
        written.note(Note::new(NoteCode::CpusUnknown, text));
    }
    match (sockets, sockets.and_then(Sockets::even)) {
        (Some(sockets), Some((cores, threads))) => {
            let count = sockets.cores.len();
            _ = write!(
                line,
                " Boards=1 SocketsPerBoard={count} CoresPerSocket={cores} ThreadsPerCore={threads}"
            );
        }
        (known, _) => {
            let why = if known.is_some() { "not alike" } else { "unknown" };
            let text = format!("sockets and cores are {why}, and left out of the node's line");
            written.note(Note::new(NoteCode::CpusUnknown, text));
        }
    }
    let of_gpus: BTreeSet<u32> = topology.gpus().filter_map(|gpu| gpu.memory_node.known().copied()).collect();
    let hosts = topology.numa_nodes().filter(|node| node.gpu.is_none() && !of_gpus.contains(&node.os_index));
    let memory = hosts.map(|node| node.memory).try_fold(0u64, |all, own| Some(all.saturating_add(own?)));
    if let Some(mebibytes) = memory.map(|bytes| bytes >> 20).filter(|memory| *memory > 0) {
        _ = write!(line, " RealMemory={mebibytes}");
        if matches!(topology.origin(), Origin::Preset(_)) {
            let text = "RealMemory= is that of the product; the kernel keeps a part, and Slurm drains a node that has less";
            written.note(Note::new(NoteCode::Inferred, text));
        }
    } else {
        let text = "RealMemory= is left out, as the memory is unknown, and Slurm takes that for 1 MiB: write what slurmd -C \
                    prints on the node";
        written.note(Note::new(NoteCode::Unknown, text));
    }
    if !devices.is_empty() {
        _ = write!(line, " Gres={}", counts(devices));
    }
    lines.push(line);
    lines
}

/// Returns the number of devices of each type, in the order of the devices.
fn counts(devices: &[Device]) -> String {
    let mut counts: Vec<(Option<&str>, usize)> = Vec::new();
    for device in devices {
        let kind = device.kind.as_deref();
        match counts.iter_mut().find(|(other, _)| *other == kind) {
            Some((_, count)) => *count += 1,
            None => counts.push((kind, 1)),
        }
    }
    let text = |(kind, count): &(Option<&str>, usize)| match kind {
        Some(kind) => format!("gpu:{kind}:{count}"),
        None => format!("gpu:{count}"),
    };
    counts.iter().map(text).collect::<Vec<_>>().join(",")
}

/// Returns the devices by the index of their GPU.
fn devices(topology: &Topology, written: &mut Written) -> Vec<Device> {
    let mut devices = Vec::new();
    let (mut assumed, mut unusable, mut unnumbered) = (Vec::new(), Vec::new(), Vec::new());
    let mut untyped = BTreeSet::new();
    for (position, gpu) in topology.gpus().enumerate() {
        if gpu.unusable.is_some() || gpu.is_display() {
            unusable.push(gpu.name());
            continue;
        }
        if gpu.minor.is_none() {
            assumed.push(position);
        }
        let minor = gpu.minor.unwrap_or(gpu.index);
        let file = format!("/dev/nvidia{minor}");
        let is_divided = gpu.mig.is_some_and(|mig| mig.current);
        let mut instances = topology.gpu_instances(position).map(|(_, instance)| instance).peekable();
        if !is_divided && instances.peek().is_none() {
            devices.push(Device {
                gpu: position,
                files: (file, false),
                kind: kind(gpu, None),
                is_instance: false,
            });
            continue;
        }
        for instance in instances {
            let Some(files) = capabilities(minor, instance) else {
                unnumbered.push(gpu.name());
                continue;
            };
            if instance.profile.is_none() && gpu.model.is_some() {
                untyped.insert(position);
            }
            let files = (format!("{file},{files}"), true);
            devices.push(Device { gpu: position, files, kind: kind(gpu, Some(instance)), is_instance: true });
        }
    }
    if !assumed.is_empty() {
        let text = format!(
            "the numbers of device files are unknown, and taken to be the indices, of {}",
            topology.device_names(&assumed)
        );
        written.note(Note::new(NoteCode::Inferred, text));
    }
    if !unusable.is_empty() {
        let text = format!("no job can use {}: left out", unusable.join(", "));
        written.note(Note::new(NoteCode::DeviceLeftOut, text));
    }
    if !unnumbered.is_empty() {
        unnumbered.dedup();
        let text = format!("instances whose numbers are unknown are left out, of {}", unnumbered.join(", "));
        written.note(Note::new(NoteCode::DeviceLeftOut, text));
    }
    if !untyped.is_empty() {
        let text = format!(
            "Type= is left out of instances whose profiles are unknown, of {}; nvidia-smi -L tells them in a second --from",
            topology.device_names(&untyped.into_iter().collect::<Vec<_>>())
        );
        written.note(Note::new(NoteCode::Unknown, text));
    }
    if devices.iter().any(|device| device.is_instance) {
        let text = "Slurm numbers MIG instances like GPUs in CUDA_VISIBLE_DEVICES, which CUDA does not: set ConstrainDevices=yes in \
                    cgroup.conf, so that a job sees only its own";
        written.note(Note::new(NoteCode::Inferred, text));
        let text = "the files of MIG instances are numbered as by the driver's list /proc/driver/nvidia-caps/mig-minors";
        written.note(Note::new(NoteCode::Inferred, text));
    }
    devices
}

/// Returns the files that a process needs for a MIG instance.
fn capabilities(minor: u32, instance: &GpuInstance) -> Option<String> {
    let (own, compute) =
        super::capability::numbers(minor, instance.gpu_instance?, instance.compute_instance?)?;
    Some(format!("/dev/nvidia-caps/nvidia-cap{own},/dev/nvidia-caps/nvidia-cap{compute}"))
}

/// Returns the type as Slurm's own detection makes it of the model's name: in small letters, with underscores. Of an instance
/// it is the name up to the first dash, and the profile of its GPU instance; without a profile it would be that of whole GPUs.
///
/// Source: `_get_system_gpu_list_nvml` and `_handle_mig` in Slurm's `src/plugins/gpu/nvml/gpu_nvml.c`.
fn kind(gpu: &Gpu, instance: Option<&GpuInstance>) -> Option<String> {
    let model = gpu.model.as_deref()?;
    let name = match instance {
        None => model.to_owned(),
        Some(instance) => {
            let profile = instance.profile.as_deref()?;
            let profile = profile.split_once("c.").map_or(profile, |(_, of_gpu)| of_gpu);
            let profile = profile.split('+').next().unwrap_or(profile);
            format!("{}_{profile}", model.split('-').next().unwrap_or(model))
        }
    };
    let plain = |c: char| match c {
        'A'..='Z' => c.to_ascii_lowercase(),
        'a'..='z' | '0'..='9' | '.' | '-' | '_' => c,
        _ => '_',
    };
    Some(name.trim().chars().take(100).map(plain).collect())
}

/// Returns the number of NVLinks from a device to each: -1 for itself, and none of an instance.
fn links(topology: &Topology, devices: &[Device], own: usize) -> String {
    let count = |(place, other): (usize, &Device)| {
        if place == own {
            return "-1".to_owned();
        }
        if devices[own].is_instance || other.is_instance {
            return "0".to_owned();
        }
        topology.pairs().pair(devices[own].gpu, other.gpu).nvlinks.to_string()
    };
    devices.iter().enumerate().map(count).collect::<Vec<_>>().join(",")
}
