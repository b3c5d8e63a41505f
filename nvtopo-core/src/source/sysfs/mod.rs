//! Linux: `/sys` and `/proc` of this machine, or below the root of a recorded tree.
//!
//! The kernel does not know NVLinks, nor the memory and names of GPUs without their driver, so these are left out. The
//! only system calls are those that read files, so a recorded machine replays exactly like a live one.

mod bridges;
mod cache;
mod connectx;
mod cpu;
mod cpuinfo;
mod devices;
mod driver;
mod facts;
mod groups;
mod hybrid;
mod identity;
mod limits;
mod net;
mod nic;
mod numa;
mod nvme;
mod pci;
mod port;
#[cfg(test)]
mod tests;
mod tree;

use super::common;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::PciAddress;
use crate::model::{Fragment, MachineIdentity, NoteCode, Origin, Provenance};
#[cfg(feature = "snapshot")]
pub(super) use connectx::{KEYWORD, MARK, VITAL_DATA, adapter_uuid, holds_mark};
#[cfg(feature = "snapshot")]
pub(super) use limits::{Hierarchy, group_of, parts_of};
use std::path::{Path, PathBuf};
pub(super) use tree::{LIMIT, Tree};
#[cfg(feature = "snapshot")]
pub(super) use tree::{Refused, Replay, Stored};

/// The name of the format in messages.
pub(super) const NAME: &str = "Linux sysfs tree";

/// The expected content of a directory, for messages.
const EXPECTED: &str =
    "expected the root of a Linux machine or a copy of one: a directory with sys/devices/system/cpu in it";

/// Reads the machine whose file system has this root.
pub(super) fn root(root: &Path) -> Result<Fragment> {
    read(&Tree::new(root))
}

/// Returns the identity of the machine that the files belong to.
pub(super) fn identity(tree: &Tree) -> MachineIdentity {
    identity::read(tree)
}

/// Returns the root itself, or the only directory in it that is one: archives often hold one folder.
pub(super) fn find_root(root: &Path) -> Result<PathBuf> {
    let is_root = |root: &Path| root.join("sys").is_dir() || root.join("proc").is_dir();
    if is_root(root) {
        return Ok(root.to_owned());
    }
    // A link would lead out of the tree.
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut roots = folders.map(|entry| entry.path()).filter(|folder| is_root(folder));
    roots.next().filter(|_| roots.next().is_none()).ok_or_else(no_tree)
}

/// The error's text of a directory without the files of a machine.
const NO_TREE: &str = "not a recorded machine";

/// Returns the error of a directory without the files of a machine.
pub(super) fn no_tree() -> Error {
    Error::input(NO_TREE).help(EXPECTED)
}

/// Returns whether an error is that of a directory without the files of a machine.
pub(super) fn is_no_tree(error: &Error) -> bool {
    error.message() == NO_TREE
}

/// Reads the machine whose files these are.
pub(super) fn read(tree: &Tree) -> Result<Fragment> {
    let cpus = cpu::read(tree);
    if cpus.online.is_empty() {
        return Err(no_cpus(tree));
    }
    let driver = driver::read(tree);
    let gpu_nodes: Vec<(PciAddress, u32)> =
        driver.iter().filter_map(|(address, gpu)| Some((*address, gpu.node?))).collect();
    let nodes = numa::read(tree, &cpus, &gpu_nodes);
    let (caches, cache_notes) = cache::read(tree, &cpus);
    let groups = groups::read(tree, &cpus, &caches);
    let (names, nvme) = (net::read(tree), nvme::names(tree));
    let known = pci::Known { names: &names, driver: &driver, nvme: &nvme };
    let (pci, oddities) = pci::read(tree, &known);

    let mut fragment = Fragment::new(Provenance::Sysfs);
    fill_machine(tree, &cpus, &nodes, &mut fragment);
    let packages = cpus.add_packages(&mut fragment);
    let node_ids = nodes.add(&cpus, &packages, &mut fragment);
    for cache in caches {
        fragment.add(cpus.holder(&packages, &cache.cpus), cache);
    }
    for group in groups {
        fragment.add(cpus.holder(&packages, &group.cpus), group);
    }
    cpus.add_cores(&mut fragment, &packages);
    let context =
        devices::Context { tree, online: &cpus.online, nodes: &nodes, node_ids: &node_ids, known: &known };
    let gpus = devices::add(&context, &pci, &mut fragment);
    if gpus >= 2 {
        fragment.set_nvlink_unknown();
        fragment.note(NoteCode::NvlinksUnknown, "the kernel does not tell which GPUs NVLink connects");
    }
    for notes in [cpus.notes, cache_notes, nodes.notes, oddities, tree.take_notes()] {
        fragment.notes.extend(notes);
    }
    Ok(fragment)
}

fn fill_machine(tree: &Tree, cpus: &cpu::Cpus, nodes: &numa::Nodes, fragment: &mut Fragment) {
    let allowed = limits::read(tree, &cpus.online, &nodes.numbers());
    let machine = fragment.machine();
    let product = identity::product(tree);
    machine.hypervisor = identity::hypervisor(tree, cpus.in_guest, product.as_deref());
    machine.product = product.and_then(|name| common::product_name(&name));
    machine.allowed_cpus = allowed.cpus;
    machine.allowed_nodes = allowed.nodes;
    machine.offline_cpus = cpus.offline.clone();
    machine.isolated_cpus = cpus.isolated.intersection(&cpus.online);
    machine.nohz_full_cpus = cpus.nohz_full.intersection(&cpus.online);
    let identity = identity::read(tree);
    if identity != MachineIdentity::default() {
        fragment.set_origin(Origin::Machine(identity));
    }
}

fn no_cpus(tree: &Tree) -> Error {
    if tree.is_live() && !tree.has_folder("sys/devices/system/cpu") {
        return Error::new(ErrorKind::Unsupported, "this system has no /sys/devices/system/cpu")
            .help("live discovery needs Linux; read a file or a preset instead");
    }
    let damage = tree.take_notes().into_iter().next().map(|note| format!(": {}", note.text));
    Error::input(format!("sys/devices/system/cpu names no CPU that is online{}", damage.unwrap_or_default()))
        .help(EXPECTED)
}
