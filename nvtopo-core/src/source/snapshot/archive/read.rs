//! The reader of archives, which anybody may have made: nothing is unpacked to disk, and nothing beyond the limits to
//! memory.

use super::super::enabled::Snapshot;
use super::{DRIVER, FORMAT, HEAD, Head, OWN, VERSION};
use crate::error::{Error, Result};
use crate::source::MAX_INPUT;
use crate::source::nvml::DriverAnswer;
use crate::source::sysfs::Stored;
use flate2::bufread::GzDecoder;
use serde::de::DeserializeOwned;
use std::cell::Cell;
use std::collections::{BTreeMap, btree_map};
use std::io::{self, Read};
use tar::{Archive, Entry, EntryType, Header};

/// The most entries of an archive. A large server has 30 000.
const MAX_ENTRIES: usize = 100_000;

/// The most bytes of one of the documents beside the machine's files. They hold more once they are read.
const MAX_DOCUMENT: u64 = 8 << 20;

/// The most members of a gzip file, each of which costs as much as some ten thousand bytes. Programs that write blocks fill them.
const MAX_MEMBERS: usize = 1 << 14;

/// The longest path and the longest target of a link, as in Linux.
const MAX_PATH: usize = 4096;

/// The content of an archive.
pub(in crate::source::snapshot) enum Content {
    Snapshot(Box<Snapshot>),
    /// Files of another kind of archive, by their paths.
    Files(BTreeMap<String, Stored>),
}

/// Reads the file of a snapshot.
pub(in crate::source::snapshot) fn read(bytes: &[u8]) -> Result<Snapshot> {
    match read_any(bytes)? {
        Content::Snapshot(snapshot) => Ok(*snapshot),
        Content::Files(_) => Err(not_a_snapshot()),
    }
}

/// Returns whether a gzip file holds an archive. One that is damaged from its start may hold anything.
pub(in crate::source) fn is_archive(bytes: &[u8]) -> bool {
    let mut block = Vec::new();
    if Members::new(bytes).take(512).read_to_end(&mut block).is_err() {
        return true;
    }
    let Ok(block) = <[u8; 512]>::try_from(block) else { return false };
    let empty = block.iter().all(|byte| *byte == 0);
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    let stored: u32 = block[CHECKSUM].iter().map(|byte| u32::from(*byte)).sum();
    // Its field counts as blanks.
    let told = Header::from_byte_slice(&block).cksum();
    empty || told.is_ok_and(|told| told == sum - stored + CHECKSUM.len() as u32 * u32::from(b' '))
}

/// The checksum within the header of an entry.
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// Unpacks a gzip file.
pub(in crate::source) fn unpack(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    let read = Members::new(bytes).take(MAX_INPUT + 1).read_to_end(&mut unpacked);
    read.map_err(|error| Error::input(format!("the compressed data are damaged: {error}")))?;
    if unpacked.len() as u64 > MAX_INPUT {
        return Err(too_much());
    }
    Ok(unpacked)
}

/// Reads an archive.
pub(in crate::source::snapshot) fn read_any(bytes: &[u8]) -> Result<Content> {
    let unpacked = Cell::new(0);
    let mut archive = Archive::new(Metered { inner: Members::new(bytes), read: &unpacked });
    let mut reader =
        Reader { unpacked: &unpacked, contents: Cell::new(0), last: None, head: None, driver: None };
    let mut entries = BTreeMap::new();
    let all = archive.entries().map_err(|error| reader.broken(&error))?;
    for entry in all {
        let entry = entry.map_err(|error| reader.broken(&error))?;
        reader.add(entry, &mut entries)?;
    }
    // The checksum is at the end, and before it nothing but padding.
    let mut rest = archive.into_inner();
    let mut block = [0; 4096];
    loop {
        match rest.read(&mut block).map_err(|error| reader.broken(&error))? {
            0 => break,
            count if block[..count].iter().any(|byte| *byte != 0) => {
                return Err(Error::input("something follows the end of the archive, which would be lost")
                    .help("pack everything into one archive"));
            }
            _ => {}
        }
    }
    let Some(head) = reader.head else { return Ok(Content::Files(entries)) };
    Ok(Content::Snapshot(Box::new(Snapshot {
        entries,
        refused: head.refused,
        own: head.own,
        identity: head.identity,
        driver: reader.driver.unwrap_or(DriverAnswer::NotAsked),
        redacted: head.redacted,
        writer: head.nvtopo,
    })))
}

