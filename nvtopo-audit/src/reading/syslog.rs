//! Saved system logs: the lines of syslog, `journalctl` and `dmesg` that say that a network link was lost.

use super::kernel_log::is_of_kernel;
use super::log_time::LogTime;
use super::pci::Pci;
use super::ports::{self, Ports};
use crate::evidence::Evidence;
use nvtopo::PciAddress;
use std::collections::BTreeMap;

/// The seconds before the end of a log that are looked at.
const WINDOW: i64 = 24 * 3600;

/// The losses of links that the saved logs tell.
#[derive(Default)]
pub(crate) struct Losses {
    /// How often each interface, or port of an RDMA device, lost its link in the last 24 hours of a log.
    pub(crate) counts: BTreeMap<String, usize>,
    /// A log covers 24 hours, or holds lines of the network or of the whole system: a loss would be in it.
    pub(crate) is_whole: bool,
}

/// Returns the losses of links. `None`: no log is saved.
pub(crate) fn losses(evidence: &Evidence<'_>) -> Option<Losses> {
    let mut found: Option<Losses> = None;
    for saved in evidence.texts() {
        let lines = || saved.text.lines();
        if lines().take(MOST_BEFORE).filter(|line| is_of_log(line)).nth(1).is_none() {
            continue;
        }
        let all = found.get_or_insert_default();
        let Some(end) = lines().rev().find_map(LogTime::of) else { continue };
        let is_leap = lines().any(|line| line.starts_with("Feb 29 "));
        let age = |line: &str| LogTime::of(line)?.until(end, is_leap);
        all.is_whole = all.is_whole
            || lines().find_map(age).is_some_and(|age| age >= WINDOW)
            || lines().any(|line| WITNESSES.iter().any(|word| line.contains(word)));
        // The kernel and the network service tell of the same loss.
        let mut counts: BTreeMap<Loss, usize> = BTreeMap::new();
        for (line, loss) in lines().filter_map(|line| Some((line, loss(line)?))) {
            if age(line).is_some_and(|age| age <= WINDOW) {
                *counts.entry(loss).or_default() += 1;
            }
        }
        counts.retain(|loss, _| loss.address.is_none_or(|address| !is_of_guest(evidence, address)));
        for (loss, count) in counts {
            let own = all.counts.entry(loss.name).or_default();
            *own = count.max(*own);
        }
    }
    if let (Some(all), Ports::Known(ports)) = (&mut found, ports::ports(evidence)) {
        // The interface of a port loses its link with it.
        for port in ports {
            let own = port.interfaces.iter().filter_map(|interface| all.counts.get(interface)).max();
            if own >= all.counts.get(&port.name()) {
                all.counts.remove(&port.name());
            }
        }
    }
    found
}

/// Returns whether an adapter is a virtual function on the host of its guests.
fn is_of_guest(evidence: &Evidence<'_>, address: PciAddress) -> bool {
    let pci = Pci::of(evidence);
    let nic = evidence.topology.nics().find(|nic| nic.address == Some(address)).cloned().unwrap_or_default();
    pci.is_virtual() != Some(true) && pci.is_virtual_function(&nic, address)
}

/// Words of logs that are no excerpt of another matter: of the network, its drivers and services, and of the first process.
const WITNESSES: [&str; 8] = [
    "arrier",
    "ink is ",
    "ink up",
    "ink down",
    "systemd-networkd",
    "NetworkManager",
    "mlx5_core",
    "systemd[1]",
];

/// The lines in which two of a log have to stand.
const MOST_BEFORE: usize = 20;

/// Returns whether a line is one of a log: a time, the name of the machine, and a program or the kernel.
fn is_of_log(line: &str) -> bool {
    let rest = line.strip_prefix('[').and_then(|line| line.split_once(']')).map(|(_, rest)| rest);
    LogTime::of(line).is_some()
        && (rest.is_some()
            || line.split_whitespace().take(6).any(|word| word.ends_with(':') && word.len() > 1))
}

/// A loss of a link.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Loss {
    /// The interface, or the RDMA device and its port.
    name: String,
    program: Program,
    /// The RDMA device's.
    address: Option<PciAddress>,
}

/// The program that tells of a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Program {
    Kernel,
    Service,
}

/// The begins of the names of interfaces that belong to containers, guests and bridges.
const VIRTUAL: [&str; 10] =
    ["veth", "docker", "br-", "cali", "cni", "tap", "vnet", "virbr", "flannel", "lxc"];

/// Returns the interface or port that a line says has lost its link: `systemd-networkd[5398]: ib6: Lost carrier`,
/// `kernel: mlx5_core 0000:0c:00.0 rdma0: Link down`, `eth0: NIC Link is Down`, and of a port
/// `mlx5_core 0000:53:00.0 mlx5_3: Port: 1 Link DOWN` (Linux, `drivers/infiniband/core/cache.c`).
fn loss(line: &str) -> Option<Loss> {
    let (before, said) = line.trim_end().rsplit_once(": ")?;
    if let (Some(number), Some(device)) = (said.strip_suffix(" Link DOWN"), before.strip_suffix(": Port")) {
        // Devices of software have no address.
        let (parent, device) = device.rsplit_once(' ')?;
        let address: PciAddress = parent.rsplit(' ').next()?.parse().ok()?;
        let number: u32 = number.parse().ok()?;
        // The kernel allows 63 letters.
        let is_own = (1..=63).contains(&device.len()) && is_of_kernel(parent);
        return is_own.then(|| Loss {
            name: format!("{device} port {number}"),
            program: Program::Kernel,
            address: Some(address),
        });
    }
    let program = match said {
        "Lost carrier" | "lost carrier" => Program::Service,
        "Link down" | "NIC Link is Down" | "link down" => Program::Kernel,
        _ => return None,
    };
    let interface = before.rsplit([' ', ':']).next()?;
    let is_own = !VIRTUAL.iter().any(|begin| interface.starts_with(begin));
    // The kernel allows 15 letters.
    let is_own = is_own && (1..=15).contains(&interface.len());
    is_own.then(|| Loss { name: interface.to_owned(), program, address: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_lost_links_are_known() {
        let name = |line| loss(line).map(|loss| loss.name);
        for (line, expected) in [
            ("Aug 17 06:18:06 vm systemd-networkd[5398]: ib6: Lost carrier", "ib6"),
            ("kernel: [12.3] mlx5_core 0000:0c:00.0 rdma0: Link down", "rdma0"),
            ("[ 12.3] igb 0000:01:00.0 eno1: NIC Link is Down", "eno1"),
            ("[ 4431.115811] mlx5_core 0000:53:00.0 mlx5_3: Port: 1 Link DOWN", "mlx5_3 port 1"),
            ("6,1,4431115811,-;mlx4_core 0000:53:00.0 mlx4_0: Port: 2 Link DOWN", "mlx4_0 port 2"),
        ] {
            assert_eq!(name(line).as_deref(), Some(expected), "{line}");
        }
        for line in [
            "ib6: Gained carrier",
            "veth12: Lost carrier",
            ": Lost carrier",
            "a Link down",
            "[1.0] mlx5_core 0000:53:00.0 mlx5_3: Port: 1 Link ACTIVE",
            "[1.0] mlx5_core 0000:53:00.0 mlx5_3: Port: x Link DOWN",
            "[1.0] rxe0: Port: 1 Link DOWN",
            "Aug 17 06:18:06 vm bob[7]: mlx5_core 0000:53:00.0 mlx5_3: Port: 1 Link DOWN",
        ] {
            assert_eq!(name(line), None, "{line}");
        }
    }
}
