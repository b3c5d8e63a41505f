//! Output with a label before each line. Lines are written whole, so that those of several ranks do not run into each
//! other.

use std::io::{Read, Result, Write};

/// A line that is longer is written in pieces.
const LONGEST: usize = 1 << 20;

/// Copies until the end. A carriage return, as progress bars print it, ends a line too.
pub(super) fn copy_lines(mut from: impl Read, mut to: impl Write, label: &str) -> Result<()> {
    let mut held = Vec::new();
    let mut chunk = vec![0; 1 << 16];
    loop {
        let length = match from.read(&mut chunk) {
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        held.extend_from_slice(&chunk[..length]);
        let whole = if length == 0 || held.len() > LONGEST { held.len() } else { whole_lines(&held) };
        let lines = labelled(&held[..whole], label);
        held.drain(..whole);
        if !lines.is_empty() {
            to.write_all(&lines)?;
            to.flush()?;
        }
        if length == 0 {
            return Ok(());
        }
    }
}

/// Counts the bytes of whole lines. A carriage return at the very end may have its line feed still to come.
fn whole_lines(bytes: &[u8]) -> usize {
    let feed = bytes.iter().rposition(|byte| *byte == b'\n');
    let before_last = &bytes[..bytes.len().saturating_sub(1)];
    let carriage_return = before_last.iter().rposition(|byte| *byte == b'\r');
    feed.max(carriage_return).map_or(0, |end| end + 1)
}

fn labelled(bytes: &[u8], label: &str) -> Vec<u8> {
    let mut lines = Vec::with_capacity(bytes.len() + label.len());
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(rest.len());
        let feed = if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
        // What a progress bar prints before its first line.
        if end > 0 || !rest.starts_with(b"\r") || feed == 2 {
            lines.extend_from_slice(label.as_bytes());
            lines.extend_from_slice(&rest[..end]);
            lines.push(b'\n');
        }
        rest = rest.get(end + feed..).unwrap_or_default();
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Gives one piece for each call.
    struct Pieces(VecDeque<&'static [u8]>);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
            self.0.pop_front().unwrap_or_default().read(buffer)
        }
    }

    /// Keeps what was written at once apart.
    #[derive(Default)]
    struct Writes(Vec<String>);

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> Result<usize> {
            self.0.push(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    fn copied(pieces: &[&'static str]) -> Vec<String> {
        let mut writes = Writes::default();
        let pieces = pieces.iter().map(|piece| piece.as_bytes()).collect();
        copy_lines(Pieces(pieces), &mut writes, "3: ").unwrap();
        writes.0
    }

    #[test]
    fn lines_are_written_whole() {
        assert_eq!(copied(&["on", "e\ntwo\nth", "ree\n"]), ["3: one\n3: two\n", "3: three\n"]);
        assert_eq!(copied(&["\n", "without end"]), ["3: \n", "3: without end\n"]);
        assert!(copied(&[]).is_empty());
    }

    #[test]
    fn carriage_returns_end_lines_too() {
        assert_eq!(copied(&["\r 10%", "\r 20%", "\r\n"]), ["3:  10%\n", "3:  20%\n"]);
        assert_eq!(copied(&["one\r", "\ntwo\r\n"]), ["3: one\n3: two\n"]);
        // Nothing before a carriage return is no line; before a line feed it is an empty one.
        assert_eq!(copied(&["\r\n", "a\n\r\n"]), ["3: \n", "3: a\n3: \n"]);
        assert!(copied(&["\r", "\r"]).is_empty());
    }

    #[test]
    fn a_line_without_end_does_not_fill_the_memory() {
        let piece: &'static str = "x".repeat(1 << 15).leak();
        let written = copied(&[piece; 64]);
        assert!(written.len() > 1 && written.iter().all(|write| write.len() <= LONGEST + (1 << 16) + 4));
    }
}
