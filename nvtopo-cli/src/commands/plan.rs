//! `nvtopo plan`: what each rank of a job on one machine gets.

use super::bind::variable;
use super::{open, rules, style};
use crate::args::PlanArgs;
use nvtopo::apply::plan_here;
use nvtopo::render::{RENDERERS, launch_format};
use nvtopo::{CpuRules, Error, Result};

pub(crate) fn plan(args: &PlanArgs) -> Result<String> {
    let topology = open(&args.source)?;
    let rules = CpuRules { layout: args.layout.layout(), ..rules(&args.rules, &topology, None) };
    let here = plan_here(&topology, args.ranks, rules, args.rules.scope, None, &variable)?;
    match RENDERERS.iter().find(|render| render.name() == args.format) {
        Some(_) if args.memory.is_some() => Err(Error::wrong_use(
            format!("--memory is for launchers, and --format {} tells the memory nodes alone", args.format),
            "leave it out, or name a launcher's format",
        )),
        Some(render) => Ok(render.plan(&here.plan, style())),
        None => launch_format(&args.format)?.print_with(&here.plan, args.memory.unwrap_or_default()),
    }
}
