//! A pod as the kubelet's managers see it: containers with their requests, and the class of service.

use crate::quantity::Quantity;
use crate::yaml;
use k8s_openapi::api::core::v1 as core;
use nvtopo::{Error, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The most containers of a pod that are looked at.
const MOST_CONTAINERS: usize = 256;

/// A pod to predict the admission of.
///
/// ```
/// use nvtopo_k8s::kubelet::predict::Pod;
///
/// let pod = Pod::from_yaml("pod.yaml", "
/// apiVersion: v1
/// kind: Pod
/// metadata: {name: train}
/// spec:
///   containers:
///   - name: train
///     resources: {limits: {cpu: 8, memory: 64Gi, nvidia.com/gpu: 2}}
/// ")?;
/// assert!(pod.is_guaranteed());
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    pub(crate) name: String,
    /// First those that run before the others.
    pub(crate) containers: Vec<Container>,
    pub(crate) guaranteed: bool,
    /// Requests stand at the pod (`spec.resources`).
    pub(crate) whole_resources: bool,
    /// The names of its claims for devices.
    pub(crate) claims: Vec<String>,
}

/// One container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) requests: BTreeMap<String, Quantity>,
    pub(crate) limits: BTreeMap<String, Quantity>,
}

/// The kind of a container, by when it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Before the others: what it had is used again.
    Init,
    /// Started before the others, and running beside them.
    Sidecar,
    #[default]
    App,
}

/// The fields of a pod that matter here. Reading the API's whole type would make the program larger by megabytes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodFile {
    api_version: String,
    kind: String,
    #[serde(default)]
    metadata: MetadataFile,
    spec: Option<SpecFile>,
}

