//! The writer: a topology as the mock's profile.

use super::limits::{Limits, MOST_GPUS};
use super::links::Links;
use super::places::Places;
use super::profile::{
    Capability, Defaults, Device, DeviceLinks, Fabric, Failure, Memory, Mig, NvLink, Pci, Pcie, Profile,
    Switch, System,
};
use crate::error::{Error, Result};
use crate::ids::PciAddress;
use crate::model::{Basis, FabricState, Gpu, LinkKind, NodeKind, NvLinkFar, Topology, rates};
use crate::source::{WriteOptions, Written};
use crate::units::Bandwidth;
use std::collections::{BTreeMap, BTreeSet};

/// The driver of the mock's own profiles, where the topology knows none: the mock demands one.
const DRIVER: &str = "550.163.01";

/// The reason for which the mock can make a GPU unusable, as [`Gpu::unusable`] has it, and the mock's word.
const LOST: (&str, &str) = ("has fallen off the bus", "lost");

/// Writes the profile.
pub(in crate::source) fn write(topology: &Topology, _options: &WriteOptions) -> Result<Written> {
    let gpus: Vec<&Gpu> = topology.gpus().collect();
    if gpus.is_empty() {
        return Err(Error::request("the topology has no GPU, and the mock of NVML is of GPUs"));
    }
    if topology.links().any(|(_, _, link)| link.kind == LinkKind::Xgmi) {
        return Err(Error::request("the GPUs are of AMD, and the mock of NVML is of NVIDIA's driver"));
    }
    let mut limits = Limits::default();
    let addresses = addresses(&gpus, &mut limits);
    let places = Places::of(topology);
    let links: Vec<Links> = (0..gpus.len()).map(|gpu| Links::of(topology, gpu, &addresses)).collect();
    let far: Vec<NvLinkFar> = addresses.iter().map(|address| NvLinkFar::Gpu(*address)).collect();
    limits.pairs(topology, &places, &links, &far);
    machine(topology, &gpus, &places, &mut limits);
    let devices = gpus.iter().zip(&addresses).enumerate();
    let devices = devices.map(|(place, (gpu, address))| device(place, gpu, *address, &mut limits)).collect();
    let defaults = Defaults {
        compute_capability: capability(&gpus, &mut limits),
        pcie: pcie(topology, &gpus, &mut limits),
        mig: mig(topology, &gpus, &mut limits),
        topology: places.written_level(),
    };
    let profile = Profile {
        version: "1.0",
        system: system(topology, gpus.len(), &mut limits),
        device_defaults: defaults,
        devices,
        nvlink: nvlink(topology, &gpus, &links, &mut limits),
        pcie_topology: places.written(&addresses),
    };
    // Every text is in quotes, as older readers of YAML take an address such as 0000:07:00.0 for a number.
    let options = serde_saphyr::ser_options! { quote_all: true };
    let mut text = serde_saphyr::to_string_with_options(&profile, options)
        .map_err(|error| Error::request(format!("the profile cannot be written as YAML: {error}")))?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let mut written = Written::new(text);
    limits.note(&mut written);
    Ok(written)
}

/// Returns the address of each GPU. The mock joins its facts by them, so that one is made up where none is known.
fn addresses(gpus: &[&Gpu], limits: &mut Limits) -> Vec<PciAddress> {
    let taken: BTreeSet<PciAddress> = gpus.iter().filter_map(|gpu| gpu.address).collect();
    let mut free = (1u32..)
        .map(|number| PciAddress { domain: number >> 8, bus: (number & 0xff) as u8, device: 0, function: 0 })
        .filter(|address| !taken.contains(address));
    let of = |gpu: &&Gpu| {
        gpu.address.or_else(|| {
            limits.assumed("the PCI address is unknown, and one is made up", gpu.name());
            free.next()
        })
    };
    gpus.iter().filter_map(of).collect()
}

