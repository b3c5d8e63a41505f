//! The output of the command: answers on standard output, all else on standard error.

use nvtopo::{Error, Result, printable};
use std::io::{self, ErrorKind, Write};
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
    told(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

/// Prints what is no text, as it is.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    told(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

fn told(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(not_written(error)),
        _ => Ok(()),
    }
}

/// The error where standard output cannot be written.
pub(crate) fn not_written(error: io::Error) -> Error {
    Error::cannot_write(Path::new("standard output"), error)
}
