//! The ports of RDMA devices: state, link layer, rate, addresses, cables, and who uses them.

use super::{Check, Theme};
use crate::diagnosis::PortGrowth;
use crate::evidence::{Evidence, NODE};
use crate::finding::{Severity, Status, Verdicts, named};
use crate::pairing::has_no_adapters;
use crate::reading::counters::{self, CARRIER_CHANGES};
use crate::reading::growth::exceeds;
use crate::reading::host::lines;
use crate::reading::outputs::outputs;
use crate::reading::ports::{self, Gids, Port, Ports, compute_devices};
use crate::reading::rdma_tools;
use nvtopo::Bandwidth;
use nvtopo::model::LinkLayer;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "rdma-port-active",
        theme: Theme::Rdma,
        severity: Severity::Critical,
        claim: "Every RDMA port that should carry data is active.",
        evidence: "The state of each port (ports/N/state and phys_state of /sys/class/infiniband, ibstat, rdma link).",
        rule: "Fails where a port is not active. Does not apply to ports of unused-nics of the profile, to virtual functions, \
               and to ports that are down on every card of that model alike while each card has an active one.",
        remedy: "Look at the cable, the optics and the switch port; on InfiniBand at the subnet manager.",
        source: "Linux, Documentation/ABI/stable/sysfs-class-infiniband; NVSentinel, nic-health-monitor (cards compared with \
                 like cards)",
        run: active,
    },
    Check {
        code: "rdma-link-layer",
        theme: Theme::Rdma,
        severity: Severity::Warning,
        claim: "All RDMA ports of the GPUs' network have one link layer.",
        evidence: "The link layer of the ports that share a PCIe switch with a GPU, that the profile names as compute-nics, or \
                   else that are of the most frequent model.",
        rule: "Warns where some are InfiniBand and others Ethernet.",
        remedy: "Set LINK_TYPE with mlxconfig, and restart.",
        source: "Linux, Documentation/ABI/stable/sysfs-class-infiniband",
        run: link_layer,
    },
    Check {
        code: "rdma-rate",
        theme: Theme::Rdma,
        severity: Severity::Critical,
        claim: "Every active RDMA port runs at the rate of its peers and of the profile.",
        evidence: "The rate of each port (ports/N/rate, ibstat, ibstatus).",
        rule: "Fails below rdma-rate of the profile, for ports of the GPUs' network. Warns where a port differs from most \
               ports of its model. Unknown where there is neither. Does not apply where no port is active, but for those of \
               virtual functions.",
        remedy: "Look at the cable and at the speed and error correction that the switch port is set to.",
        source: "leptonai/gpud, components/accelerator/nvidia/infiniband (a rate that every port must have)",
        run: rate,
    },
    Check {
        code: "rocev2-gid",
        theme: Theme::Rdma,
        severity: Severity::Critical,
        claim: "Every active Ethernet port for RDMA has an address of RoCE v2 that is routed.",
        evidence: "The types and addresses of each port (gid_attrs/types and gids of /sys/class/infiniband, show_gids).",
        rule: "Fails where no address is of RoCE v2. Warns where all such addresses are of the link alone (fe80::). The index \
               differs between machines, so NCCL_IB_GID_INDEX should not be fixed. Does not apply to ports that are down, of \
               InfiniBand or of iWARP.",
        remedy: "Give the interface an IP address, and allow RoCE v2 (cma_roce_mode).",
        source: "Linux, Documentation/ABI/testing/sysfs-class-infiniband; Mellanox/mlnx-tools, sbin/show_gids",
        run: gid,
    },
    Check {
        code: "rdma-phy",
        theme: Theme::Rdma,
        severity: Severity::Warning,
        claim: "No cable or optics of an RDMA port damages data or loses the link.",
        evidence: "The growth of link_downed, symbol_error, link_error_recovery, local_link_integrity_errors, port_rcv_errors, \
                   rx_icrc_encapsulated and carrier_changes between two readings.",
        rule: "Fails where link_downed grows, or symbol_error by more than 120 an hour. Warns at more than 5 recoveries a minute, \
               10 receive errors a second, 2 changes of the carrier, or any other growth of symbol or integrity errors or of \
               damaged packets. Fewer than 3 events are no rate. Unknown with one reading, and where a counter was reset or \
               is not in both. Does not apply without RDMA ports in use.",
        remedy: "Clean or replace the cable or the optics.",
        source: "NVSentinel, nic-health-monitor; the InfiniBand specification's error rate of 120 symbol errors an hour",
        run: phy,
    },
    Check {
        code: "rdma-chardev",
        theme: Theme::Rdma,
        severity: Severity::Warning,
        claim: "Programs can open every RDMA device.",
        evidence: "The devices of /sys/class/infiniband_verbs, and the files of /dev/infiniband; the devices that a saved \
                   ibv_devinfo or ibv_devices lists.",
        rule: "Fails where an RDMA device has no uverbs device, or that has no file, and where ibv_devinfo finds no device. \
               Files of issm and umad are not required. Unknown where no source lists the devices.",
        remedy: "Load ib_uverbs, and install the adapter's library of rdma-core; in a container, give it the files of \
                 /dev/infiniband.",
        source: "Linux, Documentation/infiniband/user_verbs.rst; rdma-core, ibv_devinfo(1)",
        run: chardev,
    },
    Check {
        code: "rdma-consumers",
        theme: Theme::Rdma,
        severity: Severity::Info,
        claim: "It is known which processes hold RDMA resources, and each of them may.",
        evidence: "A saved output of rdma resource show qp or mr, as text or JSON.",
        rule: "Warns where a process is none of rdma-processes of the profile; else it lists them. Resources of the kernel are \
               left out.",
        remedy: "End the process, or add it to the profile.",
        source: "iproute2, rdma-resource(8)",
        run: consumers,
    },
    super::link_losses::CHECK,
];

