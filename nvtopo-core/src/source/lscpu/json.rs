//! The JSON of `lscpu -J` (fields, which newer versions nest) and of `lscpu -e -J` (CPUs).

use super::summary::Summary;
use super::table::{Column, Table, row};
use crate::error::{Error, Result};
use serde_json::Value;

/// The deepest nesting of fields; the tool has three levels.
const MAX_DEPTH: usize = 16;

/// Returns whether the content is such a document, by its first key.
pub(super) fn is_it(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let Some(rest) = bytes.trim_ascii_start().strip_prefix(b"{") else { return false };
    let rest = rest.trim_ascii_start();
    let begins = |key: &[u8]| {
        let value = rest.strip_prefix(key).map(<[u8]>::trim_ascii_start);
        let value = value.and_then(|rest| rest.strip_prefix(b":")).map(<[u8]>::trim_ascii_start);
        let list = value.and_then(|rest| rest.strip_prefix(b"[")).map(<[u8]>::trim_ascii_start);
        list.is_some_and(|rest| rest.first() == Some(&b'{'))
    };
    begins(b"\"lscpu\"") || begins(b"\"cpus\"")
}

/// Reads the document.
pub(super) fn read(bytes: &[u8]) -> Result<(Summary, Table)> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let document: Value = serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line().max(1), error.column().max(1));
        let text = error.to_string();
        let text = text.rsplit_once(" at line").map_or(&*text, |(text, _)| text);
        Error::input(format!("this is no valid JSON: {text}")).at(line, column)
    })?;
    let (mut summary, mut table) = (Summary::default(), Table::default());
    let list = |key: &str| document.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    fields(list("lscpu"), &mut summary, 0)?;
    for cpu in list("cpus") {
        let Some(cpu) = cpu.as_object() else { continue };
        let named: Vec<(Column, String)> =
            cpu.iter().map(|(name, value)| (Column::of(name), text(value))).collect();
        let named = named.iter().map(|(column, value)| (column, value.as_str(), 1));
        let (cpu, row) = row(named, 1)?;
        table.add(cpu, row, 1, 1)?;
    }
    Ok((summary, table))
}

fn fields(list: &[Value], summary: &mut Summary, depth: usize) -> Result<()> {
    for field in list.iter().filter(|_| depth < MAX_DEPTH) {
        let name = field.get("field").and_then(Value::as_str).unwrap_or_default();
        let value = field.get("data").map(text).unwrap_or_default();
        // A bare heading of others, such as `NUMA:`, has no value.
        summary.field(name.trim().trim_end_matches([':', '\u{ff1a}']), value.trim(), 1, 1)?;
        let below = field.get("children").and_then(Value::as_array);
        fields(below.map(Vec::as_slice).unwrap_or_default(), summary, depth + 1)?;
    }
    Ok(())
}

/// Returns the value as `lscpu` prints it in a table.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}
