//! RDMA over Ethernet: flow control, the classes of traffic, congestion control, loss, and what the counters say of it.

use super::rdma::ports_of;
use super::{Check, Theme};
use crate::diagnosis::{COUNTERS, LONG_PAUSE, PortGrowth, diagnosed as said, diagnosis};
use crate::evidence::{Evidence, NODE};
use crate::finding::{Severity, Verdicts};
use crate::reading::counters;
use crate::reading::ports::Port;
use crate::reading::qos::{self, Qos};
use nvtopo::model::LinkLayer;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "pfc-enabled",
        theme: Theme::Roce,
        severity: Severity::Critical,
        claim: "Priority flow control is on for exactly the priority of RDMA traffic.",
        evidence: "Saved outputs of dcb pfc show or mlnx_qos, or of ethtool -S, which lists rx_prioN_pause only where it is on.",
        rule: "Fails where it is off and the profile says lossless = true, or where it is on for another priority than \
               pfc-priority. Warns where it is on for several, or where global pauses are on instead. Does not apply where \
               lossless = false. Unknown without a source, or where it is off and the profile says nothing.",
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
               lossless = false, DSCP is enough.",
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
        rule: "Fails where a role is off for the priority with PFC, or for all of them where that priority is not known. With \
               the kernel's driver: fails where marked packets arrive and no notification is sent, or notifications are ignored; \
               passes where both roles acted; else unknown.",
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
        rule: "Fails where more than 0.01 % of the received packets came out of sequence. Warns at more than 1 \
               local_ack_timeout_err, or 10 out_of_sequence or roce_slow_restart a second. The counters' diagnosis follows.",
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
        rule: "Warns where notifications are ignored, or marked packets arrive and none is sent.",
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
        rule: "Warns where one grows. It is no fault of the network: the sender tries again.",
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
        rule: "Fails where error events grow. Warns where warning events grow, or a priority was paused for more than 10 % of the \
               time.",
        remedy: "Find the slow receiver: its PCIe width, its IOMMU, its NUMA node.",
        source: "Linux, mlx5 counters.rst",
        run: storm,
    },
];

/// Returns the Ethernet ports of RDMA devices, each with the settings of its interface.
fn roce_ports(evidence: &Evidence<'_>, verdicts: &mut Verdicts) -> Vec<(Port, Qos)> {
    let ports = ports_of(evidence, verdicts);
    let own: Vec<Port> = ports
        .into_iter()
        .filter(|port| port.layer == Some(LinkLayer::Ethernet) && port.is_active() && !port.is_virtual)
        .collect();
    let settings = qos::qos(evidence);
    let of = |port: Port| {
        let found = port.interfaces.iter().find_map(|name| settings.get(name)).cloned();
        (port, found.unwrap_or_default())
    };
    own.into_iter().map(of).collect()
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
            None => by_growth(growth.as_ref().ok().map(|growth| &growth[place]), name, verdicts),
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

fn by_growth(growth: Option<&PortGrowth>, name: String, verdicts: &mut Verdicts) {
    let Some(growth) = growth else {
        return verdicts
            .unknown(name, "this driver does not tell whether ECN is on, and counters were read once");
    };
    let [marked, sent, handled, ignored] = ECN.map(|counter| growth.get(counter));
    if ignored.is_some_and(|by| by > 0) {
        verdicts.fail(name, "notifications of congestion are ignored, so the reaction point is off");
    } else if marked.is_some_and(|by| by > 0) && sent == Some(0) {
        verdicts.fail(
            name,
            "marked packets arrive and no notification is sent, so the notification point is off",
        );
    } else if sent.is_some_and(|by| by > 0) && handled.is_some_and(|by| by > 0) {
        verdicts.pass(name, "both roles of congestion control acted between the two readings");
    } else {
        verdicts.unknown(
            name,
            "this driver does not tell whether ECN is on, and there was no congestion to show it",
        );
    }
}

/// Returns the ports with their growth and settings; else says why there is none.
fn grown(evidence: &Evidence<'_>, verdicts: &mut Verdicts, names: &[&str]) -> Vec<(Port, PortGrowth)> {
    let all = roce_ports(evidence, verdicts);
    let ports: Vec<Port> = all.iter().map(|(port, _)| port.clone()).collect();
    if ports.is_empty() {
        return Vec::new();
    }
    match counters::growth(evidence, &ports, names) {
        Ok(growth) => {
            let with = |(growth, (port, qos)): (PortGrowth, (Port, Qos))| {
                (port, growth.with_priority(rdma_priority(evidence, &qos)))
            };
            growth.into_iter().zip(all).map(with).collect()
        }
        Err(why) => {
            verdicts.unknown(NODE, why);
            Vec::new()
        }
    }
}

/// Returns the ports with the codes of what their counters say, the gravest first.
pub(crate) fn diagnosed(evidence: &Evidence<'_>) -> Vec<(Port, Vec<&'static str>)> {
    // Why nothing is said is told by the checks.
    let mut verdicts = Verdicts::new(&CHECKS[0]);
    let codes = |growth: &PortGrowth| said(growth).into_iter().map(|(code, _)| code).collect();
    let ports = grown(evidence, &mut verdicts, &COUNTERS).into_iter();
    ports.map(|(port, growth)| (port, codes(&growth))).collect()
}

/// Says why the growth of these counters gives no verdict. False: it gives one.
fn is_open(growth: &PortGrowth, names: &[&str], name: &str, verdicts: &mut Verdicts) -> bool {
    if let Some(reset) = names.iter().find(|own| growth.reset.contains(**own)) {
        verdicts.unknown(name, format!("{reset} was reset between the two readings"));
        return true;
    }
    let is_open = names.iter().all(|own| growth.get(own).is_none());
    if is_open {
        verdicts.unknown(name, "no source tells its counters in both readings");
    }
    is_open
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
        if is_open(&growth, &LOSS, &name, verdicts) {
            continue;
        }
        let told = diagnosis(&growth);
        let because = told.first().map_or_else(String::new, |own| format!("; {own}"));
        let received =
            growth.get("port_rcv_packets").or_else(|| growth.get("rx_packets_phy")).filter(|all| *all > 0);
        let lost = growth.get("out_of_sequence").unwrap_or(0);
        let share = received.map(|all| lost as f64 / all as f64);
        let discards: u64 =
            growth.by_priority("rx_prio", "_discards").values().copied().fold(0, u64::saturating_add);
        let discards = discards.saturating_add(growth.get("rx_discards_phy").unwrap_or(0));
        let fast = LOSS_RATES.iter().find_map(|(counter, most)| {
            let rate = growth.per_second(counter).filter(|rate| rate > most)?;
            Some(format!("{counter} grew by {rate:.1} a second, where {most} are much"))
        });
        let grew: Vec<String> = LOSS
            .iter()
            .filter_map(|own| growth.get(own).filter(|by| *by > 0).map(|by| format!("{own} by {by}")))
            .collect();
        if let Some(share) = share.filter(|share| *share > MOST_LOST) {
            let text = format!(
                "{:.3} % of the packets came out of sequence, where 0.01 % is much{because}",
                share * 100.0
            );
            verdicts.fail(name, text);
        } else if let Some(text) = fast {
            verdicts.warn(name, format!("{text}{because}"));
        } else if discards > 0 {
            verdicts.warn(name, format!("the adapter discarded {discards} packets that arrived{because}"));
        } else if grew.is_empty() {
            verdicts.pass(name, "no counter of lost packets grew");
        } else if growth.seconds.is_none() {
            verdicts.unknown(name, format!("counters grew in an unknown time: {}", grew.join(", ")));
        } else {
            verdicts.pass(name, format!("few packets were lost: {}", grew.join(", ")));
        }
    }
}

