//! RDMA over Ethernet: flow control, the classes of traffic, congestion control, loss, and what the counters say of it.

use super::rdma::ports_of;
use super::{Check, Theme};
use crate::diagnosis::{COUNTERS, LONG_PAUSE, PortGrowth, diagnosed as said, diagnosis};
use crate::evidence::{Evidence, NODE};
use crate::finding::{Severity, Status, Verdicts};
use crate::reading::counters;
use crate::reading::growth::exceeds;
use crate::reading::ports::{self, Port, Ports};
use crate::reading::qos::{self, Qos};
use nvtopo::model::LinkLayer;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "pfc-enabled",
        theme: Theme::Roce,
        severity: Severity::Critical,
        claim: "Priority flow control is on for exactly the priority of RDMA traffic.",
        evidence: "What this machine's kernel tells over netlink; else saved outputs of dcb pfc show or mlnx_qos, or of ethtool -S, \
                   which lists rx_prioN_pause only where it is on.",
        rule: "Fails where it is off and the profile says lossless = true, or where it is on for another priority than \
               pfc-priority. Warns where it is on for several, or where global pauses are on instead. Does not apply where \
               lossless = false, and without an active Ethernet port of an RDMA device. Unknown without a source, or where it \
               is off and the profile says nothing.",
        remedy: "dcb pfc set dev IFACE prio-pfc all:off 3:on, and the same priority on the switches.",
        source: "Linux, mlx5 counters.rst; iproute2, dcb-pfc(8)",
        run: pfc,
    },
    Check {
        code: "dscp-trust",
        theme: Theme::Roce,
        severity: Severity::Warning,
        claim: "The adapter classifies traffic by DSCP, and RDMA traffic is marked for the priority with flow control.",
        evidence: "qos/trust of the interface, tc/N/traffic_class of the device, default_roce_tos of the kernel's settings for \
                   RDMA connections, mlnx_qos, dcb apptrust show.",
        rule: "Warns where traffic is classified by the priority of VLAN tags (pcp), which untagged traffic lacks, or where the \
               mark of RDMA traffic belongs to a priority without PFC, or to another than pfc-priority. Unknown where the mark \
               or the priority with PFC is not told, and with the kernel's own driver, which tells neither. Where \
               lossless = false, DSCP is enough. Does not apply without an active Ethernet port of an RDMA device.",
        remedy: "mlnx_qos -i IFACE --trust=dscp; cma_roce_tos -d DEVICE -t 106.",
        source: "Mellanox/mlnx-tools, python/mlnx_qos and sbin/cma_roce_tos; iproute2, dcb-apptrust(8)",
        run: trust,
    },
    Check {
        code: "ecn-enabled",
        theme: Theme::Roce,
        severity: Severity::Critical,
        claim: "Congestion control by ECN is on for the priority of RDMA traffic, at both roles.",
        evidence: "ecn/roce_np/enable and ecn/roce_rp/enable of the interface with NVIDIA's own driver; else the growth of \
                   np_cnp_sent, rp_cnp_handled and rp_cnp_ignored between two readings.",
        rule: "Fails where a role is off for the priority of RDMA traffic (pfc-priority, else the only one with PFC), or for \
               all of them where that is not known. With the kernel's driver: fails where marked packets arrive and no \
               notification is sent, or notifications are ignored; passes where both roles acted; else unknown. Does not \
               apply without an active Ethernet port of an RDMA device.",
        remedy: "Write 1 to ecn/roce_np/enable/3 and ecn/roce_rp/enable/3 of the interface.",
        source: "NVIDIA, MLNX_OFED documentation, Explicit Congestion Notification; prometheus/procfs, sysfs/net_class_ecn.go; \
                 Linux, mlx5 cong.c",
        run: ecn,
    },
    Check {
        code: "rdma-loss",
        theme: Theme::Roce,
        severity: Severity::Warning,
        claim: "No RDMA packets are lost.",
        evidence: "The growth of out_of_sequence, packet_seq_err, local_ack_timeout_err, implied_nak_seq_err, roce_adp_retrans, \
                   roce_adp_retrans_to and roce_slow_restart between two readings, and of discards in ethtool -S.",
        rule: "Fails where at least 3 packets, and more than 0.01 % of those received, came out of sequence. Warns at 3 events or \
               more, and more than 1 local_ack_timeout_err, or 10 out_of_sequence or roce_slow_restart, a second, and where \
               the adapter discarded packets. Unknown where time or number of packets is unknown, or a counter was reset or is \
               not in both readings. Does not apply without an active Ethernet port of an RDMA device.",
        remedy: "Follow the diagnosis: flow control, marks, the peer, or the cable.",
        source: "NVSentinel, docs/configuration/nic-health-monitor.md; Linux, mlx5 counters.rst",
        run: loss,
    },
    Check {
        code: "rdma-congestion",
        theme: Theme::Roce,
        severity: Severity::Info,
        claim: "Congestion control acts where there is congestion.",
        evidence: "The growth of np_ecn_marked_roce_packets, np_cnp_sent, rp_cnp_handled and rp_cnp_ignored between two readings.",
        rule: "Warns where notifications are ignored, or marked packets arrive and none is sent. Unknown where a counter of \
               the four was reset or is not told in both readings. Does not apply without an active Ethernet port of an RDMA \
               device.",
        remedy: "Switch on the notification point or the reaction point for the priority of RDMA.",
        source: "prometheus/node_exporter, collector/infiniband_linux.go; Linux, mlx5 counters.rst",
        run: congestion,
    },
    Check {
        code: "rdma-receiver",
        theme: Theme::Roce,
        severity: Severity::Info,
        claim: "Receiving programs post their buffers in time.",
        evidence: "The growth of rnr_nak_retry_err and out_of_buffer between two readings.",
        rule: "Warns where one grows. It is no fault of the network: the sender tries again. Unknown where one was reset or \
               is not told in both readings. Does not apply without an active \
               Ethernet port of an RDMA device.",
        remedy: "Let the program post more receive buffers.",
        source: "prometheus/node_exporter, collector/infiniband_linux.go; Linux, mlx5 counters.rst",
        run: receiver,
    },
    Check {
        code: "pfc-storm",
        theme: Theme::Roce,
        severity: Severity::Critical,
        claim: "No storm of pauses stops the traffic.",
        evidence: "The growth of tx_pause_storm_warning_events, tx_pause_storm_error_events and rx_prioN_pause_duration \
                   (microseconds) of ethtool -S between two readings.",
        rule: "Fails where error events grow. Warns where warning events grow, or a priority was paused for more than 10 % of \
               the time. Unknown where a counter of storms, or of the pauses of a priority with PFC, was reset or is not told \
               in both readings, and where priorities were paused in an unknown time. Does not apply without an active \
               Ethernet port of an RDMA device.",
        remedy: "Find the slow receiver: its PCIe width, its IOMMU, its NUMA node.",
        source: "Linux, mlx5 counters.rst",
        run: storm,
    },
];

