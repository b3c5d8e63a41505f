//! The files of a snapshot, in memory: recorded files are answered as they were, and everything else is absent.

use super::confined::{Confined, Place};
use super::files::{Entry, FileError, Files, Kind, Part};
use crate::error::{Error, Result};
use crate::model::MachineIdentity;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most files, links and directories of one machine. A large server has 30 000 that are read or listed.
const MAX_NODES: usize = 200_000;

/// The content stored at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::source) enum Stored<Content = Vec<u8>> {
    Folder,
    Link(String),
    /// The content, unless it was not read or could not be.
    File(Option<Content>),
}

impl<Content> Stored<Content> {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Folder => Kind::Folder,
            Self::Link(_) => Kind::Link,
            Self::File(_) => Kind::File,
        }
    }
}

/// The reasons why files and directories could not be read, by path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::source) struct Refused {
    pub(in crate::source) files: BTreeMap<String, String>,
    pub(in crate::source) folders: BTreeMap<String, String>,
}

/// Everything that was recorded, as files.
pub(in crate::source) struct Replay {
    files: Confined<Memory>,
    refused: Refused,
    own: bool,
    identity: MachineIdentity,
}

impl Replay {
    /// Returns the files of a record. `own`: the machine recorded itself.
    pub(in crate::source) fn new(
        entries: BTreeMap<String, Stored>,
        refused: Refused,
        own: bool,
        identity: MachineIdentity,
    ) -> Result<Self> {
        let mut memory = Memory { nodes: vec![Node::Folder(BTreeMap::new())] };
        for (path, stored) in entries {
            memory.insert(&path, stored)?;
        }
        Ok(Self { files: Confined::new(memory), refused, own, identity })
    }

    /// Answers as the kernel does, which trusts its own links: a path through a file is just absent.
    fn as_recorded<T>(&self, answer: std::result::Result<T, FileError>) -> std::result::Result<T, FileError> {
        answer.map_err(|error| match error {
            FileError::NotAFolder(_) if self.own => FileError::Absent,
            error => error,
        })
    }
}

impl Files for Replay {
    fn read(&self, path: &str, part: Part, buffer: &mut Vec<u8>) -> std::result::Result<(), FileError> {
        match self.refused.files.get(path) {
            Some(why) => Err(FileError::Refused(why.clone())),
            None => self.as_recorded(self.files.read(path, part, buffer)),
        }
    }

    fn list(&self, path: &str) -> std::result::Result<Vec<Entry>, FileError> {
        match self.refused.folders.get(path) {
            Some(why) => Err(FileError::Refused(why.clone())),
            None => self.as_recorded(self.files.list(path)),
        }
    }

    fn link(&self, path: &str) -> std::result::Result<String, FileError> {
        self.as_recorded(self.files.link(path))
    }

    fn is_folder(&self, path: &str) -> std::result::Result<bool, FileError> {
        self.as_recorded(self.files.is_folder(path))
    }

    fn identity(&self) -> Option<MachineIdentity> {
        Some(self.identity.clone())
    }

    fn is_own(&self) -> bool {
        self.own
    }
}

/// A tree of nodes, so that long paths with much in common take no more than their names.
struct Memory {
    /// The first is the root.
    nodes: Vec<Node>,
}

enum Node {
    Folder(BTreeMap<String, usize>),
    Other(Stored),
}

impl Node {
    fn kind(&self) -> Kind {
        match self {
            Self::Folder(_) => Kind::Folder,
            Self::Other(stored) => stored.kind(),
        }
    }
}

impl Memory {
    /// Adds what is stored at a path, after what is stored above it.
    fn insert(&mut self, path: &str, stored: Stored) -> Result<()> {
        let folder = || Node::Folder(BTreeMap::new());
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut at = 0;
        for part in above.split('/').filter(|part| !part.is_empty()) {
            at = self.child(at, part, path, folder)?;
        }
        let make = || if stored == Stored::Folder { folder() } else { Node::Other(stored) };
        self.child(at, name, path, make).map(|_| ())
    }

    /// Returns the entry of a directory, made where there is none.
    fn child(&mut self, at: usize, name: &str, path: &str, make: impl FnOnce() -> Node) -> Result<usize> {
        let next = self.nodes.len();
        let Node::Folder(names) = &mut self.nodes[at] else {
            return Err(Error::input(format!("'{path}' is below something that is no directory")));
        };
        if let Some(known) = names.get(name) {
            return Ok(*known);
        }
        if next >= MAX_NODES {
            return Err(Error::input(format!("more than {MAX_NODES} files")));
        }
        names.insert(name.to_owned(), next);
        self.nodes.push(make());
        Ok(next)
    }

    fn find(&self, path: &str) -> std::result::Result<&Node, FileError> {
        let mut node = &self.nodes[0];
        for part in path.split('/').filter(|part| !part.is_empty()) {
            let Node::Folder(names) = node else { return Err(FileError::Absent) };
            node = &self.nodes[*names.get(part).ok_or(FileError::Absent)?];
        }
        Ok(node)
    }
}

impl Place for Memory {
    fn kind(&self, path: &str) -> std::result::Result<Kind, FileError> {
        self.find(path).map(Node::kind)
    }

    fn link(&self, path: &str) -> std::result::Result<String, FileError> {
        match self.find(path)? {
            Node::Other(Stored::Link(target)) => Ok(target.clone()),
            _ => Err(FileError::Absent),
        }
    }

    fn read(&self, path: &str, part: Part, buffer: &mut Vec<u8>) -> std::result::Result<bool, FileError> {
        match self.find(path)? {
            Node::Other(Stored::File(Some(content))) => {
                buffer.extend_from_slice(part.of(content));
                Ok(true)
            }
            Node::Other(Stored::Link(_)) => Ok(false),
            _ => Err(FileError::Absent),
        }
    }

    fn list(&self, path: &str) -> std::result::Result<Vec<Entry>, FileError> {
        let Node::Folder(names) = self.find(path)? else { return Err(FileError::Absent) };
        let entry =
            |(name, at): (&String, &usize)| Entry { name: name.clone(), kind: self.nodes[*at].kind() };
        Ok(names.iter().map(entry).collect())
    }
}
