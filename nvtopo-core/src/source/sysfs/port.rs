//! What a PCI bridge is: the port of a root complex, of a switch, or something older.
//!
//! The kernel shows it in the first 256 bytes of `config`, to the superuser only; for everybody else the place
//! in the chain of bridges tells, see [`super::super::pci_tree`].

use super::super::pci_tree::Port;

/// The PCI Express capability.
const EXPRESS: u8 = 0x10;

/// Reads the kind from the configuration space. Source: PCI Express base specification, PCI Express capabilities
/// register.
pub(super) fn read(config: &[u8]) -> Option<Port> {
    let byte = |at: u8| config.get(usize::from(at)).copied();
    let has_capabilities = byte(0x06)? & 0x10 != 0;
    let mut at = byte(0x34).filter(|_| has_capabilities)? & !3;
    // The list is at most as long as the space behind the 64 bytes of the header.
    for _ in 0..48 {
        if at < 0x40 {
            return None;
        }
        if byte(at)? == EXPRESS {
            return Some(match byte(at + 2)? >> 4 {
                4 => Port::Root,
                5 => Port::Upstream,
                6 => Port::Downstream,
                _ => Port::Other,
            });
        }
        at = byte(at + 1)? & !3;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_express_capability_is_found() {
        let mut config = vec![0; 256];
        assert_eq!(read(&config), None);
        (config[0x06], config[0x34], config[0x40], config[0x41]) = (0x10, 0x40, 0x01, 0x50);
        (config[0x50], config[0x52]) = (EXPRESS, 0x52);
        assert_eq!(read(&config), Some(Port::Upstream));
        assert_eq!(read(&config[..64]), None);
        config[0x41] = 0x40;
        assert_eq!(read(&config), None, "a loop ends");
    }
}
