//! The checks of NVLinks.

use crate::baseline::{contents, machine, with};
use crate::support::{finding, of, of_files, of_preset, of_text, of_texts, only_status, status};
use nvtopo_audit::Report;
use nvtopo_audit::Status::{Fail, NotApplicable, Pass, Unknown, Warn};
use serde_json::{Value, json};

/// The tests whose verdicts count as cases of their checks.
pub(crate) const CASES: &[fn()] = &[
    links_of_a_sound_board_pass_as_their_authors_say,
    inactive_links_fail_as_their_authors_say,
    a_part_without_nvlink_has_none_to_check,
    a_missing_or_slow_link_fails,
    links_that_a_cut_list_lacks_are_open,
    an_unknown_board_is_unknown,
    speeds_versions_and_ends_of_links_are_judged,
    a_far_end_belongs_to_one_link,
    gpus_of_one_model_have_as_many_links,
    access_to_peers_is_judged_by_the_path,
];

#[test]
fn links_of_a_sound_board_pass_as_their_authors_say() {
    let report = of_files(&["audit/gpud/nvidia-smi.nvlink.status.a100.txt"]);
    assert_eq!(only_status(&report, "nvlink-links-active"), Pass);
    assert_eq!(only_status(&report, "nvlink-speed"), Pass);
    let report = of_files(&["audit/azurehpc-health-checks/good_nvlink_status.txt"]);
    assert_eq!(only_status(&report, "nvlink-links-active"), Pass);
}

#[test]
fn inactive_links_fail_as_their_authors_say() {
    let report = of_files(&["audit/azurehpc-health-checks/bad_nvlink_status.txt"]);
    assert_eq!(status(&report, "nvlink-links-active", "GPU6"), Fail);
}

#[test]
fn a_part_without_nvlink_has_none_to_check() {
    // nvidia-smi prints nothing but the GPU.
    let report = of_text("GPU 0: NVIDIA A10 (UUID: GPU-00000000-0000-0000-0000-000000000001)\n");
    assert_eq!(only_status(&report, "nvlink-links-active"), NotApplicable);
}

#[test]
fn a_missing_or_slow_link_fails() {
    let text = |last: &str, ports: usize| {
        let ports: Vec<String> = (0..ports).map(|port| format!("\t Link {port}: 26.562 GB/s\n")).collect();
        let ports = ports.concat();
        format!(
            "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-00000000-0000-0000-0000-000000000001)\n{ports}\t Link {last}\n"
        )
    };
    let report = of_text(&text("17: <inactive>", 17));
    let found = finding(&report, "nvlink-links-active", "GPU0");
    assert_eq!((found.status, found.text.as_str()), (Fail, "17 of 18 NVLinks are up; down: link 17"));
    let report = of_text(&text("17: 13.281 GB/s", 17));
    assert_eq!(status(&report, "nvlink-links-active", "GPU0"), Pass);
    assert_eq!(status(&report, "nvlink-speed", "GPU0"), Fail);
    // Drivers print the line rate or the nominal one.
    let report = of_text(&text("17: 25 GB/s", 17));
    assert_eq!(status(&report, "nvlink-speed", "GPU0"), Warn);
    let report = of_text(&text("17: 260 GB/s", 17));
    let found = finding(&report, "nvlink-speed", "GPU0");
    let told = "a link is told to run at 260 GB/s, where the line rate is 26.562 GB/s";
    assert_eq!((found.status, found.text.as_str()), (Unknown, told));
}

#[test]
fn capabilities_of_links_tell_no_states() {
    let links: Vec<String> = (0..12).map(|link| format!("\t Link {link}, P2P is supported: true")).collect();
    let head = "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-00000000-0000-0000-0000-000000000001)\n";
    let report = of_text(&format!("{head}{}\n", links.join("\n")));
    let found = finding(&report, "nvlink-links-active", "GPU0");
    let told = "no source tells which of its 12 NVLinks are up";
    assert_eq!((found.status, found.text.as_str()), (Unknown, told));
}

