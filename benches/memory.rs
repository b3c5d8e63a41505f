//! The memory that a topology holds, with its pair table and groups.

use nvtopo::Topology;
use nvtopo::source::PRESETS;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    println!("{:<22} {:>6} {:>6} {:>6} {:>10}", "machine", "GPUs", "NICs", "nodes", "KiB held");
    for preset in PRESETS {
        let region = Region::new(ALLOCATOR);
        let topology = Topology::preset(preset.name).expect("a preset");
        topology.pairs();
        topology.nvlink_groups();
        let change = region.change();
        let held = change.bytes_allocated.cast_signed() - change.bytes_deallocated.cast_signed()
            + change.bytes_reallocated;
        println!(
            "{:<22} {:>6} {:>6} {:>6} {:>10.0}",
            preset.name,
            topology.gpus().len(),
            topology.nics().len(),
            topology.node_count(),
            held as f64 / 1024.0
        );
    }
}
