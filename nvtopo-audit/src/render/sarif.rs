//! The report as SARIF 2.1.0, as code hosts and scanners' dashboards read it.

use crate::check::checks;
use crate::finding::{Finding, Severity, Status};
use crate::report::Report;
use nvtopo::printable;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write;

impl Report {
    /// Returns the report as SARIF 2.1.0: every check is a rule, every finding that does not pass a result. Accepted
    /// findings are results that are suppressed, with the reason.
    ///
    /// Code scanning of GitHub asks for a file as the place of each result: it is `nvtopo/NODE`, which is in no repository.
    /// The category of the run is `nvtopo-audit/NODE`, so that many nodes stand beside each other, and the fingerprint of a
    /// result is of its node, check and subject, so that it is the same result the next day.
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
        let node = self.node().unwrap_or("unnamed");
        let one = |finding: &Finding| result(finding, node);
        let results: Vec<Value> =
            self.findings().iter().filter(|finding| finding.status >= Status::Unknown).map(one).collect();
        let driver = json!({"name": "nvtopo", "version": env!("CARGO_PKG_VERSION"), "rules": rules});
        let run = self.taken().or(self.date()).unwrap_or_default();
        let mut invocation = json!({"executionSuccessful": true, "exitCode": self.outcome().code()});
        if let Some(node) = self.node() {
            invocation["machine"] = node.into();
        }
        let properties = json!({"node": self.node(), "date": self.date(), "taken": self.taken()});
        let document = json!({
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{
                "tool": {"driver": driver},
                "automationDetails": {"id": format!("nvtopo-audit/{}/{run}", encoded(node))},
                "invocations": [invocation],
                "properties": properties,
                "results": results,
            }],
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

/// Returns a name as a part of a URI.
fn encoded(name: &str) -> String {
    name.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

/// Returns what stays the same of a finding from one audit of a node to the next.
fn fingerprint(finding: &Finding, node: &str) -> String {
    let mut hash = Sha256::new();
    for part in [node, finding.check.code, &finding.subject] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let hash = hash.finalize();
    let digits = hash.iter().take(16).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    format!("{digits}:1")
}

fn result(finding: &Finding, node: &str) -> Value {
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
        "message": {"text": printable(&format!("{}: {}", finding.subject, finding.text))},
        "locations": [{
            "physicalLocation": {
                "artifactLocation": {"uri": format!("nvtopo/{}", encoded(node))},
                "region": {"startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 1},
            },
            "logicalLocations": [{"name": finding.subject, "fullyQualifiedName": format!("{node}/{}", finding.subject)}],
        }],
        "partialFingerprints": {"primaryLocationLineHash": fingerprint(finding, node)},
    });
    if let Some(waiver) = &finding.waived {
        result["suppressions"] = json!([{"kind": "external", "justification": waiver.words()}]);
    }
    result
}
