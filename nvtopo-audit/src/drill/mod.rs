//! [`Drill`]: a machine without some of its parts, and what placement, labels, pods, claims and checks then say.
//!
//! The whole machine is looked at once ([`state`]), with the kubelet's settings, pods and claims that go with it ([`kit`]). Each
//! loss is looked at in the same way, with the same settings, pods and claims, and what differs is the [`outcome`].

mod kit;
mod lost;
mod outcome;
mod render;
mod state;

pub use lost::Lost;
pub use outcome::{
    CheckChange, ClaimChange, Damage, DrillOutcome, DrillReport, LabelChange, PlacementChange, PodChange,
};
pub use state::Placed;

use crate::baseline::Baseline;
use kit::Kit;
use nvtopo::source::Contents;
use nvtopo::{Error, LostPart, Result, Topology};
use nvtopo_k8s::labels::Prefix;
use state::{Placements, State, Whole, place_all};
use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::num::NonZero;

/// The most losses that [`Drill::all`] tries: about twice as many as a rack of 72 GPUs has parts.
const MOST_LOSSES: usize = 400;

/// A machine of which parts are to be lost.
///
/// Checks judge the topology without the lost parts beside the files and texts of the whole machine, which still name them:
/// a check that reads files only says what it says of the whole machine. The whole machine is the baseline, so that what is gone
/// is missed.
///
/// ```
/// use nvtopo::source::{Contents, Locator};
/// use nvtopo_audit::Drill;
///
/// let node = Contents::open(&[Locator::Preset("dgx-h100".to_owned())])?;
/// let drill = Drill::of(&node, &[4, 8])?;
/// let report = drill.run(&["nvlink:0".parse()?])?;
/// let four = &report.outcomes[0].placements[0];
/// assert_eq!(four.after.as_ref().unwrap().gpus, [4, 5, 6, 7]);
/// let eight = &report.outcomes[0].placements[1];
/// assert!(eight.after.as_ref().unwrap().bandwidth < eight.before.as_ref().unwrap().bandwidth);
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub struct Drill<'a> {
    whole: Whole<'a>,
    kit: Kit,
    before: State,
}

impl<'a> Drill<'a> {
    /// Looks at a whole machine, with jobs of these numbers of GPUs; without any, of 1, 2, 4, … and all GPUs.
    ///
    /// Errors with [`InvalidRequest`](nvtopo::ErrorKind::InvalidRequest) for a job of no GPU.
    pub fn of(contents: &'a Contents, sizes: &[usize]) -> Result<Self> {
        let gpus = contents.topology.gpus().len();
        let mut sizes = sizes.to_vec();
        if sizes.contains(&0) {
            return Err(Error::wrong_use("a job of no GPU has no placement", "give numbers of 1 and more"));
        }
        if sizes.is_empty() {
            sizes = std::iter::successors(Some(1), |size| Some(size * 2))
                .take_while(|size| *size < gpus)
                .collect();
            sizes.extend((gpus > 0).then_some(gpus));
        }
        sizes.sort_unstable();
        sizes.dedup();
        let kit = Kit::of(contents, &sizes);
        let whole = Whole { contents, baseline: Baseline::of(contents), readings: Cell::default() };
        let placements = place_all(&contents.topology, &kit.sizes);
        let before = State::of(&contents.topology, &kit, &[], &whole, placements);
        Ok(Self { whole, kit, before })
    }

    /// Loses these parts, all at once.
    ///
    /// Errors with [`InvalidRequest`](nvtopo::ErrorKind::InvalidRequest) for parts and labels that are not there, and says which
    /// are.
    pub fn run(&self, lost: &[Lost]) -> Result<DrillReport> {
        let prepared = self.prepare(lost)?;
        let placements = place_all(&prepared.left, &self.kit.sizes);
        Ok(self.report(vec![self.finish(prepared, placements)], 0))
    }

    /// Loses each part by itself, those of [`LostPart::of`], and each label that nvtopo makes. The worst come first, by
    /// [`Damage`]. Of a machine with very many parts some of each kind are tried, and
    /// [`left_out`](DrillReport::left_out) says how many are not.
    ///
    /// Errors as [`run`](Self::run) does; no machine is known for which it does.
    pub fn all(&self) -> Result<DrillReport> {
        let parts = LostPart::of(&self.whole.contents.topology).into_iter().map(Lost::Part);
        let labels = self.before.labels.keys().filter(|key| !self.kit.node_labels.contains_key(*key));
        let prefix = Prefix::default().to_string();
        let labels = labels.map(|key| Lost::Label(key.strip_prefix(&prefix).unwrap_or(key).to_owned()));
        let all: Vec<Lost> = parts.chain(labels).collect();
        let count = all.len();
        let tried = some_of_each(all, MOST_LOSSES);
        let left_out = count - tried.len();
        let mut outcomes = Vec::with_capacity(tried.len());
        // Placing takes longest, so that it is done for several losses at a time.
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        for some in tried.chunks(threads) {
            let losses = some.iter().map(|lost| self.prepare(std::slice::from_ref(lost)));
            let losses = losses.collect::<Result<Vec<Loss>>>()?;
            let placements = self.place_each(&losses);
            let placed = losses.into_iter().zip(placements);
            outcomes.extend(placed.map(|(loss, placements)| self.finish(loss, placements)));
        }
        outcomes.sort_by_key(|outcome| Reverse(outcome.damage));
        Ok(DrillReport { is_ranking: true, ..self.report(outcomes, left_out) })
    }

