//! The output of NVIDIA's `nvbandwidth`, as text and as JSON (`--json`).
//!
//! Tests that copy from one GPU to one other are read, by their names, which stand before a matrix (`Running …`) and
//! after it (`SUM …`): the headings of matrices are much the same for tests of both directions at once (of kernels, to
//! version 0.4), of all GPUs at once (since 0.5) and of several machines. A heading draws the arrow of a read from row
//! to column, although the data comes from the column's GPU: `testcases_ce.cpp`, `DeviceToDeviceReadCE`, copies from
//! the peer, which is the column.

use super::{Content, Device, Direction, LeftOut, Line, Measurements, figure, read};
use crate::error::{Error, Result};
use crate::model::Fragment;
use crate::source::{Input, TextFormat};
use crate::units::Bandwidth;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

pub(in crate::source) struct NvBandwidth;

impl TextFormat for NvBandwidth {
    const NAME: &'static str = "the output of nvbandwidth";
    const BEGINNINGS: &'static [&'static str] = &["nvbandwidth", "Running ", "GPU(row)", "GPU(column)"];

    fn recognizes(input: &Input<'_>) -> bool {
        let text = input.decoded();
        let device =
            |line: &str| line.trim().strip_prefix("Device ").is_some_and(|own| device(own).is_some());
        ["GPU(row)", "GPU(column)"].into_iter().any(|words| text.contains(words))
            // Where every test was waived or failed, the GPUs are there.
            || text.contains("nvbandwidth Version") && text.lines().any(|line| device(super::untagged(line)))
    }

    fn read(bytes: &[u8]) -> Result<Fragment> {
        let mut text = Text::default();
        read(bytes, "nvbandwidth", |line| text.line(line))
    }
}

/// The text, line by line.
#[derive(Default)]
struct Text {
    /// The test that runs.
    running: Option<Test>,
    /// The test of the last line with a sum, which other lines such as its coefficient of variation may follow.
    summed: Option<String>,
    /// True if its devices are those of several processes.
    of_processes: bool,
}

impl Text {
    fn line(&mut self, line: &str) -> Line {
        let line = line.trim();
        if let Some(test) =
            line.strip_prefix("Running ").and_then(|name| Test::of(name.trim_end_matches('.')))
        {
            (self.running, self.summed) = (Some(test), None);
            return Line::Other(None);
        }
        if let Some(test) = summed(line) {
            if self.summed.replace(test.name.clone()).is_some_and(|last| last == test.name) {
                return Line::Other(None);
            }
            return Line::Test { content: test.content(), without: test.only_summed() };
        }
        if line.contains("GPU(row)") || line.contains("GPU(column)") {
            return match &self.running {
                Some(test) => Line::Matrix { content: test.content(), one_row: true },
                // Cut out of an output: only the heading or a later line identifies the test. All GPUs at once have one
                // row.
                None => Line::Matrix { content: self.by_heading(line), one_row: false },
            };
        }
        if line.starts_with("Process ") && line.contains("): device ") {
            self.of_processes = true;
            return Line::More;
        }
        if let Some(why) = self.without_result(line) {
            return Line::Other(Some(why));
        }
        let device = line.strip_prefix("Device ").and_then(device);
        device.map_or(Line::More, |(number, device)| Line::Gpu(number, device))
    }

    fn by_heading(&self, line: &str) -> Content {
        match heading(line) {
            _ if self.of_processes => Content::Other(Subject::Machines.left_out("a test")),
            Some(direction) => Content::Figures(direction),
            None => Content::Other(LeftOut::new(format!("'{}' is not of one direction", cut(line)), false)),
        }
    }

