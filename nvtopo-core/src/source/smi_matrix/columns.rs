//! The header: the columns of devices, and those beside the matrix.

use super::cell;
use crate::error::{Error, Result};
use crate::model::MAX_DEVICES;
use crate::source::plain::{is_number, number};
use crate::source::text::Token;
use std::collections::BTreeMap;

/// The content of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// The names of the rows; only in tables with bars, elsewhere they come first.
    Label,
    /// The cells of a device, by its number among the devices.
    Device(usize),
    /// `CPU Affinity`.
    Cpus,
    /// `NUMA Affinity`.
    Nodes,
    /// `GPU NUMA ID`.
    MemoryNode,
    /// Something that is not known here.
    Other,
}

/// The columns of the matrix.
#[derive(Debug, Default)]
pub(super) struct Columns {
    pub(super) kinds: Vec<Column>,
    /// The screen columns at which the names start; empty without a header.
    pub(super) starts: Vec<usize>,
    /// The devices, in the order of their columns. `None`: no name is known (yet).
    pub(super) names: Vec<Option<String>>,
    numbers: BTreeMap<String, usize>,
    /// The headings of columns that are not known here.
    pub(super) left_out: Vec<String>,
    pub(super) fielded: bool,
}

/// The headings beside the matrix, in lower case: those of the driver, and those that people write in their place. The
/// longer of two that begin alike stands first.
const HEADINGS: [(&[&str], Column); 12] = [
    (&["gpu", "numa", "id"], Column::MemoryNode),
    (&["cpu", "affinity"], Column::Cpus),
    (&["cpu", "list"], Column::Cpus),
    (&["cpu"], Column::Cpus),
    (&["cpus"], Column::Cpus),
    (&["cpu(s)"], Column::Cpus),
    (&["numa", "affinity"], Column::Nodes),
    (&["numa", "node"], Column::Nodes),
    (&["numa", "nodes"], Column::Nodes),
    (&["numa", "node(s)"], Column::Nodes),
    (&["numa"], Column::Nodes),
    (&["numanode"], Column::Nodes),
];

/// The prefixes of RDMA devices' names that the kernel's drivers give.
const RDMA: [&str; 21] = [
    "mlx4_", "mlx5_", "mthca", "bnxt_re", "hfi1_", "irdma", "i40iw", "qedr", "qib", "cxgb4_", "hns_",
    "mana_", "erdma_", "efa_", "rdmap", "roce", "ibp", "usnic_", "rxe", "siw", "ionic_",
];

/// Returns the number of a GPU from its name.
pub(super) fn gpu_index(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("GPU")?;
    number(digits).filter(|_| digits == "0" || !digits.starts_with('0'))
}

/// Returns whether a NIC's name is that of an RDMA device.
pub(super) fn is_rdma(name: &str) -> bool {
    name.ends_with(|c: char| c.is_ascii_digit()) && RDMA.iter().any(|prefix| name.starts_with(prefix))
}

/// Returns whether the text is surely a device: a GPU, a NIC, an RDMA device.
pub(super) fn is_device(text: &str) -> bool {
    gpu_index(text).is_some() || text.strip_prefix("NIC").is_some_and(is_number) || is_rdma(text)
}

/// Returns the device's name at the end of a token, after a comment mark or a tag that was glued to it.
pub(super) fn bare(text: &str) -> &str {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let end = text.trim_end_matches(['*', '`', char::REPLACEMENT_CHARACTER]);
    end.rfind(|c: char| !part(c)).map_or(end, |at| {
        let next = end[at..].chars().next().map_or(1, char::len_utf8);
        &end[at + next..]
    })
}

