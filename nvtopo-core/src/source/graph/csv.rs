//! The table of all pairs of GPUs and NICs as CSV (RFC 4180): path, NVLinks, and bandwidths in one direction.
//!
//! A name that a spreadsheet would take for a formula has a `'` before it, as OWASP advises on CSV injection; without that sign it
//! is the name again.

use crate::error::Result;
use crate::model::{Basis, Topology};
use crate::printable::printable;
use crate::source::{WriteOptions, Written, losses};
use crate::units::Bandwidth;
use std::fmt::Write as _;

/// The facts that are left out.
const LOST: [losses::Facts; 14] = [
    losses::MODELS,
    losses::UUIDS,
    losses::VERSIONS,
    losses::ADDRESSES,
    losses::PCI_NUMBERS,
    losses::GPU_MEMORY,
    losses::MIG,
    losses::FABRICS,
    losses::NODES,
    losses::NEAR_CPUS,
    losses::CORES,
    losses::NIC_RATES,
    losses::DISKS,
    losses::P2P,
];

/// Writes a line for each pair; cells of what is unknown are empty.
#[allow(clippy::unnecessary_wraps, reason = "the type of all writers")]
pub(in crate::source) fn write(topology: &Topology, _options: &WriteOptions) -> Result<Written> {
    let mut out = String::from(
        "a,b,path,nvlinks,gb_per_s,basis,reported_gb_per_s,measured_a_to_b_gb_per_s,measured_b_to_a_gb_per_s\n",
    );
    let devices = topology.devices();
    let names: Vec<String> = (0..devices.len()).map(|device| quoted(&topology.device_name(device))).collect();
    let reported = topology.with_reported_rates();
    let number = |bandwidth: Option<Bandwidth>| match bandwidth {
        Some(bandwidth) => bandwidth.as_gb_per_s().to_string(),
        None => String::new(),
    };
    for a in 0..devices.len() {
        for b in a + 1..devices.len() {
            let pair = topology.pairs().pair(a, b);
            let path = pair.path.map_or("", |path| path.word());
            // NICs have none, and GPUs may have some that no source tells.
            let is_open = pair.nvlinks == 0 && b < topology.gpus().len() && !topology.nvlink_known();
            let nvlinks = if is_open { String::new() } else { pair.nvlinks.to_string() };
            let basis = pair.rate.map_or("", |rate| rate.basis.name());
            let reported = reported.pairs().pair(a, b).rate.filter(|rate| rate.basis == Basis::Reported);
            let measured = |from: usize, to: usize| {
                let key = (devices[from], devices[to]);
                let all = topology.measurements();
                let found = all.binary_search_by_key(&key, |own| (own.from, own.to)).ok()?;
                Some(all[found].bandwidth)
            };
            _ = writeln!(
                out,
                "{},{},{path},{nvlinks},{},{basis},{},{},{}",
                names[a],
                names[b],
                number(pair.rate.map(|rate| rate.bandwidth)),
                number(reported.map(|rate| rate.bandwidth)),
                number(measured(a, b)),
                number(measured(b, a)),
            );
        }
    }
    let mut written = Written::new(out);
    losses::note(topology, "the table of pairs", &LOST, &mut written);
    Ok(written)
}

/// The signs that begin a formula in a spreadsheet, also those of full width.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// Returns a cell, in quotes where it has signs that mean something.
fn quoted(text: &str) -> String {
    let text = printable(text);
    let is_formula = text.starts_with(FORMULA);
    if !is_formula && !text.contains([',', '"', '\'']) {
        return text.into_owned();
    }
    format!("\"{}{}\"", if is_formula { "'" } else { "" }, text.replace('"', "\"\""))
}
