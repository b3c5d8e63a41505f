//! A report as text, JSON and SVG.

mod svg;
mod text;

use crate::Report;
use nvtopo_draw::Style;
use serde_json::json;

/// A report as text for people: a line for each policy.
pub fn text(report: &Report, style: Style) -> String {
    text::simulation(report, style)
}

/// A report as a picture: a bar for each policy, and beside it what jobs of each size got of the best.
///
/// ```
/// use nvtopo::solve::SizeMix;
/// use nvtopo_simulate::{Options, Stream, Workload, render, simulate};
///
/// let dgx1 = nvtopo::Topology::preset("dgx-1-v100")?;
/// let stream = Stream::new(SizeMix::usual(8)?).jobs(1_000);
/// let report = simulate(&dgx1, &Workload::random(&stream, 8)?, &Options::default(), &mut |_, _| ())?;
/// assert!(render::svg(&report).starts_with("<svg"));
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn svg(report: &Report) -> String {
    svg::simulation(report)
}

/// A report as JSON for programs.
pub fn json(report: &Report) -> String {
    let sizes = report.sizes.iter().map(|size| {
        json!({
            "gpus": size.gpus,
            "jobs": size.jobs,
            "accepted": size.accepted,
            "best_gb_per_s": size.best.as_gb_per_s(),
        })
    });
    let policies = report.policies.iter().map(|policy| {
        json!({
            "policy": policy.policy,
            "gb_per_s": policy.mean.map(|mean| mean.gb_per_s),
            "share": policy.mean.map(|mean| mean.share),
            "direct_gb_per_s": policy.mean.map(|mean| mean.direct_gb_per_s),
                "nvlink_only": policy.mean.map(|mean| mean.nvlink),
            "share_by_size": policy.by_size,
        })
    });
    let report = json!({
        "machine": report.machine,
        "gpus": report.gpus,
        "jobs": report.jobs,
        "blocked": report.blocked,
        "left_out": report.left_out,
        "offered_load": report.offered,
        "utilization": report.utilization,
        "sizes": sizes.collect::<Vec<_>>(),
        "policies": policies.collect::<Vec<_>>(),
    });
    format!("{report:#}\n")
}
