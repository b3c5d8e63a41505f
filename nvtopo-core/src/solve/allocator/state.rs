//! The state of an allocator as a document, for a scheduler that restarts.

use super::{Allocator, JobId};
use crate::cpuset::{CpuSet, NodeSet};
use crate::error::{Error, Result};
use crate::model::{MAX_DEVICES, Topology};
use crate::solve::placement::amounts::{NodeMemory, NodePages};
use crate::solve::placement::{PlacedGpu, Placement, Proof};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

const FORMAT: &str = "nvtopo-allocator";
const VERSION: u32 = 1;

/// The greatest number of bytes of a document: far more than 128 GPUs need.
const MAX_BYTES: usize = 1 << 24;

/// The greatest number of a job that is read: the greatest whole number that all readers of JSON keep, and so far that adding to
/// it never overflows.
const MAX_JOB: u64 = 1 << 53;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    format: String,
    version: u32,
    /// The number of the next job.
    next: u64,
    jobs: Vec<SavedJob>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedJob {
    job: u64,
    gpus: Vec<SavedGpu>,
    optimal: bool,
    steps: u64,
    why: String,
    remarks: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SavedGpu {
    gpu: u32,
    uuid: Option<String>,
    pci: Option<String>,
    cpus: String,
    mems: String,
    memory: Option<Vec<NodeMemory>>,
    huge_pages: Option<Vec<NodePages>>,
    nic: Option<String>,
    nic_shared_with: Vec<u32>,
}

impl Allocator {
    /// Returns the jobs with what they have, as JSON, which [`restore`](Self::restore) reads. Scores and preferences are not
    /// saved.
    ///
    /// ```
    /// use nvtopo::{Request, Topology, solve::Allocator};
    ///
    /// let dgx = Topology::preset("dgx-1-v100")?;
    /// let mut allocator = Allocator::new(&dgx)?;
    /// let job = allocator.place(&Request::gpus(2))?;
    /// let mut again = Allocator::restore(&dgx, &allocator.save())?;
    /// assert_eq!(again.placement(job).unwrap().gpu_indices(), [0, 3]);
    /// assert_eq!(again.place(&Request::gpus(2))?.number(), 1);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn save(&self) -> String {
        let jobs = self.jobs.iter().map(|(job, placement)| SavedJob::of(*job, placement)).collect();
        let state = State { format: FORMAT.to_owned(), version: VERSION, next: self.next, jobs };
        // Numbers, strings and lists of them always become JSON.
        serde_json::to_string_pretty(&state).unwrap_or_default() + "\n"
    }

    /// Returns the machine with the jobs that [`save`](Self::save) has written.
    ///
    /// Errors with [`InvalidInput`](crate::ErrorKind::InvalidInput) if the text is no such document, or does not fit the machine:
    /// a GPU is missing or is another one, or two jobs have the same GPU.
    pub fn restore(topology: &Topology, text: &str) -> Result<Self> {
        if text.len() > MAX_BYTES {
            return Err(Error::input(format!("the state of an allocator has at most {MAX_BYTES} bytes")));
        }
        let state: State = serde_json::from_str(text).map_err(|error| {
            let place = (error.line(), error.column());
            let error = Error::input(format!("this is no state of an allocator: {error}"));
            if place.0 > 0 { error.at(place.0, place.1.max(1)) } else { error }
        })?;
        if state.format != FORMAT || state.version != VERSION {
            let told = format!("{} version {}", state.format, state.version);
            return Err(Error::input(format!("expected {FORMAT} version {VERSION}, not {told}")));
        }
        if state.next > MAX_JOB {
            return Err(Error::input(format!("the next job is number {}, above {MAX_JOB}", state.next)));
        }
        let mut allocator = Self::new(topology)?;
        let (mut taken, mut jobs) = (BTreeMap::new(), BTreeMap::new());
        for saved in &state.jobs {
            let job = JobId(saved.job);
            if saved.job >= state.next {
                let next = state.next;
                return Err(Error::input(format!("{job} was never given: the next job is number {next}")));
            }
            let placement = saved.restored(topology)?;
            for gpu in placement.gpus() {
                if let Some(other) = taken.insert(gpu.position, job) {
                    return Err(Error::input(format!("GPU{} is of {other} and of {job}", gpu.index)));
                }
            }
            if jobs.insert(job, placement).is_some() {
                return Err(Error::input(format!("{job} is there twice")));
            }
        }
        (allocator.jobs, allocator.next) = (jobs, state.next);
        Ok(allocator)
    }
}

impl SavedJob {
    fn of(job: JobId, placement: &Placement) -> Self {
        let (Proof::Exhaustive { steps } | Proof::Bound { steps }) = placement.proof();
        Self {
            job: job.number(),
            gpus: placement.gpus().iter().map(SavedGpu::of).collect(),
            optimal: placement.is_optimal(),
            steps,
            why: placement.why().to_owned(),
            remarks: placement.remarks().to_vec(),
        }
    }

