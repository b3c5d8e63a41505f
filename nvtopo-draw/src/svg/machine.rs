//! The picture of a machine: its packages and NUMA nodes with the devices on their buses, then NVLink and paths.

use super::comb::{Tooth, comb};
use super::drawing::{BAD, Drawing, FAINT, GAP, HEAD, INK, NAME, SMALL, TIGHT, WIDTH, heading};
use super::font::text_width;
use super::scene::{Scene, Stroke, marks};
use super::{devices, legend, links, pairs};
use crate::places::{Place, shown};
use crate::svg::Theme;
use crate::text::score_text;
use crate::words;
use nvtopo::model::{LinkKind, NodeId, NodeKind, Nvme, Package, Rate};
use nvtopo::{Placement, Topology};

/// The most room that the facts of a NUMA node make for themselves.
const FACTS: f64 = 300.0;

/// The most chosen GPUs that are listed one by one.
const MOST_LISTED: usize = 16;

pub(super) fn machine(
    topology: &Topology,
    placement: Option<&Placement>,
    theme: Theme,
    bare: bool,
) -> String {
    let scene = Scene::new(topology, placement);
    let name = words::machine_name(topology);
    let facts = words::machine_facts(topology);
    let mut parts = Vec::new();
    if !bare {
        parts.push(head(&scene, &name, &facts));
        parts.extend(placement.map(|placement| chosen(&scene, placement)));
    }
    let shown = shown(topology);
    parts.push(Drawing::flow(GAP, packages(&scene, &shown.places), WIDTH));
    parts.extend(shown.empty.iter().map(|empty| {
        let (name, facts) = words::empty(topology, empty);
        Drawing::line(&format!("{name}: {facts}"), SMALL, false, FAINT)
    }));
    if topology.gpus().len() > 0 {
        let matrix = (!bare).then(|| pairs::matrix(topology));
        let below = std::iter::once(links::groups(&scene)).chain(matrix);
        parts.push(Drawing::flow(3.0 * GAP, below, WIDTH));
    }
    parts.push(Drawing::stack(TIGHT, legend::legend(&scene).into_iter().chain(scene.strokes())));
    parts.extend(notes(topology).filter(|_| !bare));
    Drawing::stack(2.0 * GAP, parts).document(&name, &description(&scene, &facts), theme)
}

fn head(scene: &Scene<'_>, name: &str, facts: &str) -> Drawing {
    let mut lines = vec![Drawing::line(name, HEAD, true, INK), Drawing::line(facts, NAME, false, FAINT)];
    lines.extend(words::allowed(scene.topology).map(|words| Drawing::line(&words, NAME, false, BAD)));
    Drawing::stack(TIGHT, lines)
}

/// Returns the whole picture in words.
fn description(scene: &Scene<'_>, facts: &str) -> String {
    let topology = scene.topology;
    let mut said = vec![facts.to_owned()];
    said.extend(scene.placement.map(|placement| placement.why().trim_end_matches('.').to_owned()));
    let (groups, _) = words::groups(topology);
    said.extend(groups.into_iter().take(8).map(|group| {
        format!("{}: {}", words::gpu_names(topology, &group.gpus), words::group_facts(topology, group))
    }));
    let faults = (0..topology.devices().len()).filter_map(|device| {
        let marks = marks(topology, device);
        (!marks.is_empty()).then(|| format!("{} {}", words::name(topology, device), marks.join(", ")))
    });
    said.extend(faults.take(8));
    said.join(". ")
}

/// Draws what was chosen and why, with what belongs to each GPU.
fn chosen(scene: &Scene<'_>, placement: &Placement) -> Drawing {
    let head = format!("Chosen: {}", words::placed_names(scene.topology, placement));
    let mut lines = vec![heading(&head), Drawing::line(placement.why(), NAME, false, INK)];
    let met = placement.preference().map(|preference| format!("It meets {preference}."));
    let unmet = placement.unmet().iter().map(|unmet| format!("Not {unmet}"));
    let scores = placement
        .scores()
        .iter()
        .map(|score| format!("{} {}", score.objective, score_text(placement, score)));
    let scores = scores.collect::<Vec<_>>().join(" · ");
    let remarks = placement.remarks().iter().cloned();
    let words = met.into_iter().chain(unmet).chain(remarks).chain([scores]);
    lines.extend(words.map(|words| Drawing::line(&words, SMALL, false, FAINT)));
    let gpus = placement.gpus();
    lines.extend(
        gpus.iter().take(MOST_LISTED).map(|gpu| Drawing::line(&words::placed(gpu), SMALL, false, FAINT)),
    );
    if gpus.len() > MOST_LISTED {
        let more = format!("and {} more", gpus.len() - MOST_LISTED);
        lines.push(Drawing::line(&more, SMALL, false, FAINT));
    }
    Drawing::stack(TIGHT, lines)
}

