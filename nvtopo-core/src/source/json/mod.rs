//! nvtopo's own JSON: the whole topology in one versioned document, written and read without loss.
//!
//! The structs of the document are in [`document`]; model types are not serialized as they are, so that the model
//! can change without the format. Keys beside `format`, `version` and `topology` are for derived facts (the matrix,
//! groups, affinities), and are ignored when it is read.

mod document;
mod read;
mod text;
mod values;
mod write;

use super::{Input, TextFormat, WriteOptions, Written};
use crate::error::Result;
use crate::model::{Fragment, Topology};
pub(crate) use document::Document;
pub(crate) use text::to_text;
pub(super) use values::Text;

/// The version that is written, and the latest that is read.
pub(crate) const VERSION: u32 = 1;

pub(super) struct Json;

impl TextFormat for Json {
    const NAME: &'static str = "nvtopo JSON";

    fn recognizes(input: &Input<'_>) -> bool {
        without_mark(input.bytes()).trim_ascii_start().starts_with(b"{")
    }

    fn read(bytes: &[u8]) -> Result<Fragment> {
        read::read(without_mark(bytes))
    }
}

/// Writes the document; there is nothing that it cannot tell.
#[allow(clippy::unnecessary_wraps, reason = "the type of all writers")]
pub(super) fn write(topology: &Topology, _options: &WriteOptions) -> Result<Written> {
    Ok(Written::new(topology.to_json()))
}

/// Returns the bytes without the byte order mark that editors on some systems put first.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

impl Topology {
    /// Returns the topology as a document that [`parse`](Self::parse) and [`open`](Self::open) read back, equal in
    /// everything.
    ///
    /// ```
    /// use nvtopo::Topology;
    ///
    /// let written = Topology::preset("dgx-a100")?;
    /// let read = Topology::parse("dgx-a100.json", written.to_json().as_bytes())?;
    /// assert_eq!(read, written);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn to_json(&self) -> String {
        to_text(&Document::of(self))
    }
}
