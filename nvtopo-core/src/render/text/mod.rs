//! Text for people: tables and a little colour.

mod answers;
mod devices;
mod machine;
mod ranks;
mod simulation;

use super::{Render, Style};
use crate::model::{PathType, Topology};
use crate::solve::mig::InstancePlacement;
use crate::solve::simulate::Report;
use crate::solve::{Explanation, Placement, Plan, RankMap, Shares};
use anstyle::AnsiColor;
use comfy_table::{Cell, Color, Table};

pub(super) struct Text;

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

    fn simulation(&self, report: &Report, style: Style) -> String {
        simulation::simulation(report, style)
    }

    fn presets(&self, style: Style) -> String {
        answers::presets(style)
    }
}

/// A table of plain columns.
fn table(style: Style) -> Table {
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

/// The table with its columns two apart, without the blanks that fill the last one.
fn lines(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((2, 0));
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn head(text: impl ToString) -> Cell {
    Cell::new(text).add_attribute(comfy_table::Attribute::Bold)
}

/// Near paths are green, far ones red.
fn path_cell(word: String, path: Option<PathType>) -> Cell {
    let color = match path {
        Some(PathType::Nvl | PathType::Nvb | PathType::C2c) => Color::Green,
        Some(PathType::Pix | PathType::Pxb) => Color::Cyan,
        Some(PathType::Phb | PathType::Node) => Color::Yellow,
        Some(PathType::Sys | PathType::Net | PathType::Dis) => Color::Red,
        _ => Color::DarkGrey,
    };
    Cell::new(word).fg(color)
}

/// What is wrong with a thing, where something is.
fn mark_cell(marks: &[String]) -> Cell {
    Cell::new(marks.join("; ")).fg(Color::Red)
}

/// Text in bold, where colour is asked for.
fn bold(text: &str, style: Style) -> String {
    paint(text, anstyle::Style::new().bold(), style)
}

/// Text that steps back.
fn dim(text: &str, style: Style) -> String {
    paint(text, AnsiColor::BrightBlack.on_default(), style)
}

fn paint(text: &str, paint: anstyle::Style, style: Style) -> String {
    if style.color { format!("{paint}{text}{paint:#}") } else { text.to_owned() }
}
