//! Named pipes, which a shell's `<(command)` is too: they are read as long as somebody writes, and refused where nobody does.

use crate::error::{Error, Result};
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a writer may take to open the pipe.
const PATIENCE: Duration = Duration::from_secs(5);

/// The time between two looks at a pipe.
const PAUSE: Duration = Duration::from_millis(1);

/// A pipe that has data, or had.
pub(super) struct Pipe {
    file: File,
    first: Option<u8>,
}

/// Opens a path that is a pipe; `None` for any other. Opening one as a file would wait for a writer for ever.
pub(super) fn open(path: &Path) -> Result<Option<Pipe>> {
    if !path.metadata().is_ok_and(|own| own.file_type().is_fifo()) {
        return Ok(None);
    }
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let mut pipe = Pipe { file: opened.map_err(|error| Error::io(path, error))?, first: None };
    let (began, mut byte) = (Instant::now(), [0]);
    loop {
        // No data is no end before a writer came.
        match pipe.read(&mut byte) {
            Ok(0) if began.elapsed() > PATIENCE => {
                let seconds = PATIENCE.as_secs();
                let text =
                    format!("{}: nothing was written into this pipe for {seconds} seconds", path.display());
                return Err(Error::input(text).help("start the program that writes into it, or give a file"));
            }
            Ok(0) => sleep(PAUSE),
            Ok(_) => {
                pipe.first = Some(byte[0]);
                return Ok(Some(pipe));
            }
            Err(error) => return Err(Error::io(path, error)),
        }
    }
}

impl Read for Pipe {
    /// Reads what is there, or waits for it while there is a writer.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let (Some(first), [own, ..]) = (self.first, &mut *buffer) {
            (*own, self.first) = (first, None);
            return Ok(1);
        }
        loop {
            match self.file.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(PAUSE),
                other => return other,
            }
        }
    }
}
