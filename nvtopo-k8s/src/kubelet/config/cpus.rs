//! CPUs: what the system keeps, and how pods get theirs.

use super::policies::Span;
use super::{Entry, Plan};
use crate::kubelet::board::{Board, joined};
use crate::kubelet::options::Manager;
use nvtopo::{CpuSet, Error, Result};
use std::fmt::Write;

/// One core of so many is kept for the system where nothing else is asked.
const CORES_PER_RESERVED: usize = 16;

/// The CPUs that the kernel keeps out of scheduling: those that are asked for, or else those that it keeps out already and that
/// leave pods most of the machine.
pub(super) fn isolated(plan: &Plan<'_>) -> Result<CpuSet> {
    let (board, count) = (plan.board, plan.options.isolated_cores);
    let now = board.isolated();
    let strict = plan.usable(Manager::Cpu, "strict-cpu-reservation");
    if count == 0 {
        let few = now.len() * 2 <= board.cpus.len() && now.is_subset(&board.cpus);
        return Ok(if strict.is_ok() && few && board.is_complete() { now.clone() } else { CpuSet::new() });
    }
    if !now.is_empty() {
        return Err(Error::unsatisfiable(format!("the kernel isolates CPUs {now} already (isolcpus)"))
            .help("leave out --isolated-cores, and these are kept from pods; or take isolcpus off first"));
    }
    if let Err(why) = strict {
        return Err(Error::unsatisfiable(format!(
            "isolated CPUs would be in the shared pool, where load is not balanced over them: only strict-cpu-reservation \
             keeps pods off, and {why}"
        ))
        .help("leave out --isolated-cores, or configure 1.33 or later"));
    }
    let Some(cores) = board.cores.as_ref().filter(|_| board.is_complete()) else {
        return Err(Error::unsatisfiable("which CPUs are one core is unknown here, so none are isolated")
            .help("read the topology on the machine itself, as with nvtopo snapshot"));
    };
    // Behind those that the system keeps: the kernel isolates no CPU that it needs to boot.
    let kept = kept_cores(board, plan.options.reserved_cores, cores.len());
    let both = spread(board, cores, kept + count);
    if both.len() < kept + count || both.len() >= cores.len() {
        return Err(too_many(kept + count, cores.len()));
    }
    Ok(both[kept..].iter().copied().collect())
}

/// The CPUs that the system keeps, without isolated ones; `None` where cores are unknown.
pub(super) fn reserved(plan: &Plan<'_>, isolated: &CpuSet) -> Result<Option<CpuSet>> {
    let (board, asked) = (plan.board, plan.options.reserved_cores);
    let Some(cores) = board.cores.as_ref().filter(|_| board.is_complete()) else { return Ok(None) };
    let count = kept_cores(board, asked, cores.len());
    if count == 0 {
        return Err(
            Error::request("the static CPU manager needs a core for the system").help("give 1 or more")
        );
    }
    let without = |taken: &CpuSet| -> Vec<CpuSet> {
        cores.iter().filter(|core| core.is_disjoint(taken)).cloned().collect()
    };
    // Daemons do not run on isolated CPUs, so those would be kept for nobody.
    let scheduled = without(&isolated.union(board.isolated()));
    let free = if count <= scheduled.len() { scheduled } else { without(isolated) };
    if count > free.len() || count >= cores.iter().filter(|core| core.is_disjoint(isolated)).count() {
        return Err(too_many(count, cores.len()));
    }
    Ok(Some(spread(board, &free, count).into_iter().collect()))
}

fn kept_cores(board: &Board<'_>, asked: Option<usize>, cores: usize) -> usize {
    let sockets = board.sockets.len().max(1);
    let usual = cores.div_ceil(CORES_PER_RESERVED).next_multiple_of(sockets);
    asked.unwrap_or(if usual < cores { usual } else { 1 })
}

fn too_many(count: usize, cores: usize) -> Error {
    Error::unsatisfiable(format!("{count} of {cores} cores kept from pods leave none for them"))
        .help("keep fewer")
}

