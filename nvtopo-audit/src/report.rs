//! [`Report`]: the verdicts of an audit.

use crate::check::Check;
use crate::finding::{Finding, Severity, Status, ends};
use nvtopo::Topology;

/// The most steps of [`Report::first_steps`].
const FIRST_STEPS: usize = 3;

/// The most subjects that are listed one by one.
const MOST_LISTED: usize = 8;

/// The verdicts of an audit.
#[derive(Clone, Debug)]
pub struct Report {
    topology: Topology,
    findings: Vec<Finding>,
}

impl Report {
    /// Creates a report, the worst findings first: by status, then by severity, then in the order of checks.
    pub(crate) fn new(topology: Topology, mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| (std::cmp::Reverse(finding.effective()), finding.check.severity));
        Self { topology, findings }
    }

    /// Returns the machine that was judged.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Returns the findings, the worst first.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Returns the findings of a status, accepted ones as passed.
    pub fn of_status(&self, status: Status) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.effective() == status)
    }

    /// Returns the number of findings of a status, accepted ones as passed.
    pub fn count(&self, status: Status) -> usize {
        self.of_status(status).count()
    }

    /// Returns the worst status.
    pub fn worst(&self) -> Status {
        self.findings.iter().map(Finding::effective).max().unwrap_or(Status::NotApplicable)
    }

    /// Returns the numbers of findings of each status in one line.
    pub fn headline(&self) -> String {
        let count = |status| self.count(status);
        format!(
            "{} failed, {} to look at, {} unknown, {} passed, {} not applicable",
            count(Status::Fail),
            count(Status::Warn),
            count(Status::Unknown),
            count(Status::Pass),
            count(Status::NotApplicable)
        )
    }

    /// Returns the failures whose remedies come first, at most three and one of each check. Empty: nothing failed.
    pub fn first_steps(&self) -> Vec<&Finding> {
        let mut steps: Vec<&Finding> = Vec::new();
        for finding in self.of_status(Status::Fail) {
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

    /// Returns the number of failed findings of checks of a severity or a worse one.
    pub fn failures(&self, least: Severity) -> usize {
        self.of_status(Status::Fail).filter(|finding| finding.check.severity <= least).count()
    }
}

/// Findings of one check that say the same of several subjects.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FindingGroup<'a> {
    /// The check.
    pub check: &'static Check,
    /// The status that counts: accepted findings pass.
    pub status: Status,
    /// The evidence and, where they differ, the expectation, in one sentence.
    pub text: &'a str,
    /// The reason why they are accepted.
    pub waived: Option<&'a str>,
    findings: &'a [Finding],
}

impl<'a> FindingGroup<'a> {
    fn of(findings: &'a [Finding]) -> Option<Self> {
        let first = findings.first()?;
        let (status, waived) = (first.effective(), first.waived.as_deref());
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