/// Returns the Ethernet ports of RDMA devices, each with the settings of its interface.
fn roce_ports(evidence: &Evidence<'_>, verdicts: &mut Verdicts) -> Vec<(Port, Qos)> {
    let ports = ports_of(evidence, verdicts);
    for port in ports.iter().filter(|port| port.layer.is_none() && is_used(port)) {
        verdicts.unknown(port.name(), "no source tells its link layer");
    }
    let own = on_ethernet(evidence, &ports);
    if own.is_empty() {
        verdicts.otherwise_not_applicable("no Ethernet port of an RDMA device is active");
    }
    own
}

/// Returns whether a port may carry RDMA traffic of this machine.
fn is_used(port: &Port) -> bool {
    !port.is_down() && !port.is_virtual
}

fn on_ethernet(evidence: &Evidence<'_>, ports: &[Port]) -> Vec<(Port, Qos)> {
    let settings = qos::qos(evidence);
    let own = ports.iter().filter(|port| port.layer == Some(LinkLayer::Ethernet) && is_used(port));
    own.map(|port| {
        let found = port.interfaces.iter().find_map(|name| settings.get(name)).cloned();
        (port.clone(), found.unwrap_or_default())
    })
    .collect()
}

/// Returns the priority of RDMA traffic: the profile's, else the only one with PFC.
fn rdma_priority(evidence: &Evidence<'_>, qos: &Qos) -> Option<u8> {
    evidence.profile.expect.pfc_priority.or_else(|| qos.only_priority())
}

