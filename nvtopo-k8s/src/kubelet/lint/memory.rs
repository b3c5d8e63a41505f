//! Reserved memory, and thresholds of eviction.
//!
//! Source: `pkg/kubelet/cm/memorymanager/memory_manager.go` (sums), `cmd/kubelet/app/server.go` (what can be reserved),
//! `pkg/kubelet/eviction/helpers.go` (thresholds).

use super::{Report, text};
use crate::kubelet::fields::{DEFAULT_EVICTION, SIGNALS};
use crate::kubelet::tree::{Node, Place, Value};
use crate::quantity::Quantity;

/// The resources that kubeReserved and systemReserved can hold.
const RESERVABLE: [&str; 4] = ["cpu", "memory", "ephemeral-storage", "pid"];

pub(super) fn check(report: &mut Report<'_>, settings: &Node) {
    for field in ["kubeReserved", "systemReserved"] {
        amounts(report, settings, field);
    }
    eviction(report, settings);
    static_policy(report, settings);
}

fn amounts(report: &mut Report<'_>, settings: &Node, field: &str) {
    for (key, value) in settings.get(field).map(Node::entries).unwrap_or_default() {
        let path = format!("{field}.{}", key.name);
        if !RESERVABLE.contains(&key.name.as_str()) {
            let message = "nothing can be reserved of this, and the kubelet does not start";
            report.error(key.place, &path, message).help(format!("there are {}", RESERVABLE.join(", ")));
        }
        if let Some(text) = value.text()
            && Quantity::parse(text).is_none_or(Quantity::is_negative)
        {
            let message = format!("{text:?} is no quantity, and the kubelet does not start");
            report.error(value.place, &path, message).help("write one such as \"2Gi\" or \"500m\"");
        }
    }
}

/// The default thresholds that do not hold because others are named.
fn eviction(report: &mut Report<'_>, settings: &Node) {
    for field in ["evictionHard", "evictionSoft", "evictionMinimumReclaim", "evictionSoftGracePeriod"] {
        for (key, value) in settings.get(field).map(Node::entries).unwrap_or_default() {
            let path = format!("{field}.{}", key.name);
            if !SIGNALS.contains(&key.name.as_str()) {
                let near = report.near(&key.name, SIGNALS.iter().copied());
                let finding =
                    report.error(key.place, &path, "there is no such signal, and the kubelet does not start");
                match near {
                    Some(near) => finding.help(format!("did you mean {near}?")),
                    None => finding.help(format!("there are {}", SIGNALS.join(", "))),
                }
            }
            let threshold = value.text().filter(|_| field != "evictionSoftGracePeriod");
            if let Some(text) = threshold.filter(|text| threshold_of(text).is_none()) {
                let message = format!(
                    "{text:?} is neither a quantity nor a percentage, and the kubelet does not start"
                );
                report.error(value.place, &path, message).help("write one such as \"1Gi\" or \"10%\"");
            }
        }
    }
    let Some((key, node)) = settings.entry("evictionHard") else { return };
    if merges(settings) || node.entries().is_empty() {
        return;
    }
    let lost = DEFAULT_EVICTION.iter().filter(|(signal, _)| node.get(signal).is_none());
    let lost: Vec<String> = lost.map(|(signal, value)| format!("{signal}: {value}")).collect();
    if !lost.is_empty() {
        let message = format!("as others are named, these defaults do not hold: {}", lost.join(", "));
        report.warning(key.place, "evictionHard", message).help("name them too");
    }
}

/// A threshold: a quantity, or a share of what there is.
enum Threshold {
    Amount(Quantity),
    Share,
}

fn threshold_of(text: &str) -> Option<Threshold> {
    match text.strip_suffix('%') {
        Some(number) => {
            number.parse::<f64>().ok().filter(|share| (0.0..=100.0).contains(share)).map(|_| Threshold::Share)
        }
        None => Quantity::parse(text).filter(|amount| !amount.is_negative()).map(Threshold::Amount),
    }
}

fn merges(settings: &Node) -> bool {
    matches!(settings.get("mergeDefaultEvictionSettings").map(|node| &node.value), Some(Value::Bool(true)))
}

