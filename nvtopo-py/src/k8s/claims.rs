//! The functions about Dynamic Resource Allocation, and about the node as objects.

use crate::topology::Topology;
use crate::{call, indices_of};
use nvtopo::{PciAddress, Result};
use nvtopo_k8s::claims::{
    AllowedSets, CheckOptions, Checked, ClaimOptions, Claims, Outcome, TaintOptions, Verdict, check, taints,
};
use nvtopo_k8s::playbook::{Playbook, PlaybookOptions};
use nvtopo_k8s::resource_topology::{ResourceTopologyOptions, resource_topology};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use std::collections::BTreeMap;

fn read(addresses: &[String]) -> Result<Vec<PciAddress>> {
    addresses.iter().map(|text| text.parse()).collect()
}

/// Returns a ResourceClaimTemplate for some GPUs, as YAML: up to eight sets of linked GPUs by their PCI addresses, the best first.
///
/// Args:
///     topology: a node of those that the claim is for.
///     gpus: how many GPUs.
///     version: the version of Kubernetes, 1.32 or later.
///     name: the template's name. None: gpus- and the number.
///     device_class: the device class of the GPUs.
///     objectives: what counts, most important first.
///     allowed: the text of a table of sets that may be used, one a line.
///     any: any GPUs as the last alternative.
///     rdma: an RDMA NIC for each GPU too, from dranet.
///     cpus_per_gpu: CPUs beside each GPU too, from dra-driver-cpu.
///     derived: derived attributes, an alpha of 1.37, in place of alternatives.
///     device_classes: examples of the device classes too.
///     addresses: the PCI addresses of the GPUs by index, where the topology has none.
///     others: other nodes that the claim is for, by name: they are checked to have the same GPUs at the same addresses.
///
/// Raises UnsatisfiableError where there are not so many GPUs, their addresses are unknown, or nodes differ.
///
/// >>> import nvtopo, nvtopo.k8s
/// >>> claim = nvtopo.k8s.claims(nvtopo.preset("dgx-a100"), 2, version="1.34")
/// >>> "firstAvailable:" in claim
/// True
#[pyfunction]
#[pyo3(
    signature = (topology, gpus, *, version="1.37", name=None, device_class="gpu.nvidia.com", objectives=Vec::new(), allowed=None, any=false, rdma=false, cpus_per_gpu=None, derived=false, device_classes=false, addresses=Vec::new(), others=BTreeMap::new()),
    text_signature = "(topology, gpus, *, version='1.37', name=None, device_class='gpu.nvidia.com', objectives=(), allowed=None, any=False, rdma=False, cpus_per_gpu=None, derived=False, device_classes=False, addresses=(), others={})"
)]
#[allow(
    clippy::needless_pass_by_value,
    clippy::too_many_arguments,
    clippy::fn_params_excessive_bools,
    reason = "keywords in Python"
)]
pub(crate) fn k8s_claims(
    py: Python<'_>,
    topology: &Topology,
    gpus: usize,
    version: &str,
    name: Option<String>,
    device_class: &str,
    objectives: Vec<String>,
    allowed: Option<&str>,
    any: bool,
    rdma: bool,
    cpus_per_gpu: Option<usize>,
    derived: bool,
    device_classes: bool,
    addresses: Vec<String>,
    others: BTreeMap<String, PyRef<'_, Topology>>,
) -> PyResult<String> {
    let mut machines = vec![("topology".to_owned(), &topology.0)];
    machines.extend(others.iter().map(|(name, other)| (name.clone(), &other.0)));
    call(py, || {
        let mut options = ClaimOptions::gpus(gpus).version(version.parse()?);
        options.name = name;
        device_class.clone_into(&mut options.class);
        options.objectives = objectives;
        options.allowed = allowed.map(|text| AllowedSets::read("allowed", text)).transpose()?;
        options.any = any;
        options.rdma = rdma;
        options.cpus_per_gpu = cpus_per_gpu;
        options.derived = derived;
        options.device_classes = device_classes;
        options.addresses = read(&addresses)?;
        Ok(Claims::of(&machines, &options)?.yaml().to_owned())
    })
}

