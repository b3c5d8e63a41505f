//! A pod for a placement: what its containers must ask for so that the kubelet and the scheduler can keep GPUs, CPUs, memory and
//! NICs together.

use crate::labels::{LabelOptions, Labels, Prefix};
use crate::{Version, names, yaml};
use nvtopo::solve::HugePageNeed;
use nvtopo::{
    CpuLimits, CpuRules, CpuSet, Error, Kubelet, KubeletCpus, Placement, Request, Result, Topology,
    share_cpus,
};
use serde_json::{Map, Value, json};

/// The way by which the pod comes by its GPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gpus {
    /// By the extended resource of a device plugin, on nodes that labels select.
    #[default]
    Plugin,
    /// By a claim that is made from the `ResourceClaimTemplate` of this name (DRA: on by default from Kubernetes 1.34 on, in beta
    /// and to be switched on from 1.32 on).
    Claim(String),
}

/// The options of a pod.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PodOptions {
    /// The pod's name.
    pub name: String,
    /// The image of its container.
    pub image: String,
    /// The way in which it gets its GPUs.
    pub by: Gpus,
    /// The extended resource of the GPUs, for a device plugin.
    pub resource: String,
    /// CPUs for each GPU. `None`: the GPU's share of the machine, but for `reserved`.
    pub cpus_per_gpu: Option<usize>,
    /// CPUs that the kubelet keeps for the system (`reservedSystemCPUs`).
    pub reserved: CpuSet,
    /// Memory for each GPU in bytes. `None`: three quarters of the memory beside it.
    pub memory_per_gpu: Option<u64>,
    /// Huge pages for each GPU.
    pub huge_pages: Vec<HugePageNeed>,
    /// The extended resource of RDMA devices, of which the pod gets one for each GPU.
    pub rdma: Option<String>,
    /// The prefix of the labels that nodes are selected by.
    pub prefix: Prefix,
    /// The version of Kubernetes.
    pub version: Version,
}

impl PodOptions {
    /// A pod of this name with this image.
    pub fn new(name: impl Into<String>, image: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            image: image.into(),
            by: Gpus::default(),
            resource: names::GPU_RESOURCE.to_owned(),
            cpus_per_gpu: None,
            reserved: CpuSet::new(),
            memory_per_gpu: None,
            huge_pages: Vec::new(),
            rdma: None,
            prefix: Prefix::default(),
            version: Version::default(),
        }
    }
}

/// The pod for a job of `gpus` GPUs on machines like one, as YAML. It is of the class Guaranteed: whole CPUs, and limits equal to
/// requests. No variable that a device plugin sets is set.
///
/// Errors with [`Unsatisfiable`](nvtopo::ErrorKind::Unsatisfiable) where the machine has not so many GPUs, or it is not known how
/// many CPUs or how much memory is beside them and nothing else was said.
///
/// ```
/// use nvtopo_k8s::pod::{PodOptions, pod};
///
/// let dgx = nvtopo::Topology::preset("dgx-h100")?;
/// let mut options = PodOptions::new("train", "example.com/train:1");
/// options.memory_per_gpu = Some(200 << 30);
/// let pod = pod(&dgx, 4, &options)?;
/// assert!(pod.contains("nvidia.com/gpu: \"4\""));
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn pod(topology: &Topology, gpus: usize, options: &PodOptions) -> Result<String> {
    check(gpus, options)?;
    let placement = request(gpus, options).solve(topology)?;
    let mut comment = vec![format!("A pod of {gpus} GPUs for nodes like this one. {}", placement.why())];
    let too_many = || Error::request("that is more than can be asked for");
    let cpus = cpus(topology, options, &mut comment)?.checked_mul(gpus).ok_or_else(too_many)?;
    let memory = memory(topology, &placement, options, &mut comment)?;
    let mut amounts = Map::new();
    let mut add = |name: String, amount: String| drop(amounts.insert(name, amount.into()));
    add("cpu".to_owned(), cpus.to_string());
    let all = memory.checked_mul(gpus as u64).ok_or_else(too_many)?;
    add("memory".to_owned(), names::size(all >> 20 << 20));
    if options.by == Gpus::Plugin {
        add(options.resource.clone(), gpus.to_string());
    }
    for need in &options.huge_pages {
        let bytes = need.size.0.checked_mul(need.count).and_then(|bytes| bytes.checked_mul(gpus as u64));
        let bytes = bytes.ok_or_else(too_many)?;
        add(format!("hugepages-{}", names::size(need.size.0)), names::size(bytes));
    }
    if let Some(rdma) = &options.rdma {
        add(rdma.clone(), gpus.to_string());
    }
    comment.extend(advice(topology, &placement, options));
    let labels = Labels::of(topology, &LabelOptions::default().prefix(options.prefix.clone()));
    let object = assemble(options, &amounts, &selection(&labels, &placement, topology, options), memory);
    yaml::object::<k8s_openapi::api::core::v1::Pod>(&comment, &object)
}

