//! Real processes that stand in for benchmarks: success, a weak pair, a hang, a crash, garbage, a missing program.

use crate::support::{Programs, data, preset};
use nvtopo::Topology;
use nvtopo::apply::{Trust, current_cpus};
use nvtopo_validate::benchmark::{BENCHMARKS, by_name};
use nvtopo_validate::{Judge, Plan, PlanOptions, Results, RunOptions, Verdict};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Prints what nvbandwidth prints for the GPUs that it sees; the pair 2,5 of the machine is slow.
const NVBANDWIDTH: &str = r#"
case "$CUDA_VISIBLE_DEVICES" in 2,5) rate=180.12 ;; *) rate=276.07 ;; esac
echo "nvbandwidth Version: v0.8"
case "$*" in
*host_to_device*)
    for test in host_to_device device_to_host; do
        printf 'Running %s_memcpy_ce.\nmemcpy CE CPU(row) -> GPU(column) bandwidth (GB/s)\n           0\n 0     26.03\n\nSUM %s_memcpy_ce 26.03\n' $test $test
    done ;;
*)
    printf 'Running device_to_device_memcpy_write_ce.\nmemcpy CE GPU(row) <- GPU(column) bandwidth (GB/s)\n           0         1\n 0       N/A    %s\n 1    %s       N/A\n' $rate $rate ;;
esac
"#;

/// Prints one of the tests' data on the client's side, and waits for a client on the server's.
fn two_sided(name: &str, text: &str) -> String {
    format!(
        "echo \"$*\" >> $DIR/{name}.log\ncase \"$*\" in *localhost) cat <<'END'\n{text}END\n;; *) echo waiting ;; esac"
    )
}

fn options(seconds: f64) -> RunOptions {
    RunOptions::default().trust(Trust::Unknown).time_limit(Duration::from_secs_f64(seconds))
}

fn run(
    programs: &Programs,
    topology: &Topology,
    names: &[&str],
    plan: &PlanOptions,
    options: &RunOptions,
) -> Results {
    let benchmarks: Vec<_> = names.iter().map(|name| by_name(name).unwrap()).collect();
    let plan = Plan::new(topology, &benchmarks, plan);
    let mut told = 0;
    let results = plan.run(topology, &|name| programs.find(name), options, &mut |_, _| told += 1);
    assert_eq!(told, plan.jobs.len());
    results.unwrap()
}

#[test]
fn all_programs_measure_a_machine_and_the_weak_pair_is_named() {
    let dgx = preset("dgx-a100");
    let p2p = data("measured/p2p-rtx6000-ada-connectivity.txt").replace("26.32", "262.1");
    // The numbers of a program that sees two GPUs are those of the two: it tells no addresses here.
    let p2p: String = p2p
        .lines()
        .filter(|line| !line.starts_with("Device: "))
        .map(|line| format!("{line}\n"))
        .collect::<Vec<_>>()
        .concat();
    let write = data("perftest/epyc-hdr-host.txt");
    let programs = Programs::new("all")
        .with("nvbandwidth", NVBANDWIDTH)
        .with("p2pBandwidthLatencyTest", &format!("cat <<'END'\n{p2p}END"))
        .with("ib_write_bw", &two_sided("write", &write))
        .with("ib_read_lat", &two_sided("lat", &data("validate/ib_read_lat.txt")))
        .with("ibv_rc_pingpong", &two_sided("pingpong", &data("validate/ibv_rc_pingpong.txt")))
        .with(
            "all_reduce_perf",
            &format!("cat <<'END'\n{}END", data("validate/all_reduce-4090.txt").replace("18.75", "231.5")),
        );
    let names: Vec<&str> = BENCHMARKS.iter().map(|own| own.program).collect();
    let limit = PlanOptions::default().limit(Some(28));
    let results = run(&programs, &dgx, &names[..2], &limit, &options(20.0));
    // 8 of the host and 20 pairs, each with two directions, and 28 pairs.
    // Each pair of the latter with and without peer access.
    assert_eq!((results.figures.len(), results.failed.len()), (2 * 28 + 4 * 28, 0), "{:?}", results.failed);
    let few = PlanOptions::default().limit(Some(3));
    let others = run(&programs, &dgx, &names[2..], &few, &options(20.0));
    assert_eq!((others.figures.len(), others.failed.len()), (3 + 3 + 3 + 1, 0), "{:?}", others.failed);
    let report = Judge::default().report(&dgx, &others);
    assert_eq!(report.count(Verdict::Weak), 0, "{}", report.to_text(None, true));
    // Server and client talk over one port, and the server is started first.
    let log = programs.text("write.log");
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 6);
    let port = |line: &str| line.split("--port ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    assert!(
        lines[0].starts_with("--ib-dev ")
            && !lines[0].contains("localhost")
            && lines[1].ends_with(" localhost")
    );
    assert_eq!(port(lines[0]), port(lines[1]));
    // All pairs of GPUs, of which one is slow.
    let all = run(&programs, &dgx, &["nvbandwidth"], &PlanOptions::default(), &options(20.0));
    let report = Judge::default().report(&dgx, &all);
    let suspects: Vec<&str> = report.suspects().iter().map(|own| own.name.as_str()).collect();
    assert_eq!(suspects, ["path over NVSwitches between GPU2 and GPU5"]);
    assert_eq!((report.count(Verdict::Pass), report.count(Verdict::Weak)), (16 + 54, 2));
}

