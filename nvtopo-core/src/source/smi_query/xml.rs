//! `nvidia-smi -q -x`: the same as XML, alone or between other lines.

use super::text::number_gpus;
use super::tree::{Item, Items};
use super::{Told, gpu, known, number};
use crate::error::{Error, Result};
use crate::model::{Fragment, Gpu, NoteCode, NoteKind};
use crate::source::xml::{Document, Element, pasted};
use crate::source::{Input, TextFormat, text};

/// The name of the root element.
const ROOT: &str = "nvidia_smi_log";

/// The end of the root element.
const END: &str = "</nvidia_smi_log>";

/// The end of a GPU.
const GPU_END: &str = "</gpu>";

/// The number of bytes in which the root element is searched.
const HEAD: usize = 256 << 10;

pub(in crate::source) struct SmiXml;

impl TextFormat for SmiXml {
    const NAME: &'static str = "the XML of nvidia-smi -q -x";
    const BEGINNINGS: &'static [&'static str] = &["<nvidia_smi_log", "<?xml "];

    fn recognizes(input: &Input<'_>) -> bool {
        pasted::start(&input.head(HEAD), ROOT).is_some()
    }

    fn read(bytes: &[u8]) -> Result<Fragment> {
        let (text, damage) = text::decode(bytes);
        let start = pasted::start(&text, ROOT).unwrap_or_default();
        let shown = whole_gpus(&text, start)?;
        let document = pasted::document(shown.as_deref().unwrap_or(&text), ROOT, start);
        let document = Document::parse(&document)?;
        let mut fragment = read(document.root())?;
        if let Some(shown) = &shown {
            let line = shown.matches('\n').count() + 1;
            let text =
                format!("the XML is cut; what follows its last whole GPU, in line {line}, was left out");
            fragment.note(NoteCode::TextCut, text);
        }
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

/// Returns a document that is cut with its whole GPUs alone; `None` where it is not cut.
fn whole_gpus(text: &str, start: usize) -> Result<Option<String>> {
    let document = &text[start..];
    if document.contains(END) {
        return Ok(None);
    }
    match (document.rfind(GPU_END), document.find("<gpu ")) {
        (Some(last), _) => Ok(Some([&text[..start + last + GPU_END.len()], END].concat())),
        (None, Some(_)) => Err(Error::input("the XML ends within its first GPU")
            .at_byte(text, text.trim_end().len())
            .help("give the whole XML of nvidia-smi -q -x")),
        (None, None) => Ok(None),
    }
}

/// Returns the line in which a second document begins.
fn second(text: &str) -> Option<usize> {
    let end = text.find(END)? + END.len();
    let next = end + pasted::start(&text[end..], ROOT)?;
    Some(text[..next].matches('\n').count() + 1)
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
        let address = match element.attribute("id") {
            Some(id) => {
                Some(id.parse().map_err(|_| element.error_at("id", format!("'{id}' is not a PCI address")))?)
            }
            None => None,
        };
        let mut items = Items::default();
        fill(&mut items, element);
        let own = gpu::read(items.all(), address);
        let (address, uuid) = (own.gpu.address, own.gpu.uuid);
        let name = address.map_or_else(String::new, |address| address.to_string());
        let is_same = |other: &Gpu| match address.zip(other.address) {
            Some((own, other)) => own == other,
            None => uuid.is_some() && uuid == other.uuid,
        };
        told.take(own, &name, is_same).map_err(|error| element.locate(error))?;
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