fn notes(topology: &Topology) -> Option<Drawing> {
    let lines =
        words::notes(topology).into_iter().map(|note| Drawing::line(&note.to_string(), SMALL, false, FAINT));
    (!topology.notes().is_empty())
        .then(|| Drawing::stack(TIGHT, std::iter::once(heading("Notes")).chain(lines)))
}

/// Draws the places, those of one package within a box of it.
fn packages(scene: &Scene<'_>, places: &[Place<'_>]) -> Vec<Drawing> {
    let mut drawn = Vec::new();
    let package = |place: &Place<'_>| place.node.and_then(|(id, _)| package_of(scene.topology, id));
    for own in places.chunk_by(|a, b| package(a).map(|own| own.0) == package(b).map(|own| own.0)) {
        let found = own.first().and_then(package);
        let Some((_, package)) = found else {
            drawn.extend(own.iter().map(|place| place_box(scene, place, WIDTH - 2.0 * GAP)));
            continue;
        };
        let room = WIDTH - 2.0 * GAP;
        let within = own.iter().map(|place| place_box(scene, place, room - 2.0 * GAP));
        let within = Drawing::flow(GAP, within, room);
        let model = package.model.as_ref().map_or_else(String::new, |model| format!(" · {model}"));
        let name = format!("Package {}{model}", package.os_index);
        let name = Drawing::line_within(&name, SMALL, false, FAINT, within.width.max(120.0));
        drawn.push(Drawing::stack(TIGHT, [name, within]).framed("package"));
    }
    drawn
}

fn package_of(topology: &Topology, id: NodeId) -> Option<(NodeId, &Package)> {
    topology.ancestors(id).find_map(|id| match &topology.node(id).kind {
        NodeKind::Package(package) => Some((id, package)),
        _ => None,
    })
}

fn place_box(scene: &Scene<'_>, place: &Place<'_>, room: f64) -> Drawing {
    let topology = scene.topology;
    let (name, facts) = words::place(topology, place);
    let mut tree = tree(topology, place);
    let coherent = coherent(scene, place, &mut tree, room);
    let devices = parts(scene, &tree, room);
    let gpus: Vec<usize> =
        place.devices.iter().copied().filter(|device| *device < topology.gpus().len()).collect();
    let wide = coherent.as_ref().map_or(0.0, |drawn| drawn.width).max(devices.width);
    let wide = wide.max(text_width(&facts, SMALL, false).ceil().clamp(150.0, FACTS));
    let small = |words: &str| Drawing::line_within(words, SMALL, false, FAINT, wide);
    let models = words::models(topology, &gpus).into_iter();
    let models =
        models.map(|(gpus, model)| small(&format!("{}: {model}", words::gpu_names(topology, &gpus))));
    let name = Drawing::line_within(&name, NAME, true, INK, wide);
    let facts = (!facts.is_empty()).then(|| small(&facts));
    let lines = [name].into_iter().chain(facts).chain(models);
    let heads = Drawing::stack(TIGHT, lines);
    Drawing::stack(GAP, [heads].into_iter().chain(coherent).chain([devices])).framed("numa")
}

/// Draws the CPU with the GPUs that reach it by NVLink-C2C, or by NVLink on POWER. Those on no bus are drawn here and taken out of
/// the tree; others are named.
fn coherent(scene: &Scene<'_>, place: &Place<'_>, tree: &mut Vec<Part<'_>>, room: f64) -> Option<Drawing> {
    let topology = scene.topology;
    let link = |gpu: usize| -> Option<(LinkKind, Option<Rate>)> {
        let links = topology.links_of(topology.devices()[gpu]);
        let to_cpu = links.filter(|(far, link)| {
            let device = matches!(topology.node(*far).kind, NodeKind::Gpu(_) | NodeKind::NvSwitch(_));
            !device && matches!(link.kind, LinkKind::C2c | LinkKind::NvLink)
        });
        to_cpu.map(|(_, link)| (link.kind, link.rate)).next()
    };
    let gpus = place.devices.iter().filter(|device| **device < topology.gpus().len());
    let linked: Vec<_> = gpus.filter_map(|gpu| Some((*gpu, link(*gpu)?))).collect();
    let (_, (kind, rate)) = linked.first()?;
    let kind = if *kind == LinkKind::C2c { "C2C" } else { "NVLink" };
    let rate = rate.map_or_else(String::new, |rate| format!(" {}", rate.bandwidth));
    let teeth = linked.iter().map(|(gpu, (_, rate))| {
        let own = |part: &Part<'_>| matches!(part, Part::Device(device) if device == gpu);
        let drawn = match tree.iter().position(own) {
            Some(at) => {
                tree.remove(at);
                devices::device(scene, *gpu)
            }
            None => links::chip(scene, *gpu),
        };
        Tooth { chosen: scene.is_chosen(*gpu), ..Tooth::new(drawn, *rate) }
    });
    let teeth = teeth.collect();
    Some(comb(scene, Stroke::C2c, Some(&format!("CPU · {kind}{rate}")), teeth, room))
}

