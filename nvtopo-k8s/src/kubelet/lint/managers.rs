//! Policies, their options and their gates.

use super::{Report, text};
use crate::kubelet::options::{
    GATES, Gate, Manager, OPTIONS, OptionValue, POLICIES, PolicyOption, SCOPES, Stage,
};
use crate::kubelet::tree::{Key, Node, Value};

pub(super) fn check(report: &mut Report<'_>, settings: &Node) {
    gates(report, settings);
    for manager in [Manager::Cpu, Manager::Topology, Manager::Memory] {
        policy(report, settings, manager);
        options(report, settings, manager);
    }
    scope(report, settings);
    together(report, settings);
    reservation(report, settings);
}

/// A switch as Go reads it.
pub(in crate::kubelet) fn switch(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn gates(report: &mut Report<'_>, settings: &Node) {
    let version = report.version();
    for (key, value) in settings.get("featureGates").map(Node::entries).unwrap_or_default() {
        let path = format!("featureGates.{}", key.name);
        let Some(gate) = Gate::find(&key.name) else {
            unknown_gate(report, key, &path);
            continue;
        };
        match (gate.stage(version), &value.value) {
            (None, _) => report
                .error(
                    key.place,
                    &path,
                    format!("the kubelet of {version} does not know this gate, and does not start"),
                )
                .help("take it out"),
            (Some(Stage::Stable), Value::Bool(false)) => report
                .error(
                    value.place,
                    &path,
                    format!("it cannot be switched off in {version}, and the kubelet does not start"),
                )
                .help("take it out"),
            _ => {}
        }
    }
}

/// The kubelet has some hundred gates, and only those of its managers are known here.
fn unknown_gate(report: &mut Report<'_>, key: &Key, path: &str) {
    if matches!(key.name.as_str(), "AllAlpha" | "AllBeta") {
        return;
    }
    let near = report.near(&key.name, GATES.iter().map(|gate| gate.name));
    let message = "this gate is not among those known here, and the kubelet does not start with one that it does not know";
    let finding = report.warning(key.place, path, message);
    match near {
        Some(near) => finding.help(format!("did you mean {near}?")),
        None => finding.help("look it up in the list of gates of this version"),
    }
}

/// Returns true for a gate that is on: as the file says, else as it is by default.
fn is_open(report: &Report<'_>, settings: &Node, gate: &str) -> bool {
    let told = settings.get("featureGates").and_then(|gates| gates.get(gate)).map(|gate| &gate.value);
    match told {
        Some(Value::Bool(on)) => *on,
        _ => Gate::find(gate).and_then(|gate| gate.stage(report.version())) >= Some(Stage::Beta),
    }
}

fn policy(report: &mut Report<'_>, settings: &Node, manager: Manager) {
    let field = manager.policy_field();
    let names = POLICIES.iter().filter(|policy| policy.manager == manager).map(|policy| policy.name);
    one_of(report, settings, field, &names.collect::<Vec<_>>());
}

fn scope(report: &mut Report<'_>, settings: &Node) {
    one_of(report, settings, "topologyManagerScope", SCOPES);
}

fn one_of(report: &mut Report<'_>, settings: &Node, field: &str, names: &[&'static str]) {
    let Some(node) = settings.get(field) else { return };
    let Some(name) = node.text() else { return };
    if name.is_empty() || names.contains(&name) {
        return;
    }
    let near = report.near(name, names.iter().copied());
    let finding =
        report.error(node.place, field, format!("there is no '{name}', and the kubelet does not start"));
    match near {
        Some(near) => finding.help(format!("did you mean {near}?")),
        None => finding.help(format!("there are {}", names.join(", "))),
    }
}

fn options(report: &mut Report<'_>, settings: &Node, manager: Manager) {
    let Some(field) = manager.options_field() else { return };
    let Some((key, node)) = settings.entry(field) else { return };
    let on: Vec<&Key> = node
        .entries()
        .iter()
        .filter(|(_, value)| value.text().is_some_and(|text| switch(text) == Some(true)))
        .map(|(key, _)| key)
        .collect();
    for (key, value) in node.entries() {
        let path = format!("{field}.{}", key.name);
        let Some(option) = PolicyOption::find(manager, &key.name) else {
            let all = OPTIONS.iter().filter(|option| option.manager == manager).map(|option| option.name);
            let near = report.near(&key.name, all.clone());
            let finding =
                report.error(key.place, &path, "there is no such option, and the kubelet does not start");
            match near {
                Some(near) => finding.help(format!("did you mean {near}?")),
                None => finding.help(format!("there are {}", all.collect::<Vec<_>>().join(", "))),
            }
            continue;
        };
        stage(report, settings, key, option, &path);
        value_of(report, value, option, &path);
        for other in on.iter().filter(|other| option.excludes.contains(&other.name.as_str())) {
            if on.iter().any(|own| own.name == key.name) && other.name < key.name {
                let message = format!("the kubelet does not start with this beside {}", other.name);
                report.error(key.place, &path, message).help("leave one of them out");
            }
        }
    }
    let policy = text(settings, manager.policy_field()).unwrap_or("none");
    if policy == "none" && !node.entries().is_empty() {
        let policies = manager.policy_field();
        match manager {
            Manager::Cpu => report
                .error(
                    key.place,
                    field,
                    format!("{policies} is none, which takes no options: the kubelet does not start"),
                )
                .help("set cpuManagerPolicy: static, or leave the options out"),
            _ => report
                .warning(key.place, field, format!("{policies} is none, and the options do nothing"))
                .help("set a policy, or leave the options out"),
        }
    }
}

