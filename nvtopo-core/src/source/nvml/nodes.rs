//! Nodes of GPUs and their parts from the driver's report, and the meaning of NVML's numbers.

use super::failures::CallFailures;
use super::report::{
    MemoryNode, ReportedFabric, ReportedGpu, ReportedInstance, ReportedNvlink, ReportedPcie,
};
use super::wires::{Kinds, far};
use crate::cpuset::{CpuSet, NodeSet};
use crate::ids::ComputeCapability;
use crate::model::{
    Fabric, FabricState, Gpu, GpuInstance, GpuUsage, Link, MigMode, MigPlacement, NvLinkPort, P2pStatus,
    PciFacts, PcieSpeed, PcieTraining, Stated, rates,
};
use crate::units::Bandwidth;
use std::str::FromStr;

/// The notes on recovery actions that the driver asks for, by NVML's numbers.
///
/// Source: `nvmlDeviceGpuRecoveryAction_t`.
pub(super) const RECOVERY_NOTES: &[(&[u32], &str)] = &[
    (RESET, "the driver asks for a reset; no job can use it until then"),
    (RESTART, "the driver asks for a restart of the machine; no job can use it until then"),
    (&[3], "the driver asks to end peer-to-peer traffic with it"),
    (&[4], "the driver asks to take the jobs off it and to reset it; a part of it has failed"),
    (&[5], "the driver asks to repair its IMEX domain"),
];

/// Resets of the GPU, and of its bus.
const RESET: &[u32] = &[1, 6];

/// Restarts of the machine, and of all machines of the system.
const RESTART: &[u32] = &[2, 7];

/// Returns why no job can use a GPU.
pub(super) fn unusable(gpu: &ReportedGpu, failures: &CallFailures) -> Option<&'static str> {
    let asked = |actions: &[u32]| gpu.recovery.is_some_and(|action| actions.contains(&action));
    unusable_by_calls(gpu.index, failures)
        .or(asked(RESET).then_some("needs a reset"))
        .or(asked(RESTART).then_some("needs a restart of the machine"))
}

/// Returns why no job can use a GPU, as far as it follows from calls that failed.
pub(super) fn unusable_by_calls(index: u32, failures: &CallFailures) -> Option<&'static str> {
    match () {
        () if failures.is_lost(index) => Some("has fallen off the bus"),
        () if failures.needs_reset(index) => Some("needs a reset"),
        () if failures.is_hung(index) => Some("does not answer the driver"),
        () => None,
    }
}

/// Returns a GPU, without the reason why no job can use it.
pub(super) fn gpu(own: &ReportedGpu, kinds: &Kinds) -> Gpu {
    Gpu {
        index: own.index,
        minor: own.minor,
        model: own.model.clone(),
        compute_capability: own.capability.map(|own| own.0),
        uuid: own.uuid.map(|own| own.0),
        serial: own.serial.clone(),
        firmware: own.firmware.clone(),
        address: own.address.map(|own| own.0),
        pci: pci(own),
        memory: own.memory,
        cpus: stated::<CpuSet>(own.cpus.as_deref()),
        nodes: stated::<NodeSet>(own.nodes.as_deref()),
        memory_node: match own.memory_node {
            MemoryNode::Unknown => Stated::Unstated,
            MemoryNode::None => Stated::NotAvailable,
            MemoryNode::Node(node) => Stated::Known(node),
        },
        mig: own.mig.map(|(current, pending)| MigMode { current, pending }),
        fabric: own.fabric.as_ref().and_then(fabric),
        nvlinks: own.nvlinks.links.iter().map(|link| port(own, link, kinds)).collect(),
        unusable: None,
        usage: GpuUsage {
            processes: own.processes,
            memory_used: own.memory_used,
            memory_free: own.memory_free,
        },
        nccl: None,
    }
}

/// Returns the facts of PCI. The lower half of an id is the vendor, the upper half the device.
fn pci(own: &ReportedGpu) -> PciFacts {
    let halves = |id: Option<u32>| id.map(|id| (id as u16, (id >> 16) as u16));
    let ((vendor, device), (subsystem_vendor, subsystem_device)) =
        (halves(own.pci_device).unzip(), halves(own.pci_subsystem).unzip());
    let link = Some(training(&own.pcie)).filter(|link| *link != PcieTraining::default());
    PciFacts { vendor, device, subsystem_vendor, subsystem_device, link, ..PciFacts::default() }
}

/// Returns the training of the PCIe link. The maximum of GPU and port together is a lower bound of the port's.
fn training(pcie: &ReportedPcie) -> PcieTraining {
    let speed = |generation: Option<u32>, width: Option<u32>| PcieSpeed {
        generation: generation.and_then(|own| u8::try_from(own).ok()).filter(|own| *own > 0),
        width: width.and_then(|own| u16::try_from(own).ok()).filter(|own| *own > 0),
    };
    PcieTraining {
        now: speed(pcie.generation, pcie.width),
        device: speed(pcie.own_generation, None),
        port: speed(pcie.max_generation, pcie.max_width),
    }
}

/// Returns the PCIe link. A GPU that is idle lowers the generation until it is used, so the maximum counts; the width
/// stays as it was negotiated.
pub(super) fn pcie(pcie: &ReportedPcie) -> Option<Link> {
    let generation = pcie.max_generation.or(pcie.generation)?;
    let width = pcie.width.filter(|width| *width > 0).or(pcie.max_width)?;
    Some(rates::pcie(u8::try_from(generation).ok()?, u16::try_from(width).ok()?))
}

