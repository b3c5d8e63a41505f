//! The criteria by which one request compares sets.

use super::{DEFAULT_OBJECTIVES, Objective, by_names};
use crate::error::Result;
use crate::model::Topology;
use crate::solve::objective::mix::SizeMix;

/// The objectives, most important first, and the job mix by which the remaining GPUs are valued.
#[derive(Clone)]
pub(in crate::solve) struct Criteria {
    pub(in crate::solve) objectives: Vec<&'static dyn Objective>,
    /// The number of jobs of each size, out of a million.
    pub(in crate::solve) mix: Vec<(usize, u64)>,
}

impl Criteria {
    /// Returns the criteria by the names of objectives, or by the default ones that matter on the machine if there are no names.
    /// Without a mix, all job sizes are equally frequent.
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
