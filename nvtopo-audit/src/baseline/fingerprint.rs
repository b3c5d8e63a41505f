//! Fingerprints: hashes that equal machines share.

use super::Facts;
use nvtopo::Topology;
use nvtopo::diff::canonical_structure;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Returns the fingerprint of a machine's structure: `sha256:` and 64 digits, of
/// [`canonical_structure`].
///
/// Equal machines have the same one, whatever their bus numbers, UUIDs, names and software; it is another one when a card
/// moves or an NVLink is lost. Sources that tell different facts of one machine give different ones: compare snapshots with
/// snapshots.
///
/// ```
/// let node = nvtopo::Topology::preset("dgx-h100")?;
/// assert!(nvtopo_audit::structure(&node).starts_with("sha256:"));
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn structure(topology: &Topology) -> String {
    hash(&canonical_structure(topology))
}

/// The most lines that are told of either of two structures.
const LINES: usize = 4;

/// Returns the lines of the canonical texts of two structures that only one of them has, such as those of other bandwidths.
/// Empty: where their parts are is all that differs, if anything does.
pub(crate) fn lines_that_differ(before: &Topology, after: &Topology, other: &str) -> Vec<String> {
    let lines = |of: &Topology| -> BTreeSet<String> {
        let text = canonical_structure(of);
        let parts = text.lines().filter(|line| !line.starts_with("paths "));
        // The number of a path is that of its place in the text.
        let bare = |line: &str| match line.strip_prefix("path ").and_then(|own| own.split_once(": ")) {
            Some((_, path)) => format!("path of {path}"),
            None => line.to_owned(),
        };
        parts.map(bare).collect()
    };
    let (before, after) = (lines(before), lines(after));
    let here = after.difference(&before).map(|line| format!("only here: {line}"));
    let there = before.difference(&after).map(|line| format!("only in {other}: {line}"));
    here.take(LINES).chain(there.take(LINES)).collect()
}

/// Returns `sha256:` and the digits of a text's hash.
fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Returns the software and firmware of a machine by name.
pub(crate) fn inventory(topology: &Topology, facts: &Facts) -> BTreeMap<String, String> {
    let machine = topology.machine();
    let gpus = topology.gpus().filter_map(|gpu| Some((gpu.model.clone(), gpu.firmware.clone()?)));
    let nics = topology.nics().filter_map(|nic| Some((nic.model.clone(), nic.firmware.clone()?)));
    let told = [
        ("driver", machine.driver.clone()),
        ("CUDA", machine.cuda.clone()),
        ("kernel", facts.kernel.clone()),
        ("BIOS", facts.bios.clone()),
        ("kubelet", facts.kubelet_version.clone()),
        ("firmware of GPUs", counted_firmware(gpus)),
        ("firmware of NICs", counted_firmware(nics)),
    ];
    told.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// Returns each firmware with its model, once: how many devices have it belongs to the structure.
pub(crate) fn counted_firmware(devices: impl Iterator<Item = (Option<String>, String)>) -> Option<String> {
    let told: std::collections::BTreeSet<String> = devices
        .map(|(model, firmware)| {
            model.map_or_else(|| firmware.clone(), |model| format!("{model}: {firmware}"))
        })
        .collect();
    (!told.is_empty()).then(|| told.into_iter().collect::<Vec<_>>().join(", "))
}

/// Returns the fingerprint of software and firmware. `None`: nothing is known of it.
pub(crate) fn of_inventory(inventory: &BTreeMap<String, String>) -> Option<String> {
    let lines: Vec<&str> = inventory.iter().flat_map(|(name, value)| [name.as_str(), value]).collect();
    (!inventory.is_empty()).then(|| hash(&lines.join("\n")))
}
