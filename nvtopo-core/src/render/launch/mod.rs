//! Formats of plans for launchers and process managers, a family in each file.

mod containers;
mod mpi;
mod slurm;
mod wrappers;

use crate::error::{Error, Result};
use crate::solve::{MemoryPolicy, Plan};
use std::str::FromStr;

/// A format that passes a plan to a launcher.
#[non_exhaustive]
pub struct LaunchFormat {
    /// The name after `--format`.
    pub name: &'static str,
    /// The format in one line, for people.
    pub summary: &'static str,
    /// The default memory policy. `None`: no policy.
    memory: Option<MemoryPolicy>,
    /// The other memory policies that the format can express.
    memory_policies: &'static [MemoryPolicy],
    /// True where the preferred policy takes one node for each rank only.
    prefers_one_node: bool,
    print: Print,
}

/// Prints a plan, with memory taken by a policy.
type Print = fn(&Plan, Option<MemoryPolicy>) -> String;

/// The memory policy of a plan's ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LaunchMemory {
    /// The default of the format: near memory is preferred where the launcher can do so; no policy where it only knows hard
    /// limits.
    #[default]
    Usual,
    /// No policy.
    AsBefore,
    /// By a policy.
    By(MemoryPolicy),
}

impl FromStr for LaunchMemory {
    type Err = Error;

    /// Reads the name of a policy, or `none`.
    fn from_str(text: &str) -> Result<Self> {
        MemoryPolicy::parse_or_none(text).map(|policy| policy.map_or(Self::AsBefore, Self::By))
    }
}

/// Every format for launchers.
pub static LAUNCH_FORMATS: &[LaunchFormat] = &[
    mpi::RANKFILE_4,
    mpi::RANKFILE_5,
    mpi::HOROVODRUN,
    mpi::MPICH,
    mpi::INTEL_MPI,
    slurm::SRUN,
    wrappers::TASKSET,
    wrappers::NUMACTL,
    wrappers::SYSTEMD,
    containers::DOCKER,
    containers::PODMAN,
];

impl LaunchFormat {
    /// Creates a format without memory policies.
    const fn new(name: &'static str, summary: &'static str, print: Print) -> Self {
        Self { name, summary, memory: None, memory_policies: &[], prefers_one_node: false, print }
    }

    /// Sets the memory policies: the default, and the others that are possible.
    const fn memory(self, memory: Option<MemoryPolicy>, memory_policies: &'static [MemoryPolicy]) -> Self {
        Self { memory, memory_policies, ..self }
    }

    /// Marks a launcher that can prefer the memory of one node only.
    const fn of_one_node(self) -> Self {
        Self { prefers_one_node: true, ..self }
    }

    /// Prints the plan for ranks of this one machine; each line ends with a line break.
    ///
    /// Errors with [`Unsatisfiable`](crate::ErrorKind::Unsatisfiable) where a rank has no CPUs: a launcher needs some for each.
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
        self.print_with(plan, LaunchMemory::Usual)
    }

    /// Prints like [`print`](Self::print), with a memory policy.
    ///
    /// Errors also where the format cannot express the policy, and where it needs memory nodes and those of a rank are
    /// unknown.
    ///
    /// ```
    /// use nvtopo::render::launch_format;
    /// use nvtopo::{CpuRules, CudaOrder, Plan, Topology, VisibleGpus};
    ///
    /// let dgx = Topology::preset("dgx-h100")?;
    /// let visible = VisibleGpus::resolve(&dgx, Some("7"), CudaOrder::PciBusId);
    /// let plan = Plan::new(&dgx, &visible, 1, &CpuRules::default())?;
    /// let print = |format: &str| launch_format(format)?.print_with(&plan, "bind".parse()?);
    /// assert_eq!(print("numactl")?, "numactl --physcpubind=98-111,210-223 --membind=1\n");
    /// assert!(print("taskset").is_err());
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn print_with(&self, plan: &Plan, memory: LaunchMemory) -> Result<String> {
        if let Some(rank) = plan.parts().iter().position(|part| part.cpus.is_empty()) {
            let why = plan.remarks().join("; ");
            let error = Error::unsatisfiable(format!("no CPUs are known for rank {rank}: {why}"));
            let none = plan.parts().iter().all(|part| part.gpus.is_empty());
            return Err(if none {
                error.help("ranks that use no GPU share the CPUs by --gpus-per-rank 0")
            } else {
                error
            });
        }
        let memory = match memory {
            LaunchMemory::Usual => self.memory,
            LaunchMemory::AsBefore => None,
            LaunchMemory::By(policy) => Some(self.check_memory(plan, policy)?),
        };
        Ok((self.print)(plan, memory))
    }

    /// Checks that the format can express the policy.
    fn check_memory(&self, plan: &Plan, policy: MemoryPolicy) -> Result<MemoryPolicy> {
        let says = |format: &Self| format.memory == Some(policy) || format.memory_policies.contains(&policy);
        if !says(self) {
            let others: Vec<&str> =
                LAUNCH_FORMATS.iter().filter(|other| says(other)).map(|other| other.name).collect();
            return Err(Error::request(format!(
                "the format {} cannot say that memory is taken by the policy {policy}",
                self.name
            ))
            .help(format!("{} can; nvtopo exec --memory {policy} sets it in each rank", others.join(", "))));
        }
        let several = |part: &&crate::solve::Part| part.mems.len() > 1;
        if self.prefers_one_node
            && policy == MemoryPolicy::Preferred
            && let Some(part) = plan.parts().iter().find(several)
        {
            return Err(Error::request(format!(
                "the format {} cannot say that memory of several nodes ({}) is preferred, only of one for each rank",
                self.name, part.mems
            ))
            .help("take memory by bind or local; nvtopo exec --memory preferred sets it in each rank"));
        }
        let unknown = |part: &crate::solve::Part| part.mems.is_empty() && policy != MemoryPolicy::Local;
        match plan.parts().iter().position(unknown) {
            Some(rank) => Err(Error::request(format!("no memory nodes are known for rank {rank}"))
                .help("leave the memory policy out, or take local memory")),
            None => Ok(policy),
        }
    }
}

/// Finds a format for launchers by its name.
pub fn launch_format(name: &str) -> Result<&'static LaunchFormat> {
    LAUNCH_FORMATS.iter().find(|format| format.name == name).ok_or_else(|| {
        let names: Vec<&str> = LAUNCH_FORMATS.iter().map(|format| format.name).collect();
        Error::request(format!("there is no launcher's format '{name}'"))
            .help(format!("there are {}", names.join(", ")))
    })
}

/// Prints one line for each rank.
fn lines(plan: &Plan, line: impl Fn(usize, &crate::solve::Part) -> String) -> String {
    plan.parts().iter().enumerate().map(|(rank, part)| line(rank, part) + "\n").collect()
}
