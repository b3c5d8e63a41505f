//! `ibdev2netdev`: `mlx5_0 port 1 ==> ib0 (Up)`, and with `-v` the place, type and firmware of the device before, and the
//! state of the port.

use super::adapters::{Adapters, Tool, port_number, set_interface};
use super::{Place, is_name};
use crate::error::Result;
use crate::ids::PciAddress;
use crate::model::PortState;

/// Returns whether a line is one of the tool.
pub(super) fn is_sign(text: &str) -> bool {
    parts(text).is_some()
}

/// Divides a line at ` port ` and `==>`: what describes the device, the port, and the interface.
fn parts(text: &str) -> Option<(&str, &str, &str)> {
    let (before, interface) = text.split_once("==>")?;
    let (device, port) = before.rsplit_once(" port ")?;
    let first = device.split_whitespace().next()?;
    let is_device = is_name(first) || first.parse::<PciAddress>().is_ok();
    let is_port = port.trim_start().starts_with(|c: char| c.is_ascii_digit());
    (is_device && is_port).then_some((device.trim(), port.trim(), interface.trim()))
}

/// Takes a line; false where it is none of the tool.
pub(super) fn feed(text: &str, at: Place, adapters: &mut Adapters) -> Result<bool> {
    let Some((device, port, interface)) = parts(text) else { return Ok(false) };
    let mut words = device.split_whitespace().peekable();
    let address: Option<PciAddress> =
        words.peek().filter(|word| word.contains(':')).and_then(|word| word.parse().ok());
    if address.is_some() {
        words.next();
    }
    let Some(name) = words.next().filter(|name| is_name(name)) else {
        return Err(at.error(text, device, "the line names no RDMA device"));
    };
    // `1`, or `1 (ACTIVE)`, or `1 (DOWN  )`.
    let (number, port_state) = match port.split_once('(') {
        Some((number, rest)) => (number.trim(), PortState::of_tool(rest.trim_end_matches(')').trim())),
        None => (port, None),
    };
    let Some(number) = port_number(number) else {
        return Err(at.error(text, port, format!("'{number}' is no number of a port")));
    };
    let adapter = adapters.of_rdma(Tool::Ibdev2netdev, name, at)?;
    adapter.address = adapter.address.or(address);
    if let Some((hca, rest)) = device.split_once('(').and_then(|(_, rest)| rest.split_once(" - ")) {
        adapter.model.get_or_insert_with(|| hca.trim().to_owned());
        let firmware = rest.rsplit_once(" fw ").and_then(|(_, rest)| rest.split_whitespace().next());
        if let Some(firmware) = firmware {
            adapter.firmware.get_or_insert_with(|| firmware.to_owned());
        }
    }
    let mut behind = interface.split_whitespace();
    let interface = behind.next().filter(|word| !word.starts_with('(') && is_name(word));
    let is_up = behind.next().and_then(|word| match word {
        "(Up)" => Some(PortState::Active),
        "(Down)" => Some(PortState::Down),
        _ => None,
    });
    // An interface of IP over InfiniBand can be down while its port carries RDMA.
    let over_ib = interface.is_some_and(|name| name.starts_with("ib"));
    let by_interface = is_up.filter(|is_up| !over_ib || *is_up == PortState::Active);
    let port = adapter.port(Some(number));
    port.state = port.state.or(port_state).or(by_interface);
    if let Some(interface) = interface {
        set_interface(port, name, interface);
    }
    Ok(true)
}
