//! The matrix of paths as a field of colours.

use super::drawing::{
    Drawing, FAINT, GAP, SMALL, WIDTH, centred, cut, heading, rectangle, text, text_width, title,
};
use crate::words;
use nvtopo::model::Pair;
use nvtopo::{PathType, Topology};
use std::ops::Range;

/// The size of a field with text, and of one without.
const FIELD: (f64, f64) = (36.0, 22.0);
const SMALL_FIELD: f64 = 9.0;

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
    let names: Vec<String> = (0..devices).map(|device| topology.device_name(device)).collect();
    let most = words::most_nvlinks(topology);
    let mut fields = vec![field(topology, &names, 0..gpus, most)];
    if devices > gpus {
        fields.push(field(topology, &names, gpus..devices, most));
    }
    let fields = Drawing::flow(2.0 * GAP, fields, WIDTH);
    let legend = legend(topology, most, fields.width.max(LEGEND));
    Drawing::stack(GAP, [heading("Paths"), fields, legend])
}

/// Draws the rows of all GPUs with some columns. Where fields have no room for text, every fourth row and column is named.
fn field(topology: &Topology, names: &[String], columns: Range<usize>, most: u16) -> Drawing {
    let rows = topology.gpus().len();
    let words = columns.len().max(rows) <= WORDS;
    let left = names[..rows].iter().map(|name| 1.1 * text_width(name, SMALL)).fold(0.0, f64::max) + 8.0;
    let (width, height) = if words {
        let own = names[columns.clone()].iter().map(|name| text_width(name, SMALL) + 10.0);
        (own.fold(FIELD.0, f64::max).min((WIDTH - left) / columns.len() as f64), FIELD.1)
    } else {
        (SMALL_FIELD, SMALL_FIELD)
    };
    let top = 18.0;
    let right = if words { 0.0 } else { 4.0 * SMALL_FIELD };
    let mut field = Drawing::new(left + width * columns.len() as f64 + right, top + height * rows as f64);
    for (row, name) in names.iter().take(rows).enumerate() {
        let y = top + height * row as f64;
        if words {
            field.draw(text(0.0, y + 15.0, name).set("font-size", SMALL).set("font-weight", "bold"));
        } else if row % 4 == 0 {
            field.draw(text(0.0, y + 8.0, name).set("font-size", SMALL_FIELD));
        }
        for (column, other) in columns.clone().zip(&names[columns.clone()]) {
            let pair = topology.pairs().pair(row, column);
            let word = pair.word(topology.dialect()).unwrap_or_else(|| "?".to_owned());
            let x = left + width * (column - columns.start) as f64;
            let square = rectangle(x, y, width - 1.0, height - 1.0).set("fill", colour(pair, most));
            field.draw(square.add(title(&said(name, other, &word, pair))));
            if words {
                let middle = x + (width - 1.0) / 2.0;
                field.draw(
                    centred(middle, y + 15.0, &word).set("font-size", SMALL).set("pointer-events", "none"),
                );
            }
        }
    }
    for (place, name) in names[columns].iter().enumerate() {
        let x = left + width * place as f64;
        if words {
            let name = cut(name, SMALL, width);
            field.draw(centred(x + (width - 1.0) / 2.0, 12.0, &name).set("font-size", SMALL));
        } else if place % 4 == 0 {
            let name = cut(name, SMALL_FIELD - 1.0, 4.0 * width);
            field.draw(text(x, 12.0, &name).set("font-size", SMALL_FIELD - 1.0));
        }
    }
    field
}

fn said(a: &str, b: &str, word: &str, pair: Pair) -> String {
    let rate =
        pair.rate.map_or_else(String::new, |rate| format!(", {} ({})", rate.bandwidth, rate.basis.name()));
    format!("{a} – {b}: {word}{rate}")
}

/// Draws the legend: the colour of each class that occurs.
fn legend(topology: &Topology, most: u16, width: f64) -> Drawing {
    let entries = words::legend(topology).into_iter().map(|(path, nvlinks, word, meaning)| {
        let words = format!("{word}: {meaning}");
        let mut entry = Drawing::new(20.0 + text_width(&words, SMALL), 16.0);
        let fill = colour(Pair::new(path, nvlinks, None), most);
        entry.draw(rectangle(0.0, 2.0, 12.0, 12.0).set("fill", fill).set("stroke", "#999"));
        entry.draw(text(18.0, 12.0, &words).set("font-size", SMALL).set("fill", FAINT));
        entry
    });
    Drawing::flow(GAP, entries, width)
}

/// Returns the colour of a path. The fewer NVLinks compared with the best pair, the fainter.
///
/// From the scheme "light" of Paul Tol, "Colour Schemes" (SRON/EPS/TN/09-002, 2021), which is made for cells with dark text
/// and told apart by all kinds of colour vision.
fn colour(pair: Pair, most: u16) -> String {
    let (red, green, blue) = match pair.path {
        Some(PathType::Nvl) => return tint((0x44, 0xbb, 0x99), pair.nvlinks, most),
        Some(PathType::Nvb) => return tint((0x44, 0xbb, 0x99), 0, 1),
        Some(PathType::Loc) => (0xf0, 0xf0, 0xf0),
        Some(PathType::C2c) => (0xaa, 0xaa, 0x00),
        Some(PathType::Pix) => (0x77, 0xaa, 0xdd),
        Some(PathType::Pxb) => (0x99, 0xdd, 0xff),
        Some(PathType::Phb) => (0xee, 0xdd, 0x88),
        Some(PathType::Node) => (0xbb, 0xcc, 0x33),
        Some(PathType::Sys) => (0xee, 0x88, 0x66),
        Some(PathType::Net) => (0xff, 0xaa, 0xbb),
        Some(PathType::Dis) => (0xdd, 0xdd, 0xdd),
        _ => (0xff, 0xff, 0xff),
    };
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// Mixes a colour with white: pure at the full share, three quarters white at none.
fn tint(full: (u8, u8, u8), part: u16, most: u16) -> String {
    let missing = u32::from(most.saturating_sub(part)) * 3;
    let whole = u32::from(most.max(1)) * 4;
    let mix = |own: u8| u32::from(own) + (255 - u32::from(own)) * missing / whole;
    format!("#{:02x}{:02x}{:02x}", mix(full.0), mix(full.1), mix(full.2))
}
