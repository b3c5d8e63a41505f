//! The summary: fields with a name, a colon and a value.
//!
//! It tells the CPUs of NUMA nodes, and the numbers of sockets, cores and threads. Where nodes lie within sockets, the
//! kernel numbers them socket by socket; where threads of a core have numbers far apart, the lists of nodes have gaps.
//! Both are taken for sockets and cores with a note; what the lists do not show stays unknown.

use super::super::make;
use super::super::plain::{is_ellipsis, number, plain};
use super::super::text::Line;
use super::build::{CoreOf, Cpus, cache};
use super::words;
use crate::cpuset::{CpuSet, MAX_INDEX, NodeSet};
use crate::error::{Error, Result};
use crate::model::{Note, NoteCode};
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// The facts of a summary.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) model: Option<String>,
    pub(super) hypervisor: Option<String>,
    pub(super) architecture: Option<String>,
    pub(super) online: Option<CpuSet>,
    pub(super) offline: CpuSet,
    pub(super) count: Option<usize>,
    pub(super) threads: Option<usize>,
    pub(super) cores: Option<usize>,
    pub(super) sockets: Option<usize>,
    /// `None`: the list is cut.
    pub(super) nodes: BTreeMap<u32, Option<CpuSet>>,
    pub(super) node_count: Option<usize>,
    /// The size of one cache by its name, such as `L1d`.
    pub(super) caches: BTreeMap<String, u64>,
}

/// The summary that is read.
#[derive(Default)]
pub(super) struct Summary {
    facts: Facts,
    /// The lines of values with an ellipsis.
    elided: Vec<usize>,
}

/// Returns whether a line is one that only `lscpu` writes.
pub(super) fn is_sign(text: &str) -> bool {
    let Some((name, value)) = split(text) else { return false };
    match words::english(name, value) {
        "On-line CPU(s) list" | "On-line CPU(s) mask" => true,
        "Thread(s) per core" | "Core(s) per socket" | "Core(s) per cluster" => number(value).is_some(),
        _ => numa_node(name).is_some(),
    }
}

/// Splits a field at its colon, which is a wide one in Chinese.
fn split(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once([':', '\u{ff1a}'])?;
    Some((name.trim_end(), value.trim()))
}

/// Reads `NUMA node0 CPU(s)`, also as `NUMA-Knoten0 CPU(s)` or `NUMA 节点0 CPU`.
fn numa_node(name: &str) -> Option<u32> {
    let (node, unit) = name.strip_prefix("NUMA")?.rsplit_once(' ')?;
    let word = node.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_word = word.starts_with([' ', '-']) && !word[1..].contains([' ', '=']);
    let own = number(&node[word.len()..]).filter(|_| is_word && matches!(unit, "CPU(s)" | "CPU"));
    own.filter(|node| *node <= MAX_INDEX)
}

impl Summary {
    pub(super) fn feed(&mut self, line: &Line<'_>) -> Result<()> {
        let (text, column) = plain(line);
        let Some((name, value)) = split(text) else { return Ok(()) };
        let skipped = text.len() - value.len();
        let column = column + text.get(..skipped).map_or(0, |before| before.chars().count());
        self.field(name, value, line.number, column)
    }

