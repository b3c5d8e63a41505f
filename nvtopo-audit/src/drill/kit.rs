//! The kubelet's settings, and a pod and a claim for each number of GPUs. They are made for the whole machine, and meet the
//! machine without a part.

use crate::check::kubernetes::{ClusterNode, node};
use crate::evidence::Evidence;
use crate::reading::kubelet::Kubelet;
use nvtopo::source::Contents;
use nvtopo::{PciAddress, Topology};
use nvtopo_k8s::Version;
use nvtopo_k8s::claims::{Alternative, ClaimOptions, Claims};
use nvtopo_k8s::kubelet::config::{ConfigOptions, KubeletConfig};
use nvtopo_k8s::kubelet::predict::{Configured, Pod};
use nvtopo_k8s::labels::Prefix;
use nvtopo_k8s::playbook::left_by_pods;
use nvtopo_k8s::pod::{PodOptions, pod};
use std::collections::BTreeMap;

/// The memory for each GPU of a pod, in bytes. No loss takes the memory of CPUs, so that a small amount always does.
const MEMORY_PER_GPU: u64 = 1 << 30;

/// The kubelet's settings, pods and claims for the whole machine.
pub(super) struct Kit {
    /// The numbers of GPUs of jobs.
    pub(super) sizes: Vec<usize>,
    /// `None`: nothing can be predicted, and a note says why.
    pub(super) configured: Option<Configured>,
    pub(super) pods: Vec<MadePod>,
    pub(super) claims: Vec<MadeClaim>,
    /// The labels of the node that are saved, without those that nvtopo makes: they follow from the machine.
    pub(super) node_labels: BTreeMap<String, String>,
    /// The assumptions, and what could not be made.
    pub(super) notes: Vec<String>,
}

/// A pod of some GPUs.
pub(super) struct MadePod {
    pub(super) gpus: usize,
    pub(super) pod: Pod,
    pub(super) text: String,
}

/// A claim for some GPUs.
pub(super) struct MadeClaim {
    pub(super) gpus: usize,
    pub(super) alternatives: Vec<MadeAlternative>,
}

/// The GPUs of which an alternative takes some, by their addresses.
pub(super) struct MadeAlternative {
    pub(super) gpus: Vec<PciAddress>,
}

impl Kit {
    pub(super) fn of(contents: &Contents, sizes: &[usize]) -> Self {
        let evidence = Evidence::plain(contents);
        let topology = &contents.topology;
        let mut node_labels = match node(&evidence) {
            ClusterNode::Known(node) => node.labels,
            ClusterNode::Unsaved | ClusterNode::Other(_) => BTreeMap::new(),
        };
        let own = Prefix::default().to_string();
        node_labels.retain(|key, _| !key.starts_with(&own));
        let mut kit = Self {
            sizes: sizes.to_vec(),
            configured: None,
            pods: Vec::new(),
            claims: Vec::new(),
            node_labels,
            notes: Vec::new(),
        };
        kit.configured = kit.settings(&evidence);
        let sizes = || sizes.iter().copied().filter(|gpus| *gpus <= topology.gpus().len());
        if kit.configured.is_some() {
            kit.make_pods(topology, sizes());
        }
        kit.make_claims(topology, sizes());
        kit
    }

    /// Returns the settings of the kubelet: its own where they are known, else those that nvtopo writes for the machine.
    fn settings(&mut self, evidence: &Evidence<'_>) -> Option<Configured> {
        let topology = evidence.topology;
        let text = match evidence.kubelet() {
            Kubelet::Known(settings, _) => Ok(settings.to_json()),
            Kubelet::None | Kubelet::Unreadable(_) => {
                KubeletConfig::of(topology, &ConfigOptions::default()).map(|config| config.to_yaml())
            }
        };
        let is_own = matches!(evidence.kubelet(), Kubelet::Known(..));
        match text.and_then(|text| Configured::from_yaml("kubelet", &text)) {
            Ok(configured) => {
                if !is_own {
                    self.note(
                        "pods meet a kubelet with the settings that nvtopo writes for the whole machine",
                    );
                }
                Some(configured)
            }
            Err(error) => {
                self.note(format!("no pod is predicted: {}", error.message()));
                None
            }
        }
    }

    fn make_pods(&mut self, topology: &Topology, sizes: impl Iterator<Item = usize>) {
        let mut options = PodOptions::new("drill", "example.com/image:1");
        options.memory_per_gpu = Some(MEMORY_PER_GPU);
        options.reserved = left_by_pods(topology, Version::default());
        for gpus in sizes {
            let made =
                pod(topology, gpus, &options).and_then(|text| Ok((Pod::from_yaml("pod", &text)?, text)));
            match made {
                Ok((pod, text)) => self.pods.push(MadePod { gpus, pod, text }),
                Err(error) => self.note(format!("no pod is predicted: {}", error.message())),
            }
        }
    }

    fn make_claims(&mut self, topology: &Topology, sizes: impl Iterator<Item = usize>) {
        let addresses: Vec<Option<PciAddress>> = topology.gpus().map(|gpu| gpu.address).collect();
        for gpus in sizes {
            match Claims::of(&[("node".to_owned(), topology)], &ClaimOptions::gpus(gpus)) {
                Ok(claims) => {
                    let made = |own: &Alternative| MadeAlternative {
                        gpus: own
                            .gpus
                            .iter()
                            .filter_map(|gpu| addresses.get(*gpu).copied().flatten())
                            .collect(),
                    };
                    let alternatives = claims.alternatives().iter().map(made).collect();
                    self.claims.push(MadeClaim { gpus, alternatives });
                }
                Err(error) => self.note(format!("no claim is made: {}", error.message())),
            }
        }
    }

    /// Adds a note, once.
    fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }
}
