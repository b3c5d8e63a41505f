//! The report for people: what to do first, then everything by severity.

use crate::finding::{Severity, Status};
use crate::report::{FindingGroup, Report};
use nvtopo::model::{Note, NoteCode, NoteKind};
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

/// The most notes that are shown where not all are asked for.
const MOST_NOTES: usize = 10;

impl Report {
    /// Returns the report for people: what to do first; what failed, warns or is accepted, by severity; what is unknown; and
    /// the notes on what was read.
    pub fn to_text(&self, style: TextStyle) -> String {
        let width = style.width.unwrap_or(WIDTH).max(NARROWEST);
        let mut text = String::new();
        let node = self.node().map_or_else(String::new, |node| format!("{node}: "));
        add_wrapped(&mut text, "", &format!("{node}{}", self.headline()), width);
        for remark in self.remarks() {
            add_wrapped(&mut text, "Note: ", remark, width);
        }
        let steps = self.first_steps();
        if !steps.is_empty() {
            text.push_str("\nDo first\n");
        }
        for (number, finding) in (1..).zip(&steps) {
            let line = format!("{} ({}: {})", finding.check.remedy, finding.subject, finding.text);
            add_wrapped(&mut text, &format!("  {number}. "), &line, width);
        }
        let groups = self.groups();
        let (unknown, told): (Vec<_>, Vec<_>) =
            groups.iter().partition(|group| group.status == Status::Unknown);
        for severity in Severity::ALL {
            let is_shown = |status| style.all || status >= Status::Warn || status == Status::Accepted;
            let own = told.iter().filter(|own| own.check.severity == severity && is_shown(own.status));
            let own: Vec<&FindingGroup<'_>> = own.copied().collect();
            if !own.is_empty() {
                let _ = writeln!(text, "\n{severity}");
            }
            for check in own.chunk_by(|a, b| (a.check, a.status) == (b.check, b.status)) {
                for group in check {
                    add_group(&mut text, group, width);
                }
                let is_told = steps.iter().any(|step| step.check == check[0].check);
                if check[0].status >= Status::Warn && !is_told {
                    add_wrapped(&mut text, "          Remedy: ", check[0].check.remedy, width);
                }
            }
        }
        Self::add_unknown(&mut text, &unknown, style, width);
        self.add_notes(&mut text, style, width);
        text
    }

    /// Adds what is unknown: each check once, unless all are asked for, and how it gets known.
    fn add_unknown(text: &mut String, groups: &[&FindingGroup<'_>], style: TextStyle, width: usize) {
        if groups.is_empty() {
            return;
        }
        let _ = writeln!(text, "\nunknown");
        for own in groups.chunk_by(|a, b| a.check == b.check) {
            let check = own[0].check;
            let shown = if style.all { own } else { &own[..1] };
            let _ = writeln!(text, "  {:<8} {}", check.severity, check.code);
            for group in shown {
                let rest: usize = own[shown.len()..].iter().map(|group| group.findings().len()).sum();
                let more = if rest > 0 { format!("; {rest} more like it") } else { String::new() };
                let line = format!("{}: {}{more}", group.subjects(), group.text);
                add_wrapped(text, "          ", &line, width);
            }
            if style.all {
                add_wrapped(text, "          Told by: ", check.evidence, width);
            }
        }
        let help = "A file of nvtopo snapshot, taken by root on the node, tells most of these; --explain CODE says what tells one.";
        text.push('\n');
        add_wrapped(text, "", help, width);
    }

    /// Adds what readers noted of the evidence. Facts that are unknown are told by the findings.
    fn add_notes(&self, text: &mut String, style: TextStyle, width: usize) {
        let is_told = |note: &&Note| {
            let is_of_input = matches!(note.kind(), NoteKind::Driver | NoteKind::Damage | NoteKind::Conflict);
            style.all || is_of_input || note.code() == NoteCode::FilesLeftOut
        };
        let notes: Vec<&Note> = self.topology().notes().iter().filter(is_told).collect();
        if notes.is_empty() {
            return;
        }
        text.push_str("\nNotes\n");
        let most = if style.all { notes.len() } else { MOST_NOTES };
        for note in notes.iter().take(most) {
            add_wrapped(text, "  ", &note.to_string(), width);
        }
        if notes.len() > most {
            let _ = writeln!(text, "  and {} more (--all)", notes.len() - most);
        }
    }
}

/// Adds findings that say the same of several subjects.
fn add_group(text: &mut String, group: &FindingGroup<'_>, width: usize) {
    let mut line = format!("{}: {}", group.subjects(), group.text);
    if let Some(waiver) = group.waived {
        let _ = write!(line, " (accepted: {})", waiver.words());
    }
    let _ = writeln!(text, "  {:<7} {}", group.status, group.check.code);
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
