//! [`Finding`]: the verdict of a check on one subject.

use crate::check::Check;
use crate::evidence::NODE;
use crate::profile::Waiver;
use serde::Serialize;
use std::fmt;

/// The status of a subject by a check, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[non_exhaustive]
pub enum Status {
    /// The check does not apply to this machine.
    #[serde(rename = "n/a")]
    NotApplicable,
    /// The claim holds.
    #[serde(rename = "pass")]
    Pass,
    /// The claim does not hold, and a waiver of the profile accepts that.
    #[serde(rename = "accepted")]
    Accepted,
    /// The evidence is missing or cannot be read.
    #[serde(rename = "unknown")]
    Unknown,
    /// Something to look at; jobs still run.
    #[serde(rename = "warn")]
    Warn,
    /// The claim does not hold.
    #[serde(rename = "fail")]
    Fail,
}

impl Status {
    /// Every status, from best to worst.
    pub const ALL: [Self; 6] =
        [Self::NotApplicable, Self::Pass, Self::Accepted, Self::Unknown, Self::Warn, Self::Fail];

    /// The word in texts and documents.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotApplicable => "n/a",
            Self::Pass => "pass",
            Self::Accepted => "accepted",
            Self::Unknown => "unknown",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// The severity of a check: what a failure means for jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Severity {
    /// Jobs fail, or lose most of their speed.
    Critical,
    /// Jobs may lose speed, or trouble is near.
    Warning,
    /// Worth knowing.
    Info,
}

impl Severity {
    /// Every severity, the worst first.
    pub const ALL: [Self; 3] = [Self::Critical, Self::Warning, Self::Info];

    /// The word in texts and documents.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// The verdict of a check on one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The check.
    pub check: &'static Check,
    /// The device, port or setting that is judged, such as `GPU3` or `mlx5_0 port 1`; `node` for the machine.
    pub subject: String,
    /// The status that the check found, whether or not that is accepted.
    pub status: Status,
    /// The evidence and, where they differ, the expectation, in one sentence.
    pub text: String,
    /// The waiver of the profile that accepts a failure or a warning. Nothing else can be accepted: a waiver tells nothing
    /// of what is unknown.
    pub waived: Option<Waiver>,
}

impl Finding {
    /// Returns the status that counts: [`Status::Accepted`] for what a waiver accepts, else the found one.
    pub fn effective(&self) -> Status {
        if self.waived.is_some() { Status::Accepted } else { self.status }
    }
}

/// Returns the first names of a list, and the number of others.
pub(crate) fn named(all: &[String], most: usize) -> String {
    let more = all.len().saturating_sub(most);
    let others = match more {
        0 => String::new(),
        1 => " and 1 other".to_owned(),
        _ => format!(" and {more} others"),
    };
    format!("{}{others}", all[..all.len() - more].join(", "))
}

/// Returns a list, the middle left out of more than `most` names.
pub(crate) fn ends(all: &[impl AsRef<str>], most: usize) -> String {
    match all {
        [first, .., last] if all.len() > most => {
            format!("{} … {} ({} in all)", first.as_ref(), last.as_ref(), all.len())
        }
        _ => all.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", "),
    }
}

/// The verdicts of a check, as they are found.
pub(crate) struct Verdicts {
    check: &'static Check,
    findings: Vec<Finding>,
}

impl Verdicts {
    pub(crate) fn new(check: &'static Check) -> Self {
        Self { check, findings: Vec::new() }
    }

    pub(crate) fn into_findings(self) -> Vec<Finding> {
        self.findings
    }

    /// Adds a verdict.
    pub(crate) fn add(&mut self, status: Status, subject: impl Into<String>, text: impl Into<String>) {
        let (subject, text) = (subject.into(), text.into());
        self.findings.push(Finding { check: self.check, subject, status, text, waived: None });
    }

    pub(crate) fn pass(&mut self, subject: impl Into<String>, text: impl Into<String>) {
        self.add(Status::Pass, subject, text);
    }

    pub(crate) fn warn(&mut self, subject: impl Into<String>, text: impl Into<String>) {
        self.add(Status::Warn, subject, text);
    }

    pub(crate) fn fail(&mut self, subject: impl Into<String>, text: impl Into<String>) {
        self.add(Status::Fail, subject, text);
    }

    pub(crate) fn unknown(&mut self, subject: impl Into<String>, text: impl Into<String>) {
        self.add(Status::Unknown, subject, text);
    }

    /// Adds that the check does not apply, for this reason, where nothing was found to judge.
    pub(crate) fn otherwise_not_applicable(&mut self, text: &str) {
        if self.findings.is_empty() {
            self.not_applicable(NODE, text);
        }
    }

    pub(crate) fn not_applicable(&mut self, subject: impl Into<String>, text: impl Into<String>) {
        self.add(Status::NotApplicable, subject, text);
    }
}
