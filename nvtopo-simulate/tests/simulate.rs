//! Jobs played on machines: the same every time, the same jobs for every policy, and the figures that placement is held
//! against.

use nvtopo::solve::SizeMix;
use nvtopo::source::PRESETS;
use nvtopo::{ErrorKind, Topology};
use nvtopo_simulate::{Job, MAX_GPUS, Mean, Options, POLICIES, Report, Stream, Workload, capacity, simulate};

fn play(preset: &str, load: f64, jobs: usize, policies: &[&str]) -> Report {
    let topology = Topology::preset(preset).unwrap();
    let gpus = topology.gpus().len();
    let stream = Stream::new(SizeMix::usual(gpus).unwrap()).load(load).jobs(jobs);
    let options = Options::default().policies(policies.iter().copied()).seed(1);
    simulate(&topology, &Workload::random(&stream, gpus).unwrap(), &options, &mut |_, _| ()).unwrap()
}

fn mean(report: &Report, policy: &str) -> Mean {
    report.policies.iter().find(|other| other.policy == policy).unwrap().mean.unwrap()
}

#[test]
fn jobs_are_given_no_gpu_that_placement_would_not_choose() {
    // An A100 of eight is there for screens instead.
    let json = Topology::preset("dgx-a100").unwrap().to_json();
    let model = "NVIDIA A100";
    assert!(json.matches(model).count() >= 8, "{json}");
    let json = json.replacen(model, "NVIDIA DGX Display", 1);
    let station = Topology::parse("station", json.as_bytes()).unwrap();
    assert_eq!((station.gpus().len(), capacity(&station)), (8, 7));
    let stream = Stream::new(SizeMix::usual(7).unwrap()).jobs(300);
    let workload = Workload::random(&stream, capacity(&station)).unwrap();
    let report = simulate(&station, &workload, &Options::default(), &mut |_, _| ()).unwrap();
    assert_eq!(report.gpus, 7);
}

#[test]
fn the_same_jobs_give_the_same_report() {
    let report = play("dgx-1-v100", 0.9, 5_000, &[]);
    assert_eq!(report, play("dgx-1-v100", 0.9, 5_000, &[]));
    assert_eq!(report.policies.len(), POLICIES.len());
    // What is accepted does not depend on who else plays, nor on the order.
    let other = play("dgx-1-v100", 0.9, 5_000, &["optimal", "random"]);
    assert_eq!(
        (other.blocked, other.utilization, &other.sizes),
        (report.blocked, report.utilization, &report.sizes)
    );
    for policy in POLICIES {
        let alone = play("dgx-1-v100", 0.9, 5_000, &[policy.name]);
        assert_eq!(alone.sizes, report.sizes, "{}", policy.name);
        assert!(report.policies.contains(&alone.policies[0]), "{}", policy.name);
    }
}

#[test]
fn placement_on_a_dgx1_is_as_good_as_promised() {
    for load in [0.7, 0.9] {
        let report =
            play("dgx-1-v100", load, 200_000, &["pair-sum", "nvtopo", "value", "foresight", "optimal"]);
        let [sum, ours, value, foresight, best] =
            ["pair-sum", "nvtopo", "value", "foresight", "optimal"].map(|policy| mean(&report, policy));
        println!(
            "load {load}: share {:+.2} % on pair-sum, {:.2} % of optimal (value {:.2} %, foresight {:.2} %); GB/s {:+.2} %, {:.2} % \
             (value {:.2} %, foresight {:.2} %); optimal itself {:+.2} % on pair-sum in GB/s; without relays {:+.2} % in GB/s",
            100.0 * (ours.share / sum.share - 1.0),
            100.0 * ours.share / best.share,
            100.0 * value.share / best.share,
            100.0 * foresight.share / best.share,
            100.0 * (ours.gb_per_s / sum.gb_per_s - 1.0),
            100.0 * ours.gb_per_s / best.gb_per_s,
            100.0 * value.gb_per_s / best.gb_per_s,
            100.0 * foresight.gb_per_s / best.gb_per_s,
            100.0 * (best.gb_per_s / sum.gb_per_s - 1.0),
            100.0 * (ours.direct_gb_per_s / sum.direct_gb_per_s - 1.0),
        );
        // NCCL relays through most of the sets that the sum of pairs takes: not even the best policy is far above it.
        assert!(best.share <= 1.023 * sum.share && best.gb_per_s <= 1.023 * sum.gb_per_s);
        assert!(ours.share >= 1.01 * sum.share && ours.share >= 0.994 * best.share);
        assert!(ours.gb_per_s >= 1.01 * sum.gb_per_s && ours.gb_per_s >= 0.994 * best.gb_per_s);
        for foreseeing in [value, foresight] {
            assert!(foreseeing.share >= 0.992 * best.share && foreseeing.gb_per_s >= 0.99 * best.gb_per_s);
        }
    }
}

