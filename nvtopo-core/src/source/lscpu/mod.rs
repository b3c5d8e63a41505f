//! The outputs of `lscpu`: the summary, the tables of `-e` and `-p`, and the JSON of both.
//!
//! A table tells the core, socket, NUMA node and caches of each CPU. The summary counts them, and lists the CPUs of NUMA
//! nodes; sockets and cores follow from that on some machines ([`summary`]). Both may stand in one text.

mod build;
mod json;
mod summary;
mod table;
mod words;

use super::plain::plain;
use super::text;
use super::{Input, TextFormat};
use crate::error::{Error, Result};
use crate::model::{Fragment, Note, NoteCode};
use build::Cpus;

pub(super) struct Lscpu;

impl TextFormat for Lscpu {
    const NAME: &'static str = "the text of lscpu";
    const BEGINNINGS: &'static [&'static str] =
        &["lscpu", "Architecture:", "Architektur:", "架构：", "# The following is the parsable format"];

    fn recognizes(input: &Input<'_>) -> bool {
        input.lines().any(|line| {
            let text = plain(&line).0;
            summary::is_sign(text) || table::heading(text).is_some()
        })
    }

    fn read(bytes: &[u8]) -> Result<Fragment> {
        let (text, damage) = text::decode(bytes);
        let (mut summary, mut table) = (summary::Summary::default(), table::Table::default());
        for line in text::lines(&text) {
            if !table.feed(&line)? {
                summary.feed(&line)?;
            }
        }
        fragment(summary, table, damage)
    }
}

/// The JSON of `lscpu -J`, and of `lscpu -e -J`.
pub(super) struct LscpuJson;

impl TextFormat for LscpuJson {
    const NAME: &'static str = "the JSON of lscpu";

    fn recognizes(input: &Input<'_>) -> bool {
        json::is_it(input.bytes())
    }

    fn read(bytes: &[u8]) -> Result<Fragment> {
        let (summary, table) = json::read(bytes)?;
        fragment(summary, table, None)
    }
}

fn fragment(summary: summary::Summary, table: table::Table, damage: Option<String>) -> Result<Fragment> {
    let (mut notes, facts) = summary.close();
    notes.extend(damage.map(|text| Note::new(NoteCode::Damage, text)));
    let mut cpus = Cpus::default();
    if table.is_empty() {
        summary::conclude(&facts, &mut cpus, &mut notes);
    } else {
        table.fill(&mut cpus);
    }
    if cpus.online.is_empty() && facts.nodes.is_empty() {
        return Err(Error::input("the text of lscpu lists no CPUs")
            .at(1, 1)
            .help("give all that lscpu prints, or the table of lscpu -e"));
    }
    let mut fragment = build::fragment(cpus, &facts);
    fragment.notes.append(&mut notes);
    Ok(fragment)
}
