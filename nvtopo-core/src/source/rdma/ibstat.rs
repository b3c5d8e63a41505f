//! `ibstat`, `ibstatus` and `ibv_devinfo`: a heading for each device or port, and fields below.

use super::super::plain::is_number;
use super::adapters::{Adapters, Tool, gigabits, port_number};
use super::{Place, is_name};
use crate::error::Result;
use crate::model::{LinkLayer, PortState};

/// The heading of a line.
enum Heading<'a> {
    /// `CA 'mlx5_0'`, `hca_id: mlx5_0`.
    Device(&'a str),
    /// `Infiniband device 'mlx5_0' port 1 status:`.
    PortOf(&'a str, &'a str),
    /// `Port 1:`, `port: 1`.
    Port(&'a str),
}

/// Returns whether a line is a heading that only these tools write.
pub(super) fn is_sign(text: &str) -> bool {
    matches!(heading(text), Some(Heading::Device(_) | Heading::PortOf(..)))
}

fn heading(text: &str) -> Option<Heading<'_>> {
    let quoted = |rest: &'_ str| -> Option<(usize, usize)> {
        let end = rest.strip_prefix('\'')?.find('\'')?;
        is_name(rest.get(1..=end)?).then_some((1, end + 1))
    };
    if let Some(rest) = text.strip_prefix("CA ") {
        let (start, end) = quoted(rest)?;
        return rest.get(end + 1..)?.is_empty().then(|| Heading::Device(&rest[start..end]));
    }
    if let Some(rest) = text.strip_prefix("Infiniband device ") {
        let (start, end) = quoted(rest)?;
        let port = rest.get(end + 1..)?.trim().strip_prefix("port ")?.strip_suffix(" status:")?;
        return Some(Heading::PortOf(&rest[start..end], port));
    }
    if let Some(rest) = text.strip_prefix("hca_id:") {
        return Some(Heading::Device(rest.trim())).filter(|_| is_name(rest.trim()));
    }
    if let Some(rest) = text.strip_prefix("Port ") {
        return rest.strip_suffix(':').map(Heading::Port);
    }
    text.strip_prefix("port:").map(|rest| Heading::Port(rest.trim()))
}

/// The device and port whose fields follow.
#[derive(Default)]
pub(super) struct Blocks {
    device: Option<String>,
    port: Option<u32>,
    /// The number of lanes, where the tool states the speed of one.
    lanes: Option<f64>,
}

impl Blocks {
    /// Ends a block: fields that follow are of other tools.
    pub(super) fn close(&mut self) {
        *self = Self::default();
    }

    /// Takes a line; false where it is none of these tools.
    pub(super) fn feed(&mut self, text: &str, at: Place, adapters: &mut Adapters) -> Result<bool> {
        let number = |port: &str| {
            port_number(port).ok_or_else(|| at.error(text, port, format!("'{port}' is no number of a port")))
        };
        match heading(text) {
            Some(Heading::Device(device)) => {
                adapters.of_rdma(Tool::Ibstat, device, at)?;
                *self = Self { device: Some(device.to_owned()), ..Self::default() };
                return Ok(true);
            }
            Some(Heading::PortOf(device, port)) => {
                let port = number(port)?;
                adapters.of_rdma(Tool::Ibstat, device, at)?.port(Some(port));
                *self = Self { device: Some(device.to_owned()), port: Some(port), lanes: None };
                return Ok(true);
            }
            Some(Heading::Port(port)) => {
                let Some(device) = &self.device else { return Ok(false) };
                let port = number(port)?;
                adapters.of_rdma(Tool::Ibstat, device, at)?.port(Some(port));
                (self.port, self.lanes) = (Some(port), None);
                return Ok(true);
            }
            None => {}
        }
        let (Some(device), Some((name, value))) = (&self.device, text.split_once(':')) else {
            return Ok(false);
        };
        let value = value.trim();
        let first = value.split_whitespace().next().unwrap_or_default();
        let adapter = adapters.of_rdma(Tool::Ibstat, device, at)?;
        match name.trim() {
            "CA type" if !value.is_empty() => _ = adapter.model.get_or_insert_with(|| value.to_owned()),
            "vendor_part_id" if is_number(first) => {
                // As the kernel names the types of this maker.
                adapter.model.get_or_insert_with(|| format!("MT{first}"));
            }
            "Firmware version" | "fw_ver" if !value.is_empty() => {
                adapter.firmware.get_or_insert_with(|| value.to_owned());
            }
            name => {
                let Some(number) = self.port else { return Ok(false) };
                let port = adapter.port(Some(number));
                let gigabits = |word: &str| word.parse().ok().and_then(gigabits);
                match name {
                    // `4: ACTIVE`, `Active`, `PORT_ACTIVE (4)`.
                    "State" | "state" => {
                        port.state =
                            port.state.or_else(|| value.split_whitespace().find_map(PortState::of_tool));
                    }
                    "Link layer" | "link_layer" => {
                        port.link_layer = port.link_layer.or_else(|| LinkLayer::of_tool(first));
                    }
                    "Rate" => port.rate = port.rate.or_else(|| gigabits(first)),
                    "rate" if value.contains("Gb/sec") => port.rate = port.rate.or_else(|| gigabits(first)),
                    "active_width" => {
                        self.lanes = first.strip_suffix('X').and_then(|lanes| lanes.parse().ok());
                    }
                    "active_speed" => {
                        let each: Option<f64> = first.parse().ok();
                        let all = self.lanes.zip(each).map(|(lanes, each)| lanes * each);
                        port.rate = port.rate.or_else(|| all.and_then(super::adapters::gigabits));
                    }
                    // Fields of other tools may follow.
                    _ => return Ok(false),
                }
            }
        }
        Ok(true)
    }
}
