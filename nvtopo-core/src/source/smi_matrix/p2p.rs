//! The text of `nvidia-smi topo -p2p`: the peer-to-peer access that the driver allows each pair of GPUs.
//!
//! The command asks one question at a time (`r`, `w`, `n`, `a`), which stands in its own line only; a text may have
//! several matrices, each below its command.

use super::columns::{self, gpu_index};
use super::{cell, lines};
use crate::error::{Error, Result};
use crate::model::{
    Fragment, Gpu, MAX_DEVICES, NodeId, NodeKind, NoteCode, NoteKind, P2p, P2pStatus, Provenance,
};
use crate::source::text::{self, Line, Token};
use crate::source::{Input, TextFormat};
use crate::units::count_of;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

pub(in crate::source) struct P2pMatrix;

impl TextFormat for P2pMatrix {
    const NAME: &'static str = "the text of nvidia-smi topo -p2p";
    const BEGINNINGS: &'static [&'static str] = &["-p2p", "--p2pstatus"];

    fn recognizes(input: &Input<'_>) -> bool {
        let mut found = false;
        for line in lines::of(input.lines()).filter(|line| line.text.contains("GPU")) {
            let tokens = text::tokens(&line).0;
            let Some((_, cells)) = row(&tokens) else { continue };
            // A matrix of paths has other words.
            if cells.iter().any(|cell| cell.text != SELF && cell::is_word(&cell.text)) {
                return false;
            }
            found |= cells.iter().any(|cell| status(&cell.text).is_some());
        }
        found
    }

    fn read(bytes: &[u8]) -> Result<Fragment> {
        let (text, damage) = text::decode(bytes);
        let mut reader = Reader::default();
        for line in lines::of(text::lines(&text)) {
            reader.feed(&line)?;
        }
        let mut fragment = reader.fragment();
        if let Some(damage) = damage {
            fragment.note(NoteKind::Damage, damage);
        }
        Ok(fragment)
    }
}

/// The cell of a GPU and itself.
const SELF: &str = "X";

/// The question of a matrix, by the letter after `-p2p`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    Read,
    Write,
    NvLink,
    Atomics,
    /// Support of NVIDIA's own way over PCIe; not kept.
    Proprietary,
}

#[derive(Default)]
struct Reader {
    /// The questions of the last command; empty before one.
    questions: Vec<Question>,
    columns: Vec<u32>,
    gpus: BTreeSet<u32>,
    /// The rows of the matrix that is being read.
    rows: BTreeSet<u32>,
    /// Rows that are missing, or lack cells.
    cut: usize,
    /// The error of a cell that the end of the text may have cut.
    cut_cell: Option<Error>,
    /// A matrix without a command follows another such.
    again: bool,
    unasked: usize,
    /// From the GPU of the row to that of the column.
    cells: BTreeMap<(Option<Question>, u32, u32), P2pStatus>,
}

impl Reader {
    fn feed(&mut self, line: &Line<'_>) -> Result<()> {
        if let Some(questions) = questions(&line.text) {
            self.end_matrix();
            (self.questions, self.columns, self.again) = (questions, Vec::new(), false);
            return Ok(());
        }
        if !line.text.contains("GPU") {
            return Ok(());
        }
        let (tokens, fielded) = text::tokens(line);
        if let Some(columns) = header(&tokens, fielded) {
            if columns.len() > MAX_DEVICES {
                return Err(Error::input(format!("it names more than {MAX_DEVICES} GPUs")).at(line.number, 1));
            }
            self.end_matrix();
            self.again = self.questions.is_empty() && self.cells.keys().any(|(asked, ..)| asked.is_none());
            self.gpus.extend(&columns);
            self.columns = columns;
            return Ok(());
        }
        match row(&tokens) {
            Some((label, cells)) if !self.columns.is_empty() => self.row(label, cells),
            _ => Ok(()),
        }
    }

    fn row(&mut self, label: &Token, cells: &[Token]) -> Result<()> {
        if let Some(error) = self.cut_cell.take() {
            return Err(error);
        }
        let columns = &self.columns;
        let name = columns::bare(&label.text);
        let row = gpu_index(name).filter(|row| columns.contains(row)).ok_or_else(|| {
            Error::input(format!("{name} has a row and no column")).at(label.line, label.column)
        })?;
        let extra = cells.get(columns.len()..).unwrap_or_default();
        if let Some(extra) = extra.iter().find(|extra| !extra.text.is_empty()) {
            let text = format!("the row of GPU{row} has more cells than there are columns");
            return Err(Error::input(text).at(extra.line, extra.column));
        }
        self.rows.insert(row);
        self.cut += usize::from(cells.len() < columns.len());
        let pairs = cells.iter().zip(columns).enumerate();
        for (index, (cell, column)) in
            pairs.filter(|(_, (cell, _))| cell.text != SELF && !cell.text.is_empty())
        {
            let Some(status) = status(&cell.text) else {
                let shown: String = cell.text.chars().take(24).collect();
                let error = Error::input(format!("'{shown}' is no status"))
                    .at(cell.line, cell.column)
                    .help("expected OK, CNS, GNS, TNS, NS, DR or U");
                if index + 1 == cells.len()
                    && P2pStatus::ALL.iter().any(|whole| whole.word().starts_with(&cell.text))
                {
                    self.cut += usize::from(cells.len() == columns.len());
                    self.cut_cell = Some(error);
                    break;
                }
                return Err(error);
            };
            if *column == row || self.again {
                continue;
            }
            let asked = self.questions.iter().copied().map(Some);
            for question in asked.chain(self.questions.is_empty().then_some(None)) {
                self.cells.insert((question, row, *column), status);
            }
        }
        Ok(())
    }

