//! Saved system logs: the lines of syslog, `journalctl` and `dmesg` that say that a network link was lost.

use super::log_time::LogTime;
use crate::evidence::Evidence;
use std::collections::BTreeMap;

/// The seconds before the end of a log that are looked at.
const WINDOW: i64 = 24 * 3600;

/// The losses of links that the saved logs tell.
#[derive(Default)]
pub(crate) struct Losses {
    /// How often each interface lost its link in the last 24 hours of a log.
    pub(crate) of_interfaces: BTreeMap<String, usize>,
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
        let mut counts: BTreeMap<(&str, Program), usize> = BTreeMap::new();
        for (line, (interface, program)) in lines().filter_map(|line| Some((line, loss(line)?))) {
            if age(line).is_some_and(|age| age <= WINDOW) {
                *counts.entry((interface, program)).or_default() += 1;
            }
        }
        for ((interface, _), count) in counts {
            let own = all.of_interfaces.entry(interface.to_owned()).or_default();
            *own = count.max(*own);
        }
    }
    found
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

/// The program that tells of a loss.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Program {
    Kernel,
    Service,
}

/// The begins of the names of interfaces that belong to containers, guests and bridges.
const VIRTUAL: [&str; 10] =
    ["veth", "docker", "br-", "cali", "cni", "tap", "vnet", "virbr", "flannel", "lxc"];

/// Returns the interface that a line says has lost its link: `systemd-networkd[5398]: ib6: Lost carrier`,
/// `kernel: mlx5_core 0000:0c:00.0 rdma0: Link down`, `eth0: NIC Link is Down`.
fn loss(line: &str) -> Option<(&str, Program)> {
    let (before, said) = line.trim_end().rsplit_once(": ")?;
    let program = match said {
        "Lost carrier" | "lost carrier" => Program::Service,
        "Link down" | "NIC Link is Down" | "link down" => Program::Kernel,
        _ => return None,
    };
    let interface = before.rsplit([' ', ':']).next()?;
    let is_own = !VIRTUAL.iter().any(|begin| interface.starts_with(begin));
    // The kernel allows 15 letters.
    (is_own && (1..=15).contains(&interface.len())).then_some((interface, program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_lost_links_are_known() {
        let name = |line| loss(line).map(|(name, _)| name);
        assert_eq!(name("Aug 17 06:18:06 vm systemd-networkd[5398]: ib6: Lost carrier"), Some("ib6"));
        assert_eq!(name("kernel: [12.3] mlx5_core 0000:0c:00.0 rdma0: Link down"), Some("rdma0"));
        assert_eq!(name("[ 12.3] igb 0000:01:00.0 eno1: NIC Link is Down"), Some("eno1"));
        for line in ["ib6: Gained carrier", "veth12: Lost carrier", ": Lost carrier", "a Link down"] {
            assert_eq!(name(line), None, "{line}");
        }
    }
}
