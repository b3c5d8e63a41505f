//! The measured bandwidth of a network adapter, as perftest prints it: `ib_write_bw`, `ib_read_bw` and `ib_send_bw`.
//!
//! A run with memory of the host measures the adapter, one with memory of an NVIDIA GPU the path between the two. The
//! largest average counts, of messages that fill a packet. Runs in both directions at once, over two ports, of atomic
//! operations, and with memory of other makers' GPUs or of a GPU that the text does not name are left out. Such a text
//! has no other facts of the machine, so it is merged with another source.
//!
//! Source: perftest, `src/perftest_parameters.{h,c}` and `src/*_memory.c`. Its `MB/sec` are 2^20 bytes per second, its
//! `Gb/sec` 10^9 bits.

use super::{Device, column_of};
use crate::error::{Error, Result};
use crate::ids::PciAddress;
use crate::model::{Fragment, Gpu, MAX_DEVICES, Nic, NodeId, NoteKind, Provenance};
use crate::source::{Input, TextFormat, text};
use crate::units::Bandwidth;
use std::collections::{BTreeMap, BTreeSet};

/// The largest packet of InfiniBand: shorter messages measure how many there can be, not how much.
const FULL_PACKET: u64 = 4096;

pub(in crate::source) struct Perftest;

impl TextFormat for Perftest {
    const NAME: &'static str = "the output of perftest (ib_write_bw)";
    const BEGINNINGS: &'static [&'static str] = &["ib_write_bw", "ib_read_bw", " BW Test"];

    fn recognizes(input: &Input<'_>) -> bool {
        ["BW average[", "#bytes"].into_iter().all(|words| input.decoded().contains(words))
    }

    fn read(bytes: &[u8]) -> Result<Fragment> {
        let (text, _) = text::decode(bytes);
        let mut reader = Reader::default();
        for (index, line) in text.lines().enumerate() {
            reader.line(line, index + 1)?;
        }
        reader.end();
        reader.fragment().map_err(|error| error.at(text.lines().count().max(1), 1))
    }
}

/// The test, and the direction of its data.
#[derive(Clone, Copy, PartialEq)]
enum Test {
    Write,
    Read,
    Send,
    /// A test without a figure of one direction.
    Other(&'static str),
}

/// A run: the facts in the lines around its table, and its rows.
#[derive(Default)]
struct Run {
    test: Option<Test>,
    device: Option<String>,
    server: bool,
    /// The GPU whose memory it uses, by the number that CUDA gives it.
    gpu: Option<(u32, Device)>,
    addresses: BTreeMap<u32, PciAddress>,
    /// The address by which a GPU was asked for.
    by_address: Option<PciAddress>,
    /// The memory where it is neither that of the host nor of a GPU with a number, for messages.
    memory: Option<&'static str>,
    /// The columns of the size and of the average, and what one unit of the average is in bytes per second.
    columns: Option<(usize, usize, f64)>,
    /// The largest average of messages that fill a packet.
    best: Option<Bandwidth>,
    /// True if there are shorter messages.
    short: bool,
    /// True if the table is over, so that nothing but the end of the run can follow.
    over: bool,
}

#[derive(Default)]
struct Reader {
    run: Run,
    gpus: BTreeMap<u32, Device>,
    /// The rate of each adapter with memory of the host.
    hosts: BTreeMap<String, Bandwidth>,
    /// The rate from each adapter to a GPU, and from a GPU to it (`true`).
    pairs: BTreeMap<(String, u32, bool), Bandwidth>,
    left_out: BTreeSet<String>,
}

impl Reader {
    fn line(&mut self, line: &str, number: usize) -> Result<()> {
        let words: Vec<&str> = line.split_whitespace().collect();
        if line.contains("BW average[") {
            if self.run.columns.is_some() {
                self.end();
            }
            self.run.columns = columns(line, &words).map_err(|error| error.at(number, 1))?;
            return Ok(());
        }
        if let Some((size, average, unit)) = self.run.columns {
            // Between the rows stand complaints about the CPU's frequency.
            let size = words.get(size).and_then(|word| word.parse::<u64>().ok());
            if let Some(size) = size.filter(|_| !self.run.over) {
                let cell = words.get(average).copied().unwrap_or_default();
                let figure = cell.parse::<f64>().ok().filter(|figure| (0.0..1e9).contains(figure));
                let wrong = || Error::input(format!("'{cell}' is not a bandwidth"));
                let figure = figure.ok_or_else(|| wrong().at(number, column_of(line, cell)))?;
                self.run.figure(size, Bandwidth::from_gb_per_s(figure * unit / 1e9));
                return Ok(());
            }
            self.run.over |= line.contains("-----");
            if self.run.ends(line) {
                return Ok(());
            }
            // A line about a run describes the next one.
            let mut next = Run::default();
            if next.head(line, &words) {
                self.end();
                self.run = next;
            }
            return Ok(());
        }
        self.run.head(line, &words);
        Ok(())
    }

