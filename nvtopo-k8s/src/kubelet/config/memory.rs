//! Memory: what the system keeps, and the memory manager.

use super::policies::Span;
use super::{Entry, Plan, Setting};
use crate::kubelet::board::nodes_are;
use crate::kubelet::lint::CDMM;
use crate::quantity::mebibytes;
use nvtopo::model::NumaNode;
use nvtopo::{Bytes, CpuSet, Error, Result};
use serde_json::json;

/// Machines with less are small ones, of which less is kept.
const LARGE: u64 = 64 << 10;
/// One byte of so many is kept for the system, up to [`MOST_SYSTEM`].
const MEMORY_PER_SYSTEM: u64 = 128;
const MOST_SYSTEM: u64 = 16 << 10;

/// The memory that is reserved, in mebibytes.
struct Reserved {
    kube: u64,
    system: u64,
    eviction: u64,
    /// The part of each NUMA node.
    share: u64,
}

pub(super) fn add(plan: &mut Plan<'_>, reserved: Option<&CpuSet>, span: &Span) -> Result<()> {
    let nodes: Vec<&NumaNode> =
        plan.board.cpu_nodes().filter(|node| node.memory.is_none_or(|memory| memory > 0)).collect();
    let cpu = reserved.is_none().then(|| cpu_of_system(plan));
    let sizes: Option<Vec<u64>> = nodes.iter().map(|node| node.memory.map(|bytes| bytes >> 20)).collect();
    let Some(sizes) = sizes.filter(|sizes| !sizes.is_empty() && plan.board.is_complete()) else {
        if plan.options.reserved_memory.is_some() {
            return Err(Error::unsatisfiable("how much memory the NUMA nodes have is unknown here")
                .help("leave out --reserved-memory, or read the topology on the machine itself"));
        }
        let why = "how much memory the NUMA nodes have is unknown here";
        plan.leave_out("memoryManagerPolicy and reservedMemory", why);
        plan.leave_out("kubeReserved, systemReserved and evictionHard for memory", why);
        plan.entries.extend(cpu.and_then(|cpu| Entry::map("systemReserved", vec![cpu], "")));
        return Ok(());
    };
    let reserved_memory = reserved_memory(plan, &sizes)?;
    manager(plan, &nodes, &reserved_memory, span);
    amounts(plan, &reserved_memory, total(&sizes), cpu);
    Ok(())
}

/// CPUs by their number, where which ones are whole cores is unknown.
fn cpu_of_system(plan: &Plan<'_>) -> Entry {
    let known = plan.board.cpus.len();
    let count =
        plan.options.reserved_cores.map_or_else(|| known.div_ceil(16).next_multiple_of(2), |cores| cores * 2);
    Entry::new(
        "cpu",
        count.to_string(),
        format!(
            "static needs reserved CPUs. {known} CPUs are known here, of which one in 16 is kept; the kubelet takes whole cores, the first ones."
        ),
    )
}

fn total(sizes: &[u64]) -> u64 {
    sizes.iter().copied().fold(0, u64::saturating_add)
}

fn reserved_memory(plan: &Plan<'_>, sizes: &[u64]) -> Result<Reserved> {
    let total = total(sizes);
    let nodes = sizes.len() as u64;
    let (kube, eviction, system, step) = if total >= LARGE {
        (2 << 10, 1 << 10, (total / MEMORY_PER_SYSTEM).clamp(1 << 10, MOST_SYSTEM), 256)
    } else {
        ((total / 32).max(256), (total / 64).max(100), (total / 32).max(256), 1)
    };
    let share = match plan.options.reserved_memory {
        Some(Bytes(bytes)) => (bytes >> 20).div_ceil(nodes),
        None => (kube + eviction + system).div_ceil(nodes).next_multiple_of(step),
    };
    let Some(system) = (share * nodes).checked_sub(kube + eviction).filter(|system| *system > 0) else {
        let least = mebibytes(kube + eviction);
        return Err(Error::unsatisfiable(format!(
            "{least} are kept for the kubelet and for eviction, and none is left of the rest"
        ))
        .help("keep more"));
    };
    let pages: u64 =
        plan.options.huge_pages.iter().map(|need| (need.size.0 >> 20).saturating_mul(need.count)).sum();
    if let Some(least) =
        sizes.iter().min().filter(|least| share.saturating_add(pages).saturating_mul(10) > **least * 9)
    {
        let message = format!(
            "{} of a NUMA node kept for the system and {} in huge pages leave too little of {}",
            mebibytes(share),
            mebibytes(pages),
            mebibytes(*least)
        );
        return Err(Error::unsatisfiable(message).help("keep less, or set fewer huge pages aside"));
    }
    Ok(Reserved { kube, system, eviction, share })
}

