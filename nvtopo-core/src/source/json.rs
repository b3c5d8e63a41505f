//! nvtopo's own JSON.

use super::{Input, Source};
use crate::error::{Error, Result};
use crate::model::Fragment;

pub(super) struct Json;

impl Source for Json {
    fn name(&self) -> &'static str {
        "nvtopo JSON"
    }

    fn recognizes(&self, _input: Input<'_>) -> bool {
        false
    }

    fn read(&self, _input: Input<'_>) -> Result<Fragment> {
        Err(Error::input("not yet"))
    }
}