    /// Takes a field.
    pub(super) fn field(&mut self, name: &str, value: &str, line: usize, column: usize) -> Result<()> {
        let name = words::english(name, value);
        let bad = |what: &str| Err(Error::input(format!("'{value}' is no {what}")).at(line, column));
        if value.is_empty() && numa_node(name).is_none() {
            return Ok(());
        }
        let facts = &mut self.facts;
        let count = match name {
            "CPU(s)" => Some(&mut facts.count),
            "Thread(s) per core" => Some(&mut facts.threads),
            "Core(s) per socket" => Some(&mut facts.cores),
            "Socket(s)" => Some(&mut facts.sockets),
            "NUMA node(s)" => Some(&mut facts.node_count),
            _ => None,
        };
        if let Some(count) = count {
            // Tools write a dash for what they do not know.
            if value == "-" {
                return Ok(());
            }
            let Some(found) = number(value) else { return bad("number") };
            let found = found as usize;
            if count.is_some_and(|own| own != found) {
                return Err(Error::input(format!("'{name}' is there twice, with different numbers"))
                    .at(line, column)
                    .help("give the text of one machine"));
            }
            *count = Some(found).filter(|found| *found > 0);
            return Ok(());
        }
        let is_cut = value.contains("...") || value.contains('\u{2026}');
        if let Some(node) = numa_node(name) {
            let cpus = if value.is_empty() { Some(CpuSet::new()) } else { set(value) };
            if cpus.is_none() && !is_cut {
                return bad("list of CPUs");
            }
            if is_cut {
                self.elided.push(line);
            }
            let cpus = cpus.filter(|_| !is_cut);
            if facts.nodes.insert(node, cpus).is_some() {
                return Err(Error::input(format!("NUMA node {node} is there twice"))
                    .at(line, column)
                    .help("give the text of one machine"));
            }
            return Ok(());
        }
        match name {
            "On-line CPU(s) list" | "Off-line CPU(s) list" if is_cut || is_ellipsis(value) => {
                self.elided.push(line);
            }
            "On-line CPU(s) list" | "Off-line CPU(s) list" => {
                let Some(cpus) = set(value) else { return bad("list of CPUs") };
                if name.starts_with("On") { facts.online = Some(cpus) } else { facts.offline = cpus }
            }
            "On-line CPU(s) mask" | "Off-line CPU(s) mask" => {
                let Ok(cpus) = CpuSet::from_mask(value) else { return bad("mask of CPUs") };
                if name.starts_with("On") { facts.online = Some(cpus) } else { facts.offline = cpus }
            }
            "Model name" if value != "-" => {
                facts.model.get_or_insert_with(|| value.to_owned());
            }
            "Architecture" => facts.architecture = make::architecture(value),
            "Hypervisor vendor" => facts.hypervisor = Some(value.to_owned()),
            _ => {
                // Newer versions list them under a heading: `L1d: 3 MiB (64 instances)`.
                let level = name.strip_suffix(" cache").unwrap_or(name);
                if let Some(size) = cache(level).and_then(|_| cache_size(value)) {
                    facts.caches.insert(level.to_owned(), size);
                }
            }
        }
        Ok(())
    }

    /// Returns the notes and facts.
    pub(super) fn close(self) -> (Vec<Note>, Facts) {
        let Self { facts, elided } = self;
        let mut notes = Vec::new();
        if !elided.is_empty() {
            let lines: Vec<String> = elided.iter().map(usize::to_string).collect();
            let text = format!("lists of CPUs are cut in line {}, so they are unknown", lines.join(", "));
            notes.push(Note::new(NoteCode::TextCut, text));
        }
        if let Some(count) = facts.node_count.filter(|count| *count > facts.nodes.len()) {
            let text = format!("it counts {count} NUMA nodes and lists the CPUs of {}", facts.nodes.len());
            notes.push(Note::new(NoteCode::TextCut, text));
        }
        let unknown: NodeSet =
            facts.nodes.iter().filter(|(_, cpus)| cpus.is_none()).map(|(node, _)| *node).collect();
        if !unknown.is_empty() {
            let text =
                format!("the text does not list the CPUs of NUMA nodes {unknown}, so they are unknown");
            notes.push(Note::new(NoteCode::NumaCpusUnknown, text));
        }
        (notes, facts)
    }
}

fn set(value: &str) -> Option<CpuSet> {
    CpuSet::from_str(value).ok().filter(|set| !set.is_empty())
}

/// Reads the size of one cache: `32K`, or `3 MiB (64 instances)`, which is that of all. A size in KiB without the number
/// of instances may be either, so it is none.
fn cache_size(value: &str) -> Option<u64> {
    let (size, instances) = match value.split_once(" (") {
        Some((size, rest)) => (size, Some(number(rest.split_once(" instance")?.0)?)),
        None => (value, None),
    };
    if instances.is_none() && size.contains(' ') {
        return None;
    }
    let bytes = bytes(size)?;
    match u64::from(instances.unwrap_or(1)) {
        0 => None,
        instances => Some(bytes / instances),
    }
}

/// Reads `32K`, `1.5 MiB`, `1024`.
fn bytes(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let factor = match unit.trim().trim_end_matches("iB").trim_end_matches('B') {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return None,
    };
    let size: f64 = digits.parse().ok()?;
    // The most that a number of this type holds exactly.
    let bytes = size * f64::from(factor);
    (bytes > 0.0 && bytes < 9e15).then_some(bytes as u64)
}

