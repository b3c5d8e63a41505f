//! Files that only their owner should read: the token, and the key of the certificate.

use nvtopo::source::read_file;
use nvtopo::{Error, Result};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The longest token, in bytes: heads of requests have a limit too.
const LONGEST: usize = 4096;

/// Reads such a file, and says so where every user of the machine can read or change it.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    // The mode of a pipe or a device says nothing about who knows what it gives.
    let mode = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map_or(0, |own| own.mode());
    let can = match mode & 0o6 {
        0 => None,
        0o2 => Some("change"),
        0o4 => Some("read"),
        _ => Some("read and change"),
    };
    if let Some(can) = can {
        let path = path.display();
        eprintln!("nvtopod: every user of this machine can {can} {path} (chmod 600 keeps them out)");
    }
    read_file(path)
}

/// Reads the token of a file. One that no header of a request can hold is refused.
pub(crate) fn token(path: &Path) -> Result<String> {
    let text = String::from_utf8(read(path)?).unwrap_or_default();
    let token = text.trim();
    if token.is_empty() || token.len() > LONGEST || !token.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        let text = format!("the token is not one line of 1 to {LONGEST} printable ASCII characters");
        let error = Error::input(text).in_input(&path.display().to_string());
        return Err(error.help("no request could bring another one"));
    }
    Ok(token.to_owned())
}
