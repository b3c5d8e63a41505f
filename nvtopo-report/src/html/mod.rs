//! The page: sections in the order in which a person needs them, without scripts and without anything from elsewhere.

mod findings;

use crate::node_report::NodeReport;
use crate::table::{Table, more, text, title};
use crate::{facts, matrix, placements};
use findings::{first_steps, in_full, listed};
use nvtopo_audit::Status;
use nvtopo_draw::html::{fill, style};
use nvtopo_draw::{Picture, Theme, words};
use std::fmt::Write;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("report.css");

/// The largest picture in bytes.
const LARGEST_PICTURE: usize = 600_000;
/// The most notes that are listed.
const MOST_NOTES: usize = 100;

/// A section of the page: its anchor, its heading, and its content.
struct Section {
    anchor: &'static str,
    heading: String,
    content: String,
}

impl NodeReport<'_> {
    /// Writes the report as a page that stands alone: it needs no network and no scripts, is light or dark as the system
    /// prefers, and light on paper.
    pub fn to_html(&self) -> String {
        let topology = self.topology();
        let name = words::machine_name(topology);
        let sections = self.sections();
        fill(PAGE, |place| {
            match place {
            "NAME" => text(&name),
            "TITLE" => title(&format!("{}: {}", self.audit.node().unwrap_or(&name), self.audit.headline())),
            "STYLE" => style(STYLE),
            "FACTS" => text(&words::machine_facts(topology)),
            "MADE" => text(&self.made()),
            "COUNTS" => self.counts(),
            "CONTENTS" => sections.iter().fold(String::new(), |mut list, section| {
                let _ = write!(list, "<a href=\"#{}\">{}</a>", section.anchor, section.heading);
                list
            }),
            "SECTIONS" => sections.iter().fold(String::new(), |mut html, section| {
                let Section { anchor, heading, content } = section;
                let _ = write!(
                    html,
                    "<section id=\"{anchor}\" aria-labelledby=\"{anchor}-head\"><h2 id=\"{anchor}-head\">{heading}</h2>\n{content}</section>\n"
                );
                html
            }),
            _ => String::new(),
        }
        })
    }

    /// Returns the numbers of findings of each status, the worst first.
    fn counts(&self) -> String {
        let words = [
            (Status::Fail, "failed"),
            (Status::Warn, "to look at"),
            (Status::Unknown, "unknown"),
            (Status::Accepted, "accepted"),
            (Status::Pass, "passed"),
            (Status::NotApplicable, "not applicable"),
        ];
        let words = words.into_iter();
        // Few machines have accepted findings.
        let words = words.filter(|(status, _)| *status != Status::Accepted || self.audit.count(*status) > 0);
        words.fold(String::new(), |mut html, (status, word)| {
            let count = self.audit.count(status);
            let class = if count == 0 { "none" } else { class(status) };
            let _ = write!(html, "<li class=\"{class}\"><b>{count}</b> {word}</li>");
            html
        })
    }

    fn sections(&self) -> Vec<Section> {
        let topology = self.topology();
        let section =
            |anchor, heading: &str, content| Section { anchor, heading: heading.to_owned(), content };
        let mut sections = vec![
            section("first", "Do first", first_steps(self.audit)),
            section("findings", "Findings", self.findings()),
        ];
        if let Some(baseline) = self.baseline {
            let words = format!("<p>{}</p>", text(&self.drift_words(baseline)));
            sections.push(section(
                "drift",
                "Changes since the baseline",
                words + &in_full(&self.drift(), Status::Unknown),
            ));
        }
        sections.push(section("picture", "Picture", self.picture()));
        sections.push(section("matrix", "Matrix of paths", matrix::html(topology)));
        sections.push(section("placements", "Best GPUs for a job", self.placements()));
        sections.push(section("machine", "Machine", self.machine()));
        sections.push(section("sources", "Sources", facts::sources(self).to_html()));
        let notes = self.notes();
        if !notes.is_empty() {
            let list = notes.iter().take(MOST_NOTES).fold(String::new(), |mut list, note| {
                let _ = write!(list, "<li>{}</li>", text(note));
                list
            });
            let more = more(notes.len(), MOST_NOTES)
                .map_or_else(String::new, |more| format!("<p class=\"hint\">{more}</p>"));
            sections.push(section("notes", "Notes", format!("<ul>{list}</ul>{more}")));
        }
        sections.push(section("others", "All other findings", self.others()));
        sections
    }

    /// Returns the verdicts to act on, in full.
    fn findings(&self) -> String {
        let full = in_full(&self.verdicts(), Status::Warn);
        let full = if full.is_empty() { "<p>No check failed, and none warns.</p>".to_owned() } else { full };
        full + "<p><a href=\"#others\">All other findings</a> are at the end.</p>"
    }

    /// Returns the verdicts that need no action, as lists to open.
    fn others(&self) -> String {
        let verdicts = self.verdicts();
        let kinds = [
            (Status::Unknown, "unknown: the evidence is missing"),
            (Status::Pass, "passed"),
            (Status::NotApplicable, "not applicable"),
        ];
        kinds
            .into_iter()
            .fold(String::new(), |html, (status, words)| html + &listed(&verdicts, status, words))
    }

    fn picture(&self) -> String {
        let picture = Picture::new(self.topology()).with_theme(Theme::Light).bare().svg();
        if picture.len() > LARGEST_PICTURE {
            return "<p>The picture is too large for this page: nvtopo draw -o machine.svg draws it.</p>"
                .to_owned();
        }
        format!(
            "<div class=\"scroll picture\" tabindex=\"0\" role=\"region\" aria-labelledby=\"picture-head\">{picture}</div>"
        )
    }

    fn placements(&self) -> String {
        if self.choices().is_empty() {
            return "<p>There is no GPU to choose.</p>".to_owned();
        }
        let words = "<p class=\"hint\">With all GPUs free, by the objectives of nvtopo place; all rates are of one direction.</p>";
        let remarks =
            placements::remarks(self.choices()).into_iter().fold(String::new(), |mut html, remark| {
                let _ = write!(html, "<p>{}</p>", text(remark));
                html
            });
        words.to_owned() + &placements::table(self.choices(), true).to_html() + &remarks
    }

    fn machine(&self) -> String {
        let topology = self.topology();
        let parts = [
            ("Software and firmware", facts::software(self)),
            ("GPUs", facts::gpus(self)),
            ("Identity of GPUs", facts::identities(topology)),
            ("NVLink", facts::nvlink_groups(topology)),
            ("NICs", facts::nics(self)),
            ("NUMA nodes", facts::numa_nodes(topology)),
        ];
        let mut html = String::new();
        if topology.gpus().len() == 0 {
            let _ = write!(html, "<p>{}.</p>", text(words::NO_GPU));
        }
        for (heading, table) in parts.iter().filter(|(_, table): &&(_, Table)| !table.is_empty()) {
            let _ = write!(html, "<h3>{heading}</h3>{}", table.to_html());
        }
        html
    }
}

/// Returns the class of a status.
fn class(status: Status) -> &'static str {
    match status {
        Status::Fail => "fail",
        Status::Warn => "warn",
        Status::Pass | Status::Accepted => "pass",
        Status::Unknown => "unknown",
        _ => "none",
    }
}
