//! `Setup`: a kubelet as the options of a call describe it. Its settings come from its configuration, or one by one; then its
//! devices, its policy and scope, and what is taken of its node.

use super::{Configured, MixReport, Plugin, Pod, Policy, Predictor, Report, Scope, Settings, Taken};
use crate::Version;
use nvtopo::solve::SizeMix;
use nvtopo::{Result, Topology};

/// A kubelet, and what is taken of its node.
///
/// ```
/// use nvtopo::Topology;
/// use nvtopo_k8s::kubelet::predict::{Pod, Policy, Setup};
///
/// let config = "kind: KubeletConfiguration\ncpuManagerPolicy: static\nreservedSystemCPUs: 0-1\n";
/// let setup = Setup::from_config("kubelet.yaml", config)?.policy(Some(Policy::Restricted)).taken("0,1,4,5".parse()?);
/// let report = setup.report(&Topology::preset("dgx-h100")?, &Pod::gpus(4, 0))?;
/// assert!(report.to_json().contains("TopologyAffinityError"));
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Setup {
    settings: Settings,
    policy: Option<Policy>,
    scope: Option<Scope>,
    taken: Taken,
}

impl Setup {
    /// A kubelet with these settings, and with any policy and scope.
    pub fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Reads a `KubeletConfiguration`, with its policy and scope. Errors as [`Configured::from_yaml`].
    pub fn from_config(name: &str, text: &str) -> Result<Self> {
        let Configured { settings, policy, scope } = Configured::from_yaml(name, text)?;
        Ok(Self { settings, policy: Some(policy), scope: Some(scope), taken: Taken::default() })
    }

    /// Sets the version of Kubernetes.
    #[must_use]
    pub fn version(self, version: Version) -> Self {
        Self { settings: self.settings.version(version), ..self }
    }

    /// Sets the preference of the device plugin.
    #[must_use]
    pub fn plugin(self, plugin: Plugin) -> Self {
        Self { settings: self.settings.plugin(plugin), ..self }
    }

    /// Sets the devices behind an extended resource: `gpus`, `nics`, or names with commas.
    pub fn devices(self, resource: &str, devices: &str) -> Result<Self> {
        Ok(Self { settings: self.settings.devices(resource, devices.parse()?), ..self })
    }

    /// Sets the policy of the topology manager. `None` leaves the configuration's; without a configuration, all are
    /// predicted.
    #[must_use]
    pub fn policy(self, policy: Option<Policy>) -> Self {
        Self { policy: policy.or(self.policy), ..self }
    }

    /// Sets the scope of the topology manager, as [`policy`](Self::policy).
    #[must_use]
    pub fn scope(self, scope: Option<Scope>) -> Self {
        Self { scope: scope.or(self.scope), ..self }
    }

    /// Sets what is taken of the node.
    #[must_use]
    pub fn taken(self, taken: Taken) -> Self {
        Self { taken, ..self }
    }

    /// Reads what is taken from a checkpoint file of the kubelet, beside what is taken already. Errors as [`Taken::read`].
    pub fn checkpoint(mut self, name: &str, text: &str) -> Result<Self> {
        self.taken.read(name, text)?;
        Ok(self)
    }

    /// Predicts a pod. Errors as [`Predictor::new`] and [`Predictor::report`].
    pub fn report(&self, topology: &Topology, pod: &Pod) -> Result<Report> {
        self.predictor(topology)?.report(pod, self.policy, self.scope)
    }

    /// Predicts a mix of pods, each with a number of CPUs for each GPU, over at most `states` states of the node. Errors as
    /// [`Predictor::new`] and [`Predictor::mix`].
    pub fn mix(
        &self,
        topology: &Topology,
        mix: &SizeMix,
        cpus_per_gpu: u64,
        states: usize,
    ) -> Result<MixReport> {
        self.predictor(topology)?.mix(mix, self.policy, cpus_per_gpu, states)
    }

    fn predictor(&self, topology: &Topology) -> Result<Predictor> {
        Predictor::new(topology, self.settings.clone(), &self.taken)
    }
}
