//! The texts of `nvidia-smi nvlink --status` and `nvidia-smi topo -p2p`, alone and laid over a machine.

use nvtopo::model::{Basis, NoteKind, P2pStatus};
use nvtopo::source::Locator;
use nvtopo::{Bandwidth, Error, Topology};
use proptest::prelude::*;
use std::path::{Path, PathBuf};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(data("nvlink-status").join(name)).unwrap()
}

fn read(text: &str) -> Result<Topology, Error> {
    Topology::parse("t.txt", text.as_bytes())
}

fn notes(topology: &Topology) -> String {
    let notes: Vec<String> = topology.notes().iter().map(ToString::to_string).collect();
    notes.join("\n")
}

/// The place and the words of an error.
fn refused(text: &str) -> (Option<usize>, Option<usize>, String) {
    let error = read(text).unwrap_err();
    (error.line(), error.column(), error.message().to_owned())
}

/// The facts of each pair of GPUs.
fn statuses(topology: &Topology) -> Vec<[Option<P2pStatus>; 4]> {
    topology.all_p2p().iter().map(|p2p| [p2p.read, p2p.write, p2p.nvlink, p2p.atomics]).collect()
}

#[test]
fn recorded_texts_give_each_link() {
    let none: &[u64] = &[];
    for (name, model, links) in [
        ("a100-8gpu.txt", "NVIDIA A100-SXM4-80GB", vec![[25_000; 12].as_slice(); 8]),
        ("a100-pcie-2gpu-all-inactive-no-uuid.txt", "NVIDIA A100-PCIE-40GB", vec![none; 2]),
        ("a6000-3gpu-one-inactive.txt", "NVIDIA RTX A6000", vec![&[14_062; 4], &[14_062; 4], none]),
        ("dgx1-v100-status-snipped.txt", "Tesla V100-SXM2-32GB", vec![&[25_781; 6]; 2]),
        ("h100-status-elided.txt", "NVIDIA H100 80GB HBM3", vec![&[26_562; 2]]),
        ("rtx3090-2gpu-uuid-redacted.txt", "NVIDIA GeForce RTX 3090", vec![&[14_062; 4]; 2]),
    ] {
        let topology = read(&text(name)).unwrap();
        let told = topology.gpus().map(|gpu| {
            assert_eq!(gpu.model.as_deref(), Some(model), "{name}");
            assert!(gpu.nvlinks.iter().all(|port| port.up == Some(true)), "{name}");
            gpu.nvlinks.iter().filter_map(|port| port.reported.map(Bandwidth::as_mb_per_s)).collect()
        });
        assert_eq!(told.collect::<Vec<Vec<u64>>>(), links, "{name}");
        assert!(!topology.nvlink_known(), "{name}");
    }
    let dgx = read(&text("dgx1-v100-status-snipped.txt")).unwrap();
    assert_eq!(dgx.gpus().map(|gpu| gpu.index).collect::<Vec<_>>(), [0, 7]);
}

#[test]
fn what_is_missing_or_down_is_told() {
    let found = notes(&read(&text("h100-status-elided.txt")).unwrap());
    assert!(found.contains("GPU0: the text lacks its NVLinks 1, 2, 3"), "{found}");
    let found = notes(&read(&text("a6000-3gpu-one-inactive.txt")).unwrap());
    assert!(found.contains("GPU2: all NVLinks are down"), "{found}");
    let redacted = read(&text("rtx3090-2gpu-uuid-redacted.txt")).unwrap();
    assert!(redacted.gpus().all(|gpu| gpu.uuid.is_none()) && notes(&redacted).contains("is no UUID"));

    let down =
        read(&text("a6000-3gpu-one-inactive.txt").replacen("Link 2: 14.062 GB/s", "Link 2: <inactive>", 1));
    let down = down.unwrap();
    let expected = "GPU0: 3 NVLinks are up, and 4 on others of its model; down: 2";
    let note =
        down.notes().iter().find(|note| note.text == expected).unwrap_or_else(|| panic!("{}", notes(&down)));
    assert_eq!(note.kind(), NoteKind::Conflict);
    let unheard = read("GPU 0: A\n Link 0: 25 GB/s\n Link 1: some new state\n").unwrap();
    let ports: Vec<_> = unheard.gpus().next().unwrap().nvlinks.iter().map(|port| port.up).collect();
    assert_eq!(ports, [Some(true), None]);
}

