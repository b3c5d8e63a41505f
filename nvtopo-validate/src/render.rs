//! The report and the plan as text for people and as JSON for programs.

use crate::figure::program_name;
use crate::plan::{Job, Plan, Step};
use crate::report::{Judged, Report, Verdict};
use nvtopo::{Topology, printable};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The version of the documents.
const VERSION: u32 = 1;

/// The width in columns where the caller does not know it, and the least.
const WIDTH: usize = 100;
const NARROWEST: usize = 40;

/// The most figures that are listed under a link.
const LISTED: usize = 6;

impl Report {
    /// Returns the report for people: the links that are to blame first. `width` in columns; 100 without it. With `all`, each
    /// figure stands there.
    pub fn to_text(&self, width: Option<usize>, all: bool) -> String {
        let width = width.unwrap_or(WIDTH).max(NARROWEST);
        let mut text = String::new();
        let count = |verdict| self.count(verdict);
        let headline = format!(
            "{} pass, {} fall short, {} unknown, {} without a result",
            count(Verdict::Pass),
            count(Verdict::Weak),
            count(Verdict::Unknown),
            self.failed.len()
        );
        add(&mut text, "", &headline, width);
        if !self.suspects.is_empty() {
            text.push_str("\nFalls short\n");
        }
        for suspect in &self.suspects {
            add(&mut text, "  ", &suspect.name, width);
            for place in suspect.figures.iter().take(LISTED) {
                add(&mut text, "    ", &self.line(&self.judged[*place]), width);
            }
            if suspect.figures.len() > LISTED {
                add(&mut text, "    ", &format!("and {} more", suspect.figures.len() - LISTED), width);
            }
        }
        if !self.failed.is_empty() {
            text.push_str("\nWithout a result\n");
        }
        // A program that fails in one way everywhere is told of once.
        let mut reasons: Vec<(String, &str, Vec<String>)> = Vec::new();
        for own in &self.failed {
            let (program, name) = (program_name(own.program, own.test), own.subject.name(&self.topology));
            match reasons
                .iter_mut()
                .find(|own_reason| (&own_reason.0, own_reason.1) == (&program, own.why.as_str()))
            {
                Some((.., names)) => names.push(name),
                None => reasons.push((program, &own.why, vec![name])),
            }
        }
        for (program, why, names) in reasons {
            let more = if names.len() > LISTED {
                format!(" and {} more", names.len() - LISTED)
            } else {
                String::new()
            };
            let names = names[..names.len().min(LISTED)].join(", ");
            add(&mut text, "  ", &format!("{program}, {names}{more}: {why}"), width);
        }
        self.add_figures(&mut text, width, all);
        for remark in &self.remarks {
            add(&mut text, "note: ", remark, width);
        }
        text
    }

    /// Adds the figures that pass and those without a verdict: one by one, or as a range for each program and limit.
    fn add_figures(&self, text: &mut String, width: usize, all: bool) {
        for (verdict, heading) in [(Verdict::Unknown, "Unknown"), (Verdict::Pass, "Pass")] {
            let own: Vec<&Judged> = self.judged.iter().filter(|own| own.verdict == verdict).collect();
            if own.is_empty() {
                continue;
            }
            let _ = writeln!(text, "\n{heading}");
            let mut classes: BTreeMap<String, Vec<&Judged>> = BTreeMap::new();
            for figure in own {
                let class = if all { self.line(figure) } else { class(figure) };
                classes.entry(class).or_default().push(figure);
            }
            for (class, figures) in classes {
                if all {
                    add(text, "  ", &class, width);
                    continue;
                }
                let values = || figures.iter().map(|own| own.value);
                let (Some(low), Some(high)) =
                    (values().min_by(f64::total_cmp), values().max_by(f64::total_cmp))
                else {
                    continue;
                };
                let metric = figures[0].metric;
                let range = if figures.len() > 1 {
                    format!("{} to {}", metric.show(low), metric.show(high))
                } else {
                    metric.show(low)
                };
                add(text, "  ", &format!("{class}: {range} ({})", counted(figures.len())), width);
            }
        }
    }

    /// The line of a figure.
    fn line(&self, own: &Judged) -> String {
        let (low, high) = own.range();
        let spread = match own.values.len() {
            0 | 1 => String::new(),
            runs => format!("; {runs} runs, {} to {}", own.metric.show(low), own.metric.show(high)),
        };
        format!("{}, {}: {}{spread}", own.program_name(), own.subject.name(&self.topology), own.why)
    }

