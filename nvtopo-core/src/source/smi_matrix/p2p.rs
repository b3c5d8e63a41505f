//! The text of `nvidia-smi topo -p2p`: what the driver allows each pair of GPUs to do with each other's memory.
//!
//! The command asks about one thing at a time (`r`, `w`, `n`, `a`), which only its own line tells; a text may hold
//! several matrices, each below its command.

use super::columns::gpu_index;
use crate::error::{Error, Result};
use crate::model::{Fragment, Gpu, MAX_DEVICES, NodeId, NodeKind, NoteKind, P2p, P2pStatus, Provenance};
use crate::source::text::{self, Line, Token};
use crate::source::{Input, Source};
use std::collections::{BTreeMap, BTreeSet};

pub(in crate::source) struct P2pMatrix;

impl Source for P2pMatrix {
    fn name(&self) -> &'static str {
        "the text of nvidia-smi topo -p2p"
    }

    fn recognizes(&self, input: Input<'_>) -> bool {
        let Input::Text { bytes, .. } = input else { return false };
        let (text, _) = text::decode(bytes);
        let mut told = false;
        for row in text::lines(&text).map(|line| text::words(&line)).filter(|row| is_row(row)) {
            // A matrix of paths is told by other words.
            if !row[1..].iter().all(|cell| cell.text == SELF || status(&cell.text).is_some()) {
                return false;
            }
            told |= row[1..].iter().any(|cell| cell.text != SELF);
        }
        told
    }

    fn read(&self, input: Input<'_>) -> Result<Fragment> {
        let Input::Text { bytes, .. } = input else {
            return Err(Error::input("a directory is not the text of nvidia-smi topo -p2p"));
        };
        let (text, damage) = text::decode(bytes);
        let mut reader = Reader::default();
        for line in text::lines(&text) {
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

/// What was asked, by the letter after `-p2p`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    Read,
    Write,
    NvLink,
    Atomics,
    /// Whether a way of NVIDIA's own over PCIe is supported; not kept.
    Proprietary,
}

#[derive(Default)]
struct Reader {
    /// What the command asked that was seen last; nothing before one.
    questions: Vec<Question>,
    columns: Vec<u32>,
    gpus: BTreeSet<u32>,
    /// From the GPU of the row to that of the column.
    cells: BTreeMap<(Option<Question>, u32, u32), P2pStatus>,
}

impl Reader {
    fn feed(&mut self, line: &Line<'_>) -> Result<()> {
        if let Some(questions) = questions(&line.text) {
            (self.questions, self.columns) = (questions, Vec::new());
            return Ok(());
        }
        let words = text::words(line);
        let header: Option<Vec<u32>> = words.iter().map(|word| gpu_index(&word.text)).collect();
        if let Some(columns) = header.filter(|columns| !columns.is_empty()) {
            if columns.len() > MAX_DEVICES {
                return Err(Error::input(format!("it names more than {MAX_DEVICES} GPUs")).at(line.number, 1));
            }
            self.gpus.extend(&columns);
            self.columns = columns;
            return Ok(());
        }
        if !is_row(&words) || self.columns.is_empty() {
            return Ok(());
        }
        let (cells, columns) = (&words[1..], &self.columns);
        let row = gpu_index(&words[0].text).filter(|row| columns.contains(row)).ok_or_else(|| {
            Error::input(format!("{} has a row and no column", words[0].text))
                .at(line.number, words[0].column)
        })?;
        if let Some(extra) = cells.get(columns.len()) {
            let text = format!("the row of GPU{row} has more cells than there are columns");
            return Err(Error::input(text).at(line.number, extra.column));
        }
        for (cell, column) in cells.iter().zip(columns).filter(|(cell, _)| cell.text != SELF) {
            let status = status(&cell.text).ok_or_else(|| {
                Error::input(format!("'{}' is no status", cell.text))
                    .at(line.number, cell.column)
                    .help("expected OK, CNS, GNS, TNS, NS, DR or U")
            })?;
            if *column == row {
                continue;
            }
            let asked = self.questions.iter().copied().map(Some);
            for question in asked.chain(self.questions.is_empty().then_some(None)) {
                self.cells.insert((question, row, *column), status);
            }
        }
        Ok(())
    }

    fn fragment(self) -> Fragment {
        let mut fragment = Fragment::new(Provenance::Smi);
        fragment.set_nvlink_unknown();
        let mut nodes: BTreeMap<u32, NodeId> = BTreeMap::new();
        for &index in &self.gpus {
            let gpu = NodeKind::Gpu(Box::new(Gpu { index, ..Gpu::default() }));
            nodes.insert(index, fragment.add(NodeId::MACHINE, gpu));
        }
        let mut uneven = 0;
        for (a, b) in self.gpus.iter().flat_map(|a| self.gpus.range(a + 1..).map(move |b| (*a, *b))) {
            let mut says = |question: Option<Question>| {
                let there = self.cells.get(&(question, a, b)).copied();
                let back = self.cells.get(&(question, b, a)).copied();
                uneven += usize::from(there.is_some() && back.is_some() && there != back);
                there.or(back)
            };
            // Without its command a matrix is taken for the first that the command's help lists.
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
        if uneven > 0 {
            let text =
                format!("{uneven} pairs have two statuses; that of the GPU with the lower number was taken");
            fragment.note(NoteKind::Conflict, text);
        }
        fragment
    }
}

/// Whether it starts with a GPU and goes on with something else.
fn is_row(words: &[Token]) -> bool {
    let [name, rest @ ..] = words else { return false };
    gpu_index(&name.text).is_some() && rest.iter().any(|word| gpu_index(&word.text).is_none())
}

/// What a line asks that holds the command: `nvidia-smi topo -p2p r`, or `rw` for what holds for both.
fn questions(line: &str) -> Option<Vec<Question>> {
    let mut words = line.split_whitespace().skip_while(|word| !matches!(*word, "-p2p" | "--p2pstatus"));
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
    const ALL: [P2pStatus; 7] = [
        P2pStatus::Ok,
        P2pStatus::ChipsetNotSupported,
        P2pStatus::GpuNotSupported,
        P2pStatus::TopologyNotSupported,
        P2pStatus::DisabledBySetting,
        P2pStatus::NotSupported,
        P2pStatus::Unknown,
    ];
    ALL.into_iter().find(|status| status.word() == word)
}