fn system(topology: &Topology, gpus: usize, limits: &mut Limits) -> System {
    let machine = topology.machine();
    if machine.driver.is_none() {
        limits.assumed("the version of the driver is unknown, and taken to be 550.163.01", "");
    }
    let cuda = machine.cuda.as_deref().and_then(|cuda| {
        let (major, minor) = cuda.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    });
    if cuda.is_none() {
        limits.assumed("the version of CUDA is unknown, and the mock shows its own", "");
    }
    let (cuda_version_major, cuda_version_minor) = cuda.unzip();
    System {
        driver_version: machine.driver.clone().unwrap_or_else(|| DRIVER.to_owned()),
        cuda_version: machine.cuda.clone(),
        cuda_version_major,
        cuda_version_minor,
        num_devices: gpus,
    }
}

/// Notes what the mock cannot tell of the machine as a whole, and of the places of GPUs.
fn machine(topology: &Topology, gpus: &[&Gpu], places: &Places, limits: &mut Limits) {
    for gpu in gpus.iter().skip(MOST_GPUS) {
        limits.lost("the mock shows the first 8 GPUs, and not these", gpu.name());
    }
    if !topology.nvlink_known() {
        limits.lost("NVLinks are unknown, and the mock shows those that are known, or none", "");
    }
    for nic in topology.nics() {
        limits.lost("the mock is of the driver, which knows no NICs; left out", &*nic.name);
    }
    let hidden = |(_, node): (_, &crate::model::Node)| matches!(&node.kind, NodeKind::NvSwitch(switch) if switch.address.is_some());
    if topology.nodes().any(hidden) {
        limits.lost("the mock hides the addresses of NVSwitches, as drivers in virtual machines do", "");
    }
    for (place, gpu) in gpus.iter().enumerate() {
        let id = topology.devices()[place];
        if topology.local_nodes(id).known().is_some_and(|nodes| nodes.len() > 1) {
            limits.lost("the mock shows one NUMA node near a GPU, here the first of several", gpu.name());
        }
        let own = gpu.memory_node.known().copied();
        if own != places.nodes[place] {
            limits.lost("the mock shows the near NUMA node as that of the GPU's own memory", gpu.name());
        }
        if topology.gpu_instances(place).next().is_some() {
            limits.lost("the mock has no MIG instances, only the mode", gpu.name());
        }
        if gpu.index as usize != place {
            limits.lost(
                "the mock numbers GPUs from 0 without gaps, and shows these under other numbers",
                gpu.name(),
            );
        }
        if gpu.unusable.as_deref().is_some_and(|why| why != LOST.0) {
            limits.lost("the mock shows these as usable", gpu.name());
        }
    }
}

fn device(place: usize, gpu: &Gpu, address: PciAddress, limits: &mut Limits) -> Device {
    let minor = gpu.minor.or_else(|| {
        limits.assumed("the number of the device file is unknown, and taken to be the index", gpu.name());
        None
    });
    for (is_known, text) in [
        (gpu.uuid.is_some(), "the UUID is unknown, and the mock makes one up"),
        (gpu.model.is_some(), "the model is unknown, and the mock shows an A100"),
        (gpu.memory.is_some(), "the size of the memory is unknown, and the mock shows that of an A100"),
    ] {
        if !is_known {
            limits.assumed(text, gpu.name());
        }
    }
    let pair = |low: Option<u16>, high: Option<u16>| Some(u32::from(high?) << 16 | u32::from(low?));
    let fabric = gpu.fabric.as_ref().and_then(|own| {
        let written = fabric(own);
        if written.is_none() || own.status.is_some_and(|status| status != 0) {
            limits.lost(
                "the state of the fabric, or its error, is one that the mock does not have",
                gpu.name(),
            );
        }
        written
    });
    Device {
        index: place,
        uuid: gpu.uuid.map(|uuid| uuid.to_string()),
        minor_number: minor.unwrap_or(gpu.index),
        name: gpu.model.clone(),
        serial: gpu.serial.clone(),
        vbios_version: gpu.firmware.clone(),
        architecture: architecture(gpu),
        memory: gpu.memory.map(|total| Memory {
            total_bytes: total,
            free_bytes: gpu.usage.memory_free.unwrap_or(total),
            used_bytes: gpu.usage.memory_used.unwrap_or_default(),
        }),
        pci: Pci {
            bus_id: address.to_string(),
            device_id: pair(gpu.pci.vendor, gpu.pci.device),
            subsystem_id: pair(gpu.pci.subsystem_vendor, gpu.pci.subsystem_device),
        },
        fabric,
        failure: (gpu.unusable.as_deref() == Some(LOST.0)).then_some(Failure { mode: LOST.1 }),
    }
}

