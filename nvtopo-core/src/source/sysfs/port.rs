//! The type of a PCI bridge (the port of a root complex, of a switch, or something older), and whether it redirects
//! peer-to-peer writes of devices below (access control services, ACS).
//!
//! The kernel shows both in `config`, to the superuser only; everybody else gets its first 64 bytes. For them the type
//! follows from the place in the chain of bridges, see [`super::super::pci_tree`], and ACS is unknown. Each byte is
//! read from the device, so only the capabilities on the way are read.

use super::super::pci_tree::Port;

/// The PCI Express capability.
const EXPRESS: u8 = 0x10;

/// The extended capability of access control services.
const ACS: u32 = 0x000d;

/// The bits of its control register that redirect: peer-to-peer requests (2), their completions (3), and what comes
/// from below for what is below too (4).
const REDIRECTS: u16 = 0b1_1100;

/// The most capabilities of one device. The list fills the space behind the header at most; real devices have a dozen,
/// and of extended ones no more than twenty.
const MAX_CAPABILITIES: usize = 48;

/// The facts in `config`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Config {
    pub(super) port: Option<Port>,
    /// True if the port redirects.
    pub(super) redirects: Option<bool>,
    /// True if there was less to read than the superuser sees.
    pub(super) cut: bool,
}

/// Reads the configuration space through a function that gives bytes from a place on.
///
/// Source: PCI Express base specification: PCI Express capabilities register, ACS extended capability.
pub(super) fn read(bytes: impl Fn(u16, usize) -> Vec<u8>) -> Config {
    let Some(port) = port(&bytes) else {
        return Config { cut: bytes(0x40, 1).is_empty(), ..Config::default() };
    };
    let redirects = match port {
        Port::Root | Port::Downstream => redirects(&bytes),
        // Others have no say in what passes between devices below.
        Port::Upstream | Port::Other => Some(false),
    };
    Config { port: Some(port), redirects, cut: false }
}

/// Returns the kind of the port. `None`: the list of capabilities is hidden.
fn port(bytes: impl Fn(u16, usize) -> Vec<u8>) -> Option<Port> {
    let mut at = *bytes(0x34, 1).first()? & !3;
    for _ in 0..MAX_CAPABILITIES {
        if at < 0x40 {
            return Some(Port::Other);
        }
        match bytes(u16::from(at), 4)[..] {
            [EXPRESS, _, kind, _] => {
                return Some(match kind >> 4 {
                    4 => Port::Root,
                    5 => Port::Upstream,
                    6 => Port::Downstream,
                    _ => Port::Other,
                });
            }
            // A device that is gone answers with ones.
            [0xff, ..] => return None,
            [_, next, _, _] => at = next & !3,
            _ => return None,
        }
    }
    None
}

/// Returns whether the port redirects, by its extended capabilities. A port without ACS does not.
fn redirects(bytes: impl Fn(u16, usize) -> Vec<u8>) -> Option<bool> {
    let mut at = 0x100;
    for _ in 0..MAX_CAPABILITIES {
        let bytes: [u8; 8] = bytes(at, 8).try_into().ok()?;
        let header = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        if header == u32::MAX {
            return None;
        }
        if header & 0xffff == ACS {
            return Some(u16::from_le_bytes([bytes[6], bytes[7]]) & REDIRECTS != 0);
        }
        at = (header >> 20) as u16 & !3;
        if at < 0x100 {
            return Some(false);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the configuration space of a port of this type, with the control register of ACS behind another extended
    /// capability.
    fn config(kind: u8, control: u8) -> Vec<u8> {
        let mut config = vec![0; 4096];
        (config[0x34], config[0x40], config[0x41]) = (0x40, 0x01, 0x50);
        (config[0x50], config[0x52]) = (EXPRESS, kind << 4 | 2);
        config[0x100..0x104].copy_from_slice(&0x1480_0001_u32.to_le_bytes());
        config[0x148..0x14c].copy_from_slice(&0x0001_000d_u32.to_le_bytes());
        config[0x14e] = control;
        config
    }

    fn of(config: &[u8]) -> Config {
        read(|at, length| config[config.len().min(at.into())..].iter().take(length).copied().collect())
    }

    #[test]
    fn the_kind_of_a_port_is_read() {
        let mut config = config(5, 0);
        assert_eq!(of(&config).port, Some(Port::Upstream));
        assert_eq!(of(&config[..64]), Config { cut: true, ..Config::default() });
        config[0x41] = 0x40;
        assert_eq!(of(&config).port, None, "a loop ends");
        config[0x34] = 0;
        assert_eq!(of(&config), Config { port: Some(Port::Other), redirects: Some(false), cut: false });
        assert_eq!(of(&[0xff; 4096]), Config::default(), "the device is gone");
        assert_eq!(of(&[]), Config { cut: true, ..Config::default() });
    }

    #[test]
    fn acs_redirects_by_three_bits() {
        for (control, expected) in [(0, false), (0b1, false), (0b100, true), (0b1000, true), (0b1_0000, true)]
        {
            assert_eq!(of(&config(4, control)).redirects, Some(expected), "{control:b}");
        }
        assert_eq!(of(&config(5, 0b1_1101)).redirects, Some(false), "an upstream port");
        let mut config = config(6, 0b1_1101);
        assert_eq!(of(&config).redirects, Some(true));
        assert_eq!(of(&config[..256]).redirects, None, "a copy without the extended space");
        assert_eq!(of(&config[..0x14c]).redirects, None, "a copy that ends within");
        config[0x102..0x104].copy_from_slice(&[0, 0x10]);
        assert_eq!(of(&config).redirects, None, "a loop ends");
        config[0x100..0x104].fill(0);
        assert_eq!(of(&config).redirects, Some(false), "without extended capabilities");
        config[0x100..].fill(0xff);
        assert_eq!(of(&config).redirects, None);
    }
}
