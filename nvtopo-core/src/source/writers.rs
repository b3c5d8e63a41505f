//! Writers of topologies: the registry of output formats, and the functions that write one.
//!
//! A writer turns a topology into the text that another program reads. Facts which that program demands and the topology does
//! not know are assumed with a note, or refused with an error. A new format is one file, beside its reader where there is one, and
//! one line in [`WRITERS`]. Answers about a topology are written in [`crate::render`].

use super::guest::{self, Guest};
use super::{graph, hwloc_xml, json, nccl_xml, slurm, smi_matrix};
use crate::error::{Error, Result};
use crate::model::{Note, Topology};
use std::fmt;

/// An output format for topologies.
#[non_exhaustive]
pub struct Writer {
    /// The name after `--to`.
    pub name: &'static str,
    /// The format in one line, for people.
    pub summary: &'static str,
    write: Write,
}

/// The function that writes a format.
#[derive(Clone, Copy)]
enum Write {
    /// Of a machine, also where that is a guest.
    Machine(fn(&Topology, &WriteOptions) -> Result<Written>),
    /// Of a guest with its host.
    Guest(fn(&Guest<'_>, &WriteOptions) -> Result<Written>),
}

/// Every output format for topologies.
pub static WRITERS: &[Writer] = &[
    Writer {
        name: "json",
        summary: "nvtopo's own document, which keeps everything",
        write: Write::Machine(json::write),
    },
    Writer {
        name: "nccl-xml",
        summary: "NCCL's topology file (NCCL_TOPO_FILE)",
        write: Write::Machine(nccl_xml::write::write),
    },
    Writer {
        name: "gres.conf",
        summary: "Slurm's GPUs of a node: files, cores, NVLinks",
        write: Write::Machine(slurm::gres),
    },
    Writer {
        name: "slurm.conf",
        summary: "the line of a node in Slurm's slurm.conf",
        write: Write::Machine(slurm::node),
    },
    Writer {
        name: "topo-m",
        summary: "the text of nvidia-smi topo -m",
        write: Write::Machine(smi_matrix::write::write),
    },
    Writer {
        name: "hwloc-xml",
        summary: "hwloc's XML, for lstopo -i and HWLOC_XMLFILE",
        write: Write::Machine(hwloc_xml::write::write),
    },
    Writer {
        name: "hwloc-synthetic",
        summary: "hwloc's synthetic string of a machine that is alike everywhere",
        write: Write::Machine(hwloc_xml::synthetic::write),
    },
    Writer {
        name: "dot",
        summary: "a picture by Graphviz: nvtopo convert --to dot | dot -Tsvg",
        write: Write::Machine(graph::dot),
    },
    Writer {
        name: "graphml",
        summary: "the whole graph for networkx, yEd, Gephi",
        write: Write::Machine(graph::graphml),
    },
    Writer {
        name: "csv",
        summary: "a table of all pairs of GPUs and NICs",
        write: Write::Machine(graph::csv),
    },
    Writer {
        name: "libvirt-xml",
        summary: "libvirt's domain of a virtual machine that gets the devices of --devices",
        write: Write::Guest(guest::libvirt::write),
    },
    #[cfg(feature = "yaml")]
    Writer {
        name: "mock-nvml",
        summary: "a profile for NVIDIA's mock of NVML (MOCK_NVML_CONFIG)",
        write: Write::Machine(super::mock_nvml::write),
    },
];

/// Options of writers. Each writer takes those that mean something in its format.
///
/// ```
/// use nvtopo::source::WriteOptions;
///
/// let written = nvtopo::Topology::preset("gh200")?.write_with("json", &WriteOptions::default())?;
/// assert!(written.notes.is_empty());
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteOptions {
    /// The name of the machine in the cluster, for formats that name it (Slurm's and libvirt's).
    pub node: Option<String>,
    /// The devices that a virtual machine gets by PCI passthrough: GPUs (`GPU0`, `0-3`, a UUID), NICs (`mlx5_0`) or PCI
    /// addresses. With some, every format describes that guest in place of the machine. Without, `libvirt-xml` passes all GPUs
    /// and NICs.
    pub devices: Vec<String>,
}

/// A topology as the text of a format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// The text, which ends with a line break.
    pub text: String,
    /// Notes: assumptions of the writer, and facts that the format cannot tell.
    pub notes: Vec<Note>,
}

impl Written {
    /// Creates a text without notes.
    ///
    /// ```
    /// assert!(nvtopo::source::Written::new("text\n").notes.is_empty());
    /// ```
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), notes: Vec::new() }
    }

    /// Adds a note.
    ///
    /// ```
    /// use nvtopo::model::{Note, NoteCode};
    /// use nvtopo::source::Written;
    ///
    /// let mut written = Written::new("text\n");
    /// written.note(Note::new(NoteCode::Unknown, "the speed of GPU0's PCIe link is unknown"));
    /// assert_eq!(written.notes.len(), 1);
    /// ```
    pub fn note(&mut self, note: Note) {
        self.notes.push(note);
    }
}

impl Writer {
    /// Writes a topology.
    ///
    /// Errors where the format demands a fact that the topology does not know and that cannot be assumed, and where one of
    /// [`WriteOptions::devices`] is no device of the topology, or there twice.
    ///
    /// ```
    /// let dgx = nvtopo::Topology::preset("dgx-a100")?;
    /// assert_eq!(nvtopo::source::writer("json")?.write(&dgx, &Default::default())?.text, dgx.to_json());
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn write(&self, topology: &Topology, options: &WriteOptions) -> Result<Written> {
        if let (Write::Machine(write), true) = (self.write, options.devices.is_empty()) {
            return write(topology, options);
        }
        let guest = Guest::new(topology, &options.devices)?;
        let mut written = match self.write {
            Write::Machine(write) => write(&guest.topology, options),
            Write::Guest(write) => write(&guest, options),
        }?;
        written.notes.splice(..0, guest.notes);
        Ok(written)
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Finds an output format for topologies by its name.
///
/// ```
/// assert_eq!(nvtopo::source::writer("json")?.name, "json");
/// assert!(nvtopo::source::writer("docx").is_err());
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn writer(name: &str) -> Result<&'static Writer> {
    WRITERS.iter().find(|writer| writer.name == name).ok_or_else(|| {
        let names: Vec<&str> = WRITERS.iter().map(|writer| writer.name).collect();
        Error::request(format!("there is no format '{name}' to write a topology in"))
            .help(format!("there are {}", names.join(", ")))
    })
}

impl Topology {
    /// Writes the topology in a format of [`WRITERS`], with the default options.
    ///
    /// Errors where there is no such format, and like [`Writer::write`].
    ///
    /// ```
    /// let dgx = nvtopo::Topology::preset("dgx-a100")?;
    /// assert_eq!(dgx.write("json")?.text, dgx.to_json());
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn write(&self, format: &str) -> Result<Written> {
        self.write_with(format, &WriteOptions::default())
    }

    /// Writes the topology in a format of [`WRITERS`].
    ///
    /// Errors like [`write`](Self::write).
    ///
    /// ```
    /// use nvtopo::source::WriteOptions;
    ///
    /// let dgx = nvtopo::Topology::preset("dgx-a100")?;
    /// let mut options = WriteOptions::default();
    /// options.devices = vec!["GPU0".into(), "GPU1".into(), "mlx5_0".into()];
    /// let guest = dgx.write_with("libvirt-xml", &options)?.text;
    /// assert_eq!(guest.matches("<hostdev ").count(), 3);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn write_with(&self, format: &str, options: &WriteOptions) -> Result<Written> {
        writer(format)?.write(self, options)
    }
}
