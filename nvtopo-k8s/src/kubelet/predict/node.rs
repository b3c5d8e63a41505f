//! A node as the kubelet's managers see it, and what is taken of it.

use super::hints::{Mask, Numa};
use super::{GPU_RESOURCE, Settings};
use crate::kubelet::lint::{CDMM, FEW_NODES_SINCE};
use crate::names;
use nvtopo::model::NodeKind;
use nvtopo::{CpuSet, Error, KubeletCpus, Result, Topology};
use std::collections::BTreeMap;

/// The most NUMA nodes whose combinations are tried. The kubelet, which tries them one by one, would not answer in time.
const MOST_NODES: u32 = 12;

/// A device of a device plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    /// As people name it: `GPU0`, `mlx5_0`.
    pub(crate) name: String,
    /// The index of the GPU that it is.
    pub(crate) gpu: Option<u32>,
    /// The names by which the kubelet's files may call it.
    pub(crate) ids: Vec<String>,
    /// Empty: it has no NUMA node.
    pub(crate) nodes: Mask,
}

/// The devices of one extended resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) devices: Vec<Device>,
    /// The nodes whose combinations are tried for hints: those that they are on, of those that the machine has; before 1.37 all.
    pub(crate) nodes: Mask,
}

/// The memory of one kind on one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Memory {
    pub(crate) allocatable: u64,
    pub(crate) free: u64,
}

/// The memory of one node, as the memory manager keeps book of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NodeMemory {
    pub(crate) kinds: BTreeMap<String, Memory>,
    pub(crate) assignments: u64,
    /// The nodes that it was given out together with.
    pub(crate) cells: Mask,
}

/// The resources that are taken of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// The CPUs that no container has for itself, the reserved ones among them.
    pub(crate) shared: CpuSet,
    /// By resource, the devices that are given away.
    pub(crate) taken: BTreeMap<String, Vec<usize>>,
    pub(crate) memory: BTreeMap<u32, NodeMemory>,
}

/// A node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) topology: Topology,
    pub(crate) numa: Numa,
    pub(crate) cpus: KubeletCpus,
    pub(crate) cpu_nodes: Mask,
    pub(crate) resources: BTreeMap<String, Resource>,
    /// Distances that the topology does not tell.
    pub(crate) distances_unknown: bool,
}

impl Node {
    pub(crate) fn of(topology: &Topology, settings: &Settings) -> Result<Self> {
        if let Some(node) = topology.numa_nodes().find(|node| node.os_index >= Mask::BITS) {
            return Err(Error::unsatisfiable(format!("the kubelet knows no NUMA node {}", node.os_index)));
        }
        if topology.cpus().is_empty() {
            return Err(Error::unsatisfiable("nothing tells the CPUs of this machine")
                .help("add a source that does, such as a snapshot or hwloc's XML"));
        }
        let mut all = Mask::of(topology.numa_nodes().map(|node| node.os_index));
        if all.is_empty() {
            // A machine that tells of no nodes is one.
            all = Mask::node(0);
        }
        let mut distances = vec![vec![0; 64]; 64];
        let mut told = 0;
        for node in topology.numa_nodes() {
            for (other, distance) in node.distances.iter().filter(|(other, _)| *other < Mask::BITS) {
                distances[node.os_index as usize][*other as usize] = *distance;
                told += usize::from(all.has(*other));
            }
        }
        let cpus = KubeletCpus::new(settings.cpu_options, topology)?;
        let cpu_nodes = Mask::of(cpus.nodes().iter());
        if cpu_nodes.count() > MOST_NODES {
            let count = cpu_nodes.count();
            return Err(Error::unsatisfiable(format!(
                "{count} NUMA nodes have CPUs, and combinations of at most {MOST_NODES} are tried"
            )));
        }
        let mut resources = BTreeMap::new();
        for (name, devices) in &settings.devices {
            let devices = devices_of(topology, name, devices)?;
            let mut resource = Resource::of(devices, all);
            if resource.nodes.count() > MOST_NODES {
                let message = format!("the devices of {name} are on {} NUMA nodes", resource.nodes.count());
                return Err(Error::unsatisfiable(format!("{message}, and at most {MOST_NODES} are tried")));
            }
            if settings.version.number() < FEW_NODES_SINCE && resource.aligns() {
                resource.nodes = all;
                if all.count() > MOST_NODES {
                    let message = format!(
                        "before 1.{FEW_NODES_SINCE} the kubelet tries all combinations of {} NUMA nodes for {name}, and does not end in time",
                        all.count()
                    );
                    return Err(Error::unsatisfiable(message).help(format!(
                        "take 1.{FEW_NODES_SINCE} or a release with the same change; or {CDMM}"
                    )));
                }
            }
            resources.insert(name.clone(), resource);
        }
        let distances_unknown = told < (all.count() as usize).pow(2);
        Ok(Self {
            topology: topology.clone(),
            numa: Numa { all, distances },
            cpus,
            cpu_nodes,
            resources,
            distances_unknown,
        })
    }

    /// Nothing is taken.
    pub(crate) fn idle(&self, settings: &Settings) -> Result<State> {
        let mut shared = self.cpus.cpus().clone();
        if settings.cpu_options.strict_cpu_reservation {
            shared = shared.difference(&settings.reserved_cpus);
        }
        let memory = match &settings.reserved_memory {
            Some(reserved) => self.memory(reserved)?,
            None => BTreeMap::new(),
        };
        let taken = self.resources.keys().map(|name| (name.clone(), Vec::new())).collect();
        Ok(State { shared, taken, memory })
    }

