//! The text of `p2pBandwidthLatencyTest` of NVIDIA's CUDA samples.

use super::{Content, Device, Direction, LeftOut, Line, read};
use crate::error::Result;
use crate::model::Fragment;
use crate::source::{Input, TextFormat};

pub(in crate::source) struct P2pTest;

impl TextFormat for P2pTest {
    const NAME: &'static str = "the output of p2pBandwidthLatencyTest";
    const BEGINNINGS: &'static [&'static str] = &[
        "p2pBandwidthLatencyTest",
        "GPU Bandwidth Latency Test",
        "P2P Connectivity Matrix",
        "directional P2P=",
    ];

    fn recognizes(input: &Input<'_>) -> bool {
        [HEADING, "P2P=Enabled Bandwidth", "P2P=Disabled Bandwidth", CONNECTIVITY]
            .into_iter()
            .any(|words| input.decoded().contains(words))
    }

    fn read(bytes: &[u8]) -> Result<Fragment> {
        read(bytes, "p2pBandwidthLatencyTest", |line| {
            if line.contains("Unidirectional P2P=Enabled Bandwidth") {
                // With `-p2p_read` a row's GPU copies from that of the column.
                let reads = line.contains("P2P Reads");
                let direction = if reads { Direction::ToRow } else { Direction::FromRow };
                Line::Matrix { content: Content::Figures(direction), one_row: true }
            } else if line.contains(CONNECTIVITY) {
                Line::Matrix { content: Content::Access, one_row: true }
            } else if line.contains("P2P=") {
                let what = [
                    ("Bidirectional", "its figures of both directions at once are left out"),
                    ("P2P=Disabled", "its figures without peer-to-peer access are left out"),
                ];
                let why = what.into_iter().find(|(word, _)| line.contains(word));
                Line::Other(why.map(|(_, why)| LeftOut::new(why, false)))
            } else {
                let gpu = device(line).map(|(number, device)| Line::Gpu(number, device));
                gpu.or_else(|| access(line)).unwrap_or(Line::More)
            }
        })
    }
}

/// The first line of the output.
const HEADING: &str = "[P2P (Peer-to-Peer) GPU Bandwidth";

/// The heading of the matrix of access.
const CONNECTIVITY: &str = "P2P Connectivity Matrix";

/// Reads `Device=0 CAN Access Peer Device=1`, or `CANNOT`.
fn access(line: &str) -> Option<Line> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [from, can, "Access", "Peer", to] = words[..] else { return None };
    let number = |word: &str| word.strip_prefix("Device=")?.parse().ok();
    let can = match can {
        "CAN" => true,
        "CANNOT" => false,
        _ => return None,
    };
    Some(Line::Access((number(from)?, number(to)?), can))
}

/// Reads `Device: 0, NVIDIA H100 PCIe, pciBusID: c2, pciDeviceID: 0, pciDomainID:0`.
fn device(line: &str) -> Option<(u32, Device)> {
    let mut fields = line.trim().strip_prefix("Device: ")?.split(", ");
    let number = fields.next()?.trim().parse().ok()?;
    let model = fields.next()?.to_owned();
    let mut value = |name: &str| Some(fields.next()?.trim().strip_prefix(name)?.trim().to_owned());
    let (bus, device) = (value("pciBusID:")?, value("pciDeviceID:")?);
    let domain = value("pciDomainID:")?;
    let address = format!("{domain}:{bus}:{device}.0").parse().ok();
    Some((number, Device { model: Some(model), address }))
}
