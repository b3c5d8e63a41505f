//! Notes on a text of `nvidia-smi nvlink`: where it is cut, and the links that are down.

use super::Status;
use super::link::{SLEEP, State};
use crate::model::{Fragment, NoteCode};
use crate::source::common::most_by_model;
use crate::units::{count_of, several};
use std::collections::{BTreeMap, BTreeSet};

impl Status {
    /// Notes where the text is cut: at an ellipsis, within its last line, or by the links of other GPUs of a model,
    /// which are as many, up or down.
    pub(super) fn note_cuts(&self, fragment: &mut Fragment) {
        let most = most_by_model(self.gpus.values().map(|status| (&status.gpu, status.links.len())));
        // Other questions, and that for a list of GPUs, have no status as an answer.
        let asked = !self.judged.is_empty() || self.gpus.values().any(|status| !status.links.is_empty());
        let mut few: BTreeMap<(usize, usize), Vec<String>> = BTreeMap::new();
        for (index, status) in &self.gpus {
            let (listed, most) =
                (status.links.len(), most.get(&status.gpu.model).copied().unwrap_or_default());
            let ends = self.open == Some(*index) && listed == 0 && asked;
            if !self.judged.contains(index) && (listed < most || ends) {
                few.entry((listed, most)).or_default().push(status.gpu.name());
            }
        }
        for ((listed, most), gpus) in few {
            let others =
                if listed < most { format!(", and {most} of others of the model") } else { String::new() };
            let listed = count_of(listed, "NVLink");
            let text = format!("{}: the text is cut: it lists {listed}{others}", gpus.join(", "));
            fragment.note(NoteCode::TextCut, text);
        }
        if let Some(first) = self.elided.first() {
            let others = if self.elided.len() > 1 { ", and elsewhere" } else { "" };
            fragment.note(NoteCode::TextCut, format!("the text leaves lines out at line {first}{others}"));
        }
        if let Some(line) = self.torn {
            fragment.note(NoteCode::TextCut, format!("the text ends within line {line}"));
        }
    }

    /// Notes errors that were counted, and links without peer-to-peer access.
    pub(super) fn note_errors(&self, fragment: &mut Fragment) {
        let mut texts: BTreeMap<u32, Vec<String>> = BTreeMap::new();
        for ((gpu, link, what), count) in &self.errors {
            texts.entry(*gpu).or_default().push(format!("{count} {what} on NVLink {link}"));
        }
        for (gpu, texts) in texts {
            fragment.note(NoteCode::NvlinkErrors, format!("GPU{gpu} counted {}", several(&texts)));
        }
        for (gpu, links) in &self.without_p2p {
            let links = listed(&links.iter().copied().collect::<Vec<_>>());
            let text = format!("GPU{gpu}: peer-to-peer access is not supported over NVLinks {links}");
            fragment.note(NoteCode::Unknown, text);
        }
    }

    /// Notes the links that the text itself says are down, of GPUs of which nothing was noted yet, and states that say
    /// neither. GPUs of which the same is to be said share a note.
    pub(super) fn note_states(&self, fragment: &mut Fragment, noted: &BTreeSet<u32>) {
        let mut texts: BTreeMap<(NoteCode, String), Vec<String>> = BTreeMap::new();
        for (index, status) in &self.gpus {
            let of = |wanted: &dyn Fn(&State) -> bool| -> Vec<u32> {
                let links = status.links.iter().filter(|(_, state)| wanted(state));
                links.map(|(number, _)| *number).collect()
            };
            let (down, all) = (of(&|state| *state == State::Down), status.links.len());
            let up = of(&|state| state.up() == Some(true)).len();
            let mut say =
                |code, text: String| texts.entry((code, text)).or_default().push(format!("GPU{index}"));
            if !down.is_empty() && !noted.contains(index) {
                let down = listed(&down);
                match up {
                    0 => say(NoteCode::Unknown, format!("no NVLink is up; down: {down}")),
                    _ => say(NoteCode::NvlinksDown, format!("{up} of {all} NVLinks are up; down: {down}")),
                }
            }
            let words: BTreeSet<&String> = status.links.values().filter_map(State::word).collect();
            for word in words {
                let links = listed(&of(&|state| state.word() == Some(word)));
                let sleeps = word.eq_ignore_ascii_case(SLEEP);
                let meaning = if sleeps {
                    "a link wakes from it when it is used"
                } else {
                    "which tells neither that they are up nor that they are down"
                };
                let none = if up == 0 && down.is_empty() { "no NVLink is said to be up; " } else { "" };
                let none = if sleeps { "none of these NVLinks is active now; " } else { none };
                say(NoteCode::Unknown, format!("{none}in the state '{word}': {links}; {meaning}"));
            }
        }
        for ((code, text), gpus) in texts {
            fragment.note(code, format!("{}: {text}", gpus.join(", ")));
        }
    }
}

/// Joins numbers with commas.
pub(super) fn listed(numbers: &[u32]) -> String {
    let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
    numbers.join(", ")
}
