//! Reports as texts for people and programs, options of an audit, profiles and waivers.

use crate::support::{of_text, only_status};
use nvtopo::source::{Contents, Locator};
use nvtopo_audit::{
    Audit, AuditedProcess, Baseline, FailOn, Fleet, FleetOptions, Limits, Outcome, Profile, Report, Status,
    TextStyle, Waiver,
};

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
    assert!(error(date).starts_with("fleet.toml:4:"), "{}", error(date));
    assert!(error(date).contains("\"next week\", which is no date"), "{}", error(date));
    for day in ["2026-02-31", "2026-13-01", "20260630", "2026-06-30T12:00", "+2026-6-30", ""] {
        let message = error(&date.replace("next week", day));
        assert!(message.contains(&format!("{day:?}, which is no date")), "{message}");
    }
    let bare = date.replace("\"next week\"", "2028-02-29");
    assert_eq!(
        Profile::parse("fleet.toml", &bare).unwrap().waivers[0].expires.as_deref(),
        Some("2028-02-29")
    );
    assert!(error(&date.replace("\"next week\"", "7")).contains("is to expire on integer, which is no date"));
    let good = date.replace("next week", "2028-02-29");
    let read = Profile::parse("fleet.toml", &good).unwrap();
    assert_eq!(read.waivers, [Waiver::new("nvlink", "r").with_expiry("2028-02-29").unwrap()]);
    assert!(Waiver::new("nvlink", "r").with_expiry("2026-02-31").is_err());
    // Numbers that no machine has would let any machine pass, or none.
    for (key, bad, good) in [
        ("nvlink-rate", &["nan", "inf", "-1", "-0.0", "0", "1e-300", "1e300", "10001"] as &[&str], "25"),
        ("rdma-rate", &["nan", "-inf", "-1", "0.0", "0.01"], "0.125"),
        ("nvlinks-per-gpu", &["0", "65", "65536", "-1", "1.5"], "18"),
        ("mtu", &["0", "67", "65536", "-1"], "9000"),
        ("pfc-priority", &["8", "9", "255", "256", "-1"], "0"),
    ] {
        for number in bad {
            let message = error(&format!("[expect]\ngpus = 8\n{key} = {number}\n"));
            assert!(message.starts_with("fleet.toml:3:"), "{key} = {number}: {message}");
        }
        assert!(Profile::parse("fleet.toml", &format!("[expect]\n{key} = {good}\n")).is_ok(), "{key}");
    }
    let message = error("[expect]\nnvlink-rate = nan\n");
    assert!(message.contains("NaN is not between 0.1 and 10000 GB/s"), "{message}");
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

/// A snapshot's machine with a name and a time: made.
fn named() -> crate::machine::Machine {
    crate::machine::Machine::bare(4)
        .with("proc/sys/kernel/hostname", "node17")
        .with("proc/stat", "cpu 1\nbtime 1700000000")
}

fn strict() -> Limits {
    Limits::default().fail_on(FailOn::Warn).max_unknown(Some(0))
}

#[test]
fn a_waiver_of_an_unknown_finding_accepts_nothing() {
    let contents = Contents::open(&[Locator::Preset("dgx-h100".to_owned())]).unwrap();
    let waiver = "[[waiver]]\ncheck = \"isolation\"\nreason = \"all fine\"\n";
    let audit = || Audit::of(&contents).only(["isolation"]).limits(strict());
    let without = audit().run().unwrap();
    let with = audit().profile(Profile::parse("wall.toml", waiver).unwrap()).run().unwrap();
    assert!(without.count(Status::Unknown) > 0);
    assert_eq!(with.count(Status::Unknown), without.count(Status::Unknown));
    assert_eq!((with.count(Status::Accepted), with.outcome()), (0, Outcome::Unknown));
    assert_eq!(with.remarks().len(), 1, "{:?}", with.remarks());
    assert!(with.to_text(TextStyle::default()).contains("the waiver of isolation accepts nothing"));
}

#[test]
fn accepted_findings_are_told_as_such_everywhere() {
    let waiver =
        "[[waiver]]\ncheck = \"nvlink-*\"\nreason = \"a spare\"\nowner = \"ops\"\nexpires = \"2026-06-30\"\n";
    let report = board(waiver, Some("2026-06-01"));
    assert_eq!((report.count(Status::Accepted), report.outcome()), (1, Outcome::Pass));
    assert!(report.headline().contains(" 1 accepted, "), "{}", report.headline());
    let words = "(accepted: a spare, by ops, until 2026-06-30)";
    let text = report.to_text(TextStyle::default().width(Some(120)));
    assert!(text.contains("  accepted nvlink-links-active") && text.contains(words), "{text}");
    assert!(report.to_junit().contains(words));
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(json["summary"]["accepted"], 1);
    let own = json["findings"].as_array().unwrap().iter().find(|own| own["status"] == "accepted").unwrap();
    assert_eq!((&own["found"], &own["waived"]["owner"]), (&"fail".into(), &"ops".into()));
    let late = board(waiver, Some("2026-07-01"));
    let remark = "the waiver of nvlink-* expired on 2026-06-30; 1 finding that it accepted counts again";
    assert_eq!(late.remarks(), [remark]);
    assert!(
        late.to_json().contains(remark) && late.to_text(TextStyle::default()).contains("expired on 2026")
    );
}