fn not_a_snapshot() -> Error {
    Error::input(format!("a gzip file without {HEAD} in it, so no snapshot"))
        .help("give a file that nvtopo snapshot wrote")
}

/// The members of a gzip file one after another, as `gzip` reads them: zeros behind the last are padding.
struct Members<'a> {
    member: GzDecoder<&'a [u8]>,
    /// The number of members that were begun.
    begun: usize,
}

impl<'a> Members<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { member: GzDecoder::new(bytes), begun: 1 }
    }
}

impl Read for Members<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.member.read(buffer)?;
            let rest = *self.member.get_ref();
            if count > 0 || buffer.is_empty() || rest.iter().all(|byte| *byte == 0) {
                return Ok(count);
            }
            if !rest.starts_with(&[0x1f, 0x8b]) {
                let text = format!("{} bytes behind the compressed data are not of gzip", rest.len());
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            if self.begun == MAX_MEMBERS {
                let text =
                    format!("they are in more than {MAX_MEMBERS} pieces; decompress and compress them again");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            self.begun += 1;
            self.member = GzDecoder::new(rest);
        }
    }
}

/// Bytes that are counted, and end beyond the limit.
struct Metered<'a, R> {
    inner: R,
    read: &'a Cell<u64>,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read.get() > MAX_INPUT {
            return Err(io::Error::other("too much"));
        }
        let count = self.inner.read(buffer)?;
        self.read.set(self.read.get() + count as u64);
        Ok(count)
    }
}

struct Reader<'a> {
    unpacked: &'a Cell<u64>,
    /// The bytes of all contents, holes among them.
    contents: Cell<u64>,
    /// The entry that is being read, or was last.
    last: Option<String>,
    head: Option<Head>,
    driver: Option<DriverAnswer>,
}

