//! The kernel's settings of CPUs and memory.

use super::kubernetes::NO_KUBELET;
use super::{Check, Theme};
use crate::evidence::{Evidence, NODE};
use crate::finding::{Severity, Verdicts};
use crate::process::memory_is_static;
use crate::reading::growth::{growth, window};
use crate::reading::host::command_line;
use crate::reading::kubelet::Kubelet;
use crate::reading::kubelet_state::{self, CpuState};
use crate::reading::pci::Pci;
use nvtopo::CpuSet;
use nvtopo::model::Stated;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "isolcpus-vs-shared-pool",
        theme: Theme::Kernel,
        severity: Severity::Critical,
        claim: "CPUs that the kernel isolates are not among those that containers share.",
        evidence: "The isolated CPUs (/sys/devices/system/cpu/isolated, or isolcpus= of the command line), the kubelet's \
                   state of CPUs (defaultCpuSet) and its reserved CPUs.",
        rule: "Fails where the shared CPUs contain isolated ones, since the kernel balances no load there and containers pile \
               up on one CPU. Fails where all reserved CPUs are isolated. Does not apply without a kubelet.",
        remedy: "Take isolcpus off the kernel's command line. Or reserve these CPUs under strict-cpu-reservation.",
        source: "kernel-parameters.txt of Linux (isolcpus); Kubernetes, CPU manager policies",
        run: isolated,
    },
    Check {
        code: "nohz-rcu-consistent",
        theme: Theme::Kernel,
        severity: Severity::Info,
        claim: "isolcpus, nohz_full and rcu_nocbs name the same CPUs.",
        evidence: "/sys/devices/system/cpu/isolated and nohz_full, and rcu_nocbs= of the command line.",
        rule: "Warns where two of those that are used name different CPUs. nohz_full includes rcu_nocbs. Does not apply \
               where at most one is used.",
        remedy: "Name the same CPUs in each of them on the kernel's command line.",
        source: "kernel-parameters.txt of Linux (isolcpus, nohz_full, rcu_nocbs)",
        run: nohz,
    },
    Check {
        code: "hugepages-per-node",
        theme: Theme::Kernel,
        severity: Severity::Warning,
        claim: "Every NUMA node with GPUs has the huge pages that the fleet promises.",
        evidence: "/sys/devices/system/node/node*/hugepages, and the profile's huge-pages.",
        rule: "Fails where a node of GPUs has fewer than the profile says. Warns where one has none of a size and another \
               node has some. Does not apply where there are no huge pages and none are promised.",
        remedy: "Reserve them for each node at boot (hugepages=0:512,1:512, or nr_hugepages of each node).",
        source: "hugetlbpage.rst of Linux",
        run: huge_pages,
    },
    Check {
        code: "thp-mode",
        theme: Theme::Kernel,
        severity: Severity::Info,
        claim: "Transparent huge pages do not stall programs.",
        evidence: "/sys/kernel/mm/transparent_hugepage/enabled and defrag.",
        rule: "Warns where defrag is always: every fault then waits for memory to be put together.",
        remedy: "Write madvise to /sys/kernel/mm/transparent_hugepage/defrag.",
        source: "transhuge.rst of Linux",
        run: thp,
    },
    Check {
        code: "numa-balancing",
        theme: Theme::Kernel,
        severity: Severity::Warning,
        claim: "The kernel does not move memory that is pinned to NUMA nodes.",
        evidence: "/proc/sys/kernel/numa_balancing, the kubelet's memory manager, and NUMA nodes of GPU memory.",
        rule: "Warns where it is on while the memory manager is Static or the memory of GPUs is NUMA nodes. Unknown where it \
               is on and the kubelet's settings cannot be read.",
        remedy: "Set sysctl kernel.numa_balancing=0.",
        source: "sysctl/kernel.rst of Linux; NVIDIA Grace performance tuning guide",
        run: balancing,
    },
    Check {
        code: "cpu-governor",
        theme: Theme::Kernel,
        severity: Severity::Info,
        claim: "CPUs near GPUs run at full speed.",
        evidence: "/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor of the CPUs near GPUs.",
        rule: "Warns for any other governor than performance. Unknown where the kernel sets no speed, as in virtual machines.",
        remedy: "Run cpupower frequency-set -g performance.",
        source: "cpufreq.rst of Linux; check_gpu_setup.py of oci-hpc",
        run: governor,
    },
    Check {
        code: "cpus-offline",
        theme: Theme::Kernel,
        severity: Severity::Warning,
        claim: "No CPU is offline.",
        evidence: "/sys/devices/system/cpu/present and online (lscpu).",
        rule: "Warns where CPUs are offline. Passes where only SMT was switched off (/sys/devices/system/cpu/smt/control).",
        remedy: "Write 1 to /sys/devices/system/cpu/cpuN/online, or find out who took them offline.",
        source: "cpu-offline and sysfs-devices-system-cpu of Linux's documentation",
        run: offline,
    },
    Check {
        code: "numa-remote-rate",
        theme: Theme::Kernel,
        severity: Severity::Warning,
        claim: "Memory is allocated on the NUMA node of the CPU that asks for it.",
        evidence: "/sys/devices/system/node/node*/numastat, read twice.",
        rule: "Warns where more than 10 % of the pages of a node were allocated by CPUs of other nodes between the readings. \
               These are allocations, not bandwidth.",
        remedy: "Pin memory: numactl --membind, or the kubelet's memory manager Static.",
        source: "numastat.rst of Linux",
        run: remote,
    },
];