    /// Takes the result of the run, once all of it was read.
    fn end(&mut self) {
        let run = std::mem::take(&mut self.run);
        let device = run.device.unwrap_or_default();
        let why = match (run.test, run.memory) {
            _ if run.best.is_none() && !run.short => return,
            _ if device.is_empty() => "a run that does not name its device".to_owned(),
            (Some(Test::Other(what)), _) => format!("a run of {device} {what}"),
            (_, Some(memory)) => format!("a run of {device} with {memory}"),
            _ if run.best.is_none() => format!("messages of {device} below {FULL_PACKET} bytes"),
            _ if run.best == Some(Bandwidth::ZERO) => format!("a rate of {device} of nothing"),
            _ => {
                let best = match &run.gpu {
                    None => self.hosts.entry(device).or_default(),
                    Some((number, gpu)) => {
                        self.gpus.insert(*number, gpu.clone());
                        let sends = (run.test == Some(Test::Read)) == run.server;
                        self.pairs.entry((device, *number, sends)).or_default()
                    }
                };
                *best = run.best.max(Some(*best)).unwrap_or_default();
                return;
            }
        };
        self.left_out.insert(why);
    }

    fn fragment(self) -> Result<Fragment> {
        let devices: BTreeSet<&String> =
            self.hosts.keys().chain(self.pairs.keys().map(|(device, ..)| device)).collect();
        if devices.is_empty() {
            let why: Vec<&str> = self.left_out.iter().map(String::as_str).collect();
            let error = Error::input("no bandwidth of one direction is in the output of perftest");
            return Err(if why.is_empty() {
                error.help("the table has no row; did the run end early?")
            } else {
                error.help(format!("left out: {}", why.join(", ")))
            });
        }
        if devices.len() + self.gpus.len() > MAX_DEVICES {
            return Err(Error::input(format!("it names more than {MAX_DEVICES} devices")));
        }
        let mut fragment = Fragment::new(Provenance::Measurement);
        fragment.set_nvlink_unknown();
        let mut nics: BTreeMap<&String, NodeId> = BTreeMap::new();
        for name in devices {
            let (rdma_device, measured) = (Some(name.clone()), self.hosts.get(name).copied());
            let nic = Nic { name: name.clone(), rdma_device, measured, ..Nic::default() };
            nics.insert(name, fragment.add(NodeId::MACHINE, nic));
        }
        let mut gpus: BTreeMap<u32, NodeId> = BTreeMap::new();
        for (index, Device { model, address }) in &self.gpus {
            let gpu = Gpu { index: *index, model: model.clone(), address: *address, ..Gpu::default() };
            gpus.insert(*index, fragment.add(NodeId::MACHINE, gpu));
        }
        for ((device, number, gpu_sends), rate) in &self.pairs {
            if let (Some(nic), Some(gpu)) = (nics.get(device), gpus.get(number)) {
                let (from, to) = if *gpu_sends { (*gpu, *nic) } else { (*nic, *gpu) };
                fragment.measure(from, to, *rate);
            }
        }
        // Short messages beside long ones are no loss.
        let lost = self.left_out.iter().filter(|why| !why.starts_with("messages"));
        for why in lost {
            fragment.note(
                NoteKind::Unknown,
                format!("{why} tells nothing of what the adapter carries in one direction and was left out"),
            );
        }
        Ok(fragment)
    }
}

/// Words by which a run identifies the memory that it uses, in small letters, with its name in notes. Those of CUDA's
/// GPUs come last: a GPU that the text names has a number.
const MEMORIES: [(&str, &str); 15] = [
    ("using rocm device", ROCM),
    ("rocm dma-buf", ROCM),
    ("mlu buffer", "memory of a GPU that is not NVIDIA's (MLU)"),
    ("mlu device ", "memory of a GPU that is not NVIDIA's (MLU)"),
    ("initializing mlu", "memory of a GPU that is not NVIDIA's (MLU)"),
    ("musa buffer", "memory of a GPU that is not NVIDIA's (MUSA)"),
    ("musa device ", "memory of a GPU that is not NVIDIA's (MUSA)"),
    ("initializing musa", "memory of a GPU that is not NVIDIA's (MUSA)"),
    ("accelerator buffer", "memory of an accelerator that is not NVIDIA's (Gaudi)"),
    ("gaudi", "memory of an accelerator that is not NVIDIA's (Gaudi)"),
    ("habana", "memory of an accelerator that is not NVIDIA's (Gaudi)"),
    ("neuron", "memory of an accelerator that is not NVIDIA's (Neuron)"),
    ("bytes of device memory", "memory of the adapter itself"),
    ("gpu buffer", UNNAMED),
    ("initializing cuda", UNNAMED),
];
const ROCM: &str = "memory of a GPU that is not NVIDIA's (ROCm)";
const UNNAMED: &str = "memory of a GPU that the text does not name";

/// Returns the maker of the GPU whose memory a line names, where it is not the host's. `Use ROCm memory : OFF` names
/// none.
fn memory(line: &str) -> Option<&'static str> {
    let line = line.to_ascii_lowercase();
    if let Some((whose, state)) = line.trim().strip_prefix("use ").and_then(|rest| rest.split_once(" memory"))
    {
        let on = state.trim_start_matches([' ', '\t', ':']) == "on";
        let name = match whose {
            "rocm" => ROCM,
            "cuda" => UNNAMED,
            _ => "memory of a GPU that is not NVIDIA's",
        };
        return on.then_some(name);
    }
    MEMORIES.iter().find(|(words, _)| line.contains(words)).map(|(_, name)| *name)
}

