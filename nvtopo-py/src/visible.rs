//! The GPUs that the variables of a process show it.

use crate::indices_of;
use crate::pickle::{Reduced, reduce};
use nvtopo::Topology;
use pyo3::prelude::*;

/// The GPUs that a process sees, and how sure that is. Made by Topology.visible_gpus.
#[pyclass(frozen, eq, hash, get_all, module = "nvtopo")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct VisibleGpus {
    /// The indices of the GPUs, each once, in the order in which CUDA counts them as far as `order` knows it.
    gpus: Vec<u32>,
    /// The devices as CUDA counts them, in that order: the index of the GPU, and the name of the MIG instance where it is
    /// one and not the whole GPU ("" where it has none).
    devices: Vec<(u32, Option<String>)>,
    /// The certainty of that order: "known"; "assumed", where the models of the GPUs are unknown; or "unknown", where they are
    /// several.
    order: &'static str,
    /// True where the variable names devices that the topology does not know: then `gpus` is empty although there may be some.
    unresolved: bool,
    /// Remarks for people: why a list ended early, what was assumed, what CUDA will not do.
    remarks: Vec<String>,
}

crate::pickle::plain!(VisibleGpus { gpus, devices, order, unresolved, remarks });

#[pymethods]
impl VisibleGpus {
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "VisibleGpus", self)
    }

    fn __repr__(&self) -> String {
        format!("<VisibleGpus {:?}, order {}>", self.gpus, self.order)
    }
}

impl VisibleGpus {
    pub(crate) fn of(topology: &Topology, visible: nvtopo::VisibleGpus) -> Self {
        let device = |device: &nvtopo::solve::VisibleDevice| {
            let index = topology.gpus().nth(device.gpu)?.index;
            Some((index, device.instance.map(|instance| instance_name(topology, instance))))
        };
        Self {
            gpus: indices_of(topology, &visible.positions()),
            devices: visible.devices.iter().filter_map(device).collect(),
            order: visible.order.word(),
            unresolved: visible.unresolved,
            remarks: visible.remarks,
        }
    }
}

/// The name of an instance for CUDA_VISIBLE_DEVICES; empty where it has none.
pub(crate) fn instance_name(topology: &Topology, id: nvtopo::model::NodeId) -> String {
    let gpus = 0..topology.gpus().len();
    let mut all = gpus.flat_map(|gpu| topology.gpu_instances(gpu));
    let uuid = all.find(|(own, _)| *own == id).and_then(|(_, instance)| instance.uuid.clone());
    uuid.unwrap_or_default()
}
