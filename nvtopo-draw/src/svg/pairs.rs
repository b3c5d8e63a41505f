//! The matrix of paths as a field of colours, with words where there is room. Where there is none, the nearer a path the larger
//! its square, so that colour is not alone.

use super::drawing::{Drawing, FAINT, GAP, SMALL, WIDTH, centred, heading, rectangle, short, text, title};
use super::font::{cut, text_width};
use crate::words;
use ::svg::Node;
use ::svg::node::element::{Group, Path, Text};
use nvtopo::model::Pair;
use nvtopo::{PathType, Topology};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;

/// The size of a field with text, and of one without.
const FIELD: (f64, f64) = (36.0, 22.0);
const SMALL_FIELD: f64 = 9.0;
/// Columns that need still smaller fields.
const MANY: usize = 110;

/// The least width of the legend.
const LEGEND: f64 = 480.0;

/// The most rows or columns with text in the fields, and the most devices with a matrix.
const WORDS: usize = 24;
const MOST: usize = 160;

/// Draws the matrix of GPUs by GPUs, then by NICs; rows of NICs would only repeat it, transposed.
pub(super) fn matrix(topology: &Topology) -> Drawing {
    let (gpus, devices) = (topology.gpus().len(), topology.devices().len());
    if devices > MOST {
        return Drawing::line(
            &format!("The paths between {devices} devices are not drawn."),
            SMALL,
            false,
            FAINT,
        );
    }
    let names: Vec<String> = (0..devices).map(|device| words::name(topology, device)).collect();
    let most = words::most_nvlinks(topology);
    let mut fields = vec![field(topology, &names, 0..gpus, most)];
    if devices > gpus {
        fields.push(field(topology, &names, gpus..devices, most));
    }
    let fields = Drawing::flow(2.0 * GAP, fields, WIDTH);
    let legend = legend(topology, most, fields.width.max(LEGEND));
    Drawing::stack(GAP, [heading("Paths"), fields, legend])
}

/// Draws the rows of all GPUs with some columns.
fn field(topology: &Topology, names: &[String], columns: Range<usize>, most: u16) -> Drawing {
    let rows = topology.gpus().len();
    if columns.len().max(rows) <= WORDS {
        return worded(topology, names, columns, most);
    }
    small(topology, names, columns, most)
}

/// Draws fields with a word and a tooltip each.
fn worded(topology: &Topology, names: &[String], columns: Range<usize>, most: u16) -> Drawing {
    let rows = topology.gpus().len();
    let left = left(&names[..rows]);
    let own = names[columns.clone()].iter().map(|name| text_width(name, SMALL, false) + 10.0);
    let width = own.fold(FIELD.0, f64::max).min((WIDTH - left) / columns.len() as f64);
    let (top, height) = (18.0, FIELD.1);
    let mut field = Drawing::new(left + width * columns.len() as f64, top + height * rows as f64);
    let mut written = Group::new()
        .set("class", "cell-ink")
        .set("font-size", SMALL)
        .set("text-anchor", "middle")
        .set("pointer-events", "none");
    for (row, name) in names.iter().take(rows).enumerate() {
        let y = top + height * row as f64;
        let shown = cut(name, SMALL, true, left - 6.0);
        field.draw(text(0.0, y + 15.0, &shown).set("font-size", SMALL).set("font-weight", "bold"));
        for (column, other) in columns.clone().zip(&names[columns.clone()]) {
            let pair = topology.pairs().pair(row, column);
            let word = pair.word(topology.dialect()).unwrap_or_else(|| "?".to_owned());
            let x = left + width * (column - columns.start) as f64;
            let square = rectangle(x, y, width - 1.0, height - 1.0).set("class", class(pair, most));
            field.draw(square.add(title(&said(name, other, &word, pair))));
            let middle = x + (width - 1.0) / 2.0;
            let word = cut(&word, SMALL, false, width - 2.0);
            written.append(Text::new(word).set("x", short(middle)).set("y", short(y + 15.0)));
        }
    }
    field.draw(written);
    for (place, name) in names[columns].iter().enumerate() {
        let x = left + width * place as f64;
        let name = cut(name, SMALL, false, width - 2.0);
        field.draw(centred(x + (width - 1.0) / 2.0, 12.0, &name).set("font-size", SMALL));
    }
    field
}

