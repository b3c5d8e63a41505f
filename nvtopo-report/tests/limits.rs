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
    // 200 GPUs at two NUMA nodes, so that their pairs differ, and 40 NICs with names of 3,000 letters: made.
    let mut nodes = vec![json!({ "machine": { "product": "x".repeat(100_000) } })];
    for (number, cpus) in [(0, "0-63"), (1, "64-127")] {
        nodes.push(json!({ "numa_node": { "parent": 0, "os_index": number, "cpus": cpus } }));
    }
    nodes.extend((0..200).map(
        |index| json!({ "gpu": { "parent": 1 + index % 2, "index": index, "model": "y".repeat(5000) } }),
    ));
    nodes
        .extend((0..40).map(
            |number| json!({ "nic": { "parent": 1, "name": format!("{number}{}", "z".repeat(3000)) } }),
        ));
    let node = Node::made("long.json", &document(&nodes, &[]));
    let page = node.report().to_html();
    for what in ["200 GPUs", "40 NICs"] {
        assert!(
            page.contains(&format!("The paths from 200 GPUs to {what} are too many for this page")),
            "{what}"
        );
    }
    assert!(page.len() < 2_500_000, "{} bytes", page.len());
    assert!(node.report().to_markdown().len() < 60_000);
}
