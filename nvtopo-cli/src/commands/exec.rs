//! `nvtopo exec`: bind this process, then become the command.

use super::bind::{Resources, Variables, account, done, options, variable};
use crate::args::ExecArgs;
use crate::output::{Failure, remark, report};
use nvtopo::LocalRank;
use nvtopo::apply::{Scope, allowed_cpus, bind, hazards, scope_remark};
use std::process::Command;

pub(crate) fn exec(args: &ExecArgs) -> Result<String, Failure> {
    let rank = match args.local_rank {
        Some(rank) => Some(LocalRank::named(rank, variable)),
        None => LocalRank::from_environment(variable)?,
    };
    let resources = Resources::of_process(&args.bind, rank.is_some())?;
    let (part, variables) = resources.part(rank, &args.bind)?;
    // What all ranks of a job would say, the first one says.
    let first = rank.is_none_or(|rank| rank.rank == 0);
    let said = match rank.filter(|_| !first) {
        Some(rank) => {
            let zero = resources.part(Some(LocalRank { rank: 0, ..rank }), &args.bind);
            zero.map_or_else(|_| Vec::new(), |(part, _)| part.remarks)
        }
        None => Vec::new(),
    };
    let told = part.remarks.iter().filter(|text| !said.contains(text));
    told.chain(hazards(variable).iter().filter(|_| first)).for_each(|text| remark(text));
    // A person who binds a command by hand meant it.
    if rank.is_some() && first && args.bind.rules.scope == Scope::Affinity {
        let bound = scope_remark(&allowed_cpus(Scope::Affinity)?, &allowed_cpus(Scope::Cpuset)?);
        if let Some(text) = bound {
            remark(&text);
        }
    }
    if args.bind.dry_run {
        return Ok(account(&part, &variables, &args.bind, &args.command));
    }
    let bound = bind(&resources.topology, &part, options(&args.bind))?;
    bound.warnings.iter().for_each(|warning| remark(warning));
    if args.bind.report {
        report(&done(&bound, rank));
    }
    Err(become_command(args, variables))
}

/// Comes back only when it fails.
fn become_command(args: &ExecArgs, variables: Variables) -> Failure {
    let mut command = Command::new(&args.command[0]);
    command.args(&args.command[1..]).envs(variables);
    #[cfg(unix)]
    let error = std::os::unix::process::CommandExt::exec(&mut command);
    #[cfg(not(unix))]
    let error = std::io::Error::from(std::io::ErrorKind::Unsupported);
    Failure::to_run(&args.command[0], error)
}
