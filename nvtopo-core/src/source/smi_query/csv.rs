//! `nvidia-smi --query-gpu=… --format=csv`: the first line names the fields, or the command above does.

use super::{Told, ToldGpu, gpu, known, mebibytes, number, switch, unusable};
use crate::error::{Error, Result};
use crate::model::{Fragment, Gpu, MAX_DEVICES, MigMode, NoteCode, PcieTraining};
use crate::source::text::{self, Line};
use crate::source::{Input, TextFormat};
use std::collections::BTreeSet;

pub(in crate::source) struct SmiCsv;

impl TextFormat for SmiCsv {
    const NAME: &'static str = "the CSV of nvidia-smi --query-gpu";
    const BEGINNINGS: &'static [&'static str] = &["nvidia-smi", "--query-gpu"];

    fn recognizes(input: &Input<'_>) -> bool {
        let mut fields = None;
        input.lines().any(|line| match (header(&line), &fields) {
            (Some(found), _) => {
                fields = Some(found);
                false
            }
            (None, Some(fields)) => row(&line, fields).is_some(),
            (None, None) => false,
        })
    }

    fn begins(line: &Line<'_>) -> bool {
        header(line).is_some()
    }

    fn read(bytes: &[u8]) -> Result<Fragment> {
        let (text, damage) = text::decode(bytes);
        let mut told = Told::default();
        let mut fields: Option<Vec<String>> = None;
        // Without an index the GPUs are in its order.
        let (mut position, mut torn) = (0, Vec::new());
        for line in text::lines(&text) {
            if let Some(found) = header(&line) {
                (fields, position) = (Some(found), 0);
                continue;
            }
            let Some(known) = &fields else { continue };
            match row(&line, known) {
                Some(cells) => {
                    let mut own = read_row(&mut told, known, &cells, position);
                    // Lists of retired pages and the like have several rows for each GPU.
                    let again = told.gpus.iter().find(|known| is_same(&known.gpu, &own.gpu));
                    match again.filter(|_| !known.iter().any(|field| field == "index")) {
                        Some(again) => own.gpu.index = again.gpu.index,
                        None => position += 1,
                    }
                    let index = own.gpu.index;
                    let taken = told.take(own, &index.to_string(), |other| other.index == index);
                    taken.map_err(|error| error.at(line.number, 1))?;
                }
                None if plain(&line).is_empty() => {}
                None if position > 0 && plain(&line).contains(", ") => torn.push(line.number),
                // The output has ended, or has not begun.
                None if position > 0 => fields = None,
                None => {}
            }
        }
        if told.gpus.is_empty() {
            let error = Error::input("no GPU is below the names of the fields").at(1, 1);
            return Err(error.help("give all that nvidia-smi --query-gpu prints"));
        }
        if let Some(first) = torn.first() {
            let text = format!("line {first} has not as many fields as there are names, and was left out");
            told.note(NoteCode::Damage, text);
        }
        if let Some(text) = damage {
            told.note(NoteCode::Damage, text);
        }
        Ok(told.fragment())
    }
}

/// Returns whether two rows without an index are of one GPU: of one address, or of one UUID where an address is unknown.
fn is_same(a: &Gpu, b: &Gpu) -> bool {
    let equal = a.address.zip(b.address).map(|(a, b)| a == b);
    equal.or(a.uuid.zip(b.uuid).map(|(a, b)| a == b)).unwrap_or(false)
}

