//! Bandwidths between GPUs as benchmarks print them: NVIDIA's `nvbandwidth` and `p2pBandwidthLatencyTest`.
//!
//! Only what one direction carries between two GPUs is read; figures of both directions at once, of several GPUs together,
//! of latency, and of a GPU with itself are passed over. Such a text says nothing of the machine but its GPUs: it is laid
//! over another source.

mod nvbandwidth;
mod p2p_test;

use crate::error::{Error, Result};
use crate::ids::PciAddress;
use crate::model::{Fragment, Gpu, MAX_DEVICES, NodeId, NodeKind, NoteKind, Provenance};
use crate::source::Input;
use crate::units::Bandwidth;
use std::collections::BTreeMap;

pub(super) use nvbandwidth::{NvBandwidth, NvBandwidthJson};
pub(super) use p2p_test::P2pTest;

/// Which way the data of a matrix goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    FromRow,
    ToRow,
}

/// What a benchmark calls a GPU.
#[derive(Default)]
struct Device {
    model: Option<String>,
    address: Option<PciAddress>,
}

/// What a benchmark told.
#[derive(Default)]
struct Measurements {
    devices: BTreeMap<u32, Device>,
    /// From one GPU to another.
    figures: BTreeMap<(u32, u32), Bandwidth>,
}

impl Measurements {
    /// A cell of a matrix. Of several figures for a direction the greatest counts.
    fn add(&mut self, direction: Direction, row: u32, column: u32, bandwidth: Bandwidth) {
        // Beyond this the GPUs are too many, which is refused once all is read.
        if row == column || self.figures.len() >= MAX_DEVICES * MAX_DEVICES {
            return;
        }
        let pair = match direction {
            Direction::FromRow => (row, column),
            Direction::ToRow => (column, row),
        };
        let best = self.figures.entry(pair).or_insert(bandwidth);
        *best = bandwidth.max(*best);
    }

    /// Errors without a place where there is nothing, or more than a machine has.
    fn fragment(mut self) -> Result<Fragment> {
        if self.figures.is_empty() {
            return Err(Error::input("no bandwidth from one GPU to another is in it"));
        }
        for (from, to) in self.figures.keys() {
            self.devices.entry(*from).or_default();
            self.devices.entry(*to).or_default();
        }
        if self.devices.len() > MAX_DEVICES {
            return Err(Error::input(format!("it names more than {MAX_DEVICES} GPUs")));
        }
        let mut fragment = Fragment::new(Provenance::Measurement);
        fragment.set_nvlink_unknown();
        if self.devices.values().any(|device| device.address.is_none()) {
            let text = "the benchmark does not tell where its GPUs are; its numbers were taken for those of nvidia-smi";
            fragment.note(NoteKind::Inferred, text);
        }
        let mut nodes: BTreeMap<u32, NodeId> = BTreeMap::new();
        for (index, Device { model, address }) in self.devices {
            let gpu = Gpu { index, model, address, ..Gpu::default() };
            nodes.insert(index, fragment.add(NodeId::MACHINE, NodeKind::Gpu(Box::new(gpu))));
        }
        for ((from, to), bandwidth) in &self.figures {
            fragment.measure(nodes[from], nodes[to], *bandwidth);
        }
        let pairs = nodes.len() * (nodes.len() - 1);
        if self.figures.len() < pairs {
            let missing = pairs - self.figures.len();
            let text = format!("{missing} of {pairs} directions between GPUs were not measured");
            fragment.note(NoteKind::Unknown, text);
        }
        Ok(fragment)
    }
}

/// What a line of a text begins.
enum Line {
    /// A matrix of these figures. `one_row`: it may consist of one row.
    Matrix {
        direction: Direction,
        one_row: bool,
    },
    /// A matrix of others.
    Other,
    Gpu(u32, Device),
    /// Nothing: it may be a part of a matrix.
    More,
}

