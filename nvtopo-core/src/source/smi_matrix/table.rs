//! The rows together: a symmetric table, whose halves must agree.
//!
//! [`super::place`] arranges the tokens of a row in cells.

use super::cell::{self, EXPECTED, Word};
use super::columns::{Column, Columns, gpu_index, is_rdma};
use crate::error::{Error, Result};
use crate::source::text::Token;
use crate::units::count_of;
use std::collections::BTreeMap;

/// A cell and its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub(super) word: Word,
    pub(super) line: u32,
    pub(super) column: u32,
}

/// A row that was read.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) line: usize,
    /// By device; `None` where the text was cut.
    pub(super) cells: Vec<Option<Cell>>,
    /// The cells under `CPU Affinity`, `NUMA Affinity` and `GPU NUMA ID`. `None`: the text was cut before it.
    pub(super) affinities: [Option<String>; 3],
    /// All tokens of the row, to distinguish a repetition from a contradiction.
    pub(super) tokens: Vec<String>,
}

/// The columns of [`Row::affinities`].
pub(super) const AFFINITIES: [Column; 3] = [Column::Cpus, Column::Nodes, Column::MemoryNode];

/// The content of the text, row by row.
#[derive(Debug, Default)]
pub(super) struct Matrix {
    pub(super) columns: Option<Columns>,
    pub(super) rows: Vec<Option<Row>>,
    /// The matrix that a command line asks for, where the text shows one: true for that of PCIe alone.
    pub(super) pci_only: Option<bool>,
    /// True if the legend explains `NV#`.
    pub(super) lists_nvlink: bool,
    /// RDMA devices by the names of NICs.
    pub(super) rdma: BTreeMap<String, String>,
    pub(super) damages: Vec<String>,
    more_damages: usize,
    /// True if the last row's line was ended.
    pub(super) terminated: bool,
    /// The device whose row ends the text, and the column of its last token.
    pub(super) tail: Option<(usize, usize)>,
    /// True if columns were left out because no row names them.
    pub(super) nameless: bool,
    wrapped: (usize, usize),
    /// Damaged cells by row and device, which the other half of the matrix must supply.
    pub(super) garbled: Vec<(usize, usize, Token)>,
}

/// The words of all pairs of devices.
#[derive(Debug)]
pub(super) struct Pairs {
    devices: usize,
    words: Vec<Word>,
}

impl Pairs {
    /// Returns the content of the cell of two devices, in either order.
    pub(super) fn word(&self, a: usize, b: usize) -> Word {
        self.words[a * self.devices + b]
    }

    pub(super) fn len(&self) -> usize {
        self.devices
    }

    /// Returns whether any cell has this word.
    pub(super) fn any(&self, test: impl Fn(Word) -> bool) -> bool {
        self.words.iter().any(|word| test(*word))
    }
}

impl Matrix {
    pub(super) fn set_columns(&mut self, columns: Columns) {
        self.rows = columns.names.iter().map(|_| None).collect();
        self.columns = Some(columns);
    }

    /// Remembers damage; beyond a few, only how much.
    pub(super) fn damage(&mut self, text: String) {
        if self.damages.len() < 16 { self.damages.push(text) } else { self.more_damages += 1 }
    }

    pub(super) fn wrapped(&mut self, line: usize) {
        let (count, first) = self.wrapped;
        self.wrapped = (count + 1, if first == 0 { line } else { first });
    }

    /// Returns the damage that was found, as texts.
    pub(super) fn all_damages(&self) -> Vec<String> {
        let mut damages = self.damages.clone();
        let (count, first) = self.wrapped;
        if count > 0 {
            damages.push(format!("rows are broken over two lines or more, first in line {first}"));
        }
        if self.more_damages > 0 {
            damages.push(format!("there is more damage, in {} places", self.more_damages));
        }
        damages
    }

    /// Takes the line of a legend about a NIC.
    pub(super) fn name_nic(&mut self, name: &str, device: &str) {
        let number = self.columns.as_ref().and_then(|columns| columns.number(name));
        let plain = device.starts_with(|c: char| c.is_ascii_alphabetic())
            && device.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
        if number.is_some() && gpu_index(name).is_none() && plain && !cell::is_word(device) {
            self.rdma.entry(name.to_owned()).or_insert_with(|| device.to_owned());
        }
    }

    /// Returns the RDMA device of a NIC: from the legend, or from its own name.
    pub(super) fn rdma_device(&self, name: &str) -> Option<String> {
        self.rdma.get(name).cloned().or_else(|| is_rdma(name).then(|| name.to_owned()))
    }

    /// Leaves out columns without a name: without a header, those whose rows a cut removed.
    pub(super) fn drop_nameless(&mut self) {
        let Some(columns) = &mut self.columns else { return };
        let named: Vec<bool> = columns.names.iter().map(Option::is_some).collect();
        let nameless = named.iter().filter(|named| !**named).count();
        if nameless == 0 {
            return;
        }
        let moved = |device: usize| {
            let before =
                named.get(..device).map_or(0, |before| before.iter().filter(|named| **named).count());
            named.get(device).is_some_and(|named| *named).then_some(before)
        };
        for kind in &mut columns.kinds {
            if let Column::Device(device) = *kind {
                *kind = moved(device).map_or(Column::Other, Column::Device);
            }
        }
        columns.names.retain(Option::is_some);
        keep(&mut self.rows, &named);
        for row in self.rows.iter_mut().flatten() {
            keep(&mut row.cells, &named);
        }
        self.tail = self.tail.and_then(|(row, column)| Some((moved(row)?, column)));
        let garbled = std::mem::take(&mut self.garbled).into_iter();
        self.garbled = garbled.filter_map(|(a, b, token)| Some((moved(a)?, moved(b)?, token))).collect();
        self.nameless = true;
        let columns = count_of(nameless, "column");
        self.damage(format!("without a header, {columns} that no row names are left out"));
    }

