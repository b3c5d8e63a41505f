//! Runs of benchmarks: bound beside their devices, with a time limit, ended with all that they started.

use crate::benchmark;
use crate::plan::{Job, Plan, Step};
use crate::results::Results;
use nvtopo::apply::{BindOptions, Threads, Trust, bind, check_machine, end_with_parent};
use nvtopo::{Error, Result, Topology};
use std::ffi::OsStr;
use std::io::{self, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The interval at which a running program is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// The time that a server has to listen before its client starts anyway.
const LISTEN: Duration = Duration::from_secs(1);

/// The time to wait for output that a killed program's descendants may hold open.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

/// The variable by which the descendants of a run are found, wherever they went. One that clears its variables is not.
const MARK: &str = "NVTOPO_RUN";

/// The most times that descendants are looked for.
#[cfg(target_os = "linux")]
const MOST_ROUNDS: usize = 8;

/// The most output of a program that is kept, in bytes.
const MOST_OUTPUT: usize = 8 << 20;

/// Options of runs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RunOptions {
    /// The time that one run may take.
    pub time_limit: Duration,
    /// The topologies to bind by.
    pub trust: Trust,
    /// Set by the caller to end the running program and leave the others out.
    pub stop: Arc<AtomicBool>,
}

impl Default for RunOptions {
    /// Two minutes for each run, on this machine only.
    fn default() -> Self {
        Self { time_limit: Duration::from_secs(120), trust: Trust::ThisMachine, stop: Arc::default() }
    }
}

impl RunOptions {
    /// Sets the time that one run may take.
    #[must_use]
    pub fn time_limit(mut self, time_limit: Duration) -> Self {
        self.time_limit = time_limit;
        self
    }

    /// Sets the topologies to bind by.
    #[must_use]
    pub fn trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// Sets the flag that ends all.
    #[must_use]
    pub fn stop(mut self, stop: Arc<AtomicBool>) -> Self {
        self.stop = stop;
        self
    }
}

/// Returns the file of a program by the folders of `PATH`. `None`: none of them has a file of this name that can be run.
///
/// ```
/// assert!(nvtopo_validate::find("sh", "/nowhere:/bin:/usr/bin".as_ref()).is_some());
/// assert_eq!(nvtopo_validate::find("sh", "/nowhere".as_ref()), None);
/// ```
pub fn find(program: &str, path: &OsStr) -> Option<PathBuf> {
    let can_run = |file: &PathBuf| {
        let Ok(facts) = file.metadata() else { return false };
        #[cfg(unix)]
        let allowed = std::os::unix::fs::PermissionsExt::mode(&facts.permissions()) & 0o111 != 0;
        #[cfg(not(unix))]
        let allowed = true;
        facts.is_file() && allowed
    };
    // An empty entry is the current folder, which nobody means here.
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(program))
        .find(can_run)
}

impl Plan {
    /// Runs all jobs, one at a time, and reads their results. `file` gives the file of a program; `progress` is told of each job
    /// before it runs, with its place from 0.
    ///
    /// A run that cannot start, hangs, fails or prints something else becomes a failure in the results; the others go on.
    /// Errors where the topology is not this machine's, and where the caller stops it.
    pub fn run(
        &self,
        topology: &Topology,
        file: &dyn Fn(&str) -> Option<PathBuf>,
        options: &RunOptions,
        progress: &mut dyn FnMut(usize, &Job),
    ) -> Result<Results> {
        check_machine(topology, options.trust)?;
        let mut results = Results::default();
        for (place, job) in self.jobs.iter().enumerate() {
            progress(place, job);
            let outcome = match file(job.program) {
                Some(file) => run_job(topology, job, &file, options),
                None => Err(format!("{} is not installed", job.program)),
            };
            if options.stop.load(Ordering::Relaxed) {
                return Err(stopped());
            }
            let read = outcome.and_then(|output| {
                results.remark(output.warnings);
                let benchmark = benchmark::by_name(job.program).map_err(|error| error.to_string())?;
                (benchmark.read)(topology, job, &output.stdout)
                    .map_err(|error| unreadable(&error, &output.stdout))
            });
            match read {
                Ok(figures) => figures.into_iter().for_each(|figure| results.add(figure)),
                Err(why) => results.fail(job.program, job.subject.clone(), why),
            }
        }
        Ok(results)
    }
}

/// The error where the caller stopped it.
pub(crate) fn stopped() -> Error {
    Error::new(nvtopo::ErrorKind::Io, "stopped before the end")
}

/// Returns why an output has no result, with its last line.
fn unreadable(error: &Error, output: &str) -> String {
    format!("{}{}", error.message(), last_line(output))
}

/// Returns the last line of an output, for the end of a sentence.
fn last_line(output: &str) -> String {
    let last = output.lines().rev().map(str::trim).find(|line| !line.is_empty());
    last.map_or(String::new(), |line| {
        format!("; its last line: {}", line.chars().take(160).collect::<String>())
    })
}