#[test]
fn a_cut_text_is_told() {
    let whole = text("gb200-2gpu-cut.txt");
    let found = notes(&read(&whole).unwrap());
    assert!(
        found.contains("GPU1: the text is cut: it lists 2 NVLinks, and 18 of others of the model"),
        "{found}"
    );
    assert!(found.contains("leaves lines out at line 24"), "{found}");
    // Cut anywhere after the first link of the second GPU, without an ellipsis.
    let whole = whole.trim_end().strip_suffix("...").unwrap();
    let from = whole.find("GPU 1").unwrap();
    for end in from + 4..whole.len() {
        let found = notes(&read(&whole[..end]).unwrap());
        assert!(
            found.contains("the text is cut") || found.contains("the text ends within line"),
            "{:?}: {found}",
            &whole[end - 12..end]
        );
    }
    // The first GPU alone, cut within its last line.
    let first = &whole[..from].trim_end();
    for end in 1..=11 {
        let found = notes(&read(&first[..first.len() - end]).unwrap());
        assert!(found.contains("the text ends within line 20"), "{end}: {found}");
    }
    for ellipsis in ["...", "[...]", "\u{2026}", "<snip>", "  ....", "(truncated)"] {
        let found = notes(&read(&format!("{first}\n{ellipsis}\n")).unwrap());
        assert!(found.contains("leaves lines out at line 21"), "{ellipsis}: {found}");
    }
    // What is whole is not called cut, nor what another question about the links answers behind it.
    let whole = text("a100-8gpu.txt");
    for whole in [whole.clone(), format!("{whole}\n\n$ exit\n"), text("nvlink-status-then-info.txt")] {
        let found = notes(&read(&whole).unwrap());
        assert!(!found.contains("damage"), "{found}");
    }
    // The last link of a whole text may be down.
    for down in ["<inactive>", "Inactive"] {
        let text = format!(
            "GPU 0: NVIDIA H100 (UUID: GPU-e04968e9-3302-841c-b00f-f388d7a8f56f)\n\t Link 0: 26.562 GB/s\n\t Link 1: {down}\n"
        );
        let found = notes(&read(&text).unwrap());
        assert!(!found.contains("ends within"), "{found}");
        let found = notes(&read(text.trim_end().strip_suffix(&down[3..]).unwrap()).unwrap());
        assert!(found.contains("ends within line 3"), "{found}");
    }
}

#[test]
fn links_below_a_number_that_no_gpu_has_are_not_those_of_the_gpu_before() {
    let uuid = "(UUID: GPU-e04968e9-3302-841c-b00f-f388d7a8f56f)";
    let text = format!("GPU 0: NVIDIA H100 {uuid}\nGPU 4294967296: NVIDIA H100 {uuid}\n\t Link 0: 25 GB/s\n");
    let error = read(&text).unwrap_err();
    assert_eq!((error.line(), error.message()), (Some(3), "link 0 stands under no GPU"));
}