    fn restored(&self, topology: &Topology) -> Result<Placement> {
        if self.gpus.len() > MAX_DEVICES {
            return Err(Error::input(format!("job {} has more GPUs than a machine", self.job)));
        }
        let gpus: Vec<PlacedGpu> =
            self.gpus.iter().map(|gpu| gpu.restored(topology)).collect::<Result<_>>()?;
        if gpus.is_empty() {
            return Err(Error::input(format!("job {} has no GPU", self.job)));
        }
        let steps = self.steps;
        let proof = if self.optimal { Proof::Exhaustive { steps } } else { Proof::Bound { steps } };
        // Scores and preferences are not saved.
        Ok(Placement::new(topology, gpus, Vec::new(), proof, self.why.clone(), self.remarks.clone()))
    }
}

impl SavedGpu {
    fn of(gpu: &PlacedGpu) -> Self {
        Self {
            gpu: gpu.index,
            uuid: gpu.uuid.map(|uuid| uuid.to_string()),
            pci: gpu.address.map(|address| address.to_string()),
            cpus: gpu.cpus.to_string(),
            mems: gpu.mems.to_string(),
            memory: gpu.memory.clone(),
            huge_pages: gpu.huge_pages.clone(),
            nic: gpu.nic.clone(),
            nic_shared_with: gpu.nic_shared_with.clone(),
        }
    }

    fn restored(&self, topology: &Topology) -> Result<PlacedGpu> {
        let found = topology.gpus().enumerate().find(|(_, gpu)| gpu.index == self.gpu);
        let Some((position, gpu)) = found else {
            return Err(Error::input(format!("there is no GPU{} on this machine", self.gpu)));
        };
        let own = |saved: &Option<String>, here: Option<String>| match (saved, here) {
            (Some(saved), Some(here)) if *saved != here => {
                Err(Error::input(format!("GPU{} was {saved}, and is {here} on this machine", self.gpu)))
            }
            _ => Ok(()),
        };
        own(&self.uuid, gpu.uuid.map(|uuid| uuid.to_string()))?;
        own(&self.pci, gpu.address.map(|address| address.to_string()))?;
        let (cpus, mems): (CpuSet, NodeSet) = (self.cpus.parse()?, self.mems.parse()?);
        let nodes: BTreeSet<u32> = topology.numa_nodes().map(|node| node.os_index).collect();
        let mut named = mems.iter().collect::<BTreeSet<u32>>();
        named.extend(self.memory.iter().flatten().map(|own| own.node));
        named.extend(self.huge_pages.iter().flatten().map(|own| own.node));
        if let Some(node) = named.difference(&nodes).next().filter(|_| !nodes.is_empty()) {
            return Err(Error::input(format!("there is no NUMA node {node} on this machine")));
        }
        Ok(PlacedGpu {
            cpus,
            mems,
            memory: self.memory.clone(),
            huge_pages: self.huge_pages.clone(),
            nic: self.nic.clone(),
            nic_shared_with: self.nic_shared_with.clone(),
            ..PlacedGpu::at(topology, position)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::solve::request::Request;

    fn allocator() -> Allocator {
        let mut allocator = Allocator::new(&Topology::preset("dgx-h100").unwrap()).unwrap();
        for gpus in [1, 2, 3] {
            let needs = Request::gpus(gpus).cpus_per_gpu(4).memory_per_gpu(1 << 30);
            allocator.place(&needs).unwrap();
        }
        allocator.release(JobId(1)).unwrap();
        allocator
    }

    #[test]
    fn what_was_saved_is_there_again() {
        let saved = allocator();
        let mut again = Allocator::restore(saved.topology(), &saved.save()).unwrap();
        assert_eq!(again.save(), saved.save());
        assert_eq!(again.free(), saved.free());
        for (job, placement) in saved.jobs() {
            assert_eq!(again.placement(job).unwrap().gpus(), placement.gpus());
        }
        // The next placement is the one that the saved allocator would make.
        let mut saved = saved;
        let request = Request::gpus(3).cpus_per_gpu(4);
        let (next, other) = (saved.place(&request).unwrap(), again.place(&request).unwrap());
        assert_eq!(next, other);
        assert_eq!(saved.placement(next).unwrap().gpus(), again.placement(other).unwrap().gpus());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let saved = allocator().save();
        let dgx = Topology::preset("dgx-h100").unwrap();
        let refused = |text: &str, words: &str| {
            let error = Allocator::restore(&dgx, text).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::InvalidInput);
            assert!(error.to_string().contains(words), "{error}");
        };
        refused("", "no state of an allocator");
        refused("{\n\"format\": oops}", "line 2");
        refused(&saved.replace(FORMAT, "other"), "not other version 1");
        refused(&saved.replace("\"version\": 1", "\"version\": 2"), "version 2");
        refused(&saved.replace("\"next\": 3", "\"next\": 2"), "job 2 was never given");
        refused(
            &saved.replace("\"next\": 3", "\"next\": 18446744073709551615"),
            "the next job is number 1844",
        );
        refused(&saved.replace("\"job\": 2", "\"job\": 0"), "job 0 is there twice");
        refused(&saved.replace("\"gpu\": 0", "\"gpu\": 77"), "no GPU77");
        refused(&saved.replace("\"gpu\": 0", "\"gpu\": 4"), "GPU4 ");
        refused(&saved.replace("\"mems\": \"0\"", "\"mems\": \"9\""), "NUMA node 9");
        refused(&saved.replace("\"why\"", "\"what\""), "what");
        let small = Topology::preset("gh200").unwrap();
        assert!(Allocator::restore(&small, &saved).is_err());
    }
}
