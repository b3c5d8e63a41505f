//! The writer of `nvidia-smi topo -m`: cell by cell what the driver printed, of every recorded text.

use super::files;
use nvtopo::Topology;
use nvtopo::model::{Note, NoteCode};
use nvtopo::source::Locator;
use std::collections::BTreeMap;
use std::path::Path;

/// The rows of a matrix by their names, the header under the empty name.
fn rows(text: &str) -> BTreeMap<String, Vec<String>> {
    let is_device = |word: &str| {
        let number = word
            .strip_prefix("GPU")
            .or_else(|| word.strip_prefix("NIC"))
            .or_else(|| word.strip_prefix("mlx").and_then(|rest| rest.get(2..)));
        number.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let mut rows = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<&str> =
            line.split_whitespace().skip_while(|word| matches!(*word, "*" | "#" | "+")).collect();
        let Some((first, rest)) = words.split_first().filter(|(first, _)| is_device(first)) else { continue };
        let is_header = rest.is_empty() || is_device(rest[0]) || rest[0] == "CPU";
        let (name, cells) = if is_header { ("", &words[..]) } else { (*first, rest) };
        rows.entry(name.to_owned()).or_insert_with(|| cells.iter().map(|cell| (*cell).to_owned()).collect());
    }
    rows
}

/// True for a text of which rows, cells or the header are lost, as is said beside it.
fn is_cut(path: &Path) -> bool {
    let beside = std::fs::read_to_string(path.with_extension("expect.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&beside).unwrap();
    let damage = expected["damaged"].as_str().unwrap_or_default().to_owned();
    ["cut in row", "cut after GPU", "HEADER LINE MISSING", "Markdown table", "missing (cut)"]
        .iter()
        .any(|lost| damage.contains(lost))
}

/// Texts whose cells cannot come back, with the reason.
const OTHERWISE: &[(&str, &str)] = &[
    ("affinity-list-cut-by-driver", "the driver stops a list after six entries: the CPUs are unknown"),
    ("topo-numa-affinity-list", "nodes for the memory of GPUs are told from the one with CPUs"),
    ("command-in-parentheses", "there is no column of affinities"),
    ("md-numa-column", "a Markdown table without CPU affinity"),
    ("md-cell-ends-in-gpu", "a Markdown table without CPU affinity"),
    ("p40-8gpu-mlx4-no-numa-column-cut", "rows are missing"),
    ("topo-cut-nic-rows", "rows are missing"),
];

#[test]
fn every_whole_text_is_written_again_cell_by_cell() {
    let mut compared = 0;
    for path in files("topo-m", ".txt") {
        let text = String::from_utf8(std::fs::read(&path).unwrap()).unwrap();
        let topology = Topology::open(&[Locator::Path(path.clone())]).unwrap();
        let written = topology.write("topo-m").unwrap();
        let (own, read) = (rows(&written.text), rows(&text));
        let name = path.file_stem().unwrap().to_str().unwrap();
        if is_cut(&path) || OTHERWISE.iter().any(|(other, _)| *other == name) {
            assert_ne!(own, read, "{name} is whole");
            continue;
        }
        compared += 1;
        assert_eq!(own, read, "{name}");
        // Cells are empty where they were, and there only. NVLinks stay unknown where they were.
        let (of_nvlinks, others): (Vec<&Note>, Vec<&Note>) =
            written.notes.iter().partition(|note| note.code() == NoteCode::NvlinksUnknown);
        assert_eq!(others.is_empty(), !name.contains("empty"), "{name}: {others:?}");
        let is_open = !topology.nvlink_known() && topology.gpus().len() > 1;
        assert_eq!(of_nvlinks.len(), usize::from(is_open), "{name}");
    }
    assert!(compared >= 50, "{compared}");
}

#[test]
fn what_is_written_is_read_back_as_the_same_machine() {
    for path in files("topo-m", ".txt") {
        let topology = Topology::open(&[Locator::Path(path.clone())]).unwrap();
        let written = topology.write("topo-m").unwrap().text;
        let again = Topology::parse("written", written.as_bytes()).unwrap();
        assert_eq!(again.write("topo-m").unwrap().text, written, "{}", path.display());
        assert_eq!(again.pairs(), topology.pairs(), "{}", path.display());
        for (a, b) in topology.devices().iter().zip(again.devices()) {
            assert_eq!(topology.local_cpus(*a).known(), again.local_cpus(*b).known(), "{}", path.display());
            assert_eq!(topology.local_nodes(*a).known(), again.local_nodes(*b).known(), "{}", path.display());
        }
    }
}

#[test]
fn a_whole_text_comes_back_byte_by_byte() {
    for name in [
        "turing-2gpu-nv2",
        "rtx4090-2gpu-2nic-numa1",
        "a6000-3gpu-bridge-pair-plus-one",
        "azure-nd40rs-v2-v100-node-not-sys",
    ] {
        let path = super::data(&format!("topo-m/{name}.txt"));
        let text = std::fs::read_to_string(&path).unwrap();
        let written = Topology::open(&[Locator::Path(path)]).unwrap().write("topo-m").unwrap().text;
        // Behind the prompt with the command.
        assert!(text.ends_with(&written), "{name}\n{text}\n{written}");
    }
}

/// A preset is written as the newest driver would, with numbered NICs, and read back as the same paths.
#[test]
fn machines_that_were_no_such_text_are_written_as_by_the_newest_driver() {
    let dgx = Topology::preset("dgx-h100").unwrap();
    let written = dgx.write("topo-m").unwrap();
    let losses: Vec<NoteCode> = written.notes.iter().map(Note::code).collect();
    assert!(written.text.starts_with("\tGPU0\tGPU1\t") && losses == [NoteCode::NotExpressed], "{losses:?}");
    let rows = rows(&written.text);
    let gpu0 = &rows["GPU0"];
    assert_eq!((&*gpu0[0], &*gpu0[1], &*gpu0[gpu0.len() - 3]), ("X", "NV18", "0-55,112-167"));
    assert_eq!(&gpu0[gpu0.len() - 2..], ["0", "N/A"]);
    assert!(written.text.contains("\nNIC Legend:\n\n  NIC0: mlx5_"), "{}", written.text);
    let again = Topology::parse("written", written.text.as_bytes()).unwrap();
    let classes = |topology: &Topology| -> Vec<_> {
        let devices = topology.devices().len();
        let pairs = (0..devices).flat_map(|a| (0..devices).map(move |b| (a, b)));
        pairs.map(|(a, b)| topology.pairs().pair(a, b).word(topology.dialect())).collect()
    };
    assert_eq!(classes(&again), classes(&dgx));
}

#[test]
fn nics_without_rdma_are_left_out_with_a_note() {
    let text = r#"{"format":"nvtopo-topology","version":1,"topology":{"source":"sysfs","nvlink_known":false,"nodes":[
        {"machine":{}},{"gpu":{"parent":0,"index":0}},{"nic":{"parent":0,"name":"eth0","net_devices":["eth0"]}},
        {"nic":{"parent":0,"name":"mlx5_0","rdma_device":"mlx5_0"}}]}}"#;
    let written = Topology::parse("made", text.as_bytes()).unwrap().write("topo-m").unwrap();
    assert!(
        written.text.starts_with("\tGPU0\tNIC0\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID\n"),
        "{}",
        written.text
    );
    assert!(written.text.ends_with("\nNIC Legend:\n\n  NIC0: mlx5_0\n"), "{}", written.text);
    let notes: Vec<&str> = written.notes.iter().map(|note| note.code().name()).collect();
    assert_eq!(notes, ["device-left-out", "paths-unknown", "cpus-unknown"]);
}

