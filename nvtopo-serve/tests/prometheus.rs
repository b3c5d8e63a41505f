//! The alert rules, their tests and the dashboard in `examples/prometheus`, held against the metrics that there are, and by
//! Prometheus' own `promtool`.

use crate::program::exposition;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

fn example(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "examples", "prometheus", name].iter().collect()
}

/// Runs promtool (Debian's package `prometheus`).
pub(crate) fn promtool(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("promtool")
        .args(arguments)
        .current_dir(example(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool of Debian's package prometheus");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{text}");
    text
}

#[test]
fn promtool_takes_the_metrics_the_rules_and_their_tests() {
    for preset in ["preset:dgx-h100", "preset:dgx-1-v100", "preset:gb200-nvl72-tray"] {
        assert_eq!(promtool(&["check", "metrics"], &exposition(&["--from", preset])), "", "{preset}");
    }
    assert!(promtool(&["check", "rules", "nvtopo-alerts.yaml"], "").contains("rules found"));
    assert!(promtool(&["test", "rules", "nvtopo-alerts_test.yaml"], "").contains("SUCCESS"));
    let config = promtool(&["check", "config", "--syntax-only", "prometheus.yaml"], "");
    assert!(config.contains("is valid"), "{config}");
}

#[test]
fn the_document_names_options_that_there_are() {
    let help =
        Command::new(env!("CARGO_BIN_EXE_nvtopod")).args(["metrics", "--help"]).output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    let page = std::fs::read_to_string(example("../../docs/metrics.md")).unwrap();
    let is_part = |c: char| c.is_ascii_lowercase() || c == '-';
    let options = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c| !is_part(c)).filter(|word| word.starts_with("--") && !word.ends_with('-'));
        words.map(str::to_owned).collect()
    };
    let (named, known) = (options(&page), options(&help));
    assert!(named.len() > 4 && named.is_subset(&known), "{:?}", named.difference(&known));
}

/// The words of a text that are names of metrics.
fn names(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_part(c)).filter(|word| word.starts_with("nvtopo_")).collect()
}

/// Returns the names of families in a source file, each with the code before it.
fn quoted(text: &str) -> Vec<(&str, &str)> {
    let places = text.match_indices("\"nvtopo_").map(|(at, _)| at);
    places.map(|at| (text[..at].trim_end(), text[at + 1..].split('"').next().unwrap())).collect()
}

#[test]
fn alerts_dashboard_and_document_name_metrics_that_there_are() {
    let read = |name: &str| std::fs::read_to_string(example(name)).unwrap();
    let documented = std::fs::read_to_string(example("../../docs/metrics.md")).unwrap();
    let documented = names(&documented);
    for file in ["nvtopo-alerts.yaml", "nvtopo-dashboard.json"] {
        let text = read(file);
        let unknown: Vec<_> = names(&text).into_iter().filter(|name| !documented.contains(name)).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
    // The families are named in the sources of the audit, counters without the ending of their series.
    let sources: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "..", "nvtopo-audit", "src", "metrics"].iter().collect();
    let mut defined = BTreeSet::new();
    for file in std::fs::read_dir(sources).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for (before, name) in quoted(&text) {
            let ending = if before.ends_with("counter(") { "_total" } else { "" };
            defined.insert(format!("{name}{ending}"));
        }
    }
    let documented: BTreeSet<String> = documented.into_iter().map(str::to_owned).collect();
    assert!(defined.len() > 25, "{defined:?}");
    assert_eq!(documented, defined, "docs/metrics.md and the families differ");
    // Each alert has a test.
    let (rules, tests) = (read("nvtopo-alerts.yaml"), read("nvtopo-alerts_test.yaml"));
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(tests.contains(&format!("alertname: {alert}\n")), "{alert} has no test");
    }
}
