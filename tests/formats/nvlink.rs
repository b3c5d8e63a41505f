//! The lists of `nvidia-smi nvlink`: other ends, capabilities, errors.

use crate::{data, notes, notes_of, nvswitches};
use nvtopo::model::{Gpu, GroupShape, LinkKind, NoteCode, NvLinkFar};
use nvtopo::source::Locator;
use nvtopo::{PathType, Topology};
use std::fmt::Write;
use std::fs;

fn read(name: &str) -> Topology {
    Topology::open(&[Locator::Path(data("nvlink-status").join(name))]).unwrap()
}

fn parse(text: &str) -> Topology {
    Topology::parse("text", text.as_bytes()).unwrap()
}

fn gpus(topology: &Topology) -> Vec<&Gpu> {
    topology.gpus().collect()
}

/// An answer of `nvidia-smi nvlink` with an option: for each GPU of a model, what is told of its links.
fn listed(option: &str, model: &str, gpus: &[Vec<String>]) -> String {
    let mut text = format!("$ nvidia-smi nvlink {option}\n");
    for (gpu, links) in gpus.iter().enumerate() {
        writeln!(text, "GPU {gpu}: {model} (UUID: GPU-00000000-0000-4000-8000-00000000000{gpu})").unwrap();
        for (link, told) in links.iter().enumerate() {
            writeln!(text, "\t Link {link}: {told}").unwrap();
        }
    }
    text
}

/// The answer to `nvidia-smi nvlink -p`: for each GPU, the buses at the other ends.
fn remotes(ends: &[&[u8]]) -> String {
    let addresses = |ends: &&[u8]| ends.iter().map(|bus| format!("00000000:{bus:02X}:00.0")).collect();
    listed("-p", "Tesla V100-SXM2-16GB", &ends.iter().map(addresses).collect::<Vec<_>>())
}

#[test]
fn other_ends_that_are_gpus_make_the_whole_graph() {
    let topology = read("h100-pcie-2gpu-remote-then-status.md");
    let [first, second] = gpus(&topology)[..] else { panic!("two GPUs") };
    assert_eq!(first.address.unwrap().to_string(), "0000:c2:00.0");
    assert_eq!(second.address.unwrap().to_string(), "0000:d5:00.0");
    let pair = topology.pairs().pair(0, 1);
    assert_eq!((pair.path, pair.nvlinks), (Some(PathType::Nvl), 12));
    assert_eq!(pair.rate.unwrap().bandwidth.as_mb_per_s(), 12 * 25_000);
    // The list of other ends counts only links that are up: its link 4 is link 6.
    let up = [0, 1, 2, 3, 6, 7, 8, 9, 12, 13, 14, 15];
    for gpu in [first, second] {
        let far = gpu.nvlinks.iter().filter(|port| matches!(port.far, NvLinkFar::Gpu(_)));
        assert_eq!(far.map(|port| port.number).collect::<Vec<_>>(), up);
        assert_eq!(gpu.nvlinks.iter().filter(|port| port.up == Some(false)).count(), 6);
    }
    assert_eq!(notes_of(&topology, NoteCode::NvlinksUnknown), [""; 0]);
    assert!(notes(&topology).contains("concluded from the other ends"), "{}", notes(&topology));
}

#[test]
fn a_mesh_follows_from_its_other_ends() {
    // Four GPUs: two links between neighbours on a ring, one across.
    let text = remotes(&[
        &[0x0a, 0x0a, 0x0f, 0x12, 0x12],
        &[0x07, 0x07, 0x0f, 0x0f, 0x12],
        &[0x07, 0x0a, 0x0a, 0x12, 0x12],
        &[0x07, 0x07, 0x0a, 0x0f, 0x0f],
    ]);
    let topology = parse(&text);
    let counts = |a, b| topology.pairs().pair(a, b).nvlinks;
    assert_eq!(
        [(0, 1), (1, 2), (2, 3), (0, 3), (0, 2), (1, 3)].map(|(a, b)| counts(a, b)),
        [2, 2, 2, 2, 1, 1]
    );
    let buses: Vec<u8> = topology.gpus().map(|gpu| gpu.address.unwrap().bus).collect();
    assert_eq!(buses, [0x07, 0x0a, 0x0f, 0x12]);
    assert!(gpus(&topology)[0].nvlinks.iter().all(|port| port.up == Some(true)));
    let written = topology.to_json();
    assert_eq!(Topology::parse("again", written.as_bytes()).unwrap(), topology);
}

