//! [`GpuWork`]: the processes on GPUs, with their jobs, and with their threads and memory near to the GPUs and far from them.

use super::{Family, gauge, info, value};
use nvtopo::model::Stated;
use nvtopo::source::{Files, GpuProcess};
use nvtopo::{CpuSet, NodeSet, Topology};
use std::collections::{BTreeMap, BTreeSet};

/// The most processes, and threads of all of them, that are looked at.
const MOST_PROCESSES: usize = 1024;
const MOST_THREADS: usize = 65_536;

/// The longest `numa_maps`: 100,000 mappings.
const LONGEST_MAPS: usize = 16 << 20;

/// The job that a process belongs to, by its control group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Job {
    kind: &'static str,
    id: String,
}

impl Job {
    /// Returns the kind: `slurm`, `pod`, `container`, `unit` (of systemd), or `process` where no group tells more.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// Returns the number of the Slurm job, the UID of the pod, the id of the container, the name of the unit or process.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Finds the job in the lines of `/proc/PID/cgroup`.
    fn of_groups(text: &str) -> Option<Self> {
        let paths = || text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
        let find = |kind, of: &dyn Fn(&str) -> Option<String>| {
            let mut ids = paths().flat_map(|path| path.split('/')).filter_map(of);
            ids.next().map(|id| Self { kind, id })
        };
        let is_slurm = paths().any(|path| path.contains("slurm"));
        let slurm = |part: &str| part.strip_prefix("job_").filter(|id| is_number(id)).map(str::to_owned);
        is_slurm
            .then(|| find("slurm", &slurm))
            .flatten()
            .or_else(|| find("pod", &pod))
            .or_else(|| find("container", &container))
            .or_else(|| find("unit", &|part| part.strip_suffix(".service").map(str::to_owned)))
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads the UID in `pod1b2c…` or `kubepods-burstable-pod1b2c_….slice`.
fn pod(part: &str) -> Option<String> {
    let name = part.strip_suffix(".slice").unwrap_or(part);
    let id = name.rsplit_once("-pod").map_or_else(|| name.strip_prefix("pod"), |(_, id)| Some(id))?;
    let id = id.replace('_', "-");
    // A UUID, or the hash of a static pod's configuration.
    let is_id = id.len() >= 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_id.then_some(id)
}

/// Reads the first digits of the id in `docker-ID.scope`, `cri-containerd-ID.scope`, `libpod-ID.scope` or `ID`.
fn container(part: &str) -> Option<String> {
    let name = part.strip_suffix(".scope").unwrap_or(part);
    let id = name.rsplit_once('-').map_or(name, |(_, id)| id);
    let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| id[..12].to_owned())
}

/// A number of things near to the GPUs of a process, and of those far from them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Locality {
    /// Near to one of the GPUs that the process uses.
    pub near: u64,
    /// Far from all of them.
    pub far: u64,
}

/// A process on GPUs.
#[derive(Clone, Debug)]
struct Process {
    gpus: BTreeSet<u32>,
    /// The time of its start, by which it is told from a later one of the same number.
    started: u64,
    job: Job,
    threads: Option<Locality>,
    /// In bytes.
    memory: Option<Locality>,
}

/// The processes on the GPUs of a machine.
#[derive(Clone, Debug, Default)]
pub struct GpuWork(BTreeMap<u32, Process>);

impl GpuWork {
    /// Looks at processes through the files of their machine. Empty where these are not the host's, as in a container: numbers
    /// of processes are others there.
    ///
    /// Counting the memory of a process walks all of it in the kernel, so that of a process which an earlier reading has
    /// counted is taken from there.
    pub fn read(
        files: &Files,
        topology: &Topology,
        processes: &[GpuProcess],
        earlier: Option<&Self>,
    ) -> Self {
        // The kernel's maker of threads.
        if files.text("proc/2/comm").known().is_none_or(|name| name != "kthreadd") {
            return Self::default();
        }
        let mut gpus: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        for process in processes.iter().take(MOST_PROCESSES) {
            gpus.entry(process.pid).or_default().insert(process.gpu);
        }
        let machine = Places::of(topology);
        let mut room = MOST_THREADS;
        let read = gpus.into_iter().filter_map(|(pid, gpus)| {
            let folder = format!("proc/{pid}");
            let (started, name) = stat(files, &folder)?;
            let job = files.text(&format!("{folder}/cgroup")).known().and_then(|text| Job::of_groups(text));
            let near = machine.near(topology, &gpus);
            let known = earlier
                .and_then(|own| own.0.get(&pid))
                .filter(|own| own.started == started && own.gpus == gpus);
            let threads = near.as_ref().and_then(|near| machine.threads(files, &folder, near, &mut room));
            let memory = match known {
                Some(own) => own.memory,
                None => near.as_ref().and_then(|near| memory(files, &folder, near)),
            };
            let job = job.unwrap_or(Job { kind: "process", id: name });
            Some((pid, Process { gpus, started, job, threads, memory }))
        });
        Self(read.collect())
    }

    /// Returns the job of a process. `None`: it is on no GPU.
    pub fn job_of(&self, pid: u32) -> Option<Job> {
        self.0.get(&pid).map(|process| process.job.clone())
    }

