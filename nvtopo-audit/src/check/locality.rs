//! Locality: NUMA nodes and CPUs near GPUs, for the machine and for a process, and the network adapter of each GPU.

use super::{Check, Theme};
use crate::evidence::{Evidence, NODE};
use crate::finding::{Severity, Verdicts};
use crate::pairing::{farthest, has_no_adapters, nic, pairing, rdma_nics};
use crate::process::{self, Limits};
use crate::reading::pci::Pci;
use nvtopo::model::{NodeId, NodeKind, Stated};
use nvtopo::{CpuSet, NodeSet, PathType};
use std::collections::BTreeMap;

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "gpu-numa-node",
        theme: Theme::Locality,
        severity: Severity::Critical,
        claim: "The kernel gives every GPU a NUMA node.",
        evidence: "The file numa_node of each GPU's PCI function, or lspci -vvv, or NUMA Affinity of nvidia-smi topo -m.",
        rule: "Fails for a GPU without one (-1) on a machine of several NUMA nodes with CPUs: the device plugin then sends the \
               kubelet no hint, and pods are not aligned. Warns on a machine of one. Unknown where a source names all of \
               several nodes, as the driver does for a GPU without one. Does not apply without GPUs.",
        remedy: "Update the BIOS, whose ACPI tables (SRAT, _PXM) name the nodes; switch off the node interleaving that hides \
                 them.",
        source: "Linux, sysfs-bus-pci; NVIDIA/k8s-device-plugin, internal/rm/nvml_devices.go",
        run: numa_node,
    },
    Check {
        code: "numa-subdivision",
        theme: Theme::Locality,
        severity: Severity::Warning,
        claim: "Each processor package is one NUMA node.",
        evidence: "The NUMA nodes with CPUs of each package, and those without.",
        rule: "Warns where a package has several NUMA nodes with CPUs: a policy of single-numa-node then refuses pods of a whole \
               package. Fails where more than 8 nodes meet a kubelet whose topology manager is on, which then does not start, \
               unless max-allowable-numa-nodes raises the limit. Unknown where no source tells packages.",
        remedy: "Set the BIOS to one NUMA node for a package (NPS1, SNC off), or raise max-allowable-numa-nodes.",
        source: "Kubernetes, Control Topology Management Policies on a Node; hwloc, recorded machine nvidiagpunumanodes",
        run: subdivision,
    },
    Check {
        code: "gpu-cpus-allowed",
        theme: Theme::Locality,
        severity: Severity::Critical,
        claim: "The process may run on CPUs near each GPU.",
        evidence: "The CPUs near each GPU, and those that the process or control group may use (Cpus_allowed_list of \
                   proc/PID/status, cpuset.cpus.effective).",
        rule: "Fails for a GPU none of whose CPUs is allowed. Warns where allowed CPUs are far from it. A process of the \
               auditor that is not confined at all passes.",
        remedy: "Bind the job beside its GPUs (nvtopo exec, nvtopo run); in Kubernetes, ask for whole CPUs with equal requests \
                 and limits.",
        source: "Linux, proc_pid_status(5) and control group v2; derived",
        run: cpus_allowed,
    },
    Check {
        code: "gpu-mems-allowed",
        theme: Theme::Locality,
        severity: Severity::Warning,
        claim: "The process may allocate memory on the NUMA node of each GPU.",
        evidence: "The NUMA node of each GPU, and those that the process or control group may use (Mems_allowed_list, \
                   cpuset.mems.effective).",
        rule: "Fails where the node is not allowed. Warns where several are, though the kubelet's memory manager is Static.",
        remedy: "Bind memory with the CPUs; in Kubernetes, set memoryManagerPolicy to Static.",
        source: "Linux, proc_pid_status(5); Kubernetes, Utilizing the NUMA-aware Memory Manager",
        run: mems_allowed,
    },
    Check {
        code: "gpu-nic-pairing",
        theme: Theme::Locality,
        severity: Severity::Critical,
        claim: "Each GPU has an RDMA adapter of its own below the same PCIe switches.",
        evidence: "The PCIe tree, or the matrix of nvidia-smi topo -m, and a maximum matching of GPUs to adapters.",
        rule: "Passes where the matching gives each GPU its own adapter. Warns where a GPU shares one, and where no GPU has \
               one below its switches. Fails for a GPU without one while others have one. Adapters below the NUMA node count \
               for GPUs on NVLink-C2C. In a virtual machine a missing one is unknown. Does not apply without GPUs and RDMA \
               adapters.",
        remedy: "Move the cards, or name the adapter of each GPU to NCCL (NCCL_IB_HCA).",
        source: "NCCL, path classes; derived",
        run: nic_pairing,
    },
    Check {
        code: "nic-other-socket",
        theme: Theme::Locality,
        severity: Severity::Critical,
        claim: "The RDMA adapter nearest to a GPU is on the GPU's processor package.",
        evidence: "The path from each GPU to its nearest RDMA adapter, and the packages of their NUMA nodes.",
        rule: "Fails where the nearest adapter is on another package. Unknown where the packages of two NUMA nodes are not \
               told. Does not apply without GPUs and RDMA adapters.",
        remedy: "Move a card to the other package, or place jobs that use the network on the GPUs beside it.",
        source: "derived",
        run: other_socket,
    },
    Check {
        code: "nic-irq-locality",
        theme: Theme::Locality,
        severity: Severity::Info,
        claim: "CPUs near an RDMA adapter serve its interrupts.",
        evidence: "The interrupts of each adapter (msi_irqs), the CPUs that serve each (smp_affinity_list), and the CPUs near it.",
        rule: "Warns where CPUs elsewhere may serve more than 20 % of them, or isolated CPUs serve any.",
        remedy: "Run set_irq_affinity_bynode.sh of the adapter's NUMA node, and keep irqbalance off its interrupts.",
        source: "Linux, core-api/irq/irq-affinity; Mellanox/mlnx-tools, sbin/set_irq_affinity_bynode.sh",
        run: irq_locality,
    },
];

