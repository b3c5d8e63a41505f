//! The functions about the kubelet: its configuration, what is wrong with one, and what it does with pods.

use super::parsed;
use crate::call;
use crate::topology::Topology;
use nvtopo::{Bytes, Result};
use nvtopo_k8s::kubelet::config::{ConfigOptions, KubeletConfig};
use nvtopo_k8s::kubelet::lint::{LintOptions, lint};
use nvtopo_k8s::kubelet::predict::{Plugin, Pod, Setup, USUAL_LIMIT};
use pyo3::prelude::*;
use std::collections::BTreeMap;

/// Returns the configuration of the kubelet for a node, as YAML, with the reason above each line. Unknown settings are left
/// out, with the reason.
///
/// Args:
///     topology: the node.
///     version: the version of Kubernetes.
///     reserved_cores: cores for the system. None: one in 16, and at least one of each socket.
///     reserved_memory: bytes for the system and for eviction. None: by the size of the memory.
///     largest_pod: the GPUs of the largest pod. None: all.
///     hugepages: huge pages on each NUMA node, such as "2M:1024".
///     isolated_cores: cores that the kernel keeps out of scheduling, for programs outside Kubernetes.
///     alpha: options that are alpha in this version too, with their gates.
///
/// Raises UnsatisfiableError where so much cannot be reserved.
///
/// >>> import nvtopo, nvtopo.k8s
/// >>> config = nvtopo.k8s.kubelet_config(nvtopo.preset("dgx-h100"), version="1.34")
/// >>> "cpuManagerPolicy: static" in config
/// True
#[pyfunction]
#[pyo3(
    signature = (topology, *, version="1.37", reserved_cores=None, reserved_memory=None, largest_pod=None, hugepages=Vec::new(), isolated_cores=0, alpha=false),
    text_signature = "(topology, *, version='1.37', reserved_cores=None, reserved_memory=None, largest_pod=None, hugepages=(), isolated_cores=0, alpha=False)"
)]
#[allow(clippy::needless_pass_by_value, clippy::too_many_arguments, reason = "keywords in Python")]
pub(crate) fn k8s_kubelet_config(
    py: Python<'_>,
    topology: &Topology,
    version: &str,
    reserved_cores: Option<usize>,
    reserved_memory: Option<u64>,
    largest_pod: Option<usize>,
    hugepages: Vec<String>,
    isolated_cores: usize,
    alpha: bool,
) -> PyResult<String> {
    call(py, || {
        let pages = hugepages.iter().map(|text| text.parse()).collect::<Result<Vec<_>>>()?;
        let mut options = ConfigOptions::default()
            .version(version.parse()?)
            .huge_pages(pages)
            .isolated_cores(isolated_cores)
            .alpha(alpha);
        options.reserved_cores = reserved_cores;
        options.reserved_memory = reserved_memory.map(Bytes);
        options.largest_pod = largest_pod;
        Ok(KubeletConfig::of(&topology.0, &options)?.to_yaml())
    })
}

/// Checks a configuration of the kubelet, beyond what the kubelet's own validation refuses. Returns the document of
/// `nvtopo k8s kubelet lint --json`, with a list of findings.
///
/// Args:
///     config: the text of the file.
///     topology: the node that it is for. None: what depends on the node is not judged.
///     version: the version of Kubernetes.
///     largest_pod: the GPUs of the largest pod. None: all of the node.
///     name: the file's name in errors.
///
/// Raises InvalidInputError for what is no YAML, with the place.
///
/// >>> import nvtopo.k8s
/// >>> found = nvtopo.k8s.kubelet_lint("kind: KubeletConfiguration\ncpuManagerPolcy: static\n")
/// >>> found["findings"][-1]["help"]
/// 'did you mean cpuManagerPolicy?'
#[pyfunction]
#[pyo3(signature = (config, topology=None, *, version="1.37", largest_pod=None, name="kubelet.yaml"))]
pub(crate) fn k8s_kubelet_lint<'py>(
    py: Python<'py>,
    config: &str,
    topology: Option<&Topology>,
    version: &str,
    largest_pod: Option<usize>,
    name: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let topology = topology.map(|topology| &topology.0);
    let json = call(py, || {
        let mut options = LintOptions::default().version(version.parse()?);
        options.topology = topology;
        options.largest_pod = largest_pod;
        Ok(lint(name, config, &options)?.to_json())
    })?;
    parsed(py, &json)
}

/// The kubelet that the keywords of both predictions describe.
fn setup(
    config: Option<&str>,
    version: &str,
    (policy, scope): (Option<&str>, Option<&str>),
    taken: &str,
    linked: bool,
) -> Result<Setup> {
    let setup = match config {
        Some(text) => Setup::from_config("config", text)?,
        None => Setup::default(),
    };
    Ok(setup
        .version(version.parse()?)
        .plugin(if linked { Plugin::Linked } else { Plugin::Silent })
        .policy(policy.map(str::parse).transpose()?)
        .scope(scope.map(str::parse).transpose()?)
        .taken(taken.parse()?))
}

