//! The report as a short text for a ticket, in GitHub's Markdown.

use crate::node_report::NodeReport;
use crate::table::{Table, markdown, more};
use crate::{facts, placements};
use nvtopo_audit::{FindingGroup, Status};
use nvtopo_draw::words;
use std::fmt::Write;

/// The most notes of a ticket.
const MOST_NOTES: usize = 10;

impl NodeReport<'_> {
    /// Writes the report as Markdown for a ticket: what failed and what to do, changes, placements and facts in short tables.
    /// UUIDs and serial numbers are left out.
    pub fn to_markdown(&self) -> String {
        let topology = self.topology();
        let name = words::machine_name(topology);
        let mut out = format!(
            "# {}: {}\n\n{}: {}\n\n{}.\n",
            markdown(self.audit.node().unwrap_or(&name)),
            self.audit.headline(),
            markdown(&name),
            markdown(&words::machine_facts(topology)),
            markdown(&self.made())
        );
        let steps = self.audit.first_steps();
        if !steps.is_empty() {
            out += "\n## Do first\n\n";
        }
        for (number, step) in (1..).zip(steps) {
            let _ = writeln!(
                out,
                "{number}. {} ({}: {})",
                markdown(step.check.remedy),
                markdown(&step.subject),
                markdown(&step.text)
            );
        }
        let mut verdicts = self.verdicts();
        verdicts.retain(|group| group.status >= Status::Warn || group.status == Status::Accepted);
        if verdicts.is_empty() {
            out += "\nNo check failed, and none warns.\n";
        } else {
            let _ = write!(out, "\n## Findings\n\n{}", findings(&verdicts).to_markdown());
        }
        if let Some(baseline) = self.baseline {
            let _ = write!(out, "\n## Changes\n\n{}\n", markdown(&self.drift_words(baseline)));
            let drift = self.drift();
            if !drift.is_empty() {
                let _ = write!(out, "\n{}", findings(&drift).to_markdown());
            }
        }
        if !self.choices().is_empty() {
            let table = placements::table(self.choices(), false);
            let _ = write!(out, "\n## Best GPUs for a job\n\n{}", table.to_markdown());
            for remark in placements::remarks(self.choices()) {
                let _ = write!(out, "\n{}\n", markdown(remark));
            }
        }
        let parts = [
            ("Software and firmware", facts::software(self)),
            ("GPUs", facts::gpus(self)),
            ("Sources", facts::sources(self)),
        ];
        for (heading, table) in parts.iter().filter(|(_, table)| !table.is_empty()) {
            let _ = write!(out, "\n## {heading}\n\n{}", table.to_markdown());
        }
        let notes = self.notes();
        if !notes.is_empty() {
            out += "\n## Notes\n\n";
        }
        for note in notes.iter().take(MOST_NOTES) {
            let _ = writeln!(out, "- {}", markdown(note));
        }
        if let Some(more) = more(notes.len(), MOST_NOTES) {
            let _ = write!(out, "\n{more}\n");
        }
        out
    }
}

fn findings(groups: &[FindingGroup<'_>]) -> Table {
    let mut table = Table::new(["Status", "Check", "Subject", "Finding"]);
    for group in groups {
        let (status, reason) = match group.waived {
            Some(waiver) => (group.status.to_string(), format!(" (accepted: {})", waiver.words())),
            None => (format!("{} ({})", group.status, group.check.severity), String::new()),
        };
        let text = format!("{}{reason}", group.text);
        table.row([status, group.check.code.to_owned(), group.subjects(), text]);
    }
    table
}
