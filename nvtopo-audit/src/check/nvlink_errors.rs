//! The error counters of NVLinks, by their growth between two readings.

use super::{Check, Theme};
use crate::evidence::{Evidence, NODE};
use crate::finding::{Severity, Status, Verdicts};
use crate::reading::growth::{self, growth as grown};
use crate::reading::nvlink_counters::{Counted, counters};
use std::collections::BTreeMap;

pub(super) const CHECK: Check = Check {
    code: "nvlink-errors",
    theme: Theme::Nvlink,
    severity: Severity::Warning,
    claim: "No error counter of an NVLink grows.",
    evidence: "The driver's counters of each link, read twice: up to Hopper replays, recoveries and damaged packets, from Blackwell \
               on those of packets and of recovery (nvidia-smi nvlink -e).",
    rule: "Fails where recoveries grow, or failed ones. Warns where another error counter grows. Errors that are corrected on the \
           way (FEC) do not count. Unknown with one reading, and where a counter was reset.",
    remedy: "Drain the node, reseat or replace the GPU or the cable, and look for Xid 74 or 144 to 150 in the kernel's log.",
    source: "NVML, nvmlDeviceGetNvLinkErrorCounter and NVML_FI_DEV_NVLINK_COUNT_*; facebookresearch/gcm, check_dcgmi",
    run,
};

/// The counters whose growth is a failure.
const GRAVE: [&str; 3] = ["recoveries", "recoveries begun", "recoveries that failed"];

/// The names of links in one line.
const MOST_NAMED: usize = 4;

fn run(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    if evidence.topology.gpus().len() == 0 {
        return;
    }
    let now = counters(evidence);
    let names: BTreeMap<u32, String> = evidence.gpus().map(|(_, _, gpu)| (gpu.index, gpu.name())).collect();
    let window = match growth::window(evidence) {
        Ok(window) => window,
        Err(why) if now.is_empty() => {
            return verdicts.unknown(NODE, format!("no source counts the errors of NVLinks, and {why}"));
        }
        Err(why) => return verdicts.unknown(NODE, why),
    };
    let then = counters(window.earlier);
    let mut by_gpu: BTreeMap<u32, Vec<(u32, &Counted)>> = BTreeMap::new();
    for ((gpu, link), own) in &now {
        by_gpu.entry(*gpu).or_default().push((*link, own));
    }
    if by_gpu.is_empty() {
        return verdicts.unknown(NODE, "no source counts the errors of NVLinks");
    }
    for (gpu, links) in by_gpu {
        let name = names.get(&gpu).cloned().unwrap_or_else(|| format!("GPU{gpu}"));
        let (status, text) = judge(gpu, &links, &then);
        verdicts.add(status, name, text);
    }
}

fn judge(gpu: u32, links: &[(u32, &Counted)], then: &BTreeMap<(u32, u32), Counted>) -> (Status, String) {
    let (mut grave, mut other, mut reset) = (Vec::new(), Vec::new(), None);
    let mut compared = 0;
    for (link, now) in links {
        let Some(before) = then.get(&(gpu, *link)) else { continue };
        for (name, after) in *now {
            let Some(before) = before.get(name) else { continue };
            compared += 1;
            match grown(*before, *after) {
                None => reset = Some(format!("{name} of link {link} was reset between the two readings")),
                Some(0) => {}
                Some(by) if GRAVE.contains(name) => grave.push(format!("{name} of link {link} by {by}")),
                Some(by) => other.push(format!("{name} of link {link} by {by}")),
            }
        }
    }
    let list = |all: &[String]| {
        let more = all.len().saturating_sub(MOST_NAMED);
        let others = if more > 0 { format!(" and {more} others") } else { String::new() };
        format!("{}{others}", all[..all.len() - more].join(", "))
    };
    if !grave.is_empty() {
        grave.extend(other);
        (Status::Fail, format!("counters grew: {}", list(&grave)))
    } else if !other.is_empty() {
        (Status::Warn, format!("counters grew: {}", list(&other)))
    } else if let Some(reset) = reset {
        (Status::Unknown, reset)
    } else if compared == 0 {
        (Status::Unknown, "no counter of its NVLinks is told in both readings".to_owned())
    } else {
        (Status::Pass, format!("no error counter grew of {}", count(links.len())))
    }
}

fn count(links: usize) -> String {
    if links == 1 { "1 NVLink".to_owned() } else { format!("{links} NVLinks") }
}
