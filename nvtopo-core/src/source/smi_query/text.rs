//! `nvidia-smi -q` as text: an indented tree of keys and values.

use super::tree::{Item, Items, key};
use super::{Told, gpu, known, number};
use crate::error::{Error, Result};
use crate::ids::PciAddress;
use crate::model::{Fragment, Gpu, NoteCode};
use crate::source::text::{self, Line};
use crate::source::{Input, TextFormat};
use crate::units::count_of;

pub(in crate::source) struct SmiQuery;

impl TextFormat for SmiQuery {
    const NAME: &'static str = "the text of nvidia-smi -q";
    const BEGINNINGS: &'static [&'static str] = &["nvidia-smi", "NVSMI LOG"];

    fn recognizes(input: &Input<'_>) -> bool {
        let mut has_gpu = false;
        input.lines().any(|line| {
            has_gpu |= heading(&line).is_some();
            has_gpu && pair(&line).is_some_and(|pair| pair.is_aligned)
        })
    }

    fn begins(line: &Line<'_>) -> bool {
        heading(line).is_some()
    }

    fn recognizes_part(part: &Input<'_>) -> bool {
        let is_head = |line: &Line<'_>| line.text.contains("NVSMI LOG");
        Self::recognizes(part) || part.lines().any(|line| is_head(&line))
    }

    fn read(bytes: &[u8]) -> Result<Fragment> {
        let (text, damage) = text::decode(bytes);
        let mut reader = Reader::default();
        for line in text::lines(&text) {
            reader.feed(&line)?;
        }
        reader.close()?;
        reader.told.notes.extend(damage.map(|text| crate::model::Note::new(NoteCode::Damage, text)));
        reader.finish()
    }
}

#[derive(Default)]
struct Reader {
    told: Told,
    /// The number of GPUs of the machine.
    attached: Option<u32>,
    /// The GPU of the lines that follow: its address, the indentation of its heading, and its items.
    open: Option<(PciAddress, usize, Items)>,
    /// The line of its heading.
    line: usize,
    /// The positions of the sections that are open, with their indentation.
    sections: Vec<(usize, usize)>,
    /// The first line of a section that stands under no GPU.
    stray: Option<usize>,
}

impl Reader {
    fn feed(&mut self, line: &Line<'_>) -> Result<()> {
        if let Some((indent, address)) = heading(line) {
            self.close()?;
            self.line = line.number;
            self.open = Some((address, indent, Items::default()));
            return Ok(());
        }
        let Some(Pair { indent, key: name, value, .. }) = pair(line) else {
            if is_end(line) {
                self.close()?;
            }
            return Ok(());
        };
        let machine = |wanted: &str| key(name) == wanted && known(value).is_some();
        if self.open.as_ref().is_none_or(|(_, own, _)| indent <= *own) {
            let slot = match () {
                () if machine("driver_version") || machine("kmd_version") => Some(&mut self.told.driver),
                () if machine("cuda_version") || machine("cuda_umd_version") => Some(&mut self.told.cuda),
                () => None,
            };
            if let Some(slot) = slot {
                slot.get_or_insert_with(|| value.to_owned());
            } else if machine("attached_gpus") {
                self.attached = self.attached.or(number(value));
            } else if key(name) == "fabric" || key(name) == "mig_mode" || key(name) == "product_name" {
                self.stray.get_or_insert(line.number);
            }
        }
        if let Some((_, own, items)) = &mut self.open {
            if indent < *own {
                return self.close();
            }
            push(items, &mut self.sections, indent, name, value);
        }
        Ok(())
    }

