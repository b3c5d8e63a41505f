//! Adapters, as several tools describe them, and the NICs that they become.

use super::super::plain::number;
use super::Place;
use crate::error::{Error, Result};
use crate::ids::PciAddress;
use crate::model::{
    Fragment, LinkLayer, MAX_DEVICES, Nic, NodeId, Note, NoteCode, PortState, Provenance, Stated,
};
use crate::units::{Bandwidth, count_of, several};
use std::collections::{BTreeMap, BTreeSet};

/// The most ports of a device that are believed; real ones have two at most, switches some dozens.
pub(super) const MAX_PORTS: u32 = 255;

/// The most interfaces of a port that are kept; on a smart NIC its parts have one each.
const MAX_INTERFACES: usize = 64;

/// A port of an adapter.
#[derive(Clone, Default)]
pub(super) struct Port {
    pub(super) state: Option<PortState>,
    pub(super) link_layer: Option<LinkLayer>,
    pub(super) rate: Option<Bandwidth>,
    pub(super) interfaces: Vec<String>,
    pub(super) bond: Option<String>,
}

/// A tool that names RDMA devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tool {
    Ibdev2netdev,
    /// `rdma link` and `rdma dev`.
    Rdma,
    /// And `ibstatus` and `ibv_devinfo`.
    Ibstat,
    ShowGids,
    Mst,
}

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Self::Ibdev2netdev => "ibdev2netdev",
            Self::Rdma => "rdma",
            Self::Ibstat => "ibstat",
            Self::ShowGids => "show_gids",
            Self::Mst => "mst status",
        }
    }

    /// Returns whether it lists all RDMA devices of a machine.
    fn lists_all(self) -> bool {
        matches!(self, Self::Ibdev2netdev | Self::Rdma | Self::Ibstat)
    }
}

/// An adapter: an RDMA device, or an interface of which no RDMA device is known.
#[derive(Clone, Default)]
pub(super) struct Adapter {
    pub(super) rdma: Option<String>,
    /// The tool that tells of the RDMA device.
    tool: Option<Tool>,
    pub(super) address: Option<PciAddress>,
    pub(super) model: Option<String>,
    pub(super) driver: Option<String>,
    pub(super) firmware: Option<String>,
    pub(super) numa: Option<u32>,
    /// By number, from 1; `None` for an adapter whose ports are not numbered.
    pub(super) ports: BTreeMap<Option<u32>, Port>,
}

impl Adapter {
    /// Returns a port, which is added where it is new.
    pub(super) fn port(&mut self, number: Option<u32>) -> &mut Port {
        self.ports.entry(number).or_default()
    }
}

/// All adapters of a text, in its order.
#[derive(Default)]
pub(super) struct Adapters {
    all: Vec<Adapter>,
    /// The number of different ones among them.
    count: usize,
    /// The adapters of each device by tool: they stand apart until all is read.
    by_rdma: BTreeMap<String, BTreeMap<Tool, usize>>,
    /// The adapters that were asked for by one of these.
    by_interface: BTreeMap<String, usize>,
    by_address: BTreeMap<PciAddress, usize>,
    pub(super) notes: Vec<Note>,
}

impl Adapters {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Adds a note, unless it is there.
    pub(super) fn note(&mut self, code: NoteCode, text: String) {
        if self.notes.len() < MAX_DEVICES && !self.notes.iter().any(|own| own.text == text) {
            self.notes.push(Note::new(code, text));
        }
    }

    /// Returns the adapter of an RDMA device, as a tool tells of it.
    pub(super) fn of_rdma(&mut self, tool: Tool, name: &str, at: Place) -> Result<&mut Adapter> {
        let known = self.by_rdma.get(name);
        let place = if let Some(place) = known.and_then(|known| known.get(&tool)) {
            *place
        } else {
            let place = self.add(at, known.is_none())?;
            (self.all[place].rdma, self.all[place].tool) = (Some(name.to_owned()), Some(tool));
            self.by_rdma.entry(name.to_owned()).or_default().insert(tool, place);
            place
        };
        Ok(&mut self.all[place])
    }

    /// Returns the adapter of an interface, or of a place on the PCI bus.
    pub(super) fn of_interface(
        &mut self,
        interface: Option<&str>,
        address: Option<PciAddress>,
        at: Place,
    ) -> Result<&mut Adapter> {
        let known = interface.and_then(|name| self.by_interface.get(name));
        let known = known.or_else(|| self.by_address.get(&address?)).copied();
        let place = if let Some(place) = known {
            place
        } else {
            let place = self.add(at, true)?;
            if let Some(interface) = interface {
                self.all[place].port(None).interfaces.push(interface.to_owned());
                self.by_interface.insert(interface.to_owned(), place);
            }
            place
        };
        if let Some(address) = address {
            self.by_address.entry(address).or_insert(place);
        }
        let own = &mut self.all[place];
        own.address = own.address.or(address);
        Ok(own)
    }

