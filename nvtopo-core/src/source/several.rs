//! Texts with the outputs of several tools, one after the other: each is read by its own reader, and all are merged.
//!
//! The text is cut where a line names a tool or begins its output. A reader gets the whole text with the lines of
//! the others left empty, so that places in messages are those of the input.

use super::measured::{NvBandwidth, P2pTest, Perftest};
use super::nvlink_status::NvLinkStatus;
use super::smi_matrix::{self, P2pMatrix, SmiMatrix};
use super::{Source, text};
use crate::error::Result;
use crate::model::{Fragment, TopologyBuilder};

/// The formats that stand together in one text, in the order in which they are merged: first the one that knows most of
/// the machine. The text of a later one is the more specific.
static FORMATS: [&dyn Source; 6] = [&SmiMatrix, &NvLinkStatus, &P2pMatrix, &NvBandwidth, &P2pTest, &Perftest];

/// Words of a line that names a tool, or begins its output.
const BEGINNINGS: [&str; 15] = [
    "nvidia-smi",
    "topo -",
    "-p2p",
    "--p2pstatus",
    "nvbandwidth",
    "Running ",
    "GPU(row)",
    "GPU(column)",
    "p2pBandwidthLatencyTest",
    "GPU Bandwidth Latency Test",
    "P2P Connectivity Matrix",
    "directional P2P=",
    "ib_write_bw",
    "ib_read_bw",
    " BW Test",
];

/// Reads the texts of several formats and merges them; `None` where there are not several.
///
/// `first` is the format that recognizes the text as a whole.
pub(super) fn read(bytes: &[u8], first: &dyn Source) -> Option<Result<Fragment>> {
    if !FORMATS.iter().any(|format| format.name() == first.name()) {
        return None;
    }
    let (text, _) = text::decode(bytes);
    let lines: Vec<&str> = text::raw_lines(&text).collect();
    let formats = formats(&lines);
    let first = formats.iter().flatten().next()?;
    if formats.iter().flatten().all(|format| format == first) {
        return None;
    }
    let mut fragments = TopologyBuilder::new();
    for (format, source) in FORMATS.iter().enumerate().filter(|(format, _)| formats.contains(&Some(*format)))
    {
        // A line that is of no format may belong to what stands before it, or after it.
        let own = |of: &Option<usize>| of.is_none_or(|of| of == format);
        let shown: Vec<&str> =
            lines.iter().zip(&formats).map(|(line, of)| if own(of) { *line } else { "" }).collect();
        match source.read(shown.join("\n").as_bytes()) {
            Ok(fragment) => fragments = fragments.with(fragment),
            Err(error) => return Some(Err(error)),
        }
    }
    Some(fragments.merged())
}

/// Returns the format of each line, by its number in [`FORMATS`].
fn formats(lines: &[&str]) -> Vec<Option<usize>> {
    let mut formats = Vec::with_capacity(lines.len());
    let mut from = 0;
    for to in 1..=lines.len() {
        if lines.get(to).is_none_or(|line| begins(line)) {
            formats.resize(to, format(&lines[from..to].join("\n")));
            from = to;
        }
    }
    formats
}

fn format(part: &str) -> Option<usize> {
    let format = FORMATS.iter().rposition(|source| source.recognizes(part.as_bytes()))?;
    // A header by itself may be that of any matrix, or prose.
    (format > 0 || smi_matrix::has_row(part)).then_some(format)
}

/// Returns whether the output of a tool, or a part of it, may begin with this line.
fn begins(line: &str) -> bool {
    let gpu = || {
        let number = line.trim_start().strip_prefix("GPU ");
        number.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    BEGINNINGS.iter().any(|words| line.contains(words)) || gpu() || smi_matrix::is_header(line)
}