fn list(priorities: impl IntoIterator<Item = u8>) -> String {
    let all: Vec<String> = priorities.into_iter().map(|priority| priority.to_string()).collect();
    all.join(", ")
}

fn pfc(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let expected = &evidence.profile.expect;
    for (port, qos) in roce_ports(evidence, verdicts) {
        let name = port.name();
        if expected.lossless == Some(false) {
            verdicts.not_applicable(name, "the profile says that this network may lose packets");
            continue;
        }
        let Some(on) = &qos.pfc else {
            verdicts.unknown(name, "no source tells its flow control; dcb pfc show and mlnx_qos do");
            continue;
        };
        match (on.len(), expected.pfc_priority) {
            (0, _) if qos.global_pause == Some(true) => {
                verdicts.warn(name, "global pauses are on, which stop all traffic, and PFC is off");
            }
            (0, _) if expected.lossless == Some(true) => {
                verdicts.fail(
                    name,
                    "PFC is off for all priorities, where the profile expects a lossless network",
                );
            }
            (0, Some(priority)) => {
                verdicts
                    .fail(name, format!("PFC is off, where the profile expects it for priority {priority}"));
            }
            (0, None) => {
                verdicts.unknown(
                    name,
                    "PFC is off for all priorities; the profile does not say whether it should be",
                );
            }
            (_, Some(priority)) if !on.contains(&priority) => {
                let text = format!(
                    "PFC is on for priority {}, where {priority} is expected",
                    list(on.iter().copied())
                );
                verdicts.fail(name, text);
            }
            (1, _) => {
                verdicts.pass(name, format!("PFC is on for priority {} alone", list(on.iter().copied())));
            }
            _ => {
                let text =
                    format!("PFC is on for priorities {}, where one is enough", list(on.iter().copied()));
                verdicts.warn(name, text);
            }
        }
    }
}

fn trust(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    for (port, qos) in roce_ports(evidence, verdicts) {
        let name = port.name();
        let dscp = qos::dscp(evidence, &port);
        let marked = dscp.map(|dscp| (dscp, qos.priority_of(dscp)));
        // The priorities that RDMA traffic may have. Without PFC any will do.
        let wanted = match (evidence.profile.expect.pfc_priority, &qos.pfc) {
            (Some(priority), _) => Some(BTreeSet::from([priority])),
            (None, Some(on)) if on.is_empty() => Some((0..8).collect()),
            (None, on) => on.clone(),
        };
        match (qos.trust.as_deref(), marked, wanted) {
            (Some("pcp"), ..) => {
                verdicts.warn(name, "traffic is classified by VLAN tags, so what has none is of priority 0");
            }
            (None, ..) => verdicts.unknown(name, "no source tells how traffic is classified; mlnx_qos does"),
            (Some(_), ..) if evidence.profile.expect.lossless == Some(false) => {
                verdicts.pass(name, "traffic is classified by DSCP");
            }
            (Some(_), None, _) => {
                let text = "traffic is classified by DSCP, and no source tells that of RDMA traffic; cma_roce_tos does";
                verdicts.unknown(name, text);
            }
            (Some(_), Some((dscp, priority)), wanted) => {
                let text = format!("RDMA traffic has DSCP {dscp}, which is of priority {priority}");
                match wanted {
                    Some(wanted) if wanted.contains(&priority) => verdicts.pass(name, text),
                    Some(wanted) => {
                        verdicts.warn(name, format!("{text}, and flow control is for {}", list(wanted)));
                    }
                    None => verdicts.unknown(name, format!("{text}; that of flow control is not told")),
                }
            }
        }
    }
}

const ECN: [&str; 4] = ["np_ecn_marked_roce_packets", "np_cnp_sent", "rp_cnp_handled", "rp_cnp_ignored"];

