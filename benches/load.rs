//! The time to read an hwloc XML file, beside that of roxmltree for the tree of its elements alone.
//!
//! Rounds alternate, so that a busy machine slows both; the ratio is what counts.

mod timing;

use nvtopo::Topology;
use std::hint::black_box;
use timing::{median, time};

const ROUNDS: usize = 41;

fn main() {
    println!("{:<32} {:>6} {:>12} {:>12} {:>8}", "file", "KiB", "nvtopo", "roxmltree", "ratio");
    for name in ["nvidiaDGX2", "llnl-g4dnmetal", "192em64t-24n8c2t"] {
        let path = format!("{}/../tests/data/hwloc-xml/{name}.xml", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(path).expect("a recorded machine");
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(time(|| Topology::parse(name, black_box(&bytes)).expect("a topology").node_count()));
            theirs.push(time(|| xml_alone(black_box(&bytes))));
        }
        let (ours, theirs) = (median(ours), median(theirs));
        let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
        println!("{name:<32} {:>6} {ours:>12.1?} {theirs:>12.1?} {ratio:>7.2}x", bytes.len() >> 10);
    }
}

fn xml_alone(bytes: &[u8]) -> usize {
    let text = std::str::from_utf8(bytes).expect("UTF-8");
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(text, options).expect("XML");
    document.root_element().range().len()
}
