//! The outputs of a `Topology`: matrices, documents, pictures, other programs' formats, and differences.

use crate::call;
use crate::diff::Diff;
use crate::matrix::BandwidthMatrix;
use crate::topology::Topology;
use crate::written::Written;
use nvtopo_draw::{Style, by_name, svg};
use pyo3::prelude::*;

#[pymethods]
impl Topology {
    /// Returns the bandwidths between all devices, as a matrix that `numpy.asarray` takes without a copy.
    ///
    /// >>> import nvtopo
    /// >>> nvtopo.preset("dgx-1-v100").bandwidth_matrix()[0, 3]
    /// 50.0
    fn bandwidth_matrix(&self, py: Python<'_>) -> PyResult<BandwidthMatrix> {
        call(py, || Ok(BandwidthMatrix::of(&self.0)))
    }

    /// The topology as JSON that load and loads read back, equal in everything.
    fn to_json(&self, py: Python<'_>) -> PyResult<String> {
        call(py, || Ok(self.0.to_json()))
    }

    /// Returns the differences between this machine and another, or the same later.
    ///
    /// GPUs are matched by UUID, else by PCI address, else by number. With structure, only what the machines are built of
    /// and how it is connected counts, without numbers, names, addresses, serial numbers, software and settings.
    ///
    /// >>> import nvtopo
    /// >>> dgx = nvtopo.preset("dgx-h100")
    /// >>> bool(dgx.diff(dgx))
    /// False
    #[pyo3(signature = (other, *, structure=false))]
    fn diff(&self, py: Python<'_>, other: &Self, structure: bool) -> PyResult<Diff> {
        let find = if structure { nvtopo::diff::Diff::of_structure } else { nvtopo::diff::Diff::new };
        call(py, || Ok(Diff::of(&find(&self.0, &other.0))))
    }

    /// Writes the topology in the format of another program; `writers()` lists the names.
    ///
    /// Raises InvalidRequestError for an unknown name, and where the format demands a fact that nobody knows.
    ///
    /// >>> import nvtopo
    /// >>> dgx = nvtopo.preset("dgx-a100")
    /// >>> dgx.write("json").text == dgx.to_json()
    /// True
    fn write(&self, py: Python<'_>, format: &str) -> PyResult<Written> {
        Written::of(py, &self.0, format)
    }

    /// The topology as text for people, with tables.
    fn to_text(&self, py: Python<'_>) -> PyResult<String> {
        call(py, || Ok(by_name("text")?.topology(&self.0, Style::default())))
    }

    /// A picture of the topology (SVG): its NUMA nodes with what lies behind their PCIe switches, its NVLink groups, and
    /// the matrix of paths.
    fn to_svg(&self, py: Python<'_>) -> PyResult<String> {
        call(py, || Ok(svg::topology(&self.0)))
    }

    /// The topology as notebooks show it: the picture.
    fn _repr_svg_(&self, py: Python<'_>) -> PyResult<String> {
        self.to_svg(py)
    }
}
