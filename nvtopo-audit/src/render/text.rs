//! The report for people: what to do first, then everything by severity.

use crate::finding::{Finding, Severity, Status};
use crate::report::Report;
use nvtopo::printable;
use std::fmt::Write;

/// The look of texts for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TextStyle {
    /// The width in columns; 100 without it.
    pub width: Option<usize>,
    /// Lists passed and inapplicable findings one by one too.
    pub all: bool,
}

impl TextStyle {
    /// Sets the width in columns.
    #[must_use]
    pub fn width(mut self, width: Option<usize>) -> Self {
        self.width = width;
        self
    }

    /// Lists passed and inapplicable findings one by one too.
    #[must_use]
    pub fn all(mut self, all: bool) -> Self {
        self.all = all;
        self
    }
}

const WIDTH: usize = 100;
const NARROWEST: usize = 40;

/// The most steps under "do first".
const FIRST_STEPS: usize = 3;

impl Report {
    /// Returns the report for people.
    pub fn to_text(&self, style: TextStyle) -> String {
        let width = style.width.unwrap_or(WIDTH).max(NARROWEST);
        let mut text = String::new();
        add_wrapped(&mut text, "", &self.headline(), width);
        self.add_first_steps(&mut text, width);
        for severity in Severity::ALL {
            let own = |finding: &&Finding| {
                finding.check.severity == severity
                    && (finding.effective() >= Status::Unknown || finding.waived.is_some() || style.all)
            };
            let findings: Vec<&Finding> = self.findings().iter().filter(own).collect();
            if findings.is_empty() {
                continue;
            }
            let _ = writeln!(text, "\n{severity}");
            for group in findings
                .chunk_by(|a, b| (a.check, a.effective(), &a.text) == (b.check, b.effective(), &b.text))
            {
                add_group(&mut text, group, width);
            }
        }
        text
    }

    fn headline(&self) -> String {
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

    /// Adds the remedies of the worst failures, each once.
    fn add_first_steps(&self, text: &mut String, width: usize) {
        let mut checks: Vec<&Finding> = Vec::new();
        for finding in self.of_status(Status::Fail) {
            if !checks.iter().any(|other| other.check == finding.check) {
                checks.push(finding);
            }
        }
        if checks.is_empty() {
            return;
        }
        text.push_str("\nDo first\n");
        for (number, finding) in (1..).zip(checks.into_iter().take(FIRST_STEPS)) {
            let line = format!("{} ({}: {})", finding.check.remedy, finding.subject, finding.text);
            add_wrapped(text, &format!("  {number}. "), &line, width);
        }
    }
}

/// Adds findings that say the same of several subjects.
fn add_group(text: &mut String, group: &[&Finding], width: usize) {
    let Some(first) = group.first() else { return };
    let subjects: Vec<&str> = group.iter().map(|finding| finding.subject.as_str()).collect();
    let mut line = format!("{}: {}", listed(&subjects), first.text);
    if let Some(reason) = &first.waived {
        let _ = write!(line, " (accepted: {reason})");
    }
    let mark = first.effective().word();
    let _ = writeln!(text, "  {mark:<8}{}", first.check.code);
    add_wrapped(text, "          ", &line, width);
}

/// Joins names, the middle left out of many.
fn listed(names: &[&str]) -> String {
    match names {
        [first, .., last] if names.len() > 8 => format!("{first} … {last} ({} in all)", names.len()),
        _ => names.join(", "),
    }
}

fn add_wrapped(text: &mut String, indent: &str, line: &str, width: usize) {
    let blank = " ".repeat(indent.chars().count());
    let options = textwrap::Options::new(width).initial_indent(indent).subsequent_indent(&blank);
    for line in textwrap::wrap(&printable(line), options) {
        text.push_str(&line);
        text.push('\n');
    }
}
