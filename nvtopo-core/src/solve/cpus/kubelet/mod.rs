//! The CPUs that the kubelet's static CPU manager gives a container: a new implementation of its algorithms, with all
//! options that change the result. Hints of the topology manager are handed in.

mod accumulator;
mod layout;
mod numa;

use crate::cpuset::{CpuSet, NodeSet};
use crate::error::{Error, Result};
use crate::model::Topology;
use accumulator::Accumulator;
use layout::{Layout, Level};
use std::str::FromStr;

/// The options of the kubelet's static CPU manager, by their names there.
///
/// ```
/// use nvtopo::{Kubelet, Topology};
///
/// let dgx = Topology::preset("dgx-h100")?;
/// let kubelet: Kubelet = "full-pcpus-only".parse()?;
/// let node = "1".parse()?;
/// assert_eq!(kubelet.allocate(&dgx, &dgx.cpus(), 8, Some(&node))?.to_string(), "56-59,168-171");
/// assert!(kubelet.allocate(&dgx, &dgx.cpus(), 7, Some(&node)).is_err());
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "they are the kubelet's switches")]
pub struct Kubelet {
    /// `full-pcpus-only`: whole cores, and a request for less is refused.
    pub full_pcpus_only: bool,
    /// `distribute-cpus-across-numa`: equally from several NUMA nodes where one is not enough.
    pub distribute_cpus_across_numa: bool,
    /// `align-by-socket`: a hint for a NUMA node stands for its whole package.
    pub align_by_socket: bool,
    /// `distribute-cpus-across-cores`: threads of different cores first.
    pub distribute_cpus_across_cores: bool,
    /// `strict-cpu-reservation`: containers without CPUs of their own do not use the reserved ones either.
    pub strict_cpu_reservation: bool,
    /// `prefer-align-cpus-by-uncorecache`: under as few level 3 caches as possible.
    pub prefer_align_cpus_by_uncorecache: bool,
}

impl Kubelet {
    /// Returns the CPUs of a container that requests `count` of the `available` ones: those not reserved and not given
    /// to others. Those of the nodes in `near`, the topology manager's hint, come first.
    ///
    /// Errors with [`Unsatisfiable`](crate::ErrorKind::Unsatisfiable) where there are too few, or `full-pcpus-only` refuses, and
    /// with [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for options that exclude each other.
    pub fn allocate(
        self,
        topology: &Topology,
        available: &CpuSet,
        count: usize,
        near: Option<&NodeSet>,
    ) -> Result<CpuSet> {
        let machine = KubeletCpus::new(self, topology)?;
        if self.full_pcpus_only {
            let available = available.intersection(&machine.layout.cpus);
            Self::check_whole_cores(&machine.layout, &available, count)?;
        }
        machine.take(available, count, near)
    }

    /// Returns the CPUs of the containers that have none of their own.
    pub fn shared_pool(self, all: &CpuSet, reserved: &CpuSet, exclusive: &CpuSet) -> CpuSet {
        let pool = all.difference(exclusive);
        if self.strict_cpu_reservation { pool.difference(reserved) } else { pool }
    }

    fn check(self) -> Result<()> {
        let full = (self.full_pcpus_only, "full-pcpus-only");
        let across_numa = (self.distribute_cpus_across_numa, "distribute-cpus-across-numa");
        let across_cores = (self.distribute_cpus_across_cores, "distribute-cpus-across-cores");
        let by_uncore = (self.prefer_align_cpus_by_uncorecache, "prefer-align-cpus-by-uncorecache");
        let pairs = [
            (full, across_cores),
            (across_numa, across_cores),
            (by_uncore, across_cores),
            (by_uncore, across_numa),
        ];
        match pairs.iter().find(|(a, b)| a.0 && b.0) {
            Some(((_, a), (_, b))) => {
                Err(Error::request(format!("the kubelet refuses {a} together with {b}")))
            }
            None => Ok(()),
        }
    }

    fn check_whole_cores(layout: &Layout, available: &CpuSet, count: usize) -> Result<()> {
        let threads = layout.cpus_per_core();
        let whole: usize = layout.whole_cores(available).iter().map(CpuSet::len).sum();
        let message = if !count.is_multiple_of(threads) {
            format!("{count} CPUs are no whole cores of {threads} threads")
        } else if count > whole {
            format!("{count} CPUs of whole cores were asked for, and {whole} are free")
        } else {
            return Ok(());
        };
        Err(Error::unsatisfiable(message).help("this is what full-pcpus-only refuses"))
    }

