//! The devices that there are, their firmware, and the kind of machine.

use super::{Check, Theme};
use crate::evidence::{Evidence, NODE};
use crate::finding::{Severity, Status, Verdicts};
use crate::pairing::has_no_adapters;
use crate::reading::gpu_events::{self, Action};
use crate::reading::pci::Pci;
use nvtopo::PciAddress;
use nvtopo::model::{Gpu, Stated};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "gpu-count",
        theme: Theme::Inventory,
        severity: Severity::Critical,
        claim: "Every GPU of the board is on the PCI bus, the driver has it, and it needs no reset.",
        evidence: "The GPUs of the topology, those that the driver lists in /proc/driver/nvidia/gpus, a saved lspci, Xid events in \
                   the kernel's log since its start (/dev/kmsg of this machine as root, or a saved log), and the profile's gpus, or the baseline's.",
        rule: "Fails where there are fewer than the profile or else the baseline says, where the driver does not list one, or \
               where lspci shows one as (rev ff). Fails for a GPU that an Xid event says to reset (48, 62, 64, 79, 95, 109, \
               119, 120, 140, 143, 158, 154 by its words), unless a later 154 needs nothing. Warns after Xid 94, and \
               where there are more GPUs. Unknown without a number.",
        remedy: "Drain the node, look for Xid 79 in the kernel's log, then reset or reseat the GPU.",
        source: "azure_gpu_count.nhc of azurehpc-health-checks; check_gpu_setup.py of oci-hpc (rev ff); NVIDIA, Xid catalog",
        run: count,
    },
    Check {
        code: "gpu-firmware-inventory",
        theme: Theme::Inventory,
        severity: Severity::Info,
        claim: "GPUs of one model have the same firmware, and one that the fleet allows.",
        evidence: "The VBIOS and the GSP firmware of each GPU (/proc/driver/nvidia/gpus/*/information, nvidia-smi -q).",
        rule: "Fails where the profile lists vbios and a GPU has another, or where the driver excludes a GPU. Warns where \
               GPUs of one model differ.",
        remedy: "Update the firmware of the GPUs that differ.",
        source: "NVIDIA open-gpu-kernel-modules, nv-procfs.c",
        run: gpu_firmware,
    },
    Check {
        code: "nic-firmware-inventory",
        theme: Theme::Inventory,
        severity: Severity::Info,
        claim: "Network adapters of one board have the same firmware, and one that the fleet allows.",
        evidence: "/sys/class/infiniband/*/fw_ver and board_id (ibstat, ibv_devinfo).",
        rule: "Fails where the profile lists nic-firmware and an adapter has another. Warns where adapters of one board \
               differ.",
        remedy: "Update the firmware of the adapters that differ.",
        source: "sysfs-class-infiniband of Linux's documentation",
        run: nic_firmware,
    },
    Check {
        code: "vm-or-bare-metal",
        theme: Theme::Inventory,
        severity: Severity::Info,
        claim: "It is known whether this is a virtual machine.",
        evidence: "The hypervisor's bit of the processor, DMI, devices that only hypervisors make (lspci), and the \
                   virtualization mode of GPUs (nvidia-smi -q).",
        rule: "Passes where it is known. A virtual machine makes PCIe speed, ACS and IOMMU unknown in other checks.",
        remedy: "Read /proc/cpuinfo of the machine too.",
        source: "derived",
        run: kind,
    },
];

fn count(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let topology = evidence.topology;
    let listed: BTreeSet<PciAddress> =
        evidence.names("proc/driver/nvidia/gpus").iter().filter_map(|name| name.parse().ok()).collect();
    for gpu in topology.gpus() {
        if let Some(reason) = &gpu.unusable {
            verdicts.fail(gpu.name(), format!("it cannot be used: {reason}"));
        } else if let Some(address) = gpu.address.filter(|own| !listed.is_empty() && !listed.contains(own)) {
            verdicts.fail(
                gpu.name(),
                format!("it is on the PCI bus at {address}, and the driver does not list it"),
            );
        }
    }
    for (address, own) in evidence.lspci().iter().filter(|(_, own)| own.is_silent() && own.is_nvidia_gpu()) {
        verdicts.fail(address.to_string(), format!("lspci reads nothing but ones of it: {}", own.name));
    }
    for (address, event) in gpu_events::events(evidence) {
        let own = evidence.gpus().find(|(_, _, gpu)| gpu.address == Some(address));
        let name = own.map_or_else(|| address.to_string(), |(_, _, gpu)| gpu.name());
        let (status, remedy) = match event.action {
            Action::Later => (Status::Warn, "reset it when no job runs"),
            Action::Reset => (Status::Fail, "it has to be reset"),
            Action::Restart => (Status::Fail, "the machine has to be restarted"),
        };
        let text = format!("the kernel's log tells of Xid {}: {}; {remedy}", event.code, event.words);
        verdicts.add(status, name, text);
    }
    let found = topology.gpus().len();
    let has = if found == 1 { "1 GPU is".to_owned() } else { format!("{found} GPUs are") };
    let accepted = evidence.baseline.map(|baseline| baseline.topology().gpus().len());
    match evidence.profile.expect.gpus.or(accepted) {
        Some(expected) if found < expected => {
            verdicts.fail(NODE, format!("{has} there, where {expected} are expected"));
        }
        Some(expected) if found > expected => {
            verdicts.warn(NODE, format!("{has} there, where {expected} are expected"));
        }
        Some(_) => verdicts.pass(NODE, format!("{has} there, as expected")),
        None => {
            verdicts.unknown(
                NODE,
                format!("{has} there, and neither profile nor baseline says how many are expected"),
            );
        }
    }
}

