//! The kubelet's settings and state against the board, and the node's labels.

mod cluster;
mod policy;
mod settings;
pub(crate) mod state;

pub(crate) use cluster::{ClusterNode, node};

use super::{Check, Theme};
use crate::evidence::{Evidence, NODE};
use crate::finding::{Severity, Verdicts};
use crate::reading::kubelet::Kubelet;
use nvtopo_k8s::kubelet::effective::Effective;

const MANAGERS: &str =
    "The kubelet's settings: flags of its process, over drop-in files, over its configuration file.";

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "kubelet-config-source",
        theme: Theme::Kubernetes,
        severity: Severity::Info,
        claim: "The settings that the kubelet uses are known, and it starts with them.",
        evidence: "Flags in /proc/PID/cmdline, over files of --config-dir, over the file of --config (or where \
                   distributions put it). Saved: a KubeletConfiguration, or the answer of configz.",
        rule: "Unknown where they cannot be read: then every check of them is unknown. Warns for settings that the kubelet \
               refuses or reads over. Does not apply without a kubelet.",
        remedy: "Let the audit read /var/lib/kubelet and /proc of the host, or save the answer of configz.",
        source: "Kubernetes, kubelet configuration directory merging; kubelet reference",
        run: settings::source,
    },
    Check {
        code: "cpu-manager-static",
        theme: Theme::Kubernetes,
        severity: Severity::Critical,
        claim: "Containers can have CPUs for themselves.",
        evidence: "cpuManagerPolicy and its options, and policyName in /var/lib/kubelet/cpu_manager_state.",
        rule: "Fails where the policy is not static, and where the state file has another policy: the kubelet then does not \
               start. Does not apply without a kubelet.",
        remedy: "Drain the node, set cpuManagerPolicy: static, remove cpu_manager_state, and restart the kubelet.",
        source: "Kubernetes, control CPU management policies on the node",
        run: settings::cpu_manager,
    },
    Check {
        code: "topology-manager-policy",
        theme: Theme::Kubernetes,
        severity: Severity::Critical,
        claim: "CPUs, memory and devices of a pod come from the same NUMA nodes.",
        evidence: MANAGERS,
        rule: "Passes for restricted and single-numa-node, warns for best-effort, fails for none. Does not apply to a \
               machine of one NUMA node.",
        remedy: "Set topologyManagerPolicy. Pods may then be refused with TopologyAffinityError, as the scheduler does not \
                 know of it: see policy-fits-board and scheduler-awareness.",
        source: "Kubernetes, control topology management policies on a node",
        run: policy::policy,
    },
    Check {
        code: "topology-manager-scope",
        theme: Theme::Kubernetes,
        severity: Severity::Warning,
        claim: "All containers of a pod are aligned together.",
        evidence: "topologyManagerScope, the kubelet's checkpoint of devices, and the profile's multi-container-pods.",
        rule: "Passes for pod. With container it warns where pods have several containers with devices, passes where none \
               has, and is unknown where nothing tells. Does not apply where the policy is none.",
        remedy: "Set topologyManagerScope: pod.",
        source: "Kubernetes, control topology management policies on a node",
        run: policy::scope,
    },
    Check {
        code: "policy-fits-board",
        theme: Theme::Kubernetes,
        severity: Severity::Critical,
        claim: "The topology manager's policy lets every pod start that the board has the GPUs for.",
        evidence: "The kubelet's settings and the GPUs of each NUMA node: pods of each size are predicted on the idle node. \
                   The profile's largest-pod.",
        rule: "Fails where a pod of largest-pod GPUs never starts, and where the kubelet itself does not start with the policy \
               on this board. Warns where pods of other sizes never start: 1 to 16 GPUs and all of them are tried. Says which \
               policies let them start. Unknown where pods cannot be predicted. Does not apply where the policy is none.",
        remedy: "Choose a policy that is named, or keep such pods off the node.",
        source: "Kubernetes, topology manager; predicted as its kubelet of 1.30 to 1.37 does",
        run: policy::fits,
    },
    Check {
        code: "reserved-cpus",
        theme: Theme::Kubernetes,
        severity: Severity::Warning,
        claim: "CPUs are reserved for the system: whole cores, and not all of a NUMA node with GPUs.",
        evidence: "reservedSystemCPUs, and cpu in systemReserved and kubeReserved.",
        rule: "Fails where the CPU manager is static and nothing is reserved, and for CPUs with which the kubelet does not \
               start. Warns where cores are split, or all CPUs near a GPU are reserved. Does not apply without a kubelet, and \
               where nothing is reserved and the CPU manager is none.",
        remedy: "Reserve whole cores, spread over the packages, with reservedSystemCPUs.",
        source: "Kubernetes, reserve compute resources for system daemons",
        run: settings::reserved,
    },
    Check {
        code: "memory-manager-static",
        theme: Theme::Kubernetes,
        severity: Severity::Warning,
        claim: "Memory and huge pages of containers come from the NUMA nodes of their CPUs and devices.",
        evidence: "memoryManagerPolicy, reservedMemory, the reserved memory and evictionHard; huge pages of the machine.",
        rule: "Fails where the policy is Static and reservedMemory is not the sum of kubeReserved, systemReserved and \
               evictionHard, and where the state file has another policy: the kubelet then does not start. Warns where the \
               policy is None and there are huge pages, or where the memory of GPUs would be handed out. Does not apply \
               without a kubelet, and where the policy is None and there are no huge pages.",
        remedy: "Set memoryManagerPolicy: Static and reservedMemory that sums up.",
        source: "Kubernetes, utilizing the NUMA-aware memory manager",
        run: settings::memory,
    },
    Check {
        code: "cpu-manager-state",
        theme: Theme::Kubernetes,
        severity: Severity::Warning,
        claim: "The CPUs of each container with GPUs are near these GPUs.",
        evidence: "/var/lib/kubelet/cpu_manager_state and device-plugins/kubelet_internal_checkpoint.",
        rule: "Warns where CPUs of a container are not near its GPUs. Does not apply without a kubelet, and where no \
               container has CPUs for itself.",
        remedy: "Start the pod anew; set a topology manager policy that aligns.",
        source: "Kubernetes, pkg/kubelet/cm/cpumanager/state/checkpoint.go",
        run: state::cpus,
    },
    Check {
        code: "memory-manager-state",
        theme: Theme::Kubernetes,
        severity: Severity::Warning,
        claim: "The memory of each container with GPUs is from a NUMA node near these GPUs.",
        evidence: "/var/lib/kubelet/memory_manager_state and device-plugins/kubelet_internal_checkpoint.",
        rule: "Warns where memory comes from none of the nodes near the GPUs. Does not apply without a kubelet, and where no \
               container has memory of chosen NUMA nodes.",
        remedy: "Start the pod anew; set a topology manager policy that aligns.",
        source: "Kubernetes, pkg/kubelet/cm/memorymanager/state",
        run: state::memory,
    },
    Check {
        code: "device-hints",
        theme: Theme::Kubernetes,
        severity: Severity::Critical,
        claim: "The device plugin tells the kubelet the NUMA node of each GPU.",
        evidence: "device-plugins/kubelet_internal_checkpoint: devices that containers have, by NUMA node.",
        rule: "Fails where a GPU has no node (-1) on a machine of several: no policy aligns it. Unknown where no container \
               has a GPU. Does not apply to a machine of one NUMA node.",
        remedy: "Give GPUs a NUMA node in the firmware (see gpu-numa-node), and update the device plugin.",
        source: "Kubernetes, Device.Topology of the device plugin API; NVIDIA k8s-device-plugin, internal/rm",
        run: state::hints,
    },
    Check {
        code: "driver-stack-skew",
        theme: Theme::Kubernetes,
        severity: Severity::Critical,
        claim: "The driver's kernel module, its library, and what the cluster says are of one version.",
        evidence: "/proc/driver/nvidia/version, /sys/module/nvidia/version, libnvidia-ml.so, nvidia-smi, the labels \
                   nvidia.com/cuda.driver-version.* and nvidia.com/cuda.driver.*, and the tags of nvidia/driver images in \
                   saved pods.",
        rule: "Fails where module and library differ, or nvidia-smi says so. Warns where a label, an image or the profile's \
               driver differs.",
        remedy: "Restart the node after the upgrade of the driver; try one node first.",
        source: "NVML, NVML_ERROR_LIB_RM_VERSION_MISMATCH; NVIDIA k8s-device-plugin, internal/lm/nvml.go",
        run: cluster::skew,
    },
    Check {
        code: "label-drift",
        theme: Theme::Kubernetes,
        severity: Severity::Warning,
        claim: "The node's labels say what the hardware says.",
        evidence: "A saved kubectl get node -o yaml or json; the labels that this machine should have.",
        rule: "Fails where a label of nvtopo.io, nvidia.com/gpu.count or nvidia.com/gpu.clique says otherwise. Unknown where \
               there is a list of nodes and none is this one. Does not apply without a kubelet and a saved node.",
        remedy: "Run feature discovery again, and see why it did not notice.",
        source: "derived; NVIDIA k8s-device-plugin, internal/lm",
        run: cluster::labels,
    },
    Check {
        code: "scheduler-awareness",
        theme: Theme::Kubernetes,
        severity: Severity::Info,
        claim: "The scheduler knows the NUMA nodes that the kubelet insists on.",
        evidence: "Saved KubeSchedulerConfiguration, NodeResourceTopology or ResourceSlice objects; the folder of a DRA \
                   driver in /var/lib/kubelet/plugins.",
        rule: "Warns where a saved configuration of the scheduler has no plugin for it: pods are then refused after they were \
               bound. Unknown where nothing tells. Does not apply unless the policy is restricted or single-numa-node.",
        remedy: "Add the plugin NodeResourceTopologyMatch, or claim GPUs by Dynamic Resource Allocation.",
        source: "Kubernetes, topology manager, known limitations; scheduler-plugins, NodeResourceTopologyMatch",
        run: cluster::scheduler,
    },
];

/// Returns the kubelet's settings. Where there are none, the reason is a verdict.
fn effective<'e>(evidence: &'e Evidence<'_>, verdicts: &mut Verdicts) -> Option<&'e Effective> {
    match evidence.kubelet() {
        Kubelet::Known(settings, _) => Some(settings),
        Kubelet::Unreadable(reason) => {
            verdicts.unknown(NODE, format!("the kubelet's settings are not known: {reason}"));
            None
        }
        Kubelet::None => {
            if evidence.profile.expect.kubernetes == Some(true) {
                verdicts
                    .unknown(NODE, "the profile says that there is a kubelet, and nothing here tells of it");
            } else {
                verdicts.not_applicable(NODE, NO_KUBELET);
            }
            None
        }
    }
}

pub(crate) const NO_KUBELET: &str = "no kubelet is here: no process, no configuration, no state";

/// The NUMA nodes with CPUs.
fn cpu_nodes(evidence: &Evidence<'_>) -> usize {
    evidence.topology.numa_nodes().filter(|node| !node.cpus.is_empty()).count()
}