    fn take(self, layout: &Layout, available: &CpuSet, count: usize) -> Result<CpuSet> {
        if count > available.len() {
            let message = format!("{count} CPUs were asked for, and {} are free", available.len());
            return Err(Error::unsatisfiable(message));
        }
        if self.distribute_cpus_across_numa {
            let group = if self.full_pcpus_only { layout.cpus_per_core() } else { 1 };
            return numa::distributed(layout, available, count, group).ok_or_else(|| {
                Error::unsatisfiable(
                    "distribute-cpus-across-numa cannot account for all CPUs, and gives none",
                )
            });
        }
        let spread = self.distribute_cpus_across_cores;
        Ok(Accumulator::packed(layout, available, count, spread, self.prefer_align_cpus_by_uncorecache))
    }
}

/// The CPUs of a machine as the kubelet sees them, prepared for repeated use.
///
/// ```
/// use nvtopo::{Kubelet, KubeletCpus, Topology};
///
/// let dgx = Topology::preset("dgx-h100")?;
/// let cpus = KubeletCpus::new(Kubelet::default(), &dgx)?;
/// assert_eq!(cpus.nodes().to_string(), "0-1");
/// assert_eq!(cpus.cpus_per_core(), 2);
/// assert_eq!(cpus.take(&dgx.cpus(), 4, None)?.to_string(), "0-1,112-113");
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct KubeletCpus {
    options: Kubelet,
    layout: Layout,
}

impl KubeletCpus {
    /// Prepares the CPUs of a topology, under these options.
    ///
    /// Errors with [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for options that exclude each other.
    pub fn new(options: Kubelet, topology: &Topology) -> Result<Self> {
        options.check()?;
        Ok(Self { options, layout: Layout::of(topology) })
    }

    /// Returns all CPUs.
    pub fn cpus(&self) -> &CpuSet {
        &self.layout.cpus
    }

    /// Returns the NUMA nodes that have CPUs.
    pub fn nodes(&self) -> NodeSet {
        self.layout.ids(Level::Numa, &self.layout.cpus).into_iter().collect()
    }

    /// Returns the CPUs of a NUMA node.
    pub fn of_node(&self, node: u32) -> CpuSet {
        self.layout.inside(Level::Numa, node, &self.layout.cpus)
    }

    /// Returns the packages that CPUs are on.
    pub fn packages(&self, cpus: &CpuSet) -> Vec<u32> {
        self.layout.ids(Level::Socket, cpus)
    }

    /// Returns the number of packages of the machine.
    pub fn package_count(&self) -> usize {
        self.layout.count(Level::Socket)
    }

    /// Returns the number of threads of a core, as the kubelet counts them: all CPUs divided by all cores.
    pub fn cpus_per_core(&self) -> usize {
        self.layout.cpus_per_core()
    }

    /// Returns all threads of the cores that CPUs are on.
    pub fn with_siblings(&self, cpus: &CpuSet) -> CpuSet {
        let all = &self.layout.cpus;
        let cores = self.layout.ids(Level::Core, cpus).into_iter();
        cores.fold(CpuSet::new(), |set, core| set.union(&self.layout.inside(Level::Core, core, all)))
    }

    /// Takes `count` of the available CPUs, those of the nodes in `near` first. Does not check for refusals of
    /// `full-pcpus-only`: [`Kubelet::allocate`] does.
    ///
    /// Errors with [`Unsatisfiable`](crate::ErrorKind::Unsatisfiable) where there are too few.
    pub fn take(&self, available: &CpuSet, count: usize, near: Option<&NodeSet>) -> Result<CpuSet> {
        let available = available.intersection(&self.layout.cpus);
        let mut taken = CpuSet::new();
        if let Some(near) = near {
            let aligned = available.intersection(&self.layout.aligned(near, self.options.align_by_socket));
            taken = self.options.take(&self.layout, &aligned, count.min(aligned.len()))?;
        }
        let rest = available.difference(&taken);
        Ok(taken.union(&self.options.take(&self.layout, &rest, count.saturating_sub(taken.len()))?))
    }
}

impl FromStr for Kubelet {
    type Err = Error;

    /// Reads options as names separated by commas; an empty text is no option.
    fn from_str(text: &str) -> Result<Self> {
        let mut options = Self::default();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let option = match name {
                "full-pcpus-only" => &mut options.full_pcpus_only,
                "distribute-cpus-across-numa" => &mut options.distribute_cpus_across_numa,
                "align-by-socket" => &mut options.align_by_socket,
                "distribute-cpus-across-cores" => &mut options.distribute_cpus_across_cores,
                "strict-cpu-reservation" => &mut options.strict_cpu_reservation,
                "prefer-align-cpus-by-uncorecache" => &mut options.prefer_align_cpus_by_uncorecache,
                _ => {
                    return Err(Error::request(format!("the kubelet has no option '{name}'"))
                        .help("give names such as full-pcpus-only,align-by-socket"));
                }
            };
            *option = true;
        }
        options.check()?;
        Ok(options)
    }
}
