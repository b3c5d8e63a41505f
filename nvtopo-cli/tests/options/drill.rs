//! The trials of the options of `nvtopo drill`.

use super::{Trial, words};

/// As [`trial`](super::trial), for `nvtopo drill`.
pub(super) fn drill_trial(option: &str) -> Option<Trial> {
    let (base, value) = match option {
        "from" => ("--lose gpu:0 --gpus 1", "preset:gh200"),
        "lose" => ("--from preset:rtx-a6000-4-bridged --gpus 2", "nvlink:2-3"),
        "gpus" => ("--from preset:rtx-a6000-4-bridged --lose gpu:0", "3"),
        "format" => ("--from preset:rtx-a6000-4-bridged --lose gpu:0", "json"),
        _ => return None,
    };
    Some(Trial { base: words(base), value: Some(value.to_owned()), ..Trial::default() })
}
