//! The writer of archives: the same snapshot gives the same bytes. Owners and times are left out.

use super::super::enabled::Snapshot;
use super::{DRIVER, FORMAT, HEAD, Head, OWN, VERSION};
use crate::error::{Error, Result};
use crate::source::MAX_INPUT;
use crate::source::nvml::DriverAnswer;
use crate::source::sysfs::Stored;
use flate2::{Compression, GzBuilder, write::GzEncoder};
use serde::Serialize;
use std::io;
use tar::{Builder, EntryType, Header};

/// Returns the file.
pub(in crate::source::snapshot) fn write(snapshot: &Snapshot) -> Result<Vec<u8>> {
    let size: usize = snapshot.entries.iter().map(|(path, stored)| 1024 + path.len() + length(stored)).sum();
    if size as u64 > MAX_INPUT {
        let limit = MAX_INPUT >> 20;
        return Err(Error::input(format!(
            "the snapshot has more than {limit} MiB, and could not be read again"
        )));
    }
    archive(snapshot).map_err(|error| Error::input(format!("the snapshot cannot be packed: {error}")))
}

fn length(stored: &Stored) -> usize {
    match stored {
        Stored::Folder | Stored::File(None) => 0,
        Stored::Link(target) => target.len(),
        Stored::File(Some(content)) => content.len(),
    }
}

type Archive = Builder<GzEncoder<Vec<u8>>>;

fn archive(snapshot: &Snapshot) -> io::Result<Vec<u8>> {
    let mut archive = Builder::new(GzBuilder::new().write(Vec::new(), Compression::best()));
    folder(&mut archive, OWN)?;
    let head = Head {
        format: FORMAT.to_owned(),
        version: u64::from(VERSION),
        nvtopo: snapshot.writer.clone(),
        redacted: snapshot.redacted,
        own: snapshot.own,
        identity: snapshot.identity.clone(),
        refused: snapshot.refused.clone(),
    };
    document(&mut archive, HEAD, &head)?;
    if !matches!(snapshot.driver, DriverAnswer::NotAsked) {
        document(&mut archive, DRIVER, &snapshot.driver)?;
    }
    for (path, stored) in &snapshot.entries {
        match stored {
            Stored::Folder => folder(&mut archive, path)?,
            Stored::Link(target) => link(&mut archive, path, target)?,
            Stored::File(Some(content)) => file(&mut archive, path, content, 0o444)?,
            Stored::File(None) => file(&mut archive, path, &[], 0)?,
        }
    }
    archive.into_inner()?.finish()
}

fn header(kind: EntryType, mode: u32, size: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size as u64);
    header
}

fn folder(archive: &mut Archive, path: &str) -> io::Result<()> {
    archive.append_data(&mut header(EntryType::Directory, 0o755, 0), format!("{path}/"), io::empty())
}

fn file(archive: &mut Archive, path: &str, content: &[u8], mode: u32) -> io::Result<()> {
    archive.append_data(&mut header(EntryType::Regular, mode, content.len()), path, content)
}

fn link(archive: &mut Archive, path: &str, target: &str) -> io::Result<()> {
    let mut header = header(EntryType::Symlink, 0o777, 0);
    if header.set_link_name_literal(target).is_ok() {
        archive.append_data(&mut header, path, io::empty())
    } else {
        // Too long for a header; the archive then has an entry before it that holds the target.
        archive.append_link(&mut header, path, target)
    }
}

fn document(archive: &mut Archive, path: &str, content: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(content)?;
    text.push(b'\n');
    file(archive, path, &text, 0o444)
}
