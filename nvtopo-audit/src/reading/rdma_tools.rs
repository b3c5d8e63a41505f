//! Ports and addresses of RDMA devices in saved outputs: `ibstat`, `ibstatus`, `ibv_devinfo`, `rdma link`, `show_gids`.

use crate::evidence::Evidence;
use nvtopo::Bandwidth;
use nvtopo::model::{LinkLayer, PortState};
use std::collections::{BTreeMap, BTreeSet};

/// The facts of a port that tools tell.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) state: Option<PortState>,
    pub(super) physical: Option<String>,
    pub(super) layer: Option<LinkLayer>,
    pub(super) rate: Option<Bandwidth>,
    pub(super) active_mtu: Option<u32>,
    pub(super) interface: Option<String>,
    pub(super) gids: Vec<Gid>,
}

/// An address of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gid {
    pub(crate) index: u32,
    /// Of RoCE's second version, which is routed.
    pub(crate) is_v2: bool,
    /// `None`: unreadable.
    pub(crate) address: Option<String>,
}

/// The ports that the tools list.
#[derive(Default)]
pub(super) struct Listed {
    pub(super) ports: BTreeMap<(String, u32), Told>,
    pub(super) models: BTreeMap<String, String>,
    /// The number that all devices of a card share.
    pub(super) cards: BTreeMap<String, String>,
    /// `show_gids` was run to its end: an address that it does not list is not there.
    pub(super) has_gids: bool,
}

/// The device and port whose fields follow.
#[derive(Default)]
struct Block {
    device: Option<String>,
    port: Option<u32>,
}

/// More ports than any machine has.
const MAX_PORTS: usize = 4096;

/// Reads all saved texts.
pub(super) fn read(evidence: &Evidence<'_>) -> Listed {
    let mut listed = Listed::default();
    for saved in evidence.texts() {
        let mut block = Block::default();
        for line in saved.text.lines().map(str::trim) {
            if listed.ports.len() >= MAX_PORTS {
                return listed;
            }
            listed.take(line, &mut block);
        }
        listed.take_json(&saved.text);
    }
    listed
}

/// Returns the devices that programs can open: those that `ibv_devinfo` describes (`hca_id: mlx5_0`), and those in the
/// table of `ibv_devices`.
pub(crate) fn opened(evidence: &Evidence<'_>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for saved in evidence.texts() {
        let mut in_table = false;
        for line in saved.text.lines().map(str::trim) {
            let words: Vec<&str> = line.split_whitespace().take(4).collect();
            match words.as_slice() {
                ["hca_id:", device, ..] => drop(found.insert((*device).to_owned())),
                ["device", "node", "GUID"] => in_table = true,
                // The line below the heading is one of dashes.
                [device, guid] if in_table && guid.len() == 16 => {
                    if guid.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                        found.insert((*device).to_owned());
                    }
                }
                _ => in_table = false,
            }
        }
    }
    found
}

fn quoted(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('\'')?.split_once('\'')
}

/// Reads the state of a port in the words of any tool: `4: ACTIVE`, `Active`, `PORT_ACTIVE (4)`.
pub(super) fn state(text: &str) -> Option<PortState> {
    text.split_whitespace().find_map(PortState::of_tool)
}

/// Reads a rate in Gb/s: `400 Gb/sec (4X NDR)`, `100`.
pub(super) fn rate(text: &str) -> Option<Bandwidth> {
    let gigabits: f64 = text.split_whitespace().next()?.parse().ok()?;
    (0.1..1e6).contains(&gigabits).then(|| Bandwidth::from_gb_per_s(gigabits / 8.0))
}

fn number(text: &str) -> Option<u32> {
    text.trim().parse().ok().filter(|number| (1..=255).contains(number))
}

impl Listed {
    fn port(&mut self, device: &str, port: u32) -> &mut Told {
        self.ports.entry((device.to_owned(), port)).or_default()
    }

    fn take(&mut self, line: &str, block: &mut Block) {
        if let Some((device, _)) = line.strip_prefix("CA ").and_then(quoted) {
            *block = Block { device: Some(device.to_owned()), port: None };
        } else if let Some(device) = line.strip_prefix("hca_id:") {
            *block = Block { device: Some(device.trim().to_owned()), port: None };
        } else if let Some((device, rest)) = line.strip_prefix("Infiniband device ").and_then(quoted) {
            let port =
                rest.trim().strip_prefix("port ").and_then(|rest| number(rest.strip_suffix(" status:")?));
            *block = Block { device: Some(device.to_owned()), port };
        } else if let Some(port) = line.strip_prefix("Port ").and_then(|rest| number(rest.strip_suffix(':')?))
        {
            block.port = Some(port);
        } else if let Some(port) = line.strip_prefix("port:").and_then(number) {
            block.port = Some(port);
        } else if !self.take_link(line) && !self.take_gid(line) {
            self.take_field(line, block);
        }
        if let (Some(device), Some(port)) = (&block.device, block.port) {
            self.port(device, port);
        }
    }

