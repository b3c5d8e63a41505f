//! A binding with a guard, which undoes it when dropped.

use super::cpu::Before;
use super::{BindOptions, Bound, bind_undoable, memory};
use crate::error::{Error, ErrorKind, Result};
use crate::model::Topology;
use crate::solve::Part;
use std::marker::PhantomData;

/// The guard of a binding: dropping it undoes the binding. It stays in its thread, since the memory policy is per thread.
#[must_use = "the binding is undone when this is dropped"]
#[derive(Debug)]
pub struct BoundGuard {
    bound: Bound,
    /// The state before; `None` once the binding is undone.
    before: Option<Before>,
    /// Makes the guard neither `Send` nor `Sync`.
    in_its_thread: PhantomData<*const ()>,
}

/// Binds this process to its part of a job until the guard is dropped. Threads that start in between are moved back with
/// the calling thread.
///
/// Errors as [`bind`](super::bind) does.
///
/// ```
/// use nvtopo::apply::{BindOptions, bind_scoped, current_cpus};
/// use nvtopo::{Part, Topology};
///
/// let topology = Topology::discover()?;
/// let before = current_cpus()?;
/// let part = Part { cpus: before.iter().take(1).collect(), ..Part::default() };
/// let guard = bind_scoped(&topology, &part, BindOptions::default())?;
/// assert_eq!(current_cpus()?.len(), 1);
/// guard.restore()?;
/// assert_eq!(current_cpus()?, before);
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn bind_scoped(topology: &Topology, part: &Part, options: BindOptions) -> Result<BoundGuard> {
    let (bound, before) = bind_undoable(topology, part, options)?;
    Ok(BoundGuard { bound, before: Some(before), in_its_thread: PhantomData })
}

impl BoundGuard {
    /// Returns the result of binding.
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    /// Undoes the binding, and reports failure; dropping the guard does the same without a report.
    ///
    /// Errors with [`Refused`](ErrorKind::Refused) where the kernel refuses, as when a cpuset has shrunk meanwhile.
    pub fn restore(mut self) -> Result<()> {
        self.undo()
    }

    /// Keeps the binding for good.
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
