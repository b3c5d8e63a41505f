//! The error counters of NVLinks.

use crate::made::{audit, texts_since};
use crate::support::{Folder, data, finding, only_status, status};
use nvtopo_audit::Status::{Fail, Pass, Unknown, Warn};

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
    let judge = |name: &str, before: &[(&str, u64)], after: &[(&str, u64)]| {
        let report = texts_since(name, &errors(after), &errors(before), "");
        let found = finding(&report, "nvlink-errors", "GPU0");
        (found.status, found.text.clone())
    };
    let hopper =
        |replay, recovery| [("Replay Errors", replay), ("Recovery Errors", recovery), ("CRC Errors", 9)];
    assert_eq!(
        judge("nvl-rest", &hopper(5, 5), &hopper(5, 5)),
        (Pass, "no error counter grew of 2 NVLinks".to_owned())
    );
    assert_eq!(
        judge("nvl-replay", &hopper(5, 5), &hopper(7, 5)),
        (Warn, "counters grew: replays of link 1 by 2".to_owned())
    );
    assert_eq!(judge("nvl-recovery", &hopper(5, 5), &hopper(5, 6)).0, Fail);
    assert_eq!(judge("nvl-reset", &hopper(5, 5), &hopper(4, 5)).0, Unknown);
    let blackwell = |rx, failed, fec| {
        [("Rx Errors", rx), ("Link recovery failed events", failed), ("FEC Errors - 0", fec)]
    };
    assert_eq!(judge("nvl-fec", &blackwell(1, 0, 5), &blackwell(1, 0, 900)).0, Pass, "corrected on the way");
    assert_eq!(judge("nvl-rx", &blackwell(1, 0, 5), &blackwell(2, 0, 5)).0, Warn);
    assert_eq!(judge("nvl-failed", &blackwell(1, 0, 5), &blackwell(1, 1, 5)).0, Fail);
    assert_eq!(judge("nvl-names", &hopper(0, 0), &blackwell(0, 0, 0)).0, Unknown);
}

#[test]
fn recorded_errors_that_rest_pass() {
    let text = std::fs::read_to_string(data("nvlink-status/h100-errors-elided.txt")).unwrap();
    let report = texts_since("nvl-recorded", &text, &text, "");
    assert_eq!(status(&report, "nvlink-errors", "GPU0"), Pass);
    let folder = Folder::of("nvl-once", &[("errors.txt", &text)]);
    assert_eq!(only_status(&audit(&folder.read(), None, ""), "nvlink-errors"), Unknown);
}
