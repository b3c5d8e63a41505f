//! The error of the library: message, place, and advice.
//!
//! [`Error`] is opaque: programs decide by its [`ErrorKind`], people read its text. There is one type for all modules: a caller
//! that places GPUs does not care which file failed.

use crate::printable::{message, printable};
use std::fmt;

/// A `Result` whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind of an [`Error`], for programs to decide by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input is damaged, of no known format, or beyond a stated limit.
    InvalidInput,
    /// The request is invalid: an unknown name, a contradiction, a number out of range.
    InvalidRequest,
    /// The request is valid, but this machine cannot satisfy it.
    Unsatisfiable,
    /// A file could not be read, or a system call failed.
    Io,
    /// The topology is not this machine's, and the call would change this machine.
    WrongMachine,
    /// The kernel or a sandbox refused the operation.
    Refused,
    /// This build or this system does not support the operation.
    Unsupported,
}

impl ErrorKind {
    /// Every kind, for bindings that map each one.
    pub const ALL: &[Self] = &[
        Self::InvalidInput,
        Self::InvalidRequest,
        Self::Unsatisfiable,
        Self::Io,
        Self::WrongMachine,
        Self::Refused,
        Self::Unsupported,
    ];
}

/// An error: its message, its place in the input, and advice.
///
/// ```
/// use nvtopo::{CpuSet, ErrorKind};
///
/// let error = "0-3,x".parse::<CpuSet>().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::InvalidInput);
/// assert!(error.to_string().contains("'x'"));
/// ```
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<Inner>);

#[derive(Debug, thiserror::Error)]
#[error("{place}{message}{help}")]
struct Inner {
    kind: ErrorKind,
    message: String,
    place: Place,
    help: Help,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The place in the input that an error is about.
#[derive(Debug, Default)]
struct Place {
    input: Option<String>,
    line: Option<usize>,
    column: Option<usize>,
}

/// The advice behind a message.
#[derive(Debug, Default)]
struct Help(Option<String>);

impl Error {
    /// Creates an error of a kind, for crates above this one. Control characters of the text are escaped, and a long text is cut.
    pub fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            // It may echo a file, whose control characters must not reach a terminal.
            message: message(&text.into()),
            place: Place::default(),
            help: Help::default(),
            source: None,
        }))
    }

    /// Creates an error about an input that is damaged, of no known format, or beyond a stated limit.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// Creates an error about an invalid request.
    pub fn request(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidRequest, message)
    }

    /// Creates an error about a valid request that this machine cannot satisfy.
    pub fn unsatisfiable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsatisfiable, message)
    }

    /// Creates an error about an invalid request, with advice; for faces that check options.
    pub fn wrong_use(message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::request(message).help(advice)
    }

    /// An I/O failure on `path`.
    pub(crate) fn io(path: &std::path::Path, source: std::io::Error) -> Self {
        Self::cannot("read", path.as_os_str(), source)
    }

    /// An I/O failure on writing `path`; also for faces that write.
    pub fn cannot_write(path: &std::path::Path, source: std::io::Error) -> Self {
        Self::cannot("write", path.as_os_str(), source)
    }

    /// A program that could not be started; for faces that start one.
    pub fn cannot_run(program: &std::ffi::OsStr, source: std::io::Error) -> Self {
        Self::cannot("run", program, source)
    }

    fn cannot(verb: &str, name: &std::ffi::OsStr, source: std::io::Error) -> Self {
        let mut error = Self::new(ErrorKind::Io, format!("cannot {verb} {}: {source}", name.display()));
        error.0.source = Some(Box::new(source));
        error
    }

    /// Names the file or stream that the error is about, unless an inner call already did.
    #[must_use]
    pub fn in_input(mut self, name: &str) -> Self {
        self.0.place.input.get_or_insert_with(|| message(name));
        self
    }

    /// Names the line and column (both counted from 1).
    #[must_use]
    pub fn at(mut self, line: usize, column: usize) -> Self {
        self.0.place.line = Some(line);
        self.0.place.column = Some(column);
        self
    }

    /// Names the line and column of a byte of the input's text; its end where it has fewer, or none begins there.
    #[must_use]
    pub fn at_byte(self, text: &str, byte: usize) -> Self {
        let before = text.get(..byte).unwrap_or(text);
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        self.at(before.matches('\n').count() + 1, column)
    }

    /// Adds advice: what a person can do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Help(Some(printable(&help.into()).into_owned()));
        self
    }

    /// Returns the kind.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the message, without place and advice.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the file or stream that the error is about.
    pub fn input_name(&self) -> Option<&str> {
        self.0.place.input.as_deref()
    }

    /// Returns the line of the input, counted from 1.
    pub fn line(&self) -> Option<usize> {
        self.0.place.line
    }

    /// Returns the column of the line in characters, counted from 1.
    pub fn column(&self) -> Option<usize> {
        self.0.place.column
    }

    /// Returns the advice: what a person can do.
    pub fn advice(&self) -> Option<&str> {
        self.0.help.0.as_deref()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.input, self.line, self.column) {
            (Some(input), Some(line), Some(column)) => write!(f, "{input}:{line}:{column}: "),
            (Some(input), ..) => write!(f, "{input}: "),
            (None, Some(line), Some(column)) => write!(f, "line {line}, column {column}: "),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Help {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |help| write!(f, " ({help})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_place_and_advice() {
        let error =
            Error::input("unknown link word 'NVX'").in_input("topo.txt").at(3, 9).help("expected NV4");
        assert_eq!(error.to_string(), "topo.txt:3:9: unknown link word 'NVX' (expected NV4)");
        assert_eq!((error.line(), error.column()), (Some(3), Some(9)));
    }

    #[test]
    fn nothing_that_a_terminal_obeys_is_told() {
        let error =
            Error::input("no word '\u{1b}]0;x\u{7}\u{9b}2J'").in_input("a\nb\u{202e}").help("try \u{1b}c");
        let told = error.to_string();
        assert_eq!(told, r"a\nb\u{202e}: no word '\u{1b}]0;x\u{7}\u{9b}2J' (try \u{1b}c)");
        let long = Error::input(format!("no word '{}'", "x".repeat(1 << 20))).to_string();
        assert!(long.len() < 300, "{} bytes are told", long.len());
    }

    #[test]
    fn the_innermost_name_of_the_input_stays() {
        let error = Error::input("x").in_input("inner").in_input("outer");
        assert_eq!(error.input_name(), Some("inner"));
    }

    #[test]
    fn the_cause_is_the_source() {
        use std::error::Error as _;
        let cause = std::io::Error::from_raw_os_error(2);
        let error = Error::io(std::path::Path::new("/x"), cause).in_input("topo.txt");
        let source = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
        assert_eq!(source.and_then(std::io::Error::raw_os_error), Some(2));
        assert!(error.to_string().starts_with("topo.txt: cannot read /x: "), "{error}");
        assert!(Error::input("x").source().is_none());
    }
}