/// Predicts which devices the scheduler gives to claims, whether better ones exist, and what breaks them: a dict for each
/// claim with its name ("claim"), the "devices" that it is given, each with "request", "driver", "pool", "name" and the index
/// of the "gpu"; the "reasons" why it is given none; whether these GPUs are the "best" (None: unknown), or which are "better",
/// and "why"; and "remarks".
///
/// Args:
///     claims: a text of claims, or of templates of them.
///     objects: texts of slices, classes and other claims, as kubectl prints them, beside those that the first text has.
///     topology: the node, to tell whether there are better GPUs.
///     version: the version of Kubernetes.
///     node: the node's name; needed where the slices are of several.
///     taken: devices that others have: "gpu-0", or "gpu.nvidia.com/POOL/gpu-0".
///     only: check only the claims of these names.
///     list_attributes: the gate DRAListTypeAttributes is on.
///     addresses: the PCI addresses of the GPUs by index, where the topology has none.
///
/// Raises InvalidInputError for texts that are no such objects.
#[pyfunction]
#[pyo3(
    signature = (claims, objects=Vec::new(), topology=None, *, version="1.37", node=None, taken=Vec::new(), only=Vec::new(), list_attributes=false, addresses=Vec::new()),
    text_signature = "(claims, objects=(), topology=None, *, version='1.37', node=None, taken=(), only=(), list_attributes=False, addresses=())"
)]
#[allow(clippy::needless_pass_by_value, clippy::too_many_arguments, reason = "keywords in Python")]
pub(crate) fn k8s_claims_check<'py>(
    py: Python<'py>,
    claims: &str,
    objects: Vec<String>,
    topology: Option<&Topology>,
    version: &str,
    node: Option<String>,
    taken: Vec<String>,
    only: Vec<String>,
    list_attributes: bool,
    addresses: Vec<String>,
) -> PyResult<Bound<'py, PyList>> {
    let topology = topology.map(|topology| &topology.0);
    let checked = call(py, || {
        let mut options = CheckOptions::default();
        options.version = version.parse()?;
        options.node = node;
        options.taken = taken;
        options.only = only;
        options.list_attributes = list_attributes;
        options.addresses = read(&addresses)?;
        let objects: Vec<(&str, &str)> = objects.iter().map(|text| ("objects", text.as_str())).collect();
        check(("claims", claims), &objects, topology, &options)
    })?;
    let indices = |positions: &[usize]| topology.map(|topology| indices_of(topology, positions));
    let list = PyList::empty(py);
    for claim in &checked.claims {
        list.append(of_claim(py, claim, &indices)?)?;
    }
    Ok(list)
}

fn of_claim<'py>(
    py: Python<'py>,
    claim: &Checked,
    indices: &dyn Fn(&[usize]) -> Option<Vec<u32>>,
) -> PyResult<Bound<'py, PyDict>> {
    let told = PyDict::new(py);
    told.set_item("claim", &claim.claim)?;
    let (mut devices, mut reasons) = (Vec::new(), Vec::new());
    match &claim.outcome {
        Outcome::Given(given) => {
            for given in given {
                let device = PyDict::new(py);
                let [driver, pool, name] = &given.device;
                for (key, value) in
                    [("request", &given.request), ("driver", driver), ("pool", pool), ("name", name)]
                {
                    device.set_item(key, value)?;
                }
                let gpu = given.gpu.and_then(|gpu| indices(&[gpu])?.first().copied());
                device.set_item("gpu", gpu)?;
                devices.push(device);
            }
        }
        Outcome::Waits(why) => reasons.clone_from(why),
        Outcome::Broken(why) => reasons.push(why.clone()),
        Outcome::Unknown(why) => reasons.push(format!("what the scheduler does is not known here: {why}")),
        // The enumeration may grow.
        _ => {}
    }
    told.set_item("devices", devices)?;
    told.set_item("reasons", reasons)?;
    let (best, better, why) = match &claim.verdict {
        Some(Verdict::Best) => (Some(true), None, None),
        Some(Verdict::Better { gpus, why }) => (Some(false), indices(gpus), Some(why)),
        Some(Verdict::Unknown(why)) => (None, None, Some(why)),
        _ => (None, None, None),
    };
    told.set_item("best", best)?;
    told.set_item("better", better)?;
    told.set_item("why", why)?;
    told.set_item("remarks", &claim.remarks)?;
    Ok(told)
}

/// Returns proposed DeviceTaintRules for the GPUs of a node that have faults, such as lost NVLinks, as YAML; a comment where
/// none has.
///
/// Args:
///     topology: the node.
///     node: the node's name.
///     effect: "NoSchedule", or "NoExecute", which evicts pods as well.
///     slices: the text of the node's slices, which tell the devices' names.
///     version: the version of Kubernetes, 1.33 or later.
///
/// >>> import nvtopo, nvtopo.k8s
/// >>> nvtopo.k8s.taints(nvtopo.preset("dgx-a100"), "node-1")
/// '# No fault of a GPU is known.\n'
#[pyfunction]
#[pyo3(signature = (topology, node, *, effect="NoSchedule", slices=None, version="1.37"))]
pub(crate) fn k8s_taints(
    py: Python<'_>,
    topology: &Topology,
    node: &str,
    effect: &str,
    slices: Option<String>,
    version: &str,
) -> PyResult<String> {
    call(py, || {
        let mut options = TaintOptions::node(node);
        options.effect = effect.parse()?;
        options.slices = slices.map(|text| ("slices".to_owned(), text));
        options.version = version.parse()?;
        taints(&topology.0, &options)
    })
}

