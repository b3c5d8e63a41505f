//! NVLinks, from hwloc's matrix of their bandwidths.
//!
//! hwloc sums a fixed rate for each link, by its generation, so the count follows from the sum. It asks the GPUs only:
//! links from one NVSwitch to another are not in the file.

use super::super::common;
use super::devices::{End, Ends};
use super::matrix::Matrix;
use crate::model::{Basis, Fragment, Gpu, Link, LinkKind, NodeId, NoteCode, NoteKind, Rate, Topology, rates};
use crate::units::Bandwidth;
use std::collections::{BTreeMap, BTreeSet};

/// Adds the NVLinks and those of xGMI, and notes which of their facts the file lacks. `is_open`: the file says that some may be
/// missing.
pub(super) fn add(fabrics: &[(LinkKind, Matrix<'_>)], is_open: bool, ends: &Ends, fragment: &mut Fragment) {
    let are_several = ends.gpus.len() >= 2;
    if is_open || fabrics.is_empty() && are_several {
        fragment.set_nvlink_unknown();
        if are_several {
            fragment.note(NoteCode::NvlinksUnknown, common::NVLINKS_OF_FILE);
        }
    }
    if fabrics.is_empty() {
        return;
    }
    let mut connected: BTreeSet<NodeId> = BTreeSet::new();
    let mut count = 0;
    for (kind, matrix) in fabrics {
        let known: Vec<Option<End>> = matrix.ends.iter().map(|(_, gp)| ends.by_gp.get(gp).copied()).collect();
        let (kind, known_ends, switches) = (*kind, &known, BTreeMap::new());
        let mut links =
            Links { kind, matrix, known: known_ends, uncounted: 0, uneven: 0, to_cpus: 0, switches };
        for from in 0..known.len() {
            for to in from + 1..known.len() {
                links.add(from, to, fragment);
            }
        }
        links.tell(fragment);
        connected.extend(known.iter().flatten().map(|end| end.id));
        count += links.fabrics();
    }
    let silent = ends.gpus.iter().filter(|gpu| !connected.contains(gpu)).count();
    if silent > 0 && !is_open {
        fragment.set_nvlink_unknown();
        let text = format!("the file does not tell the NVLinks of {silent} GPUs");
        fragment.note(NoteCode::NvlinksPartlyUnknown, text);
    }
    if count > 1 {
        fragment.set_nvlink_unknown();
        let text = "the file does not tell which NVSwitches are linked with each other";
        fragment.note(NoteCode::NvlinksPartlyUnknown, text);
    }
}

struct Links<'a> {
    kind: LinkKind,
    matrix: &'a Matrix<'a>,
    known: &'a [Option<End>],
    /// Links whose number does not follow from the rate.
    uncounted: usize,
    /// Pairs of which the two directions differ.
    uneven: usize,
    /// Links that lead from a GPU to a CPU.
    to_cpus: usize,
    /// The devices linked with each NVSwitch, and itself.
    switches: BTreeMap<NodeId, BTreeSet<NodeId>>,
}

impl Links<'_> {
    fn add(&mut self, from: usize, to: usize, fragment: &mut Fragment) {
        let (there, back) = (self.matrix.value(from, to), self.matrix.value(to, from));
        let rate = there.max(back);
        if rate == 0 {
            return;
        }
        let (a, b) = match (self.known[from], self.known[to]) {
            (Some(a), Some(b)) if a.id != b.id => (a, b),
            (Some(_), Some(_)) | (None, None) => return,
            _ => return self.to_cpus += 1,
        };
        self.uneven += usize::from(there != back);
        let link = link(self.kind, a.model.or(b.model), a.each.or(b.each), rate);
        self.uncounted += usize::from(link.lanes.is_none());
        fragment.link(a.id, b.id, link);
        for (end, switch) in [(a, b), (b, a)].into_iter().filter(|(_, switch)| switch.is_switch) {
            self.switches.entry(switch.id).or_default().extend([end.id, switch.id]);
        }
    }

    fn tell(&self, fragment: &mut Fragment) {
        let (uncounted, uneven, to_cpus) = (self.uncounted, self.uneven, self.to_cpus);
        if to_cpus > 0 {
            let text = format!(
                "NVLinks lead from GPUs to CPUs or unknown devices in {to_cpus} cases; they were left out"
            );
            fragment.note(NoteKind::Unknown, text);
        }
        if uneven > 0 {
            let text = format!("the NVLinks of {uneven} pairs have two rates; the higher was taken");
            fragment.note(NoteKind::Conflict, text);
        }
        if uncounted > 0 {
            let text = format!(
                "the rate does not tell how many NVLinks {uncounted} pairs have; each was counted as one"
            );
            fragment.note(NoteKind::Unknown, text);
        }
    }

    /// Returns the number of sets of NVSwitches that share no GPU and no link.
    fn fabrics(&self) -> usize {
        let mut fabrics: Vec<BTreeSet<NodeId>> = Vec::new();
        for gpus in self.switches.values() {
            if fabrics.iter().any(|fabric| gpus.is_subset(fabric)) {
                continue;
            }
            let (near, mut rest): (Vec<_>, Vec<_>) =
                fabrics.into_iter().partition(|fabric| !fabric.is_disjoint(gpus));
            rest.push(near.into_iter().flatten().chain(gpus.iter().copied()).collect());
            fabrics = rest;
        }
        fabrics.len()
    }
}

