//! `nvtopo run`: start the ranks of a job on this machine, each bound as `exec` would bind it.

use super::bind::{Resources, Variables, account, variable};
use crate::args::RunArgs;
use crate::output::{Failure, remark};
use nvtopo::apply::hazards;
use nvtopo::{LocalRank, Part};
use std::net::TcpListener;

/// The variables that tell the ranks apart. Another launcher's values would make all of them the same rank.
const RANK_NAMES: [&str; 4] = ["RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"];

/// A rank that is not started yet.
struct Rank {
    number: LocalRank,
    part: Part,
    variables: Variables,
}

/// The text to print, and the exit code.
pub(crate) fn run(args: &RunArgs) -> Result<(String, u8), Failure> {
    let resources = Resources::of_job(&args.bind)?;
    let size = match args.nproc_per_node {
        Some(size) => size,
        None => resources.ranks()?,
    };
    // Complains of a number that no plan can be made for.
    resources.plan(size)?;
    let meeting_point = meeting_point().map_err(|error| Failure::to_run(&args.command[0], error))?;
    let ranks = (0..size).map(|rank| prepare(rank, size, &resources, &meeting_point, args));
    let ranks: Vec<Rank> = ranks.collect::<nvtopo::Result<_>>()?;
    let mut remarks = hazards(variable);
    remarks.extend(foreign_rank());
    for text in ranks.iter().flat_map(|rank| &rank.part.remarks) {
        if !remarks.contains(text) {
            remarks.push(text.clone());
        }
    }
    for text in &remarks {
        remark(text);
    }
    if args.bind.dry_run {
        let told = |rank: &Rank| {
            let account = account(&rank.part, &rank.variables, &args.bind, &args.command);
            format!("rank {}\n{account}", rank.number.rank)
        };
        return Ok((ranks.iter().map(told).collect::<Vec<_>>().join("\n"), crate::DONE));
    }
    Ok((String::new(), start(&resources, ranks, args)?))
}

fn prepare(
    rank: usize,
    size: usize,
    resources: &Resources,
    meeting_point: &Variables,
    args: &RunArgs,
) -> nvtopo::Result<Rank> {
    let local = LocalRank { rank, size: Some(size) };
    let (part, of_part) = resources.part(Some(local), &args.bind)?;
    let values = [rank, rank, size, size].map(|number| number.to_string());
    let mut variables: Variables = RANK_NAMES.into_iter().zip(values).collect();
    variables.extend(meeting_point.iter().cloned());
    variables.extend(of_part);
    Ok(Rank { number: local, part, variables })
}

/// The variables by which ranks find each other, where they are not set: this machine, and a port that is free now.
fn meeting_point() -> std::io::Result<Variables> {
    let mut variables = Variables::new();
    if variable("MASTER_ADDR").is_none() {
        variables.push(("MASTER_ADDR", "127.0.0.1".to_owned()));
    }
    if variable("MASTER_PORT").is_none() {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        variables.push(("MASTER_PORT", port.to_string()));
    }
    Ok(variables)
}

/// The remark where this runs as a rank of another launcher.
fn foreign_rank() -> Option<String> {
    let found: Vec<String> =
        RANK_NAMES.iter().filter_map(|name| Some(format!("{name}={}", variable(name)?))).collect();
    (!found.is_empty()).then(|| format!("{} is set anew for each rank", found.join(", ")))
}

#[cfg(unix)]
fn start(resources: &Resources, ranks: Vec<Rank>, args: &RunArgs) -> Result<u8, Failure> {
    use super::bind::{done, options};
    use crate::launch::{Launch, Process};
    use crate::output::report;
    use nvtopo::apply::bind;
    use std::process::Command;
    use std::sync::mpsc::channel;

    let size = ranks.len();
    let (warned, warnings) = channel();
    let process = |Rank { number, part, variables }| {
        let mut command = Command::new(&args.command[0]);
        command.args(&args.command[1..]).envs(variables);
        let (topology, options, told) = (resources.topology.clone(), options(&args.bind), args.bind.report);
        let warned = warned.clone();
        let bind = move || {
            let bound = bind(&topology, &part, options)?;
            for warning in &bound.warnings {
                let _ = warned.send((number.rank, warning.clone()));
            }
            if told {
                report(&done(&bound, Some(number)));
            }
            Ok(())
        };
        Process { command, before: Box::new(bind) }
    };
    let launch = Launch { label: args.label, grace: std::time::Duration::from_secs(args.grace.into()) };
    let tell = || by_ranks(warnings.try_iter(), size).iter().for_each(|warning| remark(warning));
    launch.run(ranks.into_iter().map(process).collect(), tell)
}

/// The warnings of all ranks, each once, with the ranks that it is of where these are not all.
#[cfg(unix)]
fn by_ranks(warnings: impl Iterator<Item = (usize, String)>, size: usize) -> Vec<String> {
    let mut found: Vec<(String, nvtopo::CpuSet, usize)> = Vec::new();
    for (rank, text) in warnings {
        let place = found.iter().position(|(other, ..)| *other == text).unwrap_or_else(|| {
            found.push((text, nvtopo::CpuSet::new(), 0));
            found.len() - 1
        });
        found[place].1.insert(rank as u32);
        found[place].2 += 1;
    }
    let told = |(text, ranks, count): (String, nvtopo::CpuSet, usize)| match count {
        all if all == size => text,
        1 => format!("rank {ranks}: {text}"),
        _ => format!("ranks {ranks}: {text}"),
    };
    found.into_iter().map(told).collect()
}

#[cfg(not(unix))]
fn start(_resources: &Resources, _ranks: Vec<Rank>, args: &RunArgs) -> Result<u8, Failure> {
    Err(Failure::to_run(&args.command[0], std::io::ErrorKind::Unsupported.into()))
}
