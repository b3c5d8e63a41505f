//! From bytes to a tree of elements, with every error at its line and column. What the elements mean is for the
//! other files.
//!
//! hwloc's files name a DTD and declare nothing themselves. Declarations are refused: a short text could grow without
//! limit by its own entities.

use crate::error::{Error, Result};
use roxmltree::{Document, ParsingOptions};

/// The most tags that are read. A machine of 8192 CPUs has a tenth of it; each takes memory of its own.
const MAX_TAGS: usize = 2 << 20;

/// The most attributes, in the whole text and in one tag. An object of hwloc has some 20.
const MAX_ATTRIBUTES: usize = 8 << 20;
const MAX_ATTRIBUTES_OF_ONE: usize = 256;

/// Texts below this size cannot hold so much that it matters.
const SMALL: usize = 128 << 10;

/// Whether the text is XML whose root is hwloc's, as far as its start tells.
pub(super) fn is_ours(text: &str) -> bool {
    prolog(text).is_ok_and(|root| root == "topology")
}

/// Reads the text.
pub(super) fn parse(text: &str) -> Result<Document<'_>> {
    prolog(text)?;
    if text.len() > SMALL {
        check_size(text)?;
    }
    let limit = MAX_TAGS as u32 * 2;
    let options = ParsingOptions { allow_dtd: true, nodes_limit: limit, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).map_err(|error| broken(text, &error))
}

fn broken(text: &str, error: &roxmltree::Error) -> Error {
    use roxmltree::Error as Xml;
    if matches!(error, Xml::UnexpectedEndOfStream | Xml::UnclosedRootNode | Xml::NoRootNode) {
        return at(text, text.len(), "the XML ends too early");
    }
    let place = error.pos();
    let message = error.to_string();
    // The place is told once.
    let message = message.rsplit_once(" at ").map_or(&*message, |(message, _)| message);
    Error::input(format!("broken XML: {message}")).at(place.row as usize, place.col as usize)
}

fn check_size(text: &str) -> Result<()> {
    let (mut tags, mut attributes, mut own) = (0, 0, 0);
    for (position, byte) in text.bytes().enumerate() {
        match byte {
            b'<' => (tags, own) = (tags + 1, 0),
            b'=' => (attributes, own) = (attributes + 1, own + 1),
            _ => continue,
        }
        if tags > MAX_TAGS || attributes > MAX_ATTRIBUTES || own > MAX_ATTRIBUTES_OF_ONE {
            return Err(at(text, position, "the XML holds more than any machine's"));
        }
    }
    Ok(())
}

/// The name of the root element. What stands before it is checked on the way.
fn prolog(text: &str) -> Result<&str> {
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    loop {
        rest = rest.trim_start();
        let place = text.len() - rest.len();
        let skip = |from: &str, end: &str| {
            let after = rest.get(from.len()..)?;
            after.find(end).map(|found| &after[found + end.len()..])
        };
        let after = if rest.starts_with("<?") {
            skip("<?", "?>")
        } else if rest.starts_with("<!--") {
            skip("<!--", "-->")
        } else if rest.starts_with("<!DOCTYPE") {
            let end = end_of_doctype(rest);
            if end.is_some_and(|end| rest[end..].starts_with('[')) {
                return Err(at(
                    text,
                    place,
                    "the XML declares entities or elements of its own, which hwloc never does",
                ));
            }
            end.map(|end| &rest[end + 1..])
        } else {
            let name = rest.strip_prefix('<').ok_or_else(|| at(text, place, "expected an XML element"))?;
            let length = name.find(|c: char| c.is_whitespace() || c == '>' || c == '/');
            return Ok(&name[..length.unwrap_or(name.len())]);
        };
        rest = after.ok_or_else(|| at(text, text.len(), "the XML ends too early"))?;
    }
}

/// Where the document type ends, or its own declarations start.
fn end_of_doctype(text: &str) -> Option<usize> {
    let mut quote = None;
    for (position, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'[' | b'>') => return Some(position),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

/// An error at a position in the text.
fn at(text: &str, position: usize, message: &str) -> Error {
    let before = text.get(..position).unwrap_or(text);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Error::input(message).at(line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_found_behind_what_comes_before() {
        for (text, expected) in [
            ("<topology>", true),
            (
                "\u{feff} <?xml version='1.0'?>\n<!-- <a> -->\n<!DOCTYPE topology SYSTEM \"a>b\">\n<topology version='2.0'>",
                true,
            ),
            ("<topologydiff>", false),
            ("<system version='1'>", false),
            ("<!DOCTYPE topology [<!ENTITY a 'b'>]><topology>", false),
            ("{}", false),
            ("<!-- ", false),
            ("", false),
        ] {
            assert_eq!(is_ours(text), expected, "{text}");
        }
    }

    #[test]
    fn errors_have_their_place() {
        for (text, place, reason) in [
            ("<topology>\n  <object>\n</topology>", (3, 1), "expected 'object' tag"),
            ("<topology>\n  <obj", (2, 7), "too early"),
            ("<!DOCTYPE topology [<!ENTITY a 'b'>]>\n<topology/>", (1, 1), "entities"),
            ("<topology>\né&x;</topology>", (2, 2), "entity"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!((error.line(), error.column()), (Some(place.0), Some(place.1)), "{error}");
            assert!(error.to_string().contains(reason), "{error}");
        }
    }

    #[test]
    fn what_no_machine_has_is_refused() {
        let many = |item: &str| format!("<topology {}", item.repeat(300 << 10));
        assert!(parse(&many("a=\"\" ")).unwrap_err().message().contains("more than any machine"));
        let deep = "<object>".repeat(1 << 20);
        assert!(parse(&format!("<topology>{deep}")).is_err());
    }
}
