//! The legend of shapes: only of what occurs.

use super::drawing::{Drawing, FAINT, GAP, SMALL, WIDTH, line, rectangle, text};
use super::font::text_width;
use super::scene::{Scene, marks};
use nvtopo::model::NodeKind;

/// The size of a sample.
const SAMPLE: (f64, f64) = (24.0, 14.0);

/// Draws the legend of shapes.
pub(super) fn legend(scene: &Scene<'_>) -> Option<Drawing> {
    let topology = scene.topology;
    let (gpus, devices) = (topology.gpus().len(), topology.devices().len());
    let disks = topology.nodes().any(|(_, node)| matches!(node.kind, NodeKind::Nvme(_)));
    let faults = (0..devices).any(|device| !marks(topology, device).is_empty());
    let divided = (0..gpus).any(|gpu| topology.gpu_instances(gpu).next().is_some());
    let mut entries = Vec::new();
    let mut add = |shown: bool, words: &str, sample: Drawing| {
        if shown {
            let mut entry = Drawing::new(SAMPLE.0 + 8.0 + text_width(words, SMALL, false), 16.0);
            entry.put(0.0, 1.0, sample);
            entry.draw(text(SAMPLE.0 + 8.0, 12.0, words).set("font-size", SMALL).set("class", FAINT));
            entries.push(entry);
        }
    };
    add(gpus > 0, "GPU", sample("gpu", 4.0));
    add(!scene.chosen.is_empty(), "chosen GPU, with its rank", sample("chosen", 4.0));
    add(devices > gpus, "NIC", sample("nic", 7.0));
    add(disks, "NVMe disk", sample("disk", 2.0));
    let mut crossed = sample("gpu fault", 4.0);
    for (from, to) in [((9.0, 3.0), (15.0, 11.0)), ((9.0, 11.0), (15.0, 3.0))] {
        crossed.draw(line(from, to).set("class", "cross"));
    }
    add(faults, "with a fault (dashes, cross)", crossed);
    let mut sliced = sample("gpu", 4.0);
    for slice in 0..2 {
        sliced.draw(rectangle(5.0 + 7.0 * f64::from(slice), 8.0, 5.0, 3.0).set("class", "slice"));
    }
    add(divided, "divided into MIG instances", sliced);
    let mut used = Drawing::new(SAMPLE.0, SAMPLE.1);
    used.draw(line((0.0, 7.0), (SAMPLE.0, 7.0)).set("class", "used").set("stroke-width", 4));
    add(scene.used.get(), "used by the chosen GPUs", used);
    (!entries.is_empty()).then(|| Drawing::flow(1.5 * GAP, entries, WIDTH))
}

fn sample(class: &str, round: f64) -> Drawing {
    let mut sample = Drawing::new(SAMPLE.0, SAMPLE.1);
    sample.draw(rectangle(0.0, 0.0, SAMPLE.0, SAMPLE.1).set("rx", round).set("class", class));
    sample
}
