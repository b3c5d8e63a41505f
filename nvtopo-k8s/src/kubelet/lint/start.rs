//! Settings that the kubelet's own validation refuses, apart from policies and memory.
//!
//! Source: `pkg/kubelet/apis/config/validation/validation.go`; for soft eviction `pkg/kubelet/eviction/helpers.go`.

use super::schema::duration;
use super::{Report, text};
use crate::kubelet::cpulist;
use crate::kubelet::fields::SIGNALS;
use crate::kubelet::tree::{Node, Value};
use std::collections::BTreeMap;

/// The minor version that brought the enforcement of CPUs only.
const COMPRESSIBLE_SINCE: u8 = 32;

/// The thresholds of image garbage collection that hold where none are named: high and low, in percent.
const IMAGE_GC: (i128, i128) = (85, 80);

pub(super) fn check(report: &mut Report<'_>, settings: &Node) {
    reserved_cpus(report, settings);
    enforcement(report, settings);
    image_gc(report, settings);
    shutdown(report, settings);
    soft_eviction(report, settings);
    swap(report, settings);
}

/// Returns true for a text that is set and not empty.
fn is_set(settings: &Node, field: &str) -> bool {
    text(settings, field).is_some_and(|text| !text.is_empty())
}

fn reserved_cpus(report: &mut Report<'_>, settings: &Node) {
    let field = "reservedSystemCPUs";
    let Some(node) = settings.get(field) else { return };
    let Some(list) = node.text().filter(|list| !list.is_empty()) else { return };
    if let Err(why) = cpulist::read(list) {
        let message = format!("{list:?} is no list of CPUs, and the kubelet does not start: {why}");
        report.error(node.place, field, message).help("write one such as \"0-1,64-65\"");
    }
    for cgroup in ["systemReservedCgroup", "kubeReservedCgroup"] {
        let Some((key, _)) = settings.entry(cgroup).filter(|_| is_set(settings, cgroup)) else { continue };
        let message = "the kubelet does not start with this beside reservedSystemCPUs";
        let help = "leave it out, and its name out of enforceNodeAllocatable; or reserve CPUs by systemReserved.cpu instead";
        report.error(key.place, cgroup, message).help(help);
    }
}

fn enforcement(report: &mut Report<'_>, settings: &Node) {
    let field = "enforceNodeAllocatable";
    let items = settings.get(field).map(Node::items).unwrap_or_default();
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for name in items.iter().filter_map(Node::text) {
        *names.entry(name).or_default() += 1;
    }
    let compressible = report.version().number() >= COMPRESSIBLE_SINCE;
    for (index, item) in items.iter().enumerate() {
        let Some(name) = item.text() else { continue };
        let path = format!("{field}[{index}]");
        let cgroup = match name {
            "none" if names.values().sum::<usize>() > 1 => {
                let message = "the kubelet does not start with this beside others";
                report.error(item.place, &path, message).help("leave it or the others out");
                continue;
            }
            "pods" | "none" => None,
            "system-reserved" => Some("systemReservedCgroup"),
            "kube-reserved" => Some("kubeReservedCgroup"),
            "system-reserved-compressible" if compressible => Some("systemReservedCgroup"),
            "kube-reserved-compressible" if compressible => Some("kubeReservedCgroup"),
            _ => {
                let message = format!("there is no {name:?} to enforce, and the kubelet does not start");
                let help = "there are pods, system-reserved, kube-reserved and none, and from 1.32 on the reserved ones with \
                            -compressible behind";
                report.error(item.place, &path, message).help(help);
                continue;
            }
        };
        if names.get(name).is_some_and(|count| *count > 1) {
            report.error(item.place, &path, "it is there twice, and the kubelet does not start");
        }
        let whole = name.strip_suffix("-compressible").filter(|whole| names.contains_key(whole));
        if let Some(whole) = whole {
            let message = format!("the kubelet does not start with this beside {whole}");
            report.error(item.place, &path, message).help("leave one of them out");
        }
        if let Some(cgroup) = cgroup.filter(|cgroup| !is_set(settings, cgroup)) {
            let message = format!("without {cgroup} the kubelet does not start");
            let help = if is_set(settings, "reservedSystemCPUs") {
                "leave it out: beside reservedSystemCPUs the cgroup is refused too".to_owned()
            } else {
                format!("name the cgroup in {cgroup}, or leave it out")
            };
            report.error(item.place, &path, message).help(help);
        }
    }
    let off = matches!(settings.get("cgroupsPerQOS").map(|node| &node.value), Some(Value::Bool(false)));
    let enforced = settings.get(field).is_none() || names.keys().any(|name| *name != "none");
    if let Some((key, _)) = settings.entry("cgroupsPerQOS").filter(|_| off && enforced) {
        let message = "the kubelet does not start without these cgroups unless nothing is enforced";
        report.error(key.place, "cgroupsPerQOS", message).help("set enforceNodeAllocatable: [none]");
    }
}

