//! Families of the node as a whole: identity, sources, PCIe errors, verdicts, containers, drift.

use super::{Family, Metrics, Sample, alone, counter, gauge, value};
use crate::baseline::{Baseline, DriftKind, is_told, structure};
use crate::check::kubernetes::state::{gpus_of, near_nodes};
use crate::check::pcie::{COUNTERS, total};
use crate::evidence::Evidence;
use crate::finding::Status;
use crate::fleet::board;
use crate::reading::kubelet::Kubelet;
use crate::reading::kubelet_state;
use crate::reading::pci::Pci;
use crate::report::Report;
use nvtopo::PciAddress;
use nvtopo::model::{NoteCode, Provenance, Stated};
use std::collections::{BTreeMap, BTreeSet};

/// The digits of a fingerprint in a label: as many as tell the machines of a fleet apart.
const DIGITS: usize = 16;

/// Returns the family of the node's identity.
pub(super) fn identity(evidence: &Evidence<'_>) -> Family {
    let topology = evidence.topology;
    let board = match board(topology) {
        (Some(product), Some(model)) => Some(format!("{product} with {model}")),
        (product, model) => product.or(model),
    };
    let fingerprint = structure(topology);
    let digits = fingerprint.strip_prefix("sha256:").unwrap_or(&fingerprint);
    let digits: String = digits.chars().take(DIGITS).collect();
    let labels = board.map(|board| ("board", board)).into_iter().chain([("fingerprint", digits)]);
    gauge(
        "nvtopo_topology_info",
        "Identity of the topology; the fingerprint changes when the structure changes",
        vec![Sample { labels: labels.collect(), value: 1.0 }],
    )
}

/// Returns the family of sources, each with whether it was read. A source that the node does not have is left out.
pub(super) fn sources(metrics: &Metrics<'_>) -> Family {
    let (evidence, topology) = (&metrics.evidence, metrics.evidence.topology);
    let told_by_driver = topology.devices().iter().take(topology.gpus().len()).any(|id| {
        let node = topology.node(*id);
        node.provenance == Provenance::Nvml
            || node.learned.iter().any(|own| own.provenance == Provenance::Nvml)
    });
    let is_refused = topology.notes().iter().any(|note| note.code() == NoteCode::Driver);
    let driver = match () {
        () if metrics.driver_hangs => Some(false),
        () if told_by_driver => Some(true),
        () if is_refused && topology.gpus().len() > 0 => Some(false),
        () => None,
    };
    let bus = evidence.has_files().then(|| !evidence.names("sys/bus/pci/devices").is_empty());
    let kubelet = match evidence.kubelet() {
        Kubelet::None => None,
        Kubelet::Unreadable(_) => Some(false),
        Kubelet::Known(..) => Some(true),
    };
    let log = metrics.events.and_then(|events| events.is_read);
    let all = [("nvml", driver), ("sysfs_pci", bus), ("kubelet", kubelet), ("kernel_log", log)];
    let samples = all.into_iter().filter_map(|(source, is_read)| {
        Some(value([("source", source.to_owned())], f64::from(u8::from(is_read?))))
    });
    gauge("nvtopo_source_success", "Whether a source was read in the last reading", samples.collect())
}

/// Returns the family of PCIe errors: of GPUs, NICs, and the ports above them.
pub(super) fn pcie_errors(evidence: &Evidence<'_>) -> Family {
    let (topology, pci) = (evidence.topology, Pci::of(evidence));
    let gpus = topology.gpus().filter_map(|gpu| gpu.address);
    let devices: BTreeSet<PciAddress> = gpus
        .chain(topology.nics().filter_map(|nic| nic.address))
        .flat_map(|own| {
            let above = pci.above(own);
            above.into_iter().chain([own])
        })
        .collect();
    let mut samples = Vec::new();
    for device in devices {
        for (file, severity, _) in COUNTERS {
            if let Stated::Known(errors) = total(evidence, device, file) {
                let labels = [("device", device.to_string()), ("severity", severity.to_owned())];
                samples.push(value(labels, errors as f64));
            }
        }
    }
    counter(
        "nvtopo_pcie_aer_errors",
        "PCIe errors that a GPU, a NIC or a port above one reported (AER)",
        samples,
    )
}

/// Returns the family of verdicts.
pub(super) fn checks(report: &Report) -> Family {
    let mut counts: BTreeMap<(&str, &str, Status), usize> = BTreeMap::new();
    for finding in report.findings() {
        let check = finding.check;
        *counts.entry((check.code, check.severity.word(), finding.effective())).or_default() += 1;
    }
    let samples = counts.into_iter().map(|((check, severity, status), count)| {
        let words = [("check", check), ("severity", severity), ("status", status.word())];
        value(words.map(|(name, word)| (name, word.to_owned())), count as f64)
    });
    gauge("nvtopo_check_subjects", "Subjects of a check in each status", samples.collect())
}