    /// Returns the report as a JSON document: `format`, `version`, `summary`, `suspects` with the places of their figures,
    /// `figures` with value, unit, what is possible, verdict and reason, `failed`, and `remarks`.
    pub fn to_json(&self) -> String {
        let figures: Vec<Value> = self.judged.iter().map(|own| self.figure(own)).collect();
        let suspects: Vec<Value> =
            self.suspects.iter().map(|own| json!({ "link": own.name, "figures": own.figures })).collect();
        let failed: Vec<Value> = self
            .failed
            .iter()
            .map(|own| {
                json!({
                    "program": own.program, "test": own.test, "subject": own.subject.name(&self.topology), "why": own.why,
                    "is_run": own.is_run,
                })
            })
            .collect();
        let count = |verdict| self.count(verdict);
        let document = json!({
            "format": "nvtopo-validation", "version": VERSION,
            "summary": {
                "pass": count(Verdict::Pass), "weak": count(Verdict::Weak), "unknown": count(Verdict::Unknown),
                "failed": self.failed.len(),
            },
            "suspects": suspects, "figures": figures, "failed": failed, "remarks": self.remarks,
        });
        format!("{document:#}\n")
    }

    fn figure(&self, own: &Judged) -> Value {
        let mut value = json!({
            "program": own.program,
            "test": own.test,
            "subject": own.subject.name(&self.topology),
            "metric": own.metric.word(),
            "unit": own.metric.unit(),
            "value": own.value,
            "values": own.values,
            "verdict": own.verdict.word(),
            "why": own.why,
        });
        if let Some(possible) = &own.possible {
            value["possible"] = json!({
                "wires": possible.wires.as_gb_per_s(), "reachable": possible.reachable.as_gb_per_s(),
                "limit": possible.limit, "source": possible.source,
            });
        }
        if let Some((count, median)) = own.equals {
            value["equals"] = json!({ "count": count, "median": median });
        }
        value
    }
}

fn class(own: &Judged) -> String {
    match &own.possible {
        Some(possible) if own.verdict == Verdict::Pass => {
            let limit = if possible.limit.starts_with("PCIe") { "PCIe" } else { &possible.limit };
            format!(
                "{}, {limit}, {} expected",
                own.program_name(),
                own.metric.show(possible.reachable.as_gb_per_s())
            )
        }
        _ => format!("{}, {}", own.program_name(), own.metric.word()),
    }
}

fn counted(number: usize) -> String {
    format!("{number} figure{}", if number == 1 { "" } else { "s" })
}

/// Adds a line, wrapped.
pub(crate) fn add(text: &mut String, indent: &str, line: &str, width: usize) {
    let blank = " ".repeat(indent.chars().count() + 2);
    let options = textwrap::Options::new(width).initial_indent(indent).subsequent_indent(&blank);
    for line in textwrap::wrap(&printable(line), options) {
        text.push_str(&line);
        text.push('\n');
    }
}

impl Plan {
    /// Returns the plan as a JSON document: `jobs` with program, subject, commands, CPUs, memory nodes and variables of each
    /// step, and `left_out`.
    pub fn to_json(&self, topology: &Topology) -> String {
        let jobs: Vec<Value> = self.jobs.iter().map(|job| job_value(topology, job)).collect();
        let left_out: Vec<Value> =
            self.left_out.iter().map(|own| json!({ "name": own.name, "why": own.why })).collect();
        let document = json!({
            "format": "nvtopo-validation-plan", "version": VERSION, "jobs": jobs, "left_out": left_out, "remarks": self.remarks,
        });
        format!("{document:#}\n")
    }
}

fn job_value(topology: &Topology, job: &Job) -> Value {
    let step = |step: &Step| {
        let variables: BTreeMap<&str, &str> =
            step.environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        json!({
            "command": step.command(job.program), "variables": variables, "cpus": step.part.cpus.to_string(),
            "memory_nodes": step.part.mems.to_string(),
        })
    };
    let mut value = json!({
        "program": job.program, "subject": job.subject.name(topology), "run": step(&job.client),
    });
    if let Some(server) = &job.server {
        value["server"] = step(server);
    }
    value
}
