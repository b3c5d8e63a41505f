//! The page stands alone, is well formed, and every place that it refers to is there.

use crate::support::{Node, failing};
use nvtopo::source::PRESETS;
use roxmltree::Document;
use std::collections::BTreeSet;

/// The content of a page as a tree: it is written so that XML reads it too.
pub(crate) fn main_of(page: &str) -> String {
    let (_, rest) = page.split_once("<body>").unwrap();
    format!("<body>{}</body>", rest.split_once("</body>").unwrap().0)
}

/// Holds a page against the rules for all of them.
pub(crate) fn assert_sound(name: &str, page: &str) {
    assert!(page.len() < 1_000_000, "{name}: {} bytes", page.len());
    let (head, _) = page.split_once("<body>").unwrap();
    for foreign in ["<link", "<script", "<iframe", "<base", "@import", "url("] {
        assert!(!head.contains(foreign), "{name}: {foreign} in the head");
    }
    // The title may say anything.
    for tag in head.split('<').filter_map(|rest| rest.split('>').next()) {
        assert!(![" src=", " href=", " on"].iter().any(|own| tag.contains(own)), "{name}: <{tag}>");
    }
    assert!(page.contains("default-src 'none'; style-src 'unsafe-inline'\""), "{name}");
    let text = main_of(page);
    let tree = Document::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
    for node in tree.descendants().filter(roxmltree::Node::is_element) {
        let tag = node.tag_name().name();
        let foreign = ["script", "link", "iframe", "object", "embed", "img", "image", "base", "form"];
        assert!(!foreign.contains(&tag), "{name}: <{tag}>");
        if tag == "style" {
            let style = node.text().unwrap_or_default();
            assert!(!style.contains("@import") && !style.contains("url("), "{name}: {style}");
        }
        // What people read may say anything.
        let spoken = ["aria-label", "title", "alt"];
        for own in node.attributes().filter(|own| !spoken.contains(&own.name())) {
            let (key, value) = (own.name().to_lowercase(), own.value());
            let is_foreign = key == "src"
                || key.starts_with("on")
                || ["@import", "url(", "javascript:"].iter().any(|word| value.contains(word));
            assert!(!is_foreign, "{name}: {key}={value:?} in <{tag}>");
        }
    }
    let ids: Vec<&str> = tree.descendants().filter_map(|node| node.attribute("id")).collect();
    assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len(), "{name}: {ids:?}");
    for link in tree.descendants().filter_map(|node| node.attribute("href")) {
        let anchor = link.strip_prefix('#').unwrap_or_else(|| panic!("{name} leads to {link}"));
        assert!(ids.contains(&anchor), "{name} has no {anchor}");
    }
    for table in tree.descendants().filter(|node| node.has_tag_name("table")) {
        let heads = table.descendants().filter(|node| node.attribute("scope") == Some("col")).count();
        for row in table.descendants().filter(|node| node.has_tag_name("tr")).skip(1) {
            let wide = |cell: roxmltree::Node<'_, '_>| {
                cell.attribute("colspan").map_or(1, |own| own.parse().unwrap())
            };
            let cells: usize = row.children().map(wide).sum();
            let corner =
                usize::from(table.attribute("class").is_some_and(|class| class.starts_with("cells")));
            assert_eq!(cells, heads + corner, "{name}");
        }
    }
}

#[test]
fn every_preset_and_recorded_machine_has_a_sound_page() {
    for preset in PRESETS {
        assert_sound(preset.name, &Node::preset(preset.name).report().to_html());
    }
    for files in [
        &["trees/ccx.tar.gz"][..],
        &["trees/isol1.tar.gz"],
        &["trees/seven.tar.gz"],
        &["bundles/h100-pcie-2gpu"],
        &["audit/gpud/lspci-vvv.dell-8xh100.txt.gz"],
        &["audit/azurehpc-health-checks/bad_nvlink_status.txt"],
        &["topo-m/h100-8gpu-13nic-header-flush-left-cut.txt"],
    ] {
        let node = Node::recorded(files);
        assert_sound(files[0], &node.report().to_html());
        let topology = &node.json()["topology"];
        assert_eq!(topology["format"], "nvtopo-topology", "{files:?}");
    }
}

#[test]
fn a_page_is_for_screens_and_paper_in_light_and_dark() {
    let page = failing().report().to_html();
    for known in [
        "@media print{",
        "@media screen and (prefers-color-scheme:dark)",
        "<html lang=\"en\">",
        "break-inside:avoid",
    ] {
        assert!(page.contains(known), "{known}");
    }
    assert_eq!(page.matches("<svg").count(), 1);
    assert_eq!(page.matches("http").count(), 2, "the policy of the page and the name of SVG");
}
