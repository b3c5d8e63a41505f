//! Xid events in saved kernel logs that leave a GPU without use, or harm what runs on it.
//!
//! Source: NVIDIA, "Analyzing Xid Errors with the Xid Catalog", immediate actions and linkage to Xid 154.

use super::kernel_log::{DriverEvent, DriverEventKind, is_start};
use crate::evidence::Evidence;
use nvtopo::PciAddress;
use std::collections::BTreeMap;

/// The action that an event asks for, from mild to grave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Action {
    /// The jobs that it struck start anew; the GPU is reset when that is convenient.
    Later,
    /// The GPU is reset before anything runs on it again.
    Reset,
    /// The machine is restarted.
    Restart,
}

/// The gravest event of a GPU since the machine started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GpuEvent {
    pub(crate) action: Action,
    /// NVIDIA's number.
    pub(crate) code: u32,
    /// The event in words.
    pub(crate) words: &'static str,
}

/// Events by their number, in words. Those of NVLinks are not here: links have checks of their own.
const EVENTS: [(u32, Action, &str); 12] = [
    (48, Action::Reset, "an uncorrectable memory error"),
    (62, Action::Reset, "its power controller halted"),
    (64, Action::Reset, "a bad row of its memory could not be remapped"),
    (79, Action::Restart, "it has fallen off the bus"),
    (94, Action::Later, "a memory error that struck one job"),
    (95, Action::Reset, "a memory error that may have struck all jobs"),
    (109, Action::Reset, "it did not switch between jobs in time"),
    (119, Action::Reset, "its system processor does not answer"),
    (120, Action::Reset, "its system processor failed"),
    (140, Action::Reset, "a memory error from which the driver could not recover"),
    (143, Action::Reset, "it did not initialize"),
    (158, Action::Reset, "it did not answer in time"),
];

/// The event by which newer drivers tell the action that a GPU needs now, in its last words: `GPU recovery action changed
/// from 0x0 (None) to 0x2 (Node Reboot Required)`.
const ACTION_CHANGED: u32 = 154;

/// Returns the gravest event of each GPU. Events before a start of the machine are over, and those after which the driver
/// says that the GPU needs nothing.
pub(crate) fn events(evidence: &Evidence<'_>) -> BTreeMap<PciAddress, GpuEvent> {
    let mut all: BTreeMap<PciAddress, GpuEvent> = BTreeMap::new();
    for saved in evidence.texts() {
        let mut own = BTreeMap::new();
        saved.text.lines().for_each(|line| take(line, &mut own));
        for (device, event) in own {
            add(&mut all, device, event);
        }
    }
    all
}

fn add(all: &mut BTreeMap<PciAddress, GpuEvent>, device: PciAddress, event: GpuEvent) {
    let worst = all.entry(device).or_insert_with(|| event.clone());
    if worst.action < event.action {
        *worst = event;
    }
}

fn take(line: &str, all: &mut BTreeMap<PciAddress, GpuEvent>) {
    if is_start(line) {
        all.clear();
    }
    let Some(event) = DriverEvent::parse(line).filter(|event| event.kind == DriverEventKind::Xid) else {
        return;
    };
    let (device, code) = (event.device, event.code);
    if code == ACTION_CHANGED {
        let told = line.rsplit_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(word, _)| word);
        let (action, words) = match told {
            Some("None") => {
                all.remove(&device);
                return;
            }
            Some("Node Reboot Required") => (Action::Restart, "the driver asks for a restart of the machine"),
            Some("GPU Reset Required" | "Drain and Reset" | "Drain P2P") => {
                (Action::Reset, "the driver asks for a reset of the GPU")
            }
            _ => return,
        };
        add(all, device, GpuEvent { action, code, words });
    } else if let Some((code, action, words)) = EVENTS.into_iter().find(|(own, ..)| *own == code) {
        add(all, device, GpuEvent { action, code, words });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_event_since_the_start_counts() {
        let of = |text: &str| {
            let mut all = BTreeMap::new();
            text.lines().for_each(|line| take(line, &mut all));
            all.into_values().map(|event| (event.code, event.action)).collect::<Vec<_>>()
        };
        let xid = |rest: &str| format!("[52.1] NVRM: Xid (PCI:0000:3b:00): {rest}\n");
        let off = xid("79, pid=17, name=python3, GPU has fallen off the bus.");
        let reset = xid("154, GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)");
        let done = xid("154, GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)");
        let contained = xid("94, pid=7233, name=python3, Contained: CE User Channel (0x9)");
        assert_eq!(of(&format!("{contained}{off}{contained}")), [(79, Action::Restart)]);
        assert_eq!(of(&format!("{contained}{reset}")), [(154, Action::Reset)]);
        assert_eq!(of(&contained), [(94, Action::Later)]);
        for over in [
            format!("{reset}{done}"),
            format!("{off}[    0.000000] Linux version 6.8.0-31-generic (buildd@host)\n"),
            xid("13, pid=1, name=x, Graphics Exception"),
            xid("154, GPU recovery action changed"),
        ] {
            assert_eq!(of(&over), [], "{over}");
        }
    }
}