/// Returns the place in the NVLink fabric; `None` where the GPU does not support one.
///
/// Source of the numbers: `NVML_GPU_FABRIC_STATE_…`.
fn fabric(own: &ReportedFabric) -> Option<Fabric> {
    let state = match own.state {
        0 => return None,
        1 => FabricState::NotStarted,
        2 => FabricState::InProgress,
        3 => FabricState::Completed,
        _ => FabricState::Unknown,
    };
    let completed = state == FabricState::Completed;
    Some(Fabric {
        state,
        status: completed.then_some(own.status),
        cluster: own.cluster.clone(),
        clique: completed.then_some(own.clique),
        health: own.health,
        health_summary: own.health_summary.filter(|summary| *summary > 0),
    })
}

fn port(gpu: &ReportedGpu, link: &ReportedNvlink, kinds: &Kinds) -> NvLinkPort {
    NvLinkPort {
        number: link.number,
        up: Some(link.up),
        generation: generation(gpu.capability.map(|own| own.0), link.version),
        reported: link.speed.map(Bandwidth::from_mb_per_s),
        far: far(kinds.kind(link.end)),
    }
}

/// Returns the NVLink generation. The architecture goes first, as in [`rates::nvlink_of`], for drivers of H100 report
/// the version of B200.
fn generation(capability: Option<ComputeCapability>, version: Option<u32>) -> Option<u8> {
    let by_version = || version.and_then(rates::nvlink_of_version);
    capability.and_then(rates::nvlink_of_architecture).or_else(by_version)
}

/// Returns the meaning of a number of `nvmlGpuP2PStatus_t`.
pub(super) fn p2p_status(number: u32) -> P2pStatus {
    match number {
        0 => P2pStatus::Ok,
        1 => P2pStatus::ChipsetNotSupported,
        2 => P2pStatus::GpuNotSupported,
        3 => P2pStatus::TopologyNotSupported,
        4 => P2pStatus::DisabledBySetting,
        5 => P2pStatus::NotSupported,
        _ => P2pStatus::Unknown,
    }
}

/// Returns a MIG instance. The profile stands at the end of the product's name: `NVIDIA A100-SXM4-40GB MIG 1g.5gb`.
pub(super) fn instance(own: &ReportedInstance) -> GpuInstance {
    let profile = own.name.as_ref().and_then(|name| Some(name.rsplit_once(" MIG ")?.1.trim().to_owned()));
    GpuInstance {
        uuid: own.uuid.clone(),
        gpu_instance: own.gpu_instance,
        compute_instance: own.compute_instance,
        profile: profile.filter(|profile| !profile.is_empty()),
        slices: own.slices,
        memory: own.memory.map(|mib| mib.saturating_mul(1 << 20)),
        placement: own.placement.map(|(start, size)| MigPlacement { start, size }),
    }
}

/// Reads a set. Ranges must increase, as they do where nvtopo writes them: otherwise a short text could take much work.
pub(super) fn stated<T: FromStr>(text: Option<&str>) -> Stated<T> {
    let Some(text) = text else { return Stated::Unstated };
    let numbers: Result<Vec<u32>, _> = text.split([',', '-']).map(str::parse).collect();
    let increasing = numbers.is_ok_and(|numbers| numbers.windows(2).all(|pair| pair[0] < pair[1]));
    match increasing.then(|| text.parse().ok()).flatten() {
        Some(set) => Stated::Known(set),
        None => Stated::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fabrics_are_where_the_gpu_supports_them() {
        let of =
            |state, status| fabric(&ReportedFabric { state, status, clique: 4, ..ReportedFabric::default() });
        assert_eq!(of(0, 0), None);
        assert_eq!(
            of(2, 0).map(|own| (own.state, own.status, own.clique)),
            Some((FabricState::InProgress, None, None))
        );
        assert_eq!(of(3, 5).map(|own| (own.status, own.clique)), Some((Some(5), Some(4))));
        assert_eq!(of(77, 0).map(|own| own.state), Some(FabricState::Unknown));
    }

    #[test]
    fn versions_are_not_generations() {
        assert_eq!(
            [0, 1, 3, 4, 5, 6, 7, 8, 9].map(|version| generation(None, Some(version))),
            [None, Some(1), Some(2), Some(3), Some(3), Some(4), Some(5), Some(6), None]
        );
        for (major, minor) in [(6, 0), (7, 0), (8, 0), (9, 0), (10, 0), (10, 3)] {
            let capability = Some(ComputeCapability { major, minor });
            for version in [None, Some(7)] {
                let own = generation(capability, version).unwrap();
                assert_eq!(
                    rates::nvlink(own, 18),
                    rates::nvlink_of(capability, version, 18),
                    "{major}.{minor}"
                );
            }
        }
    }

    #[test]
    fn profiles_are_read_from_names() {
        let profile = |name: &str| {
            instance(&ReportedInstance { name: Some(name.to_owned()), ..ReportedInstance::default() }).profile
        };
        assert_eq!(profile("NVIDIA A100-SXM4-40GB MIG 1g.5gb").as_deref(), Some("1g.5gb"));
        assert_eq!(profile("NVIDIA H100 80GB HBM3 MIG 1c.3g.40gb+me").as_deref(), Some("1c.3g.40gb+me"));
        assert_eq!(profile("NVIDIA A100-SXM4-40GB"), None);
    }
}
