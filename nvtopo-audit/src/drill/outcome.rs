//! The outcome of a loss: what differs from the whole machine, and how bad it is.

use super::lost::Lost;
use super::state::{Granted, Placed, State};
use crate::check::Check;
use crate::finding::{Finding, Severity, Status};
use nvtopo::Bandwidth;
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// The outcomes of losses.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DrillReport {
    /// The numbers of GPUs of the jobs that were placed, increasing.
    pub sizes: Vec<usize>,
    /// The outcomes: the one that was asked for, or those of all single losses, the worst first.
    pub outcomes: Vec<DrillOutcome>,
    /// The number of single losses that were not tried, as there are very many.
    pub left_out: usize,
    /// The assumptions of the whole drill, and what could not be judged.
    pub notes: Vec<String>,
    pub(super) is_ranking: bool,
}

/// The outcome of a loss.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DrillOutcome {
    /// The lost parts and labels.
    pub lost: Vec<Lost>,
    /// The same in words.
    pub names: Vec<String>,
    /// The best placement of each job, changed or not.
    pub placements: Vec<PlacementChange>,
    /// The labels that change.
    pub labels: Vec<LabelChange>,
    /// The pods that start no longer, or start only now.
    pub pods: Vec<PodChange>,
    /// The claims that are given other GPUs, or none.
    pub claims: Vec<ClaimChange>,
    /// The verdicts of checks that change, the worst first.
    pub checks: Vec<CheckChange>,
    /// The measure of how bad it is.
    pub damage: Damage,
}

/// The best placement of a job on the whole machine and on what is left of it, or the reason why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlacementChange {
    /// The number of GPUs of the job.
    pub gpus: usize,
    /// On the whole machine.
    pub before: Result<Placed, String>,
    /// On what is left.
    pub after: Result<Placed, String>,
}

impl PlacementChange {
    /// Returns true where something differs, reasons aside.
    pub fn is_changed(&self) -> bool {
        match (&self.before, &self.after) {
            (Err(_), Err(_)) => false,
            (before, after) => before != after,
        }
    }
}

/// A label that changes. `None`: the node does not have it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LabelChange {
    /// The key.
    pub key: String,
    /// The value on the whole machine.
    pub before: Option<String>,
    /// The value on what is left.
    pub after: Option<String>,
}

/// A pod that starts on one of the two machines only. `None`: it starts; else the reason why it does not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PodChange {
    /// The number of its GPUs.
    pub gpus: usize,
    /// On the whole machine.
    pub before: Option<String>,
    /// On what is left.
    pub after: Option<String>,
}

/// A claim that is given something else than on the whole machine, in words. `None`: nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClaimChange {
    /// The number of its GPUs.
    pub gpus: usize,
    /// On the whole machine.
    pub before: Option<String>,
    /// On what is left.
    pub after: Option<String>,
}

/// A verdict that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckChange {
    /// The check.
    pub check: &'static Check,
    /// The device, port or setting that is judged.
    pub subject: String,
    /// The status on the whole machine. `None`: it is not judged there.
    pub before: Option<Status>,
    /// The status on what is left.
    pub after: Status,
    /// The finding in one sentence.
    pub text: String,
}

/// The measure of how bad a loss is. Two are compared by the first number by which they differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Damage {
    /// The number of jobs that cannot be placed any more.
    pub jobs: usize,
    /// The number of pods that do not start any more.
    pub pods: usize,
    /// The number of claims that are given nothing any more.
    pub claims: usize,
    /// The share of the rings' bandwidth that is lost, in millionths, added over the jobs.
    pub bandwidth: u64,
    /// The number of jobs whose bandwidth is unknown now.
    pub unknown: usize,
    /// The share of the bandwidth to NICs that is lost, in millionths, added over the jobs.
    pub nic_bandwidth: u64,
    /// The share of the CPUs that is lost, in millionths, added over the jobs.
    pub cpus: u64,
    /// The number of critical findings that fail now.
    pub critical: usize,
    /// The number of other findings that fail now.
    pub failed: usize,
    /// The number of findings that warn now.
    pub warned: usize,
    /// The number of labels that change.
    pub labels: usize,
}

