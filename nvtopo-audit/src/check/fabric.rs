//! The NVLink fabric of NVSwitches: registration, health and partition of each GPU.

use super::{Check, Theme};
use crate::board;
use crate::evidence::{Evidence, NODE};
use crate::finding::{Severity, Verdicts};
use crate::reading::growth::uptime;
use nvtopo::model::{Fabric, FabricFault, FabricState, Gpu, NodeId};
use std::collections::BTreeSet;

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "fabric-state",
        theme: Theme::Fabric,
        severity: Severity::Critical,
        claim: "Every GPU that belongs to an NVLink fabric is registered with it.",
        evidence: "The driver's fabric state and status of each GPU (section Fabric of nvidia-smi -q), and /proc/uptime.",
        rule: "Passes where registration is completed with success. Warns while it is in progress in the first five minutes \
               after the machine's start, or where that time is not known. Fails otherwise. Unknown where no source tells \
               the state, or completed comes without the status. Does not apply to GPUs of which the driver says that they \
               have no fabric state, to those before Hopper, and to boards without NVLink.",
        remedy: "Start the fabric manager of exactly the driver's version, and look at its log.",
        source: "NVML, nvmlDeviceGetGpuFabricInfoV; check_gpu_setup.py of oci-hpc (completed with success)",
        run: state,
    },
    Check {
        code: "fabric-health",
        theme: Theme::Fabric,
        severity: Severity::Critical,
        claim: "No GPU has degraded bandwidth, a broken route or a wrong configuration in its NVLink fabric.",
        evidence: "The driver's health mask and summary of each GPU's fabric.",
        rule: "Fails for each fault that the mask names. Warns while a route is being recovered, or where capacity is \
               limited. Unknown where no source tells the state of the fabric. Does not apply where the driver knows that, \
               and tells no health (a mask of 0), and to GPUs without a fabric.",
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
        rule: "Fails where a node has several, and where GPUs of a rack (GB200, GB300) are registered without a cluster: \
               their UUID is all zeros. Unknown where a GPU does not tell its own. Does not apply to other boards without a \
               cluster.",
        remedy: "Partition the fabric anew, and restart GPU feature discovery.",
        source: "NVML, nvmlGpuFabricInfo_v3_t; azhpc-images, issue 506",
        run: clique,
    },
    Check {
        code: "fabric-manager-running",
        theme: Theme::Fabric,
        severity: Severity::Critical,
        claim: "The fabric manager runs on a machine with NVSwitches of its own.",
        evidence: "NVSwitches on the PCI bus, or proven by the NVLinks, or their management ports (SW_MNG in the vpd of \
                   InfiniBand devices: HGX B200 and B300); the processes, or saved systemctl show nvidia-fabricmanager or ps.",
        rule: "Fails where it does not run, and where management ports lack the module ib_umad. Unknown where the processes \
               of the host cannot be seen, or no source tells whether there are NVSwitches. Does not apply without \
               NVSwitches, as on racks whose switches are elsewhere.",
        remedy: "Enable and start nvidia-fabricmanager; on B200 and B300 boards load ib_umad and start nvlsm.",
        source: "gpu-operator, issue 2781; NVIDIA Fabric Manager user guide; gpud, detect_nvswitch.go",
        run: super::fabric_manager::running,
    },
    Check {
        code: "fabric-manager-version",
        theme: Theme::Fabric,
        severity: Severity::Critical,
        claim: "The fabric manager is of exactly the driver's version.",
        evidence: "Of this machine its log and dpkg's packages; else a saved nv-fabricmanager --version, log, or list of packages \
                   (dpkg -l, rpm -qa); and the driver's version.",
        rule: "Fails where they differ: the fabric manager then does not start. Unknown where a version is not told, \
               or they differ and no source tells whether there are NVSwitches. Does not apply without NVSwitches.",
        remedy: "Install the package of the driver's version.",
        source: "NVIDIA Fabric Manager user guide, version compatibility",
        run: super::fabric_manager::version,
    },
    Check {
        code: "imex-domain",
        theme: Theme::Fabric,
        severity: Severity::Warning,
        claim: "The NVLink domain of several nodes is up.",
        evidence: "A saved nvidia-imex-ctl -N, with or without -j.",
        rule: "Fails for DOWN. Warns for DEGRADED, and names a node that is not ready. Unknown where GPUs are in a clique and \
               nothing tells, or IMEX has no list of nodes. Does not apply to GPUs that are not of a rack or in no clique. Where claims start IMEX for a job only, it is down while no \
               job runs.",
        remedy: "Look at the list of nodes and the ports of IMEX (/etc/nvidia-imex/nodes_config.cfg).",
        source: "NVIDIA IMEX guide, command service; DCGM, dcgm_fields.h (1502)",
        run: super::fabric_manager::imex,
    },
    Check {
        code: "mig-vs-nvlink",
        theme: Theme::Fabric,
        severity: Severity::Warning,
        claim: "GPUs in MIG mode are not advertised with their NVLinks.",
        evidence: "The MIG mode of each GPU, now and after the next reset, and the node's label nvlink.group.",
        rule: "Fails where a GPU is in MIG mode and the node is labelled with NVLink groups. Warns where the mode changes with \
               the next reset. Unknown where the mode, or of a GPU in MIG mode the labels are not told. Does not apply to \
               GPUs without MIG, and in MIG mode without NVLinks.",
        remedy: "Drop the label, or switch MIG off.",
        source: "NVIDIA MIG user guide, application considerations (no peer-to-peer); RAPIDS deployment, MIG",
        run: super::fabric_manager::mig,
    },
    Check {
        code: "c2c-links",
        theme: Theme::Fabric,
        severity: Severity::Warning,
        claim: "The C2C links between CPU and GPU are up.",
        evidence: "A saved nvidia-smi c2c -s, and the growth of the counters of nvidia-smi c2c -e between two readings.",
        rule: "Fails where a link is inactive. Warns where a counter of errors grows. Unknown where a GPU has C2C links and \
               nothing tells their state, or what GPU it is. Does not apply to other GPUs.",
        remedy: "Have the board serviced.",
        source: "nvidia-smi c2c; NVML, NVML_FI_DEV_C2C_LINK_GET_STATUS",
        run: super::fabric_manager::c2c,
    },
];

