//! The output of NVIDIA's `nvbandwidth`, as text and as JSON (`--json`).
//!
//! Of its tests those of a copy from one GPU to one other are read, by their names: the headings of matrices are much the
//! same for tests of both directions at once (of kernels, to version 0.4) and of all GPUs at once (since 0.5). A heading
//! draws the arrow of a read from row to column, although what is read comes from the column's GPU: `testcases_ce.cpp`,
//! `DeviceToDeviceReadCE`, copies from the peer, which is the column.

use super::{Device, Direction, Line, Measurements, contains, figure, read};
use crate::error::{Error, Result};
use crate::model::Fragment;
use crate::source::{Input, Source};
use crate::units::Bandwidth;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

pub(in crate::source) struct NvBandwidth;

impl Source for NvBandwidth {
    fn name(&self) -> &'static str {
        "the output of nvbandwidth"
    }

    fn recognizes(&self, input: Input<'_>) -> bool {
        contains(input, "GPU(row)") || contains(input, "GPU(column)")
    }

    fn read(&self, input: Input<'_>) -> Result<Fragment> {
        let mut running: Option<Option<Direction>> = None;
        read(input, |line| {
            if let Some(name) = line.trim().strip_prefix("Running ") {
                running = Some(copy(name.trim_end_matches('.')));
                return Line::Other;
            }
            if line.contains("GPU(row)") || line.contains("GPU(column)") {
                let told = match running {
                    Some(known) => known.map(|direction| Line::Matrix { direction, one_row: true }),
                    // Cut out of an output: only the heading tells. All GPUs at once have one row.
                    None => heading(line).map(|direction| Line::Matrix { direction, one_row: false }),
                };
                return told.unwrap_or(Line::Other);
            }
            let device = line.trim().strip_prefix("Device ").and_then(device);
            device.map_or(Line::More, |(number, device)| Line::Gpu(number, device))
        })
    }
}

/// Which way a test copies that is of one GPU to one other, by its name.
fn copy(test: &str) -> Option<Direction> {
    match test.strip_prefix("device_to_device_memcpy_")? {
        "read_ce" | "read_sm" => Some(Direction::ToRow),
        "write_ce" | "write_sm" => Some(Direction::FromRow),
        _ => None,
    }
}

/// The same by a heading such as `memcpy CE GPU(row) -> GPU(column) bandwidth (GB/s)`.
fn heading(line: &str) -> Option<Direction> {
    let (_, rest) = line.split_once("GPU(row)")?;
    match rest.split_once("GPU(column)")?.0.trim() {
        _ if !line.contains("bandwidth") => None,
        "->" => Some(Direction::ToRow),
        "<-" => Some(Direction::FromRow),
        _ => None,
    }
}

/// `0: NVIDIA H100 80GB HBM3 (00000000:1b:00)`; older versions leave the address out, in JSON a host follows.
fn device(text: &str) -> Option<(u32, Device)> {
    let (number, rest) = text.trim().split_once(": ")?;
    let number = number.parse().ok()?;
    let address = |(at, _)| {
        let inside = rest[at..].strip_prefix(" (")?.split_once(')')?.0;
        Some((at, format!("{inside}.0").parse().ok()?))
    };
    let (model, address) = match rest.rmatch_indices(" (").find_map(address) {
        Some((at, address)) => (&rest[..at], Some(address)),
        None => (rest, None),
    };
    Some((number, Device { model: Some(model.trim().to_owned()), address }))
}

pub(in crate::source) struct NvBandwidthJson;

impl Source for NvBandwidthJson {
    fn name(&self) -> &'static str {
        "the JSON of nvbandwidth"
    }

    fn recognizes(&self, input: Input<'_>) -> bool {
        let Input::Text { bytes, .. } = input else { return false };
        let start = bytes.trim_ascii_start().strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
        start.is_some_and(|start| start.starts_with(b"\"nvbandwidth\""))
    }

    fn read(&self, input: Input<'_>) -> Result<Fragment> {
        let Input::Text { bytes, .. } = input else {
            return Err(Error::input("a directory holds no measurement"));
        };
        let document: Document = serde_json::from_slice(bytes)
            .map_err(|error| Error::input(error.to_string()).at(error.line(), error.column()))?;
        let mut told = Measurements::default();
        told.devices.extend(document.nvbandwidth.devices.iter().filter_map(|text| device(text)));
        for test in document.nvbandwidth.testcases {
            let Some(direction) = copy(&test.name) else { continue };
            for (row, cells) in (0..).zip(&test.bandwidth_matrix) {
                for (column, Cell(figure)) in (0..).zip(cells) {
                    if let Some(bandwidth) = figure {
                        told.add(direction, row, column, *bandwidth);
                    }
                }
            }
        }
        told.fragment()
    }
}

/// What is read of the document; the rest is passed over.
#[derive(Deserialize)]
struct Document {
    nvbandwidth: Run,
}

#[derive(Deserialize)]
struct Run {
    #[serde(default, rename = "GPU Device list")]
    devices: Vec<String>,
    #[serde(default)]
    testcases: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    name: String,
    /// Absent where the test was waived or failed.
    #[serde(default)]
    bandwidth_matrix: Vec<Vec<Cell>>,
}

/// A figure, as a string.
struct Cell(Option<Bandwidth>);

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        figure(&text).map(Self).map_err(|error| D::Error::custom(error.message()))
    }
}
