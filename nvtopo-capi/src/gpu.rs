//! The questions of C about one GPU of a topology, and of its instances.
#![allow(unsafe_code, reason = "`no_mangle` is an unsafe attribute; there is no unsafe block here")]

use crate::handle::{Text, c_known, element, given, or_null};
use crate::status::{Failure, answer, nvtopo_status};
use crate::topology::nvtopo_topology;
use nvtopo::{GpuRef, Topology};
use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;

/// The facts of one GPU, as C gets them.
pub(crate) struct Gpu {
    index: u32,
    model: Option<CString>,
    minor: Option<u32>,
    memory: Option<u64>,
    uuid: Option<CString>,
    address: Option<CString>,
    unusable: Option<CString>,
    faults: Option<CString>,
    instances: Vec<Instance>,
}

struct Instance {
    uuid: Option<CString>,
    profile: Option<CString>,
    memory: Option<u64>,
}

/// The index of a GPU by its position: the one that nvidia-smi shows.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_gpu_index(
    topology: Option<&nvtopo_topology>,
    gpu: usize,
    index: Option<&mut MaybeUninit<u32>>,
) -> nvtopo_status {
    answer(index, "index", || Ok(asked(topology, gpu)?.index))
}

/// The position of the GPU that a name stands for: an index ("3" or "GPU3"), a UUID or its unique start ("GPU-5c3e"), or a PCI
/// address ("0000:1b:00.0").
///
/// Fails with `NVTOPO_STATUS_INVALID_REQUEST` where the name is none of these, or no GPU or several have it.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_find_gpu(
    topology: Option<&nvtopo_topology>,
    name: Text,
    gpu: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(gpu, "gpu", || {
        let topology = &given(topology, "topology")?.topology;
        Ok(name.read("name")?.parse::<GpuRef>()?.resolve(topology)?)
    })
}

/// The model of a GPU, such as "NVIDIA H100 80GB HBM3"; NULL when it is not known.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_gpu_model(
    topology: Option<&nvtopo_topology>,
    gpu: usize,
    model: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(model, "model", || Ok(or_null(asked(topology, gpu)?.model.as_ref())))
}

/// The number of a GPU's device file, 3 for /dev/nvidia3; -1 when it is not known. It need not be the index.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_gpu_minor(
    topology: Option<&nvtopo_topology>,
    gpu: usize,
    minor: Option<&mut MaybeUninit<i64>>,
) -> nvtopo_status {
    answer(minor, "minor", || Ok(asked(topology, gpu)?.minor.map_or(-1, i64::from)))
}

/// The memory of a GPU in bytes; 0 when it is not known.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_gpu_memory(
    topology: Option<&nvtopo_topology>,
    gpu: usize,
    bytes: Option<&mut MaybeUninit<u64>>,
) -> nvtopo_status {
    answer(bytes, "bytes", || Ok(asked(topology, gpu)?.memory.unwrap_or(0)))
}

/// The UUID of a GPU, such as `GPU-5c3ee4a8-6b1c-4c5e-8d9a-0123456789ab`; NULL when it is not known.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_gpu_uuid(
    topology: Option<&nvtopo_topology>,
    gpu: usize,
    uuid: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(uuid, "uuid", || Ok(or_null(asked(topology, gpu)?.uuid.as_ref())))
}

/// The place of a GPU on the PCI bus, such as `0000:1b:00.0`; NULL when it is not known.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_gpu_address(
    topology: Option<&nvtopo_topology>,
    gpu: usize,
    address: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(address, "address", || Ok(or_null(asked(topology, gpu)?.address.as_ref())))
}

/// Why no job can use a GPU, such as `has fallen off the bus`; NULL when nothing is known against it. Such a GPU is never
/// chosen.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_gpu_unusable(
    topology: Option<&nvtopo_topology>,
    gpu: usize,
    why: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(why, "why", || Ok(or_null(asked(topology, gpu)?.unusable.as_ref())))
}

