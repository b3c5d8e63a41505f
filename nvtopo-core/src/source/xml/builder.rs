//! The builder of a [`Document`] from a text: the library finds tags and texts, and the builder refuses what the
//! library accepts beyond XML: texts that end too early, several roots, invalid names, attributes that occur twice, and
//! more elements than any machine has.

use super::{Attribute, Document, Entry, Name, REWRITTEN, Span, at, key};
use crate::error::{Error, Result};
use quick_xml::errors::{Error as Broken, IllFormedError, SyntaxError};
use quick_xml::escape::{EscapeError, resolve_xml_entity};
use quick_xml::events::attributes::Attribute as Raw;
use quick_xml::events::{BytesRef, Event};
use quick_xml::name::QName;
use quick_xml::{Reader, XmlVersion};
use std::borrow::Cow;

/// The most elements that are read. A machine of 8192 CPUs has a tenth of it; each takes memory of its own.
pub(super) const MAX_ELEMENTS: usize = 2 << 20;

/// The most attributes, in the whole text and in one tag. A machine's objects have some 20.
pub(super) const MAX_ATTRIBUTES: usize = 4 << 20;
pub(super) const MAX_ATTRIBUTES_OF_ONE: usize = 256;

/// The most elements inside each other, so that a walk over them may recurse. Real machines have less than forty,
/// with all their bridges.
pub(super) const MAX_DEPTH: usize = 256;

/// Returns the name of the outermost element, if it is in the start of a text.
pub(in crate::source) fn root_name(start: &str) -> Option<&str> {
    let text = start.strip_prefix('\u{feff}').unwrap_or(start);
    let mut reader = Reader::from_str(text);
    loop {
        let place = reader.buffer_position() as usize;
        match reader.read_event() {
            Ok(Event::DocType(doctype)) if declares(&doctype) => return None,
            Ok(Event::Decl(_) | Event::PI(_) | Event::Comment(_) | Event::DocType(_)) => {}
            Ok(Event::Text(text)) if is_blank(&text) => {}
            Ok(Event::Start(_) | Event::Empty(_)) | Err(Broken::Syntax(_)) => {
                let name = text.get(place..)?.strip_prefix('<')?;
                let length = name.find(|c: char| c.is_ascii_whitespace() || c == '>' || c == '/');
                return Some(&name[..length.unwrap_or(name.len())]);
            }
            _ => return None,
        }
    }
}

/// A document that is being read.
pub(super) struct Builder<'a> {
    document: Document<'a>,
    /// The elements that are not closed yet.
    open: Vec<u32>,
    /// True if anything stood before, so that a declaration comes too late.
    begun: bool,
}

