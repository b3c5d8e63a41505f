//! The error counters of NVLinks.

use crate::support::{data, finding, of_text, only_status, status, texts_since};
use nvtopo_audit::Status::{Fail, Pass, Unknown, Warn};

/// The tests whose verdicts count as cases of their checks.
pub(crate) const CASES: &[fn()] = &[errors_of_nvlinks_are_judged_by_growth, recorded_errors_that_rest_pass];

/// The text of `nvidia-smi nvlink -e` of two links (made, with the recorded form).
fn errors(counters: &[(&str, u64)]) -> String {
    let lines = |link: u32| -> String {
        let own = counters
            .iter()
            .map(|(name, value)| format!("\t Link {link}: {name}: {}\n", if link == 1 { *value } else { 0 }));
        own.collect()
    };
    format!("GPU 0: NVIDIA B200 (UUID: GPU-00000000-0000-0000-0000-000000000001)\n{}\n{}", lines(0), lines(1))
}

#[test]
fn errors_of_nvlinks_are_judged_by_growth() {
    let judge = |before: &[(&str, u64)], after: &[(&str, u64)]| {
        let report = texts_since(&errors(after), &errors(before));
        let found = finding(&report, "nvlink-errors", "GPU0");
        (found.status, found.text.clone())
    };
    let hopper =
        |replay, recovery| [("Replay Errors", replay), ("Recovery Errors", recovery), ("CRC Errors", 9)];
    assert_eq!(judge(&hopper(5, 5), &hopper(5, 5)), (Pass, "no error counter grew of 2 NVLinks".to_owned()));
    assert_eq!(
        judge(&hopper(5, 5), &hopper(7, 5)),
        (Warn, "counters grew: replays of link 1 by 2".to_owned())
    );
    assert_eq!(judge(&hopper(5, 5), &hopper(5, 6)).0, Fail);
    assert_eq!(judge(&hopper(5, 5), &hopper(4, 5)).0, Unknown);
    let blackwell = |rx, failed, fec| {
        [("Rx Errors", rx), ("Link recovery failed events", failed), ("FEC Errors - 0", fec)]
    };
    assert_eq!(judge(&blackwell(1, 0, 5), &blackwell(1, 0, 900)).0, Pass, "corrected on the way");
    assert_eq!(judge(&blackwell(1, 0, 5), &blackwell(2, 0, 5)).0, Warn);
    assert_eq!(judge(&blackwell(1, 0, 5), &blackwell(1, 1, 5)).0, Fail);
    assert_eq!(judge(&hopper(0, 0), &blackwell(0, 0, 0)).0, Unknown);
}

#[test]
fn recorded_errors_that_rest_pass() {
    let text = std::fs::read_to_string(data("nvlink-status/h100-errors-elided.txt")).unwrap();
    let report = texts_since(&text, &text);
    assert_eq!(status(&report, "nvlink-errors", "GPU0"), Pass);
    assert_eq!(only_status(&of_text(&text), "nvlink-errors"), Unknown);
}
