//! [`Plan`]: the runs that measure a machine, one after the other, each beside its devices.

use crate::benchmark::{Benchmark, TCP_PORT};
use crate::device::{LeftOut, gpus, ports};
use crate::figure::Subject;
use nvtopo::apply::{Export, environment};
use nvtopo::solve::VisibleDevice;
use nvtopo::{CpuSet, NodeSet, Part, Topology, VisibleGpus};
use std::fmt::Write as _;
use std::time::Duration;

/// The TCP port that commands show: perftest's and rdma-core's own. A run takes one that is free.
const SHOWN_PORT: u16 = 18515;

/// One program to start, bound beside a device.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// The arguments behind the program's name.
    pub arguments: Vec<String>,
    /// The variables to set.
    pub environment: Vec<(&'static str, String)>,
    /// The CPUs and memory to bind to; empty where nothing is known of them.
    pub part: Part,
}

impl Step {
    /// Returns the arguments with a TCP port.
    pub(crate) fn arguments(&self, port: u16) -> Vec<String> {
        self.arguments.iter().map(|word| word.replace(TCP_PORT, &port.to_string())).collect()
    }

    /// Returns the command for a shell, bound by `numactl`, or by `taskset` where no memory is known.
    pub(crate) fn command(&self, program: &str) -> String {
        let mut words: Vec<String> = Vec::new();
        if !self.environment.is_empty() {
            words.push("env".to_owned());
            words.extend(self.environment.iter().map(|(name, value)| format!("{name}={value}")));
        }
        let (cpus, mems) = (&self.part.cpus, &self.part.mems);
        let several = if mems.len() > 1 { "-many" } else { "" };
        match (cpus.is_empty(), mems.is_empty()) {
            (false, true) => words.extend(["taskset".to_owned(), "--cpu-list".to_owned(), cpus.to_string()]),
            (false, false) => words.extend([
                "numactl".to_owned(),
                format!("--physcpubind={cpus}"),
                format!("--preferred{several}={mems}"),
            ]),
            (true, false) => words.extend(["numactl".to_owned(), format!("--preferred{several}={mems}")]),
            (true, true) => {}
        }
        words.push(program.to_owned());
        words.extend(self.arguments(SHOWN_PORT));
        words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }
}

/// Quotes a word for a shell, where it needs that.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=,.:/+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// One measurement: a program, or a server and a client of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Job {
    /// The program.
    pub program: &'static str,
    /// The devices that it measures. Of a pair of GPUs both directions are measured, and of a GPU and the host too.
    pub subject: Subject,
    /// The GPUs that it sees, by position, in the order in which it counts them.
    pub gpus: Vec<usize>,
    /// The server that the client talks to, where the program has two sides.
    pub server: Option<Step>,
    /// The program, or the client.
    pub client: Step,
}

impl Job {
    /// Returns its commands for a shell: the server's first, where there is one.
    pub fn commands(&self) -> Vec<String> {
        let server = self.server.as_ref().map(|server| format!("{} &", server.command(self.program)));
        server.into_iter().chain([self.client.command(self.program)]).collect()
    }
}

/// The devices that are measured, from which benchmarks make jobs.
pub(crate) struct Targets<'a> {
    pub(crate) topology: &'a Topology,
    pub(crate) gpus: Vec<usize>,
    pub(crate) ports: Vec<usize>,
    /// The CPUs that runs may use; all without it.
    allowed: Option<&'a CpuSet>,
}

