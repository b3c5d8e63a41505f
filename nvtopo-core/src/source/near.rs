//! Near misses: texts and files that people take for one of the formats, with what to give instead.
//!
//! They are tried only where no format was found. A new one is one line in [`NEAR`].

use super::plain::is_number;
use super::{measured, text, xml};
use crate::cpuset::CpuSet;
use crate::error::Error;
use Sign::{Holds, HoldsOne, Line, Root};

/// The number of bytes of an input to look at.
const HEAD: usize = 64 << 10;

/// The sign by which a text is recognized.
enum Sign {
    /// All of these are in it.
    Holds(&'static [&'static str]),
    /// One of these is in it.
    HoldsOne(&'static [&'static str]),
    /// The name of its outermost XML element.
    Root(&'static str),
    /// A line of it is one of these.
    Line(fn(&str) -> bool),
}

/// The advice where the driver must be mended first.
const MEND: &str = "get nvidia-smi to work first, then give the text of nvidia-smi topo -m; without NVIDIA's driver, \
                    nvtopo show reads this machine from the kernel";
const TOPO: &str = "give the text of nvidia-smi topo -m";
const LSTOPO: &str = "give what lstopo machine.xml writes, or run nvtopo show on the machine itself";
const LIVE: &str =
    "run nvtopo show on the machine itself, or take it along with nvtopo snapshot -o machine.tar.gz";

/// The near misses: the sign, the text as the end of "this is …", and the advice. The first that fits is reported, so
/// errors stand before other content of a text.
static NEAR: &[(Sign, &str, &str)] = &[
    (
        Holds(&["NVIDIA-SMI has failed because"]),
        "an error of nvidia-smi, which found no driver that answers",
        MEND,
    ),
    (
        HoldsOne(&["Failed to initialize NVML", "Unable to determine the device handle"]),
        "an error of nvidia-smi",
        MEND,
    ),
    (Holds(&["No devices were found"]), "the answer of nvidia-smi that it sees no GPU", MEND),
    (Line(is_missing_command), "the error of a shell that did not find the command", MEND),
    (
        HoldsOne(&["Invalid combination of input arguments", "Unrecognized option", "is not a valid option"]),
        "an error of nvidia-smi about its options",
        TOPO,
    ),
    (
        Holds(&["NVSMI LOG"]),
        "the head of nvidia-smi -q, without any GPU",
        "give the whole text of nvidia-smi -q",
    ),
    (
        Holds(&["NVIDIA-SMI", "Driver Version"]),
        "the head of the table of nvidia-smi, without any GPU",
        "give the whole table",
    ),
    (
        HoldsOne(&["ClusterUUID", "CliqueId"]),
        "a part of nvidia-smi -q, without the line that names its GPU",
        "give the whole text of nvidia-smi -q",
    ),
    (
        Line(is_link_of_nvlink),
        "a text of nvidia-smi nvlink, without the line that names its GPU",
        "give the whole text: GPU 0: ... above its links",
    ),
    (
        HoldsOne(&["pci.bus_id", "name, uuid", "index, name", "index, uuid"]),
        "the names of what nvidia-smi --query-gpu was asked for, without any GPU",
        "give all that it prints",
    ),
    (
        HoldsOne(&["ROCm System Management Interface", "AMDSMI Tool", "AMD-SMI", "rocm-smi"]),
        "a text about AMD's GPUs, which nvtopo does not read",
        LSTOPO,
    ),
    (Holds(&["NCCL INFO"]), "a log of NCCL", TOPO),
    (
        Holds(&["out-of-place", "in-place", "algbw"]),
        "the output of nccl-tests, which measures all GPUs at once",
        "give the output of nvbandwidth or p2pBandwidthLatencyTest",
    ),
    (Root("topologydiff"), "a difference of two topologies of hwloc", LSTOPO),
    (Line(is_lstopo), "what lstopo shows people", LSTOPO),
    (Holds(&["\u{2502} Machine"]), "the picture of lstopo in characters", LSTOPO),
    (Line(is_cpuinfo), "a copy of /proc/cpuinfo, which knows no GPUs", LIVE),
    (
        Line(is_lscpu),
        "the text of lscpu in a language that nvtopo does not read, or a part of it",
        "run it as LC_ALL=C lscpu, and give all that it prints",
    ),
    (
        Holds(&["GPU instances:", "Placement"]),
        "the text of nvidia-smi mig -lgi, which tells no GPU's place",
        "give the text of nvidia-smi -q or nvidia-smi -L, which list MIG instances, too",
    ),
    (
        Line(is_ethtool_statistics),
        "the counters of ethtool -S, which tell no topology",
        "give the text of ethtool -i or ibdev2netdev",
    ),
    (
        HoldsOne(&[" Latency Test", "t_min[usec]"]),
        "the output of perftest on latency, which tells no bandwidth",
        "give the output of ib_write_bw",
    ),
    (
        Holds(&[" BW Test", "Dual-port"]),
        "the output of perftest without a result",
        "run ib_write_bw again, and give all that it prints",
    ),
    (
        Line(is_kubernetes),
        "a Kubernetes document",
        "of Kubernetes' objects nvtopo reads ResourceSlice and NodeResourceTopology; or run nvtopo show on the machine itself",
    ),
    (Root("svg"), "a picture", "nvtopo draws pictures and reads none; give what it was drawn from"),
    (Root("html"), "a web page", "save the text itself, not the page that shows it"),
    (
        HoldsOne(&["<!DOCTYPE html", "<!doctype html"]),
        "a web page",
        "save the text itself, not the page that shows it",
    ),
];

