//! The parts of a report: first steps, findings, changes, placements, facts, sources; on the page and in JSON alike.

use crate::support::{Node, failing, rack};
use nvtopo::Request;
use nvtopo::Topology;
use nvtopo_audit::{Audit, Baseline, Profile};
use nvtopo_report::NodeReport;

#[test]
fn a_failing_node_says_what_to_do_first() {
    let node = failing();
    let remedy = nvtopo_audit::check::find("gpu-count").unwrap().remedy;
    let page = node.report().to_html();
    let (_, first) = page.split_once("<section id=\"first\"").unwrap();
    let escaped = remedy.replace('\'', "&#39;");
    let step = format!("<b>{escaped}</b><br/>GPU6: it cannot be used: has fallen off the bus");
    assert!(first.split_once("</section>").unwrap().0.contains(&step), "{first:.600}");
    assert!(page.contains("id=\"gpu-count-fail\""));
    let json = node.json();
    assert_eq!(
        (&json["first"][0]["check"], &json["first"][0]["remedy"]),
        (&"gpu-count".into(), &remedy.into())
    );
    assert_eq!(json["audit"]["summary"]["fail"], 1);
    // All eight cannot be had, and the reason is there.
    let all = json["placements"].as_array().unwrap().last().unwrap();
    assert_eq!(all["gpus"], 8);
    assert!(all["error"].as_str().unwrap().contains("GPU6 (has fallen off the bus)"), "{all}");
    assert!(page.contains("GPU6 (has fallen off the bus)"));
}

#[test]
fn a_sound_node_has_nothing_to_do_first() {
    let node = Node::preset("dgx-h100");
    let page = node.report().to_html();
    assert!(page.contains("Nothing failed, and no check warns. <a href=\"#others\">"));
    assert!(page.contains("No check failed, and none warns."));
    assert!(node.json()["first"].as_array().unwrap().is_empty());
}

#[test]
fn placements_are_those_of_the_solver() {
    let node = Node::preset("dgx-1-v100");
    let json = node.json();
    let sizes: Vec<_> =
        json["placements"].as_array().unwrap().iter().map(|own| own["gpus"].as_u64().unwrap()).collect();
    assert_eq!(sizes, [1, 2, 4, 8]);
    for own in json["placements"].as_array().unwrap() {
        let size = own["gpus"].as_u64().unwrap() as usize;
        let best = Request::gpus(size).solve(&node.contents.topology).unwrap();
        let gpus: Vec<u64> =
            own["answer"]["gpus"].as_array().unwrap().iter().map(|gpu| gpu.as_u64().unwrap()).collect();
        assert_eq!(gpus, best.gpu_indices().into_iter().map(u64::from).collect::<Vec<_>>());
        let escaped = best.why().replace('<', "&lt;");
        assert!(node.report().to_html().contains(&escaped), "{escaped}");
    }
    let three = node.report().sizes([3, 9, 3]).to_html();
    assert!(three.contains(">GPU0 GPU2 GPU3</td>"), "three");
    assert!(three.contains("9 GPUs were asked for") && !three.contains("no 2 of the 8"));
}

#[test]
fn chosen_gpus_that_failed_checks_are_told_with_the_best_set_without_them() {
    // 16 of 18 NVLinks are up on the first of two boards: made.
    let ports = |down: bool| {
        let port = |port: u32| {
            format!("\t Link {port}: {}\n", if down && port > 15 { "<inactive>" } else { "26.562 GB/s" })
        };
        (0..18).map(port).collect::<String>()
    };
    let gpu = |index: u32| {
        format!(
            "GPU {index}: NVIDIA H100 80GB HBM3 (UUID: GPU-{index:08}-0000-0000-0000-000000000001)\n{}",
            ports(index == 0)
        )
    };
    let text: String = (0..3).map(gpu).collect();
    let node = Node::made("links.txt", &text);
    let json = node.json();
    let all = json["placements"].as_array().unwrap().last().unwrap();
    assert_eq!((&all["failed"][0], &all["without_failed"]), (&0.into(), &serde_json::Value::Null));
    let page = node.report().to_html();
    assert!(page.contains("GPU0 failed checks; without such GPUs there is no set."), "{page}");
}

