//! The NVLink groups: GPUs with links of their own on a circle, those behind NVSwitches on one bar.

use super::comb::{Tooth, comb};
use super::drawing::{
    Drawing, FAINT, GAP, INK, NAME, SMALL, TIGHT, WIDTH, centred, heading, rectangle, title,
};
use super::font::text_width;
use super::scene::{Scene, Stroke};
use crate::words;
use crate::words::{count_of, rate_words};
use ::svg::node::element::Group;
use nvtopo::model::{GroupShape, NodeKind, NvlinkGroup, Rate};
use std::collections::{BTreeMap, BTreeSet};

/// The size of the place of a GPU.
const HEIGHT: f64 = 24.0;

/// The radius of the circle of two GPUs, and the increase for each further one.
const RADIUS: f64 = 60.0;
const MORE: f64 = 12.0;

/// The most GPUs whose links are drawn one by one; the links of more are counted.
const MOST_LINES: usize = 16;

/// Draws every group with its description; none where no GPU has NVLink.
pub(super) fn groups(scene: &Scene<'_>) -> Drawing {
    let topology = scene.topology;
    let (linked, alone) = words::groups(topology);
    let drawn = linked.into_iter().map(|group| {
        let picture = match group.shape {
            GroupShape::Switched => switched(scene, group),
            _ if group.gpus.len() > MOST_LINES => counted(scene, group),
            _ => direct(scene, group),
        };
        let wide = picture.width.max(300.0);
        let name = words::gpu_names(topology, &group.gpus);
        let facts = words::group_facts(topology, group);
        let lines = [
            Drawing::line_within(&name, NAME, true, INK, wide),
            Drawing::line_within(&facts, SMALL, false, FAINT, wide),
        ];
        Drawing::stack(GAP, [Drawing::stack(TIGHT, lines), picture]).framed("card")
    });
    let drawn = Drawing::flow(GAP, drawn, WIDTH);
    let alone = alone.map(|(gpus, why)| (words::gpu_names(topology, &gpus), why.to_owned()));
    let own = words::own_links(topology);
    let own = own.into_iter().map(|(gpus, facts)| (words::gpu_names(topology, &gpus), facts));
    // Links to CPUs are drawn at their NUMA nodes.
    let lines = alone.into_iter().chain(own);
    let lines = lines.map(|(name, facts)| Drawing::line(&format!("{name}: {facts}"), SMALL, false, FAINT));
    let lines = Drawing::stack(TIGHT, lines);
    Drawing::stack(GAP, [heading("NVLink"), drawn, lines])
}

/// Draws a GPU as its name.
pub(super) fn chip(scene: &Scene<'_>, gpu: usize) -> Drawing {
    let name = words::name(scene.topology, gpu);
    let width = text_width(&name, SMALL, true).ceil() + 12.0;
    let mut chip = Drawing::new(width, HEIGHT);
    chip.group = Group::new().set("class", "chip").set("data-device", gpu);
    let class = if scene.chosen.contains_key(&gpu) { "chosen" } else { "gpu" };
    let unusable = |gpu: &nvtopo::model::Gpu| gpu.unusable.is_some();
    let class = if scene.topology.gpus().nth(gpu).is_some_and(unusable) {
        format!("{class} fault")
    } else {
        class.to_owned()
    };
    chip.draw(rectangle(0.0, 0.0, width, HEIGHT).set("rx", 4).set("class", class));
    let drawn = centred(width / 2.0, 16.0, &name).set("font-size", SMALL);
    let bold = scene.chosen.contains_key(&gpu);
    chip.draw(if bold { drawn.set("font-weight", "bold") } else { drawn });
    chip
}

/// Draws all GPUs on one bar, as every pair can use all links: a stroke for each GPU with the bandwidth of its links together.
fn switched(scene: &Scene<'_>, group: &NvlinkGroup) -> Drawing {
    let topology = scene.topology;
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
    let links: Vec<(u16, Option<Rate>)> = group.gpus.iter().map(|gpu| topology.nvlinks_of(*gpu)).collect();
    let counts = || links.iter().map(|(count, _)| *count);
    let most = counts().max().unwrap_or(0);
    let ports = match counts().min().unwrap_or(0) {
        _ if most == 0 => String::new(),
        least if least < most => format!(" · {least} to {most} NVLinks a GPU"),
        _ => format!(" · {most} NVLinks a GPU"),
    };
    let teeth = group.gpus.iter().zip(&links).map(|(gpu, (count, rate))| {
        let down = topology
            .gpus()
            .nth(*gpu)
            .is_some_and(|gpu| gpu.nvlinks.iter().any(|link| link.up == Some(false)));
        let tooth = Tooth::new(chip(scene, *gpu), *rate);
        Tooth { chosen: scene.chosen.contains_key(gpu), lost: down || *count < most, ..tooth }
    });
    let name = format!("{name} · {}{ports}", count_of(group.gpus.len(), "GPU"));
    comb(scene, Stroke::NvLink, Some(&name), teeth.collect(), WIDTH - 2.0 * GAP)
}