#[test]
fn a_verdict_may_stand_in_the_line_of_its_gpu() {
    let uuid = "(UUID: GPU-e04968e9-3302-841c-b00f-f388d7a8f56f)";
    let (none, down) = (
        "Device does not have or support Nvlink",
        "NVML: Unable to retrieve Nvlink information as all links are inActive",
    );
    for (way, known) in [
        (format!("GPU 0: NVIDIA RTX A4000 {uuid} {none}\nGPU 1: Quadro RTX 5000 {down}\n"), true),
        (format!("GPU 0: NVIDIA RTX A4000 ({none})\nGPU 1: Quadro RTX 5000 ({down})\n"), false),
        (format!("GPU 0: NVIDIA RTX A4000 (UUID: {none})\nGPU 1: Quadro RTX 5000 (UUID: {down})\n"), false),
        (format!("GPU 0: NVIDIA RTX A4000: {none}\nGPU 1: Quadro RTX 5000 - {down}\n"), false),
        (format!("GPU 0: NVIDIA RTX A4000 {uuid}\n{none}\nGPU 1: Quadro RTX 5000\n\t{down}\n"), true),
    ] {
        let topology = read(&way).unwrap_or_else(|error| panic!("{error}\n{way}"));
        let models: Vec<_> = topology.gpus().map(|gpu| gpu.model.as_deref().unwrap()).collect();
        assert_eq!(models, ["NVIDIA RTX A4000", "Quadro RTX 5000"], "{way}");
        assert_eq!(topology.gpus().next().unwrap().uuid.is_some(), known, "{way}");
        let found = notes(&topology);
        assert!(found.contains("GPU0: nvidia-smi says that it does not have or support NVLink"), "{found}");
        assert!(found.contains("GPU1: all NVLinks are down"), "{found}");
        assert!(!found.contains("damage"), "{way}: {found}");
    }
}

#[test]
fn links_that_a_matrix_counts_get_their_rate() {
    let matrix = Locator::Path(data("topo-m/a6000-3gpu-bridge-pair-plus-one.txt"));
    let status = Locator::Path(data("nvlink-status/a6000-3gpu-one-inactive.txt"));
    let alone = Topology::open(std::slice::from_ref(&matrix)).unwrap();
    assert_eq!(alone.pairs().pair(0, 1).rate.unwrap().basis, Basis::Assumed);
    for order in [[matrix.clone(), status.clone()], [status, matrix]] {
        let topology = Topology::open(&order).unwrap();
        let pair = topology.pairs().pair(0, 1);
        let rate = pair.rate.unwrap();
        assert_eq!((pair.nvlinks, rate.bandwidth.as_mb_per_s(), rate.basis), (4, 56_250, Basis::Nominal));
        assert_eq!(topology.pairs().pair(0, 2).path.map(nvtopo::PathType::word), Some("NODE"));
        let reported = topology.with_reported_rates();
        assert_eq!(reported.pairs().pair(0, 1).rate.unwrap().bandwidth.as_mb_per_s(), 4 * 14_062);
        assert!(
            topology
                .gpus()
                .all(|gpu| gpu.model.is_some() && gpu.uuid.is_some() && gpu.cpus.known().is_some())
        );
        assert!(topology.nvlink_known());
        let notes = notes(&topology);
        assert!(
            !notes.contains("generation of NVLink") && !notes.contains("which GPUs NVLink connects"),
            "{notes}"
        );
        assert!(!notes.contains("conflict"), "{notes}");
    }
}

#[test]
fn several_texts_in_one_are_read_as_if_they_were_apart() {
    let matrix = std::fs::read_to_string(data("topo-m/a6000-3gpu-bridge-pair-plus-one.txt")).unwrap();
    let status = text("a6000-3gpu-one-inactive.txt");
    let p2p = "\tGPU0\tGPU1\tGPU2\nGPU0\tX\tOK\tNS\nGPU1\tOK\tX\tNS\nGPU2\tNS\tNS\tX\n";
    let apart = Topology::open(&[
        Locator::Path(data("topo-m/a6000-3gpu-bridge-pair-plus-one.txt")),
        Locator::Path(data("nvlink-status/a6000-3gpu-one-inactive.txt")),
    ])
    .unwrap();
    let prompt = |command: &str, text: &str| format!("$ nvidia-smi {command}\n{text}");
    let heading = |command: &str, text: &str| format!("## {command}\n\n```\n{text}```\n\n");
    let (m, s, p) = ("topo -m", "nvlink --status", "topo -p2p r");
    for (together, access) in [
        (format!("{matrix}\n{status}"), false),
        (format!("{status}\n{matrix}"), false),
        (format!("{matrix}\n{status}\n{p2p}"), true),
        (prompt(m, &matrix) + &prompt(s, &status) + &prompt(p, p2p), true),
        (prompt(p, p2p) + &prompt(s, &status) + &prompt(m, &matrix), true),
        (heading(m, &matrix) + &heading(p, p2p) + &heading(s, &status), true),
    ] {
        let topology = read(&together).unwrap_or_else(|error| panic!("{error}\n{together}"));
        assert_eq!(topology.pairs().pair(0, 1).nvlinks, 4, "{together}");
        for (one, other) in topology.gpus().zip(apart.gpus()) {
            assert_eq!((&one.nvlinks, &one.model), (&other.nvlinks, &other.model), "{together}");
            assert_eq!((&one.cpus, &one.nodes), (&other.cpus, &other.nodes), "{together}");
        }
        let (ok, not) =
            ([Some(P2pStatus::Ok), None, None, None], [Some(P2pStatus::NotSupported), None, None, None]);
        assert_eq!(statuses(&topology), if access { vec![ok, not, not] } else { vec![] }, "{together}");
        assert!(!notes(&topology).contains("damage"), "{}\n{together}", notes(&topology));
    }
}

