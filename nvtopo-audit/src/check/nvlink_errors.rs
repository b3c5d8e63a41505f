//! The error counters of NVLinks, by their growth between two readings.

use super::{Check, Theme};
use crate::board;
use crate::evidence::{Evidence, NODE};
use crate::finding::{Severity, Status, Verdicts};
use crate::reading::growth::{self, growth as grown};
use crate::reading::nvlink_counters::{Counted, counters};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const CHECK: Check = Check {
    code: "nvlink-errors",
    theme: Theme::Nvlink,
    severity: Severity::Warning,
    claim: "No error counter of an NVLink grows.",
    evidence: "The driver's counters of each link, read twice: up to Hopper replays, recoveries and damaged packets, from Blackwell \
               on those of packets and of recovery (nvidia-smi nvlink -e).",
    rule: "Fails where recoveries grow, or failed ones. Warns where another error counter grows. Errors that are corrected on the \
           way (FEC) do not count. Unknown with one reading, where a counter was reset, and where one of the readings lacks counters of a link. Does not \
           apply to boards without NVLink.",
    remedy: "Drain the node, reseat or replace the GPU or the cable, and look for Xid 74 or 144 to 150 in the kernel's log.",
    source: "NVML, nvmlDeviceGetNvLinkErrorCounter and NVML_FI_DEV_NVLINK_COUNT_*; facebookresearch/gcm, check_dcgmi",
    run,
};

/// The counters whose growth is a failure.
const GRAVE: [&str; 3] = ["recoveries", "recoveries begun", "recoveries that failed"];

/// The names of links in one line.
const MOST_NAMED: usize = 4;

fn run(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    if evidence.has_no_gpus(verdicts) {
        return;
    }
    if evidence.gpus().all(|(_, _, gpu)| board::of(evidence, gpu).is_some_and(|board| board.links == 0)) {
        return verdicts.not_applicable(NODE, "the boards of its GPUs have no NVLink");
    }
    let now = counters(evidence);
    let names: BTreeMap<u32, String> = evidence.gpus().map(|(_, _, gpu)| (gpu.index, gpu.name())).collect();
    let window = match growth::window_of_gpus(evidence) {
        Ok(window) => window,
        Err(why) if now.is_empty() => {
            return verdicts.unknown(NODE, format!("no source counts the errors of NVLinks, and {why}"));
        }
        Err(why) => return verdicts.unknown(NODE, why),
    };
    let then = counters(window.earlier);
    if now.is_empty() {
        return verdicts.unknown(NODE, "no source counts the errors of NVLinks");
    }
    let gpus: BTreeSet<u32> = now.keys().chain(then.keys()).map(|(gpu, _)| *gpu).collect();
    for gpu in gpus {
        let name = names.get(&gpu).cloned().unwrap_or_else(|| format!("GPU{gpu}"));
        let (status, text) = judge(gpu, &now, &then);
        verdicts.add(status, name, text);
    }
}

/// The counters of links by the numbers of GPU and link.
type Counters = BTreeMap<(u32, u32), Counted>;

fn judge(gpu: u32, now: &Counters, then: &Counters) -> (Status, String) {
    let (mut grave, mut other, mut reset) = (Vec::new(), Vec::new(), None);
    let links: BTreeSet<u32> =
        now.keys().chain(then.keys()).filter(|(own, _)| *own == gpu).map(|(_, link)| *link).collect();
    // The links of which both readings tell the same counters.
    let mut compared = 0;
    for link in &links {
        let (Some(now), Some(before)) = (now.get(&(gpu, *link)), then.get(&(gpu, *link))) else { continue };
        compared += usize::from(now.keys().eq(before.keys()));
        for (name, after) in now {
            let Some(before) = before.get(name) else { continue };
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
    } else if compared < links.len() {
        let text = format!("both readings tell the same counters of {compared} of {}", count(links.len()));
        (Status::Unknown, text)
    } else {
        (Status::Pass, format!("no error counter grew of {}", count(links.len())))
    }
}

fn count(links: usize) -> String {
    if links == 1 { "1 NVLink".to_owned() } else { format!("{links} NVLinks") }
}
