//! The outputs of tools that list RDMA devices and network interfaces: `ibdev2netdev`, `rdma link` and `rdma dev`,
//! `ibstat`, `ibstatus`, `ibv_devinfo`, `show_gids`, `ethtool` and `mst status -v`.
//!
//! Each tells a part of what is known of an adapter: its name, its place, its ports, its interfaces. All are read by one
//! reader, since people put several into one text. [`adapters`] joins what is of one adapter.

mod adapters;
mod ethtool;
mod gids;
mod ibdev2netdev;
mod ibstat;
mod json;
mod link;
mod mst;

use super::folder::check_prompts;
use super::plain::{is_ellipsis, plain};
use super::text::{self, Line};
use super::{Input, TextFormat};
use crate::error::{Error, Result};
use crate::model::{Fragment, Note, NoteCode};
use adapters::Adapters;

/// The texts of these tools.
pub(super) struct RdmaTools;

impl TextFormat for RdmaTools {
    const NAME: &'static str = "the text of ibdev2netdev, rdma, ibstat, ibv_devinfo, show_gids or ethtool";
    const BEGINNINGS: &'static [&'static str] = &[
        "ibdev2netdev",
        "rdma link",
        "ibstat",
        "ibv_devinfo",
        "show_gids",
        "ethtool",
        "mst status",
        "CA '",
        "hca_id:",
    ];

    fn recognizes(input: &Input<'_>) -> bool {
        input.lines().any(|line| {
            let text = plain(&line).0;
            ibdev2netdev::is_sign(text)
                || link::is_sign(text)
                || ibstat::is_sign(text)
                || gids::is_sign(text)
                || ethtool::is_sign(text)
                || mst::is_sign(text)
        })
    }

    /// Lines of tables name their tool only above them, where people leave it out.
    fn begins(line: &Line<'_>) -> bool {
        let text = plain(line).0;
        ibdev2netdev::is_sign(text) || link::is_sign(text) || gids::is_heading(text)
    }

    fn read(bytes: &[u8]) -> Result<Fragment> {
        let (text, damage) = text::decode(bytes);
        check_prompts(&text)?;
        let mut reader = Reader::default();
        for line in text::lines(&text) {
            reader.feed(&line)?;
        }
        reader.gids.close(&mut reader.adapters);
        reader.adapters.notes.extend(damage.map(|text| Note::new(NoteCode::Damage, text)));
        let is_empty = reader.adapters.is_empty() && !reader.gids.is_complete();
        if is_empty {
            return Err(Error::input("it names no RDMA device and no network interface").at(1, 1));
        }
        Ok(reader.adapters.fragment())
    }
}

/// The JSON of `rdma -j link` and `rdma -j dev`.
pub(super) struct RdmaJson;

impl TextFormat for RdmaJson {
    const NAME: &'static str = "the JSON of rdma link";

    fn recognizes(input: &Input<'_>) -> bool {
        json::is_it(input.bytes())
    }

    fn read(bytes: &[u8]) -> Result<Fragment> {
        json::read(bytes).map(Adapters::fragment)
    }
}

/// Takes lines, and asks each tool whether they are of its output.
#[derive(Default)]
struct Reader {
    adapters: Adapters,
    blocks: ibstat::Blocks,
    gids: gids::Gids,
    ethtool: ethtool::Ethtool,
    mst: mst::Mst,
}

impl Reader {
    fn feed(&mut self, line: &Line<'_>) -> Result<()> {
        let (text, column) = plain(line);
        let at = Place { line: line.number, column };
        let adapters = &mut self.adapters;
        if ibdev2netdev::feed(text, at, adapters)?
            || link::feed(text, at, adapters)?
            || self.gids.feed(text, at, adapters)?
            || self.mst.feed(text, at, adapters)?
        {
            self.blocks.close();
            self.ethtool.close();
        } else if self.blocks.feed(text, at, adapters)? {
            self.ethtool.close();
        } else if self.ethtool.feed(text, at, adapters)? {
            self.blocks.close();
        } else if is_ellipsis(text) {
            let text = format!("the text leaves lines out at line {}", line.number);
            self.adapters.note(NoteCode::TextCut, text);
        }
        Ok(())
    }
}

/// The place of a line in the text, for errors.
#[derive(Clone, Copy)]
struct Place {
    line: usize,
    column: usize,
}

impl Place {
    /// Returns an error about a word of the line.
    fn error(self, text: &str, word: &str, what: impl Into<String>) -> Error {
        let before = (word.as_ptr() as usize).checked_sub(text.as_ptr() as usize);
        let before = before.and_then(|before| text.get(..before)).map_or(0, |before| before.chars().count());
        Error::input(what).at(self.line, self.column + before)
    }
}

/// The longest name of a device or interface; the kernel's have 63 characters.
const MAX_NAME: usize = 64;

/// Returns whether a word may be the name of a device or interface.
fn is_name(word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || "_-.@:".contains(c);
    (1..=MAX_NAME).contains(&word.len()) && word.chars().all(part)
}
