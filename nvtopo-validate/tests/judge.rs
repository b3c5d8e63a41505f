//! Verdicts: what is possible, what equals reach, and which link is to blame.

use crate::support::{all_pairs, path, preset};
use nvtopo::Topology;
use nvtopo_validate::{Figure, Judge, Metric, Report, Results, Subject, Verdict, possible};

fn suspects(report: &Report) -> Vec<(&str, usize)> {
    report.suspects().iter().map(|own| (own.name.as_str(), own.figures.len())).collect()
}

fn gb(topology: &Topology, subject: &Subject) -> Result<(f64, String), String> {
    let own = possible(topology, subject)?;
    Ok(((own.reachable.as_gb_per_s() * 10.0).round() / 10.0, own.limit))
}

#[test]
fn the_graph_says_what_is_possible() {
    let pair = |from, to| Subject::Path { from, to };
    let dgx1 = preset("dgx-1-v100");
    assert_eq!(gb(&dgx1, &pair(0, 3)), Ok((40.0, "2 NVLinks".to_owned())));
    assert_eq!(gb(&dgx1, &pair(0, 1)), Ok((20.0, "1 NVLink".to_owned())));
    let (group, _) = gb(&dgx1, &Subject::Group((0..8).collect())).unwrap();
    assert!((group - 120.0).abs() < 0.1);
    let h100 = preset("dgx-h100");
    // Source of the rates: NCCL plans with 20 of 25 GB/s.
    assert_eq!(gb(&h100, &pair(0, 7)), Ok((360.0, "18 NVLinks".to_owned())));
    let (host, limit) = gb(&h100, &Subject::ToGpu(0)).unwrap();
    assert!((host - 48.0).abs() < 0.1 && limit.starts_with("PCIe x16 of "), "{host} {limit}");
    // 400 Gb/s of InfiniBand are 50 GB/s, more than PCIe of generation 5 leaves.
    let first_nic = h100.gpus().len();
    assert!(gb(&h100, &pair(first_nic, first_nic + 1)).unwrap().0 <= 49.4);
    // Between a GPU and a NIC both limit, and more goes to one beside it than to one across the sockets.
    let (near, far) = (gb(&h100, &pair(0, first_nic)).unwrap(), gb(&h100, &pair(7, first_nic)).unwrap());
    assert!((46.0..48.1).contains(&near.0) && far.0 < near.0, "{near:?} {far:?}");
    let grace = preset("gh200");
    assert_eq!(gb(&grace, &Subject::ToGpu(0)), Ok((375.0, "NVLink-C2C".to_owned())));
    assert_eq!(gb(&grace, &Subject::FromGpu(0)), Ok((297.0, "NVLink-C2C".to_owned())));
    assert!(possible(&grace, &pair(0, 99)).is_err());
}

#[test]
fn unknown_stays_unknown() {
    let matrix = "\tGPU0\tGPU1\tGPU2\nGPU0\tX\tNV4\tSYS\nGPU1\tNV4\tX\tSYS\nGPU2\tSYS\tSYS\tX\n";
    let topology = Topology::parse("matrix", matrix.as_bytes()).unwrap();
    for subject in [Subject::Path { from: 0, to: 1 }, Subject::Path { from: 0, to: 2 }, Subject::ToGpu(0)] {
        assert!(possible(&topology, &subject).unwrap_err().contains("unknown"));
    }
    let mut results = Results::default();
    results.add(path("nvbandwidth", 0, 1, 48.0));
    let report = Judge::default().report(&topology, &results);
    assert_eq!((report.count(Verdict::Unknown), report.judged()[0].verdict), (1, Verdict::Unknown));
    assert!(report.judged()[0].why.contains("fewer than 4 equal ones"), "{}", report.judged()[0].why);
}

#[test]
fn one_weak_pair_is_named() {
    let dgx = preset("dgx-a100");
    let report = |value: fn(usize, usize) -> f64| Judge::default().report(&dgx, &all_pairs(8, value));
    assert_eq!(suspects(&report(|_, _| 276.0)), []);
    // Both directions of a pair, one of them, and all of a GPU.
    let pair = report(|a, b| if (a.min(b), a.max(b)) == (2, 5) { 180.0 } else { 276.0 });
    assert_eq!(suspects(&pair), [("path over NVSwitches between GPU2 and GPU5", 2)]);
    let one_way = report(|a, b| if (a, b) == (5, 2) { 180.0 } else { 276.0 });
    assert_eq!(suspects(&one_way), [("path over NVSwitches from GPU5 to GPU2", 1)]);
    let gpu = report(|a, b| if a == 3 || b == 3 { 230.0 } else { 276.0 });
    assert_eq!(suspects(&gpu), [("NVLinks of GPU3", 14)]);
    // 230 GB/s are possible by the tolerance, so that the equals tell.
    assert!(gpu.judged().iter().any(|own| own.why.contains("17 % less than the 276 GB/s of 56 equal ones")));
    // One direction of all links of a GPU.
    let out = report(|a, _| if a == 3 { 200.0 } else { 276.0 });
    assert_eq!(suspects(&out), [("NVLinks out of GPU3", 7)]);
    let into = report(|_, b| if b == 3 { 200.0 } else { 276.0 });
    assert_eq!(suspects(&into), [("NVLinks into GPU3", 7)]);
    let two = report(|a, b| if a == 3 || b == 3 || (a, b) == (0, 1) { 100.0 } else { 276.0 });
    assert_eq!(suspects(&two), [("NVLinks of GPU3", 14), ("path over NVSwitches from GPU0 to GPU1", 1)]);
}