/// The output of a program that ended well.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) warnings: Vec<String>,
}

fn run_job(topology: &Topology, job: &Job, file: &Path, options: &RunOptions) -> Result<Output, String> {
    let port = free_port().map_err(|error| format!("no TCP port is free: {error}"))?;
    let deadline = Instant::now() + options.time_limit;
    let command = |step: &Step| {
        let mut command = Command::new(file);
        command.args(step.arguments(port)).envs(step.environment.iter().map(|(name, value)| (name, value)));
        command
    };
    let end = End { deadline, limit: options.time_limit, stop: &options.stop };
    let start = |step: &Step| Running::start(topology, step, command(step), options.trust);
    // The kernel kills a program with the thread that started it, which therefore waits for it too.
    thread::scope(|scope| {
        let work = || {
            let mut server = None;
            if let Some(step) = &job.server {
                let mut own = start(step)?;
                let patience = Instant::now() + LISTEN;
                while Instant::now() < patience && !is_listening(port) && !own.has_ended() {
                    thread::sleep(LOOK);
                }
                server = Some(own);
            }
            let client = start(&job.client).and_then(|client| client.finish(&end));
            let Some(server) = server else { return client };
            match client {
                // A client that fails leaves its server waiting for ever.
                Err(why) => {
                    let said = server.kill();
                    Err(format!("{why}{}", last_line(&said.stderr)))
                }
                Ok(output) => server.finish(&end).map(|server| Output {
                    warnings: [output.warnings.clone(), server.warnings].concat(),
                    ..output
                }),
            }
        };
        let thread = thread::Builder::new().spawn_scoped(scope, work).map_err(|error| error.to_string())?;
        thread.join().unwrap_or_else(|_| Err("its thread died".to_owned()))
    })
}

/// Runs a command once, bound to a part, and returns its output and the time that it took.
///
/// Errors with the reason where it cannot be bound or started, fails, or takes longer than the limit.
pub(crate) fn run_once(
    topology: &Topology,
    step: &Step,
    program: &OsStr,
    options: &RunOptions,
) -> Result<(Output, Duration), String> {
    let mut command = Command::new(program);
    command.args(&step.arguments).envs(step.environment.iter().map(|(name, value)| (name, value)));
    let end =
        End { deadline: Instant::now() + options.time_limit, limit: options.time_limit, stop: &options.stop };
    thread::scope(|scope| {
        let work = || {
            let running = Running::start(topology, step, command, options.trust)?;
            let begin = running.begin;
            let mut running = running;
            let status = running.wait(&end);
            let time = begin.elapsed();
            running.outcome(status, &end).map(|output| (output, time))
        };
        let thread = thread::Builder::new().spawn_scoped(scope, work).map_err(|error| error.to_string())?;
        thread.join().unwrap_or_else(|_| Err("its thread died".to_owned()))
    })
}

/// The limits of a run.
struct End<'a> {
    deadline: Instant,
    limit: Duration,
    stop: &'a AtomicBool,
}

/// A program that was started, as the first of a process group of its own.
struct Running {
    child: Child,
    /// The value of [`MARK`] that all its descendants inherit.
    mark: String,
    begin: Instant,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
    warnings: Vec<String>,
}

