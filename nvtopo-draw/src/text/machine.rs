//! The text of a machine: the devices of each NUMA node, the NVLink groups, and the matrix.

use super::{Style, bold, devices, dim, lines, matrix, table};
use crate::places::{Place, disks, shown};
use crate::words;
use nvtopo::Topology;
use nvtopo::model::{Gpu, NodeId, NodeKind, Nvme, P2p, P2pStatus};
use std::fmt::Write;

pub(super) fn topology(topology: &Topology, style: Style) -> String {
    let name = bold(&words::machine_name(topology), style);
    let mut out = format!("{name}  {}\n", dim(&words::machine_facts(topology), style));
    let shown = shown(topology);
    for place in shown.places {
        out += &heading(topology, &place, style);
        let disks = place.node.into_iter().flat_map(|(id, _)| disks(topology, Some(id)));
        out += &device_table(topology, &place.devices, disks, style);
    }
    for empty in &shown.empty {
        let (name, facts) = words::empty(topology, empty);
        let _ = write!(out, "\n{}  {facts}\n", bold(&name, style));
    }
    out += &device_table(topology, &[], disks(topology, None), style);
    if topology.gpus().len() > 0 {
        out += "\n";
        out += &groups(topology, style);
        out += "\n";
        out += &matrix::paths(topology, style);
        let access = p2p(topology);
        if !access.is_empty() {
            let _ = write!(out, "\n{}\n", bold("Peer-to-peer access", style));
            for (pairs, facts) in access {
                let _ = writeln!(out, "  {pairs}  {facts}");
            }
        }
        if let Some(measured) = measured_words(topology) {
            let _ = write!(out, "\n{}  {measured}\n", bold("Measured", style));
            out += &matrix::measured(topology, style);
        }
    }
    if !topology.notes().is_empty() && !style.quiet {
        out += "\n";
        for note in words::notes(topology) {
            let _ = writeln!(out, "{}", dim(&format!("note · {note}"), style));
        }
    }
    if topology.gpus().len() == 0 && !style.quiet {
        let _ = write!(out, "\n{}\n", words::NO_GPU);
    }
    out
}

fn heading(topology: &Topology, place: &Place<'_>, style: Style) -> String {
    let (name, facts) = words::place(topology, place);
    let facts = if facts.is_empty() { facts } else { format!("  {facts}") };
    format!("\n{}{facts}\n", bold(&name, style))
}

/// Returns the table of devices, and of disks with faults.
fn device_table<'a>(
    topology: &Topology,
    own: &[usize],
    disks: impl Iterator<Item = &'a Nvme>,
    style: Style,
) -> String {
    let rows = own.iter().flat_map(|device| devices::rows(topology, *device));
    let rows: Vec<_> = rows.chain(disks.filter_map(devices::disk_row)).collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut table = table(style);
    table.add_rows(rows);
    lines(table)
}

fn groups(topology: &Topology, style: Style) -> String {
    let mut out = format!("{}\n", bold("NVLink groups", style));
    let (linked, alone) = words::groups(topology);
    for group in linked {
        let names = words::gpu_names(topology, &group.gpus);
        let _ = writeln!(out, "  {names}  {}", words::group_facts(topology, group));
    }
    if let Some((gpus, why)) = alone {
        let _ = writeln!(out, "  {}  {why}", words::gpu_names(topology, &gpus));
    }
    for (gpus, facts) in words::own_links(topology) {
        let _ = writeln!(out, "  {}  {facts}", words::gpu_names(topology, &gpus));
    }
    for (gpu, facts) in words::cpu_links(topology) {
        let _ = writeln!(out, "  {}  {facts}", words::name(topology, gpu));
    }
    out
}

/// Returns the number of measured directions and their range. `None`: no measurements.
fn measured_words(topology: &Topology) -> Option<String> {
    let rates = topology.measurements().iter().map(|own| own.bandwidth);
    let (least, most) = (rates.clone().min()?, rates.max()?);
    let is_gpu = |id: NodeId| matches!(topology.node(id).kind, NodeKind::Gpu(_));
    let between = topology.measurements().iter().filter(|own| is_gpu(own.from) && is_gpu(own.to)).count();
    let others = topology.measurements().len() - between;
    let gpus = topology.gpus().len();
    let mut words = format!("{between} of {} directions between GPUs", gpus * gpus.saturating_sub(1));
    if others > 0 {
        words = format!("{words}, {others} of others");
    }
    let range = if least == most { most.to_string() } else { format!("{least} to {most}") };
    Some(format!("{words}, {range}"))
}

/// The most pairs of GPUs that are named.
const MOST_PAIRS: usize = 8;

/// Returns the peer-to-peer access of pairs of GPUs, with the names of `nvidia-smi topo -p2p`. Pairs with equal access are
/// grouped.
pub(super) fn p2p(topology: &Topology) -> Vec<(String, String)> {
    let mut told: Vec<(String, Vec<String>)> = Vec::new();
    for pair in topology.all_p2p() {
        let facts = p2p_facts(pair);
        let name = |id: NodeId| topology.node(id).kind.as_gpu().map_or(String::new(), Gpu::name);
        let names = format!("{}-{}", name(pair.a), name(pair.b).trim_start_matches("GPU"));
        match told.iter_mut().find(|(own, _)| *own == facts) {
            Some((_, pairs)) => pairs.push(names),
            None => told.push((facts, vec![names])),
        }
    }
    let gpus = topology.gpus().len();
    let all = gpus * gpus.saturating_sub(1) / 2;
    let list = |pairs: Vec<String>| match pairs.len() {
        count if count == all && count > 1 => format!("all {count} pairs"),
        count if count > MOST_PAIRS => {
            format!("{} and {} more", pairs[..MOST_PAIRS].join(" "), count - MOST_PAIRS)
        }
        _ => pairs.join(" "),
    };
    told.into_iter().map(|(facts, pairs)| (list(pairs), facts)).collect()
}

fn p2p_facts(pair: &P2p) -> String {
    let questions =
        [("read", pair.read), ("write", pair.write), ("NVLink", pair.nvlink), ("atomics", pair.atomics)];
    let mut answers: Vec<(P2pStatus, Vec<&str>)> = Vec::new();
    for (question, status) in questions {
        let Some(status) = status else { continue };
        match answers.iter_mut().find(|(own, _)| *own == status) {
            Some((_, questions)) => questions.push(question),
            None => answers.push((status, vec![question])),
        }
    }
    let say = |(status, questions): (P2pStatus, Vec<&str>)| {
        let meaning = match status {
            P2pStatus::Ok => return format!("{} OK", questions.join(", ")),
            P2pStatus::ChipsetNotSupported => "the chipset does not support it",
            P2pStatus::GpuNotSupported => "the GPU does not support it",
            P2pStatus::TopologyNotSupported => "the path does not support it",
            P2pStatus::DisabledBySetting => "disabled by a setting of the driver",
            P2pStatus::NotSupported => "not supported",
            _ => "unknown to the driver",
        };
        format!("{} {} ({meaning})", questions.join(", "), status.word())
    };
    answers.into_iter().map(say).collect::<Vec<_>>().join(" · ")
}
