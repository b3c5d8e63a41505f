//! [`Evidence`]: what the checks may look at. All checks read the machine through it, so that a snapshot that is taken
//! while they run holds what they need.

use crate::audit::AuditedProcess;
use crate::baseline::{Baseline, Drift, Facts};
use crate::finding::Verdicts;
use crate::profile::Profile;
use crate::reading::Readings;
use crate::reading::kubelet::{self, Kubelet};
use crate::reading::lspci::{self, Listed};
use crate::reading::smi::{self, Queried};
use nvtopo::model::{Gpu, Node, NodeId, NodeKind, NoteCode, Provenance, Stated};
use nvtopo::source::{Contents, Files, NvLinkCounters, SavedText};
use nvtopo::{PciAddress, Topology};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The evidence on one machine.
pub(crate) struct Evidence<'a> {
    pub(crate) topology: &'a Topology,
    pub(crate) profile: &'a Profile,
    /// The process whose CPUs and memory are judged.
    pub(crate) process: &'a AuditedProcess,
    /// An earlier reading of the same machine: counters are judged by their growth.
    pub(crate) earlier: Option<Box<Evidence<'a>>>,
    /// The accepted state of the same machine.
    pub(crate) baseline: Option<&'a Baseline>,
    /// The labels of the Kubernetes node that are taken to be gone.
    pub(crate) lost_labels: &'a [String],
    files: Vec<&'a Files>,
    texts: &'a [SavedText],
    /// The driver's counters of NVLinks.
    pub(crate) nvlink_counters: &'a [NvLinkCounters],
    pub(crate) readings: Readings,
}

/// The name of the whole machine as a subject.
pub(crate) const NODE: &str = "node";

/// The process that reads the machine.
pub(crate) static OWN: AuditedProcess = AuditedProcess::Own;

/// The profile of a fleet that expects nothing.
static NO_PROFILE: LazyLock<Profile> = LazyLock::new(Profile::default);

impl<'a> Evidence<'a> {
    /// The evidence for this process, where nothing is expected.
    pub(crate) fn plain(contents: &'a Contents) -> Self {
        Self::of(contents, &NO_PROFILE, &OWN)
    }

    /// Does the same by a machine's files.
    pub(crate) fn plain_files(topology: &'a Topology, files: &'a Files) -> Self {
        Self::of_files(topology, files, &NO_PROFILE, &OWN)
    }

    pub(crate) fn of(contents: &'a Contents, profile: &'a Profile, process: &'a AuditedProcess) -> Self {
        let files = contents.files.iter().collect();
        let evidence = Self::new(&contents.topology, profile, process, files, &contents.texts);
        Self { nvlink_counters: &contents.nvlink_counters, ..evidence }
    }

    pub(crate) fn of_files(
        topology: &'a Topology,
        files: &'a Files,
        profile: &'a Profile,
        process: &'a AuditedProcess,
    ) -> Self {
        Self::new(topology, profile, process, vec![files], &[])
    }

    /// Creates the evidence of saved texts alone.
    pub(crate) fn of_texts(topology: &'a Topology, texts: &'a [SavedText], profile: &'a Profile) -> Self {
        Self::new(topology, profile, &AuditedProcess::Own, Vec::new(), texts)
    }

    fn new(
        topology: &'a Topology,
        profile: &'a Profile,
        process: &'a AuditedProcess,
        files: Vec<&'a Files>,
        texts: &'a [SavedText],
    ) -> Self {
        Self {
            topology,
            profile,
            process,
            earlier: None,
            baseline: None,
            lost_labels: &[],
            files,
            texts,
            nvlink_counters: &[],
            readings: Readings::default(),
        }
    }

    /// Returns the processes that can be seen, with the names that the kernel cuts to 15 bytes.
    pub(crate) fn processes(&self) -> &[(u32, String)] {
        self.readings.processes.get_or_init(|| {
            let pids = self.names("proc").into_iter().filter_map(|name| name.parse().ok());
            pids.filter_map(|pid: u32| match self.text(&format!("proc/{pid}/comm")) {
                Stated::Known(name) => Some((pid, name)),
                _ => None,
            })
            .collect()
        })
    }

    /// Returns the kubelet with its settings.
    pub(crate) fn kubelet(&self) -> &Kubelet {
        self.readings.kubelet.get_or_init(|| kubelet::read(self))
    }

    /// Returns the facts that a baseline holds beside the topology. They are read once.
    pub(crate) fn facts(&self) -> &Facts {
        self.readings.facts.get_or_init(|| Facts::of(self))
    }

    /// Returns the differences from the baseline; none without one.
    pub(crate) fn drift(&self) -> &[Drift] {
        self.readings.drift.get_or_init(|| self.baseline.map_or_else(Vec::new, |own| own.drift_of(self)))
    }

    /// Returns the name of the host, from the machine's files or a saved output of `hostname` or `uname -a`. `None`: unknown.
    pub(crate) fn host(&self) -> Option<String> {
        let of_file = |path: &&str| self.text(path).known().cloned();
        let told = ["proc/sys/kernel/hostname", "etc/hostname"].iter().find_map(of_file);
        let told = told.or_else(|| self.texts().find_map(|own| host_of(own).map(str::to_owned)));
        told.filter(|name| is_host(name))
    }

    /// Returns whether there are files of a machine.
    pub(crate) fn has_files(&self) -> bool {
        !self.files.is_empty()
    }

