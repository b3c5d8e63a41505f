//! NVIDIA's driver: GPUs, NVLinks and affinities as its management library (NVML) tells them.
//!
//! The library is opened when it is asked, so that the same program runs where there is none. Calls are in `enabled`;
//! what they answer is [`seen`], plain facts that [`fragment`] turns into a fragment. MIG instances are only noted.

#[cfg(not(feature = "nvml"))]
mod disabled;
#[cfg(feature = "nvml")]
mod enabled;
#[cfg(feature = "nvml")]
mod fragment;
#[cfg(feature = "nvml")]
mod gpu;
#[cfg(feature = "nvml")]
mod nvlinks;
#[cfg(feature = "nvml")]
mod seen;
#[cfg(feature = "nvml")]
mod troubles;

use crate::ids::PciAddress;
use crate::model::{Fragment, Link};
use std::collections::BTreeMap;

#[cfg(not(feature = "nvml"))]
pub(super) use disabled::ask;
#[cfg(feature = "nvml")]
pub(super) use enabled::ask;

/// What came of asking the driver.
#[allow(dead_code, reason = "with the feature and without it, only some answers are given")]
pub(super) enum Answer {
    /// It told.
    Told(Box<Told>),
    /// There is no driver here, as on any machine without GPUs: why it could not be asked.
    Absent(String),
    /// There is one, and it did not answer: why.
    Failed(String),
    /// This build cannot ask.
    NotAsked,
}

/// What the driver told.
pub(super) struct Told {
    pub(super) fragment: Fragment,
    /// The numbers by which the driver names the GPUs of which it told the address.
    pub(super) numbers: BTreeMap<PciAddress, u32>,
    /// The other numbers that it gave out, increasing: of GPUs that it lost, for example.
    pub(super) nameless: Vec<u32>,
    /// The PCIe links of the GPUs.
    pub(super) pcie: BTreeMap<PciAddress, Link>,
}
