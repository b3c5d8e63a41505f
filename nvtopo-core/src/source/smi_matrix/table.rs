//! From rows to a symmetric table: which token is which cell, and whether both halves agree.

use super::cell::{self, EXPECTED, Word};
use super::columns::{Column, Columns, gpu_index, is_rdma};
use super::reader::RawRow;
use super::text::Token;
use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// A cell and its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub(super) word: Word,
    line: u32,
    column: u32,
}

/// A row that was read.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) line: usize,
    /// By device; `None` where the text was cut.
    pub(super) cells: Vec<Option<Cell>>,
    /// What stands under `CPU Affinity`, `NUMA Affinity` and `GPU NUMA ID`. `None`: the text was cut before it.
    pub(super) affinities: [Option<String>; 3],
    tokens: Vec<String>,
}

/// The columns of [`Row::affinities`].
pub(super) const AFFINITIES: [Column; 3] = [Column::Cpus, Column::Nodes, Column::MemoryNode];

/// What the text says, row by row.
#[derive(Debug, Default)]
pub(super) struct Matrix {
    pub(super) columns: Option<Columns>,
    pub(super) rows: Vec<Option<Row>>,
    /// Which matrix a command line asks for, where the text shows one.
    pub(super) pci_only: Option<bool>,
    /// Whether the legend explains `NV#`.
    pub(super) lists_nvlink: bool,
    /// RDMA devices by the names of NICs.
    pub(super) rdma: BTreeMap<String, String>,
    pub(super) damages: Vec<String>,
    more_damages: usize,
    /// Whether the last row's line was ended.
    pub(super) terminated: bool,
    /// The device whose row ends the text, and the column of its last token.
    pub(super) tail: Option<(usize, usize)>,
    wrapped: (usize, usize),
    /// Damaged cells by row and device, which the other half of the matrix has to tell.
    garbled: Vec<(usize, usize, Token)>,
}

/// The words of all pairs of devices.
#[derive(Debug)]
pub(super) struct Pairs {
    devices: usize,
    words: Vec<Word>,
}

impl Pairs {
    /// The word of two devices, in either order.
    pub(super) fn word(&self, a: usize, b: usize) -> Word {
        self.words[a * self.devices + b]
    }

    pub(super) fn len(&self) -> usize {
        self.devices
    }

    /// Whether any cell has this word.
    pub(super) fn any(&self, test: impl Fn(Word) -> bool) -> bool {
        self.words.iter().any(|word| test(*word))
    }
}

impl Matrix {
    pub(super) fn set_columns(&mut self, columns: Columns) {
        self.rows = columns.names.iter().map(|_| None).collect();
        self.columns = Some(columns);
    }

    /// Remembers damage; beyond a few, only how much.
    pub(super) fn damage(&mut self, text: String) {
        if self.damages.len() < 16 { self.damages.push(text) } else { self.more_damages += 1 }
    }

    pub(super) fn wrapped(&mut self, line: usize) {
        let (count, first) = self.wrapped;
        self.wrapped = (count + 1, if first == 0 { line } else { first });
    }

    /// The damage that was met, in words.
    pub(super) fn all_damages(&self) -> Vec<String> {
        let mut damages = self.damages.clone();
        let (count, first) = self.wrapped;
        if count > 0 {
            damages.push(format!("{count} rows are broken over two lines or more, first in line {first}"));
        }
        if self.more_damages > 0 {
            damages.push(format!("there is more damage, in {} places", self.more_damages));
        }
        damages
    }

    /// What a legend says of a NIC.
    pub(super) fn name_nic(&mut self, name: &str, device: &str) {
        let number = self.columns.as_ref().and_then(|columns| columns.number(name));
        let plain = device.starts_with(|c: char| c.is_ascii_alphabetic())
            && device.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
        if number.is_some() && gpu_index(name).is_none() && plain && !cell::is_word(device) {
            self.rdma.entry(name.to_owned()).or_insert_with(|| device.to_owned());
        }
    }