/// Returns this number of cores: that of the first CPU, where unplaced work of the kernel lands, then equally many of each
/// socket, there from the NUMA nodes with the fewest GPUs and NICs, and of equal ones the first.
fn spread<'c>(board: &Board<'_>, cores: &'c [CpuSet], count: usize) -> Vec<&'c CpuSet> {
    let mut sockets: Vec<Vec<&CpuSet>> = board
        .sockets
        .iter()
        .map(|socket| cores.iter().filter(|core| core.is_subset(socket)).collect())
        .collect();
    let devices: Vec<(u32, usize)> =
        board.cpu_nodes().map(|node| (node.os_index, board.devices_near(&node.cpus))).collect();
    let mut taken_of_node = std::collections::BTreeMap::<u32, usize>::new();
    let mut taken_of_socket = vec![0; sockets.len()];
    let mut chosen = Vec::new();
    let first = board.cpus.first();
    while chosen.len() < count {
        let open = (0..sockets.len()).filter(|socket| !sockets[*socket].is_empty());
        let Some(socket) = open.min_by_key(|socket| taken_of_socket[*socket]) else { break };
        let node = |core: &CpuSet| core.first().and_then(|cpu| board.node_of(cpu)).unwrap_or_default();
        let weight = |node: u32| devices.iter().find(|(own, _)| *own == node).map_or(0, |(_, count)| *count);
        let best = (0..sockets[socket].len()).min_by_key(|core| {
            let core = sockets[socket][*core];
            let node = node(core);
            let later = core.first() != first;
            (later, weight(node), taken_of_node.get(&node).copied().unwrap_or(0), core.first())
        });
        let Some(best) = best else { break };
        let core = sockets[socket].remove(best);
        *taken_of_node.entry(node(core)).or_default() += 1;
        taken_of_socket[socket] += 1;
        chosen.push(core);
    }
    chosen
}

pub(super) fn add(plan: &mut Plan<'_>, reserved: Option<&CpuSet>, isolated: &CpuSet, span: &Span) {
    plan.entries.push(Entry::new(
        "cpuManagerPolicy",
        "static",
        "Containers of Guaranteed pods that ask for whole CPUs get CPUs of their own. All others share the rest.",
    ));
    let options = switches(plan, reserved.is_some(), isolated, span);
    plan.entries.extend(Entry::map("cpuManagerPolicyOptions", options, ""));
    let Some(own) = reserved else {
        plan.leave_out(
            "reservedSystemCPUs",
            "which CPUs are one core is unknown here; the kubelet reserves whole cores by systemReserved.cpu, the first ones",
        );
        return;
    };
    let why = why_these(plan.board, own, isolated);
    plan.entries.push(Entry::new("reservedSystemCPUs", own.union(isolated).to_string(), why));
}

fn switches(plan: &mut Plan<'_>, cores_known: bool, isolated: &CpuSet, span: &Span) -> Vec<Entry> {
    let mut options = Vec::new();
    let mut on = |name, why: String| options.push(Entry::new(name, "true", why));
    match plan.board.threads() {
        _ if !cores_known => {
            plan.leave_out("full-pcpus-only", "whether cores have several threads is unknown here");
        }
        Some(1) => {
            plan.leave_out("full-pcpus-only", "cores have one thread each, so all CPUs are whole cores");
        }
        Some(threads) => on(
            "full-pcpus-only",
            format!(
                "Cores have {threads} threads: a pod gets whole cores, and shares none with another. Requests that are no multiple of \
                 {threads} are refused (SMTAlignmentError)."
            ),
        ),
        None => plan.leave_out(
            "full-pcpus-only",
            "cores have different numbers of threads (some CPUs are off), which the kubelet does not know of",
        ),
    }
    if cores_known && plan.allows(Manager::Cpu, "strict-cpu-reservation") {
        let isolated = if isolated.is_empty() { "" } else { ", and none on the isolated ones" };
        on(
            "strict-cpu-reservation",
            format!(
                "No pod runs on the reserved CPUs, whatever its class{isolated}. Leave some other CPUs to the shared pool, \
                 where DaemonSets run: do not give all of them to Guaranteed pods."
            ),
        );
    }
    let caches = plan.board.caches_per_node();
    let several = caches.filter(|count| *count > 1);
    if span.several_nodes && plan.allows(Manager::Cpu, "distribute-cpus-across-numa") {
        on(
            "distribute-cpus-across-numa",
            format!(
                "{} Such a pod gets equally many CPUs of each: from 1.37 on of the nodes of its GPUs, before where it asks for more CPUs than one \
                 node has.",
                span.sentence()
            ),
        );
        if let Some(count) = several {
            plan.leave_out(
                "prefer-align-cpus-by-uncorecache",
                format!(
                    "it excludes distribute-cpus-across-numa ({count} level 3 caches for each NUMA node)"
                ),
            );
        }
    } else if let Some(count) = several {
        if plan.allows(Manager::Cpu, "prefer-align-cpus-by-uncorecache") {
            on(
                "prefer-align-cpus-by-uncorecache",
                format!(
                    "A NUMA node has {count} level 3 caches: a pod shares as few of them with others as can be."
                ),
            );
        }
    } else if caches.is_none() {
        plan.leave_out("prefer-align-cpus-by-uncorecache", "the level 3 caches are unknown here");
    }
    options
}

