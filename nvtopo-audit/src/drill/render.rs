//! Drills as a table for people, and as JSON.

use super::outcome::{
    CheckChange, ClaimChange, Damage, DrillOutcome, DrillReport, LabelChange, PlacementChange, PodChange,
    share,
};
use super::state::Placed;
use crate::finding::Status;
use crate::render::TextStyle;
use nvtopo::{Bandwidth, CpuSet, MAX_INDEX, printable};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The version of the JSON document.
const VERSION: u32 = 1;

/// The width of texts, where nothing says another.
const WIDTH: usize = 100;
const NARROWEST: usize = 60;

/// The space between two columns.
const GAP: usize = 2;

/// The most verdicts that are shown of one loss.
const SHOWN: usize = 40;

/// The begin of the keys of labels that nvtopo makes, which the table leaves out.
const OWN: &str = "nvtopo.io/";

/// The most losses of one row.
const ALIKE: usize = 6;

impl DrillReport {
    /// Returns the report for people: of one loss what changes, before and after; of all single losses a ranking.
    pub fn to_text(&self, style: TextStyle) -> String {
        let width = style.width.unwrap_or(WIDTH).max(NARROWEST);
        let mut text = String::new();
        if self.is_ranking {
            self.ranking(&mut text, width);
        } else {
            for outcome in &self.outcomes {
                one(&mut text, outcome, width);
            }
        }
        if !self.notes.is_empty() {
            text.push_str("\nNotes\n");
        }
        for note in &self.notes {
            wrapped(&mut text, "  ", note, width);
        }
        text
    }

    fn ranking(&self, text: &mut String, width: usize) {
        let _ = writeln!(text, "{}, the worst first", losses(self.outcomes.len()));
        if self.left_out > 0 {
            let _ = writeln!(text, "{} more were not tried", self.left_out);
        }
        text.push('\n');
        let mut rows: Vec<(Row, Vec<String>)> = Vec::new();
        for outcome in &self.outcomes {
            let row = Row::of(outcome);
            let names = outcome.lost.iter().map(ToString::to_string);
            // Losses that do the same to a machine are one row.
            match rows.last_mut().filter(|(own, _)| *own == row) {
                Some((_, own)) => own.extend(names),
                None => rows.push((row, names.collect())),
            }
        }
        let mut table = Table::new(["best placement", "pods", "claims", "checks", "lost"]);
        for (row, names) in rows {
            table.add([row.placement, row.pods, row.claims, row.checks, alike(&names)]);
        }
        table.write(text, width);
        text.push('\n');
        let help = "The best placement is that of the job, by its GPUs, that loses most; a rate of NICs is that of each of its \
                    GPUs. Pods and claims are told by their numbers of GPUs: those that can no longer start. --format json \
                    has every loss by its name.";
        wrapped(text, "", help, width);
    }

    /// Returns the report as a JSON document: `format`, `version`, `sizes`, `losses` (the worst first), each with `lost`, `names`,
    /// `damage`, `placements`, `labels`, `pods`, `claims` and `checks`; `left_out` and `notes`. Bandwidths are in GB/s, one
    /// direction.
    pub fn to_json(&self) -> String {
        let document = json!({
            "format": "nvtopo-drill", "version": VERSION, "sizes": self.sizes,
            "losses": self.outcomes.iter().map(outcome).collect::<Vec<_>>(),
            "left_out": self.left_out, "notes": self.notes,
        });
        format!("{document:#}\n")
    }
}

fn losses(count: usize) -> String {
    if count == 1 { "1 loss".to_owned() } else { format!("{count} losses") }
}

/// The first names of many.
fn alike(names: &[String]) -> String {
    let shown = names.iter().take(ALIKE).cloned().collect::<Vec<_>>().join(" ");
    if names.len() > ALIKE { format!("{shown} … ({} in all)", names.len()) } else { shown }
}

/// Names GPUs by their indices: `GPU0-3`.
pub(super) fn gpus(indices: &[u32]) -> String {
    if indices.iter().any(|index| *index > MAX_INDEX) {
        return indices.iter().map(|index| format!("GPU{index}")).collect::<Vec<_>>().join(",");
    }
    format!("GPU{}", indices.iter().copied().collect::<CpuSet>())
}