    fn take_field(&mut self, line: &str, block: &Block) {
        let (Some(device), Some((name, value))) = (&block.device, line.split_once(':')) else { return };
        let (name, value) = (name.trim(), value.trim());
        if name == "CA type" && !value.is_empty() {
            self.models.insert(device.clone(), value.to_owned());
        }
        // `ibstat`: 0xfc4cea0300f94230; `ibv_devinfo`: fc4c:ea03:00f9:4230. Firmware without one says 0.
        if matches!(name, "System image GUID" | "sys_image_guid") {
            let digits = value.trim_start_matches("0x").replace(':', "");
            if digits.len() == 16 && digits.bytes().any(|digit| digit != b'0') {
                self.cards.insert(device.clone(), digits);
            }
        }
        let Some(port) = block.port else { return };
        let told = self.port(device, port);
        match name {
            "State" | "state" => told.state = told.state.or_else(|| state(value)),
            "Physical state" | "phys state" => told.physical = Some(physical(value)),
            "Link layer" | "link_layer" => {
                told.layer = told.layer.or_else(|| LinkLayer::of_tool(value.trim()));
            }
            "Rate" | "rate" => told.rate = told.rate.or_else(|| rate(value)),
            "active_mtu" => {
                told.active_mtu = value.split_whitespace().next().and_then(|bytes| bytes.parse().ok());
            }
            _ => {}
        }
    }

    /// Takes a line of `rdma link`: `link mlx5_0/1 state ACTIVE physical_state LINK_UP netdev eth0`.
    fn take_link(&mut self, line: &str) -> bool {
        if !line.contains("physical_state") {
            return false;
        }
        let line = line.trim_start_matches(['#', '>', ' ']);
        let words: Vec<&str> = line.split_whitespace().take(64).collect();
        let after = |key: &str| {
            let place = words.iter().position(|word| *word == key)?;
            words.get(place + 1).copied()
        };
        let Some((device, port)) = words.get(1).and_then(|name| name.trim_end_matches(':').split_once('/'))
        else {
            return false;
        };
        let (Some(port), Some(word), Some(physical)) =
            (number(port), after("state"), after("physical_state"))
        else {
            return false;
        };
        let told = self.port(device, port);
        told.state = told.state.or_else(|| state(word));
        told.physical = Some(physical.to_owned());
        told.interface = after("netdev").map(str::to_owned).or(told.interface.take());
        true
    }

    /// Takes a row of `show_gids`: device, port, index, address, IPv4 address if there is one, version, interface.
    fn take_gid(&mut self, line: &str) -> bool {
        if let Some(count) = line.strip_prefix("n_gids_found=") {
            self.has_gids |= count.trim().parse::<u32>().is_ok();
            return true;
        }
        if line.bytes().filter(|byte| *byte == b':').count() < 7 {
            return false;
        }
        let words: Vec<&str> = line.split_whitespace().take(9).collect();
        let [device, port, index, address, rest @ ..] = words.as_slice() else { return false };
        let (Some(port), Ok(index)) = (number(port), index.parse()) else { return false };
        if address.split(':').count() != 8 {
            return false;
        }
        let is_v2 = rest.contains(&"v2");
        let interface =
            rest.last().filter(|word| !matches!(**word, "v1" | "v2")).map(|word| (*word).to_owned());
        let told = self.port(device, port);
        if told.gids.len() < MAX_PORTS {
            told.gids.push(Gid { index, is_v2, address: Some((*address).to_owned()) });
        }
        told.interface = told.interface.take().or(interface);
        true
    }

    /// Takes the list of `rdma -j link`.
    fn take_json(&mut self, text: &str) {
        let text = text.trim_start();
        if !text.starts_with('[') || !text.contains("physical_state") {
            return;
        }
        let Ok(list) = serde_json::from_str::<Vec<serde_json::Value>>(text) else { return };
        for entry in list.iter().take(MAX_PORTS) {
            let text = |key: &str| entry.get(key).and_then(serde_json::Value::as_str);
            let port = entry.get("port").and_then(|port| number(&port.to_string()));
            let (Some(device), Some(port)) = (text("ifname"), port) else { continue };
            let told = self.port(device, port);
            told.state = told.state.or_else(|| state(text("state")?));
            told.physical = text("physical_state").map(str::to_owned).or(told.physical.take());
            told.interface = text("netdev").map(str::to_owned).or(told.interface.take());
        }
    }
}

/// Returns the word of a physical state: `5: LinkUp` is `LinkUp`.
pub(super) fn physical(text: &str) -> String {
    text.rsplit(": ").next().unwrap_or(text).trim().to_owned()
}
