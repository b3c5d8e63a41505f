//! The `nvtopo` command as a library: arguments in, exit code out. It parses, calls the core, and prints; beside
//! starting the ranks of `run`, it holds no logic of its own.

mod args;
mod commands;
#[cfg(unix)]
mod launch;

use args::{Cli, Command, ShowArgs, with_variables};
use clap::{CommandFactory as _, FromArgMatches as _};
use nvtopo::ErrorKind;
use std::ffi::OsString;
use std::io::Write;

/// Done.
const DONE: u8 = 0;
/// The request is sound, but this machine cannot satisfy it.
const UNSATISFIABLE: u8 = 1;
/// Bad usage or input.
const BAD: u8 = 2;

/// Runs the command and gives its exit code: 0 done, 1 the request cannot be satisfied, 2 bad usage or input.
/// `exec` does not come back when it succeeds; `run` gives the code of the first rank that failed.
///
/// ```
/// assert_eq!(nvtopo_cli::run(["nvtopo", "place", "--gpus", "9", "--from", "preset:dgx-h100"]), 1);
/// ```
pub fn run<A: Into<OsString> + Clone>(arguments: impl IntoIterator<Item = A>) -> u8 {
    let matches = command().try_get_matches_from(in_order(arguments));
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // Clap prints help to standard output and errors to standard error. A closed pipe is no failure.
            let _ = error.print();
            return if error.use_stderr() { BAD } else { DONE };
        }
    };
    let mut code = DONE;
    let answer = match cli.command.unwrap_or(Command::Show(ShowArgs { plot: None, input: cli.input })) {
        Command::Show(args) => commands::show(&args),
        Command::Place(args) => commands::place(&args),
        Command::Ranks(args) => commands::ranks(&args),
        Command::Cpus(args) => commands::cpus(&args),
        Command::Plan(args) => commands::plan(&args),
        Command::Exec(args) => commands::exec(&args),
        Command::Run(args) => commands::run(&args).map(|(text, ended)| {
            code = ended;
            text
        }),
        Command::Snapshot(args) => commands::snapshot(&args),
        Command::Simulate(args) => commands::simulate(&args),
        Command::Presets(args) => commands::presets(&args),
    };
    match answer {
        Ok(text) => {
            // A reader that closes the pipe early, such as `head`, wants no more.
            let _ = anstream::stdout().write_all(text.as_bytes());
            code
        }
        Err(error) => {
            report(&error.to_string());
            if error.kind() == ErrorKind::Unsatisfiable { UNSATISFIABLE } else { BAD }
        }
    }
}

/// The arguments of the command, as completions, manuals and tests read them.
#[doc(hidden)]
pub fn command() -> clap::Command {
    with_variables(Cli::command())
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

/// A line on standard error, written at once: several ranks may write there.
fn report(text: &str) {
    let _ = anstream::stderr().write_all(format!("nvtopo: {text}\n").as_bytes());
}
