//! The differences between two topologies.

use crate::pickle::{Reduced, reduce};
use pyo3::prelude::*;

/// One difference between two machines.
#[pyclass(frozen, eq, hash, get_all, module = "nvtopo")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Change {
    /// The kind: "gone", "added", "replaced", "moved", "swapped", "renumbered", "fact", "nvlinks", "path", "p2p" or
    /// "bandwidth". Later versions may add kinds.
    kind: String,
    /// The part that changed, such as "GPU3", "NUMA node 1" or "machine", by its name in the first machine, unless only the
    /// second has it.
    part: String,
    /// The devices at the other end, where links or paths changed.
    peers: Vec<String>,
    /// The fact that changed, such as "memory" or "NVLinks".
    fact: String,
    /// Its value in the first machine; None where the part is not there.
    before: Option<String>,
    /// Its value in the second machine; None where the part is not there.
    after: Option<String>,
    /// The change in words, which may change.
    text: String,
}

crate::pickle::plain!(Change { kind, part, peers, fact, before, after, text });

#[pymethods]
impl Change {
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "Change", self)
    }

    fn __str__(&self) -> String {
        self.text.clone()
    }

    fn __repr__(&self) -> String {
        format!("<Change {}: {}>", self.kind, self.text)
    }
}

/// The differences between two machines; false where there is none.
///
/// >>> import nvtopo
/// >>> diff = nvtopo.preset("dgx-a100").diff(nvtopo.preset("dgx-h100"), structure=True)
/// >>> bool(diff), str(diff.changes[0])
/// (True, 'machine: product NVIDIA DGX A100 -> NVIDIA DGX H100')
#[pyclass(frozen, eq, hash, get_all, module = "nvtopo")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Diff {
    /// The differences: of the machine, of NUMA nodes, of GPUs, of NICs, of disks, then of links and paths.
    changes: Vec<Change>,
    /// Sentences about facts that only one of the two machines tells, so that they were not compared.
    not_compared: Vec<String>,
}

crate::pickle::plain!(Diff { changes, not_compared });

#[pymethods]
impl Diff {
    fn __bool__(&self) -> bool {
        !self.changes.is_empty()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Reduced<'py>> {
        reduce(py, "Diff", self)
    }

    fn __repr__(&self) -> String {
        format!("<Diff of {} changes>", self.changes.len())
    }
}

impl Diff {
    pub(crate) fn of(diff: &nvtopo::diff::Diff) -> Self {
        let change = |own: &nvtopo::diff::Change| Change {
            kind: own.kind.name().to_owned(),
            part: own.part.clone(),
            peers: own.peers.clone(),
            fact: own.fact.to_owned(),
            before: own.before.clone(),
            after: own.after.clone(),
            text: own.to_string(),
        };
        Self {
            changes: diff.changes.iter().map(change).collect(),
            not_compared: diff.not_compared.iter().map(ToString::to_string).collect(),
        }
    }
}
