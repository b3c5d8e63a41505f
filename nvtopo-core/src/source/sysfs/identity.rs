//! The identity of the machine: digests of its installation and boot identifiers, its product's name, and the
//! hypervisor that runs it.
//!
//! Digests, not identifiers: systemd asks that a machine id is never shown, and a shared topology must not tie
//! its reader to a machine. Two topologies of the same machine can still be recognized.
//!
//! x86 CPUs have a flag for guests; the firmware's names tell hypervisors apart. Firmware alone proves nothing there,
//! as clouds put the same names on machines that they rent out whole. ARM and POWER have no such flag: there a name
//! counts that only a hypervisor's firmware has, and without one it is unknown.

use super::tree::Tree;
use crate::model::{MachineIdentity, Stated};

/// Returns the identity below a root; both parts are `None` in a tree without identifiers.
pub(super) fn read(tree: &Tree) -> MachineIdentity {
    // A snapshot holds the digests alone.
    if let Some(identity) = tree.identity() {
        return identity;
    }
    let digest_of = |domain: &str, path: &str| {
        let text = tree.secret(path)?;
        let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
        // An image that has not booted yet says `uninitialized`.
        (digits == 32).then(|| digest(domain, &text))
    };
    MachineIdentity {
        machine: digest_of("nvtopo machine-id", "etc/machine-id"),
        boot: digest_of("nvtopo boot_id", "proc/sys/kernel/random/boot_id"),
    }
}

/// Returns the product's name, as the firmware has it.
pub(super) fn product(tree: &Tree) -> Option<String> {
    let paths = [
        "sys/class/dmi/id/product_name",
        "sys/devices/virtual/dmi/id/product_name",
        "proc/device-tree/model",
        "sys/firmware/devicetree/base/model",
    ];
    paths.iter().find_map(|path| tree.text(path).filter(|name| !name.is_empty()))
}

/// Computes FNV-1a with 64 bits, after a prefix that separates it from other digests of the same identifier.
fn digest(domain: &str, text: &str) -> String {
    let bytes = domain.bytes().chain([0]).chain(text.bytes());
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("{hash:016x}")
}

/// Firmware names by how they begin, and whose they are. The product goes before its vendor.
///
/// Source: what `systemd-detect-virt` and `virt-what` look for.
const NAMES: &[(&str, &str)] = &[
    ("KVM", "KVM"),
    ("OpenStack", "KVM"),
    ("KubeVirt", "KVM"),
    ("Alibaba Cloud", "KVM"),
    ("Google Compute Engine", "Google Compute Engine"),
    ("Amazon EC2", "Amazon EC2"),
    ("VMware", "VMware"),
    ("VMW", "VMware"),
    ("VirtualBox", "VirtualBox"),
    ("innotek GmbH", "VirtualBox"),
    ("HVM domU", "Xen"),
    ("Xen", "Xen"),
    ("Parallels", "Parallels"),
    ("BHYVE", "bhyve"),
    ("Bochs", "Bochs"),
    ("Apple Virtualization", "Apple Virtualization"),
    // Also of guests that KVM runs under QEMU without saying so.
    ("QEMU", "QEMU"),
];

/// Returns the hypervisor. `in_guest` is the flag of the CPU, `product` the name from the firmware.
pub(super) fn hypervisor(tree: &Tree, in_guest: Option<bool>, product: Option<&str>) -> Stated<String> {
    // Xen tells its guests itself, those too that do without the flag.
    let own = tree.text("sys/hypervisor/type").filter(|kind| !kind.is_empty() && kind.len() <= 32);
    if let Some(kind) = own {
        return Stated::Known(if kind == "xen" { "Xen".to_owned() } else { kind });
    }
    if in_guest == Some(false) {
        return Stated::NotAvailable;
    }
    let vendors = ["sys/class/dmi/id/sys_vendor", "sys/devices/virtual/dmi/id/sys_vendor"];
    let vendor = vendors.iter().find_map(|path| tree.text(path));
    let found = hypervisor_by_name(product.unwrap_or_default(), vendor.as_deref().unwrap_or_default());
    match (in_guest, found) {
        (Some(_), found) => Stated::Known(found.unwrap_or("unnamed").to_owned()),
        (None, Some("Amazon EC2")) if is_metal(product) => Stated::NotAvailable,
        (None, Some(found)) => Stated::Known(found.to_owned()),
        (None, None) => by_device_tree(tree),
    }
}

fn hypervisor_by_name(product: &str, vendor: &str) -> Option<&'static str> {
    // Microsoft makes computers as well.
    if vendor == "Microsoft Corporation" {
        return product.starts_with("Virtual Machine").then_some("Microsoft Hyper-V");
    }
    let of = |text: &str| NAMES.iter().find(|(start, _)| text.starts_with(start)).map(|(_, name)| *name);
    of(product).or_else(|| of(vendor))
}

/// Tells whether a machine is one of Amazon's that are rented out whole, such as `c7g.metal`.
fn is_metal(product: Option<&str>) -> bool {
    product.is_some_and(|product| product.contains(".metal"))
}

/// Returns the hypervisor by the device tree, as of POWER guests and ARM guests of Xen.
fn by_device_tree(tree: &Tree) -> Stated<String> {
    let kind = tree.text("proc/device-tree/hypervisor/compatible").unwrap_or_default();
    let known = [("linux,kvm", "KVM"), ("xen", "Xen"), ("vmware", "VMware")];
    let found = known.iter().find(|(word, _)| kind.contains(word));
    found.map_or(Stated::Unstated, |(_, name)| Stated::Known((*name).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_stable_and_differ_by_domain() {
        assert_eq!(digest("a", "b"), digest("a", "b"));
        assert_ne!(digest("a", "b"), digest("b", "b"));
        assert_eq!(digest("nvtopo machine-id", "0").len(), 16);
    }
}
