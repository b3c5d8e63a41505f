//! A kubelet's own configuration as the settings of predictions.

use super::hints::{Policy, Scope};
use super::settings::Settings;
use crate::quantity::Quantity;
use crate::yaml;
use nvtopo::{Error, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The managers' settings in a `KubeletConfiguration`.
///
/// ```
/// use nvtopo_k8s::kubelet::predict::{Configured, Policy};
///
/// let text = "kind: KubeletConfiguration\ncpuManagerPolicy: static\ntopologyManagerPolicy: restricted\n";
/// let configured = Configured::from_yaml("kubelet.yaml", text)?;
/// assert_eq!(configured.policy, Policy::Restricted);
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Configured {
    /// All but the policy and scope.
    pub settings: Settings,
    /// The policy of the topology manager.
    pub policy: Policy,
    /// Its scope.
    pub scope: Scope,
}

impl Configured {
    /// Reads a `KubeletConfiguration`. What it does not say is as in the kubelet; fields that are not of the managers are
    /// passed over, and [`lint`](crate::kubelet::lint) judges them.
    ///
    /// Errors with [`InvalidInput`](nvtopo::ErrorKind::InvalidInput) for what is none, and as the kubelet would refuse.
    pub fn from_yaml(name: &str, text: &str) -> Result<Self> {
        let mut files: Vec<File> = yaml::read(name, text)?;
        let file = match (files.pop(), files.is_empty()) {
            (Some(file), true) if file.kind == "KubeletConfiguration" => file,
            _ => return Err(Error::input("this is not one KubeletConfiguration").in_input(name)),
        };
        file.configured().map_err(|error| {
            let told = Error::input(error.message()).in_input(name);
            match error.advice() {
                Some(advice) => told.help(advice),
                None => told,
            }
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default)]
    kind: String,
    cpu_manager_policy: Option<String>,
    #[serde(default)]
    cpu_manager_policy_options: BTreeMap<String, String>,
    #[serde(rename = "reservedSystemCPUs")]
    reserved_system_cpus: Option<String>,
    #[serde(default)]
    kube_reserved: BTreeMap<String, Amount>,
    #[serde(default)]
    system_reserved: BTreeMap<String, Amount>,
    topology_manager_policy: Option<String>,
    topology_manager_scope: Option<String>,
    #[serde(default)]
    topology_manager_policy_options: BTreeMap<String, String>,
    memory_manager_policy: Option<String>,
    #[serde(default)]
    reserved_memory: Vec<Reserved>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reserved {
    numa_node: u32,
    limits: BTreeMap<String, Amount>,
}

/// A quantity as people write it: in quotes or not.
#[derive(Deserialize)]
#[serde(untagged)]
enum Amount {
    Whole(i64),
    Part(f64),
    Text(String),
}

impl Amount {
    fn text(&self) -> String {
        match self {
            Self::Whole(number) => number.to_string(),
            Self::Part(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

impl File {
    fn configured(&self) -> Result<Configured> {
        let joined = |options: &BTreeMap<String, String>| {
            options.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
        };
        let cpus = match self.cpu_manager_policy.as_deref() {
            None | Some("none" | "") => None,
            Some("static") => Some(Settings::cpu_options(&joined(&self.cpu_manager_policy_options))?),
            Some(other) => return Err(Error::request(format!("'{other}' is no policy of the CPU manager"))),
        };
        let mut settings = Settings::default()
            .cpu_manager(cpus)
            .topology_options(&joined(&self.topology_manager_policy_options))?;
        if let Some(list) = self.reserved_system_cpus.as_deref().filter(|list| !list.is_empty()) {
            settings = settings.reserved_cpus(list.parse()?);
        } else {
            let mut sum = Quantity::default();
            for cpus in
                [&self.kube_reserved, &self.system_reserved].into_iter().filter_map(|list| list.get("cpu"))
            {
                sum = sum.plus(Quantity::read(&cpus.text())?);
            }
            settings.reserved_count = usize::try_from(sum.value()).unwrap_or(usize::MAX);
        }
        match self.memory_manager_policy.as_deref() {
            None | Some("None" | "") => {}
            Some("Static") => {
                settings = settings.reserved_memory([]);
                for node in &self.reserved_memory {
                    let limits: Vec<String> =
                        node.limits.iter().map(|(kind, size)| format!("{kind}={}", size.text())).collect();
                    settings =
                        settings.reserve_memory(&format!("{}:{}", node.numa_node, limits.join(",")))?;
                }
            }
            Some(other) => {
                return Err(Error::request(format!("'{other}' is no policy of the memory manager")));
            }
        }
        let policy = self.topology_manager_policy.as_deref().filter(|name| !name.is_empty());
        let scope = self.topology_manager_scope.as_deref().filter(|name| !name.is_empty());
        Ok(Configured {
            settings,
            policy: policy.map_or(Ok(Policy::default()), str::parse)?,
            scope: scope.map_or(Ok(Scope::default()), str::parse)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::boards::Board;
    use super::super::{Pod, Predictor, Taken};
    use super::*;

    #[test]
    fn a_kubelets_file_is_what_is_predicted() {
        let text = "
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cpuManagerPolicy: static
cpuManagerPolicyOptions: {full-pcpus-only: 'true'}
kubeReserved: {cpu: 500m, memory: 1Gi}
systemReserved: {cpu: 1}
topologyManagerPolicy: single-numa-node
topologyManagerScope: pod
topologyManagerPolicyOptions: {prefer-closest-numa-nodes: 'true'}
memoryManagerPolicy: Static
reservedMemory:
- {numaNode: 0, limits: {memory: 1Gi}}
maxPods: 110
";
        let configured = Configured::from_yaml("k", text).unwrap();
        assert_eq!((configured.policy, configured.scope), (Policy::SingleNumaNode, Scope::Pod));
        let settings = configured.settings;
        assert!(settings.cpu_options.full_pcpus_only && settings.prefer_closest_numa_nodes);
        assert_eq!(settings.reserved_memory.as_ref().unwrap()[&0]["memory"], 1 << 30);
        // Two CPUs are reserved by number: those of the first core.
        let predictor =
            Predictor::new(&Board::two_of_four().topology(), settings, &Taken::default()).unwrap();
        let answer = predictor.predict(&Pod::gpus(1, 2), configured.policy, configured.scope).unwrap();
        assert_eq!(answer.containers[0].cpus.as_ref().unwrap().to_string(), "1,97");
    }

    #[test]
    fn what_the_kubelet_would_not_start_with_is_told() {
        for wrong in [
            "kind: Pod\n",
            "",
            "kind: KubeletConfiguration\n---\nkind: KubeletConfiguration\n",
            "kind: KubeletConfiguration\ncpuManagerPolicy: Static\n",
            "kind: KubeletConfiguration\ntopologyManagerPolicy: strict\n",
            "kind: KubeletConfiguration\ncpuManagerPolicy: static\ncpuManagerPolicyOptions: {full: 'true'}\n",
            "kind: KubeletConfiguration\nmemoryManagerPolicy: static\n",
        ] {
            assert_eq!(Configured::from_yaml("k", wrong).unwrap_err().input_name(), Some("k"), "{wrong}");
        }
        let plain = Configured::from_yaml("k", "kind: KubeletConfiguration\n").unwrap();
        assert_eq!((plain.policy, plain.settings.static_cpus), (Policy::None, false));
    }
}
