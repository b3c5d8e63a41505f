//! The size of a report stays bounded, whatever the machine.

use crate::page::assert_sound;
use crate::support::{Node, document, rack};
use serde_json::json;

#[test]
fn a_rack_of_72_gpus_is_below_a_megabyte() {
    for lost in [0, 3] {
        let node = rack(lost);
        let page = node.report().to_html();
        assert_sound("rack", &page);
        assert!(page.len() < 700_000, "{} bytes", page.len());
        assert!(node.report().to_markdown().len() < 20_000);
    }
}

#[test]
fn long_names_and_many_devices_do_not_make_a_page_long() {
    // 200 NICs of names of 15,000 letters, and 400 GPUs: made.
    let mut nodes = vec![json!({ "machine": { "product": "x".repeat(100_000) } })];
    nodes.push(json!({ "numa_node": { "parent": 0, "os_index": 0, "cpus": "0-63" } }));
    nodes.extend(
        (0..200).map(|index| json!({ "gpu": { "parent": 1, "index": index, "model": "y".repeat(5000) } })),
    );
    nodes
        .extend((0..40).map(
            |number| json!({ "nic": { "parent": 1, "name": format!("{number}{}", "z".repeat(3000)) } }),
        ));
    let node = Node::made("long.json", &document(&nodes, &[]));
    let page = node.report().to_html();
    assert!(
        page.contains("The paths from 200 GPUs to 200 GPUs are too many for this page")
            || page.contains("are alike")
    );
    assert!(page.len() < 2_500_000, "{} bytes", page.len());
    assert!(node.report().to_markdown().len() < 60_000);
}