    fn add(&mut self, at: Place, is_new: bool) -> Result<usize> {
        self.count += usize::from(is_new);
        if self.count > MAX_DEVICES {
            let text = format!("it names more than {MAX_DEVICES} adapters");
            return Err(Error::input(text).at(at.line, at.column));
        }
        self.all.push(Adapter::default());
        Ok(self.all.len() - 1)
    }

    /// Notes the RDMA devices that one tool lists and another does not.
    fn note_missing(&mut self) {
        let mut lists: BTreeMap<Tool, BTreeSet<&str>> = BTreeMap::new();
        for (name, tools) in &self.by_rdma {
            for tool in tools.keys().filter(|tool| tool.lists_all()) {
                lists.entry(*tool).or_default().insert(name);
            }
        }
        let mut texts = Vec::new();
        for (tool, names) in &lists {
            for (other, known) in lists.iter().filter(|(other, _)| *other != tool) {
                let missing: Vec<String> = names.difference(known).map(|name| (*name).to_owned()).collect();
                if !missing.is_empty() {
                    let (tool, other) = (tool.name(), other.name());
                    texts.push(format!("{tool} lists {}, and {other} does not", several(&missing)));
                }
            }
        }
        for text in texts {
            self.note(NoteCode::OneSourceOnly, text);
        }
    }

    /// Joins the adapters that turned out to be one, by RDMA device, by interface and by place: `ethtool` may stand before
    /// the tool that tells the RDMA device.
    fn join(&mut self) {
        self.note_missing();
        let mut conflicts = Vec::new();
        let mut devices: BTreeMap<String, usize> = BTreeMap::new();
        let (named, bare): (Vec<Adapter>, Vec<Adapter>) =
            std::mem::take(&mut self.all).into_iter().partition(|own| own.rdma.is_some());
        let (mut by_interface, mut by_address) = (BTreeMap::new(), BTreeMap::new());
        for own in named.into_iter().chain(bare) {
            let interfaces = || own.ports.values().flat_map(|port| &port.interfaces);
            let place = |name: &String| by_interface.get(name).copied();
            let known = match &own.rdma {
                Some(rdma) => devices.get(rdma).copied(),
                None => interfaces().find_map(place).or_else(|| by_address.get(&own.address?).copied()),
            };
            let place = known.unwrap_or(self.all.len());
            for name in interfaces() {
                by_interface.entry(name.clone()).or_insert(place);
            }
            if let Some(address) = own.address {
                by_address.entry(address).or_insert(place);
            }
            if let Some(rdma) = &own.rdma {
                devices.entry(rdma.clone()).or_insert(place);
            }
            match self.all.get_mut(place) {
                Some(other) => {
                    conflicts.extend(conflict(other, &own));
                    fill(other, own);
                }
                None => self.all.push(own),
            }
        }
        for text in conflicts {
            self.note(NoteCode::SourcesDisagree, text);
        }
    }

    /// Builds the fragment.
    pub(super) fn fragment(mut self) -> Fragment {
        self.join();
        let mut fragment = Fragment::new(Provenance::SystemTool);
        fragment.set_nvlink_unknown();
        let mut names = BTreeSet::new();
        for own in self.all {
            let (number, port, note) = chosen(&own);
            fragment.notes.extend(note);
            let wanted = own.rdma.clone().or_else(|| port.interfaces.first().cloned());
            let wanted = wanted.or_else(|| own.address.map(|address| address.to_string()));
            let Some(name) = wanted.filter(|name| !names.contains(name)) else { continue };
            names.insert(name.clone());
            let mut nic = Nic::new(name);
            nic.address = own.address;
            nic.rdma_device = own.rdma;
            nic.port = number;
            nic.net_devices = port.interfaces;
            nic.bond = port.bond;
            nic.model = own.model.or(own.driver);
            nic.firmware = own.firmware;
            nic.state = port.state;
            nic.link_layer = port.link_layer;
            // A port that is down states the slowest rate that there is, or the best that it could have.
            nic.rate = port.rate.filter(|_| port.state != Some(PortState::Down));
            if let Some(node) = own.numa {
                nic.nodes = Stated::Known(std::iter::once(node).collect());
            }
            fragment.add(NodeId::MACHINE, nic);
        }
        fragment.notes.append(&mut self.notes);
        fragment
    }
}

