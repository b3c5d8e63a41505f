//! The NVLink groups: GPUs with links of their own on a circle, those behind NVSwitches beside each other.

use super::super::words;
use super::drawing::{
    Drawing, FAINT, GAP, GREEN, INK, NAME, SMALL, TIGHT, WIDTH, centred, heading, line, rectangle, text,
    text_width,
};
use crate::model::{GroupShape, NodeKind, NvlinkGroup, Topology};
use ::svg::node::element::Line;
use std::collections::BTreeSet;

/// The size of the place of a GPU.
const HEIGHT: f64 = 24.0;

/// The radius of the circle of two GPUs, and what each further one adds.
const RADIUS: f64 = 60.0;
const MORE: f64 = 12.0;

/// The colours of pairs with one, two and more links.
const LINES: [&str; 3] = ["#a9cf66", "#5f9600", "#2f4b00"];

/// Every group, with what it is; none where no GPU has NVLink.
pub(super) fn groups(topology: &Topology) -> Drawing {
    let (linked, alone) = words::groups(topology);
    let drawn = linked.into_iter().map(|group| {
        let name = words::gpu_names(topology, &group.gpus);
        let facts = words::group_facts(topology, group);
        let picture = match group.shape {
            GroupShape::Switched => switched(topology, group),
            _ => circle(topology, group),
        };
        let lines = [Drawing::line(&name, NAME, true, INK), Drawing::line(&facts, SMALL, false, FAINT)];
        Drawing::stack(GAP, [Drawing::stack(TIGHT, lines), picture]).framed("#fff", "#bbb")
    });
    let drawn = Drawing::flow(GAP, drawn, WIDTH);
    let alone = alone.map(|(gpus, why)| {
        Drawing::line(&format!("{}: {why}", words::gpu_names(topology, &gpus)), SMALL, false, FAINT)
    });
    Drawing::stack(GAP, [heading("NVLink groups"), drawn].into_iter().chain(alone))
}

/// The names of the GPUs of a group, all as wide as the longest.
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

/// All on one switch, as every pair can use all links.
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

/// Every GPU on a circle, with a line for each pair that has links, the wider the more.
fn circle(topology: &Topology, group: &NvlinkGroup) -> Drawing {
    let (names, width) = names(topology, group);
    let count = names.len();
    let radius = RADIUS + MORE * (count - 2).min(30) as f64;
    // Two lie side by side; of more, a side of the circle is at the top and not a corner.
    let (flat, first) = if count == 2 { (0.0, 0.5) } else { (1.0, -0.25 - 0.5 / count as f64) };
    let mut picture = Drawing::new(2.0 * radius + width, 2.0 * radius * flat + HEIGHT);
    let at = |index: usize| {
        let angle = std::f64::consts::TAU * (index as f64 / count as f64 + first);
        (radius * (1.0 + angle.cos()) + width / 2.0, radius * flat * (1.0 + angle.sin()) + HEIGHT / 2.0)
    };
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
        let words = format!("{}{rate}", words::count(links.into(), "link", "links"));
        let mut entry = Drawing::new(36.0 + text_width(&words, SMALL), 16.0);
        entry.draw(bundle((0.0, 8.0), (28.0, 8.0), links));
        entry.draw(text(36.0, 12.0, &words).set("font-size", SMALL).set("fill", FAINT));
        entry
    });
    Drawing::stack(GAP, [picture, Drawing::stack(TIGHT, legend)])
}

/// The line of a pair, the wider and darker the more links it has.
fn bundle(from: (f64, f64), to: (f64, f64), links: u16) -> Line {
    line(from, to)
        .set("stroke", LINES[usize::from(links.clamp(1, 3)) - 1])
        .set("stroke-width", 1.0 + 1.5 * f64::from(links.min(4)))
}
