//! One walk over hwloc's tree of objects: packages, NUMA nodes, caches, cores and PUs, and the objects with I/O.
//!
//! PUs are kept in the file's order, so the content of an object is a range of them. Other levels are only traversed.
//! I/O is read later, by [`super::pci`].

use super::element::Element;
use super::set::Bitmap;
use super::{MADE_UP_NUMBER, MADE_UP_OBJECT};
use crate::cpuset::{CpuSet, MAX_INDEX, NodeSet};
use crate::error::Result;
use crate::model::{CacheKind, GroupKind};
use std::ops::Range;

/// The version of the format, by its first number; the first has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) u32);

/// The objects of a file.
pub(super) struct Objects<'a> {
    pub(super) root: Element<'a>,
    pub(super) packages: Vec<Package<'a>>,
    pub(super) nodes: Vec<Memory<'a>>,
    pub(super) caches: Vec<Cache>,
    pub(super) groups: Vec<Group>,
    pub(super) cores: Vec<Core>,
    /// The PUs that are online, in the file's order, with their places.
    pub(super) pus: Vec<Pu>,
    /// The PUs that are online, as a set.
    pub(super) online: CpuSet,
    /// The objects below which I/O hangs, each with that.
    pub(super) io: Vec<(Element<'a>, Vec<Element<'a>>)>,
    /// True where nvtopo wrote a NUMA node only because hwloc demands one.
    pub(super) nodes_made_up: bool,
    /// The PUs that the first version lists as online.
    switched_on: Option<Bitmap>,
    numbers: NodeSet,
}

pub(super) struct Package<'a> {
    pub(super) os_index: Option<u32>,
    pub(super) model: Option<&'a str>,
    pub(super) pus: Range<usize>,
}

/// A NUMA node.
pub(super) struct Memory<'a> {
    pub(super) element: Element<'a>,
    pub(super) os_index: u32,
    pub(super) package: Option<usize>,
    /// The PUs inside, as the first version has them.
    pub(super) pus: Range<usize>,
}

pub(super) struct Cache {
    pub(super) level: u8,
    pub(super) kind: CacheKind,
    pub(super) size: Option<u64>,
    pub(super) package: Option<usize>,
    pub(super) pus: Range<usize>,
}

/// A die, or a group by distances, clusters, books and the like.
pub(super) struct Group {
    pub(super) kind: GroupKind,
    pub(super) package: Option<usize>,
    pub(super) pus: Range<usize>,
}

pub(super) struct Core {
    pub(super) os_index: Option<u32>,
    pub(super) package: Option<usize>,
}

pub(super) struct Pu {
    pub(super) os_index: u32,
    pub(super) package: Option<usize>,
    pub(super) core: Option<usize>,
}

/// The objects that contain an object.
#[derive(Clone, Copy, Default)]
struct Ancestors {
    package: Option<usize>,
    core: Option<usize>,
}