/// The GPUs with what was asked for beside each: more than the machine has is refused here.
fn request(gpus: usize, options: &PodOptions) -> Request {
    let mut request = Request::gpus(gpus).reserved_cpus(options.reserved.clone());
    if let Some(cpus) = options.cpus_per_gpu {
        request = request.cpus_per_gpu(cpus);
    }
    if let Some(bytes) = options.memory_per_gpu {
        request = request.memory_per_gpu(bytes);
    }
    request
}

fn check(gpus: usize, options: &PodOptions) -> Result<()> {
    names::object_name(&options.name)?;
    names::resource_name(&options.resource)?;
    if let Some(rdma) = &options.rdma {
        names::resource_name(rdma)?;
    }
    if gpus == 0 {
        return Err(Error::request("a pod of no GPU needs no topology").help("ask for one GPU at least"));
    }
    if options.image.trim().is_empty() || options.image.contains(char::is_whitespace) {
        return Err(Error::request(format!("'{}' is no image", options.image)));
    }
    if options.cpus_per_gpu == Some(0) || options.memory_per_gpu.is_some_and(|bytes| bytes < 1 << 20) {
        return Err(Error::request("a GPU needs a CPU and a MiB of memory at least"));
    }
    if options.rdma.as_ref() == Some(&options.resource) {
        return Err(Error::request(format!("{} cannot be GPUs and RDMA devices", options.resource)));
    }
    let mut sizes: Vec<u64> = options.huge_pages.iter().map(|need| need.size.0).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let pages = options.huge_pages.iter();
    let nonsense = |need: &HugePageNeed| need.count == 0 || !need.size.0.is_power_of_two();
    if sizes.len() < pages.len() || pages.clone().any(nonsense) {
        return Err(Error::request(
            "huge pages are asked for once for each size, a power of two, and more than none",
        )
        .help("write them as 2MiB:1024,1GiB:2"));
    }
    options.prefix.node_key("")?;
    if let Gpus::Claim(template) = &options.by {
        names::object_name(template)?;
        if Version::minor(32).is_none_or(|first| options.version < first) {
            return Err(Error::request(format!("Kubernetes {} has no claims in beta", options.version))
                .help("give --for 1.32 or later, or let a device plugin give the GPUs"));
        }
    }
    Ok(())
}

/// CPUs for each GPU: whole cores.
fn cpus(topology: &Topology, options: &PodOptions, comment: &mut Vec<String>) -> Result<usize> {
    if let Some(cpus) = options.cpus_per_gpu {
        return Ok(cpus);
    }
    // Whoever gives the GPUs may give others than those that are best here.
    let limits = CpuLimits { reserved: options.reserved.clone(), ..CpuLimits::default() };
    let least = share_cpus(topology, &CpuRules::from(&limits))
        .gpus
        .iter()
        .map(|share| share.cpus.len())
        .min()
        .unwrap_or_default();
    let threads = KubeletCpus::new(Kubelet::default(), topology)?.cpus_per_core();
    let whole = least / threads * threads;
    if whole == 0 {
        return Err(Error::unsatisfiable("it is not known which CPUs are beside the GPUs")
            .help("say how many each GPU gets: --cpus-per-gpu"));
    }
    let left = options.reserved.len();
    if left == 0 && whole * topology.gpus().len() >= topology.cpus().len() {
        comment.push(
            "The kubelet keeps CPUs for the system: where a pod takes all GPUs, say which (--reserve), or it asks for more than there is."
                .to_owned(),
        );
    }
    comment.push(format!(
        "CPUs: {whole} for each GPU, whole cores of {threads} thread{}: its share of the machine{}.",
        if threads == 1 { "" } else { "s" },
        if left == 0 { String::new() } else { format!(", of which {left} CPUs are left to others") }
    ));
    Ok(whole)
}

