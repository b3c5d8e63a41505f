//! The NVLink domain of several nodes, as saved outputs of `nvidia-imex-ctl -N` tell it, with `-j` or without.

use super::documents::objects;
use crate::evidence::Evidence;

/// The domain of IMEX.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Domain {
    /// Its state: `UP`, `DOWN` or `DEGRADED`.
    pub(crate) state: String,
    /// The nodes that are not ready, each with its state.
    pub(crate) away: Vec<String>,
    /// Nodes refuse each other because their versions differ.
    pub(crate) versions_differ: bool,
    /// Nodes refuse each other because their lists of nodes differ.
    pub(crate) lists_differ: bool,
}

/// Returns the domain. Where it was watched for a while, the last state counts.
pub(crate) fn domain(evidence: &Evidence<'_>) -> Option<Domain> {
    evidence.texts().find_map(|saved| of_json(&saved.text).or_else(|| of_lines(&saved.text)))
}

/// Returns whether the tool found no list of nodes.
pub(crate) fn has_no_list(evidence: &Evidence<'_>) -> bool {
    evidence.texts().any(|saved| saved.text.contains("Failed to read node configuration file"))
}

const READY: &str = "READY";

fn of_json(text: &str) -> Option<Domain> {
    if !text.contains("\"nodes\"") {
        return None;
    }
    objects(text).iter().rev().find_map(|document| {
        let nodes = document.get("nodes")?.as_object()?;
        let state = document.get("status")?.as_str()?.to_owned();
        let mut away = Vec::new();
        for node in nodes.values() {
            let word = |key: &str| node.get(key)?.as_str();
            if let (Some(host), Some(status)) = (word("host"), word("status"))
                && status != READY
            {
                away.push(format!("{host} is {status}"));
            }
        }
        Some(Domain { state, away, ..Domain::default() })
    })
}

/// Reads lines such as `Node #1   - 10.0.0.2   - READY   - Version: 570.172`, a table of connections, and
/// `Domain State: UP`.
fn of_lines(text: &str) -> Option<Domain> {
    let (mut last, mut own) = (None, Domain::default());
    for line in text.lines().map(str::trim) {
        if let Some(state) = line.strip_prefix("Domain State:") {
            let state = state.trim().to_owned();
            last = Some(Domain { state, ..std::mem::take(&mut own) });
        } else if let Some(rest) = line.strip_prefix("Node #") {
            let parts: Vec<&str> = rest.split(" - ").map(str::trim).collect();
            if let [_, host, status, ..] = parts.as_slice()
                && *status != READY
            {
                own.away.push(format!("{host} is {status}"));
            }
        } else if line.starts_with(|c: char| c.is_ascii_digit()) {
            // A row of the table. The legend of its signs begins with them.
            own.versions_differ |= line.contains("!V!");
            own.lists_differ |= line.contains("!M!");
        }
    }
    last
}