impl<'a> Builder<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        // The usual density of elements, so that little is moved while it grows.
        let entries = Vec::with_capacity(text.len() / 128);
        let attributes = Vec::with_capacity(text.len() / 28);
        let document = Document { text, entries, attributes, rewritten: Vec::new(), texts: Vec::new() };
        Self { document, open: Vec::new(), begun: false }
    }

    pub(super) fn build(mut self) -> Result<Document<'a>> {
        let text = self.document.text;
        let mut reader = Reader::from_str(text);
        reader.config_mut().check_comments = true;
        loop {
            let place = reader.buffer_position() as usize;
            let event = reader
                .read_event()
                .map_err(|error| broken(text, reader.error_position() as usize, &error))?;
            match event {
                // Most texts only indent what follows.
                Event::Text(content) if !self.is_in_text() && is_blank(&content) => {}
                Event::Text(content) => self.text(place, content.xml10_content())?,
                Event::Start(tag) => {
                    let name = tag.name().0.len();
                    self.start(place, &text[place + 1..][..tag.len()], name)?;
                    self.open.push(self.document.entries.len() as u32 - 1);
                }
                Event::Empty(tag) => {
                    let name = tag.name().0.len();
                    self.start(place, &text[place + 1..][..tag.len()], name)?;
                }
                Event::End(_) => self.end(),
                Event::CData(content) => self.text(place, content.xml10_content())?,
                Event::GeneralRef(entity) => self.text(
                    place,
                    Cow::Owned(resolve(&entity).ok_or_else(|| at(text, place, UNKNOWN_ENTITY))?),
                )?,
                Event::Decl(_) if self.begun => {
                    return Err(at(text, place, "the XML declaration is not at the start"));
                }
                Event::DocType(_) if !self.document.entries.is_empty() => {
                    return Err(at(text, place, "a document type inside the XML"));
                }
                Event::DocType(doctype) if declares(&doctype) => {
                    return Err(at(
                        text,
                        place,
                        "the XML declares entities or elements of its own, which are not read",
                    ));
                }
                Event::Decl(_) | Event::DocType(_) | Event::Comment(_) | Event::PI(_) => {}
                Event::Eof if self.open.is_empty() && !self.document.entries.is_empty() => {
                    return Ok(self.document);
                }
                Event::Eof => return Err(at(text, text.len(), TOO_EARLY)),
            }
            self.begun = true;
        }
    }

    fn start(&mut self, place: usize, tag: &'a str, name: usize) -> Result<()> {
        let text = self.document.text;
        let name = &tag[..name];
        if !is_name(name) {
            return Err(at(text, place, "an element without a proper name"));
        }
        if self.open.is_empty() && !self.document.entries.is_empty() {
            return Err(at(text, place, "a second root, where XML has one"));
        }
        if self.document.entries.len() >= MAX_ELEMENTS {
            return Err(at(text, place, TOO_MUCH));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(at(text, place, format!("elements are nested more than {MAX_DEPTH} deep")));
        }
        let position = self.document.entries.len() as u32;
        let first_attribute = self.document.attributes.len();
        self.attributes(place, tag, name.len(), first_attribute)?;
        let attributes = (self.document.attributes.len() - first_attribute) as u32;
        let name = Name { span: Span::new(place + 1, name.len()), key: key(name) };
        let first_attribute = first_attribute as u32;
        self.document.entries.push(Entry { name, end: position + 1, first_attribute, attributes });
        Ok(())
    }

    /// Reads the attributes of a tag after its name; the first of them gets the position `first`.
    ///
    /// The library's iterator over them accepts more than XML; checking after it costs as much as reading again.
    fn attributes(&mut self, place: usize, tag: &'a str, name: usize, first: usize) -> Result<()> {
        let text = self.document.text;
        let bytes = tag.as_bytes();
        let wrong = |found: usize, what: &str| at(text, place + 1 + found, format!("broken XML: {what}"));
        let span = |from: usize, to: usize| Span::new(place + 1 + from, to - from);
        // Rare, so that values need no look of their own.
        let special = holds(bytes, |byte| byte < b' ' || byte == b'&' || byte == b'<');
        let (mut next, mut seen) = (name, 0u64);
        loop {
            let start = after(bytes, next, is_space);
            if start == bytes.len() {
                return Ok(());
            }
            let end = after(bytes, start, |byte| IN_NAMES[usize::from(byte)]);
            let letters = &tag[start..end];
            if start == next || !starts_name(letters) {
                return Err(wrong(start, "expected an attribute, with a space before it"));
            }
            let equals = after(bytes, end, is_space);
            if bytes.get(equals) != Some(&b'=') {
                return Err(wrong(equals, "expected '=' after the name of an attribute"));
            }
            let quote = after(bytes, equals + 1, is_space);
            let Some(mark @ (b'"' | b'\'')) = bytes.get(quote) else {
                return Err(wrong(quote, "expected a quote before the value of an attribute"));
            };
            let close = after(bytes, quote + 1, |byte| byte != *mark);
            if close == bytes.len() {
                return Err(wrong(quote, "expected a quote after the value of an attribute"));
            }
            let own = &self.document.attributes[first..];
            let name = Name { span: span(start, end), key: key(letters) };
            let bit = 1 << (name.key.wrapping_mul(SPREAD) >> 26);
            if seen & bit != 0 && own.iter().any(|other| self.document.is(other.name, letters)) {
                return Err(wrong(start, &format!("the attribute {} occurs twice", short(letters))));
            }
            seen |= bit;
            if own.len() >= MAX_ATTRIBUTES_OF_ONE || self.document.attributes.len() >= MAX_ATTRIBUTES {
                return Err(at(text, place, TOO_MUCH));
            }
            let mut value = span(quote + 1, close);
            if special {
                value = self.rewrite(letters, value)?;
            }
            self.document.attributes.push(Attribute { name, value });
            next = close + 1;
        }
    }

    /// Returns the value of an attribute that may hold what is not to be taken as it is.
    fn rewrite(&mut self, name: &str, span: Span) -> Result<Span> {
        let (text, place) = (self.document.text, span.start as usize);
        let value = &text[place..][..span.length as usize];
        if let Some(found) = value.find('<') {
            return Err(at(text, place + found, "broken XML: '<' in a value; is a quote missing before it?"));
        }
        if let Some(found) = value.find(is_odd) {
            return Err(at(text, place + found, ODD));
        }
        let raw = Raw { key: QName(name), value: Cow::Borrowed(value) };
        let plain = raw.normalized_value(XmlVersion::Implicit1_0).map_err(|error| {
            let near = match &error {
                Broken::Escape(
                    EscapeError::UnrecognizedEntity(range, _) | EscapeError::UnterminatedEntity(range),
                ) => range.start,
                _ => value.len(),
            };
            let found = value.bytes().take(near + 1).rposition(|byte| byte == b'&');
            at(text, place + found.unwrap_or_default(), UNKNOWN_ENTITY)
        })?;
        let Cow::Owned(plain) = plain else { return Ok(span) };
        // None stands in the text as it is, so a reference stands for it.
        if plain.contains(is_odd) {
            return Err(at(text, place + value.find("&#").unwrap_or_default(), UNKNOWN_ENTITY));
        }
        self.document.rewritten.push(plain);
        Ok(Span { start: self.document.rewritten.len() as u32 - 1, length: REWRITTEN })
    }

    fn end(&mut self) {
        let count = self.document.entries.len() as u32;
        if let Some(open) = self.open.pop() {
            self.document.entries[open as usize].end = count;
        }
    }

    /// Returns whether the element that is open holds no other so far.
    fn is_first(&self) -> bool {
        self.open.last().is_some_and(|open| *open as usize + 1 == self.document.entries.len())
    }

    /// Returns whether a part of the text of the element that is open was there.
    fn is_in_text(&self) -> bool {
        let last = self.document.texts.last().zip(self.open.last());
        last.is_some_and(|((position, _), open)| position == open)
    }

    fn text(&mut self, place: usize, content: Cow<'a, str>) -> Result<()> {
        if holds(content.as_bytes(), |byte| byte < b' ') && content.contains(is_odd) {
            // Other line ends were shorter or longer in the text itself.
            let found = self.document.text[place..].find(is_odd);
            return Err(at(self.document.text, place + found.unwrap_or_default(), ODD));
        }
        let Some(&open) = self.open.last() else {
            let spaces = after(content.as_bytes(), 0, is_space);
            return Err(at(self.document.text, place + spaces, "expected an XML element"));
        };
        if !self.is_first() {
            return Ok(());
        }
        match self.document.texts.last_mut() {
            Some((position, before)) if *position == open => before.to_mut().push_str(&content),
            _ => self.document.texts.push((open, content)),
        }
        Ok(())
    }
}

