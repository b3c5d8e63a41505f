//! Bandwidths as benchmarks print them: NVIDIA's `nvbandwidth` and `p2pBandwidthLatencyTest` between GPUs, and
//! `perftest` of network adapters.
//!
//! Only bandwidths of one direction between two GPUs are read; figures of both directions at once, of several GPUs
//! together, of several machines, of latency, and of a GPU with itself are skipped. A note names results without a
//! figure. Such a text has no facts of the machine but its GPUs, so it is merged with another source.

mod nvbandwidth;
mod p2p_test;
mod perftest;

use super::text;
use crate::error::{Error, Result};
use crate::ids::PciAddress;
use crate::model::{Fragment, Gpu, MAX_DEVICES, NodeId, NoteCode, NoteKind, P2p, P2pStatus, Provenance};
use crate::units::{Bandwidth, several};
use std::collections::{BTreeMap, BTreeSet};

pub(super) use nvbandwidth::{NvBandwidth, NvBandwidthJson, without_matrix};
pub(super) use p2p_test::P2pTest;
pub(super) use perftest::Perftest;

/// The direction of the data of a matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    FromRow,
    ToRow,
}

/// A GPU as a benchmark names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Device {
    model: Option<String>,
    address: Option<PciAddress>,
}

/// The most results without a figure that are named.
const MAX_LEFT_OUT: usize = 16;

/// Results of one benchmark.
#[derive(Default)]
struct Measurements {
    /// The benchmark, for messages.
    benchmark: &'static str,
    devices: BTreeMap<u32, Device>,
    /// The bandwidths from one GPU to another.
    figures: BTreeMap<(u32, u32), Bandwidth>,
    /// The pairs of GPUs, each with true if the first can access the memory of the second.
    access: BTreeMap<(u32, u32), bool>,
    /// The reasons of results that give no figure of one direction, first those that are worth a note beside figures.
    left_out: BTreeSet<LeftOut>,
    /// The pairs whose figure is printed as 0.
    zeros: BTreeSet<(u32, u32)>,
    /// True if two statements contradict each other, as in the output of runs on two machines.
    contradicts: bool,
}

/// A result that gives no figure of one direction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LeftOut {
    /// True if it matters only where there are no figures; others are noted beside them.
    minor: bool,
    /// The reason, with the name of the test.
    why: String,
}

impl LeftOut {
    fn new(why: impl Into<String>, noted: bool) -> Self {
        Self { minor: !noted, why: why.into() }
    }
}

impl Measurements {
    fn new(benchmark: &'static str) -> Self {
        Self { benchmark, ..Self::default() }
    }

    fn leave_out(&mut self, result: LeftOut) {
        self.left_out.insert(result);
        if self.left_out.len() > MAX_LEFT_OUT {
            self.left_out.pop_last();
        }
    }

    /// Returns the reasons why there is no figure: those that deserve a note, else the others.
    fn reasons(&self) -> Option<String> {
        let minor = self.left_out.first()?.minor;
        let reasons = self.left_out.iter().filter(|own| own.minor == minor);
        let reasons: Vec<&str> = reasons.map(|own| own.why.as_str()).take(4).collect();
        Some(reasons.join("; "))
    }

    /// Adds a cell of a matrix. Of several figures for a direction the greatest counts.
    fn add(&mut self, direction: Direction, row: u32, column: u32, bandwidth: Bandwidth) {
        // Beyond this the GPUs are too many, which is refused once all is read.
        if row == column || self.figures.len() + self.zeros.len() >= MAX_DEVICES * MAX_DEVICES {
            return;
        }
        let pair = match direction {
            Direction::FromRow => (row, column),
            Direction::ToRow => (column, row),
        };
        // Some benchmarks print 0 where they measured nothing; a link that hangs has it too.
        if bandwidth == Bandwidth::ZERO {
            self.zeros.insert(pair);
            return;
        }
        let best = self.figures.entry(pair).or_insert(bandwidth);
        *best = bandwidth.max(*best);
    }

