//! The C2C links between CPU and GPU, as saved outputs of `nvidia-smi c2c -s` and `-e` tell them.

use super::links;
use crate::evidence::{Evidence, NODE};
use std::collections::BTreeMap;

/// The C2C links of a GPU by number.
#[derive(Default)]
pub(crate) struct C2cLinks {
    /// The state of each link: true where it is up. `None`: the tool says something else.
    pub(crate) up: BTreeMap<u32, Option<bool>>,
    /// The counters of errors by link and name.
    pub(crate) errors: BTreeMap<(u32, String), u64>,
}

/// Returns the links by the name of the GPU.
pub(crate) fn c2c(evidence: &Evidence<'_>) -> BTreeMap<String, C2cLinks> {
    let mut found: BTreeMap<String, C2cLinks> = BTreeMap::new();
    for line in evidence.texts().flat_map(|saved| links::of(&saved.text, "C2C Link ")) {
        let gpu = line.gpu.map_or_else(|| NODE.to_owned(), |number| format!("GPU{number}"));
        let (number, told) = (line.link, line.told);
        let own = found.entry(gpu).or_default();
        // `C2C Link 0: Error Back-to-Back Replay Count: 7` is a counter, `C2C Link 0: 44.712 GB/s` a state.
        match told.rsplit_once(':').map(|(name, value)| (name.trim(), value.trim().parse())) {
            Some((name, Ok(value))) => drop(own.errors.insert((number, name.to_owned()), value)),
            Some(_) => {}
            None => drop(own.up.insert(number, state(told))),
        }
    }
    found
}

/// Reads `44.712 GB/s` and `<inactive>`. `None`: neither.
fn state(told: &str) -> Option<bool> {
    let told = told.trim().to_ascii_lowercase();
    if told.contains("inactive") {
        return Some(false);
    }
    let rate: f64 = told.strip_suffix("gb/s")?.trim().parse().ok()?;
    Some(rate > 0.0)
}
