//! The functions that open a topology. What they read, and how, is the core's.

use crate::call;
use crate::error::invalid_request;
use crate::topology::Topology;
use nvtopo::source::{Locator, PRESETS, Redaction, Snapshot};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use std::path::PathBuf;

/// This machine, as its kernel and, where there is one, NVIDIA's driver show it.
///
/// The kernel alone does not know of NVLinks: `open("live", "topo.txt")` adds the text of `nvidia-smi topo -m`. A machine
/// without GPUs is a topology without GPUs, not an error. What a person should know stands in `Topology.notes`.
///
/// Raises NvtopoError where the machine cannot be read.
///
/// >>> import nvtopo
/// >>> topo = nvtopo.discover()  # doctest: +SKIP
#[pyfunction]
pub(crate) fn discover(py: Python<'_>) -> PyResult<Topology> {
    call(py, nvtopo::Topology::discover).map(Topology::of)
}

/// A topology from a file in any known format, or from a directory with a recorded machine or saved outputs of tools.
///
/// Formats are found by content: a text of `nvidia-smi` (`topo -m`, `-q`, `-L`, `nvlink`, `topo -p2p`), hwloc's XML,
/// nvtopo's own JSON, a snapshot, or the
/// output of nvbandwidth, p2pBandwidthLatencyTest or ib_write_bw.
///
/// Raises IoError where there is nothing to read, and InvalidInputError where what is there is damaged.
///
/// >>> import nvtopo
/// >>> topo = nvtopo.load("topo.txt")  # doctest: +SKIP
#[pyfunction]
pub(crate) fn load(py: Python<'_>, path: PathBuf) -> PyResult<Topology> {
    call(py, || nvtopo::Topology::open(&[Locator::Path(path)])).map(Topology::of)
}

/// A topology from a text in any known format. `name` is what messages call it.
///
/// Raises InvalidInputError, with the line and the column, where the text is damaged.
///
/// >>> import nvtopo
/// >>> topo = nvtopo.loads("\tGPU0\tGPU1\nGPU0\t X \tNV4\nGPU1\tNV4\t X \n")
/// >>> topo.matrix
/// [['X', 'NV4'], ['NV4', 'X']]
#[pyfunction]
#[pyo3(signature = (text, name="<string>"))]
pub(crate) fn loads(py: Python<'_>, text: TextArgument, name: &str) -> PyResult<Topology> {
    let TextArgument(text) = text;
    call(py, || nvtopo::Topology::parse(name, &text)).map(Topology::of)
}

/// A topology from several sources, merged; where they disagree, a note says so.
///
/// A source is "live" (this machine), "preset:NAME", "-" (standard input), or a path.
///
/// Raises as load, discover and preset do.
///
/// >>> import nvtopo
/// >>> topo = nvtopo.open("live", "topo.txt")  # doctest: +SKIP
#[pyfunction]
#[pyo3(signature = (*sources))]
pub(crate) fn open(py: Python<'_>, sources: Vec<PathBuf>) -> PyResult<Topology> {
    if sources.is_empty() {
        return Err(invalid_request(py, "no source is given"));
    }
    let locator = |source: PathBuf| match source.to_str() {
        Some(text) => text.parse(),
        None => Ok(Locator::Path(source)),
    };
    call(py, || {
        let locators = sources.into_iter().map(locator).collect::<nvtopo::Result<Vec<_>>>()?;
        nvtopo::Topology::open(&locators)
    })
    .map(Topology::of)
}

/// The published layout of a product; `presets()` lists them. A preset is not a machine: nothing is bound by one
/// unless it is trusted.
///
/// Raises InvalidRequestError for an unknown name.
///
/// >>> import nvtopo
/// >>> len(nvtopo.preset("dgx-h100").gpus)
/// 8
#[pyfunction]
pub(crate) fn preset(py: Python<'_>, name: &str) -> PyResult<Topology> {
    call(py, || nvtopo::Topology::preset(name)).map(Topology::of)
}

/// The names that preset takes.
///
/// >>> import nvtopo
/// >>> "dgx-h100" in nvtopo.presets()
/// True
#[pyfunction]
pub(crate) fn presets() -> Vec<&'static str> {
    PRESETS.iter().map(|preset| preset.name).collect()
}

/// Writes everything that discovery reads of this machine to a file, which open and load read anywhere as this machine.
/// Returns its size in bytes.
///
/// It is what to send with a report of a bug. With `redact`, serial numbers, UUIDs, host names, addresses, the names of
/// containers and jobs, and the kernel's command line are left out. A file that is there is replaced.
///
/// Raises IoError where the file cannot be written.
///
/// >>> import nvtopo
/// >>> nvtopo.snapshot("machine.tar.gz", redact=True)  # doctest: +SKIP
#[pyfunction]
#[pyo3(signature = (path, redact=false))]
pub(crate) fn snapshot(py: Python<'_>, path: PathBuf, redact: bool) -> PyResult<u64> {
    let redaction = if redact { Redaction::Identifiers } else { Redaction::None };
    call(py, || Snapshot::take(&Locator::Live, redaction)?.write(path))
}

/// The bytes of a `str` or of `bytes`.
pub(crate) struct TextArgument(Vec<u8>);

impl<'a, 'py> FromPyObject<'a, 'py> for TextArgument {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = value.cast::<PyBytes>() {
            return Ok(Self(bytes.as_bytes().to_vec()));
        }
        Ok(Self(value.cast::<PyString>()?.to_string_lossy().into_owned().into_bytes()))
    }
}
