//! The trials of the options of `nvtopo validate` and `nvtopo compare`.

use super::support::three_gpus;
use super::{Trial, data_file, scratch, words};

/// Writes a program that prints what `all_reduce_perf` prints, late where `SLOW` is set, and returns the folder that it is in.
fn programs(name: &str) -> String {
    let folder = scratch(name);
    std::fs::create_dir_all(&folder).unwrap();
    let file = format!("{folder}/all_reduce_perf");
    let text = "#!/bin/sh\n[ -n \"$SLOW\" ] && sleep 2\necho '#  size time algbw busbw'\necho '   1024 1.0 1.0 120.0'\n";
    std::fs::write(&file, text).unwrap();
    let mut permissions = std::fs::metadata(&file).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    std::fs::set_permissions(&file, permissions).unwrap();
    folder
}

/// Returns the words before the command of a trial that runs the program.
fn with_program(name: &str, slow: bool) -> Vec<String> {
    let path = format!("PATH={}:/usr/bin:/bin", programs(name));
    ["env".to_owned(), path].into_iter().chain(slow.then(|| "SLOW=1".to_owned())).collect()
}

/// As [`trial`](super::trial), for `nvtopo validate`.
pub(super) fn validate_trial(option: &str) -> Option<Trial> {
    let value = |text: &str| Some(text.to_owned());
    let saved = || data_file("validate/nvbandwidth-a100.txt");
    let judged = || [words("--from preset:dgx-a100 --results"), vec![saved()]].concat();
    let mut trial = Trial { base: judged(), ..Trial::default() };
    match option {
        "from" => {
            trial.base = words("--dry-run --only all_reduce_perf");
            trial.value = value("preset:dgx-a100");
        }
        "results" => {
            trial.base = words("--from preset:dgx-a100");
            trial.value = Some(saved());
        }
        "only" => {
            trial.base = words("--from preset:dgx-a100 --dry-run");
            trial.value = value("all_reduce_perf");
        }
        "limit" | "runs" => {
            trial.base = words("--from preset:dgx-a100 --dry-run --only nvbandwidth --format json");
            trial.value = value("2");
        }
        "dry-run" => trial.base = words("--from preset:dgx-a100 --only all_reduce_perf"),
        "trust-topology" => {
            trial.before = with_program("validate-trust", false);
            trial.base = words("--from preset:dgx-1-v100 --only all_reduce_perf");
        }
        "time-limit" => {
            trial.before = with_program("validate-time", true);
            trial.base = words("--from preset:dgx-1-v100 --only all_reduce_perf --trust-topology");
            trial.value = value("200ms");
        }
        "tolerance" => trial.value = value("all"),
        "equal-tolerance" => trial.value = value("0%"),
        "max-unknown" => {
            // Nothing is known of the PCIe links of a matrix.
            let file = scratch("validate-matrix.txt");
            let text = "\tGPU0\tGPU1\tGPU2\nGPU0\tX\tPHB\tSYS\nGPU1\tPHB\tX\tSYS\nGPU2\tSYS\tSYS\tX\n";
            std::fs::write(&file, text).unwrap();
            trial.base = vec![
                "--from".to_owned(),
                file,
                "--results".to_owned(),
                data_file("measured/measured-only.txt"),
            ];
            trial.value = value("0");
        }
        "canary" => {
            trial.base.extend(["--record".to_owned(), scratch("validate-canary.json")]);
            trial.value = value("before");
        }
        "record" => {
            trial.base.extend(words("--canary before"));
            trial.value = Some(scratch("validate-record.json"));
        }
        "all" => {}
        "format" => trial.value = value("json"),
        "quiet" => {
            trial.base = words(
                "--from preset:dgx-a100 --dry-run --only all_reduce_perf,p2pBandwidthLatencyTest --limit 2",
            );
        }
        _ => return None,
    }
    Some(trial)
}

/// As [`trial`](super::trial), for `nvtopo compare`.
pub(super) fn compare_trial(option: &str) -> Option<Trial> {
    let value = |text: &str| Some(text.to_owned());
    let dry = || words("--from preset:dgx-1-v100 --gpus 2 --dry-run");
    let real = |more: &str| {
        let file = scratch("compare-machine.txt");
        std::fs::write(&file, three_gpus()).unwrap();
        let base = words("--gpus 2 --trust-topology --metric rate:{}");
        [vec!["--from".to_owned(), file], base, words(more)].concat()
    };
    let job = || {
        let script = "case $CUDA_VISIBLE_DEVICES in 0,1) echo rate:2 time:3 ;; *) echo rate:1 time:9 ;; esac";
        vec!["sh".to_owned(), "-c".to_owned(), script.to_owned()]
    };
    let mut trial = Trial { base: dry(), rest: words("./train"), ..Trial::default() };
    let without = |base: &mut Vec<String>, option: &str, count: usize| {
        if let Some(at) = base.iter().position(|word| word == option) {
            base.drain(at..at + count);
        }
    };
    match option {
        "gpus" => {
            without(&mut trial.base, "--gpus", 2);
            trial.value = value("4");
        }
        "poor" => trial.value = value("cpus"),
        "from" => {
            without(&mut trial.base, "--from", 2);
            trial.value = value("preset:dgx-1-v100");
        }
        "dry-run" => {
            without(&mut trial.base, "--dry-run", 1);
        }
        _ => {
            trial.rest = job();
            trial.base = real("");
        }
    }
    match option {
        "gpus" | "poor" | "from" | "dry-run" | "quiet" => {}
        "runs" => trial.value = value("4"),
        // The runs before count for nothing, and are told.
        "warmup" => trial.value = value("2"),
        "metric" => {
            without(&mut trial.base, "--metric", 2);
            trial.base.extend(words("--runs 1 --warmup 0 --time-limit 1h --format json"));
            trial.value = value("time:{}");
        }
        "better" => trial.value = value("lower"),
        "time-limit" => trial.value = value("0s"),
        "slo" => trial.value = value("/nowhere.toml"),
        "accept" => {
            let file = scratch("compare-slo.toml");
            std::fs::write(&file, "").unwrap();
            trial.base.extend(["--slo".to_owned(), file]);
        }
        "tolerance" => {
            let file = scratch("compare-tolerance.toml");
            trial.base.extend(["--accept".to_owned(), "--slo".to_owned(), file]);
            trial.value = value("all");
        }
        "trust-topology" => without(&mut trial.base, "--trust-topology", 1),
        "format" => trial.value = value("json"),
        _ => return None,
    }
    Some(trial)
}