/// The memory that the manager must find reserved: all that is kept from pods; `None` where that depends on the machine's
/// memory or is unreadable.
fn kept(settings: &Node) -> Result<Quantity, Place> {
    let mut sum = Quantity::default();
    for field in ["kubeReserved", "systemReserved"] {
        if let Some(node) = settings.get(field).and_then(|reserved| reserved.get("memory")) {
            sum = sum.plus(node.text().and_then(Quantity::parse).ok_or(node.place)?);
        }
    }
    let hard = settings.get("evictionHard");
    let named = hard.and_then(|hard| hard.get("memory.available"));
    let no_default = hard.is_some_and(|hard| !hard.entries().is_empty()) && !merges(settings);
    match named.map(|node| (node.place, node.text().and_then(threshold_of))) {
        Some((_, Some(Threshold::Amount(amount)))) => sum = sum.plus(amount),
        Some((place, _)) => return Err(place),
        None if no_default => {}
        None => {
            let default = DEFAULT_EVICTION.first().and_then(|(_, value)| Quantity::parse(value));
            sum = sum.plus(default.unwrap_or_default());
        }
    }
    Ok(sum)
}

fn static_policy(report: &mut Report<'_>, settings: &Node) {
    let is_static = text(settings, "memoryManagerPolicy") == Some("Static");
    let reserved = settings.entry("reservedMemory").filter(|(_, node)| !node.items().is_empty());
    let Some((policy, _)) = settings.entry("memoryManagerPolicy").filter(|_| is_static) else {
        if let Some((key, _)) = reserved {
            let message = "without memoryManagerPolicy: Static it does nothing";
            report.warning(key.place, "reservedMemory", message).help("set the policy, or take it out");
        }
        return;
    };
    let mut sum = Some(Quantity::default());
    for (index, item) in
        settings.get("reservedMemory").map(Node::items).unwrap_or_default().iter().enumerate()
    {
        let path = format!("reservedMemory[{index}]");
        for field in ["numaNode", "limits"] {
            if item.get(field).is_none() {
                report.error(item.place, &path, format!("{field} is missing"));
            }
        }
        for (key, value) in item.get("limits").map(Node::entries).unwrap_or_default() {
            match (key.name.as_str(), quantity(value)) {
                ("memory", Some(amount)) => sum = sum.map(|sum| sum.plus(amount)),
                ("memory", None) => sum = None,
                (name, _) if name.starts_with("hugepages-") => {
                    let message = "huge pages are kept by neither kubeReserved nor systemReserved, so the sums differ, and the \
                                   kubelet does not start";
                    report.error(key.place, &format!("{path}.limits.{name}"), message).help("take it out");
                }
                _ => {}
            }
        }
    }
    let (key_place, field) =
        reserved.map_or((policy.place, "memoryManagerPolicy"), |(key, _)| (key.place, "reservedMemory"));
    match (kept(settings), sum) {
        (Err(place), _) => {
            let message = "reservedMemory has to equal it to the byte, which a share of the memory does not";
            report
                .warning(place, "evictionHard.memory.available", message)
                .help("write an amount, such as \"1Gi\"");
        }
        (Ok(kept), Some(sum)) if kept.is_zero() && sum.is_zero() => {
            let message = "Static needs reserved memory, and the kubelet does not start without any";
            report
                .error(policy.place, "memoryManagerPolicy", message)
                .help("reserve some in systemReserved and reservedMemory");
        }
        (Ok(kept), Some(sum)) if reserved.is_none() && sum.is_zero() => {
            let message = format!(
                "Static needs reservedMemory, and the kubelet does not start without: {} in all",
                kept.shown()
            );
            report.error(key_place, field, message).help("add it for one NUMA node or more");
        }
        (Ok(kept), Some(sum)) if kept != sum => {
            let message = format!(
                "it adds up to {}, and kubeReserved, systemReserved and evictionHard to {}: the kubelet does not start",
                sum.shown(),
                kept.shown()
            );
            report.error(key_place, field, message).help("make them equal");
        }
        _ => {}
    }
}

fn quantity(node: &Node) -> Option<Quantity> {
    match &node.value {
        Value::Text(text) => Quantity::parse(text),
        Value::Int(value) => Quantity::parse(&value.to_string()),
        _ => None,
    }
}