/// The firmware of a GPU.
#[derive(Default)]
struct Firmware {
    vbios: Option<String>,
    gsp: Option<String>,
    excluded: bool,
}

fn firmware(evidence: &Evidence<'_>, gpu: &Gpu) -> Firmware {
    let text =
        gpu.address.map(|address| evidence.text(&format!("proc/driver/nvidia/gpus/{address}/information")));
    let text = text.and_then(|text| text.known().cloned()).unwrap_or_default();
    let line = |key: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix(':'))?;
        // The driver writes ?? where it has not woken the GPU yet.
        Some(value.trim().to_owned())
            .filter(|value| !value.is_empty() && !value.contains('?') && value != "N/A")
    };
    Firmware {
        vbios: gpu.firmware.clone().or_else(|| line("Video BIOS")),
        gsp: line("GPU Firmware"),
        excluded: line("GPU Excluded").is_some_and(|word| word == "Yes"),
    }
}

fn gpu_firmware(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    evidence.has_no_gpus(verdicts);
    let allowed = &evidence.profile.expect.vbios;
    let mut models: BTreeMap<&str, Vec<(String, Firmware)>> = BTreeMap::new();
    for (_, _, gpu) in evidence.gpus() {
        let own = firmware(evidence, gpu);
        if own.excluded {
            verdicts.fail(gpu.name(), "the driver excludes it");
        }
        models
            .entry(gpu.model.as_deref().unwrap_or("GPUs of unknown model"))
            .or_default()
            .push((gpu.name(), own));
    }
    for (model, gpus) in models {
        let listed = |name: &str, version: &str, verdicts: &mut Verdicts| {
            if !allowed.is_empty() && !allowed.iter().any(|own| own.eq_ignore_ascii_case(version)) {
                verdicts.fail(name, format!("its VBIOS is {version}, which the profile does not list"));
            }
        };
        for (name, own) in &gpus {
            if let Some(version) = &own.vbios {
                listed(name, version, verdicts);
            }
        }
        let vbios: Vec<_> = gpus.iter().map(|(name, own)| (name.as_str(), own.vbios.as_deref())).collect();
        alike(verdicts, model, "VBIOS", &vbios);
        let gsp: Vec<_> = gpus.iter().map(|(name, own)| (name.as_str(), own.gsp.as_deref())).collect();
        if gsp.iter().any(|(_, version)| version.is_some()) {
            alike(verdicts, model, "GSP firmware", &gsp);
        }
    }
}

/// Judges whether devices have one version.
fn alike(verdicts: &mut Verdicts, subject: &str, what: &str, devices: &[(&str, Option<&str>)]) {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, version) in devices {
        if let Some(version) = version {
            versions.entry(version).or_default().push(name);
        }
    }
    let told: usize = versions.values().map(Vec::len).sum();
    let (status, text) = match versions.len() {
        0 => (Status::Unknown, format!("no source tells the {what}")),
        1 if told < devices.len() => (
            Status::Unknown,
            format!("the {what} of {} of {} is not told", devices.len() - told, devices.len()),
        ),
        1 => (Status::Pass, format!("the {what} is {}", versions.keys().next().unwrap_or(&""))),
        _ => {
            let each: Vec<String> =
                versions.iter().map(|(version, names)| format!("{version} on {}", names.join(" "))).collect();
            (Status::Warn, format!("the {what} differs: {}", each.join(", ")))
        }
    };
    verdicts.add(status, subject, text);
}

fn nic_firmware(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let allowed = &evidence.profile.expect.nic_firmware;
    // One adapter may have several ports.
    let mut boards: BTreeMap<String, BTreeMap<String, Option<String>>> = BTreeMap::new();
    for nic in evidence.topology.nics() {
        let Some(device) = &nic.rdma_device else { continue };
        let file = |name: &str| match evidence.text(&format!("sys/class/infiniband/{device}/{name}")) {
            Stated::Known(text) if !text.is_empty() => Some(text),
            _ => None,
        };
        let board = file("board_id")
            .or_else(|| nic.model.clone())
            .unwrap_or_else(|| "adapters of unknown board".to_owned());
        let version = nic.firmware.clone().or_else(|| file("fw_ver"));
        boards.entry(board).or_default().insert(device.clone(), version);
    }
    let boards_are_silent = boards.is_empty();
    for (board, devices) in boards {
        for (device, version) in &devices {
            let Some(version) = version.as_ref().filter(|own| !allowed.is_empty() && !allowed.contains(own))
            else {
                continue;
            };
            verdicts.fail(device, format!("its firmware is {version}, which the profile does not list"));
        }
        let all: Vec<_> = devices.iter().map(|(name, version)| (name.as_str(), version.as_deref())).collect();
        alike(verdicts, &board, "firmware", &all);
    }
    if boards_are_silent && !has_no_adapters(evidence, verdicts) {
        verdicts.unknown(NODE, "no source lists RDMA devices");
    }
}

fn kind(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let machine = evidence.topology.machine();
    let product = machine.product.as_deref().map_or_else(String::new, |product| format!(" ({product})"));
    match &machine.hypervisor {
        Stated::Known(name) => verdicts.pass(
            NODE,
            format!("it is a virtual machine of {name}{product}: the PCIe speed, ACS and IOMMU that it sees are its host's"),
        ),
        Stated::NotAvailable => verdicts.pass(NODE, format!("it is no virtual machine{product}")),
        _ if Pci::of(evidence).is_virtual() == Some(true) => verdicts.pass(
            NODE,
            "its devices are those of a virtual machine: the PCIe speed, ACS and IOMMU that it sees are its host's",
        ),
        _ => verdicts.unknown(NODE, "no source tells whether it is a virtual machine"),
    }
}
