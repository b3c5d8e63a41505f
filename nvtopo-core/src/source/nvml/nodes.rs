//! Nodes from what the driver says of GPUs and their parts, and what its numbers mean.

use super::seen::{MemoryNode, SeenFabric, SeenGpu, SeenInstance, SeenNvlink, SeenPcie};
use super::troubles::Troubles;
use super::wires::{Kinds, far};
use crate::cpuset::{CpuSet, NodeSet};
use crate::ids::ComputeCapability;
use crate::model::{
    Fabric, FabricFault, FabricState, Gpu, GpuInstance, GpuUsage, Link, MigMode, MigPlacement, NvLinkPort,
    P2pStatus, PciFacts, PcieSpeed, PcieTraining, Stated, rates,
};
use crate::units::Bandwidth;
use std::str::FromStr;

/// What the driver asks to be done about a GPU, by NVML's numbers, in words for notes.
///
/// Source: `nvmlDeviceGpuRecoveryAction_t`.
pub(super) const RECOVERY_NOTES: &[(&[u32], &str)] = &[
    (RESET, "the driver asks for a reset; no job can use it until then"),
    (RESTART, "the driver asks for a restart of the machine; no job can use it until then"),
    (&[3], "the driver asks to end peer-to-peer traffic with it"),
    (&[4], "the driver asks to take the jobs off it and to reset it; a part of it has failed"),
    (&[5], "the driver asks to repair its IMEX domain"),
];

/// Of the GPU, and of its bus.
const RESET: &[u32] = &[1, 6];

/// Of the machine, and of all machines of the system.
const RESTART: &[u32] = &[2, 7];

/// Why no job can use a GPU.
pub(super) fn unusable(gpu: &SeenGpu, troubles: &Troubles) -> Option<&'static str> {
    let asked = |actions: &[u32]| gpu.recovery.is_some_and(|action| actions.contains(&action));
    unusable_by_calls(gpu.index, troubles)
        .or(asked(RESET).then_some("needs a reset"))
        .or(asked(RESTART).then_some("needs a restart of the machine"))
}

/// As much as follows from calls that failed.
pub(super) fn unusable_by_calls(index: u32, troubles: &Troubles) -> Option<&'static str> {
    match () {
        () if troubles.is_lost(index) => Some("has fallen off the bus"),
        () if troubles.is_stuck(index) => Some("needs a reset"),
        () if troubles.is_hung(index) => Some("does not answer the driver"),
        () => None,
    }
}

/// A GPU, but for why it could not be used.
pub(super) fn gpu(own: &SeenGpu, kinds: &Kinds) -> Gpu {
    Gpu {
        index: own.index,
        minor: own.minor,
        model: own.model.clone(),
        compute_capability: own.capability.map(|own| own.0),
        uuid: own.uuid.map(|own| own.0),
        serial: own.serial.clone(),
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
    }
}

/// The lower half is who made it, the upper half what it is.
fn pci(own: &SeenGpu) -> PciFacts {
    let halves = |id: Option<u32>| id.map(|id| (id as u16, (id >> 16) as u16));
    let ((vendor, device), (subsystem_vendor, subsystem_device)) =
        (halves(own.pci_device).unzip(), halves(own.pci_subsystem).unzip());
    let link = Some(training(&own.pcie)).filter(|link| *link != PcieTraining::default());
    PciFacts { vendor, device, subsystem_vendor, subsystem_device, link, ..PciFacts::default() }
}

/// What the GPU and the port can do together is the least that the port can.
fn training(pcie: &SeenPcie) -> PcieTraining {
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

/// A GPU that rests runs its link slowly until it is used, so its best generation counts; the width that was agreed on
/// stays.
pub(super) fn pcie(pcie: &SeenPcie) -> Option<Link> {
    let generation = pcie.max_generation.or(pcie.generation)?;
    let width = pcie.width.filter(|width| *width > 0).or(pcie.max_width)?;
    Some(rates::pcie(u8::try_from(generation).ok()?, u16::try_from(width).ok()?))
}

/// No fabric where the GPU does not support one.
///
/// Source of the numbers: `NVML_GPU_FABRIC_STATE_…`.
fn fabric(own: &SeenFabric) -> Option<Fabric> {
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

/// What keeps a GPU from its fabric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FabricTrouble {
    NotStarted,
    InProgress,
    Failed,
}

/// As notes. Source of the error: CUDA's `CUDA_ERROR_SYSTEM_NOT_READY`.
pub(super) const FABRIC_NOTES: &[(FabricTrouble, &str)] = &[
    (
        FabricTrouble::NotStarted,
        "the NVLink fabric has not begun to take it in, so that NVLinks cannot be used, and CUDA may not start at all \
         (error 802); is the fabric manager running?",
    ),
    (
        FabricTrouble::InProgress,
        "the NVLink fabric is still taking it in; until then NVLinks cannot be used, and CUDA may not start at all \
         (error 802)",
    ),
    (FabricTrouble::Failed, "the NVLink fabric did not take it in, so that NVLinks cannot be used"),
];

/// What the driver says is wrong with the GPU's place in its fabric.
pub(super) fn fabric_faults(gpu: &SeenGpu) -> Vec<FabricFault> {
    gpu.fabric.as_ref().and_then(fabric).map(|fabric| fabric.faults()).unwrap_or_default()
}

pub(super) fn fabric_trouble(gpu: &SeenGpu) -> Option<FabricTrouble> {
    let fabric = fabric(gpu.fabric.as_ref()?)?;
    match (fabric.state, fabric.status) {
        (FabricState::NotStarted, _) => Some(FabricTrouble::NotStarted),
        (FabricState::InProgress, _) => Some(FabricTrouble::InProgress),
        (FabricState::Completed, Some(1..)) => Some(FabricTrouble::Failed),
        _ => None,
    }
}

fn port(gpu: &SeenGpu, link: &SeenNvlink, kinds: &Kinds) -> NvLinkPort {
    NvLinkPort {
        number: link.number,
        up: Some(link.up),
        generation: generation(gpu.capability.map(|own| own.0), link.version),
        reported: link.speed.map(Bandwidth::from_mb_per_s),
        far: far(kinds.kind(link.end)),
    }
}

/// As [`rates::nvlink_of`] concludes: the architecture goes first, for drivers of H100 tell the version of B200.
fn generation(capability: Option<ComputeCapability>, version: Option<u32>) -> Option<u8> {
    let by_version = || version.and_then(rates::nvlink_of_version);
    capability.and_then(rates::nvlink_of_architecture).or_else(by_version)
}

/// Source: `nvmlGpuP2PStatus_t`.
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

/// A part of a GPU. The profile stands at the end of the product's name: `NVIDIA A100-SXM4-40GB MIG 1g.5gb`.
pub(super) fn instance(own: &SeenInstance) -> GpuInstance {
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

/// A set from its text. Ranges are taken in increasing order only, as they are written: in any other, a short text
/// could be much work.
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
        let of = |state, status| fabric(&SeenFabric { state, status, clique: 4, ..SeenFabric::default() });
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
            instance(&SeenInstance { name: Some(name.to_owned()), ..SeenInstance::default() }).profile
        };
        assert_eq!(profile("NVIDIA A100-SXM4-40GB MIG 1g.5gb").as_deref(), Some("1g.5gb"));
        assert_eq!(profile("NVIDIA H100 80GB HBM3 MIG 1c.3g.40gb+me").as_deref(), Some("1c.3g.40gb+me"));
        assert_eq!(profile("NVIDIA A100-SXM4-40GB"), None);
    }
}
