//! A picture of a machine, and the formats that it is drawn in.

use crate::svg::{self, Theme};
use nvtopo::{Error, Placement, Result, Topology};
use std::path::Path;

/// The formats of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PictureFormat {
    /// A vector graphic, for documents and notebooks.
    Svg,
    /// A page that stands alone, for a browser.
    Html,
    /// Pixels. Needs the feature `png`.
    Png,
}

impl PictureFormat {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Svg, Self::Html, Self::Png];

    /// Returns its name, which is also the ending of its files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Svg => "svg",
            Self::Html => "html",
            Self::Png => "png",
        }
    }

    /// Finds a format by its name.
    ///
    /// Errors where there is no such format, and says which there are.
    pub fn by_name(name: &str) -> Result<Self> {
        let same = |format: &Self| format.name().eq_ignore_ascii_case(name);
        Self::ALL.into_iter().find(same).ok_or_else(|| {
            Error::request(format!("there is no picture '{name}'")).help("there are svg, html and png")
        })
    }

    /// Finds the format that the ending of a file's name says; SVG where it says none of the formats. `None`: the ending is
    /// that of another kind of picture.
    ///
    /// ```
    /// use nvtopo_draw::PictureFormat;
    ///
    /// assert_eq!(PictureFormat::of_file("node7.html".as_ref()), Some(PictureFormat::Html));
    /// assert_eq!(PictureFormat::of_file("node7.gif".as_ref()), None);
    /// ```
    pub fn of_file(path: &Path) -> Option<Self> {
        const OTHER_KINDS: [&str; 10] =
            ["jpg", "jpeg", "gif", "webp", "pdf", "eps", "ps", "bmp", "tif", "tiff"];
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let ending = ending.to_ascii_lowercase();
        match ending.as_str() {
            "htm" => Some(Self::Html),
            other if OTHER_KINDS.contains(&other) => None,
            other => Some(Self::by_name(other).unwrap_or(Self::Svg)),
        }
    }
}

/// A picture of a machine, with what was chosen of it where that is to be seen.
///
/// ```
/// use nvtopo::{Request, Topology};
/// use nvtopo_draw::Picture;
///
/// let dgx1 = Topology::preset("dgx-1-v100")?;
/// let placement = Request::gpus(2).solve(&dgx1)?;
/// let picture = Picture::new(&dgx1).with_placement(&placement).svg();
/// assert!(picture.contains("Chosen: GPU0 GPU3"));
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    topology: &'a Topology,
    placement: Option<&'a Placement>,
    theme: Theme,
    scale: f32,
    bare: bool,
}

impl<'a> Picture<'a> {
    /// The greatest scale of pixels.
    pub const MAX_SCALE: f32 = 8.0;

    /// Creates the picture of a machine, in the colours that its viewer prefers.
    pub const fn new(topology: &'a Topology) -> Self {
        Self { topology, placement: None, theme: Theme::Auto, scale: 1.0, bare: false }
    }

    /// Highlights what was chosen.
    #[must_use]
    pub const fn with_placement(mut self, placement: &'a Placement) -> Self {
        self.placement = Some(placement);
        self
    }

    /// Sets the colours.
    #[must_use]
    pub const fn with_theme(mut self, theme: Theme) -> Self {
        self.theme = theme;
        self
    }

    /// Sets the pixels of a PNG for each unit of the drawing, 1 at first.
    #[must_use]
    pub const fn with_scale(mut self, scale: f32) -> Self {
        self.scale = scale;
        self
    }

    /// Draws devices and links alone in SVG and PNG: a document around the picture has the machine's name, the matrix, the
    /// placement and the notes.
    #[must_use]
    pub const fn bare(mut self) -> Self {
        self.bare = true;
        self
    }

    /// Draws it as SVG.
    pub fn svg(&self) -> String {
        svg::picture(self.topology, self.placement, self.theme, self.bare)
    }

    /// Draws it as a page that needs no network: what links carry, the matrix of paths, and what belongs to the GPUs that one
    /// clicks.
    pub fn html(&self) -> String {
        crate::html::page(self.topology, self.placement, self.theme)
    }

    /// Draws it as PNG; light where the theme is the viewer's.
    ///
    /// Errors where the scale is not above 0 and at most [`MAX_SCALE`](Self::MAX_SCALE), where the picture would have too
    /// many pixels, and without the feature `png`.
    pub fn png(&self) -> Result<Vec<u8>> {
        if !(self.scale > 0.0 && self.scale <= Self::MAX_SCALE) {
            return Err(Error::request(format!("{} is no scale of a picture", self.scale))
                .help(format!("a scale is above 0 and at most {}", Self::MAX_SCALE)));
        }
        let theme = if self.theme == Theme::Auto { Theme::Light } else { self.theme };
        crate::png::draw(&self.with_theme(theme).svg(), self.scale)
    }

    /// Draws it in a format.
    ///
    /// Errors as [`png`](Self::png) does.
    pub fn draw(&self, format: PictureFormat) -> Result<Vec<u8>> {
        match format {
            PictureFormat::Svg => Ok(self.svg().into_bytes()),
            PictureFormat::Html => Ok(self.html().into_bytes()),
            PictureFormat::Png => self.png(),
        }
    }
}