#[test]
fn a_machine_without_gpus_has_no_matrix() {
    let text = r#"{"format":"nvtopo-topology","version":1,"topology":{"source":"sysfs","nvlink_known":false,
        "nodes":[{"machine":{}}]}}"#;
    let refused = Topology::parse("made", text.as_bytes()).unwrap().write("topo-m").unwrap_err();
    assert!(refused.to_string().contains("no GPU"), "{refused}");
}

#[test]
fn tags_of_a_web_page_are_no_part_of_a_matrix() {
    let page = "<pre><code>\t<u>GPU0\tGPU1\tCPU Affinity</u>\nGPU0\t X \tNV4\t0-15\nGPU1\tNV4\t X \t0-15\n</code></pre>\n";
    let topology = nvtopo::Topology::parse("page", page.as_bytes()).unwrap();
    assert_eq!((topology.gpus().len(), topology.pairs().pair(0, 1).nvlinks), (2, 4));
}

/// Benchmarks without copies between GPUs list their GPUs all the same, and are laid over a matrix.
#[test]
fn benchmarks_of_the_host_tell_their_gpus() {
    let run = "nvbandwidth Version: v0.8\n\nDriver Version: 550.127.08\n\nDevice 0: NVIDIA H20-3e (00000000:18:00)\nDevice 1: NVIDIA H20-3e (00000000:38:00)\n\nRunning device_local_copy.\nmemcpy local GPU(column) bandwidth (GB/s)\n           0         1\n 0   1116.30   1116.30\n\nSUM device_local_copy 2232.60\n";
    let matrix = "\tGPU0\tGPU1\tCPU Affinity\nGPU0\t X \tNV4\t0-15\nGPU1\tNV4\t X \t0-15\n";
    let topology = nvtopo::Topology::parse("run", run.as_bytes()).unwrap();
    let addresses: Vec<String> = topology.gpus().map(|gpu| gpu.address.unwrap().to_string()).collect();
    assert_eq!(addresses, ["0000:18:00.0", "0000:38:00.0"]);
    assert!(topology.notes().iter().any(|note| note.code() == nvtopo::model::NoteCode::NotMeasured));
    let failed = run.split("memcpy local").next().unwrap().replace("local_copy", "to_device_memcpy_read_ce");
    let failed = failed
        + " Invalid value when checking the pattern at 0x70a640000000\nASSERT in expression h_errorFlag == 0 in void f()\n";
    for text in [run, &failed] {
        let parts = [matrix, text].map(|text| nvtopo::source::parse("part", text.as_bytes()).unwrap());
        let builder = parts
            .into_iter()
            .fold(nvtopo::model::TopologyBuilder::new(), nvtopo::model::TopologyBuilder::with);
        let topology = builder.build().unwrap();
        assert_eq!((topology.gpus().len(), topology.pairs().pair(0, 1).nvlinks), (2, 4));
        assert!(topology.gpus().all(|gpu| gpu.model.as_deref() == Some("NVIDIA H20-3e")));
    }
}
