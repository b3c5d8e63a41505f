//! Measurements held against what the links between two devices can carry.

use super::facts::{self, several};
use crate::model::{
    Basis, Fragment, LinkKind, Measured, Node, NodeId, NodeKind, NoteKind, Nvlinks, Pair, Rate, rates,
};
use crate::units::Bandwidth;
use std::collections::{BTreeMap, BTreeSet};

/// By how much more than its rate a link is believed to carry, in percent: what drivers report is up to 7 % more than
/// what is published.
const TOLERANCE: u64 = 107;

/// Notes measurements above what the links can carry, and takes those out that no generation of links could carry: they are
/// of both directions at once, or of something else.
pub(super) fn hold_against_links(fragment: &mut Fragment) {
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
                Some((Basis::Assumed, rate)) => texts.faster.add(pair.nvlinks, rate, own),
                Some((_, rate)) => {
                    texts.nvlinks.add(pair.nvlinks, rate, own);
                    wrong.insert(place);
                }
                None => {}
            }
            continue;
        }
        let least = [from, to].into_iter().filter_map(|id| uplinks.get(id)).min().copied();
        if let Some(rate) = least.filter(|rate| is_above(*bandwidth, *rate)) {
            texts.pcie.add(0, rate, own);
            wrong.insert(place);
        }
    }
    let mut places = 0..;
    fragment.measured.retain(|_| places.next().is_none_or(|place| !wrong.contains(&place)));
    hold_nics(fragment, &mut texts);
    texts.write(fragment);
}

/// Whether more was measured than a rate allows.
fn is_above(measured: Bandwidth, rate: Bandwidth) -> bool {
    let limit = u128::from(rate.as_mb_per_s()) * u128::from(TOLERANCE) / 100;
    rate > Bandwidth::ZERO && u128::from(measured.as_mb_per_s()) > limit
}

/// The rate of NVLinks that a measurement is above. Of an unknown generation it is the assumed one's, unless the
/// measurement is above that of the fastest too.
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

/// The published rate of the PCIe link above each device, where one is known. A link that reports its own rate may be at
/// rest.
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

/// The same of what NICs were measured to carry by themselves, and the rates of their ports.
fn hold_nics(fragment: &mut Fragment, texts: &mut Texts) {
    for node in &mut fragment.nodes {
        let NodeKind::Nic(nic) = &mut node.kind else { continue };
        if let (Some(measured), Some(rate)) = (nic.measured, nic.rate)
            && is_above(measured, rate)
        {
            texts.ports.add(0, rate, format!("{}: {measured}", nic.name));
            nic.measured = None;
        }
    }
}

/// Measurements above the same number of links and rate.
#[derive(Default)]
struct Above(BTreeMap<(u16, Bandwidth), Vec<String>>);

impl Above {
    fn add(&mut self, links: u16, rate: Bandwidth, own: String) {
        let known = self.0.entry((links, rate)).or_default();
        // A direction can be stated twice.
        if !known.contains(&own) {
            known.push(own);
        }
    }
}

/// What is to be noted.
#[derive(Default)]
struct Texts {
    nvlinks: Above,
    /// Above the rate of an assumed generation of NVLinks only.
    faster: Above,
    pcie: Above,
    ports: Above,
}

impl Texts {
    fn write(self, fragment: &mut Fragment) {
        const OUT: &str = "and was left out; is it of both directions at once?";
        let of_nvlinks =
            |links: u16| if links == 1 { "1 NVLink".to_owned() } else { format!("{links} NVLinks") };
        let mut notes = Vec::new();
        for ((links, rate), own) in self.nvlinks.0 {
            notes.push(format!(
                "measured {}, which is more than the {rate} that {} can carry, {OUT}",
                several(&own),
                of_nvlinks(links)
            ));
        }
        for ((links, rate), own) in self.faster.0 {
            notes.push(format!(
                "measured {}, which is more than the {rate} of {} of the generation that is assumed: they are faster, or it is of both directions at once",
                several(&own), of_nvlinks(links)
            ));
        }
        for ((_, rate), own) in self.pcie.0 {
            notes.push(format!(
                "measured {}, which is more than the {rate} that PCIe can carry there, {OUT}",
                several(&own)
            ));
        }
        for ((_, rate), own) in self.ports.0 {
            notes.push(format!(
                "measured {}, which is more than the {rate} of its port, {OUT}",
                several(&own)
            ));
        }
        for text in notes {
            // A topology that was written and read again has them already.
            if !fragment.notes.iter().any(|note| note.text == text) {
                fragment.note(NoteKind::Conflict, text);
            }
        }
    }
}
