//! The layout of the text: large values go on lines of their own, small ones stay on one line.

use crate::printable::is_obeyed;
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use std::fmt::Write as _;
use std::io::{Result, Write};

/// Returns the JSON text of a document: down to each node, link and row on its own line, and what is inside these on
/// that one line.
pub(crate) fn to_text(document: &impl Serialize) -> String {
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, Lines::default());
    // Nothing in a document can fail: its keys are strings, and writing to memory succeeds.
    let written = document.serialize(&mut serializer);
    debug_assert!(written.is_ok());
    bytes.push(b'\n');
    let text = String::from_utf8_lossy(&bytes).into_owned();
    // JSON escapes C0 only. What else a terminal obeys can stand inside of strings only, where it may be escaped as
    // well.
    if !text.contains(|c| is_obeyed(c) && c != '\n') {
        return text;
    }
    let mut safe = String::with_capacity(text.len() + 64);
    for c in text.chars() {
        if is_obeyed(c) && c != '\n' {
            let _ = write!(safe, "\\u{:04x}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    safe
}

/// The depth down to which values get lines of their own: the document and its lists.
const DEPTH: usize = 2;

/// The key below which it is one level more: its lists are as large as those of other documents.
const DEEPER: &str = "topology";

#[derive(Default)]
struct Lines {
    depth: usize,
    /// The key that is being written, if any, with true if its value is one of [`DEEPER`].
    in_key: bool,
    deeper: bool,
    /// True if the list or object that ends next had anything in it.
    filled: bool,
}

impl Lines {
    fn limit(&self) -> usize {
        DEPTH + usize::from(self.deeper)
    }

    fn begin<W: Write + ?Sized>(&mut self, writer: &mut W, bracket: &[u8]) -> Result<()> {
        self.depth += 1;
        self.filled = false;
        writer.write_all(bracket)
    }

    fn end<W: Write + ?Sized>(&mut self, writer: &mut W, bracket: &[u8]) -> Result<()> {
        self.depth -= 1;
        if self.filled && self.depth < self.limit() {
            self.indent(writer)?;
        }
        self.filled = true;
        writer.write_all(bracket)
    }

    fn separate<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> Result<()> {
        match (first, self.depth <= self.limit()) {
            (true, true) => self.indent(writer),
            (true, false) => Ok(()),
            (false, true) => writer.write_all(b",").and_then(|()| self.indent(writer)),
            (false, false) => writer.write_all(b", "),
        }
    }

    fn indent<W: Write + ?Sized>(&self, writer: &mut W) -> Result<()> {
        writer.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| writer.write_all(b"  "))
    }
}

impl Formatter for Lines {
    fn begin_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> Result<()> {
        self.begin(writer, b"[")
    }

    fn end_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> Result<()> {
        self.end(writer, b"]")
    }

    fn begin_array_value<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> Result<()> {
        self.separate(writer, first)
    }

    fn end_array_value<W: Write + ?Sized>(&mut self, _writer: &mut W) -> Result<()> {
        self.filled = true;
        Ok(())
    }

    fn begin_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> Result<()> {
        self.begin(writer, b"{")
    }

    fn end_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> Result<()> {
        self.end(writer, b"}")
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> Result<()> {
        self.separate(writer, first)?;
        self.in_key = true;
        Ok(())
    }

    fn write_string_fragment<W: Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> Result<()> {
        if self.in_key && self.depth == 1 {
            self.deeper = fragment == DEEPER;
        }
        writer.write_all(fragment.as_bytes())
    }

    fn end_object_key<W: Write + ?Sized>(&mut self, _writer: &mut W) -> Result<()> {
        self.in_key = false;
        Ok(())
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, writer: &mut W) -> Result<()> {
        writer.write_all(b": ")
    }

    fn end_object_value<W: Write + ?Sized>(&mut self, _writer: &mut W) -> Result<()> {
        self.filled = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_things_have_lines_and_small_ones_share() {
        let value = serde_json::json!({
            "empty": [],
            "topology": {"nodes": [{"a": [1, 2], "b": {}}, {"c": "x"}]},
            "matrix": [["X", "NV4"], ["NV4", "X"]],
        });
        assert_eq!(
            to_text(&value),
            r#"{
  "empty": [],
  "topology": {
    "nodes": [
      {"a": [1, 2], "b": {}},
      {"c": "x"}
    ]
  },
  "matrix": [
    ["X", "NV4"],
    ["NV4", "X"]
  ]
}
"#
        );
    }
}
