//! The text of `numactl --hardware`: NUMA nodes with their CPUs, memory and distances.
//!
//! People send it by mail: quoted, wrapped, in quoted-printable, with an ellipsis in the place of long lists. CPUs that an
//! ellipsis hides are unknown. The free memory changes all the time and is not kept.

use super::common;
use super::plain::{is_ellipsis, number, plain, words};
use super::text;
use super::{Input, TextFormat};
use crate::cpuset::{CpuSet, MAX_INDEX, NodeSet};
use crate::error::{Error, Result};
use crate::model::{Fragment, NodeId, Note, NoteCode, NumaNode, Provenance, Stated};
use std::collections::BTreeMap;

pub(super) struct Numactl;

impl TextFormat for Numactl {
    const NAME: &'static str = "the text of numactl --hardware";
    const BEGINNINGS: &'static [&'static str] = &["numactl", "available: "];

    fn recognizes(input: &Input<'_>) -> bool {
        input.lines().any(|line| {
            let text = plain(&line).0;
            field(text).is_some() || available(text).is_some()
        })
    }

    fn read(bytes: &[u8]) -> Result<Fragment> {
        let (text, damage) = text::decode(bytes);
        let mut reader = Reader::default();
        for line in joined(&text) {
            reader.feed(&line)?;
        }
        reader.close();
        reader.notes.extend(damage.map(|text| Note::new(NoteCode::Damage, text)));
        reader.fragment()
    }
}

/// The most nodes whose distances are kept, which grow with the square.
const MAX_NODES: usize = 1024;

/// A line, or several that quoted-printable mail had divided.
struct Joined {
    text: String,
    /// The place in the text of each part, in characters, with its line and column.
    parts: Vec<(usize, usize, usize)>,
}

impl Joined {
    /// Returns the line and column of a place in the text, which counts from 0.
    fn place(&self, at: usize) -> (usize, usize) {
        let part = self.parts.iter().rev().find(|(start, ..)| *start <= at).or(self.parts.first());
        part.map_or((1, 1), |(start, line, column)| (*line, column + at.saturating_sub(*start)))
    }

    fn error(&self, at: usize, text: String) -> Error {
        let (line, column) = self.place(at);
        Error::input(text).at(line, column)
    }
}

/// Joins the lines that quoted-printable mail divides, with `=` at their ends.
fn joined(text: &str) -> impl Iterator<Item = Joined> {
    let mut lines = text::lines(text).peekable();
    std::iter::from_fn(move || {
        let mut joined = Joined { text: String::new(), parts: Vec::new() };
        let mut chars = 0;
        loop {
            let line = lines.next()?;
            let (own, column) = if joined.parts.is_empty() { plain(&line) } else { (&*line.text, 1) };
            joined.parts.push((chars, line.number, column));
            let own = own.strip_suffix("=20").unwrap_or(own);
            match own.strip_suffix('=') {
                Some(own) if lines.peek().is_some() && own.contains(|c: char| c.is_ascii_digit()) => {
                    joined.text.push_str(own);
                    chars += own.chars().count();
                }
                _ => {
                    joined.text.push_str(own);
                    return Some(joined);
                }
            }
        }
    })
}

/// The list that the lines of numbers which follow continue.
#[derive(Clone, Copy, Default, PartialEq)]
enum Open {
    #[default]
    None,
    Cpus(u32),
    /// The heading of the distances.
    Heading,
    /// The distances from a node.
    Row(u32),
}

/// The statements about one node.
#[derive(Default)]
struct NodeText {
    /// The line of its CPUs, and these.
    cpus: Option<(usize, CpuSet)>,
    /// True if the list leaves some of them out.
    elided: bool,
    /// In bytes; not available where the tool does not know it.
    memory: Stated<u64>,
    /// The line of its distances, and these; `None` for one that is left out.
    distances: Option<(usize, Vec<Option<u32>>)>,
}

#[derive(Default)]
struct Reader {
    announced: Option<NodeSet>,
    nodes: BTreeMap<u32, NodeText>,
    open: Open,
    /// The nodes of the columns of distances.
    heading: Vec<u32>,
    in_distances: bool,
    notes: Vec<Note>,
    elided_at: Option<usize>,
}

