//! Pictures as SVG, which any browser and any notebook shows: a machine, and what came out of playing jobs.

mod drawing;
mod links;
mod machine;
mod pairs;
mod simulation;

use crate::model::Topology;
use crate::solve::simulate::Report;

/// The machine as a picture: the NUMA nodes with the devices behind their PCIe switches, the NVLink groups, and the matrix of
/// paths. What is wrong with a device is framed in red, and said where the pointer rests on it.
///
/// ```
/// let dgx1 = nvtopo::Topology::preset("dgx-1-v100")?;
/// assert!(nvtopo::render::svg::topology(&dgx1).starts_with("<svg"));
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn topology(topology: &Topology) -> String {
    machine::machine(topology)
}

/// What came out of playing jobs: a bar for each policy, and beside it what jobs of each size got of the best.
///
/// ```
/// use nvtopo::solve::SizeMix;
/// use nvtopo::solve::simulate::{Options, Stream, Workload, simulate};
///
/// let dgx1 = nvtopo::Topology::preset("dgx-1-v100")?;
/// let stream = Stream { load: 0.9, jobs: 1_000, mix: SizeMix::usual(8)?, seed: 1 };
/// let report = simulate(&dgx1, &Workload::random(&stream, 8)?, &Options::default(), &mut |_, _| ())?;
/// assert!(nvtopo::render::svg::simulation(&report).starts_with("<svg"));
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn simulation(report: &Report) -> String {
    simulation::simulation(report)
}
