//! A GPU from its section of `nvidia-smi -q`.

use super::tree::Section;
use super::{ToldGpu, known, mebibytes, number, switch, unusable};
use crate::ids::PciAddress;
use crate::model::{
    Fabric, FabricState, Gpu, GpuInstance, GpuUsage, Link, MigMode, PciFacts, PcieSpeed, PcieTraining, rates,
};

/// Returns the GPU at an address. Its index is left open.
pub(super) fn read(section: Section<'_>, address: Option<PciAddress>) -> ToldGpu {
    let value = |names: &[&str]| section.value(names);
    let text = |names: &[&str]| value(names).map(str::to_owned);
    let pci = section.section(&["pci"]);
    let training = training(pci);
    let memory = section.section(&["fb_memory_usage", "memory_usage"]);
    let of_memory = |name: &str| memory.value(&[name]).and_then(mebibytes);
    let gpu = Gpu {
        minor: value(&["minor_number"]).and_then(number),
        model: text(&["product_name"]),
        uuid: value(&["gpu_uuid", "uuid"]).and_then(|uuid| uuid.parse().ok()),
        serial: text(&["serial_number", "serial"]),
        address: address.or_else(|| pci.value(&["bus_id", "pci_bus_id"])?.parse().ok()),
        pci: facts(pci, training),
        // Newer drivers print small letters.
        firmware: value(&["vbios_version"]).map(str::to_ascii_uppercase),
        memory: of_memory("total"),
        mig: mig(section.section(&["mig_mode"])),
        fabric: fabric(section.section(&["fabric"])),
        unusable: reason(section).map(str::to_owned),
        usage: GpuUsage {
            processes: processes(section),
            memory_used: of_memory("used"),
            memory_free: of_memory("free"),
        },
        ..Gpu::default()
    };
    ToldGpu { gpu, instances: instances(section) }
}