    fn end_matrix(&mut self) {
        if !self.rows.is_empty() {
            self.cut += self.columns.len().saturating_sub(self.rows.len());
            self.unasked += usize::from(self.again);
            self.rows.clear();
        }
    }

    fn fragment(mut self) -> Fragment {
        self.end_matrix();
        let mut fragment = Fragment::new(Provenance::Smi);
        fragment.set_nvlink_unknown();
        let mut nodes: BTreeMap<u32, NodeId> = BTreeMap::new();
        for &index in &self.gpus {
            let gpu = NodeKind::Gpu(Box::new(Gpu { index, ..Gpu::default() }));
            nodes.insert(index, fragment.add(NodeId::MACHINE, gpu));
        }
        let mut uneven = 0;
        for (a, b) in
            self.gpus.iter().flat_map(|a| self.gpus.range((Excluded(a), Unbounded)).map(move |b| (*a, *b)))
        {
            let mut says = |question: Option<Question>| {
                let there = self.cells.get(&(question, a, b)).copied();
                let back = self.cells.get(&(question, b, a)).copied();
                uneven += usize::from(there.is_some() && back.is_some() && there != back);
                there.or(back)
            };
            // A matrix without its command is read as the first question that the command's help lists.
            let p2p = P2p {
                a: nodes[&a],
                b: nodes[&b],
                read: says(Some(Question::Read)).or_else(|| says(None)),
                write: says(Some(Question::Write)),
                nvlink: says(Some(Question::NvLink)),
                atomics: says(Some(Question::Atomics)),
            };
            if [p2p.read, p2p.write, p2p.nvlink, p2p.atomics].iter().any(Option::is_some) {
                fragment.state_p2p(p2p);
            }
        }
        if self.cells.keys().any(|(question, ..)| question.is_none()) {
            let text =
                "a matrix does not tell what was asked (topo -p2p r, w, n or a); it was taken for r, reading";
            fragment.note(NoteKind::Inferred, text);
        }
        if self.cells.keys().any(|(question, ..)| *question == Some(Question::Proprietary)) {
            fragment.note(NoteKind::Unknown, "the matrix of topo -p2p p is not kept");
        }
        if self.cut > 0 {
            let rows = count_of(self.cut, "row");
            let text = format!("the text is cut: {rows} of topo -p2p are missing or lack cells");
            fragment.note(NoteCode::TextCut, text);
        }
        if self.unasked > 0 {
            let text = format!(
                "{} of topo -p2p do not tell what was asked either, and are left out; keep the commands with them",
                count_of(self.unasked, "more table")
            );
            fragment.note(NoteKind::Damage, text);
        }
        if uneven > 0 {
            let text =
                format!("{uneven} pairs have two statuses; that of the GPU with the lower number was taken");
            fragment.note(NoteKind::Conflict, text);
        }
        fragment
    }
}

/// Returns the GPUs of a header, if the line is one: it names nothing else.
fn header(tokens: &[Token], fielded: bool) -> Option<Vec<u32>> {
    let header = columns::header(tokens, fielded)?;
    let first = header.iter().position(|token| gpu_index(&token.text).is_some())?;
    // In a table with bars, the rows' names have a heading of their own.
    let named = header[first..].iter().filter(|token| !fielded || !token.text.is_empty());
    named.map(|token| gpu_index(&token.text)).collect()
}

/// Returns the GPU of a row and its cells, if the line is one: most of them are statuses, or `X`.
fn row(tokens: &[Token]) -> Option<(&Token, &[Token])> {
    let known = |token: &Token| token.text == SELF || status(&token.text).is_some();
    let at = tokens.iter().position(|token| gpu_index(columns::bare(&token.text)).is_some())?;
    let cells = &tokens[at + 1..];
    let words = cells.iter().filter(|cell| known(cell)).count();
    let others = cells.iter().filter(|cell| !known(cell) && !cell.text.is_empty()).count();
    let prose = cells.first().is_some_and(|cell| cell.text.starts_with(|c: char| c.is_ascii_lowercase()));
    (words > 0 && words >= others && !prose && !tokens[..at].iter().any(known))
        .then_some((&tokens[at], cells))
}

/// Returns the questions of a line with the command: `nvidia-smi topo -p2p r`, or `rw` for both.
fn questions(line: &str) -> Option<Vec<Question>> {
    let mut words = text::command_words(line).skip_while(|word| !matches!(*word, "-p2p" | "--p2pstatus"));
    words.next()?;
    let question = |letter: char| match letter {
        'r' => Some(Question::Read),
        'w' => Some(Question::Write),
        'n' => Some(Question::NvLink),
        'a' => Some(Question::Atomics),
        'p' => Some(Question::Proprietary),
        _ => None,
    };
    words.next()?.chars().map(question).collect()
}

fn status(word: &str) -> Option<P2pStatus> {
    P2pStatus::ALL.into_iter().find(|status| status.word() == word)
}
