//! A report as a picture: a bar for each policy, and beside it what jobs of each size got of the best.

use crate::{PolicyReport, Report};
use nvtopo_draw::Theme;
use nvtopo_draw::svg::drawing::{Drawing, FAINT, GREEN, HEAD, centred, rectangle, text};

/// Pixels.
const ROW: f64 = 30.0;
const TOP: f64 = 62.0;
const LABELS: f64 = 130.0;
const BARS: f64 = 330.0;
const CELL: f64 = 66.0;
const BETWEEN: f64 = 30.0;

pub(super) fn simulation(report: &Report) -> String {
    let sizes: Vec<usize> =
        report.sizes.iter().enumerate().filter(|(_, size)| size.gpus > 1).map(|(at, _)| at).collect();
    let below = TOP + ROW * report.policies.len() as f64 + 24.0;
    let mut picture = Drawing::new(LABELS + BARS + BETWEEN + CELL * sizes.len() as f64, below);
    let machine = report.machine.as_deref().unwrap_or("A machine");
    let title = text(0.0, 10.0, &format!("{machine}: what jobs get of its rings"));
    picture.draw(title.set("font-size", HEAD).set("font-weight", "bold"));
    let blocked = 100.0 * report.blocked as f64 / report.jobs as f64;
    let offered = report.offered.map_or_else(String::new, |part| format!(", offered load {part:.2}"));
    let facts = format!("{} jobs, {blocked:.1} % turned away{offered}", report.jobs);
    picture.draw(text(0.0, 28.0, &facts).set("class", FAINT));
    let unit = "ring bandwidth of a job with several GPUs, GB/s";
    picture.draw(text(LABELS, TOP - 12.0, unit).set("class", FAINT));
    let column = |place: usize| LABELS + BARS + BETWEEN + CELL * place as f64;
    for (place, at) in sizes.iter().enumerate() {
        let head = format!("{} GPUs", report.sizes[*at].gpus);
        picture.draw(centred(column(place) + CELL / 2.0, TOP - 12.0, &head).set("class", FAINT));
    }
    let bandwidth = |policy: &PolicyReport| policy.mean.map_or(0.0, |mean| mean.gb_per_s);
    let most = report.policies.iter().map(bandwidth).fold(0.0, f64::max);
    for (row, policy) in report.policies.iter().enumerate() {
        let y = TOP + ROW * row as f64;
        let (top, base) = (y + 4.0, y + 19.0);
        picture.draw(text(LABELS - 10.0, base, policy.policy).set("text-anchor", "end"));
        if let Some(mean) = policy.mean.filter(|_| most > 0.0) {
            let length = (mean.gb_per_s / most * (BARS - 60.0)).max(1.0);
            picture.draw(rectangle(LABELS, top, length, ROW - 8.0).set("rx", 2).set("class", GREEN));
            picture.draw(text(LABELS + length + 6.0, base, &format!("{:.1}", mean.gb_per_s)));
        }
        for (place, at) in sizes.iter().enumerate() {
            if let Some(share) = policy.by_size.get(*at).copied().flatten() {
                let x = column(place);
                let field = rectangle(x + 2.0, top, CELL - 4.0, ROW - 8.0).set("rx", 2);
                picture.draw(field.set("fill", colour(share)));
                let share = format!("{:.1}", 100.0 * share);
                picture.draw(centred(x + CELL / 2.0, base, &share).set("class", "cell-ink"));
            }
        }
    }
    let note = text(picture.width, below - 4.0, "of the best of each size, in percent");
    picture.draw(note.set("class", FAINT).set("text-anchor", "end"));
    let about = format!("{facts}. Bars: {unit}, by policy.");
    picture.document(&format!("{machine}: what jobs get of its rings"), &about, Theme::Auto)
}

/// The redder the less of the best.
fn colour(share: f64) -> String {
    // What matters is the upper half.
    let good = ((share - 0.4) / 0.6).clamp(0.0, 1.0);
    let mix = |bad: f64, fine: f64| (bad + (fine - bad) * good).round() as u8;
    let (red, green, blue) = (mix(236.0, 206.0), mix(140.0, 232.0), mix(120.0, 170.0));
    format!("#{red:02x}{green:02x}{blue:02x}")
}
