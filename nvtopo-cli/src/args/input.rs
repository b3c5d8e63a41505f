//! Where a topology comes from, and how answers are printed.

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Args, ValueEnum};
use nvtopo::render::RENDERERS;
use nvtopo::source::Locator;
use nvtopo::{Error, Result};
use std::path::PathBuf;

/// Where the topology comes from, and how answers are printed.
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
    /// Where to read the topology: live (this machine), hwloc (this machine by libhwloc, where it is built in),
    /// preset:NAME, a file (a text of nvidia-smi: topo -m, nvlink --status, topo -p2p; hwloc's XML, nvtopo's JSON,
    /// nvbandwidth, p2pBandwidthLatencyTest, `ib_write_bw`, a snapshot), a directory with a recorded /sys and /proc, or -
    /// for standard input. Several are merged
    #[arg(long, value_name = "SOURCE", default_value = "live")]
    pub(crate) from: Vec<Locator>,
}

/// How fast links count, where that decides something.
#[derive(Args, Debug)]
pub(crate) struct RateArgs {
    /// Count links by what the hardware reports of them, where it does, and not by what their generation can do
    #[arg(long)]
    pub(crate) reported: bool,
}

#[derive(Args, Debug)]
pub(crate) struct OutputArgs {
    /// How to print the answer
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

/// The options that all commands have.
#[derive(Args, Debug)]
pub(crate) struct TerminalArgs {
    /// Leave out notes and remarks. Errors are still told
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// When to colour; auto: on a terminal, where neither `NO_COLOR` nor `TERM=dumb` is set
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

/// The file of a picture. One that is named as another kind of picture than SVG is refused: no viewer would open it.
pub(super) fn picture() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(picture_file)
}

fn picture_file(path: PathBuf) -> Result<PathBuf> {
    const OTHER_KINDS: [&str; 11] =
        ["png", "jpg", "jpeg", "gif", "webp", "pdf", "eps", "ps", "bmp", "tif", "tiff"];
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if !OTHER_KINDS.contains(&extension.to_ascii_lowercase().as_str()) {
        return Ok(path);
    }
    let (kind, svg) = (extension.to_ascii_uppercase(), path.with_extension("svg"));
    let (svg, other) = (svg.display(), path.display());
    Err(Error::wrong_use(
        format!("{other} would be a {kind}, and pictures are drawn as SVG"),
        format!("name it {svg}, and convert it where needed: rsvg-convert {svg} -o {other}"),
    ))
}