/// The first bytes of files that are no text.
const KINDS: [(&[u8], &str); 14] = [
    (b"\x89PNG", PICTURE),
    (b"\xff\xd8\xff", PICTURE),
    (b"GIF8", PICTURE),
    (b"RIFF", PICTURE),
    (b"%PDF", "a PDF"),
    (b"\x7fELF", "a program"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"BZh", COMPRESSED),
    (b"\xfd7zXZ", COMPRESSED),
    (b"\x28\xb5\x2f\xfd", COMPRESSED),
    (b"7z\xbc\xaf", COMPRESSED),
    (b"\x1f\x8b", COMPRESSED),
    (b"SQLite format", "a database"),
    (b"\x93NUMPY", "an array of numpy"),
];
const PICTURE: &str = "a picture";
const COMPRESSED: &str = "a compressed file";

/// Returns the error about a text of a known kind that is no input.
pub(super) fn explain(bytes: &[u8]) -> Option<Error> {
    let head = &bytes[..bytes.len().min(HEAD)];
    if let Some(error) = not_text(head) {
        return Some(error);
    }
    let (head, _) = text::decode(head);
    if let Some(error) = measured::without_matrix(&head) {
        return Some(error);
    }
    let root = xml::root_name(&head);
    NEAR.iter().find_map(|(sign, what, instead)| {
        let place = match *sign {
            Holds(words) => words.iter().all(|word| head.contains(word)).then(|| line_of(&head, words[0])),
            HoldsOne(words) => {
                words.iter().find(|word| head.contains(**word)).map(|word| line_of(&head, word))
            }
            Root(name) => (root == Some(name)).then_some(1),
            Line(is_it) => head.lines().position(|line| is_it(line.trim())).map(|place| place + 1),
        };
        Some(Error::input(format!("this is {what}")).at(place?, 1).help(*instead))
    })
}

/// Returns the error about a file that is no text.
fn not_text(head: &[u8]) -> Option<Error> {
    let known = KINDS.iter().find(|(start, _)| head.starts_with(start)).map(|(_, what)| *what);
    let is_wide = head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]);
    // A stray zero is damage; a file of them is no text.
    let zeros = head.split(|byte| *byte == 0).count() - 1;
    let binary = !is_wide && zeros > 4 && zeros * 50 > head.len();
    let (what, instead) = match known {
        Some(PICTURE) => (PICTURE, "give the text itself, not a picture of it"),
        Some(COMPRESSED) => (
            COMPRESSED,
            "decompress it first; of compressed files nvtopo reads only what nvtopo snapshot writes",
        ),
        Some(what) => (what, "give the text itself"),
        None if binary => ("a file of bytes, and no text", "give the text itself"),
        None => return None,
    };
    Some(Error::input(format!("this is {what}")).at(1, 1).help(instead))
}

/// Returns the line in which a word stands.
fn line_of(text: &str, word: &str) -> usize {
    let before = text.find(word).map_or("", |at| &text[..at]);
    before.matches('\n').count() + 1
}

/// Recognizes `bash: nvidia-smi: command not found`, in the words of several shells.
fn is_missing_command(line: &str) -> bool {
    let said =
        ["command not found", ": not found", "is not recognized as an internal", "No such file or directory"];
    ["nvidia-smi", "lstopo", "nvbandwidth", "nvtopo"].iter().any(|name| line.contains(name))
        && said.iter().any(|words| line.contains(words))
}

/// Recognizes `Link 0: Replay Errors: 0`, `Link 0, P2P is supported: true`, `Link 0: 00000000:88:00.0`.
fn is_link_of_nvlink(line: &str) -> bool {
    let rest = line.strip_prefix("Link ").and_then(|rest| rest.split_once([':', ',']));
    rest.is_some_and(|(number, rest)| is_number(number) && rest.contains(':'))
}

/// Recognizes `Machine (126GB total)` and `  Package L#0`.
fn is_lstopo(line: &str) -> bool {
    let line = line.trim_start_matches(['+', '-', ' ']);
    let of = |name: &str| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(" (") || rest.starts_with(" L#"))
    };
    ["Machine", "Package", "NUMANode", "Socket"].into_iter().any(of)
}

/// Recognizes `processor : 0`.
fn is_cpuinfo(line: &str) -> bool {
    line.strip_prefix("processor")
        .and_then(|rest| rest.trim_start().strip_prefix(':'))
        .is_some_and(|rest| is_number(rest.trim()))
}

/// Recognizes `Identificateur constructeur : GenuineIntel` and `Nœud NUMA 0 de processeur(s) : 0-7`: names are of any
/// language, and values of none.
fn is_lscpu(line: &str) -> bool {
    let Some((name, value)) = line.split_once([':', '\u{ff1a}']) else { return false };
    let value = value.trim();
    let is_maker = matches!(value, "GenuineIntel" | "AuthenticAMD" | "HygonGenuine" | "CentaurHauls");
    let is_list = || value.parse::<CpuSet>().is_ok_and(|cpus| !cpus.is_empty());
    is_maker || name.contains("NUMA") && name.contains(|c: char| c.is_ascii_digit()) && is_list()
}

/// Recognizes `NIC statistics:`, the heading of the counters of an interface.
fn is_ethtool_statistics(line: &str) -> bool {
    line == "NIC statistics:"
}

/// Recognizes `apiVersion: v1`.
fn is_kubernetes(line: &str) -> bool {
    line.starts_with("apiVersion: ") || line.starts_with("\"apiVersion\":")
}