    /// The RDMA device of a NIC: from the legend, or from its own name.
    pub(super) fn rdma_device(&self, name: &str) -> Option<String> {
        self.rdma.get(name).cloned().or_else(|| is_rdma(name).then(|| name.to_owned()))
    }

    /// Both halves of the matrix as one, which must agree.
    pub(super) fn pairs(&mut self) -> Result<Pairs> {
        let devices = self.rows.len();
        for (row, device, token) in &self.garbled {
            let mirror = self.rows[*device].as_ref().and_then(|row_of| row_of.cells[*row]);
            if is_garbled(&token.text) && mirror.is_none() {
                return unknown_word(token);
            }
        }
        let mut words = vec![Word::Unknown; devices * devices];
        let mut dropped = Vec::new();
        for a in 0..devices {
            words[a * devices + a] = Word::Own;
            for b in a + 1..devices {
                let cell = |a: usize, b: usize| self.rows[a].as_ref().and_then(|row| row.cells[b]);
                let word = match (cell(a, b), cell(b, a)) {
                    (Some(one), Some(other)) => self.agree((a, b, one), (b, a, other))?,
                    (Some(only), None) => self.alone(a, b, only, &mut dropped),
                    (None, Some(only)) => self.alone(b, a, only, &mut dropped),
                    (None, None) => Word::Unknown,
                };
                words[a * devices + b] = word;
                words[b * devices + a] = word;
            }
        }
        self.damages.append(&mut dropped);
        Ok(Pairs { devices, words })
    }

    pub(super) fn name(&self, device: usize) -> &str {
        let names = self.columns.as_ref().map(|columns| &columns.names);
        names.and_then(|names| names.get(device)?.as_deref()).unwrap_or("?")
    }

    fn is_tail(&self, row: usize, device: usize) -> bool {
        let kind =
            |column: usize| self.columns.as_ref().and_then(|columns| columns.kinds.get(column).copied());
        self.tail.is_some_and(|(tail, column)| tail == row && kind(column) == Some(Column::Device(device)))
    }

    fn agree(&self, one: (usize, usize, Cell), other: (usize, usize, Cell)) -> Result<Word> {
        let (first, second) = if other.2.line < one.2.line { (other, one) } else { (one, other) };
        match (first.2.word, second.2.word) {
            (a, b) if a == b => Ok(a),
            (Word::Unknown, word) | (word, Word::Unknown) => Ok(word),
            // The text ends within the cell.
            (a, b) if self.is_tail(second.0, second.1) && a.text().starts_with(&b.text()) => Ok(a),
            (a, b) => {
                let (row, column) = (self.name(second.0), self.name(second.1));
                let message = format!(
                    "the matrix is not symmetric: {row} to {column} is {} here, and {} in line {}",
                    b.text(),
                    a.text(),
                    first.2.line
                );
                Err(Error::input(message).at(second.2.line as usize, second.2.column as usize))
            }
        }
    }

    /// A cell without its mirror image. The last digit of `NV1` may be cut off.
    fn alone(&self, row: usize, device: usize, cell: Cell, dropped: &mut Vec<String>) -> Word {
        let cut = self.is_tail(row, device) && matches!(cell.word, Word::Nv(_));
        if !cut {
            return cell.word;
        }
        dropped.push(format!(
            "the text ends within or after {} in line {}; what it says of {} and {} is left out",
            cell.word.text(),
            cell.line,
            self.name(row),
            self.name(device)
        ));
        Word::Unknown
    }
}

/// Reads one row into the matrix. `at_end`: nothing follows it in the text.
pub(super) fn place(matrix: &mut Matrix, mut row: RawRow, at_end: bool) -> Result<()> {
    let Some(mut columns) = matrix.columns.take() else { return Ok(()) };
    join_lists(&mut row.tokens);
    let result = place_in(matrix, &mut columns, &row, at_end);
    matrix.columns = Some(columns);
    result
}