    /// Returns the text of a file of the machine. Unstated: there are no files of a machine at all.
    pub(crate) fn text(&self, path: &str) -> Stated<String> {
        first(self.files.iter().map(|files| files.text(path)))
    }

    /// Returns some bytes of a file of the machine.
    pub(crate) fn bytes(&self, path: &str, offset: usize, length: usize) -> Stated<Vec<u8>> {
        first(self.files.iter().map(|files| files.bytes(path, offset, length)))
    }

    /// Returns the names in a directory of the machine. Empty: absent or unreadable.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        let names = self.files.iter().map(|files| files.names(path));
        names.into_iter().find(|names| !names.is_empty()).unwrap_or_default()
    }

    /// Returns whether the machine has a directory.
    pub(crate) fn has_folder(&self, path: &str) -> bool {
        self.files.iter().any(|files| files.has_folder(path))
    }

    /// Returns the target of a link of the machine.
    pub(crate) fn link(&self, path: &str) -> Option<String> {
        self.files.iter().find_map(|files| files.link(path))
    }

    /// Returns the saved texts. Each may hold the outputs of several tools.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &'a SavedText> {
        self.texts.iter()
    }

    /// Returns the PCI functions that saved outputs of `lspci` list. They are read once.
    pub(crate) fn lspci(&self) -> &BTreeMap<PciAddress, Listed> {
        self.readings.lspci.get_or_init(|| lspci::read(self))
    }

    /// Returns the GPUs that saved outputs of `nvidia-smi -q` describe. They are read once.
    pub(crate) fn smi(&self) -> &BTreeMap<PciAddress, Queried> {
        self.readings.smi.get_or_init(|| smi::read(self))
    }

    /// Returns the GPUs with their positions and nodes.
    pub(crate) fn gpus(&self) -> impl Iterator<Item = (usize, NodeId, &'a Gpu)> {
        let topology = self.topology;
        topology.gpus().enumerate().map(|(position, gpu)| (position, topology.devices()[position], gpu))
    }

    /// Returns true where there is no GPU to judge. The reason is then a verdict.
    pub(crate) fn has_no_gpus(&self, verdicts: &mut Verdicts) -> bool {
        if self.topology.gpus().len() > 0 {
            return false;
        }
        if self.lists_pci() {
            verdicts.not_applicable(NODE, "it has no GPU");
        } else {
            verdicts.unknown(NODE, "no source lists GPUs");
        }
        true
    }

    /// Returns whether a source lists everything on the PCI bus, so that a device which it does not list is not there. Of an
    /// output of `lspci` that lists no bridge, lines were left out.
    pub(crate) fn lists_pci(&self) -> bool {
        let is_whole = |source| matches!(source, Provenance::Sysfs | Provenance::Hwloc | Provenance::Preset);
        let is_pci = |kind: &NodeKind| {
            matches!(
                kind,
                NodeKind::HostBridge(_) | NodeKind::PcieSwitch(_) | NodeKind::Gpu(_) | NodeKind::Nic(_)
            )
        };
        let tells = |(_, node): (NodeId, &Node)| is_whole(node.provenance) && is_pci(&node.kind);
        self.topology.nodes().any(tells)
            || !self.names("sys/bus/pci/devices").is_empty()
            || self.lspci().values().any(Listed::is_bridge)
    }

    /// Returns whether NVIDIA's driver was asked about a GPU and answered, by itself or in an output of `nvidia-smi -q` that has
    /// this section: what it does not tell is then not there.
    pub(crate) fn is_asked(&self, id: NodeId, gpu: &Gpu, has_section: fn(&Queried) -> bool) -> bool {
        let node = self.topology.node(id);
        let mut sources = node.learned.iter().map(|fact| fact.provenance).chain([node.provenance]);
        let failed = || self.topology.notes().iter().any(|note| note.code() == NoteCode::DriverCallFailed);
        let is_saved =
            || gpu.address.is_some_and(|address| self.smi().get(&address).is_some_and(has_section));
        (sources.any(|source| source == Provenance::Nvml) && !failed()) || is_saved()
    }
}

/// Returns the name of the host in a text that is named for it, or in the line of `uname -a`.
fn host_of(saved: &SavedText) -> Option<&str> {
    let file = saved.name.rsplit('/').next().unwrap_or_default();
    if file == "hostname" || file.starts_with("hostname.") || file.starts_with("hostname_") {
        return saved.text.lines().map(str::trim).find(|line| is_host(line));
    }
    saved.text.lines().find_map(|line| {
        let mut words = line.strip_prefix("Linux ")?.split_ascii_whitespace();
        let (host, release, version) = (words.next()?, words.next()?, words.next()?);
        let is_uname = release.starts_with(|c: char| c.is_ascii_digit()) && version.starts_with('#');
        (is_uname && is_host(host)).then_some(host)
    })
}

fn is_host(name: &str) -> bool {
    let of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    !name.is_empty() && name.len() <= 253 && name.chars().all(of_name)
}

/// Returns the first answer of one that has the file; else the first answer.
fn first<T>(answers: impl Iterator<Item = Stated<T>>) -> Stated<T> {
    let mut found = Stated::Unstated;
    for answer in answers {
        match answer {
            Stated::Known(_) => return answer,
            Stated::Unreadable => found = answer,
            _ if matches!(found, Stated::Unstated) => found = answer,
            _ => {}
        }
    }
    found
}
