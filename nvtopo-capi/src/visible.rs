//! `nvtopo_visible`: the GPUs that the variables of a process show it.
#![allow(unsafe_code, reason = "`no_mangle` is an unsafe attribute; there is no unsafe block here")]

use crate::environment::{Variables, own};
use crate::handle::{Texts, c_known, c_texts, element, given, or_null, owned};
use crate::status::{Failure, answer, free, nvtopo_status};
use crate::topology::nvtopo_topology;
use nvtopo::solve::OrderBasis;
use nvtopo::{Topology, VisibleGpus};
use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;

/// The GPUs that a process sees, and how sure that is. It never changes, and any number of threads may use it at once.
pub struct nvtopo_visible {
    devices: Vec<Device>,
    order: nvtopo_order_basis,
    unresolved: bool,
    remarks: Vec<CString>,
}

/// How the order is known in which CUDA counts GPUs.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum nvtopo_order_basis {
    /// The GPUs are of several models, of which CUDA counts the fastest first by a rule that is not published.
    Unknown = 0,
    /// The variable says it, or the GPUs are of one model.
    Known = 10,
    /// Nobody told the models of the GPUs; they are taken to be one, and the order to be that of the PCI bus.
    Assumed = 20,
}

/// The texts of what CUDA counts as one device, as C gets them.
struct Device {
    index: u32,
    is_instance: bool,
    /// The name of the instance. `None`: a whole GPU, or unknown.
    instance: Option<CString>,
}

/// The GPUs that `CUDA_VISIBLE_DEVICES` shows this process, as CUDA reads it, counted as `CUDA_DEVICE_ORDER` says; all where it is
/// not set.
///
///     nvtopo_visible *visible = NULL;
///     uint32_t first = 0;
///     if (nvtopo_topology_visible(topology, &visible) == NVTOPO_STATUS_OK
///         && nvtopo_visible_device_gpu(visible, 0, &first) == NVTOPO_STATUS_OK)
///         printf("CUDA device 0 is GPU%u\n", (unsigned)first);
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_visible(
    topology: Option<&nvtopo_topology>,
    visible: Option<&mut MaybeUninit<*mut nvtopo_visible>>,
) -> nvtopo_status {
    answer(visible, "visible", || seen(topology, own))
}

/// The GPUs that `count` variables show another process, each a text such as `CUDA_VISIBLE_DEVICES=3,1`. Without
/// `CUDA_VISIBLE_DEVICES` among them, all are visible, in the order in which CUDA counts them.
///
/// Fails with `NVTOPO_STATUS_INVALID_REQUEST` where a text has no "=".
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_visible_of(
    topology: Option<&nvtopo_topology>,
    variables: Texts,
    count: usize,
    visible: Option<&mut MaybeUninit<*mut nvtopo_visible>>,
) -> nvtopo_status {
    answer(visible, "visible", || {
        let variables = Variables::read(&variables, count)?;
        seen(topology, |name| variables.get(name))
    })
}

/// Frees what is visible. NULL is left alone.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_visible_free(visible: Option<Box<nvtopo_visible>>) {
    free(visible);
}

/// Counts the devices that CUDA sees: GPUs, or MIG instances.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_visible_device_count(
    visible: Option<&nvtopo_visible>,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(given(visible, "visible")?.devices.len()))
}

/// The index of the GPU of CUDA's device number `i`, from 0 on: the one that nvidia-smi shows.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_visible_device_gpu(
    visible: Option<&nvtopo_visible>,
    i: usize,
    index: Option<&mut MaybeUninit<u32>>,
) -> nvtopo_status {
    answer(index, "index", || Ok(device(visible, i)?.index))
}

/// True where CUDA's device number `i` is a MIG instance: else it is a whole GPU.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_visible_device_is_instance(
    visible: Option<&nvtopo_visible>,
    i: usize,
    is_instance: Option<&mut MaybeUninit<bool>>,
) -> nvtopo_status {
    answer(is_instance, "is_instance", || Ok(device(visible, i)?.is_instance))
}

/// The name of the MIG instance that CUDA's device number `i` is; NULL where it is a whole GPU, or the instance's name is not
/// known. The text belongs to what is visible.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_visible_device_instance(
    visible: Option<&nvtopo_visible>,
    i: usize,
    uuid: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(uuid, "uuid", || Ok(or_null(device(visible, i)?.instance.as_ref())))
}

/// How the order of the devices is known.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_visible_order(
    visible: Option<&nvtopo_visible>,
    order: Option<&mut MaybeUninit<nvtopo_order_basis>>,
) -> nvtopo_status {
    answer(order, "order", || Ok(given(visible, "visible")?.order))
}

/// True where the variable names devices that the topology cannot tell: then there is no device here although the process may see
/// some.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_visible_is_unresolved(
    visible: Option<&nvtopo_visible>,
    is_unresolved: Option<&mut MaybeUninit<bool>>,
) -> nvtopo_status {
    answer(is_unresolved, "is_unresolved", || Ok(given(visible, "visible")?.unresolved))
}

/// Counts the remarks: why a list ended early, what was assumed, what CUDA will not do.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_visible_remark_count(
    visible: Option<&nvtopo_visible>,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(given(visible, "visible")?.remarks.len()))
}

/// A remark by its number, from 0 on.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_visible_remark(
    visible: Option<&nvtopo_visible>,
    i: usize,
    text: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(text, "text", || Ok(element(&given(visible, "visible")?.remarks, i, "remark")?.as_ptr()))
}

impl nvtopo_visible {
    fn of(topology: &Topology, visible: &VisibleGpus) -> Self {
        let device = |device: &nvtopo::solve::VisibleDevice| {
            let index = topology.gpus().nth(device.gpu)?.index;
            let name = |id| {
                let own = topology.gpu_instances(device.gpu).find(|(own, _)| *own == id);
                own.and_then(|(_, instance)| instance.uuid.as_ref().and_then(c_known))
            };
            let is_instance = device.instance.is_some();
            Some(Device { index, is_instance, instance: device.instance.and_then(name) })
        };
        Self {
            devices: visible.devices.iter().filter_map(device).collect(),
            order: match visible.order {
                OrderBasis::Known => nvtopo_order_basis::Known,
                OrderBasis::Assumed => nvtopo_order_basis::Assumed,
                _ => nvtopo_order_basis::Unknown,
            },
            unresolved: visible.unresolved,
            remarks: c_texts(&visible.remarks),
        }
    }
}

fn seen(
    topology: Option<&nvtopo_topology>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<*mut nvtopo_visible, Failure> {
    let topology = &given(topology, "topology")?.topology;
    Ok(owned(nvtopo_visible::of(topology, &VisibleGpus::from_environment(topology, variable))))
}

fn device(visible: Option<&nvtopo_visible>, i: usize) -> Result<&Device, Failure> {
    element(&given(visible, "visible")?.devices, i, "device")
}
