//! `nvtopo snapshot`: the machine in a file.

use crate::args::SnapshotArgs;
use crate::output::{not_written, print_bytes, remark};
use nvtopo::Result;
use nvtopo::source::{Redaction, Snapshot};
use std::io::{self, IsTerminal};
use std::path::Path;

pub(crate) fn snapshot(args: &SnapshotArgs) -> Result<String> {
    let to_stdout = args.output == Path::new("-");
    if to_stdout && io::stdout().is_terminal() {
        return Err(not_written(io::Error::other("a snapshot is no text for a terminal; give -o FILE")));
    }
    let redaction = if args.redact { Redaction::Identifiers } else { Redaction::None };
    let snapshot = Snapshot::take(&args.from, redaction)?;
    if to_stdout {
        print_bytes(&snapshot.to_bytes()?)?;
    } else {
        let size = snapshot.write(&args.output)?;
        remark(&format!("wrote {}, {size} bytes", args.output.display()));
    }
    if !snapshot.is_redacted() {
        remark("it holds serial numbers, UUIDs and names of this machine; --redact leaves them out");
    }
    Ok(String::new())
}
