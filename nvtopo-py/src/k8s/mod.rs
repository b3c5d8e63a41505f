//! The functions of `nvtopo.k8s`: labels, pods and policies for a node.

mod claims;
mod kubelet;

pub(crate) use claims::{k8s_claims, k8s_claims_check, k8s_playbook, k8s_resource_topology, k8s_taints};
pub(crate) use kubelet::{
    k8s_kubelet_config, k8s_kubelet_lint, k8s_kubelet_predict, k8s_kubelet_predict_mix,
};

use crate::call;
use crate::topology::Topology;
use nvtopo_k8s::labels::{LabelOptions, Labels};
use nvtopo_k8s::pod::{Gpus, PodOptions};
use nvtopo_k8s::policies::{Policies, PolicyOptions};
use pyo3::prelude::*;
use std::collections::BTreeMap;

/// A document of JSON as Python's values.
fn parsed<'py>(py: Python<'py>, json: &str) -> PyResult<Bound<'py, PyAny>> {
    py.import("json")?.call_method1("loads", (json,))
}

/// Returns the labels of a node of Kubernetes: NVLink groups, NUMA layout, NICs, and a fingerprint that nodes of equal structure
/// share.
///
/// Args:
///     topology: the node.
///     prefix: what stands before each name: a namespace and a slash, the beginning of names ("gpu"), or both.
///     per_gpu: labels of each GPU too.
///
/// Labels whose facts are unknown are left out.
///
/// Raises InvalidRequestError for a prefix that Kubernetes or Node Feature Discovery refuses.
///
/// >>> import nvtopo, nvtopo.k8s
/// >>> nvtopo.k8s.labels(nvtopo.preset("rtx-a6000-4-bridged"))["nvtopo.io/nvlink.group"]
/// '2_2'
#[pyfunction]
#[pyo3(signature = (topology, *, prefix="nvtopo.io/", per_gpu=false))]
pub(crate) fn k8s_labels(
    py: Python<'_>,
    topology: &Topology,
    prefix: &str,
    per_gpu: bool,
) -> PyResult<BTreeMap<String, String>> {
    call(py, || {
        let options = LabelOptions::default().prefix(prefix.parse()?).per_gpu(per_gpu);
        let labels = Labels::of(&topology.0, &options);
        Ok(labels.iter().map(|(key, value)| (key, value.to_owned())).collect())
    })
}

/// Returns a pod for a job of some GPUs on nodes like one, as YAML: of the class Guaranteed, with whole CPUs, and on nodes
/// whose labels say that they fit.
///
/// Args:
///     topology: the node.
///     gpus: how many GPUs.
///     name: the pod's name.
///     image: the image of its container.
///     claim: the ResourceClaimTemplate that its GPUs are claimed by (DRA). None: a device plugin gives them.
///     cpus_per_gpu: CPUs for each GPU. None: the GPU's share of the machine.
///     memory_per_gpu: bytes for each GPU. None: three quarters of what is beside it.
///     rdma: the extended resource of RDMA devices, of which the pod gets one for each GPU.
///     version: the version of Kubernetes.
///
/// Raises UnsatisfiableError where there are not so many GPUs, or neither the topology nor the arguments tell the CPUs or the
/// memory.
///
/// >>> import nvtopo, nvtopo.k8s
/// >>> pod = nvtopo.k8s.pod(nvtopo.preset("dgx-h100"), 4, name="train", image="train:1", memory_per_gpu=200 << 30)
/// >>> 'nvidia.com/gpu: "4"' in pod
/// True
#[pyfunction]
#[pyo3(signature = (topology, gpus, *, name, image, claim=None, cpus_per_gpu=None, memory_per_gpu=None, rdma=None, version="1.37"))]
#[allow(clippy::too_many_arguments, reason = "keywords in Python")]
pub(crate) fn k8s_pod(
    py: Python<'_>,
    topology: &Topology,
    gpus: usize,
    name: &str,
    image: &str,
    claim: Option<String>,
    cpus_per_gpu: Option<usize>,
    memory_per_gpu: Option<u64>,
    rdma: Option<String>,
    version: &str,
) -> PyResult<String> {
    call(py, || {
        let mut options = PodOptions::new(name, image);
        if let Some(template) = claim {
            options.by = Gpus::Claim(template);
        }
        options.cpus_per_gpu = cpus_per_gpu;
        options.memory_per_gpu = memory_per_gpu;
        options.rdma = rdma;
        options.version = version.parse()?;
        nvtopo_k8s::pod::pod(&topology.0, gpus, &options)
    })
}

/// Returns admission policies, a quota, rights and networks for nodes like one, as YAML documents.
///
/// Args:
///     topology: the node.
///     namespace: the namespace that they are for.
///     allow: who may ask for more GPUs than one NVLink group has, or for claims: "NAMESPACE/SERVICEACCOUNT" or
///         "NAMESPACE/*". Empty: all.
///     quota: the most GPUs that the namespace may ask for.
///
/// Raises UnsatisfiableError for a node without GPUs or of unknown NVLinks, and InvalidRequestError for names that Kubernetes
/// refuses.
///
/// >>> import nvtopo, nvtopo.k8s
/// >>> policies = nvtopo.k8s.policies(nvtopo.preset("dgx-h100"), namespace="train", quota=16)
/// >>> "gpuCounts: 1,2,4,8" in policies
/// True
#[pyfunction]
#[pyo3(
    signature = (topology, *, namespace="default", allow=Vec::new(), quota=None),
    text_signature = "(topology, *, namespace='default', allow=(), quota=None)"
)]
pub(crate) fn k8s_policies(
    py: Python<'_>,
    topology: &Topology,
    namespace: &str,
    allow: Vec<String>,
    quota: Option<u64>,
) -> PyResult<String> {
    call(py, || {
        let mut options = PolicyOptions::default();
        namespace.clone_into(&mut options.namespace);
        options.allowed = allow;
        options.quota = quota;
        Policies::of(&topology.0, &options)?.objects()
    })
}
