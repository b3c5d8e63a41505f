//! The links of GPUs at the ports of NVSwitches, by which a line about a port tells the GPU: from the driver, else from a saved
//! output of `nvidia-smi nvlink -R`.

use crate::evidence::Evidence;
use nvtopo::PciAddress;
use nvtopo::model::NvLinkFar;
use std::collections::BTreeMap;

/// Numbers of a GPU and of its link, by the address of the device at the other end and the number of the link there.
pub(crate) type Ends = BTreeMap<(PciAddress, u32), (u32, u32)>;

/// More links than any machine has.
const MAX_LINKS: usize = 65_536;

pub(crate) fn ends(evidence: &Evidence<'_>) -> Ends {
    let mut ends = Ends::new();
    let far: BTreeMap<(u32, u32), u32> = evidence
        .nvlink_counters
        .iter()
        .filter_map(|own| Some(((own.gpu, own.link), own.far_link?)))
        .collect();
    for gpu in evidence.topology.gpus() {
        for port in &gpu.nvlinks {
            if let (NvLinkFar::Switch(Some(switch)), Some(number)) =
                (port.far, far.get(&(gpu.index, port.number)))
            {
                ends.insert((switch, *number), (gpu.index, port.number));
            }
        }
    }
    for saved in evidence.texts().filter(|saved| saved.text.contains("Remote Device")) {
        of_text(&saved.text, &mut ends);
    }
    ends
}

/// Reads `GPU 0: NVIDIA H100 (UUID: …)`, and below it `Link 0: Remote Device 00000000:07:00.0: Link 46`.
fn of_text(text: &str, ends: &mut Ends) {
    let mut gpu = None;
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("GPU ") {
            gpu = rest.split_once(':').and_then(|(number, _)| number.parse().ok());
            continue;
        }
        let read = || {
            let (link, rest) = line.strip_prefix("Link ")?.split_once(": Remote Device ")?;
            let (device, far) = rest.split_once(": Link ")?;
            Some(((device.trim().parse().ok()?, far.trim().parse().ok()?), (gpu?, link.trim().parse().ok()?)))
        };
        if let (Some((far, own)), true) = (read(), ends.len() < MAX_LINKS) {
            ends.entry(far).or_insert(own);
        }
    }
}
