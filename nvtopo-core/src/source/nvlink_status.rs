//! The text of `nvidia-smi nvlink --status`: the NVLinks of each GPU that are up, and the bandwidth of each.
//!
//! It lacks the other ends, so it is merged with another source, such as the text of `nvidia-smi topo -m`, to which it
//! adds bandwidths. Other lines are skipped, as are the answers to other questions about the same GPUs (`nvidia-smi
//! nvlink -e`, `-c`, `-R`, `-info`, …): people send such texts with the lines around them.

use super::TextFormat;
use super::common::{NVLINKS_OF_FILE, most_by_model, note_links_down};
use super::text::{self, Line};
use crate::error::{Error, Result};
use crate::model::{Fragment, Gpu, MAX_DEVICES, NodeId, Note, NoteCode, NvLinkFar, NvLinkPort, Provenance};
use crate::units::{Bandwidth, count_of};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub(super) struct NvLinkStatus;

impl TextFormat for NvLinkStatus {
    const NAME: &'static str = "the text of nvidia-smi nvlink --status";

    fn recognizes(bytes: &[u8]) -> bool {
        let (text, _) = text::decode(bytes);
        let mut lines = text::lines(&text);
        // A list of GPUs alone is that of `nvidia-smi -L`.
        let mut judged = false;
        lines.any(|line| gpu(&line).inspect(|gpu| judged |= gpu.verdict.is_some()).is_some())
            && (judged || lines.any(|line| verdict(&line.text).is_some() || has_status(&line)))
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
    notes: Vec<Note>,
}

/// The statements about one GPU.
struct GpuStatus {
    gpu: Gpu,
    /// By number.
    links: BTreeMap<u32, State>,
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
        } else if is_ellipsis(plain(line)) {
            self.elided.insert(line.number);
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

    /// Takes down why no links are listed of the GPU.
    fn judge(&mut self, verdict: Verdict) {
        let Some(index) = self.open else { return };
        self.judged.insert(index);
        let text = match verdict {
            Verdict::AllDown => "all NVLinks are down; nvidia-smi does not list them then",
            Verdict::None => "nvidia-smi says that it does not have or support NVLink",
        };
        self.note(NoteCode::Unknown, format!("GPU{index}: {text}"));
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
        self.gpus.insert(index, GpuStatus { gpu, links: BTreeMap::new() });
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
        let is_up = |status: &GpuStatus| status.links.values().any(|state| state.up() == Some(true));
        if self.gpus.len() >= 2 && self.gpus.values().any(is_up) {
            self.note(NoteCode::NvlinksUnknown, NVLINKS_OF_FILE.to_owned());
        }
        for status in self.gpus.values() {
            // The numbers begin at 0 and have no gaps.
            let last = status.links.last_key_value().map_or(0, |(last, _)| *last);
            let missing = (0..last).filter(|number| !status.links.contains_key(number));
            let missing: Vec<u32> = missing.collect();
            if !missing.is_empty() {
                let text = format!("{}: the text lacks its NVLinks {}", status.gpu.name(), listed(&missing));
                fragment.note(NoteCode::TextCut, text);
            }
            let nvlinks = status.links.iter().map(|(number, state)| port(*number, state)).collect();
            let gpu = Gpu { nvlinks, ..status.gpu.clone() };
            fragment.add(NodeId::MACHINE, gpu);
        }
        fragment.notes.append(&mut self.notes);
        self.note_cuts(&mut fragment);
        let noted = note_links_down(&mut fragment);
        self.note_states(&mut fragment, &noted);
        fragment
    }

    /// Notes where the text is cut: at an ellipsis, within its last line, or by the links of other GPUs of a model,
    /// which are as many, up or down.
    fn note_cuts(&self, fragment: &mut Fragment) {
        let most = most_by_model(self.gpus.values().map(|status| (&status.gpu, status.links.len())));
        let mut few: BTreeMap<(usize, usize), Vec<String>> = BTreeMap::new();
        for (index, status) in &self.gpus {
            let (listed, most) =
                (status.links.len(), most.get(&status.gpu.model).copied().unwrap_or_default());
            let ends = self.open == Some(*index) && listed == 0;
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

    /// Notes the links that the text itself says are down, of GPUs of which nothing was noted yet, and states that say
    /// neither. GPUs of which the same is to be said share a note.
    fn note_states(&self, fragment: &mut Fragment, noted: &BTreeSet<u32>) {
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
fn listed(numbers: &[u32]) -> String {
    let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
    numbers.join(", ")
}

/// The highest number of a link that is believed, so that a damaged one names few that are missing.
///
/// Source: NVML, `NVML_NVLINK_MAX_LINKS`, is 36 at most so far.
const MAX_NUMBER: u32 = 63;

/// `GPU 0: NVIDIA RTX A6000 (UUID: GPU-5baec991-…)`; older drivers leave the UUID out. A verdict may follow in the
/// line, or stand in the place of the UUID.
struct Heading<'a> {
    index: u32,
    model: &'a str,
    uuid: Option<&'a str>,
    verdict: Option<Verdict>,
}

/// Why no links are listed.
#[derive(Clone, Copy)]
enum Verdict {
    AllDown,
    None,
}

/// Reads `NVML: Unable to retrieve NVLink information as all links are inActive`, which drivers spell in two ways, or
/// `Device does not have or support Nvlink`.
fn verdict(text: &str) -> Option<Verdict> {
    let text = text.to_ascii_lowercase();
    let words = |words: &str| text.contains(words);
    match () {
        () if words("all links are inactive") => Some(Verdict::AllDown),
        () if words("not have or support nvlink") || words("does not support nvlink") => Some(Verdict::None),
        () => None,
    }
}

/// The starts of verdicts in the line of a heading.
const VERDICTS: [&str; 3] = ["Device does not", "NVML: ", "Unable to retrieve"];

/// Returns whether a text is an ellipsis, in brackets or not, or a word that people write for one.
fn is_ellipsis(text: &str) -> bool {
    let text = text.trim_matches(|c: char| c.is_whitespace() || "[](){}<>-#*/".contains(c));
    text == "\u{2026}"
        || text.len() > 1 && text.bytes().all(|byte| byte == b'.')
        || matches!(text, "snip" | "snipped" | "cut" | "truncated")
}

/// Returns whether a line begins the status of a link and does not complete it.
fn is_torn(line: &Line<'_>) -> bool {
    let text = plain(line);
    let rest = text.strip_prefix("Link").map(|rest| rest.trim_start_matches(' '));
    let begins = rest.is_some_and(|rest| {
        let value = rest.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches([':', ' ']);
        let part = |whole: &str| whole.starts_with(value);
        let rate =
            value.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ',')).trim_start();
        let rate_cut =
            !value.is_empty() && rate.len() < value.len() && "GB/s".starts_with(rate) && rate != "GB/s";
        let word = |whole: &str| part(whole) && value != whole;
        word("<inactive>") || word("Inactive") || rate_cut
    });
    let heading = text
        .strip_prefix("GPU")
        .is_some_and(|rest| rest.trim_matches([' ', ':']).bytes().all(|byte| byte.is_ascii_digit()));
    begins || heading || matches!(text, "L" | "Li" | "Lin")
}

/// Returns a line without what mail and comments put before it.
fn plain<'a>(line: &'a Line<'_>) -> &'a str {
    line.text.trim_start_matches([' ', '\t', '>', '#', '*', '|']).trim_end()
}

/// Returns whether a line is a heading with a number that no GPU has.
fn is_heading_of_nobody(line: &Line<'_>) -> bool {
    let index = plain(line).strip_prefix("GPU ").and_then(|rest| rest.split_once(": "));
    index.is_some_and(|(index, _)| !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit()))
}

fn gpu<'a>(line: &'a Line<'_>) -> Option<Heading<'a>> {
    let (index, rest) = plain(line).strip_prefix("GPU ")?.split_once(": ")?;
    let index = number(index)?;
    let found = verdict(rest);
    let end = VERDICTS.iter().filter_map(|words| rest.find(words)).min().filter(|_| found.is_some());
    let rest = &rest[..end.unwrap_or(rest.len())];
    let (model, uuid) = match rest.rsplit_once("(UUID: ") {
        Some((model, uuid)) => (model, Some(uuid.trim_end_matches([' ', ')', ':', '-', ',']))),
        None => (rest, None),
    };
    let model = model.trim_end_matches([' ', '(', ':', '-', ',']).trim();
    Some(Heading { index, model, uuid: uuid.filter(|uuid| !uuid.is_empty()), verdict: found })
}

/// The state of a link.
#[derive(Clone, Debug, PartialEq)]
enum State {
    /// Up, with this bandwidth.
    Rate(Bandwidth),
    Up,
    Down,
    /// Another word for its state.
    Word(String),
}

/// The word for a link that saves power. As NVML's own state for it, it is one of links that are up.
const SLEEP: &str = "sleep";

impl State {
    fn up(&self) -> Option<bool> {
        match self {
            Self::Rate(_) | Self::Up => Some(true),
            Self::Down => Some(false),
            Self::Word(word) => word.eq_ignore_ascii_case(SLEEP).then_some(true),
        }
    }

