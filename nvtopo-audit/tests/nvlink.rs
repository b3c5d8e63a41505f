//! The checks of NVLinks.

use crate::support::{finding, of_files, of_preset, of_text, only_status, status};
use nvtopo_audit::Status::{Fail, NotApplicable, Pass, Unknown, Warn};

/// The tests whose verdicts count as cases of their checks.
pub(crate) const CASES: &[fn()] = &[
    links_of_a_sound_board_pass_as_their_authors_say,
    inactive_links_fail_as_their_authors_say,
    a_part_without_nvlink_has_none_to_check,
    a_missing_or_slow_link_fails,
    an_unknown_board_is_unknown,
];

#[test]
fn links_of_a_sound_board_pass_as_their_authors_say() {
    let report = of_files(&["audit/gpud/nvidia-smi.nvlink.status.a100.txt"]);
    assert_eq!(only_status(&report, "nvlink-links-active"), Pass);
    assert_eq!(only_status(&report, "nvlink-speed"), Pass);
    let report = of_files(&["audit/azurehpc-health-checks/good_nvlink_status.txt"]);
    assert_eq!(only_status(&report, "nvlink-links-active"), Pass);
}

#[test]
fn inactive_links_fail_as_their_authors_say() {
    let report = of_files(&["audit/azurehpc-health-checks/bad_nvlink_status.txt"]);
    assert_eq!(status(&report, "nvlink-links-active", "GPU6"), Fail);
}

#[test]
fn a_part_without_nvlink_has_none_to_check() {
    // nvidia-smi prints nothing but the GPU.
    let report = of_text("GPU 0: NVIDIA A10 (UUID: GPU-00000000-0000-0000-0000-000000000001)\n");
    assert_eq!(only_status(&report, "nvlink-links-active"), NotApplicable);
}

#[test]
fn a_missing_or_slow_link_fails() {
    let text = |last: &str, ports: usize| {
        let ports: Vec<String> = (0..ports).map(|port| format!("\t Link {port}: 26.562 GB/s\n")).collect();
        let ports = ports.concat();
        format!(
            "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-00000000-0000-0000-0000-000000000001)\n{ports}\t Link {last}\n"
        )
    };
    let report = of_text(&text("17: <inactive>", 17));
    let found = finding(&report, "nvlink-links-active", "GPU0");
    assert_eq!((found.status, found.text.as_str()), (Fail, "17 of 18 NVLinks are up; down: link 17"));
    let report = of_text(&text("17: 13.281 GB/s", 17));
    assert_eq!(status(&report, "nvlink-links-active", "GPU0"), Pass);
    assert_eq!(status(&report, "nvlink-speed", "GPU0"), Fail);
    // Drivers print the line rate or the nominal one.
    let report = of_text(&text("17: 25 GB/s", 17));
    assert_eq!(status(&report, "nvlink-speed", "GPU0"), Warn);
}

#[test]
fn an_unknown_board_is_unknown() {
    let report = of_files(&["nvlink-status/rtx3090-2gpu-uuid-redacted.txt"]);
    assert_eq!(only_status(&report, "nvlink-links-active"), Unknown);
}

#[test]
fn presets_are_sound() {
    for preset in nvtopo::source::PRESETS {
        let report = of_preset(preset.name);
        for check in ["nvlink-links-active", "nvlink-symmetry"] {
            let worst = crate::support::findings(&report, check).iter().map(|found| found.status).max();
            assert!(
                worst <= Some(Unknown),
                "{}: {:#?}",
                preset.name,
                crate::support::findings(&report, check)
            );
        }
    }
}
