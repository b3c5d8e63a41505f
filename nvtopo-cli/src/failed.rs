//! An error, and the exit code that goes with it.

use nvtopo::{Error, ErrorKind};
use std::ffi::OsStr;
use std::io;

/// The request is sound, but this machine cannot satisfy it.
const UNSATISFIABLE: u8 = 1;
/// Bad usage or input.
pub(crate) const BAD: u8 = 2;
/// The command of `exec` or `run` is there and cannot be run, as shells have it.
const NOT_RUN: u8 = 126;
/// The command of `exec` or `run` is missing, as shells have it.
const MISSING: u8 = 127;

/// Why the command ends without having done what was asked.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) error: Error,
    pub(crate) code: u8,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        let code = if error.kind() == ErrorKind::Unsatisfiable { UNSATISFIABLE } else { BAD };
        Self { error, code }
    }
}

impl Failed {
    /// A program that could not be started.
    pub(crate) fn to_run(program: &OsStr, error: io::Error) -> Self {
        let code = if error.kind() == io::ErrorKind::NotFound { MISSING } else { NOT_RUN };
        Self { error: Error::cannot_run(program, error), code }
    }
}