impl Reader<'_> {
    fn add(&mut self, mut entry: Entry<'_, impl Read>, entries: &mut BTreeMap<String, Stored>) -> Result<()> {
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return Ok(());
        }
        let Some(path) = clean(&entry.path_bytes())? else { return Ok(()) };
        self.last = Some(path.clone());
        if path == OWN {
            return Ok(());
        }
        if path == HEAD || path == DRIVER {
            return self.document(&path, entry);
        }
        if path.strip_prefix(OWN).is_some_and(|rest| rest.starts_with('/')) {
            // A file that a later version adds.
            return Ok(());
        }
        if entries.len() >= MAX_ENTRIES {
            return Err(Error::input(format!("more than {MAX_ENTRIES} entries")));
        }
        let stored = match kind {
            EntryType::Directory => Stored::Folder,
            EntryType::Symlink => Stored::Link(target(&path, &entry)?),
            EntryType::Regular | EntryType::Continuous => {
                let mode = entry.header().mode().map_err(|error| self.broken(&error))?;
                let content = self.content(&mut entry)?;
                Stored::File((mode & 0o444 != 0).then_some(content))
            }
            _ => return Err(of_entry(&path, "it is neither a file, nor a directory, nor a symbolic link")),
        };
        match entries.entry(path) {
            btree_map::Entry::Vacant(place) => _ = place.insert(stored),
            // Archives name directories as often as they like.
            btree_map::Entry::Occupied(place)
                if *place.get() == Stored::Folder && stored == Stored::Folder => {}
            btree_map::Entry::Occupied(place) => return Err(of_entry(place.key(), "it is there twice")),
        }
        Ok(())
    }

    fn document(&mut self, path: &str, mut entry: Entry<'_, impl Read>) -> Result<()> {
        let twice = if path == HEAD { self.head.is_some() } else { self.driver.is_some() };
        if twice {
            return Err(of_entry(path, "it is there twice"));
        }
        if entry.size() > MAX_DOCUMENT {
            let limit = MAX_DOCUMENT >> 20;
            return Err(of_entry(path, format!("it has more than {limit} MiB")));
        }
        let bytes = self.content(&mut entry)?;
        if path == HEAD {
            self.head = Some(head(&bytes)?);
        } else {
            self.driver = Some(json(path, &bytes)?);
        }
        Ok(())
    }

    fn content(&self, entry: &mut Entry<'_, impl Read>) -> Result<Vec<u8>> {
        let mut content = Vec::new();
        // The limit on unpacked bytes does not cover sparse files: an entry may claim holes of any size, which are in
        // no archive.
        let left = MAX_INPUT.saturating_sub(self.contents.get());
        entry.take(left + 1).read_to_end(&mut content).map_err(|error| self.broken(&error))?;
        self.contents.set(self.contents.get() + content.len() as u64);
        if self.contents.get() > MAX_INPUT {
            return Err(too_much());
        }
        Ok(content)
    }

    /// Returns the error of an archive that cannot be read on.
    fn broken(&self, error: &io::Error) -> Error {
        if self.unpacked.get() > MAX_INPUT {
            return too_much();
        }
        match &self.last {
            Some(path) => of_entry(path, format!("the archive is damaged there or after: {error}")),
            None => {
                Error::input(format!("not an archive: {error}")).help("a snapshot is a gzipped tar archive")
            }
        }
    }
}

fn too_much() -> Error {
    Error::input(format!("it unpacks to more than {} MiB", MAX_INPUT >> 20))
}

fn head(bytes: &[u8]) -> Result<Head> {
    /// The head of the document, of any version.
    #[derive(serde::Deserialize)]
    struct Name {
        format: String,
        version: u64,
    }
    let name: Name = json(HEAD, bytes)?;
    if name.format != FORMAT {
        let format: String = name.format.chars().take(40).collect();
        return Err(of_entry(HEAD, format!("its format is '{format}', not {FORMAT}")));
    }
    if !(1..=u64::from(VERSION)).contains(&name.version) {
        let text =
            format!("version {} is not one that this nvtopo reads; it reads up to {VERSION}", name.version);
        return Err(of_entry(HEAD, text).help("use a newer nvtopo"));
    }
    json(HEAD, bytes)
}

fn json<T: DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| of_entry(path, error.to_string()))
}

fn of_entry(path: &str, what: impl std::fmt::Display) -> Error {
    let shown: String = path.chars().take(200).collect();
    Error::input(format!("entry '{}': {what}", shown.escape_debug()))
}

/// Returns the path from the root. `None`: the root itself.
fn clean(bytes: &[u8]) -> Result<Option<String>> {
    let path = String::from_utf8_lossy(bytes);
    if bytes.len() > MAX_PATH {
        return Err(of_entry(&path, format!("its path is longer than {MAX_PATH} bytes")));
    }
    if matches!(path, std::borrow::Cow::Owned(_)) {
        return Err(of_entry(&path, "its path is not UTF-8"));
    }
    if path.starts_with('/') || path.split('/').any(|part| part == "..") || path.contains('\0') {
        return Err(of_entry(&path, "its path leads out of the archive"));
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    Ok((!parts.is_empty()).then(|| parts.join("/")))
}

fn target(path: &str, entry: &Entry<'_, impl Read>) -> Result<String> {
    let bytes = entry.link_name_bytes().unwrap_or_default();
    if bytes.is_empty() || bytes.len() > MAX_PATH {
        return Err(of_entry(path, "its target is empty or too long"));
    }
    String::from_utf8(bytes.into_owned()).map_err(|_| of_entry(path, "its target is not UTF-8"))
}
