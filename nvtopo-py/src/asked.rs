//! The questions to a topology: arguments that mean something only beside its devices and this process.

use crate::arguments::{Count, GpuArgument, Names};
use crate::call;
use crate::cpuset::CpuArgument;
use crate::environment::environment;
use crate::error::raise;
use crate::terms::Terms;
use crate::topology::Topology;
use nvtopo::apply::visible_here;
use nvtopo::solve::VISIBILITY_VARIABLES;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

impl Topology {
    /// The question to this machine.
    pub(crate) fn terms(
        &self,
        py: Python<'_>,
        call: &str,
        gpus: Count,
        given: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Terms> {
        let mut terms = Terms::new(call, gpus, given)?;
        terms.allowed_cpus = self.allowed(py, terms.allowed_cpus)?.map(CpuArgument);
        let environ = environment(py)?;
        if visible_here(&self.0, &|name| environ.get(name)).is_some() {
            terms.visible =
                Some(Names(VISIBILITY_VARIABLES.iter().map_while(|name| environ.get(name)).collect()));
        }
        Ok(terms)
    }

    /// The CPUs to which an answer is limited: those given, else on this machine those of the calling thread.
    pub(crate) fn allowed(
        &self,
        py: Python<'_>,
        given: Option<CpuArgument>,
    ) -> PyResult<Option<nvtopo::CpuSet>> {
        match given {
            Some(cpus) => Ok(Some(cpus.0)),
            None => call(py, || nvtopo::apply::cpus_here(&self.0)),
        }
    }

    /// The position of a device by a name of the matrix, or else by any name of a GPU.
    pub(crate) fn device(&self, name: &Bound<'_, PyAny>) -> PyResult<usize> {
        let found = match name.cast::<PyString>() {
            Ok(name) => self.0.device(&name.to_string_lossy()),
            Err(_) => name.extract::<GpuArgument>()?.0.resolve(&self.0),
        };
        found.map_err(|error| raise(name.py(), &error))
    }
}
