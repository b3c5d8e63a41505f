//! The far ends of NVLinks, by which a line about a port of an NVSwitch tells the GPU: from the driver, else from a saved output
//! of `nvidia-smi nvlink -R`.

use super::links;
use crate::evidence::Evidence;
use nvtopo::PciAddress;
use nvtopo::model::NvLinkFar;
use std::collections::{BTreeMap, BTreeSet};

/// Numbers of a GPU and of its link, by the address of the device at the other end and the number of the link there.
pub(crate) type Ends = BTreeMap<(PciAddress, u32), (u32, u32)>;

/// The same where a damaged source names several links for one far end.
type Claims = BTreeMap<(PciAddress, u32), BTreeSet<(u32, u32)>>;

/// More links than any machine has.
const MAX_LINKS: usize = 65_536;

/// Returns the links by their far ends. An end that several claim tells none of them.
pub(crate) fn ends(evidence: &Evidence<'_>) -> Ends {
    let one = |(far, own): (_, BTreeSet<_>)| Some((far, own.first().copied().filter(|_| own.len() == 1)?));
    claims(evidence).into_iter().filter_map(one).collect()
}

/// Returns the links that claim each far end. Sound ones claim one each.
pub(crate) fn claims(evidence: &Evidence<'_>) -> Claims {
    let mut claims = Claims::new();
    let far: BTreeMap<(u32, u32), u32> = evidence
        .nvlink_counters
        .iter()
        .filter_map(|own| Some(((own.gpu, own.link), own.far_link?)))
        .collect();
    for gpu in evidence.topology.gpus() {
        for port in gpu.nvlinks.iter().filter(|port| port.up != Some(false)) {
            let own = (gpu.index, port.number);
            if let (
                NvLinkFar::Switch(Some(device)) | NvLinkFar::Gpu(device) | NvLinkFar::Device(device),
                Some(number),
            ) = (port.far, far.get(&own))
            {
                claims.entry((device, *number)).or_default().insert(own);
            }
        }
    }
    // What the driver tells counts; numbers of links that are saved may be those of another time.
    if claims.is_empty() {
        for saved in evidence.texts().filter(|saved| saved.text.contains("Remote Device")) {
            of_text(&saved.text, &mut claims);
        }
    }
    claims
}

/// Reads `Link 0: Remote Device 00000000:07:00.0: Link 46`.
fn of_text(text: &str, claims: &mut Claims) {
    for line in links::of(text, "Link ").take(MAX_LINKS) {
        let read = || {
            let (device, far) = line.told.strip_prefix("Remote Device ")?.split_once(": Link ")?;
            Some(((device.trim().parse().ok()?, far.trim().parse().ok()?), (line.gpu?, line.link)))
        };
        if let Some((far, own)) = read() {
            claims.entry(far).or_default().insert(own);
        }
    }
}
