//! The kubelet's configuration for a machine: which managers, with which policies and options, and what is kept from pods.
//!
//! Each line of [`KubeletConfig::to_yaml`] says above it why it is so on this machine. What is unknown is left out, with the
//! reason.

mod cpus;
mod memory;
mod policies;
mod write;

use super::board::Board;
use super::cmdline::{self, CommandLine};
use super::options::{Manager, PolicyOption, Stage};
use crate::Version;
use nvtopo::solve::HugePageNeed;
use nvtopo::{Bytes, CpuSet, Error, Result, Topology};
use serde_json::Value;

/// The request that a configuration is made for.
///
/// ```
/// use nvtopo_k8s::kubelet::config::ConfigOptions;
///
/// let options = ConfigOptions::default().version("1.34".parse()?).reserved_cores(4);
/// assert_eq!(options.reserved_cores, Some(4));
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ConfigOptions {
    /// The version of the kubelet.
    pub version: Version,
    /// The cores kept for the system; one in 16 and at least one of each socket without it.
    pub reserved_cores: Option<usize>,
    /// The memory kept for the system and for eviction, on all NUMA nodes together.
    pub reserved_memory: Option<Bytes>,
    /// The GPUs of the largest pod; all of the machine without it.
    pub largest_pod: Option<usize>,
    /// The huge pages to set aside on each NUMA node.
    pub huge_pages: Vec<HugePageNeed>,
    /// The cores that the kernel is to keep out of scheduling, for programs outside Kubernetes.
    pub isolated_cores: usize,
    /// Use of options that are alpha in this version, with their gates.
    pub alpha: bool,
}

impl ConfigOptions {
    /// For a version of the kubelet.
    #[must_use]
    pub fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// With so many cores kept for the system.
    #[must_use]
    pub fn reserved_cores(mut self, cores: usize) -> Self {
        self.reserved_cores = Some(cores);
        self
    }

    /// With so much memory kept for the system and for eviction.
    #[must_use]
    pub fn reserved_memory(mut self, memory: Bytes) -> Self {
        self.reserved_memory = Some(memory);
        self
    }

    /// With the GPUs of the largest pod.
    #[must_use]
    pub fn largest_pod(mut self, gpus: usize) -> Self {
        self.largest_pod = Some(gpus);
        self
    }

    /// With huge pages on each NUMA node.
    #[must_use]
    pub fn huge_pages(mut self, pages: impl IntoIterator<Item = HugePageNeed>) -> Self {
        self.huge_pages = pages.into_iter().collect();
        self
    }

    /// With so many cores that the kernel keeps out of scheduling.
    #[must_use]
    pub fn isolated_cores(mut self, cores: usize) -> Self {
        self.isolated_cores = cores;
        self
    }

    /// With options that are alpha.
    #[must_use]
    pub fn alpha(mut self, alpha: bool) -> Self {
        self.alpha = alpha;
        self
    }
}

/// A setting, with why it is so.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    name: &'static str,
    why: String,
    value: Setting,
}

#[derive(Clone, Debug, PartialEq)]
enum Setting {
    One(Value),
    Map(Vec<Entry>),
    List(Vec<Value>),
}

impl Entry {
    fn new(name: &'static str, value: impl Into<Value>, why: impl Into<String>) -> Self {
        Self { name, why: why.into(), value: Setting::One(value.into()) }
    }

    /// A map, unless it is empty.
    fn map(name: &'static str, entries: Vec<Self>, why: impl Into<String>) -> Option<Self> {
        (!entries.is_empty()).then(|| Self { name, why: why.into(), value: Setting::Map(entries) })
    }
}