impl Targets<'_> {
    /// A job that sees some GPUs, by UUID where these are known, and the RDMA devices beside them.
    pub(crate) fn on_gpus(
        &self,
        program: &'static str,
        subject: Subject,
        gpus: &[usize],
        options: &[&str],
    ) -> Job {
        let devices = gpus.iter().map(|gpu| VisibleDevice { gpu: *gpu, instance: None }).collect();
        let visible = VisibleGpus { devices, same_for_all: true, ..VisibleGpus::default() };
        let part = self.beside(gpus);
        // Others than NCCL's programs use no network.
        let exports: &[Export] = if matches!(subject, Subject::Group(_)) { &[Export::IbHca] } else { &[] };
        let mut variables = visible.cuda_environment(self.topology).unwrap_or_default();
        let further = environment(self.topology, &visible, &Part::default(), exports, |_| None);
        variables.extend(further.into_iter().filter(|(name, _)| !name.starts_with("CUDA_")));
        let client = Step { arguments: owned(options), environment: variables, part };
        Job { program, subject, gpus: gpus.to_vec(), server: None, client }
    }

    /// A job between two ports: arguments of the server at the second, and of the client at the first.
    pub(crate) fn on_ports(
        &self,
        program: &'static str,
        subject: Subject,
        (server, client): (Vec<String>, Vec<String>),
    ) -> Job {
        let devices = subject.devices();
        let step = |arguments, device: usize| Step {
            arguments,
            environment: Vec::new(),
            part: self.beside(&[device]),
        };
        let (from, to) = (devices[0], devices[devices.len() - 1]);
        Job { program, gpus: Vec::new(), server: Some(step(server, to)), client: step(client, from), subject }
    }

    /// Returns the CPUs and memory nodes nearest to some devices.
    fn beside(&self, devices: &[usize]) -> Part {
        let ids = || devices.iter().map(|device| self.topology.devices()[*device]);
        let mut cpus = CpuSet::new();
        let mut mems = NodeSet::new();
        for id in ids() {
            self.topology.local_cpus(id).known().into_iter().for_each(|own| cpus |= own);
            self.topology.local_nodes(id).known().into_iter().for_each(|own| mems |= own);
        }
        let mut remarks = Vec::new();
        if let Some(allowed) = self.allowed {
            if !cpus.is_empty() && cpus.is_disjoint(allowed) {
                let names: Vec<String> =
                    devices.iter().map(|device| self.topology.device_name(*device)).collect();
                remarks.push(format!(
                    "not bound beside {}: none of its CPUs is allowed here",
                    names.join(" and ")
                ));
            }
            cpus = cpus.intersection(allowed);
        }
        let gpus = devices.iter().copied().filter(|device| *device < self.topology.gpus().len()).collect();
        Part { gpus, cpus, mems, remarks, ..Part::default() }
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Options of a plan.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct PlanOptions {
    /// The GPUs that this process sees. `None`: all.
    pub visible: Option<VisibleGpus>,
    /// The CPUs that runs may use. `None`: all.
    pub allowed: Option<CpuSet>,
    /// The most jobs of each benchmark. `None`: all.
    pub limit: Option<usize>,
    /// The number of times that each job runs; 0 counts as 1.
    pub runs: usize,
}

impl PlanOptions {
    /// Sets the GPUs that this process sees.
    #[must_use]
    pub fn visible(mut self, visible: Option<VisibleGpus>) -> Self {
        self.visible = visible;
        self
    }

    /// Sets the CPUs that runs may use.
    #[must_use]
    pub fn allowed(mut self, allowed: Option<CpuSet>) -> Self {
        self.allowed = allowed;
        self
    }

    /// Sets the most jobs of each benchmark.
    #[must_use]
    pub fn limit(mut self, limit: Option<usize>) -> Self {
        self.limit = limit;
        self
    }

    /// Sets the number of times that each job runs.
    #[must_use]
    pub fn runs(mut self, runs: usize) -> Self {
        self.runs = runs;
        self
    }
}

/// The runs that measure a machine.
///
/// ```
/// use nvtopo_validate::{Plan, PlanOptions, benchmark};
///
/// let dgx = nvtopo::Topology::preset("dgx-a100")?;
/// let plan = Plan::new(&dgx, &[benchmark::by_name("all_reduce_perf")?], &PlanOptions::default());
/// assert_eq!(plan.jobs.len(), 1);
/// assert!(plan.jobs[0].commands()[0].ends_with("all_reduce_perf -b 64M -e 1G -f 2 -g 8"));
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// The jobs, in the order in which they run, repeated runs included.
    pub jobs: Vec<Job>,
    /// The devices that are not measured.
    pub left_out: Vec<LeftOut>,
    /// Remarks for people: GPUs in use, jobs beyond the limit.
    pub remarks: Vec<String>,
}