/// Returns the ports to check; else says why there are none.
pub(super) fn ports_of(evidence: &Evidence<'_>, verdicts: &mut Verdicts) -> Vec<Port> {
    match ports::ports(evidence) {
        Ports::Known(ports) => ports.clone(),
        Ports::None => {
            verdicts.not_applicable(NODE, "it has no RDMA device");
            Vec::new()
        }
        Ports::Unknown => {
            if !has_no_adapters(evidence, verdicts) {
                verdicts.unknown(NODE, "no source lists RDMA devices");
            }
            Vec::new()
        }
    }
}

fn is_unused(evidence: &Evidence<'_>, port: &Port) -> bool {
    let named =
        |name: &String| *name == port.device || *name == port.name() || port.interfaces.contains(name);
    evidence.profile.expect.unused_nics.iter().any(named)
}

fn active(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let ports = ports_of(evidence, verdicts);
    // The number of active ports of each card, by kind.
    let mut cards: BTreeMap<_, BTreeMap<String, usize>> = BTreeMap::new();
    for port in ports.iter().filter(|port| !port.is_virtual && !is_unused(evidence, port)) {
        let count = cards.entry(port.kind()).or_default().entry(port.card()).or_default();
        *count += usize::from(port.is_active());
    }
    for port in &ports {
        let name = port.name();
        if port.is_virtual {
            verdicts
                .not_applicable(name, "it is a virtual function's, which its guest or container brings up");
            continue;
        }
        if is_unused(evidence, port) {
            verdicts.not_applicable(name, "the profile says that it is not used");
            continue;
        }
        if port.is_active() {
            verdicts.pass(name, "it is active");
            continue;
        }
        let Some(state) = port.state.map(nvtopo::model::PortState::word).or(port.state_text.as_deref())
        else {
            verdicts.unknown(name, "no source tells its state");
            continue;
        };
        let physical = port.physical.as_ref().map_or_else(String::new, |own| format!(" ({own})"));
        let alike = cards.get(&port.kind()).filter(|own| port.model.is_some() && own.len() > 1);
        let own = alike.and_then(|own| own.get(&port.card())).copied().unwrap_or(0);
        let by_design = alike.is_some_and(|all| own > 0 && all.values().all(|count| *count == own));
        if by_design {
            let text = format!("it is {state}{physical}, and every card of its model has {own} active ports");
            verdicts.not_applicable(name, text);
        } else {
            verdicts.fail(name, format!("it is {state}{physical}, where active is expected"));
        }
    }
}

