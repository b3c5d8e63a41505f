//! `nvtopo validate` and `nvtopo compare` with programs that stand in for benchmarks and workloads.
#![cfg(target_os = "linux")]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use support::{json, run, text, three_gpus};

/// A directory with programs, first in `PATH`.
struct Programs(PathBuf);

impl Programs {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("validate-{name}"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn with(self, name: &str, script: &str) -> Self {
        let path = self.0.join(name);
        std::fs::write(&path, format!("#!/bin/sh\nDIR='{}'\n{script}\n", self.0.display())).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    fn path(&self) -> String {
        format!("{}:/usr/bin:/bin", self.0.display())
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn validate(&self, arguments: &[&str]) -> Output {
        let base = ["validate", "--from", "preset:dgx-1-v100", "--trust-topology"];
        run(&[&base[..], arguments].concat(), "", &[("PATH", &self.path())])
    }
}

/// Prints what `all_reduce_perf` prints, with the rate in the file `rate`, where it is a number.
const ALL_REDUCE: &str =
    "rate=$(cat $DIR/rate)\necho '#  size time algbw busbw #wrong'\necho \"   1024 1.0 1.0 $rate 0\"";

fn rate(programs: &Programs, rate: &str) {
    std::fs::write(programs.file("rate"), rate).unwrap();
}

#[test]
fn the_exit_code_tells_what_was_found() {
    let programs = Programs::new("codes").with("all_reduce_perf", ALL_REDUCE);
    // NCCL plans with 120 of the 150 GB/s that the NVLinks of eight V100 carry.
    for (value, code, said) in [
        ("121.5", 0, "1 pass, 0 fall short"),
        ("70.0", 1, "Falls short\n  GPUs 0-7\n    all_reduce_perf, GPUs 0-7: 70.0 GB/s; 120 GB/s are"),
        ("fast", 1, "Without a result\n  all_reduce_perf, GPUs 0-7: 'fast' is not a bandwidth"),
    ] {
        rate(&programs, value);
        let output = programs.validate(&[]);
        let told = text(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{told}{}", text(&output.stderr));
        assert!(told.contains(said), "{told}");
        // Progress and what is missing are no part of the answer.
        let remarks = text(&output.stderr);
        assert!(
            remarks.contains("not installed: nvbandwidth, ")
                && remarks.contains("all_reduce_perf, run 1 of 1"),
            "{remarks}"
        );
    }
    rate(&programs, "121.5");
    let document = json(&programs.validate(&["--format", "json", "--quiet"]));
    assert_eq!(document["figures"][0]["value"], 121.5);
    let lax = programs.validate(&["--tolerance", "50%"]);
    assert_eq!(lax.status.code(), Some(0));
    // Several runs are told with their spread.
    let document = json(&programs.validate(&["--format", "json", "--runs", "3"]));
    assert_eq!(document["figures"][0]["values"], serde_json::json!([121.5, 121.5, 121.5]));
    let all = text(&programs.validate(&["--runs", "3", "--all"]).stdout);
    assert!(all.split_whitespace().collect::<Vec<_>>().join(" ").contains("; 3 runs, "), "{all}");
}

#[test]
fn nothing_to_run_is_an_error_with_advice() {
    let none = Programs::new("none");
    let output = none.validate(&[]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said.contains("no benchmark is installed") && said.contains("https://github.com/NVIDIA/nvbandwidth"),
        "{said}"
    );
    let unknown = none.validate(&["--only", "iperf"]);
    assert!(text(&unknown.stderr).contains("'iperf' is no benchmark that is known"));
    // Another machine is not measured.
    let output = run(&["validate", "--from", "preset:gh200"], "", &[("PATH", &none.path())]);
    assert!(text(&output.stderr).contains("--trust-topology"), "{}", text(&output.stderr));
}

#[test]
fn a_canary_says_go_on_or_roll_back() {
    let programs = Programs::new("canary").with("all_reduce_perf", ALL_REDUCE);
    let record = programs.file("canary.json");
    let canary = |when: &str, more: &[&str]| {
        programs.validate(&[&["--canary", when, "--record", &record], more].concat())
    };
    rate(&programs, "121.5");
    let before = canary("before", &[]);
    assert_eq!(before.status.code(), Some(0), "{}", text(&before.stderr));
    assert!(text(&before.stderr).contains("wrote "));
    for (value, code, said) in [("121.0", 0, "go on"), ("60.0", 1, "roll back"), ("none", 1, "roll back")] {
        rate(&programs, value);
        let after = canary("after", &[]);
        let told = text(&after.stdout);
        assert_eq!(after.status.code(), Some(code), "{told}");
        assert!(told.starts_with(said), "{told}");
    }
    // One run cannot be told from chance.
    rate(&programs, "60.0");
    let after = canary("after", &["--runs", "1"]);
    assert_eq!(after.status.code(), Some(3), "{}", text(&after.stdout));
    let document: serde_json::Value =
        serde_json::from_slice(&canary("after", &["--format", "json"]).stdout).unwrap();
    assert_eq!(document["advice"], "roll-back");
    std::fs::write(&record, "{}").unwrap();
    assert_eq!(canary("after", &[]).status.code(), Some(2));
    assert_eq!(programs.validate(&["--canary", "before"]).status.code(), Some(2));
    // A comparison has its own tolerance, and lists everything.
    assert_eq!(canary("after", &["--all"]).status.code(), Some(2));
}

#[test]
fn what_was_measured_is_not_lost_where_it_cannot_be_saved() {
    let programs = Programs::new("place").with(
        "all_reduce_perf",
        &format!("touch $DIR/ran\n[ -e $DIR/lose ] && rm -r $DIR/record\n{ALL_REDUCE}"),
    );
    rate(&programs, "121.5");
    let (record, ran) = (programs.file("record/canary.json"), programs.0.join("ran"));
    let before = || programs.validate(&["--canary", "before", "--record", &record]);
    // There is no such folder, which is known before anything runs.
    let output = before();
    assert_eq!((output.status.code(), ran.exists()), (Some(2), false), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("cannot write ") && output.stdout.is_empty());
    std::fs::create_dir(programs.file("record")).unwrap();
    assert_eq!(before().status.code(), Some(0));
    // It goes while the program runs.
    std::fs::write(programs.file("lose"), "").unwrap();
    let output = before();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stdout).contains("1 pass, 0 fall short")
            && text(&output.stderr).contains("cannot write ")
    );
    let slo = programs.file("record/slo.toml");
    let accept = ["--runs", "1", "--warmup", "0", "--slo", &slo, "--accept"];
    let output = compare(&accept, &["touch", &programs.file("compared")]);
    assert_eq!((output.status.code(), programs.0.join("compared").exists()), (Some(2), false));
    std::fs::create_dir(programs.file("record")).unwrap();
    let output = compare(&accept, &["rm", "-rf", &programs.file("record")]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("best "), "{}", text(&output.stdout));
}

#[test]
fn an_interrupt_ends_what_runs() {
    let programs = Programs::new("interrupt")
        .with("all_reduce_perf", "sleep 600 & echo $! > $DIR/child.new; mv $DIR/child.new $DIR/child; wait");
    let mut child = Command::new("env")
        .args([
            "--default-signal",
            env!("CARGO_BIN_EXE_nvtopo"),
            "validate",
            "--from",
            "preset:dgx-1-v100",
            "--trust-topology",
        ])
        .env("PATH", programs.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let patience = Instant::now() + Duration::from_secs(20);
    while !programs.0.join("child").exists() && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(20));
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let sleeper = std::fs::read_to_string(programs.0.join("child")).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", sleeper.trim())).unwrap_or_default();
    assert!(!status.lines().any(|line| line.starts_with("State:") && !line.contains('Z')), "{status}");
}

fn compare(options: &[&str], command: &[&str]) -> Output {
    let base = ["compare", "--from", "-", "--trust-topology", "--gpus", "2"];
    run(&[&base[..], options, &["--"], command].concat(), &three_gpus(), &[])
}

#[test]
fn a_workload_is_compared_and_its_threshold_kept() {
    let programs = Programs::new("workload").with(
        "job",
        "n=$(cat $DIR/n 2>/dev/null || echo 0); echo $((n + 1)) > $DIR/n\ncase $CUDA_VISIBLE_DEVICES in 0,1) rate=$((200 - $1)) ;; *) rate=100 ;; esac\necho \"at $((rate + n % 3)) img/s\"",
    );
    let job = programs.file("job");
    let metric = ["--metric", "at {} img/s", "--runs", "4"];
    let output = compare(&metric, &[&job, "0"]);
    let told = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{told}{}", text(&output.stderr));
    assert!(told.contains("the best placement is 2.0") && told.contains("GPUs 0-1 on CPUs "), "{told}");
    // The other way round the poor one is better, and too few runs tell nothing.
    let lower = compare(&[&metric[..], &["--better", "lower"]].concat(), &[&job, "0"]);
    assert_eq!(lower.status.code(), Some(1), "{}", text(&lower.stdout));
    assert_eq!(compare(&["--metric", "at {} img/s", "--runs", "2"], &[&job, "0"]).status.code(), Some(3));
    let slo = programs.file("slo.toml");
    let missing = compare(&[&metric[..], &["--slo", &slo]].concat(), &[&job, "0"]);
    assert_eq!(missing.status.code(), Some(2));
    let accept = compare(&[&metric[..], &["--slo", &slo, "--accept"]].concat(), &[&job, "0"]);
    assert_eq!(accept.status.code(), Some(0), "{}", text(&accept.stderr));
    assert!(std::fs::read_to_string(&slo).unwrap().contains("least-ratio = "));
    let held = compare(&[&metric[..], &["--slo", &slo]].concat(), &[&job, "0"]);
    assert_eq!(held.status.code(), Some(0), "{}", text(&held.stdout));
    assert!(text(&held.stdout).contains("threshold met: at 20"), "{}", text(&held.stdout));
    // The threshold has an answer where the placements have none.
    let few = ["--metric", "at {} img/s", "--runs", "2", "--slo", &slo];
    assert_eq!(compare(&few, &[&job, "0"]).status.code(), Some(0));
    // Another command has no threshold.
    let other = compare(&[&metric[..], &["--slo", &slo]].concat(), &[&job, "90"]);
    assert!(text(&other.stderr).contains("--accept writes one"), "{}", text(&other.stderr));
    let high = std::fs::read_to_string(&slo).unwrap().replace("limit = ", "limit = 9");
    std::fs::write(&slo, high).unwrap();
    let breach = compare(&[&metric[..], &["--slo", &slo]].concat(), &[&job, "0"]);
    assert_eq!(breach.status.code(), Some(1));
    assert!(text(&breach.stdout).contains("threshold not met: at 20"), "{}", text(&breach.stdout));
}

#[test]
fn a_workload_that_fails_is_told() {
    let failed = compare(&[], &["sh", "-c", "echo no memory >&2; exit 4"]);
    assert_eq!(failed.status.code(), Some(2));
    assert!(
        text(&failed.stderr).contains("failed with exit code 4; its last line: no memory"),
        "{}",
        text(&failed.stderr)
    );
    let late = compare(&["--time-limit", "300ms"], &["sleep", "60"]);
    assert!(text(&late.stderr).contains("did not end within 0.3 s and was killed"), "{}", text(&late.stderr));
    let alike =
        run(&["compare", "--from", "preset:gh200", "--gpus", "1", "--dry-run", "--", "true"], "", &[]);
    assert_eq!(alike.status.code(), Some(1), "{}", text(&alike.stdout));
    assert!(
        text(&alike.stderr).contains("there is no poor placement to compare with"),
        "{}",
        text(&alike.stderr)
    );
}
