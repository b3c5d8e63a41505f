//! How PCIe links trained: what the kernel shows of the device or bridge at one end.
//!
//! Virtual machines, virtual functions and bridges that are no PCIe ports show `Unknown` and a width of 0 or 255.

use super::tree::Tree;
use crate::model::{Link, PcieSpeed, rates};

/// The link at one of its ends, as it runs now.
pub(super) fn now(tree: &Tree, folder: &str) -> PcieSpeed {
    speed(tree, folder, "current")
}

/// The most that one end could do.
pub(super) fn most(tree: &Tree, folder: &str) -> PcieSpeed {
    speed(tree, folder, "max")
}

/// The link itself. A device that rests shows a slow link until it is used, so for it the `best` speed counts.
pub(super) fn wire(now: PcieSpeed, best: Option<PcieSpeed>) -> Link {
    let generation = best.and_then(|best| best.generation).or(now.generation);
    match (generation, now.width) {
        (Some(generation), Some(width)) => rates::pcie(generation, width),
        (_, lanes) => Link { lanes, ..rates::pcie_unknown() },
    }
}

fn speed(tree: &Tree, folder: &str, which: &str) -> PcieSpeed {
    let text = |what: &str| tree.text(&format!("{folder}/{which}_link_{what}"));
    // The kernel shows both or none.
    let Some(speed) = text("speed") else { return PcieSpeed::default() };
    let generation = rates::pcie_generation(&speed);
    let width = text("width").and_then(|width| width.parse().ok()).filter(|width| (1..=32).contains(width));
    PcieSpeed { generation, width }
}
