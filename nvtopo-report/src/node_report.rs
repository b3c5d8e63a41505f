//! [`NodeReport`]: the parts of a report, before they are written in a format.

use crate::format::ReportFormat;
use crate::placements::{self, Choice};
use nvtopo::Topology;
use nvtopo::source::Contents;
use nvtopo_audit::check::Theme;
use nvtopo_audit::{Baseline, Finding, FindingGroup, Report, Status};
use nvtopo_draw::words;
use std::cell::OnceCell;

/// The report on one machine. See the [crate](crate)'s example.
pub struct NodeReport<'a> {
    pub(crate) contents: &'a Contents,
    pub(crate) audit: &'a Report,
    pub(crate) baseline: Option<&'a Baseline>,
    pub(crate) date: Option<String>,
    sizes: Option<Vec<usize>>,
    choices: OnceCell<Vec<Choice>>,
    state: OnceCell<Baseline>,
}

impl<'a> NodeReport<'a> {
    /// Creates the report on a machine from what was read of it and from the verdicts of an audit of it.
    pub fn of(contents: &'a Contents, audit: &'a Report) -> Self {
        Self {
            contents,
            audit,
            baseline: None,
            date: None,
            sizes: None,
            choices: OnceCell::new(),
            state: OnceCell::new(),
        }
    }

    /// Sets the baseline that the audit compared the machine with: the report tells what has changed since.
    #[must_use]
    pub fn baseline(mut self, baseline: &'a Baseline) -> Self {
        self.baseline = Some(baseline);
        self
    }

    /// Sets the date of the report, such as `2026-03-31`.
    #[must_use]
    pub fn date(mut self, date: impl Into<String>) -> Self {
        self.date = Some(date.into());
        self
    }

    /// Sets the numbers of GPUs of the jobs to place: powers of two and all GPUs without it.
    #[must_use]
    pub fn sizes(mut self, sizes: impl IntoIterator<Item = usize>) -> Self {
        self.sizes = Some(sizes.into_iter().collect());
        self.choices = OnceCell::new();
        self
    }

    /// Writes the report in a format.
    pub fn write(&self, format: ReportFormat) -> String {
        match format {
            ReportFormat::Html => self.to_html(),
            ReportFormat::Json => self.to_json(),
            ReportFormat::Markdown => self.to_markdown(),
        }
    }

    pub(crate) fn topology(&self) -> &'a Topology {
        &self.contents.topology
    }

    /// Returns the best GPUs for jobs, by their size.
    pub(crate) fn choices(&self) -> &[Choice] {
        self.choices.get_or_init(|| placements::choices(self.topology(), self.audit, self.sizes.as_deref()))
    }

    /// Returns the machine as a baseline has it: its software, firmware and fingerprints.
    pub(crate) fn state(&self) -> &Baseline {
        self.state.get_or_init(|| Baseline::of(self.contents))
    }

    /// Returns the verdicts without the changes since a baseline, which are a part of their own.
    pub(crate) fn verdicts(&self) -> Vec<FindingGroup<'_>> {
        let mut groups = self.audit.groups();
        groups.retain(|group| !self.is_change(group));
        groups
    }

    /// Returns the changes since the baseline, and those that cannot be judged.
    pub(crate) fn drift(&self) -> Vec<FindingGroup<'_>> {
        let mut groups = self.audit.groups();
        groups.retain(|group| self.is_change(group));
        groups
    }

    fn is_change(&self, group: &FindingGroup<'_>) -> bool {
        let is_told = group.status >= Status::Unknown || group.status == Status::Accepted;
        self.baseline.is_some() && group.check.theme == Theme::Drift && is_told
    }

    /// Returns the sentence on the baseline.
    pub(crate) fn drift_words(&self, baseline: &Baseline) -> String {
        let date = baseline.date().map_or_else(String::new, |date| format!(" of {date}"));
        let was_judged = |own: &Finding| own.check.theme == Theme::Drift;
        if !self.audit.findings().iter().any(was_judged) {
            return format!("The checks of changes since the baseline{date} were left out.");
        }
        let changed = self.drift().iter().filter(|group| group.status != Status::Unknown).count();
        let same = baseline.structure() == self.state().structure();
        match (changed, same) {
            (0, true) => format!("Nothing has changed since the baseline{date}."),
            (0, false) => {
                format!(
                    "No change since the baseline{date} was found, but its structure has another fingerprint."
                )
            }
            (_, true) => format!("Changed since the baseline{date}; the structure has the same fingerprint."),
            (_, false) => format!("Changed since the baseline{date}, the structure too."),
        }
    }

    /// Returns the remarks of the audit, and the notes on what was read.
    pub(crate) fn notes(&self) -> Vec<String> {
        let notes = words::notes(self.topology()).into_iter().map(ToString::to_string);
        self.audit.remarks().iter().cloned().chain(notes).collect()
    }

    /// Returns the words on who wrote the report, when, and of which node at which time.
    pub(crate) fn made(&self) -> String {
        let node = self.audit.node().map_or_else(String::new, |node| format!(" on {node}"));
        let date = self.date.as_ref().map_or_else(String::new, |date| format!(" of {date}"));
        let taken = self.audit.taken().map_or_else(String::new, |time| format!(", read at {time}"));
        format!("Report{node}{date} by nvtopo {}{taken}", env!("CARGO_PKG_VERSION"))
    }
}
