//! Bandwidths between GPUs as benchmarks print them: NVIDIA's `nvbandwidth` and `p2pBandwidthLatencyTest`.
//!
//! Only what one direction carries is read; figures of both directions at once, of latency, and of a GPU with itself are
//! passed over. Such a text says nothing of the machine but its GPUs: it is laid over another source.

use super::{Input, Source};
use crate::error::{Error, Result};
use crate::ids::PciAddress;
use crate::model::{Fragment, Gpu, MAX_DEVICES, NodeId, NodeKind, NoteKind, Provenance};
use crate::units::Bandwidth;
use std::collections::BTreeMap;

pub(super) struct NvBandwidth;

impl Source for NvBandwidth {
    fn name(&self) -> &'static str {
        "the output of nvbandwidth"
    }

    fn recognizes(&self, input: Input<'_>) -> bool {
        contains(input, "GPU(row)")
    }

    fn read(&self, input: Input<'_>) -> Result<Fragment> {
        read(input, |line| {
            // `memcpy CE GPU(row) -> GPU(column) bandwidth (GB/s)`; `<->` is both directions at once.
            let (_, rest) = line.split_once("GPU(row)")?;
            let arrow = rest.split_once("GPU(column)")?.0.trim();
            match arrow {
                _ if !line.contains("bandwidth") => None,
                "->" => Some(Direction::FromRow),
                "<-" => Some(Direction::ToRow),
                _ => None,
            }
        })
    }
}

pub(super) struct P2pTest;

impl Source for P2pTest {
    fn name(&self) -> &'static str {
        "the output of p2pBandwidthLatencyTest"
    }

    fn recognizes(&self, input: Input<'_>) -> bool {
        contains(input, "P2P=Enabled Bandwidth")
    }

    fn read(&self, input: Input<'_>) -> Result<Fragment> {
        read(input, |line| {
            line.contains("Unidirectional P2P=Enabled Bandwidth").then_some(Direction::FromRow)
        })
    }
}

/// Which way the data of a matrix goes.
#[derive(Clone, Copy)]
enum Direction {
    FromRow,
    ToRow,
}

fn contains(input: Input<'_>, words: &str) -> bool {
    let Input::Text { bytes, .. } = input else { return false };
    bytes.windows(words.len()).any(|window| window == words.as_bytes())
}

/// Reads every matrix whose heading `direction` knows; the greatest figure of a pair counts.
fn read(input: Input<'_>, direction: impl Fn(&str) -> Option<Direction>) -> Result<Fragment> {
    let Input::Text { bytes, .. } = input else {
        return Err(Error::input("a directory holds no measurement"));
    };
    let text = String::from_utf8_lossy(bytes);
    let mut devices: BTreeMap<u32, (Option<String>, Option<PciAddress>)> = BTreeMap::new();
    let mut figures: BTreeMap<(u32, u32), Bandwidth> = BTreeMap::new();
    let mut matrix: Option<Matrix> = None;
    for (index, line) in text.lines().enumerate() {
        if let Some(direction) = direction(line) {
            matrix = Some(Matrix { direction, columns: None });
        } else if let Some((number, model, address)) = device(line) {
            devices.insert(number, (Some(model), address));
        } else if let Some(open) = &mut matrix
            && !open.line(line, index + 1, &mut figures)?
        {
            matrix = None;
        }
    }
    if figures.is_empty() {
        return Err(
            Error::input("no bandwidth from one GPU to another is in it").at(text.lines().count().max(1), 1)
        );
    }
    for (from, to) in figures.keys() {
        devices.entry(*from).or_default();
        devices.entry(*to).or_default();
    }
    if devices.len() > MAX_DEVICES {
        return Err(Error::input(format!("it names more than {MAX_DEVICES} GPUs")));
    }
    Ok(fragment(devices, &figures))
}

