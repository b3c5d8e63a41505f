//! Settings that do not fit the machine.

use super::{Report, Severity, is_on, text};
use crate::Version;
use crate::kubelet::board::{Board, joined, nodes_are};
use crate::kubelet::cpulist;
use crate::kubelet::options::MAX_NUMA_NODES;
use crate::kubelet::tree::{Node, Value};
use nvtopo::{CpuSet, Topology};

/// The minor version from which on the kubelet looks for devices on those NUMA nodes only that have some.
///
/// Source: pull request 138244 of Kubernetes, merged after 1.36. Patch releases of older versions may have it.
pub(in crate::kubelet) const FEW_NODES_SINCE: u8 = 37;

pub(super) fn check(report: &mut Report<'_>, settings: &Node, topology: &Topology) {
    let board = Board::of(topology);
    if let Some(reserved) = reserved(settings) {
        cpus(report, settings, &board, &reserved);
    }
    isolated(report, settings, &board);
    memory_nodes(report, settings, &board);
    counted_nodes(report, settings, &board);
    sockets(report, settings, &board);
    largest_pod(report, settings, &board);
}

/// The reserved CPUs, where some are named.
fn reserved(settings: &Node) -> Option<CpuSet> {
    let node = settings.get("reservedSystemCPUs")?;
    let list = node.text().filter(|list| !list.is_empty())?;
    // What cannot be read is told without a machine too.
    cpulist::read(list).ok()
}

fn cpus(report: &mut Report<'_>, settings: &Node, board: &Board<'_>, reserved: &CpuSet) {
    let Some(place) = settings.get("reservedSystemCPUs").map(|node| node.place) else { return };
    let field = "reservedSystemCPUs";
    if !board.is_complete() {
        return;
    }
    let missing = reserved.difference(&board.cpus);
    if !missing.is_empty() {
        let message = format!("there is no CPU {missing} on this machine, and the kubelet does not start");
        report.error(place, field, message).help(format!("it has {}", board.cpus));
    }
    if board.cpus.is_subset(reserved) {
        report.error(place, field, "all CPUs are reserved, and none is left for pods");
    }
    let whole = is_on(settings, "cpuManagerPolicyOptions", "full-pcpus-only");
    let halves: Vec<&CpuSet> = board
        .cores
        .iter()
        .flatten()
        .filter(|core| !core.is_disjoint(reserved) && !core.is_subset(reserved))
        .collect();
    if let Some(core) = halves.first() {
        let rest = halves.iter().copied().collect::<CpuSet>().difference(reserved);
        let message = format!(
            "half of the core {core} is reserved, and full-pcpus-only gives the other half to nobody"
        );
        if whole {
            report.error(place, field, message).help(format!("reserve {rest} too"));
        } else {
            let message =
                format!("half of the core {core} is reserved, and pods share the core with the system");
            report.warning(place, field, message).help(format!("reserve {rest} too"));
        }
    }
}

/// Containers without CPUs of their own run on all CPUs that nobody has for himself, and the kernel does not balance load over
/// isolated ones.
fn isolated(report: &mut Report<'_>, settings: &Node, board: &Board<'_>) {
    if text(settings, "cpuManagerPolicy") != Some("static") {
        return;
    }
    let strict = is_on(settings, "cpuManagerPolicyOptions", "strict-cpu-reservation");
    let reserved = reserved(settings).filter(|_| strict);
    let shared = board.isolated().difference(&reserved.unwrap_or_default());
    let Some((key, _)) = settings.entry("cpuManagerPolicy").filter(|_| !shared.is_empty()) else { return };
    let message = format!(
        "the kernel isolates CPUs {shared} (isolcpus), and the shared pool has them: containers there are not balanced over CPUs"
    );
    report.warning(key.place, "cpuManagerPolicy", message).help(
        "take isolcpus off the kernel command line, or keep these CPUs in reservedSystemCPUs under strict-cpu-reservation",
    );
}