/// Goes through the objects below the root of the document.
pub(super) fn read(root: Element<'_>, version: Version) -> Result<Objects<'_>> {
    let switched_on = if version == Version(1) { root.set("online_cpuset")? } else { None };
    let mut objects = Objects {
        root,
        packages: Vec::new(),
        nodes: Vec::new(),
        caches: Vec::new(),
        groups: Vec::new(),
        cores: Vec::new(),
        pus: Vec::new(),
        online: CpuSet::new(),
        io: Vec::new(),
        nodes_made_up: false,
        switched_on,
        numbers: NodeSet::new(),
    };
    objects.visit(root, Ancestors::default())?;
    Ok(objects)
}

impl<'a> Objects<'a> {
    fn visit(&mut self, element: Element<'a>, mut ancestors: Ancestors) -> Result<()> {
        let start = self.pus.len();
        match element.kind() {
            "PU" | "Proc" => return self.pu(element, ancestors),
            "Package" | "Socket" => {
                let model = element.info("CPUModel");
                ancestors.package = Some(self.packages.len());
                self.packages.push(Package { os_index: element.os_index()?, model, pus: 0..0 });
                self.descend(element, ancestors)?;
                if let Some(package) = ancestors.package {
                    self.packages[package].pus = start..self.pus.len();
                }
            }
            "Core" => {
                ancestors.core = Some(self.cores.len());
                self.cores.push(Core { os_index: element.os_index()?, package: ancestors.package });
                self.descend(element, ancestors)?;
            }
            "Group" if element.is_made_up(MADE_UP_OBJECT) => self.descend(element, ancestors)?,
            "Die" | "Group" => {
                let kind = match (element.kind(), element.attribute("subtype")) {
                    ("Die", _) => GroupKind::Die,
                    (_, Some("Cluster")) => GroupKind::Cluster,
                    (_, Some("Book")) => GroupKind::Book,
                    (_, Some("Drawer")) => GroupKind::Drawer,
                    _ => GroupKind::Other,
                };
                let place = self.groups.len();
                self.groups.push(Group { kind, package: ancestors.package, pus: 0..0 });
                self.descend(element, ancestors)?;
                self.groups[place].pus = start..self.pus.len();
            }
            "NUMANode" if element.is_made_up(MADE_UP_NUMBER) => self.nodes_made_up = true,
            "NUMANode" | "Node" => {
                let os_index = self.node_number(element)?;
                let place = self.nodes.len();
                self.nodes.push(Memory { element, os_index, package: ancestors.package, pus: 0..0 });
                self.descend(element, ancestors)?;
                self.nodes[place].pus = start..self.pus.len();
            }
            kind => match cache_type(kind, element)? {
                Some((level, holds)) => {
                    // hwloc writes 0 for a size that it does not know.
                    let size = element.number("cache_size")?.filter(|size| *size > 0);
                    let place = self.caches.len();
                    self.caches.push(Cache {
                        level,
                        kind: holds,
                        size,
                        package: ancestors.package,
                        pus: 0..0,
                    });
                    self.descend(element, ancestors)?;
                    self.caches[place].pus = start..self.pus.len();
                }
                None => self.descend(element, ancestors)?,
            },
        }
        Ok(())
    }

    fn descend(&mut self, element: Element<'a>, ancestors: Ancestors) -> Result<()> {
        let mut io = Vec::new();
        for object in element.below("object") {
            match object.kind() {
                "" => return Err(object.error("an object without a type")),
                "Bridge" | "PCIDev" | "OSDev" => io.push(object),
                "Misc" => {}
                "Machine" => return Err(object.error("the file describes several machines, not one")),
                _ => self.visit(object, ancestors)?,
            }
        }
        if !io.is_empty() {
            self.io.push((element, io));
        }
        Ok(())
    }

    fn pu(&mut self, element: Element<'a>, ancestors: Ancestors) -> Result<()> {
        let os_index = element.os_index()?.filter(|number| *number <= MAX_INDEX);
        let os_index = os_index.ok_or_else(|| element.wrong("os_index", "the number of a CPU"))?;
        if self.switched_on.as_ref().is_some_and(|on| !on.contains(os_index)) {
            return Ok(());
        }
        if self.online.contains(os_index) {
            return Err(element.error(format!("CPU {os_index} occurs twice")));
        }
        self.online.insert(os_index);
        self.pus.push(Pu { os_index, package: ancestors.package, core: ancestors.core });
        Ok(())
    }

    fn node_number(&mut self, element: Element<'a>) -> Result<u32> {
        let os_index = element.os_index()?.filter(|number| *number <= MAX_INDEX);
        let os_index = os_index.ok_or_else(|| element.wrong("os_index", "the number of a NUMA node"))?;
        if self.numbers.contains(os_index) {
            return Err(element.error(format!("NUMA node {os_index} occurs twice")));
        }
        self.numbers.insert(os_index);
        Ok(os_index)
    }

    /// Returns the numbers of the NUMA nodes.
    pub(super) fn numbers(&self) -> &NodeSet {
        &self.numbers
    }

    /// Returns the PUs of a range as a set.
    pub(super) fn cpus(&self, range: &Range<usize>) -> CpuSet {
        self.pus[range.clone()].iter().map(|pu| pu.os_index).collect()
    }
}

/// Reads a type such as `L3Cache` and `L1iCache`, and the first version's `Cache` with its level beside it.
fn cache_type(kind: &str, element: Element<'_>) -> Result<Option<(u8, CacheKind)>> {
    let Some(name) = kind.strip_suffix("Cache") else { return Ok(None) };
    let (digits, suffix) = match name.strip_prefix('L') {
        Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())),
        None if name.is_empty() => ("", ""),
        // A cache on the memory side.
        None => return Ok(None),
    };
    let level = match element.number("depth")? {
        Some(level) => u8::try_from(level).ok(),
        None => digits.parse().ok(),
    };
    let level = level.filter(|level| (1..=5).contains(level));
    let level = level.ok_or_else(|| element.wrong("depth", "the level of a cache, 1 to 5"))?;
    let holds = match element.number("cache_type")? {
        Some(0) => CacheKind::Unified,
        Some(1) => CacheKind::Data,
        Some(2) => CacheKind::Instruction,
        Some(_) => return Err(element.wrong("cache_type", "0, 1 or 2")),
        None if suffix == "i" => CacheKind::Instruction,
        None if suffix == "d" => CacheKind::Data,
        None => CacheKind::Unified,
    };
    Ok(Some((level, holds)))
}
