//! JSON for programs.
//!
//! A topology is printed as the document that [`Topology::to_json`] writes, so that it can be read again, with derived
//! values beside it: the matrix of `nvidia-smi`, groups and affinities. `null` is unknown; a GPU that no source mentions has
//! no key.

use crate::diff::{Change, Diff, NotCompared};
use crate::model::{PathType, Stated, Topology};
use crate::solve::mig::InstancePlacement;
use crate::solve::{
    Alternative, DimensionTime, Explanation, Placement, Plan, Proof, Quantity, RankGroup, RankMap, Score,
    Shares,
};
use crate::source::PRESETS;
use crate::source::json::{Document, to_text};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::fmt::Display;

/// Returns the document of a machine, with what follows from it beside.
///
/// ```
/// let topology = nvtopo::Topology::preset("gh200")?;
/// assert!(nvtopo::render::json::topology(&topology).contains("\"devices\""));
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn topology(topology: &Topology) -> String {
    to_text(&Shown::of(topology))
}

/// Returns a placement.
pub fn placement(placement: &Placement) -> String {
    to_text(&placed(placement))
}

/// Returns a placement with its alternatives.
pub fn explanation(explanation: &Explanation) -> String {
    let mut value = placed(&explanation.placement);
    value["next"] = explanation.next.as_ref().map_or(Value::Null, alternative);
    value["first_fit"] = explanation.first_fit.as_ref().map_or(Value::Null, alternative);
    to_text(&value)
}

/// Returns the placement of a new MIG instance.
pub fn instance(topology: &Topology, placement: &InstancePlacement) -> String {
    let gpu = topology.gpus().nth(placement.gpu);
    to_text(&json!({
        "gpu": gpu.map(|gpu| gpu.index),
        "name": topology.device_name(placement.gpu),
        "uuid": gpu.and_then(|gpu| gpu.uuid).map(|uuid| uuid.to_string()),
        "pci": gpu.and_then(|gpu| gpu.address).map(|address| address.to_string()),
        "profile": placement.profile,
        "slices": placement.slices,
        "placement": { "start": placement.start, "size": placement.size },
    }))
}

/// Returns the mapping of ranks to GPUs.
pub fn ranks(map: &RankMap) -> String {
    let gpus: Vec<_> = map.topology().gpus().collect();
    let index = |gpu: &usize| gpus[*gpu].index;
    let indices = |positions: &[usize]| positions.iter().map(index).collect::<Vec<_>>();
    let group = |group: &RankGroup| {
        json!({
            "ranks": group.ranks,
            "gpus": indices(&group.gpus),
            "gb_per_s": group.bandwidth.as_gb_per_s(),
        })
    };
    let dimension = |own: &DimensionTime| {
        json!({
            "dimension": own.dimension.name(),
            "word": map.order().word(own.dimension),
            "bytes": own.bytes,
            "groups": own.groups,
            "seconds": own.seconds,
            "slowest": group(&own.worst),
            "launcher": { "seconds": own.launcher_seconds, "slowest": group(&own.launcher_worst) },
        })
    };
    let environment = map.cuda_environment().into_iter().map(|(name, value)| (name.to_owned(), value.into()));
    to_text(&json!({
        "gpu_of_rank": indices(map.gpu_of_rank()),
        "launcher_order": indices(map.launcher_order()),
        "job": map.shape(),
        "order": map.order().to_string(),
        "seconds": map.seconds(),
        "launcher_seconds": map.launcher_seconds(),
        "gain": map.gain(),
        "bound_seconds": map.bound_seconds(),
        "optimal": map.is_optimal(),
        "dimensions": map.dimensions().iter().map(dimension).collect::<Vec<_>>(),
        "environment": Value::Object(environment.collect()),
    }))
}

/// Returns the CPUs of each GPU.
pub fn shares(topology: &Topology, shares: &Shares) -> String {
    let per_gpu = topology.gpus().zip(&shares.gpus).map(|(gpu, share)| {
        json!({
            "gpu": gpu.index,
            "name": gpu.name(),
            "cpus": share.cpus.to_string(),
            "mems": share.mems.to_string(),
        })
    });
    to_text(&json!({ "per_gpu": per_gpu.collect::<Vec<_>>(), "remarks": shares.remarks }))
}

/// Returns the parts of all ranks.
pub fn plan(plan: &Plan) -> String {
    let topology = plan.topology();
    let gpus: Vec<u32> = topology.gpus().map(|gpu| gpu.index).collect();
    let ranks = plan.parts().iter().enumerate().map(|(rank, part)| {
        json!({
            "rank": rank,
            "gpus": part.gpus.iter().map(|gpu| gpus[*gpu]).collect::<Vec<_>>(),
            "cpus": part.cpus.to_string(),
            "own_cores": part.own_cores,
            "mems": part.mems.to_string(),
            "nics": part.nics.iter().map(|nic| topology.device_name(*nic)).collect::<Vec<_>>(),
        })
    });
    to_text(&json!({
        "policy": plan.policy().name(),
        "ranks": ranks.collect::<Vec<_>>(),
        "remarks": plan.remarks(),
    }))
}