fn why_these(board: &Board<'_>, own: &CpuSet, isolated: &CpuSet) -> String {
    let cores: Vec<&CpuSet> = board.cores.iter().flatten().collect();
    let count = cores.iter().filter(|core| core.is_subset(own)).count();
    let mut why = format!(
        "{count} of {} cores for the kubelet, the container runtime and daemons of the system, whole",
        cores.len()
    );
    let of_socket =
        |socket: &CpuSet| cores.iter().filter(|core| core.is_subset(own) && core.is_subset(socket)).count();
    let counts: Vec<usize> = board.sockets.iter().map(of_socket).collect();
    match counts.as_slice() {
        [_] => {}
        [one, rest @ ..] if rest.iter().all(|other| other == one) => {
            why.push_str(", equally from each socket");
        }
        counts if counts.iter().all(|count| *count > 0) => why.push_str(", from each socket"),
        _ => {}
    }
    let first: CpuSet = board.cpus.first().into_iter().collect();
    if first.is_subset(own) {
        let _ = write!(why, ", with CPU {first}, where work of the kernel lands that nobody places");
    }
    let rest = cores.iter().filter(|core| core.is_subset(own) && core.is_disjoint(&first));
    let rest: Vec<u32> = rest.filter_map(|core| board.node_of(core.first()?)).collect();
    let devices = |number: u32| {
        let node = board.cpu_nodes().find(|node| node.os_index == number);
        node.map_or(0, |node| board.devices_near(&node.cpus))
    };
    let (here, elsewhere): (Vec<u32>, Vec<u32>) =
        board.cpu_nodes().map(|node| node.os_index).partition(|node| rest.contains(node));
    let most_here = here.iter().copied().map(devices).max().unwrap_or(0);
    if here.is_empty() {
    } else if elsewhere.iter().any(|node| devices(*node) > most_here) {
        let near = if most_here == 0 { "have no GPU and no NIC" } else { "have the fewest GPUs and NICs" };
        let others = if own.is_disjoint(&first) { "They" } else { "The others" };
        let _ = write!(why, ". {others} are from NUMA nodes {}, which {near}", joined(&here));
    } else if here.len() > 1 && here.iter().all(|node| devices(*node) > 0) {
        why.push_str(". All NUMA nodes have GPUs and NICs near, so the first cores of each are taken");
    }
    why.push_str(
        ". Nothing keeps the daemons there: systemctl set-property system.slice AllowedCPUs= with this list does, under cgroup v2. \
         The kubelet does not start with systemReservedCgroup or kubeReservedCgroup beside it, which EKS and k0s set: take them out, and \
         system-reserved and kube-reserved out of enforceNodeAllocatable.",
    );
    if !isolated.is_empty() {
        let _ = write!(
            why,
            " The cores of CPUs {isolated} are isolated by the kernel (isolcpus) for programs outside Kubernetes; as they are reserved, the shared \
             pool has none of them."
        );
    }
    why
}
