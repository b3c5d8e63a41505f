//! PCIe links of GPUs and network adapters: their training, their errors, and what the slot can carry.

use super::{Check, Theme};
use crate::evidence::Evidence;
use crate::finding::{Severity, Verdicts};
use crate::pairing::{has_no_adapters, nic, rdma_nics};
use crate::reading::growth::{exceeds, growth, window};
use crate::reading::pci::Pci;
use crate::reading::smi::{Moment, Queried};
use nvtopo::model::{LinkKind, NodeKind, PcieTraining, PortState, Stated, rates};
use nvtopo::{Bandwidth, Bytes, PciAddress};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "pcie-width",
        theme: Theme::Pcie,
        severity: Severity::Critical,
        claim: "GPUs and network adapters use all the PCIe lanes that they and their slots have.",
        evidence: "The lanes in use and at most of each device and of the port above it (current_link_width and \
                   max_link_width, lspci -vvv, nvidia-smi -q).",
        rule: "Fails where fewer lanes are in use than both ends have. Unknown in a virtual machine, whose bridges are made \
               up, and where the port's lanes are not told and the device has more than are in use.",
        remedy: "Reseat the card; look at the riser, the retimer and the BIOS's bifurcation of the slot.",
        source: "Linux, sysfs-bus-pci; facebookresearch/gcm, check_pci; oracle-quickstart/oci-hpc, check_gpu_setup",
        run: width,
    },
    Check {
        code: "pcie-speed",
        theme: Theme::Pcie,
        severity: Severity::Warning,
        claim: "GPUs at work and network adapters run their PCIe links at full speed.",
        evidence: "The speed in use and at most of each device and of the port above it; the speed, the performance state and \
                   the use of a GPU by each output of nvidia-smi -q.",
        rule: "Fails for an adapter whose link is slower than both ends support, and for a GPU that nvidia-smi -q shows with a \
               slower link while it is at work or in performance state P0. Passes for a GPU whose link had full speed in any \
               reading. Unknown for a GPU that may be idle, as it slows its link down then, and in a virtual machine.",
        remedy: "Look at a GPU again under load. Reseat the card; look at the riser, the retimer, and the BIOS's limit of the \
                 slot's speed.",
        source: "Linux, sysfs-bus-pci; NVML, nvmlDeviceGetCurrPcieLinkGeneration",
        run: speed,
    },
    Check {
        code: "pcie-errors",
        theme: Theme::Pcie,
        severity: Severity::Warning,
        claim: "The PCIe links from GPUs and network adapters up to the root complex have no errors.",
        evidence: "Two readings of aer_dev_correctable, aer_dev_nonfatal and aer_dev_fatal of each device and of the ports \
                   above it, and of the replay counter (nvidia-smi -q).",
        rule: "Fails where fatal or nonfatal errors were added between the readings. Warns where at least 3 correctable ones or \
               replays were, and more than 100 an hour. Unknown by one reading, where a counter was reset or is missing in one, \
               and where so many correctable ones were added in an unknown time.",
        remedy: "Reseat the card; look at the riser and the retimer; if errors go on, have the board serviced.",
        source: "Linux, sysfs-bus-pci-devices-aer_stats; NVML, nvmlDeviceGetPcieReplayCounter",
        run: errors,
    },
    Check {
        code: "pcie-nic-headroom",
        theme: Theme::Pcie,
        severity: Severity::Warning,
        claim: "The slot of an RDMA adapter carries what its ports do.",
        evidence: "The lanes and speed of the PCIe link, and the rates of all ports behind it.",
        rule: "Fails where 85 % of the link's rate is less than the rates of its ports together. Unknown in a virtual \
               machine, or where either is not told.",
        remedy: "Move the card to a slot with more lanes or a newer generation.",
        source: "derived; PCI Express base specification: line rates and encodings",
        run: headroom,
    },
    Check {
        code: "pcie-mrrs",
        theme: Theme::Pcie,
        severity: Severity::Info,
        claim: "RDMA adapters may read 4096 bytes at once.",
        evidence: "The largest read request of each adapter (lspci -vvv, MaxReadReq), which only root may read.",
        rule: "Warns below 4096 bytes. Unknown where it is hidden. Does not apply to virtual functions, where the field has no \
               meaning: that of their card's physical function counts.",
        remedy: "Set it with setpci, or have mlxconfig set it at each start.",
        source: "PCI Express base specification, device control register; Single Root I/O Virtualization specification, device \
                 control register of virtual functions; oracle-quickstart/oci-hpc, samples/rdma-tuning",
        run: max_read,
    },
    Check {
        code: "bar1-size",
        theme: Theme::Pcie,
        severity: Severity::Warning,
        claim: "PCIe peers reach all memory of a GPU.",
        evidence: "The size of the GPU's second memory region, its BAR1 (resource, lspci -vvv, nvidia-smi -q), and its memory.",
        rule: "Fails below 256 MiB. Warns where it is smaller than the GPU's memory and the machine has an RDMA adapter. Does \
               not apply to GPUs whose memory the CPU reaches over NVLink-C2C.",
        remedy: "Switch on Above 4G Decoding and Resizable BAR in the BIOS.",
        source: "NVIDIA, GPUDirect RDMA guide, PCI BAR sizes; NVML, nvmlDeviceGetBAR1MemoryInfo",
        run: bar1,
    },
];

