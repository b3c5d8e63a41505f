//! The columns beside the matrix: the CPUs, NUMA nodes and memory node of each device.

use super::columns::{Column, Columns};
use super::table::{AFFINITIES, Matrix};
use super::{LISTED, cell, nodes};
use crate::cpuset::{CpuSet, NodeSet};
use crate::model::{Note, NoteCode, Stated};
use crate::units::listed;
use std::collections::BTreeMap;
use std::str::FromStr;

/// The affinities of one device.
#[derive(Clone, Debug, Default)]
pub(super) struct Affinity {
    pub(super) cpus: Stated<CpuSet>,
    pub(super) nodes: Stated<NodeSet>,
    pub(super) memory_node: Stated<u32>,
}

/// Returns the affinities of all devices, and the notes on them beside damage.
pub(super) fn read(matrix: &mut Matrix) -> (Vec<Affinity>, Vec<Note>) {
    let mut findings = AffinityNotes { long_lists: has_long_lists(matrix), ..AffinityNotes::default() };
    let mut affinities: Vec<Affinity> = (0..matrix.rows.len())
        .map(|device| Affinity {
            cpus: stated(matrix, device, 0, CpuSet::len, &mut findings),
            nodes: stated(matrix, device, 1, NodeSet::len, &mut findings),
            memory_node: match stated(matrix, device, 2, NodeSet::len, &mut findings) {
                Stated::Known(set) if set.len() == 1 => set.first().map_or(Stated::Unreadable, Stated::Known),
                Stated::Known(_) | Stated::Unreadable => Stated::Unreadable,
                Stated::NotAvailable => Stated::NotAvailable,
                Stated::Unstated => Stated::Unstated,
            },
        })
        .collect();
    let gaps = findings.gaps();
    for damage in findings.damages {
        matrix.damage(damage);
    }
    let concluded = nodes::with_cpus(&mut affinities, |device| matrix.name(device).to_owned());
    (affinities, gaps.into_iter().chain(concluded).collect())
}

/// The number of entries after which nvidia-smi stops a list of CPUs, without a sign.
///
/// Source: texts of drivers R470 to R610, beside which `lscpu` shows more CPUs.
const MOST_ENTRIES: usize = 6;

/// Returns whether a list has more entries than nvidia-smi prints: then something else made the text, and its lists are
/// whole.
fn has_long_lists(matrix: &Matrix) -> bool {
    let lists = matrix.rows.iter().flatten().filter_map(|row| row.affinities[0].as_deref());
    lists.map(entries).any(|entries| entries > MOST_ENTRIES)
}

fn entries(list: &str) -> usize {
    list.split(',').count()
}

/// The notes on the affinities.
#[derive(Default)]
struct AffinityNotes {
    damages: Vec<String>,
    long_lists: bool,
    /// By the list that was not finished, the devices.
    stopped: BTreeMap<String, Vec<String>>,
    /// The devices whose CPU affinity and whose NUMA affinity is empty.
    empty: [Vec<String>; 2],
}

impl AffinityNotes {
    fn gaps(&self) -> Vec<Note> {
        let mut gaps = Vec::new();
        let lists: Vec<String> = self
            .stopped
            .iter()
            .map(|(list, names)| format!("near to {} at least {list}", listed(names, LISTED)))
            .collect();
        if !lists.is_empty() {
            let text = format!(
                "nvidia-smi stops a list of CPUs after six entries, so that there may be more: {}",
                listed(&lists, LISTED)
            );
            gaps.push(Note::new(NoteCode::CpuListTruncated, text));
        }
        let empty = [
            (
                NoteCode::CpusUnknown,
                "the CPU affinity is empty, as where a process may use none of the CPUs near to the GPU",
            ),
            (NoteCode::NumaUnknown, "the NUMA affinity is empty"),
        ];
        for ((code, text), names) in empty.into_iter().zip(&self.empty) {
            if !names.is_empty() {
                gaps.push(Note::new(code, format!("{text}: {}", listed(names, LISTED))));
            }
        }
        gaps
    }
}

