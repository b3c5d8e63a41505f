//! Measurements that the core reads: copies between two GPUs, and the rates of ports.

use super::matrix::{Cell, Marks, NO_FIGURE};
use super::sections;
use crate::figure::{Figure, Metric, Subject};
use nvtopo::model::{Gpu, Nic, NodeId, NodeKind, NoteKind, P2pStatus};
use nvtopo::{Error, Topology};
use std::collections::BTreeMap;

/// The most tests that cannot be read which are told of.
const MOST_UNREAD: usize = 4;

/// The end of the remark on figures of other machines.
pub(crate) const STRANGE: &str = "are of devices that this machine does not have";

/// Figures, and remarks on how they were read.
#[derive(Default)]
pub(crate) struct Copies {
    pub(crate) figures: Vec<Figure>,
    /// The copies that a test was to make and has no figure of, with the reasons.
    pub(crate) missing: Missing,
    pub(crate) remarks: Vec<String>,
}

/// Notes a copy without a figure: of several times, the first reason that tells something.
pub(crate) fn note(missing: &mut Missing, copy: (Option<&'static str>, Subject), why: String) {
    let own = missing.entry(copy).or_insert_with(|| NO_FIGURE.to_owned());
    if own == NO_FIGURE {
        *own = why;
    }
}

/// The copies without a figure, by test and devices, with the reasons.
pub(crate) type Missing = BTreeMap<(Option<&'static str>, Subject), String>;

/// Reads the measurements of a text, and finds their devices on the machine. The error of a text without a figure stands beside
/// what it was to hold. `visible` are the GPUs that the program saw, in the
/// order in which it counts them; without it, its numbers are those of `nvidia-smi` where it tells no addresses.
pub(crate) fn read(
    topology: &Topology,
    visible: Option<&[usize]>,
    name: &str,
    text: &[u8],
) -> (Copies, Option<Error>) {
    let whole = Topology::parse(name, text);
    let decoded = String::from_utf8_lossy(text);
    let program = program(&decoded);
    let mut found = Copies::default();
    let mut strangers = 0;
    let mut add = |measured: &Topology, test: Option<&'static str>, marks: &Marks| {
        let place = |id| match &measured.node(id).kind {
            NodeKind::Gpu(gpu) => gpu_place(topology, visible, gpu),
            NodeKind::Nic(nic) => nic_place(topology, nic),
            _ => None,
        };
        for own in measured.measurements() {
            let cell = marks.meaning(own.bandwidth.as_gb_per_s());
            let (Some(from), Some(to)) = (place(own.from), place(own.to)) else {
                strangers += usize::from(matches!(cell, Cell::Figure(_)));
                continue;
            };
            let subject = Subject::Path { from, to };
            match cell {
                // Without access to each other two GPUs have nothing to measure.
                Cell::Missing(_) | Cell::Figure(0.0)
                    if is_barred(measured, own.from, own.to)
                        || is_barred(topology, topology.devices()[from], topology.devices()[to]) => {}
                Cell::Missing(why) => {
                    note(&mut found.missing, (test, subject), why.to_owned());
                }
                Cell::Figure(value) => {
                    found.figures.push(Figure::new(program, subject, Metric::Bandwidth, value).test(test));
                }
            }
        }
    };
    let sections = sections::split(&decoded);
    let most = visible.map_or(topology.gpus().len(), <[usize]>::len);
    let mut unread = Vec::new();
    for own in &sections {
        let (text, marks) = own.complete(most);
        match Topology::parse(name, text.as_bytes()) {
            Ok(measured) => add(&measured, own.test, &marks),
            Err(error) => unread.push(format!("a test is not read: {}", error.message())),
        }
    }
    if let (Ok(measured), true) = (&whole, sections.is_empty()) {
        add(measured, None, &Marks::default());
    }
    if sections.len() >= sections::MOST_TESTS {
        found.remarks.push(format!("the first {} tests of {name} are read", sections::MOST_TESTS));
    }
    unread.dedup();
    found.remarks.extend(unread.into_iter().take(MOST_UNREAD));
    for nic in whole.iter().flat_map(Topology::nics) {
        let Some(rate) = nic.measured else { continue };
        match nic_place(topology, nic) {
            Some(own) => {
                found.figures.push(Figure::new(
                    program,
                    Subject::Adapter(own),
                    Metric::Bandwidth,
                    rate.as_gb_per_s(),
                ));
            }
            None => strangers += 1,
        }
    }
    if strangers > 0 {
        found.remarks.push(format!("{strangers} of its figures {STRANGE}"));
    }
    let notes = || whole.iter().flat_map(Topology::notes);
    let conflicts = notes().filter(|note| note.kind() == NoteKind::Conflict);
    found.remarks.extend(conflicts.map(ToString::to_string));
    let mut error = None;
    if found.figures.is_empty() {
        let why = notes().map(ToString::to_string).next_back();
        let text = why.unwrap_or_else(|| "the output holds no bandwidth between two devices".to_owned());
        let strange = found.remarks.iter().find(|own| own.ends_with(STRANGE)).cloned();
        error = Some(match (strange, whole) {
            (Some(strange), _) => Error::input(strange),
            (None, Err(error)) => error,
            (None, Ok(_)) => Error::input(text),
        });
    }
    (found, error)
}

/// Returns whether two GPUs are known to have no access to each other.
fn is_barred(topology: &Topology, a: NodeId, b: NodeId) -> bool {
    let barred = |status: Option<P2pStatus>| {
        status.is_some_and(|own| !matches!(own, P2pStatus::Ok | P2pStatus::Unknown))
    };
    topology.p2p(a, b).is_some_and(|p2p| barred(p2p.read) || barred(p2p.write))
}

/// Returns the program whose output a text is, by its headings.
fn program(text: &str) -> &'static str {
    if text.contains("GPU(row)") || text.contains("GPU(column)") || text.contains("\"nvbandwidth\"") {
        "nvbandwidth"
    } else if text.contains("BW average[") {
        if text.contains("Read BW Test") { "ib_read_bw" } else { "ib_write_bw" }
    } else {
        "p2pBandwidthLatencyTest"
    }
}

fn gpu_place(topology: &Topology, visible: Option<&[usize]>, gpu: &Gpu) -> Option<usize> {
    if let Some(address) = gpu.address
        && let Some(own) = topology.gpus().position(|own| own.address == Some(address))
    {
        return Some(own);
    }
    match visible {
        Some(visible) => visible.get(gpu.index as usize).copied(),
        // An address that is not there is another machine's, unless the machine's addresses are unknown.
        None if gpu.address.is_some() && topology.gpus().any(|own| own.address.is_some()) => None,
        None => topology.gpus().position(|own| own.index == gpu.index),
    }
}

fn nic_place(topology: &Topology, nic: &Nic) -> Option<usize> {
    let is_it = |own: &Nic| own.rdma_device.as_ref() == Some(&nic.name) || own.name == nic.name;
    topology.nics().position(is_it).map(|place| topology.gpus().len() + place)
}
