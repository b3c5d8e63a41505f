//! The resources that are taken of a node: told, or read from the kubelet's checkpoint files.

use super::hints::Mask;
use super::node::{Node, NodeMemory, State};
use super::{GPU_RESOURCE, Settings};
use nvtopo::{CpuSet, Error, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::str::FromStr;

/// GPUs, CPUs and memory that others have.
///
/// As text: GPUs, and CPUs behind a slash, such as `0,3/8-15,64-71`.
///
/// ```
/// use nvtopo_k8s::kubelet::predict::Taken;
///
/// let taken: Taken = "0,3/8-15".parse()?;
/// assert_eq!(taken, Taken::gpus([0, 3]).with_cpus(&"8-15".parse()?));
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    gpus: Vec<u32>,
    cpus: CpuSet,
    /// By resource.
    devices: Vec<(String, String)>,
    /// The CPUs that the kubelet's own file calls shared.
    shared: Option<CpuSet>,
    memory: Option<BTreeMap<u32, MemoryNode>>,
}

impl Taken {
    /// GPUs, by their indices.
    pub fn gpus(gpus: impl IntoIterator<Item = u32>) -> Self {
        Self { gpus: gpus.into_iter().collect(), ..Self::default() }
    }

    /// CPUs too.
    #[must_use]
    pub fn with_cpus(mut self, cpus: &CpuSet) -> Self {
        self.cpus = self.cpus.union(cpus);
        self
    }

    /// Adds what a checkpoint file of the kubelet says: `cpu_manager_state`, `memory_manager_state` or
    /// `kubelet_internal_checkpoint`, known by what is in it.
    ///
    /// Errors with [`InvalidInput`](nvtopo::ErrorKind::InvalidInput) for any other file.
    pub fn read(&mut self, name: &str, text: &str) -> Result<()> {
        let failed = |error: serde_json::Error| {
            Error::input(error.to_string()).in_input(name).at(error.line(), error.column().max(1))
        };
        let value: serde_json::Value = serde_json::from_str(text).map_err(failed)?;
        if value.get("defaultCpuSet").is_some() || value.get("defaultCPUSet").is_some() {
            let file: CpuFile = serde_json::from_str(text).map_err(failed)?;
            let sets = file.entries.values().flat_map(BTreeMap::values);
            for set in sets {
                self.cpus = self.cpus.union(&set.parse().map_err(|error: Error| error.in_input(name))?);
            }
            if file.policy_name == "static" {
                self.shared = Some(file.shared.parse().map_err(|error: Error| error.in_input(name))?);
            }
        } else if value.get("machineState").is_some() {
            let file: MemoryFile = serde_json::from_str(text).map_err(failed)?;
            self.memory = Some(file.nodes);
        } else if let Some(data) = value.get("Data") {
            let data: DeviceFile = DeviceFile::deserialize(data)
                .map_err(|error| Error::input(error.to_string()).in_input(name))?;
            for entry in data.entries {
                for id in entry.ids.all() {
                    self.devices.push((entry.resource.clone(), id));
                }
            }
        } else {
            return Err(Error::input("this is none of the kubelet's checkpoint files")
                .in_input(name)
                .help("give cpu_manager_state, memory_manager_state or kubelet_internal_checkpoint"));
        }
        Ok(())
    }

