//! The kubelet's state files: which container has which CPUs, memory and devices.
//!
//! Their checksums are not verified: they are hashes of dumps of Go structures.

use super::documents::objects;
use crate::evidence::Evidence;
use nvtopo::CpuSet;
use nvtopo::model::Stated;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// The containers of pods by the pod's UID and the container's name.
type Containers<T> = BTreeMap<String, BTreeMap<String, T>>;

/// The state of the CPU manager.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CpuState {
    pub(crate) policy_name: String,
    default_cpu_set: String,
    #[serde(default)]
    entries: Containers<String>,
}

impl CpuState {
    /// Returns the CPUs that containers without CPUs of their own share. `None`: it is no list.
    pub(crate) fn shared(&self) -> Option<CpuSet> {
        list(&self.default_cpu_set)
    }

    /// Returns the CPUs of each container that has some for itself.
    pub(crate) fn containers(&self) -> impl Iterator<Item = (&str, &str, CpuSet)> {
        flat(&self.entries).filter_map(|(pod, name, cpus)| Some((pod, name, list(cpus)?)))
    }
}

fn list(text: &str) -> Option<CpuSet> {
    if text.is_empty() { Some(CpuSet::new()) } else { text.parse().ok() }
}

fn flat<T>(containers: &Containers<T>) -> impl Iterator<Item = (&str, &str, &T)> {
    containers
        .iter()
        .flat_map(|(pod, own)| own.iter().map(|(name, value)| (pod.as_str(), name.as_str(), value)))
}

/// The state of the memory manager.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MemoryState {
    pub(crate) policy_name: String,
    /// Only recognises the file: the map of memory itself is not judged.
    #[serde(rename = "machineState")]
    _machine: serde::de::IgnoredAny,
    #[serde(default)]
    entries: Containers<Vec<Block>>,
}

/// Memory that a container has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Block {
    /// The NUMA nodes that it is from.
    #[serde(default)]
    pub(crate) numa_affinity: Vec<u32>,
    /// `memory`, or the size of huge pages.
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

impl MemoryState {
    /// Returns the memory of each container.
    pub(crate) fn containers(&self) -> impl Iterator<Item = (&str, &str, &Vec<Block>)> {
        flat(&self.entries)
    }
}

/// The checkpoint of the device manager.
#[derive(Deserialize)]
struct Checkpoint {
    #[serde(rename = "Data")]
    data: CheckpointData,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CheckpointData {
    #[serde(default)]
    pod_device_entries: Option<Vec<DeviceEntry>>,
}

#[derive(Deserialize)]
struct DeviceEntry {
    #[serde(rename = "PodUID")]
    pod: String,
    #[serde(rename = "ContainerName")]
    container: String,
    #[serde(rename = "ResourceName")]
    resource: String,
    #[serde(rename = "DeviceIDs")]
    devices: DeviceIds,
}

/// Devices by the NUMA node of their hint; -1 where the plugin told none. Kubelets before 1.20 list devices only.
#[derive(Deserialize)]
#[serde(untagged)]
enum DeviceIds {
    ByNode(BTreeMap<String, Vec<String>>),
    Plain(Vec<String>),
}

/// The devices that a container has of one resource.
pub(crate) struct Held {
    pub(crate) pod: String,
    pub(crate) container: String,
    pub(crate) resource: String,
    /// The devices, each with whether the plugin told its NUMA node. `None`: the file does not tell.
    pub(crate) devices: Vec<(String, Option<bool>)>,
}

impl Held {
    /// Returns whether these are GPUs of NVIDIA's device plugin, or parts of them.
    pub(crate) fn is_gpus(&self) -> bool {
        let own = self.resource.strip_prefix("nvidia.com/");
        own.is_some_and(|name| matches!(name, "gpu" | "gpu.shared") || name.starts_with("mig-"))
    }
}

/// Returns the state of the CPU manager.
pub(crate) fn cpus(evidence: &Evidence<'_>) -> Stated<CpuState> {
    read(evidence, "cpu_manager_state", "defaultCpuSet")
}

/// Returns the state of the memory manager.
pub(crate) fn memory(evidence: &Evidence<'_>) -> Stated<MemoryState> {
    read(evidence, "memory_manager_state", "machineState")
}

/// Returns the devices of each container.
pub(crate) fn devices(evidence: &Evidence<'_>) -> Stated<Vec<Held>> {
    let state: Stated<Checkpoint> =
        read(evidence, "device-plugins/kubelet_internal_checkpoint", "RegisteredDevices");
    state.map(|state| {
        let entries = state.data.pod_device_entries.unwrap_or_default();
        entries.into_iter().map(Held::of).collect()
    })
}

impl Held {
    fn of(entry: DeviceEntry) -> Self {
        let devices = match entry.devices {
            DeviceIds::Plain(ids) => ids.into_iter().map(|id| (id, None)).collect(),
            DeviceIds::ByNode(nodes) => nodes
                .into_iter()
                .flat_map(|(node, ids)| {
                    let told =
                        if node == "-1" { Some(false) } else { node.parse::<u32>().ok().map(|_| true) };
                    ids.into_iter().map(move |id| (id, told))
                })
                .collect(),
        };
        Self { pod: entry.pod, container: entry.container, resource: entry.resource, devices }
    }
}

/// Reads a state file, else a saved copy, known by a key that no other text has.
fn read<T: DeserializeOwned>(evidence: &Evidence<'_>, name: &str, key: &str) -> Stated<T> {
    let parse = |text: &str| serde_json::from_str(text).map_or(Stated::Unreadable, Stated::Known);
    match evidence.text(&format!("var/lib/kubelet/{name}")) {
        Stated::Known(text) => parse(&text),
        Stated::Unreadable => Stated::Unreadable,
        absent => {
            // A copy may stand among outputs of tools.
            let mut saved = evidence.texts().filter(|saved| saved.text.contains(&format!("\"{key}\"")));
            let parsed = saved.find_map(|saved| {
                objects(&saved.text).into_iter().find_map(|own| serde_json::from_value(own).ok())
            });
            match (parsed, absent) {
                (Some(state), _) => Stated::Known(state),
                (None, Stated::NotAvailable) => Stated::NotAvailable,
                (None, _) => Stated::Unstated,
            }
        }
    }
}
