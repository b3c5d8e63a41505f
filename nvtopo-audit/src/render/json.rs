//! The report as JSON.

use crate::finding::{Finding, Status};
use crate::report::Report;
use serde_json::{Map, Value, json};

/// The version of the document.
const VERSION: u32 = 1;

impl Report {
    /// Returns the report as a JSON document: `format`, `version`, `nvtopo` (the version of the program), `node` (the name),
    /// `date`, `taken` (the time of the evidence), `outcome` (`pass`, `fail`, or `unknown`, by the limits of the audit),
    /// `worst` (the worst status), `summary` with the number of findings of each status, `findings`, the worst first, `notes`
    /// of the topology (`code`, `kind`, `text`), and `remarks` on the baseline and waivers. What is not known has no key.
    ///
    /// Each finding has `check`, `theme`, `severity`, `status`, `subject` and `text`; `remedy` where it fails or warns; and
    /// where the status is `accepted`, `found` (the status that the check found) and `waived` (the waiver: `reason`, `owner`,
    /// `expires`).
    pub fn to_json(&self) -> String {
        let summary: Map<String, Value> =
            Status::ALL.iter().map(|status| (status.word().to_owned(), self.count(*status).into())).collect();
        let notes = self.topology().notes().iter();
        let notes: Vec<Value> = notes
            .map(|note| json!({"code": note.code().name(), "kind": note.kind().name(), "text": note.text}))
            .collect();
        let mut document = json!({
            "format": "nvtopo-audit", "version": VERSION, "nvtopo": env!("CARGO_PKG_VERSION"),
            "outcome": self.outcome(), "worst": self.worst(), "summary": summary,
            "findings": self.findings().iter().map(finding).collect::<Vec<_>>(),
            "notes": notes, "remarks": self.remarks(),
        });
        for (name, value) in [("node", self.node()), ("date", self.date()), ("taken", self.taken())] {
            add(&mut document, name, value);
        }
        format!("{document:#}\n")
    }
}

fn add(value: &mut Value, name: &str, text: Option<&str>) {
    if let Some(text) = text {
        value[name] = text.into();
    }
}

fn finding(finding: &Finding) -> Value {
    let mut value = json!({
        "check": finding.check.code,
        "theme": finding.check.theme.word(),
        "severity": finding.check.severity,
        "status": finding.effective(),
        "subject": finding.subject,
        "text": finding.text,
    });
    if finding.status >= Status::Warn {
        value["remedy"] = finding.check.remedy.into();
    }
    if let Some(waiver) = &finding.waived {
        let mut waived = json!({ "reason": waiver.reason });
        add(&mut waived, "owner", waiver.owner.as_deref());
        add(&mut waived, "expires", waiver.expires.as_deref());
        value["found"] = finding.status.word().into();
        value["waived"] = waived;
    }
    value
}
