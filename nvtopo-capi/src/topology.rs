//! `nvtopo_topology`: opening one, and asking it.
#![allow(unsafe_code, reason = "`no_mangle` is an unsafe attribute; there is no unsafe block here")]

use crate::gpu::Gpu;
use crate::handle::{Bytes, PathCode, Text, Texts, c_document, c_texts, element, given, owned};
use crate::locality::Localities;
use crate::status::{Failure, answer, free, nvtopo_status};
use nvtopo::model::{Basis, Rate};
use nvtopo::source::Locator;
use nvtopo::{PathType, Solver, Topology};
use once_cell::race::OnceBox;
use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;

/// A machine: its GPUs and NICs and what lies between them. It never changes, and any number of threads may use it at
/// once.
///
/// Devices are named by their position: the GPUs come first, from 0 on in the order of their index, and then the NICs.
pub struct nvtopo_topology {
    pub(crate) topology: Topology,
    /// Keeps what is prepared for decisions.
    pub(crate) solver: Solver,
    names: Vec<CString>,
    notes: Vec<CString>,
    note_codes: Vec<CString>,
    pub(crate) gpus: Vec<Gpu>,
    pub(crate) localities: Localities,
    json: OnceBox<CString>,
}

/// The class of the path between two devices, as NCCL and nvidia-smi name it. Of two known ones, the lower is better.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum nvtopo_path {
    /// Not known.
    Unknown = 0,
    /// The same device.
    Loc = 10,
    /// NVLink, directly or through NVSwitches.
    Nvl = 20,
    /// NVLink through one other GPU.
    Nvb = 30,
    /// NVLink-C2C.
    C2c = 40,
    /// At most one PCIe switch.
    Pix = 50,
    /// Several PCIe switches, no host bridge.
    Pxb = 60,
    /// A PCIe host bridge.
    Phb = 70,
    /// Several host bridges of one NUMA node.
    Node = 80,
    /// The interconnect between NUMA nodes.
    Sys = 90,
    /// A network.
    Net = 100,
    /// No path.
    Dis = 110,
}

/// How a bandwidth is known. Of two, the lower is known better, but for `NVTOPO_BASIS_UNKNOWN`.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum nvtopo_basis {
    /// The bandwidth is not known.
    Unknown = 0,
    /// Measured on this machine.
    Measured = 10,
    /// Reported by the hardware or its driver.
    Reported = 20,
    /// The published rate of the link's generation and lane count.
    Nominal = 30,
    /// A planning constant for this class of machine, where no rate is published.
    Typical = 40,
    /// The generation is unknown, and a usual one was taken for it.
    Assumed = 50,
}

/// The path between two devices.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct nvtopo_pair {
    /// The class of the best path.
    pub path: nvtopo_path,
    /// The number of NVLinks that the pair can use at once; 0 where the path is not NVLink.
    pub nvlinks: u32,
    /// The bandwidth of the path in one direction, in MB/s (1e6 bytes per second). It means nothing where `basis` is
    /// `NVTOPO_BASIS_UNKNOWN`.
    pub mb_per_s: u64,
    /// How the bandwidth is known.
    pub basis: nvtopo_basis,
}

/// This machine, as the kernel and, where there is one, NVIDIA's driver show it. The same as opening "live".
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_discover(
    topology: Option<&mut MaybeUninit<*mut nvtopo_topology>>,
) -> nvtopo_status {
    answer(topology, "topology", || Ok(handle(Topology::discover()?)))
}

/// Opens "live" (this machine), "preset:NAME", a file (a text of nvidia-smi: `topo -m`, `-q`, `nvlink`, `topo -p2p`;
/// hwloc's XML, nvtopo's JSON, a snapshot, or the output of a benchmark), a directory with a recorded /sys and /proc or
/// saved outputs of such tools, or "-" (standard input).
///
/// Fails with `NVTOPO_STATUS_IO` where nothing can be read, `NVTOPO_STATUS_INVALID_INPUT` where it cannot be
/// understood, and `NVTOPO_STATUS_INVALID_REQUEST` for an unknown preset.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_open(
    source: Text,
    topology: Option<&mut MaybeUninit<*mut nvtopo_topology>>,
) -> nvtopo_status {
    answer(topology, "topology", || open(&[source.read("source")?]))
}