impl Running {
    /// Binds the calling thread, which the program inherits, and starts the program.
    fn start(topology: &Topology, step: &Step, mut command: Command, trust: Trust) -> Result<Self, String> {
        let options = BindOptions::default().with_threads(Threads::Calling).with_trust(trust);
        let mut warnings = step.part.remarks.clone();
        if !step.part.cpus.is_empty() || !step.part.mems.is_empty() {
            match bind(topology, &step.part, options) {
                Ok(bound) => warnings.extend(bound.warnings),
                Err(error) => {
                    warnings.push(format!("not bound to CPUs {}: {}", step.part.cpus, error.message()));
                }
            }
        }
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        end_with_parent(&mut command);
        let mark = new_mark();
        command.env(MARK, &mark);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let begin = Instant::now();
        let mut child = command
            .spawn()
            .map_err(|error| format!("cannot run {}: {error}", command.get_program().display()))?;
        let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
        Ok(Self { child, mark, begin, stdout, stderr, warnings })
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for its end. `None`: it did not end in time, and was killed with what it started.
    fn wait(&mut self, end: &End<'_>) -> Option<io::Result<ExitStatus>> {
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(Ok(status)),
                Err(error) => return Some(Err(error)),
                Ok(None) if Instant::now() >= end.deadline || end.stop.load(Ordering::Relaxed) => {
                    self.kill_group();
                    return None;
                }
                Ok(None) => thread::sleep(LOOK),
            }
        }
    }

    /// Waits for its end and returns its output.
    fn finish(mut self, end: &End<'_>) -> Result<Output, String> {
        let status = self.wait(end);
        self.outcome(status, end)
    }

    fn outcome(mut self, status: Option<io::Result<ExitStatus>>, end: &End<'_>) -> Result<Output, String> {
        // Descendants that were left behind would disturb the next run.
        self.kill_group();
        self.warnings.extend(match self.kill_marked() {
            0 => None,
            1 => Some("a process that a run left behind in a session of its own was killed".to_owned()),
            many => {
                Some(format!("{many} processes that a run left behind in sessions of their own were killed"))
            }
        });
        let output = self.output();
        let why = match status {
            Some(Ok(status)) if status.success() => return Ok(output),
            Some(Ok(status)) => how(status),
            Some(Err(error)) => error.to_string(),
            None => format!("did not end within {} s and was killed", end.limit.as_secs_f64()),
        };
        let said = if output.stderr.trim().is_empty() { &output.stdout } else { &output.stderr };
        Err(format!("{why}{}", last_line(said)))
    }

    /// Kills it with what it started, and returns its output.
    fn kill(mut self) -> Output {
        self.kill_group();
        self.kill_marked();
        self.output()
    }

    /// Kills the descendants that left its process group, and returns their number.
    #[cfg(target_os = "linux")]
    fn kill_marked(&self) -> usize {
        use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
        let mark = format!("{MARK}={}", self.mark);
        let mut killed = std::collections::BTreeSet::new();
        // Again and again, for one may start another one meanwhile.
        for _ in 0..MOST_ROUNDS {
            let before = killed.len();
            for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
                let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                    continue;
                };
                let Some(own) = Pid::from_raw(pid).filter(|_| !killed.contains(&pid)) else { continue };
                // Held before it is looked at: its number may be another one's later.
                let Ok(held) = pidfd_open(own, PidfdFlags::empty()) else { continue };
                let variables = std::fs::read(entry.path().join("environ")).unwrap_or_default();
                if variables.split(|byte| *byte == 0).any(|own| own == mark.as_bytes())
                    && pidfd_send_signal(held, Signal::KILL).is_ok()
                {
                    killed.insert(pid);
                }
            }
            if killed.len() == before {
                break;
            }
        }
        killed.len()
    }

    #[cfg(not(target_os = "linux"))]
    fn kill_marked(&self) -> usize {
        0
    }

    fn kill_group(&mut self) {
        #[cfg(unix)]
        let _ = rustix::process::kill_process_group(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::KILL,
        );
        let _ = self.child.kill();
        // One that hangs in a driver never goes: it is not waited for without a limit.
        let patience = Instant::now() + LAST_OUTPUT;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < patience {
            thread::sleep(LOOK);
        }
    }

    fn output(&mut self) -> Output {
        let text = |from: &Receiver<String>| {
            let mut all = String::new();
            let patience = Instant::now() + LAST_OUTPUT;
            // The end closes the channel; a descendant that was not found may keep the pipe open.
            while let Ok(more) = from.recv_timeout(patience.saturating_duration_since(Instant::now())) {
                all.push_str(&more);
            }
            all
        };
        Output {
            stdout: text(&self.stdout),
            stderr: text(&self.stderr),
            warnings: std::mem::take(&mut self.warnings),
        }
    }
}

/// Returns a mark that no other run has.
fn new_mark() -> String {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let time = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    format!("{}-{time}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Reads a stream to its end on a thread of its own, and keeps its beginning: [`MOST_OUTPUT`] bytes.
fn collect(stream: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (send, receive) = channel();
    let Some(mut stream) = stream else { return receive };
    let read = move || {
        let (mut chunk, mut kept) = (vec![0; 1 << 16], 0);
        loop {
            match stream.read(&mut chunk) {
                Ok(0) => return,
                Ok(length) if kept < MOST_OUTPUT => {
                    kept += length;
                    if send.send(String::from_utf8_lossy(&chunk[..length]).into_owned()).is_err() {
                        return;
                    }
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    };
    // Without a thread there is no output, which the reader of it says.
    let _ = thread::Builder::new().spawn(read);
    receive
}

/// The end of a failed program, for a sentence.
fn how(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("was ended by signal {signal}");
    }
    format!("failed with exit code {}", status.code().unwrap_or_default())
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Returns whether somebody listens on a TCP port of this machine, as the kernel lists it. To connect would take the place of
/// the client.
fn is_listening(port: u16) -> bool {
    const LISTENS: &str = "0A";
    let is_it = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let own = words.next().and_then(|address| address.rsplit(':').next());
        own.and_then(|own| u16::from_str_radix(own, 16).ok()) == Some(port) && words.nth(1) == Some(LISTENS)
    };
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .any(|file| std::fs::read_to_string(file).is_ok_and(|text| text.lines().any(is_it)))
}