fn memory_nodes(report: &mut Report<'_>, settings: &Node, board: &Board<'_>) {
    for (index, item) in
        settings.get("reservedMemory").map(Node::items).unwrap_or_default().iter().enumerate()
    {
        let Some(node) = item.get("numaNode") else { continue };
        let Value::Int(number) = node.value else { continue };
        if board.is_complete() && !board.nodes.iter().any(|own| i128::from(own.os_index) == number) {
            let message =
                format!("there is no NUMA node {number} on this machine, and the kubelet does not start");
            let nodes: Vec<u32> = board.nodes.iter().map(|node| node.os_index).collect();
            let path = format!("reservedMemory[{index}].numaNode");
            report.error(node.place, &path, message).help(format!("it has {}", joined(&nodes)));
        }
    }
    let gpus: Vec<u32> = board.gpu_nodes().map(|node| node.os_index).collect();
    if let Some((key, _)) = settings.entry("memoryManagerPolicy")
        && text(settings, "memoryManagerPolicy") == Some("Static")
        && !gpus.is_empty()
    {
        let message =
            format!("{} memory of GPUs, and Static hands it out to pods as main memory", nodes_are(&gpus));
        report.warning(key.place, "memoryManagerPolicy", message).help(CDMM);
    }
}

/// The advice that keeps the memory of GPUs from being NUMA nodes.
pub(in crate::kubelet) const CDMM: &str =
    "load the driver with NVreg_CoherentGPUMemoryMode=driver, so that the memory of GPUs is no NUMA node";

fn counted_nodes(report: &mut Report<'_>, settings: &Node, board: &Board<'_>) {
    let policy = text(settings, "topologyManagerPolicy").unwrap_or("none");
    let Some((key, _)) = settings.entry("topologyManagerPolicy").filter(|_| policy != "none") else { return };
    let options = settings.get("topologyManagerPolicyOptions");
    let allowed = options.and_then(|options| options.get("max-allowable-numa-nodes")).and_then(Node::text);
    let allowed = allowed.and_then(|text| text.parse().ok()).unwrap_or(MAX_NUMA_NODES);
    let counted = board.counted_nodes();
    if counted > allowed {
        let message = format!("the kubelet counts {counted} NUMA nodes and starts with {allowed} at most");
        let finding = report.error(key.place, "topologyManagerPolicy", message);
        finding.help(format!(
            "set topologyManagerPolicyOptions.max-allowable-numa-nodes: \"{counted}\" (1.31 and later)"
        ));
    }
    if board.gpu_nodes().next().is_some() && Version::minor(FEW_NODES_SINCE) > Some(report.version()) {
        let message = format!(
            "the kubelet tries all sets of {counted} NUMA nodes for each pod, and pods with devices hang"
        );
        report.error(key.place, "topologyManagerPolicy", message).help(CDMM);
    }
}

fn sockets(report: &mut Report<'_>, settings: &Node, board: &Board<'_>) {
    let nodes = board.cpu_nodes().count();
    let field = "cpuManagerPolicyOptions";
    if !is_on(settings, field, "align-by-socket") || !board.is_complete() || board.sockets.len() <= nodes {
        return;
    }
    let place =
        settings.get(field).and_then(|options| options.entry("align-by-socket")).map(|(key, _)| key.place);
    if let Some(place) = place {
        let message = format!(
            "there are more sockets than NUMA nodes ({} and {nodes}), and the kubelet does not start",
            board.sockets.len()
        );
        report.error(place, &format!("{field}.align-by-socket"), message).help("leave it out");
    }
}

/// Pods that the topology manager refuses even where the machine is empty.
fn largest_pod(report: &mut Report<'_>, settings: &Node, board: &Board<'_>) {
    let Some((key, _)) = settings.entry("topologyManagerPolicy") else { return };
    let policy = text(settings, "topologyManagerPolicy").unwrap_or("none");
    let Some(most) = board.gpus_by_node().and_then(|counts| counts.values().max().copied()) else { return };
    let asked = report.options.largest_pod;
    let largest = asked.unwrap_or(board.gpus());
    if largest <= most {
        return;
    }
    let field = "topologyManagerPolicy";
    match policy {
        "single-numa-node" => {
            let severity = if asked.is_some() { Severity::Error } else { Severity::Warning };
            let message = format!("a pod of {largest} GPUs never starts: no NUMA node has more than {most}");
            report
                .add(severity, key.place, field, message)
                .help("set best-effort, or keep larger pods off such nodes and say so with --largest-pod");
        }
        "restricted" => {
            let message = format!(
                "a pod of {largest} GPUs needs several NUMA nodes, and is refused unless its CPUs and memory need as many"
            );
            report
                .warning(key.place, field, message)
                .help("set best-effort, or let such pods ask for CPUs of all these nodes");
        }
        _ => {}
    }
}
