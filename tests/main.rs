//! Integration tests: one file per theme.

mod cpus;
mod house;
mod json;
mod merge;
mod preset;
mod smi_matrix;
mod solve;
mod sysfs;
