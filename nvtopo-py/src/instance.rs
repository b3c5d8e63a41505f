//! The place for a new instance on a MIG-enabled GPU.

use crate::arguments::GpuArguments;
use crate::call;
use crate::error::raise;
use crate::pickle::{Reduced, reduce};
use nvtopo::Topology;
use nvtopo::solve::mig::{self, InstanceRequest, InstanceSize};
use pyo3::prelude::*;
use pyo3::types::PyString;

/// A profile by its name, or a number of compute slices.
#[derive(Clone, Copy)]
pub(crate) struct SizeArgument(pub(crate) InstanceSize);

impl<'a, 'py> FromPyObject<'a, 'py> for SizeArgument {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let text = match value.cast::<PyString>() {
            Ok(name) => name.to_string_lossy().into_owned(),
            Err(_) => value.extract::<i128>()?.to_string(),
        };
        text.parse().map(Self).map_err(|error| raise(value.py(), &error))
    }
}

/// The place for a new instance on a MIG-enabled GPU. Made by Topology.place_instance.
#[pyclass(frozen, eq, hash, get_all, module = "nvtopo")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct InstancePlacement {
    /// The index of the GPU.
    gpu: u32,
    /// The name of its profile, such as "3g.40gb", or None where the memory of the GPU is not known.
    profile: Option<String>,
    /// The number of compute slices.
    slices: u32,
    /// The first memory slice.
    start: u32,
    /// The number of memory slices.
    size: u32,
}

crate::pickle::plain!(InstancePlacement { gpu, profile, slices, start, size });

#[pymethods]
impl InstancePlacement {
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "InstancePlacement", self)
    }

    fn __repr__(&self) -> String {
        let size = self.profile.clone().unwrap_or_else(|| format!("{}g", self.slices));
        format!("<InstancePlacement of {size}: GPU{} from memory slice {}>", self.gpu, self.start)
    }
}

impl InstancePlacement {
    pub(crate) fn find(
        py: Python<'_>,
        topology: &Topology,
        size: SizeArgument,
        only: Option<GpuArguments>,
        exclude: GpuArguments,
    ) -> PyResult<Self> {
        let mut request = InstanceRequest::new(size.0).exclude(exclude.0);
        if let Some(only) = only {
            request = request.only(only.0);
        }
        call(py, || request.solve(topology)).map(|found| Self::of(topology, found))
    }

    fn of(topology: &Topology, found: mig::InstancePlacement) -> Self {
        let mig::InstancePlacement { gpu, profile, slices, start, size, .. } = found;
        let gpu = topology.gpus().nth(gpu).map_or(0, |gpu| gpu.index);
        Self { gpu, profile, slices, start, size }
    }
}
