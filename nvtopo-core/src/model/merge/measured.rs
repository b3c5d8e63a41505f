//! Measurements, compared with the rates of the links between two devices.

use super::facts;
use crate::model::{
    Basis, Fragment, LinkKind, Measured, Node, NodeId, NodeKind, Note, NoteCode, Nvlinks, Pair, Rate, rates,
};
use crate::units::{Bandwidth, count_of, several};
use std::collections::{BTreeMap, BTreeSet};

/// The highest believable measurement in percent of a rate: reported rates are up to 7 % above published ones.
const TOLERANCE: u64 = 107;

/// Notes measurements above the rate of the links, and removes those above the rate of every generation: they are of both
/// directions at once, or of something else.
pub(super) fn check_against_links(fragment: &mut Fragment) {
    if fragment.measured.is_empty() && !fragment.nodes.iter().any(has_measured_nic) {
        return;
    }
    // A fragment that stands alone is checked after this only: what names nodes that are not there is left to that.
    let count = fragment.nodes.len();
    let sound = |a: NodeId, b: NodeId| a.index() < count && b.index() < count && a != b;
    let links = fragment.links.iter().filter(|(a, b, _)| sound(*a, *b));
    let nvlinks = Nvlinks::of(links.map(|(a, b, link)| (*a, *b, link)), |id| &fragment.nodes[id.index()]);
    let uplinks = uplinks(fragment);
    let mut texts = Texts::default();
    let mut wrong = BTreeSet::new();
    for (place, Measured { from, to, bandwidth }) in fragment.measured.iter().enumerate() {
        if !sound(*from, *to) {
            continue;
        }
        let names = [*from, *to].map(|id| facts::name(&fragment.nodes[id.index()]));
        let own = format!("{} to {}: {bandwidth}", names[0], names[1]);
        if let Some(pair) = nvlinks.between(*from, *to) {
            match exceeded(&pair, *bandwidth) {
                Some((Basis::Assumed, rate)) => texts.add(Limit::Assumed(pair.nvlinks), rate, own),
                Some((_, rate)) => {
                    texts.add(Limit::Nvlinks(pair.nvlinks), rate, own);
                    wrong.insert(place);
                }
                None => {}
            }
            continue;
        }
        let least = [from, to].into_iter().filter_map(|id| uplinks.get(id)).min().copied();
        if let Some(rate) = least.filter(|rate| is_above(*bandwidth, *rate)) {
            texts.add(Limit::Pcie, rate, own);
            wrong.insert(place);
        }
    }
    let mut places = 0..;
    fragment.measured.retain(|_| places.next().is_none_or(|place| !wrong.contains(&place)));
    check_nics(fragment, &mut texts);
    texts.write(fragment);
}

/// Returns true where a measurement exceeds a rate.
fn is_above(measured: Bandwidth, rate: Bandwidth) -> bool {
    let limit = u128::from(rate.as_mb_per_s()) * u128::from(TOLERANCE) / 100;
    rate > Bandwidth::ZERO && u128::from(measured.as_mb_per_s()) > limit
}

/// Returns the rate of NVLinks that a measurement exceeds: that of the assumed generation where it is unknown, unless the
/// measurement exceeds that of the fastest too.
fn exceeded(pair: &Pair, measured: Bandwidth) -> Option<(Basis, Bandwidth)> {
    let Rate { bandwidth, basis } = pair.rate?;
    if !is_above(measured, bandwidth) {
        return None;
    }
    let fastest = rates::fastest_nvlink(pair.nvlinks);
    match basis {
        Basis::Assumed if is_above(measured, fastest) => Some((Basis::Nominal, fastest)),
        basis => Some((basis, bandwidth)),
    }
}

/// Returns the published rate of the PCIe link above each device, where known. A reported rate may be that of an idle link.
fn uplinks(fragment: &Fragment) -> BTreeMap<NodeId, Bandwidth> {
    let parent = |id: NodeId| fragment.nodes.get(id.index()).and_then(|node| node.parent);
    let mut uplinks = BTreeMap::new();
    for (a, b, link) in fragment.links.iter().filter(|(_, _, link)| link.kind == LinkKind::Pcie) {
        let Some(rate) = link.rate.filter(|rate| rate.basis == Basis::Nominal) else { continue };
        for (below, above) in [(a, b), (b, a)] {
            if parent(*below) == Some(*above) {
                uplinks.insert(*below, rate.bandwidth);
            }
        }
    }
    uplinks
}

fn has_measured_nic(node: &Node) -> bool {
    node.kind.as_nic().is_some_and(|nic| nic.measured.is_some() && nic.rate.is_some())
}

/// Compares the measurements of single NICs with the rates of their ports.
fn check_nics(fragment: &mut Fragment, texts: &mut Texts) {
    for node in &mut fragment.nodes {
        let NodeKind::Nic(nic) = &mut node.kind else { continue };
        if let (Some(measured), Some(rate)) = (nic.measured, nic.rate)
            && is_above(measured, rate)
        {
            texts.add(Limit::Port, rate, format!("{}: {measured}", nic.name));
            nic.measured = None;
        }
    }
}

/// The limit that measurements exceed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Limit {
    /// The rate of NVLinks, by their number.
    Nvlinks(u16),
    /// The rate of NVLinks of an assumed generation only.
    Assumed(u16),
    Pcie,
    Port,
}

/// The measurements to note, by the limit and the rate that they exceed.
#[derive(Default)]
struct Texts(BTreeMap<(Limit, Bandwidth), Vec<String>>);

impl Texts {
    fn add(&mut self, limit: Limit, rate: Bandwidth, own: String) {
        let known = self.0.entry((limit, rate)).or_default();
        // A direction can be stated twice.
        if !known.contains(&own) {
            known.push(own);
        }
    }

    fn write(self, fragment: &mut Fragment) {
        const OUT: &str = "and was left out; is it of both directions at once?";
        for ((limit, rate), own) in self.0 {
            let what = match limit {
                Limit::Nvlinks(links) => {
                    format!("that {} can carry, {OUT}", count_of(links.into(), "NVLink"))
                }
                Limit::Assumed(links) => format!(
                    "of {} of the generation that is assumed: they are faster, or it is of both directions at once",
                    count_of(links.into(), "NVLink")
                ),
                Limit::Pcie => format!("that PCIe can carry there, {OUT}"),
                Limit::Port => format!("of its port, {OUT}"),
            };
            let text = format!("measured {}, which is more than the {rate} {what}", several(&own));
            let note = Note::new(NoteCode::MeasuredAboveRate, text);
            // A topology that was written and read again has them already.
            if !fragment.notes.contains(&note) {
                fragment.notes.push(note);
            }
        }
    }
}