fn count_gpus(count: usize) -> String {
    if count == 1 { "1 GPU".to_owned() } else { format!("{count} GPUs") }
}

/// A row of the ranking.
#[derive(PartialEq)]
struct Row {
    placement: String,
    pods: String,
    claims: String,
    checks: String,
    damage: Damage,
    kind: &'static str,
}

impl Row {
    fn of(outcome: &DrillOutcome) -> Self {
        let refused = outcome.pods.iter().filter(|own| own.before.is_none()).map(|own| own.gpus);
        let denied = outcome.claims.iter().filter(|own| own.after.is_none()).map(|own| own.gpus);
        Self {
            placement: worst(&outcome.placements),
            pods: sizes(refused),
            claims: sizes(denied),
            checks: verdicts(&outcome.damage),
            damage: outcome.damage,
            kind: outcome.lost.first().map_or("", super::Lost::kind),
        }
    }
}

/// The numbers of GPUs of those that are lost.
fn sizes(lost: impl Iterator<Item = usize>) -> String {
    let all: Vec<String> = lost.map(|gpus| gpus.to_string()).collect();
    if all.is_empty() { "–".to_owned() } else { format!("{} lost", all.join(", ")) }
}

fn verdicts(damage: &Damage) -> String {
    let failed = damage.critical + damage.failed;
    let told = [(failed, "fail"), (damage.warned, "warn")].into_iter().filter(|(count, _)| *count > 0);
    let told: Vec<String> = told.map(|(count, word)| format!("{count} {word}")).collect();
    if told.is_empty() { "–".to_owned() } else { told.join(", ") }
}

/// The job that loses most.
fn worst(placements: &[PlacementChange]) -> String {
    let lost = |own: &PlacementChange| match (&own.before, &own.after) {
        (Ok(before), Ok(after)) => {
            let rate = |rate: Option<Bandwidth>| rate.map(Bandwidth::as_mb_per_s);
            let shares = [
                share(rate(before.bandwidth), rate(after.bandwidth)),
                share(rate(before.nic_bandwidth), rate(after.nic_bandwidth)),
                share(Some(before.cpus as u64), Some(after.cpus as u64)),
            ];
            let unknown = before.bandwidth.is_some() && after.bandwidth.is_none();
            (0, if unknown { 1_000_000 } else { shares[0] }, shares[1], shares[2])
        }
        (Ok(_), Err(_)) => (1, 0, 0, 0),
        _ => (0, 0, 0, 0),
    };
    // Of equal ones the smallest job.
    let Some(own) = placements.iter().rev().max_by_key(|own| lost(own)) else { return "–".to_owned() };
    let (Ok(before), after) = (&own.before, &own.after) else { return "–".to_owned() };
    let size = count_gpus(own.gpus);
    let rate = |rate: Option<Bandwidth>| rate.map_or_else(|| "unknown".to_owned(), |rate| rate.to_string());
    match (after, lost(own)) {
        (Err(_), _) => format!("{size}: none"),
        (Ok(_), (0, 0, 0, 0)) => "–".to_owned(),
        (Ok(after), (_, 0, 0, _)) => format!("{size}: {} → {} CPUs", before.cpus, after.cpus),
        (Ok(after), (_, 0, _, _)) => {
            format!("{size}: NIC {} → {}", rate(before.nic_bandwidth), rate(after.nic_bandwidth))
        }
        (Ok(after), _) => format!("{size}: {} → {}", rate(before.bandwidth), rate(after.bandwidth)),
    }
}

