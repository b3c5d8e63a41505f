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
use super::{gpu_notes, plain};
use crate::error::{Error, Result};
use crate::model::{
    Fragment, Gpu, GpuInstance, MAX_DEVICES, NodeId, Note, NoteCode, PciFacts, PcieSpeed, Provenance,
};

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

/// A GPU, with its MIG instances.
#[derive(Default)]
struct ToldGpu {
    gpu: Gpu,
    instances: Vec<GpuInstance>,
}

impl Told {
    fn note(&mut self, code: NoteCode, text: impl Into<String>) {
        self.notes.push(Note::new(code, text));
    }

    /// Adds a GPU, or the facts of one that is there: parts of an output may have been asked for one after the other. Errors
    /// about two GPUs in one place call it by `name`.
    fn take(&mut self, own: ToldGpu, name: &str, is_same: impl Fn(&Gpu) -> bool) -> Result<()> {
        let Some(known) = self.gpus.iter_mut().find(|known| is_same(&known.gpu)) else {
            if self.gpus.len() >= MAX_DEVICES {
                return Err(Error::input(format!("it names more than {MAX_DEVICES} GPUs")));
            }
            self.gpus.push(own);
            return Ok(());
        };
        let (a, b) = (&known.gpu, &own.gpu);
        if a.uuid.zip(b.uuid).is_some_and(|(a, b)| a != b)
            || a.address.zip(b.address).is_some_and(|(a, b)| a != b)
        {
            return Err(Error::input(format!("GPU {name} is there twice, as two GPUs"))
                .help("give the text of one machine"));
        }
        known.fill(own);
        Ok(())
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
            let link = told.gpu.pci.link.and_then(gpu::link);
            let id = fragment.add(NodeId::MACHINE, told.gpu);
            if let Some(link) = link {
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

impl ToldGpu {
    /// Fills in the facts that another part tells of the same GPU.
    fn fill(&mut self, other: Self) {
        let (own, more) = (&mut self.gpu, other.gpu);
        or(&mut own.minor, more.minor);
        or(&mut own.uuid, more.uuid);
        or(&mut own.address, more.address);
        or(&mut own.memory, more.memory);
        or(&mut own.mig, more.mig);
        or(&mut own.model, more.model);
        or(&mut own.serial, more.serial);
        or(&mut own.firmware, more.firmware);
        or(&mut own.compute_capability, more.compute_capability);
        or(&mut own.fabric, more.fabric);
        or(&mut own.unusable, more.unusable);
        or(&mut own.usage.processes, more.usage.processes);
        or(&mut own.usage.memory_used, more.usage.memory_used);
        or(&mut own.usage.memory_free, more.usage.memory_free);
        fill_pci(&mut own.pci, &more.pci);
        if self.instances.is_empty() {
            self.instances = other.instances;
        }
    }
}

/// Fills in the facts of the PCI bus that nvidia-smi tells.
fn fill_pci(own: &mut PciFacts, more: &PciFacts) {
    or(&mut own.vendor, more.vendor);
    or(&mut own.device, more.device);
    or(&mut own.subsystem_vendor, more.subsystem_vendor);
    or(&mut own.subsystem_device, more.subsystem_device);
    let Some(more) = more.link else { return };
    let own = own.link.get_or_insert_default();
    let speed = |own: &mut PcieSpeed, more: PcieSpeed| {
        or(&mut own.generation, more.generation);
        or(&mut own.width, more.width);
    };
    speed(&mut own.now, more.now);
    speed(&mut own.device, more.device);
    speed(&mut own.port, more.port);
}

/// Fills in a fact that is unknown.
fn or<T>(own: &mut Option<T>, more: Option<T>) {
    *own = own.take().or(more);
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
    plain::number(value.trim())
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