/// Memory for each GPU in bytes.
fn memory(
    topology: &Topology,
    placement: &Placement,
    options: &PodOptions,
    comment: &mut Vec<String>,
) -> Result<u64> {
    if let Some(bytes) = options.memory_per_gpu {
        return Ok(bytes);
    }
    let nodes: Vec<Option<u32>> = (0..topology.gpus().len())
        .map(|gpu| match topology.local_nodes(topology.devices()[gpu]) {
            nvtopo::model::Stated::Known(nodes) if nodes.len() == 1 => nodes.iter().next(),
            _ => None,
        })
        .collect();
    let share = |gpu: &nvtopo::PlacedGpu| -> Option<u64> {
        let node = nodes[gpu.position]?;
        let there = nodes.iter().filter(|other| **other == Some(node)).count() as u64;
        let memory = topology.numa_nodes().find(|numa| numa.os_index == node)?.memory?;
        Some(memory / 4 * 3 / there.max(1))
    };
    let shares: Option<Vec<u64>> = placement.gpus().iter().map(share).collect();
    let least = shares.and_then(|shares| shares.into_iter().min()).filter(|bytes| *bytes >> 30 > 0);
    let least = least.ok_or_else(|| {
        Error::unsatisfiable("it is not known how much memory is beside the GPUs")
            .help("say how much each GPU gets: --memory-per-gpu")
    })?;
    comment.push(
        "Memory: three quarters of what is beside each GPU; the rest stays for the system and its cache."
            .to_owned(),
    );
    Ok(least)
}

/// The lines that a reader must know beside the pod.
fn advice(topology: &Topology, placement: &Placement, options: &PodOptions) -> Vec<String> {
    let mut lines = Vec::new();
    let group = topology.nvlink_groups().iter().map(|group| group.gpus.len()).max().unwrap_or(1);
    match &options.by {
        Gpus::Plugin if placement.gpus().len() > 1 => lines.push(
            "A device plugin chooses the GPUs. Which ones, the kubelet's policy and the plugin decide: see nvtopo k8s kubelet predict."
                .to_owned(),
        ),
        Gpus::Claim(_) => lines.push(
            "The kubelet does not align CPUs with claimed devices: CPUs beside the GPUs need a claim for CPUs as well.".to_owned(),
        ),
        Gpus::Plugin => {}
    }
    if topology.nvlink_known() && placement.gpus().len() > group {
        lines.push(format!("No NVLink group has so many GPUs: the largest has {group}."));
    }
    if options.rdma.is_some() {
        lines.push(
            "IPC_LOCK lets RDMA register memory; the label is what the NetworkPolicy for RDMA selects by."
                .to_owned(),
        );
    }
    lines.push(
        "CUDA_VISIBLE_DEVICES and NVIDIA_VISIBLE_DEVICES are set by whoever gives the GPUs, never here."
            .to_owned(),
    );
    lines.push(format!("Holds for Kubernetes {}.", options.version));
    lines
}

/// The labels that a node must have.
fn selection(
    labels: &Labels,
    placement: &Placement,
    topology: &Topology,
    options: &PodOptions,
) -> Vec<Value> {
    let mut terms = Vec::new();
    let gpus = placement.gpus().len();
    let together = topology
        .nvlink_groups()
        .iter()
        .any(|group| placement.gpus().iter().all(|gpu| group.gpus.contains(&gpu.position)));
    if topology.nvlink_known() && gpus > 1 && together {
        // `Gt` compares whole numbers: a group of at least so many.
        terms.push(json!({
            "key": options.prefix.key("nvlink.group.largest"), "operator": "Gt", "values": [(gpus - 1).to_string()],
        }));
    }
    if let Some(model) = labels.get("gpu.model").filter(|model| *model != "mixed") {
        terms.push(json!({ "key": options.prefix.key("gpu.model"), "operator": "In", "values": [model] }));
    }
    terms
}

