//! Starts processes, passes signals on to them, and ends all when one fails. What they are and where they run is decided
//! before.

mod label;
mod signals;

use nvtopo::apply::end_with_parent;
use nvtopo::{Error, Result};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use std::io::{self, IsTerminal, stderr, stdin, stdout};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How often it is looked whether something is left of a group, while it is being ended.
const LOOK: Duration = Duration::from_millis(20);

/// How long output is waited for that a process left behind might still write.
const LAST_OUTPUT: Duration = Duration::from_secs(2);

/// One process to start.
pub(crate) struct Process {
    pub(crate) command: Command,
    /// Done in the thread that then starts the command, which inherits CPUs and memory policy.
    pub(crate) before: Box<dyn FnOnce() -> Result<()> + Send>,
}

/// How the processes are started and ended.
pub(crate) struct Launch {
    /// Whether lines begin with the rank.
    pub(crate) label: bool,
    /// How long the others have once one has failed.
    pub(crate) grace: Duration,
}

enum Event {
    /// With its exit code.
    Ended(u8),
    /// One of the streams that get labels.
    Closed,
    Signal(Signal),
}

impl Launch {
    /// Runs all until they have ended, and gives the exit code of the first that failed, or 0.
    ///
    /// Errors where one cannot be started; those that were started are then killed.
    pub(crate) fn run(&self, processes: Vec<Process>) -> Result<u8> {
        let (events, received) = channel();
        if let Some(first) = processes.first() {
            let program = first.command.get_program();
            signals::watch(&events).map_err(|error| Error::cannot_run(program, error))?;
        }
        let width = processes.len().saturating_sub(1).to_string().len();
        let streams = if self.label { 2 * processes.len() } else { 0 };
        let mut job =
            Job { groups: Vec::new(), running: 0, streams, failed: None, asked: false, deadline: None };
        for (rank, process) in processes.into_iter().enumerate() {
            let label = self.label.then(|| format!("{rank:>width$}: "));
            match start(rank, process, label, events.clone()) {
                Ok(group) => job.groups.push(group),
                Err(error) => {
                    job.signal(Signal::KILL);
                    return Err(error);
                }
            }
        }
        job.running = job.groups.len();
        job.supervise(&received, self.grace);
        Ok(job.failed.unwrap_or(0))
    }
}

/// Starts one in a thread of its own, which must live as long as the process does: the kernel kills the process with it.
fn start(rank: usize, process: Process, label: Option<String>, events: Sender<Event>) -> Result<Pid> {
    let Process { mut command, before } = process;
    // A group of its own, so that signals reach also what it starts in turn, and a terminal's interrupt comes once.
    command.process_group(0);
    if rank > 0 || stdin().is_terminal() {
        command.stdin(Stdio::null());
    }
    if label.is_some() {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
    }
    end_with_parent(&mut command);
    let program = command.get_program().to_owned();
    let (started, answer) = channel();
    let thread = move || {
        let child = before()
            .and_then(|()| command.spawn().map_err(|error| Error::cannot_run(command.get_program(), error)));
        let mut child = match child {
            Ok(child) => child,
            Err(error) => {
                let _ = started.send(Err(error));
                return;
            }
        };
        if let Some(label) = label {
            label_output(&mut child, &label, &events);
        }
        let _ = started.send(Ok(Pid::from_child(&child)));
        let code = child.wait().map_or(u8::MAX, exit_code);
        let _ = events.send(Event::Ended(code));
    };
    thread::Builder::new().spawn(thread).map_err(|error| Error::cannot_run(&program, error))?;
    answer.recv().unwrap_or_else(|_| Err(Error::cannot_run(&program, io::Error::other("its thread died"))))
}

/// 128 and the number of the signal that ended it, as shells have it.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

fn label_output(child: &mut Child, label: &str, events: &Sender<Event>) {
    if let Some(stream) = child.stdout.take() {
        copy(stream, stdout(), label, events);
    }
    if let Some(stream) = child.stderr.take() {
        copy(stream, stderr(), label, events);
    }
}

fn copy(
    from: impl std::io::Read + Send + 'static,
    to: impl std::io::Write + Send + 'static,
    label: &str,
    events: &Sender<Event>,
) {
    let (label, events) = (label.to_owned(), events.clone());
    thread::spawn(move || {
        // A reader that wants no more is passed on to the rank: its pipe closes.
        let _ = label::copy_lines(from, to, &label);
        let _ = events.send(Event::Closed);
    });
}

/// What runs, and how it goes.
struct Job {
    /// The group of each process.
    groups: Vec<Pid>,
    /// How many processes have not ended.
    running: usize,
    /// How many streams that get labels are open.
    streams: usize,
    /// The exit code of the first that failed.
    failed: Option<u8>,
    /// Whether all were asked to end, by a signal that was passed on.
    asked: bool,
    /// When what still runs is killed.
    deadline: Option<Instant>,
}

impl Job {
    fn supervise(&mut self, events: &Receiver<Event>, grace: Duration) {
        while self.running > 0 || self.failed.is_some() && self.is_something_left() {
            if self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                self.deadline = None;
                self.signal(Signal::KILL);
                if self.running == 0 {
                    break;
                }
            }
            self.next(events, LOOK, grace);
        }
        let end = Instant::now() + LAST_OUTPUT;
        while self.streams > 0 && Instant::now() < end {
            self.next(events, LOOK, grace);
        }
    }

    /// Takes the next event in, if one comes in time.
    fn next(&mut self, events: &Receiver<Event>, within: Duration, grace: Duration) {
        // Nothing but an event changes anything as long as none has failed.
        let event = if self.failed.is_none() && self.running > 0 {
            events.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            events.recv_timeout(within)
        };
        match event {
            Ok(Event::Ended(code)) => {
                self.running -= 1;
                if code != 0 && self.failed.is_none() {
                    self.failed = Some(code);
                    self.deadline = Some(Instant::now() + grace);
                    // Twice would disturb those that save their state.
                    if !self.asked {
                        self.signal(Signal::TERM);
                    }
                }
            }
            Ok(Event::Closed) => self.streams -= 1,
            Ok(Event::Signal(signal)) => {
                self.asked |= matches!(signal, Signal::TERM | Signal::INT | Signal::HUP);
                self.signal(signal);
            }
            Err(_) => {}
        }
    }

    /// To all that is left of all groups.
    fn signal(&self, signal: Signal) {
        for group in &self.groups {
            // One that has ended already needs none.
            let _ = kill_process_group(*group, signal);
        }
    }

    fn is_something_left(&self) -> bool {
        self.groups.iter().any(|group| test_kill_process_group(*group).is_ok())
    }
}