/// Returns true where a process is there and is no zombie.
fn lives(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

#[test]
fn a_program_that_hangs_is_killed_with_its_children() {
    let dgx = preset("dgx-1-v100");
    let hang = "case \"$CUDA_VISIBLE_DEVICES\" in 0,7) sleep 600 & echo $! > $DIR/child; sleep 600 ;; *) cat <<'END'\nDevice=0 CAN Access Peer Device=1\nUnidirectional P2P=Enabled Bandwidth (P2P Writes) Matrix (GB/s)\n   D\\D     0      1\n     0 801.28  48.30\n     1  48.31 813.80\nEND\n;; esac";
    let programs = Programs::new("hang").with("p2pBandwidthLatencyTest", hang);
    let begin = Instant::now();
    let results = run(
        &programs,
        &dgx,
        &["p2pBandwidthLatencyTest"],
        &PlanOptions::default().limit(Some(4)),
        &options(1.0),
    );
    assert!(begin.elapsed() < Duration::from_secs(15));
    // The others go on.
    assert_eq!((results.figures.len(), results.failed.len()), (6, 1));
    assert_eq!(results.failed[0].why, "did not end within 1 s and was killed");
    let child = programs.text("child");
    assert!(!child.trim().is_empty() && !lives(child.trim()), "{child}");
}

#[test]
fn output_that_a_descendant_keeps_open_does_not_hold_up_the_run() {
    let dgx = preset("dgx-1-v100");
    // Without the variables of its run it cannot be found.
    let programs = Programs::new("left").with("all_reduce_perf", "env -i setsid sleep 30 &\necho garbage");
    let begin = Instant::now();
    let results = run(&programs, &dgx, &["all_reduce_perf"], &PlanOptions::default(), &options(5.0));
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    assert!(results.failed[0].why.contains("its last line: garbage"), "{:?}", results.failed);
}

#[test]
fn a_descendant_with_a_session_of_its_own_is_killed() {
    let dgx = preset("dgx-1-v100");
    let daemon = "setsid $DIR/daemon > /dev/null 2>&1 &\nwhile [ ! -e $DIR/child ]; do sleep 0.01; done\n";
    let own = "sleep 600 &\necho $! > $DIR/child.new\nmv $DIR/child.new $DIR/child\nwait";
    for end in ["echo '#  size time algbw busbw #wrong'; echo '   1024 1.0 1.0 121.5 0'", "sleep 600"] {
        let programs =
            Programs::new("session").with("daemon", own).with("all_reduce_perf", &format!("{daemon}{end}"));
        let results = run(&programs, &dgx, &["all_reduce_perf"], &PlanOptions::default(), &options(3.0));
        let child = programs.text("child");
        let patience = Instant::now() + Duration::from_secs(5);
        while lives(child.trim()) && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(!child.trim().is_empty() && !lives(child.trim()), "{child}");
        if end != "sleep 600" {
            assert!(
                results.remarks[0].contains("left behind in sessions of their own"),
                "{:?}",
                results.remarks
            );
        }
    }
}

#[test]
fn crashes_garbage_and_missing_programs_have_their_reasons() {
    let dgx = preset("dgx-1-v100");
    for (script, said) in [
        ("kill -SEGV $$", "was ended by signal 11"),
        (
            "echo 'NCCL WARN cuda failure' >&2; exit 3",
            "failed with exit code 3; its last line: NCCL WARN cuda failure",
        ),
        (
            "echo 'no such thing'",
            "no bus bandwidth is in the output of nccl-tests; its last line: no such thing",
        ),
        ("head -c 300000 /dev/urandom", "no bus bandwidth"),
        ("exit 0", "no bus bandwidth is in the output of nccl-tests"),
    ] {
        let programs = Programs::new("crash").with("all_reduce_perf", script);
        let results = run(&programs, &dgx, &["all_reduce_perf"], &PlanOptions::default(), &options(20.0));
        assert!(results.figures.is_empty() && results.failed[0].why.contains(said), "{:?}", results.failed);
    }
    let none = Programs::new("none");
    let results = run(&none, &dgx, &["all_reduce_perf"], &PlanOptions::default(), &options(5.0));
    assert_eq!(results.failed[0].why, "all_reduce_perf is not installed");
    // A file that cannot be run is no program.
    std::fs::write(none.folder().join("all_reduce_perf"), "text").unwrap();
    assert_eq!(none.find("all_reduce_perf"), None);
}

#[test]
fn a_client_that_fails_takes_its_server_along() {
    let dgx = preset("dgx-a100");
    let script = "case \"$*\" in *localhost) echo \"Couldn't connect\" >&2; exit 1 ;; *) echo $$ > $DIR/server; exec sleep 600 ;; esac";
    let programs = Programs::new("server").with("ib_write_bw", script);
    let results =
        run(&programs, &dgx, &["ib_write_bw"], &PlanOptions::default().limit(Some(1)), &options(30.0));
    assert!(
        results.failed[0].why.starts_with("failed with exit code 1; its last line: Couldn't connect"),
        "{:?}",
        results.failed
    );
    let server = programs.text("server");
    assert!(!server.trim().is_empty() && !lives(server.trim()));
}

#[test]
fn each_run_is_bound_beside_its_devices_and_sees_only_them() {
    let cpus = current_cpus().unwrap();
    let all: Vec<u32> = cpus.iter().collect();
    let (first, last) = (all[0], all[all.len() - 1]);
    let text = format!("\tGPU0\tGPU1\tCPU Affinity\nGPU0\tX\tNV4\t{first}\nGPU1\tNV4\tX\t{last}\n");
    let topology = Topology::parse("matrix", text.as_bytes()).unwrap();
    let tell = "echo \"$CUDA_DEVICE_ORDER $CUDA_VISIBLE_DEVICES $(sed -n 's/^Cpus_allowed_list:.//p' /proc/self/status) $*\" >> $DIR/log\n";
    let programs = Programs::new("bound").with("nvbandwidth", &format!("{tell}{NVBANDWIDTH}"));
    let options_of_plan = PlanOptions::default().allowed(Some(cpus.clone()));
    let results = run(&programs, &topology, &["nvbandwidth"], &options_of_plan, &options(20.0));
    assert_eq!((results.figures.len(), results.remarks.len()), (6, 0), "{results:?}");
    let log = programs.text("log");
    let both = if first == last {
        first.to_string()
    } else {
        [first, last].into_iter().collect::<nvtopo::CpuSet>().to_string()
    };
    let lines: Vec<&str> = log.lines().collect();
    assert!(
        lines[0].starts_with(&format!(
            "PCI_BUS_ID 0 {first} --disableAffinity --testcase host_to_device_memcpy_ce"
        )),
        "{log}"
    );
    assert!(lines[1].starts_with(&format!("PCI_BUS_ID 1 {last} ")), "{log}");
    assert!(lines[2].starts_with(&format!("PCI_BUS_ID 0,1 {both} ")), "{log}");
    assert_eq!(current_cpus().unwrap(), cpus);
    // CPUs that are not allowed here are no reason to measure elsewhere without a word.
    let elsewhere = PlanOptions::default().allowed(Some("65000".parse().unwrap()));
    let results = run(&programs, &topology, &["nvbandwidth"], &elsewhere, &options(20.0));
    assert!(results.remarks[0].contains("not bound beside GPU0"), "{:?}", results.remarks);
    // Another machine is refused.
    let plan = Plan::new(&topology, &[by_name("nvbandwidth").unwrap()], &PlanOptions::default());
    let refused = plan.run(&topology, &|name| programs.find(name), &RunOptions::default(), &mut |_, _| {});
    assert_eq!(refused.unwrap_err().kind(), nvtopo::ErrorKind::WrongMachine);
}

#[test]
fn a_caller_can_stop_it() {
    let dgx = preset("dgx-1-v100");
    let programs = Programs::new("stop").with("all_reduce_perf", "sleep 600");
    let options = options(600.0);
    let stop = options.stop.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        stop.store(true, Ordering::Relaxed);
    });
    let plan = Plan::new(&dgx, &[by_name("all_reduce_perf").unwrap()], &PlanOptions::default());
    let begin = Instant::now();
    let error = plan.run(&dgx, &|name| programs.find(name), &options, &mut |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("stopped") && begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn plans_name_what_they_leave_out() {
    let dgx = preset("dgx-a100");
    let all: Vec<_> = BENCHMARKS.iter().collect();
    let plan = Plan::new(&dgx, &all, &PlanOptions::default().runs(2));
    let ports = nvtopo_validate::ports(&dgx).0.len();
    let one = (8 + 28) + 28 + 2 * ports * (ports - 1) + 1;
    assert_eq!(plan.jobs.len(), 2 * one);
    let script = plan.to_script(&dgx, Duration::from_secs(120));
    // Each command once, the server's in the background.
    assert_eq!(script.lines().filter(|line| line.starts_with('#')).count(), 2 + one);
    let all = 2 * one;
    assert!(
        script.starts_with(&format!(
            "# {all} runs, one after the other: nvbandwidth 36, p2pBandwidthLatencyTest 28, "
        )),
        "{script}"
    );
    let hours = (all * 2).div_ceil(60);
    let times = format!(
        "all_reduce_perf 1, 2 times each\n# nvtopo gives each 120 s: {hours} hours if all of them hang\n"
    );
    assert!(script.contains(&times), "{script}");
    assert!(
        script.contains("# GPU0 to GPU1\nenv CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=0,1 numactl "),
        "{script}"
    );
    assert!(script.lines().any(|line| line.contains("ib_write_bw") && line.ends_with('&')));
    assert!(script.contains("NCCL_IB_HCA="), "{script}");
    let mut none = PlanOptions::default().limit(Some(1));
    none.visible = Some(nvtopo::VisibleGpus::resolve(&dgx, Some("1"), nvtopo::CudaOrder::PciBusId));
    let plan =
        Plan::new(&dgx, &[by_name("nvbandwidth").unwrap(), by_name("all_reduce_perf").unwrap()], &none);
    assert_eq!(plan.jobs.len(), 1);
    assert_eq!(plan.left_out.iter().filter(|own| own.why.contains("CUDA_VISIBLE_DEVICES")).count(), 7);
    assert!(plan.left_out.iter().any(|own| own.name == "all_reduce_perf"));
    let json: serde_json::Value = serde_json::from_str(&plan.to_json(&dgx)).unwrap();
    assert_eq!(json["jobs"][0]["subject"], "host to GPU1");
}
