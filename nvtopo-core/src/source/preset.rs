//! Presets: the published layouts of products.

use crate::error::{Error, Result};
use crate::model::Fragment;

/// A product whose published layout nvtopo knows.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Preset {
    /// The name after `preset:`.
    pub name: &'static str,
    /// One line about the machine.
    pub summary: &'static str,
}

/// Every preset.
pub static PRESETS: &[Preset] = &[];

pub(super) fn read(name: &str) -> Result<Fragment> {
    Err(Error::request(format!("there is no preset '{name}'")))
}
