//! `rdma -j link` and `rdma -j dev`: a list of ports, or of devices.

use super::adapters::{Adapters, Tool, port_number, set_interface};
use super::{Place, is_name};
use crate::error::{Error, Result};
use crate::model::{LinkLayer, PortState};
use serde_json::Value;

/// Returns whether the content is such a list, by the keys of its first entry.
pub(super) fn is_it(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let Some(rest) = bytes.trim_ascii_start().strip_prefix(b"[") else { return false };
    let Some(rest) = rest.trim_ascii_start().strip_prefix(b"{") else { return false };
    let first = rest.split(|byte| *byte == b'}').next().unwrap_or_default();
    let has = |key: &[u8]| first.windows(key.len()).any(|part| part == key);
    has(b"\"ifname\"") && (has(b"\"physical_state\"") || has(b"\"node_guid\""))
}

/// Reads the list.
pub(super) fn read(bytes: &[u8]) -> Result<Adapters> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let list: Vec<Value> = serde_json::from_slice(bytes).map_err(|error| {
        let text = error.to_string();
        let text = text.rsplit_once(" at line").map_or(&*text, |(text, _)| text);
        Error::input(format!("this is no valid JSON: {text}")).at(error.line().max(1), error.column().max(1))
    })?;
    let mut adapters = Adapters::default();
    let at = Place { line: 1, column: 1 };
    for (place, entry) in list.iter().enumerate() {
        let text = |key: &str| entry.get(key).and_then(Value::as_str);
        let Some(name) = text("ifname").filter(|name| is_name(name)) else {
            return Err(Error::input(format!("entry {} names no device", place + 1)).at(1, 1));
        };
        let adapter = adapters.of_rdma(Tool::Rdma, name, at)?;
        if let Some(firmware) = text("fw") {
            adapter.firmware.get_or_insert_with(|| firmware.to_owned());
        }
        let Some(number) = entry.get("port").map(ToString::to_string) else { continue };
        let Some(number) = port_number(&number) else {
            return Err(Error::input(format!("{name}: {number} is no number of a port")).at(1, 1));
        };
        let port = adapter.port(Some(number));
        port.state = port.state.or_else(|| PortState::of_tool(text("state")?));
        let netdev = text("netdev").filter(|netdev| is_name(netdev));
        let layer = match (entry.get("subnet_prefix"), netdev) {
            (Some(_), _) => Some(LinkLayer::InfiniBand),
            (None, Some(_)) => Some(LinkLayer::Ethernet),
            _ => None,
        };
        port.link_layer = port.link_layer.or(layer);
        if let Some(netdev) = netdev {
            set_interface(port, name, netdev);
        }
    }
    Ok(adapters)
}