/// Draws small fields, those of one class as one shape. Every fourth row and column is named.
fn small(topology: &Topology, names: &[String], columns: Range<usize>, most: u16) -> Drawing {
    let rows = topology.gpus().len();
    let left = left(&names[..rows]);
    let (step, every) = if columns.len() > MANY { (7.0, 6) } else { (SMALL_FIELD, 4) };
    let top = 18.0;
    let right = 4.0 * step;
    let mut field = Drawing::new(left + step * columns.len() as f64 + right, top + step * rows as f64);
    let mut shapes: BTreeMap<(&'static str, String), String> = BTreeMap::new();
    for row in 0..rows {
        let mut column = columns.start;
        while column < columns.end {
            let pair = topology.pairs().pair(row, column);
            let size = short(size(pair) * (step - 1.0));
            // Neighbours of one class are one bar where their squares are full.
            let mut end = column + 1;
            while size >= step - 1.0 && end < columns.end && topology.pairs().pair(row, end) == pair {
                end += 1;
            }
            let inset = (step - 1.0 - size) / 2.0;
            let x = left + step * (column - columns.start) as f64 + inset;
            let y = top + step * row as f64 + inset;
            let width = step * (end - column - 1) as f64 + size;
            let word = pair.word(topology.dialect()).unwrap_or_else(|| "?".to_owned());
            let shape = shapes.entry((class(pair, most), word)).or_default();
            let _ = write!(shape, "M{} {}h{}v{size}h-{}z", short(x), short(y), short(width), short(width));
            column = end;
        }
    }
    for ((class, word), shape) in shapes {
        field.draw(Path::new().set("d", shape).set("class", class).add(title(&word)));
    }
    for (row, name) in names.iter().take(rows).enumerate().step_by(every) {
        let y = top + step * row as f64;
        let name = cut(name, 9.0, false, left - 4.0);
        field.draw(text(0.0, y + 8.0, &name).set("font-size", 9));
    }
    for (place, name) in names[columns].iter().enumerate().step_by(every) {
        let name = cut(name, 8.0, false, step * every as f64 - 3.0);
        field.draw(text(left + step * place as f64, 12.0, &name).set("font-size", 8));
    }
    field
}

/// Returns the room for the names of rows.
fn left(names: &[String]) -> f64 {
    names.iter().map(|name| text_width(name, SMALL, true)).fold(0.0, f64::max).min(160.0) + 8.0
}

/// Returns the part of a small field that is filled: the nearer, the more.
fn size(pair: Pair) -> f64 {
    match pair.path {
        Some(PathType::Nvl | PathType::Loc | PathType::C2c) => 1.0,
        Some(PathType::Nvb | PathType::Pix) => 0.86,
        Some(PathType::Pxb) => 0.74,
        Some(PathType::Phb) => 0.62,
        Some(PathType::Node) => 0.5,
        Some(PathType::Sys) => 0.36,
        _ => 0.24,
    }
}

fn said(a: &str, b: &str, word: &str, pair: Pair) -> String {
    let rate =
        pair.rate.map_or_else(String::new, |rate| format!(", {} ({})", rate.bandwidth, rate.basis.name()));
    format!("{a} – {b}: {word}{rate}")
}

/// Draws the legend: the colour of each class that occurs.
fn legend(topology: &Topology, most: u16, width: f64) -> Drawing {
    let entries = words::legend(topology).into_iter().map(|(path, nvlinks, word, meaning)| {
        let pair = Pair::new(path, nvlinks, None);
        let words = Drawing::line_within(&format!("{word}: {meaning}"), SMALL, false, FAINT, width - 20.0);
        let mut entry = Drawing::new(20.0 + words.width, 16.0);
        entry.draw(rectangle(0.0, 2.0, 12.0, 12.0).set("class", class(pair, most)));
        entry.put(18.0, 1.0, words);
        entry
    });
    Drawing::flow(GAP, entries, width)
}

/// Returns the class of a path. The fewer NVLinks compared with the best pair, the fainter.
fn class(pair: Pair, most: u16) -> &'static str {
    match pair.path {
        Some(PathType::Nvl) => match u32::from(pair.nvlinks) * 4 / u32::from(most.max(1)) {
            0 | 1 => "m-nv1",
            2 => "m-nv2",
            3 => "m-nv3",
            _ => "m-nv4",
        },
        Some(PathType::Nvb) => "m-nvb",
        Some(PathType::Loc) => "m-x",
        Some(PathType::C2c) => "m-c2c",
        Some(PathType::Pix) => "m-pix",
        Some(PathType::Pxb) => "m-pxb",
        Some(PathType::Phb) => "m-phb",
        Some(PathType::Node) => "m-node",
        Some(PathType::Sys) => "m-sys",
        Some(PathType::Net) => "m-net",
        Some(PathType::Dis) => "m-dis",
        _ => "m-none",
    }
}