/// The checks whose subjects are containers with GPUs, by what may be far from these.
const OF_CONTAINERS: [(&str, &str); 2] = [("cpu", "cpu-manager-state"), ("memory", "memory-manager-state")];

/// Returns the family of containers whose CPUs, memory or NICs are far from their GPUs.
pub(super) fn containers(evidence: &Evidence<'_>, report: &Report) -> Family {
    let mut all: Vec<(&str, Vec<Option<bool>>)> = OF_CONTAINERS
        .iter()
        .map(|(kind, check)| {
            let own = report.findings().iter().filter(|finding| finding.check.code == *check);
            let judged = own.filter_map(|finding| match finding.status {
                Status::Pass | Status::Accepted => Some(Some(false)),
                Status::Warn | Status::Fail => Some(Some(true)),
                Status::Unknown => Some(None),
                Status::NotApplicable => None,
            });
            (*kind, judged.collect())
        })
        .collect();
    all.push(("nic", nics_of_containers(evidence)));
    let samples = all.into_iter().filter_map(|(kind, judged)| {
        let far = judged.iter().filter(|own| **own == Some(true)).count();
        // With an unknown one, none is no known number; some are at least as many.
        let is_known = !judged.is_empty() && (far > 0 || judged.iter().all(Option::is_some));
        is_known.then(|| value([("kind", kind.to_owned())], far as f64))
    });
    gauge(
        "nvtopo_containers_misaligned",
        "Containers with GPUs whose CPUs, memory or NICs are far from these",
        samples.collect(),
    )
}

/// Returns for each container with GPUs and NICs whether a NIC is far from all its GPUs. `None`: unknown.
///
/// Device plugins of NICs name devices by PCI addresses, those of others do not.
pub(super) fn nics_of_containers(evidence: &Evidence<'_>) -> Vec<Option<bool>> {
    let Stated::Known(held) = kubelet_state::devices(evidence) else { return Vec::new() };
    let pci = Pci::of(evidence);
    let is_nic = |address: &PciAddress| {
        let class = evidence.text(&format!("sys/bus/pci/devices/{address}/class"));
        class.known().is_some_and(|class| class.starts_with("0x02"))
    };
    let mut judged = Vec::new();
    for ((pod, container), gpus) in gpus_of(evidence, &held) {
        let own = held.iter().filter(|own| own.pod == pod && own.container == container && !own.is_gpus());
        let addresses = own.flat_map(|own| &own.devices).filter_map(|(id, _)| id.parse::<PciAddress>().ok());
        let nics: Vec<PciAddress> = addresses.filter(is_nic).collect();
        if nics.is_empty() {
            continue;
        }
        let near = gpus.and_then(|gpus| near_nodes(evidence, &gpus));
        let far = nics.iter().map(|nic| match (pci.node(*nic), &near) {
            (Stated::Known(node), Some(near)) => Some(!near.contains(node)),
            _ => None,
        });
        let far: Vec<Option<bool>> = far.collect();
        judged.push(match () {
            () if far.contains(&Some(true)) => Some(true),
            () if far.contains(&None) => None,
            () => Some(false),
        });
    }
    judged
}

/// Returns the families of the comparison with the baseline.
pub(super) fn baseline(metrics: &Metrics<'_>) -> Vec<Family> {
    let evidence = &metrics.evidence;
    let at = evidence.baseline.and_then(Baseline::accepted_at);
    let mut changes = Vec::new();
    if let Some(baseline) = evidence.baseline.filter(|_| !metrics.driver_hangs) {
        for kind in DriftKind::ALL.iter().filter(|kind| is_told(baseline, **kind)) {
            let own = || evidence.drift().iter().filter(|drift| drift.kind == *kind);
            let count = own().filter(|drift| !drift.is_unknown).count();
            if count > 0 || own().next().is_none() {
                let words = [("kind", kind.word()), ("severity", kind.severity().word())];
                changes.push(value(words.map(|(name, word)| (name, word.to_owned())), count as f64));
            }
        }
    }
    vec![
        gauge(
            "nvtopo_baseline_timestamp_seconds",
            "Unix time at which the baseline was accepted",
            at.map(|seconds| alone(seconds as f64)).into_iter().collect(),
        ),
        gauge("nvtopo_drift_changes", "Differences of the node from its baseline", changes),
    ]
}