impl Reader {
    fn feed(&mut self, line: &Joined) -> Result<()> {
        let text = line.text.trim_end();
        if let Some((node, what, at)) = field(text) {
            let value = &text[at..];
            let column = text[..at].chars().count();
            return self.field(line, node, what, value, column);
        }
        if let Some((count, rest)) = available(text) {
            self.close();
            self.announce(line, count, rest);
        } else if text.starts_with("node distances:") {
            self.close();
            self.in_distances = true;
        } else if let Some(rest) = text.strip_prefix("node ").filter(|_| self.in_distances) {
            self.close();
            self.open = Open::Heading;
            self.heading.clear();
            self.numbers(line, rest, 5)?;
        } else if let Some((node, rest)) = row(text).filter(|_| self.in_distances) {
            self.close();
            let (number, _) = line.place(0);
            let column = text.chars().count() - rest.chars().count();
            let own = self.node(line, node)?;
            if own.distances.is_some() {
                return Err(twice(line, node));
            }
            own.distances = Some((number, Vec::new()));
            self.open = Open::Row(node);
            self.numbers(line, rest, column)?;
        } else if self.open != Open::None && is_list(text) {
            self.numbers(line, text, 0)?;
        } else if is_ellipsis(text) {
            self.elided_at.get_or_insert(line.place(0).0);
            self.close();
        } else if !text.is_empty() {
            self.close();
            self.in_distances = false;
        }
        Ok(())
    }

    fn node(&mut self, line: &Joined, node: u32) -> Result<&mut NodeText> {
        if self.nodes.len() >= MAX_NODES && !self.nodes.contains_key(&node) {
            return Err(line.error(0, format!("it names more than {MAX_NODES} NUMA nodes")));
        }
        Ok(self.nodes.entry(node).or_default())
    }

    fn announce(&mut self, line: &Joined, count: usize, rest: &str) {
        let named = rest.trim().trim_matches(['(', ')']);
        let Ok(nodes) = named.parse::<NodeSet>() else { return };
        if nodes.len() != count {
            let text =
                format!("line {} counts {count} nodes, and names {}: {nodes}", line.place(0).0, nodes.len());
            self.notes.push(Note::new(NoteCode::Damage, text));
        }
        if nodes.len() <= MAX_NODES {
            self.announced = Some(nodes);
        }
    }

    fn field(&mut self, line: &Joined, node: u32, what: Field, value: &str, column: usize) -> Result<()> {
        self.close();
        self.in_distances = false;
        let own = self.node(line, node)?;
        match what {
            Field::Cpus => {
                if own.cpus.is_some() {
                    return Err(twice(line, node));
                }
                own.cpus = Some((line.place(0).0, CpuSet::new()));
                self.open = Open::Cpus(node);
                self.numbers(line, value, column)?;
            }
            Field::Size => {
                if own.memory != Stated::Unstated {
                    return Err(twice(line, node));
                }
                own.memory = memory(line, value, column)?.map_or(Stated::NotAvailable, Stated::Known);
            }
            Field::Free => {}
        }
        Ok(())
    }

    /// Takes the numbers of a list.
    fn numbers(&mut self, line: &Joined, text: &str, column: usize) -> Result<()> {
        for (word, at) in words(text, column) {
            let open = self.open;
            match open {
                Open::Cpus(node) => {
                    let Some(own) = self.nodes.get_mut(&node) else { continue };
                    if is_ellipsis(word) {
                        own.elided = true;
                        continue;
                    }
                    let cpus =
                        word.trim_end_matches(',').parse::<CpuSet>().ok().filter(|set| !set.is_empty());
                    let Some(cpus) = cpus else {
                        let text = format!("'{word}' is no number of a CPU up to {MAX_INDEX}");
                        return Err(line.error(at, text));
                    };
                    if let Some((_, own)) = &mut own.cpus {
                        *own |= &cpus;
                    }
                }
                Open::Heading => {
                    let Some(node) = number(word).filter(|node| *node <= MAX_INDEX) else {
                        return Err(line.error(at, format!("'{word}' is no number of a NUMA node")));
                    };
                    self.node(line, node)?;
                    self.heading.push(node);
                }
                Open::Row(node) => {
                    let columns = self.heading.len();
                    let distance = number(word);
                    if distance.is_none() && !is_ellipsis(word) {
                        return Err(line.error(at, format!("'{word}' is no distance")));
                    }
                    let Some((_, row)) = self.nodes.get_mut(&node).and_then(|own| own.distances.as_mut())
                    else {
                        continue;
                    };
                    if row.len() >= columns {
                        let text =
                            format!("node {node} has more distances than the {columns} of the heading");
                        return Err(line.error(at, text));
                    }
                    row.push(distance);
                }
                Open::None => {}
            }
        }
        Ok(())
    }

    /// Ends the list that is open.
    fn close(&mut self) {
        if let Open::Row(node) = std::mem::take(&mut self.open) {
            let columns = self.heading.len();
            let Some(own) = self.nodes.get_mut(&node) else { return };
            let is_whole = own
                .distances
                .as_ref()
                .is_some_and(|(_, row)| row.len() == columns && row.iter().all(Option::is_some));
            if let Some((line, _)) = own.distances.take_if(|_| !is_whole) {
                let text = format!("line {line} lacks distances from NUMA node {node}, so they are unknown");
                self.notes.push(Note::new(NoteCode::TextCut, text));
            }
        }
    }

