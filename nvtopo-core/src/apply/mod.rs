//! Binding of this process to CPUs and memory nodes, and the environment variables that go with it.
//!
//! A topology of another machine is refused. A refusal by a sandbox is a warning where the process can run without. Choices
//! are made in [`crate::solve`]; this room carries them out.

mod cpu;
mod env;
mod guard;
mod hazards;
mod memory;
mod plan;
mod scope;

pub use cpu::Threads;
pub use env::{Export, environment, export_remarks, placement_environment, thread_remark};
pub use guard::{BoundGuard, bind_scoped};
pub use hazards::{HAZARD_VARIABLES, hazards};
pub use memory::MemorySetting;
pub use plan::{PlanHere, Variables, plan_here, visible_here};
pub use scope::{Scope, allowed_cpus, cpus_here, current_cpus, scope_remark, widest_cpus};

use crate::cpuset::{CpuSet, NodeSet};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Origin, Topology};
use crate::solve::{MemoryPolicy, Part};
use crate::source::this_machine;
use crate::sys;
use cpu::Before;
use std::process::Command;

/// The topologies that may be applied to this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trust {
    /// Only one that is known to be this machine's.
    #[default]
    ThisMachine,
    /// Also one of unknown origin: a text, a preset. Never one of another machine.
    Unknown,
}

/// Options of binding: threads, memory policy, trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BindOptions {
    /// The threads to bind.
    pub threads: Threads,
    /// The memory policy from now on. `None`: unchanged.
    pub memory: Option<MemoryPolicy>,
    /// The topologies to bind by.
    pub trust: Trust,
}

impl BindOptions {
    /// Sets the threads to bind.
    #[must_use]
    pub const fn with_threads(mut self, threads: Threads) -> Self {
        self.threads = threads;
        self
    }

    /// Sets the memory policy; `None` leaves it unchanged.
    #[must_use]
    pub const fn with_memory(mut self, memory: Option<MemoryPolicy>) -> Self {
        self.memory = memory;
        self
    }

    /// Sets the topologies to bind by.
    #[must_use]
    pub const fn with_trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }
}

impl Default for BindOptions {
    /// Binds all threads, prefers near memory, and trusts only topologies of this machine.
    fn default() -> Self {
        Self { threads: Threads::All, memory: Some(MemoryPolicy::Preferred), trust: Trust::ThisMachine }
    }
}

/// The result of binding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bound {
    /// The CPUs of the calling thread before.
    pub before: CpuSet,
    /// The CPUs of the calling thread now.
    pub after: CpuSet,
    /// The number of threads that were moved.
    pub threads: usize,
    /// The memory policy that was set. `None`: unchanged.
    pub memory: Option<MemoryPolicy>,
    /// The nodes of that policy. `None`: unchanged, or a policy without nodes.
    pub mems: Option<NodeSet>,
    /// The memory policy before. `None`: the kernel's default, or not readable here.
    pub memory_before: Option<MemorySetting>,
    /// Warnings: operations that the system refused.
    pub warnings: Vec<String>,
    /// The indices of the GPUs that the process was bound beside.
    pub gpus: Vec<u32>,
    /// Remarks on that part, for people.
    pub remarks: Vec<String>,
}

/// Checks that the topology may be applied to this machine.
///
/// Errors with [`WrongMachine`](ErrorKind::WrongMachine) for the topology of another machine, and for one of unknown origin
/// unless `trust` allows it.
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

/// Binds this process to its part of a job: its CPUs, and its memory to NUMA nodes. Empty sets change nothing.
///
/// Errors where the topology is not this machine's, and where none of the CPUs is allowed; a refused memory policy is a
/// warning.
///
/// ```no_run
/// use nvtopo::apply::{BindOptions, bind};
/// use nvtopo::{LocalRank, Part, Request};
///
/// let placement = Request::gpus(4).solve(&nvtopo::Topology::discover()?)?;
/// let rank = LocalRank::from_environment(|name| std::env::var(name).ok())?;
/// let part = Part::of_placement(&placement, rank)?;
/// let bound = bind(placement.topology(), &part, BindOptions::default())?;
/// println!("beside GPUs {:?} on CPUs {}", bound.gpus, bound.after);
///
/// let own = Part { cpus: "0-7".parse()?, mems: "0".parse()?, ..Part::default() };
/// let bound = bind(placement.topology(), &own, BindOptions::default())?;
/// println!("from CPUs {} to {}", bound.before, bound.after);
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn bind(topology: &Topology, part: &Part, options: BindOptions) -> Result<Bound> {
    bind_undoable(topology, part, options).map(|(bound, _)| bound)
}

/// Lets the kernel kill the command as soon as the calling thread ends, even by a signal, so that no process is left over.
/// Processes that the command starts in turn are not reached. Does nothing on systems other than Linux.
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

/// Binds like [`bind`], and returns the state before, to undo it.
fn bind_undoable(topology: &Topology, part: &Part, options: BindOptions) -> Result<(Bound, Before)> {
    check_machine(topology, options.trust)?;
    let mut bound = Bound { before: current_cpus()?, remarks: part.remarks.clone(), ..Bound::default() };
    let own = topology.gpus().enumerate().filter(|(position, _)| part.gpus.contains(position));
    bound.gpus = own.map(|(_, gpu)| gpu.index).collect();
    let mut before = Before::default();
    if !part.cpus.is_empty() {
        before = cpu::bind_threads(&part.cpus, options.threads, &mut bound.warnings)?;
        bound.threads = before.moved();
    }
    bound.memory_before = memory::current();
    if let Some(policy) = options.memory {
        memory::set(policy, &part.mems, &mut bound);
    }
    bound.after = current_cpus()?;
    Ok((bound, before))
}