impl Plan {
    /// Plans the jobs of some benchmarks: each pair or group once, or as often as the options say, all jobs before any of them
    /// runs again.
    pub fn new(topology: &Topology, benchmarks: &[&Benchmark], options: &PlanOptions) -> Self {
        let (gpus, mut left_out) = gpus(topology, options.visible.as_ref());
        let (ports, of_ports) = ports(topology);
        left_out.extend(of_ports);
        let mut remarks = Vec::new();
        let busy = |gpu: &nvtopo::model::Gpu| gpu.usage.processes.is_some_and(|count| count > 0);
        let in_use: Vec<String> =
            topology.gpus().filter(|gpu| busy(gpu)).map(nvtopo::model::Gpu::name).collect();
        if !in_use.is_empty() {
            remarks.push(format!("others use {}: figures may be low", in_use.join(", ")));
        }
        let targets = Targets { topology, gpus, ports, allowed: options.allowed.as_ref() };
        let mut round = Vec::new();
        for benchmark in benchmarks {
            let mut jobs = (benchmark.plan)(&targets);
            if jobs.is_empty() {
                left_out.push(LeftOut::new(
                    benchmark.program,
                    format!("this machine has nothing that it measures: {}", benchmark.measures),
                ));
            }
            if let Some(limit) = options.limit.filter(|limit| jobs.len() > *limit) {
                let mut text = String::new();
                let _ = write!(text, "{}: {limit} of {} runs", benchmark.program, jobs.len());
                remarks.push(text);
                jobs.truncate(limit);
            }
            round.extend(jobs);
        }
        let jobs = std::iter::repeat_n(round, options.runs.max(1)).flatten().collect();
        Self { jobs, left_out, remarks }
    }

    /// Returns the commands of all jobs for a shell, each under a comment that says what it measures. Repeated jobs stand
    /// there once. The first lines tell how many runs there are, and how long they may take by the time limit of each.
    pub fn to_script(&self, topology: &Topology, time_limit: Duration) -> String {
        let repeats = |place: &usize| self.jobs[..*place].contains(&self.jobs[*place]);
        let once = (0..self.jobs.len()).find(repeats).unwrap_or(self.jobs.len());
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for job in &self.jobs[..once] {
            match counts.last_mut().filter(|(program, _)| *program == job.program) {
                Some((_, count)) => *count += 1,
                None => counts.push((job.program, 1)),
            }
        }
        let counts: Vec<String> =
            counts.iter().map(|(program, count)| format!("{program} {count}")).collect();
        let mut text = String::new();
        if let Some(rounds) = self.jobs.len().checked_div(once) {
            let times = if rounds > 1 { format!(", {rounds} times each") } else { String::new() };
            let minutes = time_limit
                .saturating_mul(u32::try_from(self.jobs.len()).unwrap_or(u32::MAX))
                .as_secs()
                .div_ceil(60);
            let most = if minutes < 120 {
                format!("{minutes} minutes")
            } else {
                format!("{} hours", minutes.div_ceil(60))
            };
            let (runs, seconds) = (self.jobs.len(), time_limit.as_secs());
            let _ = writeln!(
                text,
                "# {runs} run{}, one after the other: {}{times}",
                if runs == 1 { "" } else { "s" },
                counts.join(", ")
            );
            let _ = writeln!(text, "# nvtopo gives each {seconds} s: {most} if all of them hang");
        }
        for job in &self.jobs[..once] {
            let _ = writeln!(text, "# {}", job.subject.name(topology));
            for (step, command) in job.commands().iter().enumerate() {
                // The server needs a moment before it listens.
                let wait = if step > 0 { "sleep 1; " } else { "" };
                let _ = writeln!(text, "{wait}{command}");
            }
        }
        text
    }
}
