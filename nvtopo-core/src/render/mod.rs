//! What is printed: one file for each output format. Nothing here computes a placement or reads a source.

mod json;
mod launch;
pub mod places;
mod selection;
#[cfg(feature = "text")]
pub mod text;
pub mod words;

use crate::error::{Error, Result};
use crate::model::Topology;
use crate::solve::mig::InstancePlacement;
use crate::solve::{Explanation, Placement, Plan, RankMap, Shares};
pub use launch::{LAUNCH_FORMATS, LaunchFormat, LaunchMemory, launch_format};
pub use selection::{SELECTION_FORMATS, SelectionFormat, selection_format};

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether to colour with ANSI codes. Formats for programs ignore it.
    pub color: bool,
    /// Whether to leave out notes and remarks. Formats for programs ignore it.
    pub quiet: bool,
    /// The columns that a terminal has. Matrices are broken into blocks that fit. `None`: there is no limit.
    pub width: Option<usize>,
}

/// An output format. Each answer ends with a line break.
pub trait Render: Sync {
    /// The name after `--format`.
    fn name(&self) -> &'static str;

    /// The machine: its devices, the paths between them, their CPUs.
    fn topology(&self, topology: &Topology, style: Style) -> String;

    /// A placement.
    fn placement(&self, placement: &Placement, style: Style) -> String;

    /// A placement, and what would have been chosen instead.
    fn explanation(&self, explanation: &Explanation, style: Style) -> String;

    /// Where a new instance of a divided GPU should lie.
    fn instance(&self, topology: &Topology, placement: &InstancePlacement, style: Style) -> String;

    /// Which rank of a job uses which GPU.
    fn ranks(&self, map: &RankMap, style: Style) -> String;

    /// The CPUs of each GPU.
    fn shares(&self, topology: &Topology, shares: &Shares, style: Style) -> String;

    /// What each rank gets.
    fn plan(&self, plan: &Plan, style: Style) -> String;

    /// The presets that there are.
    fn presets(&self, style: Style) -> String;
}

/// Every output format; the first is what people get.
pub static RENDERERS: &[&dyn Render] = &[
    #[cfg(feature = "text")]
    &text::Text,
    &json::Json,
];

/// An output format by its name.
///
/// ```
/// use nvtopo::render::{Style, by_name};
///
/// let topology = nvtopo::Topology::preset("gh200")?;
/// let json = by_name("json")?.topology(&topology, Style::default());
/// assert!(json.contains("\"devices\""));
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn by_name(name: &str) -> Result<&'static dyn Render> {
    RENDERERS.iter().copied().find(|render| render.name() == name).ok_or_else(|| {
        let names: Vec<&str> = RENDERERS.iter().map(|render| render.name()).collect();
        Error::request(format!("there is no format '{name}'")).help(format!("there are {}", names.join(", ")))
    })
}
