//! The outputs of `lspci`: lists (`-nn`, `-n`, `-D`), details (`-v` to `-vvv`), forms for programs (`-mm`, `-vmm`), and the
//! drawing of the tree (`-t`). Several of them may stand in one text; what they say of a function comes together.
//!
//! Details and the drawing tell the bus behind each bridge, and so the tree. Without one of them the paths between
//! devices are unknown. Ordinary users are not shown the capabilities of devices: speeds and ACS.

mod class;
mod details;
mod drawing;
mod function;
mod list;
mod machine;
mod place;
mod virtual_functions;

use super::plain::{is_ellipsis, plain};
use super::text::{self, Line};
use super::{Input, TextFormat};
use crate::error::{Error, Result};
use crate::model::{Fragment, Note, NoteCode, Provenance};
use function::Functions;

pub(super) struct Lspci;

impl TextFormat for Lspci {
    const NAME: &'static str = "the text of lspci";
    const BEGINNINGS: &'static [&'static str] = &["lspci"];

    fn recognizes(input: &Input<'_>) -> bool {
        input.lines().any(|line| is_sign(&line))
    }

    fn begins(line: &Line<'_>) -> bool {
        is_sign(line)
    }

    fn read(bytes: &[u8]) -> Result<Fragment> {
        place::fragment(functions(bytes)?)
    }

    fn read_part(bytes: &[u8]) -> Result<Fragment> {
        let functions = functions(bytes)?;
        if !functions.is_nameless() {
            return place::fragment(functions);
        }
        let mut fragment = Fragment::new(Provenance::SystemTool);
        fragment.set_nvlink_unknown();
        let text = format!("{NAMELESS}, so it was left out; lspci -tvnn does");
        fragment.note(NoteCode::Unknown, text);
        Ok(fragment)
    }
}

/// The reason why a drawing is of no use.
const NAMELESS: &str = "the drawing of lspci -t names no devices";

/// Reads the functions of a text.
fn functions(bytes: &[u8]) -> Result<Functions> {
    let (text, damage) = text::decode(bytes);
    let mut reader = Reader::default();
    for line in text::lines(&text) {
        reader.feed(&line)?;
    }
    let mut functions = reader.functions;
    reader.drawing.close(&mut functions.notes);
    if let Some(line) = reader.elided {
        let text = format!("the text leaves lines out at line {line}");
        functions.notes.push(Note::new(NoteCode::TextCut, text));
    }
    if functions.all.is_empty() {
        return Err(Error::input("it lists no PCI function").at(1, 1));
    }
    functions.notes.extend(damage.map(|text| Note::new(NoteCode::Damage, text)));
    Ok(functions)
}

/// Returns whether a line is one that only this tool writes.
fn is_sign(line: &Line<'_>) -> bool {
    let text = plain(line).0;
    list::header(text).is_some() || machine::is_sign(text) || drawing::is_sign(&line.text)
}

/// Takes the lines of all forms.
#[derive(Default)]
struct Reader {
    functions: Functions,
    drawing: drawing::Drawing,
    machine: machine::Machine,
    /// The first line with an ellipsis outside drawings.
    elided: Option<usize>,
}

impl Reader {
    fn feed(&mut self, line: &Line<'_>) -> Result<()> {
        let (text, column) = plain(line);
        let at = Place { line: line.number, column };
        let functions = &mut self.functions;
        if self.drawing.feed(&line.text, at, functions)? {
            functions.open = None;
            return Ok(());
        }
        if let Some(header) = list::header(text) {
            self.machine.close();
            return list::take(header, at, functions);
        }
        if self.machine.feed(text, at, functions)? {
            return Ok(());
        }
        if text.is_empty() {
            functions.open = None;
        }
        if is_ellipsis(text) {
            self.elided.get_or_insert(line.number);
        }
        details::feed(text, at, functions)
    }
}

/// The place of a line in the text, for errors.
#[derive(Clone, Copy)]
struct Place {
    line: usize,
    column: usize,
}

impl Place {
    fn error(self, what: impl Into<String>) -> Error {
        Error::input(what).at(self.line, self.column)
    }
}
