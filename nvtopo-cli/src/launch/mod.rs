//! Starts processes, passes signals on to them, and ends all when one fails. What they are and where they run is decided
//! before.

mod job;
mod label;
mod watch;

use crate::output::Failure;
use job::Job;
use nvtopo::Result;
use nvtopo::apply::end_with_parent;
use rustix::process::{Pid, Signal, WaitStatus};
use std::io::{self, IsTerminal, stderr, stdin, stdout};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

/// One process to start.
pub(crate) struct Process {
    pub(crate) command: Command,
    /// Done in the thread that then starts the command, which inherits CPUs and memory policy.
    pub(crate) before: Box<dyn FnOnce() -> Result<()> + Send>,
}

/// The options for starting and ending processes.
pub(crate) struct Launch {
    /// True where lines begin with the rank.
    pub(crate) label: bool,
    /// The time that processes have to end, once one has failed or all were asked to.
    pub(crate) grace: Duration,
}

/// An event that a job takes in.
enum Event {
    /// A child has ended: a process of the job, or one that it left behind.
    Ended(Pid, WaitStatus),
    /// No child is left, nor anything that one started.
    NoneLeft,
    /// One of the streams that get labels has ended, or cannot be written on.
    Closed(io::Result<()>),
    Signal(Signal),
}

impl Launch {
    /// Runs all until they have ended, and gives the exit code of the first that failed, or 0.
    ///
    /// Errors where one cannot be started; those that were started are then killed.
    pub(crate) fn run(&self, processes: Vec<Process>, started: impl FnOnce()) -> Result<u8, Failure> {
        let (events, received) = channel();
        let (holding, held) = channel();
        watch::adopt();
        let mut job = Job::new(self.grace, holding);
        if let Some(first) = processes.first() {
            let program = first.command.get_program();
            watch::signals(&events).map_err(|error| Failure::to_run(program, error))?;
        }
        let program = processes.first().map(|first| first.command.get_program().to_owned());
        let width = processes.len().saturating_sub(1).to_string().len();
        let held = std::sync::Arc::new(std::sync::Mutex::new(held));
        for (rank, process) in processes.into_iter().enumerate() {
            let label = self.label.then(|| format!("{rank:>width$}: "));
            match start(rank, process, label, events.clone(), held.clone()) {
                Ok(group) => job.add(group, if self.label { 2 } else { 0 }),
                Err(failed) => {
                    job.kill();
                    return Err(failed);
                }
            }
        }
        // Not before all have been started: a start that fails takes its own child back.
        if let Err(error) = watch::children(&events) {
            job.kill();
            return Err(Failure::to_run(&program.unwrap_or_default(), error));
        }
        started();
        Ok(job.supervise(&received))
    }
}

/// Keeps a thread until the job lets all go.
type Held = std::sync::Arc<std::sync::Mutex<Receiver<()>>>;

/// Starts one in a thread of its own, which must live as long as the process does: the kernel kills the process with it.
fn start(
    rank: usize,
    process: Process,
    label: Option<String>,
    events: Sender<Event>,
    held: Held,
) -> Result<Pid, Failure> {
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
        let child =
            before().map_err(Failure::from).and_then(|()| spawn(&mut command, label.as_deref(), &events));
        let running = child.is_ok();
        let _ = started.send(child);
        if running {
            // An error says that the job has let go.
            let _ = held.lock().map(|held| held.recv());
        }
    };
    thread::Builder::new().spawn(thread).map_err(|error| Failure::to_run(&program, error))?;
    answer.recv().unwrap_or_else(|_| Err(Failure::to_run(&program, io::Error::other("its thread died"))))
}

fn spawn(command: &mut Command, label: Option<&str>, events: &Sender<Event>) -> Result<Pid, Failure> {
    let mut child = command.spawn().map_err(|error| Failure::to_run(command.get_program(), error))?;
    if let Some(label) = label
        && let Err(error) = label_output(&mut child, label, events)
    {
        let _ = child.kill();
        let _ = child.wait();
        return Err(Failure::to_run(command.get_program(), error));
    }
    // It is waited for with all other children.
    Ok(Pid::from_child(&child))
}

fn label_output(child: &mut Child, label: &str, events: &Sender<Event>) -> io::Result<()> {
    if let Some(stream) = child.stdout.take() {
        copy(stream, stdout(), label, events)?;
    }
    if let Some(stream) = child.stderr.take() {
        copy(stream, stderr(), label, events)?;
    }
    Ok(())
}

fn copy(
    from: impl io::Read + Send + 'static,
    to: impl io::Write + Send + 'static,
    label: &str,
    events: &Sender<Event>,
) -> io::Result<()> {
    let (label, events) = (label.to_owned(), events.clone());
    let thread = move || {
        // A reader that wants no more is passed on to the rank: its pipe closes.
        let _ = events.send(Event::Closed(label::copy_lines(from, to, &label)));
    };
    thread::Builder::new().spawn(thread).map(drop)
}
