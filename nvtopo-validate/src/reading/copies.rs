//! Measurements that the core reads: copies between two GPUs, and the rates of ports.

use super::sections;
use crate::figure::{Figure, Metric, Subject};
use nvtopo::model::{Gpu, Nic, NodeKind, NoteKind};
use nvtopo::{Error, Result, Topology};

/// The end of the remark on figures of other machines.
pub(crate) const STRANGE: &str = "are of devices that this machine does not have";

/// Figures, and remarks on how they were read.
#[derive(Default)]
pub(crate) struct Copies {
    pub(crate) figures: Vec<Figure>,
    pub(crate) remarks: Vec<String>,
}

/// Reads the measurements of a text, and finds their devices on the machine. `visible` are the GPUs that the program saw, in the
/// order in which it counts them; without it, its numbers are those of `nvidia-smi` where it tells no addresses.
pub(crate) fn read(
    topology: &Topology,
    visible: Option<&[usize]>,
    name: &str,
    text: &[u8],
) -> Result<Copies> {
    let measured = Topology::parse(name, text)?;
    let decoded = String::from_utf8_lossy(text);
    let program = program(&decoded);
    let mut found = Copies::default();
    let mut strangers = 0;
    let mut add = |measured: &Topology, test: Option<&'static str>| {
        let place = |id| match &measured.node(id).kind {
            NodeKind::Gpu(gpu) => gpu_place(topology, visible, gpu),
            NodeKind::Nic(nic) => nic_place(topology, nic),
            _ => None,
        };
        for own in measured.measurements() {
            let (Some(from), Some(to)) = (place(own.from), place(own.to)) else {
                strangers += 1;
                continue;
            };
            let figure = Figure::new(
                program,
                Subject::Path { from, to },
                Metric::Bandwidth,
                own.bandwidth.as_gb_per_s(),
            );
            found.figures.push(figure.test(test));
        }
    };
    let sections = sections::split(&decoded);
    for own in &sections {
        // One without a figure, such as a test that was waived, is told of by the notes on the whole.
        if let Ok(measured) = Topology::parse(name, own.text.as_bytes()) {
            add(&measured, own.test);
        }
    }
    if sections.is_empty() {
        add(&measured, None);
    }
    if sections.len() >= sections::MOST_TESTS {
        found.remarks.push(format!("the first {} tests of {name} are read", sections::MOST_TESTS));
    }
    for nic in measured.nics() {
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
    let conflicts = measured.notes().iter().filter(|note| note.kind() == NoteKind::Conflict);
    found.remarks.extend(conflicts.map(ToString::to_string));
    if found.figures.is_empty() {
        let why = measured.notes().iter().map(ToString::to_string).next_back();
        let text = why.unwrap_or_else(|| "the output holds no bandwidth between two devices".to_owned());
        return Err(Error::input(if strangers > 0 { found.remarks.swap_remove(0) } else { text }));
    }
    Ok(found)
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
