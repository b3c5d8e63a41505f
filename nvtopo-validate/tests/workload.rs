//! A program under a good and a poor placement.

use crate::beside_one_cpu::beside_one_cpu;
use crate::support::{Programs, preset};
use nvtopo::Topology;
use nvtopo::apply::{Trust, current_cpus};
use nvtopo_validate::workload::{
    Better, Comparison, Measure, Outcome, Placements, Poor, Slo, SloEntry, WorkloadOptions, compare,
};
use nvtopo_validate::{RunOptions, Verdict};
use std::ffi::OsString;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Tells the folders of tests apart that run at once.
static NUMBER: AtomicUsize = AtomicUsize::new(0);

/// Four GPUs of which 0 and 1 have NVLink, all beside one CPU.
fn machine() -> Topology {
    let rows = ["X\tNV4\tSYS\tSYS", "NV4\tX\tSYS\tSYS", "SYS\tSYS\tX\tPIX", "SYS\tSYS\tPIX\tX"];
    Topology::parse("matrix", beside_one_cpu(&rows).as_bytes()).unwrap()
}

fn run(script: &str, options: WorkloadOptions) -> nvtopo::Result<(Comparison, String)> {
    let topology = machine();
    let programs =
        Programs::new(&format!("workload-{}", NUMBER.fetch_add(1, Ordering::Relaxed))).with("job", script);
    let cpus = current_cpus().unwrap();
    let placements = Placements::new(&topology, 2, Poor::Both, None, Some(&cpus))?;
    let command: Vec<OsString> = vec![programs.folder().join("job").into(), "x y".into()];
    let options =
        options.run(RunOptions::default().trust(Trust::Unknown).time_limit(Duration::from_secs(20)));
    let mut told = Vec::new();
    let compared =
        compare(&topology, &placements, &command, &options, &mut |_, _, name| told.push(name.to_owned()))?;
    Ok((compared, format!("{}|{}", told.join(" "), programs.text("log"))))
}

/// Prints a rate by the GPUs that it sees, with some spread.
const JOB: &str = "echo \"$CUDA_VISIBLE_DEVICES $1\" >> $DIR/log\nn=$(wc -l < $DIR/log)\ncase $CUDA_VISIBLE_DEVICES in 0,1) rate=200 ;; *) rate=100 ;; esac\necho \"warm up: 1 img/s\"\necho \"throughput: $((rate + n)) img/s\"";

#[test]
fn the_two_placements_alternate_and_the_better_one_is_told() {
    let measure = Measure::of("throughput: {} img/s", Better::Higher).unwrap();
    let (own, told) = run(JOB, WorkloadOptions::default().runs(4).measure(measure)).unwrap();
    let (names, log) = told.split_once('|').unwrap();
    assert_eq!(names, "best best poor poor best best poor poor best");
    assert_eq!(log.lines().next(), Some("0,1 x y"));
    assert_eq!(
        (own.best.as_slice(), own.poor.as_slice()),
        (&[202.0, 205.0, 206.0, 209.0][..], &[103.0, 104.0, 107.0, 108.0][..])
    );
    assert_eq!(own.outcome(), Outcome::BestIsBetter);
    assert!((own.ratio().unwrap() - 205.5 / 105.5).abs() < 1e-9);
    let text = own.to_text(None, &[]);
    assert!(
        text.contains("the best placement is 1.95 times as good as the poor one (1.93 to 1.97)"),
        "{text}"
    );
    let json: serde_json::Value = serde_json::from_str(&own.to_json(&[])).unwrap();
    assert_eq!((json["outcome"].as_str(), json["better"].as_str()), (Some("best-is-better"), Some("higher")));
}

