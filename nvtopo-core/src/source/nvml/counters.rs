//! Facts that change all the time and are no part of a topology: counters of NVLinks, and processes on GPUs.

use crate::ids::GpuUuid;
use serde::{Deserialize, Serialize};

/// The counters of one NVLink, since the driver was loaded or the GPU was reset. Judge them by the change between two
/// readings, never by one. `None`: this generation, or its driver, does not count it.
///
/// Source: NVML, `nvmlNvLinkErrorCounter_t` (up to Hopper) and the fields `NVML_FI_DEV_NVLINK_…` (the others).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct NvLinkCounters {
    /// The number of the GPU; see [`Gpu::index`](crate::model::Gpu::index).
    pub gpu: u32,
    /// Its UUID. A document of counters leaves it out.
    #[serde(skip)]
    pub uuid: Option<GpuUuid>,
    /// The number of the link on this GPU.
    pub link: u32,
    /// The number of the port or link at its other end. Lines of the kernel's log about an NVSwitch name ports.
    pub far_link: Option<u32>,
    /// Packets that were sent again. Up to Hopper, as are the next three.
    pub replays: Option<u64>,
    /// The number of times that the link had to be set up anew.
    pub recoveries: Option<u64>,
    /// Flow control digits that arrived damaged.
    pub crc_flit: Option<u64>,
    /// Data that arrived damaged.
    pub crc_data: Option<u64>,
    /// Packets that arrived malformed. From Blackwell on, as are the others below but for the bytes.
    pub malformed_packets: Option<u64>,
    /// Packets that were thrown away because a buffer was full.
    pub buffer_overruns: Option<u64>,
    /// Packets that arrived with an error of any kind.
    pub receive_errors: Option<u64>,
    /// Packets that arrived with the mark of an error elsewhere.
    pub remote_errors: Option<u64>,
    /// Packets that arrived with a header that does not fit.
    pub header_errors: Option<u64>,
    /// The number of times that errors of this end exceeded a limit.
    pub integrity_errors: Option<u64>,
    /// Packets that were not sent, because they were damaged.
    pub send_discards: Option<u64>,
    /// The number of times that the link was lost and came back.
    pub recoveries_succeeded: Option<u64>,
    /// The number of times that it was lost and stayed down.
    pub recoveries_failed: Option<u64>,
    /// The number of times that it was lost, whatever came of it.
    pub recoveries_begun: Option<u64>,
    /// Bytes of data that were sent, without those of the protocol where the generation counts them separately.
    pub sent_bytes: Option<u64>,
    /// Bytes that were received, likewise.
    pub received_bytes: Option<u64>,
}

/// A process that computes on a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct GpuProcess {
    /// The number of the GPU; see [`Gpu::index`](crate::model::Gpu::index).
    pub gpu: u32,
    /// The number of the process on the host, outside of all containers.
    pub pid: u32,
}

impl GpuProcess {
    /// Creates a process by the numbers of its GPU and its own.
    pub const fn new(gpu: u32, pid: u32) -> Self {
        Self { gpu, pid }
    }
}