fn ecn(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let all = roce_ports(evidence, verdicts);
    let ports: Vec<Port> = all.iter().map(|(port, _)| port.clone()).collect();
    let growth = counters::growth(evidence, &ports, &ECN);
    for (place, (port, qos)) in all.iter().enumerate() {
        let name = port.name();
        let own = port
            .interfaces
            .iter()
            .map(|name| qos::ecn(evidence, name))
            .find(|own| own.np.is_some() || own.rp.is_some());
        match own {
            Some(own) => by_switch(rdma_priority(evidence, qos), &own, name, verdicts),
            None => by_growth(growth.as_ref().map(|growth| &growth[place]), name, verdicts),
        }
    }
}

fn by_switch(priority: Option<u8>, own: &qos::Ecn, name: String, verdicts: &mut Verdicts) {
    let roles = [("notification point", &own.np), ("reaction point", &own.rp)];
    let is_on = |flags: &Option<BTreeMap<u8, bool>>, priority: u8| flags.as_ref()?.get(&priority).copied();
    if let Some(priority) = priority {
        let off: Vec<&str> = roles
            .iter()
            .filter(|(_, flags)| is_on(flags, priority) == Some(false))
            .map(|(role, _)| *role)
            .collect();
        if !off.is_empty() {
            verdicts.fail(name, format!("the {} is off for priority {priority}", off.join(" and the ")));
        } else if roles.iter().any(|(_, flags)| is_on(flags, priority).is_none()) {
            verdicts.unknown(
                name,
                format!("a role of congestion control cannot be read for priority {priority}"),
            );
        } else {
            verdicts.pass(name, format!("both roles of congestion control are on for priority {priority}"));
        }
        return;
    }
    let is_all =
        |on: bool| roles.iter().all(|(_, flags)| (0..8).all(|priority| is_on(flags, priority) == Some(on)));
    let none = roles.iter().find(|(_, flags)| (0..8).all(|priority| is_on(flags, priority) == Some(false)));
    if let Some((role, _)) = none {
        verdicts.fail(name, format!("the {role} is off for every priority"));
    } else if is_all(true) {
        verdicts.pass(name, "both roles of congestion control are on for every priority");
    } else {
        verdicts
            .unknown(name, "congestion control is on for some priorities; that of RDMA traffic is not known");
    }
}

/// Returns what shows that a role of congestion control is off. `None`: nothing does.
fn role_off(growth: &PortGrowth) -> Option<String> {
    let is_role = |code: &str| matches!(code, "reaction-point-off" | "notification-point-off");
    said(growth).into_iter().find(|(code, _)| is_role(code)).map(|(_, text)| text)
}

fn by_growth(growth: Result<&PortGrowth, &&'static str>, name: String, verdicts: &mut Verdicts) {
    let acted = |growth: &PortGrowth, counter: &str| growth.get(counter).is_some_and(|by| by > 0);
    let why = match growth.map(|growth| (growth, role_off(growth))) {
        Ok((_, Some(text))) => return verdicts.fail(name, text),
        Ok((growth, None)) if acted(growth, "np_cnp_sent") && acted(growth, "rp_cnp_handled") => {
            return verdicts.pass(name, "both roles of congestion control acted between the two readings");
        }
        Ok(_) => "there was no congestion to show it",
        Err(why) => why,
    };
    verdicts.unknown(name, format!("this driver does not tell whether ECN is on, and {why}"));
}

/// Returns the ports with their growth and settings; else says why there is none.
fn grown(evidence: &Evidence<'_>, verdicts: &mut Verdicts, names: &[&str]) -> Vec<(Port, PortGrowth)> {
    let all = roce_ports(evidence, verdicts);
    if all.is_empty() {
        return Vec::new();
    }
    growth_of(evidence, all, names).unwrap_or_else(|why| {
        verdicts.unknown(NODE, why);
        Vec::new()
    })
}

/// Returns the ports with the growth of their counters; else the reason why there is none.
fn growth_of(
    evidence: &Evidence<'_>,
    all: Vec<(Port, Qos)>,
    names: &[&str],
) -> Result<Vec<(Port, PortGrowth)>, &'static str> {
    let ports: Vec<Port> = all.iter().map(|(port, _)| port.clone()).collect();
    let growth = counters::growth(evidence, &ports, names)?;
    let with = |(growth, (port, qos)): (PortGrowth, (Port, Qos))| {
        (port, growth.with_priority(rdma_priority(evidence, &qos)))
    };
    Ok(growth.into_iter().zip(all).map(with).collect())
}

