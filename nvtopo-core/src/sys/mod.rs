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

/// The bits of a machine word, of which the kernel and the driver make sets.
#[allow(dead_code, reason = "not every system and build has such sets")]
pub(crate) const WORD_BITS: usize = std::ffi::c_ulong::BITS as usize;

/// Returns the numbers of the bits that are set.
#[allow(dead_code, reason = "not every system and build has such sets")]
pub(crate) fn bits(words: &[std::ffi::c_ulong]) -> impl Iterator<Item = u32> {
    let bits = 0..words.len() * WORD_BITS;
    let set = bits.filter(|bit| words[bit / WORD_BITS] >> (bit % WORD_BITS) & 1 == 1);
    set.map(|bit| bit as u32)
}
