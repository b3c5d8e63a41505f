//! The text of `nvidia-smi nvlink --status`: which NVLinks of each GPU are up, and what each carries.
//!
//! It does not tell where they lead, so it is laid over another source, such as the text of `nvidia-smi topo -m`, whose
//! rates it makes known. Lines that are no part of it are passed over: people send such texts with what stood around.

use super::nvlinks::note_down;
use super::text::{self, Line};
use super::{Input, Source};
use crate::error::{Error, Result};
use crate::model::{
    Fragment, Gpu, MAX_DEVICES, NodeId, NodeKind, NoteKind, NvLinkFar, NvLinkPort, Provenance, gaps,
};
use crate::units::Bandwidth;
use std::collections::BTreeMap;

pub(super) struct NvLinkStatus;

impl Source for NvLinkStatus {
    fn name(&self) -> &'static str {
        "the text of nvidia-smi nvlink --status"
    }

    fn recognizes(&self, input: Input<'_>) -> bool {
        let Input::Text { bytes, .. } = input else { return false };
        let (text, _) = text::decode(bytes);
        let mut lines = text::lines(&text);
        // A list of GPUs alone is that of `nvidia-smi -L`.
        lines.any(|line| gpu(&line).is_some()) && lines.any(|line| is_all_down(&line) || is_told(&line))
    }

    fn read(&self, input: Input<'_>) -> Result<Fragment> {
        let Input::Text { bytes, .. } = input else {
            return Err(Error::input("a directory is not the text of nvidia-smi nvlink --status"));
        };
        let (text, damage) = text::decode(bytes);
        let mut status = Status::default();
        for line in text::lines(&text) {
            status.feed(&line)?;
        }
        status.notes.extend(damage.map(|text| (NoteKind::Damage, text)));
        Ok(status.fragment())
    }
}

/// What the text says.
#[derive(Default)]
struct Status {
    gpus: BTreeMap<u32, Gpu>,
    /// The GPU of the lines that follow.
    open: Option<u32>,
    notes: Vec<(NoteKind, String)>,
}

impl Status {
    fn feed(&mut self, line: &Line<'_>) -> Result<()> {
        if let Some(Heading { index, model, uuid }) = gpu(line) {
            if self.gpus.len() >= MAX_DEVICES {
                return Err(Error::input(format!("it names more than {MAX_DEVICES} GPUs")).at(line.number, 1));
            }
            let parsed = uuid.and_then(|uuid| uuid.parse().ok());
            if let (Some(uuid), None) = (uuid, &parsed) {
                self.note(NoteKind::Damage, format!("GPU{index}: '{uuid}' is no UUID, so it was left out"));
            }
            let gpu = Gpu { index, model: Some(model.to_owned()), uuid: parsed, ..Gpu::default() };
            if self.gpus.insert(index, gpu).is_some() {
                return Err(Error::input(format!("GPU {index} is there twice"))
                    .at(line.number, 1)
                    .help("give the text of one machine, once"));
            }
            self.open = Some(index);
        } else if is_all_down(line) {
            if let Some(index) = self.open {
                let text = format!("GPU{index}: all NVLinks are down; nvidia-smi does not list them then");
                self.note(NoteKind::Unknown, text);
            }
        } else if let Some((number, state)) = state(line) {
            let Some(gpu) = self.open.and_then(|index| self.gpus.get_mut(&index)) else {
                return Err(Error::input(format!("link {number} stands under no GPU"))
                    .at(line.number, 1)
                    .help("give the whole text: GPU 0: ... above its links"));
            };
            match gpu.nvlinks.last().map(|last| last.number) {
                Some(last) if number <= last => {
                    return Err(Error::input(format!("link {number} follows link {last}")).at(line.number, 1));
                }
                _ => gpu.nvlinks.push(port(number, state)),
            }
        }
        Ok(())
    }

    fn note(&mut self, kind: NoteKind, text: String) {
        self.notes.push((kind, text));
    }

