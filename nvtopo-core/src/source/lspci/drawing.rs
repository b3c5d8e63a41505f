//! The drawing of the tree, `lspci -t`, with names (`-v`) and numbers (`-nn`) or without:
//!
//! ```text
//! -+-[0000:ff]-+-00.0
//!  \-[0000:00]-+-00.0  Intel Corporation …
//!              \-01.0-[01-03]----00.0-[02-03]--+-00.0-[02]----00.0  NVIDIA Corporation …
//!                                              \-01.0-[03]--
//! ```
//!
//! A branch goes on in a later line below its `+`, so the columns of these decide.

use super::super::plain::is_ellipsis;
use super::Place;
use super::function::{Functions, split_ids};
use crate::error::Result;
use crate::ids::PciAddress;
use crate::model::{Note, NoteCode};
use crate::units::count_of;

/// The deepest nesting of branches; a PCI domain has 256 buses.
const MAX_DEPTH: usize = 264;

/// Where the next element hangs.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Parent {
    /// The machine: buses of host bridges follow.
    Roots,
    /// A bus, by its domain and number.
    Bus(u32, u8),
}

/// The drawing that is read.
#[derive(Default)]
pub(super) struct Drawing {
    /// The columns of the branches that may go on, and what they hang on.
    branches: Vec<(usize, Parent)>,
    /// True from the first line of a drawing on.
    begun: bool,
    /// The line after which it may go on, where that is no part of it.
    gap: Option<usize>,
    /// True where lines of this drawing were left out.
    is_cut: bool,
    /// The number of places where lines were left out, and the line of the first.
    cuts: (usize, usize),
    /// The number of branches that hang on what was left out, and the line of the first.
    lost: (usize, usize),
}

/// Returns whether a line begins a drawing.
pub(super) fn is_sign(line: &str) -> bool {
    start(line).is_some()
}

/// Returns the place of the `-` that begins a drawing.
fn start(line: &str) -> Option<usize> {
    let at = line.find("-[").map(|at| line.get(..at + 1).unwrap_or_default())?;
    // `-[0000:00]`, or `-+-[0000:ff]`.
    let first = if at.ends_with("-+-") { at.len() - 3 } else { at.len() - 1 };
    let before = line.get(..first)?;
    let bus = line.get(at.len() + 1..)?.split(']').next()?;
    let is_root = root(bus).is_some();
    let is_free = before.chars().all(|c| c.is_whitespace() || matches!(c, '>' | '#' | '*'));
    (is_root && is_free).then(|| before.chars().count())
}

/// Reads the domain and number of a root bus: `0000:80`.
fn root(text: &str) -> Option<(u32, u8)> {
    let (domain, bus) = text.split_once(':')?;
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let sound = (4..=8).contains(&domain.len()) && bus.len() == 2 && hex(domain) && hex(bus);
    if !sound {
        return None;
    }
    Some((u32::from_str_radix(domain, 16).ok()?, u8::from_str_radix(bus, 16).ok()?))
}

