//! Admission policies and quotas: who may ask for how many GPUs of a board, and how.
//!
//! [`Policies::of`] makes the rules from a machine and what a platform wants; [`Policies::objects`] prints them, the policies as
//! `ValidatingAdmissionPolicy` (`admissionregistration.k8s.io/v1`, in every version since 1.30). A policy judges one object
//! at a time: it cannot count what is running. What is counted is counted by the `ResourceQuota`.

mod admission;
mod network;

use crate::labels::Prefix;
use crate::{names, yaml};
use admission::Admission;
use nvtopo::{Error, Result, Topology};
use serde_json::json;
use std::collections::BTreeSet;

/// The rules for pods that ask for the GPUs of boards like one.
///
/// ```
/// use nvtopo_k8s::policies::{Policies, PolicyOptions};
///
/// let bridged = nvtopo::Topology::preset("rtx-a6000-4-bridged")?;
/// let policies = Policies::of(&bridged, &PolicyOptions::default())?;
/// assert_eq!(policies.gpu_counts(), [1, 2, 4]);
/// assert!(policies.objects()?.contains("kind: ValidatingAdmissionPolicy\n"));
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Policies {
    options: PolicyOptions,
    counts: Vec<usize>,
    group: usize,
    gpus: usize,
    network: network::Network,
}

/// The wishes of a platform for its policies.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PolicyOptions {
    /// The extended resource of the GPUs.
    pub resource: String,
    /// The namespace that the parameters, the quota and the network objects are for.
    pub namespace: String,
    /// Who may ask for more GPUs than one NVLink group has, or for claims of devices: `NAMESPACE/SERVICEACCOUNT`, or
    /// `NAMESPACE/*`. Empty: everybody.
    pub allowed: Vec<String>,
    /// The device class of the GPUs, for claims of devices.
    pub class: String,
    /// The extended resources of RDMA devices begin with one of these.
    pub rdma: Vec<String>,
    /// The most GPUs that the namespace may ask for. `None`: no quota.
    pub quota: Option<u64>,
    /// The prefix of annotations and labels.
    pub prefix: Prefix,
}

impl Default for PolicyOptions {
    fn default() -> Self {
        Self {
            resource: names::GPU_RESOURCE.to_owned(),
            namespace: "default".to_owned(),
            allowed: Vec::new(),
            class: "gpu.nvidia.com".to_owned(),
            // The usual ones, and what the SR-IOV Network Operator makes of the networks here.
            rdma: vec!["rdma/".to_owned(), format!("openshift.io/{}", network::RESOURCE)],
            quota: None,
            prefix: Prefix::default(),
        }
    }
}

impl PolicyOptions {
    fn check(&self) -> Result<()> {
        names::resource_name(&self.resource)?;
        if !names::is_dns_label(&self.namespace) {
            return Err(Error::request(format!("'{}' is no namespace", self.namespace)));
        }
        for entry in &self.allowed {
            let good = entry.split_once('/').is_some_and(|(namespace, account)| {
                names::is_dns_label(namespace) && (account == "*" || names::is_subdomain(account))
            });
            if !good {
                return Err(Error::request(format!("'{entry}' names no service account"))
                    .help("give NAMESPACE/SERVICEACCOUNT, or NAMESPACE/*"));
            }
        }
        let letters = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
        let good = |rdma: &String| {
            rdma.starts_with(|letter: char| letter.is_ascii_alphanumeric()) && rdma.chars().all(letters)
        };
        if let Some(bad) = self.rdma.iter().find(|rdma| !good(rdma)) {
            return Err(Error::request(format!("no extended resource begins with '{bad}'"))
                .help("give one such as rdma/"));
        }
        names::object_name(&self.class)?;
        self.prefix.node_key("")?;
        Ok(())
    }
}

impl Policies {
    /// The rules that fit a board.
    ///
    /// Errors with [`Unsatisfiable`](nvtopo::ErrorKind::Unsatisfiable) for a board without GPUs or of unknown NVLinks, and with
    /// [`InvalidRequest`](nvtopo::ErrorKind::InvalidRequest) for names that Kubernetes refuses.
    pub fn of(topology: &Topology, options: &PolicyOptions) -> Result<Self> {
        options.check()?;
        let gpus = topology.gpus().len();
        if gpus == 0 {
            return Err(Error::unsatisfiable("this machine has no GPU"));
        }
        if !topology.nvlink_known() {
            return Err(Error::unsatisfiable("nothing tells of the NVLinks of this machine")
                .help("add a source that does, such as nvidia-smi topo -m"));
        }
        let sizes: Vec<usize> = topology.nvlink_groups().iter().map(|group| group.gpus.len()).collect();
        let group = sizes.iter().copied().max().unwrap_or(1);
        Ok(Self {
            counts: counts(&sizes, gpus),
            group,
            gpus,
            network: network::Network::of(topology),
            options: options.clone(),
        })
    }

