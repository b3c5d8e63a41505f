//! `nvtopo snapshot`: the machine in a file.

use crate::args::SnapshotArgs;
use crate::report;
use nvtopo::source::{Redaction, Snapshot};
use nvtopo::{Error, Result};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::Path;

pub(crate) fn snapshot(args: &SnapshotArgs) -> Result<String> {
    let to_stdout = args.output == Path::new("-");
    if to_stdout && io::stdout().is_terminal() {
        return Err(not_written(io::Error::other("a snapshot is no text for a terminal; give -o FILE")));
    }
    let redaction = if args.redact { Redaction::Identifiers } else { Redaction::None };
    let snapshot = Snapshot::take(&args.from, redaction)?;
    if to_stdout {
        print(&snapshot.to_bytes()?)?;
    } else {
        let size = snapshot.write(&args.output)?;
        report(&format!("wrote {}, {size} bytes", args.output.display()));
    }
    if !snapshot.is_redacted() {
        report("it holds serial numbers, UUIDs and names of this machine; --redact leaves them out");
    }
    Ok(String::new())
}

fn print(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        // A reader that closes the pipe early wants no more.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(not_written(error)),
        _ => Ok(()),
    }
}

fn not_written(error: io::Error) -> Error {
    Error::cannot_write(Path::new("standard output"), error)
}
