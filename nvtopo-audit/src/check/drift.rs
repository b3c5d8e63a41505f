//! Drift from a baseline: a check for each kind of change.

use super::{Check, Theme};
use crate::baseline::{DriftKind, is_told, tells};
use crate::evidence::{Evidence, NODE};
use crate::finding::{Severity, Status, Verdicts};

/// Where the kinds and severities come from.
const SOURCE: &str = "derived: the accepted state of the same node";

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "drift-gpu-lost",
        theme: Theme::Drift,
        severity: Severity::Critical,
        claim: "No GPU of the baseline is gone.",
        evidence: "The GPUs of both, matched by UUID, else by PCI address, else by number.",
        rule: "Fails where a GPU of the baseline is not there. Does not apply without a baseline that tells it.",
        remedy: "Drain the node, look for Xid 79 in the kernel log, and reset or reseat the GPU.",
        source: SOURCE,
        run: |evidence, verdicts| judge(DriftKind::GpuLost, evidence, verdicts),
    },
    Check {
        code: "drift-gpu-replaced",
        theme: Theme::Drift,
        severity: Severity::Info,
        claim: "Every GPU is the piece that was accepted.",
        evidence: "UUIDs and serial numbers.",
        rule: "Warns where another GPU is in the same place. Does not apply without a baseline that tells it.",
        remedy: "Nothing where the change was planned: accept the node anew with nvtopo baseline.",
        source: SOURCE,
        run: |evidence, verdicts| judge(DriftKind::GpuReplaced, evidence, verdicts),
    },
    Check {
        code: "drift-gpu-moved",
        theme: Theme::Drift,
        severity: Severity::Warning,
        claim: "Every GPU is where it was.",
        evidence: "Numbers, PCI addresses and paths of GPUs.",
        rule: "Warns where a GPU has another number, or other paths. Buses that were numbered anew change no path. Does not \
               apply without a baseline that tells it.",
        remedy: "Accept the node anew if the change was planned; else put the card back.",
        source: SOURCE,
        run: |evidence, verdicts| judge(DriftKind::GpuMoved, evidence, verdicts),
    },
    Check {
        code: "drift-nvlink-lost",
        theme: Theme::Drift,
        severity: Severity::Critical,
        claim: "Every NVLink of the baseline is up.",
        evidence: "The NVLinks of each GPU and pair.",
        rule: "Fails where a GPU has fewer NVLinks. Does not apply without a baseline that tells it.",
        remedy: "Reset the GPU; restart the fabric manager; if the link stays down, have the board serviced.",
        source: SOURCE,
        run: |evidence, verdicts| judge(DriftKind::NvlinkLost, evidence, verdicts),
    },
    Check {
        code: "drift-nvlink-speed",
        theme: Theme::Drift,
        severity: Severity::Critical,
        claim: "NVLinks run at the rate of the baseline.",
        evidence: "The rate of NVLinks of each GPU and pair.",
        rule: "Fails where the rate differs. Does not apply without a baseline that tells it.",
        remedy: "Reset the GPU; power-cycle the baseboard.",
        source: SOURCE,
        run: |evidence, verdicts| judge(DriftKind::NvlinkSpeed, evidence, verdicts),
    },
    Check {
        code: "drift-pcie-downtrained",
        theme: Theme::Drift,
        severity: Severity::Critical,
        claim: "PCIe links have as many lanes as in the baseline, and those of NICs their generation.",
        evidence: "The PCIe link in use of each device.",
        rule: "Fails where a device uses fewer lanes, or a NIC an older generation. The generation of a GPU is not judged: it \
               falls while the GPU is idle. Does not apply without a baseline that tells it.",
        remedy: "Reseat the card; look at riser and BIOS.",
        source: SOURCE,
        run: |evidence, verdicts| judge(DriftKind::PcieDowntrained, evidence, verdicts),
    },
    Check {
        code: "drift-numa-moved",
        theme: Theme::Drift,
        severity: Severity::Critical,
        claim: "Every device is nearest to the NUMA nodes of the baseline.",
        evidence: "The NUMA nodes nearest to each GPU and NIC.",
        rule: "Fails where the nearest NUMA nodes differ. Does not apply without a baseline that tells it.",
        remedy: "Look for a moved card, and for changed BIOS settings of NUMA (SNC, NPS).",
        source: SOURCE,
        run: |evidence, verdicts| judge(DriftKind::NumaMoved, evidence, verdicts),
    },
    Check {
        code: "drift-nic-lost",
        theme: Theme::Drift,
        severity: Severity::Critical,
        claim: "No NIC of the baseline is gone.",
        evidence: "The NICs of both, matched by PCI address and name.",
        rule: "Fails where a NIC of the baseline is not there. Does not apply without a baseline that tells it.",
        remedy: "Look for the card on the bus and for its driver; reseat it.",
        source: SOURCE,
        run: |evidence, verdicts| judge(DriftKind::NicLost, evidence, verdicts),
    },
    Check {
        code: "drift-nic-moved",
        theme: Theme::Drift,
        severity: Severity::Warning,
        claim: "Every NIC is where it was.",
        evidence: "PCI addresses and paths of NICs.",
        rule: "Warns where the paths between a NIC and GPUs differ. Does not apply without a baseline that tells it.",
        remedy: "Accept the node anew if the change was planned; else put the card back.",
        source: SOURCE,
        run: |evidence, verdicts| judge(DriftKind::NicMoved, evidence, verdicts),
    },
    Check {
        code: "drift-firmware-changed",
        theme: Theme::Drift,
        severity: Severity::Warning,
        claim: "Firmware is that of the baseline.",
        evidence: "VBIOS of GPUs, firmware of NICs, version of the BIOS.",
        rule: "Warns where the firmware of a GPU, a NIC or the BIOS differs. Does not apply without a baseline that tells it.",
        remedy: "Accept the node anew if the change was planned.",
        source: SOURCE,
        run: |evidence, verdicts| judge(DriftKind::FirmwareChanged, evidence, verdicts),
    },
    Check {
        code: "drift-driver-changed",
        theme: Theme::Drift,
        severity: Severity::Warning,
        claim: "The driver is that of the baseline.",
        evidence: "The versions of NVIDIA's driver and of CUDA.",
        rule: "Warns where the version of the driver or of CUDA differs. Does not apply without a baseline that tells it.",
        remedy: "Accept the node anew if the change was planned; make like nodes equal.",
        source: SOURCE,
        run: |evidence, verdicts| judge(DriftKind::DriverChanged, evidence, verdicts),
    },
    Check {
        code: "drift-kernel-changed",
        theme: Theme::Drift,
        severity: Severity::Warning,
        claim: "The kernel is that of the baseline.",
        evidence: "proc/sys/kernel/osrelease or proc/version.",
        rule: "Warns where the release differs. Does not apply without a baseline that tells it.",
        remedy: "Accept the node anew if the change was planned.",
        source: SOURCE,
        run: |evidence, verdicts| judge(DriftKind::KernelChanged, evidence, verdicts),
    },
    Check {
        code: "drift-kernel-cmdline-changed",
        theme: Theme::Drift,
        severity: Severity::Warning,
        claim: "The kernel's command line is that of the baseline.",
        evidence: "proc/cmdline.",
        rule: "Warns where words were added or removed; the name of the kernel's image does not count. Does not apply without \
               a baseline that tells it.",
        remedy: "Look at the boot loader's configuration; accept the node anew if the change was planned.",
        source: SOURCE,
        run: |evidence, verdicts| judge(DriftKind::KernelCmdlineChanged, evidence, verdicts),
    },
    Check {
        code: "drift-kubelet-changed",
        theme: Theme::Drift,
        severity: Severity::Warning,
        claim: "The kubelet has the settings of the baseline.",
        evidence: "The kubelet's configuration file, or a saved one; a saved kubectl get node -o yaml or -o json.",
        rule: "Warns where a setting or the version differs. Does not apply without a baseline that tells it.",
        remedy: "Drain the node before the change of a policy; accept it anew if the change was planned.",
        source: SOURCE,
        run: |evidence, verdicts| judge(DriftKind::KubeletChanged, evidence, verdicts),
    },
    Check {
        code: "drift-label-mismatch",
        theme: Theme::Drift,
        severity: Severity::Warning,
        claim: "The Kubernetes node has the labels of GPUs of the baseline.",
        evidence: "A saved kubectl get node NAME -o yaml or -o json.",
        rule: "Warns where a label under nvidia.com/ or one of NVLinks differs. Does not apply without a baseline that tells \
               it.",
        remedy: "Run feature discovery again.",
        source: SOURCE,
        run: |evidence, verdicts| judge(DriftKind::LabelMismatch, evidence, verdicts),
    },
    Check {
        code: "drift-mtu-changed",
        theme: Theme::Drift,
        severity: Severity::Warning,
        claim: "Every NIC has the MTU of the baseline.",
        evidence: "The MTU of each NIC.",
        rule: "Warns where the MTU differs. Does not apply without a baseline that tells it.",
        remedy: "Set the MTU back, or change it on all nodes and switches together.",
        source: SOURCE,
        run: |evidence, verdicts| judge(DriftKind::MtuChanged, evidence, verdicts),
    },
    Check {
        code: "drift-machine-changed",
        theme: Theme::Drift,
        severity: Severity::Warning,
        claim: "Nothing else of the machine differs from the baseline.",
        evidence: "All other facts of the topology.",
        rule: "Warns where CPUs, memory, disks, settings of devices or measurements differ, or a device is new. Does not \
               apply without a baseline that tells it.",
        remedy: "Look at each change; accept the node anew if it was planned.",
        source: SOURCE,
        run: |evidence, verdicts| judge(DriftKind::MachineChanged, evidence, verdicts),
    },
];

/// Critical changes fail; others warn.
fn judge(kind: DriftKind, evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let Some(baseline) = evidence.baseline else {
        verdicts.not_applicable(NODE, "no baseline was given");
        return;
    };
    let status = if kind.severity() == Severity::Critical { Status::Fail } else { Status::Warn };
    let mut is_changed = false;
    for drift in evidence.drift().iter().filter(|drift| drift.kind == kind) {
        let status = if drift.is_unknown { Status::Unknown } else { status };
        verdicts.add(status, drift.subject.as_str(), drift.text.as_str());
        is_changed = true;
    }
    if is_changed {
        return;
    }
    let date = baseline.date().map_or_else(String::new, |date| format!(" of {date}"));
    if is_told(baseline, kind) && !tells(evidence.topology, evidence.facts(), kind) {
        verdicts.unknown(NODE, format!("the baseline{date} tells it, and no source does now"));
    } else if is_told(baseline, kind) {
        verdicts.pass(NODE, format!("as in the baseline{date}"));
    } else {
        verdicts.not_applicable(NODE, format!("the baseline{date} does not tell it"));
    }
}
