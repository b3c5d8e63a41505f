//! Output formats, one file or folder each. Placements are computed in [`crate::solve`], sources read in [`crate::source`].

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

/// The style of text for people: colour, notes, width. Formats for programs ignore it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Style {
    /// True to colour with ANSI codes.
    pub color: bool,
    /// True to leave out notes and remarks.
    pub quiet: bool,
    /// The columns of the terminal; wider matrices are split into blocks. `None`: no limit.
    pub width: Option<usize>,
}

impl Style {
    /// Colours with ANSI codes, or does not.
    #[must_use]
    pub const fn with_color(mut self, color: bool) -> Self {
        self.color = color;
        self
    }

    /// Leaves out notes and remarks, or prints them.
    #[must_use]
    pub const fn with_quiet(mut self, quiet: bool) -> Self {
        self.quiet = quiet;
        self
    }

    /// Sets the number of columns; `None`: no limit.
    #[must_use]
    pub const fn with_width(mut self, width: Option<usize>) -> Self {
        self.width = width;
        self
    }
}

/// Keeps [`Render`] to this module, so that a new answer breaks nobody.
mod sealed {
    pub trait Sealed {}
}

/// An output format. Each output ends with a line break. Only this crate implements it.
pub trait Render: Sync + sealed::Sealed {
    /// Returns the name after `--format`.
    fn name(&self) -> &'static str;

    /// Renders the machine: its devices, the paths between them, their CPUs.
    fn topology(&self, topology: &Topology, style: Style) -> String;

    /// Renders a placement.
    fn placement(&self, placement: &Placement, style: Style) -> String;

    /// Renders a placement with its alternatives.
    fn explanation(&self, explanation: &Explanation, style: Style) -> String;

    /// Renders the placement of a new MIG instance.
    fn instance(&self, topology: &Topology, placement: &InstancePlacement, style: Style) -> String;

    /// Renders the mapping of ranks to GPUs.
    fn ranks(&self, map: &RankMap, style: Style) -> String;

    /// Renders the CPUs of each GPU.
    fn shares(&self, topology: &Topology, shares: &Shares, style: Style) -> String;

    /// Renders the parts of all ranks.
    fn plan(&self, plan: &Plan, style: Style) -> String;

    /// Renders the list of presets.
    fn presets(&self, style: Style) -> String;
}

/// Every output format; the first is the default for people.
pub static RENDERERS: &[&dyn Render] = &[
    #[cfg(feature = "text")]
    &text::Text,
    &json::Json,
];

/// Returns an output format by its name.
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