/// Predicts what the kubelet does with a pod: admit it, refuse it, or admit it with GPUs that are not linked, and what to
/// choose instead. Returns the document of `nvtopo k8s kubelet predict --json`.
///
/// Args:
///     topology: the node, with its CPUs.
///     pod: the pod, as YAML or JSON.
///     config: the text of the kubelet's configuration. None: a static CPU manager, and each policy and scope.
///     version: the version of Kubernetes.
///     policy: the policy of the topology manager, before that of the configuration.
///     scope: its scope: "container" or "pod".
///     taken: GPUs, and CPUs behind a slash, that are taken: "0,3/8-15".
///     states: texts of the kubelet's checkpoint files by their names.
///     devices: the devices behind extended resources: "gpus", "nics", or names with commas.
///     linked: the device plugin prefers linked GPUs where it is asked. False: the kubelet takes any.
///
/// Raises InvalidInputError for what is no pod or no configuration, and UnsatisfiableError where the kubelet would not start.
///
/// >>> import nvtopo, nvtopo.k8s
/// >>> node = nvtopo.preset("dgx-h100")
/// >>> pod = nvtopo.k8s.pod(node, 4, name="a", image="b", memory_per_gpu=1 << 30)
/// >>> report = nvtopo.k8s.kubelet_predict(node, pod, policy="restricted", taken="0,1,4,5")
/// >>> report["predictions"][0]["reason"]
/// 'TopologyAffinityError'
#[pyfunction]
#[pyo3(
    signature = (topology, pod, *, config=None, version="1.37", policy=None, scope=None, taken="", states=BTreeMap::new(), devices=BTreeMap::new(), linked=true),
    text_signature = "(topology, pod, *, config=None, version='1.37', policy=None, scope=None, taken='', states={}, devices={}, linked=True)"
)]
#[allow(clippy::needless_pass_by_value, clippy::too_many_arguments, reason = "keywords in Python")]
pub(crate) fn k8s_kubelet_predict<'py>(
    py: Python<'py>,
    topology: &Topology,
    pod: &str,
    config: Option<&str>,
    version: &str,
    policy: Option<&str>,
    scope: Option<&str>,
    taken: &str,
    states: BTreeMap<String, String>,
    devices: BTreeMap<String, String>,
    linked: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let topology = &topology.0;
    let json = call(py, || {
        let mut setup = setup(config, version, (policy, scope), taken, linked)?;
        for (resource, devices) in &devices {
            setup = setup.devices(resource, devices)?;
        }
        for (name, text) in &states {
            setup = setup.checkpoint(name, text)?;
        }
        Ok(setup.report(topology, &Pod::from_yaml("pod", pod)?)?.to_json())
    })?;
    parsed(py, &json)
}

/// Finds out whether a mix of pods can bring a node to a state in which the kubelet refuses, again and again, what the
/// scheduler sends, and the steps that lead there. Returns the document of `nvtopo k8s kubelet predict --mix … --json`.
///
/// Args:
///     topology: the node, with its CPUs.
///     mix: the sizes in GPUs with their weights, "1:.5,4:.3,8:.2".
///     cpus_per_gpu: CPUs of a pod for each GPU. 0: the pods are not Guaranteed.
///     states: the most states of the node that are walked through.
///     config: the text of the kubelet's configuration. None: a static CPU manager, and each policy.
///     version: the version of Kubernetes.
///     policy: the policy of the topology manager, before that of the configuration.
///     taken: GPUs, and CPUs behind a slash, that are taken: "0,3/8-15".
///     linked: the device plugin prefers linked GPUs where it is asked. False: the kubelet takes any.
///
/// Raises InvalidRequestError for what is no mix, and UnsatisfiableError where the kubelet would not start.
///
/// >>> import nvtopo, nvtopo.k8s
/// >>> report = nvtopo.k8s.kubelet_predict_mix(nvtopo.preset("dgx-h100"), "1:.5,4:.5", policy="restricted")
/// >>> report["outcomes"][0]["policy"]
/// 'restricted'
#[pyfunction]
#[pyo3(
    signature = (topology, mix, *, cpus_per_gpu=0, states=USUAL_LIMIT, config=None, version="1.37", policy=None, taken="", linked=true),
    text_signature = "(topology, mix, *, cpus_per_gpu=0, states=20000, config=None, version='1.37', policy=None, taken='', linked=True)"
)]
#[allow(clippy::too_many_arguments, reason = "keywords in Python")]
pub(crate) fn k8s_kubelet_predict_mix<'py>(
    py: Python<'py>,
    topology: &Topology,
    mix: &str,
    cpus_per_gpu: u64,
    states: usize,
    config: Option<&str>,
    version: &str,
    policy: Option<&str>,
    taken: &str,
    linked: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let topology = &topology.0;
    let json = call(py, || {
        let setup = setup(config, version, (policy, None), taken, linked)?;
        Ok(setup.mix(topology, &mix.parse()?, cpus_per_gpu, states)?.to_json())
    })?;
    parsed(py, &json)
}