fn image_gc(report: &mut Report<'_>, settings: &Node) {
    let (high, low) = ("imageGCHighThresholdPercent", "imageGCLowThresholdPercent");
    let percent = |field: &str, default: i128| match settings.get(field).map(|node| &node.value) {
        Some(Value::Int(percent)) => *percent,
        _ => default,
    };
    let values = (percent(high, IMAGE_GC.0), percent(low, IMAGE_GC.1));
    for (field, value) in [(high, values.0), (low, values.1)] {
        if let Some(node) = settings.get(field).filter(|_| !(0..=100).contains(&value)) {
            let message = format!("{value} is not between 0 and 100, and the kubelet does not start");
            report.error(node.place, field, message);
        }
    }
    let told = settings.get(low).map(|node| (low, node)).or_else(|| Some((high, settings.get(high)?)));
    if let Some((field, node)) = told.filter(|_| values.1 >= values.0) {
        let message = format!(
            "the kubelet does not start unless {low} is less than {high}: they are {} and {}",
            values.1, values.0
        );
        report.error(node.place, field, message).help("the defaults are 80 and 85");
    }
}

fn shutdown(report: &mut Report<'_>, settings: &Node) {
    let second = 1e9;
    let (all, critical) = ("shutdownGracePeriod", "shutdownGracePeriodCriticalPods");
    let time = |field: &str| text(settings, field).and_then(duration).unwrap_or_default();
    for field in [all, critical] {
        let time = time(field);
        if let Some(node) = settings.get(field).filter(|_| time < 0.0 || time > 0.0 && time < second) {
            let message = "it is neither 0 nor a second or more, and the kubelet does not start";
            report.error(node.place, field, message);
        }
    }
    if let Some(node) = settings.get(critical).filter(|_| time(critical) > time(all)) {
        let message = format!("it is a part of {all} and is longer: the kubelet does not start");
        report.error(node.place, critical, message).help(format!("make {all} as long or longer"));
    }
}

fn soft_eviction(report: &mut Report<'_>, settings: &Node) {
    let grace = settings.get("evictionSoftGracePeriod");
    for (key, _) in settings.get("evictionSoft").map(Node::entries).unwrap_or_default() {
        let known = SIGNALS.contains(&key.name.as_str());
        if known && grace.and_then(|grace| grace.get(&key.name)).is_none() {
            let message = "it has no grace period, and the kubelet does not start";
            let help = format!("set evictionSoftGracePeriod: {{{}: 1m30s}}, say", key.name);
            report.error(key.place, &format!("evictionSoft.{}", key.name), message).help(help);
        }
    }
    for (key, value) in grace.map(Node::entries).unwrap_or_default() {
        let Some(text) = value.text() else { continue };
        if duration(text).is_none_or(|time| time < 0.0) {
            let message = format!("{text:?} is no time, and the kubelet does not start");
            let path = format!("evictionSoftGracePeriod.{}", key.name);
            report.error(value.place, &path, message).help("write one such as \"1m30s\"");
        }
    }
}

fn swap(report: &mut Report<'_>, settings: &Node) {
    let Some(node) = settings.get("memorySwap").and_then(|swap| swap.get("swapBehavior")) else { return };
    if let Some(other) = node.text().filter(|text| !matches!(*text, "" | "NoSwap" | "LimitedSwap")) {
        let message = format!("there is no {other:?}, and the kubelet does not start");
        report.error(node.place, "memorySwap.swapBehavior", message).help("there are NoSwap and LimitedSwap");
    }
}
