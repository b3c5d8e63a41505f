//! The page of a machine: it stands alone, holds what the library answers, and no name in it can break out of its place.

use nvtopo::model::{Fragment, Gpu, Nic, NodeId, NumaNode, Provenance, TopologyBuilder};
use nvtopo::{Request, Topology};
use nvtopo_draw::{Picture, Theme};
use serde_json::Value;

/// The facts in a page.
fn data(page: &str) -> Value {
    let (_, rest) = page.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn every_set_of_a_small_machine_is_answered_as_the_library_does() {
    let dgx1 = Topology::preset("dgx-1-v100").unwrap();
    let data = data(&Picture::new(&dgx1).html());
    let sets = data["sets"].as_object().unwrap();
    assert_eq!(sets.len(), 255);
    for (key, answer) in sets {
        let gpus: Vec<usize> = key.split(',').map(|gpu| gpu.parse().unwrap()).collect();
        assert_eq!(answer["gpus"].as_array().unwrap().len(), gpus.len(), "{key}");
        let rings = dgx1.rings(&gpus).map(|rings| rings.bandwidth.to_string());
        assert_eq!(answer["rate"].as_str().map(str::to_owned), rings, "{key}");
    }
    let best = Request::gpus(2).solve(&dgx1).unwrap();
    assert_eq!(best.gpu_indices(), [0, 3]);
    assert_eq!((&sets["0,3"]["best"], &sets["0,1"]["best"]), (&Value::Bool(true), &Value::Bool(false)));
    let belongs = &sets["0,3"]["gpus"][0];
    assert_eq!(belongs[1], best.gpus()[0].cpus.to_string());
    assert_eq!(belongs[3].as_str(), best.gpus()[0].nic.as_deref());
    // The best 2 and 4 of the other six.
    let left = Request::gpus(2).only([1_u32, 2, 4, 5, 6, 7]).solve(&dgx1).unwrap();
    let told: Vec<u64> =
        sets["0,3"]["left"][0][0].as_array().unwrap().iter().map(|gpu| gpu.as_u64().unwrap()).collect();
    assert_eq!(told, left.gpu_indices().into_iter().map(u64::from).collect::<Vec<_>>());
    assert_eq!(sets["0,3"]["left"].as_array().unwrap().len(), 2);
}

#[test]
fn larger_machines_hold_the_best_set_of_each_size_and_all_pairs() {
    let dgx2 = Topology::preset("dgx-2").unwrap();
    let data = data(&Picture::new(&dgx2).html());
    assert_eq!(data["sets"].as_object().unwrap().len(), 0);
    let sizes: Vec<usize> =
        data["best"].as_array().unwrap().iter().map(|best| best["gpus"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, (1..=16).collect::<Vec<_>>());
    assert!(data["scope"].as_str().unwrap().contains("best sets"));
    let kinds = data["kinds"].as_array().unwrap();
    let devices = dgx2.devices().len();
    for (row, runs) in data["pairs"].as_array().unwrap().iter().enumerate() {
        let runs: Vec<usize> =
            runs.as_array().unwrap().iter().map(|own| own.as_u64().unwrap() as usize).collect();
        let words = runs.chunks(2).flat_map(|run| std::iter::repeat_n(&kinds[run[1]]["word"], run[0]));
        let words: Vec<&str> = words.map(|word| word.as_str().unwrap()).collect();
        let expected: Vec<String> =
            (0..devices).map(|column| dgx2.pairs().pair(row, column).word(dgx2.dialect()).unwrap()).collect();
        assert_eq!(words, expected, "row {row}");
    }
}

#[test]
fn names_cannot_break_out_of_the_page() {
    const EVIL: &str = "</script><script>alert(1)</script><!-- \u{2028}\"'&amp; {{DATA}} ]]>";
    let mut fragment = Fragment::new(Provenance::Preset);
    let numa = fragment.add(NodeId::MACHINE, NumaNode::new(0));
    let mut gpu = Gpu::new(0);
    gpu.model = Some(EVIL.to_owned());
    gpu.unusable = Some(EVIL.to_owned());
    fragment.add(numa, gpu);
    fragment.add(numa, Nic::new(EVIL));
    let machine = TopologyBuilder::new().with(fragment).build().unwrap();
    let page = Picture::new(&machine).html();
    assert_eq!(page.matches("<script").count(), 2, "the data and the page's own");
    assert_eq!(page.matches("</script>").count(), 2);
    assert!(!page.contains("alert(1)</script>") && !page.contains("<!--"));
    let told = data(&page);
    assert_eq!(told["devices"][1]["name"].as_str().unwrap(), machine.device_name(1));
    assert!(
        told["devices"][0]["facts"].as_str().unwrap().contains("</script><script>alert(1)</script><!-- ")
    );
    assert!(told["sets"]["0"]["error"].is_string(), "{}", told["sets"]["0"]);
}

#[test]
fn names_of_any_length_take_no_more_room_than_long_ones() {
    let page = |letters: usize| {
        let mut fragment = Fragment::new(Provenance::Preset);
        let numa = fragment.add(NodeId::MACHINE, NumaNode::new(0));
        for number in 0..8 {
            let mut gpu = Gpu::new(number);
            gpu.model = Some("m".repeat(letters));
            gpu.unusable = (number == 7).then(|| "u".repeat(letters));
            fragment.add(numa, gpu);
            let mut nic = Nic::new(format!("{number}{}", "n".repeat(letters)));
            nic.net_devices = vec!["i".repeat(letters)];
            fragment.add(numa, nic);
        }
        let machine = TopologyBuilder::new().with(fragment).build().unwrap();
        let text = nvtopo_draw::by_name("text").unwrap().topology(&machine, nvtopo_draw::Style::default());
        (Picture::new(&machine).html().len(), text.len())
    };
    let (long, longer) = (page(1000), page(20_000));
    // The name of a chosen GPU or of the machine may stand whole in a few places.
    assert!(longer.0 < long.0 + 1000, "pages of {} and {} bytes", long.0, longer.0);
    assert!(longer.1 < long.1 + 1000, "texts of {} and {} bytes", long.1, longer.1);
    assert!(long.0 < 1 << 20, "{} bytes", long.0);
}

#[test]
fn a_page_stands_alone_and_says_what_it_knows_to_everybody() {
    let machine = Topology::preset("gh200").unwrap();
    let page = Picture::new(&machine).with_theme(Theme::Dark).html();
    assert!(page.starts_with("<!doctype html>") && page.contains("<html lang=\"en\" data-theme=\"dark\">"));
    for foreign in [" src=", "@import", "url(", "fetch(", "XMLHttpRequest", "<link", "innerHTML", "eval("] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert_eq!(page.matches("http").count(), 2, "the policy of the page and the name of SVG");
    for known in ["aria-live", "aria-labelledby", "role=\"grid\"", "prefers-color-scheme:dark", "<noscript>"]
    {
        assert!(page.contains(known), "{known}");
    }
    // No machine, no GPU: still a page.
    let bare = TopologyBuilder::new().with(Fragment::new(Provenance::Preset)).build().unwrap();
    assert!(data(&Picture::new(&bare).html())["gpus"].as_array().unwrap().is_empty());
}
