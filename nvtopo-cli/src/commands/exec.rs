//! `nvtopo exec`: bind this process, then become the command.

use super::bind::{Ground, Variables, account, done, options, variable};
use crate::args::ExecArgs;
use crate::report;
use nvtopo::apply::{Scope, allowed_cpus, bind_part, hazards, scope_remark};
use nvtopo::{Error, LocalRank, Result};
use std::process::Command;

pub(crate) fn exec(args: &ExecArgs) -> Result<String> {
    let ground = Ground::new(&args.bind)?;
    let rank = match args.local_rank {
        Some(rank) => Some(LocalRank::named(rank, variable)),
        None => LocalRank::from_environment(variable)?,
    };
    // A process that chooses GPUs gets all of them.
    let (part, variables) = ground.part(rank.filter(|_| args.bind.gpus.is_none()), &args.bind);
    for remark in part.remarks.iter().chain(&hazards(variable)) {
        report(remark);
    }
    // A person who binds a command by hand meant it.
    if rank.is_some() && args.bind.rules.scope == Scope::Affinity {
        let bound = scope_remark(&allowed_cpus(Scope::Affinity)?, &allowed_cpus(Scope::Cpuset)?);
        if let Some(remark) = bound {
            report(&remark);
        }
    }
    if args.bind.dry_run {
        return Ok(account(&part, &variables, &args.bind, &args.command));
    }
    let bound = bind_part(&ground.topology, &part, options(&args.bind))?;
    for warning in &bound.warnings {
        report(warning);
    }
    if args.bind.report {
        report(&done(&bound, rank));
    }
    Err(become_command(args, variables))
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
