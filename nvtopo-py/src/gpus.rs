//! The facts of the GPUs of a topology: each with its instances, its NVLinks and its place in a fabric.

use crate::cpuset::{CpuSet, NodeSet};
use crate::devices::PcieLink;
use crate::pickle::{Reduced, reduce};
use nvtopo::model::{self, FabricState, NvLinkFar};
use nvtopo::{Bandwidth, Topology};
use pyo3::prelude::*;

/// One GPU.
///
/// >>> import nvtopo
/// >>> gpu = nvtopo.preset("dgx-h100").gpus[0]
/// >>> gpu.name, str(gpu.cpus), gpu.uuid
/// ('GPU0', '0-55,112-167', None)
#[pyclass(frozen, eq, hash, get_all, module = "nvtopo")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Gpu {
    /// The number by which tools name it, in PCI bus order.
    index: u32,
    /// "GPU" and the index.
    name: String,
    /// The number of its device file, 3 for "/dev/nvidia3", or None. It need not be the index.
    minor: Option<u32>,
    /// The product's name, such as "NVIDIA H100 80GB HBM3", or None.
    model: Option<String>,
    /// The architecture as CUDA numbers it, such as "9.0", or None.
    compute_capability: Option<String>,
    /// The architecture's name, such as "Hopper", or None.
    architecture: Option<&'static str>,
    /// The driver's UUID, such as "GPU-5c3ee4a8-6b1c-4c5e-8d9a-0123456789ab", or None.
    uuid: Option<String>,
    /// The serial number of the board, or None.
    serial: Option<String>,
    /// The version of its firmware (VBIOS), such as "96.00.74.00.0D", or None.
    firmware: Option<String>,
    /// The PCI address, such as "0000:1b:00.0", or None.
    address: Option<String>,
    /// Its PCIe link, or None.
    pcie: Option<PcieLink>,
    /// Its memory in bytes, or None.
    memory: Option<u64>,
    /// The CPUs nearest to it. None: unknown.
    cpus: Option<CpuSet>,
    /// The NUMA nodes nearest to it. None: unknown.
    nodes: Option<NodeSet>,
    /// True for a MIG-enabled GPU, which programs use by its instances. None: unknown.
    mig: Option<bool>,
    /// Its MIG instances.
    instances: Vec<GpuInstance>,
    /// Its place in an NVLink fabric, or None.
    fabric: Option<Fabric>,
    /// Its NVLinks one by one, as far as the driver tells them. `Topology.pair` sums those between two GPUs.
    nvlinks: Vec<NvLink>,
    /// The reason why no job can use it, such as "has fallen off the bus". None: no fault is known.
    unusable: Option<String>,
    /// The number of processes that used it when the topology was made, or None.
    processes: Option<u32>,
    /// Its memory that was in use then, in bytes, or None.
    memory_used: Option<u64>,
    /// Its memory that a new process could have had then, in bytes, or None.
    memory_free: Option<u64>,
}

crate::pickle::plain!(Gpu {
    index,
    name,
    minor,
    model,
    compute_capability,
    architecture,
    uuid,
    serial,
    firmware,
    address,
    pcie,
    memory,
    cpus,
    nodes,
    mig,
    instances,
    fabric,
    nvlinks,
    unusable,
    processes,
    memory_used,
    memory_free
});

#[pymethods]
impl Gpu {
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "Gpu", self)
    }

    fn __repr__(&self) -> String {
        let model = self.model.as_deref().map_or_else(String::new, |model| format!(" {model}"));
        format!("<Gpu {}{model}>", self.name)
    }
}

impl Gpu {
    pub(crate) fn of(topology: &Topology, position: usize) -> Option<Self> {
        let id = *topology.devices().get(position)?;
        let gpu = topology.node(id).kind.as_gpu()?;
        Some(Self {
            index: gpu.index,
            name: gpu.name(),
            minor: gpu.minor,
            model: gpu.model.clone(),
            compute_capability: gpu.compute_capability.map(|capability| capability.to_string()),
            architecture: gpu.compute_capability.and_then(nvtopo::ComputeCapability::architecture),
            uuid: gpu.uuid.map(|uuid| uuid.to_string()),
            serial: gpu.serial.clone(),
            firmware: gpu.firmware.clone(),
            address: gpu.address.map(|address| address.to_string()),
            pcie: gpu.pci.link.map(PcieLink::of),
            memory: gpu.memory,
            cpus: topology.local_cpus(id).known().cloned().map(CpuSet),
            nodes: topology.local_nodes(id).known().cloned().map(NodeSet),
            mig: gpu.mig.map(|mig| mig.current),
            instances: topology.gpu_instances(position).map(|(_, own)| GpuInstance::of(own)).collect(),
            fabric: gpu.fabric.as_ref().map(Fabric::of),
            nvlinks: gpu.nvlinks.iter().map(NvLink::of).collect(),
            unusable: gpu.unusable.clone(),
            processes: gpu.usage.processes,
            memory_used: gpu.usage.memory_used,
            memory_free: gpu.usage.memory_free,
        })
    }
}

