//! [`Suspect`]: the link that explains figures which fall short: all that cross it do, and the fewest such links explain all.
//!
//! This is group testing: a link that one good figure crosses is not to blame. Of the rest, the link that explains the most
//! figures is taken, and again for those that are left (greedy set cover).

use crate::figure::{Metric, Subject};
use crate::path;
use crate::report::{EQUALS, Judged, Verdict};
use nvtopo::Topology;
use std::collections::{BTreeMap, BTreeSet};

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

/// Names links by the figures of one metric: by all of them, and for those which that does not explain, by those of their own test.
fn of_metric(topology: &Topology, judged: &[Judged], metric: Metric) -> Vec<Suspect> {
    let all: Vec<usize> = (0..judged.len()).filter(|place| judged[*place].metric == metric).collect();
    let (mut found, left) = explain(topology, judged, &all);
    let mut tests: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for place in left {
        tests.entry(judged[place].program_name()).or_default().push(place);
    }
    // Writes that are quick over a link say nothing of reads.
    for (test, left) in tests {
        let own: Vec<usize> =
            all.iter().copied().filter(|place| judged[*place].program_name() == test).collect();
        let (more, rest) = explain(topology, judged, &own);
        found.extend(more.into_iter().filter(|own| own.figures.iter().any(|place| left.contains(place))));
        // Two figures of one path may disagree; then nothing but the figure itself is left to name.
        found.extend(
            rest.into_iter()
                .map(|place| Suspect { name: judged[place].subject.name(topology), figures: vec![place] }),
        );
    }
    join(judged, found)
}

/// The number of suspects from which on they are no explanation, where all figures of their kind fall short.
const MANY: usize = 3;

/// Joins suspects that cover nothing but kinds of which no figure is good: it is what these share that is slow, and no link.
fn join(judged: &[Judged], found: Vec<Suspect>) -> Vec<Suspect> {
    let mut classes: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, own) in judged.iter().enumerate() {
        classes.entry(&own.class).or_default().push(place);
    }
    let is_weak = |place: &usize| judged[*place].verdict == Verdict::Weak;
    classes.retain(|_, places| places.len() >= EQUALS && places.iter().all(is_weak));
    let is_of_all =
        |own: &Suspect| own.figures.iter().all(|place| classes.contains_key(&*judged[*place].class));
    let (of_all, mut others): (Vec<Suspect>, Vec<Suspect>) = found.into_iter().partition(is_of_all);
    if of_all.len() < MANY {
        others.splice(0..0, of_all);
        return others;
    }
    let of_class = |figures: Vec<usize>| {
        let first = &judged[figures[0]];
        let ways = match first.subject {
            Subject::ToGpu(_) => " from the host to GPUs",
            Subject::FromGpu(_) => " from GPUs to the host",
            _ => "",
        };
        let name = format!("no single link: all {} figures of {}{ways}", figures.len(), first.program_name());
        Suspect { name, figures }
    };
    let covered: BTreeSet<usize> = of_all.into_iter().flat_map(|own| own.figures).collect();
    classes.retain(|_, places| places.iter().any(|place| covered.contains(place)));
    classes.into_values().map(of_class).chain(others).collect()
}

/// Finds the fewest links that explain the weak ones of some figures, and returns those that none explains.
fn explain(topology: &Topology, judged: &[Judged], places: &[usize]) -> (Vec<Suspect>, Vec<usize>) {
    let mut crossing = Crossing::default();
    for place in places {
        crossing.add(*place, judged[*place].verdict, path::links(topology, &judged[*place].subject));
    }
    let mut left: BTreeSet<usize> =
        places.iter().copied().filter(|place| judged[*place].verdict == Verdict::Weak).collect();
    let mut found = Vec::new();
    loop {
        // Of those that explain as many, the one that comes first on the way.
        let mut best: Option<(usize, &Link)> = None;
        for link in crossing.links.iter().filter(|link| !link.good) {
            let count = link.weak.iter().filter(|place| left.contains(place)).count();
            if count > best.map_or(0, |(most, _)| most) {
                best = Some((count, link));
            }
        }
        let Some((_, link)) = best else { return (found, left.into_iter().collect()) };
        link.weak.iter().for_each(|place| {
            left.remove(place);
        });
        found.push(Suspect { name: link.name.clone(), figures: link.weak.clone() });
    }
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
