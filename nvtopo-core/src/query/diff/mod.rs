//! Differences between two topologies: devices that came, went or moved, and facts, NVLinks and paths that changed.
//!
//! Devices are matched (`matching`), their facts compared (`facts`), and then the links and paths between them
//! (`pairs`). For the structure alone, devices are matched by the graph (`structure`).

mod canonical;
mod facts;
mod matching;
mod pairs;
mod structure;

use crate::model::Topology;
use crate::units::runs;
pub use canonical::canonical_structure;
use facts::{Fact, Nature};
use std::collections::BTreeMap;
use std::fmt;

words! {
    /// The kind of a [`Change`].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[non_exhaustive]
    pub enum ChangeKind {
        /// Only the first machine has the part.
        Gone = "gone",
        /// Only the second machine has the part.
        Added = "added",
        /// Another device is at the same place: its UUID or serial number differs.
        Replaced = "replaced",
        /// The same device is at another PCI address.
        Moved = "moved",
        /// Two devices are at each other's PCI addresses.
        Swapped = "swapped",
        /// The same GPU has another number.
        Renumbered = "renumbered",
        /// A fact of one part differs.
        Fact = "fact",
        /// The number or rate of NVLinks between two GPUs differs.
        Nvlinks = "nvlinks",
        /// The class of the path between two devices differs.
        Path = "path",
        /// The peer-to-peer access between two GPUs differs.
        P2p = "p2p",
        /// The measured bandwidth between two devices differs by more than 5 %.
        Bandwidth = "bandwidth",
    }
    /// The name used in documents.
    name, Display
}

/// One difference between two machines.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Its kind.
    pub kind: ChangeKind,
    /// The part that changed, such as `GPU3`, `mlx5_0`, `NUMA node 1` or `machine`: by its name in the first machine, unless
    /// only the second has it.
    pub part: String,
    /// The devices at the other end, where links or paths changed.
    pub peers: Vec<String>,
    /// The fact that changed, such as `memory` or `NVLinks`.
    pub fact: &'static str,
    /// Its value in the first machine. `None`: the part is not there.
    pub before: Option<String>,
    /// Its value in the second machine. `None`: the part is not there.
    pub after: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, fact, .. } = self;
        let peers = runs(&self.peers);
        let values = (self.before.as_deref().unwrap_or_default(), self.after.as_deref().unwrap_or_default());
        match (self.kind, values) {
            (ChangeKind::Gone, ("", _)) => write!(f, "{part} is gone"),
            (ChangeKind::Gone, (was, _)) => write!(f, "{part} is gone ({was})"),
            (ChangeKind::Added, (_, "")) => write!(f, "{part} is new"),
            (ChangeKind::Added, (_, is)) => write!(f, "{part} is new ({is})"),
            (ChangeKind::Replaced, (was, is)) => write!(f, "{part} was replaced: {fact} {was} -> {is}"),
            (ChangeKind::Moved, (was, is)) => write!(f, "{part} moved: {was} -> {is}"),
            (ChangeKind::Swapped, (was, is)) => {
                write!(f, "{part} and {peers} swapped places: {part} {was} -> {is}")
            }
            (ChangeKind::Renumbered, (was, is)) => write!(f, "{part}: number {was} -> {is}"),
            (_, (was, is)) if peers.is_empty() => write!(f, "{part}: {fact} {was} -> {is}"),
            (_, (was, is)) => write!(f, "{part} to {peers}: {fact} {was} -> {is}"),
        }
    }
}

/// A fact that only one of two machines tells, so that it was not compared.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotCompared {
    /// The fact, such as `memory`.
    pub fact: &'static str,
    /// The parts of which it was not compared.
    pub parts: Vec<String>,
    /// True where the first machine tells it, false where the second does.
    pub known_before: bool,
}

impl fmt::Display for NotCompared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.known_before { "first" } else { "second" };
        write!(f, "{} of {}: only the {side} machine tells it", self.fact, runs(&self.parts))
    }
}

