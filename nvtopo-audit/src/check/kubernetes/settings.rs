//! The kubelet's settings: CPUs, memory, and whether it starts.

use super::effective;
use crate::evidence::{Evidence, NODE};
use crate::finding::Verdicts;
use crate::reading::kubelet::Kubelet;
use crate::reading::kubelet_state;
use nvtopo::CpuSet;
use nvtopo::model::Stated;
use nvtopo_k8s::kubelet::effective::Effective;
use nvtopo_k8s::kubelet::lint::{Finding, LintOptions, Severity, lint};

/// Returns what is wrong with settings on this machine. Errors with the reason where they cannot be judged.
fn mistakes(evidence: &Evidence<'_>, settings: &Effective) -> Result<Vec<Finding>, String> {
    let mut options = LintOptions::default().topology(evidence.topology);
    if let Some(largest) = evidence.profile.expect.largest_pod {
        options = options.largest_pod(largest);
    }
    let findings = lint("kubelet", &settings.to_json(), &options).map_err(|error| error.to_string())?;
    Ok(findings.iter().cloned().collect())
}

/// Fields that checks of their own judge.
fn has_own_check(finding: &Finding) -> bool {
    const OWN: [&str; 4] =
        ["reservedSystemCPUs", "reservedMemory", "memoryManagerPolicy", "topologyManagerPolicy"];
    OWN.iter().any(|field| finding.field.starts_with(field)) || finding.field.is_empty()
}

pub(super) fn source(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let Some(settings) = effective(evidence, verdicts) else { return };
    let Kubelet::Known(_, sources) = evidence.kubelet() else { return };
    verdicts.pass(NODE, format!("its settings are from {}", sources.join(", then ")));
    match mistakes(evidence, settings) {
        Ok(findings) => {
            let errors = findings.iter().filter(|own| own.severity == Severity::Error && !has_own_check(own));
            for finding in errors {
                verdicts.warn(&finding.field, finding.message.clone());
            }
        }
        Err(error) => verdicts.unknown(NODE, error),
    }
}

pub(super) fn cpu_manager(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let state = kubelet_state::cpus(evidence);
    let held = state.known().map(|state| state.policy_name.as_str());
    let Some(settings) = effective(evidence, verdicts) else { return };
    let policy = settings.text("cpuManagerPolicy").unwrap_or("none");
    if let Some(held) = held.filter(|held| *held != policy) {
        let text =
            format!("its policy is {policy}, and its state file is of {held}: the kubelet does not start");
        verdicts.fail(NODE, text);
        return;
    }
    if policy != "static" {
        verdicts.fail(NODE, format!("its policy is {policy}, and no container has CPUs for itself"));
        return;
    }
    let options = settings.get("cpuManagerPolicyOptions").and_then(|options| options.as_object());
    let options: Vec<&str> = options
        .into_iter()
        .flat_map(|options| options.keys())
        .map(String::as_str)
        .filter(|name| settings.is_on("cpuManagerPolicyOptions", name))
        .collect();
    let with = if options.is_empty() { String::new() } else { format!(" with {}", options.join(", ")) };
    match state {
        Stated::Unreadable => {
            verdicts.unknown(NODE, format!("its policy is static{with}; its state file cannot be read"));
        }
        _ => verdicts.pass(NODE, format!("its policy is static{with}")),
    }
}

pub(super) fn reserved(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let Some(settings) = effective(evidence, verdicts) else { return };
    let list = settings.text("reservedSystemCPUs");
    let by_count: Vec<String> = ["systemReserved", "kubeReserved"]
        .iter()
        .filter_map(|field| {
            let amount = settings.get(field)?.get("cpu")?;
            let text = amount.as_str().map_or_else(|| amount.to_string(), str::to_owned);
            // Nothing is reserved by an amount of nothing.
            (!matches!(text.as_str(), "0" | "0m" | "")).then(|| format!("{field} {text}"))
        })
        .collect();
    let is_static = settings.text("cpuManagerPolicy") == Some("static");
    if list.is_none() && by_count.is_empty() {
        if is_static {
            verdicts.fail(
                NODE,
                "no CPU is reserved, and a kubelet with the static CPU manager does not start so",
            );
        } else {
            verdicts.not_applicable(NODE, "no CPU is reserved, and no container has CPUs for itself");
        }
        return;
    }
    let findings = match mistakes(evidence, settings) {
        Ok(findings) => findings,
        Err(error) => {
            verdicts.unknown(NODE, error);
            return;
        }
    };
    let own: Vec<&Finding> =
        findings.iter().filter(|finding| finding.field == "reservedSystemCPUs").collect();
    judge(verdicts, &own);
    let cpus: Option<CpuSet> = list.and_then(|list| list.parse().ok());
    let mut whole = 0;
    for (_, id, gpu) in evidence.gpus() {
        let near = evidence.topology.local_cpus(id);
        let near = near.known().filter(|near| !near.is_empty());
        if let (Some(near), Some(cpus)) = (near, &cpus)
            && near.is_subset(cpus)
        {
            whole += 1;
            verdicts.warn(gpu.name(), format!("all CPUs near it ({near}) are reserved"));
        }
    }
    if own.is_empty() && whole == 0 {
        match list {
            Some(list) if !evidence.topology.lists_all_cpus() => verdicts.unknown(
                NODE,
                format!("CPUs {list} are reserved, and no source lists all CPUs and cores of the machine"),
            ),
            Some(list) => verdicts.pass(NODE, format!("CPUs {list} are reserved")),
            None => verdicts.pass(NODE, format!("CPUs are reserved by number: {}", by_count.join(", "))),
        }
    }
}

/// Adds what is wrong with the fields of a check.
fn judge(verdicts: &mut Verdicts, findings: &[&Finding]) {
    for finding in findings {
        let text = finding
            .help
            .as_ref()
            .map_or_else(|| finding.message.clone(), |help| format!("{}; {help}", finding.message));
        if finding.severity == Severity::Error {
            verdicts.fail(&finding.field, text);
        } else {
            verdicts.warn(&finding.field, text);
        }
    }
}

pub(super) fn memory(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let state = kubelet_state::memory(evidence);
    let Some(settings) = effective(evidence, verdicts) else { return };
    let policy = settings.text("memoryManagerPolicy").unwrap_or("None");
    if let Some(held) = state.known().map(|state| &state.policy_name).filter(|held| *held != policy) {
        let text =
            format!("its policy is {policy}, and its state file is of {held}: the kubelet does not start");
        verdicts.fail(NODE, text);
        return;
    }
    if policy == "None" {
        let mut pages = evidence.topology.numa_nodes().flat_map(|node| &node.huge_pages);
        if pages.any(|pages| pages.total > 0) {
            verdicts.warn(NODE, "its policy is None, and huge pages come from any NUMA node");
        } else {
            verdicts.not_applicable(NODE, "its policy is None, and there are no huge pages");
        }
        return;
    }
    let is_own = |finding: &&Finding| {
        let fields = ["reservedMemory", "memoryManagerPolicy", "evictionHard.memory"];
        fields.iter().any(|field| finding.field.starts_with(field))
    };
    match mistakes(evidence, settings) {
        Ok(findings) => {
            let own: Vec<&Finding> = findings.iter().filter(is_own).collect();
            judge(verdicts, &own);
            if own.is_empty() {
                verdicts.pass(NODE, format!("its policy is {policy}, and the reserved memory sums up"));
            }
        }
        Err(error) => verdicts.unknown(NODE, error),
    }
}