/// Returns the CPUs that a boot argument names, such as `isolcpus=nohz,domain,2-7`. `None`: it is not there.
fn argument(evidence: &Evidence<'_>, name: &str) -> Option<CpuSet> {
    let line = command_line(evidence);
    let mut words =
        line.known()?.split_whitespace().filter_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let list = words.next_back()?;
    if list == "all" {
        return all_cpus(evidence);
    }
    // Flags stand before the list.
    let starts = |item: &&str| item.starts_with(|letter: char| letter.is_ascii_digit());
    let items: Vec<&str> = list.split(',').skip_while(|item| !starts(item)).collect();
    items.join(",").parse().ok()
}

/// Returns the CPUs of the machine. `None`: no source lists them all.
fn all_cpus(evidence: &Evidence<'_>) -> Option<CpuSet> {
    evidence.topology.lists_all_cpus().then(|| evidence.topology.cpus())
}

/// Returns a set of CPUs by its file, else by a boot argument. `None`: unknown.
fn cpus_of(evidence: &Evidence<'_>, file: &str, read: &CpuSet, name: &str) -> Option<CpuSet> {
    let text = evidence.text(&format!("sys/devices/system/cpu/{file}"));
    // The kernel writes (null) where nothing was ever named.
    if let Stated::Known(text) = &text {
        return if text.is_empty() || text == "(null)" { Some(CpuSet::new()) } else { text.parse().ok() };
    }
    if !read.is_empty() {
        return Some(read.clone());
    }
    let is_told = command_line(evidence).known().is_some();
    argument(evidence, name).or_else(|| is_told.then(CpuSet::new))
}

fn isolated(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let machine = evidence.topology.machine();
    let isolated = cpus_of(evidence, "isolated", &machine.isolated_cpus, "isolcpus");
    let state = kubelet_state::cpus(evidence);
    let settings = match evidence.kubelet() {
        Kubelet::None if state.known().is_none() => {
            return if evidence.profile.expect.kubernetes == Some(true) {
                verdicts.unknown(NODE, "no source tells which CPUs the kubelet gives to containers");
            } else {
                verdicts.not_applicable(NODE, NO_KUBELET);
            };
        }
        Kubelet::Known(settings, _) => Some(settings),
        _ => None,
    };
    let Some(isolated) = isolated else {
        verdicts.unknown(NODE, "no source tells which CPUs are isolated");
        return;
    };
    if isolated.is_empty() {
        verdicts.pass(NODE, "no CPU is isolated");
        return;
    }
    // Without a policy nobody has CPUs for himself, and all are shared.
    let is_static = settings.map(|settings| settings.text("cpuManagerPolicy") == Some("static"));
    let shared = state.known().filter(|state| state.policy_name == "static").and_then(CpuState::shared);
    let none = is_static == Some(false) || state.known().is_some_and(|state| state.policy_name == "none");
    let Some(shared) = shared.or_else(|| all_cpus(evidence).filter(|_| none)) else {
        let text = format!("CPUs {isolated} are isolated, and which CPUs containers share is not known");
        verdicts.unknown(NODE, text);
        return;
    };
    let both = shared.intersection(&isolated);
    if !both.is_empty() {
        verdicts.fail(NODE, format!("containers share CPUs {both}, which the kernel isolates"));
        return;
    }
    let reserved = settings.and_then(|settings| settings.text("reservedSystemCPUs"));
    let reserved: Option<CpuSet> = reserved.and_then(|list| list.parse().ok());
    match reserved {
        Some(reserved) if !reserved.is_empty() && reserved.is_subset(&isolated) => {
            verdicts.fail(
                NODE,
                format!("all reserved CPUs ({reserved}) are isolated, and the system has no other"),
            );
        }
        _ => verdicts.pass(NODE, format!("CPUs {isolated} are isolated, and containers share others")),
    }
}

