//! The JSON Schemas of the documents that nvtopo writes, generated from the structs that it writes them with.

use crate::source::json::Document;

/// The schema of [`Topology::to_json`](crate::Topology::to_json), committed as `docs/topology-v1.schema.json`.
pub fn topology() -> String {
    let schema = schemars::schema_for!(Document);
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}
