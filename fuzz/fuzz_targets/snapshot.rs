//! Snapshots: the input is the archive before compression, so that changes get through to what reads it.

#![no_main]

use flate2::{Compression, write::GzEncoder};
use libfuzzer_sys::fuzz_target;
use nvtopo::Topology;
use std::io::Write;

fuzz_target!(|archive: &[u8]| {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(archive).expect("memory takes all");
    let packed = packed.finish().expect("memory takes all");
    if let Ok(topology) = Topology::parse("input.tar.gz", &packed) {
        let _ = topology.pairs();
        let _ = topology.to_json();
    }
});
