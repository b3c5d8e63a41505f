//! The candidates of a request: the GPUs that may be chosen, and why the others may not.
//!
//! One rule decides everywhere whether a GPU is a candidate: it can be used, the process sees it, the request does not exclude
//! it, no other job has it, and it is neither MIG-enabled nor a display GPU unless the request names it. GPUs with faults come
//! last, and one that is cut off from the NVLink fabric is no candidate for several GPUs, unless the request names it.

use super::builder::Request;
use crate::cpuset::NodeSet;
use crate::error::{Error, Result};
use crate::model::{Gpu, GpuUsage, Topology};
use crate::solve::process::{GpuRef, divided, no_gpu_error, resolve_names};
use crate::units::{Bytes, count_of, exact_bytes};

/// The greatest memory in use of a GPU that is taken to be idle, in bytes: drivers keep some for themselves.
const MOST_IDLE: u64 = 1 << 30;

/// The candidates of a request.
pub(super) struct Choice {
    /// The positions of the candidates.
    pub(super) candidates: Vec<usize>,
    /// The candidates that must be chosen.
    pub(super) include: Vec<usize>,
    /// The remarks on the other GPUs.
    pub(in crate::solve) remarks: Vec<String>,
}

/// The GPUs that are no candidates, by the reason.
#[derive(Default)]
struct LeftOut {
    /// The GPUs that the process does not see.
    hidden: Vec<usize>,
    /// The MIG-enabled GPUs.
    divided: Vec<usize>,
    /// The display GPUs.
    displays: Vec<usize>,
    /// The unusable GPUs, with the reasons.
    unusable: Vec<(usize, String)>,
    /// The GPUs that are in use, or not known to be free, with the reasons.
    busy: Vec<(usize, String)>,
    /// The GPUs that cannot be chosen together with others, with the reasons.
    cut_off: Vec<(usize, String)>,
}

impl Request {
    /// Returns the choices to try in turn, at least one: first with as few faulty GPUs as possible, preferring those in the
    /// NVLink fabric; then, for constraints that this cannot meet, with more of them. The error says why there are not enough
    /// GPUs.
    pub(super) fn choices(&self, topology: &Topology) -> Result<Vec<Choice>> {
        let all = self.choice(topology)?;
        let grade = |gpu: &usize| match topology.gpu_faults(*gpu).is_empty() {
            _ if all.include.contains(gpu) => 0,
            false => 1 + u8::from(topology.cut_off(*gpu).is_some()),
            true => 0,
        };
        let grades: Vec<(usize, u8)> = all.candidates.iter().map(|gpu| (*gpu, grade(gpu))).collect();
        let up_to = |most: u8| -> Vec<usize> {
            grades.iter().filter(|(_, grade)| *grade <= most).map(|(gpu, _)| *gpu).collect()
        };
        let enough = (0..2).find(|most| up_to(*most).len() >= self.count).unwrap_or(2);
        let choice = |most: u8, include: Vec<usize>| {
            let candidates = up_to(most);
            let told = |gpu: &usize| {
                let faults: Vec<String> = topology.gpu_faults(*gpu).iter().map(ToString::to_string).collect();
                format!("{} is chosen last: {}", topology.device_name(*gpu), faults.join("; "))
            };
            let worse = all.candidates.iter().filter(|gpu| !candidates.contains(gpu)).map(told);
            let remarks = all.remarks.iter().cloned().chain(worse).collect();
            Choice { candidates, include, remarks }
        };
        let better = enough.checked_sub(1).map(&up_to).unwrap_or_default();
        let first = if better.is_empty() { all.include.clone() } else { better };
        let mut choices = vec![choice(enough, first)];
        for most in enough..=2 {
            let next = choice(most, all.include.clone());
            let last = choices.last();
            if last.is_none_or(|last| last.candidates != next.candidates || last.include != next.include) {
                choices.push(next);
            }
        }
        Ok(choices)
    }

