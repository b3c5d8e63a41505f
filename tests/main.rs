//! Integration tests: one file per theme.

mod choose;
mod collective;
mod collective_switches;
mod cpu_policies;
mod cpus;
mod devices;
mod domains;
mod exports;
mod generate;
mod hostile;
mod house;
#[cfg(feature = "hwloc")]
mod hwloc;
mod hwloc_xml;
mod json;
mod launch_formats;
mod linked_pairs;
mod made_machine;
mod made_trees;
mod matrix;
mod measured;
mod measured_field;
mod merge;
mod mistakes;
mod near;
mod needs;
mod node;
mod nvlink_status;
mod oracle;
mod other_binders;
mod partition;
mod picture;
mod plan;
mod preset;
mod ranks;
mod same_machine;
mod simulate;
mod smi_matrix;
#[cfg(feature = "snapshot")]
mod snapshot;
mod solve;
mod svg;
mod sysfs;
mod unknown;
mod unlike;
mod visible;