/// Returns the port that stands for the adapter: the first that carries data, else the first.
fn chosen(adapter: &Adapter) -> (Option<u32>, Port, Option<Note>) {
    let mut ports = adapter.ports.clone();
    // What is said without a number is of the only port.
    let bare = ports.remove(&None);
    let count = ports.len();
    let active = ports.iter().find(|(_, port)| port.state == Some(PortState::Active));
    let why = if active.is_some() { "the first that is active" } else { "as none is active" };
    let found = active.or(ports.iter().next()).map(|(number, port)| (*number, port.clone()));
    let Some((number, mut port)) = found else { return (None, bare.unwrap_or_default(), None) };
    if let Some(bare) = bare.filter(|_| count == 1) {
        fill_port(&mut port, bare);
    }
    let note = adapter.rdma.as_ref().zip(number).filter(|_| count > 1).map(|(rdma, number)| {
        let ports = count_of(count, "port");
        let text = format!("{rdma} has {ports}; what is said of it is of port {number}, {why}");
        Note::new(NoteCode::Inferred, text)
    });
    (number, port, note)
}

/// Returns what two tools say differently of a device, which one machine does not show at one time.
fn conflict(base: &Adapter, other: &Adapter) -> Option<String> {
    let (rdma, tools) = (other.rdma.as_ref()?, base.tool.zip(other.tool)?);
    let mut facts: Vec<String> = Vec::new();
    let mut compare = |fact: &str, own: Option<String>, others: Option<String>| {
        if let Some((own, others)) = own.zip(others).filter(|(own, others)| own != others) {
            facts.push(format!("{fact} {own} and {others}"));
        }
    };
    let address = |own: &Adapter| own.address.map(|address| address.to_string());
    compare("PCI address", address(base), address(other));
    compare("firmware", base.firmware.clone(), other.firmware.clone());
    // Only the kernel's type of the chip is written alike by all.
    let chip = |own: &Adapter| own.model.clone().filter(|model| model.starts_with("MT"));
    compare("type", chip(base), chip(other));
    for (number, port) in &base.ports {
        let Some(others) = other.ports.get(number) else { continue };
        let state = |port: &Port| port.state.map(|state| state.word().to_owned());
        compare("state", state(port), state(others));
        let layer = |port: &Port| port.link_layer.map(|layer| layer.word().to_owned());
        compare("link layer", layer(port), layer(others));
    }
    let (one, two) = (tools.0.name(), tools.1.name());
    (!facts.is_empty()).then(|| {
        let facts = facts.join("; ");
        format!(
            "{rdma}: {one} and {two} disagree, as of two machines or two moments: {facts}; the first is taken"
        )
    })
}

fn fill(base: &mut Adapter, other: Adapter) {
    base.rdma = base.rdma.take().or(other.rdma);
    base.address = base.address.or(other.address);
    base.model = base.model.take().or(other.model);
    base.driver = base.driver.take().or(other.driver);
    base.firmware = base.firmware.take().or(other.firmware);
    base.numa = base.numa.or(other.numa);
    for (number, port) in other.ports {
        fill_port(base.port(number), port);
    }
}

fn fill_port(base: &mut Port, other: Port) {
    base.state = base.state.or(other.state);
    base.link_layer = base.link_layer.or(other.link_layer);
    base.rate = base.rate.or(other.rate);
    base.bond = base.bond.take().or(other.bond);
    for interface in other.interfaces {
        add_interface(base, &interface);
    }
}

/// Gives a port an interface. That of a device which stands for a bond is the bond.
pub(super) fn set_interface(port: &mut Port, rdma: &str, interface: &str) {
    let is_bond =
        rdma.contains("_bond") || interface.strip_prefix("bond").is_some_and(|rest| number(rest).is_some());
    if is_bond {
        port.bond.get_or_insert_with(|| interface.to_owned());
    } else {
        add_interface(port, interface);
    }
}

fn add_interface(port: &mut Port, interface: &str) {
    if !port.interfaces.iter().any(|own| own == interface) && port.interfaces.len() < MAX_INTERFACES {
        port.interfaces.push(interface.to_owned());
    }
}

/// Returns a rate that a tool states in Gb/s. One of 0 is unknown.
pub(super) fn gigabits(number: f64) -> Option<Bandwidth> {
    (0.1..1e6).contains(&number).then(|| Bandwidth::from_gb_per_s(number / 8.0))
}

/// Reads the number of a port.
pub(super) fn port_number(word: &str) -> Option<u32> {
    number(word).filter(|number| (1..=MAX_PORTS).contains(number))
}