/// Compares the whole machine with what is left.
pub(super) fn compare(lost: Vec<Lost>, names: Vec<String>, before: &State, after: &State) -> DrillOutcome {
    let placements: Vec<PlacementChange> = before
        .placements
        .iter()
        .filter_map(|(gpus, was)| {
            let after = after.placements.get(gpus)?.clone();
            Some(PlacementChange { gpus: *gpus, before: was.clone(), after })
        })
        .collect();
    let labels = labels(before, after);
    let pods = before.pods.iter().filter_map(|(gpus, was)| {
        let is = after.pods.get(gpus)?;
        let own = PodChange { gpus: *gpus, before: was.clone(), after: is.clone() };
        (was.is_some() != is.is_some()).then_some(own)
    });
    let claims = before.claims.iter().filter_map(|(gpus, was)| {
        let is = after.claims.get(gpus)?;
        let told = |own: &Option<Granted>| own.as_ref().map(|own| granted(*gpus, own));
        let own = ClaimChange { gpus: *gpus, before: told(was), after: told(is) };
        (own.before != own.after).then_some(own)
    });
    let mut outcome = DrillOutcome {
        lost,
        names,
        labels,
        pods: pods.collect(),
        claims: claims.collect(),
        checks: checks(before, after),
        placements,
        damage: Damage::default(),
    };
    outcome.damage = damage(&outcome);
    outcome
}

fn labels(before: &State, after: &State) -> Vec<LabelChange> {
    let keys: BTreeSet<&String> = before.labels.keys().chain(after.labels.keys()).collect();
    let change = |key: &String| LabelChange {
        key: key.clone(),
        before: before.labels.get(key).cloned(),
        after: after.labels.get(key).cloned(),
    };
    keys.into_iter().map(change).filter(|own| own.before != own.after).collect()
}

/// Describes the GPUs of which a claim is given some.
fn granted(gpus: usize, own: &Granted) -> String {
    let of = super::render::gpus(&own.gpus);
    let some = if own.gpus.len() > gpus { format!("any {gpus} of {of}") } else { of };
    match own.linked {
        Some(true) => format!("{some}, linked by NVLink"),
        Some(false) => format!("{some}, not all linked by NVLink"),
        None => some,
    }
}

fn checks(before: &State, after: &State) -> Vec<CheckChange> {
    let change = |(key, own): (&(&'static str, String), &Finding)| {
        let was = before.checks.get(key).map(|own| own.status);
        let (subject, after, text) = (own.subject.clone(), own.status, own.text.clone());
        // What is judged only now matters where something is wrong with it.
        let is_changed = was.map_or(after >= Status::Warn, |was| was != after);
        is_changed.then_some(CheckChange { check: own.check, subject, before: was, after, text })
    };
    let mut all: Vec<CheckChange> = after.checks.iter().filter_map(change).collect();
    // Those that say the same of several subjects stand together.
    all.sort_by(|a, b| {
        let key = |own: &CheckChange| (Reverse(own.after), own.check.severity, own.check.code);
        key(a).cmp(&key(b)).then_with(|| a.text.cmp(&b.text))
    });
    all
}

fn damage(outcome: &DrillOutcome) -> Damage {
    let mut damage = Damage {
        pods: outcome.pods.iter().filter(|own| own.before.is_none()).count(),
        claims: outcome.claims.iter().filter(|own| own.after.is_none()).count(),
        labels: outcome.labels.len(),
        ..Damage::default()
    };
    for own in &outcome.placements {
        let (before, after) = match (&own.before, &own.after) {
            (Ok(before), Ok(after)) => (before, after),
            (Ok(_), Err(_)) => {
                damage.jobs += 1;
                continue;
            }
            (Err(_), _) => continue,
        };
        damage.unknown += usize::from(before.bandwidth.is_some() && after.bandwidth.is_none());
        let rate = |rate: Option<Bandwidth>| rate.map(Bandwidth::as_mb_per_s);
        damage.bandwidth += share(rate(before.bandwidth), rate(after.bandwidth));
        damage.nic_bandwidth += share(rate(before.nic_bandwidth), rate(after.nic_bandwidth));
        damage.cpus += share(Some(before.cpus as u64), Some(after.cpus as u64));
    }
    let worse = outcome.checks.iter().filter(|own| own.before.is_none_or(|before| own.after > before));
    for own in worse {
        match (own.after, own.check.severity) {
            (Status::Fail, Severity::Critical) => damage.critical += 1,
            (Status::Fail, _) => damage.failed += 1,
            (Status::Warn, _) => damage.warned += 1,
            _ => {}
        }
    }
    damage
}

/// Returns the share that is lost, in millionths; 0 where either is unknown.
pub(super) fn share(before: Option<u64>, after: Option<u64>) -> u64 {
    let (Some(before), Some(after)) = (before, after) else { return 0 };
    let lost = u128::from(before.saturating_sub(after));
    (lost * 1_000_000 / u128::from(before.max(1))) as u64
}