#[test]
fn files_for_ci_agree_with_the_exit_code() {
    let contents = Contents::open(&[Locator::Preset("dgx-1-v100".to_owned())]).unwrap();
    let audit = |limits: Limits| Audit::of(&contents).limits(limits).run().unwrap();
    let count = |text: &str, part: &str| text.matches(part).count();
    let open = audit(Limits::default());
    assert_eq!((open.outcome().code(), open.count(Status::Warn) > 0), (0, true));
    assert_eq!((count(&open.to_junit(), "<failure"), count(&open.to_junit(), "<error")), (0, 0));
    let warned = audit(Limits::default().fail_on(FailOn::Warn));
    assert_eq!(warned.outcome().code(), 1);
    assert_eq!(count(&warned.to_junit(), "<failure"), warned.count(Status::Warn));
    let unknown = audit(Limits::default().max_unknown(Some(0)));
    assert_eq!(unknown.outcome().code(), 3);
    assert_eq!(count(&unknown.to_junit(), "<error"), unknown.count(Status::Unknown));
    let never = audit(Limits::default().fail_on(FailOn::Never));
    assert_eq!(never.outcome(), Outcome::Pass);
    assert!(never.to_json().contains("\"outcome\": \"pass\""));
}

#[test]
fn every_format_names_the_node_and_the_time() {
    let written = named().write();
    let contents = written.read();
    let report = Audit::of(&contents).today("2026-03-31").run().unwrap();
    assert_eq!((report.node(), report.date()), (Some("node17"), Some("2026-03-31")));
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!((&json["node"], &json["date"]), (&"node17".into(), &"2026-03-31".into()));
    assert!(json["taken"].as_str().unwrap().starts_with("2023-11-14T22:"), "{}", json["taken"]);
    assert!(report.to_text(TextStyle::default()).starts_with("node17: "));
    let junit = report.to_junit();
    assert!(
        junit.contains("hostname=\"node17\"") && junit.contains("name=\"nvtopo audit node17\""),
        "{junit}"
    );
    // GitHub's code scanning asks for all of these, and shows no result without them.
    let sarif: serde_json::Value = serde_json::from_str(&report.to_sarif()).unwrap();
    let run = &sarif["runs"][0];
    assert!(run["automationDetails"]["id"].as_str().unwrap().starts_with("nvtopo-audit/node17/"));
    let results = run["results"].as_array().unwrap();
    let mut prints = std::collections::BTreeSet::new();
    for result in results {
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "nvtopo/node17");
        for field in ["startLine", "startColumn", "endLine", "endColumn"] {
            assert_eq!(place["region"][field], 1);
        }
        prints.insert(result["partialFingerprints"]["primaryLocationLineHash"].as_str().unwrap());
    }
    assert!(prints.len() > 5, "{prints:?}");
    for rule in run["tool"]["driver"]["rules"].as_array().unwrap() {
        for text in ["shortDescription", "fullDescription", "help"] {
            let text = rule[text]["text"].as_str().unwrap();
            assert!(!text.is_empty() && text.len() <= 1024, "{rule}");
        }
    }
    let other = Audit::of(&contents).node("a b/c").run().unwrap();
    assert!(other.to_sarif().contains("\"nvtopo/a%20b%2Fc\""));
}

#[test]
fn a_node_whose_evidence_names_no_host_is_called_by_its_place() {
    let contents = Contents::open(&[Locator::Preset("dgx-h100".to_owned())]).unwrap();
    let name = |places: &[Locator]| {
        let report = Audit::of(&contents).places(places).run().unwrap();
        report.node().map(str::to_owned)
    };
    assert_eq!(name(&[Locator::Path("/x/node18.tar.gz".into())]).as_deref(), Some("node18"));
    assert_eq!(name(&[Locator::Live, Locator::Preset("dgx-h100".to_owned())]).as_deref(), Some("dgx-h100"));
    assert_eq!(name(&[Locator::Live]), None);
    let named = |file: &str, text: &str| {
        let folder = crate::support::Folder::of(
            &format!("host-{:?}", std::thread::current().id()),
            &[("links", &one_link_down()), (file, text)],
        );
        Audit::of(&folder.read()).run().unwrap().node().map(str::to_owned)
    };
    assert_eq!(named("hostname.txt", "gpu-a07\n").as_deref(), Some("gpu-a07"));
    let uname = "Linux gpu-a08 5.15.0-91-generic #101-Ubuntu SMP x86_64 GNU/Linux\n";
    assert_eq!(named("uname.txt", uname).as_deref(), Some("gpu-a08"));
}