fn link_layer(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let ports = ports_of(evidence, verdicts);
    let compute = compute_devices(evidence, &ports);
    let own: Vec<&Port> = ports.iter().filter(|port| compute.contains(&port.device)).collect();
    if own.is_empty() && !ports.is_empty() {
        verdicts.unknown(NODE, "no source lists a port of the GPUs' network");
    }
    if own.is_empty() {
        return;
    }
    let of = |layer: LinkLayer| -> Vec<String> {
        own.iter().filter(|port| port.layer == Some(layer)).map(|port| port.name()).collect()
    };
    let (infiniband, ethernet) = (of(LinkLayer::InfiniBand), of(LinkLayer::Ethernet));
    let open = own.len() - infiniband.len() - ethernet.len();
    if !infiniband.is_empty() && !ethernet.is_empty() {
        let text = format!("InfiniBand: {}; Ethernet: {}", infiniband.join(", "), ethernet.join(", "));
        verdicts.warn(NODE, text);
    } else if open > 0 {
        verdicts.unknown(NODE, format!("no source tells the link layer of {open} of {} ports", own.len()));
    } else {
        let layer = if ethernet.is_empty() { "InfiniBand" } else { "Ethernet" };
        verdicts.pass(
            NODE,
            match own.len() {
                1 => format!("the only port of the GPUs' network is {layer}"),
                count => format!("all {count} ports of the GPUs' network are {layer}"),
            },
        );
    }
}

/// A rate that is lower by less is the same, rounded.
const ROUNDING: f64 = 0.99;

fn rate(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let ports = ports_of(evidence, verdicts);
    let compute = compute_devices(evidence, &ports);
    let mut rates: BTreeMap<_, BTreeMap<Bandwidth, usize>> = BTreeMap::new();
    for port in ports.iter().filter(|port| !port.is_down()) {
        if let Some(rate) = port.rate {
            *rates.entry(port.kind()).or_default().entry(rate).or_default() += 1;
        }
    }
    for port in ports.iter().filter(|port| !port.is_down() && !port.is_virtual) {
        let name = port.name();
        let Some(rate) = port.rate else {
            verdicts.unknown(name, "no source tells its rate");
            continue;
        };
        let expected = evidence.profile.expect.rdma_rate.filter(|_| compute.contains(&port.device));
        if let Some(expected) = expected {
            if rate.as_gb_per_s() < expected * ROUNDING {
                verdicts.fail(name, format!("it runs at {rate}, where the profile expects {expected} GB/s"));
            } else {
                verdicts.pass(name, format!("it runs at {rate}, as the profile expects"));
            }
            continue;
        }
        let alike = &rates[&port.kind()];
        // Of two rates that are as frequent, the higher one is the expectation.
        let usual =
            alike.iter().max_by_key(|(rate, count)| (**count, **rate)).map_or(rate, |(rate, _)| *rate);
        let count: usize = alike.values().sum();
        if rate != usual {
            verdicts.warn(name, format!("it runs at {rate}, most ports of its model at {usual}"));
        } else if count > 1 && port.model.is_some() {
            verdicts.pass(name, format!("it runs at {rate}, like most of the {count} ports of its model"));
        } else {
            verdicts.unknown(
                name,
                format!("it runs at {rate}; no like port and no profile tells what is expected"),
            );
        }
    }
    verdicts.otherwise_not_applicable("no RDMA port is active, but for those of virtual functions");
}

fn gid(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    for port in ports_of(evidence, verdicts).iter().filter(|port| port.layer != Some(LinkLayer::InfiniBand)) {
        // A port that is down has no addresses. An adapter for iWARP has no RoCE: its type of node is 4.
        let kind = evidence.text(&format!("sys/class/infiniband/{}/node_type", port.device));
        if port.is_down() || kind.known().is_some_and(|kind| kind.starts_with('4')) {
            continue;
        }
        let name = port.name();
        if port.layer.is_none() {
            verdicts.unknown(name, "no source tells its link layer");
            continue;
        }
        let Gids::Known(gids) = ports::gids(evidence, port) else {
            verdicts.unknown(name, "no source lists its addresses");
            continue;
        };
        let v2 = || gids.iter().filter(|gid| gid.is_v2);
        if let Some(gid) = v2().find(|gid| gid.is_routed() == Some(true)) {
            verdicts.pass(name, format!("index {} is an address of RoCE v2", gid.index));
        } else if v2().any(|gid| gid.is_routed().is_none()) {
            verdicts.unknown(name, "it has addresses of RoCE v2 that cannot be read");
        } else if v2()
            .any(|gid| gid.address.as_deref().is_some_and(|own| own.to_lowercase().starts_with("fe80:")))
        {
            verdicts.warn(
                name,
                "its addresses of RoCE v2 are of the link alone, so other networks cannot reach it",
            );
        } else {
            verdicts.fail(name, "it has no address of RoCE v2");
        }
    }
    verdicts.otherwise_not_applicable("no active port of it is for RoCE");
}

/// A counter and the rate from which it tells something.
struct Limit {
    counter: &'static str,
    /// The most events in `unit` seconds, or between two readings where that is 0.
    most: u64,
    unit: f64,
    per: &'static str,
    status: Status,
}

