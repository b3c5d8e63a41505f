//! `nvtopo plan`: what each rank of a job on one machine gets.

use super::{open, rules, style};
use crate::args::PlanArgs;
use nvtopo::apply::{Trust, allowed_cpus, check_machine};
use nvtopo::render::{RENDERERS, launch_format};
use nvtopo::{CudaOrder, LocalRank, Plan, Result, VisibleGpus};

pub(crate) fn plan(args: &PlanArgs) -> Result<String> {
    let topology = open(&args.source)?;
    let variable = |name: &str| std::env::var(name).ok();
    let here = check_machine(&topology, Trust::ThisMachine).is_ok();
    let (visible, allowed) = if here {
        (VisibleGpus::from_environment(&topology, variable), Some(allowed_cpus(args.rules.scope)?))
    } else {
        (VisibleGpus::all(&topology, CudaOrder::PciBusId), None)
    };
    let launched =
        if here { LocalRank::from_environment(variable)?.and_then(|rank| rank.size) } else { None };
    let ranks = args.ranks.or(launched).unwrap_or(visible.devices.len().max(1));
    let plan = Plan::new(&topology, &visible, ranks, &rules(&args.rules, &topology, allowed))?;
    match RENDERERS.iter().find(|render| render.name() == args.format) {
        Some(render) => Ok(render.plan(&plan, style())),
        None => launch_format(&args.format)?.print(&plan),
    }
}