fn fragment(
    devices: BTreeMap<u32, (Option<String>, Option<PciAddress>)>,
    figures: &BTreeMap<(u32, u32), Bandwidth>,
) -> Fragment {
    let mut fragment = Fragment::new(Provenance::Measurement);
    fragment.set_nvlink_unknown();
    let mut nodes: BTreeMap<u32, NodeId> = BTreeMap::new();
    for (index, (model, address)) in devices {
        let gpu = Gpu { index, model, address, ..Gpu::default() };
        nodes.insert(index, fragment.add(NodeId::MACHINE, NodeKind::Gpu(Box::new(gpu))));
    }
    for ((from, to), bandwidth) in figures {
        if let (Some(from), Some(to)) = (nodes.get(from), nodes.get(to)) {
            fragment.measure(*from, *to, *bandwidth);
        }
    }
    let pairs = nodes.len() * nodes.len().saturating_sub(1);
    if figures.len() < pairs {
        let missing = pairs - figures.len();
        fragment.note(
            NoteKind::Unknown,
            format!("{missing} of {pairs} directions between GPUs were not measured"),
        );
    }
    fragment
}

/// A matrix under its heading.
struct Matrix {
    direction: Direction,
    columns: Option<Vec<u32>>,
}

impl Matrix {
    /// Takes a line; `false` where the matrix has ended.
    fn line(
        &mut self,
        line: &str,
        number: usize,
        figures: &mut BTreeMap<(u32, u32), Bandwidth>,
    ) -> Result<bool> {
        let mut words = line.split_whitespace().filter(|word| *word != "D\\D" && *word != "#").peekable();
        if words.peek().is_none() {
            // A blank line before the header is nothing; after rows it ends them.
            return Ok(self.columns.is_none());
        }
        let Some(columns) = &self.columns else {
            self.columns = words.map(|word| word.parse().ok()).collect();
            return Ok(self.columns.is_some());
        };
        let Some(row) = words.next().and_then(|word| word.parse::<u32>().ok()) else { return Ok(false) };
        let cells: Vec<&str> = words.collect();
        if cells.len() > columns.len() {
            let (cells, columns) = (cells.len(), columns.len());
            return Err(Error::input(format!("the row {row} has {cells} cells under {columns} columns"))
                .at(number, 1));
        }
        for (column, cell) in columns.iter().zip(cells).filter(|(column, _)| **column != row) {
            let Some(bandwidth) = figure(cell).map_err(|error| error.at(number, column_of(line, cell)))?
            else {
                continue;
            };
            let pair = match self.direction {
                Direction::FromRow => (row, *column),
                Direction::ToRow => (*column, row),
            };
            let best = figures.entry(pair).or_insert(bandwidth);
            *best = bandwidth.max(*best);
        }
        Ok(true)
    }
}

/// A figure in GB/s, or `N/A`.
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

/// `Device: 0, NVIDIA H100 PCIe, pciBusID: c2, pciDeviceID: 0, pciDomainID:0` of the test, and
/// `Device 0: NVIDIA H100 80GB HBM3 (00000000:1b:00)` of nvbandwidth.
fn device(line: &str) -> Option<(u32, String, Option<PciAddress>)> {
    let (_, rest) = line.split_once("Device")?;
    if let Some(rest) = rest.strip_prefix(": ") {
        let mut fields = rest.split(", ");
        let number = fields.next()?.trim().parse().ok()?;
        let model = fields.next()?.to_owned();
        let mut value = |name: &str| Some(fields.next()?.trim().strip_prefix(name)?.trim().to_owned());
        let (bus, device) = (value("pciBusID:")?, value("pciDeviceID:")?);
        let domain = value("pciDomainID:")?;
        return Some((number, model, format!("{domain}:{bus}:{device}.0").parse().ok()));
    }
    let (number, rest) = rest.trim_start().split_once(": ")?;
    let (model, address) = match rest.trim_end().rsplit_once(" (") {
        Some((model, address)) => (model, format!("{}.0", address.trim_end_matches(')')).parse().ok()),
        None => (rest, None),
    };
    Some((number.parse().ok()?, model.trim().to_owned(), address))
}
