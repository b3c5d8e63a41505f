//! Pictures as pixels, by resvg.

#[cfg(not(feature = "png"))]
mod disabled;
#[cfg(feature = "png")]
mod enabled;

#[cfg(not(feature = "png"))]
pub(crate) use disabled::draw;
#[cfg(feature = "png")]
pub(crate) use enabled::draw;
