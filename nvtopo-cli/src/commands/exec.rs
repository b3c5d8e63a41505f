//! `nvtopo exec`: bind this process, then become the command.

use super::{open, request, rules};
use crate::args::{CpuArgs, ExecArgs};
use crate::report;
use nvtopo::apply::{
    BindOptions, Bound, Scope, Threads, Trust, allowed_cpus, bind_part, check_machine, environment, hazards,
    scope_remark,
};
use nvtopo::solve::VisibleDevice;
use nvtopo::{CpuRules, Error, LocalRank, Part, Result, Topology, VisibleGpus};
use std::process::Command;

type Variables = Vec<(&'static str, String)>;

pub(crate) fn exec(args: &ExecArgs) -> Result<String> {
    let topology = open(&args.source)?;
    let trust = if args.trust_topology { Trust::Unknown } else { Trust::ThisMachine };
    // Before anything is chosen: a wrong machine is the more useful complaint.
    check_machine(&topology, trust)?;
    let rank = match args.local_rank {
        Some(rank) => Some(LocalRank::named(rank, variable)),
        None => LocalRank::from_environment(variable)?,
    };
    let (part, variables) = part(args, &topology, rank)?;
    for remark in part.remarks.iter().chain(&hazards(variable)) {
        report(remark);
    }
    // A person who binds a command by hand meant it.
    if rank.is_some() && args.rules.scope == Scope::Affinity {
        let bound = scope_remark(&allowed_cpus(Scope::Affinity)?, &allowed_cpus(Scope::Cpuset)?);
        if let Some(remark) = bound {
            report(&remark);
        }
    }
    if args.dry_run {
        return Ok(account(&part, &variables, args));
    }
    let options = BindOptions { threads: Threads::Calling, memory: args.memory.0, trust };
    let bound = bind_part(&topology, &part, options)?;
    for warning in &bound.warnings {
        report(warning);
    }
    if args.report {
        report(&done(&bound, rank));
    }
    Err(become_command(args, variables))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// What this process gets, and the variables that go with it.
fn part(args: &ExecArgs, topology: &Topology, rank: Option<LocalRank>) -> Result<(Part, Variables)> {
    let visible = VisibleGpus::from_environment(topology, variable);
    let rules = rules(&args.rules, topology, Some(allowed_cpus(args.rules.scope)?));
    let Some(count) = args.gpus else {
        let part = Part::of_visible_by(topology, &visible, rank, &rules);
        let variables = environment(topology, &visible, &part, &args.export, variable);
        return Ok((part, variables));
    };
    chosen(args, topology, count, &visible, &rules)
}

/// As many GPUs as were asked for, and what belongs to them.
fn chosen(
    args: &ExecArgs,
    topology: &Topology,
    count: usize,
    visible: &VisibleGpus,
    rules: &CpuRules,
) -> Result<(Part, Variables)> {
    let mut request = request(count, &args.choice, &CpuArgs { reserve: Some(rules.limits.reserved.clone()) });
    if let Some(allowed) = &rules.limits.allowed {
        request = request.allowed_cpus(allowed.clone());
    }
    // What a scheduler has given is all that may be chosen from.
    if args.choice.only.is_none() {
        request = request.only(visible.whole_gpus(topology)?);
    }
    let placement = request.solve(topology)?;
    let devices = placement.gpus().iter().map(|gpu| VisibleDevice { gpu: gpu.position, instance: None });
    let shown = VisibleGpus { devices: devices.collect(), ..VisibleGpus::default() };
    let mut part = Part::of_visible_by(topology, &shown, None, rules);
    for remark in placement.remarks().iter().chain(&visible.remarks) {
        if !part.remarks.contains(remark) {
            part.remarks.push(remark.clone());
        }
    }
    let mut variables = environment(topology, &shown, &part, &args.export, variable);
    variables.retain(|(name, _)| !name.starts_with("CUDA_"));
    variables.extend(placement.cuda_environment());
    Ok((part, variables))
}

/// What would be done.
fn account(part: &Part, variables: &Variables, args: &ExecArgs) -> String {
    let or_as_before = |text: String| if text.is_empty() { "as before".to_owned() } else { text };
    let mut lines = vec![
        format!("cpus: {}", or_as_before(part.cpus.to_string())),
        format!("memory: {}", memory(args, part)),
    ];
    lines.extend(variables.iter().map(|(name, value)| format!("{name}={value}")));
    let command: Vec<String> = args.command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    lines.push(format!("command: {}", command.join(" ")));
    lines.join("\n") + "\n"
}

fn memory(args: &ExecArgs, part: &Part) -> String {
    match args.memory.0 {
        Some(policy) if !part.mems.is_empty() => format!("{policy}, nodes {}", part.mems),
        _ => "as before".to_owned(),
    }
}

/// What was done, in one line.
fn done(bound: &Bound, rank: Option<LocalRank>) -> String {
    let who = match rank {
        Some(LocalRank { rank, size: Some(size) }) => format!("rank {rank} of {size}"),
        Some(LocalRank { rank, size: None }) => format!("rank {rank}"),
        None => "this process".to_owned(),
    };
    let gpus: Vec<String> = bound.gpus.iter().map(|gpu| format!("GPU{gpu}")).collect();
    let beside = if gpus.is_empty() { "no GPU".to_owned() } else { gpus.join(",") };
    let memory = match (&bound.memory, &bound.mems) {
        (Some(policy), Some(nodes)) => format!("memory {policy} of nodes {nodes}"),
        (Some(policy), None) => format!("memory {policy}"),
        _ => "memory as before".to_owned(),
    };
    format!("{who} beside {beside} on CPUs {} (before {}), {memory}", bound.after, bound.before)
}

/// Comes back only when it fails.
fn become_command(args: &ExecArgs, variables: Variables) -> Error {
    let mut command = Command::new(&args.command[0]);
    command.args(&args.command[1..]).envs(variables);
    #[cfg(unix)]
    let error = std::os::unix::process::CommandExt::exec(&mut command);
    #[cfg(not(unix))]
    let error = std::io::Error::from(std::io::ErrorKind::Unsupported);
    Error::cannot_run(&args.command[0], error)
}
