//! Pictures of what came out of playing jobs, as SVG that any browser shows.
//!
//! A bar for each policy, and beside it what jobs of each size got of the best.

use crate::solve::simulate::{PolicyReport, Report};
use std::fmt::Write;

/// Pixels.
const ROW: usize = 30;
const TOP: usize = 92;
const LABELS: usize = 150;
const BARS: usize = 330;
const CELL: usize = 66;
const GAP: usize = 30;

/// The report as a picture.
///
/// ```
/// use nvtopo::solve::SizeMix;
/// use nvtopo::solve::simulate::{Options, Stream, Workload, simulate};
///
/// let dgx1 = nvtopo::Topology::preset("dgx-1-v100")?;
/// let stream = Stream { load: 0.9, jobs: 1_000, mix: SizeMix::usual(8)?, seed: 1 };
/// let report = simulate(&dgx1, &Workload::random(&stream, 8)?, &Options::default(), &mut |_, _| ())?;
/// assert!(nvtopo::render::plot::simulation(&report).starts_with("<svg"));
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn simulation(report: &Report) -> String {
    let sizes: Vec<usize> =
        report.sizes.iter().enumerate().filter(|(_, size)| size.gpus > 1).map(|(at, _)| at).collect();
    let width = LABELS + BARS + GAP + CELL * sizes.len() + 20;
    let height = TOP + ROW * report.policies.len() + 44;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\" fill=\"#222\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    let machine = report.machine.as_deref().unwrap_or("A machine");
    text(
        &mut out,
        16,
        28,
        "font-size=\"17\" font-weight=\"bold\"",
        &format!("{machine}: what jobs get of its rings"),
    );
    let mut facts = format!(
        "{} jobs, {:.1} % turned away",
        report.jobs,
        100.0 * report.blocked as f64 / report.jobs as f64
    );
    if let Some(offered) = report.offered {
        let _ = write!(facts, ", offered load {offered:.2}");
    }
    text(&mut out, 16, 48, FAINT, &facts);
    text(&mut out, LABELS, TOP - 12, FAINT, "ring bandwidth of a job with several GPUs, GB/s");
    for (column, at) in sizes.iter().enumerate() {
        let x = LABELS + BARS + GAP + CELL * column + CELL / 2;
        let anchor = format!("{FAINT} text-anchor=\"middle\"");
        text(&mut out, x, TOP - 12, &anchor, &format!("{} GPUs", report.sizes[*at].gpus));
    }
    let bandwidth = |policy: &PolicyReport| policy.mean.map_or(0.0, |mean| mean.gb_per_s);
    let most = report.policies.iter().map(bandwidth).fold(0.0, f64::max);
    for (row, policy) in report.policies.iter().enumerate() {
        let y = TOP + ROW * row;
        let end = "text-anchor=\"end\"";
        text(&mut out, LABELS - 10, y + 19, end, policy.policy);
        if let Some(mean) = policy.mean.filter(|_| most > 0.0) {
            let length = (mean.gb_per_s / most * (BARS - 60) as f64).max(1.0);
            let _ = writeln!(
                out,
                "<rect x=\"{LABELS}\" y=\"{}\" width=\"{length:.1}\" height=\"{}\" rx=\"2\" fill=\"#76b900\"/>",
                y + 4,
                ROW - 8
            );
            text(&mut out, LABELS + length as usize + 6, y + 19, "", &format!("{:.1}", mean.gb_per_s));
        }
        for (column, at) in sizes.iter().enumerate() {
            if let Some(share) = policy.by_size.get(*at).copied().flatten() {
                cell(&mut out, LABELS + BARS + GAP + CELL * column, y, share);
            }
        }
    }
    let below = TOP + ROW * report.policies.len() + 24;
    let anchor = format!("{FAINT} text-anchor=\"end\"");
    text(&mut out, width - 20, below, &anchor, "of the best of each size, in percent");
    out + "</svg>\n"
}

const FAINT: &str = "fill=\"#666\"";

/// A field that is the redder the less of the best it is.
fn cell(out: &mut String, x: usize, y: usize, share: f64) {
    // What matters is the upper half.
    let good = ((share - 0.4) / 0.6).clamp(0.0, 1.0);
    let mix = |bad: f64, fine: f64| (bad + (fine - bad) * good).round() as u8;
    let (red, green, blue) = (mix(236.0, 206.0), mix(140.0, 232.0), mix(120.0, 170.0));
    let _ = writeln!(
        out,
        "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"2\" fill=\"#{red:02x}{green:02x}{blue:02x}\"/>",
        x + 2,
        y + 4,
        CELL - 4,
        ROW - 8
    );
    text(out, x + CELL / 2, y + 19, "text-anchor=\"middle\"", &format!("{:.1}", 100.0 * share));
}

fn text(out: &mut String, x: usize, y: usize, attributes: &str, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let content: String = content.chars().filter(|c| !c.is_control()).collect();
    let _ = writeln!(out, "<text x=\"{x}\" y=\"{y}\" {attributes}>{content}</text>");
}
