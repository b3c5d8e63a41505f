//! The counters of RDMA ports: those of the kernel's files, and those that `ethtool -S` prints of their interfaces.

use super::growth;
use super::outputs::outputs;
use super::ports::{Port, interfaces};
use crate::diagnosis::PortGrowth;
use crate::evidence::Evidence;
use nvtopo::model::Stated;
use std::collections::BTreeMap;

/// Counters by name.
pub(crate) type Counters = BTreeMap<String, u64>;

/// Counters by name. `None`: there is one, and it cannot be read.
type Told = BTreeMap<String, Option<u64>>;

/// More counters than any interface has.
const MAX_COUNTERS: usize = 20_000;

/// The counters of the directory `counters` of a port; others are in `hw_counters`. Source: Linux,
/// `Documentation/ABI/stable/sysfs-class-infiniband`.
const OF_PORT: [&str; 7] = [
    "link_downed",
    "link_error_recovery",
    "local_link_integrity_errors",
    "port_rcv_errors",
    "port_rcv_packets",
    "symbol_error",
    "port_xmit_discards",
];

/// The counter of link changes, which is the interface's.
pub(crate) const CARRIER_CHANGES: &str = "carrier_changes";

/// Returns the statistics that `ethtool -S` printed, by interface. They are read once.
pub(crate) fn statistics<'e>(evidence: &'e Evidence<'_>) -> &'e BTreeMap<String, Counters> {
    evidence.readings.statistics.get_or_init(|| printed(evidence))
}

fn printed(evidence: &Evidence<'_>) -> BTreeMap<String, Counters> {
    let known = interfaces(evidence);
    let mut found: BTreeMap<String, Counters> = BTreeMap::new();
    for output in outputs(evidence) {
        let mut lines = output.text.lines().skip_while(|line| line.trim() != "NIC statistics:");
        if lines.next().is_none() {
            continue;
        }
        let Some(interface) = output.interface(&known) else { continue };
        let own = found.entry(interface).or_default();
        for line in lines.take(MAX_COUNTERS) {
            let Some((name, value)) = line.rsplit_once(':') else { break };
            let Ok(value) = value.trim().parse() else { break };
            own.insert(name.trim().to_owned(), value);
        }
    }
    found
}

/// Reads the counters of a port that have these names, and all that `ethtool -S` printed.
fn counters(
    evidence: &Evidence<'_>,
    port: &Port,
    names: &[&str],
    of_interfaces: &BTreeMap<String, Counters>,
) -> Told {
    let mut counters = Told::new();
    let mut read = |path: String, name: &str| {
        let value = match evidence.text(&path) {
            Stated::Known(text) => text.parse().ok(),
            Stated::Unreadable => None,
            _ => return,
        };
        counters.insert(name.to_owned(), value);
    };
    for name in names {
        if *name == CARRIER_CHANGES {
            for interface in &port.interfaces {
                read(format!("sys/class/net/{interface}/{name}"), name);
            }
        } else if let Some(folder) = &port.folder {
            let kind = if OF_PORT.contains(name) { "counters" } else { "hw_counters" };
            read(format!("{folder}/{kind}/{name}"), name);
        }
    }
    for own in port.interfaces.iter().filter_map(|interface| of_interfaces.get(interface)) {
        for (name, value) in own {
            counters.entry(name.clone()).or_insert(Some(*value));
        }
    }
    counters
}

/// Returns how much the counters of each port grew between two readings, or the reason why nothing can be said.
///
/// `names` are the counters to read of the kernel's files, for adapters answer slowly.
pub(crate) fn growth(
    evidence: &Evidence<'_>,
    ports: &[Port],
    names: &[&str],
) -> Result<Vec<PortGrowth>, &'static str> {
    let read = |evidence: &Evidence<'_>| -> Vec<Told> {
        let of_interfaces = statistics(evidence);
        ports.iter().map(|port| counters(evidence, port, names, of_interfaces)).collect()
    };
    // Read even where there is no earlier reading, so that a snapshot can be one.
    let now = read(evidence);
    let window = growth::window(evidence)?;
    let then = read(window.earlier);
    let of_port = |(then, now): (&Told, Told)| {
        let mut grown = PortGrowth::new(window.seconds);
        for name in then.keys().chain(now.keys()) {
            let [before, after] = [then, &now].map(|own| own.get(name).copied().flatten());
            grown = match before.zip(after).map(|(before, after)| growth::growth(before, after)) {
                Some(Some(by)) => grown.with(name, by),
                Some(None) => grown.with_reset(name),
                None => grown.with_untold(name),
            };
        }
        grown
    };
    Ok(then.iter().zip(now).map(of_port).collect())
}