/// Opens `count` sources, as `nvtopo_topology_open` does one, and merges them. Where they disagree, a note says so.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_open_all(
    sources: Texts,
    count: usize,
    topology: Option<&mut MaybeUninit<*mut nvtopo_topology>>,
) -> nvtopo_status {
    answer(topology, "topology", || open(&sources.read(count, "sources")?))
}

/// Reads `size` bytes of a text of any format that `nvtopo_topology_open` knows. They need not end with a NUL, nor be
/// UTF-8. `name` is what messages call them.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_parse(
    name: Text,
    bytes: Bytes,
    size: usize,
    topology: Option<&mut MaybeUninit<*mut nvtopo_topology>>,
) -> nvtopo_status {
    answer(topology, "topology", || {
        let name = name.read("name")?;
        Ok(handle(Topology::parse(name, bytes.read(size, "bytes")?)?))
    })
}

/// The published layout of a product, such as "dgx-h100". The error for an unknown name lists those that there are.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_preset(
    name: Text,
    topology: Option<&mut MaybeUninit<*mut nvtopo_topology>>,
) -> nvtopo_status {
    answer(topology, "topology", || Ok(handle(Topology::preset(name.read("name")?)?)))
}

/// The same machine with the rates that the hardware reports for its links, where it reports some. What was measured
/// still counts more.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_with_reported_rates(
    topology: Option<&nvtopo_topology>,
    reported: Option<&mut MaybeUninit<*mut nvtopo_topology>>,
) -> nvtopo_status {
    answer(reported, "reported", || Ok(handle(given(topology, "topology")?.topology.with_reported_rates())))
}

/// Frees a topology. Placements that were made from it live on. NULL is left alone.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_free(topology: Option<Box<nvtopo_topology>>) {
    free(topology);
}

/// Counts the GPUs.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_gpu_count(
    topology: Option<&nvtopo_topology>,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(given(topology, "topology")?.topology.gpus().len()))
}

/// Counts the NICs.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_nic_count(
    topology: Option<&nvtopo_topology>,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(given(topology, "topology")?.topology.nics().len()))
}

/// The name of a device by its position: `GPU0`, `mlx5_0`.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_device_name(
    topology: Option<&nvtopo_topology>,
    device: usize,
    name: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(name, "name", || {
        let names = &given(topology, "topology")?.names;
        Ok(element(names, device, "device")?.as_ptr())
    })
}

/// The path between two devices, by their positions.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_pair(
    topology: Option<&nvtopo_topology>,
    a: usize,
    b: usize,
    pair: Option<&mut MaybeUninit<nvtopo_pair>>,
) -> nvtopo_status {
    answer(pair, "pair", || {
        let topology = given(topology, "topology")?;
        for device in [a, b] {
            element(&topology.names, device, "device")?;
        }
        let pair = topology.topology.pairs().pair(a, b);
        Ok(nvtopo_pair {
            path: pair.path.into(),
            nvlinks: pair.nvlinks.into(),
            mb_per_s: pair.rate.map_or(0, |rate| rate.bandwidth.as_mb_per_s()),
            basis: pair.rate.into(),
        })
    })
}

/// The word of a class of path, as nvidia-smi writes it: "PIX", or "NVL" for NVLink; "unknown" for
/// `NVTOPO_PATH_UNKNOWN` and for codes that this version does not have. It never fails, and the text lives as long as the
/// program.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_path_name(path: PathCode) -> *const c_char {
    let names = [
        (nvtopo_path::Loc, c"LOC"),
        (nvtopo_path::Nvl, c"NVL"),
        (nvtopo_path::Nvb, c"NVB"),
        (nvtopo_path::C2c, c"C2C"),
        (nvtopo_path::Pix, c"PIX"),
        (nvtopo_path::Pxb, c"PXB"),
        (nvtopo_path::Phb, c"PHB"),
        (nvtopo_path::Node, c"NODE"),
        (nvtopo_path::Sys, c"SYS"),
        (nvtopo_path::Net, c"NET"),
        (nvtopo_path::Dis, c"DIS"),
    ];
    let found = names.iter().find(|(known, _)| *known as i32 == path.0);
    found.map_or(c"unknown", |(_, name)| name).as_ptr()
}