#[test]
fn a_fault_in_one_of_several_texts_has_its_place_in_the_whole() {
    let matrix = "\tGPU0\tGPU1\nGPU0\t X \tSYS\nGPU1\tSYS\t X \n";
    let (line, _, text) = refused(&format!("{matrix}GPU 0: A\n Link 1: 25 GB/s\n Link 1: 25 GB/s\n"));
    assert_eq!((line, text.as_str()), (Some(6), "link 1 follows link 1"));
    let (line, _, text) =
        refused(&format!("GPU 0: A\n Link 0: 25 GB/s\n\n{}", matrix.replace("GPU1\tSYS", "GPU1\tPIX")));
    assert_eq!(line, Some(6));
    assert!(text.contains("not symmetric"), "{text}");
}

#[test]
fn what_makes_no_sense_has_its_place() {
    let (line, _, text) = refused("$ x\n Link 0: 25 GB/s\nGPU 0: A\n Link 0: 25 GB/s\n");
    assert_eq!((line, text.as_str()), (Some(2), "link 0 stands under no GPU"));
    let (line, _, text) = refused("GPU 0: A\n Link 0: 25 GB/s\nGPU 0: B\n");
    assert_eq!((line, text.as_str()), (Some(3), "GPU 0 is there twice, as two GPUs"));
    let (line, _, text) = refused("GPU 0: A\n Link 1: 25 GB/s\n Link 1: 25 GB/s\n");
    assert_eq!((line, text.as_str()), (Some(3), "link 1 follows link 1"));
    // Lists of GPUs, capabilities and errors tell no rates.
    for other in [
        "GPU 0: A (UUID: GPU-1)\n",
        "GPU 0: A\n Link 0, P2P is supported: true\n",
        "GPU 0: A\n Link 0: CRC Errors: 0\n",
    ] {
        let topology = read(other).unwrap();
        assert!(topology.gpus().all(|gpu| gpu.nvlinks.iter().all(|link| link.reported.is_none())), "{other}");
    }
}

#[test]
fn links_that_are_down_are_told_of_a_single_gpu() {
    let topology = read(&text("nvlink-one-gpu-links-down.txt")).unwrap();
    let gpu = topology.gpus().next().unwrap();
    let up: Vec<_> = gpu.nvlinks.iter().map(|link| link.up).collect();
    assert_eq!((gpu.index, up), (3, vec![Some(true), Some(true), Some(false), Some(true)]));
    assert!(notes(&topology).contains("GPU3: 3 of 4 NVLinks are up; down: 2"), "{}", notes(&topology));
    let topology = read(&text("nvlink-state-words.txt")).unwrap();
    assert!(notes(&topology).contains("down: 1"), "{}", notes(&topology));
    let topology = read(&text("nvlink-all-links-inactive-word.txt")).unwrap();
    assert!(notes(&topology).contains("GPU0: no NVLink is up; down: 0, 1"), "{}", notes(&topology));
    assert!(topology.gpus().next().unwrap().nvlinks.iter().all(|link| link.up == Some(false)));
}

