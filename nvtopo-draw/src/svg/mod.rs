//! Pictures as SVG, which any browser and any notebook shows.

mod comb;
mod devices;
pub mod drawing;
pub mod font;
mod legend;
mod links;
mod machine;
mod pairs;
pub(crate) mod palette;
mod scene;

use nvtopo::{Placement, Topology};
pub use palette::Theme;
pub(crate) use scene::marks;

/// Draws a machine: its packages and NUMA nodes with the devices on their buses, the NVLink groups, and the matrix of paths.
/// Strokes are as thick as their bandwidth. Devices with faults have a cross and dashes, and the faults as tooltip.
///
/// ```
/// let dgx1 = nvtopo::Topology::preset("dgx-1-v100")?;
/// assert!(nvtopo_draw::svg::topology(&dgx1).starts_with("<svg"));
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn topology(topology: &Topology) -> String {
    machine::machine(topology, None, Theme::Auto, false)
}

/// Draws a machine in a theme, with what was chosen of it. `bare`: devices and links alone.
pub(crate) fn picture(
    topology: &Topology,
    placement: Option<&Placement>,
    theme: Theme,
    bare: bool,
) -> String {
    machine::machine(topology, placement, theme, bare)
}
