//! A bar with things hanging on it: devices on a bus, GPUs on NVSwitches or on a CPU.

use super::drawing::{Drawing, GAP, SMALL, TIGHT, centred, line, rectangle, short};
use super::font::{cut, text_width};
use super::scene::{Scene, Stroke};
use nvtopo::model::Rate;

/// The length of what things hang on, and the thickness of further bars.
const STUB: f64 = 12.0;
const RAIL: f64 = 4.0;
/// The height of a bar with a name.
const BAR: f64 = 22.0;

/// A thing that hangs on a bar.
pub(super) struct Tooth {
    pub(super) drawing: Drawing,
    pub(super) rate: Option<Rate>,
    /// True where it is part of what was chosen.
    pub(super) chosen: bool,
    /// True where a part of its links is down.
    pub(super) lost: bool,
}

impl Tooth {
    pub(super) fn new(drawing: Drawing, rate: Option<Rate>) -> Self {
        Self { drawing, rate, chosen: false, lost: false }
    }
}

/// Draws a bar with things below it, in rows no wider than a width. The bar of the first row has a name or is a rail; a spine at
/// the left joins those of further rows, as they are one.
pub(super) fn comb(
    scene: &Scene<'_>,
    stroke: Stroke,
    name: Option<&str>,
    teeth: Vec<Tooth>,
    width: f64,
) -> Drawing {
    let left = 2.0 * GAP;
    let total: f64 = teeth.iter().map(|tooth| tooth.drawing.width + GAP).sum::<f64>() - GAP;
    let left = if total > width { left } else { 0.0 };
    let mut rows: Vec<(f64, Vec<(f64, Tooth)>)> = Vec::new();
    let mut x = left;
    for tooth in teeth {
        if rows.is_empty() || (x > left && x + tooth.drawing.width > width) {
            rows.push((0.0, Vec::new()));
            x = left;
        }
        let Some((height, row)) = rows.last_mut() else { break };
        *height = height.max(tooth.drawing.height);
        let next = x + tooth.drawing.width + GAP;
        row.push((x, tooth));
        x = next;
    }
    let least = name.map_or(0.0, |name| text_width(name, SMALL, true) + 2.0 * GAP).min(width);
    let right = |row: &[(f64, Tooth)]| row.last().map_or(0.0, |(x, tooth)| x + tooth.drawing.width);
    let wide = rows.iter().map(|(_, row)| right(row)).fold(least, f64::max);
    let mut all = Drawing::new(wide, 0.0);
    let class = if stroke == Stroke::NvLink { "nvswitch" } else { stroke.class() };
    let (mut y, mut spine) = (0.0, (0.0, 0.0));
    let rows_count = rows.len();
    for (number, (height, row)) in rows.into_iter().enumerate() {
        let bar = if number == 0 && name.is_some() { BAR } else { RAIL };
        // What is beside the name at the end of the last row hangs on the bar too.
        let end = if number == 0 && name.is_some() { wide } else { last_middle(&row) };
        let start = if rows_count > 1 {
            0.0
        } else {
            row.first().map_or(0.0, |(x, tooth)| x + tooth.drawing.width / 2.0)
        };
        let stub = y + bar + STUB;
        for (x, tooth) in row {
            let middle = x + tooth.drawing.width / 2.0;
            let drawn = scene.stroke(stroke, tooth.rate, (middle, y + bar), (middle, stub));
            let drawn = match (tooth.lost, tooth.chosen) {
                (true, _) => drawn.set("class", "lost"),
                (false, true) => {
                    scene.used.set(true);
                    drawn.set("class", "used")
                }
                _ => drawn,
            };
            all.draw(drawn);
            all.put(x, stub, tooth.drawing);
        }
        match name.filter(|_| number == 0) {
            Some(name) => {
                all.draw(rectangle(0.0, y, wide, BAR).set("rx", 4).set("class", class));
                let shown = cut(name, SMALL, true, wide - GAP);
                let inside = if stroke == Stroke::NvLink { "on-switch" } else { "ink" };
                all.draw(
                    centred(wide / 2.0, y + 15.0, &shown)
                        .set("class", inside)
                        .set("font-size", SMALL)
                        .set("font-weight", "bold"),
                );
            }
            None if stroke == Stroke::NvLink => {
                all.draw(rectangle(0.0, y, end, RAIL).set("class", class));
            }
            None => {
                let middle = y + RAIL / 2.0;
                all.draw(
                    line((start, middle), (end.max(start + 1.0), middle))
                        .set("class", class)
                        .set("stroke-width", 2),
                );
            }
        }
        if number == 0 {
            spine.0 = y + bar / 2.0;
        }
        spine.1 = y + bar;
        all.height = stub + height;
        y = all.height + GAP + TIGHT;
    }
    if rows_count > 1 {
        let (top, bottom) = (short(spine.0), short(spine.1));
        let drawn = if stroke == Stroke::NvLink {
            rectangle(0.0, top, RAIL, bottom - top).set("class", class)
        } else {
            rectangle(0.0, top, 2.0, bottom - top - 1.0).set("class", class).set("stroke-width", 1)
        };
        all.draw(drawn);
    }
    all
}

fn last_middle(row: &[(f64, Tooth)]) -> f64 {
    row.last().map_or(0.0, |(x, tooth)| x + tooth.drawing.width / 2.0)
}