/// A GPU or network adapter with a PCIe link.
struct Device<'e> {
    name: String,
    /// `None`: no source tells.
    address: Option<PciAddress>,
    link: Option<&'e PcieTraining>,
    is_gpu: bool,
}

/// The reason why nothing is said of a device.
const NO_ADDRESS: &str = "no source tells its PCI address";

/// Returns GPUs and adapters, one for each PCI function that is known. Where there is no device, the reason is a verdict.
fn devices<'e>(evidence: &'e Evidence<'_>, verdicts: &mut Verdicts) -> Vec<Device<'e>> {
    let topology = evidence.topology;
    let mut found: Vec<Device<'e>> = Vec::new();
    let mut known = BTreeSet::new();
    for (position, id) in topology.devices().iter().enumerate() {
        let (address, pci, is_gpu) = match &topology.node(*id).kind {
            NodeKind::Gpu(gpu) => (gpu.address, &gpu.pci, true),
            NodeKind::Nic(nic) => (nic.address, &nic.pci, false),
            _ => continue,
        };
        if address.is_none_or(|address| known.insert(address)) {
            let (name, link) = (topology.device_name(position), pci.link.as_ref());
            found.push(Device { name, address, link, is_gpu });
        }
    }
    if topology.devices().is_empty() {
        evidence.has_no_gpus(verdicts);
    }
    found.sort_by_key(|device| (!device.is_gpu, device.address));
    found
}

/// The reason why a virtual machine's PCIe says nothing.
const IS_VIRTUAL: &str = "in a virtual machine, which sees made-up PCIe links";

/// Returns the least of what both ends have; whether that of the port is known.
fn most<T: Ord + Copy>(device: Option<T>, port: Option<T>) -> (Option<T>, bool) {
    ([device, port].into_iter().flatten().min(), port.is_some())
}

fn width(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let is_virtual = Pci::of(evidence).is_virtual() == Some(true);
    for device in devices(evidence, verdicts) {
        let now = device.link.and_then(|link| link.now.width).filter(|width| *width > 0);
        let (most, is_port_known) =
            device.link.map_or((None, false), |link| most(link.device.width, link.port.width));
        match (now, most) {
            _ if is_virtual => verdicts.unknown(device.name, IS_VIRTUAL),
            (Some(now), Some(most)) if now >= most => {
                verdicts.pass(device.name, format!("it uses all {now} lanes"));
            }
            (Some(now), Some(most)) if is_port_known => {
                verdicts.fail(device.name, format!("it uses {now} lanes, and both ends have {most}"));
            }
            (Some(now), Some(most)) => verdicts.unknown(
                device.name,
                format!("it uses {now} of its {most} lanes, and how many the port above has is not told"),
            ),
            _ => verdicts.unknown(device.name, "no source tells its PCIe lanes, in use and at most"),
        }
    }
}

