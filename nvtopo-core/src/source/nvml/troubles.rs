//! Calls that failed: each becomes a note that names the GPUs and the call, and nothing else is lost.

use super::seen::at_most;
use crate::model::{Note, NoteKind};
use std::collections::BTreeSet;

/// More calls and reasons than there are.
const MAX_TROUBLES: usize = 1024;

/// What went wrong on the way.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(in crate::source) struct Troubles {
    /// Calls that failed.
    #[serde(deserialize_with = "at_most::<_, _, MAX_TROUBLES>")]
    failed: Vec<Trouble>,
    /// The GPUs that are gone, by the call that told first.
    #[serde(deserialize_with = "at_most::<_, _, MAX_TROUBLES>")]
    lost: Vec<Trouble>,
    /// The GPUs that want a reset before they do anything, by the call that told first.
    #[serde(deserialize_with = "at_most::<_, _, MAX_TROUBLES>")]
    stuck: Vec<Trouble>,
    /// The GPUs that did not answer in time.
    #[serde(deserialize_with = "at_most::<_, _, MAX_TROUBLES>")]
    hung: Vec<Trouble>,
    /// The GPUs that were not asked, or not of all, before time was out.
    #[serde(deserialize_with = "at_most::<_, _, MAX_TROUBLES>")]
    unasked: Vec<Trouble>,
    /// How many pairs of GPUs that answer were not asked of, since others hung.
    pub(super) unasked_pairs: usize,
}

/// One of them.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
struct Trouble {
    call: String,
    /// What the driver said.
    why: String,
    /// The GPUs, increasing.
    gpus: BTreeSet<u32>,
}

impl Troubles {
    /// Whether the GPU is gone, so that asking on is idle.
    pub(super) fn is_lost(&self, gpu: u32) -> bool {
        names_gpu(&self.lost, gpu)
    }

    /// Whether the GPU wants a reset before it does anything.
    pub(super) fn is_stuck(&self, gpu: u32) -> bool {
        names_gpu(&self.stuck, gpu)
    }

    /// Whether the GPU did not answer in time.
    pub(super) fn is_hung(&self, gpu: u32) -> bool {
        names_gpu(&self.hung, gpu)
    }

    /// Whether the GPU was not asked, or not of all, though nothing is known to be wrong with it.
    pub(super) fn is_unasked(&self, gpu: u32) -> bool {
        names_gpu(&self.unasked, gpu)
    }

    /// Whether there is such a GPU.
    pub(super) fn any_unasked(&self) -> bool {
        self.unasked.iter().any(|trouble| !trouble.gpus.is_empty())
    }

    pub(super) fn longest_text(&self) -> usize {
        let all =
            self.failed.iter().chain(&self.lost).chain(&self.stuck).chain(&self.hung).chain(&self.unasked);
        all.map(|trouble| trouble.call.len().max(trouble.why.len())).max().unwrap_or_default()
    }

    /// The notes.
    pub(super) fn notes(&self) -> Vec<Note> {
        let lost = self.lost.iter().map(|Trouble { call, gpus, .. }| {
            let was = if gpus.len() == 1 { "has" } else { "have" };
            format!(
                "{} {was} fallen off the bus ({call}), so what only the driver knows of it is unknown; no job can \
                 use it until the machine restarts", names(gpus) ) });
        let stuck = self.stuck.iter().map(|Trouble { call, gpus, .. }| {
            let needs = if gpus.len() == 1 { "needs" } else { "need" };
            format!("{} {needs} a reset ({call}); no job can use it until then", names(gpus))
        });
        let hung = self.hung.iter().map(|Trouble { gpus, .. }| {
            let hangs = if gpus.len() == 1 { "it hangs" } else { "they hang" };
            format!(
                "the driver did not answer of {} in time, so what only the driver knows there is unknown; no job \
                 can use what hangs, and it may be that {hangs}",
                names(gpus)
            )
        });
        let unasked = self.unasked.iter().map(|Trouble { gpus, .. }| {
            format!(
                "{}: not asked in time, so what only the driver knows there is unknown; other GPUs, or the driver, \
                 took too long",
                names(gpus)
            )
        });
        let failed = self.failed.iter().map(|Trouble { call, why, gpus }| {
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
            .map(|text| Note { kind: NoteKind::Unknown, text })
            .collect()
    }
}

#[cfg(feature = "nvml")]
impl Troubles {
    /// Remembers that a GPU is gone.
    pub(super) fn lose(&mut self, gpu: u32, call: &str) {
        if !self.is_lost(gpu) {
            add(&mut self.lost, gpu, call, "");
        }
    }

    /// Remembers that a GPU wants a reset.
    pub(super) fn stick(&mut self, gpu: u32, call: &str) {
        if !self.is_stuck(gpu) {
            add(&mut self.stuck, gpu, call, "");
        }
    }

    /// Remembers that a GPU did not answer in time.
    pub(super) fn hang(&mut self, gpu: u32) {
        add(&mut self.hung, gpu, "", "");
    }

    /// Remembers that a GPU was not asked in time.
    pub(super) fn pass_over(&mut self, gpu: u32) {
        add(&mut self.unasked, gpu, "", "");
    }

    /// Whether asking the GPU on is idle, for it hangs, or there is no time.
    pub(super) fn is_silent(&self, gpu: u32) -> bool {
        self.is_hung(gpu) || self.is_unasked(gpu)
    }

    /// Remembers that a call failed.
    pub(super) fn fail(&mut self, gpu: u32, call: &str, why: &str) {
        add(&mut self.failed, gpu, call, why);
    }
}

fn names_gpu(list: &[Trouble], gpu: u32) -> bool {
    list.iter().any(|trouble| trouble.gpus.contains(&gpu))
}

#[cfg(feature = "nvml")]
fn add(list: &mut Vec<Trouble>, gpu: u32, call: &str, why: &str) {
    match list.iter_mut().find(|trouble| (trouble.call.as_str(), trouble.why.as_str()) == (call, why)) {
        Some(trouble) => _ = trouble.gpus.insert(gpu),
        None => list.push(Trouble { call: call.to_owned(), why: why.to_owned(), gpus: [gpu].into() }),
    }
}

/// `GPU0, GPU1, GPU2 and 5 more`
pub(super) fn names(gpus: &BTreeSet<u32>) -> String {
    let names: Vec<String> = gpus.iter().map(|index| format!("GPU{index}")).collect();
    match names.as_slice() {
        [one, two, three, rest @ ..] if rest.len() > 1 => {
            format!("{one}, {two}, {three} and {} more", rest.len())
        }
        _ => names.join(", "),
    }
}