    /// Returns a line that says why a test has no result.
    fn without_result(&self, line: &str) -> Option<LeftOut> {
        if let Some(test) =
            line.strip_prefix("Waiving ").and_then(|name| Test::of(name.trim_end_matches('.')))
        {
            return Some(test.without("was waived, as this machine cannot run it"));
        }
        let running = || {
            self.running
                .clone()
                .unwrap_or(Test { name: "a test".to_owned(), subject: Subject::OneWay(Direction::FromRow) })
        };
        let (word, message) = line.split_once(": ").unwrap_or((line, ""));
        match word {
            "Waived" => Some(running().without(&why("was waived", message))),
            "Not Found" => Some(running().without(&why("is not known to it", message))),
            "Error" | "NVML_ERROR" => Some(running().without(&why("failed", message))),
            _ if line.starts_with("ASSERT in expression")
                || (line.starts_with('[') && line.contains("] ") && line.contains(" in expression ")) =>
            {
                Some(LeftOut::new(format!("it failed: {}", cut(line)), true))
            }
            _ => None,
        }
    }
}

/// Returns a verb with what the benchmark adds to it.
fn why(verb: &str, message: &str) -> String {
    if message.is_empty() { verb.to_owned() } else { format!("{verb}: {}", cut(message)) }
}

/// Returns the beginning of a line, for a message.
fn cut(line: &str) -> String {
    let plain = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    line.chars().map(plain).take(100).collect()
}

/// The subject of a test.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Subject {
    /// A copy from one GPU to one other.
    OneWay(Direction),
    /// A copy from one GPU to one other, between GPUs of several machines.
    Machines,
    /// Both directions at once.
    Both,
    /// Anything else.
    Other,
}

impl Subject {
    /// Returns why a test is left out.
    fn left_out(self, test: &str) -> LeftOut {
        let why = match self {
            Self::OneWay(_) => "is of one direction",
            Self::Machines => {
                "is a run over several machines: its numbers are those of processes, not of GPUs"
            }
            Self::Both => "is of both directions at once",
            Self::Other => "is not of one GPU to one other",
        };
        LeftOut::new(format!("{test} {why}"), self == Self::Machines)
    }
}

/// A test, by its name.
#[derive(Clone, Debug)]
struct Test {
    name: String,
    subject: Subject,
}

impl Test {
    /// Returns the test of a name such as `device_to_device_memcpy_read_ce`; `None` for other texts.
    fn of(name: &str) -> Option<Self> {
        const FAMILIES: [&str; 7] =
            ["host_to_", "device_to_", "all_to_", "one_to_", "device_local_", "host_device_", "multinode_"];
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let known = name.len() <= 80 && name.bytes().all(plain);
        if !known || !FAMILIES.iter().any(|family| name.starts_with(family)) {
            return None;
        }
        let subject = match copy(name) {
            Some(direction) => Subject::OneWay(direction),
            None if name.starts_with("multinode_") => Subject::Machines,
            None if name.contains("bidirectional") => Subject::Both,
            None => Subject::Other,
        };
        Some(Self { name: name.to_owned(), subject })
    }

    fn content(&self) -> Content {
        match self.subject {
            Subject::OneWay(direction) => Content::Figures(direction),
            subject => Content::Other(subject.left_out(&self.name)),
        }
    }

    /// Returns why a test without a result is left out.
    fn without(&self, what: &str) -> LeftOut {
        LeftOut::new(format!("{} {what}", self.name), matches!(self.subject, Subject::OneWay(_)))
    }

    /// Returns why a test with a sum only is left out.
    fn only_summed(&self) -> LeftOut {
        match self.subject {
            Subject::OneWay(_) => self.without("is there with its sum only, without the figure of each pair"),
            subject => subject.left_out(&self.name),
        }
    }
}

/// Returns the test in `SUM device_to_device_memcpy_read_ce 9242.40`, where `COEFFICIENT_OF_VARIATION`, `MAX` and
/// others can stand for `SUM`. Names of tests of both directions have an ending, such as `…_read1` and `…_total`.
fn summed(line: &str) -> Option<Test> {
    let mut words = line.split_whitespace();
    let (word, name, value) = (words.next()?, words.next()?, words.next()?);
    let is_word = word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let is_number = value.parse::<f64>().is_ok() && words.next().is_none();
    if is_word && is_number { Test::of(name) } else { None }
}