/// Returns the ports with the codes of what their counters say, the gravest first. Empty: nothing can be said.
pub(crate) fn diagnosed(evidence: &Evidence<'_>) -> Vec<(Port, Vec<&'static str>)> {
    let Ports::Known(ports) = ports::ports(evidence) else { return Vec::new() };
    let codes = |growth: &PortGrowth| said(growth).into_iter().map(|(code, _)| code).collect();
    let grown = growth_of(evidence, on_ethernet(evidence, ports), &COUNTERS).unwrap_or_default();
    grown.into_iter().map(|(port, growth)| (port, codes(&growth))).collect()
}

/// Returns why the growth of these counters does not pass. `None`: one of them is told, and none is reset or told once.
fn open(growth: &PortGrowth, names: &[impl AsRef<str>]) -> Option<String> {
    let is_open = || names.iter().all(|own| growth.get(own.as_ref()).is_none());
    let none = || is_open().then(|| "no source tells its counters in both readings".to_owned());
    growth.open(names.iter().map(AsRef::as_ref)).or_else(none)
}

const LOSS: [&str; 7] = [
    "out_of_sequence",
    "packet_seq_err",
    "local_ack_timeout_err",
    "implied_nak_seq_err",
    "roce_adp_retrans",
    "roce_adp_retrans_to",
    "roce_slow_restart",
];

/// The counters and the most events in a second.
const LOSS_RATES: [(&str, f64); 3] =
    [("local_ack_timeout_err", 1.0), ("out_of_sequence", 10.0), ("roce_slow_restart", 10.0)];

/// The largest share of packets that may arrive out of sequence.
const MOST_LOST: f64 = 1e-4;

fn loss(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let mut names: Vec<&str> = LOSS.to_vec();
    names.extend(COUNTERS.iter().filter(|name| !LOSS.contains(name)));
    names.push("port_rcv_packets");
    for (port, growth) in grown(evidence, verdicts, &names) {
        let name = port.name();
        let told = diagnosis(&growth);
        let because = told.first().map_or_else(String::new, |own| format!("; {own}"));
        let received =
            growth.get("port_rcv_packets").or_else(|| growth.get("rx_packets_phy")).filter(|all| *all > 0);
        let received = received.map(|all| all as f64);
        let lost = growth.get("out_of_sequence").unwrap_or(0);
        let is_much = exceeds(lost, received, MOST_LOST);
        let discards: u64 =
            growth.by_priority("rx_prio", "_discards").values().copied().fold(0, u64::saturating_add);
        let discards = discards.saturating_add(growth.get("rx_discards_phy").unwrap_or(0));
        let is_fast = |(counter, most): &(&str, f64)| exceeds(growth.get(counter)?, growth.seconds, *most);
        let is_open = is_much.is_none()
            || LOSS_RATES.iter().any(|own| growth.get(own.0).is_some() && is_fast(own).is_none());
        let fast = LOSS_RATES.iter().find(|own| is_fast(own) == Some(true));
        let grew: Vec<String> = LOSS
            .iter()
            .filter_map(|own| growth.get(own).filter(|by| *by > 0).map(|by| format!("{own} by {by}")))
            .collect();
        if let (Some(received), Some(true)) = (received, is_much) {
            let text = format!(
                "{:.3} % of the packets came out of sequence, where 0.01 % is much{because}",
                lost as f64 / received * 100.0
            );
            verdicts.fail(name, text);
        } else if let Some((counter, most)) = fast {
            let rate = growth.per_second(counter).unwrap_or_default();
            verdicts
                .warn(name, format!("{counter} grew by {rate:.1} a second, where {most} are much{because}"));
        } else if discards > 0 {
            verdicts.warn(name, format!("the adapter discarded {discards} packets that arrived{because}"));
        } else if let Some(why) = open(&growth, &LOSS).or_else(|| growth.open(["rx_discards_phy"])) {
            verdicts.unknown(name, why);
        } else if grew.is_empty() {
            verdicts.pass(name, "no counter of lost packets grew");
        } else if is_open {
            let grew = grew.join(", ");
            verdicts
                .unknown(name, format!("counters grew in an unknown time or among unknown packets: {grew}"));
        } else {
            verdicts.pass(name, format!("few packets were lost: {}", grew.join(", ")));
        }
    }
}

