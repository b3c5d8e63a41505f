//! Copies between memory of the host and each GPU, as `nvbandwidth` prints them, as text and as JSON.

use crate::figure::{Figure, Metric, Subject};
use nvtopo::{Error, PciAddress, Result, Topology};
use serde_json::Value;
use std::collections::BTreeMap;

const PROGRAM: &str = "nvbandwidth";

/// The names of the tests, and whether their data goes to the GPU.
const TESTS: [(&str, bool); 4] = [
    ("host_to_device_memcpy_ce", true),
    ("host_to_device_memcpy_sm", true),
    ("device_to_host_memcpy_ce", false),
    ("device_to_host_memcpy_sm", false),
];

/// Reads the rows of the tests with one direction. `visible` as for [`copies::read`](super::copies::read).
///
/// Errors where there is none, with what the program says of it.
pub(crate) fn read(topology: &Topology, visible: Option<&[usize]>, text: &str) -> Result<Vec<Figure>> {
    let mut reader =
        Reader { topology, visible, addresses: BTreeMap::new(), best: BTreeMap::new(), why: None };
    if text.trim_start().starts_with('{') {
        reader.json(text)?;
    } else {
        reader.text(text);
    }
    if reader.best.is_empty() {
        let why = reader.why.map_or(String::new(), |why| format!(": {why}"));
        return Err(Error::input(format!(
            "no copy between the host and a GPU is in the output of {PROGRAM}{why}"
        )));
    }
    let figure = |((gpu, to_gpu), value)| {
        let subject = if to_gpu { Subject::ToGpu(gpu) } else { Subject::FromGpu(gpu) };
        Figure::new(PROGRAM, subject, Metric::Bandwidth, value)
    };
    Ok(reader.best.into_iter().map(figure).collect())
}

struct Reader<'a> {
    topology: &'a Topology,
    visible: Option<&'a [usize]>,
    addresses: BTreeMap<usize, PciAddress>,
    /// The greatest figure of each GPU and direction.
    best: BTreeMap<(usize, bool), f64>,
    /// The line that says why a test has no result.
    why: Option<String>,
}

impl Reader<'_> {
    fn text(&mut self, text: &str) {
        let (mut running, mut columns) = (None, Vec::new());
        for line in text.lines().map(str::trim) {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let Some(name) = line.strip_prefix("Running ") {
                (running, columns) = (to_gpu(name.trim_end_matches('.')), Vec::new());
            } else if let Some(rest) = line.strip_prefix("Device ") {
                self.device(rest);
            } else if ["Waiving ", "Waived", "Error", "ERROR", "Not Found", "NVML_ERROR", "["]
                .iter()
                .any(|word| line.starts_with(word))
            {
                self.why.get_or_insert_with(|| line.to_owned());
            } else if let (Some(to_gpu), [first, rest @ ..]) = (running, &words[..]) {
                let numbers: Option<Vec<usize>> = words.iter().map(|word| word.parse().ok()).collect();
                match numbers {
                    Some(numbers) if columns.is_empty() => columns = numbers,
                    // The only row is that of the CPU.
                    _ if *first == "0" && rest.len() == columns.len() && !rest.is_empty() => {
                        for (column, cell) in columns.iter().zip(rest) {
                            self.add(*column, to_gpu, cell);
                        }
                        running = None;
                    }
                    _ => {}
                }
            }
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
            let Some(to_gpu) = test["name"].as_str().and_then(to_gpu) else { continue };
            for (column, cell) in test["bandwidth_matrix"][0].as_array().into_iter().flatten().enumerate() {
                self.add(column, to_gpu, cell.as_str().unwrap_or_default());
            }
        }
        Ok(())
    }

    /// Reads `0: NVIDIA H100 80GB HBM3 (00000000:1b:00)`, behind which a host may stand.
    fn device(&mut self, text: &str) {
        let Some((number, rest)) = text.split_once(": ") else { return };
        let inside =
            rest.rsplit('(').find_map(|part| format!("{}.0", part.split(')').next()?.trim()).parse().ok());
        if let (Ok(number), Some(address)) = (number.trim().parse(), inside) {
            self.addresses.insert(number, address);
        }
    }

    fn add(&mut self, column: usize, to_gpu: bool, cell: &str) {
        let value = cell.parse::<f64>().ok().filter(|value| (0.0..1e6).contains(value));
        let (Some(value), Some(gpu)) = (value, self.gpu(column)) else { return };
        let best = self.best.entry((gpu, to_gpu)).or_insert(value);
        *best = best.max(value);
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

fn to_gpu(test: &str) -> Option<bool> {
    TESTS.iter().find(|(name, _)| *name == test).map(|(_, to_gpu)| *to_gpu)
}
