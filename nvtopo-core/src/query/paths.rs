//! The pair table: class, NVLink count and bandwidth of the path between any two devices.
//!
//! NVLink wins where a pair shares it; else the class that a source stated; else the one that follows from the tree of
//! bridges. As in `nvidia-smi`, NVLink over a third GPU does not count.

use crate::model::{
    Basis, Link, LinkKind, NodeId, NodeKind, Pair, PairTable, PathType, Rate, Topology, rates, tree,
};
use std::collections::BTreeMap;

impl Topology {
    /// Returns the pairs of all devices, computed once.
    ///
    /// ```
    /// use nvtopo::{PathType, Topology};
    ///
    /// let dgx1 = Topology::preset("dgx-1-v100")?;
    /// let pair = dgx1.pairs().pair(0, 3);
    /// assert_eq!((pair.path, pair.nvlinks), (Some(PathType::Nvl), 2));
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn pairs(&self) -> &PairTable {
        self.computed().pairs.get_or_init(|| {
            let nvlinks = self.nvlinks();
            let devices = self.devices();
            let host = HostRates::new(self);
            PairTable::new(devices.len(), |first, second| {
                let (a, b) = (devices[first], devices[second]);
                let pair = nvlinks.between(a, b).unwrap_or_else(|| host.pair(self, (first, second)));
                // A measured rate takes precedence over the rates of links.
                let known = |bandwidth| Rate { bandwidth, basis: Basis::Measured };
                let rate = self.measured(a, b).map(known).or_else(|| at_most_measured(self, a, b, pair.rate));
                Pair { rate, ..pair }
            })
        })
    }
}

impl Topology {
    /// Tells whether the rate between every two GPUs is known, computed once.
    pub(crate) fn rates_are_known(&self) -> bool {
        *self.computed().rates_known.get_or_init(|| {
            let gpus = self.gpus().len();
            let mut pairs = (0..gpus).flat_map(|a| (a + 1..gpus).map(move |b| (a, b)));
            pairs.all(|(a, b)| self.pairs().pair(a, b).rate.is_some())
        })
    }

    /// Tells whether writes from one device to another go up to the root complex first, where the way over PCIe
    /// switches would be shorter: a port between them redirects them (ACS). `None`: unknown, or the devices meet only
    /// at a host bridge or above, where all traffic goes through the root complex anyway.
    ///
    /// # Panics
    /// As [`node`](Self::node) does.
    ///
    /// ```
    /// let dgx = nvtopo::Topology::preset("dgx-a100")?; // a preset knows of no settings
    /// assert_eq!(dgx.redirected(dgx.devices()[0], dgx.devices()[1]), None);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn redirected(&self, a: NodeId, b: NodeId) -> Option<bool> {
        let common = tree::common(|id| self.node(id), a, b)?;
        if !matches!(self.node(common).kind, NodeKind::PcieSwitch(_)) {
            return None;
        }
        // Traffic that comes to a switch further down goes up anyway: only the ports at the common switch decide.
        let port = |id: NodeId| {
            let top = self.ancestors(id).take_while(|id| *id != common).last()?;
            link_up(self, top)?.redirects
        };
        match (port(a), port(b)) {
            (Some(true), _) | (_, Some(true)) => Some(true),
            (Some(false), Some(false)) => Some(false),
            // A "no" needs both ports to be known.
            _ => None,
        }
    }

    /// Returns the class of the path of two devices over PCIe and the CPUs, also where NVLink is faster. `None`:
    /// unknown.
    ///
    /// # Panics
    /// As [`node`](Self::node) does.
    ///
    /// ```
    /// use nvtopo::{PathType, Topology};
    ///
    /// let dgx1 = Topology::preset("dgx-1-v100")?;
    /// assert_eq!(dgx1.host_path(dgx1.devices()[0], dgx1.devices()[1]), Some(PathType::Pix));
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn host_path(&self, a: NodeId, b: NodeId) -> Option<PathType> {
        self.stated_path(a, b).or_else(|| tree::path(|id| self.node(id), a, b))
    }

    /// Returns the machine with the rates that the hardware reports for its links, where it reports some. Measured
    /// rates still take precedence.
    ///
    /// ```
    /// let dgx = nvtopo::Topology::preset("dgx-a100")?; // a preset reports nothing
    /// assert_eq!(dgx.with_reported_rates(), dgx);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    #[must_use]
    pub fn with_reported_rates(&self) -> Self {
        self.map_links(|link| {
            let reported = link.reported.map(|bandwidth| Rate { bandwidth, basis: Basis::Reported });
            Link { rate: reported.or(link.rate), ..link.clone() }
        })
    }
}

