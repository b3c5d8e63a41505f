//! The ports of RDMA devices.

pub(crate) use super::rdma_tools::Gid;
use super::rdma_tools::{self, Told};
use crate::evidence::Evidence;
use nvtopo::model::{LinkLayer, Nic, PortState, Stated};
use nvtopo::{Bandwidth, PathType, PciAddress};
use std::collections::{BTreeMap, BTreeSet};

const DEVICES: &str = "sys/class/infiniband";

/// A port of an RDMA device.
#[derive(Clone, Debug, Default)]
pub(crate) struct Port {
    pub(crate) device: String,
    /// Its number, from 1. `None`: the only one of which something is known.
    pub(crate) number: Option<u32>,
    pub(crate) state: Option<PortState>,
    /// The state in the words of its source.
    pub(crate) state_text: Option<String>,
    pub(crate) physical: Option<String>,
    pub(crate) layer: Option<LinkLayer>,
    /// One direction. `None` while it is down.
    pub(crate) rate: Option<Bandwidth>,
    /// The RDMA packet that is in use, in bytes, as `ibv_devinfo` tells.
    pub(crate) active_mtu: Option<u32>,
    pub(crate) model: Option<String>,
    pub(crate) address: Option<PciAddress>,
    /// The number that all devices of its card share, as tools tell it.
    image: Option<String>,
    pub(crate) interfaces: Vec<String>,
    /// The addresses that `show_gids` lists. `None`: it was not run, or not to its end.
    pub(crate) saved_gids: Option<Vec<Gid>>,
    /// Its directory in `sys`, where the files of the machine hold it.
    pub(crate) folder: Option<String>,
    /// It belongs to a virtual function, which is a guest's or a container's.
    pub(crate) is_virtual: bool,
}

impl Port {
    pub(crate) fn name(&self) -> String {
        match self.number {
            Some(number) => format!("{} port {number}", self.device),
            None => self.device.clone(),
        }
    }

    pub(crate) fn is_active(&self) -> bool {
        self.state == Some(PortState::Active)
    }

    /// Returns whether it is known not to be active. One of unknown state may be.
    pub(crate) fn is_down(&self) -> bool {
        self.state.is_some_and(|state| state != PortState::Active)
    }

    /// Returns the card that it is a part of: functions of one slot are one card; where no source tells slots, devices of one
    /// system image.
    pub(crate) fn card(&self) -> String {
        match self.address {
            Some(address) => {
                let text = address.to_string();
                text.rsplit_once('.').map_or(text.clone(), |(slot, _)| slot.to_owned())
            }
            None => slot_of(&self.device).or(self.image.as_deref()).unwrap_or(&self.device).to_owned(),
        }
    }

    /// Returns the kind of adapter by which ports are compared: the model, and whether it stands for a bond.
    pub(crate) fn kind(&self) -> (Option<&str>, bool) {
        (self.model.as_deref(), self.device.contains("_bond"))
    }

    fn file(&self, evidence: &Evidence<'_>, name: &str) -> Stated<String> {
        match &self.folder {
            Some(folder) => evidence.text(&format!("{folder}/{name}")),
            None => Stated::Unstated,
        }
    }
}

/// Returns the slot in a name that rdma-core makes of an address: `roceP2p1s0` of `roceP2p1s0f1`.
fn slot_of(device: &str) -> Option<&str> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (slot, function) = device.rsplit_once('f')?;
    let (bus, number) = slot.rsplit_once('s')?;
    let (_, bus) = bus.rsplit_once('p')?;
    [bus, number, function].into_iter().all(is_number).then_some(slot)
}

/// The ports of a machine.
pub(crate) enum Ports {
    /// It has some.
    Known(Vec<Port>),
    /// It has no RDMA device.
    None,
    /// No source lists RDMA devices.
    Unknown,
}

/// Returns the ports of all RDMA devices of hardware, without those that manage NVSwitches.
pub(crate) fn ports<'e>(evidence: &'e Evidence<'_>) -> &'e Ports {
    evidence.readings.ports.get_or_init(|| read(evidence))
}

/// Returns the names of the interfaces of all ports.
pub(crate) fn interfaces(evidence: &Evidence<'_>) -> Vec<String> {
    match ports(evidence) {
        Ports::Known(ports) => ports.iter().flat_map(|port| port.interfaces.iter().cloned()).collect(),
        Ports::None | Ports::Unknown => Vec::new(),
    }
}

