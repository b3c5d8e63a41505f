//! Integration tests: one file per theme.

mod choose;
mod collective;
mod cpus;
mod devices;
mod generate;
mod house;
#[cfg(feature = "hwloc")]
mod hwloc;
mod hwloc_xml;
mod json;
mod linked_pairs;
mod matrix;
mod measured;
mod merge;
mod partition;
mod picture;
mod preset;
mod ranks;
mod same_machine;
mod simulate;
mod smi_matrix;
#[cfg(feature = "snapshot")]
mod snapshot;
mod solve;
mod sysfs;
mod visible;
