//! Fields and their types, and the names of policies.

use super::Report;
use crate::kubelet::fields::{FIELDS, Field, Kind};
use crate::kubelet::tree::{Node, Place, Value};
use crate::quantity::Quantity;

const API_VERSION: &str = "kubelet.config.k8s.io/v1beta1";
const KIND: &str = "KubeletConfiguration";

/// The settings of a document, where it holds some. Wrong headings are told.
pub(super) fn settings<'a>(report: &mut Report<'_>, document: &'a Node) -> Option<&'a Node> {
    let kind = document.get("kind").and_then(Node::text);
    let api = document.entry("apiVersion");
    if kind == Some(KIND) {
        match api {
            Some((_, value)) if value.text() == Some(API_VERSION) => {}
            Some((_, value)) => {
                let found = value.words();
                report
                    .error(value.place, "apiVersion", format!("{found} is no version of {KIND}"))
                    .help(format!("write {API_VERSION}"));
            }
            None => report
                .error(document.place, "", "there is no apiVersion, and the kubelet does not read the file")
                .help(format!("write apiVersion: {API_VERSION}")),
        }
        return Some(document);
    }
    let spec = document.get("spec").and_then(|spec| spec.get("kubeletConfig"));
    let inner = document.get("kubelet").or(spec).filter(|inner| is_settings(inner));
    if inner.is_some() {
        return inner;
    }
    if kind.is_none() && is_settings(document) {
        report
            .error(document.place, "", "there is no kind, and the kubelet does not read the file")
            .help(format!("write apiVersion: {API_VERSION} and kind: {KIND}"));
        return Some(document);
    }
    None
}

/// Returns true for a map with fields of the kubelet. Those that all objects have do not count.
fn is_settings(node: &Node) -> bool {
    let own = |name: &str| !matches!(name, "apiVersion" | "kind") && Field::find(FIELDS, name).is_some();
    node.entries().iter().any(|(key, _)| own(&key.name))
}

/// Unknown fields and wrong types.
pub(super) fn check(report: &mut Report<'_>, settings: &Node) {
    object(report, settings, FIELDS, "");
}

fn object(report: &mut Report<'_>, node: &Node, fields: &'static [Field], path: &str) {
    for (key, value) in node.entries() {
        let name = &key.name;
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let Some(field) = Field::find(fields, name) else {
            unknown(report, key.place, name, &path, fields);
            continue;
        };
        if let Some(since) = field.comes_in(report.version()) {
            let version = report.version();
            report
                .error(
                    key.place,
                    &path,
                    format!("the kubelet of {version} reads this over: it came with {since}"),
                )
                .help("leave it out, or say --for which version the file is");
        }
        value_of(report, value, field.kind, &path);
    }
}

fn unknown(report: &mut Report<'_>, place: Place, name: &str, path: &str, fields: &'static [Field]) {
    let message = "there is no such field, and the kubelet reads it over";
    let near = report.near(name, fields.iter().map(|field| field.name));
    let finding = report.error(place, path, message);
    match near {
        Some(near) => finding.help(format!("did you mean {near}?")),
        None => finding.help("take it out"),
    }
}

fn value_of(report: &mut Report<'_>, node: &Node, kind: Kind, path: &str) {
    let fits = match (&node.value, kind) {
        // A key without a value is one that is not set.
        (Value::Null, _)
        | (Value::Bool(_), Kind::Bool)
        | (Value::Int(_), Kind::Int | Kind::Number | Kind::DurationOrInt | Kind::Quantity)
        | (Value::Float(_), Kind::Number | Kind::Quantity)
        | (Value::Text(_), Kind::Text) => true,
        (Value::Text(text), Kind::Duration | Kind::DurationOrInt) => duration(text).is_some(),
        (Value::Text(text), Kind::Quantity) => Quantity::parse(text).is_some(),
        (Value::List(items), Kind::List(inner)) => {
            for (index, item) in items.iter().enumerate() {
                value_of(report, item, *inner, &format!("{path}[{index}]"));
            }
            true
        }
        (Value::Map(entries), Kind::Map(inner)) => {
            for (key, value) in entries {
                value_of(report, value, *inner, &format!("{path}.{}", key.name));
            }
            true
        }
        (Value::Map(_), Kind::Object(fields)) => {
            object(report, node, fields, path);
            true
        }
        _ => false,
    };
    if fits {
        return;
    }
    let message = format!("{} is not {}, and the kubelet does not start", node.words(), kind.words());
    let finding = report.error(node.place, path, message);
    match (&node.value, kind) {
        (Value::Bool(value), Kind::Text) => finding.help(format!("write it in quotes: \"{value}\"")),
        (Value::Int(value), Kind::Text) => finding.help(format!("write it in quotes: \"{value}\"")),
        (Value::Float(value), Kind::Text) => finding.help(format!("write it in quotes: \"{value}\"")),
        (Value::Text(text), Kind::Bool) if matches!(text.as_str(), "true" | "false") => {
            finding.help(format!("write it without quotes: {text}"));
        }
        (Value::Text(text), Kind::Int) if text.parse::<i64>().is_ok() => {
            finding.help(format!("write it without quotes: {text}"));
        }
        (Value::Int(value), Kind::Duration) => finding.help(format!("write it with a unit: \"{value}s\"")),
        _ => {}
    }
}

/// The units of times, each with its nanoseconds.
const UNITS: [(&str, f64); 7] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];

/// The nanoseconds of a text that Go reads as a time: numbers with units, one after the other.
pub(super) fn duration(text: &str) -> Option<f64> {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return Some(0.0);
    }
    let (mut parts, mut sum) = (0, 0.0);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, unit) = rest.split_at(end);
        let dots = number.matches('.').count();
        if dots > 1 || dots == number.len() {
            return None;
        }
        let (unit, size) =
            UNITS.into_iter().filter(|(own, _)| unit.starts_with(own)).max_by_key(|(own, _)| own.len())?;
        sum += number.parse::<f64>().ok()? * size;
        rest = &rest[end + unit.len()..];
        parts += 1;
    }
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    (parts > 0).then_some(sign * sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_read_as_go_does() {
        for text in ["5s", "1m0s", "1.5h", "100ms", "0", "4h0m0s", "-1s", "2us"] {
            assert!(duration(text).is_some(), "{text}");
        }
        for (text, seconds) in [("1m30s", 90.0), ("-1.5h", -5400.0), ("250ms", 0.25), ("0", 0.0)] {
            assert_eq!(duration(text), Some(seconds * 1e9), "{text}");
        }
        for text in ["", "5", "s", "5 s", "5sec", "1.2.3s", ".s", "5d"] {
            assert!(duration(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_time_or_none(text in ".{0,20}") {
            let _ = duration(&text);
        }
    }
}
