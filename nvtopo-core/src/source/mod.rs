//! Sources of topologies: the registry of input formats, and the functions that read one; those that write one are in
//! `writers`.
//!
//! A source turns bytes or a directory into a [`Fragment`]; it never decides anything and never queries the graph.
//! A new format is one file here and one line in `SOURCES`.

mod common;
mod contents;
mod folder;
mod gpu_notes;
mod graph;
mod guest;
mod hanging;
mod hwloc;
mod hwloc_xml;
pub(crate) mod json;
mod kubernetes;
mod live;
mod losses;
mod lscpu;
mod lspci;
mod make;
mod measured;
#[cfg(feature = "yaml")]
mod mock_nvml;
mod nccl_xml;
mod near;
mod numactl;
mod nvlink_status;
mod nvml;
mod pci_kind;
mod pci_tree;
mod pipe;
mod plain;
mod prefix;
mod preset;
mod rdma;
mod several;
mod slurm;
mod smi_matrix;
mod smi_query;
mod snapshot;
pub(crate) mod sysfs;
#[cfg(test)]
mod tests;
mod text;
mod writers;
mod xml;

use crate::error::{Error, Result};
use crate::model::{Fragment, MachineIdentity, Topology, TopologyBuilder};
use crate::once::Once;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use text::{Input, Line};

pub use contents::{Contents, Files, SavedText};
pub use hanging::{DriverCalls, driver_calls};
pub use live::Live;
pub use nvml::{GpuProcess, NvLinkCounters};
pub use preset::{PRESETS, Preset};
#[cfg(feature = "snapshot")]
pub use snapshot::{Redaction, Snapshot};
pub use writers::{WRITERS, WriteOptions, Writer, Written, writer};

/// The largest input that is read, in bytes. The matrix of 2048 devices has 16 MB.
pub const MAX_INPUT: u64 = 64 << 20;

/// An input format. All are of texts, which need not be UTF-8, but for the directory of a recorded machine.
trait Source: Sync {
    /// Returns the name of the format in messages.
    fn name(&self) -> &'static str;

    /// Returns whether the content looks like this format.
    fn recognizes(&self, input: &Input<'_>) -> bool;

    /// Reads the content.
    fn read(&self, bytes: &[u8]) -> Result<Fragment>;

    /// Returns whether it may stand in one text with others.
    fn stands_with_others(&self) -> bool;

    /// Returns whether its output, or a part of it, may begin with this line.
    fn begins(&self, line: &Line<'_>) -> bool;

    /// Returns whether a part of a text with several outputs is of this format.
    fn recognizes_part(&self, part: &Input<'_>) -> bool;

    /// Reads the parts of a text with several outputs that are of this format.
    fn read_part(&self, bytes: &[u8]) -> Result<Fragment>;
}

/// A format of texts to implement; [`Source`] is its object form.
trait TextFormat: Sync {
    /// The name for people.
    const NAME: &'static str;

    /// Words of a line that names the tool, or begins its output or a part of that. A format that has some may stand in one
    /// text with others, which is cut at such lines; see [`several`].
    const BEGINNINGS: &'static [&'static str] = &[];

    /// Returns whether a text looks like this format.
    fn recognizes(input: &Input<'_>) -> bool;

    /// Reads a text.
    fn read(bytes: &[u8]) -> Result<Fragment>;

    /// Returns whether the output, or a part of it, may begin with this line, where no words tell.
    fn begins(_line: &Line<'_>) -> bool {
        false
    }

    /// Returns whether a part of a text with several outputs is of this format. Little may stand in it.
    fn recognizes_part(part: &Input<'_>) -> bool {
        Self::recognizes(part)
    }

    /// Reads the parts of a text with several outputs that are of this format. What is useless alone may be left out with a
    /// note.
    fn read_part(bytes: &[u8]) -> Result<Fragment> {
        Self::read(bytes)
    }
}

impl<F: TextFormat> Source for F {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn recognizes(&self, input: &Input<'_>) -> bool {
        F::recognizes(input)
    }

    fn read(&self, bytes: &[u8]) -> Result<Fragment> {
        F::read(bytes)
    }

    fn stands_with_others(&self) -> bool {
        !F::BEGINNINGS.is_empty()
    }

    fn begins(&self, line: &Line<'_>) -> bool {
        F::BEGINNINGS.iter().any(|words| line.text.contains(words)) || F::begins(line)
    }

    fn recognizes_part(&self, part: &Input<'_>) -> bool {
        F::recognizes_part(part)
    }

    fn read_part(&self, bytes: &[u8]) -> Result<Fragment> {
        F::read_part(bytes)
    }
}

/// Every format of texts, in the order in which they are tried.
static SOURCES: &[&dyn Source] = &[
    &snapshot::SnapshotFile,
    &measured::NvBandwidthJson,
    &lscpu::LscpuJson,
    &rdma::RdmaJson,
    &kubernetes::Kubernetes,
    &json::Json,
    &hwloc_xml::HwlocXml,
    &nccl_xml::NcclXml,
    &nccl_xml::NcclGraphs,
    &measured::NvBandwidth,
    &measured::P2pTest,
    &measured::Perftest,
    &smi_matrix::P2pMatrix,
    &smi_matrix::SmiMatrix,
    &nvlink_status::NvLinkStatus,
    &lscpu::Lscpu,
    &numactl::Numactl,
    &rdma::RdmaTools,
    &lspci::Lspci,
    &slurm::Slurm,
    &smi_query::SmiXml,
    &smi_query::SmiQuery,
    &smi_query::SmiTable,
    &smi_query::SmiCsv,
    &hwloc_xml::PastedXml,
    &nccl_xml::PastedXml,
];

/// The place to read a topology from.
///
/// ```
/// use nvtopo::source::Locator;
///
/// assert_eq!("preset:dgx-h100".parse::<Locator>()?, Locator::Preset("dgx-h100".to_owned()));
/// assert_eq!("live".parse::<Locator>()?, Locator::Live);
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Locator {
    /// This machine.
    Live,
    /// This machine as libhwloc sees it, in builds with the feature `hwloc`.
    Hwloc,
    /// A preset by its name.
    Preset(String),
    /// Standard input.
    Stdin,
    /// A file, or a directory that holds a recorded machine, saved outputs of tools, or both.
    Path(PathBuf),
}

impl FromStr for Locator {
    type Err = Error;

    /// Reads `live`, `hwloc`, `preset:NAME`, `-`, or a path (`./hwloc` for a file of that name).
    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "" => {
                return Err(Error::request("an empty name is no source")
                    .help("give live, hwloc, preset:NAME, a path, or -"));
            }
            "live" => Self::Live,
            "hwloc" => Self::Hwloc,
            "-" => Self::Stdin,
            _ => match text.strip_prefix("preset:") {
                Some(name) => Self::Preset(name.to_owned()),
                None => Self::Path(text.into()),
            },
        })
    }
}

impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live => f.write_str("live"),
            Self::Hwloc => f.write_str("hwloc"),
            Self::Preset(name) => write!(f, "preset:{name}"),
            Self::Stdin => f.write_str("standard input"),
            Self::Path(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Topology {
    /// Reads this machine, as the kernel and, with the feature `nvml`, NVIDIA's driver show it; see [`Live`].
    ///
    /// The kernel alone does not know of NVLinks: without the driver's library, add the text of `nvidia-smi topo -m`
    /// with [`open`](Self::open).
    ///
    /// ```no_run
    /// let topology = nvtopo::Topology::discover()?;
    /// for note in topology.notes() {
    ///     eprintln!("{note}");
    /// }
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn discover() -> Result<Self> {
        Self::open(&[Locator::Live])
    }

    /// Returns the published layout of a product; [`PRESETS`] lists them.
    pub fn preset(name: &str) -> Result<Self> {
        Self::open(&[Locator::Preset(name.to_owned())])
    }

    /// Reads a topology from a text of any known format. Messages call the text by `name`.
    ///
    /// ```
    /// let text = "\tGPU0\tGPU1\tCPU Affinity\nGPU0\t X \tNV4\t0-15\nGPU1\tNV4\t X \t0-15\n";
    /// let topology = nvtopo::Topology::parse("topo.txt", text.as_bytes())?;
    /// assert_eq!(topology.pairs().pair(0, 1).nvlinks, 4);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self> {
        TopologyBuilder::new().with(parse(name, bytes)?).build().map_err(|error| error.in_input(name))
    }

    /// Reads and merges several sources; where they disagree, a note says so.
    pub fn open(locators: &[Locator]) -> Result<Self> {
        merged(locators, fragment)
    }
}

/// Merges what is read of several places.
fn merged(locators: &[Locator], mut read: impl FnMut(&Locator) -> Result<Fragment>) -> Result<Topology> {
    let mut builder = TopologyBuilder::new();
    for locator in locators {
        let mut own = read(locator)?;
        if let (Locator::Path(path), true) = (locator, locators.len() > 1) {
            own.file = Some(path.display().to_string().into());
        }
        builder = builder.with(own);
    }
    builder.build().map_err(|error| match locators {
        [only] => error.in_input(&only.to_string()),
        _ => error,
    })
}