fn speed(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let is_virtual = Pci::of(evidence).is_virtual() == Some(true);
    let queried = evidence.smi();
    for device in devices(evidence, verdicts) {
        let now = device.link.and_then(|link| link.now.generation);
        let (most, is_port_known) =
            device.link.map_or((None, false), |link| most(link.device.generation, link.port.generation));
        let (Some(now), Some(most)) = (now, most) else {
            verdicts.unknown(device.name, "no source tells the speed of its PCIe link, now and at most");
            continue;
        };
        // The link and the load have to be of one moment: an idle GPU slows its link down.
        let moments: &[Moment] =
            device.address.and_then(|own| queried.get(&own)).map_or(&[], |own| &own.moments);
        let at_work = moments.iter().filter(|own| own.is_busy()).filter_map(|own| own.generation).min();
        let fastest = moments.iter().filter_map(|own| own.generation).fold(now, u8::max);
        let slow = at_work.filter(|at_work| *at_work < most);
        let now = slow.unwrap_or(now);
        let text = format!("its link runs at PCIe {now}.0, and both ends support {most}.0");
        match () {
            () if is_virtual => verdicts.unknown(device.name, IS_VIRTUAL),
            () if fastest >= most && slow.is_none() => {
                verdicts.pass(device.name, format!("its link runs at PCIe {fastest}.0"));
            }
            () if !is_port_known => verdicts.unknown(
                device.name,
                format!(
                    "its link runs at PCIe {now}.0 of {most}.0, and the speed of the port above is not told"
                ),
            ),
            () if !device.is_gpu => verdicts.fail(device.name, text),
            () if slow.is_some() => verdicts.fail(device.name, format!("{text}, though it was at work")),
            () => verdicts.unknown(device.name, format!("{text}; it may have been idle")),
        }
    }
}

/// The errors of one function by the files that count them.
pub(crate) const COUNTERS: [(&str, &str, bool); 3] = [
    ("aer_dev_fatal", "fatal", true),
    ("aer_dev_nonfatal", "nonfatal", true),
    ("aer_dev_correctable", "correctable", false),
];

/// The most correctable errors in an hour.
const MOST_PER_HOUR: f64 = 100.0;

/// Returns the number of errors: the last line, `TOTAL_ERR_COR 3`.
pub(crate) fn total(evidence: &Evidence<'_>, address: PciAddress, file: &str) -> Stated<u64> {
    let number = |text: &str| {
        let total = text.lines().find_map(|line| line.strip_prefix("TOTAL_"))?;
        total.split_whitespace().nth(1)?.parse().ok()
    };
    match evidence.text(&format!("sys/bus/pci/devices/{address}/{file}")) {
        Stated::Known(text) => number(&text).map_or(Stated::Unreadable, Stated::Known),
        Stated::Unreadable => Stated::Unreadable,
        _ => Stated::Unstated,
    }
}

