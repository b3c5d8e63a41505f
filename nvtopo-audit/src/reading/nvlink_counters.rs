//! The error counters of NVLinks: the driver's own, else those of a saved output of `nvidia-smi nvlink -e`.

use super::links;
use crate::evidence::Evidence;
use nvtopo::source::NvLinkCounters;
use std::collections::BTreeMap;

/// The counters of a link by name.
pub(crate) type Counted = BTreeMap<&'static str, u64>;

/// The counters' names here, those that `nvidia-smi` prints, and where NVML's are. Errors that are corrected (FEC) are left
/// out. Names of the driver 595: of drivers before it, the first three and the flow control digits.
const NAMES: [(&str, &[&str], Of); 15] = [
    ("replays", &["Replay Errors"], |own| own.replays),
    ("recoveries", &["Recovery Errors"], |own| own.recoveries),
    ("CRC errors", &["CRC Errors", "CRC FLIT Errors"], |own| own.crc_flit),
    ("CRC errors of data", &["CRC Data Errors"], |own| own.crc_data),
    ("malformed packets", &["Malformed packet Errors"], |own| own.malformed_packets),
    ("buffer overruns", &["Buffer overrun Errors"], |own| own.buffer_overruns),
    ("receive errors", &["Rx Errors"], |own| own.receive_errors),
    ("receive errors marked elsewhere", &["Rx remote Errors"], |own| own.remote_errors),
    ("header errors", &["Rx General Errors"], |own| own.header_errors),
    ("integrity errors", &["Local link integrity Errors"], |own| own.integrity_errors),
    ("send discards", &["Tx discards"], |own| own.send_discards),
    ("recoveries that succeeded", &["Link recovery successful events"], |own| own.recoveries_succeeded),
    ("recoveries that failed", &["Link recovery failed events"], |own| own.recoveries_failed),
    ("recoveries begun", &["Total link recovery events"], |own| own.recoveries_begun),
    ("symbol errors", &["Symbol Errors"], |_| None),
];

type Of = fn(&NvLinkCounters) -> Option<u64>;

/// More links than any machine has.
const MAX_LINKS: usize = 65_536;

/// Returns the counters by the numbers of GPU and link.
pub(crate) fn counters(evidence: &Evidence<'_>) -> BTreeMap<(u32, u32), Counted> {
    let mut found: BTreeMap<(u32, u32), Counted> = BTreeMap::new();
    for own in evidence.nvlink_counters {
        let counted = NAMES.iter().filter_map(|(name, _, of)| Some((*name, of(own)?))).collect();
        found.insert((own.gpu, own.link), counted);
    }
    found.retain(|_, counted: &mut Counted| !counted.is_empty());
    if found.is_empty() {
        for saved in evidence.texts() {
            of_text(&saved.text, &mut found);
        }
    }
    found
}

/// Reads `Link 0: Replay Errors: 0`.
fn of_text(text: &str, found: &mut BTreeMap<(u32, u32), Counted>) {
    for line in links::of(text, "Link ") {
        let (Some(gpu), Some((name, value))) = (line.gpu, line.told.rsplit_once(':')) else { continue };
        let Some((own, ..)) = NAMES.iter().find(|(_, printed, _)| printed.contains(&name.trim())) else {
            continue;
        };
        if let (Ok(value), true) = (value.trim().parse(), found.len() < MAX_LINKS) {
            found.entry((gpu, line.link)).or_default().insert(own, value);
        }
    }
}