impl Run {
    fn figure(&mut self, size: u64, rate: Bandwidth) {
        if size < FULL_PACKET {
            self.short = true;
        } else {
            self.best = self.best.max(Some(rate));
        }
    }

    /// Takes a line that ends the run and names its memory.
    fn ends(&mut self, line: &str) -> bool {
        let ends = line.trim_start().starts_with("deallocating ");
        if ends {
            self.of_memory(line);
        }
        ends
    }

    /// Takes a line about the memory. The number of a GPU is more precise than a statement without one.
    fn of_memory(&mut self, line: &str) -> bool {
        let found = memory(line);
        if let Some(name) = found.filter(|name| *name != UNNAMED || self.gpu.is_none()) {
            self.memory = self.memory.filter(|own| *own != UNNAMED).or(Some(name));
        }
        found.is_some()
    }

    /// Reads a line before the table, and returns whether it describes the run.
    fn head(&mut self, line: &str, words: &[&str]) -> bool {
        if line.contains("Waiting for client to connect") {
            self.server = true;
        } else if let Some(test) = test(words) {
            self.test = Some(test);
        } else if let Some((_, device)) = line
            .split_once("Device ")
            .and_then(|(_, rest)| rest.split_once(':'))
            .filter(|_| line.contains("Dual-port"))
        {
            self.device = Some(device.trim().to_owned());
            let ports = line.split_once("Dual-port").and_then(|(_, rest)| rest.split_whitespace().nth(1));
            if ports == Some("ON") {
                self.test = Some(Test::Other("over two ports"));
            }
        } else if let ["CUDA", "device", number, "PCIe", "address", "is", address] = words {
            // Without the domain, which is 0 on most machines.
            let address = format!("0000:{address}.0").parse();
            if let (Ok(number), Ok(address)) = (number.trim_end_matches(':').parse(), address) {
                self.addresses.insert(number, address);
            }
        } else if let ["Finding", "PCIe", "BUS", address] = words {
            self.by_address = address.parse().ok();
        } else if let Some((number, model)) =
            picked(line).filter(|_| self.memory.is_none_or(|own| own == UNNAMED))
        {
            let address = self.by_address.or_else(|| self.addresses.get(&number).copied());
            let model = model.or_else(|| self.gpu.take().and_then(|(_, gpu)| gpu.model));
            self.gpu = Some((number, Device { model, address }));
            self.memory = None;
        } else {
            return self.of_memory(line);
        }
        true
    }
}

/// Reads `RDMA_Write BW Test`, with words such as `Bidirectional` and `Post List` in between.
fn test(words: &[&str]) -> Option<Test> {
    let (first, rest) = words.split_first()?;
    if !rest.ends_with(&["BW", "Test"]) {
        return None;
    }
    Some(match *first {
        _ if rest.contains(&"Bidirectional") => Test::Other("in both directions at once"),
        "RDMA_Write" => Test::Write,
        "RDMA_Read" => Test::Read,
        "Send" => Test::Send,
        _ => Test::Other("of other operations"),
    })
}

/// Reads `Picking device No. 0`, `Picking GPU number 0` after an address, and `[pid = 29, dev = 0] device name =
/// [NVIDIA H200]`.
fn picked(line: &str) -> Option<(u32, Option<String>)> {
    let picking = ["Picking device No.", "Picking GPU number"];
    if let Some(number) = picking.iter().find_map(|words| line.trim().strip_prefix(words)) {
        return Some((number.trim().parse().ok()?, None));
    }
    let (head, name) = line.split_once("device name = [")?;
    let (_, number) = head.rsplit_once("dev = ")?;
    let number = number.trim().trim_end_matches(']').parse().ok()?;
    Some((number, Some(name.trim_end().trim_end_matches(']').to_owned())))
}

/// Returns the columns of the size and of the average, and the unit of the latter.
fn columns(line: &str, words: &[&str]) -> Result<Option<(usize, usize, f64)>> {
    // `BW average[MB/sec]` is one column.
    let columns: Vec<&&str> = words.iter().filter(|word| **word != "BW").collect();
    let size = columns.iter().position(|word| **word == "#bytes");
    let average = columns.iter().position(|word| word.starts_with("average["));
    let (Some(size), Some(average)) = (size, average) else { return Ok(None) };
    let unit = match columns[average].trim_start_matches("average[").trim_end_matches(']') {
        "MB/sec" | "MiB/sec" => f64::from(1 << 20),
        "Gb/sec" => 1e9 / 8.0,
        unit => {
            let message = format!("'{unit}' is no unit of perftest");
            return Err(Error::input(message).help(format!("expected MB/sec or Gb/sec in '{}'", line.trim())));
        }
    };
    Ok(Some((size, average, unit)))
}