    /// Takes the GPU that was read.
    fn close(&mut self) -> Result<()> {
        if let Some((address, _, mut items)) = self.open.take() {
            let end = items.0.len();
            for (section, _) in self.sections.drain(..) {
                items.0[section].end = end;
            }
            let told = gpu::read(items.all(), Some(address));
            let is_same = |own: &Gpu| own.address == Some(address);
            let taken = self.told.take(told, &address.to_string(), is_same);
            taken.map_err(|error| error.at(self.line, 1))?;
        }
        self.sections.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<Fragment> {
        let told = &mut self.told;
        if told.gpus.is_empty() {
            return Err(Error::input("no GPU is in it")
                .at(1, 1)
                .help("give the whole text of nvidia-smi -q"));
        }
        if let Some(line) = self.stray {
            let text =
                format!("line {line} tells of a GPU whose line, GPU 00000000:…, is missing; it was left out");
            told.note(NoteCode::TextCut, text);
        }
        number_gpus(told, self.attached);
        Ok(self.told.fragment())
    }
}

/// Numbers the GPUs: they are in the order of their indices, where all of the machine are there.
pub(super) fn number_gpus(told: &mut Told, attached: Option<u32>) {
    let count = told.gpus.len();
    let all = attached.is_none_or(|attached| attached as usize == count);
    let mut minors: Vec<u32> = told.gpus.iter().filter_map(|told| told.gpu.minor).collect();
    minors.sort_unstable();
    minors.dedup();
    let by_minor = !all && minors.len() == count;
    for (told, position) in told.gpus.iter_mut().zip(0..) {
        told.gpu.index = told.gpu.minor.filter(|_| by_minor).unwrap_or(position);
    }
    if let Some(attached) = attached.filter(|_| !all) {
        let by = if by_minor { "the numbers of their device files" } else { "their order" };
        let text = format!(
            "it tells of {} of the machine's {attached}; they are numbered by {by}",
            count_of(count, "GPU")
        );
        told.note(NoteCode::TextCut, text);
    }
}

/// Adds an item below the last one with less indentation.
fn push(items: &mut Items, sections: &mut Vec<(usize, usize)>, indent: usize, name: &str, value: &str) {
    let position = items.0.len();
    while sections.last().is_some_and(|(_, own)| *own >= indent) {
        if let Some((section, _)) = sections.pop() {
            items.0[section].end = position;
        }
    }
    items.0.push(Item { key: key(name), value: value.to_owned(), end: position + 1 });
    sections.push((position, indent));
}

/// A line of a text.
struct Pair<'l> {
    indent: usize,
    key: &'l str,
    /// Empty for a section.
    value: &'l str,
    /// True where the colon stands apart from its key, as nvidia-smi aligns it.
    is_aligned: bool,
}

/// Marks that mail, comments and Markdown put before a line.
const MARKS: [char; 4] = ['>', '#', '|', '*'];

/// Returns the indentation of a line on a screen, and its text.
fn indented<'l>(line: &'l Line<'_>) -> (usize, &'l str) {
    let is_mark = |c: char| c.is_whitespace() || MARKS.contains(&c);
    let mut screen = 0;
    for (place, c) in line.text.char_indices() {
        if !is_mark(c) {
            return (screen, line.text[place..].trim_end());
        }
        screen = if c == '\t' { (screen / 8 + 1) * 8 } else { screen + 1 };
    }
    (screen, "")
}

/// Reads `    Serial Number                         : 1650124031592`, and `    MIG Mode`.
fn pair<'l>(line: &'l Line<'_>) -> Option<Pair<'l>> {
    let (indent, text) = indented(line);
    let (key, value) = match text.split_once(" :").or_else(|| text.split_once(": ")) {
        Some((key, value)) => (key, value.trim()),
        None => (text.strip_suffix(':').unwrap_or(text), ""),
    };
    let (key, is_aligned) = (key.trim_end(), key.contains("  ") || text.contains(" : "));
    let of_key = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '_' | '/' | '.' | '(' | ')' | '\'' | '+')
    };
    let sound =
        key.starts_with(|c: char| c.is_ascii_alphabetic()) && key.len() <= 64 && key.chars().all(of_key);
    sound.then_some(Pair { indent, key, value, is_aligned })
}

/// Reads `GPU 00000000:2A:00.0`, alone in its line.
fn heading(line: &Line<'_>) -> Option<(usize, PciAddress)> {
    let (indent, text) = indented(line);
    let address = text.strip_prefix("GPU ")?.trim().trim_end_matches('\\').trim_end();
    let has_colons = address.matches(':').count() == 2 && address.len() <= 16;
    has_colons.then(|| address.parse().ok()).flatten().map(|address| (indent, address))
}

/// Returns whether a line ends the section of a GPU: a prompt, a rule, or the end of a fence.
fn is_end(line: &Line<'_>) -> bool {
    let (_, text) = indented(line);
    text.starts_with("```")
        || text.contains("$ ")
        || text.starts_with("===")
        || text.starts_with("___")
        || text.starts_with("+--")
}