/// The rates on the way over PCIe and the CPUs, found once: there are as many pairs as the square of devices.
struct HostRates {
    /// Of the PCIe links above each device.
    pcie: Vec<Option<Rate>>,
    /// The NUMA node of each device.
    numa: Vec<Option<NodeId>>,
    /// Of the links between NUMA nodes, in both directions.
    smp: BTreeMap<(NodeId, NodeId), Option<Rate>>,
}

impl HostRates {
    fn new(topology: &Topology) -> Self {
        let mut smp = BTreeMap::new();
        for (a, b, link) in topology.links().filter(|(_, _, link)| link.kind == LinkKind::Smp) {
            for ends in [(a, b), (b, a)] {
                let rate = smp.entry(ends).or_insert(link.rate);
                *rate = rate.or(link.rate);
            }
        }
        let devices = topology.devices().iter();
        Self {
            pcie: devices.clone().map(|id| pcie_rate(topology, *id)).collect(),
            numa: devices.map(|id| topology.numa_ancestor(*id)).collect(),
            smp,
        }
    }

    /// Returns the path over PCIe and the CPUs of two devices by their positions.
    fn pair(&self, topology: &Topology, (a, b): (usize, usize)) -> Pair {
        let devices = topology.devices();
        let Some(path) = topology.host_path(devices[a], devices[b]) else { return Pair::UNKNOWN };
        let known = self.pcie[a].into_iter().chain(self.pcie[b]);
        let pcie = known.min_by_key(|rate| rate.bandwidth).unwrap_or_else(rates::pcie_assumed);
        let rate = match path {
            PathType::Sys => slower(pcie, self.smp(a, b).unwrap_or_else(|| rates::smp(None))),
            _ => pcie,
        };
        Pair { path: Some(path), nvlinks: 0, rate: Some(rate) }
    }

    /// Returns the rate of the link between the NUMA nodes of two devices.
    fn smp(&self, a: usize, b: usize) -> Option<Rate> {
        self.smp.get(&self.numa[a].zip(self.numa[b])?).copied().flatten()
    }
}

/// Returns the rate of a pair, or the measured rate of a NIC of it where that is less.
fn at_most_measured(topology: &Topology, a: NodeId, b: NodeId, rate: Option<Rate>) -> Option<Rate> {
    let measured = [a, b].into_iter().filter_map(|id| topology.node(id).kind.as_nic()?.measured).min();
    let measured = measured.map(|bandwidth| Rate { bandwidth, basis: Basis::Measured });
    rate.map(|rate| measured.map_or(rate, |measured| slower(rate, measured)))
}

fn slower(a: Rate, b: Rate) -> Rate {
    if b.bandwidth < a.bandwidth { b } else { a }
}

/// Returns the least rate of the PCIe links from a device up to its host bridge; `None` if none is known.
pub(super) fn pcie_rate(topology: &Topology, id: NodeId) -> Option<Rate> {
    let up = |id: NodeId| link_up(topology, id).and_then(|link| link.rate);
    topology.ancestors(id).filter_map(up).min_by_key(|rate| rate.bandwidth)
}

/// Returns the PCIe link from a device or bridge to its parent.
fn link_up(topology: &Topology, id: NodeId) -> Option<&Link> {
    let parent = topology.node(id).parent?;
    let mut links = topology.links_of(id).filter(|(far, _)| *far == parent);
    links.find(|(_, link)| link.kind == LinkKind::Pcie).map(|(_, link)| link)
}