/// Draws the GPUs of a group with more links than a picture has room for, and counts their pairs by links.
fn counted(scene: &Scene<'_>, group: &NvlinkGroup) -> Drawing {
    let topology = scene.topology;
    let chips = Drawing::flow(4.0, group.gpus.iter().map(|gpu| chip(scene, *gpu)), WIDTH - 2.0 * GAP);
    let mut kinds: BTreeMap<u16, usize> = BTreeMap::new();
    for (first, &a) in group.gpus.iter().enumerate() {
        for &b in &group.gpus[first + 1..] {
            *kinds.entry(topology.pairs().pair(a, b).nvlinks).or_default() += 1;
        }
    }
    let words = kinds.into_iter().rev().map(|(links, pairs)| {
        let links = if links == 0 { "no NVLink".to_owned() } else { count_of(links.into(), "NVLink") };
        format!("{}: {links}", count_of(pairs, "pair"))
    });
    let words = words.collect::<Vec<_>>().join(" · ");
    let words = format!("{words}. The matrix shows which.");
    let words = Drawing::line_within(&words, SMALL, false, FAINT, WIDTH - 2.0 * GAP);
    Drawing::stack(GAP, [chips, words])
}

/// Draws every GPU at a place, with a line for each linked pair, as thick as its bandwidth: two quads for such a board, else a
/// circle.
fn direct(scene: &Scene<'_>, group: &NvlinkGroup) -> Drawing {
    let topology = scene.topology;
    let chips: Vec<Drawing> = group.gpus.iter().map(|gpu| chip(scene, *gpu)).collect();
    let width = chips.iter().map(|chip| chip.width).fold(0.0, f64::max);
    let (places, size) = match quads(topology, &group.gpus) {
        Some(quads) => quad_places(&quads, width),
        None => circle(chips.len(), width),
    };
    let mut picture = Drawing::new(size.0, size.1);
    let mut kinds = BTreeMap::new();
    let mut lines = Vec::new();
    for (first, &a) in group.gpus.iter().enumerate() {
        for (second, &b) in group.gpus.iter().enumerate().skip(first + 1) {
            let pair = topology.pairs().pair(a, b);
            if pair.nvlinks > 0 {
                kinds.entry(pair.nvlinks).or_insert(pair.rate);
                let both = scene.is_chosen(a) && scene.is_chosen(b);
                let used = scene.ring.contains(&(a.min(b), a.max(b)));
                scene.used.set(scene.used.get() || used);
                let line = scene.stroke(Stroke::NvLink, pair.rate, places[first], places[second]);
                let class = match (used, both || scene.chosen.is_empty()) {
                    (true, _) => "used",
                    (false, true) => "nvlink",
                    (false, false) => "nvlink rest",
                };
                let rate = rate_words(pair.rate);
                let (one, other) = (words::name(topology, a), words::name(topology, b));
                let said = format!("{one} – {other}: {}{rate}", count_of(pair.nvlinks.into(), "NVLink"));
                let line = line.set("class", class).set("data-a", a).set("data-b", b).add(title(&said));
                lines.push((used, line));
            }
        }
    }
    // The used ones lie above the others.
    lines.sort_by_key(|(used, _)| *used);
    for (_, line) in lines {
        picture.draw(line);
    }
    for (chip, (x, y)) in chips.into_iter().zip(places) {
        picture.put(x - chip.width / 2.0, y - HEIGHT / 2.0, chip);
    }
    let legend = kinds.into_iter().map(|(links, rate)| {
        let words = count_of(links.into(), "link") + &rate_words(rate);
        let mut entry = Drawing::new(36.0 + text_width(&words, SMALL, false), 16.0);
        entry.draw(scene.stroke(Stroke::NvLink, rate, (0.0, 8.0), (28.0, 8.0)));
        entry.put(36.0, 0.0, Drawing::line(&words, SMALL, false, FAINT));
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
fn quads(topology: &nvtopo::Topology, gpus: &[usize]) -> Option<Quads> {
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
        // More are joined than are far where two lead to one, which `across` refuses.
        let lost = within(&near) + within(&far) + far.len().saturating_sub(joined);
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