/// Counts the notes: what a person should know, such as what the sources disagree on.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_note_count(
    topology: Option<&nvtopo_topology>,
    count: Option<&mut MaybeUninit<usize>>,
) -> nvtopo_status {
    answer(count, "count", || Ok(given(topology, "topology")?.notes.len()))
}

/// A note by its number, from 0 on: its kind and one sentence.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_note(
    topology: Option<&nvtopo_topology>,
    index: usize,
    text: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(text, "text", || {
        let notes = &given(topology, "topology")?.notes;
        Ok(element(notes, index, "note")?.as_ptr())
    })
}

/// The stable code of a note by its number, for programs, such as "nvlinks-unknown", as in JSON; new ones may come. The note's
/// text begins with its kind. The text belongs to the topology.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_note_code(
    topology: Option<&nvtopo_topology>,
    index: usize,
    code: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(code, "code", || {
        let topology = given(topology, "topology")?;
        Ok(element(&topology.note_codes, index, "note")?.as_ptr())
    })
}

/// The whole topology as nvtopo's JSON, which `nvtopo_topology_parse` and `nvtopo_topology_open` read back.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_to_json(
    topology: Option<&nvtopo_topology>,
    json: Option<&mut MaybeUninit<*const c_char>>,
) -> nvtopo_status {
    answer(json, "json", || {
        let topology = given(topology, "topology")?;
        Ok(topology.json.get_or_init(|| Box::new(c_document(topology.topology.to_json()))).as_ptr())
    })
}

impl From<Option<PathType>> for nvtopo_path {
    fn from(path: Option<PathType>) -> Self {
        match path {
            Some(PathType::Loc) => Self::Loc,
            Some(PathType::Nvl) => Self::Nvl,
            Some(PathType::Nvb) => Self::Nvb,
            Some(PathType::C2c) => Self::C2c,
            Some(PathType::Pix) => Self::Pix,
            Some(PathType::Pxb) => Self::Pxb,
            Some(PathType::Phb) => Self::Phb,
            Some(PathType::Node) => Self::Node,
            Some(PathType::Sys) => Self::Sys,
            Some(PathType::Net) => Self::Net,
            Some(PathType::Dis) => Self::Dis,
            // A class without a code; the test below finds it before a user does.
            None | Some(_) => Self::Unknown,
        }
    }
}

impl From<Option<Rate>> for nvtopo_basis {
    fn from(rate: Option<Rate>) -> Self {
        match rate.map(|rate| rate.basis) {
            None => Self::Unknown,
            Some(Basis::Measured) => Self::Measured,
            Some(Basis::Reported) => Self::Reported,
            Some(Basis::Nominal) => Self::Nominal,
            Some(Basis::Typical) => Self::Typical,
            // The most careful reading of a basis without a code.
            Some(_) => Self::Assumed,
        }
    }
}

fn open(sources: &[&str]) -> Result<*mut nvtopo_topology, Failure> {
    let locators: Vec<Locator> = sources.iter().map(|source| source.parse()).collect::<Result<_, _>>()?;
    Ok(handle(Topology::open(&locators)?))
}

fn handle(topology: Topology) -> *mut nvtopo_topology {
    let devices = 0..topology.devices().len();
    owned(nvtopo_topology {
        names: c_texts(devices.map(|device| topology.device_name(device))),
        notes: c_texts(topology.notes()),
        note_codes: c_texts(topology.notes().iter().map(|note| note.code().name())),
        localities: Localities::default(),
        gpus: Gpu::all(&topology),
        json: OnceBox::new(),
        solver: Solver::new(&topology),
        topology,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_path_has_a_code_in_its_order() {
        let codes: Vec<nvtopo_path> = PathType::ALL.iter().map(|path| Some(*path).into()).collect();
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
        assert!(!codes.contains(&nvtopo_path::Unknown));
        assert_eq!(nvtopo_path::from(None), nvtopo_path::Unknown);
    }
}
