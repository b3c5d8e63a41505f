//! Copies between memory of the host and each GPU, as `nvbandwidth` prints them, as text and as JSON.

use super::copies::{Copies, Missing, STRANGE, note};
use super::matrix::{NO_FIGURE, TROUBLE};
use crate::figure::{Figure, Metric, Subject};
use nvtopo::{Error, PciAddress, Result, Topology};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const PROGRAM: &str = "nvbandwidth";

/// The names of the tests, in full and in short, and whether their data goes to the GPU.
const TESTS: [(&str, &str, bool); 4] = [
    ("host_to_device_memcpy_ce", "ce", true),
    ("host_to_device_memcpy_sm", "sm", true),
    ("device_to_host_memcpy_ce", "ce", false),
    ("device_to_host_memcpy_sm", "sm", false),
];

/// A test: its short name, and whether its data goes to the GPU.
type Test = (&'static str, bool);

/// Reads the rows of the tests with one direction. `visible` as for [`copies::read`](super::copies::read).
///
/// Errors where there is none, with what the program says of it.
pub(crate) fn read(topology: &Topology, visible: Option<&[usize]>, text: &str) -> Result<Copies> {
    let mut reader = Reader {
        topology,
        visible,
        addresses: BTreeMap::new(),
        devices: BTreeSet::new(),
        figures: Vec::new(),
        missing: Missing::new(),
        strangers: 0,
        why: None,
    };
    if text.trim_start().starts_with('{') {
        reader.json(text)?;
    } else {
        reader.text(text);
    }
    let strange = format!("{} of its copies with the host {STRANGE}", reader.strangers);
    if reader.figures.is_empty() && reader.strangers > 0 {
        return Err(Error::input(strange).help("give --from the machine that it was measured on"));
    }
    if reader.figures.is_empty() {
        let why = reader.why.map_or(String::new(), |why| format!(": {why}"));
        return Err(Error::input(format!(
            "no copy between the host and a GPU is in the output of {PROGRAM}{why}"
        )));
    }
    let remarks = if reader.strangers > 0 { vec![strange] } else { Vec::new() };
    Ok(Copies { figures: reader.figures, missing: reader.missing, remarks })
}

struct Reader<'a> {
    topology: &'a Topology,
    visible: Option<&'a [usize]>,
    addresses: BTreeMap<usize, PciAddress>,
    /// The numbers of the GPUs that the program names.
    devices: BTreeSet<usize>,
    figures: Vec<Figure>,
    missing: Missing,
    /// The number of figures of GPUs that the machine does not have.
    strangers: usize,
    /// The line that says why a test has no result.
    why: Option<String>,
}

