//! Integration tests: one file per theme.

mod house;
mod json;
mod merge;
mod preset;
mod smi_matrix;
mod solve;
mod sysfs;
