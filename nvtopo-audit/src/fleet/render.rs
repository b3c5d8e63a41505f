//! A fleet as text for people, JSON, CSV and JSON Lines.

use super::node::{FIELDS, FleetNode, NUMBERS, UNKNOWN_BOARD};
use super::{Fleet, FleetBoard, Outlier};
use nvtopo::render::count_of;
use nvtopo::{Error, Result, printable};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The columns of CSV beside the fields.
const COLUMNS: usize = 9;

/// The version of the JSON document.
const VERSION: u32 = 1;

/// The most nodes that are listed by name.
const LISTED: usize = 20;

/// The values of a field that are told, and of how many there are more.
const VALUES: usize = 6;

/// The age in seconds from which a snapshot says little about the node of today: a week.
const OLD: u64 = 7 * 24 * 3600;

/// Writes a time span in its largest unit.
fn age(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..7200 => (seconds / 60, "min"),
        7200..172_800 => (seconds / 3600, "h"),
        _ => (seconds / 86_400, "days"),
    };
    format!("{count} {unit}")
}

impl Fleet {
    /// Returns the fleet as text: boards with counts by driver and firmware, outliers, and what could not be read.
    pub fn to_text(&self) -> String {
        let mut text = format!(
            "{} of {}, {}, {} unreadable\n",
            count_of(self.nodes().len(), "node"),
            count_of(self.boards().len(), "board"),
            count_of(self.outliers().len(), "outlier"),
            self.unreadable().len()
        );
        self.add_ages(&mut text);
        for board in self.boards() {
            self.add_board(&mut text, board);
        }
        if !self.unreadable().is_empty() {
            text.push_str("\nUnreadable\n");
            for (name, error) in self.unreadable().iter().take(LISTED) {
                let _ = writeln!(text, "  {}: {}", printable(name), printable(error.message()));
            }
            let more = self.unreadable().len().saturating_sub(LISTED);
            if more > 0 {
                let _ = writeln!(text, "  and {more} more");
            }
        }
        text
    }

