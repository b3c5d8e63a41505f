//! The facts of the page: its devices, the kinds of pairs and which pair is of which, and the answers.

use super::answers::answers;
use crate::svg::marks;
use crate::words;
use nvtopo::model::{NodeKind, Pair};
use nvtopo::{Bandwidth, PathType, Placement, Topology, nearest_nics};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The most devices whose matrix has words in its cells, and the most that have a matrix.
const WORDED: usize = 40;
const MOST: usize = 200;

/// Returns everything that the page's script knows.
pub(super) fn data(topology: &Topology, placement: Option<&Placement>) -> Value {
    let (gpus, devices) = (topology.gpus().len(), topology.devices().len());
    let shown = if devices <= MOST { devices } else { gpus };
    let mut kinds = Kinds::default();
    let pairs: Vec<Vec<usize>> = match gpus {
        0..=MOST => {
            (0..gpus).map(|row| runs((0..shown).map(|column| kinds.of(topology, row, column)))).collect()
        }
        _ => Vec::new(),
    };
    let chosen: Vec<usize> =
        placement.map_or_else(Vec::new, |own| own.gpus().iter().map(|gpu| gpu.position).collect());
    let answers = answers(topology);
    json!({
        "gpus": (0..gpus).collect::<Vec<_>>(),
        "devices": (0..shown).map(|device| facts(topology, device)).collect::<Vec<_>>(),
        "chosen": chosen,
        "worded": WORDED,
        "kinds": kinds.list,
        "pairs": pairs,
        "sets": answers.sets,
        "best": answers.best,
        "scope": answers.scope,
    })
}

/// Shortens a row to counts and values.
fn runs(row: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut runs: Vec<usize> = Vec::new();
    for value in row {
        match runs.as_mut_slice() {
            [.., count, last] if *last == value => *count += 1,
            _ => runs.extend([1, value]),
        }
    }
    runs
}

/// The path, the NVLinks, and the rate in MB/s with its basis.
type Kind = (Option<PathType>, u16, Option<(u64, &'static str)>);

/// The kinds of pairs that occur.
#[derive(Default)]
struct Kinds {
    list: Vec<Value>,
    places: BTreeMap<Kind, usize>,
}

impl Kinds {
    fn of(&mut self, topology: &Topology, a: usize, b: usize) -> usize {
        let pair = topology.pairs().pair(a, b);
        let rate = pair.rate.map(|rate| (rate.bandwidth.as_mb_per_s(), rate.basis.name()));
        let (list, next) = (&mut self.list, self.places.len());
        *self.places.entry((pair.path, pair.nvlinks, rate)).or_insert_with(|| {
            list.push(kind(topology, pair));
            next
        })
    }
}

fn kind(topology: &Topology, pair: Pair) -> Value {
    let word = pair.word(topology.dialect()).unwrap_or_else(|| "?".to_owned());
    let rate = pair.rate.map(|rate| rate.bandwidth);
    let gb_per_s = rate.map_or(0.0, Bandwidth::as_gb_per_s);
    // Six steps of the heat map, each somewhat less than three times the one before, from 2 GB/s to 1000.
    let step = rate.map_or(0, |_| (((gb_per_s / 2.0).max(1.0).log2() / 1.5) as u32).clamp(1, 6));
    let own = pair.path == Some(PathType::Loc);
    json!({
        "word": word,
        "meaning": pair.path.map_or("unknown", words::meaning),
        "path": pair.path.map_or_else(|| "none".to_owned(), |path| path.word().to_lowercase()),
        "rate": pair.rate.map(|rate| format!("{} ({})", rate.bandwidth, rate.basis.name())),
        "short": if own { "X".to_owned() } else { rate.map_or_else(|| "?".to_owned(), |_| short(gb_per_s)) },
        "value": gb_per_s,
        "step": step,
    })
}

fn short(gb_per_s: f64) -> String {
    if gb_per_s < 10.0 { format!("{gb_per_s:.1}") } else { format!("{gb_per_s:.0}") }
}

fn facts(topology: &Topology, device: usize) -> Value {
    let id = topology.devices()[device];
    let name = words::name(topology, device);
    let nodes = topology.local_nodes(id).known().map(ToString::to_string);
    let cpus = topology.local_cpus(id).known().map(ToString::to_string);
    let marks = marks(topology, device);
    let (index, words) = match &topology.node(id).kind {
        NodeKind::Gpu(gpu) => {
            let memory = Some(words::gpu_memory(topology, gpu)).filter(|memory| !memory.is_empty());
            let address = gpu.address.map(|address| address.to_string());
            let uuid = gpu.uuid.as_ref().map(ToString::to_string);
            (Some(gpu.index), vec![gpu.model.clone(), memory, address, uuid])
        }
        NodeKind::Nic(nic) => {
            let rate = Some(words::nic_rate(nic)).filter(|rate| !rate.is_empty());
            let address = nic.address.map(|address| address.to_string());
            let nets = Some(nic.net_devices.join(" ")).filter(|nets| !nets.is_empty());
            (None, vec![nic.model.clone(), rate, address, nets, nic.rdma_device.clone()])
        }
        _ => (None, Vec::new()),
    };
    let node = nodes.as_ref().map(|nodes| format!("node {nodes}"));
    let words: Vec<String> = words.into_iter().flatten().map(words::short).collect();
    let search = [name.clone()].into_iter().chain(words.clone()).chain(node).chain(marks.clone());
    let search = search.collect::<Vec<_>>().join(" ").to_lowercase();
    let nics = index.map(|_| nearest(topology, device));
    json!({
        "name": name,
        "index": index,
        "facts": words.join(", "),
        "cpus": cpus,
        "node": nodes,
        "nics": nics,
        "marks": marks,
        "search": search,
    })
}

/// Returns the nearest NICs of a GPU in words.
fn nearest(topology: &Topology, gpu: usize) -> String {
    let (nics, path) = nearest_nics(topology, gpu);
    let names = nics.iter().map(|nic| words::name(topology, *nic)).collect::<Vec<_>>().join(" ");
    match path {
        Some(path) if !names.is_empty() => format!("{names} ({path})"),
        _ => names,
    }
}
