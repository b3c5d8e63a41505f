//! The trials of the options of `nvtopo baseline` and `nvtopo fleet`.

use super::{Trial, scratch, words};

/// A directory with a machine whose GPU has a UUID.
fn folder() -> String {
    let folder = scratch("fleet");
    std::fs::create_dir_all(&folder).unwrap();
    let text = "GPU 0: NVIDIA A10 (UUID: GPU-00000000-0000-0000-0000-000000000001)\n";
    std::fs::write(format!("{folder}/node.txt"), text).unwrap();
    folder
}

/// As [`trial`](super::trial), for `nvtopo baseline`.
pub(super) fn baseline_trial(option: &str) -> Option<Trial> {
    let (base, value) = match option {
        "from" => (words("-o -"), "preset:gh200".to_owned()),
        "output" => (words("--from preset:dgx-h100"), scratch("accepted.json")),
        _ => return None,
    };
    Some(Trial { base, value: Some(value), ..Trial::default() })
}

/// As [`trial`](super::trial), for `nvtopo fleet`.
pub(super) fn fleet_trial(option: &str) -> Option<Trial> {
    let mut trial = Trial { base: vec![folder()], ..Trial::default() };
    match option {
        "format" => trial.value = Some("cyclonedx".to_owned()),
        "redact" => trial.base.extend(words("--format jsonl")),
        // How many are read at once changes no answer.
        "threads" => trial.value = Some("0".to_owned()),
        _ => return None,
    }
    Some(trial)
}
