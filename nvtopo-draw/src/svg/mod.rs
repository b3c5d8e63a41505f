//! Pictures as SVG, which any browser and any notebook shows.

pub mod drawing;
mod links;
mod machine;
mod pairs;

use nvtopo::Topology;

/// The machine as a picture: the NUMA nodes with the devices behind their PCIe switches, the NVLink groups, and the matrix of
/// paths. What is wrong with a device is framed in red, and said where the pointer rests on it.
///
/// ```
/// let dgx1 = nvtopo::Topology::preset("dgx-1-v100")?;
/// assert!(nvtopo_draw::svg::topology(&dgx1).starts_with("<svg"));
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn topology(topology: &Topology) -> String {
    machine::machine(topology)
}
