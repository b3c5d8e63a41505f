//! Names that hardware gives its devices: [`PciAddress`], [`GpuUuid`] and [`ComputeCapability`].

use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// The place of a device on the PCI bus: `domain:bus:device.function`, all hexadecimal.
///
/// Read from every spelling in use: `0000:1b:00.0` (kernel), `00000000:1B:00.0` (NVML), `1b:00.0` (`lspci`).
///
/// ```
/// use nvtopo::PciAddress;
///
/// let nvml: PciAddress = "00000000:1B:00.0".parse()?;
/// assert_eq!(nvml, "1b:00.0".parse()?);
/// assert_eq!(nvml.to_string(), "0000:1b:00.0");
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciAddress {
    /// The PCI domain (segment); wider than 16 bits behind VMD and in virtual machines.
    pub domain: u32,
    /// The bus.
    pub bus: u8,
    /// The device on the bus, 0 to 31.
    pub device: u8,
    /// The function of the device, 0 to 7.
    pub function: u8,
}

impl FromStr for PciAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            // Bytes, for a machine has hundreds of addresses and each is read several times.
            let mut halves = text.trim().as_bytes().rsplitn(2, |byte| *byte == b'.');
            let (function, rest) = (halves.next()?, halves.next()?);
            let mut parts = rest.rsplit(|byte| *byte == b':');
            let device = hex(parts.next()?)?;
            let bus = hex(parts.next()?)?;
            let domain = parts.next().map_or(Some(0), hex)?;
            let address = Self {
                domain,
                bus: u8::try_from(bus).ok()?,
                device: u8::try_from(device).ok().filter(|device| *device < 32)?,
                function: u8::try_from(hex(function)?).ok().filter(|function| *function < 8)?,
            };
            parts.next().is_none().then_some(address)
        };
        parse().ok_or_else(|| {
            Error::input(format!("'{text}' is not a PCI address")).help("expected one like 0000:1b:00.0")
        })
    }
}

fn hex(digits: &[u8]) -> Option<u32> {
    let digit = |number: u32, byte: &u8| Some(number << 4 | char::from(*byte).to_digit(16)?);
    (1..=8).contains(&digits.len()).then(|| digits.iter().try_fold(0, digit)).flatten()
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:02x}:{:02x}.{:x}", self.domain, self.bus, self.device, self.function)
    }
}

/// The UUID of a GPU as the driver prints it, `GPU-` and 32 hexadecimal digits in five groups.
///
/// ```
/// use nvtopo::GpuUuid;
///
/// let uuid: GpuUuid = "GPU-5c3ee4a8-6b1c-4c5e-8d9a-0123456789ab".parse()?;
/// assert!(uuid.starts_with("GPU-5c3e"));
/// assert!("GPU-5c3e".parse::<GpuUuid>().is_err());
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GpuUuid([u8; 16]);

impl GpuUuid {
    /// Returns true where the printed UUID starts with `prefix`, ignoring case, as CUDA accepts abbreviated UUIDs.
    pub fn starts_with(&self, prefix: &str) -> bool {
        let full = self.to_string();
        full.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    }
}

impl FromStr for GpuUuid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let mut groups = text.trim().strip_prefix("GPU-")?.split('-');
            let mut number = 0;
            for length in [8, 4, 4, 4, 12] {
                let group = groups.next().filter(|group| group.len() == length)?;
                for byte in group.bytes() {
                    number = number << 4 | u128::from(char::from(byte).to_digit(16)?);
                }
            }
            groups.next().is_none().then_some(number)
        };
        parse().map(|number: u128| Self(number.to_be_bytes())).ok_or_else(|| {
            Error::input(format!("'{text}' is not a GPU UUID"))
                .help("expected one like GPU-5c3ee4a8-6b1c-4c5e-8d9a-0123456789ab")
        })
    }
}

