//! The kubelet: how to set it up for a machine, and what it will do.

pub mod predict;
