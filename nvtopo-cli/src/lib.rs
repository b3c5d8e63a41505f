//! The `nvtopo` command as a library: arguments in, exit code out. It parses, calls the core, and prints; beside
//! starting the ranks of `run`, it holds no logic of its own.

mod args;
mod commands;
#[cfg(unix)]
mod launch;
mod output;
mod usage;

use args::{Cli, Command, ShowArgs, check, with_variables};
use clap::{CommandFactory as _, FromArgMatches as _};
use output::{BAD, Failure, print, report};
use std::collections::BTreeSet;
use std::ffi::OsString;

/// Done.
const DONE: u8 = 0;

/// Runs the command and gives its exit code: 0 done, 1 the request cannot be satisfied, 2 bad usage or input.
/// `exec` does not come back when it succeeds; `run` gives the code of the first rank that failed. Both give 127 where their
/// command is missing, and 126 where it cannot be run.
///
/// ```
/// assert_eq!(nvtopo_cli::run(["nvtopo", "place", "--gpus", "9", "--from", "preset:dgx-h100"]), 1);
/// ```
pub fn run<A: Into<OsString> + Clone>(arguments: impl IntoIterator<Item = A>) -> u8 {
    let arguments = in_order(arguments);
    let command = command();
    let matches = command.clone().try_get_matches_from(&arguments);
    let parsed = matches.and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (mut cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) if error.use_stderr() => {
            report(&usage::complaint(&error, &command, &arguments));
            return BAD;
        }
        // Help, or the version.
        Err(error) => return ended(print(&error.render().ansi().to_string()).map(|()| DONE)),
    };
    output::set_quiet(cli.terminal.quiet);
    anstream::ColorChoice::from(cli.terminal.color).write_global();
    let ready = check(&command, &matches).and_then(|()| cli.settle_format(&matches));
    let printed = ready.map_err(Failure::from).and_then(|()| answer(cli)).and_then(|(text, code)| {
        print(&text)?;
        Ok(code)
    });
    printed.unwrap_or_else(|failed| {
        let by_variables = usage::from_variables(&failed.error, &command, &matches);
        report(&format!("{}{by_variables}", failed.error));
        failed.code
    })
}

/// The text to print, and the exit code.
fn answer(cli: Cli) -> Result<(String, u8), Failure> {
    let text = match cli.command.unwrap_or(Command::Show(ShowArgs { plot: None, input: cli.input })) {
        Command::Show(args) => commands::show(&args),
        Command::Place(args) => commands::place(&args),
        Command::Ranks(args) => commands::ranks(&args),
        Command::Cpus(args) => commands::cpus(&args),
        Command::Plan(args) => commands::plan(&args),
        Command::Exec(args) => return Ok((commands::exec(&args)?, DONE)),
        Command::Run(args) => return commands::run(&args),
        Command::Diff(args) => return Ok(commands::diff(&args)?),
        Command::Audit(args) => return Ok(commands::audit(&args)?),
        Command::Report(args) => commands::report(&args),
        Command::Baseline(args) => commands::baseline(&args),
        Command::Drill(args) => commands::drill(&args),
        Command::Fleet(args) => commands::fleet(&args),
        Command::Validate(args) => return commands::validate(&args),
        Command::Compare(args) => return commands::compare(&args),
        Command::Snapshot(args) => commands::snapshot(&args),
        Command::Draw(args) => commands::draw(&args),
        Command::Convert(args) => commands::convert(&args),
        Command::Simulate(args) => commands::simulate(&args),
        Command::K8s(args) => return Ok(commands::k8s(&args)?),
        Command::Presets(args) => commands::presets(&args),
        Command::Completions(args) => commands::completions(&args),
    };
    Ok((text?, DONE))
}

/// The exit code. What went wrong is told.
fn ended(outcome: Result<u8, impl Into<Failure>>) -> u8 {
    outcome.unwrap_or_else(|failed| {
        let Failure { error, code } = failed.into();
        report(&error.to_string());
        code
    })
}

/// The arguments of the command, as completions, manuals and tests read them.
#[doc(hidden)]
pub fn command() -> clap::Command {
    with_variables(Cli::command())
}

/// The names of the long options of all subcommands, as other faces find them in messages.
#[doc(hidden)]
pub fn options() -> BTreeSet<String> {
    fn collect(command: &clap::Command, options: &mut BTreeSet<String>) {
        options.extend(command.get_arguments().filter_map(clap::Arg::get_long).map(str::to_owned));
        command.get_subcommands().for_each(|command| collect(command, options));
    }
    let mut options = BTreeSet::new();
    collect(&Cli::command(), &mut options);
    options
}

/// Deepspeed puts its `--local_rank=N` right behind the program's name: it belongs to the subcommand that follows.
fn in_order<A: Into<OsString>>(arguments: impl IntoIterator<Item = A>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    let rank = |word: &OsString| word.to_str().is_some_and(|word| word.starts_with("--local_rank="));
    if arguments.len() > 2 && rank(&arguments[1]) {
        arguments.swap(1, 2);
    }
    arguments
}
