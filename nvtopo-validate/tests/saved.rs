//! Saved outputs of benchmarks, published ones and ones made after the sources.

use crate::support::{data, preset};
use nvtopo::Topology;
use nvtopo_validate::{Judge, Metric, Report, Results, Subject, Verdict};
use serde_json::json;
use std::fmt::Write as _;

fn read(topology: &Topology, text: &str) -> nvtopo::Result<Results> {
    let mut results = Results::default();
    results.read_saved(topology, "saved.txt", text.as_bytes())?;
    Ok(results)
}

fn value(results: &Results, subject: &Subject) -> f64 {
    results.figures.iter().find(|figure| figure.subject == *subject).unwrap().value
}

#[test]
fn nvbandwidth_of_a100_passes() {
    let dgx = preset("dgx-a100");
    let results = read(&dgx, &data("validate/nvbandwidth-a100.txt")).unwrap();
    assert_eq!(results.figures.len(), 72);
    assert!((value(&results, &Subject::Path { from: 6, to: 0 }) - 274.89).abs() < 1e-9);
    assert!((value(&results, &Subject::ToGpu(4)) - 26.19).abs() < 1e-9);
    let report = Judge::default().report(&dgx, &results);
    assert_eq!((report.count(Verdict::Pass), report.suspects().len()), (72, 0));
}

#[test]
fn gpus_are_found_by_their_addresses() {
    let text = "\tGPU0\tGPU1\tGPU2\nGPU0\tX\tNV18\tNV18\nGPU1\tNV18\tX\tNV18\nGPU2\tNV18\tNV18\tX\n";
    let by_number = Topology::parse("matrix", text.as_bytes()).unwrap();
    let results = read(&by_number, &data("measured/nvbandwidth.txt")).unwrap();
    assert_eq!(results.figures.len(), 6 + 3);
    // The data of a read comes from the column's GPU.
    assert!((value(&results, &Subject::Path { from: 2, to: 1 }) - 120.5).abs() < 1e-9);
    // Another machine's GPUs are at other addresses.
    let other = preset("dgx-a100");
    assert!(other.gpus().all(|gpu| gpu.address.is_some()));
    let error = read(&other, &data("measured/nvbandwidth.txt")).unwrap_err();
    assert!(error.to_string().contains("devices that this machine does not have"), "{error}");
    // In JSON the matrix and the host's row are the same.
    let json = read(&by_number, &data("measured/nvbandwidth.json")).unwrap();
    assert!((value(&json, &Subject::ToGpu(1)) - 55.2).abs() < 1e-9);
    assert!((value(&json, &Subject::Path { from: 0, to: 1 }) - 271.5).abs() < 1.1);
}

#[test]
fn eight_h800_are_judged_by_their_equals() {
    let h800 = alike(8, "NV8", None);
    let text = data("measured/h800-v0.2.txt");
    let report = Judge::default().report(&h800, &read(&h800, &text).unwrap());
    // The generation of the links is unknown, so that the others and the slowest kind are there to compare with; of PCIe of an
    // unknown generation nothing is expected. Four tests between GPUs, four with the host.
    assert_eq!(counts(&report), [4 * 56, 4 * 8, 0]);
    assert!(report.judged().iter().all(|own| own.possible.is_none() && own.equals.is_some()));
    let one_weak =
        text.replace("176.02", "158.40").replace("172.57    172.32       N/A", "152.57    172.32       N/A");
    // One cell of the reads and two of the writes, whatever the other kinds reach.
    let report = judged(&h800, &one_weak);
    assert_eq!(
        (counts(&report), report.suspects().len()),
        ([221, 32, 3], 3),
        "{}",
        report.to_text(None, false)
    );
}

