//! [`Report`]: the verdicts of an audit, and the [`Outcome`] by the [`Limits`] that they are held against.

use crate::check::Check;
use crate::finding::{Finding, Severity, Status, ends};
use crate::profile::Waiver;
use nvtopo::Topology;
use serde::Serialize;

/// The most steps of [`Report::first_steps`].
const FIRST_STEPS: usize = 3;

/// The most subjects that are listed one by one.
const MOST_LISTED: usize = 8;

/// The least that makes an audit fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailOn {
    /// A failure of a critical check.
    Critical,
    /// Any failure.
    #[default]
    Fail,
    /// A failure or a warning.
    Warn,
    /// Nothing.
    Never,
}

impl FailOn {
    /// Returns whether a finding makes the audit fail.
    pub fn includes(self, finding: &Finding) -> bool {
        match self {
            Self::Critical => {
                finding.effective() == Status::Fail && finding.check.severity == Severity::Critical
            }
            Self::Fail => finding.effective() == Status::Fail,
            Self::Warn => finding.effective() >= Status::Warn,
            Self::Never => false,
        }
    }
}

/// The limits that an audit is held against.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The least that makes it fail.
    pub fail_on: FailOn,
    /// The most unknown findings that are allowed; any number without it.
    pub max_unknown: Option<usize>,
}

impl Limits {
    /// Sets the least that makes an audit fail.
    #[must_use]
    pub fn fail_on(mut self, least: FailOn) -> Self {
        self.fail_on = least;
        self
    }

    /// Sets the most unknown findings that are allowed.
    #[must_use]
    pub fn max_unknown(mut self, most: Option<usize>) -> Self {
        self.max_unknown = most;
        self
    }
}

/// The outcome of an audit as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Outcome {
    /// Nothing failed, and no more is unknown than is allowed.
    Pass,
    /// Nothing failed, but more is unknown than is allowed.
    Unknown,
    /// Something failed.
    Fail,
}

impl Outcome {
    /// Returns the exit code of `nvtopo audit`: 0, 3 for unknown, 1 for failed.
    pub const fn code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 1,
            Self::Unknown => 3,
        }
    }
}

/// The verdicts of an audit.
#[derive(Clone, Debug)]
pub struct Report {
    topology: Topology,
    findings: Vec<Finding>,
    limits: Limits,
    pub(crate) node: Option<String>,
    pub(crate) date: Option<String>,
    pub(crate) taken: Option<String>,
    pub(crate) remarks: Vec<String>,
}

impl Report {
    /// Creates a report, the worst findings first: by status, then by severity, then in the order of checks.
    pub(crate) fn new(topology: Topology, mut findings: Vec<Finding>, limits: Limits) -> Self {
        findings.sort_by_key(|finding| (std::cmp::Reverse(finding.effective()), finding.check.severity));
        Self { topology, findings, limits, node: None, date: None, taken: None, remarks: Vec::new() }
    }

    /// Returns the machine that was judged.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Returns the name of the node: the one that was set, or that of the host in the evidence. `None`: unknown.
    pub fn node(&self) -> Option<&str> {
        self.node.as_deref()
    }

    /// Returns the date of the audit, such as `2026-03-31`. `None`: it was not set.
    pub fn date(&self) -> Option<&str> {
        self.date.as_deref()
    }

    /// Returns the time at which the evidence was read, such as `2026-03-31T10:00:00Z`. `None`: unknown, as of saved outputs.
    pub fn taken(&self) -> Option<&str> {
        self.taken.as_deref()
    }