impl fmt::Display for GpuUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GPU")?;
        let mut bytes = self.0.iter();
        for length in [4, 2, 2, 2, 6] {
            f.write_str("-")?;
            for byte in bytes.by_ref().take(length) {
                write!(f, "{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for GpuUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Words of the names of GPUs, each with the compute capability.
///
/// Source: NVIDIA, "CUDA GPUs" (compute capability of each product).
const CAPABILITIES: &[(&[&str], (u16, u16))] = &[
    (&["GB300", "B300"], (10, 3)),
    (&["GB200", "B200", "B100"], (10, 0)),
    (&["GB10"], (12, 1)),
    (&["Blackwell", "5090", "5080"], (12, 0)),
    (&["GH200", "H100", "H200", "H800", "H20"], (9, 0)),
    (&["L4", "L40", "L40S", "Ada", "4090", "4080"], (8, 9)),
    (&["A100", "A100X", "A800", "A30"], (8, 0)),
    (&["A40", "A10", "A10G", "A16", "A2", "A6000", "A5000", "A4000", "3090", "3080"], (8, 6)),
    (&["T4", "2080"], (7, 5)),
    (&["V100", "V100S"], (7, 0)),
    (&["P100"], (6, 0)),
    (&["P40", "P4"], (6, 1)),
];

/// The architecture of a GPU as CUDA numbers it: 9.0 is Hopper.
///
/// ```
/// use nvtopo::ComputeCapability;
///
/// let hopper: ComputeCapability = "9.0".parse()?;
/// assert!(hopper > "8.6".parse()?);
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComputeCapability {
    /// The generation of the architecture.
    pub major: u16,
    /// The member of the generation.
    pub minor: u16,
}

impl ComputeCapability {
    /// Returns the capability of a GPU by the name of its model. `None`: the name is not known.
    ///
    /// ```
    /// let hopper = nvtopo::ComputeCapability::of_model("NVIDIA H100 80GB HBM3");
    /// assert_eq!(hopper.unwrap().to_string(), "9.0");
    /// assert_eq!(nvtopo::ComputeCapability::of_model("Graphics Device"), None);
    /// ```
    pub fn of_model(name: &str) -> Option<Self> {
        let words: Vec<&str> = name.split(|c: char| !c.is_ascii_alphanumeric()).collect();
        let found = CAPABILITIES.iter().find(|(names, _)| names.iter().any(|name| words.contains(name)));
        found.map(|(_, (major, minor))| Self { major: *major, minor: *minor })
    }

    /// Returns the name of the architecture. `None`: one later than this table.
    ///
    /// Source: NVIDIA, "CUDA GPU Compute Capability".
    ///
    /// ```
    /// let hopper: nvtopo::ComputeCapability = "9.0".parse()?;
    /// assert_eq!(hopper.architecture(), Some("Hopper"));
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub const fn architecture(self) -> Option<&'static str> {
        Some(match (self.major, self.minor) {
            (2, _) => "Fermi",
            (3, _) => "Kepler",
            (5, _) => "Maxwell",
            (6, _) => "Pascal",
            (7, 0 | 2) => "Volta",
            (7, _) => "Turing",
            (8, 9) => "Ada Lovelace",
            (8, _) => "Ampere",
            (9, _) => "Hopper",
            (10..=12, _) => "Blackwell",
            _ => return None,
        })
    }
}

impl FromStr for ComputeCapability {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| digits.parse().ok()).flatten()
        };
        let parse = || {
            let (major, minor) = text.trim().split_once('.')?;
            Some(Self { major: number(major)?, minor: number(minor)? })
        };
        parse().ok_or_else(|| {
            Error::input(format!("'{text}' is not a CUDA compute capability")).help("expected one like 9.0")
        })
    }
}

impl fmt::Display for ComputeCapability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_has_a_capability() {
        for preset in crate::source::PRESETS {
            let topology = crate::Topology::preset(preset.name).unwrap();
            for gpu in topology.gpus() {
                assert!(
                    ComputeCapability::of_model(gpu.model.as_deref().unwrap()).is_some(),
                    "{:?}",
                    gpu.model
                );
            }
        }
    }

    #[test]
    fn pci_addresses_round_trip() {
        for text in ["0000:1b:00.0", "10000:e1:1f.7"] {
            assert_eq!(text.parse::<PciAddress>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn broken_pci_addresses_are_errors() {
        for text in
            ["", "1b", "1b:00", "0:1b:00.8", "1b:20.0", "x:1b:00.0", "0:0:1b:00.0", "100:00.0", "+1:00.0"]
        {
            assert!(text.parse::<PciAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn uuids_round_trip() {
        let text = "GPU-5c3ee4a8-6b1c-4c5e-8d9a-0123456789ab";
        assert_eq!(text.parse::<GpuUuid>().unwrap().to_string(), text);
        assert!("GPU-5c3ee4a86b1c4c5e8d9a0123456789ab".parse::<GpuUuid>().is_err());
    }

    #[test]
    fn compute_capabilities_round_trip() {
        for text in ["6.0", "12.1"] {
            assert_eq!(text.parse::<ComputeCapability>().unwrap().to_string(), text);
        }
        for text in ["", "9", "9.", ".0", "+9.0", "9.0.1", "99999.0"] {
            assert!(text.parse::<ComputeCapability>().is_err(), "{text}");
        }
    }
}