/// The configuration of the kubelet on one machine.
///
/// ```
/// use nvtopo_k8s::kubelet::config::{ConfigOptions, KubeletConfig};
///
/// let dgx = nvtopo::Topology::preset("dgx-h100")?;
/// let config = KubeletConfig::of(&dgx, &ConfigOptions::default())?;
/// assert_eq!(config.reserved_cpus().to_string(), "0-3,56-59,112-115,168-171");
/// assert_eq!(config.value()["topologyManagerPolicy"], "best-effort");
/// assert!(config.to_yaml().contains("\nreservedSystemCPUs: 0-3,56-59,112-115,168-171\n"));
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct KubeletConfig {
    machine: String,
    /// The versions for which it is the same, and the one it was made for.
    versions: Vec<Version>,
    entries: Vec<Entry>,
    left_out: Vec<(&'static str, String)>,
    reserved: CpuSet,
    command_line: CommandLine,
}

impl KubeletConfig {
    /// The configuration for a machine.
    ///
    /// Errors where no CPU of the machine is known, or what is asked for is not there: too many cores, too much memory, cores
    /// of an unknown machine, isolated cores where the kubelet cannot keep pods off them.
    pub fn of(topology: &Topology, options: &ConfigOptions) -> Result<Self> {
        let mut config = Self::for_version(topology, options)?;
        let same = |version: &Version| {
            let other = Self::for_version(topology, &options.clone().version(*version));
            other.is_ok_and(|other| other.value() == config.value())
        };
        config.versions =
            Version::all().filter(|version| *version == options.version || same(version)).collect();
        Ok(config)
    }

    fn for_version(topology: &Topology, options: &ConfigOptions) -> Result<Self> {
        let board = Board::of(topology);
        if board.cpus.is_empty() {
            return Err(Error::unsatisfiable("no CPU of this machine is known").help(
                "read the topology on the machine itself: nvtopo snapshot, or the full text of nvidia-smi topo -m",
            ));
        }
        let mut plan = Plan { board: &board, options, entries: Vec::new(), left_out: Vec::new() };
        let isolated = cpus::isolated(&plan)?;
        // The kernel may isolate one thread of a core; the other one is of no use to pods.
        let touched = board.cores.iter().flatten().filter(|core| !core.is_disjoint(&isolated));
        let beside = touched.fold(isolated.clone(), |all, core| all.union(core));
        let reserved = cpus::reserved(&plan, &beside)?;
        let spans = policies::spans(&plan);
        cpus::add(&mut plan, reserved.as_ref(), &beside, &spans);
        policies::add(&mut plan, &spans);
        memory::add(&mut plan, reserved.as_ref(), &spans)?;
        gates(&mut plan);
        let command_line = cmdline::of(&board, options, &isolated)?;
        let machine = topology.machine().product.clone();
        let all = reserved.map(|cpus| cpus.union(&beside)).unwrap_or_default();
        Ok(Self {
            machine: machine.unwrap_or_else(|| "this machine".to_owned()),
            versions: vec![options.version],
            entries: plan.entries,
            left_out: plan.left_out,
            reserved: all,
            command_line,
        })
    }

    /// The versions of Kubernetes whose kubelets take the same configuration.
    pub fn versions(&self) -> impl ExactSizeIterator<Item = Version> + '_ {
        self.versions.iter().copied()
    }

    /// The CPUs in `reservedSystemCPUs`; empty where it is not set.
    pub fn reserved_cpus(&self) -> &CpuSet {
        &self.reserved
    }

    /// The arguments for the kernel that go with it.
    pub fn command_line(&self) -> &CommandLine {
        &self.command_line
    }

    /// The settings that are left out, each with the reason.
    pub fn left_out(&self) -> impl ExactSizeIterator<Item = (&str, &str)> + '_ {
        self.left_out.iter().map(|(name, why)| (*name, why.as_str()))
    }
}

/// A configuration in the making.
struct Plan<'a> {
    board: &'a Board<'a>,
    options: &'a ConfigOptions,
    entries: Vec<Entry>,
    left_out: Vec<(&'static str, String)>,
}

impl Plan<'_> {
    fn leave_out(&mut self, name: &'static str, why: impl Into<String>) {
        self.left_out.push((name, why.into()));
    }

    /// Returns true for an option that can be used; another is left out with the reason.
    fn allows(&mut self, manager: Manager, name: &'static str) -> bool {
        match self.usable(manager, name) {
            Ok(()) => true,
            Err(why) => {
                self.leave_out(name, why);
                false
            }
        }
    }

    fn usable(&self, manager: Manager, name: &str) -> std::result::Result<(), String> {
        let version = self.options.version;
        match PolicyOption::find(manager, name).and_then(|option| option.stage(version)) {
            None => Err(format!("the kubelet of {version} does not know it")),
            Some(Stage::Alpha) if !self.options.alpha => {
                Err(format!("it is alpha in {version}; --alpha uses it"))
            }
            Some(_) => Ok(()),
        }
    }

    fn has(&self, name: &str) -> bool {
        let inner = |entry: &Entry| match &entry.value {
            Setting::Map(entries) => entries.iter().any(|entry| entry.name == name),
            _ => false,
        };
        self.entries.iter().any(inner)
    }
}

/// The gates of the options that are set and alpha.
fn gates(plan: &mut Plan<'_>) {
    let version = plan.options.version;
    let mut gates: Vec<&'static str> = super::options::OPTIONS
        .iter()
        .filter(|option| option.stage(version) == Some(Stage::Alpha) && plan.has(option.name))
        .filter_map(|option| option.gate(version))
        .collect();
    gates.dedup();
    let why = format!("Without it the kubelet of {version} does not start with the alpha options above.");
    let entries = gates.into_iter().map(|gate| Entry::new(gate, true, "")).collect();
    plan.entries.extend(Entry::map("featureGates", entries, why));
}