    /// Returns the resources that are left of a node.
    pub(crate) fn apply(
        &self,
        node: &Node,
        settings: &Settings,
        mut state: State,
        notes: &mut Vec<String>,
    ) -> Result<State> {
        if let Some(shared) = &self.shared {
            let known = shared.union(&self.cpus).union(&settings.reserved_cpus);
            if known != *node.cpus.cpus() {
                return Err(Error::input(format!(
                    "the kubelet's file knows CPUs {known}, and the topology {}",
                    node.cpus.cpus()
                ))
                .help("they are of different machines, or the file is older than the machine"));
            }
        }
        let reserved = self.cpus.intersection(&settings.reserved_cpus);
        if !reserved.is_empty() {
            return Err(Error::request(format!("CPUs {reserved} are reserved, and cannot be taken")));
        }
        let strange = self.cpus.difference(node.cpus.cpus());
        if !strange.is_empty() {
            return Err(Error::request(format!("CPUs {strange} are taken, and not there")));
        }
        state.shared = state.shared.difference(&self.cpus);
        for gpu in &self.gpus {
            let mut found = false;
            for (name, resource) in &node.resources {
                if let Some(at) = resource.devices.iter().position(|device| device.gpu == Some(*gpu)) {
                    take(&mut state, name, at);
                    found = true;
                }
            }
            if !found {
                let message = format!("GPU{gpu} is taken, and not there");
                return Err(Error::request(message).help(format!("it would be one of {GPU_RESOURCE}")));
            }
        }
        for (resource, id) in &self.devices {
            if !node.resources.contains_key(resource) {
                notes.push(format!("{resource} {id} is taken, and nobody says which device that is"));
                continue;
            }
            let at = node.find(resource, id).ok_or_else(|| {
                Error::input(format!("{resource} {id} is taken, and the topology has no such device"))
                    .help("the topology must tell UUIDs: read it on the machine, with the driver")
            })?;
            take(&mut state, resource, at);
        }
        if let Some(memory) = self.memory.as_ref().filter(|_| settings.reserved_memory.is_some()) {
            for (node, told) in memory {
                let own = state.memory.get_mut(node).ok_or_else(|| {
                    Error::input(format!(
                        "the kubelet's file has memory of NUMA node {node}, which is not there"
                    ))
                })?;
                told.apply(own);
            }
        } else if self.memory.is_some() {
            notes.push("what is taken of memory is left out, as there is no memory manager".to_owned());
        }
        Ok(state)
    }
}

fn take(state: &mut State, resource: &str, device: usize) {
    let taken = state.taken.entry(resource.to_owned()).or_default();
    if let Err(at) = taken.binary_search(&device) {
        taken.insert(at, device);
    }
}

impl FromStr for Taken {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (gpus, cpus) = text.split_once('/').unwrap_or((text, ""));
        let list = |list: &str| -> Result<CpuSet> {
            if list.trim().is_empty() { Ok(CpuSet::new()) } else { list.trim().parse() }
        };
        let help = |error: Error| {
            Error::request(error.message()).help("give GPUs, and CPUs behind a slash, such as 0,3/8-15")
        };
        let gpus = list(gpus).map_err(help)?.iter().collect();
        Ok(Self { gpus, cpus: list(cpus).map_err(help)?, ..Self::default() })
    }
}

