//! Matrices that fit a terminal: the paths between GPUs and to NICs, and the measured bandwidths.

use super::{Style, dim, head, lines, path_cell, table};
use crate::words;
use comfy_table::Cell;
use nvtopo::Topology;
use std::collections::BTreeMap;
use std::ops::Range;

/// The most devices of a matrix that is shown: a larger one is unreadable, and its memory grows with the square.
const MOST_DEVICES: usize = 256;

/// Returns the matrix of GPUs by GPUs, then by NICs, with a legend. Rows of NICs would only repeat it, transposed.
pub(super) fn paths(topology: &Topology, style: Style) -> String {
    let (gpus, devices) = (topology.gpus().len(), topology.devices().len());
    if devices > MOST_DEVICES {
        return format!(
            "The matrix of {devices} devices is left out: those of more than {MOST_DEVICES} are in JSON only.\n"
        );
    }
    let most = words::most_nvlinks(topology);
    let cell = |row: usize, column: usize| {
        let pair = topology.pairs().pair(row, column);
        let word = pair.word(topology.dialect()).unwrap_or_else(|| "?".to_owned());
        let width = word.chars().count();
        (path_cell(word, pair.path, pair.nvlinks == most), width)
    };
    let rows: Vec<usize> = (0..gpus).collect();
    let mut parts = vec![blocks(topology, &rows, 0..gpus, &cell, style)];
    if devices > gpus {
        parts.push(blocks(topology, &rows, gpus..devices, &cell, style));
    }
    let legend = words::legend(topology);
    if !legend.is_empty() {
        let entries = legend.into_iter().map(|(_, _, word, meaning)| format!("{word}: {meaning}"));
        parts.push(wrapped(entries, style));
    }
    parts.join("\n")
}

/// Returns the matrix of measured GB/s from the device of a row to that of a column.
pub(super) fn measured(topology: &Topology, style: Style) -> String {
    let positions: BTreeMap<_, usize> =
        topology.devices().iter().enumerate().map(|(position, id)| (*id, position)).collect();
    let known: BTreeMap<(usize, usize), String> = topology
        .measurements()
        .iter()
        .filter_map(|own| {
            let ends = (*positions.get(&own.from)?, *positions.get(&own.to)?);
            Some((ends, format!("{:.1}", own.bandwidth.as_gb_per_s())))
        })
        .collect();
    let of = |row, column| match known.get(&(row, column)) {
        Some(rate) => rate.as_str(),
        None if row == column => "X",
        None => "?",
    };
    let cell = |row: usize, column: usize| (Cell::new(of(row, column)), of(row, column).len());
    let mut rows: Vec<usize> = known.keys().flat_map(|(from, to)| [*from, *to]).collect();
    rows.sort_unstable();
    rows.dedup();
    let gpus = topology.gpus().len();
    let mut parts = vec![blocks(topology, &rows, 0..gpus, &cell, style)];
    if rows.iter().any(|row| *row >= gpus) {
        parts.push(blocks(topology, &rows, gpus..topology.devices().len(), &cell, style));
    }
    let how = ["GB/s, the row sends and the column receives".to_owned()];
    parts.push(wrapped(how.into_iter(), style));
    parts.join("\n")
}

/// Splits a matrix into blocks that fit the width, one below the other.
fn blocks(
    topology: &Topology,
    rows: &[usize],
    columns: Range<usize>,
    cell: &dyn Fn(usize, usize) -> (Cell, usize),
    style: Style,
) -> String {
    let length = |name: &str| name.chars().count();
    let names: Vec<String> =
        (0..topology.devices().len()).map(|device| words::name(topology, device)).collect();
    let left = rows.iter().map(|row| length(&names[*row])).max().unwrap_or(0) + 2;
    let mut out: Vec<String> = Vec::new();
    let mut rest = columns;
    while !rest.is_empty() {
        let mut width = left;
        let mut end = rest.start;
        for column in rest.clone() {
            let widest = rows.iter().map(|row| cell(*row, column).1).max().unwrap_or(0);
            width += 2 + widest.max(length(&names[column]));
            // One column stands in every block, however narrow the terminal is.
            if column > rest.start && style.width.is_some_and(|most| width > most) {
                break;
            }
            end = column + 1;
        }
        let block = rest.start..end;
        rest.start = end;
        let mut table = table(style);
        table.set_header(
            std::iter::once(Cell::new("")).chain(block.clone().map(|column| head(&names[column]))),
        );
        for row in rows {
            let cells = block.clone().map(|column| cell(*row, column).0);
            table.add_row(std::iter::once(head(&names[*row])).chain(cells));
        }
        out.push(lines(table));
    }
    out.join("\n")
}

/// Joins entries to lines that fit the width.
fn wrapped(entries: impl Iterator<Item = String>, style: Style) -> String {
    let mut all: Vec<String> = Vec::new();
    for entry in entries {
        let room = |line: &String| {
            style.width.is_none_or(|most| line.chars().count() + 3 + entry.chars().count() <= most)
        };
        match all.last_mut() {
            Some(line) if room(line) => line.extend([" · ", &entry]),
            _ => all.push(format!("  {entry}")),
        }
    }
    all.iter().map(|line| dim(line, style) + "\n").collect()
}