#[test]
fn ports_of_perftest_are_found_by_name() {
    let dgx = preset("dgx-a100");
    let nic = dgx.gpus().len() + dgx.nics().position(|nic| nic.name == "mlx5_0").unwrap();
    let results = read(&dgx, &data("perftest/epyc-hdr-host.txt")).unwrap();
    // 22292.76 MiB/s.
    assert!((value(&results, &Subject::Adapter(nic)) - 23.376).abs() < 1e-3);
    let latency = read(&dgx, &data("validate/ib_read_lat.txt")).unwrap();
    assert_eq!((latency.figures[0].metric, latency.figures[0].program), (Metric::Latency, "ib_read_lat"));
    assert!((latency.figures[0].value - 1.91).abs() < 1e-9);
    let error =
        read(&preset("gh200"), &data("validate/ib_read_lat.txt").replace("mlx5_0", "mlx5_77")).unwrap_err();
    assert!(error.to_string().contains("mlx5_77 is not a NIC of this machine"), "{error}");
    let error = read(&dgx, &data("validate/ibv_rc_pingpong.txt")).unwrap_err();
    assert!(error.to_string().contains("does not name its devices"), "{error}");
}

#[test]
fn collectives_name_their_gpus() {
    let text = data("validate/all_reduce-4090.txt");
    let dgx = preset("dgx-a100");
    let results = read(&dgx, &text).unwrap();
    assert_eq!(results.figures[0].subject, Subject::Group((0..8).collect()));
    assert!((results.figures[0].value - 18.75).abs() < 1e-9);
    let old = read(&dgx, &data("validate/all_reduce-old.txt")).unwrap();
    assert_eq!(old.figures[0].subject, Subject::Group(vec![0, 1]));
    assert!((old.figures[0].value - 21.86).abs() < 1e-9);
    for (from, to, said) in [
        ("device  3 [0x5a]", "device  9 [0x5a]", "GPU 9"),
        ("gpu59 device  7", "gpu60 device  7", "several machines"),
        ("100195.1   10.72   18.75    N/A", "100195.1   10.72   18.75      3", "3 wrong values"),
        (" 0 OK", " 7 FAILED", "wrong data"),
        ("18.75", "fast", "'fast' is not a bandwidth"),
    ] {
        let error = read(&dgx, &text.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn what_holds_no_figure_is_refused_with_the_reason() {
    let dgx = preset("dgx-a100");
    for (text, said) in [
        ("", "empty"),
        ("garbage\n", "not a format"),
        ("Running device_to_device_memcpy_read_ce.\nWaiving device_to_device_memcpy_read_ce.\n", "waived"),
        ("#       size    busbw\n", "does not name two GPUs"),
    ] {
        let error = read(&dgx, text).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert_eq!(error.input_name(), Some("saved.txt"));
    }
}

#[test]
fn no_damage_panics() {
    let dgx = preset("dgx-a100");
    for name in [
        "validate/all_reduce-4090.txt",
        "validate/ib_read_lat.txt",
        "validate/nvbandwidth-a100.txt",
        "measured/nvbandwidth.json",
    ] {
        let text = data(name);
        for cut in (0..text.len()).step_by(97) {
            let _ = read(&dgx, &text[..cut]);
            let mut bytes = text.clone().into_bytes();
            bytes[cut] = b"-9[\xff\n{"[cut % 6];
            let _ = Results::default().read_saved(&dgx, "damaged", &bytes);
        }
    }
}

/// GPUs with one path to each other one, and their model where it is known.
fn alike(gpus: usize, path: &str, model: Option<&str>) -> Topology {
    let (mut models, mut names, mut rows) = (String::new(), String::new(), String::new());
    for gpu in 0..gpus {
        if let Some(model) = model {
            writeln!(models, "GPU {gpu}: {model} (UUID: GPU-00000000-0000-4000-8000-00000000000{gpu})")
                .unwrap();
        }
        write!(names, "\tGPU{gpu}").unwrap();
        let cells: Vec<&str> = (0..gpus).map(|other| if gpu == other { "X" } else { path }).collect();
        writeln!(rows, "GPU{gpu}\t{}", cells.join("\t")).unwrap();
    }
    Topology::parse("machine", format!("{models}{names}\n{rows}").as_bytes()).unwrap()
}

/// The matrix of eight GPUs with one figure.
fn matrix(value: &str) -> String {
    let mut text = " 0 1 2 3 4 5 6 7\n".to_owned();
    for row in 0..8 {
        let cells: Vec<&str> = (0..8).map(|column| if row == column { "N/A" } else { value }).collect();
        writeln!(text, "{row} {}", cells.join(" ")).unwrap();
    }
    text + "\n"
}

fn judged(topology: &Topology, text: &str) -> Report {
    Judge::default().report(topology, &read(topology, text).unwrap())
}

fn counts(report: &Report) -> [usize; 3] {
    [Verdict::Pass, Verdict::Unknown, Verdict::Weak].map(|verdict| report.count(verdict))
}

fn tests(report: &Report, verdict: Verdict) -> Vec<&'static str> {
    let mut tests: Vec<&str> =
        report.judged().iter().filter(|own| own.verdict == verdict).filter_map(|own| own.test).collect();
    tests.sort_unstable();
    tests.dedup();
    tests
}

#[test]
fn links_that_are_all_slow_are_no_measure_of_each_other() {
    // Made: the figures of copies through the host stand under the heading of peer access.
    let off = data("validate/p2p-h100-peers-off.txt");
    let on = off.replace("P2P=Disabled Bandwidth", "P2P=Enabled Bandwidth (P2P Writes)");
    for (links, model, said) in [
        ("NV18", Some("NVIDIA H100 80GB HBM3"), "; 360 GB/s are expected of 18 NVLinks"),
        ("NV18", None, "; 360 GB/s are the least of 18 NVLinks of the slowest kind"),
        ("NV4", None, "; 48.0 GB/s are the least of 4 NVLinks of the slowest kind"),
    ] {
        let report = judged(&alike(8, links, model), &on);
        assert_eq!(counts(&report), [0, 0, 56], "{}", report.to_text(None, false));
        assert!(report.judged()[0].why.ends_with(said) || report.judged()[0].why.contains(said));
    }
    // Blackwell's links are twice as fast as the least of their number: by the model, 400 GB/s fall short.
    let fast = format!(
        "Running device_to_device_memcpy_write_ce.\nmemcpy CE GPU(row) <- GPU(column) bandwidth (GB/s)\n{}",
        matrix("400.0")
    );
    assert_eq!(counts(&judged(&alike(8, "NV18", None), &fast)), [56, 0, 0]);
    assert_eq!(counts(&judged(&alike(8, "NV18", Some("NVIDIA B200")), &fast)), [0, 0, 56]);
    // Of PCIe of an unknown generation nothing is expected.
    let report = judged(&alike(8, "PHB", None), &on);
    assert_eq!(counts(&report), [0, 56, 0]);
    assert!(report.judged()[0].why.ends_with("all of them may be slow"), "{}", report.judged()[0].why);
}

#[test]
fn peer_access_that_is_slower_than_none_falls_short() {
    let topology = alike(6, "PHB", None);
    let text = data("measured/p2p-6gpu-no-connectivity.txt");
    let report = judged(&topology, &text);
    assert_eq!((counts(&report), tests(&report, Verdict::Weak)), ([0, 0, 60], vec!["reads", "writes"]));
    let why = &report.judged()[0].why;
    assert!(why.starts_with("9.90 GB/s, and 20.1 GB/s through memory of the host"), "{why}");
    // Without the matrix to compare with nobody knows.
    let (_, without) = text.split_once("Unidirectional P2P=Enabled").unwrap();
    let report = judged(&topology, &format!("Unidirectional P2P=Enabled{without}"));
    assert_eq!(counts(&report), [0, 60, 0]);
}

#[test]
fn each_kind_of_copy_is_judged_by_itself() {
    let dgx = preset("dgx-h100");
    // Made: reads crawl, and writes do not. Without the names of the tests the headings or the sums tell them.
    let reads = format!("memcpy CE GPU(row) -> GPU(column) bandwidth (GB/s)\n{}", matrix("37.12"));
    let writes = format!("memcpy CE GPU(row) <- GPU(column) bandwidth (GB/s)\n{}", matrix("397.48"));
    let named = format!(
        "Running device_to_device_memcpy_read_ce.\n{reads}\nRunning device_to_device_memcpy_write_ce.\n{writes}"
    );
    let summed = format!(
        "{reads}SUM device_to_device_memcpy_read_ce 1\n\n{writes}SUM device_to_device_memcpy_write_ce 1\n"
    );
    for text in [named, summed, format!("{reads}{writes}"), format!("{writes}{reads}")] {
        let report = judged(&dgx, &text);
        assert_eq!(counts(&report), [56, 0, 56], "{text}");
        assert_eq!(
            (tests(&report, Verdict::Weak), tests(&report, Verdict::Pass)),
            (vec!["read_ce"], vec!["write_ce"])
        );
        let suspects: Vec<&str> = report.suspects().iter().map(|own| own.name.as_str()).collect();
        assert_eq!(suspects, ["no single link: all 56 figures of nvbandwidth read_ce"]);
        assert!(
            report
                .to_text(Some(200), false)
                .contains("nvbandwidth read_ce, GPU0 to GPU1: 37.1 GB/s; 360 GB/s are")
        );
        let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!(json["figures"][0]["test"], "read_ce");
    }
    // Both directions at once are no copy of one, whatever their headings say: made.
    let both = format!("Running device_to_device_bidirectional_memcpy_read_ce.\n{reads}\n{reads}\n");
    let report = judged(&dgx, &format!("{both}Running device_to_device_memcpy_write_ce.\n{writes}"));
    assert_eq!((counts(&report), tests(&report, Verdict::Pass)), ([56, 0, 0], vec!["write_ce"]));
    let p2p = |kind: &str, value: &str| {
        format!("Unidirectional P2P=Enabled Bandwidth (P2P {kind}) Matrix (GB/s)\n   D\\D{}", matrix(value))
    };
    let report = judged(&dgx, &(p2p("Writes", "376.12") + &p2p("Reads", "37.19")));
    assert_eq!((counts(&report), tests(&report, Verdict::Weak)), ([56, 0, 56], vec!["reads"]));
    // Copies with the host, as text and as JSON: those of the SM are slow as published, those of the copy engine are made.
    let sm = data("validate/nvbandwidth-h2d-sm.txt");
    let ce = "Running host_to_device_memcpy_ce.\nmemcpy CE CPU(row) -> GPU(column) bandwidth (GB/s)\n 0 1 2 3 4 5 6 7\n0 55 55 55 55 55 55 55 55\n\n";
    for text in [format!("{ce}{sm}"), format!("{sm}\n{ce}")] {
        let report = judged(&dgx, &text);
        assert_eq!((counts(&report), tests(&report, Verdict::Weak)), ([16, 0, 8], vec!["sm"]));
        let name = "no single link: all 8 figures of nvbandwidth sm from the host to GPUs";
        assert_eq!(report.suspects().iter().map(|own| own.name.as_str()).collect::<Vec<_>>(), [name]);
    }
    let test = |name: &str, value: &str| {
        json!({ "name": format!("device_to_device_memcpy_{name}"), "status": "Passed",
            "bandwidth_matrix": [["N/A", value], [value, "N/A"]] })
    };
    let json =
        json!({ "nvbandwidth": { "testcases": [test("write_sm", "390.0"), test("read_sm", "40.0")] } });
    let report = judged(&dgx, &json.to_string());
    assert_eq!((counts(&report), tests(&report, Verdict::Weak)), ([2, 0, 2], vec!["read_sm"]));
}

#[test]
fn runs_in_one_text_are_judged_by_their_median() {
    let text = data("validate/nvbandwidth-two-runs.txt");
    let (first, second) = text.split_at(text.rfind("$ ./nvbandwidth").unwrap());
    let pcie = alike(8, "SYS", None);
    for text in [text.clone(), format!("{second}\n{first}")] {
        let results = read(&pcie, &text).unwrap();
        let mut values: Vec<f64> = results.figures.iter().map(|figure| figure.value).collect();
        values.sort_by(f64::total_cmp);
        assert_eq!(values, [16.5, 25.13]);
        assert!((Judge::default().report(&pcie, &results).judged()[0].value - 20.815).abs() < 1e-9);
    }
    // Two runs of a matrix, the second of which names other GPUs: made.
    let run = |address: &str, value: &str| {
        format!(
            "nvbandwidth Version: v0.8\nDevice 0: NVIDIA A100 ({address}:07:00)\nDevice 1: NVIDIA A100 ({address}:0f:00)\n\nRunning device_to_device_memcpy_write_ce.\nmemcpy CE GPU(row) <- GPU(column) bandwidth (GB/s)\n 0 1\n0 N/A {value}\n1 {value} N/A\n\n"
        )
    };
    let dgx = preset("dgx-a100");
    let twice = read(&dgx, &(run("00000000", "270.5") + &run("00000000", "250.5"))).unwrap();
    assert_eq!(twice.figures.iter().map(|own| own.value).collect::<Vec<_>>(), [270.5, 270.5, 250.5, 250.5]);
    let other = read(&dgx, &(run("00000000", "270.5") + &run("00000009", "1.5"))).unwrap();
    assert_eq!(other.figures.iter().map(|own| own.value).collect::<Vec<_>>(), [270.5, 270.5]);
    assert!(other.remarks.iter().any(|own| own.contains("does not have")), "{:?}", other.remarks);
    // Another machine's GPU is the reason, and not that its test is of the host.
    let error = read(&dgx, first).unwrap_err().to_string();
    assert!(error.contains("devices that this machine does not have"), "{error}");
}

#[test]
fn other_collectives_are_read_and_called_by_their_names() {
    let dgx = preset("dgx-a100");
    // Made: of operations without a reduction or a root older versions leave these cells empty.
    let text = data("validate/all_reduce-4090.txt");
    let program = |text: &str| read(&dgx, text).unwrap().figures[0].program;
    assert_eq!(program(&text), "all_reduce_perf");
    let bare = text.replace("     sum      -1", "").replace("18.", "10.");
    let results = read(&dgx, &bare).unwrap();
    assert_eq!((results.figures[0].program, results.figures[0].value), ("nccl-tests", 10.75));
    let named = format!("# Collective test starting: alltoall_perf\n{bare}");
    assert_eq!(program(&named), "alltoall_perf");
    assert_eq!(program(&format!("$ ./build/all_gather_perf -b 1G -g 8\n{bare}")), "all_gather_perf");
    // Without NVSwitches data of all to all takes other ways than rings.
    let verdict = |topology: &Topology| judged(topology, &named).judged()[0].possible.is_some();
    assert!(verdict(&dgx) && !verdict(&preset("dgx-1-v100")));
}

/// Returns the verdicts on the published output, changed: passes, unknown, weak, and devices without a result; and the text.
fn damaged(change: impl Fn(&str) -> String) -> ([usize; 3], usize, Report) {
    let report = judged(&preset("dgx-a100"), &change(&data("validate/nvbandwidth-a100.txt")));
    (counts(&report), report.failed().len(), report)
}

#[test]
fn a_pair_without_a_figure_does_not_vanish() {
    // Made: a dead link, beside a cell that is no bandwidth.
    for cell in ["nan", "-270", "99999999", "N/A", "inf", "fast"] {
        let (counts, missing, report) =
            damaged(|text| text.replacen("276.07", "9.07", 1).replacen("276.24", cell, 1));
        assert_eq!((counts, missing), ([70, 0, 1], 1), "{cell} {}", report.to_text(None, false));
        assert_eq!(report.suspects()[0].name, "path over NVSwitches from GPU0 to GPU1");
        assert!(report.failed()[0].why.contains(cell) && !report.failed()[0].is_run);
        assert_eq!(report.failed()[0].test, Some("write_ce"));
    }
    // Pairs without a figure are unknown; they are no failed runs.
    let matrix = |text: &str| text.find("Running device_to_device").unwrap();
    let cut = |lines: usize| {
        move |text: &str| {
            let rest = text[matrix(text)..].split_inclusive('\n').take(lines);
            format!("{}{}", &text[..matrix(text)], rest.collect::<String>())
        }
    };
    for (lines, figures) in [(1, 0), (2, 0), (3, 0), (4, 7), (7, 28), (10, 49)] {
        let (counts, missing, report) = damaged(cut(lines));
        assert_eq!((counts, missing), ([16 + figures, 0, 0], 56 - figures), "{lines}");
        assert_eq!((report.verdict(None), report.verdict(Some(0))), (Verdict::Pass, Verdict::Unknown));
        assert!(report.to_text(None, false).contains("write_ce, GPU"), "{}", report.to_text(None, false));
    }
    // A number that was cut has lost digits, and is none.
    let (counts, missing, _) = damaged(|text| text[..text.find("276.62    276.24").unwrap() + 2].to_owned());
    assert_eq!((counts, missing), ([16 + 22, 0, 0], 56 - 22));
    // An error ends the output.
    let error = "Running device_to_device_memcpy_write_ce.\n[CUDA_ERROR_ILLEGAL_ADDRESS] an illegal memory access was encountered in expression";
    let (counts, missing, report) = damaged(|text| cut(1)(text) + error + "\n");
    assert_eq!((counts, missing), ([16, 0, 0], 56));
    let said = report.to_text(Some(200), false);
    assert!(
        said.contains("the program says: [CUDA_ERROR_ILLEGAL_ADDRESS]") && said.contains("ends in an error"),
        "{said}"
    );
    // A direction that carries nothing is dead, though the other one is quick.
    let (counts, missing, _) = damaged(|text| text.replacen("276.07", "0.00", 1));
    assert_eq!((counts, missing), ([71, 0, 1], 0));
    // Copies with the host, too.
    let (counts, missing, _) = damaged(|text| text.replacen("25.94", "nan", 1));
    assert_eq!((counts, missing), ([71, 0, 0], 1));
    let (counts, missing, _) =
        damaged(|text| text[..text.find("0     26.03").unwrap() + 22].to_owned() + "\n");
    assert_eq!((counts, missing), ([2, 0, 0], 6));
}

#[test]
fn a_cell_of_json_without_a_figure_does_not_vanish() {
    // Made.
    let dgx = preset("dgx-a100");
    let test = |matrix: serde_json::Value| {
        json!({ "nvbandwidth": { "GPU Device list": ["0: NVIDIA A100", "1: NVIDIA A100"], "testcases": [
            { "name": "host_to_device_memcpy_ce", "status": "Passed", "bandwidth_matrix": [["26.0", "26.0"]] },
            { "name": "device_to_device_memcpy_write_ce", "status": "Error", "error": "out of memory", "bandwidth_matrix": matrix },
        ] } })
        .to_string()
    };
    for (matrix, missing) in [
        (json!([["N/A", "nan"], ["276.1", "N/A"]]), 1),
        (json!([["N/A", "276.1"]]), 1),
        (json!([["N/A", 276.1], ["276.1", null]]), 0),
        (json!([]), 2),
    ] {
        let report = judged(&dgx, &test(matrix.clone()));
        assert_eq!((counts(&report), report.failed().len()), ([4 - missing, 0, 0], missing), "{matrix}");
    }
    let report = judged(&dgx, &test(json!([])));
    assert_eq!(report.failed()[0].why, "the program says: out of memory");
}

#[test]
fn gpus_without_access_to_each_other_have_no_figure_to_miss() {
    // Made.
    let text = |can: &str| {
        format!(
            "Device=0 {can} Access Peer Device=1\nDevice=1 {can} Access Peer Device=0\n\
             Unidirectional P2P=Enabled Bandwidth (P2P Writes) Matrix (GB/s)\n   D\\D     0      1      2\n\
             \x20    0 801.28   0.00  48.30\n     1   0.00 813.80    N/A\n     2  48.30  48.30 801.00\n"
        )
    };
    for (can, zeros) in [("CAN", 2), ("CANNOT", 0)] {
        let results = read(&alike(3, "NV2", None), &text(can)).unwrap();
        assert_eq!((results.figures.len(), results.failed.len()), (3 + zeros, 1), "{can} {results:?}");
        assert_eq!(results.failed[0].subject, Subject::Path { from: 1, to: 2 });
    }
}

#[test]
fn copies_without_peer_access_alone_are_no_measure_of_links() {
    let report = judged(&alike(8, "NV18", None), &data("validate/p2p-h100-peers-off.txt"));
    assert_eq!((counts(&report), report.failed().len()), ([0, 0, 0], 56));
    assert_eq!(report.verdict(Some(0)), Verdict::Unknown);
}
