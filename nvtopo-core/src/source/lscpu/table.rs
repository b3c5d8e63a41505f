//! The tables of `lscpu -e` (columns) and `lscpu -p` (fields with commas): a line for each CPU.
//!
//! The numbers of cores and sockets are those that the tool counts, not the kernel's.

use super::super::plain::{is_ellipsis, number, plain, words};
use super::super::text::Line;
use super::build::{CoreOf, Cpus};
use crate::cpuset::MAX_INDEX;
use crate::error::{Error, Result};
use std::collections::BTreeMap;

/// A column that is read; others are skipped.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Column {
    Cpu,
    Core,
    Socket,
    Node,
    /// A cache, or several with colons between them.
    Caches(Vec<String>),
    Online,
    Other,
}

impl Column {
    pub(super) fn of(name: &str) -> Self {
        match name.to_ascii_uppercase().as_str() {
            "CPU" => Self::Cpu,
            "CORE" => Self::Core,
            "SOCKET" => Self::Socket,
            "NODE" => Self::Node,
            "ONLINE" => Self::Online,
            upper => {
                let is_cache = |part: &str| {
                    let level = part.strip_prefix('L').map(str::as_bytes);
                    matches!(level, Some([b'1'..=b'9'] | [b'1'..=b'9', b'D' | b'I']))
                };
                if upper.split(':').all(is_cache) {
                    // As the summary writes them.
                    let name = |part: &str| format!("L{}", part[1..].to_ascii_lowercase());
                    Self::Caches(upper.split(':').map(name).collect())
                } else {
                    Self::Other
                }
            }
        }
    }
}

/// The columns of a table, and whether commas divide them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Heading {
    pub(super) columns: Vec<Column>,
    commas: bool,
}

/// Reads the heading of a table. It names CPUs first or nearly so, and something of where they are.
pub(super) fn heading(text: &str) -> Option<Heading> {
    let commas = text.contains(',');
    let names: Vec<&str> =
        if commas { text.split(',').map(str::trim).collect() } else { text.split_whitespace().collect() };
    // People write of such things in lower case; the tool does not.
    let columns: Vec<Column> = names.iter().map(|name| Column::of(name)).collect();
    let place = |column: &Column| matches!(column, Column::Core | Column::Socket | Column::Node);
    let known = columns.iter().filter(|column| **column != Column::Other).count();
    let is_written_so = |name: &&str| name.is_empty() || name.starts_with(|c: char| c.is_ascii_uppercase());
    let found =
        names.contains(&"CPU") && columns.iter().any(place) && known >= 2 && names.iter().all(is_written_so);
    found.then_some(Heading { columns, commas })
}

/// A CPU of the table.
#[derive(Default)]
pub(super) struct Row {
    pub(super) core: Option<u32>,
    pub(super) socket: Option<u32>,
    pub(super) node: Option<u32>,
    pub(super) caches: Vec<(String, u32)>,
    pub(super) offline: bool,
}

/// The table that is read.
#[derive(Default)]
pub(super) struct Table {
    heading: Option<Heading>,
    rows: BTreeMap<u32, Row>,
}

impl Table {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Takes a line; false where it is not of a table.
    pub(super) fn feed(&mut self, line: &Line<'_>) -> Result<bool> {
        let (text, column) = plain(line);
        if let Some(heading) = heading(text) {
            if !self.rows.is_empty() {
                return Err(Error::input("a second table begins here")
                    .at(line.number, column)
                    .help("give the text of one machine"));
            }
            self.heading = Some(heading);
            return Ok(true);
        }
        let Some(heading) = &self.heading else { return Ok(false) };
        let fields: Vec<(&str, usize)> =
            if heading.commas { fields(text, column) } else { words(text, column).collect() };
        let at = heading.columns.iter().position(|column| *column == Column::Cpu).unwrap_or_default();
        let is_row = fields.get(at).is_some_and(|(cpu, _)| number(cpu).is_some()) && fields.len() > 1;
        if !is_row {
            if !(text.is_empty() || is_ellipsis(text)) {
                self.heading = None;
            }
            return Ok(false);
        }
        if fields.len() < heading.columns.len() {
            let text = format!(
                "the line has {} fields, and the table {} columns",
                fields.len(),
                heading.columns.len()
            );
            return Err(Error::input(text).at(line.number, column));
        }
        let named = heading.columns.iter().zip(fields);
        let (cpu, row) = row(named.map(|(column, (field, at))| (column, field, at)), line.number)?;
        self.add(cpu, row, line.number, column)?;
        Ok(true)
    }

