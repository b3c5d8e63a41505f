//! Pixels by resvg, with letters that are there wherever it runs.

use nvtopo::{Error, Result};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::Database;
use resvg::usvg::{Options, Tree};
use std::sync::Arc;

/// Latin letters of `DejaVu` Sans; its license is beside them.
const FONTS: [&[u8]; 2] = [
    include_bytes!("../../fonts/DejaVuSans-subset.ttf"),
    include_bytes!("../../fonts/DejaVuSans-Bold-subset.ttf"),
];

/// The most pixels: 400 MB of memory.
const MOST: f64 = 1e8;

pub(crate) fn draw(svg: &str, scale: f32) -> Result<Vec<u8>> {
    let mut fonts = Database::new();
    for font in FONTS {
        fonts.load_font_data(font.to_vec());
    }
    let options =
        Options { font_family: "DejaVu Sans".to_owned(), fontdb: Arc::new(fonts), ..Options::default() };
    let tree = Tree::from_str(svg, &options)
        .map_err(|error| Error::request(format!("the picture cannot be drawn: {error}")))?;
    let (width, height) = (tree.size().width() * scale, tree.size().height() * scale);
    let too_large = || {
        Error::request(format!("the picture would have {width:.0} × {height:.0} pixels"))
            .help("choose a smaller scale, or draw it as svg")
    };
    if f64::from(width) * f64::from(height) > MOST {
        return Err(too_large());
    }
    let mut pixels = Pixmap::new(width.ceil() as u32, height.ceil() as u32).ok_or_else(too_large)?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| Error::request(format!("the picture cannot be written: {error}")))
}