fn assemble(options: &PodOptions, amounts: &Map<String, Value>, terms: &[Value], memory: u64) -> Value {
    let mut resources = json!({ "limits": amounts, "requests": amounts });
    let mut container = json!({ "name": "main", "image": options.image });
    let mut mounts = vec![json!({ "name": "shared-memory", "mountPath": "/dev/shm" })];
    let mut volumes = vec![json!({
        "name": "shared-memory",
        "emptyDir": { "medium": "Memory", "sizeLimit": format!("{}Gi", (memory >> 32).max(1)) },
    })];
    for need in &options.huge_pages {
        let size = names::size(need.size.0);
        let name = format!("hugepages-{}", size.to_lowercase());
        mounts.push(json!({ "name": name, "mountPath": format!("/hugepages-{size}") }));
        volumes.push(json!({ "name": name, "emptyDir": { "medium": format!("HugePages-{size}") } }));
    }
    let mut metadata = json!({ "name": options.name });
    if options.rdma.is_some() {
        metadata["labels"] = json!({ options.prefix.key("rdma"): "true" });
        container["securityContext"] = json!({ "capabilities": { "add": ["IPC_LOCK"] } });
    }
    let mut spec = json!({ "restartPolicy": "Never" });
    if let Gpus::Claim(template) = &options.by {
        resources["claims"] = json!([{ "name": "gpus" }]);
        spec["resourceClaims"] = json!([{ "name": "gpus", "resourceClaimTemplateName": template }]);
    }
    if !terms.is_empty() {
        spec["affinity"] = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{ "matchExpressions": terms }],
        } } });
    }
    container["resources"] = resources;
    container["volumeMounts"] = mounts.into();
    spec["containers"] = json!([container]);
    spec["volumes"] = volumes.into();
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(preset: &str, gpus: usize, change: impl FnOnce(&mut PodOptions)) -> Value {
        let mut options = PodOptions::new("job", "example.com/job:1");
        options.memory_per_gpu = Some(64 << 30);
        change(&mut options);
        let text = pod(&Topology::preset(preset).unwrap(), gpus, &options).unwrap();
        crate::yaml::read::<Value>("pod", &text).unwrap().remove(0)
    }

    #[test]
    fn pods_are_guaranteed_and_ask_for_whole_cores() {
        let pod = made("dgx-h100", 4, |_| {});
        let resources = &pod["spec"]["containers"][0]["resources"];
        assert_eq!(resources["limits"], resources["requests"]);
        assert_eq!(resources["limits"]["cpu"], "112");
        assert_eq!(resources["limits"]["memory"], "256Gi");
        let terms =
            &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
        assert_eq!(terms["nodeSelectorTerms"][0]["matchExpressions"][0]["values"][0], "3");
        assert!(!pod.to_string().contains("VISIBLE_DEVICES"));
        let reserved = made("dgx-h100", 4, |options| options.reserved = "0-1,112-113".parse().unwrap());
        let cpus: usize = reserved["spec"]["containers"][0]["resources"]["limits"]["cpu"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(cpus < 112 && cpus.is_multiple_of(8), "{cpus}");
    }

    #[test]
    fn claims_huge_pages_and_rdma_are_written_where_they_belong() {
        let pod = made("dgx-h100", 2, |options| {
            options.by = Gpus::Claim("pair".to_owned());
            options.huge_pages = vec!["2M:512".parse().unwrap()];
            options.rdma = Some("rdma/hca".to_owned());
        });
        let container = &pod["spec"]["containers"][0];
        assert_eq!(container["resources"]["claims"][0]["name"], "gpus");
        assert_eq!(container["resources"]["limits"]["nvidia.com/gpu"], Value::Null);
        assert_eq!(container["resources"]["limits"]["hugepages-2Mi"], "2Gi");
        assert_eq!(container["resources"]["limits"]["rdma/hca"], "2");
        assert_eq!(pod["spec"]["resourceClaims"][0]["resourceClaimTemplateName"], "pair");
        assert_eq!(pod["metadata"]["labels"]["nvtopo.io/rdma"], "true");
        assert_eq!(container["securityContext"]["capabilities"]["add"][0], "IPC_LOCK");
        assert_eq!(pod["spec"]["volumes"][1]["emptyDir"]["medium"], "HugePages-2Mi");
    }

    #[test]
    fn what_is_not_known_must_be_said() {
        let text = "\tGPU0\tGPU1\nGPU0\t X \tNV4\nGPU1\tNV4\t X \n";
        let node = Topology::parse("text", text.as_bytes()).unwrap();
        let mut options = PodOptions::new("job", "example.com/job:1");
        let refused = |options: &PodOptions| pod(&node, 2, options).unwrap_err().to_string();
        assert!(refused(&options).contains("--cpus-per-gpu"));
        options.cpus_per_gpu = Some(4);
        assert!(refused(&options).contains("--memory-per-gpu"));
        options.memory_per_gpu = Some(1 << 30);
        pod(&node, 2, &options).unwrap();
        assert!(pod(&node, 0, &options).is_err() && pod(&node, 3, &options).is_err());
        options.name = "Job 1".to_owned();
        assert!(refused(&options).contains("'Job 1'"));
    }
}
