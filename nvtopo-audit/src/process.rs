//! The process or control group whose limits are judged, and the kubelet's settings that bear on it.

use crate::audit::AuditedProcess;
use crate::evidence::Evidence;
use crate::reading::kubelet::Kubelet;
use crate::reading::kubelet_state;
use nvtopo::model::Stated;
use nvtopo::{CpuSet, NodeSet};
use serde_json::Value;
use std::path::{Component, Path};

/// The limits of the audited process.
pub(crate) struct Limits {
    /// Its name in sentences.
    pub(crate) whose: String,
    /// True for the reader of the machine itself.
    pub(crate) is_own: bool,
    /// The CPUs that it may use. `None`: unknown.
    pub(crate) cpus: Option<CpuSet>,
    /// The NUMA nodes that it may use. `None`: unknown.
    pub(crate) nodes: Option<NodeSet>,
}

/// Returns the limits of the audited process.
pub(crate) fn limits(evidence: &Evidence<'_>) -> Limits {
    match evidence.process {
        AuditedProcess::Own => own(evidence),
        AuditedProcess::Pid(pid) => {
            let status = status(evidence, &pid.to_string());
            let (cpus, nodes) = (field(&status, "Cpus_allowed_list"), field(&status, "Mems_allowed_list"));
            Limits { whose: format!("process {pid}"), is_own: false, cpus, nodes }
        }
        AuditedProcess::Cgroup(path) => {
            let whose = format!("control group {}", path.display());
            Limits {
                whose,
                is_own: false,
                cpus: of_group(evidence, path, "cpus"),
                nodes: of_group(evidence, path, "mems"),
            }
        }
    }
}

/// Returns the limits of the process that read the machine. Its control group's are a part of the topology.
fn own(evidence: &Evidence<'_>) -> Limits {
    let (topology, machine) = (evidence.topology, evidence.topology.machine());
    let status = status(evidence, "self");
    // The kernel's view has limits where there are any; without that view nobody knows.
    let is_seen = evidence.has_files() && !topology.cpus().is_empty();
    let all = topology.numa_nodes().map(|node| node.os_index).collect();
    Limits {
        whose: "this process".to_owned(),
        is_own: true,
        cpus: field(&status, "Cpus_allowed_list")
            .or_else(|| machine.allowed_cpus.clone())
            .or_else(|| is_seen.then(|| topology.cpus())),
        nodes: field(&status, "Mems_allowed_list")
            .or_else(|| machine.allowed_nodes.clone())
            .or_else(|| is_seen.then_some(all)),
    }
}

fn status(evidence: &Evidence<'_>, pid: &str) -> String {
    evidence.text(&format!("proc/{pid}/status")).known().cloned().unwrap_or_default()
}

fn field<T: std::str::FromStr>(status: &str, name: &str) -> Option<T> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().parse().ok()
}

/// Returns a limit of a control group: its own, or that of the nearest group above which has one.
fn of_group<T: std::str::FromStr>(evidence: &Evidence<'_>, path: &Path, what: &str) -> Option<T> {
    let group = group_name(path)?;
    let mut parts: Vec<&str> = group.split('/').filter(|part| !part.is_empty()).collect();
    loop {
        let group = parts.join("/");
        let files = [
            format!("sys/fs/cgroup/{group}/cpuset.{what}.effective"),
            format!("sys/fs/cgroup/cpuset/{group}/cpuset.{what}"),
        ];
        let text =
            files.iter().find_map(|file| evidence.text(file).known().filter(|own| !own.is_empty()).cloned());
        if let Some(text) = text {
            return text.parse().ok();
        }
        parts.pop()?;
    }
}

/// Returns the path of a group below the root of groups, if it stays there.
fn group_name(path: &Path) -> Option<String> {
    let path = path.strip_prefix("/sys/fs/cgroup").unwrap_or(path);
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => parts.push(name.to_str()?),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

/// The most processes of a control group that are looked at.
const MOST_PROCESSES: usize = 64;

/// Returns the folders below `proc` of the audited process, or of the processes of the group.
pub(crate) fn folders(evidence: &Evidence<'_>) -> Vec<String> {
    match evidence.process {
        AuditedProcess::Own => vec!["self".to_owned()],
        AuditedProcess::Pid(pid) => vec![pid.to_string()],
        AuditedProcess::Cgroup(path) => {
            let Some(group) = group_name(path) else { return Vec::new() };
            let files = [
                format!("sys/fs/cgroup/{group}/cgroup.procs"),
                format!("sys/fs/cgroup/cpuset/{group}/cgroup.procs"),
            ];
            let list = files.iter().find_map(|file| evidence.text(file).known().cloned()).unwrap_or_default();
            let pids = list.lines().filter_map(|line| line.trim().parse::<u32>().ok());
            pids.take(MOST_PROCESSES).map(|pid| pid.to_string()).collect()
        }
    }
}

/// Returns the soft limit of a process's locked memory in bytes; `u64::MAX` for none, also by the capability to lock any
/// memory. `None`: unknown.
pub(crate) fn locked_memory(evidence: &Evidence<'_>, folder: &str) -> Option<u64> {
    // CAP_IPC_LOCK.
    const LOCKS_ANY: u64 = 1 << 14;
    let limits = evidence.text(&format!("proc/{folder}/limits"));
    let status = status(evidence, folder);
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let capabilities = capabilities.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    if capabilities.is_some_and(|mask| mask & LOCKS_ANY != 0) {
        return Some(u64::MAX);
    }
    let Stated::Known(limits) = limits else { return None };
    let line = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        bytes => bytes.parse().ok(),
    }
}

/// Returns whether the state of the kubelet's memory manager says that its policy is Static.
pub(crate) fn memory_is_static(evidence: &Evidence<'_>) -> bool {
    kubelet_state::memory(evidence).known().is_some_and(|state| state.policy_name == "Static")
}

/// The number of NUMA nodes with which the kubelet's topology manager starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeLimit {
    /// It is off, and any number is good.
    Off,
    /// It is on, and starts with at most so many.
    Most(u64),
}

/// Returns the limit, by the kubelet's settings. `None`: unknown.
pub(crate) fn topology_manager_limit(evidence: &Evidence<'_>) -> Option<NodeLimit> {
    let Kubelet::Known(settings, _) = evidence.kubelet() else { return None };
    if settings.text("topologyManagerPolicy").is_none_or(|policy| policy == "none") {
        return Some(NodeLimit::Off);
    }
    let most =
        settings.get("topologyManagerPolicyOptions").and_then(|own| own.get("max-allowable-numa-nodes"));
    Some(NodeLimit::Most(most.and_then(Value::as_str).and_then(|most| most.parse().ok()).unwrap_or(8)))
}