#[test]
fn links_that_a_cut_list_lacks_are_open() {
    let check = "nvlink-links-active";
    // Recorded lists that people have cut.
    let report = of_files(&["nvlink-status/gb200-2gpu-cut.txt"]);
    let found = finding(&report, check, "GPU1");
    let text = "2 of 18 NVLinks are up, and the state of 16 is not told";
    assert_eq!((found.status, found.text.as_str()), (Unknown, text));
    assert_eq!(status(&report, check, "GPU0"), Pass);
    let report = of_files(&["nvlink-status/h100-status-elided.txt"]);
    assert_eq!(status(&report, check, "GPU0"), Unknown);
    let report = of_files(&["nvlink-status/dgx1-v100-status-snipped.txt"]);
    assert_eq!(only_status(&report, check), Pass, "what is left out are whole GPUs");
    // Made: the last GPU is cut with an ellipsis, or just ends; a link that is listed as down is.
    let gpu = |index: u32, links: u32| {
        let ports: Vec<String> = (0..links).map(|port| format!("\t Link {port}: 25 GB/s\n")).collect();
        let ports = ports.concat();
        format!(
            "GPU {index}: NVIDIA A100-SXM4-80GB (UUID: GPU-00000000-0000-0000-0000-00000000000{index})\n{ports}"
        )
    };
    let last = |text: &str| {
        let report = of_text(&format!("{}{}{text}", gpu(0, 12), gpu(1, 12)));
        [0, 2].map(|gpu| status(&report, check, &format!("GPU{gpu}")))
    };
    assert_eq!(last(&format!("{}......\n", gpu(2, 1))), [Pass, Unknown]);
    assert_eq!(last(&gpu(2, 1)), [Pass, Unknown]);
    assert_eq!(last(&format!("{}\t Link 1: <inactive>\n...\n", gpu(2, 1))), [Pass, Fail]);
    assert_eq!(last(&gpu(2, 12)), [Pass, Pass]);
    // Two like lists are whole: those GPUs have fewer links than the profile says.
    let report = of_texts(&[("s.txt", &format!("{}{}", gpu(0, 8), gpu(1, 8)))], "nvlinks-per-gpu = 12");
    assert_eq!(only_status(&report, check), Fail);
    let report = of_texts(&[("s.txt", &gpu(0, 8))], "nvlinks-per-gpu = 4");
    assert_eq!(only_status(&report, check), Warn, "more than the profile says");
}

#[test]
fn an_unknown_board_is_unknown() {
    let report = of_text("\tGPU0\tGPU1\nGPU0\tX\tNV4\nGPU1\tNV4\tX\n");
    let text = "4 NVLinks are up; how many its board (of unknown model) has is not known";
    assert_eq!(finding(&report, "nvlink-links-active", "GPU0").text, text);
    let report = of_files(&["nvlink-status/rtx3090-2gpu-uuid-redacted.txt"]);
    assert_eq!(only_status(&report, "nvlink-links-active"), Unknown);
}

/// The report of a made DGX H100 whose driver tells the ports of its GPUs, after a change of the document.
fn board(change: impl Fn(Value) -> Value) -> Report {
    let mut document = machine();
    for number in 0..8 {
        let port = |port: u32| json!({ "number": port, "up": true, "generation": 4, "reported_mb_per_s": 26562, "far": { "switch": null } });
        document = with(document, "gpu", number, |gpu| gpu["nvlinks"] = (0..18).map(port).collect());
    }
    of(&contents("board", &change(document)))
}

/// Changes the first ports of the first GPU.
fn ports(count: usize, key: &'static str, value: Value) -> impl Fn(Value) -> Value {
    move |document| {
        with(document, "gpu", 0, |gpu| {
            gpu["nvlinks"]
                .as_array_mut()
                .unwrap()
                .iter_mut()
                .take(count)
                .for_each(|port| port[key] = value.clone());
        })
    }
}

#[test]
fn speeds_versions_and_ends_of_links_are_judged() {
    let sound = board(|document| document);
    for check in ["nvlink-speed", "nvlink-version", "nvlink-peers-complete"] {
        assert_eq!(only_status(&sound, check), Pass, "{check}");
    }
    assert_eq!(status(&board(ports(1, "reported_mb_per_s", Value::Null)), "nvlink-speed", "GPU0"), Unknown);
    let found = board(ports(1, "generation", Value::Null));
    let text = "17 of 18 NVLinks are of generation 4, and the others tell none";
    assert_eq!(finding(&found, "nvlink-version", "GPU0").text, text);
    assert_eq!(status(&found, "nvlink-version", "GPU0"), Unknown);
    let found = board(ports(2, "generation", 3.into()));
    assert_eq!(finding(&found, "nvlink-version", "GPU0").text, "its NVLinks are of generations 3 and 4");
    assert_eq!(status(&found, "nvlink-version", "GPU0"), Fail);
    assert_eq!(status(&board(ports(18, "generation", Value::Null)), "nvlink-version", "GPU0"), Unknown);
    let check = "nvlink-peers-complete";
    assert_eq!(status(&board(ports(18, "far", Value::Null)), check, "GPU0"), Unknown);
    assert_eq!(status(&board(ports(1, "far", Value::Null)), check, "GPU0"), Fail);
    assert_eq!(status(&board(ports(1, "far", json!({ "device": "0000:aa:00.0" }))), check, "GPU0"), Warn);
    let far = json!({ "gpu": "0000:43:00.0" });
    assert_eq!(status(&board(ports(1, "far", far)), check, "GPU0"), Fail, "a link that leads nowhere back");
}

