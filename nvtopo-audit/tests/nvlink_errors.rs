//! The error counters of NVLinks.

use crate::support::{data, finding, findings, of_text, only_status, status, texts_since};
use nvtopo_audit::Status::{Fail, NotApplicable, Pass, Unknown, Warn};

/// The tests whose verdicts count as cases of their checks.
pub(crate) const CASES: &[fn()] = &[
    errors_of_nvlinks_are_judged_by_growth,
    links_that_one_reading_lacks_are_open,
    readings_of_other_gpus_are_not_compared,
    recorded_errors_that_rest_pass,
];

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

/// The text of two GPUs (made) whose UUIDs end with these letters, the second with a recovery more each time.
fn of_gpus(uuids: [&str; 2], recoveries: u32) -> String {
    let gpu = |(index, uuid): (usize, &&str)| {
        format!(
            "GPU {index}: NVIDIA H100 (UUID: GPU-00000000-0000-0000-0000-00000000000{uuid})\n\
             \t Link 0: Recovery Errors: {}\n\t Link 0: Replay Errors: 3\n",
            recoveries * index as u32
        )
    };
    uuids.iter().enumerate().map(gpu).collect()
}

#[test]
fn readings_of_other_gpus_are_not_compared() {
    let verdict = |after: &str, before: &str| {
        let report = texts_since(after, before);
        let found = &findings(&report, "nvlink-errors")[0];
        (status(&report, "nvlink-errors", &found.subject), found.text.clone())
    };
    assert_eq!(verdict(&of_gpus(["1", "2"], 5), &of_gpus(["1", "2"], 4)).0, Fail);
    let (status, text) = verdict(&of_gpus(["3", "4"], 5), &of_gpus(["1", "2"], 4));
    assert_eq!((status, text.as_str()), (Unknown, "the earlier reading is of another machine"));
    // A GPU in between was lost, so that another has its number.
    let (status, text) = verdict(&of_gpus(["1", "3"], 5), &of_gpus(["1", "2"], 4));
    let expected = "the numbers of GPUs are of others than in the earlier reading";
    assert_eq!((status, text.as_str()), (Unknown, expected));
}

#[test]
fn links_that_one_reading_lacks_are_open() {
    let text = |links: u32, counters: &[&str], value: u32| {
        let line = |link: u32, name: &str| format!("\t Link {link}: {name} Errors: {value}\n");
        let lines: String =
            (0..links).flat_map(|link| counters.iter().map(move |name| line(link, name))).collect();
        format!("GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-00000000-0000-0000-0000-000000000001)\n{lines}")
    };
    let judge = |before: &str, after: &str| {
        let report = texts_since(after, before);
        let found = finding(&report, "nvlink-errors", "GPU0");
        (found.status, found.text.clone())
    };
    let (all, one) = (["Replay", "Recovery", "CRC"], ["CRC"]);
    assert_eq!(judge(&text(18, &all, 5), &text(18, &all, 5)).0, Pass);
    let of = |count| format!("both readings tell the same counters of {count} of 18 NVLinks");
    assert_eq!(judge(&text(1, &all, 0), &text(18, &all, 0)), (Unknown, of(1)), "17 links are new");
    assert_eq!(judge(&text(18, &all, 0), &text(17, &all, 0)), (Unknown, of(17)), "a link is gone");
    assert_eq!(judge(&text(18, &one, 0), &text(18, &all, 0)), (Unknown, of(0)), "counters are new");
    assert_eq!(judge(&text(18, &one, 0), &text(18, &all, 7)).0, Warn, "one of the others grew");
    let no_more = text(18, &all, 5).replace("Recovery Errors: 5", "Recovery Errors: N/A");
    assert_eq!(judge(&text(18, &all, 5), &no_more), (Unknown, of(0)), "recoveries cannot be read any more");
}

#[test]
fn parts_without_nvlink_have_no_errors_to_count() {
    let report = of_text("GPU 0: NVIDIA A10 (UUID: GPU-00000000-0000-0000-0000-000000000001)\n");
    assert_eq!(only_status(&report, "nvlink-errors"), NotApplicable);
}

#[test]
fn recorded_errors_that_rest_pass() {
    let text = std::fs::read_to_string(data("nvlink-status/h100-errors-elided.txt")).unwrap();
    let report = texts_since(&text, &text);
    assert_eq!(status(&report, "nvlink-errors", "GPU0"), Pass);
    assert_eq!(only_status(&of_text(&text), "nvlink-errors"), Unknown);
}
