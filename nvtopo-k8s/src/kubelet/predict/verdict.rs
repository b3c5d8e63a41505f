//! A prediction as values: the verdict, and the resources of each container.

use super::admit::{Admission, Given};
use super::hints::{Mask, Policy, Scope};
use super::{Failure, Predictor};
use nvtopo::{CpuSet, NodeSet, Topology};
use std::collections::BTreeMap;

/// The verdict on a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It starts.
    Admitted,
    /// The topology manager refuses it. Its owner makes it anew, and the scheduler, which counts devices, may send it here again.
    TopologyAffinityError,
    /// `full-pcpus-only` refuses it, with the kubelet's words.
    SmtAlignmentError(String),
    /// A manager has not what it promised, with the kubelet's words.
    UnexpectedAdmissionError(String),
}

impl Verdict {
    /// Returns true where the pod starts.
    pub fn is_admitted(&self) -> bool {
        *self == Self::Admitted
    }

    /// The reason that the status of the pod tells. `None`: it starts.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Admitted => None,
            Self::TopologyAffinityError => Some("TopologyAffinityError"),
            Self::SmtAlignmentError(_) => Some("SMTAlignmentError"),
            Self::UnexpectedAdmissionError(_) => Some("UnexpectedAdmissionError"),
        }
    }

    /// The kubelet's words for why, as the status of the pod tells them.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Admitted => None,
            Self::TopologyAffinityError => Some("Resources cannot be allocated with Topology locality"),
            Self::SmtAlignmentError(message) | Self::UnexpectedAdmissionError(message) => Some(message),
        }
    }
}

/// The links between the GPUs that one container gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GpuLinks {
    /// Fewer than two.
    Few,
    /// Every pair by NVLink.
    All,
    /// All through others, not every pair.
    Some,
    /// Not all of them.
    Apart,
    /// No GPUs of the machine are.
    Absent,
    /// The topology does not tell of NVLink.
    Unknown,
}

/// The prediction for a pod under one policy and scope.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Prediction {
    /// The policy of the topology manager.
    pub policy: Policy,
    /// Its scope.
    pub scope: Scope,
    /// Admitted or refused.
    pub verdict: Verdict,
    /// The resources of each container; where one is refused, of those before it.
    pub containers: Vec<ContainerPrediction>,
    /// Some devices are any that would do: the plugin prefers none, and the kubelet takes what comes first in no order.
    pub any: bool,
}

/// The resources of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContainerPrediction {
    /// Its name.
    pub name: String,
    /// The NUMA nodes that the topology manager decided on. `None`: any.
    pub hint: Option<NodeSet>,
    /// True where they are as few as could be.
    pub preferred: bool,
    /// The CPUs for itself. `None`: those that are shared.
    pub cpus: Option<CpuSet>,
    /// The NUMA nodes of those CPUs.
    pub cpu_nodes: NodeSet,
    /// The GPUs, by their indices.
    pub gpus: Vec<u32>,
    /// The NUMA nodes of the GPUs.
    pub gpu_nodes: NodeSet,
    /// The links between them.
    pub links: GpuLinks,
    /// The devices, by resource and name.
    pub devices: BTreeMap<String, Vec<String>>,
    /// The memory that is held for it.
    pub memory: Option<MemoryPrediction>,
}

/// Memory that is held for a container.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryPrediction {
    /// On these NUMA nodes.
    pub nodes: NodeSet,
    /// The bytes of each kind (`memory`, `hugepages-2Mi`).
    pub bytes: BTreeMap<String, u64>,
}

impl Prediction {
    /// Returns true where the pod starts, and every container's GPUs are linked as far as is known.
    pub fn is_good(&self) -> bool {
        self.verdict.is_admitted() && !self.has_unlinked()
    }

    /// Returns true where another scope of the same policy ends the same way.
    pub(super) fn ends_as(&self, other: &Self) -> bool {
        self.policy == other.policy && Self { scope: other.scope, ..self.clone() } == *other
    }

    /// Returns true where a container gets GPUs that are not linked.
    pub fn has_unlinked(&self) -> bool {
        self.containers.iter().any(|container| container.links == GpuLinks::Apart)
    }
}

pub(super) fn of(
    predictor: &Predictor,
    policy: Policy,
    scope: Scope,
    admission: Admission,
    any: bool,
) -> Prediction {
    let verdict = match admission.failure {
        None => Verdict::Admitted,
        Some(Failure::TopologyAffinity) => Verdict::TopologyAffinityError,
        Some(Failure::SmtAlignment(message)) => {
            Verdict::SmtAlignmentError(format!("SMT Alignment Error: {message}"))
        }
        Some(Failure::Unexpected(message)) => Verdict::UnexpectedAdmissionError(format!(
            "Allocate failed due to {message}, which is unexpected"
        )),
    };
    let containers = admission.given.into_iter().map(|given| container(predictor, given)).collect();
    Prediction { policy, scope, verdict, containers, any }
}

fn container(predictor: &Predictor, given: Given) -> ContainerPrediction {
    let node = &predictor.node;
    let mut gpus = Vec::new();
    let mut gpu_nodes = 0;
    let mut devices = BTreeMap::new();
    for (name, own) in &given.devices {
        let Some(resource) = node.resources.get(name) else { continue };
        let own: Vec<_> = own.iter().filter_map(|device| resource.devices.get(*device)).collect();
        for device in &own {
            if let Some(gpu) = device.gpu {
                gpus.push(gpu);
                gpu_nodes |= device.nodes.0;
            }
        }
        devices.insert(name.clone(), own.iter().map(|device| device.name.clone()).collect());
    }
    gpus.sort_unstable();
    gpus.dedup();
    let cpu_nodes = given.cpus.as_ref().map(|cpus| {
        node.cpu_nodes.nodes().filter(|numa| !node.cpus.of_node(*numa).is_disjoint(cpus)).collect()
    });
    ContainerPrediction {
        name: given.container,
        hint: given.hint.and_then(|hint| hint.affinity).map(Mask::to_set),
        preferred: given.hint.is_some_and(|hint| hint.preferred),
        cpus: given.cpus,
        cpu_nodes: cpu_nodes.unwrap_or_default(),
        links: links(&node.topology, &gpus),
        gpus,
        gpu_nodes: Mask(gpu_nodes).to_set(),
        devices,
        memory: given.memory.map(|(mask, bytes)| MemoryPrediction { nodes: mask.to_set(), bytes }),
    }
}

/// Returns the links between GPUs, by their indices.
pub(super) fn links(topology: &Topology, gpus: &[u32]) -> GpuLinks {
    if gpus.len() < 2 {
        return GpuLinks::Few;
    }
    if !topology.nvlink_known() {
        return GpuLinks::Unknown;
    }
    let positions: Vec<usize> = (0..topology.gpus().len())
        .zip(topology.gpus())
        .filter(|(_, gpu)| gpus.contains(&gpu.index))
        .map(|(position, _)| position)
        .collect();
    if topology.nvlink_groups().iter().all(|group| group.gpus.len() < 2) {
        return GpuLinks::Absent;
    }
    let linked = |a: usize, b: usize| topology.pairs().pair(a, b).nvlinks > 0;
    if positions.iter().all(|a| positions.iter().all(|b| a == b || linked(*a, *b))) {
        return GpuLinks::All;
    }
    let (mut reached, mut rest) = (vec![positions[0]], positions[1..].to_vec());
    while let Some(at) = rest.iter().position(|b| reached.iter().any(|a| linked(*a, *b))) {
        reached.push(rest.swap_remove(at));
    }
    if rest.is_empty() { GpuLinks::Some } else { GpuLinks::Apart }
}
