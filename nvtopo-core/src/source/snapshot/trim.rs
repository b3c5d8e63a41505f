//! Trimming of recorded files: content that changes from moment to moment and means nothing to discovery is removed, so
//! that one machine gives the same bytes again. So is content full of serial numbers, except the words that discovery
//! reads.

use super::super::sysfs::{Hierarchy, KEYWORD, MARK, VITAL_DATA, adapter_uuid, holds_mark};

/// Services of a node, by the first 15 bytes of their names: the kubelet, those of the NVLink fabric, and the kernel's first
/// thread, which tells that all processes are seen.
const SERVICES: [&str; 5] = ["kthreadd", "kubelet", "nv-fabricmanage", "nvidia-imex", "nvlsm"];

/// Returns the content without what discovery does not read. See [`Trim`](super::super::sysfs::Trim).
pub(super) fn trim(path: &str, bytes: Vec<u8>, whole: bool) -> Vec<u8> {
    match path {
        "proc/cpuinfo" => lines(&first_processors(bytes, whole), |line| {
            let key = line.split(':').next().unwrap_or_default().trim();
            !matches!(key, "cpu MHz" | "clock")
        }),
        _ if path.rsplit('/').next() == Some(VITAL_DATA) => {
            if holds_mark(&bytes) {
                MARK.into()
            } else {
                adapter_uuid(&bytes).map_or_else(Vec::new, |uuid| format!("{KEYWORD}{uuid}").into_bytes())
            }
        }
        // A file that is longer than the limit is recorded as such.
        _ if !whole => bytes,
        "proc/self/status" => {
            lines(&bytes, |line| line.split_once(':').is_some_and(|(key, _)| STATUS.contains(&key)))
        }
        "proc/stat" => lines(&bytes, |line| line.starts_with("btime ")),
        // Names of programs are their users' matter, but for those of the node's own services.
        _ if path.starts_with("proc/") && path.ends_with("/comm") => {
            let is_service = SERVICES.iter().any(|name| bytes.trim_ascii() == name.as_bytes());
            if is_service { bytes } else { Vec::new() }
        }
        "proc/mounts" | "proc/self/mounts" => lines(&bytes, |line| Hierarchy::of_line(line).is_some()),
        "proc/meminfo" => lines(&bytes, is_total),
        _ if path.starts_with("sys/devices/system/node/") && path.ends_with("/meminfo") => {
            lines(&bytes, is_total)
        }
        _ => bytes,
    }
}

/// The lines of a status that tell what the reader may use, and lock.
const STATUS: [&str; 3] = ["CapEff", "Cpus_allowed_list", "Mems_allowed_list"];

fn is_total(line: &str) -> bool {
    line.contains("MemTotal:")
}

/// Keeps the complete processors where only the head of the file was read, as clocks move the cut.
fn first_processors(mut bytes: Vec<u8>, whole: bool) -> Vec<u8> {
    if !whole
        && bytes.len() < super::super::sysfs::LIMIT
        && let Some(end) = bytes.windows(2).rposition(|pair| pair == b"\n\n")
    {
        bytes.truncate(end + 2);
    }
    bytes
}

fn lines(bytes: &[u8], keep: impl Fn(&str) -> bool) -> Vec<u8> {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let kept = lines.filter(|line| keep(&String::from_utf8_lossy(line)));
    kept.flatten().copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_left_out() {
        let text = |path: &str, text: &str, whole| {
            String::from_utf8(trim(path, text.as_bytes().to_vec(), whole)).unwrap()
        };
        let cpuinfo = "processor\t: 0\ncpu MHz\t\t: 2100.5\nmodel name\t: X\n\nprocessor\t: 1\ncpu M";
        assert_eq!(text("proc/cpuinfo", cpuinfo, false), "processor\t: 0\nmodel name\t: X\n\n");
        let status = "Name:\tsh\nMems_allowed_list:\t0-1\n";
        assert_eq!(text("proc/self/status", status, true), "Mems_allowed_list:\t0-1\n");
        assert_eq!(text("proc/stat", "cpu 7 8\nbtime 1700000000\nctxt 9\n", true), "btime 1700000000\n");
        let node = "sys/devices/system/node/node0/meminfo";
        assert_eq!(
            text(node, "Node 0 MemTotal: 8 kB\nNode 0 MemFree: 1 kB\n", true),
            "Node 0 MemTotal: 8 kB\n"
        );
        let data = "\u{82}ConnectX-7 SN=MT2345 MLX:SMDL=SW_MNG:PCI=V0";
        let vpd = "sys/devices/pci0000:00/0000:00:01.0/vpd";
        assert_eq!(text(vpd, data, true), "SMDL=SW_MNG");
        assert_eq!(text(vpd, "SN=MT2345", false), "");
        let owned = "\u{6}\0CX\0\0\0\0V3\u{10}0123456789abcdef";
        let owned = [&[0x82, 2, 0, b'C', b'X', 0x90, 19, 0][..], &owned.as_bytes()[8..]].concat();
        let kept = trim(vpd, owned, true);
        assert_eq!(String::from_utf8(kept.clone()).unwrap(), "V3=0123456789abcdef");
        assert_eq!(trim(vpd, kept.clone(), true), kept);
        let mounts = "nfs:/home/me /home/me nfs rw 0 0\nnone /cg cgroup rw,cpuset 0 0\n";
        assert_eq!(text("proc/self/mounts", mounts, true), "none /cg cgroup rw,cpuset 0 0\n");
    }
}