    fn fragment(mut self) -> Fragment {
        let mut fragment = Fragment::new(Provenance::Smi);
        fragment.set_nvlink_unknown();
        let any_up = self.gpus.values().any(|gpu| gpu.nvlinks.iter().any(|link| link.up == Some(true)));
        if any_up && self.gpus.len() >= 2 {
            self.note(NoteKind::Unknown, gaps::NVLINKS_OF_FILE.to_owned());
        }
        for gpu in self.gpus.into_values() {
            // The numbers begin at 0 and have no gaps.
            let missing: Vec<String> = (0..gpu.nvlinks.last().map_or(0, |last| last.number))
                .filter(|number| !gpu.nvlinks.iter().any(|link| link.number == *number))
                .map(|number| number.to_string())
                .collect();
            if !missing.is_empty() {
                let text = format!("{}: the text lacks its NVLinks {}", gpu.name(), missing.join(", "));
                fragment.note(NoteKind::Damage, text);
            }
            fragment.add(NodeId::MACHINE, NodeKind::Gpu(Box::new(gpu)));
        }
        for (kind, text) in self.notes {
            fragment.note(kind, text);
        }
        note_down(&mut fragment);
        fragment
    }
}

/// The highest number of a link that is believed, so that a damaged one names few that are missing.
///
/// Source: NVML, `NVML_NVLINK_MAX_LINKS`, is 36 at most so far.
const MAX_NUMBER: u32 = 63;

/// `GPU 0: NVIDIA RTX A6000 (UUID: GPU-5baec991-…)`; older drivers leave the UUID out.
struct Heading<'a> {
    index: u32,
    model: &'a str,
    uuid: Option<&'a str>,
}

fn gpu<'a>(line: &'a Line<'_>) -> Option<Heading<'a>> {
    let (index, rest) = line.text.trim().strip_prefix("GPU ")?.split_once(": ")?;
    let index = number(index)?;
    let (model, uuid) = match rest.rsplit_once(" (UUID: ") {
        Some((model, uuid)) => (model, Some(uuid.trim_end_matches(')'))),
        None => (rest, None),
    };
    Some(Heading { index, model: model.trim(), uuid })
}

/// `NVML: Unable to retrieve NVLink information as all links are inActive`, which drivers spell in two ways.
fn is_all_down(line: &Line<'_>) -> bool {
    line.text.to_ascii_lowercase().contains("all links are inactive")
}

#[derive(Clone, Copy)]
enum State {
    Up(Bandwidth),
    Down,
    Unknown,
}

/// `Link 3: 25.781 GB/s` or `Link 3: <inactive>`. Lines of other questions name what they tell: `Link 3: Replay Errors: 0`.
fn state(line: &Line<'_>) -> Option<(u32, State)> {
    let (name, value) = line.text.trim().strip_prefix("Link ")?.split_once(':')?;
    let number = number(name).filter(|number| *number <= MAX_NUMBER)?;
    let value = Some(value.trim()).filter(|value| !value.contains(':'))?;
    if value.eq_ignore_ascii_case("<inactive>") {
        return Some((number, State::Down));
    }
    let rate = value.strip_suffix("GB/s").and_then(|rate| rate.trim().parse::<f64>().ok());
    let rate = rate.filter(|rate| (0.0..1e4).contains(rate));
    Some((number, rate.map_or(State::Unknown, |rate| State::Up(Bandwidth::from_gb_per_s(rate)))))
}

/// Whether a line tells of a link in the words of the status.
fn is_told(line: &Line<'_>) -> bool {
    matches!(state(line), Some((_, State::Up(_) | State::Down)))
}

fn port(number: u32, state: State) -> NvLinkPort {
    let (up, reported) = match state {
        State::Up(rate) => (Some(true), Some(rate)),
        State::Down => (Some(false), None),
        State::Unknown => (None, None),
    };
    NvLinkPort { number, up, generation: None, reported, far: NvLinkFar::Unknown }
}

fn number(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}
