//! NCCL's graph file: for each kind of collective the channels that NCCL planned, in the order of their GPUs.
//!
//! A plan is no part of a machine, and nothing here decides by it: the GPUs that it names become GPUs, to be matched with those
//! of a topology, and each plan a note beside them.

use super::super::xml::Element;
use super::short;
use crate::error::Result;
use crate::model::{Fragment, Gpu, MAX_DEVICES, NodeId, NoteCode, Provenance};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The most channels of a plan that its note lists, and devices of a channel.
const LISTED: usize = 4;
const LISTED_GPUS: usize = 16;

/// The part of a device's number that is the number within its host.
const LOCAL: u64 = (1 << 56) - 1;

/// Reads the plans.
pub(super) fn fragment(graphs: Element<'_>) -> Result<Fragment> {
    let mut fragment = Fragment::new(Provenance::Nccl);
    fragment.set_nvlink_unknown();
    let mut gpus: BTreeMap<u64, Option<u64>> = BTreeMap::new();
    let mut notes = Vec::new();
    for graph in graphs.children().filter(|child| child.is("graph")) {
        let channels: Vec<Vec<Device>> = graph
            .children()
            .filter(|child| child.is("channel"))
            .map(|channel| channel.children().map(device).collect::<Result<_>>())
            .collect::<Result<_>>()?;
        for gpu in channels.iter().flatten().filter(|device| device.is_gpu && device.number <= LOCAL) {
            let rank = gpus.entry(gpu.number).or_insert(gpu.rank);
            *rank = rank.or(gpu.rank);
        }
        notes.push(note(graph, &channels));
    }
    if notes.is_empty() {
        return Err(graphs.error("there is no graph in it"));
    }
    if gpus.len() > MAX_DEVICES {
        return Err(graphs.error(format!("more than {MAX_DEVICES} GPUs")));
    }
    for (number, rank) in gpus {
        let index =
            u32::try_from(number).map_err(|_| graphs.error(format!("GPU {number} has too high a number")))?;
        let mut gpu = Gpu::new(index);
        gpu.nccl = rank.map(|rank| BTreeMap::from([("rank".to_owned(), rank.to_string())]));
        fragment.add(NodeId::MACHINE, gpu);
    }
    for text in notes {
        fragment.note(NoteCode::NcclPlan, text);
    }
    Ok(fragment)
}

/// A GPU or network device of a channel.
struct Device {
    is_gpu: bool,
    /// The number in its host, with the number of the host above it.
    number: u64,
    rank: Option<u64>,
}

/// Reads a device. NCCL writes and reads numbers of devices in hexadecimal.
fn device(element: Element<'_>) -> Result<Device> {
    let text = element.attribute("dev").unwrap_or_default().trim();
    let number = u64::from_str_radix(text.trim_start_matches("0x"), 16);
    let number = number.map_err(|_| {
        element.error_at("dev", format!("dev is '{}', not the number of a device such as 0x3", short(text)))
    })?;
    let rank = element.attribute("rank").and_then(|rank| rank.trim().parse().ok());
    Ok(Device { is_gpu: element.is("gpu"), number, rank })
}

/// Tells a plan in one sentence.
fn note(graph: Element<'_>, channels: &[Vec<Device>]) -> String {
    let value = |name: &str| graph.attribute(name).unwrap_or_default().trim().to_owned();
    // Source: `src/init.cc` for the numbers, `src/include/graph.h` for the patterns.
    let what = match value("id").as_str() {
        "0" => "rings".to_owned(),
        "1" => "trees".to_owned(),
        "2" => "CollNet".to_owned(),
        "3" => "NVLink SHARP".to_owned(),
        id => format!("graph {}", short(id)),
    };
    let speed = |name: &str| value(name).parse::<f64>().ok().filter(|speed| *speed > 0.0);
    let mut text = format!("NCCL's plan for {what}: {} channels", channels.len());
    let parts = [("speedintra", "typeintra", "in the host"), ("speedinter", "typeinter", "between hosts")];
    for (rate, kind, place) in parts {
        let (rate, kind) = (speed(rate), value(kind));
        // A plan within one host repeats the speed for the network that it has not.
        let networked = channels.iter().flatten().any(|device| !device.is_gpu);
        if let (Some(rate), true) = (rate, place == "in the host" || networked) {
            let _ = write!(text, " · {rate} GB/s each over {} {place}", short(&kind));
        }
    }
    let listed: Vec<String> = channels.iter().take(LISTED).map(|channel| order(channel)).collect();
    if !listed.is_empty() {
        let _ = write!(text, ": {}", listed.join("; "));
    }
    if channels.len() > LISTED {
        text.push_str("; …");
    }
    text
}

fn order(channel: &[Device]) -> String {
    let name = |device: &Device| {
        let host = device.number >> 56;
        let own = format!("{}{}", if device.is_gpu { "GPU" } else { "net " }, device.number & LOCAL);
        if host == 0 { own } else { format!("host {host} {own}") }
    };
    let mut names: Vec<String> = channel.iter().take(LISTED_GPUS).map(name).collect();
    if channel.len() > LISTED_GPUS {
        names.push("…".to_owned());
    }
    names.join(" ")
}
