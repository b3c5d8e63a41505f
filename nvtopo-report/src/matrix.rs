//! The matrix of paths for a page: blocks that fit on paper, with a legend that counts the pairs.

use crate::table::text;
use nvtopo::model::Pair;
use nvtopo::{PathType, Topology};
use nvtopo_draw::words;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;

/// The columns of a block.
const COLUMNS: usize = 20;
/// The most columns of a block, and the most letters of their names together, with which names lie flat on paper.
const FLAT: (usize, usize) = (12, 96);
/// The most cells of the part of GPUs, and of that of NICs, of which the nearest stand with each GPU too.
const MOST_CELLS: usize = 8000;
const MOST_OF_NICS: usize = 1200;
/// The most characters of a name at a row or column.
const LONGEST_NAME: usize = 24;
/// The most GPUs whose pairs are shown one by one though all are alike.
const FEW: usize = 16;

/// Returns the matrix: GPUs by GPUs, then by NICs. Rows of NICs would only repeat it, transposed.
pub(crate) fn html(topology: &Topology) -> String {
    let (gpus, devices) = (topology.gpus().len(), topology.devices().len());
    if gpus == 0 {
        return "<p>There is no GPU, and the matrix is of paths between GPUs and from them to NICs.</p>"
            .to_owned();
    }
    let mut html = String::new();
    if gpus > FEW && all_alike(topology) {
        let _ = write!(html, "<p>All {} pairs of GPUs are alike: see below.</p>", gpus * (gpus - 1) / 2);
    } else {
        html += &blocks(topology, 0..gpus, "GPUs", MOST_CELLS);
    }
    html += &blocks(topology, gpus..devices, "NICs", MOST_OF_NICS);
    let measured = measured(topology);
    let measured = measured.map_or_else(String::new, |words| format!("<p>{words}</p>"));
    html + &legend(topology) + &measured
}

fn all_alike(topology: &Topology) -> bool {
    let first = topology.pairs().pair(0, 1);
    let gpus = topology.gpus().len();
    (0..gpus).all(|a| (0..a).all(|b| key(topology.pairs().pair(a, b)) == key(first)))
}

fn key(pair: Pair) -> (Option<PathType>, u16) {
    (pair.path, pair.nvlinks)
}

/// Returns the rows of all GPUs with some columns, some of them at a time.
fn blocks(topology: &Topology, columns: Range<usize>, what: &str, most: usize) -> String {
    let rows = topology.gpus().len();
    if columns.is_empty() {
        return String::new();
    }
    if rows * columns.len() > most {
        return format!(
            "<p>The paths from {rows} GPUs to {} {what} are too many for this page: nvtopo show --format json has them.</p>",
            columns.len()
        );
    }
    let name = |device: usize| {
        let name = topology.device_name(device);
        let whole = name.chars().count() <= LONGEST_NAME;
        if whole { name } else { name.chars().take(LONGEST_NAME - 1).chain(['…']).collect() }
    };
    let names: Vec<String> = (0..topology.devices().len()).map(|device| text(&name(device))).collect();
    let all: Vec<usize> = columns.collect();
    let mut html = String::new();
    for block in all.chunks(COLUMNS) {
        let letters: usize = block.iter().map(|column| names[*column].len()).sum();
        let upright = block.len() > FLAT.0 || letters > FLAT.1;
        let class = if upright { "cells upright" } else { "cells" };
        let _ = write!(
            html,
            "<div class=\"scroll fit\" tabindex=\"0\" role=\"region\" aria-label=\"Paths to {what}\"><table class=\"{class}\"><thead><tr><td></td>"
        );
        for column in block {
            let _ = write!(html, "<th scope=\"col\"><span>{}</span></th>", names[*column]);
        }
        html += "</tr></thead><tbody>";
        for (row, name) in names.iter().enumerate().take(rows) {
            let _ = write!(html, "<tr><th scope=\"row\">{name}</th>");
            for column in block {
                let pair = topology.pairs().pair(row, *column);
                let _ = write!(html, "<td class=\"{}\">{}</td>", class_of(pair.path), word(topology, pair));
            }
            html += "</tr>";
        }
        html += "</tbody></table></div>";
    }
    html
}

fn word(topology: &Topology, pair: Pair) -> String {
    pair.word(topology.dialect()).unwrap_or_else(|| "?".to_owned())
}

/// Returns the class of a cell, whose colour the style of all pages says.
fn class_of(path: Option<PathType>) -> String {
    path.map_or_else(|| "p-none".to_owned(), |path| format!("p-{}", path.word().to_lowercase()))
}

/// Returns the kinds of pairs with their meaning and number.
fn legend(topology: &Topology) -> String {
    let gpus = topology.gpus().len();
    let mut counts: BTreeMap<(Option<PathType>, u16), (usize, usize)> = BTreeMap::new();
    for a in 0..gpus {
        for b in a + 1..topology.devices().len() {
            let count = counts.entry(key(topology.pairs().pair(a, b))).or_default();
            *(if b < gpus { &mut count.0 } else { &mut count.1 }) += 1;
        }
    }
    let mut html = "<ul class=\"legend\">".to_owned();
    for (path, nvlinks, word, meaning) in words::legend(topology) {
        let (pairs, to_nics) = counts.get(&(path, nvlinks)).copied().unwrap_or_default();
        let pairs = (pairs > 0).then(|| format!("{pairs} GPU–GPU pairs"));
        let to_nics = (to_nics > 0).then(|| format!("{to_nics} GPU–NIC pairs"));
        let counted: Vec<String> = pairs.into_iter().chain(to_nics).collect();
        let _ = write!(
            html,
            "<li><span class=\"{}\">{word}</span> {} <span class=\"hint\">· {}</span></li>",
            class_of(path),
            text(&meaning),
            counted.join(", ")
        );
    }
    html + "</ul>"
}

/// Returns the words on measured bandwidths. `None`: none were measured.
fn measured(topology: &Topology) -> Option<String> {
    let rates = topology.measurements().iter().map(|own| own.bandwidth);
    let (least, most) = (rates.clone().min()?, rates.max()?);
    Some(format!("Measured in {} directions: {least} to {most}.", topology.measurements().len()))
}