    fn choice(&self, topology: &Topology) -> Result<Choice> {
        let resolve = |refs: &[GpuRef]| resolve_names(topology, refs);
        let only = self.only.as_deref().map(resolve).transpose()?;
        // A model restricts the choice, but names no single GPU.
        let single = |gpu: &&GpuRef| !matches!(gpu, GpuRef::Model(_));
        let singles = |refs: &[GpuRef]| resolve(&refs.iter().filter(single).cloned().collect::<Vec<_>>());
        let one_by_one =
            [singles(self.only.as_deref().unwrap_or_default())?, singles(&self.include)?].concat();
        let of_models = self.only.iter().flatten().all(|gpu| matches!(gpu, GpuRef::Model(_)));
        let exclude = resolve(&self.exclude)?;
        let include = resolve(&self.include)?;
        let seen = match &self.visible {
            Some(visible) if of_models => Some(resolve(&visible.whole_gpus(topology)?)?),
            _ => None,
        };
        self.contradiction(topology, only.as_deref(), &exclude, &include)?;
        let mut left_out = LeftOut::default();
        let mut candidates = only.clone().unwrap_or_else(|| (0..topology.gpus().len()).collect());
        candidates.retain(|position| !exclude.contains(position) && !self.taken.contains(position));
        let asked_for =
            |gpu: usize| include.contains(&gpu) || only.as_ref().is_some_and(|only| only.contains(&gpu));
        let named = |gpu: usize| one_by_one.contains(&gpu);
        let gpus: Vec<_> = topology.gpus().collect();
        candidates.retain(|&position| {
            let gpu = gpus[position];
            let hidden = seen.as_ref().is_some_and(|seen| !seen.contains(&position));
            if hidden {
                left_out.hidden.push(position);
            } else if let Some(why) = &gpu.unusable {
                left_out.unusable.push((position, why.clone()));
            } else if gpu.mig.is_some_and(|mig| mig.current) && !named(position) {
                left_out.divided.push(position);
            } else if gpu.is_display() && !asked_for(position) {
                left_out.displays.push(position);
            } else if let Some(why) = self.busy(gpu) {
                left_out.busy.push((position, why));
            } else if self.count > 1
                && !named(position)
                && let Some(fault) = topology.cut_off(position)
            {
                left_out.cut_off.push((position, fault.to_string()));
            } else {
                return true;
            }
            false
        });
        let hidden = left_out.hidden.iter().map(|gpu| (*gpu, "CUDA_VISIBLE_DEVICES hides it".to_owned()));
        let mut impossible = hidden.chain(left_out.unusable()).chain(left_out.busy());
        if let Some((gpu, why)) = impossible.find(|(gpu, _)| include.contains(gpu)) {
            let message = format!("{} is included, but {why}", topology.device_name(gpu));
            return Err(Error::unsatisfiable(message));
        }
        if candidates.len() < self.count {
            return Err(left_out.too_few(topology, self.count, candidates.len()));
        }
        let mut remarks = left_out.remarks(topology);
        let of_list = self.visible.iter().filter(|_| of_models).flat_map(|visible| &visible.remarks);
        // Remarks on MIG-enabled GPUs that are not chosen would repeat the ones above.
        let divided: Vec<String> = topology.gpus().filter_map(divided).collect();
        remarks.extend(of_list.filter(|remark| !divided.contains(remark)).cloned());
        Ok(Choice { candidates, include, remarks })
    }

    /// Returns the reason why a GPU is not free, as far as the request asks for free ones.
    fn busy(&self, gpu: &Gpu) -> Option<String> {
        let GpuUsage { processes, memory_used, memory_free } = gpu.usage;
        if self.free {
            match (processes, memory_used) {
                (None, _) => return Some("whether a process uses it is unknown".to_owned()),
                (Some(0), Some(used)) if used > MOST_IDLE => {
                    return Some(format!("no process is seen, but {} of its memory are in use", Bytes(used)));
                }
                (Some(0), _) => {}
                (Some(1), _) => return Some("1 process uses it".to_owned()),
                (Some(processes), _) => return Some(format!("{processes} processes use it")),
            }
        }
        let wanted = exact_bytes(self.free_memory);
        match memory_free {
            _ if self.free_memory == 0 => None,
            None => Some("how much of its memory is unused is unknown".to_owned()),
            Some(free) if free >= self.free_memory => None,
            Some(free) => {
                Some(format!("{} of its memory are unused, and {wanted} are asked for", Bytes(free)))
            }
        }
    }

    /// Checks the request for contradictions.
    fn contradiction(
        &self,
        topology: &Topology,
        only: Option<&[usize]>,
        exclude: &[usize],
        include: &[usize],
    ) -> Result<()> {
        let name = |position: usize| topology.device_name(position);
        let mut given = self.include.iter().chain(self.only.iter().flatten());
        if let Some(part) = given.find(|gpu| matches!(gpu, GpuRef::Instance(_))) {
            let gpu = name(part.resolve(topology)?);
            return Err(Error::request(format!("{part} is a part of {gpu}, and whole GPUs are chosen"))
                .help("bind to the instance by CUDA_VISIBLE_DEVICES instead"));
        }
        if let Some(both) = include.iter().find(|position| exclude.contains(position)) {
            return Err(Error::request(format!("{} is both included and excluded", name(*both))));
        }
        let allowed = |position: &usize| only.is_none_or(|only| only.contains(position));
        if let Some(outside) = include.iter().find(|position| !allowed(position)) {
            let name = name(*outside);
            return Err(Error::request(format!("{name} is included but not among the only GPUs allowed")));
        }
        if let Some(gpu) = include.iter().find(|position| self.taken.contains(position)) {
            return Err(Error::unsatisfiable(format!("{} is included, but another job has it", name(*gpu))));
        }
        if include.len() > self.count {
            let (included, count) = (include.len(), self.count);
            let message = format!("{} are included, but only {count} asked for", count_of(included, "GPU"));
            return Err(Error::request(message));
        }
        if self.count == 0 {
            return Err(Error::request("0 GPUs were asked for").help("ask for at least 1"));
        }
        Ok(())
    }
}

