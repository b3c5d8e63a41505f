//! The report as JSON, for programs.

use crate::node_report::NodeReport;
use crate::placements::Choice;
use nvtopo::render::json as core;
use serde_json::{Map, Value, json};

/// The version of the document.
const VERSION: u32 = 1;

impl NodeReport<'_> {
    /// Writes the report as a JSON document: `format`, `version`, `nvtopo`, `date`, `node`, `taken`, `machine` (name, facts, fingerprint of the
    /// structure, inventory), `first` (the remedies that come first), `audit` (the document of
    /// [`Report::to_json`](nvtopo_audit::Report::to_json)), `baseline` (its date and fingerprint, and whether the structure is
    /// the same), `placements` (each with `gpus` and either `answer` or `error`; `failed` are chosen GPUs
    /// that failed checks, `without_failed` is the best set without such GPUs) and `topology` (the document of
    /// [`render::json::topology`](nvtopo::render::json::topology)). What is not known has no key.
    pub fn to_json(&self) -> String {
        let topology = self.topology();
        let mut document = Map::new();
        let mut add = |name: &str, value: Value| {
            if !value.is_null() {
                document.insert(name.to_owned(), value);
            }
        };
        add("format", "nvtopo-report".into());
        add("version", VERSION.into());
        add("nvtopo", env!("CARGO_PKG_VERSION").into());
        add("date", self.date.as_deref().into());
        add("node", self.audit.node().into());
        add("taken", self.audit.taken().into());
        let state = self.state();
        add(
            "machine",
            json!({
                "name": nvtopo_draw::words::machine_name(topology),
                "facts": nvtopo_draw::words::machine_facts(topology),
                "structure": state.structure(),
                "inventory": state.inventory(),
            }),
        );
        let steps = self.audit.first_steps();
        let step = steps.iter().map(|step| {
            json!({
                "check": step.check.code, "subject": step.subject, "text": step.text, "remedy": step.check.remedy,
            })
        });
        add("first", step.collect());
        add("audit", parsed(&self.audit.to_json()));
        let baseline = self.baseline.map(|own| {
            let (structure, now) = (own.structure(), state.structure());
            json!({ "date": own.date(), "same_structure": structure == now, "structure": structure })
        });
        add("baseline", baseline.into());
        add("placements", self.choices().iter().map(choice).collect());
        add("topology", parsed(&core::topology(topology)));
        format!("{:#}\n", Value::Object(document))
    }
}

fn choice(choice: &Choice) -> Value {
    let mut value = match &choice.answer {
        Ok(explanation) => json!({ "gpus": choice.gpus, "answer": parsed(&core::explanation(explanation)) }),
        Err(error) => json!({ "gpus": choice.gpus, "error": error.to_string() }),
    };
    if !choice.failed.is_empty() {
        value["failed"] = json!(choice.failed);
    }
    if let Some(without) = &choice.without {
        value["without_failed"] = parsed(&core::placement(without));
    }
    value
}

/// Reads a document of another part of nvtopo again, to put it into this one.
fn parsed(document: &str) -> Value {
    serde_json::from_str(document).unwrap_or_default()
}
