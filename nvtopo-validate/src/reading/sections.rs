//! The tests in an output, each as an output of its own.
//!
//! A topology holds one figure of each direction: the best of all tests and runs in a text. Here each kind of copy is judged by
//! itself, for reads may crawl where writes are quick.

use super::matrix::{self, Marks};
use serde_json::{Value, json};

/// The test with peer access switched off, with which the others are compared.
pub(crate) const PEERS_OFF: &str = "without peer access";

/// The tests of `nvbandwidth` that copy from one GPU to one other.
const COPIES: [(&str, &str); 4] = [
    ("device_to_device_memcpy_read_ce", "read_ce"),
    ("device_to_device_memcpy_read_sm", "read_sm"),
    ("device_to_device_memcpy_write_ce", "write_ce"),
    ("device_to_device_memcpy_write_sm", "write_sm"),
];

/// The lines with which a run of a program begins: it names its devices anew.
const RUNS: [&str; 2] = ["nvbandwidth Version", "[P2P (Peer-to-Peer)"];

/// The most tests of a text that are read: all pairs of 72 GPUs in both directions, one after the other, are half as many.
pub(crate) const MOST_TESTS: usize = 10_000;

/// The most bytes before a test that are kept: 72 GPUs and who can access whom are less.
const MOST_HEAD: usize = 1 << 18;

/// The most bytes of all tests with what stands before them, beside those of the text.
const MOST_BYTES: usize = 64 << 20;

/// One test of an output.
pub(crate) struct Section {
    /// Its name in short. `None`: the text does not tell it.
    pub(crate) test: Option<&'static str>,
    /// The lines that name the devices, and the one that starts the test.
    head: String,
    /// The lines of the test, or its document.
    body: String,
    /// True where its name stood before its matrix.
    named: bool,
    /// True for a document.
    is_json: bool,
}

/// Returns the tests of copies between two GPUs. None where the text is of another program.
pub(crate) fn split(text: &str) -> Vec<Section> {
    if text.trim_start().starts_with('{') { of_json(text) } else { of_text(text) }
}

fn of_json(text: &str) -> Vec<Section> {
    let document: Value = serde_json::from_str(text).unwrap_or_default();
    let tests = document["nvbandwidth"]["testcases"].as_array().into_iter().flatten();
    let section = |test: &Value| {
        let name = copy(test["name"].as_str()?)?;
        let mut run = document["nvbandwidth"].clone();
        run["testcases"] = json!([test]);
        let body = json!({ "nvbandwidth": run }).to_string();
        Some(Section { test: Some(name), head: String::new(), body, named: true, is_json: true })
    };
    tests.filter_map(section).take(MOST_TESTS).collect()
}

fn of_text(text: &str) -> Vec<Section> {
    let mut head = String::new();
    let mut all: Vec<Section> = Vec::new();
    let mut place = Place::Head;
    let mut bytes = 0;
    for line in text.lines() {
        if RUNS.iter().any(|words| line.contains(words)) {
            place = Place::Head;
            head.clear();
        }
        let last = all.last_mut().filter(|_| place == Place::Test);
        let is_named = place == Place::Other { named: true } || last.as_ref().is_some_and(|own| own.named);
        match (starts(line, is_named), last) {
            (Some(Start::Head), _) => place = Place::Head,
            (Some(Start::Other { named }), _) => place = Place::Other { named },
            (Some(Start::Test { test, named }), _) => {
                bytes += head.len();
                if all.len() >= MOST_TESTS || bytes > MOST_BYTES {
                    break;
                }
                place = Place::Test;
                // As if it were on, for the core leaves it out.
                let heading = line.replace("P2P=Disabled Bandwidth", "P2P=Enabled Bandwidth");
                let head = format!("{head}{heading}\n");
                all.push(Section { test, head, body: String::new(), named, is_json: false });
            }
            (None, Some(own)) => own.add(line),
            (None, None) if place == Place::Head && head.len() + line.len() < MOST_HEAD => {
                head.push_str(line);
                head.push('\n');
            }
            (None, None) => {}
        }
    }
    // So that a line that was cut is seen to be.
    if let Some(own) = all.last_mut().filter(|_| place == Place::Test && !text.ends_with('\n')) {
        own.body.pop();
    }
    all
}

/// The part of the text that a line belongs to.
#[derive(PartialEq)]
enum Place {
    Head,
    Test,
    /// Another test, whose name may have stood before its matrix.
    Other {
        named: bool,
    },
}

