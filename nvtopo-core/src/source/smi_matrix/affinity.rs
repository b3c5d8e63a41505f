//! What stands beside the matrix: the CPUs, NUMA nodes and memory node of each device.

use super::cell;
use super::columns::{Column, Columns};
use super::table::{AFFINITIES, Matrix};
use crate::cpuset::{CpuSet, NodeSet};
use crate::model::Stated;

/// The affinities of one device.
#[derive(Clone, Debug, Default)]
pub(super) struct Affinity {
    pub(super) cpus: Stated<CpuSet>,
    pub(super) nodes: Stated<NodeSet>,
    pub(super) memory_node: Stated<u32>,
}

/// The affinities of all devices.
pub(super) fn read(matrix: &mut Matrix) -> Vec<Affinity> {
    let mut damages = Vec::new();
    let affinities: Vec<Affinity> = (0..matrix.rows.len())
        .map(|device| Affinity {
            cpus: stated(matrix, device, 0, &mut damages),
            nodes: stated(matrix, device, 1, &mut damages),
            memory_node: match stated::<NodeSet>(matrix, device, 2, &mut damages) {
                Stated::Known(set) if set.len() == 1 => set.first().map_or(Stated::Unreadable, Stated::Known),
                Stated::Known(_) | Stated::Unreadable => Stated::Unreadable,
                Stated::NotAvailable => Stated::NotAvailable,
                Stated::Unstated => Stated::Unstated,
            },
        })
        .collect();
    for damage in damages {
        matrix.damage(damage);
    }
    affinities
}

trait Set: std::str::FromStr {
    fn size(&self) -> usize;
}

impl Set for CpuSet {
    fn size(&self) -> usize {
        self.len()
    }
}

impl Set for NodeSet {
    fn size(&self) -> usize {
        self.len()
    }
}

fn stated<T: Set>(matrix: &Matrix, device: usize, which: usize, damages: &mut Vec<String>) -> Stated<T> {
    let Some(row) = &matrix.rows[device] else { return Stated::Unstated };
    let Some(text) = &row.affinities[which] else { return Stated::Unstated };
    let (name, line) = (matrix.name(device), row.line);
    let heading = ["CPU affinity", "NUMA affinity", "GPU NUMA ID"][which];
    if text == "N/A" {
        return Stated::NotAvailable;
    }
    if text.is_empty() {
        damages.push(format!("the {heading} of {name} in line {line} is empty"));
        return Stated::Unreadable;
    }
    let set = text.parse::<T>().ok().filter(|set| set.size() > 0);
    let Some(set) = set else {
        let shown: String = text.chars().take(40).collect();
        damages.push(format!("the {heading} of {name} in line {line} is damaged: '{shown}'"));
        return Stated::Unreadable;
    };
    if is_cut(matrix, device, which, &set) {
        damages
            .push(format!("the text ends within or after the {heading} of {name} in line {line}: '{text}'"));
        return Stated::Unreadable;
    }
    Stated::Known(set)
}

/// Whether the last thing in a cut text may lack its end. The other rows tell: one that goes on where this one
/// ends, or sets of another size.
fn is_cut<T: Set>(matrix: &Matrix, device: usize, which: usize, set: &T) -> bool {
    let kind =
        |column: usize| matrix.columns.as_ref().and_then(|columns: &Columns| columns.kinds.get(column));
    let tail = matrix.tail.filter(|(tail, _)| *tail == device);
    if tail.and_then(|(_, column)| kind(column)) != Some(&AFFINITIES[which]) {
        return false;
    }
    let text_of = |row: usize| matrix.rows[row].as_ref().and_then(|row| row.affinities[which].as_deref());
    let Some(own) = text_of(device) else { return false };
    let others = || (0..matrix.rows.len()).filter(|row| *row != device).filter_map(text_of);
    // One number may well begin another; a list that ends where another goes on is cut.
    let goes_on =
        |rest: &str| AFFINITIES[which] == Column::Cpus || !matrix.terminated || rest.starts_with(['-', ',']);
    let longer =
        others().filter_map(|other| other.strip_prefix(own)).any(|rest| !rest.is_empty() && goes_on(rest));
    let devices_missing = matrix.nameless || matrix.rows.iter().any(Option::is_none);
    let last_column =
        matrix.columns.as_ref().and_then(|columns| columns.kinds.last()) == Some(&AFFINITIES[which]);
    if !devices_missing && last_column {
        return longer;
    }
    let alike = || {
        others().any(|other| {
            other == own
                || cell::is_list(other) && other.parse::<T>().is_ok_and(|other| other.size() == set.size())
        })
    };
    longer || AFFINITIES[which] == Column::Cpus && !alike()
}