#[test]
fn no_compared_policy_is_better_on_any_preset() {
    let compared = ["random", "first-fit", "device-plugin", "pair-sum", "mapa-greedy", "mapa-preserve"];
    for preset in PRESETS {
        let gpus = Topology::preset(preset.name).unwrap().gpus().len();
        let policies = compared
            .iter()
            .copied()
            .filter(|name| POLICIES.iter().any(|policy| policy.name == *name && policy.most_gpus >= gpus));
        let policies: Vec<&str> = policies.chain(["nvtopo"]).collect();
        for load in [0.7, 0.9] {
            let report = play(preset.name, load, 30_000, &policies);
            let Some(ours) = report.policies.last().and_then(|policy| policy.mean) else {
                assert_eq!(gpus, 1, "{}", preset.name);
                continue;
            };
            for policy in &report.policies {
                let other = policy.mean.unwrap();
                // Sums of floating point in another order.
                let most = 1.0 + 1e-9;
                assert!(other.gb_per_s <= most * ours.gb_per_s, "{} at {load}: {policy:?}", preset.name);
                assert!(other.share <= most * ours.share, "{} at {load}: {policy:?}", preset.name);
            }
        }
    }
}

#[test]
fn an_independent_simulation_gave_the_same() {
    // A prototype of other code and random numbers, without relays: the part of the jobs without a PCIe hop.
    let report = play("dgx-1-v100", 0.9, 200_000, &[]);
    for (policy, nvlink) in [
        ("random", 0.393),
        ("first-fit", 0.670),
        ("device-plugin", 0.889),
        ("pair-sum", 0.891),
        ("mapa-preserve", 0.908),
    ] {
        let mean = mean(&report, policy);
        assert!((mean.nvlink - nvlink).abs() < 0.005, "{policy}: {mean:?}");
    }
    assert!((report.utilization.unwrap() - 0.48).abs() < 0.005, "{:?}", report.utilization);
}

#[test]
fn jobs_come_as_often_and_as_large_as_asked() {
    let mix = SizeMix::usual(8).unwrap();
    let stream = Stream::new(mix.clone()).load(0.7).jobs(100_000).seed(5);
    let workload = Workload::random(&stream, 8).unwrap();
    assert!((workload.offered(8).unwrap() - 0.7).abs() < 0.02);
    for ((size, weight), (drawn, often)) in mix.sizes().iter().zip(workload.mix(8).unwrap().sizes()) {
        assert!(size == drawn && (weight - often).abs() < 0.01);
    }
    assert_ne!(Workload::random(&stream.seed(6), 8).unwrap(), workload);
}

#[test]
fn a_course_is_followed_by_hand() {
    let topology = Topology::preset("rtx-a6000-4-bridged").unwrap();
    let job = Job::new;
    // Two pairs; then one too many until the first has ended, at the very moment; one larger than the machine.
    let jobs = [
        job(0.0, 5.0, 2),
        job(1.0, 9.0, 2),
        job(2.0, 1.0, 1),
        job(5.0, 1.0, 2),
        job(10.0, 1.0, 4),
        job(10.0, 1.0, 9),
    ];
    let workload = Workload::new(jobs).unwrap();
    let options = Options::default().policies(["nvtopo"]);
    let mut heard = Vec::new();
    let report = simulate(&topology, &workload, &options, &mut |done, all| heard.push((done, all))).unwrap();
    assert_eq!(heard, [(0, 6), (6, 6)]);
    assert_eq!((report.jobs, report.blocked), (6, 2));
    // 2 GPUs for 5, 2 for 9, 2 for 1, of 4 for 10.
    assert_eq!(report.utilization, Some(0.75));
    let sizes: Vec<_> = report.sizes.iter().map(|size| (size.gpus, size.jobs, size.accepted)).collect();
    assert_eq!(sizes, [(1, 1, 0), (2, 3, 3), (4, 1, 1)]);
    assert_eq!(report.policies[0].by_size, [None, Some(1.0), Some(1.0)]);
}

