//! `ethtool IFACE` (speed and link) and `ethtool -i IFACE` (driver, firmware, place).
//!
//! The latter does not name the interface: it is that of a command line just before, where there is one. Interfaces that
//! software makes are no adapters.

use super::adapters::{Adapters, gigabits};
use super::{Place, is_name};
use crate::error::Result;
use crate::ids::PciAddress;
use crate::model::{LinkLayer, PortState};

/// Starts of the names that the kernel and containers give to interfaces without hardware.
const SOFTWARE: [&str; 11] =
    ["lo", "bond", "br", "docker", "veth", "virbr", "vlan", "tun", "tap", "cni", "dummy"];

/// Returns whether a line is of the tool: a heading of one interface, or the place of one.
pub(super) fn is_sign(text: &str) -> bool {
    settings(text).is_some() || bus_info(text).is_some_and(|bus| bus.parse::<PciAddress>().is_ok())
}

fn settings(text: &str) -> Option<&str> {
    text.strip_prefix("Settings for ")?.strip_suffix(':').filter(|name| is_name(name))
}

/// Reads `bus-info: 0000:1a:00.0`.
fn bus_info(text: &str) -> Option<&str> {
    text.strip_prefix("bus-info:").map(str::trim)
}

/// The interface whose fields follow.
#[derive(Default)]
pub(super) struct Ethtool {
    /// The interface of `Settings for`.
    settings: Option<String>,
    /// The interface that a command line names.
    asked: Option<String>,
    driver: Option<String>,
    firmware: Option<String>,
}

impl Ethtool {
    /// Ends what is open.
    pub(super) fn close(&mut self) {
        *self = Self::default();
    }

    /// Takes a line; false where it is none of the tool.
    pub(super) fn feed(&mut self, text: &str, at: Place, adapters: &mut Adapters) -> Result<bool> {
        if let Some(name) = settings(text) {
            *self = Self::default();
            let is_software =
                SOFTWARE.iter().any(|start| name.starts_with(start)) || name.contains(['.', '@']);
            self.settings = Some(name.to_owned()).filter(|_| !is_software);
            return Ok(true);
        }
        if let Some(asked) = asked(text) {
            *self = Self { asked: Some(asked.to_owned()), ..Self::default() };
            return Ok(true);
        }
        let Some((name, value)) = text.split_once(':') else { return Ok(false) };
        let value = value.trim();
        match name.trim() {
            "driver" if !value.is_empty() && !value.contains(' ') => {
                self.settings = None;
                self.driver = Some(value.to_owned());
            }
            "firmware-version" if self.driver.is_some() => {
                // The identity of the board stands behind.
                let version = value.split_whitespace().next().filter(|word| *word != "N/A");
                self.firmware = version.map(str::to_owned);
            }
            "bus-info" => {
                // Other buses have other words, and software none.
                let address = value.parse::<PciAddress>().ok();
                let own = std::mem::take(self);
                if address.is_none() || own.driver.is_none() {
                    return Ok(own.driver.is_some());
                }
                let adapter = adapters.of_interface(own.asked.as_deref(), address, at)?;
                adapter.driver = adapter.driver.take().or(own.driver);
                adapter.firmware = adapter.firmware.take().or(own.firmware);
            }
            "Speed" | "Link detected" => {
                let Some(interface) = &self.settings else { return Ok(false) };
                let adapter = adapters.of_interface(Some(interface), None, at)?;
                let numbers: Vec<Option<u32>> = adapter.ports.keys().copied().collect();
                let number = if let [only] = numbers[..] { only } else { None };
                let port = adapter.port(number);
                if name.trim() == "Speed" {
                    let megabits = value.strip_suffix("Mb/s").and_then(|speed| speed.parse::<f64>().ok());
                    port.rate = port.rate.or_else(|| gigabits(megabits? / 1000.0));
                } else {
                    let state = match value {
                        "yes" => Some(PortState::Active),
                        "no" => Some(PortState::Down),
                        _ => None,
                    };
                    port.state = port.state.or(state);
                }
            }
            // The ports of InfiniBand have none of Ethernet's.
            "Port" if self.settings.is_some() => {
                let Some(interface) = &self.settings else { return Ok(false) };
                let cables = ["FIBRE", "Direct Attach Copper", "Twisted Pair", "Backplane"];
                if cables.contains(&value) && !interface.starts_with("ib") {
                    let adapter = adapters.of_interface(Some(interface), None, at)?;
                    let numbers: Vec<Option<u32>> = adapter.ports.keys().copied().collect();
                    let number = if let [only] = numbers[..] { only } else { None };
                    adapter.port(number).link_layer.get_or_insert(LinkLayer::Ethernet);
                }
            }
            _ => return Ok(self.settings.is_some() || self.driver.is_some()),
        }
        Ok(true)
    }
}

/// Returns the interface of a command line such as `$ ethtool -i eth0`.
fn asked(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("ethtool -i ").or_else(|| text.split_once("ethtool --driver "))?;
    rest.split_whitespace().next().filter(|name| is_name(name))
}
