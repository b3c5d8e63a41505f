//! The picture of a machine: its NUMA nodes with the devices behind their PCIe switches, then NVLink and paths.

use super::drawing::{
    Drawing, FAINT, GAP, GREEN, HEAD, INK, NAME, RED, SMALL, TIGHT, WIDTH, centred, cut, heading, rectangle,
    text_width,
};
use super::{links, pairs};
use crate::places::{Place, shown};
use crate::words;
use nvtopo::Topology;
use nvtopo::model::{NodeId, NodeKind};

/// The height of a device, and its least and greatest width.
const CELL: f64 = 44.0;
const NARROW: f64 = 64.0;
const WIDE: f64 = 120.0;

/// The fills of GPUs, NICs, boxes and PCIe switches.
const GPU: &str = "#dff0b8";
const NIC: &str = "#d5e5f7";
const BOX: &str = "#f6f6f4";
const SWITCH: &str = "#e9e9e4";

pub(super) fn machine(topology: &Topology) -> String {
    let head = Drawing::stack(
        TIGHT,
        [
            Drawing::line(&words::machine_name(topology), HEAD, true, INK),
            Drawing::line(&words::machine_facts(topology), NAME, false, FAINT),
        ],
    );
    let cell = cell_width(topology);
    let shown = shown(topology);
    let places = shown.places.iter().map(|place| place_box(topology, place, cell));
    let mut parts = vec![head, Drawing::flow(GAP, places, WIDTH)];
    parts.extend(shown.empty.iter().map(|empty| {
        let (name, facts) = words::empty(topology, empty);
        let words = format!("{name}: {facts}");
        Drawing::line(&cut(&words, SMALL, WIDTH), SMALL, false, FAINT).saying(&words)
    }));
    if topology.gpus().len() > 0 {
        parts.push(Drawing::flow(3.0 * GAP, [links::groups(topology), pairs::matrix(topology)], WIDTH));
    }
    parts.extend(notes(topology));
    Drawing::stack(2.0 * GAP, parts).document()
}

fn notes(topology: &Topology) -> Option<Drawing> {
    let lines = words::notes(topology).into_iter().map(|note| {
        let note = note.to_string();
        Drawing::line(&cut(&note, SMALL, WIDTH), SMALL, false, FAINT).saying(&note)
    });
    (!topology.notes().is_empty())
        .then(|| Drawing::stack(TIGHT, std::iter::once(heading("Notes")).chain(lines)))
}

fn place_box(topology: &Topology, place: &Place<'_>, cell: f64) -> Drawing {
    let (name, facts) = words::place(topology, place);
    let room = WIDTH - 2.0 * GAP;
    let facts = Drawing::line(&cut(&facts, SMALL, room), SMALL, false, FAINT).saying(&facts);
    let devices = flow(topology, &tree(topology, place), cell, room);
    let gpus: Vec<usize> =
        place.devices.iter().copied().filter(|device| *device < topology.gpus().len()).collect();
    let models = words::models(topology, &gpus).into_iter().map(|(gpus, model)| {
        let words = format!("{}: {model}", words::gpu_names(topology, &gpus));
        Drawing::line(&cut(&words, SMALL, room), SMALL, false, FAINT).saying(&words)
    });
    let lines = [Drawing::line(&name, NAME, true, INK), facts].into_iter().chain(models);
    Drawing::stack(GAP, [Drawing::stack(TIGHT, lines), devices]).framed(BOX, "#bbb")
}

/// The content of a NUMA node.
enum Part {
    Device(usize),
    /// The devices behind a bridge or switch of the PCIe bus, by its node.
    Behind(NodeId, Vec<Part>),
}

/// Groups the devices of a place by PCIe switch, and by host bridge where there are several.
fn tree(topology: &Topology, place: &Place<'_>) -> Vec<Part> {
    let mut parts = Vec::new();
    for &device in &place.devices {
        let is_bus = |id: &NodeId| {
            matches!(topology.node(*id).kind, NodeKind::PcieSwitch(_) | NodeKind::HostBridge(_))
        };
        let mut way: Vec<NodeId> = topology.ancestors(topology.devices()[device]).filter(is_bus).collect();
        way.reverse();
        insert(&mut parts, &way, device);
    }
    let mut parts: Vec<Part> = parts.into_iter().map(collapsed).collect();
    match (parts.pop(), parts.is_empty()) {
        (Some(Part::Behind(id, within)), true) if is_host_bridge(topology, id) => within,
        (last, _) => {
            parts.extend(last);
            parts
        }
    }
}

