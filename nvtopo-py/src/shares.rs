//! The shares of the GPUs in the CPUs.

use crate::cpuset::{CpuSet, NodeSet};
use crate::pickle::{Reduced, reduce};
use nvtopo::Topology;
use pyo3::prelude::*;

/// The share of one GPU in the CPUs.
#[pyclass(frozen, eq, hash, get_all, module = "nvtopo")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Share {
    /// The GPU's index.
    index: u32,
    /// Its CPUs.
    cpus: CpuSet,
    /// The NUMA nodes to take memory from; empty when unknown.
    mems: NodeSet,
}

crate::pickle::plain!(Share { index, cpus, mems });

#[pymethods]
impl Share {
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "Share", self)
    }

    fn __repr__(&self) -> String {
        format!("<Share of GPU{}: CPUs {}, nodes {}>", self.index, self.cpus.0, self.mems.0)
    }
}

/// The shares of all GPUs in the CPUs.
#[pyclass(frozen, eq, hash, get_all, module = "nvtopo")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Shares {
    /// One share for each GPU, in the order of `Topology.gpus`.
    per_gpu: Vec<Share>,
    /// Remarks for people: shared or remote CPUs, unknown locality.
    remarks: Vec<String>,
}

crate::pickle::plain!(Shares { per_gpu, remarks });

#[pymethods]
impl Shares {
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "Shares", self)
    }

    fn __repr__(&self) -> String {
        format!("<Shares of {} GPUs>", self.per_gpu.len())
    }
}

impl Shares {
    pub(crate) fn of(topology: &Topology, shares: nvtopo::Shares) -> Self {
        let gpus = topology.gpus().zip(shares.gpus);
        let share = |(gpu, share): (&nvtopo::model::Gpu, nvtopo::Share)| Share {
            index: gpu.index,
            cpus: CpuSet(share.cpus),
            mems: NodeSet(share.mems),
        };
        Self { per_gpu: gpus.map(share).collect(), remarks: shares.remarks }
    }
}