/// The names of what speaks against a GPU that can be used, with commas between them, such as
/// `degraded-bandwidth,fewer-nvlinks`; NULL when nothing is known. Such a GPU is chosen last, and
/// one that cannot take part in its NVLink fabric is not chosen together with others unless the request names it.
///
/// The names are `out-of-fabric`: it is not in its NVLink fabric, or not yet; `fewer-nvlinks`: it has fewer NVLinks to the
/// NVSwitches than others of its model; and what the driver says of its place in the fabric: `degraded-bandwidth`,
/// `route-recovery`, `unhealthy-route`, `access-timeout-recovery`, `incorrect-system-guid`, `incorrect-chassis-serial`,
/// `no-partition`, `insufficient-nvlinks`, `incompatible-firmware`, `invalid-location`, `invalid-gpu-state`,
/// `incorrect-configuration`, `unassigned-partition`, `disconnected-manager`, `limited-capacity` and `unhealthy`.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_gpu_faults(
    topology: Option<&nvtopo_topology>,
    gpu: usize,
    faults: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(faults, "faults", || Ok(or_null(asked(topology, gpu)?.faults.as_ref())))
}

/// Counts the MIG instances of a GPU; 0 when it has none or none is known.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_instance_count(
    topology: Option<&nvtopo_topology>,
    gpu: usize,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(asked(topology, gpu)?.instances.len()))
}

/// The name of instance number `i` of a GPU for `CUDA_VISIBLE_DEVICES`; NULL when it is not known.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_instance_uuid(
    topology: Option<&nvtopo_topology>,
    gpu: usize,
    i: usize,
    uuid: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(uuid, "uuid", || Ok(or_null(instance(topology, gpu, i)?.uuid.as_ref())))
}

/// The profile of instance number `i` of a GPU, such as `1g.10gb`; NULL when it is not known.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_instance_profile(
    topology: Option<&nvtopo_topology>,
    gpu: usize,
    i: usize,
    profile: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(profile, "profile", || Ok(or_null(instance(topology, gpu, i)?.profile.as_ref())))
}

/// The memory of instance number `i` of a GPU in bytes; 0 when it is not known.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_instance_memory(
    topology: Option<&nvtopo_topology>,
    gpu: usize,
    i: usize,
    bytes: Option<&mut MaybeUninit<u64>>,
) -> nvtopo_status {
    answer(bytes, "bytes", || Ok(instance(topology, gpu, i)?.memory.unwrap_or(0)))
}

impl Gpu {
    /// The GPUs of a topology, by position.
    pub(crate) fn all(topology: &Topology) -> Vec<Self> {
        let gpus = topology.gpus().enumerate();
        let instance = |own: &nvtopo::model::GpuInstance| Instance {
            uuid: own.uuid.as_ref().and_then(c_known),
            profile: own.profile.as_ref().and_then(c_known),
            memory: own.memory,
        };
        gpus.map(|(position, gpu)| Self {
            index: gpu.index,
            model: gpu.model.as_ref().and_then(c_known),
            minor: gpu.minor,
            memory: gpu.memory,
            uuid: gpu.uuid.and_then(c_known),
            address: gpu.address.and_then(c_known),
            unusable: gpu.unusable.as_ref().and_then(c_known),
            faults: c_known(
                topology.gpu_faults(position).iter().map(|fault| fault.word()).collect::<Vec<_>>().join(","),
            ),
            instances: topology.gpu_instances(position).map(|(_, own)| instance(own)).collect(),
        })
        .collect()
    }
}

fn asked(topology: Option<&nvtopo_topology>, gpu: usize) -> Result<&Gpu, Failure> {
    element(&given(topology, "topology")?.gpus, gpu, "GPU")
}

fn instance(topology: Option<&nvtopo_topology>, gpu: usize, i: usize) -> Result<&Instance, Failure> {
    element(&asked(topology, gpu)?.instances, i, "instance")
}