    /// Numbers of GPUs that leave no NVLink group in pieces that nobody can use, in increasing order: those that divide a
    /// group, and whole groups together.
    pub fn gpu_counts(&self) -> &[usize] {
        &self.counts
    }

    /// All objects as one YAML text: policies with bindings and parameters, the quota, the rights that labelling needs, and,
    /// where the board has NICs near its GPUs, networks for RDMA.
    pub fn objects(&self) -> Result<String> {
        let mut documents = vec![self.parameters()?];
        for admission in [self.count_policy(), self.alignment_policy(), self.device_policy()] {
            documents.extend(admission.documents(&self.options.namespace)?);
        }
        documents.extend(self.quota()?);
        documents.extend(rights()?);
        documents.extend(self.network.documents(&self.options)?);
        Ok(yaml::stream(&documents))
    }

    /// Pods ask for a number of GPUs that fits the board's NVLink groups.
    fn count_policy(&self) -> Admission {
        let key = self.options.prefix.key("any-count");
        let counts: Vec<String> = self.counts.iter().map(ToString::to_string).collect();
        Admission::new("nvtopo-gpu-count", &self.options)
            .comment(format!(
                "A pod asks for a number of {} that fits the NVLink groups: {}.",
                self.options.resource,
                counts.join(", ")
            ))
            .comment("It judges each container by itself, as the kubelet allocates for each.")
            .comment(format!("A pod with the annotation {key} is let through."))
            .validation(
                "variables.exempt || variables.asks.all(gpus, gpus == 0 || \
                 (',' + params.data['gpuCounts'] + ',').contains(',' + string(gpus) + ','))",
                "'the number of GPUs of a container does not fit the NVLink groups of the nodes; use one of ' + \
                 params.data['gpuCounts']",
            )
            .variable("exempt", &annotated(&key))
    }

    /// More GPUs than one NVLink group has, and claims of devices, are for named service accounts.
    fn alignment_policy(&self) -> Admission {
        Admission::new("nvtopo-gpu-alignment", &self.options)
            .comment(format!(
                "More than {} GPUs, which is more than one NVLink group, and claims of devices are for the service accounts \
                 in the parameter 'allowed'. Without an entry there, they are for all.",
                self.group
            ))
            .comment("Claims are judged as the pod names them, and as extended resources of device classes (from 1.36).")
            .variable(
                "account",
                "has(object.spec.serviceAccountName) && object.spec.serviceAccountName != '' ? \
                 object.spec.serviceAccountName : 'default'",
            )
            .variable(
                "known",
                "params.data['allowed'] == '' || \
                 (',' + params.data['allowed'] + ',').contains(',' + request.namespace + '/*,') || \
                 (',' + params.data['allowed'] + ',').contains(',' + request.namespace + '/' + variables.account + ',')",
            )
            .validation(
                "variables.known || variables.asks.all(gpus, gpus <= int(params.data['nvlinkGroupSize']))",
                "'more GPUs than an NVLink group has (' + params.data['nvlinkGroupSize'] + ') are not for the service \
                 account ' + request.namespace + '/' + variables.account",
            )
            .variable(
                "claims",
                "(has(object.spec.resourceClaims) && size(object.spec.resourceClaims) > 0) || \
                 variables.containers.exists(c, has(c.resources) && has(c.resources.limits) && \
                 c.resources.limits.exists(name, name.startsWith('deviceclass.resource.kubernetes.io/')))",
            )
            .validation(
                "variables.known || !variables.claims",
                "'claims of devices are not for the service account ' + request.namespace + '/' + variables.account",
            )
    }