    /// Returns both halves of the matrix as one, which must agree.
    pub(super) fn pairs(&mut self) -> Result<Pairs> {
        let devices = self.rows.len();
        for (row, device, token) in &self.garbled {
            let mirror = self.rows[*device].as_ref().and_then(|row_of| row_of.cells[*row]);
            if is_garbled(&token.text) && mirror.is_none() {
                return unknown_word(token);
            }
        }
        let mut words = vec![Word::Unknown; devices * devices];
        let mut dropped = Vec::new();
        for a in 0..devices {
            words[a * devices + a] = Word::Own;
            for b in a + 1..devices {
                let cell = |a: usize, b: usize| self.rows[a].as_ref().and_then(|row| row.cells[b]);
                let word = match (cell(a, b), cell(b, a)) {
                    (Some(one), Some(other)) => self.agree((a, b, one), (b, a, other))?,
                    (Some(only), None) => self.alone(a, b, only, &mut dropped),
                    (None, Some(only)) => self.alone(b, a, only, &mut dropped),
                    (None, None) => Word::Unknown,
                };
                words[a * devices + b] = word;
                words[b * devices + a] = word;
            }
        }
        self.damages.append(&mut dropped);
        Ok(Pairs { devices, words })
    }

    pub(super) fn name(&self, device: usize) -> &str {
        let names = self.columns.as_ref().map(|columns| &columns.names);
        names.and_then(|names| names.get(device)?.as_deref()).unwrap_or("?")
    }

    fn is_tail(&self, row: usize, device: usize) -> bool {
        let kind =
            |column: usize| self.columns.as_ref().and_then(|columns| columns.kinds.get(column).copied());
        self.tail.is_some_and(|(tail, column)| tail == row && kind(column) == Some(Column::Device(device)))
    }

    fn agree(&self, one: (usize, usize, Cell), other: (usize, usize, Cell)) -> Result<Word> {
        let (first, second) = if other.2.line < one.2.line { (other, one) } else { (one, other) };
        match (first.2.word, second.2.word) {
            (a, b) if a == b => Ok(a),
            (Word::Unknown, word) | (word, Word::Unknown) => Ok(word),
            // The text ends within the cell.
            (a, b) if self.is_tail(second.0, second.1) && a.text().starts_with(&b.text()) => Ok(a),
            (a, b) => {
                let (row, column) = (self.name(second.0), self.name(second.1));
                let message = format!(
                    "the matrix is not symmetric: {row} to {column} is {} here, and {} in line {}",
                    b.text(),
                    a.text(),
                    first.2.line
                );
                Err(Error::input(message).at(second.2.line as usize, second.2.column as usize))
            }
        }
    }

    /// Returns a cell without its mirror image. The last digit of `NV12` may be cut off at the end of the text, unless
    /// other cells show the same count and none a longer one.
    fn alone(&self, row: usize, device: usize, cell: Cell, dropped: &mut Vec<String>) -> Word {
        let Word::Nv(_) = cell.word else { return cell.word };
        if !self.is_tail(row, device) {
            return cell.word;
        }
        let own = cell.word.text();
        let rows = self.rows.iter().flatten().flat_map(|row| row.cells.iter().flatten());
        let others = rows.filter(|other| (other.line, other.column) != (cell.line, cell.column));
        let (mut same, mut longer) = (false, false);
        for other in others.filter(|other| matches!(other.word, Word::Nv(_))) {
            let other = other.word.text();
            same |= other == own;
            longer |= other.len() > own.len() && other.starts_with(&own);
        }
        if same && !longer {
            return cell.word;
        }
        dropped.push(format!(
            "the text ends within or after {} in line {}; what it says of {} and {} is left out",
            cell.word.text(),
            cell.line,
            self.name(row),
            self.name(device)
        ));
        Word::Unknown
    }
}

fn keep<T>(list: &mut Vec<T>, kept: &[bool]) {
    let mut flags = kept.iter();
    list.retain(|_| flags.next().is_some_and(|kept| *kept));
}

/// Returns whether some of its characters are lost.
pub(super) fn is_garbled(text: &str) -> bool {
    text.contains(char::REPLACEMENT_CHARACTER)
}

/// Returns the error for a cell that holds no word.
pub(super) fn unknown_word<T>(token: &Token) -> Result<T> {
    let shown: String = token.text.chars().take(24).collect();
    let error = Error::input(format!("unknown word '{shown}' in the matrix")).at(token.line, token.column);
    let p2p = matches!(shown.as_str(), "OK" | "CNS" | "GNS" | "TNS" | "NS" | "U" | "DR");
    Err(error.help(if p2p { "this is 'topo -p2p'; the text of 'topo -m' is wanted" } else { EXPECTED }))
}
