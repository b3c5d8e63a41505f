//! The signals that are passed on.

use super::Event;
use rustix::process::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use std::io::Result;
use std::sync::mpsc::Sender;
use std::thread;

const PASSED_ON: [i32; 5] = [SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2];

/// Sends each that comes from now on as an event. Those that this process was started to ignore, as by `nohup`, stay
/// ignored.
pub(super) fn watch(events: &Sender<Event>) -> Result<()> {
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