    /// Adds the ages of snapshots, where the time of now and of a snapshot are known.
    fn add_ages(&self, text: &mut String) {
        let Some(now) = self.now else { return };
        let told = || self.nodes().iter().filter_map(|node| Some((node, node.taken?)));
        let ages = || told().map(|(_, taken)| now.saturating_sub(taken));
        let (Some(newest), Some(oldest)) = (ages().min(), ages().max()) else { return };
        let _ = write!(text, "Snapshots are {} to {} old", age(newest), age(oldest));
        let open = self.nodes().len() - told().count();
        if open > 0 {
            let _ = write!(text, "; the age of {open} is not known");
        }
        text.push('\n');
        let old: Vec<&str> = told()
            .filter(|(_, taken)| now.saturating_sub(*taken) > OLD)
            .map(|(node, _)| node.name.as_str())
            .collect();
        if !old.is_empty() {
            let names: Vec<_> = old.iter().take(LISTED).map(|name| printable(name)).collect();
            let more = old.len().saturating_sub(LISTED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let _ = writeln!(text, "  older than {}: {}{more}", age(OLD), names.join(", "));
        }
    }

    fn add_board(&self, text: &mut String, board: &FleetBoard) {
        let nodes = board.nodes.len();
        let _ = writeln!(text, "\n{}: {}", printable(&board.name), count_of(nodes, "node"));
        for ((_, label), values) in FIELDS.iter().zip(&board.values) {
            if values.is_empty() {
                continue;
            }
            let told: Vec<String> =
                values.iter().take(VALUES).map(|(value, count)| told(value, *count, nodes)).collect();
            let more = values.len().saturating_sub(VALUES);
            let more = if more > 0 { format!("; {more} more") } else { String::new() };
            let _ = writeln!(text, "  {label:<18}{}{more}", told.join("; "));
        }
        let own: Vec<&Outlier> = self.outliers().iter().filter(|own| own.board == board.name).collect();
        if own.is_empty() {
            return;
        }
        let _ = writeln!(text, "  Outliers ({} %)", percent(own.len(), nodes));
        for outlier in own.iter().take(LISTED) {
            let _ = writeln!(text, "    {}", printable(&outlier.node));
            for (field, value, most) in &outlier.differences {
                // The fingerprint is explained by what differs.
                if *field != "structure" {
                    let _ = writeln!(
                        text,
                        "      {}: {}; most have {}",
                        label(field),
                        printable(value),
                        printable(most)
                    );
                }
            }
            for line in &outlier.details {
                let _ = writeln!(text, "      {}", printable(line));
            }
            if outlier.details.is_empty()
                && outlier.differences.iter().all(|(field, _, _)| *field == "structure")
            {
                text.push_str("      structure: another one than most\n");
            }
        }
        if own.len() > LISTED {
            let mut fields: BTreeMap<&str, usize> = BTreeMap::new();
            for (field, _, _) in own.iter().flat_map(|outlier| &outlier.differences) {
                *fields.entry(field).or_default() += 1;
            }
            let rates: Vec<String> = fields
                .into_iter()
                .map(|(field, count)| format!("{} {} %", label(field), percent(count, nodes)))
                .collect();
            let _ =
                writeln!(text, "    and {} more; differing nodes: {}", own.len() - LISTED, rates.join(", "));
        }
    }

    /// Returns the fleet as a JSON document: `format`, `version`, `boards` with counts, `outliers`, `unreadable`, `nodes`.
    pub fn to_json(&self) -> String {
        let boards: Vec<Value> = self.boards().iter().map(|board| self.board(board)).collect();
        let outliers: Vec<Value> = self.outliers().iter().map(outlier).collect();
        let unreadable = self.unreadable().iter();
        let unreadable: Vec<Value> =
            unreadable.map(|(name, error)| json!({ "name": name, "reason": error.message() })).collect();
        let document = json!({
            "format": "nvtopo-fleet", "version": VERSION, "boards": boards, "outliers": outliers,
            "unreadable": unreadable, "nodes": self.nodes().iter().map(node).collect::<Vec<_>>(),
        });
        format!("{document:#}\n")
    }

    fn board(&self, board: &FleetBoard) -> Value {
        let counts = |values: &[(std::sync::Arc<str>, usize)]| {
            let told = values.iter().map(|(value, count)| json!({ "value": &**value, "nodes": count }));
            Value::from(told.collect::<Vec<_>>())
        };
        let fields = FIELDS.iter().zip(&board.values).filter(|(_, values)| !values.is_empty());
        let fields: Map<String, Value> =
            fields.map(|((name, _), values)| ((*name).to_owned(), counts(values))).collect();
        let names: Vec<&str> = board.nodes.iter().map(|node| self.nodes()[*node].name.as_str()).collect();
        json!({ "name": &*board.name, "nodes": names, "values": fields })
    }

    /// Returns a JSON object for each node, one a line; of one that could not be read, with its name and the reason
    /// (`unreadable`).
    pub fn to_jsonl(&self) -> String {
        let unreadable = self.unreadable().iter();
        let unreadable =
            unreadable.map(|(name, error)| json!({ "node": name, "unreadable": error.message() }));
        self.nodes().iter().map(node).chain(unreadable).fold(String::new(), |mut text, own| {
            let _ = writeln!(text, "{own}");
            text
        })
    }

    /// Returns a row for each node as CSV, with a heading. Fields that are not known are empty. The last column has the reason
    /// why a node could not be read.
    ///
    /// Errors where the text cannot be put together; no fleet is known for which that is so.
    pub fn to_csv(&self) -> Result<String> {
        let failed = |error: csv::Error| Error::input(format!("cannot write CSV: {error}"));
        let mut writer = csv::Writer::from_writer(Vec::new());
        let heading = ["node", "board", "gpu_count"].into_iter().chain(FIELDS.iter().map(|(name, _)| *name));
        writer
            .write_record(heading.chain([
                "inventory",
                "gpu_uuids",
                "gpu_serials",
                "taken",
                "outlier",
                "unreadable",
            ]))
            .map_err(failed)?;
        let outliers: BTreeMap<&str, &Outlier> =
            self.outliers().iter().map(|own| (own.node.as_str(), own)).collect();
        for node in self.nodes() {
            let mut row = vec![cell(&node.name), cell(board_of(node).unwrap_or_default())];
            row.push(node.gpu_count.to_string());
            row.extend(node.values.iter().map(|value| cell(value.as_deref().unwrap_or_default())));
            let joined = |of: fn(&super::FleetDevice) -> Option<&str>| {
                node.devices.iter().filter_map(of).collect::<Vec<_>>().join(" ")
            };
            row.push(cell(node.inventory.as_deref().unwrap_or_default()));
            row.push(cell(&joined(|device| device.uuid.as_deref())));
            row.push(cell(&joined(|device| device.serial.as_deref())));
            row.push(node.taken_at().unwrap_or_default());
            let fields = outliers
                .get(node.name.as_str())
                .map(|own| own.differences.iter().map(|(field, _, _)| *field));
            row.push(fields.map_or_else(String::new, |fields| fields.collect::<Vec<_>>().join(" ")));
            row.push(String::new());
            writer.write_record(row).map_err(failed)?;
        }
        for (name, error) in self.unreadable() {
            let mut row = vec![String::new(); FIELDS.len() + COLUMNS];
            row[0] = cell(name);
            row[FIELDS.len() + COLUMNS - 1] = cell(error.message());
            writer.write_record(row).map_err(failed)?;
        }
        let bytes =
            writer.into_inner().map_err(|error| Error::input(format!("cannot write CSV: {error}")))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Returns the text of a cell that no spreadsheet takes for a formula.
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if is_formula { format!("'{text}") } else { text.to_owned() }
}

fn label(field: &str) -> &'static str {
    FIELDS.iter().find(|(name, _)| *name == field).map_or("", |(_, label)| label)
}

fn told(value: &str, count: usize, nodes: usize) -> String {
    // The digits of a hash say little to people.
    let short = value.strip_prefix("sha256:").and_then(|digits| digits.get(..12)).unwrap_or(value);
    let value = printable(short);
    if count == nodes {
        value.into_owned()
    } else if nodes > LISTED {
        format!("{value} ({count}, {} %)", percent(count, nodes))
    } else {
        format!("{value} ({count})")
    }
}

/// Returns a share in percent, with a digit where it is small.
fn percent(part: usize, all: usize) -> String {
    let share = part as f64 * 100.0 / all.max(1) as f64;
    if share < 10.0 { format!("{share:.1}") } else { format!("{share:.0}") }
}

fn outlier(outlier: &Outlier) -> Value {
    let differences = outlier.differences.iter();
    let differences: Vec<Value> = differences
        .map(|(field, value, most)| json!({ "field": field, "value": &**value, "most": &**most }))
        .collect();
    json!({
        "node": outlier.node, "board": &*outlier.board, "differences": differences, "details": outlier.details,
    })
}

/// Returns the board of a node. `None`: unknown.
fn board_of(node: &FleetNode) -> Option<&str> {
    Some(&*node.board).filter(|board| *board != UNKNOWN_BOARD)
}

fn node(node: &FleetNode) -> Value {
    let mut row = Map::new();
    row.insert("node".to_owned(), node.name.as_str().into());
    if let Some(board) = board_of(node) {
        row.insert("board".to_owned(), board.into());
    }
    row.insert("gpu_count".to_owned(), node.gpu_count.into());
    for ((name, _), value) in FIELDS.iter().zip(&node.values) {
        let Some(value) = value else { continue };
        let number = value.parse::<u64>().ok().filter(|_| NUMBERS.contains(name));
        let value = number.map_or_else(|| Value::from(&**value), Value::from);
        row.insert((*name).to_owned(), value);
    }
    if let Some(hash) = &node.inventory {
        row.insert("inventory".to_owned(), (&**hash).into());
    }
    if let Some(time) = node.taken_at() {
        row.insert("taken".to_owned(), time.into());
    }
    let devices = node.devices.iter().map(|device| {
        let mut row = Map::new();
        row.insert("name".to_owned(), (&*device.name).into());
        let told = [
            ("model", device.model.as_deref()),
            ("firmware", device.firmware.as_deref()),
            ("uuid", device.uuid.as_deref()),
            ("serial", device.serial.as_deref()),
        ];
        for (name, value) in told {
            if let Some(value) = value {
                row.insert(name.to_owned(), value.into());
            }
        }
        Value::Object(row)
    });
    row.insert("devices".to_owned(), devices.collect());
    Value::Object(row)
}
