//! The terms of a request for GPUs. They are stored beside the answer, so that unpickling can compute it again.

use crate::arguments::{
    BytesArgument, Constraints, Count, GpuArguments, GpuSets, HugePages, Mix, Names, ToleranceArgument, Word,
    environment,
};
use crate::call;
use crate::cpuset::CpuArgument;
use crate::pickle::Field;
use crate::topology::Topology;
use nvtopo::apply::{Scope, visible_here};
use nvtopo::solve::VISIBILITY_VARIABLES;
use nvtopo::{Cores, GpuRef, Isolated, VisibleGpus};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The keywords that Topology.place, Topology.explain and Request take, besides how many GPUs.
macro_rules! keywords {
    ($($name:ident: $kind:ty),+ $(,)?) => {
        /// A request.
        #[derive(Clone, PartialEq)]
        pub(crate) struct Terms {
            pub(crate) gpus: Count,
            /// `CUDA_VISIBLE_DEVICES` and, where it is set, `CUDA_DEVICE_ORDER` of the asking process; none on a topology of
            /// another machine.
            pub(crate) visible: Option<Names>,
            $(pub(crate) $name: $kind),+
        }

        crate::pickle::plain!(Terms { gpus, visible, $($name),+ });

        impl Terms {
            /// Of the arguments of a call. What is not among them is as if nothing was said of it.
            pub(crate) fn new(call: &str, gpus: Count, given: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
                for name in given.into_iter().flat_map(PyDictMethods::keys) {
                    let name = name.to_string();
                    if ![$(stringify!($name)),+].contains(&name.as_str()) {
                        let message = format!("{call}() got an unexpected keyword argument '{name}'");
                        return Err(PyTypeError::new_err(message));
                    }
                }
                Ok(Self { gpus, visible: None, $($name: argument(given, stringify!($name))?),+ })
            }
        }
    };
}

keywords! {
    only: Option<GpuArguments>,
    exclude: GpuArguments,
    include: GpuArguments,
    objectives: Option<Names>,
    require: Constraints,
    prefer: Constraints,
    free: bool,
    free_memory: Option<BytesArgument>,
    allowed_sets: Option<GpuSets>,
    mix: Option<Mix>,
    tolerance: Option<ToleranceArgument>,
    reserve_cpus: Option<CpuArgument>,
    allowed_cpus: Option<CpuArgument>,
    isolated: Word<Isolated>,
    cores: Word<Cores>,
    cpus_per_gpu: Option<Count>,
    memory_per_gpu: Option<BytesArgument>,
    hugepages_per_gpu: Option<HugePages>,
    gpus_per_nic: Option<Count>,
}

impl Terms {
    /// The request to the core.
    pub(crate) fn request(&self) -> nvtopo::Request {
        let mut request = nvtopo::Request::gpus(self.gpus.0);
        request = request.exclude(self.exclude.0.clone()).include(self.include.0.clone());
        request = request.require(self.require.0.clone()).prefer(self.prefer.0.clone());
        if self.free {
            request = request.free();
        }
        if let Some(memory) = self.free_memory {
            request = request.free_memory(memory.0.0);
        }
        if let Some(sets) = &self.allowed_sets {
            request = request.allowed_sets(sets.table.clone());
        }
        if let Some(mix) = &self.mix {
            request = request.mix(mix.mix.clone());
        }
        if let Some(tolerance) = self.tolerance {
            request = request.tolerance(tolerance.0.as_f64());
        }
        if let Some(only) = &self.only {
            request = request.only(only.0.clone());
        }
        if let Some(objectives) = &self.objectives {
            request = request.objectives(objectives.0.clone());
        }
        if let Some(cpus) = &self.reserve_cpus {
            request = request.reserved_cpus(cpus.0.clone());
        }
        if let Some(cpus) = &self.allowed_cpus {
            request = request.allowed_cpus(cpus.0.clone());
        }
        request = request.isolated(self.isolated.0).cores(self.cores.0);
        if let Some(cpus) = self.cpus_per_gpu {
            request = request.cpus_per_gpu(cpus.0);
        }
        if let Some(memory) = self.memory_per_gpu {
            request = request.memory_per_gpu(memory.0.0);
        }
        if let Some(gpus) = self.gpus_per_nic {
            request = request.gpus_per_nic(gpus.0);
        }
        for (size, count) in self.hugepages_per_gpu.iter().flat_map(|pages| &pages.0) {
            request = request.hugepages_per_gpu(size.0.0, *count as u64);
        }
        request
    }

