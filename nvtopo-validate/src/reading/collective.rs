//! The tables of NVIDIA's nccl-tests, and the GPUs of their ranks.
//!
//! Source of the columns: nccl-tests, `src/util.cu`; older versions call `#wrong` `error`, and lack `root`.

use crate::figure::Subject;
use nvtopo::{Error, PathType, Result, Topology};

/// The programs of nccl-tests, and whether rings of the group are what limits their bus bandwidth.
///
/// Source: nccl-tests, `doc/PERFORMANCE.md`.
const PROGRAMS: [(&str, bool); 10] = [
    ("all_reduce_perf", true),
    ("all_gather_perf", true),
    ("reduce_scatter_perf", true),
    ("broadcast_perf", true),
    ("reduce_perf", true),
    ("alltoall_perf", false),
    ("sendrecv_perf", false),
    ("gather_perf", false),
    ("scatter_perf", false),
    ("hypercube_perf", false),
];

/// The name of a program of nccl-tests whose output does not tell which.
const UNNAMED: &str = "nccl-tests";

/// Returns the program of an output: as it names it, in its heading (since 2.17) or in the command above it. An all-reduce is also
/// told by its figures: no other operation moves more over the bus than its data, which needs three GPUs to show.
pub(crate) fn program(text: &str) -> &'static str {
    let is_word = |line: &str, name: &str| {
        line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == name)
    };
    let named = |(name, _): &&(&str, bool)| text.lines().any(|line| is_word(line, name));
    match PROGRAMS.iter().find(named) {
        Some((name, _)) => name,
        None if moves_more(text) => PROGRAMS[0].0,
        None => UNNAMED,
    }
}

/// Returns whether a row has more bandwidth of the bus than of the algorithm.
fn moves_more(text: &str) -> bool {
    let mut places = None;
    text.lines().any(|line| {
        let words: Vec<&str> = line.trim().trim_start_matches('#').split_whitespace().collect();
        let from_end = |name: &str| words.iter().rev().position(|word| *word == name);
        if let (Some(own), Some(bus)) = (from_end("algbw"), from_end("busbw")) {
            places = Some((own, bus));
            return false;
        }
        let cell = |at: usize| words.iter().rev().nth(at)?.parse::<f64>().ok();
        let values = places.and_then(|(own, bus)| Some((cell(own)?, cell(bus)?)));
        values.is_some_and(|(own, bus)| own > 1.0 && bus > own * 1.05)
    })
}

/// Returns whether rings limit a program: of a collective that may not run in them, only where each two GPUs have the same NVLinks,
/// so that no way is better than another.
pub(crate) fn is_of_rings(topology: &Topology, program: &str, subject: &Subject) -> bool {
    let Subject::Group(gpus) = subject else { return true };
    if PROGRAMS.iter().any(|(name, rings)| *name == program && *rings) {
        return true;
    }
    let table = topology.pairs();
    let mut pairs = gpus.iter().flat_map(|a| gpus.iter().filter(move |b| a < *b).map(|b| table.pair(*a, *b)));
    let first = pairs.next();
    first.is_some_and(|first| {
        first.path == Some(PathType::Nvl)
            && pairs.all(|own| (own.path, own.nvlinks) == (first.path, first.nvlinks))
    })
}

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
        // Of operations without a reduction or a root, some versions leave these cells empty: rows are counted from the end.
        let figures = header.iter().position(|word| *word == "time").map_or(0, |time| header.len() - time);
        let is_row = (figures + 1..=header.len()).contains(&words.len())
            && words.first().is_some_and(|word| word.parse::<u64>().is_ok());
        if line.trim_start().starts_with('#') || !is_row {
            continue;
        }
        for (name, cell) in header.iter().rev().zip(words.into_iter().rev()) {
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
