//! Figures before and after a change.

use crate::support::{path, preset};
use nvtopo::Topology;
use nvtopo_validate::canary::{Advice, Canary, RUNS, Record};
use nvtopo_validate::{Figure, Metric, Results, Subject};

fn record(topology: &Topology, values: &[f64]) -> Record {
    let mut results = Results::default();
    for value in values {
        results.add(path("nvbandwidth", 0, 1, *value));
    }
    Record::new(topology, &results)
}

fn compare(before: &[f64], after: &[f64]) -> Canary {
    let dgx = preset("dgx-a100");
    record(&dgx, before).compare(&record(&dgx, after), 0.05)
}

#[test]
fn a_loss_that_is_no_chance_is_rolled_back() {
    for (before, after, advice) in [
        (&[270.0, 271.0, 272.0][..], &[269.0, 270.0, 272.0][..], Advice::GoOn),
        (&[270.0, 271.0, 272.0], &[200.0, 201.0, 202.0], Advice::RollBack),
        // A gain is none, however large.
        (&[200.0, 201.0, 202.0], &[270.0, 271.0, 272.0], Advice::GoOn),
        // 20 % less by the medians, and the runs overlap.
        (&[270.0, 271.0, 150.0], &[200.0, 215.0, 272.0], Advice::Unclear),
        // One run of each: nobody knows the spread.
        (&[270.0], &[200.0], Advice::Unclear),
        (&[270.0, 271.0], &[], Advice::Unclear),
    ] {
        let canary = compare(before, after);
        assert_eq!(canary.advice(), advice, "{before:?} {after:?} {}", canary.to_text(None));
        let json: serde_json::Value = serde_json::from_str(&canary.to_json()).unwrap();
        assert_eq!(json["advice"], advice.code());
    }
    assert_eq!(
        [Advice::GoOn, Advice::Unclear, Advice::RollBack].map(Advice::code),
        ["go-on", "unclear", "roll-back"]
    );
    // The number of runs is the least by which a loss can be told.
    for (runs, advice) in [(RUNS - 1, Advice::Unclear), (RUNS, Advice::RollBack)] {
        assert_eq!(compare(&vec![270.0; runs], &vec![200.0; runs]).advice(), advice);
    }
    let text = compare(&[270.0, 271.0, 272.0], &[200.0, 201.0, 202.0]).to_text(Some(200));
    assert!(text.starts_with("roll back (driver unknown; 1 figures compared)\n"), "{text}");
    assert!(
        text.contains(
            "271 GB/s (270 GB/s to 272 GB/s) before, 201 GB/s (200 GB/s to 202 GB/s) now, 26 % worse"
        ),
        "{text}"
    );
}

#[test]
fn each_test_is_compared_with_itself() {
    let dgx = preset("dgx-h100");
    let of = |reads: f64| {
        let mut results = Results::default();
        for run in [0.0, 1.0, 2.0] {
            results.add(path("nvbandwidth", 0, 1, 397.0 + run).test(Some("write_ce")));
            results.add(path("nvbandwidth", 0, 1, reads + run).test(Some("read_ce")));
        }
        Record::new(&dgx, &results)
    };
    let before = Record::parse("canary.json", of(390.0).to_json().unwrap().as_bytes()).unwrap();
    let canary = before.compare(&of(37.0), 0.05);
    assert_eq!((canary.advice(), canary.compared, canary.reasons.len()), (Advice::RollBack, 2, 1));
    assert!(canary.reasons[0].1.starts_with("nvbandwidth read_ce, GPU0 to GPU1: "), "{:?}", canary.reasons);
}

