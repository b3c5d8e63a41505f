//! Pictures as SVG, which any browser and any notebook shows.

pub mod drawing;
mod links;
mod machine;
mod pairs;

use nvtopo::Topology;

/// Draws a machine: the NUMA nodes with the devices behind their PCIe switches, the NVLink groups, and the matrix of paths.
/// Devices with faults have a red frame, and the faults as tooltip.
///
/// ```
/// let dgx1 = nvtopo::Topology::preset("dgx-1-v100")?;
/// assert!(nvtopo_draw::svg::topology(&dgx1).starts_with("<svg"));
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn topology(topology: &Topology) -> String {
    machine::machine(topology)
}
