//! The report as SARIF 2.1.0, as code hosts and scanners' dashboards read it.

use crate::check::checks;
use crate::finding::{Finding, Severity, Status};
use crate::report::Report;
use serde_json::{Value, json};

impl Report {
    /// Returns the report as SARIF 2.1.0: every check is a rule, every finding that does not pass a result. Accepted
    /// findings are results that are suppressed, with the reason.
    pub fn to_sarif(&self) -> String {
        let rules: Vec<Value> = checks()
            .map(|check| {
                json!({
                    "id": check.code,
                    "shortDescription": {"text": check.claim},
                    "fullDescription": {"text": check.rule},
                    "help": {"text": check.remedy},
                    "defaultConfiguration": {"level": level(check.severity)},
                    "properties": {"tags": [check.theme.word()]},
                })
            })
            .collect();
        let results: Vec<Value> =
            self.findings().iter().filter(|finding| finding.status >= Status::Unknown).map(result).collect();
        let driver = json!({"name": "nvtopo", "version": env!("CARGO_PKG_VERSION"), "rules": rules});
        let document = json!({
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{"tool": {"driver": driver}, "results": results}],
        });
        format!("{document:#}\n")
    }
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}

fn result(finding: &Finding) -> Value {
    let (kind, level) = match finding.status {
        Status::Fail => ("fail", level(finding.check.severity)),
        Status::Warn => ("fail", "warning"),
        // A kind other than `fail` must have the level `none`.
        _ => ("open", "none"),
    };
    let mut result = json!({
        "ruleId": finding.check.code,
        "kind": kind,
        "level": level,
        "message": {"text": format!("{}: {}", finding.subject, finding.text)},
        "locations": [{"logicalLocations": [{"name": finding.subject}]}],
    });
    if let Some(reason) = &finding.waived {
        result["suppressions"] = json!([{"kind": "external", "justification": reason}]);
    }
    result
}