/// Returns the numbers of the NUMA nodes that have CPUs.
fn cpu_nodes(evidence: &Evidence<'_>) -> NodeSet {
    let nodes = evidence.topology.numa_nodes().filter(|node| !node.cpus.is_empty());
    nodes.map(|node| node.os_index).collect()
}

fn numa_node(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    evidence.has_no_gpus(verdicts);
    let pci = Pci::of(evidence);
    // Some sources name nodes without their CPUs.
    let all = evidence.topology.numa_nodes().filter(|node| node.gpu.is_none()).count();
    let with_cpus = cpu_nodes(evidence);
    let nodes = if with_cpus.is_empty() { all } else { with_cpus.len() };
    for (_, id, gpu) in evidence.gpus() {
        let told = gpu.address.map_or(Stated::Unstated, |address| pci.node(address));
        let told = match told {
            Stated::Unstated => evidence.topology.local_nodes(id),
            told => told.map(|node| NodeSet::from_iter([node])),
        };
        match told {
            Stated::Known(near) if near.len() > 1 && with_cpus.is_subset(&near) => verdicts.unknown(
                gpu.name(),
                format!(
                    "it is said to be near NUMA nodes {near}, which are all: it may have none of its own"
                ),
            ),
            Stated::Known(near) if near.is_empty() => {
                verdicts.unknown(gpu.name(), "its NUMA node cannot be read");
            }
            Stated::Known(near) => verdicts.pass(gpu.name(), format!("it is near NUMA node {near}")),
            Stated::NotAvailable if nodes > 1 => verdicts.fail(
                gpu.name(),
                format!("the kernel gives it no NUMA node, and the machine has {nodes} with CPUs"),
            ),
            Stated::NotAvailable if nodes == 1 => {
                verdicts.warn(gpu.name(), "the kernel gives it no NUMA node; the machine has only one");
            }
            Stated::NotAvailable => verdicts.unknown(
                gpu.name(),
                "the kernel gives it no NUMA node, and how many the machine has is not told",
            ),
            Stated::Unreadable => verdicts.unknown(gpu.name(), "its NUMA node cannot be read"),
            Stated::Unstated => verdicts.unknown(gpu.name(), "no source tells its NUMA node"),
        }
    }
}

