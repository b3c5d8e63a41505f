//! Integration tests: one file per theme.

<<<<<<< HEAD
mod cpus;
=======
mod generate;
>>>>>>> 1f42bff (Write and read topologies as versioned JSON, and publish its schema)
mod house;
mod json;
mod merge;
mod preset;
mod smi_matrix;
mod solve;
mod sysfs;