impl Reader<'_> {
    fn text(&mut self, text: &str) {
        let (mut running, mut columns, mut trouble) = (None, Vec::new(), None);
        for line in text.lines().map(str::trim) {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let Some(name) = line.strip_prefix("Running ") {
                self.row(running, &columns, &[], trouble.take());
                (running, columns) = (test(name.trim_end_matches('.')), Vec::new());
            } else if let Some(rest) = line.strip_prefix("Device ") {
                self.device(rest);
            } else if TROUBLE.iter().any(|word| line.starts_with(word)) {
                self.why.get_or_insert_with(|| line.to_owned());
                trouble.get_or_insert(line);
            } else if let (Some(_), [first, rest @ ..]) = (running, &words[..]) {
                let numbers: Option<Vec<usize>> = words.iter().map(|word| word.parse().ok()).collect();
                match numbers {
                    Some(numbers) if columns.is_empty() => columns = numbers,
                    // The only row is that of the CPU.
                    _ if *first == "0" && rest.len() <= columns.len() && !rest.is_empty() => {
                        // The last number of an output that was cut may lack its last digits.
                        let is_cut = rest.len() < columns.len() && text.ends_with(line);
                        let whole = &rest[..rest.len() - usize::from(is_cut)];
                        self.row(running.take(), &columns, whole, trouble);
                    }
                    _ => {}
                }
            }
        }
        self.row(running, &columns, &[], trouble);
    }

    /// Takes the row of a test. Each GPU that it was to measure has a figure, or is known to have none.
    fn row(&mut self, test: Option<Test>, columns: &[usize], cells: &[&str], trouble: Option<&str>) {
        let Some((test, to_gpu)) = test else { return };
        let most = self.visible.map_or(self.topology.gpus().len(), <[usize]>::len);
        let columns: Vec<usize> = match columns {
            [] if self.devices.is_empty() => (0..most).collect(),
            [] => self.devices.iter().copied().collect(),
            own => own.to_vec(),
        };
        for (place, column) in columns.into_iter().enumerate() {
            let cell = cells.get(place).copied();
            let gpu = self.gpu(column);
            let value = cell.and_then(|cell| cell.parse().ok()).filter(|value| (0.0..1e6).contains(value));
            let Some(gpu) = gpu else {
                self.strangers += usize::from(value.is_some());
                continue;
            };
            let subject = if to_gpu { Subject::ToGpu(gpu) } else { Subject::FromGpu(gpu) };
            if let Some(value) = value {
                self.figures.push(Figure::new(PROGRAM, subject, Metric::Bandwidth, value).test(Some(test)));
                continue;
            }
            let why = match (cell, trouble) {
                (Some("N/A"), _) => "the program prints N/A".to_owned(),
                (Some(cell), _) => {
                    format!("'{}' is not a bandwidth", cell.chars().take(40).collect::<String>())
                }
                (None, Some(line)) => {
                    format!("the program says: {}", line.chars().take(160).collect::<String>())
                }
                (None, None) => NO_FIGURE.to_owned(),
            };
            note(&mut self.missing, (Some(test), subject), why);
        }
    }

    fn json(&mut self, text: &str) -> Result<()> {
        let document: Value = serde_json::from_str(text)
            .map_err(|error| Error::input(error.to_string()).at(error.line(), error.column()))?;
        let run = &document["nvbandwidth"];
        for device in run["GPU Device list"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            self.device(device);
        }
        for test in run["testcases"].as_array().into_iter().flatten() {
            let Some(own) = test["name"].as_str().and_then(self::test) else { continue };
            let row = test["bandwidth_matrix"][0].as_array().into_iter().flatten();
            let cells: Vec<&str> = row.map(|cell| cell.as_str().unwrap_or_default()).collect();
            let columns: Vec<usize> = (0..cells.len().max(self.devices.len())).collect();
            self.row(Some(own), &columns, &cells, test["error"].as_str().or_else(|| test["status"].as_str()));
        }
        Ok(())
    }

    /// Reads `0: NVIDIA H100 80GB HBM3 (00000000:1b:00)`, behind which a host may stand.
    fn device(&mut self, text: &str) {
        let Some((number, rest)) = text.split_once(": ") else { return };
        self.devices.extend(number.trim().parse::<usize>().ok());
        let inside =
            rest.rsplit('(').find_map(|part| format!("{}.0", part.split(')').next()?.trim()).parse().ok());
        if let (Ok(number), Some(address)) = (number.trim().parse(), inside) {
            self.addresses.insert(number, address);
        }
    }

    fn gpu(&self, column: usize) -> Option<usize> {
        let address = self.addresses.get(&column);
        let by_address =
            self.topology.gpus().position(|gpu| gpu.address.is_some() && gpu.address.as_ref() == address);
        by_address.or_else(|| match self.visible {
            Some(visible) => visible.get(column).copied(),
            None if address.is_some() && self.topology.gpus().any(|gpu| gpu.address.is_some()) => None,
            None => self.topology.gpus().position(|gpu| gpu.index as usize == column),
        })
    }
}

fn test(name: &str) -> Option<Test> {
    TESTS.iter().find(|(own, ..)| *own == name).map(|(_, short, to_gpu)| (*short, *to_gpu))
}