    fn word(&self) -> Option<&String> {
        if let Self::Word(word) = self { Some(word) } else { None }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate(rate) => write!(f, "{rate}"),
            Self::Up => f.write_str("up"),
            Self::Down => f.write_str("down"),
            Self::Word(word) => f.write_str(word),
        }
    }
}

/// Reads `Link 3: 25.781 GB/s`, `Link 3: <inactive>` or `Link 3: Sleep`. Lines of other questions have numbers or a
/// second colon: `Link 3: Replay Errors: 0`.
fn state(line: &Line<'_>) -> Option<(u32, State)> {
    let (name, value) = plain(line).strip_prefix("Link ")?.split_once(':')?;
    let number = number(name).filter(|number| *number <= MAX_NUMBER)?;
    let value = value.trim();
    if let Some(rate) = value.strip_suffix("GB/s") {
        // Some locales write a comma.
        let rate =
            rate.trim().replace(',', ".").parse::<f64>().ok().filter(|rate| (0.0..1e4).contains(rate))?;
        return Some((number, State::Rate(Bandwidth::from_gb_per_s(rate))));
    }
    let word = value.strip_prefix('<').and_then(|value| value.strip_suffix('>')).unwrap_or(value);
    let of_words = |c: char| c.is_ascii_alphabetic() || matches!(c, ' ' | '-' | '_' | '/');
    if word.is_empty() || word.len() > 40 || !word.chars().all(of_words) {
        return None;
    }
    let state = match &*word.to_ascii_lowercase() {
        "inactive" | "down" | "disabled" | "off" => State::Down,
        "active" | "up" | "enabled" | "on" => State::Up,
        _ => State::Word(word.to_owned()),
    };
    Some((number, state))
}

/// Returns whether a line has the status of a link: a rate, or one word.
fn has_status(line: &Line<'_>) -> bool {
    match state(line) {
        Some((_, State::Word(word))) => !word.contains(' '),
        Some(_) => true,
        None => false,
    }
}

fn port(number: u32, state: &State) -> NvLinkPort {
    let reported = if let State::Rate(rate) = state { Some(*rate) } else { None };
    NvLinkPort { number, up: state.up(), generation: None, reported, far: NvLinkFar::Unknown }
}

fn number(text: &str) -> Option<u32> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}