/// Writes what changes with one loss.
fn one(text: &mut String, outcome: &DrillOutcome, width: usize) {
    wrapped(text, "Without ", &outcome.names.join(", "), width);
    text.push('\n');
    let mut table = Table::new(["", "before", "after"]);
    table.section("best placement");
    for own in &outcome.placements {
        let after =
            if own.is_changed() || own.before.is_err() { placed(&own.after) } else { SAME.to_owned() };
        table.add([format!("  {}", count_gpus(own.gpus)), placed(&own.before), after]);
    }
    table.changes(
        "labels",
        outcome.labels.iter().map(|LabelChange { key, before, after }| {
            let value = |own: &Option<String>| own.clone().unwrap_or_else(|| "not set".to_owned());
            [format!("  {}", key.strip_prefix(OWN).unwrap_or(key)), value(before), value(after)]
        }),
    );
    table.changes(
        "pods",
        outcome.pods.iter().map(|PodChange { gpus, before, after }| {
            let told = |own: &Option<String>| own.clone().unwrap_or_else(|| "starts".to_owned());
            [format!("  {}", count_gpus(*gpus)), told(before), told(after)]
        }),
    );
    table.changes(
        "claims",
        outcome.claims.iter().map(|ClaimChange { gpus, before, after }| {
            let told = |own: &Option<String>| own.clone().unwrap_or_else(|| "given nothing".to_owned());
            [format!("  {}", count_gpus(*gpus)), told(before), told(after)]
        }),
    );
    let groups: Vec<&[CheckChange]> = outcome.checks.chunk_by(is_alike).collect();
    table.changes("checks", groups.iter().take(SHOWN).map(|group| verdict(group)));
    if groups.len() > SHOWN {
        table.add([format!("  and {} more", groups.len() - SHOWN), String::new(), String::new()]);
    }
    table.write(text, width);
    remedies(text, outcome, width);
}

/// The word for a placement that does not change.
const SAME: &str = "the same";

fn placed(own: &Result<Placed, String>) -> String {
    let own = match own {
        Ok(own) => own,
        Err(reason) => return format!("none: {reason}"),
    };
    let mut told = vec![gpus(&own.gpus)];
    match own.bandwidth {
        Some(rate) => told.push(rate.to_string()),
        None if own.gpus.len() > 1 => told.push("unknown bandwidth".to_owned()),
        None => {}
    }
    told.extend(own.nic_bandwidth.map(|rate| format!("NIC {rate}")));
    told.extend((own.cpus > 0).then(|| format!("{} CPUs", own.cpus)));
    told.join(", ")
}

/// Returns whether two verdicts say the same of two subjects.
fn is_alike(a: &CheckChange, b: &CheckChange) -> bool {
    (a.check, a.before, a.after, &a.text) == (b.check, b.before, b.after, &b.text)
}

fn verdict(group: &[CheckChange]) -> [String; 3] {
    let Some(first) = group.first() else { return Default::default() };
    let subjects: Vec<String> = group.iter().map(|own| own.subject.clone()).collect();
    let before = first.before.map_or("not judged", Status::word);
    [
        format!("  {}", first.check.code),
        before.to_owned(),
        format!("{}: {}: {}", first.after, alike(&subjects), first.text),
    ]
}

/// Writes the remedies of what fails or warns now, each once.
fn remedies(text: &mut String, outcome: &DrillOutcome, width: usize) {
    let mut seen = Vec::new();
    for own in outcome.checks.iter().filter(|own| own.after >= Status::Warn) {
        if seen.contains(&own.check.code) {
            continue;
        }
        if seen.is_empty() {
            text.push_str("\nWhat to do\n");
        }
        seen.push(own.check.code);
        wrapped(text, "  ", &format!("{}: {}", own.check.code, own.check.remedy), width);
    }
}

/// A table: each column as wide as its cells, and the last one wrapped.
struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    fn new(heading: [&str; N]) -> Self {
        Self { rows: vec![heading.map(str::to_owned)] }
    }

    fn add(&mut self, row: [String; N]) {
        self.rows.push(row.map(|cell| printable(&cell).into_owned()));
    }

    fn section(&mut self, name: &str) {
        let mut row = [const { String::new() }; N];
        name.clone_into(&mut row[0]);
        self.rows.push(row);
    }

    /// Adds a section, and says so where it has no row.
    fn changes(&mut self, name: &str, rows: impl Iterator<Item = [String; N]>) {
        self.section(name);
        let before = self.rows.len();
        rows.for_each(|row| self.add(row));
        if self.rows.len() == before {
            self.section("  no change");
        }
    }

    fn write(&self, text: &mut String, width: usize) {
        let count = |cell: &String| cell.chars().count();
        let mut wide = [0; N];
        for (column, own) in wide.iter_mut().enumerate() {
            // A long cell is wrapped.
            let part = if width < WIDTH { width / 3 } else { width * 2 / 5 };
            let most = if column == 0 { part } else { part / (N - 2).max(1) };
            let cells = self.rows.iter().map(|row| count(&row[column]));
            *own = cells.max().unwrap_or_default().min(most);
        }
        let before: usize = wide[..N - 1].iter().map(|own| own + GAP).sum();
        wide[N - 1] = width.saturating_sub(before).max(NARROWEST / 6);
        for row in &self.rows {
            let cells: Vec<Vec<String>> =
                row.iter().zip(wide).map(|(cell, wide)| lines(cell, wide)).collect();
            let height = cells.iter().map(Vec::len).max().unwrap_or_default();
            for line in 0..height {
                let mut written = String::new();
                for (cell, wide) in cells.iter().zip(wide) {
                    let part = cell.get(line).map_or("", String::as_str);
                    let _ = write!(written, "{part:<width$}", width = wide + GAP);
                }
                let _ = writeln!(text, "{}", written.trim_end());
            }
        }
    }
}