    /// Returns remarks on a baseline that is of another kind of machine, and on waivers of the profile that accept nothing: they
    /// expired, or there is nothing to accept.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// Returns the findings, the worst first.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Returns the findings of a status, accepted ones as such.
    pub fn of_status(&self, status: Status) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.effective() == status)
    }

    /// Returns the number of findings of a status, accepted ones as such.
    pub fn count(&self, status: Status) -> usize {
        self.of_status(status).count()
    }

    /// Returns the worst status.
    pub fn worst(&self) -> Status {
        self.findings.iter().map(Finding::effective).max().unwrap_or(Status::NotApplicable)
    }

    /// Returns the outcome by the limits of the audit.
    ///
    /// ```
    /// use nvtopo::source::{Contents, Locator};
    /// use nvtopo_audit::{Audit, FailOn, Limits, Outcome};
    ///
    /// let node = Contents::open(&[Locator::Preset("dgx-1-v100".to_owned())])?;
    /// let strict = Limits::default().fail_on(FailOn::Fail).max_unknown(Some(0));
    /// let report = Audit::of(&node).limits(strict).run()?;
    /// assert_eq!((report.outcome(), report.outcome().code()), (Outcome::Unknown, 3));
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn outcome(&self) -> Outcome {
        if self.findings.iter().any(|finding| self.limits.fail_on.includes(finding)) {
            Outcome::Fail
        } else if self.has_too_much_unknown() {
            Outcome::Unknown
        } else {
            Outcome::Pass
        }
    }

    /// Returns whether more is unknown than is allowed.
    pub(crate) fn has_too_much_unknown(&self) -> bool {
        self.limits.max_unknown.is_some_and(|most| self.count(Status::Unknown) > most)
    }

    /// Returns the limits of the audit.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Returns the numbers of findings of each status in one line.
    pub fn headline(&self) -> String {
        let count = |status| self.count(status);
        let accepted = match count(Status::Accepted) {
            0 => String::new(),
            accepted => format!("{accepted} accepted, "),
        };
        format!(
            "{} failed, {} to look at, {} unknown, {accepted}{} passed, {} not applicable",
            count(Status::Fail),
            count(Status::Warn),
            count(Status::Unknown),
            count(Status::Pass),
            count(Status::NotApplicable)
        )
    }

    /// Returns the failures, then the warnings, whose remedies come first: at most three, and one of each remedy. Empty:
    /// nothing failed or warns.
    pub fn first_steps(&self) -> Vec<&Finding> {
        let mut steps: Vec<&Finding> = Vec::new();
        for finding in self.findings.iter().filter(|finding| finding.effective() >= Status::Warn) {
            if steps.len() < FIRST_STEPS && steps.iter().all(|other| other.check != finding.check) {
                steps.push(finding);
            }
        }
        steps
    }

    /// Returns the findings in groups that say the same of several subjects, the worst first.
    ///
    /// ```
    /// use nvtopo::source::{Contents, Locator};
    ///
    /// let node = Contents::open(&[Locator::Preset("dgx-h100".to_owned())])?;
    /// let report = nvtopo_audit::Audit::of(&node).only(["nvlink-symmetry"]).run()?;
    /// let groups = report.groups();
    /// assert_eq!(groups[0].subjects(), "NVIDIA H100 80GB HBM3");
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn groups(&self) -> Vec<FindingGroup<'_>> {
        let key = |finding: &Finding| (finding.check, finding.effective());
        let same = |a: &Finding, b: &Finding| key(a) == key(b) && a.text == b.text && a.waived == b.waived;
        self.findings.chunk_by(same).filter_map(FindingGroup::of).collect()
    }
}

/// Findings of one check that say the same of several subjects.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FindingGroup<'a> {
    /// The check.
    pub check: &'static Check,
    /// The status that counts: accepted findings are [`Status::Accepted`].
    pub status: Status,
    /// The evidence and, where they differ, the expectation, in one sentence.
    pub text: &'a str,
    /// The waiver that accepts them.
    pub waived: Option<&'a Waiver>,
    findings: &'a [Finding],
}

impl<'a> FindingGroup<'a> {
    fn of(findings: &'a [Finding]) -> Option<Self> {
        let first = findings.first()?;
        let (status, waived) = (first.effective(), first.waived.as_ref());
        Some(Self { check: first.check, status, text: &first.text, waived, findings })
    }

    /// Returns the findings.
    pub fn findings(&self) -> &'a [Finding] {
        self.findings
    }

    /// Returns the subjects as a list, the middle left out of many.
    pub fn subjects(&self) -> String {
        ends(&self.findings.iter().map(|own| &own.subject).collect::<Vec<_>>(), MOST_LISTED)
    }
}
