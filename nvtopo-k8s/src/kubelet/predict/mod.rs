//! Predictions of what the kubelet does with a pod: admit it, refuse it, or admit it with GPUs that are not linked.
//!
//! The kubelet's topology manager asks its CPU, device and memory managers from which NUMA nodes a pod could be served,
//! merges their hints into one, and refuses the pod where its policy does not like it. It knows of no NVLink. All of it is
//! done here as there, written anew after what Kubernetes 1.30 to 1.37 do, without a node.
//!
//! ```
//! use nvtopo::Topology;
//! use nvtopo_k8s::kubelet::predict::{Pod, Policy, Predictor, Scope, Settings, Taken};
//!
//! // Four GPUs of each package are free as two and two, and a pod wants four.
//! let node = Topology::preset("dgx-h100")?;
//! let predictor = Predictor::new(&node, Settings::default(), &Taken::gpus([0, 1, 4, 5]))?;
//! let pod = Pod::gpus(4, 0);
//! let refused = predictor.predict(&pod, Policy::Restricted, Scope::Container)?;
//! assert_eq!(refused.verdict.reason(), Some("TopologyAffinityError"));
//! let admitted = predictor.predict(&pod, Policy::BestEffort, Scope::Container)?;
//! assert_eq!(admitted.containers[0].gpus, [2, 3, 6, 7]);
//! # Ok::<(), nvtopo::Error>(())
//! ```

mod admit;
#[cfg(test)]
mod boards;
mod choice;
mod configured;
mod hints;
mod managers;
mod mix;
mod mix_report;
mod node;
mod pod;
mod remarks;
mod report;
mod settings;
mod setup;
mod taken;
#[cfg(test)]
mod tests;
mod verdict;

pub use choice::Plugin;
pub use configured::Configured;
pub use hints::{Policy, Scope};
pub use mix::{MixAnswer, MixOutcome, MixReport, Step, USUAL_LIMIT};
pub use node::Devices;
pub use pod::Pod;
pub use report::Report;
pub use settings::Settings;
pub use setup::Setup;
pub use taken::Taken;
pub use verdict::{ContainerPrediction, GpuLinks, MemoryPrediction, Prediction, Verdict};

use crate::Version;
pub(crate) use crate::names::GPU_RESOURCE;
use admit::Admission;
use choice::ByPlugin;
use node::{Node, State};
use nvtopo::{Error, Result, Topology};

/// Why a pod is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    TopologyAffinity,
    SmtAlignment(String),
    Unexpected(String),
}

impl Failure {
    /// The reason in the status of the pod.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::TopologyAffinity => "TopologyAffinityError",
            Self::SmtAlignment(_) => "SMTAlignmentError",
            Self::Unexpected(_) => "UnexpectedAdmissionError",
        }
    }
}

/// A node with its settings and what is taken of it, of which predictions are asked.
#[derive(Clone, Debug)]
pub struct Predictor {
    node: Node,
    settings: Settings,
    state: State,
    notes: Vec<String>,
}

