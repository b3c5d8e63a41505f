//! The picture of a machine: what is on each NUMA node, the NVLink groups, and the matrix.

use super::super::places::{Place, disks, places};
use super::super::words;
use super::{Style, bold, devices, dim, head, lines, path_cell, table};
use crate::model::{Nvme, Topology};
use comfy_table::Cell;
use std::fmt::Write;

pub(super) fn topology(topology: &Topology, style: Style) -> String {
    let name = bold(&words::machine_name(topology), style);
    let mut out = format!("{name}  {}\n", dim(&words::machine_facts(topology), style));
    for place in places(topology) {
        out += &heading(topology, &place, style);
        let disks = place.node.into_iter().flat_map(|(id, _)| disks(topology, Some(id)));
        out += &device_table(topology, &place.devices, disks, style);
    }
    out += &device_table(topology, &[], disks(topology, None), style);
    if topology.gpus().len() > 0 {
        out += "\n";
        out += &groups(topology, style);
        out += "\n";
        out += &matrix(topology, style);
    }
    if !topology.notes().is_empty() && !style.quiet {
        out += "\n";
        for note in topology.notes() {
            let _ = writeln!(out, "{}", dim(&format!("note · {note}"), style));
        }
    }
    out
}

fn heading(topology: &Topology, place: &Place<'_>, style: Style) -> String {
    let (name, facts) = words::place(topology, place);
    let facts = if facts.is_empty() { facts } else { format!("  {facts}") };
    format!("\n{}{facts}\n", bold(&name, style))
}

/// The devices, and the disks with which something is wrong.
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
    out
}

/// The rows of the GPUs; those of the NICs would only repeat them, turned over.
fn matrix(topology: &Topology, style: Style) -> String {
    let count = topology.devices().len();
    let mut table = table(style);
    let names = (0..count).map(|device| head(topology.device_name(device)));
    table.set_header(std::iter::once(Cell::new("")).chain(names));
    for gpu in 0..topology.gpus().len() {
        let cells = (0..count).map(|other| {
            let pair = topology.pairs().pair(gpu, other);
            path_cell(pair.word(topology.dialect()).unwrap_or_else(|| "?".to_owned()), pair.path)
        });
        table.add_row(std::iter::once(head(topology.device_name(gpu))).chain(cells));
    }
    lines(table)
}