#[test]
fn changes_since_a_baseline_are_a_part_of_their_own() {
    let sound = Node::preset("dgx-h100");
    let baseline = Baseline::of(&sound.contents).with_date("2026-01-02");
    let same = Audit::of(&sound.contents).baseline(&baseline).run().unwrap();
    let page = NodeReport::of(&sound.contents, &same).baseline(&baseline).to_html();
    assert!(page.contains("Nothing has changed since the baseline of 2026-01-02."));
    assert!(!sound.report().to_html().contains("id=\"drift\""));

    let node = failing();
    let audit = Audit::of(&node.contents).baseline(&baseline).run().unwrap();
    let report = NodeReport::of(&node.contents, &audit).baseline(&baseline);
    let page = report.to_html();
    let (_, drift) = page.split_once("<section id=\"drift\"").unwrap();
    let drift = drift.split_once("</section>").unwrap().0;
    assert!(
        drift.contains("Changed since the baseline of 2026-01-02; the structure has the same fingerprint."),
        "{drift}"
    );
    assert!(drift.contains("GPU6</b>: its usability was usable"), "{drift}");
    let (_, findings) = page.split_once("<section id=\"findings\"").unwrap();
    assert!(!findings.split_once("</section>").unwrap().0.contains("drift-"), "changes stand in one place");
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    assert_eq!(
        (&json["baseline"]["date"], &json["baseline"]["same_structure"]),
        (&"2026-01-02".into(), &true.into())
    );
    assert!(report.to_markdown().contains("| warn (warning) | drift-machine-changed | GPU6 |"));

    let others = Audit::of(&node.contents).baseline(&baseline).only(["nvlink"]).run().unwrap();
    let page = NodeReport::of(&node.contents, &others).baseline(&baseline).to_html();
    assert!(page.contains("The checks of changes since the baseline of 2026-01-02 were left out."));
}

#[test]
fn accepted_findings_are_told_with_their_reason() {
    let node = failing();
    let profile = "[[waiver]]\ncheck = \"gpu-count\"\nreason = \"a new board <is> ordered\"\n";
    let audit =
        Audit::of(&node.contents).profile(Profile::parse("fleet.toml", profile).unwrap()).run().unwrap();
    let report = NodeReport::of(&node.contents, &audit);
    let page = report.to_html();
    assert!(page.contains(">accepted</span>") && page.contains("(accepted: a new board &lt;is&gt; ordered)"));
    assert!(report.to_markdown().contains("| accepted | gpu-count | GPU6 |"));
}

#[test]
fn a_machine_without_gpus_has_a_report() {
    let node =
        Node::made("bare.json", &crate::support::document(&[serde_json::json!({ "machine": {} })], &[]));
    let page = node.report().to_html();
    crate::page::assert_sound("bare", &page);
    for words in ["There is no GPU to choose.", "No GPU was found.", "There is no GPU, and the matrix"] {
        assert!(page.contains(words), "{words}");
    }
    assert!(node.json()["placements"].as_array().unwrap().is_empty());
    assert!(!node.report().to_markdown().contains("## Best GPUs"));
}

#[test]
fn sources_and_the_topology_are_in_the_report() {
    let node = Node::recorded(&["audit/azurehpc-health-checks/bad_nvlink_status.txt"]);
    let page = node.report().to_html();
    let (_, sources) = page.split_once("<section id=\"sources\"").unwrap();
    assert!(sources.contains("bad_nvlink_status.txt"), "{sources}");
    assert!(sources.contains("<th scope=\"row\" class=\"line\">nvidia-smi</th>"), "{sources}");
    let json = node.json();
    let read = Topology::parse("report", json["topology"].to_string().as_bytes()).unwrap();
    assert_eq!(read.gpus().len(), node.contents.topology.gpus().len());
    assert_eq!(json["machine"]["structure"], nvtopo_audit::structure(&node.contents.topology));
}

#[test]
fn alike_pairs_of_many_gpus_are_one_sentence() {
    let page = rack(0).report().to_html();
    assert!(page.contains("All 2556 pairs of GPUs are alike"));
    assert!(page.contains("2556 GPU–GPU pairs"));
    assert!(page.contains("The paths from 72 GPUs to 72 NICs are too many for this page"));
    assert!(!page.contains("<table class=\"cells"));
    // One GPU with fewer links: every pair is shown, in blocks that fit on paper.
    let page = rack(3).report().to_html();
    assert_eq!(page.matches("<table class=\"cells").count(), 4);
    assert_eq!(page.matches("<td class=\"p-nvl\">NV15</td>").count(), 2 * 71);
}
