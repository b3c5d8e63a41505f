//! What is done to this process: its CPUs and the memory that it takes.
//!
//! Refuses a topology that is not this machine's. What a sandbox refuses is a warning where the process can run
//! without it. Nothing here chooses anything.

use crate::cpuset::{CpuSet, NodeSet};
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Origin, Topology};
use crate::solve::Part;
use crate::source::this_machine;
use crate::sys;

/// Which topologies may be applied to this machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Only one that is known to be this machine's.
    #[default]
    ThisMachine,
    /// Also one of which nobody knows whose it is: a text, a preset. Never one of another machine.
    Unknown,
}

/// Which threads are bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Threads {
    /// All threads of the process, those that libraries started already too.
    #[default]
    All,
    /// The calling thread; what it starts inherits from it.
    Calling,
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
    /// The nodes that memory is now taken from first. `None`: the policy is as it was.
    pub mems: Option<NodeSet>,
    /// What was refused or could not be done.
    pub warnings: Vec<String>,
    /// The indices of the GPUs that the process was bound beside, where it was bound to a part.
    pub gpus: Vec<u32>,
    /// What a person should know about that part.
    pub remarks: Vec<String>,
}

/// The CPUs on which the calling thread may run.
///
/// ```
/// assert!(!nvtopo::apply::current_cpus()?.is_empty());
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn current_cpus() -> Result<CpuSet> {
    sys::affinity(0)
        .map_err(|error| Error::new(ErrorKind::Io, format!("cannot read the CPUs of this thread: {error}")))
}

/// The CPUs to which placements on this topology are limited here: those of the calling thread, where the topology is
/// this machine's. `None` for any other, whose CPUs are not these.
///
/// ```
/// let preset = nvtopo::Topology::preset("dgx-h100")?;
/// assert_eq!(nvtopo::apply::cpus_here(&preset)?, None);
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn cpus_here(topology: &Topology) -> Result<Option<CpuSet>> {
    check_machine(topology, Trust::ThisMachine).ok().map(|()| current_cpus()).transpose()
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

/// Binds this process to CPUs and lets it take memory from nodes first. Empty sets leave things as they are.
///
/// Errors where the topology is not this machine's, and where none of the CPUs may be used; memory that is refused is
/// a warning.
///
/// ```no_run
/// use nvtopo::apply::{Threads, Trust, bind};
///
/// let topology = nvtopo::Topology::discover()?;
/// let node: nvtopo::NodeSet = "0".parse()?;
/// let bound = bind(&topology, &"0-7".parse()?, &node, Threads::All, Trust::ThisMachine)?;
/// println!("from CPUs {} to {}", bound.before, bound.after);
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn bind(
    topology: &Topology,
    cpus: &CpuSet,
    mems: &NodeSet,
    threads: Threads,
    trust: Trust,
) -> Result<Bound> {
    check_machine(topology, trust)?;
    let mut bound = Bound { before: current_cpus()?, ..Bound::default() };
    if !cpus.is_empty() {
        bound.threads = bind_threads(cpus, threads, &mut bound.warnings)?;
    }
    if !mems.is_empty() {
        match sys::prefer_memory(mems) {
            Ok(()) => bound.mems = Some(mems.clone()),
            Err(error) => {
                bound.warnings.push(format!("memory of nodes {mems} could not be preferred: {error}"));
            }
        }
    }
    bound.after = current_cpus()?;
    Ok(bound)
}

/// Binds this process to its part of a job; a part without GPU leaves it as it is.
///
/// Errors as [`bind`] does.
///
/// ```no_run
/// use nvtopo::apply::{Threads, Trust, bind_part};
/// use nvtopo::{LocalRank, Part, Request};
///
/// let placement = Request::gpus(4).solve(&nvtopo::Topology::discover()?)?;
/// let rank = LocalRank::from_environment(|name| std::env::var(name).ok())?;
/// let part = Part::of_placement(&placement, rank);
/// let bound = bind_part(placement.topology(), &part, Threads::All, Trust::ThisMachine)?;
/// println!("beside GPUs {:?} on CPUs {}", bound.gpus, bound.after);
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn bind_part(topology: &Topology, part: &Part, threads: Threads, trust: Trust) -> Result<Bound> {
    let mut bound = bind(topology, &part.cpus, &part.mems, threads, trust)?;
    let own = topology.gpus().enumerate().filter(|(position, _)| part.gpus.contains(position));
    bound.gpus = own.map(|(_, gpu)| gpu.index).collect();
    bound.remarks.clone_from(&part.remarks);
    Ok(bound)
}

/// Gives the calling thread, and all others where asked, their CPUs; counts those that were moved.
fn bind_threads(cpus: &CpuSet, threads: Threads, warnings: &mut Vec<String>) -> Result<usize> {
    sys::set_affinity(0, cpus).map_err(|error| {
        let allowed = sys::affinity(0).map_or_else(|_| "unknown".to_owned(), |cpus| cpus.to_string());
        Error::new(ErrorKind::Refused, format!("the kernel refused to bind to CPUs {cpus}: {error}"))
            .help(format!("this process may use CPUs {allowed}"))
    })?;
    let mut moved = 1;
    if threads == Threads::Calling {
        return Ok(moved);
    }
    let others = match sys::threads() {
        Ok(others) => others,
        Err(error) => {
            warnings.push(format!("only the calling thread was bound: {error}"));
            return Ok(moved);
        }
    };
    for thread in others {
        // A thread that ended in between is no loss, and one that starts now inherits the CPUs of its parent.
        if sys::affinity(thread).is_ok_and(|current| current != *cpus)
            && sys::set_affinity(thread, cpus).is_ok()
        {
            moved += 1;
        }
    }
    Ok(moved)
}
