//! The NVLinks of each GPU one by one, as the mock lists them.

use super::profile;
use crate::ids::PciAddress;
use crate::model::{NodeKind, NvLinkFar, NvLinkPort, Topology};
use std::collections::BTreeMap;

/// The mock's links of a GPU are numbered below this. Source: `nvLinkMaxLinks`.
pub(super) const MOST: u32 = 18;

/// The NVLinks of a GPU.
#[derive(Default)]
pub(super) struct Links {
    pub(super) all: Vec<NvLinkPort>,
    /// True where links lead to a device that the mock cannot tell, or have numbers that it does not have.
    pub(super) cut: bool,
}

impl Links {
    /// Lists the NVLinks of a GPU: those that a source lists one by one, if they are those of the graph, else those of the
    /// graph, numbered from 0.
    pub(super) fn of(topology: &Topology, gpu: usize, addresses: &[PciAddress]) -> Self {
        let id = topology.devices()[gpu];
        let mut in_graph: BTreeMap<NvLinkFar, u32> = BTreeMap::new();
        for (far, link) in topology.links_of(id).filter(|(_, link)| link.kind.is_fabric()) {
            let far = match &topology.node(far).kind {
                NodeKind::NvSwitch(switch) => NvLinkFar::Switch(switch.address),
                NodeKind::Gpu(_) => match topology.devices().iter().position(|device| *device == far) {
                    Some(place) => NvLinkFar::Gpu(addresses[place]),
                    None => continue,
                },
                _ => continue,
            };
            *in_graph.entry(far).or_default() += u32::from(link.lanes.unwrap_or(1));
        }
        let listed = &topology.gpus().nth(gpu).map(|gpu| gpu.nvlinks.clone()).unwrap_or_default();
        let up = || listed.iter().filter(|port| port.up != Some(false));
        let is_switch = |far: &NvLinkFar| matches!(far, NvLinkFar::Switch(_));
        let is_told = in_graph.iter().all(|(far, count)| {
            let same =
                up().filter(|port| if is_switch(far) { is_switch(&port.far) } else { port.far == *far });
            let all = if is_switch(far) {
                in_graph.iter().filter(|(far, _)| is_switch(far)).map(|(_, count)| *count).sum()
            } else {
                *count
            };
            same.count() == all as usize
        });
        let mut links = Self::default();
        if !listed.is_empty() && is_told {
            links.all.clone_from(listed);
        } else {
            let ends = in_graph.iter().flat_map(|(far, count)| (0..*count).map(move |_| *far));
            links.all = (0..=MOST).zip(ends).map(|(number, far)| port(number, far)).collect();
        }
        links.cut = links.all.iter().any(|link| !is_shown(link));
        links.all.retain(is_shown);
        links
    }

    /// Counts the links that are up and lead to an end.
    pub(super) fn count(&self, is: impl Fn(&NvLinkFar) -> bool) -> usize {
        self.all.iter().filter(|link| link.up != Some(false) && is(&link.far)).count()
    }

    /// Returns the links in the mock's words.
    pub(super) fn written(&self) -> Vec<profile::Link> {
        let one = |link: &NvLinkPort| {
            let (kind, address) = match link.far {
                NvLinkFar::Gpu(address) => (Some("gpu"), Some(address)),
                NvLinkFar::Switch(address) => (Some("switch"), address),
                NvLinkFar::Device(address) => (None, Some(address)),
                NvLinkFar::Cpu | NvLinkFar::Unknown => (None, None),
            };
            profile::Link {
                link: link.number,
                state: if link.up == Some(false) { "inactive" } else { "active" },
                remote_device_type: kind,
                remote_pci_bus_id: address.map(|address| address.to_string()),
            }
        };
        self.all.iter().map(one).collect()
    }
}

fn port(number: u32, far: NvLinkFar) -> NvLinkPort {
    NvLinkPort { up: Some(true), far, ..NvLinkPort::new(number) }
}

/// Returns whether the mock can tell a link. One that is up and leads to a CPU, or to nothing that is named, would be taken for
/// one to an NVSwitch.
fn is_shown(link: &NvLinkPort) -> bool {
    let is_named = !matches!(link.far, NvLinkFar::Cpu | NvLinkFar::Unknown);
    link.number < MOST && (is_named || link.up == Some(false))
}