#[test]
fn a_pcie_link_is_named_where_all_that_crosses_it_is_slow() {
    let dgx = preset("dgx-a100");
    let mut results = Results::default();
    for gpu in 0..8 {
        let value = if gpu == 6 { 12.3 } else { 26.0 };
        results.add(Figure::new("nvbandwidth", Subject::ToGpu(gpu), Metric::Bandwidth, value));
        results.add(Figure::new("nvbandwidth", Subject::FromGpu(gpu), Metric::Bandwidth, value));
    }
    let report = Judge::default().report(&dgx, &results);
    assert_eq!(suspects(&report), [("PCIe link of GPU6", 2)]);
    // Both GPUs of one switch: what is above it.
    let switch = |gpu: usize| {
        let id = dgx.devices()[gpu];
        dgx.ancestors(id).find(|id| matches!(dgx.node(*id).kind, nvtopo::model::NodeKind::PcieSwitch(_)))
    };
    let beside: Vec<usize> = (0..8).filter(|gpu| switch(*gpu) == switch(6)).collect();
    assert_eq!(beside.len(), 2);
    for figure in &mut results.figures {
        if beside.contains(&figure.subject.devices()[0]) {
            figure.value = 12.3;
        }
    }
    let report = Judge::default().report(&dgx, &results);
    assert_eq!(report.suspects().len(), 1);
    assert!(report.suspects()[0].name.starts_with("PCIe link above PCIe switch"), "{:?}", report.suspects());
}

#[test]
fn a_port_is_named_by_the_pairs_that_cross_it() {
    let dgx = preset("dgx-a100");
    let ports = nvtopo_validate::ports(&dgx).0;
    let mut results = Results::default();
    for from in &ports {
        for to in ports.iter().filter(|to| *to != from) {
            let value = if *from == ports[1] || *to == ports[1] { 11.0 } else { 24.4 };
            results.add(path("ib_write_bw", *from, *to, value));
            results.add(Figure::new(
                "ib_read_lat",
                Subject::Path { from: *from, to: *to },
                Metric::Latency,
                1.9,
            ));
        }
    }
    // Latencies have no rate in the graph, and are compared with each other.
    results.figures[3].value = 3.1;
    let report = Judge::default().report(&dgx, &results);
    let weak = |report: &Report| {
        report
            .judged()
            .iter()
            .filter(|own| own.metric == Metric::Latency && own.verdict == Verdict::Weak)
            .count()
    };
    assert_eq!(
        (weak(&report), weak(&Judge::default().latency_tolerance(0.7).report(&dgx, &results))),
        (1, 0)
    );
    let name = format!("port of {}", dgx.device_name(ports[1]));
    assert!(report.suspects().iter().any(|own| own.name == name), "{:?}", report.suspects());
}

#[test]
fn more_than_the_wires_carry_is_no_pass() {
    let dgx = preset("dgx-a100");
    let mut results = Results::default();
    results.add(path("p2pBandwidthLatencyTest", 0, 1, 540.0));
    results.add(Figure::new("all_reduce_perf", Subject::Group((0..8).collect()), Metric::Bandwidth, 330.0));
    let report = Judge::default().report(&dgx, &results);
    let verdicts: Vec<Verdict> = report.judged().iter().map(|own| own.verdict).collect();
    // In-network reduction lets a collective be faster than its wires.
    assert_eq!(verdicts, [Verdict::Pass, Verdict::Unknown]);
    assert!(report.judged()[1].why.contains("more than the 300 GB/s of 12 NVLinks"));
}

#[test]
fn runs_are_judged_by_their_median() {
    let dgx = preset("dgx-a100");
    let mut results = Results::default();
    for value in [270.0, 20.0, 271.0] {
        results.add(path("nvbandwidth", 0, 1, value));
    }
    results.fail("nvbandwidth", Subject::Path { from: 0, to: 2 }, "did not end");
    let report = Judge::default().report(&dgx, &results);
    assert_eq!((report.judged()[0].value, report.judged()[0].verdict), (270.0, Verdict::Pass));
    let text = report.to_text(Some(80), true);
    assert!(
        text.contains("3 runs, 20.0 GB/s to 271 GB/s") && text.contains("GPU0 to GPU2: did not end"),
        "{text}"
    );
    assert!(text.lines().all(|line| line.chars().count() <= 80));
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(json["summary"], serde_json::json!({ "pass": 1, "weak": 0, "unknown": 0, "failed": 1 }));
    assert_eq!(json["figures"][0]["possible"]["reachable"], 240.0);
}