#[test]
fn other_ends_of_several_gpus_are_switches() {
    let topology = read("h100-2gpu-remote-switches.txt");
    assert_eq!(nvswitches(&topology), ["0000:05:00.0", "0000:06:00.0", "0000:07:00.0", "0000:08:00.0"]);
    assert_eq!(topology.pairs().pair(0, 1).nvlinks, 18);
    assert_eq!(topology.nvlink_groups()[0].shape, GroupShape::Switched);
    assert!(topology.gpus().all(|gpu| gpu.address.is_none()));
    let links: Vec<u16> = topology
        .links()
        .filter(|(.., link)| link.kind == LinkKind::NvLink)
        .filter_map(|(.., link)| link.lanes)
        .collect();
    assert_eq!(links.iter().sum::<u16>(), 36);

    // GPUs of two boards share no switch.
    let apart = remotes(&[&[0x81, 0x82], &[0x81, 0x82], &[0x91, 0x92], &[0x91, 0x92]]);
    let topology = parse(&apart);
    assert_eq!(topology.pairs().pair(0, 3).nvlinks, 2);
    assert!(notes(&topology).contains("one NVSwitch stands for all"), "{}", notes(&topology));

    // Of one GPU alone nobody knows what they are.
    let topology = parse(&remotes(&[&[0x81, 0x82]]));
    assert!(matches!(gpus(&topology)[0].nvlinks[0].far, NvLinkFar::Device(_)));
    let written = topology.to_json();
    assert_eq!(Topology::parse("again", written.as_bytes()).unwrap(), topology);
}

#[test]
fn places_told_elsewhere_settle_what_other_ends_are() {
    let list = "index, name, pci.bus_id\n0, Tesla V100-SXM2-16GB, 00000000:07:00.0\n1, Tesla V100-SXM2-16GB, 00000000:0A:00.0\n\
                2, Tesla V100-SXM2-16GB, 00000000:0F:00.0\n";
    // GPU2 has no NVLink, so that the other ends are fewer than the GPUs.
    let text = format!(
        "{}\n$ nvidia-smi --query-gpu=index,name,pci.bus_id --format=csv\n{list}",
        remotes(&[&[0x0a, 0x0a], &[0x07, 0x07]])
    );
    let topology = parse(&text);
    assert_eq!(topology.gpus().len(), 3);
    assert_eq!((topology.pairs().pair(0, 1).nvlinks, topology.pairs().pair(0, 2).nvlinks), (2, 0));
    assert_eq!(notes_of(&topology, NoteCode::SourcesDisagree), [""; 0]);
    // A GPU that this process is not shown.
    let text = format!("{}\n{list}", remotes(&[&[0x0a, 0x33], &[0x07]]));
    let topology = parse(&text);
    assert_eq!(topology.pairs().pair(0, 1).nvlinks, 1);
    assert!(
        notes(&topology).contains("GPU0: NVLinks lead to devices of unknown kind"),
        "{}",
        notes(&topology)
    );
}