#[derive(Deserialize)]
struct CpuFile {
    #[serde(rename = "policyName")]
    policy_name: String,
    #[serde(rename = "defaultCpuSet", alias = "defaultCPUSet")]
    shared: String,
    #[serde(default)]
    entries: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct MemoryFile {
    #[serde(rename = "machineState")]
    nodes: BTreeMap<u32, MemoryNode>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct MemoryNode {
    #[serde(rename = "numberOfAssignments", default)]
    assignments: u64,
    #[serde(rename = "memoryMap", default)]
    kinds: BTreeMap<String, MemoryTable>,
    #[serde(default)]
    cells: Vec<u32>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct MemoryTable {
    #[serde(default)]
    allocatable: u64,
    #[serde(default)]
    free: u64,
}

impl MemoryNode {
    fn apply(&self, own: &mut NodeMemory) {
        own.assignments = self.assignments;
        own.cells = Mask::of(self.cells.iter().copied());
        for (kind, told) in &self.kinds {
            let memory = own.kinds.entry(kind.clone()).or_default();
            (memory.allocatable, memory.free) = (told.allocatable, told.free);
        }
    }
}

#[derive(Deserialize)]
struct DeviceFile {
    #[serde(rename = "PodDeviceEntries", default, deserialize_with = "or_none")]
    entries: Vec<DeviceEntry>,
}

fn or_none<'de, D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Vec<DeviceEntry>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[derive(Deserialize)]
struct DeviceEntry {
    #[serde(rename = "ResourceName")]
    resource: String,
    #[serde(rename = "DeviceIDs")]
    ids: DeviceIds,
}

/// By NUMA node; a plain list before Kubernetes 1.20.
#[derive(Deserialize)]
#[serde(untagged)]
enum DeviceIds {
    ByNode(BTreeMap<String, Vec<String>>),
    List(Vec<String>),
}

impl DeviceIds {
    fn all(self) -> Vec<String> {
        match self {
            Self::ByNode(nodes) => nodes.into_values().flatten().collect(),
            Self::List(ids) => ids,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::boards::Board;
    use super::super::{Policy, Predictor, Scope};
    use super::*;
    use nvtopo::Topology;

    const CPUS: &str = r#"{"policyName":"static","defaultCpuSet":"0-3,8-15,20-23","entries":{"uid":{"train":"4-7,16-19"}},"checksum":1}"#;
    const DEVICES: &str = r#"{"Data":{"PodDeviceEntries":[{"PodUID":"uid","ContainerName":"train","ResourceName":
        "nvidia.com/gpu","DeviceIDs":{"0":["GPU-11111111-2222-3333-4444-555555555555"]},"AllocResp":"Cg=="},
        {"PodUID":"u","ContainerName":"c","ResourceName":"nvidia.com/gpu","DeviceIDs":["1"],"AllocResp":""},
        {"PodUID":"u","ContainerName":"c","ResourceName":"example.com/fpga","DeviceIDs":{"-1":["f0"]},"AllocResp":""}],
        "RegisteredDevices":{"nvidia.com/gpu":["0"]}},"Checksum":2}"#;
    const MEMORY: &str = r#"{"policyName":"Static","machineState":{"0":{"numberOfAssignments":1,"memoryMap":{"memory":
        {"total":1073741824,"systemReserved":1,"allocatable":1073741823,"reserved":1073741823,"free":0}},"cells":[0]},
        "1":{"numberOfAssignments":0,"memoryMap":{"memory":{"total":1073741824,"systemReserved":0,
        "allocatable":1073741824,"reserved":0,"free":1073741824}},"cells":[1]}},"entries":{},"checksum":3}"#;

    fn board() -> Topology {
        let board = Board {
            packages: 2,
            nodes: 1,
            cores: 6,
            threads: 2,
            cache: 0,
            gpus: vec![Some(0), Some(0), Some(1), Some(1)],
            links: vec![],
            memory: Some(1 << 30),
        };
        let text = nvtopo::render::json::topology(&board.topology());
        // The UUID of one GPU is known.
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        for node in value["topology"]["nodes"].as_array_mut().unwrap() {
            if let Some(gpu) = node.get_mut("gpu").filter(|gpu| gpu["index"] == 2) {
                gpu["uuid"] = "GPU-11111111-2222-3333-4444-555555555555".into();
            }
        }
        Topology::parse("board", value.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn the_files_of_a_kubelet_say_what_is_taken() {
        let mut taken = Taken::default();
        for (name, text) in [("cpus", CPUS), ("devices", DEVICES), ("memory", MEMORY)] {
            taken.read(name, text).unwrap();
        }
        let settings = Settings::default().reserved_cpus("0".parse().unwrap()).reserved_memory([(0, 1)]);
        let predictor = Predictor::new(&board(), settings, &taken).unwrap();
        assert!(
            predictor.notes().iter().any(|note| note.contains("example.com/fpga f0")),
            "{:?}",
            predictor.notes()
        );
        let text = "apiVersion: v1\nkind: Pod\nspec: {containers: [{name: a, resources: {limits: {cpu: 2, memory: 1Mi, nvidia.com/gpu: 1}}}]}";
        let pod = super::super::Pod::from_yaml("p", text).unwrap();
        // Memory of node 0 is full, and one GPU is left on node 1.
        let given = predictor.predict(&pod, Policy::SingleNumaNode, Scope::Container).unwrap().containers;
        assert_eq!(
            (given[0].gpus.as_slice(), given[0].cpu_nodes.to_string()),
            ([3].as_slice(), "1".to_owned())
        );
        assert_eq!(given[0].cpus.as_ref().unwrap().to_string(), "8,20");
    }

    #[test]
    fn files_that_do_not_fit_are_told() {
        let of = |text: &str| {
            let mut taken = Taken::default();
            taken
                .read("state", text)
                .and_then(|()| Predictor::new(&board(), Settings::default(), &taken).map(|_| ()))
        };
        for wrong in [
            "",
            "{}",
            "[]",
            r#"{"policyName":"static","defaultCpuSet":"0-3","entries":{},"checksum":1}"#,
            r#"{"policyName":"static","defaultCpuSet":"x","entries":{},"checksum":1}"#,
            r#"{"Data":{"PodDeviceEntries":[{"ResourceName":"nvidia.com/gpu","DeviceIDs":{"0":["GPU-9"]}}]},"Checksum":1}"#,
            r#"{"Data":{"PodDeviceEntries":7},"Checksum":1}"#,
        ] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
        assert!(of(r#"{"Data":{"PodDeviceEntries":null,"RegisteredDevices":{}},"Checksum":1}"#).is_ok());
        assert!(of(MEMORY).is_ok());
    }
}
