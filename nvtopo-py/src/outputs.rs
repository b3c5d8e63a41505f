//! The outputs of a `Topology`: matrices, documents, pictures, other programs' formats, and differences.

use crate::call;
use crate::diff::Diff;
use crate::drawing::{self, Highlighted};
use crate::matrix::BandwidthMatrix;
use crate::topology::Topology;
use crate::written::Written;
use nvtopo::source::WriteOptions;
use nvtopo_draw::{Picture, Style, by_name};
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
    /// Args:
    ///     node: the name of the machine in its cluster, for formats that name it (Slurm's and libvirt's).
    ///     devices: the devices that a virtual machine gets by PCI passthrough: GPUs ("GPU0", "0-3"), NICs ("mlx5_0") or PCI
    ///         addresses. Every format describes that guest then.
    ///
    /// Raises InvalidRequestError for an unknown name, for a device that is not there or listed twice, and where the format demands
    /// a fact that nobody knows.
    ///
    /// >>> import nvtopo
    /// >>> dgx = nvtopo.preset("dgx-a100")
    /// >>> dgx.write("json").text == dgx.to_json()
    /// True
    /// >>> dgx.write("libvirt-xml", node="vm1", devices=["GPU0", "mlx5_0"]).text.count("<hostdev ")
    /// 2
    #[pyo3(signature = (format, node=None, devices=None))]
    fn write(
        &self,
        py: Python<'_>,
        format: &str,
        node: Option<String>,
        devices: Option<Vec<String>>,
    ) -> PyResult<Written> {
        let mut options = WriteOptions::default();
        options.node = node;
        options.devices = devices.unwrap_or_default();
        Written::of(py, &self.0, format, &options)
    }

    /// The topology as text for people, with tables.
    fn to_text(&self, py: Python<'_>) -> PyResult<String> {
        call(py, || Ok(by_name("text")?.topology(&self.0, Style::default())))
    }

    /// Draws the topology as "svg", as "html" (a page to click in, which needs no network), or as "png".
    ///
    /// Args:
    ///     gpus: what to highlight: so many of the best GPUs, or a Placement. None: nothing.
    ///     theme: "light", "dark", or as the viewer prefers ("auto").
    ///     scale: the pixels of a PNG for each unit of the drawing.
    ///
    /// >>> import nvtopo
    /// >>> nvtopo.preset("gh200").draw(gpus=1)[:4]
    /// '<svg'
    #[pyo3(signature = (format="svg", *, gpus=None, theme="auto", scale=2.0))]
    fn draw<'py>(
        &self,
        py: Python<'py>,
        format: &str,
        gpus: Option<Highlighted<'py>>,
        theme: &str,
        scale: f32,
    ) -> PyResult<Bound<'py, PyAny>> {
        drawing::draw(py, &self.1, format, gpus, theme, scale)
    }

    /// A picture of the topology (SVG), as draw makes it.
    fn to_svg(&self, py: Python<'_>) -> PyResult<String> {
        call(py, || Ok(Picture::new(&self.0).svg()))
    }

    /// The topology as notebooks show it: the picture.
    fn _repr_svg_(&self, py: Python<'_>) -> PyResult<String> {
        self.to_svg(py)
    }
}
