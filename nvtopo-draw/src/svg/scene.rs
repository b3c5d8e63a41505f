//! The scene that all parts of one picture share: the machine, the chosen GPUs, the sizes of cells, and the strokes that were drawn.

use super::devices::CROSS;
use super::drawing::{Drawing, FAINT, GAP, NAME, SMALL, line, text};
use super::font::text_width;
use crate::words;
use nvtopo::model::{LinkKind, NodeId, Rate};
use nvtopo::{Bandwidth, Placement, Topology};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

/// The least and greatest width of a device.
const NARROW: f64 = 66.0;
const WIDE: f64 = 128.0;

/// The most chosen GPUs whose ring is looked for, and the most strokes that the legend explains.
const MOST_IN_RING: usize = 16;
const MOST_STROKES: usize = 8;

/// A kind of stroke. Its thickness is that of its bandwidth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stroke {
    NvLink,
    C2c,
    Pcie,
}

impl Stroke {
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::NvLink => "nvlink",
            Self::C2c => "c2c",
            Self::Pcie => "pcie",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::NvLink => "NVLink",
            Self::C2c => "NVLink-C2C",
            Self::Pcie => "PCIe",
        }
    }
}

/// A picture in the making.
pub(super) struct Scene<'a> {
    pub(super) topology: &'a Topology,
    pub(super) placement: Option<&'a Placement>,
    /// The rank of each chosen GPU, by position.
    pub(super) chosen: BTreeMap<usize, usize>,
    /// The pairs that are neighbours in a ring of the chosen GPUs, the lower position first.
    pub(super) ring: BTreeSet<(usize, usize)>,
    /// The width of a device.
    pub(super) cell: f64,
    /// True where a device has a third line.
    pub(super) tall: bool,
    /// True where a stroke of the chosen GPUs was drawn.
    pub(super) used: Cell<bool>,
    strokes: RefCell<BTreeSet<(Stroke, Option<Bandwidth>)>>,
}

impl<'a> Scene<'a> {
    pub(super) fn new(topology: &'a Topology, placement: Option<&'a Placement>) -> Self {
        let gpus = placement.map_or(&[][..], Placement::gpus);
        let chosen: BTreeMap<usize, usize> =
            gpus.iter().enumerate().map(|(rank, gpu)| (gpu.position, rank)).collect();
        let positions: Vec<usize> = chosen.keys().copied().collect();
        let rings =
            (2..=MOST_IN_RING).contains(&positions.len()).then(|| topology.rings(&positions)).flatten();
        let orders = rings.into_iter().flat_map(|rings| rings.rings).map(|ring| ring.order);
        let ring = orders.flat_map(|order| {
            let next = order.iter().copied().cycle().skip(1).take(order.len()).collect::<Vec<_>>();
            order.into_iter().zip(next).map(|(a, b)| (a.min(b), a.max(b))).collect::<Vec<_>>()
        });
        let marked = (0..topology.devices().len()).any(|device| !marks(topology, device).is_empty());
        let divided = (0..topology.gpus().len()).any(|gpu| topology.gpu_instances(gpu).next().is_some());
        Self {
            topology,
            placement,
            ring: ring.collect(),
            cell: cell_width(topology),
            tall: marked || divided || !chosen.is_empty(),
            chosen,
            used: Cell::new(false),
            strokes: RefCell::default(),
        }
    }

    pub(super) fn is_chosen(&self, gpu: usize) -> bool {
        self.chosen.contains_key(&gpu)
    }

    /// Draws a stroke as thick as its bandwidth, dotted where that is unknown. The legend will tell of it.
    pub(super) fn stroke(
        &self,
        kind: Stroke,
        rate: Option<Rate>,
        from: (f64, f64),
        to: (f64, f64),
    ) -> ::svg::node::element::Line {
        let bandwidth = rate.map(|rate| rate.bandwidth);
        self.strokes.borrow_mut().insert((kind, bandwidth));
        stroke(kind, bandwidth, from, to)
    }

    /// Returns the rate of the PCIe link of a device or switch towards the host.
    pub(super) fn uplink(&self, id: NodeId) -> Option<Rate> {
        let above: Vec<NodeId> = self.topology.ancestors(id).collect();
        let mut links = self
            .topology
            .links_of(id)
            .filter(|(far, link)| link.kind == LinkKind::Pcie && above.contains(far));
        links.find_map(|(_, link)| link.rate)
    }

    /// Draws the legend of the strokes: their kinds and bandwidths, one direction.
    pub(super) fn strokes(&self) -> Option<Drawing> {
        let strokes = self.strokes.borrow();
        let drawn: Vec<Drawing> = strokes
            .iter()
            .take(MOST_STROKES)
            .map(|(kind, bandwidth)| {
                let rate = bandwidth.map_or_else(|| "unknown".to_owned(), |own| own.to_string());
                let words = format!("{} {rate}", kind.name());
                let mut entry = Drawing::new(34.0 + text_width(&words, SMALL, false), 16.0);
                entry.draw(stroke(*kind, *bandwidth, (0.0, 8.0), (28.0, 8.0)));
                entry.draw(text(34.0, 12.0, &words).set("font-size", SMALL).set("class", FAINT));
                entry
            })
            .collect();
        let more = strokes.len().saturating_sub(MOST_STROKES);
        let more =
            (more > 0).then(|| Drawing::line(&format!("and {more} other bandwidths"), SMALL, false, FAINT));
        let lead = Drawing::line("Thickness: bandwidth, one direction", SMALL, false, FAINT);
        (!drawn.is_empty()).then(|| {
            let entries = std::iter::once(lead).chain(drawn).chain(more);
            Drawing::flow(1.5 * GAP, entries, super::drawing::WIDTH)
        })
    }
}

/// Returns the faults of a device.
pub(crate) fn marks(topology: &Topology, device: usize) -> Vec<String> {
    let kind = &topology.node(topology.devices()[device]).kind;
    match (kind.as_gpu(), kind.as_nic()) {
        (Some(gpu), _) => words::gpu_marks(topology, device, gpu),
        (_, Some(nic)) => words::nic_marks(nic),
        _ => Vec::new(),
    }
}

/// Returns the width that the longest name, with the cross of a fault, and the memory of GPUs need.
fn cell_width(topology: &Topology) -> f64 {
    let names = (0..topology.devices().len()).map(|device| {
        let cross = if marks(topology, device).is_empty() { 0.0 } else { CROSS };
        text_width(&words::name(topology, device), NAME, true) + cross
    });
    let facts = topology.gpus().map(|gpu| text_width(&words::gpu_memory(topology, gpu), SMALL, false));
    (names.chain(facts).fold(0.0, f64::max) + 16.0).clamp(NARROW, WIDE).ceil()
}

/// Returns the thickness of a stroke: the root of the bandwidth, so that 16 GB/s of PCIe and 900 of NVLink both fit.
fn thickness(bandwidth: Option<Bandwidth>) -> f64 {
    bandwidth.map_or(1.0, |bandwidth| (bandwidth.as_gb_per_s().max(0.0).sqrt() * 0.45).clamp(1.0, 12.0))
}

fn stroke(
    kind: Stroke,
    bandwidth: Option<Bandwidth>,
    from: (f64, f64),
    to: (f64, f64),
) -> ::svg::node::element::Line {
    let drawn = line(from, to).set("class", kind.class());
    let drawn = drawn.set("stroke-width", super::drawing::short(thickness(bandwidth)));
    if bandwidth.is_none() { drawn.set("stroke-dasharray", "2 3") } else { drawn }
}