/// The most NUMA nodes for which the kubelet's topology manager starts by default.
const MOST_NODES: usize = 8;

fn subdivision(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let topology = evidence.topology;
    let mut packages: BTreeMap<NodeId, usize> = BTreeMap::new();
    let (mut total, mut memory_only, mut is_any_placed) = (0, 0, false);
    for (id, node) in topology.nodes() {
        match &node.kind {
            NodeKind::Package(_) => {
                packages.entry(id).or_default();
            }
            NodeKind::NumaNode(numa) => {
                total += 1;
                memory_only += usize::from(numa.cpus.is_empty());
                let package = topology.ancestors(id).find(|id| is_package(evidence, *id));
                if let Some(package) = package.filter(|_| !numa.cpus.is_empty()) {
                    *packages.entry(package).or_default() += 1;
                    is_any_placed = true;
                }
            }
            _ => {}
        }
    }
    if total > MOST_NODES {
        let text = format!(
            "the machine has {total} NUMA nodes, more than the {MOST_NODES} of the kubelet's default"
        );
        match process::topology_manager_limit(evidence) {
            Some(process::NodeLimit::Off) => {
                verdicts.pass(NODE, format!("{text}, whose topology manager is off"));
            }
            Some(process::NodeLimit::Most(most)) if most >= total as u64 => {
                verdicts.pass(NODE, format!("{text}, and its limit is raised to {most}"));
            }
            Some(process::NodeLimit::Most(_)) => {
                verdicts.fail(NODE, format!("{text}, so it does not start with its topology manager on"));
            }
            None => verdicts.unknown(NODE, format!("{text}; the kubelet's topology manager is not known")),
        }
    }
    if packages.is_empty() {
        verdicts.unknown(NODE, "no source tells the processor packages");
        return;
    }
    let most = packages.values().copied().max().unwrap_or(0);
    let aside = match memory_only {
        0 => String::new(),
        1 => ", and 1 node has no CPUs".to_owned(),
        several => format!(", and {several} nodes have no CPUs"),
    };
    if most > 1 {
        verdicts.warn(NODE, format!("a processor package has {most} NUMA nodes with CPUs{aside}"));
    } else if is_any_placed || cpu_nodes(evidence).len() == 1 {
        verdicts.pass(NODE, format!("no processor package has more than one NUMA node with CPUs{aside}"));
    } else {
        verdicts.unknown(NODE, "no source tells the NUMA nodes of processor packages");
    }
}

fn is_package(evidence: &Evidence<'_>, id: NodeId) -> bool {
    matches!(evidence.topology.node(id).kind, NodeKind::Package(_))
}

fn cpus_allowed(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    evidence.has_no_gpus(verdicts);
    let Limits { whose, cpus, is_own, .. } = process::limits(evidence);
    let online = evidence.topology.cpus();
    for (_, id, gpu) in evidence.gpus() {
        let (Some(cpus), Stated::Known(local)) = (&cpus, evidence.topology.local_cpus(id)) else {
            let text = match cpus {
                None => format!("no source tells the CPUs that {whose} may use"),
                Some(_) => "no source tells the CPUs near it".to_owned(),
            };
            verdicts.unknown(gpu.name(), text);
            continue;
        };
        let far = cpus.difference(&local).intersection(&online);
        if cpus.is_disjoint(&local) {
            verdicts.fail(gpu.name(), format!("{whose} may run on CPUs {cpus}, and {local} are near it"));
        } else if far.is_empty() {
            verdicts.pass(gpu.name(), format!("{whose} may run on CPUs near it only"));
        } else if is_own && online.is_subset(cpus) {
            verdicts.pass(gpu.name(), format!("{whose} is not confined, and may run on CPUs near it"));
        } else {
            let text =
                format!("{} of the {} CPUs that {whose} may run on are far from it", far.len(), cpus.len());
            verdicts.warn(gpu.name(), text);
        }
    }
}