/// Returns why the text of nvbandwidth has no matrix: nothing ran, tests were waived or failed, or only sums were kept.
pub(in crate::source) fn without_matrix(text: &str) -> Option<Error> {
    let named = |line: &str| {
        let name = ["Running ", "Waiving "].into_iter().find_map(|word| line.strip_prefix(word));
        name.and_then(|name| Test::of(name.trim_end_matches('.'))).or_else(|| summed(line)).is_some()
    };
    let is_own = |line: &str| line.starts_with("nvbandwidth Version") || named(line);
    if !text.lines().any(|line| is_own(super::untagged(line).trim())) {
        return None;
    }
    NvBandwidth::read(text.as_bytes()).err()
}

/// Returns the direction of a test that copies between two GPUs, by its name.
fn copy(test: &str) -> Option<Direction> {
    match test.strip_prefix("device_to_device_memcpy_")? {
        "read_ce" | "read_sm" => Some(Direction::ToRow),
        "write_ce" | "write_sm" => Some(Direction::FromRow),
        _ => None,
    }
}

/// Returns the direction by a heading such as `memcpy CE GPU(row) -> GPU(column) bandwidth (GB/s)`.
fn heading(line: &str) -> Option<Direction> {
    let (_, rest) = line.split_once("GPU(row)")?;
    match rest.split_once("GPU(column)")?.0.trim() {
        _ if !line.contains("bandwidth") => None,
        "->" => Some(Direction::ToRow),
        "<-" => Some(Direction::FromRow),
        _ => None,
    }
}

/// Reads `0: NVIDIA H100 80GB HBM3 (00000000:1b:00)`; older versions leave the address out, in JSON a host follows.
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

impl TextFormat for NvBandwidthJson {
    const NAME: &'static str = "the JSON of nvbandwidth";

    fn recognizes(input: &Input<'_>) -> bool {
        let bytes = input.bytes();
        let start = bytes.trim_ascii_start().strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
        start.is_some_and(|start| start.starts_with(b"\"nvbandwidth\""))
    }

    fn read(bytes: &[u8]) -> Result<Fragment> {
        let document: Document = serde_json::from_slice(bytes)
            .map_err(|error| Error::input(error.to_string()).at(error.line(), error.column()))?;
        let mut measurements = Measurements::new("nvbandwidth");
        measurements.devices.extend(document.nvbandwidth.devices.iter().filter_map(|text| device(text)));
        if let Some(error) = &document.nvbandwidth.error {
            measurements.leave_out(LeftOut::new(why("it failed", error), true));
        }
        for test in document.nvbandwidth.testcases {
            let Some(own) = Test::of(&test.name) else { continue };
            let verb = match test.status.as_deref() {
                Some("Waived") => Some("was waived"),
                Some("Error" | "Failed") => Some("failed"),
                Some("Not Found") => Some("is not known to it"),
                _ if test.bandwidth_matrix.is_empty() => Some("has no matrix"),
                _ => None,
            };
            if let Some(verb) = verb {
                measurements.leave_out(own.without(&why(verb, test.error.as_deref().unwrap_or_default())));
            }
            let direction = match own.content() {
                Content::Figures(direction) => direction,
                Content::Access => continue,
                Content::Other(why) => {
                    measurements.leave_out(why);
                    continue;
                }
            };
            for (row, cells) in (0..).zip(&test.bandwidth_matrix) {
                for (column, Cell(figure)) in (0..).zip(cells) {
                    if let Some(bandwidth) = figure {
                        measurements.add(direction, row, column, *bandwidth);
                    }
                }
            }
        }
        measurements.fragment()
    }
}

/// The parts of the document that are read.
#[derive(Deserialize)]
struct Document {
    nvbandwidth: Run,
}

#[derive(Deserialize)]
struct Run {
    #[serde(default, rename = "GPU Device list")]
    devices: Vec<String>,
    #[serde(default)]
    testcases: Vec<TestCase>,
    #[serde(default)]
    error: Option<String>,
}

#[derive(Deserialize)]
struct TestCase {
    name: String,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    error: Option<String>,
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
