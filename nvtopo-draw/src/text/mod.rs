//! Text for people: tables and a little colour.

mod answers;
mod devices;
mod machine;
mod matrix;
mod ranks;

use crate::{Render, Style, sealed};
use anstyle::Ansi256Color;
pub(crate) use answers::score_text;
use comfy_table::{Cell, Color, Table};
use nvtopo::diff::Diff;
use nvtopo::solve::Explanation;
use nvtopo::solve::mig::InstancePlacement;
use nvtopo::{PathType, Topology};
use nvtopo::{Placement, Plan, RankMap, Shares};

pub(super) struct Text;

impl sealed::Sealed for Text {}

impl Render for Text {
    fn name(&self) -> &'static str {
        "text"
    }

    fn topology(&self, topology: &Topology, style: Style) -> String {
        machine::topology(topology, style)
    }

    fn placement(&self, placement: &Placement, style: Style) -> String {
        answers::placement(placement, style)
    }

    fn explanation(&self, explanation: &Explanation, style: Style) -> String {
        answers::explanation(explanation, style)
    }

    fn instance(&self, topology: &Topology, placement: &InstancePlacement, style: Style) -> String {
        answers::instance(topology, placement, style)
    }

    fn ranks(&self, map: &RankMap, style: Style) -> String {
        ranks::ranks(map, style)
    }

    fn shares(&self, topology: &Topology, shares: &Shares, style: Style) -> String {
        answers::shares(topology, shares, style)
    }

    fn plan(&self, plan: &Plan, style: Style) -> String {
        answers::plan(plan, style)
    }

    fn diff(&self, diff: &Diff, style: Style) -> String {
        answers::diff(diff, style)
    }

    fn presets(&self, style: Style) -> String {
        answers::presets(style)
    }
}

/// Returns an empty table of plain columns.
pub fn table(style: Style) -> Table {
    let mut table = Table::new();
    table
        .load_style(comfy_table::presets::NOTHING)
        .set_content_arrangement(comfy_table::ContentArrangement::Disabled);
    if style.color {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    table
}

/// Returns the lines of a table with its columns two apart, without the blanks that fill the last one.
pub fn lines(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((2, 0));
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// Returns the cell of a heading.
pub fn head(text: impl ToString) -> Cell {
    Cell::new(text).add_attribute(comfy_table::Attribute::Bold)
}

/// Returns the cell of a pair, in the colour of its class of paths. Pairs with the most NVLinks are bold and more vivid.
///
/// From the 256 colours of terminals those next to the palette of Okabe and Ito, "Color Universal Design" (2008), which all
/// kinds of colour vision tell apart, and at least 3:1 against both white and black.
fn path_cell(word: String, path: Option<PathType>, most_links: bool) -> Cell {
    let color = match path {
        Some(PathType::Nvl) if !most_links => PALE_GREEN,
        Some(PathType::Nvl | PathType::C2c) => GREEN,
        Some(PathType::Nvb) => PALE_GREEN,
        Some(PathType::Pix | PathType::Pxb) => BLUE,
        Some(PathType::Phb | PathType::Node) => ORANGE,
        Some(PathType::Sys | PathType::Dis) => VERMILLION,
        Some(PathType::Net) => PURPLE,
        _ => GREY,
    };
    let cell = Cell::new(word).fg(Color::AnsiValue(color));
    let bold = path == Some(PathType::Nvl) && most_links;
    if bold { cell.add_attribute(comfy_table::Attribute::Bold) } else { cell }
}

const GREEN: u8 = 29;
const PALE_GREEN: u8 = 65;
const BLUE: u8 = 31;
const ORANGE: u8 = 136;
const VERMILLION: u8 = 166;
const PURPLE: u8 = 132;
const GREY: u8 = 244;

/// Returns the cell of a device's faults.
fn mark_cell(marks: &[String]) -> Cell {
    Cell::new(marks.join("; ")).fg(Color::AnsiValue(VERMILLION))
}

/// Returns a text in bold, if colour is on.
pub fn bold(text: &str, style: Style) -> String {
    paint(text, anstyle::Style::new().bold(), style)
}

/// Returns secondary text, in grey if colour is on.
pub fn dim(text: &str, style: Style) -> String {
    paint(text, Ansi256Color(GREY).on_default(), style)
}

fn paint(text: &str, paint: anstyle::Style, style: Style) -> String {
    if style.color { format!("{paint}{text}{paint:#}") } else { text.to_owned() }
}