/// The seconds after the machine's start in which GPUs may still be registering.
const REGISTERS: f64 = 300.0;

/// Returns why a GPU has no place in an NVLink fabric. `None`: it may have one.
fn absence(evidence: &Evidence<'_>, id: NodeId, gpu: &Gpu) -> Option<&'static str> {
    if board::of(evidence, gpu).is_some_and(|board| board.links == 0) {
        Some("its board has no NVLink")
    } else if board::is_before_fabrics(gpu) {
        Some("NVSwitches of its generation keep no register of GPUs")
    } else {
        let is_asked = evidence.is_asked(id, gpu, |own| own.tells_fabric);
        is_asked.then_some("the driver says that it has no fabric state")
    }
}

/// Returns the GPUs that tell something of their NVLink fabric. Of others the reason is a verdict.
fn fabrics<'e>(evidence: &'e Evidence<'_>, verdicts: &mut Verdicts) -> Vec<(&'e Gpu, &'e Fabric)> {
    evidence.has_no_gpus(verdicts);
    let mut found = Vec::new();
    for (_, id, gpu) in evidence.gpus() {
        match (&gpu.fabric, absence(evidence, id, gpu)) {
            (Some(fabric), _) => found.push((gpu, fabric)),
            (None, Some(why)) => verdicts.not_applicable(gpu.name(), why),
            (None, None) => verdicts.unknown(gpu.name(), "no source tells its place in the NVLink fabric"),
        }
    }
    found
}

fn state(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let uptime = uptime(evidence);
    for (gpu, fabric) in fabrics(evidence, verdicts) {
        let name = gpu.name();
        match (fabric.state, fabric.status) {
            (FabricState::Unknown, _) => verdicts.unknown(name, "the driver does not tell its fabric state"),
            (FabricState::NotStarted, _) => {
                verdicts.fail(name, "its registration with the fabric has not started");
            }
            (FabricState::InProgress, _) if uptime.is_some_and(|seconds| seconds > REGISTERS) => {
                let text = "its registration with the fabric is in progress, long after the machine's start";
                verdicts.fail(name, text);
            }
            (FabricState::InProgress, _) => {
                verdicts.warn(name, "its registration with the fabric is in progress");
            }
            (FabricState::Completed, Some(0)) => verdicts.pass(name, "it is registered with the fabric"),
            (FabricState::Completed, None) => {
                verdicts.unknown(
                    name,
                    "its registration is completed, and the driver does not tell with what status",
                );
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
    for (gpu, fabric) in fabrics(evidence, verdicts) {
        // Zero means of every fault that the driver does not support to tell it.
        let tells = |told: Option<u32>| told.is_some_and(|told| told > 0);
        if !tells(fabric.health) && !tells(fabric.health_summary) {
            if fabric.state == FabricState::Unknown {
                verdicts.unknown(gpu.name(), "the driver tells neither state nor health of its fabric");
            } else {
                verdicts.not_applicable(gpu.name(), "the driver tells no health of its fabric");
            }
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
    let is_blank = |gpu: &Gpu| {
        let fabric = gpu.fabric.as_ref();
        let blank = fabric.is_some_and(|own| own.state == FabricState::Completed && own.cluster.is_none());
        blank && board::is_of_rack(gpu)
    };
    for (_, _, gpu) in evidence.gpus().filter(|(_, _, gpu)| is_blank(gpu)) {
        verdicts.fail(gpu.name(), "it is registered with the fabric, and its cluster UUID is all zeros");
    }
    let is_silent = |id: NodeId, gpu: &Gpu| match &gpu.fabric {
        None => absence(evidence, id, gpu).is_none(),
        // A cluster UUID of zeros is the one of boards without cluster.
        Some(own) => own.cluster.is_none() && (own.state != FabricState::Completed || !names.is_empty()),
    };
    let silent = evidence.gpus().filter(|(_, id, gpu)| is_silent(*id, gpu)).count();
    let all = evidence.topology.gpus().len();
    match names.as_slice() {
        [] if evidence.has_no_gpus(verdicts) => {}
        [] if silent > 0 => {
            verdicts.unknown(NODE, format!("{silent} of {all} GPUs do not tell their cluster"));
        }
        [] => verdicts.otherwise_not_applicable("no GPU is in a cluster"),
        [one] if silent > 0 => {
            verdicts.unknown(
                NODE,
                format!("the others are in {one}, and {silent} of {all} GPUs do not tell theirs"),
            );
        }
        [one] => verdicts.pass(NODE, format!("all GPUs are in {one}")),
        several => verdicts.fail(NODE, format!("its GPUs are in {}", several.join(" and in "))),
    }
}