#[test]
fn a_verdict_needs_runs_that_differ() {
    let measure = || Measure::of("throughput: {} img/s", Better::Higher).unwrap();
    let few = run(JOB, WorkloadOptions::default().runs(2).warmup(0).measure(measure())).unwrap().0;
    assert_eq!(few.outcome(), Outcome::Unclear);
    assert!(few.verdict().contains("--runs 4 or more"), "{}", few.verdict());
    let same = "n=$(cat $DIR/n 2>/dev/null || echo 0); echo $((n + 1)) > $DIR/n\necho \"throughput: $((n % 3)) img/s\"";
    let same = run(same, WorkloadOptions::default().runs(6).measure(measure())).unwrap().0;
    assert_eq!(same.outcome(), Outcome::Unclear, "{same:?}");
    // The smaller number may be the better one.
    let lower = Measure::of("throughput: {} img/s", Better::Lower).unwrap();
    let worse = run(JOB, WorkloadOptions::default().runs(5).measure(lower)).unwrap().0;
    assert_eq!(worse.outcome(), Outcome::PoorIsBetter);
    // By wall time.
    let slow = "case $CUDA_VISIBLE_DEVICES in 0,1) ;; *) sleep 0.3 ;; esac";
    let timed = run(slow, WorkloadOptions::default().runs(4).warmup(0)).unwrap().0;
    assert!(
        timed.outcome() == Outcome::BestIsBetter && timed.poor.iter().all(|time| (0.3..10.0).contains(time)),
        "{timed:?}"
    );
}

