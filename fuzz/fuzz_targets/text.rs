//! Any text: what reads it must end with a topology or an error, and everything must be askable of the topology.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nvtopo::{CpuRules, Request, Topology, share_cpus};
use nvtopo_draw::{RENDERERS, Style};

fuzz_target!(|bytes: &[u8]| {
    let Ok(topology) = Topology::parse("input", bytes) else { return };
    let written = topology.to_json();
    assert_eq!(Topology::parse("written", written.as_bytes()).expect("what was written can be read"), topology);
    // Large machines take long to ask, and find nothing that small ones do not.
    if topology.devices().len() > 64 {
        return;
    }
    let _ = topology.nvlink_groups();
    let _ = topology.with_reported_rates();
    let _ = share_cpus(&topology, &CpuRules::default());
    for render in RENDERERS {
        let _ = render.topology(&topology, Style::default());
    }
    for count in 2..=3 {
        if let Ok(placement) = Request::gpus(count).solve(&topology) {
            assert_eq!(placement.gpus().len(), count);
        }
    }
});
