//! `show_gids`: a line for each address of a port, with the interface that has it. Only names are read from it: addresses
//! change, and are nobody else's business.

use super::adapters::{Adapters, Tool, port_number, set_interface};
use super::{Place, is_name};
use crate::error::Result;
use crate::model::{LinkLayer, NoteCode};

/// Returns whether a line is of the tool.
pub(super) fn is_sign(text: &str) -> bool {
    is_heading(text) || row(text).is_some() || found(text).is_some()
}

/// Returns whether a line names the columns of its table.
pub(super) fn is_heading(text: &str) -> bool {
    let mut words = text.split_whitespace();
    ["DEV", "PORT", "INDEX", "GID"].into_iter().all(|name| words.next() == Some(name))
}

/// Reads the last line: `n_gids_found=6`.
fn found(text: &str) -> Option<usize> {
    text.strip_prefix("n_gids_found=")?.trim().parse().ok()
}

/// Returns the words of a row, by the address in it: eight groups of four digits.
fn row(text: &str) -> Option<Vec<&str>> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_gid = |word: &&str| {
        let groups: Vec<&str> = word.split(':').collect();
        let is_group = |group: &&str| group.len() == 4 && group.bytes().all(|byte| byte.is_ascii_hexdigit());
        groups.len() == 8 && groups.iter().all(is_group)
    };
    (words.get(3).is_some_and(is_gid) && is_name(words[0])).then_some(words)
}

/// The rows that were read.
#[derive(Default)]
pub(super) struct Gids {
    rows: usize,
    stated: Option<usize>,
}

impl Gids {
    /// Returns whether the tool said how many addresses there are: none is an answer, too.
    pub(super) fn is_complete(&self) -> bool {
        self.stated.is_some()
    }

    /// Takes a line; false where it is none of the tool.
    pub(super) fn feed(&mut self, text: &str, at: Place, adapters: &mut Adapters) -> Result<bool> {
        if let Some(count) = found(text) {
            self.stated = Some(self.stated.unwrap_or_default() + count);
            return Ok(true);
        }
        if is_heading(text) {
            return Ok(true);
        }
        let Some(words) = row(text) else { return Ok(false) };
        self.rows += 1;
        let Some(number) = port_number(words[1]) else {
            return Err(at.error(text, words[1], format!("'{}' is no number of a port", words[1])));
        };
        // An IPv4 address stands before the version only where there is one.
        let is_version = |word: &&&str| word.strip_prefix('v').is_some_and(|rest| rest.len() == 1);
        let version = words[4..].iter().find(is_version).copied();
        let interface = version.and_then(|_| words.last()).filter(|word| Some(**word) != version);
        let port = adapters.of_rdma(Tool::ShowGids, words[0], at)?.port(Some(number));
        // The first version is that of InfiniBand as well.
        if version == Some("v2") {
            port.link_layer.get_or_insert(LinkLayer::Ethernet);
        }
        if let Some(interface) = interface.filter(|word| is_name(word)) {
            set_interface(port, words[0], interface);
        }
        Ok(true)
    }

    /// Notes what is missing.
    pub(super) fn close(&self, adapters: &mut Adapters) {
        match self.stated {
            Some(0) if self.rows == 0 => {
                let text = "show_gids lists no RDMA device: none has an address in this network name space";
                adapters.note(NoteCode::Unknown, text.to_owned());
            }
            Some(stated) if stated != self.rows => {
                let text = format!("show_gids counts {stated} addresses, and the text lists {}", self.rows);
                adapters.note(NoteCode::TextCut, text);
            }
            _ => {}
        }
    }
}