    fn report(&self, outcomes: Vec<DrillOutcome>, left_out: usize) -> DrillReport {
        DrillReport {
            sizes: self.kit.sizes.clone(),
            outcomes,
            left_out,
            notes: self.kit.notes.clone(),
            is_ranking: false,
        }
    }

    /// Takes parts away.
    fn prepare(&self, lost: &[Lost]) -> Result<Loss> {
        let (mut parts, mut labels) = (Vec::new(), Vec::new());
        for own in lost {
            match own {
                Lost::Part(part) => parts.push(part.clone()),
                Lost::Label(name) => labels.push(self.label(name)?),
            }
        }
        let left = self.whole.contents.topology.without(&parts)?;
        Ok(Loss { lost: lost.to_vec(), labels, left })
    }

    /// Places the jobs on what each loss leaves, all at a time.
    fn place_each(&self, losses: &[Loss]) -> Vec<Placements> {
        let sizes = &self.kit.sizes;
        let place = |loss: &Loss| place_all(&loss.left, sizes);
        std::thread::scope(|scope| {
            let threads: Vec<_> = losses.iter().map(|loss| scope.spawn(move || place(loss))).collect();
            let placed = threads.into_iter().zip(losses);
            placed.map(|(thread, loss)| thread.join().unwrap_or_else(|_| place(loss))).collect()
        })
    }

    /// Looks at what is left, and compares it with the whole machine.
    fn finish(&self, loss: Loss, placements: Placements) -> DrillOutcome {
        let Loss { lost, labels, left } = loss;
        let after = State::of(&left, &self.kit, &labels, &self.whole, placements);
        let names =
            lost.iter().map(|own| lost::describe(own, &self.whole.contents.topology, &left)).collect();
        outcome::compare(lost, names, &self.before, &after)
    }

    /// Returns the key of a label by its key, or by its name behind the prefix.
    fn label(&self, name: &str) -> Result<String> {
        let own = Prefix::default().key(name);
        let found = [name, &own].into_iter().find(|key| self.before.labels.contains_key(*key));
        if let Some(key) = found {
            return Ok(key.to_owned());
        }
        let all: Vec<&str> = self.before.labels.keys().map(String::as_str).collect();
        Err(Error::request(format!("the node has no label '{name}'"))
            .help(format!("there are {}", all.join(", "))))
    }
}

/// A loss, and what is left of the machine.
struct Loss {
    lost: Vec<Lost>,
    /// The keys of the lost labels.
    labels: Vec<String>,
    left: Topology,
}

/// Returns at most so many losses, as many of each kind as there is room for, in their order.
fn some_of_each(all: Vec<Lost>, most: usize) -> Vec<Lost> {
    if all.len() <= most {
        return all;
    }
    let mut seen: BTreeMap<&'static str, usize> = BTreeMap::new();
    // Those that are first of their kind come first, then those that are second, and so on.
    let mut order: Vec<(usize, usize)> = Vec::with_capacity(all.len());
    for (place, lost) in all.iter().enumerate() {
        let count = seen.entry(lost.kind()).or_default();
        order.push((*count, place));
        *count += 1;
    }
    order.sort_unstable();
    order.truncate(most);
    let mut places: Vec<usize> = order.into_iter().map(|(_, place)| place).collect();
    places.sort_unstable();
    let mut place = 0..;
    all.into_iter().filter(|_| place.next().is_some_and(|own| places.binary_search(&own).is_ok())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_of_each_kind_are_tried() {
        let lost = |text: &str| text.parse::<Lost>().unwrap();
        let mut all: Vec<Lost> = (0..900).map(|gpu| lost(&format!("gpu:{gpu}"))).collect();
        all.extend((0..3).map(|nic| lost(&format!("nic:mlx5_{nic}"))));
        all.push(lost("label:mig"));
        assert_eq!(some_of_each(all.clone(), 2000), all);
        let some = some_of_each(all, 10);
        let texts: Vec<String> = some.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "gpu:0",
                "gpu:1",
                "gpu:2",
                "gpu:3",
                "gpu:4",
                "gpu:5",
                "nic:mlx5_0",
                "nic:mlx5_1",
                "nic:mlx5_2",
                "label:mig"
            ]
        );
    }
}
