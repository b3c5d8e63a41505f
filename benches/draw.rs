//! The time to draw a machine, and what is drawn: SVG, a page, and PNG where that is built in. The rack of 72 GPUs is to take less
//! than 200 ms as SVG, and its page less than 1 MB.

mod timing;

use nvtopo::model::{
    Basis, Fragment, Gpu, Link, LinkKind, NodeId, NumaNode, NvSwitch, Provenance, Rate, TopologyBuilder,
};
use nvtopo::{Bandwidth, Topology};
use nvtopo_draw::{Picture, PictureFormat};
use std::hint::black_box;
use timing::{median, time};

const ROUNDS: usize = 11;

fn main() {
    println!("{:<22} {:>6} {:>12} {:>9}", "machine", "", "median", "KiB");
    for name in ["dgx-1-v100", "dgx-2", "dgx-h100"] {
        row(name, &Topology::preset(name).expect("a preset"));
    }
    row("rack of 72", &rack(72));
}

fn row(name: &str, topology: &Topology) {
    topology.pairs();
    for format in PictureFormat::ALL {
        let Ok(drawn) = Picture::new(topology).draw(format) else { continue };
        let times =
            (0..ROUNDS).map(|_| time(|| black_box(Picture::new(black_box(topology)).draw(format)).is_ok()));
        let median = median(times.collect());
        println!("{name:<22} {:>6} {median:>12.1?} {:>9}", format.name(), drawn.len() >> 10);
    }
}

/// GPUs on one NVSwitch fabric, in pairs on the CPUs of their trays.
fn rack(gpus: u32) -> Topology {
    let mut fragment = Fragment::new(Provenance::Preset);
    let switch = fragment.add(NodeId::MACHINE, NvSwitch::default());
    let mut numa = NodeId::MACHINE;
    let rate = |mb_per_s| Rate::new(Bandwidth::from_mb_per_s(mb_per_s), Basis::Nominal);
    for index in 0..gpus {
        if index % 2 == 0 {
            let mut node = NumaNode::new(index / 2);
            node.cpus = (36 * index..36 * (index + 2)).collect();
            numa = fragment.add(NodeId::MACHINE, node);
        }
        let gpu = fragment.add(numa, Gpu::new(index));
        fragment.link(gpu, switch, Link::new(LinkKind::NvLink).with_lanes(18).with_rate(rate(900_000)));
        fragment.link(gpu, numa, Link::new(LinkKind::C2c).with_rate(rate(225_000)));
    }
    TopologyBuilder::new().with(fragment).build().expect("a machine")
}
