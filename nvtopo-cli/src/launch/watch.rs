//! The threads that send events: the end of each child of this process, and the signals that are passed on.

use super::Event;
use rustix::io::Errno;
use rustix::process::{Signal, WaitOptions, wait};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
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
pub(super) fn children(events: &Sender<Event>) -> Result<()> {
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

const PASSED_ON: [i32; 5] = [SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2];

/// Sends each that comes from now on as an event. Those that this process was started to ignore, as by `nohup`, stay
/// ignored.
pub(super) fn signals(events: &Sender<Event>) -> Result<()> {
    let ignored = ignored();
    let heard = PASSED_ON.into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
    let mut signals = Signals::new(heard)?;
    let events = events.clone();
    thread::Builder::new().spawn(move || {
        let named = signals.forever().filter_map(Signal::from_named_raw);
        for signal in named {
            if events.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    })?;
    Ok(())
}

/// One bit for each signal, the first the lowest; none where the system does not tell.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