fn nohz(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let machine = evidence.topology.machine();
    let isolated = cpus_of(evidence, "isolated", &machine.isolated_cpus, "isolcpus");
    let nohz = cpus_of(evidence, "nohz_full", &machine.nohz_full_cpus, "nohz_full");
    let line = command_line(evidence);
    let rcu = line.known().map(|_| argument(evidence, "rcu_nocbs").unwrap_or_default());
    let sets = [("isolcpus", &isolated), ("nohz_full", &nohz), ("rcu_nocbs", &rcu)];
    let used: Vec<(&str, &CpuSet)> = sets
        .iter()
        .filter_map(|(name, cpus)| Some((*name, cpus.as_ref()?)))
        .filter(|(_, cpus)| !cpus.is_empty())
        .collect();
    if sets.iter().any(|(_, cpus)| cpus.is_none()) {
        let missing: Vec<&str> =
            sets.iter().filter(|(_, cpus)| cpus.is_none()).map(|(name, _)| *name).collect();
        verdicts.unknown(NODE, format!("no source tells the CPUs of {}", missing.join(" and ")));
        return;
    }
    let [(_, first), rest @ ..] = used.as_slice() else {
        return verdicts.not_applicable(NODE, "none of them is used");
    };
    if rest.is_empty() {
        return verdicts.not_applicable(NODE, "only one of them is used");
    }
    let text: Vec<String> = used.iter().map(|(name, cpus)| format!("{name} {cpus}")).collect();
    if rest.iter().all(|(_, cpus)| cpus == first) {
        verdicts.pass(NODE, format!("they name the same CPUs: {}", text.join(", ")));
    } else {
        verdicts.warn(NODE, format!("they name different CPUs: {}", text.join(", ")));
    }
}

fn huge_pages(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let topology = evidence.topology;
    let mut near: BTreeSet<u32> = BTreeSet::new();
    for (_, id, _) in evidence.gpus() {
        near.extend(topology.local_nodes(id).known().into_iter().flat_map(nvtopo::NodeSet::iter));
    }
    let nodes: Vec<_> = topology.numa_nodes().filter(|node| !node.cpus.is_empty()).collect();
    let sizes: BTreeSet<u64> =
        nodes.iter().flat_map(|node| &node.huge_pages).map(|pages| pages.size).collect();
    let promised = &evidence.profile.expect.huge_pages;
    if evidence.has_no_gpus(verdicts) {
        return;
    }
    let is_without = |node: &&nvtopo::model::NumaNode| {
        let names = evidence.names(&format!("sys/devices/system/node/node{}", node.os_index));
        !names.is_empty() && !names.iter().any(|name| name == "hugepages")
    };
    if promised.is_empty() && !nodes.is_empty() && nodes.iter().all(is_without) {
        return verdicts.not_applicable(NODE, "the kernel has no huge pages, and none are promised");
    }
    if sizes.is_empty() {
        return verdicts.unknown(NODE, "no source tells the huge pages of NUMA nodes");
    }
    for node in nodes.iter().filter(|node| near.contains(&node.os_index)) {
        let subject = format!("NUMA node {}", node.os_index);
        let total = |size: u64| {
            let pages = node.huge_pages.iter().filter(|own| own.size == size);
            pages.map(|own| own.total).fold(0, u64::saturating_add)
        };
        let mut is_good = true;
        for need in promised {
            let (size, has) = (need.size, total(need.size.0));
            if has < need.count {
                is_good = false;
                verdicts.fail(
                    &subject,
                    format!("it has {has} huge pages of {size}, where {} are promised", need.count),
                );
            }
        }
        for size in sizes.iter().filter(|size| total(**size) == 0) {
            let other = nodes
                .iter()
                .find(|other| other.huge_pages.iter().any(|pages| pages.size == *size && pages.total > 0));
            if let Some(other) = other {
                is_good = false;
                let text = format!(
                    "it has no huge pages of {}, NUMA node {} has",
                    nvtopo::Bytes(*size),
                    other.os_index
                );
                verdicts.warn(&subject, text);
            }
        }
        let any = node.huge_pages.iter().any(|pages| pages.total > 0);
        if is_good && (any || !promised.is_empty()) {
            let own: Vec<String> = node
                .huge_pages
                .iter()
                .filter(|pages| pages.total > 0)
                .map(|pages| format!("{} of {}", pages.total, nvtopo::Bytes(pages.size)))
                .collect();
            verdicts.pass(subject, format!("its huge pages: {}", own.join(", ")));
        }
    }
    if near.is_empty() {
        verdicts.unknown(NODE, "the NUMA nodes of GPUs are not known");
    }
    verdicts.otherwise_not_applicable("no NUMA node of GPUs has huge pages, and none are promised");
}