#[test]
fn other_words_for_states_are_named() {
    let of =
        |word: &str| read(&text("nvlink-all-links-inactive-word.txt").replace("Inactive", word)).unwrap();
    let ups = |topology: &Topology| {
        topology.gpus().next().unwrap().nvlinks.iter().map(|link| link.up).collect::<Vec<_>>()
    };
    // As the driver's library counts them: a link that sleeps wakes when it is used.
    let asleep = of("Sleep");
    assert_eq!(ups(&asleep), [Some(true); 2]);
    assert!(
        notes(&asleep).contains("none of these NVLinks is active now; in the state 'Sleep': 0, 1"),
        "{}",
        notes(&asleep)
    );
    let recovery = of("<Recovery>");
    assert_eq!(ups(&recovery), [None; 2]);
    assert!(notes(&recovery).contains("in the state 'Recovery': 0, 1"), "{}", notes(&recovery));
    assert_eq!(ups(&of("Active")), [Some(true); 2]);
}

#[test]
fn other_questions_about_the_same_gpus_are_passed_over() {
    let first = text("nvlink-status-then-info.txt");
    let heading = "GPU 0: NVIDIA GB200 (UUID: GPU-00000000-0000-0000-0000-000000000000)\n";
    for more in [
        String::new(),
        format!("$ nvidia-smi nvlink -e\n{heading}\t Link 0: Replay Errors: 0\n\t Link 0: CRC Errors: 0\n"),
        format!("{heading}\t Link 0, P2P is supported: true\n"),
        format!("{heading}\t Link 0: Remote Device 00000000:CD:00.0: Link 25\n"),
        format!("{heading}\t Link 0: 00000000:88:00.0\n"),
        format!("{heading}\t Link 0: 53.125 GB/s\n"),
    ] {
        for both in [format!("{first}{more}"), format!("{more}{first}")] {
            let topology = read(&both).unwrap();
            let rates: Vec<_> = topology
                .gpus()
                .next()
                .unwrap()
                .nvlinks
                .iter()
                .map(|link| link.reported.unwrap().as_mb_per_s())
                .collect();
            assert_eq!((topology.gpus().len(), rates), (1, vec![53_125; 2]), "{both}");
            assert_eq!(notes(&topology), "", "{both}");
        }
    }
    let differs = read(&format!("{first}{heading}\t Link 1: Inactive\n")).unwrap();
    assert!(notes(&differs).contains("GPU0: NVLink 1 is listed twice"), "{}", notes(&differs));
    let other = heading.replace("000000000000)", "000000000001)");
    assert!(refused(&format!("{first}{other}")).2.contains("as two GPUs"));
}

