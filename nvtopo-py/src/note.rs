//! The notes on a topology.

use crate::pickle::{Reduced, reduce};
use pyo3::prelude::*;

/// A note on a topology: a remark for people, with a code for programs.
///
/// >>> import nvtopo
/// >>> topo = nvtopo.loads("\tGPU0\tGPU1\nGPU0\t X \tPIX\nGPU1\tPIX\t X \n")
/// >>> [note.kind for note in topo.notes if note.code == "nvlinks-unknown"]
/// ['unknown']
#[pyclass(frozen, eq, hash, get_all, module = "nvtopo")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Note {
    /// The stable code, such as "nvlinks-unknown". Later versions may add codes.
    code: String,
    /// The kind: "damage", "unknown", "conflict", "inferred" or "driver".
    kind: String,
    /// One sentence, which may change.
    text: String,
}

crate::pickle::plain!(Note { code, kind, text });

#[pymethods]
impl Note {
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "Note", self)
    }

    fn __str__(&self) -> String {
        format!("{}: {}", self.kind, self.text)
    }

    fn __repr__(&self) -> String {
        format!("<Note {}: {}>", self.code, self.text)
    }
}

impl Note {
    pub(crate) fn of(note: &nvtopo::model::Note) -> Self {
        let (code, kind) = (note.code().name().to_owned(), note.kind().name().to_owned());
        Self { code, kind, text: note.text.clone() }
    }
}
