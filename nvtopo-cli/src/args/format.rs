//! The format of an answer, which two options name.

use super::{Cli, Command};
use clap::ArgMatches;
use clap::parser::ValueSource;
use nvtopo::{Error, Result};

impl Cli {
    /// Makes `--json` what it stands for. What stands on the command line counts before a variable.
    ///
    /// Errors where two different formats are asked for in the same way.
    pub(crate) fn settle_format(&mut self, matches: &ArgMatches) -> Result<()> {
        let Some((format, true)) = self.format() else { return Ok(()) };
        let matches = matches.subcommand().map_or(matches, |(_, matches)| matches);
        let source = |name| matches.value_source(name).filter(|source| *source != ValueSource::DefaultValue);
        match (source("json"), source("format")) {
            (Some(ValueSource::EnvVariable), Some(ValueSource::CommandLine)) => {}
            (json, other) if json == other && format != "json" => {
                let advice = "give one of the two";
                return Err(Error::wrong_use(
                    format!("--json and --format {format} are two formats"),
                    advice,
                ));
            }
            _ => "json".clone_into(format),
        }
        Ok(())
    }

    /// The format that is asked for, and whether `--json` is too; `None` for commands that print no answer.
    fn format(&mut self) -> Option<(&mut String, bool)> {
        let output = match &mut self.command {
            None => &mut self.input.output,
            Some(Command::Place(args)) => return Some((&mut args.format, args.json.json)),
            Some(Command::Plan(args)) => return Some((&mut args.format, args.json.json)),
            Some(Command::Show(args)) => &mut args.input.output,
            Some(Command::Ranks(args)) => &mut args.input.output,
            Some(Command::Cpus(args)) => &mut args.output,
            Some(Command::Simulate(args)) => &mut args.input.output,
            Some(Command::Presets(args)) => &mut args.output,
            Some(Command::Exec(_) | Command::Run(_) | Command::K8s(_) | Command::Snapshot(_)) => return None,
        };
        Some((&mut output.format, output.json.json))
    }
}
