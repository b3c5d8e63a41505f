//! `model-span`: the number of GPU models in the set.
//!
//! |{model(i)}| over i in S: fewer is better, since a job runs as fast as its slowest GPU. A GPU whose model is unknown is
//! compared as if it had a model of its own, and then the value is unknown. Ties go to sets with fewer such GPUs.

use crate::model::Topology;
use crate::query::Weight;
use crate::solve::quantity::Quantity;
use crate::solve::search::objective::{Groups, Objective, Partial};
use crate::solve::search::set::{Set, usable};
use crate::solve::search::value::{Value, numa_cost, numa_nodes, numa_worth};
use crate::solve::search::weights::Weights;
use std::collections::BTreeSet;

pub(super) struct ModelSpan;

impl Objective for ModelSpan {
    fn name(&self) -> &'static str {
        "model-span"
    }

    fn summary(&self) -> &'static str {
        "how many GPU models are in the set; fewer is better"
    }

    fn tie(&self) -> &'static str {
        "with more GPUs of unknown models"
    }

    fn matters(&self, topology: &Topology) -> bool {
        let usable: BTreeSet<usize> = usable(topology).collect();
        let gpus = topology.gpus().enumerate().filter(|(position, _)| usable.contains(position));
        let models: Vec<Option<&str>> = gpus.map(|(_, gpu)| gpu.model.as_deref()).collect();
        models.windows(2).any(|pair| pair[0] != pair[1])
    }

    fn groups(&self, weights: &Weights) -> Option<Groups> {
        let locality = weights.locality();
        let known = |model: &Set| *model & locality.unknown_models == 0;
        let sets = locality.models.iter().copied().filter(known).collect();
        Some(Groups { sets, worth: numa_worth(numa_cost(1, 0)) })
    }

    fn interchangeable(&self, weights: &Weights, a: usize, b: usize) -> bool {
        let locality = weights.locality();
        let model = |gpu: usize| locality.models.iter().find(|model| *model >> gpu & 1 == 1);
        let single = |gpu: usize| model(gpu).is_none_or(|model| model.is_power_of_two());
        let unknown = |gpu: usize| locality.unknown_models >> gpu & 1;
        model(a) == model(b) || (single(a) && single(b) && unknown(a) == unknown(b))
    }

    fn is_known(&self, topology: &Topology, gpus: &[usize], _worth: Weight) -> bool {
        topology.gpus().enumerate().all(|(position, gpu)| !gpus.contains(&position) || gpu.model.is_some())
    }

    fn value(&self, partial: &Partial<'_>, _rest: Set) -> Value {
        numa_worth(numa_cost(models(partial).into(), unknown(partial).into())).into()
    }

    /// Returns an upper bound: GPUs that join are of models of the chosen as far as there are such, then of as few others as
    /// possible.
    fn bound(&self, partial: &Partial<'_>) -> Weight {
        let locality = partial.weights.locality();
        let mut missing = partial.missing;
        let mut others = Vec::new();
        for model in &locality.models {
            let open = (model & partial.open).count_ones() as usize;
            if model & partial.chosen == 0 {
                others.push(open);
            } else {
                missing = missing.saturating_sub(open);
            }
        }
        others.sort_unstable_by(|a, b| b.cmp(a));
        let mut span = u64::from(models(partial));
        for open in others.into_iter().take_while(|open| *open > 0) {
            if missing == 0 {
                break;
            }
            missing = missing.saturating_sub(open);
            span += 1;
        }
        let known = (partial.open & !locality.unknown_models).count_ones() as usize;
        let join = partial.missing.saturating_sub(known) as u64;
        numa_worth(numa_cost(span, u64::from(unknown(partial)) + join))
    }

    fn quantity(&self, worth: Weight) -> Quantity {
        Quantity::Models(numa_nodes(worth))
    }
}

/// Returns the number of models of the chosen.
fn models(partial: &Partial<'_>) -> u32 {
    let models = partial.weights.locality().models.iter();
    models.filter(|model| *model & partial.chosen != 0).count() as u32
}

/// Returns the number of chosen GPUs whose model is unknown.
fn unknown(partial: &Partial<'_>) -> u32 {
    (partial.chosen & partial.weights.locality().unknown_models).count_ones()
}
