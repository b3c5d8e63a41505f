//! The plan of this machine from within a launched process: by its environment variables and its allowed CPUs.

use super::{Scope, Trust, allowed_cpus, check_machine};
use crate::error::Result;
use crate::model::Topology;
use crate::solve::{CpuRules, CudaOrder, LocalRank, Plan, VISIBILITY_VARIABLES, VisibleGpus};

/// The environment of a process: the value of a variable by its name.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A plan, with the GPUs and the rules that it was made for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PlanHere {
    /// The plan: one part for each rank.
    pub plan: Plan,
    /// The GPUs that the ranks see.
    pub visible: VisibleGpus,
    /// The rules of the plan, with the CPUs allowed here: with them [`Plan::new`] makes the same plan on any machine.
    pub rules: CpuRules,
}

impl PlanHere {
    /// Makes the plan for given GPUs and rules, such as those of a plan made elsewhere. Errors as [`Plan::new`].
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

/// Returns the GPUs that `CUDA_VISIBLE_DEVICES` shows this process, where it is set and the topology is this machine's. `None`
/// for any other topology: the variable does not name its GPUs.
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
/// are as many as its launcher says, and the CPUs those that the scope allows; on another topology all GPUs are visible.
/// `given` values take precedence: variables of another process, a number of ranks, and CPUs in the rules. Without a number
/// there is one rank for each visible GPU, or for each group of as many as a rank gets.
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
