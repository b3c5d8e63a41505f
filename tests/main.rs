//! Integration tests: one file per theme.

mod cpus;
mod generate;
mod house;
mod hwloc_xml;
mod json;
mod measured;
mod merge;
mod preset;
mod smi_matrix;
mod solve;
mod sysfs;
