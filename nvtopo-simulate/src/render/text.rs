//! A report as text: a line for each policy.

use crate::Report;
use comfy_table::{Cell, CellAlignment};
use nvtopo_draw::Style;
use nvtopo_draw::text::{bold, dim, head, lines, table};

pub(super) fn simulation(report: &Report, style: Style) -> String {
    let machine = report.machine.as_deref().unwrap_or("A machine");
    let title = format!(
        "{machine}, {} GPU{}, {} jobs",
        report.gpus,
        if report.gpus == 1 { "" } else { "s" },
        report.jobs
    );
    let mut facts = vec![format!(
        "{} turned away ({})",
        report.blocked,
        percent(report.blocked as f64 / report.jobs as f64)
    )];
    facts.extend(report.offered.map(|part| format!("offered load {part:.2}")));
    facts.extend(report.utilization.map(|part| format!("GPUs busy {}", percent(part))));
    let mut out = format!("{}\n{}\n\n", bold(&title, style), facts.join(", "));
    let mut table = table(style);
    let mut header =
        vec![head("rings of jobs"), right("GB/s"), right("of best"), right("direct"), right("NVLink")];
    header.extend(
        report.sizes.iter().filter(|size| size.gpus > 1).map(|size| right(format!("{} GPUs", size.gpus))),
    );
    table.set_header(header);
    for policy in &report.policies {
        let mean = policy.mean;
        let mut row = vec![
            head(policy.policy),
            right(mean.map_or_else(none, |mean| format!("{:.1}", mean.gb_per_s))),
            right(mean.map_or_else(none, |mean| percent(mean.share))),
            right(mean.map_or_else(none, |mean| format!("{:.1}", mean.direct_gb_per_s))),
            right(mean.map_or_else(none, |mean| percent(mean.nvlink))),
        ];
        let several = report.sizes.iter().zip(&policy.by_size).filter(|(size, _)| size.gpus > 1);
        row.extend(several.map(|(_, share)| right(share.map_or_else(none, percent))));
        table.add_row(row);
    }
    out += &lines(table);
    out += "\n";
    let explained = "GB/s: ring bandwidth of an accepted job with several GPUs, one direction, on average; of best: as a part of \
                     the most that its size can have, then by size; direct: GB/s without relays over a third GPU; NVLink: jobs that \
                     have rings without relays or PCIe";
    out += &(dim(explained, style) + "\n");
    if report.left_out > 0 && !style.quiet {
        let left_out =
            format!("note · {} rows of the trace ask for less than a GPU or never ended", report.left_out);
        out += &(dim(&left_out, style) + "\n");
    }
    out
}

fn right(text: impl Into<String>) -> Cell {
    Cell::new(text.into()).set_alignment(CellAlignment::Right)
}

fn percent(part: f64) -> String {
    format!("{:.1} %", 100.0 * part)
}

fn none() -> String {
    "-".to_owned()
}
