//! The table that `nvidia-smi` prints by itself: driver, GPUs, MIG devices, processes.

use super::{Told, ToldGpu, known, mebibytes, number, switch};
use crate::error::{Error, Result};
use crate::ids::PciAddress;
use crate::model::{Fragment, Gpu, GpuInstance, MAX_DEVICES, MigMode, NoteCode};
use crate::source::text::{self, Line};
use crate::source::{Input, TextFormat};

pub(in crate::source) struct SmiTable;

impl TextFormat for SmiTable {
    const NAME: &'static str = "the table of nvidia-smi";
    const BEGINNINGS: &'static [&'static str] = &["nvidia-smi", "NVIDIA-SMI"];

    fn recognizes(input: &Input<'_>) -> bool {
        input.lines().any(|line| first_line(&line).is_some())
    }

    fn read(bytes: &[u8]) -> Result<Fragment> {
        let (text, damage) = text::decode(bytes);
        let mut reader = Reader::default();
        for line in text::lines(&text) {
            reader.feed(&line)?;
        }
        let mut told = reader.told;
        if reader.has_cut_names {
            told.note(
                NoteCode::Unknown,
                "nvidia-smi cuts long names of GPUs in its table; they were left out",
            );
        }
        if let Some(text) = damage {
            told.note(NoteCode::Damage, text);
        }
        Ok(told.fragment())
    }
}

/// The part of the table that is being read.
#[derive(Clone, Copy, Default, PartialEq)]
enum Part {
    #[default]
    Gpus,
    Instances,
    Processes,
    /// A second table, as of `nvidia-smi -l`.
    Again,
}

#[derive(Default)]
struct Reader {
    told: Told,
    part: Part,
    has_cut_names: bool,
}

impl Reader {
    fn feed(&mut self, line: &Line<'_>) -> Result<()> {
        let is_head = || ["Driver Version", "KMD Version"].iter().any(|words| line.text.contains(words));
        if line.text.contains("NVIDIA-SMI") && is_head() {
            self.head(&line.text);
        } else if line.text.contains("MIG devices:") && self.part != Part::Again {
            self.part = Part::Instances;
        } else if line.text.contains("Processes:") && self.part != Part::Again {
            self.part = Part::Processes;
            for told in &mut self.told.gpus {
                told.gpu.usage.processes = Some(0);
            }
        } else {
            match self.part {
                Part::Gpus => self.gpu(line)?,
                Part::Instances => self.instance(line),
                Part::Processes => self.process(line),
                Part::Again => self.again(line)?,
            }
        }
        Ok(())
    }

    fn head(&mut self, text: &str) {
        if !self.told.gpus.is_empty() {
            self.part = Part::Again;
            return;
        }
        let after = |words: &str| {
            let rest = text.split_once(words)?.1;
            let version = rest.split([' ', '|']).find(|word| !word.is_empty())?;
            known(version).map(str::to_owned)
        };
        self.told.driver = after("Driver Version:").or_else(|| after("KMD Version:"));
        self.told.cuda = after("CUDA Version:").or_else(|| after("CUDA UMD Version:"));
    }

    /// Takes one of the three lines of a GPU.
    fn gpu(&mut self, line: &Line<'_>) -> Result<()> {
        if let Some((index, name, address)) = first_line(line) {
            if self.told.gpus.len() >= MAX_DEVICES || index as usize >= MAX_DEVICES {
                return Err(Error::input(format!("it names more than {MAX_DEVICES} GPUs")).at(line.number, 1));
            }
            if self.told.gpus.iter().any(|told| told.gpu.index == index) {
                return Err(Error::input(format!("GPU {index} is there twice"))
                    .at(line.number, 1)
                    .help("give the table of one machine"));
            }
            let is_cut = name.ends_with("...") || name.ends_with('\u{2026}');
            self.has_cut_names |= is_cut;
            let model = known(name).filter(|_| !is_cut).map(str::to_owned);
            let gpu = Gpu { index, model, address: Some(address), ..Gpu::default() };
            self.told.gpus.push(ToldGpu { gpu, ..ToldGpu::default() });
            return Ok(());
        }
        let (cells, Some(told)) = (cells(line), self.told.gpus.last_mut()) else { return Ok(()) };
        let gpu = &mut told.gpu;
        match cells[..] {
            [_, memory, _] if gpu.memory.is_none() && memory.contains('/') => {
                (gpu.usage.memory_used, gpu.memory) = use_of(memory).unzip();
            }
            ["", "", mode] if gpu.mig.is_none() => {
                // A star marks a mode that changes with the next reset.
                let current = switch(mode.trim_end_matches('*'));
                gpu.mig = current.map(|current| MigMode { current, pending: current != mode.ends_with('*') });
            }
            _ => {}
        }
        Ok(())
    }

