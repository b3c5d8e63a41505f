//! `mst status -v`: the table of PCI devices, with the RDMA device, interfaces and NUMA node of each.

use super::super::plain::number;
use super::adapters::{Adapters, Tool, set_interface};
use super::{Place, is_name};
use crate::cpuset::MAX_INDEX;
use crate::error::Result;
use crate::ids::PciAddress;

/// Returns whether a line is the heading of the table.
pub(super) fn is_sign(text: &str) -> bool {
    let mut words = text.split_whitespace();
    ["DEVICE_TYPE", "MST", "PCI"].into_iter().all(|name| words.next() == Some(name))
}

/// The table.
#[derive(Default)]
pub(super) struct Mst {
    open: bool,
}

impl Mst {
    /// Takes a line; false where it is none of the table.
    pub(super) fn feed(&mut self, text: &str, at: Place, adapters: &mut Adapters) -> Result<bool> {
        if is_sign(text) {
            self.open = true;
            return Ok(true);
        }
        if !self.open {
            return Ok(false);
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        let [kind, device, place, rest @ ..] = &words[..] else { return Ok(false) };
        let address = place.parse::<PciAddress>().ok().filter(|_| place.contains(':'));
        let Some(address) = address.filter(|_| kind.contains("(rev:")) else {
            self.open = false;
            return Ok(false);
        };
        let rdma = rest.first().filter(|word| !word.starts_with("net-") && number(word).is_none());
        let rdma = rdma.filter(|word| is_name(word) && **word != "-1");
        let adapter = match rdma {
            Some(rdma) => adapters.of_rdma(Tool::Mst, rdma, at)?,
            None => adapters.of_interface(None, Some(address), at)?,
        };
        adapter.address = adapter.address.or(Some(address));
        // `/dev/mst/mt4129_pciconf0`; the kernel calls the type MT4129.
        let file = device.rsplit('/').next().unwrap_or_default();
        let chip = file.strip_prefix("mt").and_then(|rest| rest.split_once("_pci")).map(|(chip, _)| chip);
        if let Some(chip) = chip.filter(|chip| number(chip).is_some()) {
            adapter.model.get_or_insert_with(|| format!("MT{chip}"));
        }
        let node = rest.last().and_then(|word| number(word)).filter(|node| *node <= MAX_INDEX);
        adapter.numa = adapter.numa.or(node);
        let interfaces = rest.iter().filter(|word| word.starts_with("net-")).flat_map(|word| word.split(','));
        let number = adapter.ports.keys().next().copied().unwrap_or(rdma.map(|_| 1));
        let name = rdma.copied().unwrap_or_default();
        for interface in interfaces.filter_map(|name| name.strip_prefix("net-")).filter(|name| is_name(name))
        {
            set_interface(adapter.port(number), name, interface);
        }
        Ok(true)
    }
}