/// Returns whether the text may be the name of a device, of any kind.
pub(super) fn could_be_device(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.ends_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

/// Returns whether a heading beside the matrix may begin or go on with the word.
fn is_heading_word(text: &str) -> bool {
    matches!(text, "CPU" | "CPUs" | "CPU(s)" | "NUMA" | "GPU" | "ID" | "Affinity")
}

/// Returns whether the words can stand in a header by themselves.
pub(super) fn is_header_part(text: &str) -> bool {
    could_be_device(text) || is_heading_word(text)
}

/// Returns whether the text is the start of a word of the header.
pub(super) fn is_cut_part(text: &str) -> bool {
    ["CPU", "NUMA", "GPU", "ID", "Affinity", "NIC"].iter().chain(&RDMA).any(|word| word.starts_with(text))
}

/// Returns the part of a line that is a header, if it is one: from the first device on, and no cell among it.
pub(super) fn header(tokens: &[Token], fielded: bool) -> Option<Vec<Token>> {
    let first_gpu = tokens.iter().position(|token| starts_with_gpu(bare(&token.text)))?;
    if tokens.iter().any(|token| cell::is_word(&token.text)) {
        return None;
    }
    if fielded {
        return Some(tokens.to_vec());
    }
    let before = tokens[..first_gpu].iter().rev().take_while(|token| is_device(&token.text)).count();
    let (others, tokens) = tokens.split_at(first_gpu - before);
    // A line of something else may name a GPU at its end, as in a comment behind it.
    let is_worded = |token: &Token| token.text.contains(char::is_alphanumeric);
    let mut worded = others.iter().skip_while(|token| !is_worded(token)).peekable();
    if worded.peek().is_some() && (tokens.len() == 1 || worded.any(|token| token.text.starts_with('#'))) {
        return None;
    }
    let mut kept = split_names(tokens);
    let first = kept.first_mut()?;
    first.text = bare(&first.text).to_owned();
    let sound = kept.get(1).is_none_or(|next| is_header_part(&next.text));
    sound.then_some(kept)
}

/// Returns the words of a heading, in lower case.
fn words(token: &Token) -> impl Iterator<Item = String> {
    token.text.split_whitespace().map(str::to_ascii_lowercase)
}

/// Returns whether the first word is a heading by itself: what follows is further away, or begins another column.
fn stands_alone(tokens: &[Token]) -> bool {
    tokens.get(1).is_none_or(|next| {
        !next.close || is_device(&next.text) || matches!(next.text.as_str(), "CPU" | "NUMA" | "GPU")
    })
}

fn starts_with_gpu(text: &str) -> bool {
    text.strip_prefix("GPU").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Takes names apart that were run together: `GPU0GPU1`, `NIC3CPU Affinity`, `AffinityNUMA Affinity`.
fn split_names(tokens: &[Token]) -> Vec<Token> {
    let mut parts = Vec::with_capacity(tokens.len());
    for token in tokens {
        let mut starts: Vec<usize> = ["GPU", "NIC", "CPU", "NUMA"]
            .iter()
            .chain(&RDMA)
            .flat_map(|prefix| token.text.match_indices(prefix))
            .map(|(at, _)| at)
            .filter(|at| {
                let before = &token.text[..*at];
                before.ends_with("Affinity") || before.ends_with(|c: char| c.is_ascii_digit())
            })
            .collect();
        starts.sort_unstable();
        starts.dedup();
        let mut from = 0;
        for to in starts.into_iter().chain([token.text.len()]) {
            let mut part = token.clone();
            token.text[from..to].clone_into(&mut part.text);
            part.column += from;
            part.screen += from;
            part.close &= from == 0;
            parts.push(part);
            from = to;
        }
    }
    parts
}

impl Columns {
    /// Returns the columns that a header names.
    pub(super) fn from_header(tokens: &[Token], fielded: bool) -> Result<Self> {
        let mut columns = Self { fielded, ..Self::default() };
        let mut index = 0;
        let mut label = None;
        while let Some(token) = tokens.get(index) {
            let (kind, used) = columns.kind(&tokens[index..]);
            let heading = || {
                let words: Vec<&str> =
                    tokens[index..].iter().take(used).map(|token| token.text.as_str()).collect();
                words.join(" ")
            };
            match kind {
                Column::Device(_) => columns.name(token)?,
                // Of several columns before the devices, the labels are in the last.
                Column::Label => columns.left_out.extend(label.replace(heading())),
                Column::Other => columns.left_out.push(heading()),
                _ => {}
            }
            columns.kinds.push(kind);
            columns.starts.push(token.screen);
            index += used;
        }
        columns.left_out.retain(|heading| !heading.is_empty());
        Ok(columns)
    }

    /// Returns the columns of a matrix without a header: some number of devices, and of cells after them.
    pub(super) fn nameless(devices: usize, others: usize) -> Self {
        let after = [Column::Cpus, Column::Nodes, Column::MemoryNode];
        let after = after.into_iter().chain(std::iter::repeat(Column::Other)).take(others);
        Self {
            kinds: (0..devices).map(Column::Device).chain(after).collect(),
            names: vec![None; devices],
            ..Self::default()
        }
    }

    /// Returns the number of a device by its name.
    pub(super) fn number(&self, name: &str) -> Option<usize> {
        self.numbers.get(name).copied()
    }

    /// Gives a nameless device its name. `false` when the name is taken.
    pub(super) fn set_name(&mut self, device: usize, name: &str) -> bool {
        let free = !self.numbers.contains_key(name) && self.names[device].is_none();
        if free {
            self.numbers.insert(name.to_owned(), device);
            self.names[device] = Some(name.to_owned());
        }
        free
    }

    /// Returns the number of columns that are devices.
    pub(super) fn devices(&self) -> usize {
        self.kinds.iter().filter(|kind| matches!(kind, Column::Device(_))).count()
    }

    pub(super) fn has(&self, kind: Column) -> bool {
        self.kinds.contains(&kind)
    }

    /// Returns the next column, and the number of tokens in its name.
    fn kind(&self, tokens: &[Token]) -> (Column, usize) {
        for (heading, kind) in HEADINGS {
            if self.fielded && words(&tokens[0]).eq(heading.iter().copied()) {
                return (kind, 1);
            }
            let mut spelled = tokens.iter().take(heading.len());
            let is_it = !self.fielded
                && tokens.len() >= heading.len()
                && heading
                    .iter()
                    .all(|word| spelled.next().is_some_and(|token| token.text.eq_ignore_ascii_case(word)));
            if is_it && (heading.len() > 1 || stands_alone(tokens)) {
                return (kind, heading.len());
            }
        }
        let text = &tokens[0].text;
        if self.fielded {
            let before = self.names.is_empty();
            return match () {
                () if could_be_device(text) => (Column::Device(self.names.len()), 1),
                () if before => (Column::Label, 1),
                () => (Column::Other, 1),
            };
        }
        // Before the affinities stand devices, whatever their names; after them, what later drivers added.
        let affinity = self.kinds.iter().any(|kind| !matches!(kind, Column::Device(_)));
        if !affinity && !is_heading_word(text) || is_device(text) {
            return (Column::Device(self.names.len()), 1);
        }
        let more = tokens[1..].iter().take_while(|token| token.close && !is_device(&token.text));
        let more = more.take_while(|token| !matches!(token.text.as_str(), "CPU" | "NUMA" | "GPU")).count();
        (Column::Other, 1 + more)
    }

    fn name(&mut self, token: &Token) -> Result<()> {
        let number = self.names.len();
        if number == MAX_DEVICES {
            let message = format!("the header names more than {MAX_DEVICES} GPUs and NICs");
            return Err(Error::input(message).at(token.line, token.column));
        }
        if self.numbers.insert(token.text.clone(), number).is_some() {
            let message = format!("the header names {} twice", token.text);
            return Err(Error::input(message).at(token.line, token.column));
        }
        self.names.push(Some(token.text.clone()));
        Ok(())
    }
}
