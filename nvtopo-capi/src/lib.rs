//! The C face: converts, calls the core, converts back. `include/nvtopo.h` is generated from it.
//!
//! One file for each C type, and one more for what is asked of a topology's GPUs. All pointers become references and
//! texts in `handle`, all errors and panics become codes in `status`; nothing here decides anything, and no function but
//! those two files' knows how C calls.
#![allow(non_camel_case_types, reason = "the names are those of the header")]

pub mod allocator;
pub mod best_set;
pub mod binding;
pub mod chooser;
pub mod cpuset;
pub mod diff;
pub mod environment;
pub mod explanation;
pub mod gpu;
mod handle;
pub mod instance;
pub mod lists;
pub mod local_rank;
pub mod locality;
pub mod placement;
pub mod plan;
pub mod ranks;
pub mod request;
pub mod rules;
pub mod shares;
pub mod snapshot;
pub mod status;
pub mod topology;
pub mod visible;
pub mod written;
