//! Mistakes in a kubelet's configuration, also where its own validation takes it.
//!
//! The kubelet reads unknown fields over, compares sums of reserved memory only when it starts, and knows nothing of links
//! between GPUs. [`lint`] says with line and column what it would miss, refuse at its start, or regret.

mod board;
mod managers;
mod memory;
mod schema;
mod start;

pub use crate::kubelet::tree::MAX_FILE;
pub(super) use board::{CDMM, FEW_NODES_SINCE};
pub(super) use managers::switch;

use crate::Version;
use crate::kubelet::fields::nearest;
use crate::kubelet::tree::{self, Node, Place};
use nvtopo::{Error, Result, Topology, printable};
use serde::Serialize;
use std::fmt::{self, Write};

/// The most unknown names of a file that are compared with known ones.
const MAX_COMPARED: usize = 100;

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Severity {
    /// It does something else than it seems to, or may be unwanted.
    Warning,
    /// The kubelet does not start with it, leaves it out, or pods never start.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Its severity.
    pub severity: Severity,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// The field, such as `reservedMemory[0].limits`; empty for the whole file.
    pub field: String,
    /// The mistake.
    pub message: String,
    /// The advice.
    pub help: Option<String>,
}

/// The facts that a file is compared with.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct LintOptions<'a> {
    /// The version of the kubelet that reads it.
    pub version: Version,
    /// The machine; without it the file is held against itself only.
    pub topology: Option<&'a Topology>,
    /// The GPUs of the largest pod that is to start; all of the machine without it, and then as a warning only.
    pub largest_pod: Option<usize>,
}

impl<'a> LintOptions<'a> {
    /// With the version of the kubelet.
    #[must_use]
    pub fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// With the machine.
    #[must_use]
    pub fn topology(mut self, topology: &'a Topology) -> Self {
        self.topology = Some(topology);
        self
    }

    /// With the GPUs of the largest pod that is to start.
    #[must_use]
    pub fn largest_pod(mut self, gpus: usize) -> Self {
        self.largest_pod = Some(gpus);
        self
    }
}

/// All that is wrong with one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    name: String,
    findings: Vec<Finding>,
}

/// The findings of one file, as JSON.
#[derive(Serialize)]
struct Document<'a> {
    file: &'a str,
    errors: usize,
    warnings: usize,
    findings: &'a [Finding],
}

impl Findings {
    /// The findings in the order of the file.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Finding> {
        self.findings.iter()
    }

    /// The number of findings of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// Returns true where some are errors.
    pub fn has_errors(&self) -> bool {
        self.count(Severity::Error) > 0
    }

    /// For people: a line for each, as compilers print them, with what to do below.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let name = printable(&self.name);
        for Finding { severity, line, column, field, message, help } in &self.findings {
            let colon = if field.is_empty() { "" } else { ": " };
            // Names and texts of the file may hold line breaks, which would pass for other findings.
            let (field, message) = (printable(field), printable(message));
            let _ = writeln!(text, "{name}:{line}:{column}: {severity}: {field}{colon}{message}");
            text.extend(help.iter().map(|help| format!("  {}\n", printable(help))));
        }
        if self.findings.is_empty() {
            let _ = writeln!(
                text,
                "{name}: what is checked here found nothing; the kubelet checks more at its start"
            );
        }
        text
    }

    /// As a JSON document.
    pub fn to_json(&self) -> String {
        let document = Document {
            file: &self.name,
            errors: self.count(Severity::Error),
            warnings: self.count(Severity::Warning),
            findings: &self.findings,
        };
        serde_json::to_string_pretty(&document).map(|text| text + "\n").unwrap_or_default()
    }
}

/// Says what is wrong with a kubelet's configuration, YAML or JSON: a `KubeletConfiguration`, alone or among the documents of
/// kubeadm, or the settings below `kubelet:` (`MicroShift`) or `spec.kubeletConfig` (`OpenShift`).
///
/// Errors where the text is neither YAML nor JSON, or holds none.
///
/// ```
/// use nvtopo_k8s::kubelet::lint::{LintOptions, lint};
///
/// let file = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\ncpuManagerPolcy: static\n";
/// let findings = lint("kubelet.yaml", file, &LintOptions::default())?;
/// assert!(findings.to_text().starts_with("kubelet.yaml:3:1: error: cpuManagerPolcy: "));
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn lint(name: &str, text: &str, options: &LintOptions<'_>) -> Result<Findings> {
    let documents = tree::read(name, text)?;
    let mut report = Report { options: options.clone(), findings: Vec::new(), compared: 0 };
    let mut found = false;
    for document in &documents {
        if let Some(settings) = schema::settings(&mut report, document) {
            found = true;
            schema::check(&mut report, settings);
            managers::check(&mut report, settings);
            start::check(&mut report, settings);
            memory::check(&mut report, settings);
            if let Some(topology) = options.topology {
                board::check(&mut report, settings, topology);
            }
        }
    }
    if !found {
        return Err(Error::input("this holds no configuration of a kubelet")
            .in_input(name)
            .help("a file of kind KubeletConfiguration is read, or settings below 'kubelet:'"));
    }
    let mut findings = report.findings;
    findings.sort_by(|a, b| (a.line, a.column, &a.message).cmp(&(b.line, b.column, &b.message)));
    findings.dedup();
    Ok(Findings { name: name.to_owned(), findings })
}

/// Returns the settings of a kubelet that a document holds.
pub(super) fn settings_of(document: &Node) -> Option<&Node> {
    let mut report = Report { options: LintOptions::default(), findings: Vec::new(), compared: 0 };
    schema::settings(&mut report, document)
}

/// The findings so far.
struct Report<'a> {
    options: LintOptions<'a>,
    findings: Vec<Finding>,
    /// The unknown names so far that were compared with known ones.
    compared: usize,
}

impl Report<'_> {
    /// The known name that an unknown one is near to, for the first ones of a file: more are no slips.
    fn near<'n>(&mut self, name: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
        self.compared += 1;
        (self.compared <= MAX_COMPARED).then(|| nearest(name, names)).flatten()
    }

    fn add(
        &mut self,
        severity: Severity,
        place: Place,
        field: &str,
        message: impl Into<String>,
    ) -> &mut Finding {
        self.findings.push(Finding {
            severity,
            line: place.line,
            column: place.column,
            field: field.to_owned(),
            message: message.into(),
            help: None,
        });
        let last = self.findings.len() - 1;
        &mut self.findings[last]
    }

    fn error(&mut self, place: Place, field: &str, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Error, place, field, message)
    }

    fn warning(&mut self, place: Place, field: &str, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Warning, place, field, message)
    }

    fn version(&self) -> Version {
        self.options.version
    }
}

impl Finding {
    fn help(&mut self, help: impl Into<String>) {
        self.help = Some(help.into());
    }
}

/// The text of a setting, where it is set.
fn text<'a>(settings: &'a Node, field: &str) -> Option<&'a str> {
    settings.get(field).and_then(Node::text)
}

/// Returns true for an option that is on in a map of options, as the kubelet reads switches.
fn is_on(settings: &Node, field: &str, option: &str) -> bool {
    let value = settings.get(field).and_then(|options| options.get(option));
    value.and_then(Node::text).and_then(managers::switch) == Some(true)
}