fn read(evidence: &Evidence<'_>) -> Ports {
    let listed = rdma_tools::read(evidence);
    let mut ports = of_files(evidence);
    let nics: BTreeMap<&str, &Nic> =
        evidence.topology.nics().filter_map(|nic| Some((nic.rdma_device.as_deref()?, nic))).collect();
    let mut known: BTreeSet<(String, Option<u32>)> =
        ports.iter().map(|port| (port.device.clone(), port.number)).collect();
    for (device, number) in listed.ports.keys() {
        if known.insert((device.clone(), Some(*number))) {
            ports.push(Port { device: device.clone(), number: Some(*number), ..Port::default() });
        }
    }
    for (device, nic) in &nics {
        if !ports.iter().any(|port| port.device == *device) {
            ports.push(Port { device: (*device).to_owned(), number: nic.port, ..Port::default() });
        }
    }
    for port in &mut ports {
        let told = port.number.and_then(|number| listed.ports.get(&(port.device.clone(), number)));
        if let Some(told) = told {
            fill_from_tools(port, told);
        }
        if listed.has_gids {
            port.saved_gids = Some(told.map(|told| told.gids.clone()).unwrap_or_default());
        }
        if let Some(nic) = nics.get(port.device.as_str()) {
            fill_from_topology(port, nic);
        }
        port.model = port.model.take().or_else(|| listed.models.get(&port.device).cloned());
        port.image = listed.cards.get(&port.device).cloned();
    }
    ports.sort_by_key(|a| (natural(&a.device), a.number));
    if !ports.is_empty() {
        return Ports::Known(ports);
    }
    // The kernel has the class as soon as there is a device of it.
    let classes = evidence.names("sys/class");
    let is_whole = classes.len() > 1 && !classes.iter().any(|class| class == "infiniband");
    if is_whole { Ports::None } else { Ports::Unknown }
}

/// Orders `mlx5_2` before `mlx5_10`.
fn natural(name: &str) -> (String, u64) {
    let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count().min(18);
    let (head, tail) = name.split_at(name.len() - digits);
    (head.to_owned(), tail.parse().unwrap_or(0))
}

/// Reads the ports of the kernel's devices.
fn of_files(evidence: &Evidence<'_>) -> Vec<Port> {
    let mut ports = Vec::new();
    let placed: BTreeSet<PciAddress> = evidence.topology.nics().filter_map(|nic| nic.address).collect();
    for device in evidence.names(DEVICES) {
        let folder = format!("{DEVICES}/{device}");
        let target = evidence.link(&folder).or_else(|| evidence.link(&format!("{folder}/device")));
        let address: Option<PciAddress> =
            target.as_deref().and_then(|target| target.rsplit('/').find_map(|part| part.parse().ok()));
        let is_software = target.as_deref().is_some_and(|target| target.contains("/virtual/"));
        // Discovery leaves out the functions that manage NVSwitches.
        let is_manager = address.is_some_and(|address| !placed.contains(&address)) && !placed.is_empty();
        if is_software || is_manager {
            continue;
        }
        let is_virtual = evidence.link(&format!("{folder}/device/physfn")).is_some();
        let model = known(evidence.text(&format!("{folder}/hca_type")));
        let model = model.or_else(|| known(evidence.text(&format!("{folder}/board_id"))));
        for name in evidence.names(&format!("{folder}/ports")) {
            let Ok(number) = name.parse() else { continue };
            let mut port = Port {
                device: device.clone(),
                number: Some(number),
                folder: Some(format!("{folder}/ports/{number}")),
                model: model.clone(),
                address,
                is_virtual,
                ..Port::default()
            };
            port.state_text = known(port.file(evidence, "state")).map(|text| rdma_tools::physical(&text));
            port.state = port.state_text.as_deref().and_then(rdma_tools::state);
            port.physical = known(port.file(evidence, "phys_state")).map(|text| rdma_tools::physical(&text));
            port.layer =
                known(port.file(evidence, "link_layer")).and_then(|text| LinkLayer::of_tool(text.trim()));
            port.rate = known(port.file(evidence, "rate")).and_then(|text| rdma_tools::rate(&text));
            port.interfaces.extend(known(port.file(evidence, "gid_attrs/ndevs/0")));
            ports.push(port);
        }
    }
    for port in &mut ports {
        if port.state == Some(PortState::Down) {
            port.rate = None;
        }
    }
    ports
}