fn congestion(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    for (port, growth) in grown(evidence, verdicts, &ECN) {
        let name = port.name();
        if is_open(&growth, &ECN, &name, verdicts) {
            continue;
        }
        let [marked, sent, handled, ignored] = ECN.map(|counter| growth.get(counter));
        match (marked, sent, ignored) {
            (_, _, Some(by)) if by > 0 => {
                verdicts.warn(name, format!("{by} notifications of congestion were ignored"));
            }
            (Some(by), Some(0), _) if by > 0 => {
                verdicts.warn(name, format!("{by} marked packets arrived, and no notification was sent"));
            }
            (None, ..) | (_, None, _) | (_, _, None) => {
                verdicts.unknown(name, "no source tells all counters of congestion control");
            }
            (Some(marked), Some(sent), _) => {
                let handled = handled.map_or_else(|| "unknown".to_owned(), |by| by.to_string());
                let text = format!("marked packets {marked}, notifications sent {sent}, handled {handled}");
                verdicts.pass(name, text);
            }
        }
    }
}

const RECEIVER: [&str; 2] = ["rnr_nak_retry_err", "out_of_buffer"];

fn receiver(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    for (port, growth) in grown(evidence, verdicts, &RECEIVER) {
        let name = port.name();
        if is_open(&growth, &RECEIVER, &name, verdicts) {
            continue;
        }
        let grew = RECEIVER.iter().find_map(|own| Some((own, growth.get(own).filter(|by| *by > 0)?)));
        match grew {
            Some((counter, by)) => {
                verdicts.warn(
                    name,
                    format!("{counter} grew by {by}: receiving programs post buffers too slowly"),
                );
            }
            None => verdicts.pass(name, "no receiver was without a buffer"),
        }
    }
}

const STORM: [&str; 2] = ["tx_pause_storm_error_events", "tx_pause_storm_warning_events"];

fn storm(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    for (port, growth) in grown(evidence, verdicts, &[]) {
        let name = port.name();
        let durations = growth.by_priority("rx_prio", "_pause_duration");
        if durations.is_empty() && is_open(&growth, &STORM, &name, verdicts) {
            continue;
        }
        let [errors, warnings] = STORM.map(|counter| growth.get(counter).filter(|by| *by > 0));
        let long = growth.longest_pause("rx").filter(|(_, share)| *share > LONG_PAUSE);
        if let Some(by) = errors {
            verdicts.fail(
                name,
                format!("the adapter cut off {by} storms of pauses, and packets are lost after each"),
            );
        } else if let Some(by) = warnings {
            verdicts.warn(name, format!("the adapter warned {by} times of a storm of pauses"));
        } else if let Some((priority, share)) = long {
            verdicts
                .warn(name, format!("priority {priority} was paused for {:.0} % of the time", share * 100.0));
        } else if growth.seconds.is_none() && durations.values().any(|by| *by > 0) {
            verdicts.unknown(name, "priorities were paused, and the time between the readings is not known");
        } else {
            verdicts.pass(name, "no storm of pauses, and no priority was paused for long");
        }
    }
}