/// Source: `parseArchitecture` in `engine/device.go`.
fn architecture(gpu: &Gpu) -> Option<&'static str> {
    let capability = gpu.compute_capability?;
    match (capability.major, capability.minor) {
        (3, _) => Some("kepler"),
        (5, _) => Some("maxwell"),
        (6, _) => Some("pascal"),
        (7, 0..=4) => Some("volta"),
        (7, _) => Some("turing"),
        (8, 9) => Some("ada"),
        (8, _) => Some("ampere"),
        (9, _) => Some("hopper"),
        (10..=12, _) => Some("blackwell"),
        _ => None,
    }
}

fn fabric(own: &crate::model::Fabric) -> Option<Fabric> {
    let state = match own.state {
        FabricState::NotStarted => "not_started",
        FabricState::InProgress => "in_progress",
        FabricState::Completed => "completed",
        FabricState::Unknown => return None,
    };
    let health_summary = match own.health_summary {
        Some(1) => "healthy",
        Some(2) => "unhealthy",
        Some(3) => "limited_capacity",
        _ => "not_supported",
    };
    Some(Fabric {
        cluster_uuid: own.cluster.clone(),
        clique_id: own.clique.unwrap_or_default(),
        state,
        health_mask: own.health.unwrap_or_default(),
        health_summary,
    })
}

/// Returns the fact that the mock has once: that of the first GPU that has one. Those that differ are noted.
fn once<T: PartialEq + Copy>(
    gpus: &[&Gpu],
    facts: &[Option<T>],
    text: &'static str,
    limits: &mut Limits,
) -> Option<T> {
    let fact = facts.iter().copied().flatten().next();
    for (gpu, _) in gpus.iter().zip(facts).filter(|(_, own)| **own != fact) {
        limits.lost(text, gpu.name());
    }
    fact
}

fn capability(gpus: &[&Gpu], limits: &mut Limits) -> Option<Capability> {
    let own =
        |gpu: &&Gpu| gpu.compute_capability.map(|own| Capability { major: own.major, minor: own.minor });
    let own: Vec<_> = gpus.iter().map(own).collect();
    if own.iter().all(Option::is_none) {
        limits.assumed("the compute capability is unknown, and the mock shows 8.0", "");
    }
    once(gpus, &own, "the mock has one compute capability for all GPUs, and others have these", limits)
}

fn pcie(topology: &Topology, gpus: &[&Gpu], limits: &mut Limits) -> Option<Pcie> {
    let own: Vec<Option<Pcie>> = (0..gpus.len()).map(|gpu| pcie_of(topology, gpu, gpus[gpu])).collect();
    once(gpus, &own, "the mock has one PCIe link for all GPUs, and others have these", limits)
}

fn pcie_of(topology: &Topology, place: usize, gpu: &Gpu) -> Option<Pcie> {
    let id = topology.devices()[place];
    let above = topology.node(id).parent;
    let link = topology.links_of(id).find(|(far, link)| link.kind == LinkKind::Pcie && Some(*far) == above);
    let lanes = link.and_then(|(_, link)| link.lanes);
    let rate = link.and_then(|(_, link)| link.rate);
    let generation = rate.zip(lanes).and_then(|(rate, lanes)| {
        (1..=6).find(|generation| {
            rates::pcie(*generation, lanes).rate.map(|own| own.bandwidth) == Some(rate.bandwidth)
        })
    });
    let training = gpu.pci.link.unwrap_or_default();
    let both = training.most();
    let (port, now) = (training.port, training.now);
    let max_link_gen = both.generation.or(port.generation).or(training.device.generation).or(generation);
    let max_link_width = both.width.or(port.width).or(training.device.width).or(lanes);
    let own = Pcie {
        max_link_gen,
        current_link_gen: now.generation.or(max_link_gen),
        max_link_width,
        current_link_width: now.width.or(lanes).or(max_link_width),
    };
    Some(own).filter(|own| *own != Pcie::default())
}

