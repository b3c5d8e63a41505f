//! The children of this process: those that it started, and those that they left behind.

use super::Event;
use rustix::io::Errno;
use rustix::process::{WaitOptions, wait};
use std::io::Result;
use std::sync::mpsc::Sender;
use std::thread;

/// Makes this process the parent of what its children leave behind, so that it can be waited for. The first process of a
/// container is that anyhow. Where the kernel cannot, whoever is the parent waits.
pub(super) fn adopt() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

/// Sends the end of each child as an event, those that were adopted too: one that nobody waits for would count as alive.
pub(super) fn watch(events: &Sender<Event>) -> Result<()> {
    let events = events.clone();
    let thread = move || {
        loop {
            let event = match wait(WaitOptions::empty()) {
                Ok(Some((process, status))) => Event::Ended(process, status),
                Ok(None) | Err(Errno::INTR) => continue,
                Err(_) => Event::NoneLeft,
            };
            let last = matches!(event, Event::NoneLeft);
            if events.send(event).is_err() || last {
                return;
            }
        }
    };
    thread::Builder::new().spawn(thread).map(drop)
}
