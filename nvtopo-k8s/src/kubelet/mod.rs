//! The kubelet: how to set it up for a machine, and what it will do.

mod board;
pub mod cmdline;
pub mod config;
mod cpulist;
pub mod effective;
mod fields;
pub mod lint;
pub mod options;
pub mod predict;
mod tree;
