//! [`Report`]: the verdicts of an audit.

use crate::finding::{Finding, Severity, Status};
use nvtopo::Topology;

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

    /// Returns the number of failed findings of checks of a severity or a worse one.
    pub fn failures(&self, least: Severity) -> usize {
        self.of_status(Status::Fail).filter(|finding| finding.check.severity <= least).count()
    }
}