#[test]
fn a_run_that_fails_now_and_a_link_that_is_gone_are_rolled_back() {
    let dgx = preset("dgx-a100");
    let mut failed = Results::default();
    failed.fail("nvbandwidth", Subject::Path { from: 0, to: 1 }, "did not end within 120 s and was killed");
    let canary = record(&dgx, &[270.0]).compare(&Record::new(&dgx, &failed), 0.05);
    assert_eq!(canary.advice(), Advice::RollBack);
    assert!(
        canary
            .to_text(Some(200))
            .contains("nvbandwidth, GPU0 to GPU1: 270 GB/s before, no result now: did not end within 120 s")
    );
    let matrix = |links: u32| {
        let text = format!("\tGPU0\tGPU1\nGPU0\tX\tNV{links}\nGPU1\tNV{links}\tX\n");
        Topology::parse("matrix", text.as_bytes()).unwrap()
    };
    let canary = record(&matrix(4), &[90.0]).compare(&record(&matrix(3), &[90.0]), 0.05);
    assert_eq!(canary.advice(), Advice::RollBack);
    assert!(canary.reasons[0].1.contains("NVLinks 4 -> 3"), "{:?}", canary.reasons);
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let dgx = preset("dgx-h100");
    let mut results = Results::default();
    for value in [2.0, 2.1, 2.2] {
        results.add(Figure::new("ib_read_lat", Subject::Path { from: 8, to: 9 }, Metric::Latency, value));
        results.add(Figure::new("nvbandwidth", Subject::ToGpu(3), Metric::Bandwidth, value * 20.0));
    }
    results.fail("all_reduce_perf", Subject::Group(vec![0, 1]), "crashed");
    let own = Record::new(&dgx, &results);
    let text = own.to_json().unwrap();
    let read = Record::parse("canary.json", text.as_bytes()).unwrap();
    assert_eq!(read.to_json().unwrap(), text);
    assert_eq!(read.programs(), ["all_reduce_perf", "ib_read_lat", "nvbandwidth"]);
    let canary = read.compare(&own, 0.05);
    // Of the run that failed both times nobody knows.
    assert_eq!((canary.advice(), canary.compared), (Advice::Unclear, 2), "{}", canary.to_text(None));
    // More microseconds are a loss.
    for figure in &mut results.figures {
        figure.value *= 1.5;
    }
    let canary = read.compare(&Record::new(&dgx, &results), 0.05);
    let lost: Vec<&str> = canary.reasons.iter().map(|(_, text)| text.split(':').next().unwrap()).collect();
    assert_eq!(
        lost,
        ["ib_read_lat, mlx5_0 to mlx5_1", "all_reduce_perf, GPU0, GPU1"],
        "{:?}",
        canary.reasons
    );
    for (damage, said) in [
        (text.replace("nvtopo-canary", "other"), "not nvtopo-canary"),
        (text.replace("\"version\": 1,\n  \"topology\"", "\"version\": 9,\n  \"topology\""), "version 9"),
        (text.replace("2.1", "-2.1"), "negative"),
        ("{}".to_owned(), "missing field"),
    ] {
        let error = Record::parse("canary.json", damage.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(said) && error.starts_with("canary.json"), "{error}");
    }
}

#[test]
fn a_pair_without_a_result_at_either_time_is_named() {
    let dgx = preset("dgx-a100");
    let of = |failed: bool, figure: bool, why: &str| {
        let mut results = Results::default();
        for run in [270.0, 271.0, 272.0] {
            results.add(path("nvbandwidth", 0, 1, run));
            if figure {
                results.add(path("nvbandwidth", 0, 7, run));
            }
        }
        if failed {
            results.fail("nvbandwidth", Subject::Path { from: 0, to: 7 }, why);
        }
        let text = Record::new(&dgx, &results).to_json().unwrap();
        Record::parse("canary.json", text.as_bytes()).unwrap()
    };
    let (good, bad, flaky) = (of(false, true, ""), of(true, false, "nan"), of(true, true, "nan"));
    for (before, after, advice, said) in [
        (&bad, &bad, Advice::Unclear, "GPU0 to GPU7: no result before and now: nan"),
        (
            &bad,
            &of(true, false, "hung"),
            Advice::Unclear,
            "GPU0 to GPU7: no result before: nan; none now: hung",
        ),
        (&bad, &good, Advice::Unclear, "GPU0 to GPU7: no result before: nan; nothing tells what it lost"),
        (&good, &bad, Advice::RollBack, "GPU0 to GPU7: 271 GB/s before, no result now: nan"),
        (&good, &flaky, Advice::Unclear, "GPU0 to GPU7: a run has no result now: nan"),
        (&good, &good, Advice::GoOn, ""),
    ] {
        let canary = before.compare(after, 0.05);
        let text = canary.to_text(Some(200));
        assert_eq!(
            (canary.advice(), canary.reasons.len()),
            (advice, usize::from(!said.is_empty())),
            "{text}"
        );
        assert!(text.contains(said), "{text}");
    }
}
