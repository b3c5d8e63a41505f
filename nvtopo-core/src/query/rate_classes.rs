//! Classes of measured rates: two measurements of equal links are never equal, and a decision must not depend on the
//! difference.

use crate::model::{Basis, Measured, NodeId, Pair, Topology};
use crate::units::Bandwidth;
use std::collections::{BTreeMap, BTreeSet};

/// A tolerance of 100 %, in millionths.
const WHOLE: u64 = 1_000_000;

impl Topology {
    /// Returns the machine with one rate for all measured ones that differ by less than a tolerance, in millionths.
    ///
    /// A class begins at its greatest rate and holds those that are less by the tolerance at most, so that classes do
    /// not grow by chains. Of several links of a pair, one is compared. The rate of a class is the nearest rate in it
    /// that is not measured, else its greatest.
    pub(crate) fn with_rate_classes(&self, tolerance: u32) -> Self {
        if tolerance == 0 || !self.has_measured_rates() {
            return self.clone();
        }
        let rates = Rates::of(self);
        let classes = rates.classes(tolerance);
        let measured = self.measurements().iter().map(|own| {
            let bandwidth = rates.pairs.get(&ends(own)).map(|(kind, links, rate)| {
                let class = classes[*kind as usize].get(rate).copied().unwrap_or(*rate);
                Bandwidth::from_mb_per_s(class.saturating_mul(*links))
            });
            Measured { bandwidth: bandwidth.unwrap_or(own.bandwidth), ..*own }
        });
        let port = |rate: Bandwidth| {
            let rate = rate.as_mb_per_s();
            Bandwidth::from_mb_per_s(classes[Kind::Nic as usize].get(&rate).copied().unwrap_or(rate))
        };
        self.map_measured(measured.collect(), port)
    }

    /// Returns true where a bandwidth was measured between two devices, or at a NIC.
    pub(crate) fn has_measured_rates(&self) -> bool {
        !self.measurements().is_empty() || self.nics().any(|nic| nic.measured.is_some())
    }
}

/// A kind of rates that are compared with each other.
#[derive(Clone, Copy)]
enum Kind {
    /// One NVLink of a pair.
    NvLink,
    /// Another path between two GPUs.
    Host,
    /// A GPU and a NIC, or a NIC's port.
    Nic,
}

const KINDS: usize = 3;

/// Measured rates, in MB/s.
struct Rates {
    /// By the lower and the higher end: the kind, the number of links, and the rate of one.
    pairs: BTreeMap<(NodeId, NodeId), (Kind, u64, u64)>,
    /// All measured rates of each kind, and those that are not measured.
    measured: [BTreeSet<u64>; KINDS],
    stated: [BTreeSet<u64>; KINDS],
}

impl Rates {
    fn of(topology: &Topology) -> Self {
        let mut own =
            Self { pairs: BTreeMap::new(), measured: Default::default(), stated: Default::default() };
        let (devices, gpus) = (topology.devices(), topology.gpus().len());
        for (a, b) in (0..gpus).flat_map(|a| (a + 1..devices.len()).map(move |b| (a, b))) {
            let pair = topology.pairs().pair(a, b);
            let Some(rate) = pair.rate else { continue };
            let (kind, links) = kind(pair, b >= gpus);
            let one = rate.bandwidth.as_mb_per_s() / links;
            if let Some(measured) = topology.measured(devices[a], devices[b]) {
                let one = measured.as_mb_per_s() / links;
                let ends = (devices[a].min(devices[b]), devices[a].max(devices[b]));
                own.pairs.insert(ends, (kind, links, one));
                own.measured[kind as usize].insert(one);
            } else if rate.basis != Basis::Measured {
                own.stated[kind as usize].insert(one);
            }
        }
        for nic in topology.nodes().filter_map(|(_, node)| node.kind.as_nic()) {
            own.measured[Kind::Nic as usize].extend(nic.measured.map(Bandwidth::as_mb_per_s));
            own.stated[Kind::Nic as usize].extend(nic.rate.map(Bandwidth::as_mb_per_s));
        }
        own
    }

    /// Returns, for each kind, the rate of the class of each rate.
    fn classes(&self, tolerance: u32) -> [BTreeMap<u64, u64>; KINDS] {
        let of = |kind: Kind, more: &BTreeSet<u64>| {
            let stated = self.stated[kind as usize].union(more).copied().collect();
            classes(&self.measured[kind as usize], &stated, tolerance)
        };
        let links = of(Kind::NvLink, &BTreeSet::new());
        // A host path that is as fast as NVLink is of one class with it, and then the nearer path counts.
        let nvlink = self.pairs.values().filter(|(kind, ..)| matches!(kind, Kind::NvLink));
        let nvlink = nvlink.map(|(_, count, rate)| links.get(rate).unwrap_or(rate) * count).collect();
        [links, of(Kind::Host, &nvlink), of(Kind::Nic, &BTreeSet::new())]
    }
}

fn kind(pair: Pair, nic: bool) -> (Kind, u64) {
    match pair.nvlinks {
        _ if nic => (Kind::Nic, 1),
        0 => (Kind::Host, 1),
        links => (Kind::NvLink, links.into()),
    }
}

fn ends(measured: &Measured) -> (NodeId, NodeId) {
    (measured.from.min(measured.to), measured.from.max(measured.to))
}

/// Returns the rate of the class of each measured rate.
fn classes(measured: &BTreeSet<u64>, stated: &BTreeSet<u64>, tolerance: u32) -> BTreeMap<u64, u64> {
    let mut classes = BTreeMap::new();
    let mut open: Vec<u64> = measured.union(stated).copied().collect();
    while let Some(greatest) = open.last().copied() {
        let share = u128::from(WHOLE.saturating_sub(tolerance.into()));
        let least = (u128::from(greatest) * share).div_ceil(u128::from(WHOLE)) as u64;
        let class = open.split_off(open.partition_point(|rate| *rate < least));
        for rate in class.iter().filter(|rate| measured.contains(rate)) {
            let nearest = class.iter().filter(|rate| stated.contains(rate));
            let nearest = nearest.min_by_key(|stated| stated.abs_diff(*rate));
            classes.insert(*rate, *nearest.unwrap_or(&greatest));
        }
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(measured: &[u64], stated: &[u64]) -> Vec<u64> {
        let set = |rates: &[u64]| rates.iter().copied().collect();
        classes(&set(measured), &set(stated), 50_000).into_values().collect()
    }

    #[test]
    fn a_class_begins_at_its_greatest_rate_and_does_not_grow_by_chains() {
        assert_eq!(of(&[100, 97, 95, 94, 90, 89], &[]), [89, 94, 94, 100, 100, 100]);
        assert!(of(&[], &[1, 2]).is_empty());
        assert_eq!(of(&[0, 1], &[]), [0, 1]);
    }

    #[test]
    fn a_class_counts_with_what_is_not_measured_in_it() {
        assert_eq!(of(&[102, 99, 97], &[100]), [100, 100, 100]);
        assert_eq!(of(&[990, 962], &[1000, 960]), [960, 1000]);
        assert_eq!(of(&[90], &[100]), [90]);
    }
}
