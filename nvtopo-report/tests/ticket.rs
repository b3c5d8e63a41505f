//! The Markdown for a ticket: short, with whole tables, and without what identifies the pieces.

use crate::support::{Node, failing};
use nvtopo_report::ReportFormat;

#[test]
fn a_ticket_is_short_and_says_what_to_do() {
    let ticket = failing().report().write(ReportFormat::Markdown);
    let lines: Vec<&str> = ticket.lines().collect();
    assert!(lines[0].starts_with("# NVIDIA DGX H100 (preset dgx-h100): 1 failed, "), "{}", lines[0]);
    assert!(lines.len() < 70, "{} lines", lines.len());
    assert!(
        ticket.contains("\n## Do first\n\n1. Drain the node, look for Xid 79 in the kernel's log"),
        "{ticket}"
    );
    assert!(
        ticket.contains("| fail (critical) | gpu-count | GPU6 | it cannot be used: has fallen off the bus |")
    );
    assert!(ticket.contains("\n| 2 | GPU0 GPU1 | "), "{ticket}");
    assert!(ticket.contains("Report of 2026-03-31 by nvtopo "));
    assert!(!ticket.contains("## Changes"));
}

#[test]
fn long_tables_end_with_the_number_of_their_other_rows() {
    let ticket = crate::support::rack(0).report().to_markdown();
    assert!(ticket.contains("\nAnd 52 more, which the report in JSON has.\n"), "{ticket}");
}

#[test]
fn uuids_and_serial_numbers_are_on_the_page_alone() {
    let text = "GPU 0: NVIDIA A10 (UUID: GPU-00000000-0000-0000-0000-000000000007)\n";
    let node = Node::made("list.txt", text);
    assert!(node.report().to_html().contains("GPU-00000000<wbr/>"), "{}", node.report().to_html());
    assert!(!node.report().to_markdown().contains("0000-000000000007"));
}

#[test]
fn formats_follow_from_the_names_of_files() {
    let of = |name: &str| ReportFormat::of_file(name.as_ref());
    assert_eq!(of("a/REPORT.HTM").unwrap(), ReportFormat::Html);
    assert_eq!(of("x.json").unwrap(), ReportFormat::Json);
    for name in ["x.pdf", "x", "html", ".md.gz"] {
        let error = of(name).unwrap_err().to_string();
        assert!(error.contains("name it .html, .json or .md"), "{error}");
    }
    for format in ReportFormat::ALL {
        assert_eq!(ReportFormat::by_name(format.name()).unwrap(), format);
    }
    assert!(ReportFormat::by_name("pdf").is_err());
}
