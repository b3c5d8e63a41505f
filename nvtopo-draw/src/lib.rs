//! Answers for people: tables as text, and pictures. What they show is computed by the core, which has the formats for programs.

pub mod html;
mod picture;
mod places;
mod png;
pub mod svg;
pub mod text;
pub mod words;

use nvtopo::diff::Diff;
use nvtopo::render::json;
use nvtopo::solve::Explanation;
use nvtopo::solve::mig::InstancePlacement;
use nvtopo::{Error, Placement, Plan, RankMap, Result, Shares, Topology};
pub use picture::{Picture, PictureFormat};
pub use svg::Theme;

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

    /// Renders the differences between two machines.
    fn diff(&self, diff: &Diff, style: Style) -> String;

    /// Renders the list of presets.
    fn presets(&self, style: Style) -> String;
}

/// JSON for programs, by the core.
struct Json;

impl sealed::Sealed for Json {}

impl Render for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn topology(&self, topology: &Topology, _style: Style) -> String {
        json::topology(topology)
    }

    fn placement(&self, placement: &Placement, _style: Style) -> String {
        json::placement(placement)
    }

    fn explanation(&self, explanation: &Explanation, _style: Style) -> String {
        json::explanation(explanation)
    }

    fn instance(&self, topology: &Topology, placement: &InstancePlacement, _style: Style) -> String {
        json::instance(topology, placement)
    }

    fn ranks(&self, map: &RankMap, _style: Style) -> String {
        json::ranks(map)
    }

    fn shares(&self, topology: &Topology, shares: &Shares, _style: Style) -> String {
        json::shares(topology, shares)
    }

    fn plan(&self, plan: &Plan, _style: Style) -> String {
        json::plan(plan)
    }

    fn diff(&self, diff: &Diff, _style: Style) -> String {
        json::diff(diff)
    }

    fn presets(&self, _style: Style) -> String {
        json::presets()
    }
}

/// Every output format; the first is the default for people.
pub static RENDERERS: &[&dyn Render] = &[&text::Text, &Json];

/// Returns an output format by its name.
///
/// ```
/// use nvtopo_draw::{Style, by_name};
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