/// Makes the highest bits of a product depend on all of a number.
const SPREAD: u32 = 0x9e37_79b1;

const TOO_EARLY: &str = "the XML ends too early";
const TOO_MUCH: &str = "the XML holds more than any machine's";
const ODD: &str = "a character that no XML holds";
const UNKNOWN_ENTITY: &str = "an entity that is not one of XML's own";

/// Returns whether a document type declares something itself.
fn declares(doctype: &str) -> bool {
    doctype.contains('[')
}

/// Returns whether there is nothing but spaces. Between tags there is mostly a new line that is indented.
fn is_blank(text: &str) -> bool {
    const INDENTED: &str = "\n                                                               ";
    INDENTED.starts_with(text) || text.bytes().all(is_space)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\t' | b'\r')
}

/// Returns the first position from one on that is not of a kind.
fn after(bytes: &[u8], mut position: usize, is_of: impl Fn(u8) -> bool) -> usize {
    while position < bytes.len() && is_of(bytes[position]) {
        position += 1;
    }
    position
}

/// Returns whether a byte of a kind is there. The search goes to the end, so that the processor checks many at once.
fn holds(bytes: &[u8], is_of: impl Fn(u8) -> bool) -> bool {
    bytes.iter().fold(0, |any, byte| any | u8::from(is_of(*byte))) != 0
}

/// Returns whether it is a character that no XML holds.
fn is_odd(character: char) -> bool {
    character < ' ' && !matches!(character, '\t' | '\n' | '\r')
}

/// Returns whether it is a name, as far as ASCII goes.
fn is_name(name: &str) -> bool {
    starts_name(name) && name.bytes().all(|byte| IN_NAMES[usize::from(byte)])
}

/// Returns whether what consists of bytes of names starts like one.
fn starts_name(name: &str) -> bool {
    let starts = |byte: &u8| !byte.is_ascii_digit() && !matches!(byte, b'-' | b'.');
    name.as_bytes().first().is_some_and(starts)
}

/// The bytes of names.
const IN_NAMES: [bool; 256] = {
    let mut table = [true; 256];
    let mut byte = 0;
    while byte < 0x80 {
        let ascii = byte as u8;
        table[byte] = ascii.is_ascii_alphanumeric() || matches!(ascii, b'_' | b':' | b'-' | b'.');
        byte += 1;
    }
    table
};

/// Returns the text of an entity.
fn resolve(entity: &BytesRef<'_>) -> Option<String> {
    match entity.resolve_char_ref() {
        Ok(Some(character)) => (!is_odd(character)).then(|| character.to_string()),
        Ok(None) => resolve_xml_entity(entity).map(str::to_owned),
        Err(_) => None,
    }
}

/// Returns the error for text that the reader refuses.
fn broken(text: &str, place: usize, error: &Broken) -> Error {
    match error {
        Broken::Syntax(error) if *error != SyntaxError::InvalidBangMarkup => at(text, text.len(), TOO_EARLY),
        Broken::IllFormed(IllFormedError::MismatchedEndTag { expected, found }) => {
            // If the bracket is missing, the name continues up to the next one.
            if let Some(next) = found.find('<') {
                return at(text, place + 2 + next, "broken XML: '<' inside a tag");
            }
            let (expected, found) = (short(expected), short(found));
            at(text, place, format!("broken XML: expected '</{expected}>', not '</{found}>'"))
        }
        Broken::IllFormed(IllFormedError::UnmatchedEndTag(found)) => {
            at(text, place, format!("broken XML: '</{}>' closes nothing", short(found)))
        }
        Broken::IllFormed(IllFormedError::UnclosedReference) => at(text, place, UNKNOWN_ENTITY),
        error => at(text, place, format!("broken XML: {error}")),
    }
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}