#[test]
fn ports_that_are_down_are_taken_from_a_preset() {
    let status = |down: [usize; 8]| {
        let state = |is_down| if is_down { "<inactive>" } else { "26.562 GB/s" };
        let states = |down| (0..18).map(|link| state(link >= 18 - down).to_owned()).collect();
        listed("-s", "NVIDIA H100 80GB HBM3", &down.map(states))
    };
    let merged = |down: [usize; 8]| {
        let path = std::env::temp_dir().join(format!("nvtopo-ports-down-{}", std::process::id()));
        fs::write(&path, status(down)).unwrap();
        let topology =
            Topology::open(&[Locator::Preset("dgx-h100".to_owned()), Locator::Path(path.clone())]).unwrap();
        fs::remove_file(path).unwrap();
        topology
    };
    let topology = merged([0, 2, 2, 5, 18, 0, 0, 0]);
    let pair = |a, b| {
        let pair = topology.pairs().pair(a, b);
        (pair.nvlinks, pair.rate.map(|rate| rate.bandwidth.as_mb_per_s()))
    };
    assert_eq!(pair(0, 5), (18, Some(450_000)));
    assert_eq!((pair(0, 1), pair(1, 2)), ((16, Some(400_000)), (16, Some(400_000))));
    assert_eq!(pair(2, 3), (13, Some(325_000)));
    assert_eq!(pair(4, 5).0, 0);
    assert_eq!(topology.pairs().pair(4, 5).path, Some(PathType::Node));
}

#[test]
fn paths_that_are_known_stay() {
    let topo = "\tGPU0\tGPU1\tCPU Affinity\nGPU0\t X \tNV2\t0-15\nGPU1\tNV2\t X \t0-15\n";
    let topology =
        parse(&format!("$ nvidia-smi topo -m\n{topo}{}", remotes(&[&[0x0a, 0x0a], &[0x07, 0x07]])));
    assert_eq!(topology.links().filter(|(.., link)| link.kind == LinkKind::NvLink).count(), 1);
    assert_eq!(topology.pairs().pair(0, 1).nvlinks, 2);
    assert_eq!(gpus(&topology)[1].address.unwrap().bus, 0x0a);
}

#[test]
fn capabilities_tell_which_links_there_are() {
    let topology = read("dgx1-v100-capabilities-snipped.txt");
    let gpu = gpus(&topology)[0];
    assert_eq!(gpu.model.as_deref(), Some("Tesla V100-SXM2-32GB"));
    let links: Vec<_> = gpu.nvlinks.iter().map(|port| (port.number, port.up)).collect();
    assert_eq!(links, [(0, None), (5, None)]);
    assert!(notes(&topology).contains("leaves lines out at line 11"), "{}", notes(&topology));
    let refused =
        "GPU 0: A (UUID: GPU-1)\n\t Link 0, P2P is supported: false\n\t Link 1, P2P is supported: true\n";
    assert!(notes(&parse(refused)).contains("GPU0: peer-to-peer access is not supported over NVLinks 0"));
}

#[test]
fn errors_are_told_where_some_were_counted() {
    let topology = read("h100-errors-elided.txt");
    assert_eq!(gpus(&topology)[0].nvlinks.iter().map(|port| port.number).collect::<Vec<_>>(), [0, 1, 17]);
    assert_eq!(notes_of(&topology, NoteCode::NvlinkErrors), [""; 0]);
    let text = fs::read_to_string(data("nvlink-status/h100-errors-elided.txt")).unwrap();
    let counted = text
        .replace("Link 1: CRC Errors: 0", "Link 1: CRC Errors: 12")
        .replace("Link 17: Replay Errors: 0", "Link 17: Replay Errors: 3");
    let topology = parse(&counted);
    assert_eq!(
        notes_of(&topology, NoteCode::NvlinkErrors),
        ["GPU0 counted 12 CRC Errors on NVLink 1, 3 Replay Errors on NVLink 17"]
    );
}

#[test]
fn damaged_lists_of_other_ends_are_an_error_or_a_machine() {
    let text = remotes(&[&[0x0a, 0x0a, 0x0f], &[0x07, 0x07, 0x0f], &[0x07, 0x0a]]);
    for end in 0..text.len() {
        let _ = Topology::parse("x", &text.as_bytes()[..end]);
    }
    let one_sided = parse(&text.replace("\t Link 2: 00000000:0F:00.0\n", ""));
    assert!(one_sided.gpus().len() == 3);
    let huge =
        (0..64).map(|link| format!(" Link {link}: 00000000:{link:02x}:00.0\n")).collect::<Vec<_>>().concat();
    let text = (0..300).map(|gpu| format!("GPU {gpu}: A (UUID: GPU-1)\n{huge}")).collect::<Vec<_>>().concat();
    let _ = Topology::parse("x", text.as_bytes());
}
