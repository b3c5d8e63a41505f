//! A plan as launchers and process managers take it: one format or family of them in each file.

mod containers;
mod mpi;
mod slurm;
mod wrappers;

use crate::error::{Error, Result};
use crate::solve::Plan;

/// A way to hand a plan to a launcher.
pub struct LaunchFormat {
    /// The name after `--format`.
    pub name: &'static str,
    /// What it is, in one line for people.
    pub summary: &'static str,
    print: fn(&Plan) -> String,
}

/// Every format for launchers.
pub static LAUNCH_FORMATS: &[LaunchFormat] = &[
    mpi::RANKFILE_4,
    mpi::RANKFILE_5,
    mpi::HOROVODRUN,
    slurm::SRUN,
    wrappers::TASKSET,
    wrappers::NUMACTL,
    wrappers::SYSTEMD,
    containers::DOCKER,
    containers::PODMAN,
];

impl LaunchFormat {
    /// The plan in this format, for ranks that run on this one machine; each line ends with a line break.
    ///
    /// Errors with [`InvalidRequest`](crate::ErrorKind::InvalidRequest) where a rank has no CPUs: a launcher needs some for
    /// each.
    ///
    /// ```
    /// use nvtopo::render::launch_format;
    /// use nvtopo::{CpuRules, CudaOrder, Plan, Topology, VisibleGpus};
    ///
    /// let dgx = Topology::preset("dgx-h100")?;
    /// let visible = VisibleGpus::resolve(&dgx, Some("0,1"), CudaOrder::PciBusId);
    /// let plan = Plan::new(&dgx, &visible, 2, &CpuRules::default())?;
    /// assert_eq!(launch_format("taskset")?.print(&plan)?, "taskset -c 0-13,112-125\ntaskset -c 14-27,126-139\n");
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn print(&self, plan: &Plan) -> Result<String> {
        if let Some(rank) = plan.parts().iter().position(|part| part.cpus.is_empty()) {
            let why = plan.remarks().join("; ");
            return Err(Error::request(format!("no CPUs are known for rank {rank}: {why}")));
        }
        Ok((self.print)(plan))
    }
}

/// A format for launchers by its name.
pub fn launch_format(name: &str) -> Result<&'static LaunchFormat> {
    LAUNCH_FORMATS.iter().find(|format| format.name == name).ok_or_else(|| {
        let names: Vec<&str> = LAUNCH_FORMATS.iter().map(|format| format.name).collect();
        Error::request(format!("there is no launcher's format '{name}'"))
            .help(format!("there are {}", names.join(", ")))
    })
}

/// One line for each rank.
fn lines(plan: &Plan, line: impl Fn(usize, &crate::solve::Part) -> String) -> String {
    plan.parts().iter().enumerate().map(|(rank, part)| line(rank, part) + "\n").collect()
}