    /// The request to the core about a machine, among the GPUs that the asking process sees.
    pub(crate) fn request_on(&self, topology: &nvtopo::Topology) -> nvtopo::Request {
        let Some(Names(values)) = &self.visible else { return self.request() };
        let variable = |name: &str| {
            let place = VISIBILITY_VARIABLES.iter().position(|known| *known == name)?;
            values.get(place).cloned()
        };
        self.request().visible(&VisibleGpus::from_environment(topology, variable))
    }

    /// The same without some GPUs, by their indices: those that others have.
    pub(crate) fn without(&self, indices: impl IntoIterator<Item = u32>) -> Self {
        let mut terms = self.clone();
        terms.exclude.0.extend(indices.into_iter().map(GpuRef::Index));
        terms
    }
}

impl Topology {
    /// Reads the terms of a request to this machine.
    pub(crate) fn terms(
        &self,
        py: Python<'_>,
        name: &str,
        gpus: Count,
        given: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Terms> {
        let mut terms = Terms::new(name, gpus, given)?;
        terms.allowed_cpus = self.allowed(py, terms.allowed_cpus)?.map(CpuArgument);
        let environ = environment(py)?;
        if visible_here(&self.0, &|name| environ.get(name)).is_some() {
            terms.visible =
                Some(Names(VISIBILITY_VARIABLES.iter().map_while(|name| environ.get(name)).collect()));
        }
        Ok(terms)
    }

    /// Returns the CPUs to which an answer is limited: those given, else on this machine those of the calling thread.
    pub(crate) fn allowed(
        &self,
        py: Python<'_>,
        given: Option<CpuArgument>,
    ) -> PyResult<Option<nvtopo::CpuSet>> {
        match given {
            Some(cpus) => Ok(Some(cpus.0)),
            None => call(py, || nvtopo::apply::cpus_here(&self.0, Scope::default())),
        }
    }
}

/// An argument that may be missing.
fn argument<'py, T>(given: Option<&Bound<'py, PyDict>>, name: &str) -> PyResult<T>
where
    T: Default + for<'a> FromPyObject<'a, 'py, Error = PyErr>,
{
    let Some(value) = given.map(|given| given.get_item(name)).transpose()?.flatten() else {
        return Ok(T::default());
    };
    value.extract().map_err(|error: PyErr| {
        // As Python's own: which argument is wrong.
        let py = value.py();
        if error.is_instance_of::<PyTypeError>(py) {
            PyTypeError::new_err(format!("argument '{name}': {}", error.value(py)))
        } else {
            error
        }
    })
}

/// Arguments whose plain values are taken as arguments again.
macro_rules! arguments {
    ($($kind:ty: $plain:expr),+ $(,)?) => {$(
        impl Field for $kind {
            fn give<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                let plain = |argument: &$kind| $plain(argument);
                pyo3::IntoPyObjectExt::into_bound_py_any(plain(self), py)
            }

            fn take(value: &Bound<'_, PyAny>) -> PyResult<Self> {
                value.extract()
            }
        }
    )+};
}

/// The words of what has some.
fn words<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

arguments! {
    Count: |count: &Count| count.0,
    GpuArguments: |gpus: &GpuArguments| words(&gpus.0),
    GpuSets: |sets: &GpuSets| -> Vec<Vec<String>> { sets.sets.iter().map(|gpus| words(&gpus.0)).collect() },
    Names: |names: &Names| names.0.clone(),
    Constraints: |constraints: &Constraints| words(&constraints.0),
    Mix: |mix: &Mix| mix.weights.clone(),
    ToleranceArgument: |tolerance: &ToleranceArgument| tolerance.0.as_f64(),
    Word<Isolated>: |word: &Word<Isolated>| word.0.to_string(),
    Word<Cores>: |word: &Word<Cores>| word.0.to_string(),
    CpuArgument: |cpus: &CpuArgument| cpus.0.to_string(),
    BytesArgument: |bytes: &BytesArgument| bytes.0.0,
    HugePages: |pages: &HugePages| -> std::collections::BTreeMap<u64, usize> {
        pages.0.iter().map(|(size, count)| (size.0.0, *count)).collect()
    },
}