/// Reads every matrix whose heading is told to be one.
fn read(input: Input<'_>, mut begins: impl FnMut(&str) -> Line) -> Result<Fragment> {
    let Input::Text { bytes, .. } = input else {
        return Err(Error::input("a directory holds no measurement"));
    };
    let text = String::from_utf8_lossy(bytes);
    let mut told = Measurements::default();
    let mut open: Option<Matrix> = None;
    for (index, line) in text.lines().enumerate() {
        let next = match begins(line) {
            Line::More => {
                let Some(matrix) = &mut open else { continue };
                if matrix.line(line, index + 1)? {
                    continue;
                }
                None
            }
            Line::Gpu(number, device) => {
                told.devices.insert(number, device);
                continue;
            }
            Line::Matrix { direction, one_row } => Some(Matrix { direction, one_row, ..Matrix::default() }),
            Line::Other => None,
        };
        if let Some(matrix) = std::mem::replace(&mut open, next) {
            matrix.tell(&mut told);
        }
    }
    if let Some(matrix) = open {
        matrix.tell(&mut told);
    }
    told.fragment().map_err(|error| error.at(text.lines().count().max(1), 1))
}

/// A matrix under its heading.
struct Matrix {
    direction: Direction,
    one_row: bool,
    columns: Option<Vec<u32>>,
    rows: usize,
    /// Row, column, figure.
    cells: Vec<(u32, u32, Bandwidth)>,
}

impl Default for Matrix {
    fn default() -> Self {
        Self { direction: Direction::FromRow, one_row: true, columns: None, rows: 0, cells: Vec::new() }
    }
}

impl Matrix {
    /// Takes a line; `false` where the matrix has ended.
    fn line(&mut self, line: &str, number: usize) -> Result<bool> {
        let mut words = line.split_whitespace().filter(|word| *word != "D\\D" && *word != "#").peekable();
        if words.peek().is_none() {
            // A blank line before the header is nothing; after rows it ends them.
            return Ok(self.columns.is_none());
        }
        let Some(columns) = &self.columns else {
            self.columns = words.take(MAX_DEVICES).map(|word| word.parse().ok()).collect();
            return Ok(self.columns.is_some());
        };
        let row = words.next().and_then(|word| word.parse::<u32>().ok());
        let Some(row) = row.filter(|_| self.rows < MAX_DEVICES) else { return Ok(false) };
        let cells: Vec<&str> = words.collect();
        if cells.len() > columns.len() {
            let (cells, columns) = (cells.len(), columns.len());
            return Err(Error::input(format!("the row {row} has {cells} cells under {columns} columns"))
                .at(number, 1));
        }
        for (column, cell) in columns.iter().zip(cells).filter(|(column, _)| **column != row) {
            let figure = figure(cell).map_err(|error| error.at(number, column_of(line, cell)))?;
            self.cells.extend(figure.map(|bandwidth| (row, *column, bandwidth)));
        }
        self.rows += 1;
        Ok(true)
    }

    fn tell(self, told: &mut Measurements) {
        let columns = self.columns.map_or(0, |columns| columns.len());
        if self.one_row || self.rows > 1 || columns < 2 {
            for (row, column, bandwidth) in self.cells {
                told.add(self.direction, row, column, bandwidth);
            }
        }
    }
}

/// A figure in GB/s; none for `N/A`, and for the 0 that older benchmarks print instead.
fn figure(cell: &str) -> Result<Option<Bandwidth>> {
    if cell == "N/A" {
        return Ok(None);
    }
    let number = cell.parse::<f64>().ok().filter(|number| (0.0..1e6).contains(number));
    let number = number
        .ok_or_else(|| Error::input(format!("'{cell}' is not a bandwidth")).help("expected GB/s or N/A"))?;
    Ok(Some(Bandwidth::from_gb_per_s(number)).filter(|bandwidth| *bandwidth > Bandwidth::ZERO))
}

fn column_of(line: &str, cell: &str) -> usize {
    line.find(cell).map_or(1, |at| line[..at].chars().count() + 1)
}

fn contains(input: Input<'_>, words: &str) -> bool {
    let Input::Text { bytes, .. } = input else { return false };
    bytes.windows(words.len()).any(|window| window == words.as_bytes())
}