/// Returns the word in brackets of a file such as `always [madvise] never`.
fn chosen(text: &str) -> Option<&str> {
    Some(text.split_once('[')?.1.split_once(']')?.0)
}

fn thp(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let file = |name: &str| {
        let text = evidence.text(&format!("sys/kernel/mm/transparent_hugepage/{name}"));
        text.known().and_then(|text| chosen(text)).map(str::to_owned)
    };
    match (file("enabled"), file("defrag")) {
        (Some(enabled), _) if enabled == "never" => verdicts.pass(NODE, "enabled is never"),
        (Some(enabled), Some(defrag)) if defrag == "always" => {
            verdicts.warn(NODE, format!("enabled is {enabled}, and defrag is always"));
        }
        (Some(enabled), Some(defrag)) => {
            verdicts.pass(NODE, format!("enabled is {enabled}, defrag is {defrag}"));
        }
        _ => verdicts.unknown(NODE, "no source tells the mode of transparent huge pages"),
    }
}

fn balancing(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let text = evidence.text("proc/sys/kernel/numa_balancing");
    let mode = match &text {
        Stated::Known(text) => text.parse::<u32>().ok(),
        // A kernel without NUMA balancing has no such file.
        Stated::NotAvailable if !evidence.names("proc/sys/kernel").is_empty() => Some(0),
        _ => None,
    };
    let is_static = memory_is_static(evidence)
        || matches!(evidence.kubelet(), Kubelet::Known(settings, _) if settings.text("memoryManagerPolicy") == Some("Static"));
    let gpu = evidence.topology.numa_nodes().find(|node| node.gpu.is_some());
    let pinned = match gpu {
        Some(node) => Some(format!("NUMA node {} is memory of a GPU", node.os_index)),
        None => is_static.then(|| "the kubelet's memory manager is Static".to_owned()),
    };
    match (mode, pinned) {
        (None, _) => verdicts.unknown(NODE, "no source tells whether the kernel balances NUMA nodes"),
        (Some(0), _) => verdicts.pass(NODE, "NUMA balancing is off"),
        (Some(mode), Some(pinned)) => {
            verdicts.warn(NODE, format!("NUMA balancing is on (mode {mode}), and {pinned}"));
        }
        (Some(mode), None) => match evidence.kubelet() {
            Kubelet::Unreadable(reason) => verdicts.unknown(
                NODE,
                format!("NUMA balancing is on (mode {mode}), and whether the kubelet pins memory is not known: {reason}"),
            ),
            Kubelet::None if evidence.profile.expect.kubernetes == Some(true) => verdicts.unknown(
                NODE,
                format!("NUMA balancing is on (mode {mode}), and no source tells whether the kubelet pins memory"),
            ),
            _ => {
                verdicts.pass(NODE, format!("NUMA balancing is on (mode {mode}), and nothing here pins memory"));
            }
        },
    }
}

/// Returns the CPUs near GPUs; all where that is not known.
fn near_gpus(evidence: &Evidence<'_>) -> CpuSet {
    let mut near = CpuSet::new();
    for (_, id, _) in evidence.gpus() {
        match evidence.topology.local_cpus(id) {
            Stated::Known(cpus) if !cpus.is_empty() => near = near.union(&cpus),
            _ => return evidence.topology.cpus(),
        }
    }
    if near.is_empty() { evidence.topology.cpus() } else { near }
}

