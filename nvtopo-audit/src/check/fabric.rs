//! The NVLink fabric of NVSwitches: registration, health and partition of each GPU.

use super::{Check, Theme};
use crate::evidence::{Evidence, NODE};
use crate::finding::{Severity, Verdicts};
use nvtopo::model::FabricState;
use std::collections::BTreeSet;

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "fabric-state",
        theme: Theme::Fabric,
        severity: Severity::Critical,
        claim: "Every GPU that belongs to an NVLink fabric is registered with it.",
        evidence: "The driver's fabric state and status of each GPU (section Fabric of nvidia-smi -q).",
        rule: "Passes where registration is completed with success. Warns while it is in progress. Fails otherwise. Does not \
               apply to GPUs that have no fabric state (A100 and earlier, and boards without NVSwitches).",
        remedy: "Start the fabric manager of exactly the driver's version, and look at its log.",
        source: "NVML, nvmlDeviceGetGpuFabricInfoV",
        run: state,
    },
    Check {
        code: "fabric-health",
        theme: Theme::Fabric,
        severity: Severity::Critical,
        claim: "No GPU has degraded bandwidth, a broken route or a wrong configuration in its NVLink fabric.",
        evidence: "The driver's health mask and summary of each GPU's fabric.",
        rule: "Fails for each fault that the mask names. Warns while a route is being recovered, or where capacity is \
               limited. Does not apply where the driver tells no health.",
        remedy: "Follow the fault: reset the GPU, restart the fabric manager, or have the baseboard serviced.",
        source: "NVML, NVML_GPU_FABRIC_HEALTH_MASK and NVML_GPU_FABRIC_HEALTH_SUMMARY",
        run: health,
    },
    Check {
        code: "fabric-clique-consistent",
        theme: Theme::Fabric,
        severity: Severity::Critical,
        claim: "All GPUs of a node are in one cluster and one clique of the NVLink fabric.",
        evidence: "The cluster UUID and the clique of each GPU.",
        rule: "Fails where a node has several. Does not apply where no GPU names a cluster.",
        remedy: "Partition the fabric anew, and restart GPU feature discovery.",
        source: "NVML, nvmlGpuFabricInfo_v3_t",
        run: clique,
    },
];

fn state(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    for (_, _, gpu) in evidence.gpus() {
        let Some(fabric) = &gpu.fabric else { continue };
        let name = gpu.name();
        match (fabric.state, fabric.status) {
            (FabricState::Unknown, _) => verdicts.unknown(name, "the driver does not tell its fabric state"),
            (FabricState::NotStarted, _) => {
                verdicts.fail(name, "its registration with the fabric has not started");
            }
            (FabricState::InProgress, _) => {
                verdicts.warn(name, "its registration with the fabric is in progress");
            }
            (FabricState::Completed, Some(0) | None) => {
                verdicts.pass(name, "it is registered with the fabric");
            }
            (FabricState::Completed, Some(status)) => {
                verdicts.fail(
                    name,
                    format!("its registration with the fabric ended with error {status} of NVML"),
                );
            }
            (state, _) => verdicts.unknown(name, format!("its fabric state is {}", state.word())),
        }
    }
}

fn health(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    use nvtopo::model::FabricFault;
    for (_, _, gpu) in evidence.gpus() {
        let Some(fabric) = &gpu.fabric else { continue };
        if fabric.health.is_none() && fabric.health_summary.is_none() {
            continue;
        }
        let faults = fabric.faults();
        for fault in &faults {
            let passing = matches!(
                fault,
                FabricFault::RouteRecovery
                    | FabricFault::AccessTimeoutRecovery
                    | FabricFault::LimitedCapacity
            );
            if passing {
                verdicts.warn(gpu.name(), fault.to_string());
            } else {
                verdicts.fail(gpu.name(), fault.to_string());
            }
        }
        if faults.is_empty() {
            verdicts.pass(gpu.name(), "the driver names no fault of its fabric");
        }
    }
}

fn clique(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let mut found = BTreeSet::new();
    for (_, _, gpu) in evidence.gpus() {
        if let Some(fabric) = gpu.fabric.as_ref().filter(|fabric| fabric.cluster.is_some()) {
            found.insert((fabric.cluster.as_deref(), fabric.clique));
        }
    }
    let name = |(cluster, clique): &(Option<&str>, Option<u32>)| {
        let clique = clique.map_or_else(|| "unknown".to_owned(), |clique| clique.to_string());
        format!("{} clique {clique}", cluster.unwrap_or_default())
    };
    let names: Vec<String> = found.iter().map(name).collect();
    match names.as_slice() {
        [] => {}
        [one] => verdicts.pass(NODE, format!("all GPUs are in {one}")),
        several => verdicts.fail(NODE, format!("its GPUs are in {}", several.join(" and in "))),
    }
}