    /// Returns the jobs on a GPU, each once.
    pub fn jobs_on(&self, gpu: u32) -> Vec<Job> {
        let own = self.0.values().filter(|process| process.gpus.contains(&gpu));
        own.map(|process| process.job.clone()).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// Returns the time of a process's start, and its name. `None`: it has ended.
fn stat(files: &Files, folder: &str) -> Option<(u64, String)> {
    let text = files.text(&format!("{folder}/stat"));
    let (head, tail) = text.known()?.rsplit_once(')')?;
    let name = head.split_once('(')?.1.to_owned();
    // Field 22, and the state behind the name is field 3. Source: Linux, proc_pid_stat(5).
    Some((tail.split_whitespace().nth(22 - 3)?.parse().ok()?, name))
}

/// The NUMA nodes of a machine.
struct Places {
    /// Each node with its CPUs.
    cpus: Vec<(u32, CpuSet)>,
    /// Nodes that are the memory of GPUs.
    of_gpus: NodeSet,
}

impl Places {
    fn of(topology: &Topology) -> Self {
        Self {
            cpus: topology.numa_nodes().map(|node| (node.os_index, node.cpus.clone())).collect(),
            of_gpus: topology
                .numa_nodes()
                .filter(|node| node.gpu.is_some())
                .map(|node| node.os_index)
                .collect(),
        }
    }

    /// Returns the nodes near to some GPUs. `None`: those of one are not known.
    fn near(&self, topology: &Topology, gpus: &BTreeSet<u32>) -> Option<NodeSet> {
        let mut near = self.of_gpus.clone();
        for index in gpus {
            let position = topology.gpus().position(|gpu| gpu.index == *index)?;
            let own = topology.local_nodes(topology.devices()[position]);
            near = near.union(own.known().filter(|nodes| !nodes.is_empty())?);
        }
        Some(near)
    }

    /// Counts the threads by the CPU that each was on last.
    fn threads(&self, files: &Files, folder: &str, near: &NodeSet, room: &mut usize) -> Option<Locality> {
        let mut count = Locality::default();
        let threads = files.names(&format!("{folder}/task"));
        *room = room.checked_sub(threads.len())?;
        for thread in threads {
            let text = match files.text(&format!("{folder}/task/{thread}/stat")) {
                Stated::Known(text) => text,
                // It has ended.
                Stated::NotAvailable => continue,
                _ => return None,
            };
            // Field 39.
            let cpu: u32 = text.rsplit_once(')')?.1.split_whitespace().nth(39 - 3)?.parse().ok()?;
            let (node, _) = self.cpus.iter().find(|(_, cpus)| cpus.contains(cpu))?;
            *(if near.contains(*node) { &mut count.near } else { &mut count.far }) += 1;
        }
        (count != Locality::default()).then_some(count)
    }
}

/// Counts the memory by NUMA node.
fn memory(files: &Files, folder: &str, near: &NodeSet) -> Option<Locality> {
    let Stated::Known(text) = files.long_text(&format!("{folder}/numa_maps"), LONGEST_MAPS) else {
        return None;
    };
    let mut bytes = Locality::default();
    for (node, own) in text.lines().filter_map(pages).flatten() {
        let sum = if near.contains(node) { &mut bytes.near } else { &mut bytes.far };
        *sum = sum.saturating_add(own);
    }
    (bytes != Locality::default()).then_some(bytes)
}

/// Reads a mapping: `7f… default anon=12 dirty=12 N0=8 N1=4 kernelpagesize_kB=4`. Returns the bytes on each node. `None`: it
/// has no pages. Source: Linux, numa(7).
fn pages(line: &str) -> Option<Vec<(u32, u64)>> {
    let size = line.split_whitespace().find_map(|word| word.strip_prefix("kernelpagesize_kB="))?;
    let size = size.parse::<u64>().ok()?.checked_mul(1024)?;
    let nodes = line.split_whitespace().filter_map(|word| {
        let (node, count) = word.strip_prefix('N')?.split_once('=')?;
        Some((node.parse().ok()?, count.parse::<u64>().ok()?.saturating_mul(size)))
    });
    Some(nodes.collect())
}

/// The number of things that a process has. `None`: unknown.
type OfProcess = fn(&Process) -> Option<Locality>;

/// Returns the families of the work on GPUs.
pub(super) fn families(work: &GpuWork) -> Vec<Family> {
    let gpus: BTreeSet<u32> = work.0.values().flat_map(|process| process.gpus.iter().copied()).collect();
    let (mut jobs, mut threads, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for gpu in gpus {
        let number = || ("gpu", gpu.to_string());
        for job in work.jobs_on(gpu) {
            jobs.push(info([number(), ("job_kind", job.kind.to_owned()), ("job_id", job.id)]));
        }
        let own = || work.0.values().filter(|process| process.gpus.contains(&gpu));
        let kinds: [(&mut Vec<_>, OfProcess); 2] =
            [(&mut threads, |process| process.threads), (&mut memory, |process| process.memory)];
        for (samples, of) in kinds {
            // A sum with an unknown part is unknown.
            let sum = own().map(of).try_fold(Locality::default(), |sum, own| {
                let own = own?;
                let near = sum.near.saturating_add(own.near);
                Some(Locality { near, far: sum.far.saturating_add(own.far) })
            });
            for (word, count) in sum.iter().flat_map(|sum| [("near", sum.near), ("far", sum.far)]) {
                samples.push(value([number(), ("locality", word.to_owned())], count as f64));
            }
        }
    }
    vec![
        gauge("nvtopo_gpu_job_info", "Jobs with processes on a GPU", jobs),
        gauge(
            "nvtopo_gpu_process_threads",
            "Threads of the processes on a GPU, near to the GPUs of their process or far from them",
            threads,
        ),
        gauge(
            "nvtopo_gpu_process_memory_bytes",
            "Memory of the processes on a GPU, near to the GPUs of their process or far from them",
            memory,
        ),
    ]
}
