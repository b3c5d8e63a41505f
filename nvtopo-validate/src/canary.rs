//! The same figures before and after a change of the driver, of firmware or of the kernel: go on, or roll back.
//!
//! A loss counts where it is larger than the tolerance, and larger than what chance makes of the runs: by the exact one-sided
//! rank-sum test, at 5 % ([`CHANCE`]). Where there are too few runs for that, the answer is that it cannot be told.

use crate::figure::{Metric, Subject, program_name};
use crate::render::add;
use crate::results::Results;
use crate::spread::{chance, median, range};
use nvtopo::diff::{ChangeKind, Diff};
use nvtopo::source::WriteOptions;
use nvtopo::{Error, Result, Topology};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;

const FORMAT: &str = "nvtopo-canary";
const VERSION: u32 = 1;

/// The greatest chance of a difference that counts as one.
pub const CHANCE: f64 = 0.05;

/// The fewest runs before and after by which the test can tell the two apart at [`CHANCE`].
pub const RUNS: usize = 3;

/// The figures of a machine at one time, with the machine, to compare later ones with.
#[derive(Clone, Debug)]
pub struct Record {
    topology: Topology,
    figures: BTreeMap<Key, Vec<f64>>,
    failed: BTreeMap<Key, String>,
}

/// A figure that is measured at both times: devices by address, else by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    program: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    test: Option<String>,
    metric: String,
    kind: String,
    devices: Vec<String>,
}

/// The record as it is written.
#[derive(Serialize, Deserialize)]
struct Document {
    format: String,
    version: u32,
    topology: serde_json::Value,
    figures: Vec<(Key, Vec<f64>)>,
    failed: Vec<(Key, String)>,
}

impl Record {
    /// Keeps results with the machine that they were measured on.
    pub fn new(topology: &Topology, results: &Results) -> Self {
        let mut own = Self { topology: topology.clone(), figures: BTreeMap::new(), failed: BTreeMap::new() };
        for figure in &results.figures {
            let key = key(topology, (figure.program, figure.test), figure.metric.word(), &figure.subject);
            own.figures.entry(key).or_default().push(figure.value);
        }
        for failed in &results.failed {
            let key = key(topology, (failed.program, failed.test), "", &failed.subject);
            own.failed.insert(key, failed.why.clone());
        }
        own
    }

    /// Writes it as JSON, the machine included.
    ///
    /// Errors as the writer of topologies.
    pub fn to_json(&self) -> Result<String> {
        let written = self.topology.write_with("json", &WriteOptions::default())?;
        let topology =
            serde_json::from_slice(written.text.as_ref()).map_err(|error| Error::input(error.to_string()))?;
        let document = Document {
            format: FORMAT.to_owned(),
            version: VERSION,
            topology,
            figures: self.figures.clone().into_iter().collect(),
            failed: self.failed.clone().into_iter().collect(),
        };
        serde_json::to_string_pretty(&document)
            .map(|text| text + "\n")
            .map_err(|error| Error::input(error.to_string()))
    }