impl Limit {
    /// A limit of the growth between two readings.
    const fn of_growth(counter: &'static str, most: u64, status: Status) -> Self {
        Self { counter, most, unit: 0.0, per: "", status }
    }
}

const PHY: [Limit; 8] = [
    Limit::of_growth("link_downed", 0, Status::Fail),
    Limit { counter: "symbol_error", most: 120, unit: 3600.0, per: "hour", status: Status::Fail },
    Limit::of_growth("symbol_error", 0, Status::Warn),
    Limit { counter: "link_error_recovery", most: 5, unit: 60.0, per: "minute", status: Status::Warn },
    Limit::of_growth("local_link_integrity_errors", 0, Status::Warn),
    Limit { counter: "port_rcv_errors", most: 10, unit: 1.0, per: "second", status: Status::Warn },
    Limit::of_growth("rx_icrc_encapsulated", 0, Status::Warn),
    Limit::of_growth(CARRIER_CHANGES, 2, Status::Warn),
];

fn phy(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let ports: Vec<Port> =
        ports_of(evidence, verdicts).into_iter().filter(|port| !is_unused(evidence, port)).collect();
    if ports.is_empty() {
        return verdicts.otherwise_not_applicable("the profile says that its RDMA ports are not used");
    }
    let names: BTreeSet<&str> = PHY.iter().map(|limit| limit.counter).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let growth = match counters::growth(evidence, &ports, &names) {
        Ok(growth) => growth,
        Err(why) => return verdicts.unknown(NODE, why),
    };
    for (port, growth) in ports.iter().zip(&growth) {
        let (status, text) = judge(growth, &names);
        verdicts.add(status, port.name(), text);
    }
}

fn judge(growth: &PortGrowth, names: &[&str]) -> (Status, String) {
    // The unknown time between the readings leaves a rate open.
    let mut open = None;
    for Limit { counter, most, unit, per, status } in &PHY {
        let Some(by) = growth.get(counter) else { continue };
        if *unit == 0.0 {
            if by > *most {
                return (*status, format!("{counter} grew by {by}"));
            }
            continue;
        }
        match exceeds(by, growth.seconds, *most as f64 / unit) {
            Some(true) => {
                let seconds = growth.seconds.unwrap_or_default();
                let text =
                    format!("{counter} grew by {by} in {seconds:.0} s, which is more than {most} a {per}");
                return (*status, text);
            }
            Some(false) => {}
            None => open = Some(format!("{counter} grew by {by} in an unknown time")),
        }
    }
    let known = names.iter().filter(|name| growth.get(name).is_some()).count();
    if let Some(text) = open {
        (Status::Unknown, text)
    } else if let Some(why) = growth.open(names.iter().copied()) {
        (Status::Unknown, why)
    } else if known == 0 {
        (Status::Unknown, "no source tells its counters in both readings".to_owned())
    } else {
        (Status::Pass, format!("{known} counters of its cable and link stay within their limits"))
    }
}

fn chardev(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let devices: BTreeSet<String> =
        ports_of(evidence, verdicts).into_iter().map(|port| port.device).collect();
    if devices.is_empty() {
        return;
    }
    let class = evidence.names("sys/class/infiniband_verbs");
    // Both are read in any case, so that a snapshot holds them.
    let (files, has_dev) = (evidence.names("dev/infiniband"), evidence.has_folder("dev"));
    if class.is_empty() {
        // The class is there as soon as the module is.
        let modules = evidence.names("sys/module");
        let is_absent =
            modules.iter().any(|name| name == "ib_core") && !modules.iter().any(|name| name == "ib_uverbs");
        return if is_absent {
            verdicts.fail(NODE, "the module ib_uverbs is not loaded, so no program can use its RDMA devices");
        } else {
            chardev_by_tools(evidence, devices, verdicts);
        };
    }
    let uverbs = class.iter().filter(|name| name.starts_with("uverbs"));
    let of: BTreeMap<String, &String> = uverbs
        .filter_map(|name| {
            let device = evidence.text(&format!("sys/class/infiniband_verbs/{name}/ibdev"));
            Some((device.known()?.clone(), name))
        })
        .collect();
    for device in devices {
        match of.get(&device) {
            None => verdicts.fail(device, "it has no uverbs device"),
            Some(name) if has_dev && !files.contains(name) => {
                verdicts.fail(device, format!("the file /dev/infiniband/{name} is missing"));
            }
            Some(name) => verdicts.pass(device, format!("programs open it as {name}")),
        }
    }
}