    /// No way around the device plugin that a pod's specification shows.
    fn device_policy(&self) -> Admission {
        let prefixes = self.options.rdma.iter().map(|prefix| format!("name.startsWith('{prefix}')"));
        let prefixes = prefixes.collect::<Vec<_>>().join(" || ");
        let rdma = if prefixes.is_empty() { "false" } else { &prefixes };
        let rdma = format!(
            "variables.containers.exists(c, has(c.resources) && has(c.resources.limits) && \
             c.resources.limits.exists(name, {rdma}))"
        );
        Admission::new("nvtopo-gpu-devices", &self.options)
            .without_parameters()
            .comment("A pod gets GPUs and RDMA devices from the device plugin or a claim, and in no other way.")
            .comment("It cannot close these: NVIDIA_VISIBLE_DEVICES in an image, which the container runtime obeys unless")
            .comment("accept-nvidia-visible-devices-envvar-when-unprivileged = false is set on the node; privileged pods,")
            .comment("which see every device (Pod Security 'restricted' or 'baseline' refuses them); variables from a")
            .comment("ConfigMap or a Secret (envFrom), which are not seen here; and containers that are added to a running")
            .comment("pod, unless the subresource ephemeralcontainers is closed by RBAC.")
            .variable("rdma", &rdma)
            .validation(
                "!variables.containers.exists(c, has(c.env) && c.env.exists(e, e.name in \
                 ['NVIDIA_VISIBLE_DEVICES', 'CUDA_VISIBLE_DEVICES']))",
                "'NVIDIA_VISIBLE_DEVICES and CUDA_VISIBLE_DEVICES are set by the device plugin, never by hand'",
            )
            .validation(
                "!has(object.spec.volumes) || !object.spec.volumes.exists(v, has(v.hostPath) && \
                 v.hostPath.path.matches('^(/+[.]?)*$|^(/+[.]?)*/+(dev|proc)(/.*)?$') && \
                 !v.hostPath.path.matches('^/+dev/+shm/*$'))",
                "'devices are not mounted from the host: ask for them as resources'",
            )
            .validation(
                "!variables.containers.exists(c, has(c.volumeMounts) && c.volumeMounts.exists(m, \
                 m.mountPath.matches('^/+var/+run/+nvidia-container-devices')))",
                "'GPUs are not asked for by mounts: ask for them as resources'",
            )
            .validation(
                "!variables.rdma || !has(object.spec.hostNetwork) || !object.spec.hostNetwork",
                "'a pod with RDMA devices of its own does not use the network of the host'",
            )
    }

    fn parameters(&self) -> Result<String> {
        let counts: Vec<String> = self.counts.iter().map(ToString::to_string).collect();
        let object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": admission::PARAMETERS, "namespace": self.options.namespace },
            "data": {
                "allowed": self.options.allowed.join(","),
                "gpuCounts": counts.join(","),
                "nvlinkGroupSize": self.group.to_string(),
            },
        });
        let comment = [
            "The parameters of the policies: lists with commas, without spaces.".to_owned(),
            "Who may change it may change the policies. Apply it first: without it they deny all pods."
                .to_owned(),
        ];
        yaml::object::<k8s_openapi::api::core::v1::ConfigMap>(&comment, &object)
    }

    fn quota(&self) -> Result<Option<String>> {
        let Some(quota) = self.options.quota else { return Ok(None) };
        let object = json!({
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": { "name": "nvtopo-gpus", "namespace": self.options.namespace },
            "spec": { "hard": {
                format!("requests.{}", self.options.resource): quota.to_string(),
                format!("requests.deviceclass.resource.kubernetes.io/{}", self.options.class): quota.to_string(),
                format!("{}.deviceclass.resource.k8s.io/devices", self.options.class): quota.to_string(),
            } },
        });
        let comment = [
            "The most GPUs of the namespace: by the device plugin, by the device class as a resource, by claims.".to_owned(),
            "Where a driver serves extended resources by claims (from 1.36), such a GPU counts in each of them.".to_owned(),
            format!("A node has {}. It is per namespace, and never per NVLink group.", self.gpus),
        ];
        yaml::object::<k8s_openapi::api::core::v1::ResourceQuota>(&comment, &object).map(Some)
    }
}

/// The expression that tells whether an annotation is set.
fn annotated(key: &str) -> String {
    format!("has(object.metadata.annotations) && '{key}' in object.metadata.annotations")
}

/// The divisors of each group, and each number of whole groups of one size.
fn counts(sizes: &[usize], gpus: usize) -> Vec<usize> {
    let mut counts: BTreeSet<usize> = BTreeSet::from([gpus]);
    for size in sizes {
        counts.extend((1..=*size).filter(|part| size.is_multiple_of(*part)));
        let alike = sizes.iter().filter(|other| *other == size).count();
        counts.extend((1..=alike).map(|groups| groups * size));
    }
    counts.into_iter().collect()
}

