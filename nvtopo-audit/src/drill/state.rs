//! The state of a machine, whole or without a part: placements, labels, pods, claims, and the verdicts of checks.

use super::kit::{Kit, MadeClaim, MadePod};
use crate::audit::all_findings;
use crate::baseline::Baseline;
use crate::evidence::Evidence;
use crate::finding::Finding;
use crate::reading::Readings;
use nvtopo::model::Gpu;
use nvtopo::source::Contents;
use nvtopo::{Bandwidth, PathType, PciAddress, Request, Solver, Topology};
use nvtopo_k8s::kubelet::predict::{Predictor, Taken};
use nvtopo_k8s::labels::{LabelOptions, Labels};
use nvtopo_k8s::node_affinity::unmet;
use std::cell::Cell;
use std::collections::BTreeMap;

/// The best placement of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Placed {
    /// The indices of the GPUs.
    pub gpus: Vec<u32>,
    /// The bandwidth of its rings, one direction. `None`: unknown, or one GPU.
    pub bandwidth: Option<Bandwidth>,
    /// The bandwidth of the worst way from a GPU to its NIC, one direction. `None`: unknown, or no NIC.
    pub nic_bandwidth: Option<Bandwidth>,
    /// The number of CPUs beside its GPUs; 0 where no source tells CPUs.
    pub cpus: usize,
}

/// By number of GPUs, the placement or the reason why there is none.
pub(super) type Placements = BTreeMap<usize, Result<Placed, String>>;

/// Returns the best placement of jobs of these numbers of GPUs.
pub(super) fn place_all(topology: &Topology, sizes: &[usize]) -> Placements {
    let solver = Solver::new(topology);
    sizes.iter().map(|gpus| (*gpus, place(&solver, *gpus))).collect()
}

/// The state of a machine.
pub(super) struct State {
    pub(super) placements: Placements,
    pub(super) labels: BTreeMap<String, String>,
    /// By number of GPUs, the reason why a pod does not start; `None`: it does.
    pub(super) pods: BTreeMap<usize, Option<String>>,
    /// By number of GPUs, what a claim is given; `None`: nothing.
    pub(super) claims: BTreeMap<usize, Option<Granted>>,
    /// By check and subject.
    pub(super) checks: BTreeMap<(&'static str, String), Finding>,
}

/// The GPUs of which a claim is given some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Granted {
    /// The indices of its GPUs that are there.
    pub(super) gpus: Vec<u32>,
    /// True where NVLink joins each two of them. `None`: unknown, or one GPU.
    pub(super) linked: Option<bool>,
}

impl State {
    /// Looks at a machine that has lost these labels, and of which the placements are known.
    pub(super) fn of(
        topology: &Topology,
        kit: &Kit,
        lost_labels: &[String],
        whole: &Whole<'_>,
        placements: Placements,
    ) -> Self {
        let mut labels = kit.node_labels.clone();
        let made = Labels::of(topology, &LabelOptions::default());
        labels.extend(made.iter().map(|(key, value)| (key, value.to_owned())));
        labels.retain(|key, _| !lost_labels.contains(key));
        let pods = pods(topology, kit, &labels);
        let checks = verdicts(topology, lost_labels, whole);
        Self {
            placements,
            labels,
            pods,
            claims: kit.claims.iter().map(|claim| (claim.gpus, grant(topology, claim))).collect(),
            checks,
        }
    }
}

/// The whole machine, as the checks know it.
pub(super) struct Whole<'a> {
    pub(super) contents: &'a Contents,
    pub(super) baseline: Baseline,
    /// The readings of its files and texts so far.
    pub(super) readings: Cell<Readings>,
}

/// Returns the worst finding of each check about each subject.
fn verdicts(
    topology: &Topology,
    lost_labels: &[String],
    whole: &Whole<'_>,
) -> BTreeMap<(&'static str, String), Finding> {
    let mut evidence = Evidence::plain(whole.contents);
    evidence.topology = topology;
    evidence.lost_labels = lost_labels;
    evidence.baseline = Some(&whole.baseline);
    evidence.readings = whole.readings.take().of_files();
    let mut worst: BTreeMap<(&'static str, String), Finding> = BTreeMap::new();
    for finding in all_findings(&evidence) {
        let key = (finding.check.code, finding.subject.clone());
        if worst.get(&key).is_none_or(|own| own.status < finding.status) {
            worst.insert(key, finding);
        }
    }
    whole.readings.set(evidence.readings);
    worst
}

fn place(solver: &Solver, gpus: usize) -> Result<Placed, String> {
    let placement = solver.solve(&Request::gpus(gpus)).map_err(|error| error.message().to_owned())?;
    let score = |name: &str| {
        let score = placement.scores().iter().find(|score| score.objective == name)?;
        score.value?.as_bandwidth()
    };
    Ok(Placed {
        gpus: placement.gpu_indices(),
        bandwidth: score("ring").filter(|_| gpus > 1),
        nic_bandwidth: score("nic"),
        cpus: placement.cpus().len(),
    })
}

fn usable(topology: &Topology) -> impl Iterator<Item = (usize, &Gpu)> {
    topology.gpus().enumerate().filter(|(_, gpu)| gpu.unusable.is_none())
}

/// Returns why each pod does not start, if it does not.
fn pods(
    topology: &Topology,
    kit: &Kit,
    labels: &BTreeMap<String, String>,
) -> BTreeMap<usize, Option<String>> {
    let Some(configured) = &kit.configured else { return BTreeMap::new() };
    let predictor = Predictor::new(topology, configured.settings.clone(), &Taken::default());
    let there = usable(topology).count();
    let refused = |made: &MadePod| -> Option<String> {
        if made.gpus > there {
            return Some(format!("it stays pending: the node has {there} GPUs"));
        }
        match unmet("pod", &made.text, labels) {
            Ok(None) => {}
            Ok(Some(why)) => return Some(format!("it stays pending: {why}")),
            Err(error) => return Some(error.message().to_owned()),
        }
        let predictor = match &predictor {
            Ok(predictor) => predictor,
            Err(error) => return Some(format!("the kubelet does not start: {}", error.message())),
        };
        match predictor.predict(&made.pod, configured.policy, configured.scope) {
            Ok(prediction) => prediction
                .verdict
                .reason()
                .map(|reason| format!("{reason}: {}", prediction.verdict.message().unwrap_or_default())),
            Err(error) => Some(format!("the kubelet does not start: {}", error.message())),
        }
    };
    kit.pods.iter().map(|made| (made.gpus, refused(made))).collect()
}

/// Returns what a claim is given: of the first alternative of which enough GPUs are there.
fn grant(topology: &Topology, claim: &MadeClaim) -> Option<Granted> {
    let there: BTreeMap<PciAddress, usize> =
        usable(topology).filter_map(|(position, gpu)| Some((gpu.address?, position))).collect();
    let mut left = claim.alternatives.iter().map(|alternative| {
        alternative.gpus.iter().filter_map(|gpu| there.get(gpu).copied()).collect::<Vec<usize>>()
    });
    let gpus = left.find(|gpus| gpus.len() >= claim.gpus)?;
    let linked = |a: usize, b: usize| topology.pairs().pair(a, b).path == Some(PathType::Nvl);
    let all = gpus.iter().all(|a| gpus.iter().all(|b| a == b || linked(*a, *b)));
    let index = |position: &usize| topology.gpus().nth(*position).map(|gpu| gpu.index);
    Some(Granted {
        linked: (claim.gpus > 1 && topology.nvlink_known()).then_some(all),
        gpus: gpus.iter().filter_map(index).collect(),
    })
}