    /// Records whether one GPU can access another; the first statement about a pair counts.
    fn can_access(&mut self, from: u32, to: u32, can: bool) {
        if from != to && self.access.len() < MAX_DEVICES * MAX_DEVICES {
            let stated = *self.access.entry((from, to)).or_insert(can);
            self.contradicts |= stated != can;
        }
    }

    /// Records a GPU; the last statement counts.
    fn name(&mut self, number: u32, device: Device) {
        self.contradicts |= self.devices.get(&number).is_some_and(|before| *before != device);
        self.devices.insert(number, device);
    }

    /// Numbers the GPUs by their PCI addresses, as `nvidia-smi` does, where these are known: CUDA counts the fastest first, and those
    /// that a process sees. Returns whether a number changed.
    fn number_by_address(&mut self) -> bool {
        let addresses = self.devices.iter().map(|(number, device)| Some((device.address?, *number)));
        let Some(by_address) = addresses.collect::<Option<BTreeMap<_, _>>>() else { return false };
        if by_address.len() < self.devices.len() || by_address.values().is_sorted() {
            return false;
        }
        let places: BTreeMap<u32, u32> = by_address.into_values().zip(0..).collect();
        let pair = |(from, to): (u32, u32)| Some((*places.get(&from)?, *places.get(&to)?));
        let devices = std::mem::take(&mut self.devices).into_iter();
        self.devices = devices.filter_map(|(number, own)| Some((*places.get(&number)?, own))).collect();
        let figures = std::mem::take(&mut self.figures).into_iter();
        self.figures = figures.filter_map(|(key, own)| Some((pair(key)?, own))).collect();
        let access = std::mem::take(&mut self.access).into_iter();
        self.access = access.filter_map(|(key, own)| Some((pair(key)?, own))).collect();
        self.zeros = self.zeros.iter().filter_map(|key| pair(*key)).collect();
        true
    }

    /// Takes the pairs whose figure is 0 in both directions, as far as they are told, to carry nothing though they may access each
    /// other, and notes them: by an assumed rate they would win against pairs that carry data.
    fn count_zeros(&mut self, fragment: &mut Fragment) {
        let barred = |pair: &(u32, u32)| self.access.get(pair) == Some(&false);
        let carries = |pair: &(u32, u32)| self.figures.contains_key(pair);
        let mut zeros = std::mem::take(&mut self.zeros);
        zeros.retain(|(a, b)| [(*a, *b), (*b, *a)].iter().all(|pair| !carries(pair) && !barred(pair)));
        let pairs: BTreeSet<(u32, u32)> = zeros.iter().map(|(a, b)| (*a.min(b), *a.max(b))).collect();
        let names: Vec<String> = pairs.iter().map(|(a, b)| format!("GPU{a} and GPU{b}")).collect();
        if !names.is_empty() && !self.figures.is_empty() {
            let text = format!(
                "the benchmark prints 0 GB/s for {}, which are taken to carry nothing: their links may hang, or have no path",
                several(&names)
            );
            fragment.note(NoteCode::NotMeasured, text);
            self.figures.extend(zeros.into_iter().map(|pair| (pair, Bandwidth::ZERO)));
        }
    }