#[test]
fn a_far_end_belongs_to_one_link() {
    let check = "nvlink-peers-complete";
    // Made, in the form of nvidia-smi nvlink -R and -s.
    let texts = |second: u32| {
        let head = "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-00000000-0000-0000-0000-000000000018)\n";
        let ends = format!(
            "{head}\t Link 0: Remote Device 00000000:07:00.0: Link 46\n\t Link 1: Remote Device 00000000:07:00.0: Link {second}\n"
        );
        let states = format!("{head}\t Link 0: 26.562 GB/s\n\t Link 1: 26.562 GB/s\n");
        of_texts(&[("R.txt", &ends), ("s.txt", &states)], "")
    };
    assert_eq!(status(&texts(47), check, "GPU0"), Pass);
    let report = texts(46);
    let found = finding(&report, check, "GPU0");
    let text = "link 46 of 0000:07:00.0 is the far end of link 0 of GPU0 and link 1 of GPU0";
    assert_eq!((found.status, found.text.as_str()), (Fail, text));
    // Far ends without the number of the link there are devices of which nothing else is known.
    let cards = of_files(&["nvlink-status/h100-2gpu-remote-switches.txt"]);
    assert_eq!(only_status(&cards, check), Pass);
    // Of links that leave the tray of a rack, the far ends may not be told.
    let rack = |model: &str| {
        let change = ports(1, "far", Value::Null);
        board(|document| with(change(document), "gpu", 0, |gpu| gpu["model"] = model.into()))
    };
    assert_eq!(status(&rack("NVIDIA GB200"), check, "GPU0"), Unknown);
    assert_eq!(status(&rack("NVIDIA H100 80GB HBM3"), check, "GPU0"), Fail);
}

#[test]
fn links_that_are_all_down_are_known_by_the_code_of_a_note() {
    let check = "nvlink-links-active";
    let heading = |gpu: u32| {
        format!("GPU {gpu}: NVIDIA H100 80GB HBM3 (UUID: GPU-00000000-0000-0000-0000-00000000000{gpu})\n")
    };
    let ports: Vec<String> = (0..18).map(|port| format!("\t Link {port}: 26.562 GB/s\n")).collect();
    let ports = ports.concat();
    let down = "NVML: Unable to retrieve NVLink information as all links are inActive\n";
    let text = format!("{}{ports}{}{down}", heading(0), heading(1));
    let report = of_text(&text);
    assert_eq!(status(&report, check, "GPU0"), Pass);
    assert_eq!(finding(&report, check, "GPU1").text, "0 of 18 NVLinks are up");
    assert_eq!(status(&report, check, "GPU1"), Fail);
    // The text ends at a heading: of two GPUs that list no links, one is down.
    let cut = of_text(&format!("{text}{}", heading(2)));
    assert_eq!([0, 1, 2].map(|gpu| status(&cut, check, &format!("GPU{gpu}"))), [Pass, Unknown, Unknown]);
}

