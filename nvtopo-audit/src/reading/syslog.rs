//! Saved system logs: the lines of syslog, `journalctl` and `dmesg` that say that a network link was lost.

use crate::evidence::Evidence;
use jiff::civil::DateTime;
use std::collections::BTreeMap;

/// The seconds before the end of a log that are looked at.
const WINDOW: i64 = 24 * 3600;

/// The year that stands for any: logs of syslog name none. It has a 29th of February.
const ANY_YEAR: &str = "2024";
const SECONDS_OF_YEAR: i64 = 366 * 24 * 3600;

/// Returns how often each interface lost its link in the last 24 hours of the saved logs. `None`: no log is saved.
pub(crate) fn losses(evidence: &Evidence<'_>) -> Option<BTreeMap<String, usize>> {
    let mut found: Option<BTreeMap<String, usize>> = None;
    for saved in evidence.texts() {
        let lines = || saved.text.lines();
        if lines().take(MOST_BEFORE).filter(|line| is_of_log(line)).nth(1).is_none() {
            continue;
        }
        let all = found.get_or_insert_default();
        // The kernel and the network service tell of the same loss.
        let mut counts: BTreeMap<(&str, Program), usize> = BTreeMap::new();
        let Some(end) = lines().rev().find_map(stamp) else { continue };
        for (line, (interface, program)) in lines().filter_map(|line| Some((line, loss(line)?))) {
            if stamp(line).is_some_and(|at| (end - at).rem_euclid(SECONDS_OF_YEAR) <= WINDOW) {
                *counts.entry((interface, program)).or_default() += 1;
            }
        }
        for ((interface, _), count) in counts {
            let own = all.entry(interface.to_owned()).or_default();
            *own = count.max(*own);
        }
    }
    found
}

/// The lines in which two of a log have to stand.
const MOST_BEFORE: usize = 20;

/// Returns whether a line is one of a log: a time, the name of the machine, and a program or the kernel.
fn is_of_log(line: &str) -> bool {
    let rest = line.strip_prefix('[').and_then(|line| line.split_once(']')).map(|(_, rest)| rest);
    stamp(line).is_some()
        && (rest.is_some()
            || line.split_whitespace().take(6).any(|word| word.ends_with(':') && word.len() > 1))
}

/// Returns the time of a line in seconds since the begin of a year, or of the machine's start: `Aug 17 06:18:01`,
/// `2026-08-17T06:18:01.5+00:00`, `[Mon Aug 17 06:18:01 2026]`, `[ 1234.567890]`.
fn stamp(line: &str) -> Option<i64> {
    let line = line.trim_start();
    if let Some((inner, _)) = line.strip_prefix('[').and_then(|line| line.split_once(']')) {
        let inner = inner.trim();
        if let Ok(seconds) = inner.parse::<f64>() {
            return Some(seconds as i64);
        }
        return of_words(inner.split_whitespace().skip(1));
    }
    match line.get(..19).map(str::parse::<DateTime>) {
        Some(Ok(time)) => Some(of_year(time)),
        _ => of_words(line.split_whitespace()),
    }
}

fn of_words<'t>(words: impl Iterator<Item = &'t str>) -> Option<i64> {
    let words: Vec<&str> = words.take(3).collect();
    let [month, day, time] = words.as_slice() else { return None };
    let text = format!("{ANY_YEAR} {month} {day} {time}");
    DateTime::strptime("%Y %b %d %H:%M:%S", text).ok().map(of_year)
}

fn of_year(time: DateTime) -> i64 {
    let seconds = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    i64::from(time.day_of_year()) * 24 * 3600 + seconds
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
    fn times_of_any_log_are_read() {
        let day = 24 * 3600;
        let noon = |text: &str| stamp(text).map(|at| (at / day, at % day));
        let expected = Some((230, 6 * 3600 + 18 * 60 + 1));
        assert_eq!(noon("Aug 17 06:18:01 node kernel: x"), expected);
        assert_eq!(noon("2024-08-17T06:18:01.123456+00:00 node kernel: x"), expected);
        assert_eq!(noon("[Sat Aug 17 06:18:01 2024] mlx5_core x"), expected);
        assert_eq!(stamp("[ 1234.567890] mlx5_core x"), Some(1234));
        for text in [
            "",
            "words of no log",
            "[x] y",
            "Aug 77 06:18:01 a",
            "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}",
        ] {
            assert_eq!(stamp(text), None, "{text}");
        }
    }

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