/// Returns the identity of the machine that this process runs on.
pub(crate) fn this_machine() -> &'static MachineIdentity {
    static IDENTITY: Once<MachineIdentity> = Once::new();
    IDENTITY.get_or_init(|| sysfs::identity(&sysfs::Tree::new(Path::new("/"))))
}

/// Reads a text of any known format as a fragment, to be merged by [`TopologyBuilder`]. Messages call the text by
/// `name`.
pub fn parse(name: &str, bytes: &[u8]) -> Result<Fragment> {
    read(bytes).map_err(|error| error.in_input(name))
}

/// Reads one place as a fragment, to be merged by [`TopologyBuilder`].
pub fn fragment(locator: &Locator) -> Result<Fragment> {
    match locator {
        Locator::Live => Live::default().fragment(),
        Locator::Hwloc => hwloc::fragment(),
        Locator::Preset(name) => preset::read(name),
        Locator::Stdin => {
            let name = Path::new("standard input");
            parse("standard input", &read_all(name, std::io::stdin().lock())?)
        }
        Locator::Path(path) if path.is_dir() => {
            folder::read(path, None).map_err(|error| error.in_input(&path.display().to_string()))
        }
        Locator::Path(path) => parse(&path.display().to_string(), &read_path(path)?),
    }
}

/// Reads a file, or a pipe that somebody writes into in time.
fn read_path(path: &Path) -> Result<Vec<u8>> {
    match pipe::open(path)? {
        Some(pipe) => read_all(path, pipe),
        None => read_all(path, std::fs::File::open(path).map_err(|error| missing(path, error))?),
    }
}

/// Returns the error of a file that cannot be opened, which may be the misspelt name of another source.
fn missing(path: &Path, error: std::io::Error) -> Error {
    let is_missing = error.kind() == std::io::ErrorKind::NotFound;
    let name = path.to_str().filter(|name| is_missing && !name.contains('/'));
    let meant = name.and_then(|name| {
        let own = ["live", "hwloc"].into_iter().find(|own| own.eq_ignore_ascii_case(name));
        own.map(str::to_owned).or_else(|| preset::meant(name).map(|preset| format!("preset:{preset}")))
    });
    let error = Error::io(path, error);
    match meant {
        Some(meant) => error.help(format!("did you mean {meant}?")),
        None => error,
    }
}

/// Reads a file that is no topology, such as a trace of jobs: [`MAX_INPUT`] bytes at most.
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    match pipe::open(path)? {
        Some(pipe) => read_all(path, pipe),
        None => read_all(path, std::fs::File::open(path).map_err(|error| Error::io(path, error))?),
    }
}

/// Reads a file of text, as [`read_file`] does.
///
/// Errors are those of [`read_file`], and [`InvalidInput`](crate::ErrorKind::InvalidInput) for what is no UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read_file(path)?)
        .map_err(|_| Error::input("it is no text").in_input(&path.display().to_string()))
}

fn read_all(path: &Path, reader: impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MAX_INPUT + 1).read_to_end(&mut bytes).map_err(|error| Error::io(path, error))?;
    if bytes.len() as u64 > MAX_INPUT {
        let limit = MAX_INPUT >> 20;
        return Err(Error::input(format!("more than {limit} MiB")).in_input(&path.display().to_string()));
    }
    Ok(bytes)
}

fn read(bytes: &[u8]) -> Result<Fragment> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::input("the input is empty").at(1, 1).help(known()));
    }
    let unknown = || Error::input("not a format that nvtopo knows").at(1, 1).help(known());
    read_known(bytes).unwrap_or_else(|| Err(near::explain(bytes).unwrap_or_else(unknown)))
}

/// Reads a text; `None` where it is of no known format.
fn read_known(bytes: &[u8]) -> Option<Result<Fragment>> {
    let input = Input::new(bytes);
    if let Some(bare) = prefix::bare(input.decoded()) {
        return read_known(bare.text.as_bytes()).map(|read| read.map_err(|error| bare.placed(error)));
    }
    let source = recognized(&input)?;
    Some(several::read(&input, source).unwrap_or_else(|| source.read(bytes)))
}

/// Returns the first format that an input looks like.
fn recognized(input: &Input<'_>) -> Option<&'static dyn Source> {
    SOURCES.iter().copied().find(|source| source.recognizes(input))
}

/// Lists the formats, for messages.
fn known() -> String {
    let names = SOURCES.iter().map(|source| source.name());
    format!("it reads {}", [sysfs::NAME].into_iter().chain(names).collect::<Vec<_>>().join(", "))
}