fn known(text: Stated<String>) -> Option<String> {
    match text {
        Stated::Known(text) => Some(text).filter(|text| !text.is_empty()),
        _ => None,
    }
}

fn fill_from_tools(port: &mut Port, told: &Told) {
    port.state = port.state.or(told.state);
    port.physical = port.physical.take().or_else(|| told.physical.clone());
    port.layer = port.layer.or(told.layer);
    port.rate = port.rate.or(told.rate).filter(|_| port.state != Some(PortState::Down));
    port.active_mtu = port.active_mtu.or(told.active_mtu);
    if port.interfaces.is_empty() {
        port.interfaces.extend(told.interface.clone());
    }
}

fn fill_from_topology(port: &mut Port, nic: &Nic) {
    port.address = port.address.or(nic.address);
    port.model = port.model.take().or_else(|| nic.model.clone());
    // The topology has one port of each device.
    if nic.port.is_some() && nic.port != port.number {
        return;
    }
    port.state = port.state.or(nic.state);
    port.layer = port.layer.or(nic.link_layer);
    port.rate = port.rate.or(nic.rate).filter(|_| port.state != Some(PortState::Down));
    if port.interfaces.is_empty() {
        port.interfaces.extend(nic.net_devices.iter().cloned().chain(nic.bond.clone()));
    }
}

/// Returns the RDMA devices that jobs of GPUs use: those that the profile names; else those that share a PCIe switch with a
/// GPU; else those of the kind of which there are most.
pub(crate) fn compute_devices(evidence: &Evidence<'_>, ports: &[Port]) -> BTreeSet<String> {
    if let Some(named) = &evidence.profile.expect.compute_nics {
        return named.iter().cloned().collect();
    }
    let topology = evidence.topology;
    let first = topology.gpus().len();
    let near = topology.nics().enumerate().filter(|(place, _)| {
        (0..first).any(|gpu| {
            let path = topology.pairs().pair(gpu, first + place).path;
            matches!(path, Some(PathType::Pix | PathType::Pxb))
        })
    });
    let near: BTreeSet<String> = near.filter_map(|(_, nic)| nic.rdma_device.clone()).collect();
    if !near.is_empty() {
        return near;
    }
    let mut kinds: BTreeMap<_, usize> = BTreeMap::new();
    for port in ports {
        *kinds.entry(port.kind()).or_default() += 1;
    }
    let most = kinds.values().max().copied().unwrap_or(0);
    let of_most = ports.iter().filter(|port| kinds.get(&port.kind()) == Some(&most));
    of_most.map(|port| port.device.clone()).collect()
}

/// The addresses of a port.
pub(crate) enum Gids {
    Known(Vec<Gid>),
    Unknown,
}

/// Returns the addresses of a port, up to the first that is routed.
pub(crate) fn gids(evidence: &Evidence<'_>, port: &Port) -> Gids {
    let folder = port.folder.clone().unwrap_or_default();
    let mut indices: Vec<u32> = evidence
        .names(&format!("{folder}/gid_attrs/types"))
        .iter()
        .filter_map(|name| name.parse().ok())
        .collect();
    if port.folder.is_none() || indices.is_empty() {
        return port.saved_gids.clone().map_or(Gids::Unknown, Gids::Known);
    }
    indices.sort_unstable();
    let mut gids = Vec::new();
    for index in indices {
        // An index without an address is an error to read.
        let Some(kind) = known(port.file(evidence, &format!("gid_attrs/types/{index}"))) else { continue };
        let address = known(port.file(evidence, &format!("gids/{index}")));
        let gid = Gid { index, is_v2: kind.trim() == "RoCE v2", address };
        let is_enough = gid.is_v2 && gid.is_routed() == Some(true);
        gids.push(gid);
        if is_enough {
            break;
        }
    }
    Gids::Known(gids)
}

impl Gid {
    /// Returns whether it is more than an address of the link; `None` where it cannot be read.
    pub(crate) fn is_routed(&self) -> Option<bool> {
        let address = self.address.as_deref()?.to_ascii_lowercase();
        let is_zero = address.chars().all(|c| matches!(c, '0' | ':'));
        Some(!is_zero && !address.starts_with("fe80:"))
    }
}