fn errors(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let (pci, window) = (Pci::of(evidence), window(evidence));
    let queried = evidence.smi();
    let queried_before = window.as_ref().ok().map(|own| own.earlier.smi());
    for device in devices(evidence, verdicts) {
        let mut path = Vec::from_iter(device.address);
        path.extend(device.address.map(|address| pci.above(address)).unwrap_or_default());
        // All counters are read even where there is no earlier reading, so that a snapshot can be one.
        let mut counted: Vec<(String, bool, Stated<u64>, Stated<u64>)> = Vec::new();
        for address in &path {
            for (file, word, is_grave) in COUNTERS {
                let then = window.as_ref().map_or(Stated::Unstated, |own| total(own.earlier, *address, file));
                let what = format!("{word} errors at {address}");
                counted.push((what, is_grave, total(evidence, *address, file), then));
            }
        }
        let of = |all: &BTreeMap<PciAddress, Queried>| all.get(&device.address?)?.replays;
        let [now, then] = [Some(queried), queried_before]
            .map(|own| own.and_then(of).map_or(Stated::Unstated, Stated::Known));
        counted.push(("replays".to_owned(), false, now, then));
        counted.retain(|(_, _, now, then)| [now, then].into_iter().any(|own| *own != Stated::Unstated));
        if counted.is_empty() {
            verdicts.unknown(device.name, "no source counts its PCIe errors");
            continue;
        }
        let window = match &window {
            Ok(window) => window,
            Err(reason) => {
                verdicts.unknown(device.name, *reason);
                continue;
            }
        };
        let (mut is_sound, mut few) = (true, 0);
        for (what, is_grave, now, then) in &counted {
            let (Some(now), Some(then)) = (now.known(), then.known()) else {
                let word = if now.known().is_some() { "earlier" } else { "later" };
                verdicts.unknown(&device.name, format!("the {word} reading does not tell the {what}"));
                is_sound = false;
                continue;
            };
            let Some(grown) = growth(*then, *now) else {
                verdicts
                    .unknown(&device.name, format!("the counter of {what} was reset between the readings"));
                is_sound = false;
                continue;
            };
            let text = format!("{grown} more {what} since the earlier reading");
            few += grown.min(1);
            match (grown, is_grave, exceeds(grown, window.seconds, MOST_PER_HOUR / 3600.0)) {
                (0, _, _) | (_, false, Some(false)) => continue,
                (_, true, _) => verdicts.fail(&device.name, text),
                (_, false, Some(true)) => {
                    verdicts.warn(&device.name, format!("{text}, above {MOST_PER_HOUR:.0} an hour"));
                }
                (_, false, None) => {
                    verdicts.unknown(&device.name, format!("{text}, in a time that is not told"));
                }
            }
            is_sound = false;
        }
        if is_sound {
            let word = if few == 0 { "no more" } else { "few more corrected" };
            let text = format!("{word} errors on {} PCIe functions up to the root", path.len());
            verdicts.pass(device.name, text);
        }
    }
}

/// The share of a link's rate that is left for data, besides headers and acknowledgements.
const USABLE: f64 = 0.85;

fn headroom(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    has_no_adapters(evidence, verdicts);
    let is_virtual = Pci::of(evidence).is_virtual() == Some(true);
    // The functions of a card share its slot.
    let mut slots: BTreeMap<(u32, u8, u8), Vec<usize>> = BTreeMap::new();
    for position in rdma_nics(evidence) {
        if let Some(address) = nic(evidence.topology, position).and_then(|nic| nic.address) {
            slots.entry((address.domain, address.bus, address.device)).or_default().push(position);
        } else {
            verdicts.unknown(evidence.topology.device_name(position), NO_ADDRESS);
        }
    }
    for positions in slots.into_values() {
        let nics = || positions.iter().filter_map(|position| nic(evidence.topology, *position));
        let names: Vec<String> =
            positions.iter().map(|position| evidence.topology.device_name(*position)).collect();
        let name = names.join(" and ");
        let now = nics().filter_map(|nic| nic.pci.link).find_map(|link| {
            rates::pcie(link.now.generation?, link.now.width?).rate.map(|rate| rate.bandwidth)
        });
        let ports: Bandwidth = nics().filter_map(|nic| nic.rate).sum();
        match now {
            _ if is_virtual => verdicts.unknown(name, IS_VIRTUAL),
            None => verdicts.unknown(name, "no source tells the rate of its PCIe link"),
            Some(_) if nics().all(|nic| nic.state == Some(PortState::Down)) => {
                verdicts.not_applicable(name, "its ports are down");
            }
            Some(_) if ports == Bandwidth::ZERO => {
                verdicts.unknown(name, "no source tells the rates of its ports");
            }
            Some(slot) => {
                let usable = slot.as_gb_per_s() * USABLE;
                let text =
                    format!("{usable:.1} GB/s of its PCIe link are usable, and its ports carry {ports}");
                if usable < ports.as_gb_per_s() {
                    verdicts.fail(name, text);
                } else if nics().any(|nic| nic.rate.is_none() && nic.state != Some(PortState::Down)) {
                    verdicts.unknown(name, format!("{text}, those of unknown rate not counted"));
                } else {
                    verdicts.pass(name, text);
                }
            }
        }
    }
}

