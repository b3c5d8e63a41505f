//! Names from files cannot break out of the page, reorder its text, or link and call anybody from a ticket.

use crate::page::assert_sound;
use crate::support::{Node, document};
use serde_json::json;

const EVIL: &str = "</title></style><script>alert(1)</script>\u{202e}<img src=x onerror=alert(2)>{{STYLE}}\u{2028}\"'& | `x` [a](http://b.c) @all #1 www.d.e \n# head";

fn hostile() -> Node {
    let nodes = [
        json!({ "machine": { "product": EVIL, "driver": EVIL } }),
        json!({ "package": { "parent": 0, "os_index": 0, "model": EVIL } }),
        json!({ "numa_node": { "parent": 1, "os_index": 0, "cpus": "0-7" } }),
        json!({ "gpu": { "parent": 2, "index": 0, "model": EVIL, "unusable": EVIL, "firmware": EVIL, "serial": EVIL } }),
        json!({ "gpu": { "parent": 2, "index": 1, "model": EVIL } }),
        json!({ "nic": { "parent": 2, "name": EVIL, "state": "down", "model": EVIL, "net_devices": [EVIL] } }),
    ];
    Node::made("hostile.json", &document(&nodes, &[]))
}

#[test]
fn names_stay_text_on_the_page() {
    let page = hostile().report().date(EVIL).to_html();
    assert_sound("hostile", &page);
    for broken in ["<script", "<img", "onerror=alert(2)>", "\u{202e}", "\u{2028}", "\n# head"] {
        assert!(!page.contains(broken), "{broken:?}");
    }
    assert_eq!(page.matches("</style>").count(), 2, "the page's own and the picture's");
    assert_eq!(page.matches("</title>").count(), page.matches("<title>").count());
    // Nothing is filled in twice.
    assert!(page.contains("{{STYLE}}"));
}

#[test]
fn names_stay_text_in_a_ticket() {
    let ticket = hostile().report().to_markdown();
    for broken in ["<script", "](http", "http://", "www.d", "@all", "#1", "\u{202e}", "\u{2028}", "`x`"] {
        let unescaped = ticket.match_indices(broken).any(|(at, _)| !ticket[..at].ends_with('\\'));
        assert!(!unescaped, "{broken:?} in {ticket}");
    }
    assert!(!ticket.lines().any(|line| line == "# head"));
    // Every row has the cells of its table.
    let cells = |line: &str| line.replace("\\|", "").matches('|').count();
    for table in ticket.split("\n\n").filter(|part| part.starts_with('|')) {
        let counts: Vec<usize> = table.lines().map(cells).collect();
        assert!(counts.iter().all(|count| *count == counts[0]), "{table}");
    }
}

#[test]
fn programs_get_the_names_as_they_are_in_the_topology() {
    let node = hostile();
    let product = node.contents.topology.machine().product.clone().unwrap();
    assert!(node.json()["machine"]["name"].as_str().unwrap().starts_with(&product));
}
