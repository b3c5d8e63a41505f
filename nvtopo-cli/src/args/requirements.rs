//! Options that mean nothing without another, or beside another: refused, never dropped.

use super::variable;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command};
use nvtopo::{Error, Result};

/// The reason why an option is useless.
enum Useless {
    /// The other option is missing.
    Without(&'static str),
    /// One of the others is given.
    Beside(&'static [&'static str]),
}

struct Requirement {
    commands: &'static [&'static str],
    options: &'static [&'static str],
    useless: Useless,
    why: &'static str,
    advice: &'static str,
}

const NEEDS: &[&str] = &["cpus_per_gpu", "memory_per_gpu", "hugepages_per_gpu", "gpus_per_nic"];

/// Every requirement that clap does not check; options by their ids.
const REQUIREMENTS: &[Requirement] = &[
    Requirement {
        commands: &["exec", "run"],
        options: &[
            "include",
            "objective",
            "require",
            "prefer",
            "free",
            "free_memory",
            "allowed_sets",
            "mix",
            "tolerance",
            "cpus_per_gpu",
            "memory_per_gpu",
            "hugepages_per_gpu",
            "gpus_per_nic",
            "reported",
        ],
        useless: Useless::Without("gpus"),
        why: "steers which GPUs are chosen, and none are",
        advice: "add --gpus N; without it the visible GPUs are used, among which --only and --exclude select",
    },
    Requirement {
        commands: &["draw"],
        options: &[
            "only",
            "exclude",
            "include",
            "objective",
            "require",
            "prefer",
            "free",
            "free_memory",
            "allowed_sets",
            "mix",
            "tolerance",
            "cpus_per_gpu",
            "memory_per_gpu",
            "hugepages_per_gpu",
            "gpus_per_nic",
            "reserve",
            "isolated",
            "cores",
        ],
        useless: Useless::Without("gpus"),
        why: "steers which GPUs are highlighted, and none are",
        advice: "add --gpus N, or leave it out",
    },
    Requirement {
        commands: &["exec", "run"],
        options: &["policy", "smt"],
        useless: Useless::Beside(NEEDS),
        why: "deals out shares of the CPUs, and what each GPU gets is asked for instead",
        advice: "leave one of them out; --cpus-per-gpu says how many CPUs each GPU gets, --cores-per-rank how many cores of these \
                 a rank uses",
    },
];

/// Checks the options of a subcommand, on the command line and in variables.
pub(crate) fn check(command: &Command, matches: &ArgMatches) -> Result<()> {
    let Some((name, own)) = matches.subcommand() else { return Ok(()) };
    before_subcommand(command, matches, name)?;
    let Some(command) = command.find_subcommand(name) else { return Ok(()) };
    let matches = own;
    let given = |option: &str| {
        let source = matches.value_source(option)?;
        let arg = command.get_arguments().find(|arg| arg.get_id() == option)?;
        match source {
            ValueSource::CommandLine => Some(format!("--{}", arg.get_long()?)),
            ValueSource::EnvVariable => variable(arg),
            _ => None,
        }
    };
    for requirement in REQUIREMENTS.iter().filter(|requirement| requirement.commands.contains(&name)) {
        let Some(option) = requirement.options.iter().find_map(|option| given(option)) else { continue };
        let useless = match requirement.useless {
            Useless::Without(other) => {
                given(other).is_none().then(|| format!("without --{}", other.replace('_', "-")))
            }
            Useless::Beside(others) => {
                others.iter().find_map(|other| given(other)).map(|other| format!("beside {other}"))
            }
        };
        if let Some(useless) = useless {
            let message = format!("{option} is of no use {useless}: it {}", requirement.why);
            return Err(Error::wrong_use(message, requirement.advice));
        }
    }
    Ok(())
}

/// Refuses options before a subcommand: they belong to the command without one, but for those that all have.
fn before_subcommand(command: &Command, matches: &ArgMatches, subcommand: &str) -> Result<()> {
    let own = command.get_arguments().filter(|arg| !arg.is_global_set());
    let given = |arg: &&clap::Arg| {
        let known = matches.try_contains_id(arg.get_id().as_str()).unwrap_or(false);
        known && matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine)
    };
    match own.filter(given).find_map(clap::Arg::get_long) {
        Some(long) => {
            let message = format!("--{long} stands before {subcommand}, where it would not count");
            Err(Error::wrong_use(message, format!("write nvtopo {subcommand} --{long} …")))
        }
        None => Ok(()),
    }
}
