//! The machine that runs, as libhwloc sees it.
//!
//! The library is asked for its own XML of the live machine, which our reader of such files then reads: there is one
//! way from hwloc's words to a topology. Files never go to the library, which breaks off the whole process on some that
//! are damaged.

#[cfg(not(feature = "hwloc"))]
mod disabled;
#[cfg(feature = "hwloc")]
mod enabled;

#[cfg(not(feature = "hwloc"))]
pub(super) use disabled::fragment;
#[cfg(feature = "hwloc")]
pub(super) use enabled::fragment;
