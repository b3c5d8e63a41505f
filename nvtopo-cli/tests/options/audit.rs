//! The trials of the options of `nvtopo audit` and `nvtopo report`.

use super::{Trial, scratch, words};

/// A GPU of which one NVLink is down.
fn one_link_down() -> String {
    let ports: Vec<String> = (0..17).map(|port| format!("\t Link {port}: 26.562 GB/s\n")).collect();
    let ports = ports.concat();
    format!(
        "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-00000000-0000-0000-0000-000000000001)\n{ports}\t Link 17: <inactive>\n"
    )
}

/// As [`trial`](super::trial), for `nvtopo audit`.
pub(super) fn audit_trial(option: &str) -> Option<Trial> {
    let value = |text: &str| Some(text.to_owned());
    let mut trial = Trial { base: words("--from -"), input: one_link_down(), ..Trial::default() };
    match option {
        "from" => {
            trial.base.clear();
            trial.value = value("preset:gh200");
        }
        "since" => trial.value = value("/nowhere"),
        "wait" => trial.value = value("a while"),
        "only" => trial.value = value("nvlink-speed"),
        "skip" => trial.value = value("nvlink"),
        "profile" => {
            let file = scratch("profile.toml");
            std::fs::write(&file, "[expect]\nnvlinks-per-gpu = 17\n").unwrap();
            trial.value = Some(file);
        }
        "baseline" => {
            let file = scratch("baseline.json");
            let written = crate::support::nvtopo(&["baseline", "--from", "preset:gh200", "-o", &file]);
            assert!(written.status.success());
            trial.value = Some(file);
        }
        "pid" => trial.value = value("mine"),
        "cgroup" => {
            trial.base = words("--from preset:dgx-1-v100");
            trial.value = value("job1");
        }
        "fail-on" => trial.value = value("never"),
        "max-unknown" => {
            trial.base.extend(words("--fail-on never"));
            trial.value = value("0");
        }
        "format" => trial.value = value("sarif"),
        "all" => {}
        "explain" => {
            trial.base.clear();
            trial.value = value("nvlink-speed");
        }
        _ => return None,
    }
    Some(trial)
}

/// As [`trial`](super::trial), for `nvtopo report`. Those for evidence and checks are shared with `audit`.
pub(super) fn report_trial(option: &str) -> Option<Trial> {
    let value = match option {
        "output" => scratch("node7.html"),
        "format" => "json".to_owned(),
        "gpus" => "1,2".to_owned(),
        // The evidence on control groups is no part of a ticket.
        "cgroup" => {
            let trial = audit_trial(option)?;
            return Some(Trial { base: [trial.base, words("--format json")].concat(), ..trial });
        }
        _ => return audit_trial(option),
    };
    let trial = Trial { base: words("--from -"), input: one_link_down(), ..Trial::default() };
    Some(Trial { value: Some(value), ..trial })
}