/// Returns a node as a NodeResourceTopology, as YAML: NUMA zones with their CPUs, memory, GPUs and NICs, and the costs between
/// them. It is to compare with what Node Feature Discovery publishes, not to apply.
///
/// Args:
///     topology: the node.
///     node: the node's name.
///     policy: the topology manager's policy on it.
///     scope: its scope.
///     reserved_cpus: CPUs that the kubelet keeps for the system, such as "0-1,64-65".
///     gpu_resource: the extended resource of the GPUs.
///     nic_resource: the extended resource of the NICs.
///
/// Raises UnsatisfiableError for a node whose NUMA nodes are unknown.
///
/// >>> import nvtopo, nvtopo.k8s
/// >>> "name: node-0" in nvtopo.k8s.resource_topology(nvtopo.preset("dgx-h100"), "n1")
/// True
#[pyfunction]
#[pyo3(signature = (topology, node, *, policy=None, scope=None, reserved_cpus="", gpu_resource="nvidia.com/gpu", nic_resource="rdma/nic"))]
#[allow(clippy::too_many_arguments, reason = "keywords in Python")]
pub(crate) fn k8s_resource_topology(
    py: Python<'_>,
    topology: &Topology,
    node: &str,
    policy: Option<&str>,
    scope: Option<&str>,
    reserved_cpus: &str,
    gpu_resource: &str,
    nic_resource: &str,
) -> PyResult<String> {
    call(py, || {
        let mut options = ResourceTopologyOptions::node(node);
        options.policy = policy.map(str::parse).transpose()?;
        options.scope = scope.map(str::parse).transpose()?;
        options.reserved = reserved_cpus.parse()?;
        gpu_resource.clone_into(&mut options.gpu_resource);
        nic_resource.clone_into(&mut options.nic_resource);
        resource_topology(&topology.0, &options)
    })
}

/// Returns the onboarding of a node as files by their names: labels, the kubelet's file, claims, policies, test pods, and a README that
/// says in which order to apply them, how to verify each step, and how to take it back.
///
/// Args:
///     topology: the node.
///     node: the node's name.
///     namespace: the namespace of the jobs.
///     image: the image of the test pods. None: one with nvidia-smi.
///     memory_per_gpu: bytes for each GPU of a test pod. None: three quarters of what is beside it, where that is known.
///     prefix: what stands before the name of each label.
///     version: the version of Kubernetes.
///     addresses: the PCI addresses of the GPUs by index, for claims, where the topology has none.
///
/// Raises InvalidRequestError for names that Kubernetes refuses, and UnsatisfiableError for a node without GPUs.
///
/// >>> import nvtopo, nvtopo.k8s
/// >>> sorted(nvtopo.k8s.playbook(nvtopo.preset("dgx-h100"), "node-1"))[:2]
/// ['1-labels.yaml', '2-kubelet.yaml']
#[pyfunction]
#[pyo3(
    signature = (topology, node, *, namespace="default", image=None, memory_per_gpu=None, prefix="nvtopo.io/", version="1.37", addresses=Vec::new()),
    text_signature = "(topology, node, *, namespace='default', image=None, memory_per_gpu=None, prefix='nvtopo.io/', version='1.37', addresses=())"
)]
#[allow(clippy::needless_pass_by_value, clippy::too_many_arguments, reason = "keywords in Python")]
pub(crate) fn k8s_playbook(
    py: Python<'_>,
    topology: &Topology,
    node: &str,
    namespace: &str,
    image: Option<String>,
    memory_per_gpu: Option<u64>,
    prefix: &str,
    version: &str,
    addresses: Vec<String>,
) -> PyResult<BTreeMap<String, String>> {
    call(py, || {
        let mut options = PlaybookOptions::new(node);
        namespace.clone_into(&mut options.namespace);
        if let Some(image) = image {
            options.image = image;
        }
        options.memory_per_gpu = memory_per_gpu;
        options.prefix = prefix.parse()?;
        options.version = version.parse()?;
        options.addresses = read(&addresses)?;
        let playbook = Playbook::of(&topology.0, &options)?;
        Ok(playbook.files().map(|(name, text)| (name.to_owned(), text.to_owned())).collect())
    })
}