fn mig(topology: &Topology, gpus: &[&Gpu], limits: &mut Limits) -> Option<Mig> {
    let word = |is_on: bool| if is_on { "enabled" } else { "disabled" };
    let own = |(place, gpu): (usize, &&Gpu)| {
        let is_divided = topology.gpu_instances(place).next().is_some();
        let mode = gpu.mig.unwrap_or(crate::model::MigMode::new(is_divided, is_divided));
        Some(Mig { mode_current: word(mode.current), mode_pending: word(mode.pending) })
    };
    let own: Vec<_> = gpus.iter().enumerate().map(own).collect();
    once(gpus, &own, "the mock has one MIG mode for all GPUs, and others have these", limits)
}

fn nvlink(topology: &Topology, gpus: &[&Gpu], links: &[Links], limits: &mut Limits) -> Option<NvLink> {
    let ids = &topology.devices()[..gpus.len()];
    let has_c2c = |id| topology.links_of(id).any(|(_, link)| link.kind == LinkKind::C2c);
    let c2c: Vec<Option<bool>> = ids.iter().map(|id| Some(has_c2c(*id))).collect();
    let c2c_enabled =
        once(gpus, &c2c, "the mock has C2C for all GPUs or none, and others have these", limits)
            == Some(true);
    if !c2c_enabled && links.iter().all(|links| links.all.is_empty() && !links.cut) {
        return None;
    }
    let (mut versions, mut speeds) = (BTreeMap::new(), BTreeMap::new());
    for (place, gpu) in gpus.iter().enumerate() {
        if links[place].cut {
            limits.lost(
                "NVLinks to CPUs, to ends without a name, or beyond 18 for each GPU are left out",
                gpu.name(),
            );
        }
        if links[place].all.is_empty() {
            continue;
        }
        let up = || links[place].all.iter().filter(|link| link.up != Some(false));
        let reported = up().find_map(|link| link.reported);
        let speed = reported.map(Bandwidth::as_mb_per_s).or_else(|| each(topology, place));
        let of_ports = up().find_map(|link| link.generation);
        let of_model = gpu.compute_capability.and_then(rates::nvlink_of_architecture);
        let generation = of_ports.or(of_model).or_else(|| speed.and_then(rates::nvlink_of_speed));
        let version = generation.and_then(rates::nvlink_version);
        versions.entry(version).or_insert_with(Vec::new).push(gpu.name());
        speeds.entry(speed).or_insert_with(Vec::new).push(gpu.name());
    }
    let version = most(&versions, "the mock has one version of NVLink, and others have these", limits);
    let speed = most(&speeds, "the mock has one rate of NVLinks, and others have these", limits);
    let switches: BTreeSet<String> = topology
        .nodes()
        .filter_map(|(_, node)| match &node.kind {
            NodeKind::NvSwitch(switch) => switch.address.map(|address| address.to_string()),
            _ => None,
        })
        .collect();
    let device_links = links.iter().enumerate().filter(|(_, links)| !links.all.is_empty());
    Some(NvLink {
        version,
        bandwidth_per_link_mbps: speed,
        c2c_enabled,
        switches: switches.into_iter().map(|bdf| Switch { bdf }).collect(),
        device_links: device_links
            .map(|(index, links)| DeviceLinks { index, links: links.written() })
            .collect(),
    })
}

/// Returns the known fact that most GPUs have, and notes the others.
fn most<T: Ord + Copy>(
    facts: &BTreeMap<Option<T>, Vec<String>>,
    text: &'static str,
    limits: &mut Limits,
) -> Option<T> {
    let chosen = facts.iter().filter(|(fact, _)| fact.is_some()).max_by_key(|(_, gpus)| gpus.len());
    let chosen = chosen.and_then(|(fact, _)| *fact);
    for gpu in facts.iter().filter(|(fact, _)| **fact != chosen).flat_map(|(_, gpus)| gpus) {
        limits.lost(text, gpu.as_str());
    }
    chosen
}

/// Returns the rate of one of a GPU's NVLinks in MB/s, unless it is assumed.
fn each(topology: &Topology, gpu: usize) -> Option<u64> {
    let (count, rate) = topology.nvlinks_of(gpu);
    let rate = rate.filter(|rate| rate.basis != Basis::Assumed)?;
    rate.bandwidth.as_mb_per_s().checked_div(count.into())
}