fn is_host_bridge(topology: &Topology, id: NodeId) -> bool {
    matches!(topology.node(id).kind, NodeKind::HostBridge(_))
}

fn insert(parts: &mut Vec<Part>, way: &[NodeId], device: usize) {
    let Some((first, rest)) = way.split_first() else {
        parts.push(Part::Device(device));
        return;
    };
    let place = parts.iter().position(|part| matches!(part, Part::Behind(id, _) if id == first));
    let place = place.unwrap_or_else(|| {
        parts.push(Part::Behind(*first, Vec::new()));
        parts.len() - 1
    });
    if let Part::Behind(_, within) = &mut parts[place] {
        insert(within, rest, device);
    }
}

/// Removes boxes with a single entry: they separate nothing.
fn collapsed(part: Part) -> Part {
    let Part::Behind(id, within) = part else { return part };
    let mut within: Vec<Part> = within.into_iter().map(collapsed).collect();
    match (within.pop(), within.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            within.extend(last);
            Part::Behind(id, within)
        }
    }
}

fn flow(topology: &Topology, parts: &[Part], cell: f64, width: f64) -> Drawing {
    let drawn = parts.iter().map(|part| match part {
        Part::Device(device) => device_cell(topology, *device, cell),
        Part::Behind(id, within) => bus_box(topology, *id, flow(topology, within, cell, width - 2.0 * GAP)),
    });
    Drawing::flow(GAP, drawn, width)
}

/// Draws the devices behind a bridge or switch.
fn bus_box(topology: &Topology, id: NodeId, within: Drawing) -> Drawing {
    let (name, address) = match &topology.node(id).kind {
        NodeKind::PcieSwitch(switch) => ("PCIe switch", switch.address),
        NodeKind::HostBridge(bridge) => ("host bridge", bridge.address),
        _ => ("PCIe", None),
    };
    let address = address.map_or_else(|| "the address is unknown".to_owned(), |address| address.to_string());
    let name = Drawing::line(name, SMALL, false, FAINT).saying(&address);
    Drawing::stack(TIGHT, [name, within]).framed(SWITCH, "#ccc")
}

/// Returns the width that the longest name and the memory of GPUs need.
fn cell_width(topology: &Topology) -> f64 {
    let names = (0..topology.devices().len()).map(|device| text_width(&topology.device_name(device), NAME));
    let facts = topology.gpus().map(|gpu| text_width(&words::gpu_memory(topology, gpu), SMALL));
    (names.chain(facts).fold(0.0, f64::max) + 16.0).clamp(NARROW, WIDE)
}

fn device_cell(topology: &Topology, device: usize, width: f64) -> Drawing {
    let node = topology.node(topology.devices()[device]);
    let (fill, fact, words, marks) = match &node.kind {
        NodeKind::Gpu(gpu) => {
            let instances = topology.gpu_instances(device).count();
            let fact = match instances {
                0 => words::gpu_memory(topology, gpu),
                _ => words::count_of(instances, "instance"),
            };
            let address = gpu.address.map(|address| address.to_string());
            let words = [gpu.model.clone(), address, gpu.uuid.as_ref().map(ToString::to_string)];
            (GPU, fact, words, words::gpu_marks(topology, device, gpu))
        }
        NodeKind::Nic(nic) => {
            let address = nic.address.map(|address| address.to_string());
            let words = [nic.rdma_device.clone(), address, Some(nic.net_devices.join(" "))];
            (NIC, words::nic_rate(nic), words, words::nic_marks(nic))
        }
        _ => return Drawing::new(0.0, 0.0),
    };
    let name = topology.device_name(device);
    let frame = match (marks.is_empty(), fill) {
        (false, _) => RED,
        (true, GPU) => GREEN,
        (true, _) => "#7a9cc6",
    };
    let mut cell = Drawing::new(width, CELL);
    let outline = rectangle(0.0, 0.0, width, CELL).set("class", "device").set("rx", 4).set("fill", fill);
    cell.draw(outline.set("stroke", frame).set("stroke-width", if marks.is_empty() { 1 } else { 2 }));
    let (middle, base) = (width / 2.0, if fact.is_empty() { 27.0 } else { 19.0 });
    cell.draw(centred(middle, base, &cut(&name, NAME, width - 6.0)).set("font-weight", "bold"));
    cell.draw(
        centred(middle, 35.0, &cut(&fact, SMALL, width - 6.0)).set("font-size", SMALL).set("fill", FAINT),
    );
    let said = [name, fact].into_iter().chain(words.into_iter().flatten()).chain(marks);
    cell.saying(&said.filter(|words| !words.is_empty()).collect::<Vec<_>>().join(" · "))
}