#[test]
fn a_run_that_fails_ends_the_comparison() {
    let measure = Measure::of("rate {}", Better::Higher).unwrap();
    for (script, said) in [
        (
            "echo bad luck >&2; exit 7",
            "under the best placement failed with exit code 7; its last line: bad luck",
        ),
        ("echo nothing", "the program printed no line with 'rate {}'"),
    ] {
        let error = run(script, WorkloadOptions::default().measure(measure.clone())).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn poor_placements_are_poor_in_what_was_asked_for() {
    let dgx = preset("dgx-1-v100");
    let own = |gpus, poor| Placements::new(&dgx, gpus, poor, None, None);
    let both = own(4, Poor::Both).unwrap();
    assert_eq!(both.best.part.cpus.len(), both.poor.part.cpus.len());
    assert!(
        both.best.part.cpus.is_disjoint(&both.poor.part.cpus) || both.best.part.gpus != both.poor.part.gpus
    );
    let rates = |gpus: &[usize]| -> u64 {
        gpus.iter()
            .flat_map(|a| {
                gpus.iter()
                    .map(|b| dgx.pairs().pair(*a, *b).rate.map_or(0, |rate| rate.bandwidth.as_mb_per_s()))
            })
            .sum()
    };
    assert!(rates(&both.best.part.gpus) > rates(&both.poor.part.gpus));
    let cpus = own(4, Poor::Cpus).unwrap();
    assert_eq!(cpus.best.part.gpus, cpus.poor.part.gpus);
    assert!(cpus.best.part.cpus.is_disjoint(&cpus.poor.part.cpus));
    let gpus = own(2, Poor::Gpus).unwrap();
    assert_ne!(gpus.best.part.gpus, gpus.poor.part.gpus);
    // All GPUs are all GPUs.
    let error = own(8, Poor::Gpus).unwrap_err();
    assert_eq!(error.kind(), nvtopo::ErrorKind::Unsatisfiable);
    assert!(error.to_string().contains("are alike"), "{error}");
    assert_eq!(own(9, Poor::Both).unwrap_err().kind(), nvtopo::ErrorKind::Unsatisfiable);
    // NVSwitches make all GPUs alike, but not their CPUs.
    let h100 = preset("dgx-h100");
    assert!(Placements::new(&h100, 2, Poor::Gpus, None, None).is_err());
    assert!(Placements::new(&h100, 2, Poor::Both, None, None).is_ok());
    // Many GPUs take no time out of proportion.
    let names: String = (0..24).map(|gpu| format!("\tGPU{gpu}")).collect::<Vec<_>>().concat();
    let cell = |row: usize, column: usize| match () {
        () if row == column => "\tX",
        () if row / 2 == column / 2 => "\tNV4",
        () => "\tSYS",
    };
    let row = |row: usize| (0..24).map(|column| cell(row, column)).collect::<String>();
    let rows: String = (0..24).map(|gpu| format!("GPU{gpu}{}\n", row(gpu))).collect::<Vec<_>>().concat();
    let many = Topology::parse("matrix", format!("{names}\n{rows}").as_bytes()).unwrap();
    let begin = std::time::Instant::now();
    let own = Placements::new(&many, 12, Poor::Both, None, None).unwrap();
    // No two of the poor set share NVLink.
    let mut pairs: Vec<usize> = own.poor.part.gpus.iter().map(|gpu| gpu / 2).collect();
    pairs.dedup();
    assert_eq!(pairs.len(), 12);
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

#[test]
fn thresholds_are_written_and_held() {
    let measure = Measure::of("{} img/s", Better::Higher).unwrap();
    let values = |best: &[f64], poor: &[f64]| Comparison::of(measure.clone(), best.to_vec(), poor.to_vec());
    let good = values(&[200.0, 201.0, 202.0, 203.0], &[100.0, 101.0, 102.0, 103.0]);
    let entry = SloEntry::accept("./train \"a\"", 4, &good, 0.1).unwrap();
    assert_eq!((entry.limit, entry.least_ratio), (181.35, Some(1.7867)));
    let mut slo = Slo::default();
    slo.accept(SloEntry::accept("other", 4, &good, 0.1).unwrap());
    slo.accept(entry.clone());
    slo.accept(entry.clone());
    let text = slo.to_toml().unwrap();
    let read = Slo::parse("slo.toml", &text).unwrap();
    assert_eq!((&read, read.workloads.len()), (&slo, 2));
    let own = read.find("./train \"a\"", 4, "{} img/s").unwrap();
    let held = own.check(&good).unwrap();
    assert_eq!((held.iter().filter(|own| own.is_met).count(), good.judge(&held)), (2, Verdict::Pass));
    let told = good.to_text(None, &held);
    assert!(told.contains("\nthreshold met: 201.5 img/s, at least 181.3\n"), "{told}");
    let slow = values(&[150.0; 4], &[100.0; 4]);
    let held = own.check(&slow).unwrap();
    assert_eq!((held.iter().filter(|own| !own.is_met).count(), slow.judge(&held)), (2, Verdict::Weak));
    assert!(slow.to_text(None, &held).contains("threshold not met: 150.0 img/s, at least 181.3"), "{held:?}");
    // Runs that do not tell the placements apart tell whether a threshold is met.
    let few = values(&[200.0], &[100.0]);
    assert_eq!((few.judge(&[]), few.judge(&own.check(&few).unwrap())), (Verdict::Unknown, Verdict::Pass));
    assert_eq!(values(&[1.0; 4], &[2.0, 2.1, 2.2, 2.3]).judge(&[]), Verdict::Weak);
    assert!(
        own.check(&Comparison::of(Measure::of("{} img/s", Better::Lower).unwrap(), vec![1.0], vec![1.0]))
            .is_err()
    );
    for (wrong, said) in [
        ("[[workload]]\ncommand = 3\n", "slo.toml:2:"),
        ("[[workload]]\ncomand = \"x\"\n", "comand"),
        (&text.replace("181.35", "inf")[..], "needs a number"),
        (&text.replace("\"higher\"", "\"faster\"")[..], "lower"),
    ] {
        let error = Slo::parse("slo.toml", wrong).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn numbers_below_zero_have_no_ratio() {
    let measure = || Measure::of("score {}", Better::Higher).unwrap();
    let error = run("echo score -5", WorkloadOptions::default().measure(measure())).unwrap_err();
    assert!(error.to_string().contains("the program printed -5 for 'score {}'"), "{error}");
    let own = Comparison::of(measure(), vec![-5.0; 4], vec![-10.0; 4]);
    assert_eq!((own.ratio(), own.ratios()), (None, None));
}
