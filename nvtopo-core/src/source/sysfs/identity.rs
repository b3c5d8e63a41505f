//! Which machine this is: digests of its installation and boot identifiers, and its product's name.
//!
//! Digests, not identifiers: systemd asks that a machine id is never shown, and a shared topology must not tie
//! its reader to a machine. Two topologies can still be told to be of the same machine.

use super::tree::Tree;
use crate::model::MachineIdentity;

/// The identity below a root; both parts are `None` in a tree without identifiers.
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

/// The product's name, as the firmware has it.
pub(super) fn product(tree: &Tree) -> Option<String> {
    let paths = [
        "sys/class/dmi/id/product_name",
        "sys/devices/virtual/dmi/id/product_name",
        "proc/device-tree/model",
        "sys/firmware/devicetree/base/model",
    ];
    paths.iter().find_map(|path| tree.text(path).filter(|name| !name.is_empty()))
}

/// FNV-1a with 64 bits, after a prefix that keeps it apart from other digests of the same identifier.
fn digest(domain: &str, text: &str) -> String {
    let bytes = domain.bytes().chain([0]).chain(text.bytes());
    let hash = bytes
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("{hash:016x}")
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
