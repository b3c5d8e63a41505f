//! System calls, and the calls to NVIDIA's driver that have no safe wrapper: all of the core's `unsafe`. It uses layer
//! 1 only.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(feature = "nvml")]
pub(crate) mod nvml;
#[cfg(not(target_os = "linux"))]
mod other;

#[cfg(target_os = "linux")]
pub(crate) use linux::{affinity, end_with_parent, set_affinity, threads};
#[cfg(target_os = "linux")]
pub(crate) use memory::*;
#[cfg(not(target_os = "linux"))]
pub(crate) use other::*;

// From the kernel's `include/uapi/linux/mempolicy.h`.
pub(crate) const MPOL_DEFAULT: i32 = 0;
pub(crate) const MPOL_PREFERRED: i32 = 1;
pub(crate) const MPOL_BIND: i32 = 2;
pub(crate) const MPOL_INTERLEAVE: i32 = 3;
pub(crate) const MPOL_LOCAL: i32 = 4;
pub(crate) const MPOL_PREFERRED_MANY: i32 = 5;