    /// Reads what [`to_json`](Self::to_json) wrote. Messages call it by `name`.
    ///
    /// Errors with [`InvalidInput`](nvtopo::ErrorKind::InvalidInput) for anything else.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self> {
        let document: Document = serde_json::from_slice(bytes).map_err(|error| {
            Error::input(error.to_string())
                .in_input(name)
                .at(error.line(), error.column())
                .help("nvtopo validate --canary before --record FILE writes such a file")
        })?;
        if document.format != FORMAT || document.version != VERSION {
            let text = format!(
                "it is {} version {}, not {FORMAT} version {VERSION}",
                document.format, document.version
            );
            return Err(Error::input(text).in_input(name));
        }
        if document
            .figures
            .iter()
            .flat_map(|(_, values)| values)
            .any(|value| !value.is_finite() || *value < 0.0)
        {
            return Err(Error::input("a figure is negative, or no number").in_input(name));
        }
        let topology = Topology::parse(name, document.topology.to_string().as_bytes())?;
        Ok(Self {
            topology,
            figures: document.figures.into_iter().collect(),
            failed: document.failed.into_iter().collect(),
        })
    }

    /// Returns the programs that measured it.
    pub fn programs(&self) -> Vec<&str> {
        let mut all: Vec<&str> =
            self.figures.keys().chain(self.failed.keys()).map(|key| key.program.as_str()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Compares later figures with these. `tolerance` is the part that a figure may lose.
    pub fn compare(&self, after: &Self, tolerance: f64) -> Canary {
        let mut canary = Canary::default();
        let driver =
            |topology: &Topology| topology.machine().driver.clone().unwrap_or_else(|| "unknown".to_owned());
        canary.driver = [driver(&self.topology), driver(&after.topology)];
        for change in Diff::of_structure(&self.topology, &after.topology).changes {
            let step = match change.kind {
                ChangeKind::Gone | ChangeKind::Nvlinks => Advice::RollBack,
                _ => Advice::GoOn,
            };
            canary.add(step, change.to_string());
        }
        for (key, before) in &self.figures {
            canary.figure(key, &key.name(&self.topology), (before, after), tolerance);
        }
        for (key, why) in &after.failed {
            let name = key.name(&after.topology);
            let was = |own: &&Key| own.same_run(key);
            let lost = self.figures.keys().filter(was).filter(|own| !after.figures.contains_key(own)).count();
            let text = match self.failed.iter().find(|(own, _)| own.same_run(key)) {
                Some((_, before)) if before == why => format!("{name}: no result before and now: {why}"),
                Some((_, before)) => format!("{name}: no result before: {before}; none now: {why}"),
                // Told of with its figure.
                None if lost > 0 => continue,
                None if self.figures.keys().any(|own| own.same_run(key)) => {
                    format!("{name}: a run has no result now: {why}")
                }
                None => format!("{name}: no result: {why}; it was not measured before"),
            };
            canary.add(Advice::Unclear, text);
        }
        let is_told = |key: &Key| after.failed.keys().any(|own| own.same_run(key));
        for (key, why) in self.failed.iter().filter(|(key, _)| !is_told(key)) {
            let name = key.name(&self.topology);
            canary
                .add(Advice::Unclear, format!("{name}: no result before: {why}; nothing tells what it lost"));
        }
        if canary.compared == 0 {
            canary.add(Advice::Unclear, "no figure was measured at both times".to_owned());
        }
        canary
    }
}

impl Key {
    /// Returns true for two figures of one program and the same devices; of one test, where both are of a single one.
    fn same_run(&self, other: &Self) -> bool {
        let sorted = |key: &Self| {
            let mut devices = key.devices.clone();
            devices.sort_unstable();
            devices
        };
        let is_same_test = self.test.is_none() || other.test.is_none() || self.test == other.test;
        self.program == other.program && is_same_test && sorted(self) == sorted(other)
    }
}

impl Key {
    /// Returns the program and the devices, by their names on a machine.
    fn name(&self, topology: &Topology) -> String {
        let name = |device: &String| {
            let is_it = |gpu: &&nvtopo::model::Gpu| gpu.address.is_some_and(|own| own.to_string() == *device);
            topology.gpus().find(is_it).map_or_else(|| device.clone(), nvtopo::model::Gpu::name)
        };
        let devices: Vec<String> = self.devices.iter().map(name).collect();
        let program = program_name(&self.program, self.test.as_deref());
        match (self.kind.as_str(), &devices[..]) {
            ("path", [from, to]) => format!("{program}, {from} to {to}"),
            ("to-gpu", [gpu]) => format!("{program}, host to {gpu}"),
            ("from-gpu", [gpu]) => format!("{program}, {gpu} to host"),
            _ => format!("{program}, {}", devices.join(", ")),
        }
    }
}

fn key(topology: &Topology, (program, test): (&str, Option<&str>), metric: &str, subject: &Subject) -> Key {
    let kind = match subject {
        Subject::Path { .. } => "path",
        Subject::ToGpu(_) => "to-gpu",
        Subject::FromGpu(_) => "from-gpu",
        Subject::Adapter(_) => "adapter",
        Subject::Group(_) => "group",
    };
    // A GPU that is lost renumbers the others; its place stays.
    let name = |device: &usize| {
        let address = topology.gpus().nth(*device).and_then(|gpu| gpu.address);
        address.map_or_else(|| topology.device_name(*device), |address| address.to_string())
    };
    let devices = subject.devices().iter().map(name).collect();
    Key {
        program: program.to_owned(),
        test: test.map(str::to_owned),
        metric: metric.to_owned(),
        kind: kind.to_owned(),
        devices,
    }
}

/// The advice of a comparison, from best to worst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Advice {
    /// Nothing was lost.
    #[default]
    GoOn,
    /// The figures do not tell.
    Unclear,
    /// Something was lost.
    RollBack,
}

