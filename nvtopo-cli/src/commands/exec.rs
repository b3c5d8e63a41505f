//! `nvtopo exec`: bind this process, then become the command.

use super::{open, request};
use crate::args::ExecArgs;
use crate::report;
use nvtopo::apply::{BindOptions, Threads, Trust, bind_part, check_machine, current_cpus};
use nvtopo::{CpuLimits, Error, LocalRank, Part, Result, Topology, VisibleGpus};
use std::process::Command;

pub(crate) fn exec(args: &ExecArgs) -> Result<String> {
    let topology = open(&args.source)?;
    let trust = if args.trust_topology { Trust::Unknown } else { Trust::ThisMachine };
    // Before anything is chosen: a wrong machine is the more useful complaint.
    check_machine(&topology, trust)?;
    let (part, environment) = part(args, &topology)?;
    let options = BindOptions { threads: Threads::Calling, trust, ..BindOptions::default() };
    let bound = bind_part(&topology, &part, options)?;
    for remark in bound.remarks.iter().chain(&bound.warnings) {
        report(remark);
    }
    Err(become_command(args, environment))
}

/// What this process gets, and the variables that go with it.
fn part(args: &ExecArgs, topology: &Topology) -> Result<(Part, Vec<(&'static str, String)>)> {
    let variable = |name: &str| std::env::var(name).ok();
    let visible = VisibleGpus::from_environment(topology, variable);
    let allowed = current_cpus()?;
    let Some(count) = args.gpus else {
        let rank = LocalRank::from_environment(variable)?;
        let reserved = args.cpus.reserve.clone().unwrap_or_default();
        let limits = CpuLimits { allowed: Some(allowed), reserved };
        return Ok((Part::of_visible(topology, &visible, rank, &limits), Vec::new()));
    };
    let mut request = request(count, &args.choice, &args.cpus).allowed_cpus(allowed);
    // What a scheduler has given is all that may be chosen from.
    if args.choice.only.is_none() {
        request = request.only(visible.whole_gpus(topology)?);
    }
    let placement = request.solve(topology)?;
    let mut part = Part::of_placement(&placement, None);
    part.remarks.extend(visible.remarks.into_iter().filter(|remark| !placement.remarks().contains(remark)));
    Ok((part, placement.cuda_environment()))
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
