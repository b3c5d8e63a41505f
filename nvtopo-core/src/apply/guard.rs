//! A binding for a while: what was found comes back when the guard goes.

use super::cpu::Before;
use super::{BindOptions, Bound, bind_part_remembering, memory};
use crate::error::{Error, ErrorKind, Result};
use crate::model::Topology;
use crate::solve::Part;
use std::marker::PhantomData;

/// Holds a binding until it is dropped. It stays in its thread, for the memory policy is that thread's.
#[must_use = "the binding is undone when this is dropped"]
#[derive(Debug)]
pub struct BoundGuard {
    bound: Bound,
    /// `None` once it has been undone.
    before: Option<Before>,
    /// A raw pointer is neither `Send` nor `Sync`.
    in_its_thread: PhantomData<*const ()>,
}

/// Binds this process to its part of a job until the guard is dropped. Threads that start in between go where the
/// calling thread goes.
///
/// Errors as [`bind`](super::bind) does.
///
/// ```
/// use nvtopo::apply::{BindOptions, bound, current_cpus};
/// use nvtopo::{Part, Topology};
///
/// let topology = Topology::discover()?;
/// let before = current_cpus()?;
/// let part = Part { cpus: before.iter().take(1).collect(), ..Part::default() };
/// let guard = bound(&topology, &part, BindOptions::default())?;
/// assert_eq!(current_cpus()?.len(), 1);
/// guard.restore()?;
/// assert_eq!(current_cpus()?, before);
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn bound(topology: &Topology, part: &Part, options: BindOptions) -> Result<BoundGuard> {
    let (bound, before) = bind_part_remembering(topology, part, options)?;
    Ok(BoundGuard { bound, before: Some(before), in_its_thread: PhantomData })
}

impl BoundGuard {
    /// What was done.
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    /// Undoes it, and tells whether that worked; dropping the guard does the same in silence.
    ///
    /// Errors with [`Refused`](ErrorKind::Refused) where the kernel refuses, as when a cpuset has shrunk meanwhile.
    pub fn restore(mut self) -> Result<()> {
        self.undo()
    }

    /// Leaves the process as it is bound, for good.
    pub fn keep(mut self) -> Bound {
        self.before = None;
        std::mem::take(&mut self.bound)
    }

    fn undo(&mut self) -> Result<()> {
        let Some(before) = self.before.take() else { return Ok(()) };
        let cpus = before.restore();
        if self.bound.memory.is_some() {
            memory::restore(self.bound.memory_before.as_ref()).map_err(|error| {
                let message = format!("the kernel refused to set the memory policy back: {error}");
                Error::new(ErrorKind::Refused, message)
            })?;
        }
        cpus
    }
}

impl Drop for BoundGuard {
    fn drop(&mut self) {
        let _ = self.undo();
    }
}
