//! The CPU affinity of this process's threads.

use crate::cpuset::CpuSet;
use crate::error::{Error, ErrorKind, Result};
use crate::sys;
use std::collections::BTreeMap;

words! {
    /// The threads to bind.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    #[non_exhaustive]
    pub enum Threads {
        /// All threads of the process, including those that libraries started.
        #[default]
        All = "all",
        /// The calling thread; threads that it starts inherit its binding.
        Calling = "calling",
    }
    /// Returns its word.
    word, |text| Error::request(format!("no threads are called '{text}'")).help("there are all and calling")
}

/// The affinity of moved threads before.
#[derive(Clone, Debug, Default)]
pub(super) struct Before {
    /// The CPUs by thread; 0 is the calling one.
    cpus: BTreeMap<i32, CpuSet>,
    /// The CPUs that they were moved to.
    to: CpuSet,
    threads: Threads,
}

/// The number of times that the list of threads is read: a thread may start another while it is moved.
const PASSES: usize = 8;

/// Binds the calling thread, or all threads.
pub(super) fn bind_threads(cpus: &CpuSet, threads: Threads, warnings: &mut Vec<String>) -> Result<Before> {
    let found = sys::affinity(0).unwrap_or_default();
    sys::set_affinity(0, cpus).map_err(|error| {
        Error::new(ErrorKind::Refused, format!("the kernel refused to bind to CPUs {cpus}: {error}"))
            .help(format!("this process may use CPUs {found}"))
    })?;
    let mut before = Before { cpus: BTreeMap::from([(0, found)]), to: cpus.clone(), threads };
    let now = sys::affinity(0).unwrap_or_else(|_| cpus.clone());
    if threads == Threads::Calling {
        return Ok(before);
    }
    let mut refused = BTreeMap::new();
    for _ in 0..PASSES {
        let others = match sys::threads() {
            Ok(others) => others,
            Err(error) => {
                warnings.push(format!("only the calling thread was bound: {error}"));
                return Ok(before);
            }
        };
        let mut moved = false;
        for thread in others.into_iter().filter(|thread| !refused.contains_key(thread)).collect::<Vec<_>>() {
            // A thread that ended in between is no loss, and one that starts now inherits the CPUs of its parent.
            let Ok(current) = sys::affinity(thread) else { continue };
            if current == now {
                continue;
            }
            match sys::set_affinity(thread, cpus) {
                Ok(()) => {
                    moved = true;
                    before.cpus.entry(thread).or_insert(current);
                }
                Err(error) => {
                    refused.insert(thread, error);
                }
            }
        }
        if !moved {
            break;
        }
    }
    if let Some((_, why)) = refused.first_key_value() {
        warnings.push(format!("{} threads could not be bound: {why}", refused.len()));
    }
    Ok(before)
}

impl Before {
    pub(super) fn moved(&self) -> usize {
        self.cpus.len()
    }

    /// Moves every thread back. Threads that started in between follow the calling one, if they still have the affinity they
    /// inherited.
    pub(super) fn restore(&self) -> Result<()> {
        let Some(own) = self.cpus.get(&0) else { return Ok(()) };
        let refused = |error: std::io::Error| {
            Error::new(ErrorKind::Refused, format!("the kernel refused to go back to CPUs {own}: {error}"))
        };
        let born = sys::affinity(0).unwrap_or_else(|_| self.to.clone());
        if self.threads == Threads::All {
            for thread in sys::threads().unwrap_or_default() {
                if sys::affinity(thread).is_ok_and(|current| current == born) {
                    let back = self.cpus.get(&thread).unwrap_or(own);
                    // It may end at any time.
                    let _ = sys::set_affinity(thread, back);
                }
            }
        }
        sys::set_affinity(0, own).map_err(refused)
    }
}