/// A MIG instance: a part of a GPU that programs use as a GPU.
#[pyclass(frozen, eq, hash, get_all, module = "nvtopo")]
#[derive(Clone, PartialEq, Eq, Hash)]
#[allow(clippy::struct_field_names, reason = "NVIDIA's word for the part that holds this one")]
pub(crate) struct GpuInstance {
    /// The name for CUDA_VISIBLE_DEVICES, such as "MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f", or None.
    uuid: Option<String>,
    /// The number of the GPU instance in its GPU, or None.
    gpu_instance: Option<u32>,
    /// The number of the compute instance in its GPU instance, or None.
    compute_instance: Option<u32>,
    /// Its profile, such as "1g.10gb", or None.
    profile: Option<String>,
    /// The number of compute slices of the GPU that it has, or None.
    slices: Option<u32>,
    /// Its memory in bytes, or None.
    memory: Option<u64>,
}

crate::pickle::plain!(GpuInstance { uuid, gpu_instance, compute_instance, profile, slices, memory });

#[pymethods]
impl GpuInstance {
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "GpuInstance", self)
    }

    fn __repr__(&self) -> String {
        format!(
            "<GpuInstance {}>",
            self.uuid.as_deref().or(self.profile.as_deref()).unwrap_or("without name")
        )
    }
}

impl GpuInstance {
    fn of(instance: &model::GpuInstance) -> Self {
        Self {
            uuid: instance.uuid.clone(),
            gpu_instance: instance.gpu_instance,
            compute_instance: instance.compute_instance,
            profile: instance.profile.clone(),
            slices: instance.slices,
            memory: instance.memory,
        }
    }
}

/// The place of a GPU in an NVLink fabric.
#[pyclass(frozen, eq, hash, get_all, module = "nvtopo")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Fabric {
    /// The state of its registration: "not-started", "in-progress", "completed" or "unknown".
    state: &'static str,
    /// The result of the registration as NVML numbers errors; 0 is success. None: unknown.
    status: Option<u32>,
    /// The UUID of the NVLink domain; None within one server.
    cluster: Option<String>,
    /// The number of the group in the domain whose GPUs reach each other, or None.
    clique: Option<u32>,
    /// NVML's health mask, or None.
    health: Option<u32>,
    /// NVML's number for the health as a whole: 1 healthy, 2 unhealthy, 3 of limited capacity; or None.
    health_summary: Option<u32>,
    /// The names of the faults that the driver reports, such as "degraded-bandwidth".
    faults: Vec<String>,
}

crate::pickle::plain!(Fabric { state, status, cluster, clique, health, health_summary, faults });

#[pymethods]
impl Fabric {
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "Fabric", self)
    }

    fn __repr__(&self) -> String {
        format!("<Fabric {}>", self.state)
    }
}

impl Fabric {
    fn of(fabric: &model::Fabric) -> Self {
        Self {
            state: FabricState::word(fabric.state),
            status: fabric.status,
            cluster: fabric.cluster.clone(),
            clique: fabric.clique,
            health: fabric.health,
            health_summary: fabric.health_summary,
            faults: fabric.faults().iter().map(|fault| fault.word().to_owned()).collect(),
        }
    }
}

/// One NVLink of a GPU.
#[pyclass(frozen, eq, hash, module = "nvtopo")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct NvLink {
    #[pyo3(get)]
    /// Its number on this GPU.
    number: u32,
    #[pyo3(get)]
    /// True where it is up. None: unknown.
    up: Option<bool>,
    #[pyo3(get)]
    /// The generation of NVLink, from 1, as the driver tells it, or None.
    generation: Option<u8>,
    reported: Option<Bandwidth>,
    #[pyo3(get)]
    /// The device at its other end: "gpu", "switch", "cpu", or "device" of unknown kind. None: unknown.
    far: Option<&'static str>,
    #[pyo3(get)]
    /// The PCI address of the device at its other end, or None.
    far_address: Option<String>,
}

crate::pickle::plain!(NvLink { number, up, generation, reported, far, far_address });

#[pymethods]
impl NvLink {
    #[getter]
    /// The rate that the driver reports, one direction, in GB/s (1e9 bytes per second). None: unknown.
    fn gb_per_s(&self) -> Option<f64> {
        self.reported.map(Bandwidth::as_gb_per_s)
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "NvLink", self)
    }

    fn __repr__(&self) -> String {
        format!("<NvLink {} to {}>", self.number, self.far.unwrap_or("unknown"))
    }
}

impl NvLink {
    fn of(port: &model::NvLinkPort) -> Self {
        let (far, address) = match port.far {
            NvLinkFar::Gpu(address) => (Some("gpu"), Some(address)),
            NvLinkFar::Switch(address) => (Some("switch"), address),
            NvLinkFar::Cpu => (Some("cpu"), None),
            NvLinkFar::Device(address) => (Some("device"), Some(address)),
            _ => (None, None),
        };
        Self {
            number: port.number,
            up: port.up,
            generation: port.generation,
            reported: port.reported,
            far,
            far_address: address.map(|address| address.to_string()),
        }
    }
}
