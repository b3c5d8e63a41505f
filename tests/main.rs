//! Integration tests: one file per theme.

/// A fact of a device with some of its fields set: facts have no literals outside of the library.
macro_rules! fact {
    ($fact:expr, $($field:ident = $value:expr),+ $(,)?) => {{
        let mut fact = $fact;
        $(fact.$field = $value;)+
        fact
    }};
}

mod allocator;
mod choose;
mod collective;
mod collective_switches;
mod cpu_policies;
mod cpus;
mod dense;
mod devices;
mod domains;
mod exports;
mod hostile;
mod house;
#[cfg(feature = "hwloc")]
mod hwloc;
mod hwloc_xml;
mod imperfect;
mod json;
mod launch_formats;
mod layout;
mod lost;
mod made_trees;
mod matrix;
mod measured;
mod measured_field;
mod merge;
mod merge_rules;
mod mistakes;
mod models;
mod nccl_search;
mod near;
mod needs;
mod nics;
mod numbers;
mod nvlink_status;
mod other_binders;
mod picture;
mod plan;
mod preset;
mod ranks;
mod same_machine;
mod smi_matrix;
#[cfg(feature = "snapshot")]
mod snapshot;
mod solve;
mod support;
mod sysfs;
mod unknown;
mod unlike;
mod visible;

use support::{generate, linked_pairs, made_machine, oracle};
