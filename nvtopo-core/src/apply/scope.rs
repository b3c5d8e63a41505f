//! The CPUs that this process may use: those it is bound to, and those it may bind itself to.

use super::{Trust, check_machine};
use crate::cpuset::{CpuSet, MAX_INDEX};
use crate::error::{Error, ErrorKind, Result};
use crate::model::Topology;
use crate::sys;

words! {
    /// The limit that defines the allowed CPUs.
    ///
    /// A launcher binds each rank softly: Open MPI gives two ranks one core each, and a process may leave that. A container
    /// or a batch system sets a hard limit (cpuset), the same for all ranks of a node.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum Scope {
        /// The CPUs that the calling thread is bound to.
        #[default]
        Affinity = "affinity",
        /// The CPUs to which the kernel lets it widen its binding.
        Cpuset = "cpuset",
    }
    /// The word for it.
    word, |text| Error::request(format!("there is no scope '{text}'")).help("there are affinity and cpuset")
}

/// Returns the CPUs that the calling thread is bound to.
///
/// ```
/// assert!(!nvtopo::apply::current_cpus()?.is_empty());
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn current_cpus() -> Result<CpuSet> {
    sys::affinity(0)
        .map_err(|error| Error::new(ErrorKind::Io, format!("cannot read the CPUs of this thread: {error}")))
}

/// Returns the CPUs to which the kernel lets this process widen its binding. A thread tries it and ends at once; nothing
/// else is changed.
///
/// ```
/// use nvtopo::apply::{current_cpus, widest_cpus};
///
/// assert!(current_cpus()?.is_subset(&widest_cpus()?));
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn widest_cpus() -> Result<CpuSet> {
    let wider = || {
        // Where widening is refused, the present binding is all that is known.
        let _ = sys::set_affinity(0, &(0..=MAX_INDEX).collect());
        sys::affinity(0)
    };
    let thread = std::thread::Builder::new().name("nvtopo-scope".to_owned()).spawn(wider);
    let failed =
        |why: String| Error::new(ErrorKind::Io, format!("cannot learn the limit of the CPUs: {why}"));
    let answer = thread.map_err(|error| failed(error.to_string()))?.join();
    answer
        .map_err(|_| failed("the thread that asked died".to_owned()))?
        .map_err(|error| failed(error.to_string()))
}

/// Returns the CPUs that a scope allows.
pub fn allowed_cpus(scope: Scope) -> Result<CpuSet> {
    match scope {
        Scope::Affinity => current_cpus(),
        Scope::Cpuset => widest_cpus(),
    }
}

/// Returns a remark where a launcher has bound the process more narrowly than its limit.
///
/// ```
/// use nvtopo::apply::scope_remark;
///
/// let remark = scope_remark(&"0".parse()?, &"0-15".parse()?).unwrap();
/// assert!(remark.contains("cpuset"));
/// assert_eq!(scope_remark(&"0-15".parse()?, &"0-15".parse()?), None);
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn scope_remark(bound: &CpuSet, widest: &CpuSet) -> Option<String> {
    let narrower = bound.is_subset(widest) && bound != widest;
    narrower.then(|| {
        format!(
            "this process is bound to CPUs {bound} of {widest}, by its launcher or its parent: only these are dealt out; \
             the scope cpuset deals out all"
        )
    })
}

/// Returns the CPUs that a scope allows where the topology is this machine's: placements are limited to those of the calling
/// thread, the default. `None` for any other topology.
///
/// ```
/// let preset = nvtopo::Topology::preset("dgx-h100")?;
/// assert_eq!(nvtopo::apply::cpus_here(&preset, Default::default())?, None);
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn cpus_here(topology: &Topology, scope: Scope) -> Result<Option<CpuSet>> {
    check_machine(topology, Trust::ThisMachine).ok().map(|()| allowed_cpus(scope)).transpose()
}