fn mems_allowed(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    evidence.has_no_gpus(verdicts);
    let Limits { whose, nodes, is_own, .. } = process::limits(evidence);
    let with_memory: NodeSet = {
        let nodes =
            evidence.topology.numa_nodes().filter(|node| node.memory != Some(0) && node.gpu.is_none());
        nodes.map(|node| node.os_index).collect()
    };
    let is_strict = !is_own && process::memory_is_static(evidence);
    for (_, id, gpu) in evidence.gpus() {
        let (Some(nodes), Stated::Known(local)) = (&nodes, evidence.topology.local_nodes(id)) else {
            let text = match nodes {
                None => format!("no source tells the NUMA nodes that {whose} may use"),
                Some(_) => "no source tells the NUMA node near it".to_owned(),
            };
            verdicts.unknown(gpu.name(), text);
            continue;
        };
        let allowed = nodes.intersection(&with_memory);
        if nodes.is_disjoint(&local) {
            verdicts.fail(
                gpu.name(),
                format!("{whose} may use memory of node {nodes}, and it is near node {local}"),
            );
        } else if is_strict && allowed.len() > local.len() {
            let text = format!(
                "{whose} may use memory of nodes {allowed}, though the kubelet's memory manager is Static"
            );
            verdicts.warn(gpu.name(), text);
        } else {
            verdicts.pass(gpu.name(), format!("{whose} may use memory of node {local}"));
        }
    }
}

fn nic_pairing(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let topology = evidence.topology;
    let pairing = pairing(evidence);
    if evidence.has_no_gpus(verdicts) || has_no_adapters(evidence, verdicts) {
        return;
    }
    let is_virtual = Pci::of(evidence).is_virtual() == Some(true);
    let path = |gpu: usize, nic: usize| topology.pairs().pair(gpu, nic).path;
    let word = |path: Option<PathType>| path.map_or("?", PathType::word);
    for (gpu, _, facts) in evidence.gpus() {
        let name = facts.name();
        if let Some(own) = pairing.own[gpu] {
            let text = format!("{} is its own ({})", topology.device_name(own), word(path(gpu, own)));
            verdicts.pass(name, text);
            continue;
        }
        if let Some(shared) = pairing.near[gpu].first() {
            let others = pairing.own.iter().position(|own| *own == Some(*shared));
            let other =
                others.map_or_else(String::new, |other| format!(" with {}", topology.device_name(other)));
            let text =
                format!("it shares {}{other}: it has no adapter of its own", topology.device_name(*shared));
            verdicts.warn(name, text);
            continue;
        }
        let nearest = pairing.nics.iter().filter_map(|nic| Some((path(gpu, *nic)?, *nic))).min();
        let Some((class, nearest)) = nearest else {
            verdicts.unknown(name, "no source tells its paths to RDMA adapters");
            continue;
        };
        let text =
            format!("the nearest RDMA adapter is {} at {}", topology.device_name(nearest), class.word());
        let unknown = pairing.nics.iter().any(|nic| path(gpu, *nic).is_none());
        if is_virtual || unknown {
            let why = if is_virtual {
                "a virtual machine may hide the switches"
            } else {
                "other paths are not told"
            };
            verdicts.unknown(name, format!("{text}; {why}"));
        } else if pairing.near.iter().any(|near| !near.is_empty()) {
            let wanted = farthest(topology, gpu).word();
            verdicts.fail(name, format!("{text}, while other GPUs have one at {wanted} or nearer"));
        } else {
            verdicts.warn(name, format!("{text}: no GPU has one below its switches"));
        }
    }
}

