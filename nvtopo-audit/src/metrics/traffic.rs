//! Families of traffic: bytes and errors of each NVLink, the rate of each group of GPUs, and the diagnosis of RDMA ports.
//!
//! `dcgm-exporter` counts the NVLinks of a GPU together; which link carries or breaks it is told here.

use super::{Family, Sample, counter, gauge, info, value};
use crate::check::roce;
use crate::evidence::Evidence;
use crate::reading::growth::{self, growth};
use crate::reading::nvlink_counters::counters;
use nvtopo::CpuSet;
use nvtopo::source::NvLinkCounters;
use std::collections::BTreeMap;

/// The counter that a value is read of. `None`: not told.
type Counter = fn(&NvLinkCounters) -> Option<u64>;

/// The directions of traffic, with the counter of each.
const DIRECTIONS: [(&str, Counter); 2] =
    [("sent", |own| own.sent_bytes), ("received", |own| own.received_bytes)];

/// Returns the families of NVLinks and of the groups that they make.
pub(super) fn nvlinks(evidence: &Evidence<'_>) -> Vec<Family> {
    let of_link = |gpu: u32, link: u32| [("gpu", gpu.to_string()), ("link", link.to_string())];
    let (mut bytes, mut errors) = (Vec::new(), Vec::new());
    for own in evidence.nvlink_counters {
        for (direction, count) in DIRECTIONS {
            if let Some(count) = count(own) {
                let [gpu, link] = of_link(own.gpu, own.link);
                bytes.push(value([gpu, link, ("direction", direction.to_owned())], count as f64));
            }
        }
    }
    for ((gpu, link), own) in counters(evidence) {
        for (name, count) in own {
            let [gpu, link] = of_link(gpu, link);
            errors.push(value([gpu, link, ("error", name.to_lowercase().replace(' ', "_"))], count as f64));
        }
    }
    let (groups, rates) = groups(evidence);
    vec![
        counter("nvtopo_nvlink_bytes", "Bytes of data over an NVLink, by the counters of the GPU", bytes),
        counter("nvtopo_nvlink_errors", "Errors of an NVLink; only their growth tells", errors),
        gauge("nvtopo_nvlink_group_info", "Group of GPUs that NVLinks connect", groups),
        gauge(
            "nvtopo_nvlink_group_bytes_per_second",
            "Data over all NVLinks of a group of GPUs since the reading before",
            rates,
        ),
    ]
}

/// Returns the groups of GPUs, and the traffic of those whose NVLinks are all counted in two readings.
fn groups(evidence: &Evidence<'_>) -> (Vec<Sample>, Vec<Sample>) {
    let (mut groups, mut rates) = (Vec::new(), Vec::new());
    let indices: Vec<u32> = evidence.topology.gpus().map(|gpu| gpu.index).collect();
    let window = growth::window_of_gpus(evidence).ok();
    for own in evidence.topology.nvlink_groups().iter().filter(|own| own.gpus.len() > 1) {
        let gpus: CpuSet = own.gpus.iter().filter_map(|gpu| indices.get(*gpu)).copied().collect();
        let name = gpus.to_string();
        groups.extend(gpus.iter().map(|gpu| info([("gpu", gpu.to_string()), ("group", name.clone())])));
        let Some((window, seconds)) = window.as_ref().and_then(|own| Some((own, own.seconds?))) else {
            continue;
        };
        for (direction, count) in DIRECTIONS {
            let grown = sum(evidence.nvlink_counters, window.earlier.nvlink_counters, &gpus, count);
            if let Some(grown) = grown {
                let labels = [("group", name.clone()), ("direction", direction.to_owned())];
                rates.push(value(labels, grown as f64 / seconds));
            }
        }
    }
    (groups, rates)
}

/// Returns the growth of a counter over all links of some GPUs. `None`: one of them is not known in both readings.
fn sum(now: &[NvLinkCounters], then: &[NvLinkCounters], gpus: &CpuSet, count: Counter) -> Option<u64> {
    let before: BTreeMap<(u32, u32), u64> =
        then.iter().filter_map(|own| Some(((own.gpu, own.link), count(own)?))).collect();
    if !gpus.iter().all(|gpu| now.iter().any(|own| own.gpu == gpu)) {
        return None;
    }
    let own = now.iter().filter(|own| gpus.contains(own.gpu));
    own.map(|own| growth(*before.get(&(own.gpu, own.link))?, count(own)?))
        .try_fold(0_u64, |sum, by| Some(sum.saturating_add(by?)))
}

/// Returns the family of what the counters of RDMA ports say.
pub(super) fn diagnosis(evidence: &Evidence<'_>) -> Family {
    let mut samples = Vec::new();
    for (port, codes) in roce::diagnosed(evidence) {
        for code in codes {
            let number = port.number.map(|number| ("port", number.to_string()));
            let labels = [("device", port.device.clone())].into_iter().chain(number);
            samples.push(Sample {
                labels: labels.chain([("diagnosis", code.to_owned())]).collect(),
                value: 1.0,
            });
        }
    }
    gauge(
        "nvtopo_rdma_diagnosis_info",
        "What the growth of the counters of an RDMA port says of the network",
        samples,
    )
}
