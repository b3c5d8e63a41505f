//! The live machine: the kernel's view and the driver's, joined.
//!
//! The kernel's is the base, for it knows where devices are; the driver adds its GPUs, their NVLinks, and the numbers
//! by which tools name them.

use super::nvml::{self, DriverAnswer, DriverError, DriverFacts, GpuProcess, NvLinkCounters};
use super::sysfs;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::PciAddress;
use crate::model::{Fragment, LinkKind, NodeId, NodeKind, NoteCode, NoteKind, Topology, TopologyBuilder};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

/// Options of live discovery: where to read, and how long to wait. [`Topology::discover`] reads [`Live::default`].
///
/// ```no_run
/// use nvtopo::source::Live;
///
/// let host = Live::default().with_root("/host"); // the host's file system, as a container sees it
/// let topology = host.read()?;
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Live {
    /// The root of the file system, with `sys` and `proc`.
    pub root: PathBuf,
    /// NVIDIA's management library. `None`: `libnvidia-ml.so.1`, wherever the system finds it. Without the feature
    /// `nvml` it is never opened.
    pub nvml: Option<PathBuf>,
    /// The time limit for the driver to open its library, and then to open each GPU: without persistence mode it wakes
    /// every GPU, which takes seconds. Once a GPU is open, each call may take half as long. All together may take this,
    /// and half of it for each GPU: 50 seconds on a machine with 8, if it is 10 seconds.
    ///
    /// A GPU that hangs would otherwise hang its reader: the others are asked without it, and it stays as one that no
    /// job can use. The thread that asked it is abandoned, as nothing ends such a call. A GPU that was not asked in
    /// time stays usable, and a note says that little is known of it.
    pub timeout: Duration,
}

impl Default for Live {
    fn default() -> Self {
        Self { root: "/".into(), nvml: None, timeout: Duration::from_secs(10) }
    }
}

impl Live {
    /// Sets [`root`](Self::root).
    #[must_use]
    pub fn with_root(mut self, root: impl Into<PathBuf>) -> Self {
        self.root = root.into();
        self
    }

    /// Sets [`nvml`](Self::nvml), the path of NVIDIA's management library.
    #[must_use]
    pub fn with_nvml(mut self, library: impl Into<PathBuf>) -> Self {
        self.nvml = Some(library.into());
        self
    }

    /// Sets [`timeout`](Self::timeout).
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Reads the machine.
    pub fn read(&self) -> Result<Topology> {
        TopologyBuilder::new().with(self.fragment()?).build()
    }

    /// Reads the counters of this machine's NVLinks, by GPU and number: errors and bytes. A GPU that does not answer,
    /// or hangs, has none here, and the others have theirs; [`read`](Self::read) notes why.
    ///
    /// An error where the driver cannot be asked: [`ErrorKind::Unsupported`] without a driver, or in a build without
    /// the feature `nvml`; [`ErrorKind::Io`] where it fails, or hangs before any GPU answers.
    ///
    /// ```no_run
    /// use nvtopo::source::Live;
    ///
    /// for link in Live::default().nvlink_counters()? {
    ///     println!("GPU{} link {}: {:?} bytes sent", link.gpu, link.link, link.sent_bytes);
    /// }
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn nvlink_counters(&self) -> Result<Vec<NvLinkCounters>> {
        nvml::count(self.nvml.as_deref(), self.timeout)
            .map_err(|error| not_told(error, "NVLinks are counted"))
    }

    /// Reads the processes that compute on this machine's GPUs, by GPU. A GPU that does not answer, or hangs, has none here.
    ///
    /// Errors are those of [`nvlink_counters`](Self::nvlink_counters).
    ///
    /// ```no_run
    /// use nvtopo::source::Live;
    ///
    /// for process in Live::default().gpu_processes()? {
    ///     println!("process {} is on GPU{}", process.pid, process.gpu);
    /// }
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn gpu_processes(&self) -> Result<Vec<GpuProcess>> {
        nvml::processes(self.nvml.as_deref(), self.timeout)
            .map_err(|error| not_told(error, "processes on GPUs are told"))
    }

    pub(super) fn fragment(&self) -> Result<Fragment> {
        let kernel = sysfs::root(&self.root)?;
        joined(kernel, &self.ask())
    }

    /// Asks NVIDIA's driver.
    pub(super) fn ask(&self) -> DriverAnswer {
        nvml::ask(self.nvml.as_deref(), self.timeout)
    }
}

/// Returns the error of facts that nobody but the driver tells.
fn not_told(error: DriverError, facts: &str) -> Error {
    match error {
        DriverError::Absent(why) => Error::new(ErrorKind::Unsupported, why)
            .help(format!("{facts} by NVIDIA's driver; run this where it is installed and loaded")),
        DriverError::Failed(why) => Error::new(ErrorKind::Io, format!("the NVIDIA driver failed: {why}")),
        DriverError::NotAsked => Error::new(ErrorKind::Unsupported, "this build cannot ask NVIDIA's driver")
            .help("build nvtopo with the feature nvml"),
    }
}