/// Judges by the tools that list the devices which programs can open: `ibv_devinfo` and `ibv_devices`.
fn chardev_by_tools(evidence: &Evidence<'_>, devices: BTreeSet<String>, verdicts: &mut Verdicts) {
    if lines(evidence).any(|line| line.trim() == "No IB devices found") {
        return verdicts.fail(NODE, "ibv_devinfo finds no device, so no program can use its RDMA devices");
    }
    let opened = rdma_tools::opened(evidence);
    for device in devices {
        if opened.contains(&device) {
            verdicts.pass(device, "the tools of libibverbs list it");
        } else {
            verdicts.unknown(device, "no source lists the devices of /sys/class/infiniband_verbs");
        }
    }
}

/// More processes than are named in one line.
const MOST_NAMED: usize = 8;

fn consumers(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let mut is_told = false;
    let mut found: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for output in outputs(evidence) {
        is_told |= of_json(output.text, &mut found) | of_lines(output.text, &mut found);
    }
    if !is_told {
        if !ports_of(evidence, verdicts).is_empty() {
            verdicts.unknown(NODE, "no saved output of rdma resource show tells who holds RDMA resources");
        }
        return;
    }
    let allowed = evidence.profile.expect.rdma_processes.as_deref();
    let is_allowed = |name: &String| allowed.is_none_or(|own| own.contains(name));
    let list = |own: &mut dyn Iterator<Item = (&String, &BTreeSet<u64>)>| {
        let all: Vec<String> =
            own.map(|(name, pids)| format!("{name} ({})", processes(pids.len()))).collect();
        named(&all, MOST_NAMED)
    };
    let others = list(&mut found.iter().filter(|(name, _)| !is_allowed(name)));
    if !others.is_empty() {
        verdicts
            .warn(NODE, format!("processes that the profile does not name hold RDMA resources: {others}"));
    } else if found.is_empty() {
        verdicts.pass(NODE, "no process holds RDMA resources");
    } else {
        verdicts.pass(NODE, format!("RDMA resources are held by {}", list(&mut found.iter())));
    }
}

fn processes(count: usize) -> String {
    if count == 1 { "1 process".to_owned() } else { format!("{count} processes") }
}

/// Reads `rdma -j resource show qp`: a list, or lists by kind of resource.
fn of_json(text: &str, found: &mut BTreeMap<String, BTreeSet<u64>>) -> bool {
    use serde_json::Value;
    let text = text.trim();
    if !text.starts_with(['[', '{']) {
        return false;
    }
    let Ok(value) = serde_json::from_str::<Value>(text) else { return false };
    let lists: Vec<&Vec<Value>> = match &value {
        Value::Array(list) => vec![list],
        Value::Object(kinds) => kinds.values().filter_map(Value::as_array).collect(),
        _ => return false,
    };
    let mut is_it = false;
    for entry in lists.into_iter().flatten() {
        // An entry of `rdma -j link` has a name too, and neither a number of a queue pair nor of a memory region.
        let is_resource = entry.get("ifname").is_some()
            && ["lqpn", "mrn", "mrlen", "cqn", "pdn"].iter().any(|key| entry.get(key).is_some());
        is_it |= is_resource;
        let (pid, comm) =
            (entry.get("pid").and_then(Value::as_u64), entry.get("comm").and_then(Value::as_str));
        if let (true, Some(pid), Some(comm)) = (is_resource, pid, comm) {
            found.entry(comm.to_owned()).or_default().insert(pid);
        }
    }
    is_it
}

/// Reads `rdma resource show qp`: `link mlx5_0/1 lqpn 7 type RC state RTS … pid 42 comm python`.
fn of_lines(text: &str, found: &mut BTreeMap<String, BTreeSet<u64>>) -> bool {
    let mut is_it = false;
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().take(64).collect();
        let is_resource =
            matches!(words.as_slice(), ["link" | "dev", _, "lqpn" | "mrn" | "cqn" | "pdn" | "mrlen", ..]);
        is_it |= is_resource;
        let after = |key: &str| words[words.iter().position(|word| *word == key)? + 1..].first().copied();
        let pid = after("pid").and_then(|pid| pid.parse().ok());
        // The kernel's own are written in brackets, without a process.
        if let (true, Some(pid), Some(comm)) = (is_resource, pid, after("comm")) {
            found.entry(comm.to_owned()).or_default().insert(pid);
        }
    }
    is_it
}
