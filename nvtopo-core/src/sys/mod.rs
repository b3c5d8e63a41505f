//! System calls, and the calls to NVIDIA's driver that have no safe wrapper: all of the core's `unsafe`. Knows the
//! words of layer 1 and nothing else.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(feature = "nvml")]
pub(crate) mod nvml;
#[cfg(not(target_os = "linux"))]
mod other;

#[cfg(target_os = "linux")]
pub(crate) use linux::{affinity, prefer_memory, set_affinity, threads};
#[cfg(not(target_os = "linux"))]
pub(crate) use other::{affinity, prefer_memory, set_affinity, threads};
