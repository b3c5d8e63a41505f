//! The lines of a text in which a matrix may stand: also those of a literal in source code (`"GPU0\t X \tSYS\n"`), and
//! those that lost their ends, so that the header and all rows are one line.

use super::{cell, columns};
use crate::source::text::{self, Line};
use std::collections::BTreeSet;

/// Returns the lines of a matrix in those of a text, each with its place in it.
pub(super) fn of<'a>(lines: impl Iterator<Item = Line<'a>>) -> impl Iterator<Item = Line<'a>> {
    lines.flat_map(|line| {
        let parts = if is_literal(&line.text) { literal(&line) } else { vec![line] };
        parts.into_iter().flat_map(unfold)
    })
}

/// Returns whether the line shows the escapes of a literal in place of tabs.
fn is_literal(line: &str) -> bool {
    line.contains("\\t") && (line.contains("GPU") || line.matches("\\t").count() > 1)
}

/// Returns the lines of a literal. What becomes white space has the same length, so that places stay.
fn literal<'a>(line: &Line<'a>) -> Vec<Line<'a>> {
    let mut shown = inside(&line.text);
    // The escape character of terminals as code writes it; real escapes are blank already.
    for escape in ["\\x1b", "\\x1B", "\\u001b", "\\u001B", "\\033", "\\e"] {
        shown = shown.replace(escape, &" ".repeat(escape.len()));
    }
    // A literal in a literal has its backslashes twice.
    while shown.contains("\\\\") {
        shown = shown.replace("\\\\", " \\");
    }
    let shown = shown.replace("\\t", " \t").replace("\\r", "  ");
    let mut offset = line.offset;
    let part = |part: &str| {
        let own = Line { number: line.number, offset, text: part.to_owned().into() };
        offset += part.chars().count() + 2;
        own
    };
    shown.split("\\n").map(part).collect()
}

/// Returns the line with blanks for what stands outside the quotes around its escapes.
fn inside(line: &str) -> String {
    let escape = line.find('\\').unwrap_or(line.len());
    let quote = |c: char| matches!(c, '"' | '\'' | '`');
    let Some(start) = line[..escape].rfind(quote) else { return line.to_owned() };
    let end = line[escape..].rfind(quote).map_or(line.len(), |end| escape + end);
    let blank = |text: &str| " ".repeat(text.chars().count());
    [&blank(&line[..=start]), &line[start + 1..end], &blank(&line[end..])].concat()
}

/// Returns the header and the rows of a line that holds them all; else the line itself.
fn unfold(line: Line<'_>) -> Vec<Line<'_>> {
    let Some(starts) = folds(&line) else { return vec![line] };
    let mut bytes: Vec<usize> = Vec::with_capacity(starts.len() + 1);
    for (index, (at, _)) in line.text.char_indices().enumerate() {
        match starts.get(bytes.len()) {
            Some(start) if *start == index => bytes.push(at),
            Some(_) => {}
            None => break,
        }
    }
    bytes.push(line.text.len());
    let part = |(start, ends): (&usize, &[usize])| {
        let text = line.text[ends[0]..ends[1]].to_owned();
        Line { number: line.number, offset: line.offset + start, text: text.into() }
    };
    starts.iter().zip(bytes.windows(2)).map(part).collect()
}

/// Returns where the parts of a line begin, counted in characters: the header, each row, and the legend. `None`: it is
/// no such line.
fn folds(line: &Line<'_>) -> Option<Vec<usize>> {
    line.text.matches("GPU").nth(1)?;
    let (tokens, fielded) = text::tokens(line);
    let word = |at: usize| tokens.get(at).is_some_and(|token| cell::is_word(&token.text));
    let first = (1..tokens.len()).find(|at| word(*at)).filter(|_| !fielded)? - 1;
    let header = columns::header(&tokens[..first], false)?;
    let names: BTreeSet<&str> = header.iter().map(|token| token.text.as_str()).collect();
    let begins = |at: &usize| {
        let text = tokens[*at].text.as_str();
        names.contains(text) && columns::could_be_device(text) && word(at + 1)
    };
    let legend = (first..tokens.len()).find(|at| tokens[*at].text.starts_with("Legend"));
    let rows = (first..legend.unwrap_or(tokens.len())).filter(begins);
    let starts: Vec<usize> = rows.chain(legend).map(|at| tokens[at].column - 1 - line.offset).collect();
    begins(&first).then(|| std::iter::once(0).chain(starts).collect())
}
