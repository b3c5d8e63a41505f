//! The matrix of paths as a field of colours.

use super::drawing::{
    Drawing, FAINT, GAP, SMALL, WIDTH, centred, cut, heading, rectangle, text, text_width, title,
};
use crate::model::{Pair, PathType, Topology};

/// The size of a field with a word in it, and of one without.
const FIELD: (f64, f64) = (36.0, 22.0);
const SMALL_FIELD: f64 = 9.0;

/// From so many devices on, the fields have no words, and further on there is no matrix.
const WORDS: usize = 24;
const MOST: usize = 160;

/// The rows of the GPUs; those of the NICs would only repeat them, turned over.
pub(super) fn matrix(topology: &Topology) -> Drawing {
    let devices = topology.devices().len();
    if devices > MOST {
        return Drawing::line(
            &format!("The paths between {devices} devices are not drawn."),
            SMALL,
            false,
            FAINT,
        );
    }
    let words = devices <= WORDS;
    let names: Vec<String> = (0..devices).map(|device| topology.device_name(device)).collect();
    let left =
        names[..topology.gpus().len()].iter().map(|name| text_width(name, SMALL)).fold(0.0, f64::max) + 8.0;
    let (width, height) = if words {
        let widest = names.iter().map(|name| text_width(name, SMALL) + 6.0).fold(FIELD.0, f64::max);
        (widest.min((WIDTH - left) / devices as f64), FIELD.1)
    } else {
        (SMALL_FIELD, SMALL_FIELD)
    };
    let top = if words { 18.0 } else { 0.0 };
    let rows = topology.gpus().len();
    let mut field = Drawing::new(left + width * devices as f64, top + height * rows as f64);
    for (row, name) in names.iter().take(rows).enumerate() {
        let y = top + height * row as f64;
        if words {
            field.draw(text(0.0, y + 15.0, name).set("font-size", SMALL).set("font-weight", "bold"));
        } else if row % 4 == 0 {
            field.draw(text(0.0, y + 8.0, name).set("font-size", SMALL_FIELD));
        }
        for (column, other) in names.iter().enumerate() {
            let pair = topology.pairs().pair(row, column);
            let word = pair.word(topology.dialect()).unwrap_or_else(|| "?".to_owned());
            let x = left + width * column as f64;
            let square = rectangle(x, y, width - 1.0, height - 1.0).set("fill", colour(pair.path));
            field.draw(square.add(title(&said(name, other, &word, pair))));
            if words {
                let middle = x + (width - 1.0) / 2.0;
                field.draw(
                    centred(middle, y + 15.0, &word).set("font-size", SMALL).set("pointer-events", "none"),
                );
            }
        }
    }
    if words {
        for (column, name) in names.iter().enumerate() {
            let middle = left + width * column as f64 + (width - 1.0) / 2.0;
            field.draw(centred(middle, 12.0, &cut(name, SMALL, width)).set("font-size", SMALL));
        }
    }
    Drawing::stack(GAP, [heading("Paths"), field, legend(topology)])
}

fn said(a: &str, b: &str, word: &str, pair: Pair) -> String {
    let rate =
        pair.rate.map_or_else(String::new, |rate| format!(", {} ({})", rate.bandwidth, rate.basis.name()));
    format!("{a} – {b}: {word}{rate}")
}

/// Which colour is which class, of those that there are.
fn legend(topology: &Topology) -> Drawing {
    let devices = topology.devices().len();
    let pairs = (0..topology.gpus().len()).flat_map(|a| (0..devices).map(move |b| (a, b)));
    let mut paths: Vec<Option<PathType>> = pairs.map(|(a, b)| topology.pairs().pair(a, b).path).collect();
    paths.sort_unstable_by_key(|path| (path.is_none(), *path));
    paths.dedup();
    let entries = paths.into_iter().filter(|path| *path != Some(PathType::Loc)).map(|path| {
        let words = path.map_or("unknown", meaning);
        let mut entry = Drawing::new(20.0 + text_width(words, SMALL), 16.0);
        entry.draw(rectangle(0.0, 2.0, 12.0, 12.0).set("fill", colour(path)));
        entry.draw(text(18.0, 12.0, words).set("font-size", SMALL).set("fill", FAINT));
        entry
    });
    Drawing::flow(GAP, entries, WIDTH)
}

fn meaning(path: PathType) -> &'static str {
    match path {
        PathType::Loc => "itself",
        PathType::Nvl => "NV: NVLink",
        PathType::Nvb => "NVB: NVLink through another GPU",
        PathType::C2c => "C2C: NVLink-C2C",
        PathType::Pix => "PIX: one PCIe switch",
        PathType::Pxb => "PXB: several PCIe switches",
        PathType::Phb => "PHB: a host bridge",
        PathType::Node => "NODE: several host bridges",
        PathType::Sys => "SYS: between NUMA nodes",
        PathType::Net => "NET: a network",
        PathType::Dis => "DIS: no path",
    }
}

/// From green, near, to red, far.
fn colour(path: Option<PathType>) -> &'static str {
    match path {
        Some(PathType::Loc) => "#e6e6e6",
        Some(PathType::Nvl) => "#8fc93a",
        Some(PathType::Nvb) => "#b9dd7f",
        Some(PathType::C2c) => "#a3d9b1",
        Some(PathType::Pix) => "#8ecae6",
        Some(PathType::Pxb) => "#bfe1f0",
        Some(PathType::Phb) => "#fde8a3",
        Some(PathType::Node) => "#fbd27a",
        Some(PathType::Sys) => "#f4a58a",
        Some(PathType::Net) => "#d9b8e0",
        Some(PathType::Dis) => "#e0777d",
        None => "#fafafa",
    }
}
