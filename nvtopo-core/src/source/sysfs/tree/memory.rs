//! The files of a snapshot, in memory: what was recorded answers as it did, and everything else is absent.

use super::confined::{Confined, Place};
use super::files::{Entry, Files, Kind, Part, Trouble};
use crate::error::{Error, Result};
use crate::model::MachineIdentity;
use std::collections::BTreeMap;

/// The most files, links and directories of one machine. A large server has 30 000 that are read or listed.
const MAX_NODES: usize = 200_000;

/// What is stored at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::source) enum Stored {
    Folder,
    Link(String),
    /// The content, unless it was not read or could not be.
    File(Option<Vec<u8>>),
}

/// Why files and directories could not be read, by the paths that were asked of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// `own`: whether the machine recorded itself.
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

    /// The kernel trusts its own links: a way through a file is just absent.
    fn as_recorded<T>(&self, answer: std::result::Result<T, Trouble>) -> std::result::Result<T, Trouble> {
        answer.map_err(|trouble| match trouble {
            Trouble::NotAFolder(_) if self.own => Trouble::Absent,
            trouble => trouble,
        })
    }
}

impl Files for Replay {
    fn read(&self, path: &str, part: Part, buffer: &mut Vec<u8>) -> std::result::Result<(), Trouble> {
        match self.refused.files.get(path) {
            Some(why) => Err(Trouble::Refused(why.clone())),
            None => self.as_recorded(self.files.read(path, part, buffer)),
        }
    }

    fn list(&self, path: &str) -> std::result::Result<Vec<Entry>, Trouble> {
        match self.refused.folders.get(path) {
            Some(why) => Err(Trouble::Refused(why.clone())),
            None => self.as_recorded(self.files.list(path)),
        }
    }

    fn link(&self, path: &str) -> std::result::Result<String, Trouble> {
        self.as_recorded(self.files.link(path))
    }

    fn is_folder(&self, path: &str) -> std::result::Result<bool, Trouble> {
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
    Link(String),
    File(Option<Vec<u8>>),
}

impl Node {
    fn kind(&self) -> Kind {
        match self {
            Self::Folder(_) => Kind::Folder,
            Self::Link(_) => Kind::Link,
            Self::File(_) => Kind::File,
        }
    }
}

impl Memory {
    fn insert(&mut self, path: &str, stored: Stored) -> Result<()> {
        let node = match stored {
            Stored::Folder => Node::Folder(BTreeMap::new()),
            Stored::Link(target) => Node::Link(target),
            Stored::File(content) => Node::File(content),
        };
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut at = 0;
        for part in folder.split('/').filter(|part| !part.is_empty()) {
            at = self.child(at, part, path, || Node::Folder(BTreeMap::new()))?;
        }
        let is_folder = node.kind() == Kind::Folder;
        let (before, mut node) = (self.nodes.len(), Some(node));
        let at = self.child(at, name, path, || node.take().unwrap_or(Node::File(None)))?;
        if self.nodes.len() > before || is_folder && self.nodes[at].kind() == Kind::Folder {
            Ok(())
        } else {
            Err(Error::input(format!("'{path}' is there twice")))
        }
    }

    /// The entry of a directory, made where there is none.
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

    fn find(&self, path: &str) -> std::result::Result<&Node, Trouble> {
        let mut node = &self.nodes[0];
        for part in path.split('/').filter(|part| !part.is_empty()) {
            let Node::Folder(names) = node else { return Err(Trouble::Absent) };
            node = &self.nodes[*names.get(part).ok_or(Trouble::Absent)?];
        }
        Ok(node)
    }
}

impl Place for Memory {
    fn kind(&self, path: &str) -> std::result::Result<Kind, Trouble> {
        self.find(path).map(Node::kind)
    }

    fn link(&self, path: &str) -> std::result::Result<String, Trouble> {
        match self.find(path)? {
            Node::Link(target) => Ok(target.clone()),
            _ => Err(Trouble::Absent),
        }
    }

    fn read(&self, path: &str, part: Part, buffer: &mut Vec<u8>) -> std::result::Result<bool, Trouble> {
        match self.find(path)? {
            Node::File(Some(content)) => {
                buffer.extend_from_slice(part.of(content));
                Ok(true)
            }
            Node::Link(_) => Ok(false),
            Node::File(None) | Node::Folder(_) => Err(Trouble::Absent),
        }
    }

    fn list(&self, path: &str) -> std::result::Result<Vec<Entry>, Trouble> {
        let Node::Folder(names) = self.find(path)? else { return Err(Trouble::Absent) };
        let entry =
            |(name, at): (&String, &usize)| Entry { name: name.clone(), kind: self.nodes[*at].kind() };
        Ok(names.iter().map(entry).collect())
    }
}