/// The differences between two machines.
///
/// GPUs are matched by UUID, else by PCI address, else by number; NICs by PCI address and name; NUMA nodes by number. A fact
/// that only one of the two tells is no difference: [`not_compared`](Self::not_compared) lists it. The use of GPUs, the
/// CPUs that a process may use, and huge pages are not compared, for they change all the time.
///
/// ```
/// use nvtopo::Topology;
/// use nvtopo::diff::{ChangeKind, Diff};
///
/// let text = |links| format!("\tGPU0\tGPU1\nGPU0\t X \tNV{links}\nGPU1\tNV{links}\t X \n");
/// let before = Topology::parse("before", text(4).as_bytes())?;
/// let after = Topology::parse("after", text(2).as_bytes())?;
/// let diff = Diff::new(&before, &after);
/// let links = diff.changes.iter().find(|change| change.kind == ChangeKind::Nvlinks);
/// assert_eq!(links.unwrap().to_string(), "GPU0 to GPU1: NVLinks 4 -> 2");
/// assert!(Diff::new(&before, &before).is_empty());
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diff {
    /// The differences: of the machine, of NUMA nodes, of GPUs, of NICs, of disks, then of links and paths.
    pub changes: Vec<Change>,
    /// The facts that only one of the two machines tells.
    pub not_compared: Vec<NotCompared>,
}

impl Diff {
    /// Compares two machines, or one at two times.
    pub fn new(before: &Topology, after: &Topology) -> Self {
        let places = matching::Places::new(before, after);
        let mut found = Findings::default();
        facts::machine(before, after, &mut found);
        matching::compare(before, after, &places, &mut found);
        pairs::compare(before, after, &places.sites, &mut found);
        found.into()
    }

    /// Compares what two machines are built of, and how it is connected. Numbers, names, addresses, serial numbers, software
    /// and settings do not count, so that two machines of one kind are equal.
    ///
    /// ```
    /// use nvtopo::Topology;
    /// use nvtopo::diff::Diff;
    ///
    /// let a = Topology::parse("a", b"\tGPU0\tGPU1\tGPU2\nGPU0\tX\tNV4\tSYS\nGPU1\tNV4\tX\tSYS\nGPU2\tSYS\tSYS\tX\n")?;
    /// let b = Topology::parse("b", b"\tGPU0\tGPU1\tGPU2\nGPU0\tX\tSYS\tSYS\nGPU1\tSYS\tX\tNV4\nGPU2\tSYS\tNV4\tX\n")?;
    /// assert!(!Diff::new(&a, &b).is_empty());
    /// assert!(Diff::of_structure(&a, &b).is_empty());
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn of_structure(before: &Topology, after: &Topology) -> Self {
        let map = structure::align(before, after);
        let mut found = Findings { structure: true, ..Findings::default() };
        facts::machine(before, after, &mut found);
        structure::compare(before, after, &map, &mut found);
        pairs::compare(before, after, &map, &mut found);
        found.into()
    }

    /// Returns true where the two machines do not differ.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// The changes found so far.
#[derive(Default)]
struct Findings {
    changes: Vec<Change>,
    /// Facts that one side tells, by fact and side, with their parts.
    one_sided: BTreeMap<(&'static str, bool), Vec<String>>,
    /// True where only the structure counts.
    structure: bool,
}

impl Findings {
    /// Compares the facts of a part, which both list in the same order.
    fn facts(&mut self, part: &str, before: Vec<Fact>, after: Vec<Fact>) {
        for (was, is) in before.into_iter().zip(after) {
            if self.structure && was.nature != Nature::Structure {
                continue;
            }
            if let Some((own, other)) = self.both(was.name, part, was.value, is.value)
                && own != other
            {
                self.part(ChangeKind::Fact, part.to_owned(), was.name, [Some(own), Some(other)]);
            }
        }
    }

    /// Returns a fact where both sides tell it; notes where one does not.
    fn both<T>(
        &mut self,
        fact: &'static str,
        part: &str,
        before: Option<T>,
        after: Option<T>,
    ) -> Option<(T, T)> {
        if before.is_some() != after.is_some() {
            self.one_sided(fact, before.is_some(), part);
        }
        before.zip(after)
    }

    /// Notes that one side does not tell a fact.
    fn one_sided(&mut self, fact: &'static str, known_before: bool, part: &str) {
        let parts = self.one_sided.entry((fact, known_before)).or_default();
        if parts.last().is_none_or(|last| last != part) {
            parts.push(part.to_owned());
        }
    }

    /// Adds a change of one part.
    fn part(&mut self, kind: ChangeKind, part: String, fact: &'static str, values: [Option<String>; 2]) {
        let [before, after] = values;
        self.changes.push(Change { kind, part, peers: Vec::new(), fact, before, after });
    }
}

impl From<Findings> for Diff {
    fn from(found: Findings) -> Self {
        let not_compared = found.one_sided.into_iter();
        Self {
            changes: found.changes,
            not_compared: not_compared
                .map(|((fact, known_before), parts)| NotCompared { fact, parts, known_before })
                .collect(),
        }
    }
}
