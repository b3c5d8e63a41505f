//! The networks that a board's NICs call for: a resource of virtual functions for the NICs near the GPUs, a network over them,
//! and a policy for the pods' ordinary network.

use super::PolicyOptions;
use crate::labels::{LabelOptions, Labels};
use crate::yaml;
use nvtopo::model::{LinkLayer, Nic, PortState};
use nvtopo::solve::nics_of_gpus;
use nvtopo::{Result, Topology};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The most virtual functions that one NIC is asked for: one for each GPU beside it, and no more.
const MAX_VFS: usize = 64;
/// The beginning of the names of resources that the networks make.
pub(super) const RESOURCE: &str = "nvtopo_";

/// The NICs that are nearest to GPUs, by what their ports speak.
#[derive(Clone, Debug)]
pub(super) struct Network {
    /// The PCI addresses of the NICs and the GPUs that each serves.
    kinds: BTreeMap<&'static str, Vec<(String, usize)>>,
    /// NICs beside GPUs whose address or kind nobody told.
    unknown: Vec<String>,
    /// The label value that nodes of equal structure share, where it is known.
    fingerprint: Option<String>,
}

impl Network {
    pub(super) fn of(topology: &Topology) -> Self {
        let labels = Labels::of(topology, &LabelOptions::default());
        let fingerprint = labels.get("topology.fingerprint").map(str::to_owned);
        let mut network = Self { kinds: BTreeMap::new(), unknown: Vec::new(), fingerprint };
        let mut served: BTreeMap<usize, usize> = BTreeMap::new();
        for nic in nics_of_gpus(topology).into_iter().flatten() {
            *served.entry(nic).or_default() += 1;
        }
        for (position, gpus) in served {
            let Some(nic) = topology.node(topology.devices()[position]).kind.as_nic() else { continue };
            if nic.state == Some(PortState::Down) {
                continue;
            }
            match (nic.address, kind(nic)) {
                (Some(address), Some(kind)) => {
                    network.kinds.entry(kind).or_default().push((address.to_string(), gpus));
                }
                _ => network.unknown.push(topology.device_name(position)),
            }
        }
        network
    }

    pub(super) fn documents(&self, options: &PolicyOptions) -> Result<Vec<String>> {
        let mut documents = Vec::new();
        for (kind, nics) in &self.kinds {
            documents.extend(self.of_kind(kind, nics, options)?);
        }
        if !documents.is_empty() {
            documents.push(pod_network(options)?);
        } else if !self.unknown.is_empty() {
            let names = self.unknown.join(", ");
            let text = format!(
                "# No network for RDMA is made: nothing tells the PCI addresses and the kind (InfiniBand or Ethernet) of {names}.\n"
            );
            documents.push(text);
        }
        Ok(documents)
    }

    fn of_kind(&self, kind: &str, nics: &[(String, usize)], options: &PolicyOptions) -> Result<[String; 2]> {
        let infiniband = kind == "infiniband";
        let resource = format!("{RESOURCE}{kind}");
        let mut nodes = json!({ "feature.node.kubernetes.io/network-sriov.capable": "true" });
        let mut name = format!("nvtopo-{kind}");
        if let Some(fingerprint) = &self.fingerprint {
            nodes[options.prefix.node_key("topology.fingerprint")?] = fingerprint.as_str().into();
            name = format!("{name}-{fingerprint}");
        }
        let functions = nics.iter().map(|(_, gpus)| *gpus).max().unwrap_or(1).min(MAX_VFS);
        let addresses: Vec<&String> = nics.iter().map(|(address, _)| address).collect();
        let policy = json!({
            "apiVersion": "sriovnetwork.openshift.io/v1",
            "kind": "SriovNetworkNodePolicy",
            "metadata": { "name": name, "namespace": "sriov-network-operator" },
            "spec": {
                "resourceName": resource,
                "nodeSelector": nodes,
                "numVfs": functions,
                "nicSelector": { "rootDevices": addresses },
                "deviceType": "netdevice",
                "isRdma": true,
                "linkType": if infiniband { "IB" } else { "ETH" },
            },
        });
        let mut comment = vec![
            format!(
                "Virtual functions of the NICs that are nearest to GPUs, {functions} of each: one for each GPU beside it."
            ),
            "The addresses are those of this machine: nodes of equal structure are selected, and may have others.".to_owned(),
            "For the SR-IOV Network Operator, in its namespace.".to_owned(),
        ];
        if !self.unknown.is_empty() {
            comment.push(format!(
                "Left out, as nothing tells their address or kind: {}.",
                self.unknown.join(", ")
            ));
        }
        let network = json!({
            "apiVersion": "sriovnetwork.openshift.io/v1",
            "kind": if infiniband { "SriovIBNetwork" } else { "SriovNetwork" },
            "metadata": { "name": format!("nvtopo-{kind}-{}", options.namespace), "namespace": "sriov-network-operator" },
            "spec": {
                "resourceName": resource,
                "networkNamespace": options.namespace,
                "ipam": "{\"type\": \"whereabouts\", \"range\": \"192.168.128.0/17\"}",
            },
        });
        let advice = ["A pod joins it by the annotation k8s.v1.cni.cncf.io/networks. Change the range of addresses to yours.".to_owned()];
        Ok([yaml::document(&comment, &policy)?, yaml::document(&advice, &network)?])
    }
}

/// The word for what the port of a NIC speaks.
fn kind(nic: &Nic) -> Option<&'static str> {
    match nic.link_layer? {
        LinkLayer::InfiniBand => Some("infiniband"),
        LinkLayer::Ethernet => Some("ethernet"),
        _ => None,
    }
}

fn pod_network(options: &PolicyOptions) -> Result<String> {
    let marked: Value = json!({ "matchLabels": { options.prefix.key("rdma"): "true" } });
    let object = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": { "name": "nvtopo-rdma", "namespace": options.namespace },
        "spec": {
            "podSelector": marked,
            "policyTypes": ["Ingress"],
            "ingress": [{ "from": [{ "podSelector": marked }] }],
        },
    });
    let comment = [
        format!("Pods with the label {} are reached by one another only.", options.prefix.key("rdma")),
        "It holds for the ordinary network of pods. What goes over RDMA and over networks of SR-IOV passes it by: part those".to_owned(),
        "by partition keys (InfiniBand), or by VLANs.".to_owned(),
    ];
    yaml::object::<k8s_openapi::api::networking::v1::NetworkPolicy>(&comment, &object)
}
