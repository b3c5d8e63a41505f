//! `nvtopo exec`: bind this process, then become the command.

use super::{open, request};
use crate::args::ExecArgs;
use crate::report;
use nvtopo::apply::{Threads, Trust, bind, check_machine, current_cpus};
use nvtopo::{CpuLimits, Error, GpuRef, LocalRank, Part, Result, Topology, visible_gpus};
use std::process::Command;

pub(crate) fn exec(args: &ExecArgs) -> Result<String> {
    let topology = open(&args.source)?;
    let trust = if args.trust_topology { Trust::Unknown } else { Trust::ThisMachine };
    // Before anything is chosen: a wrong machine is the more useful complaint.
    check_machine(&topology, trust)?;
    let (part, environment) = part(args, &topology)?;
    let bound = bind(&topology, &part.cpus, &part.mems, Threads::Calling, trust)?;
    for remark in part.remarks.iter().chain(&bound.warnings) {
        report(remark);
    }
    Err(become_command(args, environment))
}

/// What this process gets, and the variables that go with it.
fn part(args: &ExecArgs, topology: &Topology) -> Result<(Part, Vec<(&'static str, String)>)> {
    let variable = |name: &str| std::env::var(name).ok();
    let visible = variable("CUDA_VISIBLE_DEVICES");
    let allowed = Some(current_cpus()?);
    let Some(count) = args.gpus else {
        let rank = LocalRank::from_environment(variable)?;
        let limits = CpuLimits { allowed, reserved: args.cpus.reserve.clone().unwrap_or_default() };
        return Ok((Part::of_visible(topology, visible.as_deref(), rank, &limits), Vec::new()));
    };
    let mut request = request(count, &args.choice, &args.cpus);
    if let Some(allowed) = allowed {
        request = request.allowed_cpus(allowed);
    }
    // What a scheduler has given is all that may be chosen from.
    if let Some(visible) = visible.filter(|_| args.choice.only.is_none()) {
        let gpus: Vec<_> = topology.gpus().collect();
        let visible = visible_gpus(topology, &visible);
        request = request.only(visible.into_iter().map(|position| GpuRef::Index(gpus[position].index)));
    }
    let placement = request.solve(topology)?;
    Ok((Part::of_placement(&placement, None), placement.cuda_environment()))
}

/// Comes back only when it fails.
fn become_command(args: &ExecArgs, environment: Vec<(&'static str, String)>) -> Error {
    let mut command = Command::new(&args.command[0]);
    command.args(&args.command[1..]).envs(environment);
    #[cfg(unix)]
    let error = std::os::unix::process::CommandExt::exec(&mut command);
    #[cfg(not(unix))]
    let error = std::io::Error::from(std::io::ErrorKind::Unsupported);
    Error::cannot_run(&args.command[0], error)
}