fn place_in(matrix: &mut Matrix, columns: &mut Columns, row: &RawRow, at_end: bool) -> Result<()> {
    let label = &row.label;
    let here = |message: String| Error::input(message).at(label.line, label.column);
    let Some(own) = columns.number(&label.text).or_else(|| adopt(columns, row)) else {
        return Err(here(format!("there is a row {} and no such column", label.text)));
    };
    let texts: Vec<String> = row.tokens.iter().map(|token| token.text.clone()).collect();
    if let Some(earlier) = &matrix.rows[own] {
        if earlier.tokens == texts {
            let (again, first) = (label.line, earlier.line);
            matrix.damage(format!("line {again} repeats the row {} of line {first}", label.text));
            return Ok(());
        }
        let first = earlier.line;
        let message =
            format!("there is a second row {} that differs from the one in line {first}", label.text);
        return Err(here(message));
    }
    let short = row.tokens.len() < columns.kinds.len();
    let (slots, glued) = Slots::of(columns, own, row, at_end)?;
    if glued {
        matrix.damage(format!("cells of the row {} in line {} run together", label.text, label.line));
    }
    if at_end {
        let last = slots.0.iter().rposition(Option::is_some);
        matrix.tail = last.map(|column| (own, column));
    }
    let read = slots.row(matrix, columns, own, row, at_end && short);
    matrix.rows[own] = Some(Row { tokens: texts, ..read });
    Ok(())
}

/// Without a header the row's own cell says which column is its.
fn adopt(columns: &mut Columns, row: &RawRow) -> Option<usize> {
    let own = row.tokens.iter().position(|token| token.text == "X")?;
    (own < columns.names.len() && columns.set_name(own, &row.label.text)).then_some(own)
}

/// A list that was broken at its comma: `0-23, 48-71`.
fn join_lists(tokens: &mut Vec<Token>) {
    let mut index = 1;
    while index < tokens.len() {
        let comma = tokens[index - 1].text.ends_with(',') && cell::is_list(&tokens[index - 1].text);
        if comma && cell::is_list(&tokens[index].text) && tokens[index].text != "N/A" {
            let rest = tokens.remove(index).text;
            tokens[index - 1].text.push_str(&rest);
        } else {
            index += 1;
        }
    }
}

/// The tokens of a row by column.
struct Slots(Vec<Option<Token>>);

impl Slots {
    /// The first arrangement that makes sense: in order; by tabs; by place on the screen; taken apart.
    fn of(columns: &Columns, own: usize, row: &RawRow, at_end: bool) -> Result<(Self, bool)> {
        let tokens = &row.tokens;
        if row.fielded || columns.fielded {
            let slots = Self::in_order(columns, tokens);
            slots.check(columns, own, row, at_end)?;
            return Ok((slots, false));
        }
        let in_order = Self::in_order(columns, tokens);
        let Err(error) = in_order.check(columns, own, row, at_end) else {
            return Ok((in_order.settle(columns, tokens), false));
        };
        let apart: Vec<Token> = tokens.iter().flat_map(take_apart).collect();
        let others = [
            (Self::by_tabs(columns, tokens), false),
            (Self::by_screen(columns, tokens), false),
            (Some(Self::in_order(columns, &apart)), true),
        ];
        for (slots, glued) in others {
            if let Some(slots) = slots.filter(|slots| slots.check(columns, own, row, false).is_ok()) {
                return Ok((slots, glued));
            }
        }
        Err(error)
    }

    fn in_order(columns: &Columns, tokens: &[Token]) -> Self {
        let mut slots: Vec<Option<Token>> = tokens.iter().cloned().map(Some).collect();
        slots.resize(slots.len().max(columns.kinds.len()), None);
        Self(slots)
    }