/// Returns what a cell says. `size` counts the numbers of a set.
fn stated<T: FromStr>(
    matrix: &Matrix,
    device: usize,
    which: usize,
    size: fn(&T) -> usize,
    findings: &mut AffinityNotes,
) -> Stated<T> {
    let Some(row) = &matrix.rows[device] else { return Stated::Unstated };
    let Some(text) = &row.affinities[which] else { return Stated::Unstated };
    let (name, line) = (matrix.name(device), row.line);
    let heading = ["CPU affinity", "NUMA affinity", "GPU NUMA ID"][which];
    if text == "N/A" {
        return Stated::NotAvailable;
    }
    if text.is_empty() {
        match findings.empty.get_mut(which) {
            // The driver leaves out the CPUs that the process may not use, and the nodes.
            Some(empty) => empty.push(name.to_owned()),
            None => findings.damages.push(format!("the {heading} of {name} in line {line} is empty")),
        }
        return Stated::Unreadable;
    }
    let set = text.parse::<T>().ok().filter(|set| size(set) > 0);
    let Some(set) = set else {
        let shown: String = text.chars().take(40).collect();
        findings.damages.push(format!("the {heading} of {name} in line {line} is damaged: '{shown}'"));
        return Stated::Unreadable;
    };
    let as_large = |other: &str| other.parse::<T>().is_ok_and(|other| size(&other) == size(&set));
    if is_cut(matrix, device, which, as_large) {
        findings
            .damages
            .push(format!("the text ends within or after the {heading} of {name} in line {line}: '{text}'"));
        return Stated::Unreadable;
    }
    if which == 0 && entries(text) == MOST_ENTRIES && !findings.long_lists {
        findings.stopped.entry(text.clone()).or_default().push(name.to_owned());
        return Stated::Unreadable;
    }
    Stated::Known(set)
}

/// Returns whether the last set in a cut text may lack its end. The other rows decide: one that continues where this
/// one ends, or sets of another size. Without them it is unknown.
fn is_cut(matrix: &Matrix, device: usize, which: usize, as_large: impl Fn(&str) -> bool) -> bool {
    let kind =
        |column: usize| matrix.columns.as_ref().and_then(|columns: &Columns| columns.kinds.get(column));
    let tail = matrix.tail.filter(|(tail, _)| *tail == device);
    if tail.and_then(|(_, column)| kind(column)) != Some(&AFFINITIES[which]) {
        return false;
    }
    let text_of = |row: usize| matrix.rows[row].as_ref().and_then(|row| row.affinities[which].as_deref());
    let Some(own) = text_of(device) else { return false };
    let others: Vec<&str> = (0..matrix.rows.len())
        .filter(|row| *row != device)
        .filter_map(text_of)
        .filter(|other| cell::is_list(other) && *other != "N/A")
        .collect();
    // One number may well begin another; a list that ends where another continues is cut.
    let goes_on =
        |rest: &str| AFFINITIES[which] == Column::Cpus || !matrix.terminated || rest.starts_with(['-', ',']);
    let longer = |other: &&str| other.strip_prefix(own).is_some_and(|rest| !rest.is_empty() && goes_on(rest));
    if others.iter().any(longer) {
        return true;
    }
    let devices_missing = matrix.nameless || matrix.rows.iter().any(Option::is_none);
    let last_column =
        matrix.columns.as_ref().and_then(|columns| columns.kinds.last()) == Some(&AFFINITIES[which]);
    let (whole_row, number) = (!devices_missing && last_column, |text: &str| text.parse::<u32>().is_ok());
    if others.is_empty() {
        return !whole_row;
    }
    if whole_row && matrix.terminated {
        // The line was ended, which a cut does not do; what was added to a cut text afterwards may have.
        return number(own) && !others.iter().any(|other| number(other))
            || others.iter().all(|other| entries(other) > entries(own));
    }
    // Each GPU's memory is a node of its own, and their numbers have nothing in common.
    if AFFINITIES[which] == Column::MemoryNode {
        return others.contains(&own) || others.iter().any(|other| other.len() > own.len());
    }
    !others.iter().any(|other| *other == own || as_large(other))
}
