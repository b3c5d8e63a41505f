//! Redaction of a file: by its name, the content that it may keep.

use super::super::super::sysfs::{KEYWORD, MARK, VITAL_DATA, adapter_uuid};
use super::ids::{Ids, Read};

/// Files that hold nothing but identifiers, or what a person wrote: their content goes, whatever it is.
const SECRET: [&str; 20] = [
    "address",
    "asset_tag",
    "boot_id",
    "eui",
    "gid",
    "guid",
    "hostname",
    "ifalias",
    "machine-id",
    "nguid",
    "node_desc",
    "perm_address",
    "phys_port_id",
    "phys_switch_id",
    "serial",
    "uuid",
    "vpd",
    "wwid",
    "wwn",
    "wwpn",
];

/// The lines about a GPU that name no single one but by its UUID.
const INFORMATION: [&str; 5] = ["Model", "GPU UUID", "Bus Type", "Bus Location", "Device Minor"];

/// The parameters of the kernel that discovery and the audit ask for.
const PARAMETERS: [&str; 8] = [
    "amd_iommu=",
    "intel_iommu=",
    "iommu.passthrough=",
    "iommu=",
    "isolcpus=",
    "nohz_full=",
    "numa=",
    "rcu_nocbs=",
];

/// PCI capabilities and extended capabilities that hold data of one device: vital product data, and its serial number.
const VITAL: u8 = 0x03;
const SERIAL_NUMBER: u16 = 0x0003;

/// Returns the content without identifiers. `None`: nothing can be left of it.
pub(super) fn redact(path: &str, content: &[u8], ids: &mut Ids) -> Option<Vec<u8>> {
    let name = path.rsplit('/').next().unwrap_or(path);
    if name == VITAL_DATA && content == MARK.as_bytes() {
        // All that was recorded of it.
        return Some(content.to_vec());
    }
    if name == VITAL_DATA {
        // The functions of one adapter stay together; its identity is removed.
        let own = adapter_uuid(content)?;
        let other = ids.replace(&own, Read::Fixed);
        return (other != own).then(|| format!("{KEYWORD}{other}").into_bytes());
    }
    if is_secret(path, name) {
        return None;
    }
    if name == "config" {
        return Some(config(content));
    }
    if content.iter().any(|byte| *byte < b' ' && !matches!(byte, 0 | b'\t' | b'\n' | b'\r')) {
        return None;
    }
    let text = String::from_utf8_lossy(content);
    let text = match path {
        "proc/cmdline" => {
            let used = |word: &&str| PARAMETERS.iter().any(|name| word.starts_with(name));
            text.split_whitespace().filter(used).collect::<Vec<_>>().join(" ")
        }
        "proc/cpuinfo" => lines(&text, |key| !key.to_ascii_lowercase().contains("serial")),
        _ if path.starts_with("proc/driver/nvidia/gpus/") && name == "information" => {
            lines(&text, |key| INFORMATION.contains(&key))
        }
        _ => text.into_owned(),
    };
    Some(ids.replace(&text, reading(name)).into_bytes())
}

/// Returns how to read a value with this name.
pub(super) fn reading(name: &str) -> Read {
    let is_version = ["ver", "fw", "firmware", "rev", "driver", "cuda", "bios", "inforom"]
        .iter()
        .any(|word| name.to_ascii_lowercase().contains(word));
    if is_version { Read::Version } else { Read::Text }
}

fn is_secret(path: &str, name: &str) -> bool {
    // A word of the name, so that `board_serial` is one, and `guidance` is not.
    let words = name.split(['_', '-']);
    SECRET.contains(&name) || words.clone().any(|word| SECRET.contains(&word)) || path.contains("/gids/")
}

/// Returns the lines with keys that are kept: `KEY : VALUE`.
fn lines(text: &str, keep: impl Fn(&str) -> bool) -> String {
    let key = |line: &str| line.split(':').next().unwrap_or_default().trim().to_owned();
    text.split_inclusive('\n').filter(|line| keep(&key(line))).collect()
}