/// The part that a line starts.
enum Start {
    /// Lines that name the devices.
    Head,
    /// A test of copies: its short name, and whether that stood there.
    Test { test: Option<&'static str>, named: bool },
    /// Another test, and whether its name stood there.
    Other { named: bool },
}

impl Section {
    fn add(&mut self, line: &str) {
        if let Some(test) = line.split_whitespace().find_map(copy).filter(|_| !self.named) {
            self.test = Some(test);
        }
        self.body.push_str(line);
        self.body.push('\n');
    }

    /// Returns the test as an output of its own, each pair of which has a cell. `most` is the number of GPUs that there can be.
    pub(crate) fn complete(&self, most: usize) -> (String, Marks) {
        let mut marks = Marks::default();
        if self.is_json {
            let mut document: Value = serde_json::from_str(&self.body).unwrap_or_default();
            let named = document["nvbandwidth"]["GPU Device list"].as_array().map_or(0, Vec::len);
            matrix::of_json(&mut document["nvbandwidth"]["testcases"][0], named, most, &mut marks);
            return (document.to_string(), marks);
        }
        let named = self.head.lines().filter(|line| is_device(line)).count();
        let named = if named == 0 { most } else { named };
        let is_sure = self.named || self.body.split_whitespace().any(|word| copy(word).is_some());
        let Some(body) = matrix::of_text(&self.body, named, most, is_sure, &mut marks) else {
            return (format!("{}{}", self.head, self.body), marks);
        };
        let has_heading = |text: &str| text.contains("GPU(row)") || text.contains("P2P=Enabled");
        let start = self.head.lines().next_back().unwrap_or_default();
        // One that ended before its matrix.
        let heading = if has_heading(start) || has_heading(&body) { "" } else { "GPU(row) GPU(column)\n" };
        (format!("{}{heading}{body}", self.head), marks)
    }
}

/// Returns whether a line names a GPU: `Device 0: NVIDIA H100`, `Device: 0, NVIDIA H100, pciBusID: 1b`.
fn is_device(line: &str) -> bool {
    let rest = line.find("Device").map(|at| line[at + "Device".len()..].trim_start_matches([':', ' ']));
    let end = rest.and_then(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()).chars().next());
    rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) && matches!(end, Some(':' | ','))
}

/// Returns the part that a line starts. `is_named`: it stands in a test whose name is known, to which all matrices belong.
fn starts(line: &str, is_named: bool) -> Option<Start> {
    let test = |test: Option<&'static str>, named: bool| Some(Start::Test { test, named });
    if let Some((_, rest)) = line.split_once("Running ") {
        let name = rest.split_whitespace().next().unwrap_or_default().trim_end_matches('.');
        return match copy(name) {
            Some(own) => test(Some(own), true),
            None => name.contains("_to_").then_some(Start::Other { named: true }),
        };
    }
    if line.contains("GPU(row)") && !is_named {
        return test(of_heading(line), false);
    }
    if line.contains("P2P Connectivity Matrix") {
        return Some(Start::Head);
    }
    if line.contains("Unidirectional P2P=Enabled Bandwidth") {
        return test(Some(if line.contains("P2P Reads") { "reads" } else { "writes" }), true);
    }
    if line.contains("Unidirectional P2P=Disabled Bandwidth") {
        return test(Some(PEERS_OFF), true);
    }
    (line.contains("P2P=") || line.contains("GPU(column)") && !is_named)
        .then_some(Start::Other { named: false })
}

/// Returns the short name of a test of copies between two GPUs.
fn copy(name: &str) -> Option<&'static str> {
    COPIES.iter().find(|(own, _)| *own == name).map(|(_, short)| *short)
}

/// Returns the test by a heading such as `memcpy CE GPU(row) -> GPU(column) bandwidth (GB/s)`, whose arrow of a read goes to the
/// column.
fn of_heading(line: &str) -> Option<&'static str> {
    let (kind, rest) = line.split_once("GPU(row)")?;
    let arrow = rest.split_once("GPU(column)")?.0.trim();
    match (kind.contains("CE"), kind.contains("SM"), arrow) {
        (true, false, "->") => Some("read_ce"),
        (true, false, "<-") => Some("write_ce"),
        (false, true, "->") => Some("read_sm"),
        (false, true, "<-") => Some("write_sm"),
        _ => None,
    }
}