    /// Errors without a place where there is nothing, or more than a machine has.
    fn fragment(mut self) -> Result<Fragment> {
        // The GPUs are listed before the first test: without a trace of one, the list may be cut.
        let is_listed = !self.devices.is_empty() && !self.left_out.is_empty();
        if self.figures.is_empty() && self.access.is_empty() && !is_listed {
            let text = format!("no bandwidth from one GPU to another is in the output of {}", self.benchmark);
            let text = self.reasons().map_or(text.clone(), |why| format!("{text}: {why}"));
            return Err(Error::input(text).help(ONE_WAY));
        }
        for (from, to) in self.figures.keys().chain(self.access.keys()).chain(&self.zeros) {
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
        if self.number_by_address() {
            let text = "the benchmark counts its GPUs as CUDA does; they are numbered by their PCI addresses, as nvidia-smi numbers \
                        them where it shows no others";
            fragment.note(NoteKind::Inferred, text);
        }
        if self.contradicts {
            let text = "the text holds runs that contradict each other, perhaps of several machines; of several figures for one \
                        direction the greatest counts";
            fragment.note(NoteKind::Conflict, text);
        }
        self.count_zeros(&mut fragment);
        let mut nodes: BTreeMap<u32, NodeId> = BTreeMap::new();
        for (index, Device { model, address }) in std::mem::take(&mut self.devices) {
            let gpu = Gpu { index, model, address, ..Gpu::default() };
            nodes.insert(index, fragment.add(NodeId::MACHINE, gpu));
        }
        for ((from, to), bandwidth) in &self.figures {
            fragment.measure(nodes[from], nodes[to], *bandwidth);
        }
        state_access(&mut fragment, &nodes, &self.access);
        let pairs = nodes.len() * (nodes.len() - 1);
        // Where there are no figures, one note names the reasons.
        for own in self.left_out.iter().filter(|own| !own.minor && !self.figures.is_empty()) {
            fragment.note(NoteKind::Unknown, format!("{}: {}", self.benchmark, own.why));
        }
        if self.figures.is_empty() {
            let why = self.reasons().map_or(String::new(), |why| format!(": {why}"));
            fragment.note(
                NoteCode::NotMeasured,
                format!("the output of {} holds no bandwidth from one GPU to another{why}", self.benchmark),
            );
        } else if self.figures.len() < pairs {
            let missing = pairs - self.figures.len();
            let text = format!("{missing} of {pairs} directions between GPUs were not measured");
            fragment.note(NoteCode::NotMeasured, text);
        }
        Ok(fragment)
    }
}

/// States what the benchmark says of access between GPUs: that of loads and stores alike.
fn state_access(fragment: &mut Fragment, nodes: &BTreeMap<u32, NodeId>, access: &BTreeMap<(u32, u32), bool>) {
    let mut uneven = 0;
    let pairs: BTreeSet<(u32, u32)> = access.keys().map(|(a, b)| (*a.min(b), *a.max(b))).collect();
    for (a, b) in pairs {
        let (there, back) = (access.get(&(a, b)), access.get(&(b, a)));
        uneven += usize::from(there.is_some() && back.is_some() && there != back);
        let status = match there.or(back) {
            Some(true) => P2pStatus::Ok,
            _ => P2pStatus::NotSupported,
        };
        let (a, b) = (nodes[&a], nodes[&b]);
        fragment.state_p2p(P2p {
            a,
            b,
            read: Some(status),
            write: Some(status),
            nvlink: None,
            atomics: None,
        });
    }
    if uneven > 0 {
        let text = format!(
            "{uneven} pairs can access each other in one direction only; that of the GPU with the lower number was taken"
        );
        fragment.note(NoteKind::Conflict, text);
    }
}

/// Advice where no figure is of use.
const ONE_WAY: &str = "nvtopo reads copies from one GPU to one other in one direction: nvbandwidth -t \
                       device_to_device_memcpy_read_ce, or p2pBandwidthLatencyTest";

/// The content of a matrix.
#[derive(Clone)]
enum Content {
    /// Figures of one direction.
    Figures(Direction),
    /// Access of the row's GPU to the memory of the column's: 1 or 0.
    Access,
    /// Others.
    Other(LeftOut),
}

/// A line of a text.
enum Line {
    /// The start of a matrix. `one_row`: the matrix may consist of one row.
    Matrix {
        content: Content,
        one_row: bool,
    },
    /// The name of the test whose matrix stands before it; without a matrix there are no figures of it.
    Test {
        content: Content,
        without: LeftOut,
    },
    /// The start of something else, which may be a result without a figure.
    Other(Option<LeftOut>),
    Gpu(u32, Device),
    /// The statement whether one GPU can access the memory of another.
    Access((u32, u32), bool),
    /// Any other line, which may be a part of a matrix.
    More,
}

/// Reads every matrix that its heading, or a line after it, identifies as one.
fn read(bytes: &[u8], benchmark: &'static str, mut begins: impl FnMut(&str) -> Line) -> Result<Fragment> {
    let (text, _) = text::decode(bytes);
    let mut measurements = Measurements::new(benchmark);
    let mut last: Option<Matrix> = None;
    for (index, line) in text.lines().enumerate() {
        let line = untagged(line);
        let next = match begins(line) {
            Line::More => {
                let open = last.as_mut().filter(|matrix| matrix.open);
                if let Some(matrix) = open {
                    // A later line may still name its test.
                    matrix.open = matrix.line(line, index + 1)?;
                }
                continue;
            }
            Line::Gpu(number, device) => {
                measurements.name(number, device);
                continue;
            }
            Line::Access((from, to), can) => {
                measurements.can_access(from, to, can);
                continue;
            }
            Line::Test { content, without } => {
                match last.take() {
                    Some(matrix) => Matrix { content, one_row: true, ..matrix }.add_to(&mut measurements),
                    None => measurements.leave_out(without),
                }
                continue;
            }
            Line::Matrix { content, one_row } => Some(Matrix::new(content, one_row)),
            Line::Other(why) => {
                if let Some(why) = why {
                    measurements.leave_out(why);
                }
                None
            }
        };
        if let Some(matrix) = std::mem::replace(&mut last, next) {
            matrix.add_to(&mut measurements);
        }
    }
    if let Some(matrix) = last {
        matrix.add_to(&mut measurements);
    }
    measurements.fragment().map_err(|error| error.at(text.lines().count().max(1), 1))
}

/// Returns a line without the mark of where it comes from that `kubectl logs --prefix` and `mpirun --tag-output` put
/// before it.
fn untagged(line: &str) -> &str {
    let Some((mark, rest)) = line.trim_start().strip_prefix('[').and_then(|rest| rest.split_once(']')) else {
        return line;
    };
    let is_mark = mark.starts_with("pod/") || mark.bytes().all(|byte| byte.is_ascii_digit() || byte == b',');
    let rest = rest.strip_prefix("<stdout>:").unwrap_or(rest);
    if is_mark { rest } else { line }
}

/// A matrix under its heading.
struct Matrix {
    content: Content,
    one_row: bool,
    /// True if the next line can be a part of it.
    open: bool,
    columns: Option<Vec<u32>>,
    rows: usize,
    /// Row, column, figure.
    cells: Vec<(u32, u32, Bandwidth)>,
    /// Row, column, and whether the one can access the other.
    access: Vec<(u32, u32, bool)>,
}

impl Matrix {
    fn new(content: Content, one_row: bool) -> Self {
        let (cells, access) = (Vec::new(), Vec::new());
        Self { content, one_row, open: true, columns: None, rows: 0, cells, access }
    }

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
            if matches!(self.content, Content::Access) {
                // Other cells have no meaning.
                let can = [("1", true), ("0", false)].into_iter().find(|(word, _)| *word == cell);
                self.access.extend(can.map(|(_, can)| (row, *column, can)));
                continue;
            }
            let figure = figure(cell).map_err(|error| error.at(number, column_of(line, cell)))?;
            self.cells.extend(figure.map(|bandwidth| (row, *column, bandwidth)));
        }
        self.rows += 1;
        Ok(true)
    }

    fn add_to(self, measurements: &mut Measurements) {
        let direction = match self.content {
            Content::Figures(direction) => direction,
            Content::Access => {
                for (row, column, can) in self.access {
                    measurements.can_access(row, column, can);
                }
                return;
            }
            Content::Other(why) => return measurements.leave_out(why),
        };
        let columns = self.columns.map_or(0, |columns| columns.len());
        if self.one_row || self.rows > 1 || columns < 2 {
            for (row, column, bandwidth) in self.cells {
                measurements.add(direction, row, column, bandwidth);
            }
        }
    }
}

/// Returns a figure in GB/s; none for `N/A`.
fn figure(cell: &str) -> Result<Option<Bandwidth>> {
    if cell == "N/A" {
        return Ok(None);
    }
    let number = cell.parse::<f64>().ok().filter(|number| (0.0..1e6).contains(number));
    let number = number
        .ok_or_else(|| Error::input(format!("'{cell}' is not a bandwidth")).help("expected GB/s or N/A"))?;
    Ok(Some(Bandwidth::from_gb_per_s(number)))
}

fn column_of(line: &str, cell: &str) -> usize {
    line.find(cell).map_or(1, |at| line[..at].chars().count() + 1)
}
