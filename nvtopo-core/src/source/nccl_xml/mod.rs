//! NCCL's XML: the topology of a machine (`NCCL_TOPO_FILE`, `NCCL_TOPO_DUMP_FILE`), as NCCL and AMD's RCCL read and write it,
//! and the plan that NCCL made for it (`NCCL_GRAPH_DUMP_FILE`).
//!
//! NCCL's tree has no host bridges: what hangs directly on a `cpu`, which is a NUMA node, is below different root ports.
//! A file that a maker of machines ships tells PCIe only; NCCL asks the driver for GPUs and their NVLinks. Parts of dumps,
//! as people paste them, are read as far as they go ([`repair`]).
//!
//! Source of the format: `src/graph/xml.cc` and `topo.cc` of NCCL.

mod element;
mod graphs;
mod links;
mod nvlink;
mod read;
mod repair;
pub(super) mod write;

use super::xml::{self, Document, pasted};
use super::{Input, TextFormat, text};
use crate::error::Result;
use crate::model::{Fragment, NoteCode, NoteKind};
use std::borrow::Cow;

/// The number of bytes in which the root element is searched.
const HEAD: usize = 4 << 10;

/// The number of bytes in which parts of a file are searched.
const PASTED_HEAD: usize = 256 << 10;

/// The names of the root elements.
const ROOT: &str = "system";
const GRAPHS: &str = "graphs";

/// The words that begin a topology among other lines. A part of one has no such word: it reaches from where other outputs end.
const BEGINNINGS: [&str; 2] = ["<system version", "<system>"];

/// The text by which NCCL hides the other end of an NVLink; the spelling differs between versions.
const HIDDEN: &str = "fffffff:";

/// The topology of a machine.
pub(super) struct NcclXml;

impl TextFormat for NcclXml {
    const NAME: &'static str = "NCCL topology XML";
    const BEGINNINGS: &'static [&'static str] = &BEGINNINGS;

    fn recognizes(input: &Input<'_>) -> bool {
        root(input).as_deref() == Some(ROOT)
    }

    fn read(bytes: &[u8]) -> Result<Fragment> {
        let (text, note) = text::decode(bytes);
        let own = whole(&text, ROOT);
        let mut fragment = match Document::parse(&own) {
            Ok(document) => read::fragment(document.root())?,
            Err(error) => part(&text).unwrap_or(Err(error))?,
        };
        if let Some(note) = note {
            fragment.note(NoteKind::Damage, note);
        }
        Ok(fragment)
    }
}

/// The plan that NCCL made.
pub(super) struct NcclGraphs;

impl TextFormat for NcclGraphs {
    const NAME: &'static str = "NCCL graph XML";
    const BEGINNINGS: &'static [&'static str] = &["<graphs"];

    fn recognizes(input: &Input<'_>) -> bool {
        root(input).as_deref() == Some(GRAPHS)
    }

    fn read(bytes: &[u8]) -> Result<Fragment> {
        let (text, _) = text::decode(bytes);
        graphs::fragment(Document::parse(&whole(&text, GRAPHS))?.root())
    }
}

/// A part of NCCL's topology, as people paste it from a dump or a log.
pub(super) struct PastedXml;

impl TextFormat for PastedXml {
    const NAME: &'static str = "a part of NCCL topology XML";
    const BEGINNINGS: &'static [&'static str] = &BEGINNINGS;

    fn recognizes(input: &Input<'_>) -> bool {
        let head = input.head(PASTED_HEAD);
        ["<pci busid=", "<cpu numaid=", "<cpu host_hash=", "<nvlink target=", "<xgmi target="]
            .iter()
            .any(|start| head.contains(start))
    }

    fn read(bytes: &[u8]) -> Result<Fragment> {
        NcclXml::read(bytes)
    }
}

/// Returns the document of a root element, where it is whole: other lines may stand around it.
fn whole<'t>(text: &'t str, root: &str) -> Cow<'t, str> {
    let start = pasted::start(text, root).filter(|start| text[*start..].contains(&format!("</{root}>")));
    start.map_or(Cow::Borrowed(text), |start| pasted::document(text, root, start))
}

/// Returns the name of the root element of a text that starts with one.
fn root(input: &Input<'_>) -> Option<String> {
    let head = input.head(HEAD);
    // Makers of machines start with a comment, which may be longer than most texts.
    let start = head.trim_start_matches('\u{feff}').trim_start();
    if !start.starts_with('<') {
        return None;
    }
    xml::root_name(start).map(str::to_owned)
}

/// Reads a text that is no whole document; `None` where nothing of NCCL's is in it, or where it declares entities.
fn part(text: &str) -> Option<Result<Fragment>> {
    if text.contains("<!DOCTYPE") || text.contains("<!ENTITY") {
        return None;
    }
    let repaired = repair::repair(text)?;
    let read = |text: &str| read::fragment(Document::parse(text)?.root());
    Some(read(&repaired.text).map(|mut fragment| {
        fragment.note(NoteCode::TextCut, repaired.note);
        fragment
    }))
}

/// Returns a value that a message may quote: the start of it.
fn short(value: &str) -> Cow<'_, str> {
    match value.char_indices().nth(40) {
        Some((end, _)) => Cow::Owned(format!("{}…", &value[..end])),
        None => Cow::Borrowed(value),
    }
}
