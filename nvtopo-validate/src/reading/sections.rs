//! The tests in an output, each as an output of its own.
//!
//! A topology holds one figure of each direction: the best of all tests and runs in a text. Here each kind of copy is judged by
//! itself, for reads may crawl where writes are quick.

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

/// The most tests of a text, and the most lines before them, that are read: one run of all tests on 72 GPUs has fewer.
const MOST_TESTS: usize = 256;
const MOST_LINES: usize = 10_000;

/// One test of an output.
pub(crate) struct Section {
    /// Its name in short. `None`: the text does not tell it.
    pub(crate) test: Option<&'static str>,
    /// The lines that name the devices, and those of the test.
    pub(crate) text: String,
    /// True where its name stood before its matrix.
    named: bool,
    /// True where its matrix has begun.
    begun: bool,
    /// True for copies between two GPUs.
    wanted: bool,
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
        let text = json!({ "nvbandwidth": run }).to_string();
        Some(Section { test: Some(name), text, named: true, begun: true, wanted: true })
    };
    tests.filter_map(section).take(MOST_TESTS).collect()
}

fn of_text(text: &str) -> Vec<Section> {
    let mut head: Vec<&str> = Vec::new();
    let mut all: Vec<Section> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        if RUNS.iter().any(|words| line.contains(words)) {
            (open, head) = (false, Vec::new());
        }
        let last = all.last_mut().filter(|_| open);
        if let Some(next) = starts(line, last.as_deref()) {
            open = next.is_some();
            let Some((test, named, wanted)) = next else { continue };
            let mut text = head.join("\n");
            text.push('\n');
            text.push_str(&line.replace("P2P=Disabled Bandwidth", "P2P=Enabled Bandwidth"));
            text.push('\n');
            all.retain(|own| own.wanted);
            if all.len() >= MOST_TESTS {
                break;
            }
            all.push(Section { test, text, named, begun: !named, wanted });
        } else if let Some(own) = last {
            own.begun |= is_heading(line);
            if let Some(test) = summed(line).filter(|_| !own.named) {
                own.test = Some(test);
            }
            own.text.push_str(line);
            own.text.push('\n');
        } else if head.len() < MOST_LINES {
            head.push(line);
        }
    }
    all.retain(|own| own.wanted);
    all
}

/// The start of a test: its short name, whether that stood there, and whether it is one of copies.
type Start = (Option<&'static str>, bool, bool);

/// Returns the test that a line starts. `Some(None)`: it ends one, and starts none.
fn starts(line: &str, open: Option<&Section>) -> Option<Option<Start>> {
    if let Some((_, rest)) = line.split_once("Running ") {
        let name = rest.split_whitespace().next().unwrap_or_default().trim_end_matches('.');
        return name.contains("_to_").then(|| Some((copy(name), true, copy(name).is_some())));
    }
    if is_heading(line) {
        let is_next = open.is_none_or(|own| own.begun);
        return is_next.then(|| Some((of_heading(line), false, line.contains("GPU(row)"))));
    }
    if line.contains("P2P Connectivity Matrix") {
        return Some(None);
    }
    line.contains("P2P=").then(|| {
        let enabled = line.contains("Unidirectional P2P=Enabled Bandwidth");
        let test = match () {
            () if enabled && line.contains("P2P Reads") => "reads",
            () if enabled => "writes",
            () if line.contains("Unidirectional P2P=Disabled Bandwidth") => PEERS_OFF,
            () => return Some((None, true, false)),
        };
        Some((Some(test), true, true))
    })
}

fn is_heading(line: &str) -> bool {
    line.contains("GPU(row)") || line.contains("GPU(column)")
}

/// Returns the short name of a test of copies between two GPUs.
fn copy(name: &str) -> Option<&'static str> {
    COPIES.iter().find(|(own, _)| *own == name).map(|(_, short)| *short)
}

/// Returns the test in `SUM device_to_device_memcpy_read_ce 9242.40`.
fn summed(line: &str) -> Option<&'static str> {
    line.split_whitespace().find_map(copy)
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