/// Wraps a cell; the lines after the first keep its indentation.
fn lines(cell: &str, width: usize) -> Vec<String> {
    let indent = &cell[..cell.len() - cell.trim_start().len()];
    let deeper = format!("{indent}  ");
    let options = textwrap::Options::new(width.max(1)).initial_indent(indent).subsequent_indent(&deeper);
    textwrap::wrap(cell.trim_start(), options).into_iter().map(std::borrow::Cow::into_owned).collect()
}

fn wrapped(text: &mut String, indent: &str, line: &str, width: usize) {
    let blank = " ".repeat(indent.chars().count());
    let options = textwrap::Options::new(width).initial_indent(indent).subsequent_indent(&blank);
    for line in textwrap::wrap(&printable(line), options) {
        let _ = writeln!(text, "{line}");
    }
}

fn outcome(own: &DrillOutcome) -> Value {
    let damage = &own.damage;
    let share = |millionths: u64| millionths as f64 / 1e6;
    json!({
        "lost": own.lost.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "names": own.names,
        "damage": {
            "jobs": damage.jobs, "pods": damage.pods, "claims": damage.claims,
            "bandwidth": share(damage.bandwidth), "unknown": damage.unknown,
            "nic_bandwidth": share(damage.nic_bandwidth), "cpus": share(damage.cpus),
            "critical": damage.critical, "failed": damage.failed, "warned": damage.warned, "labels": damage.labels,
        },
        "placements": own.placements.iter().map(|own| json!({
            "gpus": own.gpus, "changed": own.is_changed(), "before": placement(&own.before), "after": placement(&own.after),
        })).collect::<Vec<_>>(),
        "labels": own.labels.iter().map(|own| json!({
            "key": own.key, "before": own.before, "after": own.after,
        })).collect::<Vec<_>>(),
        "pods": own.pods.iter().map(|own| json!({
            "gpus": own.gpus, "before": pod(own.before.as_ref()), "after": pod(own.after.as_ref()),
        })).collect::<Vec<_>>(),
        "claims": own.claims.iter().map(|own| json!({
            "gpus": own.gpus, "before": own.before, "after": own.after,
        })).collect::<Vec<_>>(),
        "checks": own.checks.iter().map(check).collect::<Vec<_>>(),
    })
}

fn placement(own: &Result<Placed, String>) -> Value {
    let rate = |rate: Option<Bandwidth>| rate.map(Bandwidth::as_gb_per_s);
    match own {
        Ok(own) => json!({
            "gpus": own.gpus, "gb_per_s": rate(own.bandwidth), "nic_gb_per_s": rate(own.nic_bandwidth), "cpus": own.cpus,
        }),
        Err(reason) => json!({ "reason": reason }),
    }
}

fn pod(refused: Option<&String>) -> Value {
    match refused {
        None => json!({ "starts": true }),
        Some(reason) => json!({ "starts": false, "reason": reason }),
    }
}

fn check(own: &CheckChange) -> Value {
    json!({
        "check": own.check.code, "severity": own.check.severity, "subject": own.subject, "before": own.before,
        "after": own.after, "text": own.text, "remedy": (own.after >= Status::Warn).then_some(own.check.remedy),
    })
}