/// Joins the kernel's view and the driver's answer.
pub(super) fn joined(mut kernel: Fragment, driver: &DriverAnswer) -> Result<Fragment> {
    match nvml::facts(driver) {
        Ok(facts) => return join(kernel, facts),
        Err(DriverError::Absent(why)) => without_driver(&mut kernel, &why),
        Err(DriverError::Failed(why)) => {
            without_driver(&mut kernel, &format!("the NVIDIA driver failed: {why}"));
        }
        Err(DriverError::NotAsked) => {}
    }
    Ok(kernel)
}

fn without_driver(kernel: &mut Fragment, why: &str) {
    kernel.notes.retain(|note| note.code() != NoteCode::NvlinksUnknown);
    let text = if kernel.nodes.iter().any(|node| node.kind.as_gpu().is_some()) {
        format!("{why}; NVLinks are unknown")
    } else {
        format!("no NVIDIA GPU is on the PCI bus, and {why}")
    };
    kernel.note(NoteKind::Driver, text);
}

fn join(mut kernel: Fragment, driver: DriverFacts) -> Result<Fragment> {
    number(&mut kernel, &driver);
    fill_pcie(&mut kernel, &driver.pcie);
    mark_memory(&mut kernel, &driver.fragment);
    TopologyBuilder::new().with(kernel).with(driver.fragment).merged()
}

/// Gives the kernel's GPUs the driver's numbers, and takes those out that the driver does not show to this process:
/// in a container the bus has all GPUs of the host, and none but its own can be used.
fn number(kernel: &mut Fragment, driver: &DriverFacts) {
    let addresses = gpus(kernel);
    let mut hidden: BTreeMap<NodeId, PciAddress> = BTreeMap::new();
    let unnamed = addresses.iter().filter(|(address, _)| !driver.numbers.contains_key(address));
    hidden.extend(unnamed.map(|(address, id)| (*id, *address)));
    let mut numbers: BTreeMap<NodeId, u32> = BTreeMap::new();
    if hidden.len() == driver.nameless.len() {
        // The GPUs that the driver lost: it counts in the order of addresses, as the map of addresses does.
        let lost = addresses.values().filter(|id| hidden.contains_key(id)).copied();
        numbers.extend(lost.zip(driver.nameless.iter().copied()));
        hidden.clear();
    }
    numbers.extend(addresses.iter().filter_map(|(address, id)| Some((*id, *driver.numbers.get(address)?))));
    for (id, index) in numbers {
        if let NodeKind::Gpu(gpu) = kernel.node_mut(id) {
            gpu.index = index;
        }
    }
    if hidden.is_empty() {
        return;
    }
    let names: Vec<String> = hidden.values().map(PciAddress::to_string).collect();
    let text = format!(
        "the driver does not show these GPUs to this process, so they were left out: {}",
        names.join(", ")
    );
    kernel.note(NoteCode::GpusHidden, text);
    kernel.remove_leaves(&hidden.into_keys().collect::<BTreeSet<_>>());
}

/// Returns the GPUs by address.
fn gpus(fragment: &Fragment) -> BTreeMap<PciAddress, NodeId> {
    let nodes = fragment.nodes.iter().zip((0..).map(NodeId));
    nodes.filter_map(|(node, id)| Some((node.kind.as_gpu()?.address?, id))).collect()
}

/// Fills in the PCIe links that the driver reports where the kernel has none, as in virtual machines.
fn fill_pcie(kernel: &mut Fragment, pcie: &BTreeMap<PciAddress, crate::model::Link>) {
    let known: BTreeMap<NodeId, PciAddress> =
        gpus(kernel).into_iter().map(|(address, id)| (id, address)).collect();
    for (a, b, link) in &mut kernel.links {
        let address = known.get(a).or_else(|| known.get(b));
        let own = address.and_then(|address| pcie.get(address));
        if let (LinkKind::Pcie, None, Some(own)) = (link.kind, link.rate, own) {
            *link = own.clone();
        }
    }
}

/// Marks NUMA nodes that are the memory of GPUs by the driver's report, where the kernel's files do not say so, as in
/// containers without `/proc/driver`. A node with CPUs is the machine's memory, which an integrated GPU merely uses.
fn mark_memory(kernel: &mut Fragment, driver: &Fragment) {
    let mut memory: BTreeMap<u32, PciAddress> = BTreeMap::new();
    for gpu in driver.nodes.iter().filter_map(|node| node.kind.as_gpu()) {
        if let (Some(node), Some(address)) = (gpu.memory_node.known(), gpu.address) {
            memory.entry(*node).or_insert(address);
        }
    }
    for node in &mut kernel.nodes {
        if let NodeKind::NumaNode(numa) = &mut node.kind
            && numa.cpus.is_empty()
            && numa.gpu.is_none()
        {
            numa.gpu = memory.get(&numa.os_index).copied();
        }
    }
}
