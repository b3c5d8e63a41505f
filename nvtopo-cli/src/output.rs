//! The output of the command: answers on standard output, all else on standard error, and the exit code of an error.

use nvtopo::{Error, ErrorKind, Result, printable};
use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// The switch that leaves remarks out.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Leaves out remarks from now on, or tells them.
pub(crate) fn set_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

pub(crate) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// A line on standard error, written at once: several ranks may write there.
pub(crate) fn report(text: &str) {
    let _ = anstream::stderr().write_all(format!("nvtopo: {}\n", printable(text)).as_bytes());
}

/// A line that a person should know, and may have asked to leave out.
pub(crate) fn remark(text: &str) {
    if !is_quiet() {
        report(text);
    }
}

/// Prints an answer.
///
/// Errors where it cannot be written. A reader that closes the pipe early, such as `head`, wants no more: that is none.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut stdout = anstream::stdout();
    checked(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

/// Prints what is no text, as it is.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    checked(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

fn checked(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(not_written(error)),
        _ => Ok(()),
    }
}

/// The error where standard output cannot be written.
pub(crate) fn not_written(error: io::Error) -> Error {
    Error::cannot_write(Path::new("standard output"), error)
}

/// The request is sound, but this machine cannot satisfy it.
const UNSATISFIABLE: u8 = 1;
/// Bad usage or input.
pub(crate) const BAD: u8 = 2;
/// The command of `exec` or `run` is there and cannot be run, as shells have it.
const NOT_RUN: u8 = 126;
/// The command of `exec` or `run` is missing, as shells have it.
const MISSING: u8 = 127;

/// The error that ended the command, and its exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) code: u8,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = if error.kind() == ErrorKind::Unsatisfiable { UNSATISFIABLE } else { BAD };
        Self { error, code }
    }
}

impl Failure {
    /// The failure to start a program.
    pub(crate) fn to_run(program: &OsStr, error: io::Error) -> Self {
        let code = if error.kind() == io::ErrorKind::NotFound { MISSING } else { NOT_RUN };
        Self { error: Error::cannot_run(program, error), code }
    }
}