#[derive(Deserialize)]
struct HeadFile {
    kind: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MetadataFile {
    name: Option<String>,
    generate_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpecFile {
    containers: Vec<ContainerFile>,
    init_containers: Option<Vec<ContainerFile>>,
    resources: Option<core::ResourceRequirements>,
    resource_claims: Option<Vec<core::PodResourceClaim>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerFile {
    name: String,
    restart_policy: Option<String>,
    resources: Option<core::ResourceRequirements>,
}

impl PodFile {
    fn typed(&self, name: &str) -> Result<core::Pod> {
        if (self.api_version.as_str(), self.kind.as_str()) != ("v1", "Pod") {
            let message = format!("this is a {} of {}, and not a Pod of v1", self.kind, self.api_version);
            return Err(Error::input(message).in_input(name));
        }
        let containers = |files: &[ContainerFile]| -> Vec<core::Container> {
            let container = |file: &ContainerFile| core::Container {
                name: file.name.clone(),
                restart_policy: file.restart_policy.clone(),
                resources: file.resources.clone(),
                ..core::Container::default()
            };
            files.iter().map(container).collect()
        };
        let spec = self.spec.as_ref().map(|spec| core::PodSpec {
            containers: containers(&spec.containers),
            init_containers: spec.init_containers.as_deref().map(containers),
            resources: spec.resources.clone(),
            resource_claims: spec.resource_claims.clone(),
            ..core::PodSpec::default()
        });
        let mut pod = core::Pod { spec, ..core::Pod::default() };
        pod.metadata.name.clone_from(&self.metadata.name);
        pod.metadata.generate_name.clone_from(&self.metadata.generate_name);
        Ok(pod)
    }
}

/// Requests of a pod: the most that its containers need at a time.
fn most_at_a_time(containers: &[Container], of: impl Fn(&Container) -> u64) -> u64 {
    let (mut sidecars, mut init, mut apps) = (0_u64, 0_u64, 0_u64);
    for container in containers {
        let own = of(container);
        match container.kind {
            Kind::Sidecar => {
                sidecars = sidecars.saturating_add(own);
            }
            Kind::Init => init = init.max(sidecars.saturating_add(own)),
            Kind::App => apps = apps.saturating_add(own),
        }
    }
    init.max(apps.saturating_add(sidecars))
}

impl Pod {
    /// Reads a pod from YAML or JSON. Requests that are missing are those of the limits, as the API server sets them.
    ///
    /// Errors with the place for what is no pod.
    pub fn from_yaml(name: &str, text: &str) -> Result<Self> {
        // First: the rest of another kind would be complained of as that of a pod.
        let heads: Vec<HeadFile> = yaml::read(name, text)?;
        if let Some(kind) = heads.iter().filter_map(|head| head.kind.as_deref()).find(|kind| *kind != "Pod") {
            return Err(Error::input(format!("this is a {kind}, not a Pod")).in_input(name).help(
                "give a pod of it, as kubectl get pod -o yaml prints it, or its template with kind: Pod",
            ));
        }
        let pods: Vec<PodFile> = yaml::read(name, text)?;
        let [pod] = pods.as_slice() else {
            let message = format!("there are {} pods, and one is predicted at a time", pods.len());
            return Err(Error::input(message).in_input(name));
        };
        Self::of(&pod.typed(name)?).map_err(|error| error.in_input(name))
    }

    /// A pod of the API.
    ///
    /// Errors with [`InvalidInput`](nvtopo::ErrorKind::InvalidInput) for what the API server would not take.
    pub fn of(pod: &core::Pod) -> Result<Self> {
        let spec = pod.spec.as_ref().ok_or_else(|| Error::input("the pod has no spec"))?;
        let init = spec.init_containers.iter().flatten();
        let mut containers = Vec::new();
        for (container, early) in
            init.map(|one| (one, true)).chain(spec.containers.iter().map(|one| (one, false)))
        {
            let kind = match (early, container.restart_policy.as_deref()) {
                (false, _) => Kind::App,
                (true, Some("Always")) => Kind::Sidecar,
                (true, _) => Kind::Init,
            };
            containers.push(Container::of(container, kind)?);
        }
        if spec.containers.is_empty() || containers.len() > MOST_CONTAINERS {
            return Err(Error::input(format!("a pod has 1 to {MOST_CONTAINERS} containers here")));
        }
        let mut names: Vec<&str> = containers.iter().map(|container| container.name.as_str()).collect();
        names.sort_unstable();
        if let Some((twice, _)) = names.iter().zip(names.iter().skip(1)).find(|(a, b)| a == b) {
            return Err(Error::input(format!("two containers have the name {twice}")));
        }
        let at_pod = spec.resources.as_ref();
        let at_all = at_pod.is_some_and(|all| {
            [&all.requests, &all.limits].into_iter().flatten().any(|list| !list.is_empty())
        });
        let guaranteed = match at_pod.filter(|_| at_all) {
            Some(all) => {
                let (limits, mut requests) = (amounts(all.limits.as_ref())?, amounts(all.requests.as_ref())?);
                for (name, most) in &limits {
                    requests.entry(name.clone()).or_insert(*most);
                }
                is_guaranteed([(&requests, &limits)].into_iter())
            }
            None => is_guaranteed(containers.iter().map(|one| (&one.requests, &one.limits))),
        };
        Ok(Self {
            name: pod
                .metadata
                .name
                .clone()
                .or_else(|| pod.metadata.generate_name.clone())
                .unwrap_or_default(),
            containers,
            guaranteed,
            whole_resources: at_all,
            claims: spec.resource_claims.iter().flatten().map(|claim| claim.name.clone()).collect(),
        })
    }

    /// A pod of one container that asks for GPUs of the device plugin, and is Guaranteed where it asks for CPUs.
    pub fn gpus(count: u64, cpus: u64) -> Self {
        let whole = Quantity::of;
        let mut limits = BTreeMap::from([(super::GPU_RESOURCE.to_owned(), whole(count))]);
        if cpus > 0 {
            limits.extend([("cpu".to_owned(), whole(cpus)), ("memory".to_owned(), whole(1 << 30))]);
        }
        let name = format!("gpus-{count}");
        let container = Container { name: name.clone(), kind: Kind::App, requests: limits.clone(), limits };
        Self { name, containers: vec![container], guaranteed: cpus > 0, ..Self::default() }
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns true for the class of service Guaranteed: every container has limits for CPU and memory, and requests as much.
    pub fn is_guaranteed(&self) -> bool {
        self.guaranteed
    }

    /// The names of its claims for devices (DRA).
    pub fn claims(&self) -> &[String] {
        &self.claims
    }

    /// The CPUs that a container gets for itself: 0 where it is not Guaranteed, or asks for parts of one.
    pub(crate) fn exclusive_cpus(&self, container: &Container) -> u64 {
        let cpus = container.requests.get("cpu").copied().unwrap_or_default();
        if self.guaranteed && !self.whole_resources && cpus.is_whole() { cpus.value() } else { 0 }
    }

    pub(crate) fn all_exclusive_cpus(&self) -> u64 {
        most_at_a_time(&self.containers, |container| self.exclusive_cpus(container))
    }

    /// The bytes of each kind that the memory manager gives a container.
    pub(crate) fn memory(&self, container: &Container) -> BTreeMap<String, u64> {
        if !self.guaranteed || self.whole_resources {
            return BTreeMap::new();
        }
        let kept = container.requests.iter().filter(|(name, _)| is_memory(name));
        kept.map(|(name, amount)| (name.clone(), amount.value())).collect()
    }

    /// The memory of the pod. Resources that only init containers ask for are left out, as the kubelet does.
    pub(crate) fn all_memory(&self) -> BTreeMap<String, u64> {
        let apps = self.containers.iter().filter(|container| container.kind == Kind::App);
        let names: Vec<String> = apps.flat_map(|container| self.memory(container).into_keys()).collect();
        let most = |name: &String| {
            most_at_a_time(&self.containers, |one| self.memory(one).get(name).copied().unwrap_or(0))
        };
        names.into_iter().map(|name| (name.clone(), most(&name))).collect()
    }

    /// The number of an extended resource that the pod needs at a time.
    pub(crate) fn all_devices(&self, resource: &str) -> u64 {
        most_at_a_time(&self.containers, |container| container.devices(resource))
    }

    /// The extended resources that it asks for.
    pub(crate) fn extended(&self) -> Vec<String> {
        let all = self.containers.iter().flat_map(|container| container.limits.iter());
        let mut names: Vec<String> = all
            .filter(|(name, amount)| {
                name.contains('/') && !name.contains("kubernetes.io/") && !amount.is_zero()
            })
            .map(|(name, _)| name.clone())
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

impl Container {
    fn of(container: &core::Container, kind: Kind) -> Result<Self> {
        let resources = container.resources.as_ref();
        let within = |error: Error| {
            let message = format!("container {}: {}", container.name, error.message());
            let told = Error::input(message);
            match error.advice() {
                Some(advice) => told.help(advice),
                None => told,
            }
        };
        let limits = amounts(resources.and_then(|all| all.limits.as_ref())).map_err(within)?;
        let mut requests = amounts(resources.and_then(|all| all.requests.as_ref())).map_err(within)?;
        for (name, most) in &limits {
            requests.entry(name.clone()).or_insert(*most);
        }
        for (name, least) in &requests {
            let limit = limits.get(name);
            if limit.is_some_and(|most| most < least) {
                return Err(Error::input(format!(
                    "container {} requests more {name} than its limit",
                    container.name
                )));
            }
            if name.contains('/') && (limit != Some(least) || !least.is_whole()) {
                return Err(Error::input(format!(
                    "container {} asks for {name} in a way that the API server refuses",
                    container.name
                ))
                .help("give a whole number as the limit, and no other request"));
            }
        }
        Ok(Self { name: container.name.clone(), kind, requests, limits })
    }

    /// The number of an extended resource that it asks for.
    pub(crate) fn devices(&self, resource: &str) -> u64 {
        self.limits.get(resource).map_or(0, |amount| amount.value())
    }
}

fn is_memory(name: &str) -> bool {
    name == "memory" || name.starts_with("hugepages-")
}

type Amounts = BTreeMap<String, Quantity>;

fn amounts(
    list: Option<&BTreeMap<String, k8s_openapi::apimachinery::pkg::api::resource::Quantity>>,
) -> Result<Amounts> {
    let mut amounts = Amounts::new();
    for (name, amount) in list.into_iter().flatten() {
        let read = Quantity::read(&amount.0)
            .and_then(|read| if read.is_negative() { Err(Error::input("it is negative")) } else { Ok(read) });
        let read = read.map_err(|error| {
            let told = Error::input(format!("{name}: {}", error.message()));
            match error.advice() {
                Some(advice) => told.help(advice),
                None => told,
            }
        })?;
        amounts.insert(name.clone(), read);
    }
    Ok(amounts)
}

/// Tells whether all have limits for CPU and memory, and the sums of requests and limits agree.
fn is_guaranteed<'a>(containers: impl Iterator<Item = (&'a Amounts, &'a Amounts)>) -> bool {
    let computed = |name: &str| ["cpu", "memory"].into_iter().find(|known| *known == name);
    let mut sums: [BTreeMap<&str, Quantity>; 2] = Default::default();
    for (requests, limits) in containers {
        for (list, sums) in [requests, limits].into_iter().zip(&mut sums) {
            for (name, amount) in list.iter().filter(|(_, amount)| !amount.is_zero()) {
                if let Some(name) = computed(name) {
                    let sum = sums.entry(name).or_default();
                    *sum = sum.plus(*amount);
                }
            }
        }
        if !["cpu", "memory"].iter().all(|name| limits.get(*name).is_some_and(|most| !most.is_zero())) {
            return false;
        }
    }
    sums[0] == sums[1] && !sums[0].is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(spec: &str) -> Result<Pod> {
        Pod::from_yaml(
            "pod.yaml",
            &format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n{spec}"),
        )
    }

    #[test]
    fn the_class_of_service_is_the_kubelets() {
        for (resources, guaranteed) in [
            ("{limits: {cpu: 2, memory: 1Gi}}", true),
            ("{limits: {cpu: 2, memory: 1Gi}, requests: {cpu: 2000m, memory: 1024Mi}}", true),
            ("{limits: {cpu: 2, memory: 1Gi}, requests: {cpu: 1}}", false),
            ("{requests: {cpu: 2, memory: 1Gi}}", false),
            ("{limits: {cpu: 2}}", false),
            ("{limits: {cpu: 2, memory: 1Gi, nvidia.com/gpu: 1}}", true),
            ("{}", false),
        ] {
            let pod = pod(&format!("  containers: [{{name: a, resources: {resources}}}]")).unwrap();
            assert_eq!(pod.is_guaranteed(), guaranteed, "{resources}");
        }
        let two = "  containers:\n  - {name: a, resources: {limits: {cpu: 2, memory: 1Gi}}}\n  - {name: b}\n";
        assert!(!pod(two).unwrap().is_guaranteed());
    }

    #[test]
    fn parts_of_a_cpu_are_shared() {
        let some = |cpu: &str| {
            let pod = pod(&format!(
                "  containers: [{{name: a, resources: {{limits: {{cpu: {cpu}, memory: 1Gi}}}}}}]"
            ));
            let pod = pod.unwrap();
            pod.exclusive_cpus(&pod.containers[0])
        };
        assert_eq!((some("4"), some("4000m"), some("3500m"), some("'4.0'")), (4, 4, 0, 4));
    }

    #[test]
    fn init_containers_and_sidecars_count_as_at_a_time() {
        let pod = pod("
  initContainers:
  - {name: i, resources: {limits: {cpu: 8, memory: 1Gi, nvidia.com/gpu: 1}}}
  - {name: s, restartPolicy: Always, resources: {limits: {cpu: 2, memory: 1Gi}}}
  - {name: j, resources: {limits: {cpu: 7, memory: 4Gi, hugepages-2Mi: 2Mi}}}
  containers:
  - {name: a, resources: {limits: {cpu: 4, memory: 1Gi}}}
")
        .unwrap();
        assert_eq!(pod.all_exclusive_cpus(), 9);
        assert_eq!(pod.all_devices("nvidia.com/gpu"), 1);
        assert_eq!(pod.all_memory(), BTreeMap::from([("memory".to_owned(), 5 << 30)]));
        assert_eq!(pod.containers.iter().map(|one| one.kind).collect::<Vec<_>>()[1], Kind::Sidecar);
    }

    #[test]
    fn requests_at_the_pod_take_the_managers_out() {
        let pod = pod("  resources: {limits: {cpu: 4, memory: 1Gi}}\n  containers: [{name: a}]").unwrap();
        assert!(pod.is_guaranteed() && pod.whole_resources);
        assert_eq!(pod.exclusive_cpus(&pod.containers[0]), 0);
    }

    #[test]
    fn what_is_no_pod_is_told() {
        for spec in [
            "  containers: []",
            "  containers: [{name: a, resources: {limits: {cpu: x}}}]",
            "  containers: [{name: a, resources: {limits: {cpu: 1}, requests: {cpu: 2}}}]",
            "  containers: [{name: a, resources: {requests: {nvidia.com/gpu: 1}}}]",
            "  containers: [{name: a, resources: {limits: {nvidia.com/gpu: 1500m}}}]",
            "  containers: [{name: a}, {name: a}]",
            "  containers: [{name: a, resources: {limits: {cpu: -1}}}]",
        ] {
            assert_eq!(pod(spec).unwrap_err().input_name(), Some("pod.yaml"), "{spec}");
        }
        assert!(Pod::from_yaml("x", "kind: Job\napiVersion: batch/v1\n").is_err());
        assert!(Pod::from_yaml("x", "").is_err());
        let job = "apiVersion: kubeflow.org/v1\nkind: PyTorchJob\nspec: {pytorchReplicaSpecs: {Worker: {replicas: 2}}}\n";
        let error = Pod::from_yaml("x", job).unwrap_err().to_string();
        assert!(error.contains("this is a PyTorchJob, not a Pod"), "{error}");
    }
}