impl Predictor {
    /// Prepares predictions.
    ///
    /// Errors with [`InvalidRequest`](nvtopo::ErrorKind::InvalidRequest) for options that exclude each other, for devices,
    /// CPUs and nodes that are not there, and where what is asked needs what the topology does not tell.
    pub fn new(topology: &Topology, mut settings: Settings, taken: &Taken) -> Result<Self> {
        if settings.max_allowable_numa_nodes < 8 {
            return Err(Error::request("the kubelet refuses max-allowable-numa-nodes below 8"));
        }
        settings.check_version()?;
        let node = Node::of(topology, &settings)?;
        if settings.reserved_cpus.is_empty() && settings.reserved_count > 0 {
            // As the kubelet does where CPUs are reserved by their number.
            settings.reserved_cpus = node.cpus.take(node.cpus.cpus(), settings.reserved_count, None)?;
        }
        if !settings.reserved_cpus.is_subset(node.cpus.cpus()) {
            let strange = settings.reserved_cpus.difference(node.cpus.cpus());
            return Err(Error::request(format!("CPUs {strange} are reserved, and not there")));
        }
        let mut notes = Vec::new();
        let state = taken.apply(&node, &settings, node.idle(&settings)?, &mut notes)?;
        if settings.static_cpus && settings.reserved_cpus.is_empty() {
            notes.push(
                "no CPU is reserved: a kubelet with the static CPU manager does not start like that"
                    .to_owned(),
            );
        }
        if settings.prefer_closest_numa_nodes && node.distances_unknown {
            notes.push(
                "the distances of NUMA nodes are not all known: equal ones are assumed where they decide"
                    .to_owned(),
            );
        }
        let newest = settings.version == Version::NEWEST;
        if newest && settings.cpu_options.distribute_cpus_across_numa && settings.cpu_options.align_by_socket
        {
            notes.push(
                "align-by-socket with distribute-cpus-across-numa is predicted as Kubernetes 1.30 to 1.36 do it; 1.37 \
                 prefers NUMA nodes of one package, and may give other CPUs"
                    .to_owned(),
            );
        }
        let without: Vec<&str> = node
            .resources
            .values()
            .flat_map(|resource| &resource.devices)
            .filter(|device| device.nodes.is_empty())
            .map(|device| device.name.as_str())
            .collect();
        if !without.is_empty() {
            notes.push(format!(
                "the NUMA node of {} is not known: it is predicted as of a plugin that tells none",
                without.join(", ")
            ));
        }
        Ok(Self { node, settings, state, notes })
    }

    /// The facts that are unknown or missing, with what was assumed instead.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Predicts a pod under one policy and scope.
    ///
    /// Errors where the kubelet would not even start, as [`startable`](Self::startable) does.
    pub fn predict(&self, pod: &Pod, policy: Policy, scope: Scope) -> Result<Prediction> {
        self.startable(policy)?;
        let mut chooser = ByPlugin::new(self.settings.plugin);
        let admission = self.admit(pod, &self.state, (policy, scope), &mut chooser)?;
        Ok(verdict::of(self, policy, scope, admission, chooser.any))
    }

    /// All policies, each with both scopes where the scope matters. Those with which the kubelet does not start are left out.
    ///
    /// Errors as [`predict`](Self::predict) does.
    pub fn predict_all(&self, pod: &Pod) -> Result<Vec<Prediction>> {
        let mut all = Vec::new();
        for policy in Policy::ALL.into_iter().filter(|policy| self.startable(*policy).is_ok()) {
            for scope in Scope::ALL {
                if policy != Policy::None || scope == Scope::Container {
                    all.push(self.predict(pod, policy, scope)?);
                }
            }
        }
        Ok(all)
    }

    /// Checks that the kubelet starts with this policy here.
    ///
    /// Errors with [`Unsatisfiable`](nvtopo::ErrorKind::Unsatisfiable) or [`InvalidRequest`](nvtopo::ErrorKind::InvalidRequest)
    /// and the reason where it does not.
    pub fn startable(&self, policy: Policy) -> Result<()> {
        let (nodes, most) = (self.node.numa.all.count(), self.settings.max_allowable_numa_nodes);
        if policy != Policy::None && nodes > most {
            let message = format!("the kubelet does not start with a topology manager on {nodes} NUMA nodes");
            return Err(Error::unsatisfiable(message).help(format!(
                "set max-allowable-numa-nodes, which is {most}, to {nodes}, or the policy to none"
            )));
        }
        if policy == Policy::SingleNumaNode && self.settings.cpu_options.align_by_socket {
            return Err(Error::request("the kubelet refuses align-by-socket together with single-numa-node"));
        }
        Ok(())
    }

    fn admit(
        &self,
        pod: &Pod,
        state: &State,
        policy: (Policy, Scope),
        chooser: &mut dyn choice::Chooser,
    ) -> Result<Admission> {
        admit::admit(&self.node, &self.settings, pod, state, policy, chooser)
    }
}