fn read_row(told: &mut Told, fields: &[String], cells: &[&str], position: u32) -> ToldGpu {
    let mut own = Gpu::new(position);
    let mut link = PcieTraining::default();
    let (mut current, mut pending) = (None, None);
    let generation =
        |cell: &str| number(cell).and_then(|own| u8::try_from(own).ok()).filter(|own| (1..=16).contains(own));
    let width = |cell: &str| {
        number(cell).and_then(|own| u16::try_from(own).ok()).filter(|own| (1..=32).contains(own))
    };
    for (field, cell) in fields.iter().zip(cells) {
        own.unusable = own.unusable.take().or_else(|| unusable(cell).map(str::to_owned));
        let Some(cell) = known(cell) else { continue };
        match &**field {
            "index" => own.index = number(cell).unwrap_or(own.index),
            "name" | "gpu_name" => own.model = Some(cell.to_owned()),
            "uuid" | "gpu_uuid" => own.uuid = cell.parse().ok(),
            "serial" | "gpu_serial" => own.serial = Some(cell.to_owned()),
            "pci.bus_id" | "gpu_bus_id" => own.address = cell.parse().ok(),
            "pci.device_id" => (own.pci.vendor, own.pci.device) = gpu::ids(Some(cell)),
            "pci.sub_device_id" => {
                (own.pci.subsystem_vendor, own.pci.subsystem_device) = gpu::ids(Some(cell));
            }
            "vbios_version" => own.firmware = Some(cell.to_ascii_uppercase()),
            "compute_cap" => own.compute_capability = cell.parse().ok(),
            "memory.total" => own.memory = mebibytes(cell),
            "memory.used" => own.usage.memory_used = mebibytes(cell),
            "memory.free" => own.usage.memory_free = mebibytes(cell),
            "mig.mode.current" => current = switch(cell),
            "mig.mode.pending" => pending = switch(cell),
            "pcie.link.gen.current" | "pcie.link.gen.gpucurrent" => link.now.generation = generation(cell),
            "pcie.link.gen.gpumax" => link.device.generation = generation(cell),
            "pcie.link.gen.hostmax" => link.port.generation = generation(cell),
            "pcie.link.gen.max" => link.port.generation = link.port.generation.or(generation(cell)),
            "pcie.link.width.current" => link.now.width = width(cell),
            "pcie.link.width.max" => link.port.width = width(cell),
            "driver_version" => _ = told.driver.get_or_insert_with(|| cell.to_owned()),
            _ => {}
        }
    }
    own.mig = current.map(|current| MigMode { current, pending: pending.unwrap_or(current) });
    own.pci.link = Some(link).filter(|link| *link != PcieTraining::default());
    ToldGpu { gpu: own, ..ToldGpu::default() }
}

/// Returns a line without what mail and comments put before it.
fn plain<'l>(line: &'l Line<'_>) -> &'l str {
    line.text.trim_start_matches([' ', '\t', '>', '#', '*', '|', '"']).trim_end_matches([' ', '\t', '"'])
}

/// The fields by which a GPU is known.
const IDENTITIES: [&str; 8] =
    ["index", "name", "gpu_name", "uuid", "gpu_uuid", "pci.bus_id", "gpu_bus_id", "serial"];

/// Returns the names of the fields that a line lists: `index, name, memory.total [MiB]`, or a command with
/// `--query-gpu=index,name,memory.total`.
fn header(line: &Line<'_>) -> Option<Vec<String>> {
    let text = plain(line);
    let (list, is_command) = match text.split_once("--query-gpu") {
        Some((_, rest)) => {
            let rest = rest.trim_start_matches(['=', ' ', '"', '\'']);
            (rest.split([' ', '"', '\'', '\\']).next().unwrap_or_default(), true)
        }
        None => (text, false),
    };
    let mut fields = Vec::new();
    for field in list.split(',') {
        let name = field.split(" [").next().unwrap_or(field).trim();
        let of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || name.len() > 64 || !name.chars().all(of_name) {
            return None;
        }
        fields.push(name.to_ascii_lowercase());
    }
    let identities =
        fields.iter().filter(|field| IDENTITIES.contains(&&***field)).collect::<BTreeSet<_>>().len();
    // A list of processes names the UUIDs of GPUs too.
    let of_processes = fields.iter().any(|field| field == "pid");
    let known =
        if is_command { identities > 0 } else { identities > 0 && fields.len() > 1 && is_query(&fields) };
    (known && !of_processes).then_some(fields)
}

/// Returns whether fields are those of nvidia-smi: two by which a GPU is known, or one of them and one with a dot.
fn is_query(fields: &[String]) -> bool {
    let identities = fields.iter().filter(|field| IDENTITIES.contains(&&***field)).count();
    let own = |field: &String| {
        field.contains('.')
            || matches!(&**field, "driver_version" | "compute_cap" | "vbios_version" | "persistence_mode")
    };
    identities > 1 || fields.iter().any(own)
}

/// Returns the cells of a GPU, as many as there are fields.
fn row<'l>(line: &'l Line<'_>, fields: &[String]) -> Option<Vec<&'l str>> {
    let cells: Vec<&str> = plain(line).split(',').map(str::trim).collect();
    if cells.len() != fields.len() {
        return None;
    }
    let fits = |(field, cell): (&String, &&str)| match &**field {
        "index" => number(cell).is_some_and(|index| (index as usize) < MAX_DEVICES),
        "uuid" | "gpu_uuid" => cell.starts_with("GPU-") || known(cell).is_none(),
        "pci.bus_id" | "gpu_bus_id" => {
            cell.parse::<crate::ids::PciAddress>().is_ok() || known(cell).is_none()
        }
        "name" | "gpu_name" => !cell.is_empty() && !cell.contains(['$', '=', '{', '%']),
        _ => true,
    };
    fields.iter().zip(&cells).all(fits).then_some(cells)
}