#[test]
fn peer_access_is_read_and_laid_over_a_machine() {
    for (name, gpus, status) in [
        ("topo-p2p-2gpu-cns.txt", 2, P2pStatus::ChipsetNotSupported),
        ("rtx5090-2gpu-topo-p2p-rw-gns.txt", 2, P2pStatus::GpuNotSupported),
        ("topo-p2p-8gpu-ok.txt", 8, P2pStatus::Ok),
        ("topo-p2p-8gpu-ok-nccl-guide-indented.txt", 8, P2pStatus::Ok),
    ] {
        let topology = read(&text(name)).unwrap();
        assert_eq!(topology.gpus().len(), gpus, "{name}");
        assert_eq!(
            statuses(&topology),
            vec![[Some(status), None, None, None]; gpus * (gpus - 1) / 2],
            "{name}"
        );
        assert!(notes(&topology).contains("taken for r, reading"), "{name}");
    }
    for (text, pairs) in [
        (text("md-p2p-table.txt"), 3),
        (text("md-p2p-table.txt").replace("| X |", "| **X** |").replace(":---:", "---"), 3),
        (text("md-p2p-table.txt").replace("| | GPU0", "| GPU | GPU0").replace('|', " | "), 3),
        ("> \tGPU0\tGPU1\n> GPU0\tX\tOK\n> GPU1\tOK\tX\n".to_owned(), 1),
        ("# GPU0 GPU1\n# GPU0 X OK\n# GPU1 OK X\n".to_owned(), 1),
    ] {
        let topology = read(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let all = [Some(P2pStatus::Ok), Some(P2pStatus::NotSupported), Some(P2pStatus::NotSupported)];
        let reads: Vec<_> = topology.all_p2p().iter().map(|p2p| p2p.read).collect();
        assert_eq!(reads, all[..pairs], "{text}");
    }
    let matrix = |cell: &str| format!(" \tGPU0\tGPU1\n GPU0\tX\t{cell}\n GPU1\t{cell}\tX\n");
    let both =
        format!("$ nvidia-smi topo -p2p rw\n{}\n$ nvidia-smi topo -p2p n\n{}", matrix("OK"), matrix("NS"));
    let quoted = both.replace("$ nvidia-smi topo -p2p rw", "**Access (`nvidia-smi topo -p2p rw`):**");
    assert_eq!(statuses(&read(&quoted).unwrap()), statuses(&read(&both).unwrap()));
    let cut = notes(&read(&matrix("CNS")[..24]).unwrap());
    assert!(cut.contains("damage: the text is cut"), "{cut}");
    let unasked = notes(&read(&(matrix("OK") + &matrix("NS"))).unwrap());
    assert!(unasked.contains("1 more table of topo -p2p"), "{unasked}");
    let topology = read(&both).unwrap();
    let (ok, not) = (Some(P2pStatus::Ok), Some(P2pStatus::NotSupported));
    assert_eq!(statuses(&topology), [[ok, ok, not, None]]);
    assert!(!notes(&topology).contains("taken for"), "{}", notes(&topology));

    // Two files fill in one another.
    let folder = std::env::temp_dir().join(format!("nvtopo-p2p-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, text: String| {
        std::fs::write(folder.join(name), text).unwrap();
        Locator::Path(folder.join(name))
    };
    let parts = [
        file("a", format!("nvidia-smi topo -p2p a\n{}", matrix("OK"))),
        file("both", both),
        Locator::Path(data("topo-m/rtx3090-2gpu-nvlink-bridge.txt")),
    ];
    let topology = Topology::open(&parts).unwrap();
    assert_eq!(statuses(&topology), [[ok, ok, not, ok]]);
    assert_eq!(topology.pairs().pair(0, 1).nvlinks, 4);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn matrices_of_peer_access_may_be_cut_and_not_wrong() {
    let cut = read("\tGPU0\tGPU1\tGPU2\nGPU0\tX\tOK\tCNS\nGPU1\tCNS\n").unwrap();
    assert_eq!(statuses(&cut).len(), 2);
    assert!(notes(&cut).contains("1 pairs have two statuses"), "{}", notes(&cut));
    let (line, column, text) = refused("\tGPU0\tGPU1\nGPU0\tX\tOK\tOK\n");
    assert_eq!((line, column), (Some(2), Some(11)), "{text}");
    let (line, column, text) = refused("\tGPU0\tGPU1\nGPU2\tX\tOK\n");
    assert_eq!((line, column, text.as_str()), (Some(2), Some(1), "GPU2 has a row and no column"));
}

proptest! {
    #[test]
    fn no_damage_is_a_panic(
        file in prop::sample::select(vec!["a6000-3gpu-one-inactive.txt", "topo-p2p-8gpu-ok.txt"]),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), "[GPU0-9 X:<>/OK\t\n]{0,6}"), 1..6),
    ) {
        let mut text: Vec<char> = text(file).chars().collect();
        for (at, piece) in cuts {
            let at = at.index(text.len() + 1);
            let end = (at + piece.len()).min(text.len());
            text.splice(at..end, piece.chars());
        }
        _ = read(&text.into_iter().collect::<String>());
    }
}