impl Drawing {
    /// Takes a line; false where it is none of a drawing.
    pub(super) fn feed(&mut self, line: &str, at: Place, functions: &mut Functions) -> Result<bool> {
        let (mut rest, parent) = if let Some(first) = start(line) {
            self.branches.clear();
            (self.begun, self.gap, self.is_cut) = (true, None, false);
            (first, Parent::Roots)
        } else {
            if !self.begun {
                return Ok(false);
            }
            let is_mark = |c: char| c.is_whitespace() || matches!(c, '|' | '>' | '#' | '*');
            let own = line.trim_start_matches(is_mark);
            // A line of bars alone is one between.
            if own.is_empty() {
                return Ok(self.gap.is_none() && line.contains('|'));
            }
            let first = line.chars().take_while(|c| is_mark(*c)).count();
            if !is_branch(own) {
                self.narrow(line, first);
                if is_ellipsis(own) {
                    self.cut(at);
                    return Ok(true);
                }
                // Anything may follow a drawing; where that goes on later, this stands for a part of it.
                self.gap.get_or_insert(at.line);
                return Ok(false);
            }
            if let Some(line) = self.gap.take() {
                self.cut(Place { line, ..at });
            }
            let Some(found) = self.branches.iter().position(|(column, _)| *column == first) else {
                if self.is_cut {
                    self.branches.retain(|(column, _)| *column < first);
                    count(&mut self.lost, at);
                    return Ok(true);
                }
                return Err(
                    Place { column: first + 1, ..at }.error("this branch of the drawing hangs on nothing")
                );
            };
            self.branches.truncate(found + 1);
            (first + 1, self.branches[found].1)
        };
        let chars: Vec<char> = line.chars().collect();
        let mut parent = parent;
        let mut device: Option<PciAddress> = None;
        while let Some(&c) = chars.get(rest) {
            let error = |text: &str| Place { column: rest + 1, ..at }.error(text);
            match c {
                '-' => rest += 1,
                '+' => {
                    if self.branches.len() >= MAX_DEPTH {
                        return Err(error("the drawing is deeper than any machine's"));
                    }
                    self.branches.push((rest, parent));
                    rest += 1;
                }
                '[' => {
                    let end = chars.iter().skip(rest).position(|c| *c == ']').map(|end| rest + end);
                    let inside: String = chars[rest + 1..end.unwrap_or(chars.len())].iter().collect();
                    let Some(end) = end else { return Err(error("the bus is cut")) };
                    parent = match (device, root(&inside)) {
                        (None, Some((domain, bus))) => Parent::Bus(domain, bus),
                        (Some(bridge), None) => {
                            // `01`, or `01-05` with the buses below.
                            let first = inside.split('-').next().filter(|bus| bus.len() == 2);
                            let bus = first.and_then(|bus| u8::from_str_radix(bus, 16).ok());
                            let Some(bus) = bus else { return Err(error("this is no bus")) };
                            functions.at(bridge, at)?.secondary.get_or_insert(bus);
                            Parent::Bus(bridge.domain, bus)
                        }
                        _ => return Err(error("this is no bus")),
                    };
                    device = None;
                    rest = end + 1;
                }
                c if c.is_ascii_hexdigit() => {
                    let word: String = chars.iter().skip(rest).take(4).collect();
                    let Some(address) = place(&word, parent) else {
                        return Err(error("this is no device of the drawing"));
                    };
                    functions.at(address, at)?;
                    device = Some(address);
                    rest += 4;
                }
                _ => {
                    let name: String = chars.iter().skip(rest).collect();
                    if device.is_none() && is_ellipsis(&name) {
                        self.cut(at);
                    }
                    if let Some(address) = device.filter(|_| !name.trim().is_empty()) {
                        // People write comments behind what the tool prints.
                        let name = name.split_once(" # ").map_or(&*name, |(name, _)| name);
                        let (name, ids) = split_ids(name.trim());
                        let own = functions.at(address, at)?;
                        own.name.get_or_insert_with(|| name.to_owned());
                        own.vendor = own.vendor.or(ids.map(|(vendor, _)| vendor));
                        own.device = own.device.or(ids.map(|(_, device)| device));
                    }
                    break;
                }
            }
        }
        Ok(true)
    }

    /// Records that lines were left out.
    fn cut(&mut self, at: Place) {
        self.is_cut = true;
        count(&mut self.cuts, at);
    }

    /// Keeps the branches that surely go on after a line in which others may have been left out: the outermost one, and
    /// those for which the line has a bar, or which it stands below. What was left out may have the columns of others.
    fn narrow(&mut self, line: &str, first: usize) {
        let shown = |column: usize| column == first || line.chars().nth(column) == Some('|');
        let others = self.branches.iter().skip(1).take_while(|(column, _)| shown(*column)).count();
        self.branches.truncate(1 + others);
    }

    /// Notes what was left out of the drawings.
    pub(super) fn close(self, notes: &mut Vec<Note>) {
        if let (1.., line) = self.cuts {
            let others = if self.cuts.0 > 1 { ", and elsewhere" } else { "" };
            let text = format!("the text leaves lines of the drawing out at line {line}{others}");
            notes.push(Note::new(NoteCode::TextCut, text));
        }
        if let (lost @ 1.., line) = self.lost {
            let lost = count_of(lost, "line");
            let text = format!(
                "{lost} of the drawing, first line {line}, left out: the branch is missing that its devices hang on"
            );
            notes.push(Note::new(NoteCode::TextCut, text));
        }
    }
}

/// Counts a place, and keeps the line of the first.
fn count((count, first): &mut (usize, usize), at: Place) {
    if *count == 0 {
        *first = at.line;
    }
    *count += 1;
}

/// Returns whether a text is a branch: a corner, then dashes and a bus, a device, or an ellipsis for them. Fences of
/// Markdown and tables have corners, too.
fn is_branch(text: &str) -> bool {
    let below = text.strip_prefix(['+', '\\', '`']).filter(|rest| rest.starts_with('-'));
    let below = below.map(|rest| rest.trim_start_matches('-'));
    below.is_some_and(|below| {
        below.starts_with(|c: char| c == '[' || c.is_ascii_hexdigit()) || is_ellipsis(below)
    })
}

/// Reads `01.0` on a bus.
fn place(word: &str, parent: Parent) -> Option<PciAddress> {
    let Parent::Bus(domain, bus) = parent else { return None };
    let (device, function) = word.split_once('.').filter(|(device, _)| device.len() == 2)?;
    let device = u8::from_str_radix(device, 16).ok().filter(|device| *device < 32)?;
    let function = u8::from_str_radix(function, 16).ok().filter(|function| *function < 8)?;
    Some(PciAddress { domain, bus, device, function })
}
