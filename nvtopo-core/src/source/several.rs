//! Texts with the outputs of several tools, one after the other: each is read by its own reader, and all are merged.
//!
//! The text is cut where a line names a tool or begins its output, as the formats say ([`super::TextFormat::BEGINNINGS`]). A
//! reader gets the whole text with the lines of the others left empty, so that places in messages are those of the input.

use super::folder::{check_matrices, check_prompts};
use super::text::{self, Input, Line};
use super::{SOURCES, Source, xml};
use crate::error::Result;
use crate::model::{Fragment, NodeKind, TopologyBuilder};

/// Reads the texts of several formats and merges them; `None` where there are not several.
///
/// `first` is the format that recognizes the text as a whole.
pub(super) fn read(input: &Input<'_>, first: &dyn Source) -> Option<Result<Fragment>> {
    if !first.stands_with_others() {
        return None;
    }
    let text = input.decoded();
    if is_document(text) {
        return None;
    }
    let lines: Vec<&str> = text::raw_lines(text).collect();
    let parts = parts(&lines, input.lines());
    let mut formats: Vec<usize> = parts.iter().filter_map(|part| part.format).collect();
    formats.sort_unstable();
    formats.dedup();
    if formats.len() < 2 {
        return None;
    }
    if let Err(error) = check_prompts(text) {
        return Some(Err(error));
    }
    let mut fragments = Vec::new();
    for format in formats {
        match SOURCES[format].read_part(shown(&lines, &parts, format).as_bytes()) {
            Ok(fragment) => fragments.push(fragment),
            Err(error) => return Some(Err(error)),
        }
    }
    Some(check_matrices(&fragments).and_then(|()| merged(fragments)))
}

/// Returns whether a text is one XML document, with nothing around it.
fn is_document(text: &str) -> bool {
    let text = text.trim();
    let root = text.starts_with('<').then(|| xml::root_name(text)).flatten();
    root.is_some_and(|root| {
        let closing = format!("</{root}>");
        text.find(&closing).is_some_and(|at| at + closing.len() == text.len())
    })
}

/// Merges the fragments of sources that were found together: of those of one kind, first the one that knows most of the
/// machine around its devices.
pub(super) fn merged(mut fragments: Vec<Fragment>) -> Result<Fragment> {
    let around = |fragment: &Fragment| {
        let is_part = |kind: &NodeKind| !matches!(kind, NodeKind::Gpu(_) | NodeKind::GpuInstance(_));
        fragment.nodes.iter().filter(|node| is_part(&node.kind)).count()
    };
    fragments.sort_by_cached_key(|fragment| std::cmp::Reverse(around(fragment)));
    fragments.into_iter().fold(TopologyBuilder::new(), TopologyBuilder::with).merged()
}

/// A run of lines that is cut no further.
struct Part {
    /// The first line, and the one after the last.
    lines: std::ops::Range<usize>,
    /// Its format, by its number in [`SOURCES`].
    format: Option<usize>,
    /// True where a line divides it from what stands before.
    is_divided: bool,
}

/// Cuts a text into runs of its lines, which are given as they are and cleaned.
fn parts<'a>(lines: &[&str], cleaned: impl Iterator<Item = Line<'a>>) -> Vec<Part> {
    let formats = || SOURCES.iter().enumerate().filter(|(_, source)| source.stands_with_others());
    let begins = |line: &Line<'_>| is_divider(&line.text) || formats().any(|(_, source)| source.begins(line));
    let mut parts = Vec::new();
    let mut from = 0;
    let mut cleaned = cleaned.skip(1);
    for to in 1..=lines.len() {
        if cleaned.next().is_none_or(|line| begins(&line)) {
            let text = lines[from..to].join("\n");
            let part = Input::new(text.as_bytes());
            let format = formats().find(|(_, source)| source.recognizes_part(&part));
            let (format, is_divided) = (format.map(|(number, _)| number), is_divider(lines[from]));
            parts.push(Part { lines: from..to, format, is_divided });
            from = to;
        }
    }
    parts
}

/// Returns whether a line divides the sections of a report, such as `nvidia-bug-report.log`.
fn is_divider(line: &str) -> bool {
    let line = line.trim();
    line.len() >= 20 && line.bytes().all(|byte| byte == b'_')
}

/// Returns the text with the lines that are not of a format left empty. A part that is of no format may belong to what stands
/// before it, or after it, unless a line divides them.
fn shown(lines: &[&str], parts: &[Part], format: usize) -> String {
    let mut is_shown: Vec<bool> = parts.iter().map(|part| part.format == Some(format)).collect();
    for index in 1..parts.len() {
        is_shown[index] |= parts[index].format.is_none() && !parts[index].is_divided && is_shown[index - 1];
    }
    for index in (0..parts.len().saturating_sub(1)).rev() {
        let (part, next) = (&parts[index], &parts[index + 1]);
        is_shown[index] |= part.format.is_none() && !next.is_divided && is_shown[index + 1];
    }
    let mut shown = String::new();
    for (part, is_shown) in parts.iter().zip(is_shown) {
        for line in &lines[part.lines.clone()] {
            if is_shown {
                shown.push_str(line);
            }
            shown.push('\n');
        }
    }
    shown.pop();
    shown
}