/// The read request in bytes that suits large transfers: the greatest there is.
const LARGE_READ: u32 = 4096;

fn max_read(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    has_no_adapters(evidence, verdicts);
    let pci = Pci::of(evidence);
    for position in rdma_nics(evidence) {
        let name = evidence.topology.device_name(position);
        let Some(nic) = nic(evidence.topology, position) else { continue };
        let Some(address) = nic.address else {
            verdicts.unknown(name, NO_ADDRESS);
            continue;
        };
        match pci.max_read(address) {
            _ if pci.is_virtual_function(nic, address) => {
                verdicts.not_applicable(name, "it is a virtual function, which has no such setting");
            }
            Stated::Known(bytes) if bytes < LARGE_READ => {
                verdicts.warn(name, format!("it may read {bytes} bytes at once, of {LARGE_READ} possible"));
            }
            Stated::Known(bytes) => verdicts.pass(name, format!("it may read {bytes} bytes at once")),
            Stated::Unreadable => verdicts.unknown(name, "only root may read its largest read request"),
            _ => verdicts.unknown(name, "no source tells its largest read request"),
        }
    }
}

/// The smallest window that the driver works with.
const LEAST_WINDOW: u64 = 256 << 20;

fn bar1(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    evidence.has_no_gpus(verdicts);
    let (pci, queried) = (Pci::of(evidence), evidence.smi());
    let is_wanted = !rdma_nics(evidence).is_empty();
    for (_, id, gpu) in evidence.gpus() {
        let name = gpu.name();
        if evidence.topology.links_of(id).any(|(_, link)| link.kind == LinkKind::C2c) {
            verdicts.not_applicable(name, "its memory is reached over NVLink-C2C");
            continue;
        }
        let address = gpu.address;
        // The first region holds registers; of 64-bit regions each takes two lines, so the number is no help.
        let region = address.and_then(|address| pci.regions(address)?.get(1).copied());
        let told = || address.and_then(|address| queried.get(&address)?.bar1);
        let Some(window) = region.or_else(told) else {
            verdicts.unknown(name, "no source tells the size of its BAR1");
            continue;
        };
        let size = Bytes(window);
        match gpu.memory.or_else(|| named_memory(gpu.model.as_deref()?)) {
            _ if window < LEAST_WINDOW => {
                verdicts.fail(name, format!("its BAR1 has {size}, less than 256 MiB"));
            }
            Some(memory) if window < memory && is_wanted => verdicts.warn(
                name,
                format!(
                    "its BAR1 has {size}, and its memory {}, so adapters reach a part of it",
                    Bytes(memory)
                ),
            ),
            Some(memory) if window < memory => verdicts.pass(
                name,
                format!("its BAR1 has {size} of {} memory, and no RDMA adapter is here", Bytes(memory)),
            ),
            Some(_) => verdicts.pass(name, format!("its BAR1 of {size} covers its memory")),
            None if !is_wanted => {
                verdicts.pass(name, format!("its BAR1 has {size}, and no RDMA adapter is here"));
            }
            None => verdicts.unknown(name, format!("its BAR1 has {size}; its memory is not told")),
        }
    }
}

/// Returns the memory that the name of a product tells: `NVIDIA A100-SXM4-80GB`, `H100 SXM5 80GB`.
fn named_memory(model: &str) -> Option<u64> {
    let mut words = model.split([' ', '-', '/']);
    let size = words.find_map(|word| word.strip_suffix("GB")?.parse::<u64>().ok())?;
    size.checked_mul(1 << 30)
}
