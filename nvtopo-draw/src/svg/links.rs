//! The NVLink groups: GPUs with links of their own on a circle, those behind NVSwitches beside each other.

use super::drawing::{
    Drawing, FAINT, GAP, GREEN, INK, NAME, SMALL, TIGHT, WIDTH, centred, cut, heading, line, rectangle, text,
    text_width,
};
use crate::words;
use ::svg::node::element::Line;
use nvtopo::Topology;
use nvtopo::model::{GroupShape, NodeKind, NvlinkGroup};
use std::collections::BTreeSet;

/// The size of the place of a GPU.
const HEIGHT: f64 = 24.0;

/// The radius of the circle of two GPUs, and the increase for each further one.
const RADIUS: f64 = 60.0;
const MORE: f64 = 12.0;

/// The colours of pairs with one, two and more links.
const LINES: [&str; 3] = ["#a9cf66", "#5f9600", "#2f4b00"];

/// Draws every group with its description; none where no GPU has NVLink.
pub(super) fn groups(topology: &Topology) -> Drawing {
    let (linked, alone) = words::groups(topology);
    let drawn = linked.into_iter().map(|group| {
        let name = words::gpu_names(topology, &group.gpus);
        let facts = words::group_facts(topology, group);
        let picture = match group.shape {
            GroupShape::Switched => switched(topology, group),
            _ => direct(topology, group),
        };
        let lines = [Drawing::line(&name, NAME, true, INK), Drawing::line(&facts, SMALL, false, FAINT)];
        Drawing::stack(GAP, [Drawing::stack(TIGHT, lines), picture]).framed("#fff", "#bbb")
    });
    let drawn = Drawing::flow(GAP, drawn, WIDTH);
    let alone = alone.map(|(gpus, why)| (words::gpu_names(topology, &gpus), why.to_owned()));
    let own = words::own_links(topology);
    let own = own.into_iter().map(|(gpus, facts)| (words::gpu_names(topology, &gpus), facts));
    let cpus = words::cpu_links(topology);
    let cpus = cpus.into_iter().map(|(gpu, facts)| (topology.device_name(gpu), facts));
    let lines = alone.into_iter().chain(own).chain(cpus).map(|(name, facts)| {
        let words = format!("{name}: {facts}");
        Drawing::line(&cut(&words, SMALL, WIDTH), SMALL, false, FAINT).saying(&words)
    });
    let lines = Drawing::stack(TIGHT, lines);
    Drawing::stack(GAP, [heading("NVLink groups"), drawn, lines])
}

/// Draws the names of the GPUs of a group, all as wide as the longest.
fn names(topology: &Topology, group: &NvlinkGroup) -> (Vec<String>, f64) {
    let names: Vec<String> = group.gpus.iter().map(|gpu| topology.device_name(*gpu)).collect();
    let width = names.iter().map(|name| text_width(name, SMALL)).fold(0.0, f64::max) + 10.0;
    (names, width)
}

fn place(name: &str, width: f64) -> Drawing {
    let mut place = Drawing::new(width, HEIGHT);
    place.draw(rectangle(0.0, 0.0, width, HEIGHT).set("rx", 4).set("fill", "#fff").set("stroke", GREEN));
    place.draw(centred(width / 2.0, 16.0, name).set("font-size", SMALL));
    place
}

/// Draws all GPUs on one switch, as every pair can use all links.
fn switched(topology: &Topology, group: &NvlinkGroup) -> Drawing {
    let (names, width) = names(topology, group);
    let gpus = Drawing::flow(GAP, names.iter().map(|name| place(name, width)), WIDTH - 2.0 * GAP);
    // One without an address stands for all of them.
    let near = group.gpus.iter().flat_map(|gpu| topology.links_of(topology.devices()[*gpu]));
    let switches = near.filter_map(|(id, _)| match &topology.node(id).kind {
        NodeKind::NvSwitch(switch) => switch.address,
        _ => None,
    });
    let name = match switches.collect::<BTreeSet<_>>().len() {
        0 | 1 => "NVSwitch".to_owned(),
        count => format!("{count} NVSwitches"),
    };
    let mut bar = Drawing::new(gpus.width.max(text_width(&name, NAME) + 20.0), HEIGHT);
    bar.draw(rectangle(0.0, 0.0, bar.width, HEIGHT).set("rx", 4).set("fill", GREEN));
    bar.draw(centred(bar.width / 2.0, 17.0, &name).set("fill", "#fff").set("font-weight", "bold"));
    Drawing::stack(GAP, [gpus, bar])
}