    /// Compares the GPUs of a second table with those of the first.
    fn again(&self, line: &Line<'_>) -> Result<()> {
        let Some((index, _, address)) = first_line(line) else { return Ok(()) };
        if self.told.gpus.iter().any(|own| (own.gpu.index, own.gpu.address) == (index, Some(address))) {
            return Ok(());
        }
        Err(Error::input(format!("GPU {index} at {address} is of another machine than the table before"))
            .at(line.number, 1)
            .help("give the table of one machine"))
    }

    /// Reads `|  0    3   0   0  |   12MiB /  5952MiB  | 14      0 |  1   0    1    0    0 |`.
    fn instance(&mut self, line: &Line<'_>) {
        const MOST: usize = 64;
        let cells = cells(line);
        let [ids, memory, ..] = cells[..] else { return };
        let ids: Option<Vec<u32>> = ids.split_whitespace().map(number).collect();
        let Some([gpu, gpu_instance, compute_instance, _]) = ids.as_deref() else { return };
        let of_gpu = |told: &&mut ToldGpu| told.gpu.index == *gpu && told.instances.len() < MOST;
        if let Some(told) = self.told.gpus.iter_mut().find(of_gpu) {
            told.instances.push(GpuInstance {
                gpu_instance: Some(*gpu_instance),
                compute_instance: Some(*compute_instance),
                memory: use_of(memory).map(|(_, total)| total),
                ..GpuInstance::default()
            });
        }
    }

    /// Reads `|    0   N/A  N/A      2573      G   /usr/lib/xorg/Xorg      276MiB |`, and older lines without instances.
    fn process(&mut self, line: &Line<'_>) {
        let cells = cells(line);
        let [cell] = cells[..] else { return };
        let words: Vec<&str> = cell.split_whitespace().take(6).collect();
        let Some(index) = words.first().and_then(|word| number(word)) else { return };
        let kind = words.iter().position(|word| matches!(*word, "C" | "G" | "C+G" | "M" | "M+C"));
        let has_id = kind.is_some_and(|place| place > 1 && number(words[place - 1]).is_some());
        if let Some(told) = self.told.gpus.iter_mut().find(|told| told.gpu.index == index).filter(|_| has_id)
        {
            let count = &mut told.gpu.usage.processes;
            *count = count.map(|count| count.saturating_add(1));
        }
    }
}

/// Returns the cells between the bars of a line.
fn cells<'l>(line: &'l Line<'_>) -> Vec<&'l str> {
    let Some((_, rest)) = line.text.split_once('|') else { return Vec::new() };
    let rest = rest.trim_end();
    let rest = rest.strip_suffix('|').unwrap_or(rest);
    rest.split('|').take(8).map(str::trim).collect()
}

/// Reads the first line of a GPU: `|   0  NVIDIA H100 PCIe     Off |   00000000:C2:00.0 Off |      0 |`.
fn first_line<'l>(line: &'l Line<'_>) -> Option<(u32, &'l str, PciAddress)> {
    let cells = cells(line);
    let [gpu, place, ..] = cells[..] else { return None };
    let (index, rest) = gpu.split_once(' ')?;
    let address = place.split_whitespace().next()?;
    let address = (address.matches(':').count() == 2).then(|| address.parse().ok()).flatten()?;
    // Persistence mode, or the driver's model on Windows.
    let (name, mode) = rest.trim().rsplit_once(' ')?;
    let is_mode = matches!(mode, "On" | "Off" | "N/A" | "WDDM" | "TCC" | "MCDM" | "ERR!");
    is_mode.then(|| Some((number(index)?, name.trim(), address))).flatten()
}

/// Reads `1MiB /  81559MiB`.
fn use_of(text: &str) -> Option<(u64, u64)> {
    let (used, total) = text.split_once('/')?;
    Some((mebibytes(used)?, mebibytes(total)?))
}
