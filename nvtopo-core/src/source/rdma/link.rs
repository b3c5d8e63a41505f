//! `rdma link` and `rdma dev`, of all versions: `link mlx5_0/1 state ACTIVE physical_state LINK_UP netdev eth0`, and
//! `0: mlx5_0: node_type ca fw 16.35.2000 …`. With `-d` more words follow.

use super::adapters::{Adapters, Tool, port_number, set_interface};
use super::{Place, is_name};
use crate::error::Result;
use crate::model::{LinkLayer, PortState};

/// A line that was recognized.
enum Said<'a> {
    /// A port: device, number, and the words that follow.
    Link(&'a str, &'a str, Vec<&'a str>),
    /// A device, and the words that follow.
    Device(&'a str, Vec<&'a str>),
}

/// Returns whether a line is one of the tool.
pub(super) fn is_sign(text: &str) -> bool {
    said(text).is_some()
}

fn said(text: &str) -> Option<Said<'_>> {
    let mut words = text.split_whitespace();
    let first = words.next()?;
    // Older versions write `0/1: mlx5_0/1:`.
    let old = first.strip_suffix(':').is_some_and(|index| {
        !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit() || byte == b'/')
    });
    if first != "link" && !old {
        return None;
    }
    let name = words.next()?.trim_end_matches(':');
    let rest: Vec<&str> = words.collect();
    // The tool lists resources of a link with the same start.
    let tells = |word: &str| rest.contains(&word);
    if let Some((name, port)) = name.split_once('/') {
        let is_link = tells("state") && (tells("physical_state") || tells("subnet_prefix")) && !tells("lqpn");
        return (is_link && is_name(name)).then_some(Said::Link(name, port, rest));
    }
    (old && tells("node_type") && is_name(name)).then_some(Said::Device(name, rest))
}

/// Takes a line; false where it is none of the tool.
pub(super) fn feed(text: &str, at: Place, adapters: &mut Adapters) -> Result<bool> {
    let value = |rest: &[&'_ str], key: &str| -> Option<String> {
        let place = rest.iter().position(|word| *word == key)?;
        rest.get(place + 1).map(|word| (*word).to_owned())
    };
    match said(text) {
        None => return Ok(false),
        Some(Said::Device(name, rest)) => {
            let adapter = adapters.of_rdma(Tool::Rdma, name, at)?;
            if let Some(firmware) = value(&rest, "fw") {
                adapter.firmware.get_or_insert(firmware);
            }
        }
        Some(Said::Link(name, port, rest)) => {
            let Some(number) = port_number(port) else {
                return Err(at.error(text, port, format!("'{port}' is no number of a port")));
            };
            let netdev = value(&rest, "netdev");
            let port = adapters.of_rdma(Tool::Rdma, name, at)?.port(Some(number));
            port.state = port.state.or_else(|| PortState::of_tool(&value(&rest, "state")?));
            // The kernel names a subnet of InfiniBand alone.
            let layer = if rest.contains(&"subnet_prefix") {
                Some(LinkLayer::InfiniBand)
            } else {
                netdev.as_ref().map(|_| LinkLayer::Ethernet)
            };
            port.link_layer = port.link_layer.or(layer);
            if let Some(netdev) = netdev.filter(|netdev| is_name(netdev)) {
                set_interface(port, name, &netdev);
            }
        }
    }
    Ok(true)
}