fn governor(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let near = near_gpus(evidence);
    let mut found: BTreeMap<String, CpuSet> = BTreeMap::new();
    for cpu in near.iter() {
        let path = format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor");
        if let Stated::Known(name) = evidence.text(&path) {
            found.entry(name).or_default().insert(cpu);
        } else if found.is_empty() {
            // Where the first has no governor, none has.
            break;
        }
    }
    if found.is_empty() {
        let text = if Pci::of(evidence).is_virtual() == Some(true) {
            "the host of this virtual machine sets the speed of its CPUs"
        } else {
            "no source tells the governor of CPUs"
        };
        verdicts.unknown(NODE, text);
        return;
    }
    let count: usize = found.values().map(CpuSet::len).sum();
    let other: Vec<String> = found
        .iter()
        .filter(|(name, _)| *name != "performance")
        .map(|(name, cpus)| format!("{name} on CPUs {cpus}"))
        .collect();
    if other.is_empty() {
        verdicts.pass(NODE, format!("the governor is performance on {count} CPUs"));
    } else {
        verdicts.warn(NODE, format!("the governor is {}, where performance is expected", other.join(", ")));
    }
}

fn offline(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let machine = evidence.topology.machine();
    let file = |name: &str| -> Option<CpuSet> {
        evidence.text(&format!("sys/devices/system/cpu/{name}")).known()?.parse().ok()
    };
    let (present, online) = (file("present"), file("online"));
    let control = evidence.text("sys/devices/system/cpu/smt/control");
    let offline = match (present, online) {
        (Some(present), Some(online)) => present.difference(&online),
        _ if !machine.offline_cpus.is_empty() => machine.offline_cpus.clone(),
        _ => {
            verdicts.unknown(NODE, "no source tells which CPUs are offline");
            return;
        }
    };
    if offline.is_empty() {
        verdicts.pass(NODE, "all CPUs that are present are online");
        return;
    }
    let is_smt_off = control.known().is_some_and(|word| matches!(word.as_str(), "off" | "forceoff"));
    let online = evidence.topology.cpus().len();
    if is_smt_off && offline.len() == online {
        verdicts.pass(NODE, format!("CPUs {offline} are offline because SMT is switched off"));
    } else {
        verdicts.warn(NODE, format!("CPUs {offline} are offline"));
    }
}

/// The largest share of pages that were allocated by CPUs of other nodes.
const MOST_REMOTE: f64 = 0.1;

fn remote(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let window = window(evidence);
    let nodes: Vec<u32> = evidence.topology.numa_nodes().map(|node| node.os_index).collect();
    match nodes.len() {
        0 => return verdicts.unknown(NODE, "no source tells the NUMA nodes"),
        1 => return verdicts.not_applicable(NODE, "it has one NUMA node"),
        _ => {}
    }
    let read = |evidence: &Evidence<'_>, node: u32| {
        let text = evidence.text(&format!("sys/devices/system/node/node{node}/numastat"));
        let text = text.known()?.clone();
        let value = |name: &str| -> Option<u64> {
            text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
        };
        Some((value("local_node ")?, value("other_node ")?))
    };
    let now: Vec<_> = nodes.iter().map(|node| (*node, read(evidence, *node))).collect();
    let window = match window {
        Ok(window) => window,
        Err(reason) => {
            verdicts.unknown(NODE, reason);
            return;
        }
    };
    for (node, now) in now {
        let subject = format!("NUMA node {node}");
        let (Some(now), Some(then)) = (now, read(window.earlier, node)) else {
            verdicts.unknown(subject, "its allocations cannot be read");
            continue;
        };
        let (Some(local), Some(other)) = (growth(then.0, now.0), growth(then.1, now.1)) else {
            verdicts.unknown(subject, "its counters were reset between the readings");
            continue;
        };
        let total = local.saturating_add(other);
        if total == 0 {
            verdicts.unknown(subject, "no page was allocated between the readings");
            continue;
        }
        let share = other as f64 / total as f64;
        let text = format!("{:.1} % of {total} pages were allocated by CPUs of other nodes", share * 100.0);
        if share > MOST_REMOTE {
            verdicts.warn(subject, format!("{text}, where at most 10 % are expected"));
        } else {
            verdicts.pass(subject, text);
        }
    }
}
