//! The options for sources of a topology and for the format of answers.

use super::{Cli, Command};
use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, ValueEnum};
use nvtopo::source::Locator;
use nvtopo::{Error, Result};
use nvtopo_draw::{PictureFormat, RENDERERS};
use std::path::{Path, PathBuf};

/// The options for sources of a topology and for the format of answers.
#[derive(Args, Debug)]
pub(crate) struct InputArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) rates: RateArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Args, Debug)]
pub(crate) struct SourceArgs {
    /// Source of the topology: live (this machine), hwloc (this machine by libhwloc, where it is built in),
    /// preset:NAME, a file (an output of nvidia-smi, lspci, lscpu, numactl, ibstat, nvbandwidth or another such tool;
    /// Slurm's gres.conf and slurmd -C; Kubernetes' `ResourceSlices`; hwloc's or NCCL's XML; nvtopo's JSON; a snapshot or
    /// other archive), a directory (recorded /sys and /proc, saved outputs), or - for standard input. Several are merged
    #[arg(long, value_name = "SOURCE", default_value = "live")]
    pub(crate) from: Vec<Locator>,
}

/// The option for the rate by which links count.
#[derive(Args, Debug)]
pub(crate) struct RateArgs {
    /// Count links by what the hardware reports of them, where it does, and not by what their generation can do
    #[arg(long)]
    pub(crate) reported: bool,
}

#[derive(Args, Debug)]
pub(crate) struct OutputArgs {
    /// Format of the answer
    #[arg(long, value_name = "FORMAT", default_value = RENDERERS[0].name(), value_parser = formats())]
    pub(crate) format: String,
    #[command(flatten)]
    pub(crate) json: JsonArgs,
}

/// The short way to say `--format json`. [`Cli::settle_format`](super::Cli::settle_format) makes it that.
#[derive(Args, Debug)]
pub(crate) struct JsonArgs {
    /// The same as --format json
    #[arg(long = "json")]
    pub(crate) json: bool,
}

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
            Some(Command::Diff(args)) => &mut args.output,
            Some(
                Command::Exec(_)
                | Command::Run(_)
                | Command::K8s(_)
                | Command::Audit(_)
                | Command::Report(_)
                | Command::Baseline(_)
                | Command::Drill(_)
                | Command::Fleet(_)
                | Command::Validate(_)
                | Command::Compare(_)
                | Command::Draw(_)
                | Command::Snapshot(_)
                | Command::Convert(_)
                | Command::Completions(_),
            ) => return None,
        };
        Some((&mut output.format, output.json.json))
    }
}

/// The options that all commands have.
#[derive(Args, Debug)]
pub(crate) struct TerminalArgs {
    /// Leave out notes and remarks. Errors are still told
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Colours; auto: on a terminal, where neither `NO_COLOR` nor `TERM=dumb` is set
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto")]
    pub(crate) color: ColorWhen,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ColorWhen {
    Auto,
    Always,
    Never,
}

impl From<ColorWhen> for anstream::ColorChoice {
    fn from(when: ColorWhen) -> Self {
        match when {
            ColorWhen::Auto => Self::Auto,
            ColorWhen::Always => Self::Always,
            ColorWhen::Never => Self::Never,
        }
    }
}

fn formats() -> clap::builder::PossibleValuesParser {
    RENDERERS.iter().map(|render| render.name()).collect::<Vec<_>>().into()
}

/// The file of a picture of any format. One that is named as another kind of picture is refused: no viewer would open it.
pub(super) fn any_picture() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| match PictureFormat::of_file(&path) {
        Some(_) => Ok(path),
        None => refused(&path, "SVG, HTML or PNG"),
    })
}

/// The file of a picture that is drawn as SVG only.
pub(super) fn picture() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(picture_file)
}

fn picture_file(path: PathBuf) -> Result<PathBuf> {
    match PictureFormat::of_file(&path) {
        Some(PictureFormat::Svg) => Ok(path),
        _ => refused(&path, "SVG"),
    }
}

fn refused(path: &Path, drawn: &str) -> Result<PathBuf> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let (kind, svg) = (ending.to_ascii_uppercase(), path.with_extension("svg"));
    let (svg, other) = (svg.display(), path.display());
    Err(Error::wrong_use(
        format!("{other} would be a {kind}, and pictures are drawn as {drawn}"),
        format!("name it {svg}, and convert it where needed: rsvg-convert {svg} -o {other}"),
    ))
}
