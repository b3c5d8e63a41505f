//! [`Fleet`]: many machines, compared with each other.

mod cyclonedx;
mod node;
mod outliers;
mod render;

pub use node::{FleetDevice, FleetNode};
pub(crate) use node::{board, name_of};
pub use outliers::{FleetBoard, Outlier};

use node::Words;
use nvtopo::render::count_of;
use nvtopo::source::{Contents, Locator};
use nvtopo::{Error, Result};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// How a fleet is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FleetOptions {
    /// Leaves out serial numbers and UUIDs.
    pub redact: bool,
    /// The number of nodes that are read at once; as many as there are CPUs without it.
    pub threads: Option<NonZero<usize>>,
    /// The time of now in seconds since 1970. Without it the text does not say how old snapshots are.
    pub now: Option<u64>,
}

impl FleetOptions {
    /// Sets whether serial numbers and UUIDs are left out.
    #[must_use]
    pub fn redact(mut self, redact: bool) -> Self {
        self.redact = redact;
        self
    }

    /// Sets the number of nodes that are read at once.
    #[must_use]
    pub fn threads(mut self, threads: Option<NonZero<usize>>) -> Self {
        self.threads = threads;
        self
    }

    /// Sets the time of now in seconds since 1970, by which snapshots are old.
    #[must_use]
    pub fn now(mut self, now: Option<u64>) -> Self {
        self.now = now;
        self
    }
}

/// Many machines: a small row for each, and those that differ from most of their like.
///
/// ```
/// use nvtopo_audit::{Fleet, FleetOptions};
///
/// let folder = std::env::temp_dir().join(format!("nvtopo-fleet-{}", std::process::id()));
/// std::fs::create_dir_all(&folder)?;
/// for (name, links) in [("a", 4), ("b", 4), ("c", 4), ("d", 2)] {
///     let text = format!("\tGPU0\tGPU1\nGPU0\t X \tNV{links}\nGPU1\tNV{links}\t X \n");
///     std::fs::write(folder.join(name), text)?;
/// }
/// let fleet = Fleet::read(&folder, &FleetOptions::default(), &mut |done, all| println!("{done} of {all}"))?;
/// std::fs::remove_dir_all(&folder)?;
/// assert_eq!(fleet.outliers().len(), 1);
/// assert_eq!(fleet.outliers()[0].node, "d");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Fleet {
    nodes: Vec<FleetNode>,
    unreadable: Vec<(String, Error)>,
    boards: Vec<FleetBoard>,
    outliers: Vec<Outlier>,
    now: Option<u64>,
}

impl Fleet {
    /// Reads every snapshot, topology document, saved output and directory of one in a directory, each as a node of its own.
    /// Names that begin with a dot are left out. What cannot be read does not stop it: see
    /// [`unreadable`](Self::unreadable). `progress` hears how many nodes of how many were read.
    ///
    /// Errors where the directory cannot be read, or holds nothing that is a node.
    pub fn read(
        folder: &Path,
        options: &FleetOptions,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self> {
        let entries = entries(folder)?;
        if entries.is_empty() {
            let text = format!("there are no snapshots in {}", folder.display());
            return Err(Error::input(text).help("write one on each node with nvtopo snapshot -o FILE"));
        }
        let threads = options.threads.or_else(|| std::thread::available_parallelism().ok());
        let threads = threads.map_or(1, NonZero::get).min(entries.len());
        let (words, next) = (Words::default(), AtomicUsize::new(0));
        let mut rows: Vec<Option<Result<FleetNode>>> = entries.iter().map(|_| None).collect();
        progress(0, entries.len());
        std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::sync_channel(threads);
            for _ in 0..threads {
                let (sender, entries, words, next) = (sender.clone(), &entries, &words, &next);
                scope.spawn(move || {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(path) = entries.get(index) else { return };
                        if sender.send((index, node(path, options, words))).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            for (done, (index, row)) in (1..).zip(receiver) {
                rows[index] = Some(row);
                progress(done, entries.len());
            }
        });
        let mut nodes = Vec::new();
        let mut unreadable = Vec::new();
        for (path, row) in entries.iter().zip(rows) {
            match row {
                Some(Ok(node)) => nodes.push(node),
                Some(Err(error)) => unreadable.push((file_name(path), error)),
                None => {}
            }
        }
        if let ([], [(name, error), ..]) = (nodes.as_slice(), unreadable.as_slice()) {
            let count = count_of(unreadable.len(), "file");
            let text =
                format!("none of {count} in {} is a node; {name}: {}", folder.display(), error.message());
            return Err(Error::input(text).help("write one on each node with nvtopo snapshot -o FILE"));
        }
        node::tell_apart(&mut nodes);
        let (boards, outliers) = outliers::compare(&nodes);
        Ok(Self { nodes, unreadable, boards, outliers, now: options.now })
    }

    /// Returns the nodes, by name.
    pub fn nodes(&self) -> &[FleetNode] {
        &self.nodes
    }

    /// Returns the names of what could not be read, each with the reason.
    pub fn unreadable(&self) -> &[(String, Error)] {
        &self.unreadable
    }

    /// Returns the boards, those of most nodes first.
    pub fn boards(&self) -> &[FleetBoard] {
        &self.boards
    }

    /// Returns the nodes that differ from more than half of the nodes of their board.
    pub fn outliers(&self) -> &[Outlier] {
        &self.outliers
    }
}

/// Returns what may be a node, by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let cannot = |error: std::io::Error| {
        Error::input(format!("cannot read the directory: {error}")).in_input(&folder.display().to_string())
    };
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        if !file_name(&path).starts_with('.') {
            entries.push(path);
        }
    }
    entries.sort_unstable();
    Ok(entries)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn node(path: &Path, options: &FleetOptions, words: &Words) -> Result<FleetNode> {
    Ok(FleetNode::of(path, &read(path)?, options, words))
}

fn read(path: &Path) -> Result<Contents> {
    // A pipe without a writer would never end.
    let kind = std::fs::metadata(path).map_err(|error| Error::input(error.to_string()))?.file_type();
    if !kind.is_file() && !kind.is_dir() {
        return Err(Error::input("this is neither a file nor a directory"));
    }
    Contents::open(&[Locator::Path(path.to_owned())])
}