impl LeftOut {
    fn unusable(&self) -> impl Iterator<Item = (usize, String)> {
        self.unusable.iter().map(|(gpu, why)| (*gpu, format!("cannot be used: {why}")))
    }

    fn busy(&self) -> impl Iterator<Item = (usize, String)> {
        self.busy.iter().map(|(gpu, why)| (*gpu, format!("is not free: {why}")))
    }

    fn remarks(&self, topology: &Topology) -> Vec<String> {
        let told = |(gpu, why): (usize, String)| format!("{} {why}", topology.device_name(gpu));
        let mut remarks: Vec<String> = self.unusable().map(told).collect();
        if !self.hidden.is_empty() {
            remarks.push(format!("CUDA_VISIBLE_DEVICES hides {}", names(topology, &self.hidden)));
        }
        if !self.divided.is_empty() {
            let gpus = names(topology, &self.divided);
            remarks.push(format!("{gpus}: MIG-enabled, and chosen only where named"));
        }
        remarks.extend(self.displays_told(topology));
        remarks.extend(self.busy().map(told));
        remarks.extend(self.cut_off.iter().map(|(gpu, why)| {
            format!("{} is not chosen together with others unless named: {why}", topology.device_name(*gpu))
        }));
        remarks
    }

    fn displays_told(&self, topology: &Topology) -> Option<String> {
        let gpus = names(topology, &self.displays);
        (!self.displays.is_empty()).then(|| format!("{gpus}: a display GPU, and chosen only where named"))
    }

    /// Returns the error that they leave too few.
    fn too_few(&self, topology: &Topology, count: usize, left: usize) -> Error {
        let total = topology.gpus().len();
        let asked = format!("{} {}", count_of(count, "GPU"), if count == 1 { "was" } else { "were" });
        let mut why = vec![match total {
            0 => return no_gpu_error(topology),
            _ if left == total => format!("{asked} asked for, but this machine has {total}"),
            _ if left == 1 => format!("{asked} asked for, but only 1 of {total} is left to choose from"),
            _ => format!("{asked} asked for, but only {left} of {total} are left to choose from"),
        }];
        let with_reasons = |gpus: &[(usize, String)]| {
            let told = |(gpu, why): &(usize, String)| format!("{} ({why})", topology.device_name(*gpu));
            gpus.iter().map(told).collect::<Vec<_>>().join(", ")
        };
        if !self.unusable.is_empty() {
            let count = self.unusable.len();
            why.push(format!("{count} cannot be used: {}", with_reasons(&self.unusable)));
        }
        if !self.busy.is_empty() {
            why.push(format!("{} not free: {}", self.busy.len(), with_reasons(&self.busy)));
        }
        if !self.cut_off.is_empty() {
            let list = with_reasons(&self.cut_off);
            why.push(format!("not chosen together with others: {list}"));
        }
        if !self.hidden.is_empty() {
            why.push(format!("CUDA_VISIBLE_DEVICES hides {}", names(topology, &self.hidden)));
        }
        why.extend(self.displays_told(topology));
        why.extend(topology.driver_trouble());
        let why = why.join("; ");
        if self.divided.is_empty() {
            let error = Error::unsatisfiable(why);
            return if self.cut_off.is_empty() {
                error
            } else {
                error.help("name such a GPU to choose it all the same, or ask for one GPU")
            };
        }
        let gpus = names(topology, &self.divided);
        Error::unsatisfiable(format!("{why}; MIG-enabled, and not chosen for whole GPUs: {gpus}"))
            .help("name such a GPU to choose it all the same, or use its instances by CUDA_VISIBLE_DEVICES")
    }
}

/// Returns the names of GPUs, such as `GPU0-3,6`.
fn names(topology: &Topology, gpus: &[usize]) -> String {
    let all: Vec<_> = topology.gpus().map(|gpu| gpu.index).collect();
    let indices: NodeSet = gpus.iter().map(|gpu| all[*gpu]).collect();
    format!("GPU{indices}")
}
