//! Topologies in the formats of other programs.

use crate::call;
use crate::note::Note;
use crate::pickle::{Reduced, reduce};
use nvtopo::source::{WRITERS, WriteOptions};
use pyo3::prelude::*;

/// A topology in the format of another program. Made by Topology.write.
///
/// >>> import nvtopo
/// >>> written = nvtopo.preset("gh200").write("json")
/// >>> str(written) == written.text
/// True
#[pyclass(frozen, eq, hash, get_all, module = "nvtopo")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Written {
    /// The text, which ends with a line break.
    text: String,
    /// Notes: assumptions, and facts that the format cannot tell.
    notes: Vec<Note>,
}

crate::pickle::plain!(Written { text, notes });

#[pymethods]
impl Written {
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "Written", self)
    }

    fn __str__(&self) -> &str {
        &self.text
    }

    fn __repr__(&self) -> String {
        format!("<Written: {} bytes, {} notes>", self.text.len(), self.notes.len())
    }
}

impl Written {
    pub(crate) fn of(
        py: Python<'_>,
        topology: &nvtopo::Topology,
        format: &str,
        options: &WriteOptions,
    ) -> PyResult<Self> {
        let written = call(py, || topology.write_with(format, options))?;
        Ok(Self { text: written.text, notes: written.notes.iter().map(Note::of).collect() })
    }
}

/// The names that Topology.write takes.
///
/// >>> import nvtopo
/// >>> "json" in nvtopo.writers()
/// True
#[pyfunction]
pub(crate) fn writers() -> Vec<&'static str> {
    WRITERS.iter().map(|writer| writer.name).collect()
}
