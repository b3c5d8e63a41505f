//! Reports as texts for people and programs, options of an audit, profiles and waivers.

use crate::support::{of_text, only_status};
use nvtopo::source::{Contents, Locator};
use nvtopo_audit::{Audit, Baseline, Profile, Report, Status, TextStyle, Waiver};

/// A GPU with 17 of 18 NVLinks: made.
fn one_link_down() -> String {
    let ports: Vec<String> = (0..17).map(|port| format!("\t Link {port}: 26.562 GB/s\n")).collect();
    let ports = ports.concat();
    format!(
        "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-00000000-0000-0000-0000-000000000001)\n{ports}\t Link 17: <inactive>\n"
    )
}

fn board(profile: &str, today: Option<&str>) -> Report {
    let folder = crate::support::Folder::of(
        &format!("profile-{:?}", std::thread::current().id()),
        &[("links", &one_link_down())],
    );
    let contents = folder.read();
    let mut audit = Audit::of(&contents).profile(Profile::parse("fleet.toml", profile).unwrap());
    if let Some(today) = today {
        audit = audit.today(today);
    }
    audit.run().unwrap()
}

#[test]
fn the_text_says_what_to_do_first() {
    let text = of_text(&one_link_down()).to_text(TextStyle::default().width(Some(60)));
    assert!(text.starts_with("1 failed, "), "{text}");
    assert!(text.contains("Do first\n  1. Reset the GPU;"), "{text}");
    assert!(
        text.contains("\ncritical\n  fail    nvlink-links-active\n          GPU0: 17 of 18 NVLinks are up"),
        "{text}"
    );
    assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
    assert!(!text.contains("not applicable\n\n  n/a"), "{text}");
}

#[test]
fn programs_get_json_junit_and_sarif() {
    let report = of_text(&one_link_down());
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!((&json["worst"], &json["summary"]["fail"]), (&"fail".into(), &1.into()));
    assert_eq!(json["findings"][0]["check"], "nvlink-links-active");
    assert!(json["findings"][0]["remedy"].is_string());

    let junit = report.to_junit();
    assert!(junit.contains("<testsuite name=\"nvlink\""), "{junit}");
    assert!(junit.contains("failures=\"1\""), "{junit}");
    assert!(
        junit.contains("<failure type=\"critical\" message=\"17 of 18 NVLinks are up; down: link 17\">"),
        "{junit}"
    );

    let sarif: serde_json::Value = serde_json::from_str(&report.to_sarif()).unwrap();
    let run = &sarif["runs"][0];
    assert_eq!(run["results"][0]["ruleId"], "nvlink-links-active");
    assert_eq!(run["results"][0]["level"], "error");
    assert_eq!(
        run["tool"]["driver"]["rules"].as_array().unwrap().len(),
        nvtopo_audit::check::checks().count()
    );
}

#[test]
fn names_of_devices_cannot_forge_lines() {
    let text = one_link_down().replace("HBM3", "HBM3\u{1b}[2Jx");
    let report = of_text(&text);
    for text in [report.to_text(TextStyle::default().all(true)), report.to_junit()] {
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}

#[test]
fn a_profile_states_what_is_expected() {
    let report = board("[expect]\nnvlinks-per-gpu = 17\n", None);
    assert_eq!(only_status(&report, "nvlink-links-active"), Status::Pass);
}

#[test]
fn a_waiver_accepts_until_its_last_day() {
    let waiver = |more: &str| format!("[[waiver]]\ncheck = \"nvlink-*\"\nreason = \"a spare\"\n{more}");
    let failed = |report: &Report| report.count(Status::Fail);
    assert_eq!(failed(&board(&waiver(""), None)), 0);
    assert_eq!(failed(&board(&waiver("subject = \"GPU1\""), None)), 1);
    let dated = waiver("subject = \"GPU0\"\nexpires = \"2026-06-30\"");
    assert_eq!(failed(&board(&dated, Some("2026-06-30"))), 0);
    assert_eq!(failed(&board(&dated, Some("2026-07-01"))), 1);
    assert_eq!(failed(&board(&dated, None)), 1);
    let text = board(&waiver(""), None).to_text(TextStyle::default());
    assert!(text.contains("(accepted: a spare)"), "{text}");
}

#[test]
fn a_bad_profile_is_told_with_its_line() {
    let error = |text: &str| Profile::parse("fleet.toml", text).unwrap_err().to_string();
    assert!(error("[expect]\ngpu = 8\n").starts_with("fleet.toml:2:"), "{}", error("[expect]\ngpu = 8\n"));
    assert!(error("x = [").starts_with("fleet.toml:1:"), "{}", error("x = ["));
    let date = "[[waiver]]\ncheck = \"nvlink\"\nreason = \"r\"\nexpires = \"next week\"\n";
    assert!(error(date).contains("\"next week\", which is no date"), "{}", error(date));
    for day in ["2026-02-31", "2026-13-01", "20260630", "2026-06-30T12:00", "+2026-6-30", ""] {
        let message = error(&date.replace("next week", day));
        assert!(message.contains(&format!("{day:?}, which is no date")), "{message}");
    }
    let good = date.replace("next week", "2028-02-29");
    let read = Profile::parse("fleet.toml", &good).unwrap();
    assert_eq!(read.waivers, [Waiver::new("nvlink", "r").with_expiry("2028-02-29").unwrap()]);
    assert!(Waiver::new("nvlink", "r").with_expiry("2026-02-31").is_err());
    // A profile and a baseline that cannot be read are told by their paths.
    let path = std::path::Path::new("/no/such/fleet.toml");
    assert!(Profile::read(path).unwrap_err().to_string().contains("/no/such/fleet.toml"));
    assert!(Baseline::read(path).unwrap_err().to_string().contains("/no/such/fleet.toml"));
}

#[test]
fn checks_are_chosen_by_code_theme_or_begin() {
    let contents = Contents::open(&[Locator::Preset("dgx-h100".to_owned())]).unwrap();
    let codes = |audit: Audit<'_>| {
        let report = audit.run().unwrap();
        let mut codes: Vec<&str> = report.findings().iter().map(|finding| finding.check.code).collect();
        codes.sort_unstable();
        codes.dedup();
        codes
    };
    assert_eq!(codes(Audit::of(&contents).only(["nvlink-speed"])), ["nvlink-speed"]);
    let links = codes(Audit::of(&contents).only(["nvlink"]).skip(["nvlink-*"]));
    assert_eq!(links, ["gpu-p2p-status"]);
    let error = Audit::of(&contents).only(["nvlink-sped"]).run().unwrap_err();
    assert!(error.to_string().contains("did you mean nvlink-speed?"), "{error}");
}
