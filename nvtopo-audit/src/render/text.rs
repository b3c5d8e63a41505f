//! The report for people: what to do first, then everything by severity.

use crate::finding::{Severity, Status};
use crate::report::{FindingGroup, Report};
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

impl Report {
    /// Returns the report for people.
    pub fn to_text(&self, style: TextStyle) -> String {
        let width = style.width.unwrap_or(WIDTH).max(NARROWEST);
        let mut text = String::new();
        add_wrapped(&mut text, "", &self.headline(), width);
        self.add_first_steps(&mut text, width);
        let groups = self.groups();
        for severity in Severity::ALL {
            let own = |group: &&FindingGroup<'_>| {
                group.check.severity == severity
                    && (group.status >= Status::Unknown || group.waived.is_some() || style.all)
            };
            let mut own = groups.iter().filter(own).peekable();
            if own.peek().is_some() {
                let _ = writeln!(text, "\n{severity}");
            }
            own.for_each(|group| add_group(&mut text, group, width));
        }
        text
    }

    /// Adds the remedies of the worst failures.
    fn add_first_steps(&self, text: &mut String, width: usize) {
        let steps = self.first_steps();
        if !steps.is_empty() {
            text.push_str("\nDo first\n");
        }
        for (number, finding) in (1..).zip(steps) {
            let line = format!("{} ({}: {})", finding.check.remedy, finding.subject, finding.text);
            add_wrapped(text, &format!("  {number}. "), &line, width);
        }
    }
}

/// Adds findings that say the same of several subjects.
fn add_group(text: &mut String, group: &FindingGroup<'_>, width: usize) {
    let mut line = format!("{}: {}", group.subjects(), group.text);
    if let Some(reason) = group.waived {
        let _ = write!(line, " (accepted: {reason})");
    }
    let _ = writeln!(text, "  {:<8}{}", group.status, group.check.code);
    add_wrapped(text, "          ", &line, width);
}

fn add_wrapped(text: &mut String, indent: &str, line: &str, width: usize) {
    let blank = " ".repeat(indent.chars().count());
    let options = textwrap::Options::new(width).initial_indent(indent).subsequent_indent(&blank);
    for line in textwrap::wrap(&printable(line), options) {
        text.push_str(&line);
        text.push('\n');
    }
}
