//! The plan of this machine as a process of a launch sees it: by the variables of its environment and the CPUs it may use.

use super::{Scope, Trust, allowed_cpus, check_machine};
use crate::error::Result;
use crate::model::Topology;
use crate::solve::{CpuRules, CudaOrder, LocalRank, Plan, VISIBILITY_VARIABLES, VisibleGpus};

/// The environment of a process: the value of a variable by its name.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A plan, and the GPUs that it was made for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PlanHere {
    /// What each rank gets.
    pub plan: Plan,
    /// The GPUs that the ranks see.
    pub visible: VisibleGpus,
    /// The rules that it was made by, with the CPUs that were allowed here: by these, [`Plan::new`] makes the same plan on
    /// any machine.
    pub rules: CpuRules,
}

impl PlanHere {
    /// The plan for GPUs and rules that are known already, such as those of a plan that was made elsewhere. Errors as
    /// [`Plan::new`].
    ///
    /// ```
    /// use nvtopo::apply::{PlanHere, Scope, plan_here};
    /// use nvtopo::{CpuRules, Topology};
    ///
    /// let dgx = Topology::preset("dgx-h100")?;
    /// let here = plan_here(&dgx, Some(4), CpuRules::default(), Scope::default(), None, &|_| None)?;
    /// assert_eq!(PlanHere::new(&dgx, here.visible.clone(), 4, here.rules.clone())?, here);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn new(topology: &Topology, visible: VisibleGpus, ranks: usize, rules: CpuRules) -> Result<Self> {
        let plan = Plan::new(topology, &visible, ranks, &rules)?;
        let one_of_them = LocalRank { rank: 0, size: Some(ranks) };
        let visible = visible.seen_by_rank(topology, Some(one_of_them), &rules.layout);
        Ok(Self { plan, visible, rules })
    }
}

/// The GPUs that this process sees by its variables, where the topology is this machine's and `CUDA_VISIBLE_DEVICES` is set.
/// `None` for any other topology, whose GPUs these variables do not name.
///
/// ```
/// let preset = nvtopo::Topology::preset("dgx-h100")?;
/// assert_eq!(nvtopo::apply::visible_here(&preset, &|_| Some("0".to_owned())), None);
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn visible_here(topology: &Topology, own: Variables<'_>) -> Option<VisibleGpus> {
    own(VISIBILITY_VARIABLES[0])?;
    check_machine(topology, Trust::ThisMachine).ok()?;
    Some(VisibleGpus::from_environment(topology, own))
}

/// Plans the ranks of one machine. On a topology of this machine the GPUs are those that `own` variables make visible, the ranks
/// are as many as its launcher says, and the CPUs those that the scope allows; on another topology all GPUs are visible. What
/// is `given` counts before: variables of another process, a number of ranks, and CPUs in the rules. Without a number there is
/// a rank for each visible GPU, or for as many as each rank is to get.
///
/// ```
/// use nvtopo::apply::{Scope, plan_here};
/// use nvtopo::{CpuRules, Topology};
///
/// let dgx = Topology::preset("dgx-h100")?;
/// let variables = |name: &str| (name == "CUDA_VISIBLE_DEVICES").then(|| "4,5".to_owned());
/// let here = plan_here(&dgx, None, CpuRules::default(), Scope::default(), Some(&variables), &|_| None)?;
/// assert_eq!(here.plan.parts().len(), 2);
/// assert_eq!(here.plan.parts()[0].gpus, [4]);
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn plan_here(
    topology: &Topology,
    ranks: Option<usize>,
    mut rules: CpuRules,
    scope: Scope,
    given: Option<Variables<'_>>,
    own: Variables<'_>,
) -> Result<PlanHere> {
    let here = check_machine(topology, Trust::ThisMachine).is_ok();
    if here && rules.limits.allowed.is_none() {
        rules.limits.allowed = Some(allowed_cpus(scope)?);
    }
    let (visible, launched) = match given.or(here.then_some(own)) {
        Some(variables) => (
            VisibleGpus::from_environment(topology, variables),
            LocalRank::from_environment(variables)?.and_then(|rank| rank.size),
        ),
        None => (VisibleGpus::all(topology, CudaOrder::PciBusId), None),
    };
    let ranks = match ranks.or(launched) {
        Some(ranks) => ranks,
        None => rules.layout.ranks_for(&visible)?,
    };
    PlanHere::new(topology, visible, ranks, rules)
}