    fn memory(&self, reserved: &BTreeMap<u32, BTreeMap<String, u64>>) -> Result<BTreeMap<u32, NodeMemory>> {
        if self.numa.all.count() > MOST_NODES {
            return Err(Error::unsatisfiable(format!(
                "the memory manager tries all combinations of {} NUMA nodes, and does not end in time",
                self.numa.all.count()
            )));
        }
        if let Some(node) = reserved.keys().find(|node| !self.numa.all.has(**node)) {
            return Err(Error::request(format!(
                "memory is reserved on NUMA node {node}, which is not there"
            )));
        }
        let mut nodes = BTreeMap::new();
        for node in self.topology.numa_nodes() {
            let total = node.memory.ok_or_else(|| {
                Error::request(format!("the memory of NUMA node {} is not known", node.os_index))
                    .help("predict without a memory manager, or from a topology that was read on the machine")
            })?;
            let kept = |kind: &str| {
                reserved.get(&node.os_index).and_then(|kinds| kinds.get(kind)).copied().unwrap_or(0)
            };
            let mut own = NodeMemory { cells: Mask::node(node.os_index), ..NodeMemory::default() };
            let mut pages = 0_u64;
            for page in &node.huge_pages {
                let size = page.size.saturating_mul(page.total);
                let kind = format!("hugepages-{}", names::size(page.size));
                let allocatable = size.saturating_sub(kept(&kind));
                own.kinds.insert(kind, Memory { allocatable, free: allocatable });
                pages = pages.saturating_add(size);
            }
            let allocatable = total.saturating_sub(kept("memory")).saturating_sub(pages);
            own.kinds.insert("memory".to_owned(), Memory { allocatable, free: allocatable });
            nodes.insert(node.os_index, own);
        }
        Ok(nodes)
    }

    /// The device that the kubelet's files call so.
    pub(crate) fn find(&self, resource: &str, id: &str) -> Option<usize> {
        // Replicas of a shared GPU have its name and a number.
        let id = id.split("::").next().unwrap_or(id);
        let devices = &self.resources.get(resource)?.devices;
        devices.iter().position(|device| device.ids.iter().any(|own| own.eq_ignore_ascii_case(id)))
    }
}

impl Resource {
    pub(crate) fn of(devices: Vec<Device>, all: Mask) -> Self {
        let nodes = devices.iter().fold(0, |nodes, device| nodes | device.nodes.0);
        Self { devices, nodes: Mask(nodes).and(all) }
    }

    /// Returns true where the plugin tells NUMA nodes of any device.
    pub(crate) fn aligns(&self) -> bool {
        self.devices.iter().any(|device| !device.nodes.is_empty())
    }
}

/// The devices behind an extended resource.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Devices {
    /// All GPUs, as the device plugin for `nvidia.com/gpu` has them.
    Gpus,
    /// All NICs.
    Nics,
    /// These, by the names of GPUs (`GPU0`) and NICs.
    These(Vec<String>),
}

impl std::str::FromStr for Devices {
    type Err = Error;

    /// Reads `gpus`, `nics`, or names with commas.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "gpus" => Ok(Self::Gpus),
            "nics" => Ok(Self::Nics),
            "" => {
                Err(Error::request("no devices are named")
                    .help("give gpus, nics, or names such as GPU0,GPU1"))
            }
            names => Ok(Self::These(names.split(',').map(|name| name.trim().to_owned()).collect())),
        }
    }
}

fn devices_of(topology: &Topology, resource: &str, devices: &Devices) -> Result<Vec<Device>> {
    let all = topology.devices().iter().filter_map(|id| {
        let nodes = topology.local_nodes(*id).known().map(|nodes| Mask::of(nodes.iter())).unwrap_or_default();
        match &topology.node(*id).kind {
            NodeKind::Gpu(gpu) => {
                let mut ids = vec![gpu.name(), gpu.index.to_string()];
                ids.extend(gpu.uuid.as_ref().map(ToString::to_string));
                ids.extend(gpu.address.as_ref().map(ToString::to_string));
                Some(Device { name: gpu.name(), gpu: Some(gpu.index), ids, nodes })
            }
            NodeKind::Nic(nic) => {
                let mut ids = vec![nic.name.clone()];
                ids.extend(nic.rdma_device.clone());
                ids.extend(nic.net_devices.clone());
                ids.extend(nic.address.as_ref().map(ToString::to_string));
                Some(Device { name: nic.name.clone(), gpu: None, ids, nodes })
            }
            _ => None,
        }
    });
    let all: Vec<Device> = all.collect();
    match devices {
        Devices::Gpus => Ok(all.into_iter().filter(|device| device.gpu.is_some()).collect()),
        Devices::Nics => Ok(all.into_iter().filter(|device| device.gpu.is_none()).collect()),
        Devices::These(names) => {
            let mut these: Vec<Device> = Vec::new();
            for name in names {
                let one = all.iter().find(|device| device.ids.iter().any(|id| id.eq_ignore_ascii_case(name)));
                let one = one.ok_or_else(|| {
                    Error::request(format!("{resource}: there is no device {name}"))
                        .help("devices have the names that 'nvtopo show' prints")
                })?;
                if these.iter().any(|known| known.name == one.name) {
                    return Err(Error::request(format!("{resource}: {name} is named twice")));
                }
                these.push(one.clone());
            }
            Ok(these)
        }
    }
}

/// The resource of GPUs, where nothing else is said.
pub(crate) fn default_devices() -> BTreeMap<String, Devices> {
    BTreeMap::from([(GPU_RESOURCE.to_owned(), Devices::Gpus)])
}