/// The content of a NUMA node.
enum Part<'a> {
    Device(usize),
    Disk(&'a Nvme),
    /// The devices behind a bridge or switch of the PCIe bus, by its node.
    Behind(NodeId, Vec<Part<'a>>),
}

/// Groups the devices and disks of a place by PCIe switch and host bridge.
fn tree<'a>(topology: &'a Topology, place: &Place<'_>) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    let way = |id: NodeId| {
        let is_bus = |id: &NodeId| {
            matches!(topology.node(*id).kind, NodeKind::PcieSwitch(_) | NodeKind::HostBridge(_))
        };
        let mut way: Vec<NodeId> = topology.ancestors(id).filter(is_bus).collect();
        way.reverse();
        way
    };
    for &device in &place.devices {
        insert(&mut parts, &way(topology.devices()[device]), Part::Device(device));
    }
    let here = place.node.map(|(id, _)| id);
    for (id, node) in topology.nodes() {
        // Disks of no known node stand at the first place of such devices only.
        if let NodeKind::Nvme(disk) = &node.kind
            && here.is_some()
            && topology.numa_ancestor(id) == here
        {
            insert(&mut parts, &way(id), Part::Disk(disk));
        }
    }
    parts.into_iter().map(collapsed).collect()
}

fn insert<'a>(parts: &mut Vec<Part<'a>>, way: &[NodeId], leaf: Part<'a>) {
    let Some((first, rest)) = way.split_first() else {
        parts.push(leaf);
        return;
    };
    let place = parts.iter().position(|part| matches!(part, Part::Behind(id, _) if id == first));
    let place = place.unwrap_or_else(|| {
        parts.push(Part::Behind(*first, Vec::new()));
        parts.len() - 1
    });
    if let Part::Behind(_, within) = &mut parts[place] {
        insert(within, rest, leaf);
    }
}

/// Removes boxes with a single entry: they separate nothing.
fn collapsed(part: Part<'_>) -> Part<'_> {
    let Part::Behind(id, within) = part else { return part };
    let mut within: Vec<Part<'_>> = within.into_iter().map(collapsed).collect();
    match (within.pop(), within.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            within.extend(last);
            Part::Behind(id, within)
        }
    }
}

/// Draws the content of a NUMA node, each with its link.
fn parts(scene: &Scene<'_>, parts: &[Part<'_>], width: f64) -> Drawing {
    let teeth = teeth(scene, parts, width);
    Drawing::flow(GAP, teeth.into_iter().map(|tooth| tooth.drawing), width)
}

fn teeth(scene: &Scene<'_>, parts: &[Part<'_>], width: f64) -> Vec<Tooth> {
    let topology = scene.topology;
    let mut teeth: Vec<Tooth> = Vec::new();
    let mut disks = Vec::new();
    for part in parts {
        match part {
            Part::Device(device) => {
                let rate = scene.uplink(topology.devices()[*device]);
                teeth.push(Tooth::new(devices::device(scene, *device), rate));
            }
            Part::Disk(disk) => disks.push(*disk),
            Part::Behind(id, within) => {
                teeth.push(Tooth::new(bus(scene, *id, within, width - 2.0 * GAP), scene.uplink(*id)));
            }
        }
    }
    if !disks.is_empty() {
        teeth.push(Tooth::new(devices::disks(scene, &disks), None));
    }
    teeth
}

/// Draws a bridge or switch with what hangs on it.
fn bus(scene: &Scene<'_>, id: NodeId, within: &[Part<'_>], width: f64) -> Drawing {
    let (name, address) = match &scene.topology.node(id).kind {
        NodeKind::PcieSwitch(switch) => ("PCIe switch", switch.address),
        NodeKind::HostBridge(bridge) => ("Host bridge", bridge.address),
        _ => ("PCIe", None),
    };
    let within = comb(scene, Stroke::Pcie, None, teeth(scene, within, width), width);
    let up = scene.uplink(id).map_or_else(String::new, |rate| format!(" · {} up", rate.bandwidth));
    let words = format!("{name}{up}");
    let address = address.map_or_else(|| "the address is unknown".to_owned(), |address| address.to_string());
    let said = format!("{words} · {address}");
    let name = Drawing::line_within(&words, SMALL, false, FAINT, within.width.max(160.0)).saying(&said);
    Drawing::stack(TIGHT, [name, within]).framed("bus")
}
