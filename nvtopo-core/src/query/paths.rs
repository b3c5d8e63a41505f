//! The pair table: class, NVLink count and bandwidth of the path between any two devices.
//!
//! NVLink wins where a pair shares it; else the class that a source stated; else the one that follows from the tree of
//! bridges. As in `nvidia-smi`, NVLink over a third GPU does not count.

use crate::model::{
    Basis, Link, LinkKind, NodeId, NodeKind, Pair, PairTable, PathType, Rate, Topology, rates, tree,
};

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
            PairTable::new(devices.len(), |a, b| {
                let (a, b) = (devices[a.min(b)], devices[a.max(b)]);
                let pair = nvlinks.between(a, b).unwrap_or_else(|| host_pair(self, a, b));
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
        let common = self.ancestors(a).find(|id| self.ancestors(b).any(|other| other == *id))?;
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

/// Returns the path over PCIe and the CPUs.
fn host_pair(topology: &Topology, a: NodeId, b: NodeId) -> Pair {
    let Some(path) = topology.host_path(a, b) else { return Pair::UNKNOWN };
    let known = pcie_rate(topology, a).into_iter().chain(pcie_rate(topology, b));
    let pcie = known.min_by_key(|rate| rate.bandwidth).unwrap_or_else(rates::pcie_assumed);
    let rate = match path {
        PathType::Sys => slower(pcie, smp_rate(topology, a, b).unwrap_or_else(|| rates::smp(None))),
        _ => pcie,
    };
    Pair { path: Some(path), nvlinks: 0, rate: Some(rate) }
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

/// Returns the rate of the link between the NUMA nodes of two devices.
fn smp_rate(topology: &Topology, a: NodeId, b: NodeId) -> Option<Rate> {
    let (a, b) = (topology.numa_ancestor(a)?, topology.numa_ancestor(b)?);
    let mut links = topology.links_of(a).filter(|(far, link)| *far == b && link.kind == LinkKind::Smp);
    links.find_map(|(_, link)| link.rate)
}
