//! The facts of GPUs that `nvidia-smi` tells one by one: `-q` as text and as XML, `--query-gpu` as CSV, and the table that it prints by
//! itself.
//!
//! None of them tells which GPUs NVLink connects, so they are merged with another source, such as the text of `nvidia-smi topo
//! -m`. Clocks, temperatures, power and error counters are left out.

mod csv;
mod gpu;
mod table;
mod text;
mod tree;
mod xml;

use super::common::NVLINKS_OF_FILE;
use super::gpu_notes;
use crate::model::{Fragment, Gpu, GpuInstance, Link, NodeId, Note, NoteCode, Provenance};

pub(super) use csv::SmiCsv;
pub(super) use table::SmiTable;
pub(super) use text::SmiQuery;
pub(super) use xml::SmiXml;

/// The GPUs that a text tells of.
#[derive(Default)]
struct Told {
    driver: Option<String>,
    cuda: Option<String>,
    gpus: Vec<ToldGpu>,
    notes: Vec<Note>,
}

/// A GPU, with its MIG instances and its PCIe link.
#[derive(Default)]
struct ToldGpu {
    gpu: Gpu,
    instances: Vec<GpuInstance>,
    link: Option<Link>,
}

impl Told {
    fn note(&mut self, code: NoteCode, text: impl Into<String>) {
        self.notes.push(Note::new(code, text));
    }

    fn fragment(self) -> Fragment {
        let mut fragment = Fragment::new(Provenance::Smi);
        let machine = fragment.machine();
        // Newer drivers append "[Deprecated; …]".
        let bare = |version: String| version.split(" [").next().map(|version| version.trim_end().to_owned());
        (machine.driver, machine.cuda) = (self.driver.and_then(bare), self.cuda.and_then(bare));
        fragment.set_nvlink_unknown();
        if self.gpus.len() > 1 {
            fragment.note(NoteCode::NvlinksUnknown, NVLINKS_OF_FILE);
        }
        for told in self.gpus {
            let id = fragment.add(NodeId::MACHINE, told.gpu);
            if let Some(link) = told.link {
                fragment.link(NodeId::MACHINE, id, link);
            }
            for instance in told.instances {
                fragment.add(id, instance);
            }
        }
        fragment.notes.extend(self.notes);
        gpu_notes::note_mig(&mut fragment);
        gpu_notes::note_fabric(&mut fragment);
        fragment
    }
}

/// Returns a value of `nvidia-smi`, unless it says that there is none.
fn known(value: &str) -> Option<&str> {
    let value = value.trim();
    let bare = value.trim_matches(['[', ']']).trim();
    let none = [
        "",
        "n/a",
        "none",
        "not available",
        "not supported",
        "not found",
        "unknown error",
        "unknown",
        "err!",
        "error",
        "redacted",
        "insufficient permissions",
        "gpu is lost",
        "gpu requires reset",
        "requested functionality has been deprecated",
        "no devices were found",
    ];
    (!none.contains(&&*bare.to_ascii_lowercase())).then_some(value)
}

/// Returns a number without a sign.
fn number(value: &str) -> Option<u32> {
    let value = value.trim();
    let plain = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| value.parse().ok()).flatten()
}

/// Reads `81559 MiB`, or a number of MiB without its unit.
fn mebibytes(value: &str) -> Option<u64> {
    let value = value.trim();
    let value = value.strip_suffix("MiB").or_else(|| value.strip_suffix("MB")).unwrap_or(value);
    u64::from(number(value)?).checked_mul(1 << 20)
}

/// Reads `Enabled` and `Disabled`, or `On` and `Off`.
fn switch(value: &str) -> Option<bool> {
    match &*value.trim().to_ascii_lowercase() {
        "enabled" | "on" | "yes" | "active" => Some(true),
        "disabled" | "off" | "no" | "not active" => Some(false),
        _ => None,
    }
}

/// Returns why no job can use a GPU, if one of its values says so.
fn unusable(value: &str) -> Option<&'static str> {
    match &*value.trim().trim_matches(['[', ']']).to_ascii_lowercase() {
        "gpu is lost" => Some("has fallen off the bus"),
        "gpu requires reset" => Some("needs a reset"),
        _ => None,
    }
}
