//! Solid state disks on PCI: names, models and sizes. Disks over a network belong to another machine and are left out.

use super::super::plain::{is_number, number};
use super::net::{Place, place};
use super::pci::Device;
use super::tree::Tree;
use crate::ids::PciAddress;
use crate::model::{Nvme, PciFacts};
use std::collections::BTreeMap;

const CLASS: &str = "sys/class/nvme";

/// The kernel counts sizes in these, whatever the disk does.
const SECTOR: u64 = 512;

/// Returns the controllers by PCI function.
pub(super) fn names(tree: &Tree) -> BTreeMap<PciAddress, String> {
    let names = tree.names(CLASS).into_iter();
    let on_pci = names.filter_map(|name| match place(tree, CLASS, &name) {
        Place::Pci(address) => Some((address, name)),
        Place::Elsewhere | Place::Nowhere => None,
    });
    on_pci.collect()
}

/// Reads a controller. `None`: it has no name, so nothing can use it.
pub(super) fn read(tree: &Tree, device: &Device, named: Option<&String>, pci: PciFacts) -> Option<Nvme> {
    let found = named.map(|name| (name.clone(), format!("{CLASS}/{name}")));
    let (name, folder) = found.or_else(|| without_class(tree, &device.folder))?;
    let model = tree.text(&format!("{folder}/model")).filter(|model| !model.is_empty());
    let size = size(tree, &folder);
    Some(Nvme { name, address: Some(device.address), pci, model, size })
}

/// Returns the controller's name, and where its name spaces are, from the folder of its PCI function: kernels before
/// 4.1 have no class for controllers, and a recorded tree can lack it.
fn without_class(tree: &Tree, folder: &str) -> Option<(String, String)> {
    let below = format!("{folder}/nvme");
    let controller = tree.names(&below).into_iter().next();
    controller.map(|name| (name.clone(), format!("{below}/{name}"))).or_else(|| {
        let blocks = format!("{folder}/block");
        let first = tree.names(&blocks).into_iter().find(|name| name_space(name).is_some())?;
        // `nvme0n1` is the first name space of `nvme0`.
        Some((first[..first.rfind('n')?].to_owned(), blocks))
    })
}

/// Returns the size of all name spaces. Where several ways lead to one, it has a second name.
fn size(tree: &Tree, folder: &str) -> Option<u64> {
    let mut sizes: BTreeMap<u32, u64> = BTreeMap::new();
    for name in tree.names(folder) {
        let Some(number) = name_space(&name).filter(|number| !sizes.contains_key(number)) else { continue };
        if let Some(sectors) = tree.text(&format!("{folder}/{name}/size")).and_then(|text| text.parse().ok())
        {
            sizes.insert(number, sectors);
        }
    }
    let sectors = sizes.values().try_fold(0_u64, |sum, sectors| sum.checked_add(*sectors))?;
    sectors.checked_mul(SECTOR).filter(|_| !sizes.is_empty())
}

/// Returns the number of a name space, from `nvme0n1`, or `nvme0c1n1` for one of several ways to it.
fn name_space(name: &str) -> Option<u32> {
    let (controller, own) = name.strip_prefix("nvme")?.split_once('n')?;
    let mut parts = controller.splitn(2, 'c');
    number(own).filter(|_| parts.all(is_number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_spaces_are_told_from_their_neighbours() {
        for (name, expected) in [
            ("nvme0n1", Some(1)),
            ("nvme0c1n12", Some(12)),
            ("nvme0", None),
            ("nvme0n1p1", None),
            ("nvme0c1", None),
            ("nvmen1", None),
            ("ng0n1", None),
            ("nvme0n99999999999", None),
        ] {
            assert_eq!(name_space(name), expected, "{name}");
        }
    }
}