    /// Two tabs in a row enclose an empty cell.
    fn by_tabs(columns: &Columns, tokens: &[Token]) -> Option<Self> {
        let mut slots = vec![None; columns.kinds.len()];
        let mut next = 0;
        for token in tokens {
            let at = next + token.tabs.checked_sub(1)?;
            // `GPU NUMA ID` is two tab stops from `NUMA Affinity`, whose name is longer than one.
            let at = at.min(slots.len().checked_sub(1)?.max(next));
            *slots.get_mut(at)? = Some(token.clone());
            next = at + 1;
        }
        Some(Self(slots))
    }

    /// The cell belongs to the column whose name starts nearest.
    fn by_screen(columns: &Columns, tokens: &[Token]) -> Option<Self> {
        let mut slots = vec![None; columns.kinds.len()];
        let mut free = 0;
        for token in tokens {
            let starts = columns.starts.iter().enumerate().skip(free);
            let (at, _) = starts.min_by_key(|(_, start)| start.abs_diff(token.screen))?;
            slots[at] = Some(token.clone());
            free = at + 1;
        }
        Some(Self(slots))
    }

    /// Moves what follows the matrix under its headings, where the row has fewer cells than they.
    fn settle(mut self, columns: &Columns, tokens: &[Token]) -> Self {
        let devices = columns.devices();
        let (all, given) = (columns.kinds.len(), tokens.len());
        let leading = columns.kinds[..devices].iter().all(|kind| matches!(kind, Column::Device(_)));
        if !leading || given <= devices || given >= all {
            return self;
        }
        let after = &tokens[devices..];
        let regular = tokens[..devices].iter().all(|token| token.tabs == 1);
        let known = columns.kinds[devices..].iter().eq(AFFINITIES[..(all - devices).min(3)].iter());
        let mut places = Vec::new();
        let mut stop = 0;
        for token in after {
            let place = if regular && known && token.tabs > 0 {
                stop += token.tabs;
                // On the screen the driver's headings are one, two and four tab stops from the matrix.
                match stop {
                    1 => 0,
                    2 | 3 => 1,
                    _ => 2,
                }
            } else if token.tabs == 0 && !columns.starts.is_empty() && places.is_empty() {
                let starts = &columns.starts[devices..];
                starts.iter().rposition(|start| *start <= token.screen).unwrap_or(0)
            } else {
                places.last().map_or(0, |place| place + 1)
            };
            places.push(devices + place);
        }
        let rising = places.windows(2).all(|pair| pair[0] < pair[1]);
        if rising && places.last().is_some_and(|last| *last < all) {
            self.0[devices..].fill(None);
            for (place, token) in places.into_iter().zip(after) {
                self.0[place] = Some(token.clone());
            }
        }
        self
    }

    /// Whether each token can be what its column says. At the end of the text the row may be short.
    fn check(&self, columns: &Columns, own: usize, row: &RawRow, at_end: bool) -> Result<()> {
        let name = &row.label.text;
        let last = self.0.iter().rposition(Option::is_some);
        let devices = columns.devices();
        let wrong = |token: &Token, message: String| Err(Error::input(message).at(token.line, token.column));
        let short = |token: &Token| {
            let cells = row.tokens.iter().take_while(|token| cell::is_word(&token.text)).count();
            let message = format!("the row {name} has {cells} cells, and the matrix {devices} columns");
            wrong(token, message)
        };
        for (index, slot) in self.0.iter().enumerate() {
            let kind = columns.kinds.get(index).copied();
            match (kind, slot) {
                (Some(Column::Device(_)), None) if at_end && Some(index) > last => {}
                (Some(Column::Device(device)), None)
                    if device != own && (columns.fielded || self.0[index..].iter().any(Option::is_some)) => {}
                (Some(Column::Device(_)), None) => return short(&row.label),
                (Some(Column::Device(device)), Some(token)) => {
                    let cut = at_end && Some(index) == last && cell::is_cut_word(&token.text);
                    match Word::parse(&token.text) {
                        Some(Word::Own) if device != own => {
                            let message = format!("the X of the row {name} is not under {name}");
                            return wrong(token, message);
                        }
                        Some(word) if device == own && word != Word::Own => {
                            let message = format!("{name} to itself is {}, not X", token.text);
                            return wrong(token, message);
                        }
                        Some(_) => {}
                        None if cut || is_garbled(&token.text) || token.text.is_empty() => {}
                        None if cell::is_list(&token.text) => return short(token),
                        None => return unknown_word(token),
                    }
                }
                (Some(Column::Label), _) | (_, None) => {}
                (_, Some(token)) if cell::is_word(&token.text) => {
                    let message =
                        format!("the row {name} has more cells than the matrix has columns, {devices}");
                    return wrong(token, message);
                }
                (None, Some(token)) if columns.fielded => {
                    return wrong(token, format!("the row {name} has more fields than the header"));
                }
                (_, Some(_)) => {}
            }
        }
        Ok(())
    }

