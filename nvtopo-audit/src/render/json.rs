//! The report as JSON.

use crate::finding::{Finding, Status};
use crate::report::Report;
use serde_json::{Value, json};

/// The version of the document.
const VERSION: u32 = 1;

impl Report {
    /// Returns the report as a JSON document: `format`, `version`, `summary` with the number of findings of each status, and
    /// `findings`, the worst first, each with `check`, `theme`, `severity`, `status`, `subject`, `text`, `remedy`, and
    /// `waived` where it is accepted.
    pub fn to_json(&self) -> String {
        let summary: serde_json::Map<String, Value> =
            Status::ALL.iter().map(|status| (status.word().to_owned(), self.count(*status).into())).collect();
        let findings: Vec<Value> = self.findings().iter().map(finding).collect();
        let document = json!({
            "format": "nvtopo-audit", "version": VERSION, "worst": self.worst(), "summary": summary, "findings": findings,
        });
        format!("{document:#}\n")
    }
}

fn finding(finding: &Finding) -> Value {
    let mut value = json!({
        "check": finding.check.code,
        "theme": finding.check.theme.word(),
        "severity": finding.check.severity,
        "status": finding.status,
        "subject": finding.subject,
        "text": finding.text,
    });
    if finding.status >= Status::Warn {
        value["remedy"] = finding.check.remedy.into();
    }
    if let Some(reason) = &finding.waived {
        value["waived"] = reason.as_str().into();
    }
    value
}