/// The rights that writing `NodeFeature` objects needs, and no more.
fn rights() -> Result<Vec<String>> {
    let account = json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": { "name": "nvtopo", "namespace": "node-feature-discovery" },
        "automountServiceAccountToken": false,
    });
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": { "name": "nvtopo", "namespace": "node-feature-discovery" },
        "rules": [{
            "apiGroups": ["nfd.k8s-sigs.io"],
            "resources": ["nodefeatures"],
            "verbs": ["create", "get", "update", "patch"],
        }],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": { "name": "nvtopo", "namespace": "node-feature-discovery" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "nvtopo" },
        "subjects": [{ "kind": "ServiceAccount", "name": "nvtopo", "namespace": "node-feature-discovery" }],
    });
    let comment = [
        "The rights to write NodeFeature objects, where labels are not written as feature files, which need none.".to_owned(),
        "None on nodes themselves is needed: Node Feature Discovery sets the labels.".to_owned(),
    ];
    Ok(vec![
        yaml::object::<k8s_openapi::api::core::v1::ServiceAccount>(&comment, &account)?,
        yaml::object::<k8s_openapi::api::rbac::v1::Role>(&[], &role)?,
        yaml::object::<k8s_openapi::api::rbac::v1::RoleBinding>(&[], &binding)?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use nvtopo::source::PRESETS;

    #[test]
    fn counts_leave_groups_whole() {
        for (sizes, gpus, wanted) in [
            (&[8][..], 8, &[1, 2, 4, 8][..]),
            (&[2, 2], 4, &[1, 2, 4]),
            (&[4, 4], 8, &[1, 2, 4, 8]),
            (&[6], 6, &[1, 2, 3, 6]),
            (&[1, 1, 1], 3, &[1, 2, 3]),
            (&[2, 2, 2, 2], 8, &[1, 2, 4, 6, 8]),
            (&[2, 1], 3, &[1, 2, 3]),
            (&[4, 2, 2], 8, &[1, 2, 4, 8]),
        ] {
            assert_eq!(counts(sizes, gpus), wanted, "{sizes:?}");
        }
    }

    #[test]
    fn every_preset_has_policies_and_names_are_checked() {
        for preset in PRESETS {
            let node = Topology::preset(preset.name).unwrap();
            let mut options = PolicyOptions { quota: Some(8), ..PolicyOptions::default() };
            let objects = Policies::of(&node, &options).unwrap().objects().unwrap();
            let read: Vec<serde_json::Value> = yaml::read("policies", &objects).unwrap();
            assert!(read.len() >= 11, "{}: {objects}", preset.name);
            for bad in ["", "Train", "a_b", "a/b"] {
                options.namespace = bad.to_owned();
                assert!(Policies::of(&node, &options).is_err(), "{bad}");
            }
        }
        let node = Topology::preset("dgx-h100").unwrap();
        for bad in ["train", "train/", "/x", "Train/*", "a/*/b", "x/,y"] {
            let options = PolicyOptions { allowed: vec![bad.to_owned()], ..PolicyOptions::default() };
            assert!(Policies::of(&node, &options).is_err(), "{bad}");
        }
        for bad in ["", "rdma'/", "a b", "/"] {
            let options = PolicyOptions { rdma: vec![bad.to_owned()], ..PolicyOptions::default() };
            assert!(Policies::of(&node, &options).is_err(), "{bad}");
        }
        let unknown = Topology::parse("text", b"\tGPU0\tGPU1\nGPU0\t X \tSYS\nGPU1\tSYS\t X \n").unwrap();
        assert!(Policies::of(&unknown, &PolicyOptions::default()).is_err());
    }

    #[test]
    fn networks_follow_from_the_nics_beside_gpus() {
        for (layer, kind, network, link) in [
            ("infiniband", "nvtopo_infiniband", "SriovIBNetwork", "IB"),
            ("ethernet", "nvtopo_ethernet", "SriovNetwork", "ETH"),
        ] {
            let preset = Topology::preset("dgx-h100").unwrap().to_json();
            let mut document: serde_json::Value = serde_json::from_str(&preset).unwrap();
            for (at, node) in document["topology"]["nodes"].as_array_mut().unwrap().iter_mut().enumerate() {
                if let Some(nic) = node.get_mut("nic") {
                    nic["link_layer"] = layer.into();
                    nic["address"] = format!("{at:04x}:01:00.0").into();
                }
            }
            let node = Topology::parse("nics.json", document.to_string().as_bytes()).unwrap();
            let text = Policies::of(&node, &PolicyOptions::default()).unwrap().objects().unwrap();
            let read: Vec<serde_json::Value> = yaml::read("policies", &text).unwrap();
            let of = |kind: &str| read.iter().find(|object| object["kind"] == kind).unwrap();
            let policy = &of("SriovNetworkNodePolicy")["spec"];
            // One NIC for each GPU, and not those for storage.
            assert_eq!(policy["nicSelector"]["rootDevices"].as_array().unwrap().len(), 8, "{text}");
            assert_eq!((&policy["numVfs"], &policy["linkType"]), (&1.into(), &link.into()));
            assert!(policy["nodeSelector"]["nvtopo.io/topology.fingerprint"].is_string(), "{text}");
            assert_eq!(of(network)["spec"]["resourceName"], kind);
            assert_eq!(of("NetworkPolicy")["spec"]["podSelector"]["matchLabels"]["nvtopo.io/rdma"], "true");
        }
        let node = Topology::preset("dgx-h100").unwrap();
        let text = Policies::of(&node, &PolicyOptions::default()).unwrap().objects().unwrap();
        assert!(
            text.contains("No network for RDMA is made") && !text.contains("kind: NetworkPolicy"),
            "{text}"
        );
    }
}