fn stage(report: &mut Report<'_>, settings: &Node, key: &Key, option: &PolicyOption, path: &str) {
    let version = report.version();
    let Some(stage) = option.stage(version) else {
        let message = format!("the kubelet of {version} does not know this option, and does not start");
        let first = crate::Version::all().find(|version| option.stage(*version).is_some());
        let help = first
            .map_or_else(|| "leave it out".to_owned(), |first| format!("it came with {first}: leave it out"));
        report.error(key.place, path, message).help(help);
        return;
    };
    let Some(gate) = option.gate(version).filter(|gate| !is_open(report, settings, gate)) else { return };
    let message = format!(
        "it is {} in {version}, and the kubelet does not start without the gate {gate}",
        stage.word()
    );
    report.error(key.place, path, message).help(format!("set featureGates.{gate}: true, or leave it out"));
}

fn value_of(report: &mut Report<'_>, value: &Node, option: &PolicyOption, path: &str) {
    let Some(text) = value.text() else { return };
    let wrong = match option.value {
        OptionValue::Switch => switch(text).is_none().then(|| "\"true\" or \"false\"".to_owned()),
        OptionValue::AtLeast(least) => {
            let number = text.parse::<i64>().ok().filter(|number| *number >= i64::from(least));
            number.is_none().then(|| format!("a number of {least} or more, in quotes"))
        }
    };
    if let Some(wanted) = wrong {
        let message = format!("{} is not {wanted}, and the kubelet does not start", value.words());
        report.error(value.place, path, message);
    }
}

/// Policies and options of two managers that do not go together.
fn together(report: &mut Report<'_>, settings: &Node) {
    let policy = text(settings, "topologyManagerPolicy").unwrap_or("none");
    let cpu = text(settings, "cpuManagerPolicy").unwrap_or("none");
    if let Some((key, _)) = settings.entry("topologyManagerPolicy")
        && policy != "none"
        && cpu == "none"
    {
        let message = format!("without cpuManagerPolicy: static, {policy} aligns devices and no CPUs");
        report.warning(key.place, "topologyManagerPolicy", message).help("set cpuManagerPolicy: static");
    }
    let place = |field: &str, option: &str| settings.get(field)?.entry(option).map(|(key, _)| key.place);
    if policy == "single-numa-node"
        && super::is_on(settings, "cpuManagerPolicyOptions", "align-by-socket")
        && let Some(place) = place("cpuManagerPolicyOptions", "align-by-socket")
    {
        let message = "the kubelet does not start with this under topologyManagerPolicy: single-numa-node";
        report.error(place, "cpuManagerPolicyOptions.align-by-socket", message).help("leave one of them out");
    }
    if policy == "single-numa-node"
        && super::is_on(settings, "topologyManagerPolicyOptions", "prefer-closest-numa-nodes")
        && let Some(place) = place("topologyManagerPolicyOptions", "prefer-closest-numa-nodes")
    {
        let field = "topologyManagerPolicyOptions.prefer-closest-numa-nodes";
        report.warning(
            place,
            field,
            "under single-numa-node there are never several nodes to choose: it does nothing",
        );
    }
}

/// The CPUs that the static policy must have reserved.
fn reservation(report: &mut Report<'_>, settings: &Node) {
    let reserved = settings.entry("reservedSystemCPUs").filter(|(_, value)| value.text() != Some(""));
    let told: Vec<(&str, &Key)> = ["kubeReserved", "systemReserved"]
        .into_iter()
        .filter_map(|field| Some((field, settings.get(field)?.entry("cpu")?.0)))
        .collect();
    match reserved {
        Some(_) => {
            for (field, key) in told {
                let message = "reservedSystemCPUs takes its place, and it does nothing";
                report.warning(key.place, &format!("{field}.cpu"), message).help("take it out");
            }
        }
        None if told.is_empty() => {
            if let Some((key, _)) = settings.entry("cpuManagerPolicy")
                && text(settings, "cpuManagerPolicy") == Some("static")
            {
                let message = "static needs reserved CPUs, and the kubelet does not start without any";
                report.error(key.place, "cpuManagerPolicy", message).help("name some in reservedSystemCPUs");
            }
        }
        None => {}
    }
}