/// Returns the differences between two machines.
pub fn diff(diff: &Diff) -> String {
    let change = |change: &Change| {
        json!({
            "kind": change.kind.name(),
            "part": change.part,
            "peers": change.peers,
            "fact": change.fact,
            "before": change.before,
            "after": change.after,
            "text": change.to_string(),
        })
    };
    let one_sided = |own: &NotCompared| {
        let known = if own.known_before { "before" } else { "after" };
        json!({ "fact": own.fact, "parts": own.parts, "known": known })
    };
    to_text(&json!({
        "equal": diff.is_empty(),
        "changes": diff.changes.iter().map(change).collect::<Vec<_>>(),
        "not_compared": diff.not_compared.iter().map(one_sided).collect::<Vec<_>>(),
    }))
}

/// Returns the list of presets.
pub fn presets() -> String {
    let presets = PRESETS
        .iter()
        .map(|preset| json!({ "name": preset.name, "product": preset.product, "summary": preset.summary }));
    to_text(&json!({ "presets": presets.collect::<Vec<_>>() }))
}

fn placed(placement: &Placement) -> Value {
    let (proof, steps) = match placement.proof() {
        Proof::Exhaustive { steps } => ("exhaustive", steps),
        Proof::Bound { steps } => ("bound", steps),
    };
    let per_gpu = placement.gpus().iter().map(|gpu| {
        json!({
            "gpu": gpu.index,
            "name": format!("GPU{}", gpu.index),
            "uuid": gpu.uuid.map(|uuid| uuid.to_string()),
            "pci": gpu.address.map(|address| address.to_string()),
            "cpus": gpu.cpus.to_string(),
            "mems": gpu.mems.to_string(),
            "memory": gpu.memory,
            "huge_pages": gpu.huge_pages,
            "nics": gpu.nics,
            "nic_path": gpu.nic_path.map(PathType::word),
            "nic": gpu.nic,
            "nic_shared_with": gpu.nic_shared_with,
        })
    });
    let unmet = placement
        .unmet()
        .iter()
        .map(|unmet| json!({ "constraint": unmet.constraint.to_string(), "why": unmet.witness }));
    json!({
        "gpus": placement.gpu_indices(),
        "score": placement.scores().iter().map(score).collect::<Vec<_>>(),
        "optimal": placement.is_optimal(),
        "proof": { "method": proof, "steps": steps },
        "why": placement.why(),
        "preference": placement.preference().map(|constraint| constraint.to_string()),
        "unmet": unmet.collect::<Vec<_>>(),
        "per_gpu": per_gpu.collect::<Vec<_>>(),
        "remarks": placement.remarks(),
    })
}

fn alternative(other: &Alternative) -> Value {
    json!({
        "gpus": other.gpu_indices,
        "score": other.scores.iter().map(score).collect::<Vec<_>>(),
        "meets": other.meets,
        "why": other.why(),
        "loss": other.loss.map(|loss| json!({
            "objective": loss.objective,
            "value": loss.own.map(Quantity::number),
            "chosen": loss.chosen.map(Quantity::number),
            "unit": loss.unit,
        })),
    })
}

fn score(score: &Score) -> Value {
    json!({
        "objective": score.objective,
        "value": score.value.map(Quantity::number),
        "unit": score.unit,
        "bound": score.bound.map(Quantity::number),
    })
}

/// The document, and values derived from it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    document: Document,
    devices: Vec<String>,
    matrix: Vec<Vec<Option<String>>>,
    nvlink_groups: Vec<Vec<String>>,
    cpu_affinity: Map<String, Value>,
    numa_affinity: Map<String, Value>,
    notes: Vec<String>,
}

impl Shown {
    fn of(topology: &Topology) -> Self {
        let count = topology.devices().len();
        let word = |a: usize, b: usize| topology.pairs().pair(a, b).word(topology.dialect());
        let names = |gpus: &[usize]| gpus.iter().map(|gpu| topology.device_name(*gpu)).collect();
        Self {
            document: Document::of(topology),
            devices: (0..count).map(|device| topology.device_name(device)).collect(),
            matrix: (0..count).map(|a| (0..count).map(|b| word(a, b)).collect()).collect(),
            nvlink_groups: topology.nvlink_groups().iter().map(|group| names(&group.gpus)).collect(),
            cpu_affinity: by_gpu(topology, |gpu| value(&topology.local_cpus(topology.devices()[gpu]))),
            numa_affinity: by_gpu(topology, |gpu| value(&topology.local_nodes(topology.devices()[gpu]))),
            notes: topology.notes().iter().map(ToString::to_string).collect(),
        }
    }
}

fn by_gpu(topology: &Topology, fact: impl Fn(usize) -> Option<Value>) -> Map<String, Value> {
    let gpus = 0..topology.gpus().len();
    gpus.filter_map(|gpu| Some((topology.device_name(gpu), fact(gpu)?))).collect()
}

/// Returns a fact as `nvidia-smi` prints it: `N/A` where a source states that there is none.
fn value<T: Display>(stated: &Stated<T>) -> Option<Value> {
    match stated {
        Stated::Known(fact) => Some(fact.to_string().into()),
        Stated::NotAvailable => Some("N/A".into()),
        Stated::Unreadable => Some(Value::Null),
        Stated::Unstated => None,
    }
}
