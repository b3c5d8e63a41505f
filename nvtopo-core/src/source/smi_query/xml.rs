//! `nvidia-smi -q -x`: the same as XML, alone or between other lines.

use super::text::number_gpus;
use super::tree::{Item, Items};
use super::{Told, gpu, known, number};
use crate::error::Result;
use crate::model::{Fragment, MAX_DEVICES, NoteCode, NoteKind};
use crate::source::xml::{Document, Element};
use crate::source::{TextFormat, text};
use std::borrow::Cow;

/// The name of the root element.
const ROOT: &str = "nvidia_smi_log";

/// The end of the root element.
const END: &str = "</nvidia_smi_log>";

/// The number of bytes in which the root element is searched.
const HEAD: usize = 256 << 10;

pub(in crate::source) struct SmiXml;

impl TextFormat for SmiXml {
    const NAME: &'static str = "the XML of nvidia-smi -q -x";
    const BEGINNINGS: &'static [&'static str] = &["<nvidia_smi_log", "<?xml "];

    fn recognizes(bytes: &[u8]) -> bool {
        start(&text::decode(&bytes[..bytes.len().min(HEAD)]).0).is_some()
    }

    fn read(bytes: &[u8]) -> Result<Fragment> {
        let (text, damage) = text::decode(bytes);
        let document = document(&text);
        let document = Document::parse(&document)?;
        let mut fragment = read(document.root())?;
        if let Some(line) = second(&text) {
            let text = format!("a second document begins in line {line}, and was left out");
            fragment.note(NoteCode::TextCut, text);
        }
        if let Some(damage) = damage {
            fragment.note(NoteKind::Damage, damage);
        }
        Ok(fragment)
    }
}

/// Returns where the root element begins: where no quote stands before it in its line.
fn start(text: &str) -> Option<usize> {
    let (mut seen, mut is_quoted) = (0, false);
    let is_root = |(at, root): &(usize, &str)| {
        let between = &text[seen..*at];
        let line = between.rsplit_once('\n').map(|(_, line)| line);
        is_quoted = line.unwrap_or(between).contains(['"', '\'']) || is_quoted && line.is_none();
        seen = *at;
        !is_quoted && text[at + root.len()..].starts_with([' ', '\t', '\r', '\n', '>', '<'])
    };
    text.match_indices("<nvidia_smi_log").find(is_root).map(|(at, _)| at)
}

/// Returns the line in which a second document begins.
fn second(text: &str) -> Option<usize> {
    let end = text.find(END)? + END.len();
    let next = end + start(&text[end..])?;
    Some(text[..next].matches('\n').count() + 1)
}

/// Returns the document: the text from its declarations on, up to the end of the root element. Blanks keep the places of errors.
fn document(text: &str) -> Cow<'_, str> {
    let Some(root) = start(text) else { return Cow::Borrowed(text) };
    let end = text[root..].find(END).map_or(text.len(), |end| root + end + END.len());
    // A document type could declare entities, which are refused.
    let declared = text[..root].find("<!DOCTYPE").unwrap_or(root);
    if text[..declared].trim().is_empty() && text[end..].trim().is_empty() {
        return Cow::Borrowed(text);
    }
    let blank = text[..declared].chars().map(|c| if c == '\n' { '\n' } else { ' ' });
    Cow::Owned(blank.chain(text[declared..end].chars()).collect())
}

fn read(root: Element<'_>) -> Result<Fragment> {
    if !root.is(ROOT) {
        return Err(root.error(format!("the root of the XML is not that of nvidia-smi, {ROOT}")));
    }
    let value = |name: &str| {
        let own = root.children().find(|child| child.is(name))?;
        known(own.text()).map(|text| text.trim_end().to_owned())
    };
    let mut told = Told {
        driver: value("driver_version").or_else(|| value("kmd_version")),
        cuda: value("cuda_version").or_else(|| value("cuda_umd_version")),
        ..Told::default()
    };
    for element in root.children().filter(|child| child.is("gpu")) {
        if told.gpus.len() >= MAX_DEVICES {
            return Err(element.error(format!("it names more than {MAX_DEVICES} GPUs")));
        }
        let address = match element.attribute("id") {
            Some(id) => {
                Some(id.parse().map_err(|_| element.error_at("id", format!("'{id}' is not a PCI address")))?)
            }
            None => None,
        };
        let mut items = Items::default();
        fill(&mut items, element);
        told.gpus.push(gpu::read(items.all(), address));
    }
    if told.gpus.is_empty() {
        return Err(root.error("no GPU is in it").help("give the whole XML of nvidia-smi -q -x"));
    }
    number_gpus(&mut told, value("attached_gpus").and_then(|count| number(&count)));
    Ok(told.fragment())
}

/// Adds what is inside an element. The document limits the depth.
fn fill(items: &mut Items, element: Element<'_>) {
    for child in element.children() {
        let position = items.0.len();
        let item = Item {
            key: child.name().to_ascii_lowercase(),
            value: child.text().trim_end().to_owned(),
            end: 0,
        };
        items.0.push(item);
        fill(items, child);
        items.0[position].end = items.0.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_cut_out_with_their_places() {
        let text = "$ nvidia-smi -q -x\n<?xml?>\n<!DOCTYPE nvidia_smi_log SYSTEM \"a\">\n<nvidia_smi_log>\n</nvidia_smi_log>\n$";
        let cut = document(text);
        assert!(cut.trim_start().starts_with("<!DOCTYPE") && cut.ends_with("</nvidia_smi_log>"));
        assert_eq!(cut.find("<nvidia_smi_log>"), text.find("<nvidia_smi_log>"));
        assert_eq!(document("<nvidia_smi_log/>"), "<nvidia_smi_log/>");
    }
}
