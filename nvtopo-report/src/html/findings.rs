//! The verdicts on the page: remedies, checks with all they say, and lists of those that need no action.

use super::class;
use crate::table::{Table, more, text};
use nvtopo_audit::check::Check;
use nvtopo_audit::{FindingGroup, Report, Severity, Status};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The most subjects of one check that are shown one by one.
const MOST_OF_A_CHECK: usize = 60;

/// Returns the remedies that come first.
pub(super) fn first_steps(audit: &Report) -> String {
    let steps = audit.first_steps();
    if steps.is_empty() {
        let words = match audit.count(Status::Unknown) {
            0 => "Nothing: no check failed, and none warns.".to_owned(),
            1 => {
                "Nothing failed, and no check warns. <a href=\"#others\">1 finding</a> is unknown.".to_owned()
            }
            unknown => format!(
                "Nothing failed, and no check warns. <a href=\"#others\">{unknown} findings</a> are unknown."
            ),
        };
        return format!("<p>{words}</p>");
    }
    let list = steps.iter().fold(String::new(), |mut list, step| {
        let check = step.check;
        let _ = write!(
            list,
            "<li><b>{}</b><br/>{}: {} (<a href=\"#{}\"><code>{}</code></a>)</li>",
            text(check.remedy),
            text(&step.subject),
            text(&step.text),
            anchor(check, step.effective()),
            check.code
        );
        list
    });
    format!("<ol>{list}</ol>")
}

fn anchor(check: &Check, status: Status) -> String {
    format!("{}-{}", check.code, class(status))
}

/// Returns the checks with a status or a worse one, and accepted findings, each with remedy, rule and source. Empty: none.
pub(super) fn in_full(groups: &[FindingGroup<'_>], least: Status) -> String {
    let mut html = String::new();
    for severity in Severity::ALL {
        let own = |group: &&FindingGroup<'_>| {
            group.check.severity == severity && (group.status >= least || group.status == Status::Accepted)
        };
        let own: Vec<&FindingGroup<'_>> = groups.iter().filter(own).collect();
        if own.is_empty() {
            continue;
        }
        let heading = match severity {
            Severity::Critical => "Critical: jobs fail, or lose most of their speed",
            Severity::Warning => "Warning: jobs may lose speed, or trouble is near",
            _ => "Info: worth knowing",
        };
        let _ = write!(html, "<h3>{heading}</h3>");
        for check in own.chunk_by(|a, b| (a.check, a.status) == (b.check, b.status)) {
            html += &in_full_one(check);
        }
    }
    html
}

fn in_full_one(groups: &[&FindingGroup<'_>]) -> String {
    let Some(first) = groups.first() else { return String::new() };
    let (check, status) = (first.check, first.status);
    let mut html = format!(
        "<div class=\"check {class}\" id=\"{}\"><p><span class=\"pill {class}\">{status}</span> <code>{}</code> {}</p><ul>",
        anchor(check, status),
        check.code,
        text(check.claim),
        class = class(status),
    );
    for group in groups.iter().take(MOST_OF_A_CHECK) {
        let accepted =
            group.waived.map_or_else(String::new, |own| format!(" (accepted: {})", text(&own.words())));
        let _ = write!(html, "<li><b>{}</b>: {}{accepted}</li>", text(&group.subjects()), text(group.text));
    }
    html += "</ul>";
    if let Some(more) = more(groups.len(), MOST_OF_A_CHECK) {
        let _ = write!(html, "<p class=\"hint\">{more}</p>");
    }
    let _ = write!(
        html,
        "<p><b>Remedy:</b> {}</p><p class=\"hint\">{} Source: {}.</p></div>",
        text(check.remedy),
        text(check.rule),
        text(check.source)
    );
    html
}

/// Returns the findings of a status as a list to open. Empty: there is none.
pub(super) fn listed(groups: &[FindingGroup<'_>], status: Status, words: &str) -> String {
    let own: Vec<&FindingGroup<'_>> = groups.iter().filter(|group| group.status == status).collect();
    let count: usize = own.iter().map(|group| group.findings().len()).sum();
    if count == 0 {
        return String::new();
    }
    let table = if status == Status::NotApplicable { by_reason(&own) } else { by_check(&own) };
    format!("<details><summary>{count} {words}</summary>{}</details>", table.to_html())
}

fn by_check(groups: &[&FindingGroup<'_>]) -> Table {
    let mut table = Table::new(["Check", "Subject", "Evidence"]);
    for group in groups {
        table.row([group.check.code.to_owned(), group.subjects(), group.text.to_owned()]);
    }
    table
}

/// Returns the reasons why checks do not apply, each with its checks: many have one reason.
fn by_reason(groups: &[&FindingGroup<'_>]) -> Table {
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for group in groups {
        let checks = reasons.entry(group.text).or_default();
        if !checks.contains(&group.check.code) {
            checks.push(group.check.code);
        }
    }
    let mut table = Table::new(["Reason", "Checks"]);
    for (reason, checks) in reasons {
        table.row([reason.to_owned(), checks.join(", ")]);
    }
    table
}