/// Draws every GPU at a place, with a line for each linked pair, wider for more links: two quads for such a board, else a
/// circle.
fn direct(topology: &Topology, group: &NvlinkGroup) -> Drawing {
    let (names, width) = names(topology, group);
    let (places, size) = match quads(topology, &group.gpus) {
        Some(quads) => quad_places(&quads, width),
        None => circle(names.len(), width),
    };
    let mut picture = Drawing::new(size.0, size.1);
    let at = |index: usize| places[index];
    let mut numbers = Vec::new();
    for (first, &a) in group.gpus.iter().enumerate() {
        for (second, &b) in group.gpus.iter().enumerate().skip(first + 1) {
            let pair = topology.pairs().pair(a, b);
            if pair.nvlinks > 0 {
                picture.draw(bundle(at(first), at(second), pair.nvlinks));
                numbers.push((pair.nvlinks, pair.rate.map(|rate| rate.bandwidth)));
            }
        }
    }
    for (index, name) in names.iter().enumerate() {
        let (x, y) = at(index);
        picture.put(x - width / 2.0, y - HEIGHT / 2.0, place(name, width));
    }
    numbers.sort_unstable();
    numbers.dedup();
    let legend = numbers.into_iter().map(|(links, rate)| {
        let rate = rate.map_or_else(String::new, |rate| format!(", {rate}"));
        let words = format!("{}{rate}", words::count_of(links.into(), "link"));
        let mut entry = Drawing::new(36.0 + text_width(&words, SMALL), 16.0);
        entry.draw(bundle((0.0, 8.0), (28.0, 8.0), links));
        entry.draw(text(36.0, 12.0, &words).set("font-size", SMALL).set("fill", FAINT));
        entry
    });
    Drawing::stack(GAP, [picture, Drawing::stack(TIGHT, legend)])
}

/// Returns the middles of places on a circle, and the total size.
fn circle(count: usize, width: f64) -> (Vec<(f64, f64)>, (f64, f64)) {
    let radius = RADIUS + MORE * count.saturating_sub(2).min(30) as f64;
    // Two lie side by side; of more, a side of the circle is at the top and not a corner.
    let (flat, first) = if count == 2 { (0.0, 0.5) } else { (1.0, -0.25 - 0.5 / count as f64) };
    let at = |index: usize| {
        let angle = std::f64::consts::TAU * (index as f64 / count as f64 + first);
        (radius * (1.0 + angle.cos()) + width / 2.0, radius * flat * (1.0 + angle.sin()) + HEIGHT / 2.0)
    };
    ((0..count).map(at).collect(), (2.0 * radius + width, 2.0 * radius * flat + HEIGHT))
}

/// Two opposite quads: the GPUs of each by row, partners in one row.
type Quads = [[Option<usize>; 4]; 2];

/// Finds the quads of a DGX-1: links between all GPUs of a quad, and one across for each GPU. A few links, or one GPU, may be
/// missing.
fn quads(topology: &Topology, gpus: &[usize]) -> Option<Quads> {
    const LOST: usize = 2;
    let count = gpus.len();
    if !(7..=8).contains(&count) {
        return None;
    }
    let linked = |a: usize, b: usize| topology.pairs().pair(gpus[a], gpus[b]).nvlinks > 0;
    let split = |set: u32| -> (Vec<usize>, Vec<usize>) { (0..count).partition(|gpu| set >> gpu & 1 == 1) };
    let lost = |set: &u32| {
        let (near, far) = split(*set);
        let across = |own: &[usize], others: &[usize]| {
            own.iter().map(|a| others.iter().filter(|b| linked(*a, **b)).count()).max().unwrap_or(0)
        };
        let within = |quad: &[usize]| {
            (0..quad.len()).map(|a| quad[..a].iter().filter(|b| !linked(quad[a], **b)).count()).sum::<usize>()
        };
        let joined = near.iter().filter(|a| far.iter().any(|b| linked(**a, *b))).count();
        let lost = within(&near) + within(&far) + far.len() - joined;
        (across(&near, &far) <= 1 && across(&far, &near) <= 1 && lost <= LOST).then_some(lost)
    };
    let sets = (0..1_u32 << count).filter(|set| set.count_ones() == 4);
    let (_, set) = sets.filter_map(|set| Some((lost(&set)?, set))).min()?;
    let (near, far) = split(set);
    let mut quads = Quads::default();
    for (row, gpu) in near.iter().enumerate() {
        quads[0][row] = Some(*gpu);
        quads[1][row] = far.iter().copied().find(|other| linked(*gpu, *other));
    }
    // GPUs without a link across take the remaining rows.
    for gpu in far {
        if !quads[1].contains(&Some(gpu)) {
            *quads[1].iter_mut().find(|row| row.is_none())? = Some(gpu);
        }
    }
    Some(quads)
}

/// Returns the middles of the places of two quads, and the total size: no line crosses the place of a third GPU.
fn quad_places(quads: &Quads, width: f64) -> (Vec<(f64, f64)>, (f64, f64)) {
    const ROW: f64 = 62.0;
    let (step, gap) = (width + 60.0, width + 90.0);
    let right = 2.0 * step + gap;
    let mut places = vec![(0.0, 0.0); quads.iter().flatten().flatten().count()];
    for (side, quad) in quads.iter().enumerate() {
        for (row, gpu) in quad.iter().enumerate() {
            let Some(gpu) = gpu else { continue };
            // Outer, inner, inner, outer.
            let inner = if row == 1 || row == 2 { step } else { 0.0 };
            let x = if side == 0 { inner } else { right - inner };
            places[*gpu] = (x + width / 2.0, ROW * row as f64 + HEIGHT / 2.0);
        }
    }
    (places, (right + width, 3.0 * ROW + HEIGHT))
}

/// Draws the line of a pair, wider and darker for more links.
fn bundle(from: (f64, f64), to: (f64, f64), links: u16) -> Line {
    line(from, to)
        .set("stroke", LINES[usize::from(links.clamp(1, 3)) - 1])
        .set("stroke-width", 1.0 + 1.5 * f64::from(links.min(4)))
}
