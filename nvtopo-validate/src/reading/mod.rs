//! Outputs of benchmarks that the core's sources do not read: copies from and to the host, latencies, collectives. Those that
//! the core reads, as measurements of a topology, are matched with the devices of the machine.

pub(crate) mod collective;
pub(crate) mod copies;
pub(crate) mod host_copies;
pub(crate) mod latency;
pub(crate) mod matrix;
pub(crate) mod sections;