/// Returns why no job can use it.
fn reason(section: Section<'_>) -> Option<&'static str> {
    let reset = section.section(&["gpu_reset_status"]).value(&["reset_required"]).and_then(switch);
    let action = section.value(&["gpu_recovery_action"]).map(str::to_ascii_lowercase);
    match action.as_deref() {
        _ if reset == Some(true) => Some("needs a reset"),
        Some("reset" | "gpu reset") => Some("needs a reset"),
        Some("reboot" | "node reboot") => Some("needs a restart of the machine"),
        _ => section.deep().iter().find_map(|item| unusable(&item.value)),
    }
}

/// Reads `0x233010DE`: the device, then the vendor.
pub(super) fn ids(value: Option<&str>) -> (Option<u16>, Option<u16>) {
    let value = value.map(|value| value.strip_prefix("0x").unwrap_or(value));
    let number = value.filter(|value| value.len() == 8).and_then(|value| u32::from_str_radix(value, 16).ok());
    (number.map(|number| number as u16), number.map(|number| (number >> 16) as u16))
}

fn facts(pci: Section<'_>, link: Option<PcieTraining>) -> PciFacts {
    let (vendor, device) = ids(pci.value(&["device_id", "pci_device_id"]));
    let (subsystem_vendor, subsystem_device) = ids(pci.value(&["sub_system_id", "pci_sub_system_id"]));
    PciFacts { vendor, device, subsystem_vendor, subsystem_device, link, ..PciFacts::default() }
}

/// Returns the training of the PCIe link. `Max` is the most that the GPU and its port can do together.
fn training(pci: Section<'_>) -> Option<PcieTraining> {
    let info = pci.section(&["gpu_link_info", "pci_gpu_link_info"]);
    let (speeds, widths) =
        (info.section(&["pcie_generation", "pcie_gen"]), info.section(&["link_width", "link_widths"]));
    let generation = |names: &[&str]| {
        let number = speeds.value(names).and_then(number)?;
        u8::try_from(number).ok().filter(|number| (1..=16).contains(number))
    };
    let width = |names: &[&str]| {
        let lanes = widths.value(names)?;
        number(lanes.strip_suffix('x').unwrap_or(lanes)).and_then(|lanes| u16::try_from(lanes).ok())
    };
    let width = |names: &[&str]| width(names).filter(|lanes| (1..=32).contains(lanes));
    let most = generation(&["max", "max_link_gen"]);
    let training = PcieTraining {
        now: PcieSpeed {
            generation: generation(&["current", "current_link_gen"]),
            width: width(&["current", "current_link_width"]),
        },
        device: PcieSpeed { generation: generation(&["device_max", "max_device_link_gen"]), width: None },
        port: PcieSpeed {
            generation: generation(&["host_max", "max_host_link_gen"]).or(most),
            width: width(&["max", "max_link_width"]),
        },
    };
    (training != PcieTraining::default()).then_some(training)
}

/// Returns the PCIe link. An idle GPU slows it down, so the highest generation counts and not the one in use, and of lanes those
/// in use.
pub(super) fn link(training: PcieTraining) -> Option<Link> {
    let (device, port) = (training.device.generation, training.port.generation);
    let both = device.zip(port).map(|(device, port)| device.min(port));
    let generation = both.or(port).or(device)?;
    let width = training.now.width.or(training.port.width)?;
    // The driver says 16 lanes of a GPU that is part of the chip.
    Some(rates::pcie(generation, width))
}

fn mig(section: Section<'_>) -> Option<MigMode> {
    let current = section.value(&["current", "current_mig"]).and_then(switch)?;
    let pending = section.value(&["pending", "pending_mig"]).and_then(switch).unwrap_or(current);
    Some(MigMode { current, pending })
}

/// Returns the MIG instances. Neither their UUIDs nor their profiles are told.
fn instances(section: Section<'_>) -> Vec<GpuInstance> {
    const MOST: usize = 64;
    let listed = section.section(&["mig_devices"]).items().chain(section.items());
    let own =
        listed.filter(|(item, _)| item.key == "mig_device").take(MOST).map(|(_, instance)| GpuInstance {
            gpu_instance: instance.value(&["gpu_instance_id"]).and_then(number),
            compute_instance: instance.value(&["compute_instance_id"]).and_then(number),
            memory: instance
                .section(&["fb_memory_usage", "shared_fb_memory_usage"])
                .value(&["total"])
                .and_then(mebibytes),
            ..GpuInstance::default()
        });
    own.filter(|instance| instance.gpu_instance.is_some()).collect()
}

/// Returns the number of processes. `None` in their place says that there are none.
fn processes(section: Section<'_>) -> Option<u32> {
    let (item, own) = section.items().find(|(item, _)| item.key == "processes")?;
    let listed = own.deep().iter().filter(|item| matches!(&*item.key, "process_id" | "pid")).count();
    let is_none = item.value.is_empty() || item.value.eq_ignore_ascii_case("none");
    is_none.then_some(u32::try_from(listed).ok()).flatten()
}

/// Returns the place in the NVLink fabric; `None` where the GPU does not support one.
fn fabric(section: Section<'_>) -> Option<Fabric> {
    let state = match &*section.value(&["state"])?.to_ascii_lowercase() {
        "completed" => FabricState::Completed,
        "in progress" => FabricState::InProgress,
        "not started" => FabricState::NotStarted,
        _ => FabricState::Unknown,
    };
    let completed = state == FabricState::Completed;
    let status = section.raw(&["status"]).filter(|status| !matches!(*status, "" | "N/A"));
    // NVML's number for an unknown error; its text names none.
    let status = status.map(|status| if status.eq_ignore_ascii_case("success") { 0 } else { 999 });
    let cluster =
        section.value(&["clusteruuid"]).filter(|uuid| uuid.bytes().any(|byte| !matches!(byte, b'0' | b'-')));
    let health = section.section(&["health"]);
    let summary = match health.value(&["summary"]).map(str::to_ascii_lowercase).as_deref() {
        Some("healthy") => Some(1),
        Some("unhealthy") => Some(2),
        Some("limited capacity") => Some(3),
        _ => None,
    };
    Some(Fabric {
        state,
        status: status.filter(|_| completed),
        cluster: cluster.map(str::to_owned),
        clique: section.value(&["cliqueid"]).and_then(number).filter(|_| completed),
        health: self::health(health),
        health_summary: summary,
    })
}

/// Returns NVML's bits of what is wrong, which the text spells out.
///
/// Source: `NVML_GPU_FABRIC_HEALTH_MASK_…`.
fn health(section: Section<'_>) -> Option<u32> {
    let pair = |names: &[&str], is_wrong: &str, is_right: &str| {
        let word = section.value(names).map(str::to_ascii_lowercase);
        match word.as_deref() {
            Some(word) if word == is_wrong => 1,
            Some(word) if word == is_right => 2,
            _ => 0,
        }
    };
    let fault = |name: &str| pair(&[name], "true", "false");
    let configuration = section.raw(&["incorrect_configuration"]).unwrap_or_default().to_ascii_lowercase();
    let configuration: u32 = match configuration.as_str() {
        "none" => 1,
        text if known(text).is_none() => 0,
        text => {
            let words = ["guid", "serial", "partition", "nvlink", "firmware", "location", "state"];
            (2..).zip(words).find(|(_, word)| text.contains(word)).map_or(15, |(number, _)| number)
        }
    };
    let parts = [
        (0, pair(&["bandwidth"], "degraded", "full")),
        (2, fault("route_recovery_in_progress")),
        (4, fault("route_unhealthy")),
        (6, fault("access_timeout_recovery")),
        (8, configuration),
        (12, pair(&["partition_assigned"], "true", "false")),
    ];
    let mask = parts.iter().fold(0, |mask, (shift, bits)| mask | bits << shift);
    (mask != 0).then_some(mask)
}