fn congestion(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    for (port, growth) in grown(evidence, verdicts, &ECN) {
        let name = port.name();
        if let Some(text) = role_off(&growth) {
            verdicts.warn(name, text);
            continue;
        }
        if let Some(why) = ECN.iter().find_map(|counter| open(&growth, &[counter])) {
            verdicts.unknown(name, why);
            continue;
        }
        let [marked, sent, handled, _] = ECN.map(|counter| growth.get(counter).unwrap_or_default());
        let text = format!("marked packets {marked}, notifications sent {sent}, handled {handled}");
        verdicts.pass(name, text);
    }
}

const RECEIVER: [&str; 2] = ["rnr_nak_retry_err", "out_of_buffer"];

fn receiver(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    for (port, growth) in grown(evidence, verdicts, &RECEIVER) {
        let name = port.name();
        let grew = RECEIVER.iter().find_map(|own| Some((own, growth.get(own).filter(|by| *by > 0)?)));
        match grew {
            Some((counter, by)) => {
                verdicts.warn(
                    name,
                    format!("{counter} grew by {by}: receiving programs post buffers too slowly"),
                );
            }
            None => match open(&growth, &RECEIVER) {
                Some(why) => verdicts.unknown(name, why),
                None => verdicts.pass(name, "no receiver was without a buffer"),
            },
        }
    }
}

const STORM: [&str; 2] = ["tx_pause_storm_error_events", "tx_pause_storm_warning_events"];

fn storm(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let settings = qos::qos(evidence);
    for (port, growth) in grown(evidence, verdicts, &[]) {
        let own = port.interfaces.iter().find_map(|name| settings.get(name)?.pfc.as_ref());
        let (status, text) = judge_storm(&growth, own);
        verdicts.add(status, port.name(), text);
    }
}

/// Judges a port with PFC for these priorities; `None`: unknown for which.
fn judge_storm(growth: &PortGrowth, pfc: Option<&BTreeSet<u8>>) -> (Status, String) {
    let [errors, warnings] = STORM.map(|counter| growth.get(counter).filter(|by| *by > 0));
    if let Some(by) = errors {
        let text = format!("the adapter cut off {by} storms of pauses, and packets are lost after each");
        return (Status::Fail, text);
    }
    if let Some(by) = warnings {
        return (Status::Warn, format!("the adapter warned {by} times of a storm of pauses"));
    }
    if let Some((priority, share)) = growth.longest_pause("rx").filter(|(_, share)| *share > LONG_PAUSE) {
        let text = format!("priority {priority} was paused for {:.0} % of the time", share * 100.0);
        return (Status::Warn, text);
    }
    let duration = |priority: u8| format!("rx_prio{priority}_pause_duration");
    // Adapters count the pauses of priorities with PFC.
    let open_pause = || match pfc {
        Some(on) => on.iter().find_map(|priority| open(growth, &[duration(*priority)])),
        None => open(growth, &(0..8).map(duration).collect::<Vec<_>>()),
    };
    if let Some(why) = STORM.iter().find_map(|counter| open(growth, &[counter])).or_else(open_pause) {
        return (Status::Unknown, why);
    }
    let mut durations = growth.by_priority("rx_prio", "_pause_duration").into_values();
    if growth.seconds.is_none() && durations.any(|by| by > 0) {
        let text = "priorities were paused, and the time between the readings is not known";
        return (Status::Unknown, text.to_owned());
    }
    let text = if pfc.is_some_and(BTreeSet::is_empty) {
        "no storm of pauses, and PFC is off"
    } else {
        "no storm of pauses, and no priority was paused for long"
    };
    (Status::Pass, text.to_owned())
}
