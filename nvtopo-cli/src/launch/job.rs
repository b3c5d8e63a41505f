//! The processes of a job from their start to the end of the last, and the exit code that comes of them.

use super::Event;
use crate::output::{BAD, not_written, report};
use nvtopo::CpuSet;
use rustix::process::{Pid, Signal, WaitStatus, kill_process_group, test_kill_process_group};
use signal_hook::low_level::signal_name;
use std::io::ErrorKind;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// The interval at which a group that is being ended is checked for processes that are left.
const LOOK: Duration = Duration::from_millis(20);

/// The time to wait for output of processes that were left behind.
const LAST_OUTPUT: Duration = Duration::from_secs(2);

/// The time to wait for killed processes. One that hangs in a driver never goes.
const AFTER_KILL: Duration = Duration::from_secs(10);

/// A process of the job. Its number is that of its group.
struct Rank {
    process: Pid,
    ended: bool,
}

/// The running job, and how it goes.
pub(super) struct Job {
    ranks: Vec<Rank>,
    /// The number of streams with labels that are open.
    streams: usize,
    /// The exit code of the first rank that failed.
    failed: Option<u8>,
    /// True where output of a rank could not be written.
    lost_output: bool,
    /// The signal by which all were asked to end from outside.
    asked: Option<Signal>,
    grace: Duration,
    /// The time at which running processes are killed, or killed ones are given up.
    deadline: Option<Instant>,
    killed: bool,
    /// Nothing runs any more that a rank started.
    none_left: bool,
    /// Keeps the threads that started the ranks.
    _holding: Sender<()>,
}

impl Job {
    pub(super) fn new(grace: Duration, holding: Sender<()>) -> Self {
        Self {
            ranks: Vec::new(),
            streams: 0,
            failed: None,
            lost_output: false,
            asked: None,
            grace,
            deadline: None,
            killed: false,
            none_left: false,
            _holding: holding,
        }
    }

    /// A process that was started, with so many streams that get labels.
    pub(super) fn add(&mut self, process: Pid, streams: usize) {
        self.ranks.push(Rank { process, ended: false });
        self.streams += streams;
    }

    /// Waits for all ranks, and after a failure or a request to end for what they started in turn; the exit code.
    pub(super) fn supervise(mut self, events: &Receiver<Event>) -> u8 {
        while self.running() > 0 || self.deadline.is_some() && self.is_something_left() {
            if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) && !self.end_the_late() {
                break;
            }
            self.next(events);
        }
        let end = Instant::now() + LAST_OUTPUT;
        while self.streams > 0 && Instant::now() < end {
            self.deadline = Some(end);
            self.next(events);
        }
        self.failed.unwrap_or(if self.lost_output { BAD } else { 0 })
    }

    /// Kills all that is left of all groups.
    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Kills what has not ended in time. False where it was killed before and does not go.
    fn end_the_late(&mut self) -> bool {
        let late = self.ranks_where(|rank| !rank.ended);
        let grace = self.grace.as_secs();
        match (self.killed, late) {
            (true, Some(late)) => {
                report(&format!(
                    "{late} cannot be killed: the kernel does not let go, as when a driver hangs"
                ));
            }
            (true, None) => {}
            (false, Some(late)) => report(&format!("{late} did not end within {grace} s: killed")),
            (false, None) => {
                report(&format!("what ranks left behind did not end within {grace} s: killed"));
            }
        }
        if self.killed {
            return false;
        }
        self.kill();
        self.killed = true;
        self.deadline = Some(Instant::now() + AFTER_KILL);
        true
    }

    /// Takes the next event in, if one comes in time.
    fn next(&mut self, events: &Receiver<Event>) {
        // Nothing but an event changes anything as long as nothing is to end.
        let event = match self.deadline {
            None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(_) => events.recv_timeout(LOOK),
        };
        match event {
            Ok(Event::Ended(process, status)) => self.ended(process, status),
            Ok(Event::NoneLeft) => self.none_left = true,
            Ok(Event::Closed(written)) => {
                self.streams = self.streams.saturating_sub(1);
                if let Err(error) = written
                    && error.kind() != ErrorKind::BrokenPipe
                    && !std::mem::replace(&mut self.lost_output, true)
                {
                    report(&not_written(error).to_string());
                }
            }
            Ok(Event::Signal(signal)) => {
                if matches!(signal, Signal::TERM | Signal::INT | Signal::HUP) {
                    self.asked = Some(signal);
                }
                // The others leave it to the program whether it ends.
                if signal == Signal::TERM {
                    self.deadline.get_or_insert(Instant::now() + self.grace);
                }
                self.signal(signal);
            }
            Err(_) => {}
        }
    }

    fn ended(&mut self, process: Pid, status: WaitStatus) {
        // What a rank left behind has no rank.
        let Some(rank) = self.ranks.iter().position(|rank| rank.process == process && !rank.ended) else {
            return;
        };
        self.ranks[rank].ended = true;
        let code = exit_code(status);
        if code == 0 || self.failed.is_some() {
            return;
        }
        self.failed = Some(code);
        let as_asked = self.asked.map(Signal::as_raw) == status.terminating_signal() && self.asked.is_some();
        if !as_asked {
            let rest = match self.ranks_where(|rank| !rank.ended) {
                Some(others) if self.asked.is_none() => format!("; {others} asked to end"),
                _ => String::new(),
            };
            report(&format!("rank {rank} {}{rest}", how(status)));
        }
        self.deadline.get_or_insert(Instant::now() + self.grace);
        // Twice would disturb those that save their state.
        if self.asked.is_none() {
            self.signal(Signal::TERM);
        }
    }

    fn running(&self) -> usize {
        self.ranks.iter().filter(|rank| !rank.ended).count()
    }

    /// The ranks of that kind by their numbers, where there are any.
    fn ranks_where(&self, are: impl Fn(&Rank) -> bool) -> Option<String> {
        let numbers: CpuSet = self
            .ranks
            .iter()
            .enumerate()
            .filter(|(_, rank)| are(rank))
            .map(|(rank, _)| rank as u32)
            .collect();
        match numbers.len() {
            0 => None,
            1 => Some(format!("rank {numbers}")),
            _ => Some(format!("ranks {numbers}")),
        }
    }

    /// To all that is left of all groups.
    fn signal(&self, signal: Signal) {
        for rank in &self.ranks {
            // One that has ended already needs none.
            let _ = kill_process_group(rank.process, signal);
        }
    }

    fn is_something_left(&self) -> bool {
        !self.none_left && self.ranks.iter().any(|rank| test_kill_process_group(rank.process).is_ok())
    }
}

/// 128 and the number of the signal that ended it, as shells have it.
fn exit_code(status: WaitStatus) -> u8 {
    let code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

/// The end of a failed process, for a sentence.
fn how(status: WaitStatus) -> String {
    let Some(signal) = status.terminating_signal() else {
        return format!("failed with exit code {}", exit_code(status));
    };
    let name = signal_name(signal).map(|name| format!(" ({name})")).unwrap_or_default();
    let perhaps = if signal == Signal::KILL.as_raw() { ", perhaps as memory ran out" } else { "" };
    format!("was ended by signal {signal}{name}{perhaps}")
}
