//! The document, in the mock's own names. A fact that is absent has the mock's default.

#![allow(clippy::struct_field_names, reason = "the names are the mock's")]

use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Profile {
    pub(super) version: &'static str,
    pub(super) system: System,
    pub(super) device_defaults: Defaults,
    pub(super) devices: Vec<Device>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) nvlink: Option<NvLink>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pcie_topology: Option<PcieTopology>,
}

#[derive(Serialize)]
pub(super) struct System {
    pub(super) driver_version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cuda_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cuda_version_major: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cuda_version_minor: Option<u32>,
    pub(super) num_devices: usize,
}

/// The facts that the mock has once for all GPUs.
#[derive(Default, Serialize)]
pub(super) struct Defaults {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) compute_capability: Option<Capability>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pcie: Option<Pcie>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mig: Option<Mig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) topology: Option<Level>,
}

#[derive(Clone, Copy, PartialEq, Serialize)]
pub(super) struct Capability {
    pub(super) major: u16,
    pub(super) minor: u16,
}

#[derive(Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Pcie {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_link_gen: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) current_link_gen: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_link_width: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) current_link_width: Option<u16>,
}

#[derive(Clone, Copy, PartialEq, Serialize)]
pub(super) struct Mig {
    pub(super) mode_current: &'static str,
    pub(super) mode_pending: &'static str,
}

/// The class of all paths, where there are no root complexes.
#[derive(Serialize)]
pub(super) struct Level {
    pub(super) default_level: &'static str,
}

#[derive(Default, Serialize)]
pub(super) struct Device {
    pub(super) index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) uuid: Option<String>,
    pub(super) minor_number: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) serial: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) vbios_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) architecture: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) memory: Option<Memory>,
    pub(super) pci: Pci,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fabric: Option<Fabric>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<Failure>,
}

#[derive(Serialize)]
pub(super) struct Memory {
    pub(super) total_bytes: u64,
    pub(super) free_bytes: u64,
    pub(super) used_bytes: u64,
}

#[derive(Default, Serialize)]
pub(super) struct Pci {
    pub(super) bus_id: String,
    /// The vendor in the lower half, the device in the upper; so too the subsystem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) device_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subsystem_id: Option<u32>,
}

#[derive(Serialize)]
pub(super) struct Fabric {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cluster_uuid: Option<String>,
    pub(super) clique_id: u32,
    pub(super) state: &'static str,
    pub(super) health_mask: u32,
    pub(super) health_summary: &'static str,
}

#[derive(Serialize)]
pub(super) struct Failure {
    pub(super) mode: &'static str,
}

#[derive(Serialize)]
pub(super) struct NvLink {
    /// NVML's number for the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<u32>,
    /// The rate of one link, one direction, in MB/s, whatever the name says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bandwidth_per_link_mbps: Option<u64>,
    pub(super) c2c_enabled: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) switches: Vec<Switch>,
    pub(super) device_links: Vec<DeviceLinks>,
}

#[derive(Serialize)]
pub(super) struct Switch {
    pub(super) bdf: String,
}

#[derive(Serialize)]
pub(super) struct DeviceLinks {
    pub(super) index: usize,
    pub(super) links: Vec<Link>,
}

#[derive(Serialize)]
pub(super) struct Link {
    pub(super) link: u32,
    pub(super) state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remote_device_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remote_pci_bus_id: Option<String>,
}

#[derive(Serialize)]
pub(super) struct PcieTopology {
    pub(super) root_complexes: Vec<RootComplex>,
}

#[derive(Serialize)]
pub(super) struct RootComplex {
    pub(super) id: String,
    /// -1 where it is unknown.
    pub(super) numa_node: i64,
    pub(super) devices: Vec<String>,
    pub(super) cpu_affinity: String,
}
