//! XML as a flat tree of elements with their attributes, every error at its line and column. The formats that use it
//! give elements their meaning.
//!
//! Namespaces are left out, and everything that a document type could declare: entities are XML's own and numbers only,
//! so that a short text never grows.

mod builder;
pub(super) mod pasted;
#[cfg(test)]
mod tests;

use super::MAX_INPUT;
use crate::error::{Error, Result};
use builder::Builder;
use std::borrow::Cow;
use std::ops::Range;

pub(super) use builder::root_name;

/// A text that was read.
pub(super) struct Document<'a> {
    text: &'a str,
    /// In the text's order, the root first.
    entries: Vec<Entry>,
    attributes: Vec<Attribute>,
    /// Values that do not stand in the text as they are.
    rewritten: Vec<String>,
    /// The text between the start of an element and the next tag, by the element's position. Blanks alone are left out.
    texts: Vec<(u32, Cow<'a, str>)>,
}

/// A part of the text, small because there are many.
#[derive(Clone, Copy)]
struct Span {
    start: u32,
    length: u32,
}

impl Span {
    /// Makes a span; the text's length is limited, so both numbers fit.
    fn new(start: usize, length: usize) -> Self {
        Self { start: start as u32, length: length as u32 }
    }

    fn range(self) -> Range<usize> {
        self.start as usize..self.start as usize + self.length as usize
    }
}

/// The name of an element or of an attribute.
#[derive(Clone, Copy)]
struct Name {
    span: Span,
    /// Of the letters, see [`key`].
    key: u32,
}

struct Entry {
    name: Name,
    /// The position after the last element inside.
    end: u32,
    first_attribute: u32,
    attributes: u32,
}

struct Attribute {
    name: Name,
    /// In `rewritten`, where the length is [`REWRITTEN`].
    value: Span,
}

const REWRITTEN: u32 = u32::MAX;

/// An element of a document.
#[derive(Clone, Copy)]
pub(super) struct Element<'d> {
    document: &'d Document<'d>,
    position: u32,
}

impl Document<'_> {
    /// Reads a text.
    pub(super) fn parse(text: &str) -> Result<Document<'_>> {
        if text.len() as u64 > MAX_INPUT {
            return Err(Error::input(format!("more than {} MiB", MAX_INPUT >> 20)));
        }
        Builder::new(text.strip_prefix('\u{feff}').unwrap_or(text)).build()
    }

    /// Returns the outermost element.
    pub(super) fn root(&self) -> Element<'_> {
        Element { document: self, position: 0 }
    }

    fn part(&self, span: Span) -> &str {
        &self.text[span.range()]
    }

    /// Returns whether a name is of these letters.
    fn is(&self, name: Name, letters: &str) -> bool {
        name.key == key(letters) && self.text.as_bytes()[name.span.range()] == *letters.as_bytes()
    }
}

impl<'d> Element<'d> {
    fn entry(self) -> &'d Entry {
        &self.document.entries[self.position as usize]
    }

    fn attributes(self) -> &'d [Attribute] {
        let entry = self.entry();
        &self.document.attributes[entry.first_attribute as usize..][..entry.attributes as usize]
    }

    /// Returns its name.
    pub(super) fn name(self) -> &'d str {
        self.document.part(self.entry().name.span)
    }

    /// Returns whether this is its name.
    pub(super) fn is(self, name: &str) -> bool {
        self.document.is(self.entry().name, name)
    }

    /// Returns the elements directly inside.
    pub(super) fn children(self) -> impl Iterator<Item = Self> {
        let (mut next, end) = (self.position + 1, self.entry().end);
        std::iter::from_fn(move || {
            let child = (next < end).then_some(Self { position: next, ..self })?;
            next = child.entry().end;
            Some(child)
        })
    }

    /// Returns the value of an attribute.
    pub(super) fn attribute(self, name: &str) -> Option<&'d str> {
        let value = self.find(name)?.value;
        match value.length {
            REWRITTEN => self.document.rewritten.get(value.start as usize).map(String::as_str),
            _ => Some(self.document.part(value)),
        }
    }

    /// Returns all attributes, each with its value.
    pub(super) fn all_attributes(self) -> impl Iterator<Item = (&'d str, &'d str)> {
        let value = move |own: &'d Attribute| match own.value.length {
            REWRITTEN => self.document.rewritten.get(own.value.start as usize).map_or("", String::as_str),
            _ => self.document.part(own.value),
        };
        self.attributes().iter().map(move |own| (self.document.part(own.name.span), value(own)))
    }

    fn find(self, name: &str) -> Option<&'d Attribute> {
        self.attributes().iter().find(|own| self.document.is(own.name, name))
    }

    /// Returns the text between its start and the next tag, without the blanks before it.
    pub(super) fn text(self) -> &'d str {
        let texts = &self.document.texts;
        let text =
            texts.binary_search_by_key(&self.position, |text| text.0).map_or("", |found| &*texts[found].1);
        text.trim_start_matches(is_blank)
    }

    /// Returns an error about the element.
    pub(super) fn error(self, message: impl Into<String>) -> Error {
        at(self.document.text, self.entry().name.span.start as usize - 1, message)
    }

    /// Says of an error that it is about the element.
    pub(super) fn locate(self, error: Error) -> Error {
        error.at_byte(self.document.text, self.entry().name.span.start as usize - 1)
    }

    /// Returns an error about one of its attributes, or about the element where it lacks that.
    pub(super) fn error_at(self, attribute: &str, message: impl Into<String>) -> Error {
        match self.find(attribute) {
            Some(own) => at(self.document.text, own.name.span.start as usize, message),
            None => self.error(message),
        }
    }
}

/// Returns a number by which most names differ, so that few are compared letter by letter.
#[inline]
fn key(name: &str) -> u32 {
    let bytes = name.as_bytes();
    let byte = |place: usize| bytes.get(place).copied().unwrap_or_default();
    u32::from_be_bytes([bytes.len() as u8, byte(0), byte(bytes.len() / 2), byte(bytes.len().wrapping_sub(1))])
}

/// Returns whether XML takes a character for a space.
fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\n' | '\t' | '\r')
}

/// Returns an error at a position in the text.
fn at(text: &str, position: usize, message: impl Into<String>) -> Error {
    Error::input(message).at_byte(text, position)
}
