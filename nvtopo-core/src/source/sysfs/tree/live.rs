//! The machine that this process runs on: its kernel is trusted, and paths are opened as they are.
//!
//! The exception are files in which NVIDIA's driver answers for a GPU: if the GPU hangs, their reader may hang too, and
//! cannot be cancelled. A thread reads them, which is abandoned when it takes too long.

use super::confined::Place;
use super::disk::Disk;
use super::files::{Entry, FileError, Files, Part};
use crate::source::hanging::Call;
use std::cell::Cell;
use std::fs::{self, File};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// Files that NVIDIA's driver writes as they are read.
const DRIVER: &str = "proc/driver/nvidia/";

/// The time limit. The driver answers from memory, in far less than a millisecond, unless a lock is held.
const TIMEOUT: Duration = Duration::from_secs(2);

pub(super) struct Live {
    disk: Disk,
    /// True if the driver did not answer once: it is not asked again.
    silent: Cell<bool>,
}

impl Live {
    pub(super) fn new() -> Self {
        Self { disk: Disk::new(Path::new("/")), silent: Cell::new(false) }
    }
}

impl Files for Live {
    fn read(&self, path: &str, part: Part, buffer: &mut Vec<u8>) -> Result<(), FileError> {
        let file = self.disk.path(path);
        if !path.starts_with(DRIVER) {
            return Ok(part.read(File::open(file)?, path, buffer)?);
        }
        if !self.silent.get() {
            let name = path.to_owned();
            let answer = in_time(TIMEOUT, move || {
                let mut bytes = Vec::new();
                part.read(File::open(file)?, &name, &mut bytes)?;
                Ok(bytes)
            });
            if let Some(answer) = answer {
                *buffer = answer?;
                return Ok(());
            }
            self.silent.set(true);
        }
        Err(FileError::Refused("NVIDIA's driver does not answer".to_owned()))
    }

    fn list(&self, path: &str) -> Result<Vec<Entry>, FileError> {
        self.disk.list(path)
    }

    fn link(&self, path: &str) -> Result<String, FileError> {
        self.disk.link(path)
    }

    fn is_folder(&self, path: &str) -> Result<bool, FileError> {
        Ok(fs::metadata(self.disk.path(path)).is_ok_and(|found| found.is_dir()))
    }

    fn is_live(&self) -> bool {
        true
    }
}

/// Returns the answer of a thread. `None`: it took too long.
fn in_time<T: Send + 'static>(
    timeout: Duration,
    ask: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Option<Result<T, FileError>> {
    let call = match Call::begin() {
        Ok(call) => Arc::new(call),
        Err(why) => return Some(Err(FileError::Refused(why))),
    };
    let own = Arc::clone(&call);
    let (sender, receiver) = mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name("driver".to_owned()).spawn(move || {
        let answer = ask();
        own.end();
        // The receiver is gone if it took too long.
        _ = sender.send(answer);
    });
    match thread {
        Ok(_) => {
            let answer = receiver.recv_timeout(timeout).ok();
            if answer.is_none() {
                call.abandon();
            }
            answer
        }
        Err(error) => {
            Some(Err(FileError::Refused(format!("no thread could be started to read it: {error}"))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_too_long_is_left_behind() {
        let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
        assert_eq!(in_time(hour, || Ok(7)), Some(Ok(7)));
        assert_eq!(in_time::<()>(hour, || Err(FileError::Absent)), Some(Err(FileError::Absent)));
        let begun = std::time::Instant::now();
        let answer = in_time(second / 100, move || {
            std::thread::sleep(hour);
            Ok(())
        });
        assert!(answer.is_none() && begun.elapsed() < 60 * second);
    }

    #[test]
    fn a_driver_that_was_silent_is_not_asked_again() {
        let (live, mut buffer) = (Live::new(), Vec::new());
        let file = "proc/driver/nvidia/gpus/none/information";
        assert_eq!(live.read(file, Part::head(10), &mut buffer), Err(FileError::Absent));
        live.silent.set(true);
        let answer = live.read(file, Part::head(10), &mut buffer);
        assert!(matches!(answer, Err(FileError::Refused(why)) if why.contains("does not answer")));
        assert_eq!(live.read("proc/driver/other", Part::head(10), &mut buffer), Err(FileError::Absent));
    }
}
