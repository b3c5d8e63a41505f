//! Calls to the driver that failed: each becomes a note that names the GPUs and the call, and no other fact is lost.

use super::report::at_most;
use crate::model::{Note, NoteCode};
use crate::units::several;
use std::collections::BTreeSet;

/// More calls and reasons than there are.
const MAX_FAILURES: usize = 1024;

/// The calls that failed, and the GPUs that do not answer.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(in crate::source) struct CallFailures {
    /// Calls that failed.
    #[serde(deserialize_with = "at_most::<_, _, MAX_FAILURES>")]
    failed: Vec<CallFailure>,
    /// The GPUs that have fallen off the bus, by the call that said so first.
    #[serde(deserialize_with = "at_most::<_, _, MAX_FAILURES>")]
    lost: Vec<CallFailure>,
    /// The GPUs that need a reset, by the call that said so first.
    #[serde(deserialize_with = "at_most::<_, _, MAX_FAILURES>")]
    stuck: Vec<CallFailure>,
    /// The GPUs that did not answer in time.
    #[serde(deserialize_with = "at_most::<_, _, MAX_FAILURES>")]
    hung: Vec<CallFailure>,
    /// The GPUs that were not asked, or not everything, before time was out.
    #[serde(deserialize_with = "at_most::<_, _, MAX_FAILURES>")]
    unasked: Vec<CallFailure>,
    /// The number of pairs of GPUs that answer which were not asked about, since others hung.
    pub(super) unasked_pairs: usize,
}

/// A failure that some GPUs have in common.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
struct CallFailure {
    call: String,
    /// The driver's reason.
    why: String,
    /// The GPUs, increasing.
    gpus: BTreeSet<u32>,
}

impl CallFailures {
    /// Returns whether the GPU has fallen off the bus, so that asking it is useless.
    pub(super) fn is_lost(&self, gpu: u32) -> bool {
        names_gpu(&self.lost, gpu)
    }

    /// Returns whether the GPU needs a reset.
    pub(super) fn needs_reset(&self, gpu: u32) -> bool {
        names_gpu(&self.stuck, gpu)
    }

    /// Returns whether the GPU did not answer in time.
    pub(super) fn is_hung(&self, gpu: u32) -> bool {
        names_gpu(&self.hung, gpu)
    }

    /// Returns whether the GPU was not asked everything, though nothing is known to be wrong with it.
    pub(super) fn is_not_asked(&self, gpu: u32) -> bool {
        names_gpu(&self.unasked, gpu)
    }

    /// Returns whether there is such a GPU.
    pub(super) fn any_not_asked(&self) -> bool {
        self.unasked.iter().any(|failure| !failure.gpus.is_empty())
    }

    pub(super) fn longest_text(&self) -> usize {
        let all =
            self.failed.iter().chain(&self.lost).chain(&self.stuck).chain(&self.hung).chain(&self.unasked);
        all.map(|failure| failure.call.len().max(failure.why.len())).max().unwrap_or_default()
    }

    /// Returns the notes.
    pub(super) fn notes(&self) -> Vec<Note> {
        let lost = self.lost.iter().map(|CallFailure { call, gpus, .. }| {
            let was = if gpus.len() == 1 { "has" } else { "have" };
            format!(
                "{} {was} fallen off the bus ({call}), so what only the driver knows of it is unknown; no job can \
                 use it until the machine restarts",
                names(gpus)
            )
        });
        let stuck = self.stuck.iter().map(|CallFailure { call, gpus, .. }| {
            let needs = if gpus.len() == 1 { "needs" } else { "need" };
            format!("{} {needs} a reset ({call}); no job can use it until then", names(gpus))
        });
        let hung = self.hung.iter().map(|CallFailure { gpus, .. }| {
            let hangs = if gpus.len() == 1 { "it hangs" } else { "they hang" };
            format!(
                "the driver did not answer of {} in time, so what only the driver knows there is unknown; no job \
                 can use what hangs, and it may be that {hangs}",
                names(gpus)
            )
        });
        let unasked = self.unasked.iter().map(|CallFailure { gpus, .. }| {
            format!(
                "{}: not asked in time, so what only the driver knows there is unknown; other GPUs, or the driver, \
                 took too long",
                names(gpus)
            )
        });
        let failed = self.failed.iter().map(|CallFailure { call, why, gpus }| {
            format!("{}: the driver did not answer {call}: {why}", names(gpus))
        });
        let pairs = (self.unasked_pairs > 0).then(|| {
            format!(
                "the driver was not asked what {} pairs of GPUs have in common and may do, since it did not answer of \
                 others in time",
                self.unasked_pairs
            )
        });
        lost.chain(stuck)
            .chain(hung)
            .chain(unasked)
            .chain(failed)
            .chain(pairs)
            .map(|text| Note::new(NoteCode::DriverCallFailed, text))
            .collect()
    }
}

#[cfg(feature = "nvml")]
impl CallFailures {
    /// Records that a GPU has fallen off the bus.
    pub(super) fn mark_lost(&mut self, gpu: u32, call: &str) {
        if !self.is_lost(gpu) {
            add(&mut self.lost, gpu, call, "");
        }
    }

    /// Records that a GPU needs a reset.
    pub(super) fn mark_reset(&mut self, gpu: u32, call: &str) {
        if !self.needs_reset(gpu) {
            add(&mut self.stuck, gpu, call, "");
        }
    }

    /// Records that a GPU did not answer in time.
    pub(super) fn mark_hung(&mut self, gpu: u32) {
        add(&mut self.hung, gpu, "", "");
    }

    /// Records that a GPU was not asked in time.
    pub(super) fn mark_not_asked(&mut self, gpu: u32) {
        add(&mut self.unasked, gpu, "", "");
    }

    /// Returns whether asking the GPU is useless, as it hangs, or there is no time.
    pub(super) fn is_silent(&self, gpu: u32) -> bool {
        self.is_hung(gpu) || self.is_not_asked(gpu)
    }

    /// Records that a call failed.
    pub(super) fn record(&mut self, gpu: u32, call: &str, why: &str) {
        add(&mut self.failed, gpu, call, why);
    }
}

fn names_gpu(list: &[CallFailure], gpu: u32) -> bool {
    list.iter().any(|failure| failure.gpus.contains(&gpu))
}

#[cfg(feature = "nvml")]
fn add(list: &mut Vec<CallFailure>, gpu: u32, call: &str, why: &str) {
    match list.iter_mut().find(|failure| (failure.call.as_str(), failure.why.as_str()) == (call, why)) {
        Some(failure) => _ = failure.gpus.insert(gpu),
        None => list.push(CallFailure { call: call.to_owned(), why: why.to_owned(), gpus: [gpu].into() }),
    }
}

/// Formats names of GPUs: `GPU0, GPU1, GPU2 and 5 more`.
pub(super) fn names(gpus: &BTreeSet<u32>) -> String {
    several(&gpus.iter().map(|index| format!("GPU{index}")).collect::<Vec<_>>())
}