/// Returns the configuration space of a PCI device without the data of single devices.
fn config(content: &[u8]) -> Vec<u8> {
    let mut config = content.to_vec();
    let mut at = config.get(0x34).map_or(0, |at| usize::from(at & !3));
    for _ in 0..48 {
        let Some(&[id, next]) = config.get(at..at + 2).filter(|_| at >= 0x40) else { break };
        if id == VITAL {
            clear(&mut config, at + 2, at + 8);
        }
        at = usize::from(next & !3);
    }
    at = 0x100;
    for _ in 0..96 {
        let Some(&[id, id2, version, next]) = config.get(at..at + 4).filter(|_| at >= 0x100) else { break };
        if u16::from_le_bytes([id, id2]) == SERIAL_NUMBER {
            clear(&mut config, at + 4, at + 12);
        }
        at = usize::from(u16::from_le_bytes([version, next]) >> 4 & !3);
    }
    config
}

fn clear(bytes: &mut [u8], from: usize, to: usize) {
    let to = to.min(bytes.len());
    if let Some(part) = bytes.get_mut(from..to) {
        part.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &str, content: &str) -> Option<String> {
        redact(path, content.as_bytes(), &mut Ids::default()).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn files_of_identifiers_lose_their_content() {
        for path in [
            "sys/class/dmi/id/board_serial",
            "sys/class/dmi/id/product_uuid",
            "sys/devices/pci0000:00/0000:00:01.0/net/eth0/address",
            "sys/class/infiniband/mlx5_0/node_guid",
            "sys/class/infiniband/mlx5_0/node_desc",
            "sys/class/infiniband/mlx5_0/ports/1/gids/0",
            "sys/devices/pci0000:00/0000:00:01.0/vpd",
        ] {
            assert_eq!(text(path, "x"), None, "{path}");
        }
        let vpd = "sys/devices/pci0000:00/0000:00:01.0/vpd";
        assert_eq!(text(vpd, "SMDL=SW_MNG").as_deref(), Some("SMDL=SW_MNG"));
        assert_eq!(text(vpd, "SMDL=SW_MNG SN=1"), None);
        let uuid = "V3=81ac0d9e1b3bec118000b8cef6f50d2c";
        let other = text(vpd, uuid).unwrap();
        assert!(other.starts_with("V3=02005e") && other.len() == uuid.len(), "{other}");
        assert_eq!(text("sys/x/vpd_like", "\u{1}binary"), None);
        assert_eq!(text("sys/class/dmi/id/product_name", "DGX H100\n").as_deref(), Some("DGX H100\n"));
    }

    #[test]
    fn only_lines_of_use_stay() {
        assert_eq!(text("proc/cmdline", "root=UUID=1 numa=fake=4 host=x").as_deref(), Some("numa=fake=4"));
        let cpuinfo = "model name\t: X\nSerial\t\t: 00000000abcdef01\n";
        assert_eq!(text("proc/cpuinfo", cpuinfo).as_deref(), Some("model name\t: X\n"));
        let information = "Model: \t H100\nIRQ: 7\nGPU UUID: \t GPU-5c3ee4a8-6b1c-4c5e-8d9a-0123456789ab\n";
        let expected = "Model: \t H100\nGPU UUID: \t GPU-00000000-0000-4000-8000-000000000001\n";
        let path = "proc/driver/nvidia/gpus/0000:01:00.0/information";
        assert_eq!(text(path, information).as_deref(), Some(expected));
        assert_eq!(text("sys/class/infiniband/x/fw_ver", "230.0.157.0").as_deref(), Some("230.0.157.0"));
    }

    #[test]
    fn serial_numbers_are_taken_out_of_configuration_spaces() {
        let mut space = vec![0; 0x160];
        (space[0x34], space[0x40], space[0x41], space[0x44]) = (0x40, VITAL, 0x50, 0xaa);
        (space[0x50], space[0x52]) = (0x10, 0x42);
        space[0x100..0x104].copy_from_slice(&0x1500_0001_u32.to_le_bytes());
        space[0x150..0x15c].copy_from_slice(&[3, 0, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
        let left = config(&space);
        assert_eq!((left[0x44], left[0x52]), (0, 0x42));
        assert_eq!(left[0x150..0x15c], [3, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(config(&space[..0x157])[0x154..], [0, 0, 0], "cut");
        assert_eq!(config(&[0xff; 4096]), [0xff; 4096]);
        assert_eq!(config(&[]), Vec::<u8>::new());
    }
}