/// The info with the rate of one link of a GPU in MB/s, which nvtopo writes where the model of the GPU does not tell it.
pub(super) const RATE_OF_EACH: &str = "NVLinkBandwidth";

/// Returns the bandwidth in MB/s that hwloc counts for one link of a model: 20 GB/s on Pascal, 50 GB/s on Blackwell, 25 GB/s in
/// between.
pub(super) fn one(model: Option<u16>) -> u64 {
    match model {
        Some(0..0x1d00) => 20_000,
        Some(0x2900..) => 50_000,
        _ => 25_000,
    }
}

/// Returns the rate of one link of a GPU, where neither its model nor hwloc's usual one tells it.
pub(super) fn rate_of_each(topology: &Topology, id: NodeId, gpu: &Gpu) -> Option<Bandwidth> {
    let mut links = topology.links_of(id).filter(|(_, link)| link.kind.is_fabric());
    let (kind, lanes, rate) =
        links.find_map(|(_, link)| Some((link.kind, link.lanes.filter(|lanes| *lanes > 0)?, link.rate?)))?;
    let each = rate.bandwidth.as_mb_per_s() / u64::from(lanes);
    let is_told = kind == LinkKind::NvLink && (gpu.pci.device.is_some() || each == one(None));
    (!is_told && each > 0).then(|| Bandwidth::from_mb_per_s(each))
}

/// Returns the links of a pair by their bandwidth together in MB/s, and the model of the GPU at one end or the rate of each link,
/// where they are known.
fn link(kind: LinkKind, model: Option<u16>, each: Option<u64>, rate: u64) -> Link {
    let in_range = |lanes: &u16| (1..=rates::MAX_NVLINKS).contains(lanes);
    let one = each.unwrap_or_else(|| one(model));
    let lanes = u16::try_from(rate.saturating_add(one / 2) / one).ok().filter(in_range);
    // A rate that is no whole number of MB/s was cut.
    let cut = if each.is_some() { u64::from(rates::MAX_NVLINKS) } else { 0 };
    let lanes = lanes.filter(|lanes| rate.abs_diff(u64::from(*lanes) * one) <= cut);
    if let (LinkKind::NvLink, Some(0x2200..0x2300), Some(lanes)) = (kind, model, lanes) {
        // hwloc takes the links of GA102 (RTX A6000, RTX 3090, A40) for those of A100, which are faster.
        return rates::nvlink_rtx(lanes);
    }
    let rate = Rate { bandwidth: Bandwidth::from_mb_per_s(rate), basis: Basis::Reported };
    Link { lanes, rate: Some(rate), ..Link::new(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_counted_by_what_hwloc_sums() {
        for (model, rate, lanes) in [
            (Some(0x15f9), 40_000, Some(2)),
            (Some(0x15f9), 100_000, Some(5)),
            (Some(0x1db8), 150_000, Some(6)),
            (Some(0x2330), 450_000, Some(18)),
            (Some(0x2901), 900_000, Some(18)),
            (None, 100_000, Some(4)),
            (Some(0x1db8), 30_000, None),
            (Some(0x1db8), 1_000_000, None),
            (Some(0x1db8), u64::MAX, None),
        ] {
            assert_eq!(link(LinkKind::NvLink, model, None, rate).lanes, lanes, "{model:x?} {rate}");
        }
        let bridge = link(LinkKind::NvLink, Some(0x2230), None, 100_000);
        assert_eq!(
            (bridge.lanes, bridge.rate.map(|rate| rate.bandwidth.as_mb_per_s())),
            (Some(4), Some(56_250))
        );
    }
}
