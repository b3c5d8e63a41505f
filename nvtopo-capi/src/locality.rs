//! The questions of C about what is near in a topology: local CPUs and memory, NICs, NVLink groups, NUMA nodes.
#![allow(unsafe_code, reason = "`no_mangle` is an unsafe attribute; there is no unsafe block here")]

use crate::cpuset::nvtopo_cpuset;
use crate::handle::{c_known, c_text, element, given, or_null};
use crate::status::{Failure, answer, nvtopo_status};
use crate::topology::nvtopo_topology;
use nvtopo::{Topology, fair_nics, nearest_nics};
use once_cell::race::OnceBox;
use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;

/// The localities of a topology, found when the first is asked for.
#[derive(Default)]
pub(crate) struct Localities(OnceBox<Found>);

struct Found {
    devices: Vec<Near>,
    nearest: Vec<Vec<usize>>,
    own_nics: Vec<Option<usize>>,
    groups: Vec<(Vec<usize>, CString)>,
    nodes: Vec<Node>,
}

/// The CPUs and memory nodes near one device.
struct Near {
    cpus: Option<nvtopo_cpuset>,
    mems: Option<CString>,
}

struct Node {
    number: u32,
    cpus: nvtopo_cpuset,
    memory: Option<u64>,
}

/// A NUMA node.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct nvtopo_numa_node {
    /// The kernel's number, which need not be its place in the list.
    pub number: u32,
    /// True where its memory is known.
    pub memory_known: bool,
    /// Its memory in bytes; it means nothing where `memory_known` is false.
    pub memory: u64,
    /// Its CPUs that are online; empty where it has none. The set belongs to the topology.
    pub cpus: *const nvtopo_cpuset,
}

/// A group of GPUs that NVLink connects; a GPU without NVLink is a group of its own.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct nvtopo_group {
    /// The number of its GPUs.
    pub gpu_count: usize,
    /// How they are connected: "no NVLink", "fully connected", "switched" or "partially connected". The text belongs to the
    /// topology.
    pub shape: *const c_char,
}

/// The CPUs nearest to a device, a GPU or a NIC, by its position; NULL when they are not known. The set belongs to the
/// topology.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_local_cpus(
    topology: Option<&nvtopo_topology>,
    device: usize,
    cpus: Option<&mut MaybeUninit<*const nvtopo_cpuset>>,
) -> nvtopo_status {
    answer(cpus, "cpus", || {
        let near = element(&found(topology)?.devices, device, "device")?;
        Ok(near.cpus.as_ref().map_or(std::ptr::null(), std::ptr::from_ref))
    })
}

/// The NUMA nodes nearest to a device, by its position, as the kernel's list; NULL when they are not known. The text belongs
/// to the topology.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_local_mems(
    topology: Option<&nvtopo_topology>,
    device: usize,
    list: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(list, "list", || Ok(or_null(element(&found(topology)?.devices, device, "device")?.mems.as_ref())))
}

/// Counts the NICs that are nearest to a GPU, by its position, all over the same class of path; 0 when none is known.
/// `nvtopo_topology_pair` tells the path.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_nearest_nic_count(
    topology: Option<&nvtopo_topology>,
    gpu: usize,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(element(&found(topology)?.nearest, gpu, "GPU")?.len()))
}

/// The position, among the devices of the topology, of NIC number `i`, from 0 on, of those nearest to a GPU.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_nearest_nic(
    topology: Option<&nvtopo_topology>,
    gpu: usize,
    i: usize,
    device: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(device, "device", || Ok(*element(element(&found(topology)?.nearest, gpu, "GPU")?, i, "NIC")?))
}

/// The position of the NIC that a GPU should use where all GPUs of the machine use NICs, so that none serves more than its
/// share; -1 when none is known.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_own_nic(
    topology: Option<&nvtopo_topology>,
    gpu: usize,
    device: Option<&mut MaybeUninit<i64>>,
) -> nvtopo_status {
    answer(device, "device", || {
        let own = element(&found(topology)?.own_nics, gpu, "GPU")?;
        Ok(own.and_then(|nic| i64::try_from(nic).ok()).unwrap_or(-1))
    })
}

/// Counts the NVLink groups, by their lowest GPU.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_group_count(
    topology: Option<&nvtopo_topology>,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(found(topology)?.groups.len()))
}

/// NVLink group number `i`, from 0 on.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_group(
    topology: Option<&nvtopo_topology>,
    i: usize,
    group: Option<&mut MaybeUninit<nvtopo_group>>,
) -> nvtopo_status {
    answer(group, "group", || {
        let (gpus, shape) = element(&found(topology)?.groups, i, "NVLink group")?;
        Ok(nvtopo_group { gpu_count: gpus.len(), shape: shape.as_ptr() })
    })
}

/// The position of GPU number `i`, from 0 on, of an NVLink group, in increasing order.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_group_gpu(
    topology: Option<&nvtopo_topology>,
    group: usize,
    i: usize,
    gpu: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(gpu, "gpu", || {
        let (gpus, _) = element(&found(topology)?.groups, group, "NVLink group")?;
        Ok(*element(gpus, i, "GPU")?)
    })
}

/// Counts the NUMA nodes that are known.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_numa_node_count(
    topology: Option<&nvtopo_topology>,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(found(topology)?.nodes.len()))
}

/// NUMA node number `i`, from 0 on, of those that are known.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_numa_node(
    topology: Option<&nvtopo_topology>,
    i: usize,
    node: Option<&mut MaybeUninit<nvtopo_numa_node>>,
) -> nvtopo_status {
    answer(node, "node", || {
        let node = element(&found(topology)?.nodes, i, "NUMA node")?;
        Ok(nvtopo_numa_node {
            number: node.number,
            memory_known: node.memory.is_some(),
            memory: node.memory.unwrap_or(0),
            cpus: &raw const node.cpus,
        })
    })
}

impl Found {
    fn of(topology: &Topology) -> Self {
        let near = |device| Near {
            cpus: topology.local_cpus(device).known().map(|cpus| cpus.clone().into()),
            mems: topology.local_nodes(device).known().and_then(c_known),
        };
        let nodes = topology.numa_nodes().map(|node| Node {
            number: node.os_index,
            cpus: node.cpus.clone().into(),
            memory: node.memory,
        });
        let groups = topology.nvlink_groups().iter();
        Self {
            devices: topology.devices().iter().map(|device| near(*device)).collect(),
            nearest: (0..topology.gpus().len()).map(|gpu| nearest_nics(topology, gpu).0).collect(),
            own_nics: fair_nics(topology),
            groups: groups.map(|group| (group.gpus.clone(), c_text(group.shape))).collect(),
            nodes: nodes.collect(),
        }
    }
}

fn found(topology: Option<&nvtopo_topology>) -> Result<&Found, Failure> {
    let topology = given(topology, "topology")?;
    Ok(topology.localities.0.get_or_init(|| Box::new(Found::of(&topology.topology))))
}
