//! [`Suspect`]: the link that explains figures which fall short: all that cross it do, and the fewest such links explain all.
//!
//! This is group testing: a link that one good figure crosses is not to blame. Of the rest, the link that explains the most
//! figures is taken, and again for those that are left (greedy set cover).

use crate::figure::Metric;
use crate::path;
use crate::report::{Judged, Verdict};
use nvtopo::Topology;
use std::collections::BTreeMap;

/// A link that is to blame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Suspect {
    /// Its name, such as `NVLinks of GPU3` or `PCIe link above PCIe switch 0000:05:00.0`.
    pub name: String,
    /// The figures that cross it and fall short, by their places in the report.
    pub figures: Vec<usize>,
}

/// Finds the links that explain the weak figures. A link may carry little and be quick, so that latencies say nothing of
/// bandwidths, and the other way round.
pub(crate) fn find(topology: &Topology, judged: &[Judged]) -> Vec<Suspect> {
    let mut all: Vec<Suspect> = Vec::new();
    for own in Metric::ALL.into_iter().flat_map(|metric| of_metric(topology, judged, metric)) {
        match all.iter_mut().find(|other| other.name == own.name) {
            Some(other) => other.figures.extend(own.figures),
            None => all.push(own),
        }
    }
    all
}

fn of_metric(topology: &Topology, judged: &[Judged], metric: Metric) -> Vec<Suspect> {
    let mut crossing = Crossing::default();
    for (place, own) in judged.iter().enumerate().filter(|(_, own)| own.metric == metric) {
        crossing.add(place, own.verdict, path::links(topology, &own.subject));
    }
    let is_weak = |own: &Judged| own.verdict == Verdict::Weak && own.metric == metric;
    let mut left: Vec<bool> = judged.iter().map(is_weak).collect();
    let mut found = Vec::new();
    while let Some(first) = left.iter().position(|left| *left) {
        let explains = |weak: &[usize]| weak.iter().filter(|place| left[**place]).count();
        // Of those that explain as many, the one that comes first on the way.
        let mut best: Option<(usize, &Link)> = None;
        for link in crossing.links.iter().filter(|link| !link.good) {
            let count = explains(&link.weak);
            if count > best.map_or(0, |(most, _)| most) {
                best = Some((count, link));
            }
        }
        // Two figures of one path may disagree; then nothing but the figure itself is left to name.
        let own = match best.filter(|(_, link)| !link.weak.is_empty()) {
            Some((_, link)) => Suspect { name: link.name.clone(), figures: link.weak.clone() },
            None => Suspect { name: judged[first].subject.name(topology), figures: vec![first] },
        };
        own.figures.iter().for_each(|place| left[*place] = false);
        found.push(own);
    }
    found
}

/// A link with the weak figures that cross it.
struct Link {
    name: String,
    weak: Vec<usize>,
    /// True where a good figure crosses it too.
    good: bool,
}

/// The links in the order in which figures cross them.
#[derive(Default)]
struct Crossing {
    places: BTreeMap<String, usize>,
    links: Vec<Link>,
}

impl Crossing {
    fn add(&mut self, figure: usize, verdict: Verdict, links: Vec<String>) {
        for name in links {
            let place = *self.places.entry(name.clone()).or_insert(self.links.len());
            if place == self.links.len() {
                self.links.push(Link { name, weak: Vec::new(), good: false });
            }
            match verdict {
                Verdict::Weak => self.links[place].weak.push(figure),
                Verdict::Pass => self.links[place].good = true,
                Verdict::Unknown => {}
            }
        }
    }
}
