//! The answer without the feature `png`.

use nvtopo::{Error, Result};

pub(crate) fn draw(_svg: &str, _scale: f32) -> Result<Vec<u8>> {
    Err(Error::request("PNG is not built in")
        .help("draw it as svg, or build with the feature png of nvtopo-draw"))
}
