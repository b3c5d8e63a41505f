//! The arguments of `nvtopo draw`.

use super::binding::CpuArgs;
use super::choice::ChoiceArgs;
use super::input::{RateArgs, SourceArgs, any_picture};
use clap::{Args, ValueEnum};
use nvtopo_draw::{PictureFormat, Theme};
use std::path::PathBuf;

/// The ending of the file's name says the format: SVG for documents, HTML for a page to click in, which needs no network, or PNG.
/// With --gpus, the GPUs that `place` would choose are highlighted.
#[derive(Args, Debug)]
pub(crate) struct DrawArgs {
    /// File to write: .svg, .html or .png; - for standard output
    #[arg(short, long, value_name = "FILE", value_parser = any_picture())]
    pub(crate) output: PathBuf,
    /// Format, whatever the file is named [default: what its ending says, else svg]
    #[arg(long = "as", value_name = "FORMAT")]
    pub(crate) format: Option<DrawnAs>,
    /// Highlight the best set of so many GPUs
    #[arg(long, value_name = "N")]
    pub(crate) gpus: Option<usize>,
    /// Colours; auto: as the viewer prefers, light in a PNG
    #[arg(long, value_name = "THEME", default_value = "auto")]
    pub(crate) theme: DrawnTheme,
    /// Pixels of a PNG for each unit of the drawing, at most 8 [default: 2]
    #[arg(long, value_name = "FACTOR")]
    pub(crate) scale: Option<f32>,
    #[command(flatten)]
    pub(crate) choice: ChoiceArgs,
    #[command(flatten)]
    pub(crate) cpus: CpuArgs,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) rates: RateArgs,
}

/// A format of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DrawnAs {
    Svg,
    Html,
    Png,
}

impl From<DrawnAs> for PictureFormat {
    fn from(drawn: DrawnAs) -> Self {
        match drawn {
            DrawnAs::Svg => Self::Svg,
            DrawnAs::Html => Self::Html,
            DrawnAs::Png => Self::Png,
        }
    }
}

/// The colours of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DrawnTheme {
    Auto,
    Light,
    Dark,
}

impl From<DrawnTheme> for Theme {
    fn from(theme: DrawnTheme) -> Self {
        match theme {
            DrawnTheme::Auto => Self::Auto,
            DrawnTheme::Light => Self::Light,
            DrawnTheme::Dark => Self::Dark,
        }
    }
}