fn manager(plan: &mut Plan<'_>, nodes: &[&NumaNode], reserved: &Reserved, span: &Span) {
    let gpus: Vec<u32> = plan.board.gpu_nodes().map(|node| node.os_index).collect();
    if !gpus.is_empty() {
        let why = format!(
            "{} memory of GPUs, which Static would hand out to pods as main memory; the capacity that the kubelet tells counts it too. {}",
            nodes_are(&gpus),
            sentence(CDMM)
        );
        plan.leave_out("memoryManagerPolicy and reservedMemory", why);
        return;
    }
    let mut why = if nodes.len() == 1 {
        "Guaranteed pods have their memory for themselves, huge pages too.".to_owned()
    } else {
        "The memory of Guaranteed pods is bound to as few NUMA nodes as can be: those of their CPUs and GPUs, where these can be aligned."
            .to_owned()
    };
    if nodes.len() > 1 && span.several_nodes {
        // `violates` of the predictions: a node that is given out alone is not given out together with others.
        why.push_str(
            " A pod has memory of several nodes only while no other Guaranteed pod has some of one of them alone: beside one, such as a \
             DaemonSet's, a pod with all GPUs gets memory and CPUs of fewer nodes, or, where that is too little, is refused \
             (UnexpectedAdmissionError). Let pods without GPUs be Burstable here.",
        );
    }
    plan.entries.push(Entry::new("memoryManagerPolicy", "Static", why));
    let items = nodes
        .iter()
        .map(|node| json!({"numaNode": node.os_index, "limits": {"memory": mebibytes(reserved.share)}}));
    let total = reserved.share * nodes.len() as u64;
    let each = if nodes.len() == 1 { "The" } else { "Each NUMA node keeps as much. The" };
    let why = format!(
        "{each} sum {} has to equal kubeReserved {} + systemReserved {} + evictionHard {}, or the kubelet does not start. Huge pages do \
         not count here.",
        mebibytes(total),
        mebibytes(reserved.kube),
        mebibytes(reserved.system),
        mebibytes(reserved.eviction)
    );
    plan.entries.push(Entry { name: "reservedMemory", why, value: Setting::List(items.collect()) });
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| format!("{}{}.", first.to_uppercase(), letters.as_str())).unwrap_or_default()
}

fn amounts(plan: &mut Plan<'_>, reserved: &Reserved, total: u64, cpu: Option<Entry>) {
    let one = |name, amount| Entry::new(name, mebibytes(amount), "");
    plan.entries.extend(Entry::map(
        "kubeReserved",
        vec![one("memory", reserved.kube)],
        if total >= LARGE {
            "For the kubelet and the container runtime, which need some 11Mi for each of up to 110 pods and 255Mi."
        } else {
            "For the kubelet and the container runtime: one part in 32, on a machine with little memory."
        },
    ));
    let even = if plan.board.cpu_nodes().count() > 1 {
        ", rounded so that each NUMA node keeps as much"
    } else {
        ""
    };
    let part = if plan.options.reserved_memory.is_some() {
        "as asked for".to_owned()
    } else if total >= LARGE {
        format!(
            "of {} in all one part in {MEMORY_PER_SYSTEM}, from 1Gi to {}{even}",
            mebibytes(total),
            mebibytes(MOST_SYSTEM)
        )
    } else {
        "one part in 32, on a machine with little memory".to_owned()
    };
    let mut system = vec![one("memory", reserved.system)];
    system.extend(cpu);
    plan.entries.extend(Entry::map(
        "systemReserved",
        system,
        format!(
            "For the kernel, drivers, and daemons beside Kubernetes (DCGM, clients of file systems): {part}."
        ),
    ));
    let least = if reserved.eviction > 100 {
        " The default of memory.available, 100Mi, is filled by a job before the kubelet sees it."
    } else {
        ""
    };
    let why = format!(
        "Pods are evicted when less than this is left, before the kernel kills processes.{least} Where one threshold is named, the \
         defaults of the others do not hold, so all are named."
    );
    let mut thresholds = vec![one("memory.available", reserved.eviction)];
    let rest =
        crate::kubelet::fields::DEFAULT_EVICTION.iter().filter(|(signal, _)| *signal != "memory.available");
    thresholds.extend(rest.map(|(signal, share)| Entry::new(signal, *share, "")));
    plan.entries.extend(Entry::map("evictionHard", thresholds, why));
}
