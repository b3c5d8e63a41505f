//! What is done to this process: its CPUs and the memory that it takes; and the variables that go with them.
//!
//! Refuses a topology that is not this machine's. What a sandbox refuses is a warning where the process can run
//! without it. Nothing here chooses anything.

mod cpu;
mod env;
mod guard;
mod hazards;
mod memory;
mod plan;
mod scope;

pub use crate::solve::MemoryPolicy;
pub use cpu::Threads;
pub use env::{Export, environment, export_remarks, placement_environment, thread_remark};
pub use guard::{BoundGuard, bound};
pub use hazards::{HAZARD_VARIABLES, hazards};
pub use memory::MemorySetting;
pub use plan::{PlanHere, Variables, plan_here, visible_here};
pub use scope::{Scope, allowed_cpus, cpus_here, current_cpus, scope_remark, widest_cpus};

use crate::cpuset::{CpuSet, NodeSet};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Origin, Topology};
use crate::solve::Part;
use crate::source::this_machine;
use crate::sys;
use cpu::Before;
use std::process::Command;

/// Which topologies may be applied to this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Only one that is known to be this machine's.
    #[default]
    ThisMachine,
    /// Also one of which nobody knows whose it is: a text, a preset. Never one of another machine.
    Unknown,
}

/// How a process is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindOptions {
    /// Which of its threads.
    pub threads: Threads,
    /// How it takes memory from now on. `None`: as before.
    pub memory: Option<MemoryPolicy>,
    /// By which topologies.
    pub trust: Trust,
}

impl Default for BindOptions {
    /// All threads, the near memory preferred, by a topology that is known to be this machine's.
    fn default() -> Self {
        Self { threads: Threads::All, memory: Some(MemoryPolicy::Preferred), trust: Trust::ThisMachine }
    }
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bound {
    /// The CPUs of the calling thread before.
    pub before: CpuSet,
    /// The CPUs of the calling thread now.
    pub after: CpuSet,
    /// How many threads were moved.
    pub threads: usize,
    /// How memory is taken now. `None`: the policy is as it was.
    pub memory: Option<MemoryPolicy>,
    /// The nodes of that policy. `None`: the policy is as it was, or it names none.
    pub mems: Option<NodeSet>,
    /// The policy that was found. `None`: the kernel's default, or it cannot be read here.
    pub memory_before: Option<MemorySetting>,
    /// What was refused or could not be done.
    pub warnings: Vec<String>,
    /// The indices of the GPUs that the process was bound beside, where it was bound to a part.
    pub gpus: Vec<u32>,
    /// What a person should know about that part.
    pub remarks: Vec<String>,
}

/// Whether the topology may be applied to this machine.
///
/// Errors with [`WrongMachine`](ErrorKind::WrongMachine) where it is another's, or nobody knows and `trust` asks.
pub fn check_machine(topology: &Topology, trust: Trust) -> Result<()> {
    let wrong = |message: String| Err(Error::new(ErrorKind::WrongMachine, message));
    let unknown = |what: &str| match trust {
        Trust::Unknown => Ok(()),
        Trust::ThisMachine => {
            wrong(format!("{what}, so nothing says that it is this machine")).map_err(|error| {
                error.help(
                    "use a live topology, or say that this one is to be trusted, as with --trust-topology",
                )
            })
        }
    };
    match topology.origin() {
        Origin::Unknown => unknown("the topology is of unknown origin"),
        Origin::Preset(name) => unknown(&format!("the topology is the preset {name}")),
        Origin::Machine(identity) => match identity.is_same(this_machine()) {
            Some(true) => Ok(()),
            Some(false) => wrong("the topology was recorded on another machine".to_owned()),
            None => unknown("this machine has no identity to compare with the topology's"),
        },
    }
}

/// Binds this process to CPUs and lets it take memory from nodes. Empty sets leave things as they are.
///
/// Errors where the topology is not this machine's, and where none of the CPUs may be used; memory that is refused is
/// a warning.
///
/// ```no_run
/// use nvtopo::apply::{BindOptions, bind};
///
/// let topology = nvtopo::Topology::discover()?;
/// let node: nvtopo::NodeSet = "0".parse()?;
/// let bound = bind(&topology, &"0-7".parse()?, &node, BindOptions::default())?;
/// println!("from CPUs {} to {}", bound.before, bound.after);
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn bind(topology: &Topology, cpus: &CpuSet, mems: &NodeSet, options: BindOptions) -> Result<Bound> {
    bind_remembering(topology, cpus, mems, options).map(|(bound, _)| bound)
}

/// Binds this process to its part of a job; a part without CPUs leaves it as it is.
///
/// Errors as [`bind`] does.
///
/// ```no_run
/// use nvtopo::apply::{BindOptions, bind_part};
/// use nvtopo::{LocalRank, Part, Request};
///
/// let placement = Request::gpus(4).solve(&nvtopo::Topology::discover()?)?;
/// let rank = LocalRank::from_environment(|name| std::env::var(name).ok())?;
/// let part = Part::of_placement(&placement, rank)?;
/// let bound = bind_part(placement.topology(), &part, BindOptions::default())?;
/// println!("beside GPUs {:?} on CPUs {}", bound.gpus, bound.after);
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn bind_part(topology: &Topology, part: &Part, options: BindOptions) -> Result<Bound> {
    bind_part_remembering(topology, part, options).map(|(bound, _)| bound)
}

/// Lets the kernel kill the command as soon as the calling thread ends, even where that is killed itself, so that no
/// process is left over. What the command starts in turn is not reached. On systems other than Linux nothing is done.
///
/// ```
/// let mut command = std::process::Command::new("true");
/// nvtopo::apply::end_with_parent(&mut command);
/// assert!(command.status()?.success());
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn end_with_parent(command: &mut Command) {
    sys::end_with_parent(command);
}

/// As [`bind_part`], with what is needed to undo it.
fn bind_part_remembering(topology: &Topology, part: &Part, options: BindOptions) -> Result<(Bound, Before)> {
    let (mut bound, before) = bind_remembering(topology, &part.cpus, &part.mems, options)?;
    let own = topology.gpus().enumerate().filter(|(position, _)| part.gpus.contains(position));
    bound.gpus = own.map(|(_, gpu)| gpu.index).collect();
    bound.remarks.clone_from(&part.remarks);
    Ok((bound, before))
}

fn bind_remembering(
    topology: &Topology,
    cpus: &CpuSet,
    mems: &NodeSet,
    options: BindOptions,
) -> Result<(Bound, Before)> {
    check_machine(topology, options.trust)?;
    let mut bound = Bound { before: current_cpus()?, ..Bound::default() };
    let mut before = Before::default();
    if !cpus.is_empty() {
        before = cpu::bind_threads(cpus, options.threads, &mut bound.warnings)?;
        bound.threads = before.moved();
    }
    bound.memory_before = memory::found();
    if let Some(policy) = options.memory {
        memory::set(policy, mems, &mut bound);
    }
    bound.after = current_cpus()?;
    Ok((bound, before))
}