#[test]
fn text_and_json_carry_the_notes_on_what_was_read() {
    let folder = crate::support::Folder::of(
        "notes",
        &[("links", &one_link_down()), ("sysctl.txt", "nothing of use\n")],
    );
    let report = Audit::of(&folder.read()).run().unwrap();
    let text = report.to_text(TextStyle::default());
    assert!(
        text.contains("\nNotes\n") && text.contains("1 file of no format that nvtopo knows: sysctl.txt"),
        "{text}"
    );
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert!(json["notes"].as_array().unwrap().iter().any(|note| note["code"] == "files-left-out"), "{json}");
}

#[test]
fn warnings_have_a_remedy_and_each_unknown_check_is_told_once() {
    let report = crate::support::of_preset("dgx-1-v100");
    assert_eq!(report.count(Status::Fail), 0);
    let text = report.to_text(TextStyle::default());
    assert!(text.contains("Do first\n  1. "), "{text}");
    assert_eq!(text.matches(" acs-on-p2p-path\n").count(), 1, "{text}");
    assert!(text.contains("nvtopo snapshot, taken by root"), "{text}");
    let all = report.to_text(TextStyle::default().all(true));
    assert!(all.contains("Told by: "), "{all}");
    // A check that no step names has its remedy beside it.
    for finding in report.of_status(Status::Warn) {
        let begin: String = finding.check.remedy.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
        assert!(text.split_whitespace().collect::<Vec<_>>().join(" ").contains(&begin), "{begin}: {text}");
    }
}

/// Reads places as the command does.
fn evidence(path: &std::path::Path) -> nvtopo::Result<Contents> {
    let (profile, process) = (Profile::default(), AuditedProcess::Own);
    nvtopo_audit::evidence(&[Locator::Path(path.to_owned())], &profile, &process)
}

#[test]
fn an_input_with_nothing_but_evidence_of_checks_is_audited() {
    let syslog = crate::support::data("audit/azurehpc-health-checks/1dev_6flap_syslog");
    let text = std::fs::read_to_string(&syslog).unwrap();
    let losses = |contents: &Contents| {
        let report = Audit::of(contents).only(["nic-link-losses"]).run().unwrap();
        crate::support::worst(&report, "nic-link-losses")
    };
    assert_eq!(losses(&evidence(&syslog).unwrap()), Status::Fail);
    let folder =
        crate::support::Folder::of("lone", &[("messages", &text), ("notes.txt", "nothing of use\n")]);
    let contents = evidence(folder.path()).unwrap();
    assert_eq!(losses(&contents), Status::Fail);
    // Files that no check reads are named, and those that one reads are not.
    let notes: Vec<&str> = contents.topology.notes().iter().map(|note| note.text.as_str()).collect();
    assert!(notes.iter().any(|note| note.contains("notes.txt") && !note.contains("messages")), "{notes:?}");
    // Made, in the form of mlnx_qos.
    let qos = "Priority trust state: dscp\nPFC configuration:\n\tpriority    0   1   2   3   4   5   6   7\n\tenabled     0   0   0   1   0   0   0   0\n";
    let folder = crate::support::Folder::of("qos", &[("mlnx_qos.txt", qos), ("links", &one_link_down())]);
    assert!(evidence(&folder.path().join("mlnx_qos.txt")).is_ok());
    let beside = evidence(folder.path()).unwrap();
    assert!(beside.topology.notes().iter().all(|note| !note.text.contains("mlnx_qos.txt")));
}

#[test]
fn an_audit_without_checks_is_refused() {
    let node = Contents::open(&[Locator::Preset("dgx-h100".to_owned())]).unwrap();
    for audit in [Audit::of(&node).only(["nvlink"]).skip(["nvlink"]), Audit::of(&node).skip(["*"])] {
        let error = audit.run().unwrap_err();
        assert!(error.message().contains("no check is left"), "{error}");
    }
}

#[test]
fn a_fleet_without_nodes_is_refused() {
    let folder = crate::support::Folder::of("no-nodes", &[("a.txt", "nothing of use\n")]);
    let fleet = Fleet::read(folder.path(), &FleetOptions::default(), &mut |_, _| {});
    let error = fleet.unwrap_err();
    assert!(error.message().contains("none of 1 file in"), "{error}");
    assert!(error.message().contains("a.txt"), "{error}");
}

#[test]
fn a_text_that_no_check_reads_is_refused_as_before() {
    let folder = crate::support::Folder::of("junk", &[("a.txt", "nothing of use\n")]);
    for path in [folder.path().to_owned(), folder.path().join("a.txt")] {
        let error = evidence(&path).err().unwrap().to_string();
        assert!(
            error.contains("of no format that nvtopo knows") || error.contains("not a format"),
            "{error}"
        );
    }
}

#[test]
fn listings_of_several_machines_are_refused() {
    let error = evidence(&crate::support::data("audit/gpud")).err().unwrap().to_string();
    assert!(error.contains("these are two machines"), "{error}");
}
