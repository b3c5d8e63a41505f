//! Systems other than Linux: nothing can be bound there.

use crate::cpuset::{CpuSet, NodeSet};
use std::io::{Error, ErrorKind, Result};

pub(crate) fn affinity(_thread: i32) -> Result<CpuSet> {
    Err(Error::from(ErrorKind::Unsupported))
}

pub(crate) fn set_affinity(_thread: i32, _cpus: &CpuSet) -> Result<()> {
    Err(Error::from(ErrorKind::Unsupported))
}

pub(crate) fn memory_policy() -> Result<(i32, NodeSet)> {
    Err(Error::from(ErrorKind::Unsupported))
}

pub(crate) fn set_memory_policy(_mode: i32, _nodes: &NodeSet) -> Result<()> {
    Err(Error::from(ErrorKind::Unsupported))
}

pub(crate) fn threads() -> Result<Vec<i32>> {
    Err(Error::from(ErrorKind::Unsupported))
}

pub(crate) fn end_with_parent(_command: &mut std::process::Command) {}
