//! What the sets of one request are compared by.

use super::{DEFAULT_OBJECTIVES, Objective, by_names};
use crate::error::Result;
use crate::model::Topology;
use crate::solve::objective::mix::SizeMix;

/// Objectives, most important first, and the jobs that what is left over is judged by.
#[derive(Clone)]
pub(in crate::solve) struct Criteria {
    pub(in crate::solve) objectives: Vec<&'static dyn Objective>,
    /// How many of a million jobs have each number of GPUs.
    pub(in crate::solve) mix: Vec<(usize, u64)>,
}

impl Criteria {
    /// By the names of objectives, and without any by the default ones that matter there. Without a mix, jobs of every size come alike.
    pub(in crate::solve) fn new<S: AsRef<str>>(
        names: Option<&[S]>,
        mix: Option<&SizeMix>,
        topology: &Topology,
    ) -> Result<Self> {
        let gpus = topology.gpus().len();
        let mut objectives = match names {
            Some(names) => by_names(names)?,
            None => DEFAULT_OBJECTIVES.to_vec(),
        };
        let wanted = |objective: &dyn Objective| {
            names.into_iter().flatten().any(|name| name.as_ref().trim() == objective.name())
        };
        objectives.retain(|objective| wanted(*objective) || objective.matters(topology));
        let mix = match mix {
            Some(mix) => mix.millionths(),
            None if gpus == 0 => Vec::new(),
            None => SizeMix::uniform(gpus)?.millionths(),
        };
        Ok(Self { objectives, mix })
    }
}