/// Concludes packages and cores from the lists and numbers, with notes.
pub(super) fn conclude(facts: &Facts, cpus: &mut Cpus, notes: &mut Vec<Note>) {
    let of_nodes: CpuSet = facts.nodes.values().flatten().collect();
    cpus.online = facts.online.clone().unwrap_or_else(|| of_nodes.clone());
    for (node, own) in &facts.nodes {
        let own = own.as_ref().map(|own| own.intersection(&cpus.online));
        cpus.nodes.insert(*node, own.unwrap_or_default());
    }
    if cpus.online.is_empty() {
        return;
    }
    packages(facts, cpus, notes);
    let siblings = siblings(facts, cpus);
    if siblings.is_none() {
        let text = "lscpu does not tell which CPUs share a core; its table does (lscpu -e)";
        notes.push(Note::new(NoteCode::Unknown, text));
    }
    let apart = siblings.filter(|(threads, _)| *threads > 1).map(|(_, apart)| apart);
    if let Some(apart) = apart {
        let text = format!(
            "lscpu does not list cores; CPUs whose numbers are {apart} apart were taken as one core's, as the lists of \
             NUMA nodes have gaps of that size"
        );
        notes.push(Note::new(NoteCode::Inferred, text));
    }
    let mut taken = BTreeSet::new();
    for cpu in cpus.online.iter() {
        if !taken.insert(cpu) {
            continue;
        }
        let mut own = vec![cpu];
        if let Some((threads, apart)) = siblings.filter(|(threads, _)| *threads > 1) {
            own.extend((1..threads as u32).map(|thread| cpu + thread * apart));
            taken.extend(own.iter().copied());
        }
        cpus.cores.push(CoreOf { os_index: None, cpus: own, known: siblings.is_some() });
    }
}

/// Divides the CPUs among sockets: all in the only one, or those of equally many NUMA nodes in each.
fn packages(facts: &Facts, cpus: &mut Cpus, notes: &mut Vec<Note>) {
    let with_cpus: Vec<&CpuSet> = cpus.nodes.values().filter(|own| !own.is_empty()).collect();
    let is_whole = facts.nodes.values().all(Option::is_some)
        && facts.node_count.is_none_or(|count| count == facts.nodes.len())
        && with_cpus.iter().map(|own| own.len()).sum::<usize>() == cpus.online.len();
    match facts.sockets {
        Some(1) => cpus.packages = BTreeMap::from([(0, cpus.online.clone())]),
        Some(sockets)
            if is_whole && with_cpus.len() >= sockets && with_cpus.len().is_multiple_of(sockets) =>
        {
            let each = with_cpus.len() / sockets;
            let parts = with_cpus.chunks(each).map(|nodes| nodes.iter().copied().collect());
            cpus.packages = (0..).zip(parts).collect();
            let own = if each == 1 {
                "a NUMA node each".to_owned()
            } else {
                format!("{each} NUMA nodes each, in their order")
            };
            let text = format!(
                "lscpu does not list the CPUs of sockets; the {sockets} sockets were taken to have {own}"
            );
            notes.push(Note::new(NoteCode::Inferred, text));
        }
        Some(_) => {
            let text = "lscpu does not tell which CPUs share a socket; its table does (lscpu -e)";
            notes.push(Note::new(NoteCode::Unknown, text));
        }
        None => {}
    }
}

/// Returns the number of threads of a core, and how far apart their numbers are. `None`: it is unknown.
fn siblings(facts: &Facts, cpus: &Cpus) -> Option<(usize, u32)> {
    let threads = facts.threads?;
    if threads == 1 {
        return Some((1, 0));
    }
    let count = cpus.online.len();
    let apart = count / threads;
    let whole = count.is_multiple_of(threads)
        && cpus.online.iter().last() == u32::try_from(count).ok()?.checked_sub(1);
    let counted = facts.cores.zip(facts.sockets).is_none_or(|(cores, sockets)| cores * sockets == apart);
    let mut nodes = cpus.nodes.values().filter(|own| !own.is_empty());
    let covered: usize = nodes.clone().map(CpuSet::len).sum();
    let apart = u32::try_from(apart).ok()?;
    // The node's first run of CPUs, once for each thread, so far apart; with neighbours as threads there is one run.
    let divided = |own: &CpuSet| {
        let first: CpuSet = own.iter().filter(|cpu| *cpu < apart).collect();
        let repeated = (0..threads as u32)
            .flat_map(|thread| first.iter().map(move |cpu| cpu + thread * apart).collect::<Vec<_>>());
        let runs = own.iter().zip(own.iter().skip(1)).filter(|(a, b)| a + 1 != *b).count() + 1;
        repeated.collect::<CpuSet>() == *own && runs > 1
    };
    let found = whole && counted && covered == count && nodes.all(divided);
    found.then_some((threads, apart))
}
