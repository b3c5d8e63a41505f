//! The lists of GPUs that `nvidia-smi` prints: `-L` with MIG instances, and `nvlink` with the NVLinks of each GPU: which are up
//! and how fast (`-s`), the devices at their other ends (`-p`, `-R`), capabilities (`-c`) and errors (`-e`).
//!
//! Without the other ends it is merged with another source, such as the text of `nvidia-smi topo -m`, to which it adds
//! bandwidths. Other lines are skipped, as are the answers to other questions about the same GPUs (`nvidia-smi nvlink -info`,
//! …): people send such texts with the lines around them.

mod heading;
mod link;
mod notes;
mod remotes;

use super::common::{NVLINKS_OF_FILE, note_links_down};
use super::gpu_notes;
use super::plain::is_ellipsis;
use super::text::{self, Line};
use super::{Input, TextFormat};
use crate::error::{Error, Result};
use crate::ids::PciAddress;
use crate::model::{Fragment, Gpu, GpuInstance, MAX_DEVICES, MigMode, NodeId, Note, NoteCode, Provenance};
use heading::{Heading, Verdict, gpu, instance, is_heading_of_nobody, is_torn, plain, verdict};
use link::{Other, State, has_status, other, state};
use notes::listed;
use std::collections::{BTreeMap, BTreeSet};

pub(super) struct NvLinkStatus;

/// More MIG instances than any GPU can have.
const MAX_INSTANCES: usize = 64;

impl TextFormat for NvLinkStatus {
    const NAME: &'static str = "the text of nvidia-smi nvlink (-s, -p, -R, -c, -e) or -L";
    const BEGINNINGS: &'static [&'static str] = &["nvidia-smi"];

    fn recognizes(input: &Input<'_>) -> bool {
        // A heading without a UUID is prose, unless something of NVLink stands below it.
        let mut has_gpu = false;
        input.lines().any(|line| {
            if let Some(gpu) = gpu(&line) {
                has_gpu = true;
                return gpu.verdict.is_some() || gpu.uuid.is_some_and(|uuid| uuid.starts_with("GPU-"));
            }
            has_gpu && (verdict(&line.text).is_some() || has_status(&line) || other(&line).is_some())
        })
    }

    fn begins(line: &Line<'_>) -> bool {
        let number = line.text.trim_start().strip_prefix("GPU ");
        number.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    }

    fn read(bytes: &[u8]) -> Result<Fragment> {
        let (text, damage) = text::decode(bytes);
        let mut status = Status::default();
        for line in text::lines(&text) {
            status.feed(&line)?;
        }
        status.notes.extend(damage.map(|text| Note::new(NoteCode::Damage, text)));
        Ok(status.fragment())
    }
}

/// The content of the text.
#[derive(Default)]
struct Status {
    gpus: BTreeMap<u32, GpuStatus>,
    /// The GPU of the lines that follow.
    open: Option<u32>,
    /// The last link that stands under that heading.
    last: Option<u32>,
    /// The lines in whose place an ellipsis stands.
    elided: BTreeSet<usize>,
    /// The GPUs with a verdict why no links are listed.
    judged: BTreeSet<u32>,
    /// The last line with any content, if it begins the status of a link and lacks its end.
    torn: Option<usize>,
    /// Counts of errors: GPU, link, kind.
    errors: BTreeMap<(u32, u32, String), u64>,
    /// The links over which GPUs cannot reach each other's memory.
    without_p2p: BTreeMap<u32, BTreeSet<u32>>,
    notes: Vec<Note>,
}

/// The statements about one GPU.
struct GpuStatus {
    gpu: Gpu,
    /// By number.
    links: BTreeMap<u32, State>,
    /// The devices at the other ends, by the numbers that the list of these has.
    remotes: BTreeMap<u32, PciAddress>,
    /// The numbers of links of which only capabilities or errors are told.
    others: BTreeSet<u32>,
    instances: Vec<GpuInstance>,
}

impl Status {
    fn feed(&mut self, line: &Line<'_>) -> Result<()> {
        if !plain(line).is_empty() {
            self.torn = is_torn(line).then_some(line.number);
        }
        if let Some(heading) = gpu(line) {
            self.heading(&heading, line.number)?;
            if let Some(verdict) = heading.verdict {
                self.judge(verdict);
            }
        } else if is_heading_of_nobody(line) {
            // The lines below belong to no other GPU.
            (self.open, self.last) = (None, None);
        } else if let Some(verdict) = verdict(&line.text) {
            self.judge(verdict);
        } else if let Some(instance) = instance(line) {
            self.instance(instance);
        } else if is_ellipsis(plain(line)) {
            self.elided.insert(line.number);
        } else if let Some((number, other)) = other(line) {
            self.other(number, &other);
        } else if let Some((number, state)) = state(line) {
            let Some(status) = self.open.and_then(|index| self.gpus.get_mut(&index)) else {
                return Err(Error::input(format!("link {number} stands under no GPU"))
                    .at(line.number, 1)
                    .help("give the whole text: GPU 0: ... above its links"));
            };
            if let Some(last) = self.last.filter(|last| number <= *last) {
                return Err(Error::input(format!("link {number} follows link {last}")).at(line.number, 1));
            }
            self.last = Some(number);
            let own = status.links.entry(number).or_insert_with(|| state.clone());
            if *own != state {
                let text = format!(
                    "{}: NVLink {number} is listed twice, as {own} and as {state}; the first is taken",
                    status.gpu.name()
                );
                self.note(NoteCode::Conflict, text);
            }
        }
        Ok(())
    }

