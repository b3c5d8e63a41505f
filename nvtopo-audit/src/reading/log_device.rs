//! The kernel's log: `/dev/kmsg`, or a file that a syslog daemon writes. What is new is read at each reading of the node.

use super::kernel_log::{DriverEvent, is_start};
use nvtopo::source::SavedText;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The most bytes that are read at a time, and of a file at first.
const MOST: u64 = 16 << 20;

/// A reader of the kernel's log: each read gives the lines that are new.
///
/// ```
/// use nvtopo_audit::metrics::KernelLog;
///
/// let mut log = KernelLog::new("/dev/null".into());
/// assert_eq!(log.read(), (String::new(), true));
/// ```
#[derive(Debug)]
pub struct KernelLog {
    path: PathBuf,
    file: Option<File>,
    /// The begin of a line that is not there as a whole yet.
    rest: Vec<u8>,
    is_begun: bool,
}

impl KernelLog {
    /// Creates a reader of a file, such as `/dev/kmsg`.
    pub fn new(path: PathBuf) -> Self {
        Self { path, file: None, rest: Vec::new(), is_begun: false }
    }

    /// Returns whether the log could be opened.
    pub fn is_read(&self) -> bool {
        self.file.is_some()
    }

    /// Returns the lines that were not read before, and whether these are the first ones. Those may be of long ago.
    pub fn read(&mut self) -> (String, bool) {
        let mut new = Vec::new();
        // A file that was renamed is read to its end.
        self.drain(&mut new);
        if self.is_replaced() {
            self.open();
            self.drain(&mut new);
        }
        let whole = new.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.rest = new.split_off(whole);
        self.rest.truncate(MOST as usize);
        let is_read = self.is_read();
        let is_first = !std::mem::replace(&mut self.is_begun, is_read);
        (String::from_utf8_lossy(&new).into_owned(), is_first)
    }

    fn is_replaced(&mut self) -> bool {
        let Some(file) = &mut self.file else { return true };
        let (Ok(own), Ok(now)) = (file.metadata(), std::fs::metadata(&self.path)) else { return false };
        own.ino() != now.ino() || (own.is_file() && file.stream_position().is_ok_and(|at| at > now.len()))
    }

    fn open(&mut self) {
        // A read of the kernel's device, or of a pipe, waits for the next message without this.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        self.file = OpenOptions::new().read(true).custom_flags(flags).open(&self.path).ok();
        self.rest.clear();
        let Some(file) = &mut self.file else { return };
        let Ok(own) = file.metadata() else { return };
        if own.is_file() && own.len() > MOST {
            let _ = file.seek(SeekFrom::Start(own.len() - MOST));
        } else if !own.is_file() && !own.file_type().is_char_device() {
            self.file = None;
        }
    }

    fn drain(&mut self, new: &mut Vec<u8>) {
        let Some(file) = &mut self.file else { return };
        new.append(&mut self.rest);
        // The kernel's device gives one message for each read.
        let mut chunk = vec![0; 64 << 10];
        while (new.len() as u64) < MOST {
            match file.read(&mut chunk) {
                Ok(0) => return,
                Ok(length) => new.extend_from_slice(&chunk[..length]),
                // Messages were overwritten before they were read; the next read goes on behind them.
                Err(error) if error.raw_os_error() == Some(Errno::PIPE.raw_os_error()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }
}

/// Returns the events of the driver in the kernel's log, as if somebody had saved these lines. `None`: it tells of none, or
/// cannot be read.
pub(crate) fn driver_events(path: &Path) -> Option<SavedText> {
    let (lines, _) = KernelLog::new(path.to_owned()).read();
    // A file may tell of several starts of the machine, and events before the last one are over.
    let is_kept = |line: &&str| is_start(line) || DriverEvent::parse(line).is_some();
    let events: Vec<&str> = lines.lines().filter(is_kept).collect();
    events
        .iter()
        .any(|line| !is_start(line))
        .then(|| SavedText::new(path.to_string_lossy(), events.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn whole_lines_are_read_once_over_rotation_and_cuts() {
        let path = std::env::temp_dir().join(format!("nvtopod-log-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let mut log = KernelLog::new(path.clone());
        assert_eq!(log.read(), (String::new(), true));
        assert!(!log.is_read());
        std::fs::write(&path, "one\ntw").unwrap();
        assert_eq!(log.read(), ("one\n".to_owned(), true));
        let append = |text: &str| {
            OpenOptions::new().append(true).open(&path).unwrap().write_all(text.as_bytes()).unwrap();
        };
        append("o\nthree\n");
        assert_eq!(log.read(), ("two\nthree\n".to_owned(), false));
        assert_eq!(log.read(), (String::new(), false));
        append("four\n");
        std::fs::rename(&path, path.with_extension("1")).unwrap();
        std::fs::write(&path, "five\n").unwrap();
        assert_eq!(log.read(), ("four\nfive\n".to_owned(), false));
        std::fs::write(&path, "6\n").unwrap();
        assert_eq!(log.read(), ("6\n".to_owned(), false));
        std::fs::remove_file(path.with_extension("1")).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(log.is_read() && log.read().0.is_empty());
    }

    #[test]
    fn events_of_the_driver_are_kept_of_a_log() {
        let path = std::env::temp_dir().join(format!("nvtopo-events-{}", std::process::id()));
        let xid = "4,1127,52001234,-;NVRM: Xid (PCI:0000:3b:00): 79, pid=17, GPU has fallen off the bus.";
        let start = "6,1,0,-;Linux version 6.8.0";
        std::fs::write(&path, format!("{start}\n{xid}\n6,2,9,-;usb 1-1: new device\n")).unwrap();
        // A start of the machine ends the events before it.
        assert_eq!(driver_events(&path).map(|saved| saved.text), Some(format!("{start}\n{xid}")));
        std::fs::write(&path, "6,1,0,-;Linux version 6.8.0\n").unwrap();
        assert_eq!(driver_events(&path), None);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(driver_events(&path), None);
    }

    #[test]
    fn other_things_are_no_log() {
        let mut log = KernelLog::new(std::env::temp_dir());
        assert!(log.read().0.is_empty() && !log.is_read());
        let mut log = KernelLog::new("/dev/null".into());
        assert!(log.read().0.is_empty() && log.is_read());
    }
}