fn other_socket(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let topology = evidence.topology;
    let nics = rdma_nics(evidence);
    if evidence.has_no_gpus(verdicts) || has_no_adapters(evidence, verdicts) {
        return;
    }
    let package = |id: NodeId| topology.ancestors(id).find(|id| is_package(evidence, *id));
    // A device may name another NUMA node than its host bridge.
    let package_of = |id: NodeId| {
        let Stated::Known(nodes) = topology.local_nodes(id) else { return package(id) };
        let first = nodes.first()?;
        let mut found = topology
            .nodes()
            .filter(|(_, node)| node.kind.as_numa_node().is_some_and(|numa| numa.os_index == first));
        package(found.next()?.0)
    };
    for (gpu, id, facts) in evidence.gpus() {
        let name = facts.name();
        let path = |nic: usize| topology.pairs().pair(gpu, nic).path;
        let nearest = nics.iter().filter_map(|nic| Some((path(*nic)?, *nic))).min();
        let Some((class, nearest)) = nearest else {
            verdicts.unknown(name, "no source tells its paths to RDMA adapters");
            continue;
        };
        let adapter = topology.device_name(nearest);
        if class != PathType::Sys {
            verdicts.pass(name, format!("{adapter} is on its NUMA node ({})", class.word()));
            continue;
        }
        // Of adapters on other NUMA nodes, one may still be on the same package.
        let far = || nics.iter().filter(|nic| path(**nic) == Some(PathType::Sys));
        let own = package_of(id);
        let there = |nic: &&usize| package_of(topology.devices()[**nic]);
        match own {
            Some(own) => match far().find(|nic| there(nic) == Some(own)) {
                Some(nic) => {
                    let adapter = topology.device_name(*nic);
                    verdicts
                        .pass(name, format!("{adapter} is on another NUMA node of its processor package"));
                }
                None if far().any(|nic| there(&nic).is_none()) => {
                    verdicts.unknown(
                        name,
                        format!("{adapter} is on another NUMA node, of a package that is not told"),
                    );
                }
                None => verdicts.fail(
                    name,
                    format!(
                        "{adapter}, its nearest RDMA adapter, is on another processor package ({})",
                        class.word()
                    ),
                ),
            },
            None => verdicts.unknown(
                name,
                format!(
                    "{adapter}, its nearest RDMA adapter, is on another NUMA node; packages are not told"
                ),
            ),
        }
    }
}

/// The largest share of interrupts that CPUs elsewhere may serve.
const MOST_FAR: f64 = 0.2;

/// The most interrupts of an adapter that are looked at; a `ConnectX` adapter has one for each CPU, and a few.
const MOST_INTERRUPTS: usize = 2048;

fn irq_locality(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let topology = evidence.topology;
    let isolated = &topology.machine().isolated_cpus;
    has_no_adapters(evidence, verdicts);
    for position in rdma_nics(evidence) {
        let name = topology.device_name(position);
        let Some(address) = nic(topology, position).and_then(|nic| nic.address) else {
            verdicts.unknown(name, "no source tells its PCI address");
            continue;
        };
        let interrupts = evidence.names(&format!("sys/bus/pci/devices/{address}/msi_irqs"));
        let serve = |number: &String| -> Option<CpuSet> {
            number.parse::<u32>().ok()?;
            evidence.text(&format!("proc/irq/{number}/smp_affinity_list")).known()?.parse().ok()
        };
        let served: Vec<CpuSet> = interrupts.iter().take(MOST_INTERRUPTS).filter_map(serve).collect();
        let Stated::Known(local) = topology.local_cpus(topology.devices()[position]) else {
            verdicts.unknown(name, "no source tells the CPUs near it");
            continue;
        };
        if served.is_empty() {
            verdicts.unknown(name, "no source tells which CPUs serve its interrupts");
            continue;
        }
        let far = served.iter().filter(|cpus| !cpus.is_subset(&local)).count();
        let on_isolated = served.iter().filter(|cpus| !cpus.is_empty() && cpus.is_subset(isolated)).count();
        let total = served.len();
        if on_isolated > 0 {
            verdicts.warn(name, format!("isolated CPUs serve {on_isolated} of {total} interrupts"));
        } else if far as f64 > total as f64 * MOST_FAR {
            verdicts.warn(name, format!("CPUs far from it may serve {far} of {total} interrupts"));
        } else {
            verdicts.pass(name, format!("CPUs near it serve {} of {total} interrupts", total - far));
        }
    }
}