impl Advice {
    /// The word in documents.
    pub const fn code(self) -> &'static str {
        match self {
            Self::GoOn => "go-on",
            Self::Unclear => "unclear",
            Self::RollBack => "roll-back",
        }
    }

    /// The words for people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::GoOn => "go on",
            Self::Unclear => "cannot be told",
            Self::RollBack => "roll back",
        }
    }
}

/// The comparison of figures before and after.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Canary {
    /// The version of NVIDIA's driver before and after.
    pub driver: [String; 2],
    /// The number of figures that were measured at both times.
    pub compared: usize,
    /// The reasons, each with its advice, the worst first.
    pub reasons: Vec<(Advice, String)>,
}

impl Canary {
    /// Returns the worst advice of all reasons.
    pub fn advice(&self) -> Advice {
        self.reasons.iter().map(|(advice, _)| *advice).max().unwrap_or_default()
    }

    fn add(&mut self, advice: Advice, text: String) {
        self.reasons.push((advice, text));
        self.reasons.sort_by_key(|(advice, _)| std::cmp::Reverse(*advice));
    }

    fn figure(&mut self, key: &Key, name: &str, (before, record): (&[f64], &Record), tolerance: f64) {
        let Some(metric) = Metric::ALL.into_iter().find(|own| own.word() == key.metric) else { return };
        let Some(was) = median(before) else { return };
        let after = record.figures.get(key).filter(|after| !after.is_empty());
        let Some((after, is)) = after.and_then(|after| Some((after, median(after)?))) else {
            let failed = record.failed.iter().find(|(own, _)| own.same_run(key));
            let (advice, why) = match failed {
                Some((_, why)) => (Advice::RollBack, why.as_str()),
                None => (Advice::Unclear, "it was not measured again"),
            };
            self.add(advice, format!("{name}: {} before, no result now: {why}", metric.show(was)));
            return;
        };
        self.compared += 1;
        let Some(loss) = metric.loss(is, was).filter(|loss| *loss > tolerance) else { return };
        let chance = match metric {
            Metric::Bandwidth => chance(after, before),
            Metric::Latency => chance(before, after),
        };
        let shown = |values: &[f64], middle: f64| match range(values) {
            Some((low, high)) if values.len() > 1 => {
                format!("{} ({} to {})", metric.show(middle), metric.show(low), metric.show(high))
            }
            _ => metric.show(middle),
        };
        let text = format!(
            "{name}: {} before, {} now, {:.0} % worse",
            shown(before, was),
            shown(after, is),
            loss * 100.0
        );
        if chance <= CHANCE {
            self.add(Advice::RollBack, text);
        } else {
            let runs = before.len().min(after.len());
            let why = if runs < RUNS {
                "too few runs to tell it from chance"
            } else {
                "the runs differ as much among themselves"
            };
            self.add(Advice::Unclear, format!("{text}; {why}"));
        }
    }

    /// Returns the comparison for people. `width` in columns; 100 without it.
    pub fn to_text(&self, width: Option<usize>) -> String {
        let width = width.unwrap_or(100).max(40);
        let [before, after] = &self.driver;
        let driver =
            if before == after { format!("driver {before}") } else { format!("driver {before} -> {after}") };
        let mut text = String::new();
        let _ = writeln!(text, "{} ({driver}; {} figures compared)", self.advice().words(), self.compared);
        for advice in [Advice::RollBack, Advice::Unclear, Advice::GoOn] {
            for (_, reason) in self.reasons.iter().filter(|(own, _)| *own == advice) {
                let indent = if advice == Advice::GoOn { "  changed: " } else { "  " };
                add(&mut text, indent, reason, width);
            }
        }
        text
    }

    /// Returns the comparison as a JSON document: `advice`, `driver`, `compared`, and `reasons` with the advice of each.
    pub fn to_json(&self) -> String {
        let reasons: Vec<_> = self
            .reasons
            .iter()
            .map(|(advice, text)| json!({ "advice": advice.code(), "text": text }))
            .collect();
        let document = json!({
            "format": "nvtopo-canary-result", "version": VERSION, "advice": self.advice().code(),
            "driver": { "before": self.driver[0], "after": self.driver[1] }, "compared": self.compared, "reasons": reasons,
        });
        format!("{document:#}\n")
    }
}