#[test]
fn gpus_of_one_model_have_as_many_links() {
    let check = "nvlink-symmetry";
    assert_eq!(only_status(&of_preset("dgx-h100"), check), Pass);
    // A mesh in which one GPU has no link.
    let mesh = "\tGPU0\tGPU1\tGPU2\nGPU0\tX\tNV4\tSYS\nGPU1\tNV4\tX\tSYS\nGPU2\tSYS\tSYS\tX\n";
    assert_eq!(only_status(&of_text(mesh), check), Warn);
    // Behind NVSwitches every pair has as many.
    let mut document: Value = machine();
    let gpu = position(&document, "gpu", 0);
    for link in document["topology"]["links"].as_array_mut().unwrap() {
        let is_own = link["kind"] == "nvlink" && link["between"].as_array().unwrap().contains(&gpu.into());
        if let Some(count) = link["lanes"].as_u64().filter(|_| is_own) {
            link["lanes"] = (count - 1).into();
        }
    }
    let report = of(&contents("narrow", &document));
    assert_eq!(only_status(&report, check), Fail);
    // The GPU that lost links is named, and not the first of its peers.
    let found = &crate::support::findings(&report, check)[0].text;
    assert!(found.starts_with("GPU0 has ") && !found.contains("GPU1"), "{found}");
    let listed = "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-00000000-0000-0000-0000-000000000001)\n\
                  GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-00000000-0000-0000-0000-000000000002)\n";
    assert_eq!(only_status(&of_text(listed), check), Unknown);
}

/// The position of a node in a document.
fn position(document: &Value, kind: &str, number: usize) -> usize {
    let nodes = document["topology"]["nodes"].as_array().unwrap();
    let all = nodes.iter().enumerate().filter(|(_, node)| node.get(kind).is_some());
    all.map(|(at, _)| at).nth(number).unwrap()
}

#[test]
fn access_to_peers_is_judged_by_the_path() {
    let check = "gpu-p2p-status";
    let judge = |document: &Value, pairs: &[(usize, usize, &str)]| {
        let mut document = document.clone();
        let told = pairs.iter().map(|(a, b, status)| {
            let between = [position(&document, "gpu", *a), position(&document, "gpu", *b)];
            json!({ "between": between, "read": status, "write": status })
        });
        document["topology"]["p2p"] = told.collect();
        crate::support::worst(&of(&contents("p2p", &document)), check)
    };
    let board = machine();
    assert_eq!(judge(&board, &[]), Unknown);
    assert_eq!(judge(&board, &[(0, 1, "OK"), (0, 2, "OK")]), Pass);
    assert_eq!(judge(&board, &[(0, 1, "NS"), (0, 2, "OK")]), Fail, "NVLink connects them");
    assert_eq!(judge(&board, &[(0, 1, "U"), (0, 2, "OK")]), Unknown, "the driver does not know");
    let table = "\tGPU0\tGPU1\tGPU2\nGPU0\tX\tPIX\tSYS\nGPU1\tPIX\tX\tSYS\nGPU2\tSYS\tSYS\tX\n";
    let cards = nvtopo::Topology::parse("table", table.as_bytes()).unwrap().to_json();
    let cards: Value = serde_json::from_str(&cards).unwrap();
    assert_eq!(judge(&cards, &[(0, 1, "OK"), (0, 2, "CNS")]), Warn);
    assert_eq!(judge(&cards, &[(0, 1, "CNS"), (0, 2, "CNS")]), Warn, "over PCIe, by the chipset");
    assert_eq!(judge(&cards, &[(0, 1, "NS"), (0, 2, "NS")]), Fail, "no pair may");
    assert_eq!(judge(&cards, &[(0, 1, "NS"), (0, 2, "U")]), Warn, "of one pair it is not known");
    assert_eq!(judge(&cards, &[(0, 1, "OK"), (0, 2, "U")]), Unknown);
    // Two GPUs with NVLinks of which the tool says U, and two cards on one chipset (made).
    let two = |path: &str, status: &str| {
        let topo = format!("\tGPU0\tGPU1\nGPU0\t X \t{path}\nGPU1\t{path}\t X \n");
        let p2p = format!(" \tGPU0\tGPU1\n GPU0\tX\t{status}\n GPU1\t{status}\tX\n");
        only_status(&of_texts(&[("topo.txt", &topo), ("p2p.txt", &p2p)], ""), check)
    };
    assert_eq!(two("NV12", "U"), Unknown);
    assert_eq!(two("NV12", "OK"), Pass);
    assert_eq!(two("NV12", "DR"), Fail);
    assert_eq!(two("SYS", "CNS"), Warn);
    assert_eq!(two("SYS", "NS"), Fail);
}

#[test]
fn presets_are_sound() {
    for preset in nvtopo::source::PRESETS {
        let report = of_preset(preset.name);
        for check in ["nvlink-links-active", "nvlink-symmetry"] {
            let worst = crate::support::findings(&report, check).iter().map(|found| found.status).max();
            assert!(
                worst <= Some(Unknown),
                "{}: {:#?}",
                preset.name,
                crate::support::findings(&report, check)
            );
        }
    }
}