    /// Adds a CPU.
    pub(super) fn add(&mut self, cpu: u32, row: Row, line: usize, column: usize) -> Result<()> {
        match self.rows.insert(cpu, row) {
            None => Ok(()),
            Some(_) => Err(Error::input(format!("CPU {cpu} is there twice")).at(line, column)),
        }
    }

    /// Fills in the processors.
    pub(super) fn fill(self, cpus: &mut Cpus) {
        let mut places: BTreeMap<(Option<u32>, u32), usize> = BTreeMap::new();
        for (cpu, row) in self.rows {
            if row.offline {
                cpus.offline.insert(cpu);
                continue;
            }
            cpus.online.insert(cpu);
            if let Some(socket) = row.socket {
                cpus.packages.entry(socket).or_default().insert(cpu);
            }
            if let Some(node) = row.node {
                cpus.nodes.entry(node).or_default().insert(cpu);
            }
            for cache in row.caches {
                cpus.caches.entry(cache).or_default().insert(cpu);
            }
            let next = cpus.cores.len();
            let place = row.core.map_or(next, |core| *places.entry((row.socket, core)).or_insert(next));
            if let Some(core) = cpus.cores.get_mut(place) {
                core.cpus.push(cpu);
            } else {
                let known = row.core.is_some();
                cpus.cores.push(CoreOf { os_index: row.core, cpus: vec![cpu], known });
            }
        }
    }
}

/// Reads the fields of a CPU.
pub(super) fn row<'a>(
    fields: impl Iterator<Item = (&'a Column, &'a str, usize)>,
    line: usize,
) -> Result<(u32, Row)> {
    let (mut cpu, mut row) = (None, Row::default());
    for (column, field, at) in fields {
        let bad = |field: &str, what: &str| Error::input(format!("'{field}' is no {what}")).at(line, at);
        // Offline CPUs and unknown places have a dash or nothing.
        let index = |field: &str, what: &str| match number(field) {
            Some(index) if index <= MAX_INDEX => Ok(Some(index)),
            _ if matches!(field, "" | "-") => Ok(None),
            _ => Err(bad(field, what)),
        };
        match column {
            Column::Cpu => cpu = index(field, "number of a CPU")?,
            Column::Core => row.core = index(field, "number of a core")?,
            Column::Socket => row.socket = index(field, "number of a socket")?,
            Column::Node => row.node = index(field, "number of a NUMA node")?,
            Column::Online => {
                // The tool writes it in the language of its user.
                row.offline = matches!(
                    field.to_ascii_lowercase().as_str(),
                    "no" | "n" | "false" | "0" | "non" | "nein" | "nej"
                );
            }
            Column::Caches(names) => {
                // Versions before 2.37 leave out the parts that some cores of a hybrid CPU lack, so that it is unknown
                // which are there.
                let whole = field.split(':').count() == names.len();
                for (name, part) in names.iter().zip(field.split(':')).filter(|_| whole) {
                    row.caches.extend(index(part, "number of a cache")?.map(|index| (name.clone(), index)));
                }
            }
            Column::Other => {}
        }
    }
    let cpu = cpu.ok_or_else(|| Error::input("a line of the table names no CPU").at(line, 1))?;
    Ok((cpu, row))
}

/// Returns the fields between commas, each with its column.
fn fields(text: &str, column: usize) -> Vec<(&str, usize)> {
    let mut at = column;
    let field = |field: &'_ str| {
        let own = at;
        at += field.chars().count() + 1;
        own
    };
    let columns: Vec<usize> = text.split(',').map(field).collect();
    text.split(',').map(str::trim).zip(columns).collect()
}
