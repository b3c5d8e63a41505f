//! Calls that failed: each becomes a note that names the GPUs and the call, and nothing else is lost.

use crate::model::{Note, NoteKind};
use nvml_wrapper::error::NvmlError;
use std::collections::{BTreeMap, BTreeSet};

/// What went wrong on the way.
#[derive(Default)]
pub(super) struct Troubles {
    /// The GPUs by the call and the reason.
    failed: BTreeMap<(&'static str, String), BTreeSet<u32>>,
    /// The GPUs that are gone, by the call that told first.
    lost: BTreeMap<&'static str, BTreeSet<u32>>,
}

/// Why a call gave no fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// The device does not know the question: there is no such thing.
    NotSupported,
    /// The library is older than the question.
    NoSuchCall,
    /// It failed, and a note says so.
    Failed,
}

impl Troubles {
    /// The answer of a call about a GPU; a failure is remembered.
    pub(super) fn check<T>(
        &mut self,
        gpu: u32,
        call: &'static str,
        answer: Result<T, NvmlError>,
    ) -> Result<T, Missing> {
        answer.map_err(|error| match error {
            NvmlError::NotSupported => Missing::NotSupported,
            NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound => Missing::NoSuchCall,
            NvmlError::GpuLost => {
                if !self.is_lost(gpu) {
                    self.lost.entry(call).or_default().insert(gpu);
                }
                Missing::Failed
            }
            error => {
                self.failed.entry((call, words(&error))).or_default().insert(gpu);
                Missing::Failed
            }
        })
    }

    /// Whether the GPU is gone, so that asking on is idle.
    pub(super) fn is_lost(&self, gpu: u32) -> bool {
        self.lost.values().any(|gpus| gpus.contains(&gpu))
    }

    /// The notes.
    pub(super) fn notes(&self) -> Vec<Note> {
        let lost = self.lost.iter().map(|(call, gpus)| {
            let was = if gpus.len() == 1 { "has" } else { "have" };
            format!(
                "{} {was} fallen off the bus ({call}), so what only the driver knows of it is unknown; no job can \
                 use it until the machine restarts",
                names(gpus)
            )
        });
        let failed = self
            .failed
            .iter()
            .map(|((call, why), gpus)| format!("{}: the driver did not answer {call}: {why}", names(gpus)));
        lost.chain(failed).map(|text| Note { kind: NoteKind::Unknown, text }).collect()
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

/// An error in words for people.
pub(super) fn words(error: &NvmlError) -> String {
    match error {
        NvmlError::LibRmVersionMismatch => {
            "its library and its kernel module are of different versions; restart the machine, or load the \
             module again"
                .to_owned()
        }
        NvmlError::UnexpectedVariant(value) => {
            format!("its answer, {value}, is one that nvtopo does not know")
        }
        other => other.to_string(),
    }
}