    fn row(self, matrix: &mut Matrix, columns: &Columns, own: usize, raw: &RawRow, cut: bool) -> Row {
        let mut row = Row {
            line: raw.label.line,
            cells: vec![None; columns.names.len()],
            affinities: [None, None, None],
            tokens: Vec::new(),
        };
        let gpu = gpu_index(&raw.label.text).is_some();
        let mut holes = 0;
        for (index, slot) in self.0.iter().enumerate() {
            match (columns.kinds.get(index), slot) {
                (Some(Column::Device(device)), Some(token)) => {
                    let word = match Word::parse(&token.text) {
                        Some(word) => word,
                        None if token.text.is_empty() => Word::Unknown,
                        None if *device == own => Word::Own,
                        None => {
                            let (line, name, text) = (token.line, &raw.label.text, &token.text);
                            matrix.damage(format!(
                                "a cell of the row {name} in line {line} is damaged: '{text}'"
                            ));
                            matrix.garbled.push((own, *device, token.clone()));
                            continue;
                        }
                    };
                    let (line, column) = (token.line as u32, token.column as u32);
                    row.cells[*device] = Some(Cell { word, line, column });
                }
                (Some(Column::Device(_)), None) => holes += usize::from(!cut),
                (Some(kind), slot) => {
                    let Some(which) = AFFINITIES.iter().position(|affinity| affinity == kind) else {
                        continue;
                    };
                    row.affinities[which] = match slot {
                        Some(token) => Some(token.text.clone()),
                        // Drivers leave these cells of NICs empty.
                        None if cut || !gpu => None,
                        None => Some(String::new()),
                    };
                }
                (None, Some(token)) => {
                    let (line, text) = (token.line, &token.text);
                    if !columns.has(Column::Other) {
                        matrix.damage(format!(
                            "line {line} has more cells than the header: '{text}' is left out"
                        ));
                    }
                }
                (None, None) => {}
            }
        }
        if holes > 0 {
            matrix.damage(format!("the row {} in line {} has {holes} empty cells", raw.label.text, row.line));
        }
        row
    }
}

fn is_garbled(text: &str) -> bool {
    text.contains(char::REPLACEMENT_CHARACTER)
}

fn unknown_word<T>(token: &Token) -> Result<T> {
    let shown: String = token.text.chars().take(24).collect();
    let error = Error::input(format!("unknown word '{shown}' in the matrix")).at(token.line, token.column);
    let p2p = matches!(shown.as_str(), "OK" | "CNS" | "GNS" | "TNS" | "NS" | "U" | "DR");
    Err(error.help(if p2p { "this is 'topo -p2p'; the text of 'topo -m' is wanted" } else { EXPECTED }))
}

/// A token as several, where cells run together.
fn take_apart(token: &Token) -> Vec<Token> {
    let Some(parts) = cell::split(&token.text) else { return vec![token.clone()] };
    let mut column = token.column;
    let part = |text: &str| {
        let part = Token { text: text.to_owned(), column, ..token.clone() };
        column += text.len();
        part
    };
    parts.into_iter().map(part).collect()
}