#[test]
fn wrong_questions_are_refused() {
    let topology = Topology::preset("rtx-a6000-4-bridged").unwrap();
    let kind = |policies: &[&str], workload: &Workload| {
        let options = Options::default().policies(policies.iter().copied());
        simulate(&topology, workload, &options, &mut |_, _| ()).map_err(|error| error.kind()).err()
    };
    let jobs = |gpus| Workload::new([Job::new(0.0, 1.0, gpus)]).unwrap();
    assert_eq!(kind(&["best"], &jobs(1)), Some(ErrorKind::InvalidRequest));
    assert_eq!(kind(&[], &jobs(5)), Some(ErrorKind::InvalidRequest));
    assert_eq!(kind(&[], &Workload::new([]).unwrap()), Some(ErrorKind::InvalidRequest));
    assert_eq!(kind(&[], &jobs(4)), None);
    // Beyond this load jobs are only turned away, at the cost of time without end.
    for load in [0.0, -1.0, 10.1, 1e15, f64::NAN] {
        let stream = Stream::new(SizeMix::usual(4).unwrap()).load(load).jobs(5);
        assert_eq!(
            Workload::random(&stream, 4).map_err(|error| error.kind()).err(),
            Some(ErrorKind::InvalidRequest)
        );
        let two = || Workload::new([0.0, 1.0].map(|arrival| Job::new(arrival, 1.0, 1))).unwrap();
        assert!(two().with_load(load, 4).is_err(), "{load}");
    }
    for job in [Job::new(f64::NAN, 1.0, 1), Job::new(0.0, -1.0, 1), Job::new(0.0, 1.0, 0)] {
        assert!(Workload::new([job]).is_err(), "{job:?}");
    }
    let stream = |load, text: &str| Stream::new(text.parse().unwrap()).load(load).jobs(10);
    for (load, mix) in
        [(0.0, "1:1"), (-1.0, "1:1"), (f64::NAN, "1:1"), (f64::INFINITY, "1:1"), (0.5, "1:1,5:1")]
    {
        assert!(Workload::random(&stream(load, mix), 4).is_err(), "{load} {mix}");
    }
    for text in ["", "1", "1:", "1:x", "0:1", "1:-1", "1:0", "1:inf", "1:1,1:2", "x:1"] {
        assert!(text.parse::<SizeMix>().is_err(), "{text}");
    }
    assert!(Topology::preset("dgx-2").unwrap().gpus().len() <= MAX_GPUS);
    let large = simulate(
        &Topology::preset("dgx-2").unwrap(),
        &jobs(4),
        &Options::default().policies(["optimal"]),
        &mut |_, _| (),
    );
    assert_eq!(large.unwrap_err().kind(), ErrorKind::InvalidRequest);
}

#[test]
fn a_trace_without_times_gets_them_by_chance() {
    let stream = Stream::new(SizeMix::usual(8).unwrap()).load(0.5);
    let trace = "1\n2\n3\n4\n".repeat(1250);
    let workload = Workload::from_csv("trace", format!("gpus\n{trace}").as_bytes(), &stream, 8).unwrap();
    assert!((workload.offered(8).unwrap() - 0.5).abs() < 0.03);
    let doubled = workload.with_load(1.0, 8).unwrap();
    assert!((doubled.offered(8).unwrap() - 1.0).abs() < 1e-9);
    let error = Workload::from_csv("trace.csv", b"gpus\nmany\n", &stream, 8).unwrap_err();
    assert_eq!(error.to_string(), "trace.csv:2:1: 'many' is no number");
}