    fn fragment(mut self) -> Result<Fragment> {
        let announced = self.announced.take().unwrap_or_default();
        let missing: NodeSet = announced.iter().filter(|node| !self.nodes.contains_key(node)).collect();
        for node in missing.iter() {
            self.nodes.entry(node).or_default();
        }
        if self.nodes.is_empty() {
            return Err(Error::input("it names no NUMA node").at(1, 1));
        }
        if let Some(line) = self.elided_at {
            let text = format!("the text leaves lines out at line {line}");
            self.notes.push(Note::new(NoteCode::TextCut, text));
        }
        let mut fragment = Fragment::new(Provenance::SystemTool);
        fragment.set_nvlink_unknown();
        let (mut with_cpus, mut unknown, mut taken) = (Vec::new(), NodeSet::new(), CpuSet::new());
        for (&os_index, own) in &self.nodes {
            let mut node = NumaNode { os_index, memory: own.memory.known().copied(), ..NumaNode::default() };
            let listed = own.cpus.as_ref().filter(|_| !own.elided);
            match listed {
                Some((line, cpus)) if !cpus.is_disjoint(&taken) => {
                    let text = format!(
                        "line {line} gives NUMA node {os_index} CPUs that an earlier node has; they stay with that one"
                    );
                    self.notes.push(Note::new(NoteCode::Conflict, text));
                    unknown.insert(os_index);
                }
                Some((_, cpus)) => {
                    taken |= cpus;
                    node.cpus.clone_from(cpus);
                }
                None => _ = unknown.insert(os_index),
            }
            if let Some((_, row)) = &own.distances {
                let to = self.heading.iter().copied().zip(row.iter().flatten().copied());
                node.distances = to.filter(|(to, _)| *to != os_index).collect();
            }
            let may_have_cpus = !node.cpus.is_empty() || unknown.contains(os_index);
            let id = fragment.add(NodeId::MACHINE, node);
            if may_have_cpus {
                with_cpus.push(id);
            }
        }
        common::link_numa_nodes(&mut fragment, &with_cpus, None);
        if !unknown.is_empty() {
            let text =
                format!("the text does not list the CPUs of NUMA nodes {unknown}, so they are unknown");
            self.notes.push(Note::new(NoteCode::NumaCpusUnknown, text));
        }
        fragment.notes.append(&mut self.notes);
        Ok(fragment)
    }
}

fn twice(line: &Joined, node: u32) -> Error {
    line.error(0, format!("NUMA node {node} is there twice")).help("give the text of one machine")
}

/// The facts of a node that have a line each.
#[derive(Clone, Copy)]
enum Field {
    Cpus,
    Size,
    Free,
}

/// Reads the start of `node 0 cpus: 0 1 2`: the node, the fact, and where its value begins.
fn field(text: &str) -> Option<(u32, Field, usize)> {
    let (node, rest) = text.strip_prefix("node ")?.split_once(' ')?;
    let node = number(node).filter(|node| *node <= MAX_INDEX)?;
    let fields = [("cpus:", Field::Cpus), ("size:", Field::Size), ("free:", Field::Free)];
    let (value, what) = fields.iter().find_map(|(name, what)| Some((rest.strip_prefix(name)?, *what)))?;
    Some((node, what, text.len() - value.len()))
}

/// Reads `available: 2 nodes (0-1)`: the number of nodes, and what stands behind.
fn available(text: &str) -> Option<(usize, &str)> {
    let (count, rest) = text.strip_prefix("available: ")?.split_once(" node")?;
    Some((number(count)? as usize, rest.trim_start_matches('s')))
}

/// Reads the start of `  0:  10  21`.
fn row(text: &str) -> Option<(u32, &str)> {
    let (node, rest) = text.split_once(':')?;
    Some((number(node.trim()).filter(|node| *node <= MAX_INDEX)?, rest))
}

/// Returns whether a line holds nothing but numbers and ellipses, at least one number.
fn is_list(text: &str) -> bool {
    let list = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit()) || is_ellipsis(word);
    text.contains(|c: char| c.is_ascii_digit()) && text.split_whitespace().all(list)
}

/// Reads the size of a node, which the tool counts in MiB and calls MB.
fn memory(line: &Joined, value: &str, column: usize) -> Result<Option<u64>> {
    let mut words = words(value, column);
    let Some((word, at)) = words.next() else { return Ok(None) };
    // The tool writes `<not available>`.
    if word.starts_with('<') || is_ellipsis(word) {
        return Ok(None);
    }
    let unit = words.next().map_or("", |(unit, _)| unit);
    let size = word.parse::<u64>().ok().filter(|_| unit == "MB");
    match size.and_then(|size| size.checked_mul(1 << 20)) {
        Some(bytes) => Ok(Some(bytes)),
        None => Err(line.error(at, format!("'{}' is no size in MB", value.trim()))),
    }
}
