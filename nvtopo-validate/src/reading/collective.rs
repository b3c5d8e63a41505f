//! The tables of NVIDIA's nccl-tests, and the GPUs of their ranks.
//!
//! Source of the columns: nccl-tests, `src/util.cu`; older versions call `#wrong` `error`, and lack `root`.

use crate::figure::Subject;
use nvtopo::{Error, Result, Topology};

/// Reads the greatest bus bandwidth of all sizes, in GB/s.
///
/// Errors where there is none, and where the program received wrong data.
pub(crate) fn bus_bandwidth(text: &str) -> Result<f64> {
    let mut header: Vec<&str> = Vec::new();
    let mut best: Option<f64> = None;
    for (number, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.trim().trim_start_matches('#').split_whitespace().collect();
        if words.contains(&"busbw") {
            header = words;
            continue;
        }
        if line.contains("Out of bounds values") && line.contains("FAILED") {
            return Err(Error::input(
                "the collective returned wrong data: look for errors of the GPUs and links",
            )
            .at(number + 1, 1));
        }
        let is_row =
            words.len() == header.len() && words.first().is_some_and(|word| word.parse::<u64>().is_ok());
        if line.trim_start().starts_with('#') || !is_row {
            continue;
        }
        for (name, cell) in header.iter().zip(words) {
            if *name == "#wrong" && cell.parse::<f64>().is_ok_and(|wrong| wrong > 0.0) {
                return Err(
                    Error::input(format!("the collective returned {cell} wrong values")).at(number + 1, 1)
                );
            }
            if *name == "busbw" {
                let value = cell.parse::<f64>().ok().filter(|value| (0.0..1e6).contains(value));
                let value = value
                    .ok_or_else(|| Error::input(format!("'{cell}' is not a bandwidth")).at(number + 1, 1))?;
                best = Some(best.map_or(value, |best| best.max(value)));
            }
        }
    }
    best.ok_or_else(|| Error::input("no bus bandwidth is in the output of nccl-tests"))
}

/// Finds the GPUs of the ranks: `#  Rank  0 Group  0 Pid  28307 on  gpu59 device  0 [0x16] NVIDIA …`, by address or by the bus in
/// it, where one GPU has that, else by number.
///
/// Errors for ranks on several hosts, and for GPUs that this machine does not have.
pub(crate) fn members(topology: &Topology, text: &str) -> Result<Subject> {
    let mut hosts: Vec<&str> = Vec::new();
    let mut gpus: Vec<usize> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.trim().trim_start_matches('#').split_whitespace().collect();
        let after = |name: &str| words.get(words.iter().position(|word| *word == name)? + 1).copied();
        let (true, Some(host), Some(device)) = (words.first() == Some(&"Rank"), after("on"), after("device"))
        else {
            continue;
        };
        let place = line.split_once('[').and_then(|(_, rest)| rest.split(']').next()).unwrap_or_default();
        let gpu = find(topology, place, device).ok_or_else(|| {
            Error::input(format!("GPU {device} at {place} is not one of this machine")).at(number + 1, 1)
        })?;
        if !hosts.contains(&host) {
            hosts.push(host);
        }
        gpus.push(gpu);
    }
    gpus.sort_unstable();
    gpus.dedup();
    match (hosts.len(), gpus.len()) {
        (0 | 1, 2..) => Ok(Subject::Group(gpus)),
        (2.., _) => Err(Error::input("the collective ran on several machines")),
        _ => Err(Error::input("the collective does not name two GPUs")),
    }
}

fn find(topology: &Topology, place: &str, device: &str) -> Option<usize> {
    if let Ok(address) = format!("{place}.0").parse() {
        let own = topology.gpus().position(|gpu| gpu.address == Some(address));
        if own.is_some() || topology.gpus().any(|gpu| gpu.address.is_some()) {
            return own;
        }
    }
    let bus = place.strip_prefix("0x").and_then(|bus| u8::from_str_radix(bus, 16).ok());
    let on_bus = |gpu: &nvtopo::model::Gpu| bus.is_some() && gpu.address.map(|address| address.bus) == bus;
    let mut found = topology.gpus().enumerate().filter(|(_, gpu)| on_bus(gpu));
    if let (Some((own, _)), None) = (found.next(), found.next()) {
        return Some(own);
    }
    let number: u32 = device.parse().ok()?;
    topology.gpus().position(|gpu| gpu.index == number)
}