    /// Takes a MIG instance.
    fn instance(&mut self, instance: GpuInstance) {
        let Some(status) = self.open.and_then(|index| self.gpus.get_mut(&index)) else { return };
        status.gpu.mig = Some(MigMode::new(true, true));
        let is_known = status.instances.iter().any(|own| own.uuid.is_some() && own.uuid == instance.uuid);
        if status.instances.len() < MAX_INSTANCES && !is_known {
            status.instances.push(instance);
        }
    }

    /// Takes the answer to another question about a link.
    fn other(&mut self, number: u32, other: &Other<'_>) {
        let Some(index) = self.open else { return };
        let Some(status) = self.gpus.get_mut(&index) else { return };
        match other {
            Other::Remote(address) => _ = status.remotes.entry(number).or_insert(*address),
            Other::Capability(what, is_so) => {
                status.others.insert(number);
                if what.starts_with("P2P is supported") && !is_so {
                    self.without_p2p.entry(index).or_default().insert(number);
                }
            }
            Other::Errors(what, count) => {
                status.others.insert(number);
                if *count > 0 && self.errors.len() < MAX_DEVICES {
                    self.errors.insert((index, number, (*what).to_owned()), *count);
                }
            }
        }
    }

    /// Takes down why no links are listed of the GPU.
    fn judge(&mut self, verdict: Verdict) {
        let Some(index) = self.open else { return };
        self.judged.insert(index);
        let (code, text) = match verdict {
            Verdict::AllDown => {
                (NoteCode::AllNvlinksDown, "all NVLinks are down; nvidia-smi does not list them then")
            }
            Verdict::None => (NoteCode::Unknown, "nvidia-smi says that it does not have or support NVLink"),
        };
        self.note(code, format!("GPU{index}: {text}"));
    }

    /// Takes a heading. The same again, of the same GPU, begins the answer to another question.
    fn heading(&mut self, heading: &Heading<'_>, line: usize) -> Result<()> {
        let Heading { index, model, uuid, .. } = *heading;
        (self.open, self.last) = (Some(index), None);
        let parsed = uuid.and_then(|uuid| uuid.parse().ok());
        if let Some(GpuStatus { gpu, .. }) = self.gpus.get_mut(&index) {
            let others = gpu.uuid.is_some() && parsed.is_some() && gpu.uuid != parsed;
            if others || gpu.model.as_deref() != Some(model) {
                return Err(Error::input(format!("GPU {index} is there twice, as two GPUs"))
                    .at(line, 1)
                    .help("give the text of one machine"));
            }
            gpu.uuid = gpu.uuid.or(parsed);
            return Ok(());
        }
        if self.gpus.len() >= MAX_DEVICES {
            return Err(Error::input(format!("it names more than {MAX_DEVICES} GPUs")).at(line, 1));
        }
        if let (Some(uuid), None) = (uuid, &parsed) {
            self.note(NoteCode::Damage, format!("GPU{index}: '{uuid}' is no UUID, so it was left out"));
        }
        let gpu = Gpu { index, model: Some(model.to_owned()), uuid: parsed, ..Gpu::default() };
        self.gpus.insert(index, GpuStatus::new(gpu));
        Ok(())
    }

    fn note(&mut self, code: NoteCode, text: String) {
        if self.notes.len() < MAX_DEVICES && !self.notes.iter().any(|own| own.text == text) {
            self.notes.push(Note::new(code, text));
        }
    }

    fn fragment(mut self) -> Fragment {
        let mut fragment = Fragment::new(Provenance::Smi);
        fragment.set_nvlink_unknown();
        // Where all links are down, or there are none, nothing is left to tell.
        let is_open = |(index, status): (&u32, &GpuStatus)| {
            let is_up = status.links.values().any(|state| state.up() == Some(true));
            let is_silent = status.links.is_empty() && !self.judged.contains(index);
            (is_up || is_silent) && status.remotes.is_empty()
        };
        if self.gpus.len() >= 2 && self.gpus.iter().any(is_open) {
            self.note(NoteCode::NvlinksUnknown, NVLINKS_OF_FILE.to_owned());
        }
        self.place();
        for status in self.gpus.values() {
            // The numbers begin at 0 and have no gaps.
            let last = status.links.last_key_value().map_or(0, |(last, _)| *last);
            let missing = (0..last).filter(|number| !status.links.contains_key(number));
            let missing: Vec<u32> = missing.collect();
            if !missing.is_empty() {
                let text = format!("{}: the text lacks its NVLinks {}", status.gpu.name(), listed(&missing));
                fragment.note(NoteCode::TextCut, text);
            }
            let gpu = Gpu { nvlinks: status.ports(), ..status.gpu.clone() };
            let id = fragment.add(NodeId::MACHINE, gpu);
            for instance in &status.instances {
                fragment.add(id, instance.clone());
            }
        }
        fragment.notes.append(&mut self.notes);
        self.note_cuts(&mut fragment);
        let noted = note_links_down(&mut fragment);
        self.note_states(&mut fragment, &noted);
        self.note_errors(&mut fragment);
        gpu_notes::note_mig(&mut fragment);
        fragment
    }
}
