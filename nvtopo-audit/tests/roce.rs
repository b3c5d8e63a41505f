//! The checks of RDMA over Ethernet.

use crate::machine::Machine;
use crate::support::{finding, only_status, status, texts_since};
use nvtopo_audit::Report;
use nvtopo_audit::Status::{self, Fail, NotApplicable, Pass, Unknown, Warn};

/// The tests whose verdicts count as cases of their checks.
pub(crate) const CASES: &[fn()] = &[
    flow_control_is_read_of_any_tool,
    an_output_without_a_command_is_known_by_its_file,
    traffic_is_classified_by_dscp,
    congestion_control_is_on_at_both_roles,
    without_switches_the_counters_show_congestion_control,
    loss_is_judged_with_its_cause,
    receivers_without_buffers_warn,
    storms_of_pauses_are_read_of_ethtool,
    saved_outputs_alone_give_the_same_verdicts,
    infiniband_has_no_roce_to_check,
];

const PORT: &str = "mlx5_0 port 1";

fn one(seconds: u32) -> Machine {
    Machine::bare(seconds).roce("mlx5_0", "eth0")
}

/// The output of `mlnx_qos -i eth0` (its form is that of NVIDIA's documents).
fn mlnx_qos(flags: &str, trust: &str) -> String {
    format!(
        "# mlnx_qos -i eth0\nDCBX mode: OS controlled\nPriority trust state: {trust}\ndscp2prio mapping:\n\
         \tprio:0 dscp:07,06,05,04,03,02,01,00,\n\tprio:3 dscp:31,30,29,28,27,26,25,24,\nPFC configuration:\n\
         \tpriority    0   1   2   3   4   5   6   7\n\tenabled     {flags}\n\ttc: 0 ratelimit: unlimited, tsa: vendor"
    )
}

/// The output of `ethtool -S eth0` with counters of this port.
fn ethtool(counters: &[(&str, u64)]) -> String {
    let always: Vec<String> = (0..8).map(|priority| format!("     rx_prio{priority}_bytes: 1")).collect();
    let own: Vec<String> = counters.iter().map(|(name, value)| format!("     {name}: {value}")).collect();
    format!("# ethtool -S eth0\nNIC statistics:\n{}\n{}\n", always.join("\n"), own.join("\n"))
}

fn pfc_of(text: &str, expected: &str) -> (Status, String) {
    let report = one(1).with("saved.txt", text).report_expecting(expected);
    let found = finding(&report, "pfc-enabled", PORT);
    (found.status, found.text.clone())
}

#[test]
fn flow_control_is_read_of_any_tool() {
    let dcb =
        |list: &str| format!("$ dcb pfc show dev eth0\npfc-cap 8 macsec-bypass off delay 0\nprio-pfc {list}");
    let only = "0:off 1:off 2:off 3:on 4:off 5:off 6:off 7:off";
    let expected = (Pass, "PFC is on for priority 3 alone".to_owned());
    assert_eq!(pfc_of(&dcb(only), ""), expected);
    assert_eq!(pfc_of(&dcb(only).replace("prio-pfc", "pg-pfc"), ""), expected);
    assert_eq!(pfc_of(&mlnx_qos("0   0   0   1   0   0   0   0", "dscp"), ""), expected);
    assert_eq!(pfc_of(&ethtool(&[("rx_prio3_pause", 0)]), ""), expected);
    let json = r#"{"pfc_cap":8,"macsec_bypass":false,"delay":0,"prio_pfc":[false,false,false,true,false,false,false,false]}"#;
    assert_eq!(pfc_of(&format!("$ dcb -j pfc show dev eth0\n{json}\n"), ""), expected);
    // Old versions print one line.
    let line = format!("$ dcb pfc show dev eth0\npfc-cap 8 prio-pfc {only} delay 0");
    assert_eq!(pfc_of(&line, ""), expected);
    // A table that names a priority twice, and so another one never.
    assert_eq!(pfc_of(&dcb(&only.replace("7:off", "3:on")), "").0, Unknown);
    let off = dcb("0:off 1:off 2:off 3:off 4:off 5:off 6:off 7:off");
    assert_eq!(pfc_of(&off, "").0, Unknown);
    assert_eq!(pfc_of(&off, "lossless = true").0, Fail);
    assert_eq!(pfc_of(&off, "lossless = false").0, NotApplicable);
    assert_eq!(pfc_of(&dcb(only), "pfc-priority = 5").0, Fail);
    assert_eq!(pfc_of(&mlnx_qos("0 0 0 1 1 0 0 0", "dscp"), "").0, Warn);
    assert_eq!(pfc_of(&ethtool(&[("rx_global_pause", 7)]), "").0, Warn);
    assert_eq!(pfc_of("nothing of use", "").0, Unknown);
    assert_eq!(pfc_of(&dcb("0:off 1:off 2:off 3:on"), "").0, Unknown);
    // Statistics of another driver do not tell.
    assert_eq!(pfc_of("# ethtool -S eth0\nNIC statistics:\n     rx_packets: 5", "").0, Unknown);
}

#[test]
fn an_output_without_a_command_is_known_by_its_file() {
    let made = one(1)
        .with("mlnx_qos_eth0.txt", &mlnx_qos("0 0 0 1 0 0 0 0", "dscp").replace("# mlnx_qos -i eth0\n", ""));
    assert_eq!(status(&made.report(), "pfc-enabled", PORT), Pass);
    let made =
        one(1).with("mlnx_qos.txt", &mlnx_qos("0 0 0 1 0 0 0 0", "dscp").replace("# mlnx_qos -i eth0\n", ""));
    assert_eq!(status(&made.report(), "pfc-enabled", PORT), Unknown);
}

#[test]
fn traffic_is_classified_by_dscp() {
    let with = |text: &str| one(1).with("saved.txt", text);
    let dscp = with(&mlnx_qos("0 0 0 1 0 0 0 0", "dscp"));
    // How RDMA traffic is marked is not told.
    assert_eq!(status(&dscp.report(), "dscp-trust", PORT), Unknown);
    assert_eq!(status(&dscp.report_expecting("lossless = false"), "dscp-trust", PORT), Pass);
    let pcp = one(1).with("sys/class/net/eth0/qos/trust", "pcp");
    assert_eq!(status(&pcp.report(), "dscp-trust", PORT), Warn);
    assert_eq!(status(&one(1).report(), "dscp-trust", PORT), Unknown);
    let class = "sys/class/infiniband/mlx5_0/tc/1/traffic_class";
    let trusted = with("$ dcb apptrust show dev eth0\norder: dscp pcp \n").with(class, "Global tclass=106");
    assert_eq!(status(&trusted.report(), "dscp-trust", PORT), Unknown, "PFC is not told");
    for (priority, expected) in [(3, Pass), (5, Warn)] {
        let report = trusted.report_expecting(&format!("pfc-priority = {priority}"));
        assert_eq!(status(&report, "dscp-trust", PORT), expected, "{priority}");
    }
    let marked = dscp.with(class, "Global tclass=106").report();
    let text = "RDMA traffic has DSCP 26, which is of priority 3";
    assert_eq!(finding(&marked, "dscp-trust", PORT).text, text);
    let wrong = dscp.with(class, "Global tclass=236").report();
    assert_eq!(status(&wrong, "dscp-trust", PORT), Warn, "DSCP 59 is of priority 7");
}

/// A machine with NVIDIA's own driver: the switches of both roles by priority (made).
fn vendor(np: &str, rp: &str) -> Machine {
    let flags = |made: Machine, role: &str, flags: &str| {
        flags.chars().enumerate().fold(made, |made, (priority, flag)| {
            made.with(&format!("sys/class/net/eth0/ecn/{role}/enable/{priority}"), &flag.to_string())
        })
    };
    flags(flags(one(1), "roce_np", np), "roce_rp", rp)
}

#[test]
fn congestion_control_is_on_at_both_roles() {
    let third = "pfc-priority = 3";
    // The recorded switches of prometheus/procfs.
    let recorded = vendor("11011011", "11110110");
    assert_eq!(status(&recorded.report_expecting("pfc-priority = 2"), "ecn-enabled", PORT), Fail);
    assert_eq!(status(&recorded.report_expecting(third), "ecn-enabled", PORT), Pass);
    assert_eq!(status(&recorded.report(), "ecn-enabled", PORT), Unknown);
    let report = vendor("11111111", "00000000").report();
    assert_eq!(finding(&report, "ecn-enabled", PORT).text, "the reaction point is off for every priority");
    let all = vendor("11111111", "11111111");
    assert_eq!(status(&all.report(), "ecn-enabled", PORT), Pass);
    assert_eq!(status(&one(1).report(), "ecn-enabled", PORT), Unknown);
}

/// Audits growth of counters in ten seconds.
fn grown(counters: &[(&str, u64)]) -> Report {
    let zero: Vec<(&str, u64)> = counters.iter().map(|(name, _)| (*name, 100)).collect();
    let then: Vec<(&str, u64)> = counters.iter().map(|(name, by)| (*name, 100 + by)).collect();
    one(60).counters("mlx5_0", &then).report_since(&one(50).counters("mlx5_0", &zero))
}

#[test]
fn without_switches_the_counters_show_congestion_control() {
    let verdict = |counters: &[(&str, u64)]| {
        let report = grown(counters);
        (status(&report, "ecn-enabled", PORT), status(&report, "rdma-congestion", PORT))
    };
    let counters = |marked, sent, handled, ignored| {
        let [a, b, c, d] = ["np_ecn_marked_roce_packets", "np_cnp_sent", "rp_cnp_handled", "rp_cnp_ignored"];
        [(a, marked), (b, sent), (c, handled), (d, ignored)]
    };
    assert_eq!(verdict(&counters(5, 5, 5, 0)), (Pass, Pass));
    assert_eq!(verdict(&counters(0, 0, 0, 0)), (Unknown, Pass));
    assert_eq!(verdict(&counters(5, 5, 5, 1)), (Fail, Warn));
    assert_eq!(verdict(&counters(5, 0, 5, 0)), (Fail, Warn));
    assert_eq!(verdict(&[("np_cnp_sent", 5)]), (Unknown, Unknown));
    let reason = |report: &Report| finding(report, "ecn-enabled", PORT).text.clone();
    let own = one(60).counters("mlx5_0", &counters(5, 5, 5, 0));
    assert!(reason(&own.report()).contains("counters were read once"));
    let restarted = own.with("proc/stat", "cpu 1 2 3\nbtime 1700009000");
    assert!(
        reason(&restarted.report_since(&own))
            .ends_with("the machine was started anew between the two readings")
    );
}

#[test]
fn loss_is_judged_with_its_cause() {
    let verdict = |counters: &[(&str, u64)]| status(&grown(counters), "rdma-loss", PORT);
    let report = grown(&[("out_of_sequence", 50), ("port_rcv_packets", 100_000), ("rp_cnp_ignored", 4)]);
    let found = finding(&report, "rdma-loss", PORT);
    assert_eq!(found.status, Fail);
    assert!(found.text.contains("0.050 %") && found.text.contains("reaction point is off"), "{}", found.text);
    assert_eq!(verdict(&[("out_of_sequence", 5), ("port_rcv_packets", 100_000)]), Pass);
    assert_eq!(verdict(&[("out_of_sequence", 200), ("port_rcv_packets", 100_000_000)]), Warn);
    // One or two events in ten seconds are no rate.
    assert_eq!(verdict(&[("out_of_sequence", 1), ("port_rcv_packets", 1000)]), Pass);
    assert_eq!(verdict(&[("out_of_sequence", 2), ("port_rcv_packets", 1000)]), Pass);
    assert_eq!(verdict(&[("out_of_sequence", 3), ("port_rcv_packets", 1000)]), Fail);
    assert_eq!(verdict(&[("out_of_sequence", 50)]), Unknown, "among how many packets?");
    assert_eq!(verdict(&[("local_ack_timeout_err", 11)]), Warn);
    assert_eq!(verdict(&[("out_of_sequence", 0)]), Pass);
    assert_eq!(verdict(&[("np_cnp_sent", 0)]), Unknown);
    assert_eq!(
        only_status(&one(1).counters("mlx5_0", &[("out_of_sequence", 5)]).report(), "rdma-loss"),
        Unknown
    );
    // A counter that one reading tells may have grown; what another shows is worse.
    let both =
        [("out_of_sequence", 5), ("packet_seq_err", 5), ("out_of_buffer", 5), ("rnr_nak_retry_err", 5)];
    let damaged = |file: &str, grown: &[(&str, u64)]| {
        let path = format!("sys/class/infiniband/mlx5_0/ports/1/hw_counters/{file}");
        let now = one(60).counters("mlx5_0", &both).counters("mlx5_0", grown).with(&path, "abc");
        now.report_since(&one(50).counters("mlx5_0", &both))
    };
    assert_eq!(status(&damaged("packet_seq_err", &[]), "rdma-loss", PORT), Unknown);
    let lost = [("out_of_sequence", 500), ("local_ack_timeout_err", 9)];
    assert_eq!(status(&damaged("packet_seq_err", &lost), "rdma-loss", PORT), Warn);
    assert_eq!(status(&damaged("out_of_buffer", &[]), "rdma-receiver", PORT), Unknown);
    assert_eq!(status(&damaged("out_of_buffer", &[("rnr_nak_retry_err", 6)]), "rdma-receiver", PORT), Warn);
    let shrunk = one(60).counters("mlx5_0", &[("out_of_sequence", 1)]);
    let before = one(50).counters("mlx5_0", &[("out_of_sequence", 5)]);
    assert_eq!(status(&shrunk.report_since(&before), "rdma-loss", PORT), Unknown);
}

#[test]
fn receivers_without_buffers_warn() {
    assert_eq!(status(&grown(&[("out_of_buffer", 1)]), "rdma-receiver", PORT), Warn);
    assert_eq!(status(&grown(&[("rnr_nak_retry_err", 0)]), "rdma-receiver", PORT), Pass);
    assert_eq!(status(&grown(&[("np_cnp_sent", 0)]), "rdma-receiver", PORT), Unknown);
}

#[test]
fn storms_of_pauses_are_read_of_ethtool() {
    let storm = |before: &[(&str, u64)], after: &[(&str, u64)]| {
        let (then, now) = (one(50).with("s.txt", &ethtool(before)), one(60).with("s.txt", &ethtool(after)));
        status(&now.report_since(&then), "pfc-storm", PORT)
    };
    let counters = |errors, warnings, duration| {
        [
            ("tx_pause_storm_error_events", errors),
            ("tx_pause_storm_warning_events", warnings),
            ("rx_prio3_pause", 1),
            ("rx_prio3_pause_duration", duration),
        ]
    };
    let rest = counters(2, 2, 7);
    assert_eq!(storm(&rest, &rest), Pass);
    assert_eq!(storm(&rest, &counters(3, 2, 7)), Fail);
    assert_eq!(storm(&rest, &counters(2, 3, 7)), Warn);
    assert_eq!(storm(&rest, &counters(2, 2, 1_500_000)), Warn);
    assert_eq!(storm(&rest, &counters(2, 2, 500_000)), Pass);
    assert_eq!(storm(&rest, &[]), Unknown);
    // What tells a fault tells it without the rest.
    assert_eq!(storm(&rest, &[("tx_pause_storm_error_events", 3)]), Fail);
    assert_eq!(storm(&rest, &[("rx_prio3_pause_duration", 1_500_000)]), Warn);
    // A counter that was reset, or is not there, tells nothing.
    assert_eq!(storm(&rest, &counters(1, 2, 7)), Unknown);
    assert_eq!(storm(&rest, &counters(2, 1, 7)), Unknown);
    assert_eq!(storm(&rest, &counters(2, 2, 6)), Unknown);
    assert_eq!(storm(&rest[2..], &rest[2..]), Unknown, "no counter of storms");
    assert_eq!(storm(&rest[1..], &rest[1..]), Unknown, "one counter of storms");
    assert_eq!(storm(&rest[..3], &rest[..3]), Unknown, "no length of pauses");
    assert_eq!(storm(&rest[..2], &rest[..2]), Pass, "without PFC there are no pauses of priorities");
}

#[test]
fn saved_outputs_alone_give_the_same_verdicts() {
    let link = "link mlx5_0/1 state ACTIVE physical_state LINK_UP netdev eth0\n";
    let text = |counters: &[(&str, u64)]| format!("{link}{}", ethtool(counters));
    let before = text(&[("tx_pause_storm_error_events", 2), ("rx_discards_phy", 1), ("out_of_buffer", 1)]);
    let after = text(&[("tx_pause_storm_error_events", 3), ("rx_discards_phy", 1), ("out_of_buffer", 1)]);
    let report = texts_since(&after, &before);
    assert_eq!(status(&report, "pfc-storm", PORT), Fail);
    assert_eq!(status(&report, "rdma-receiver", PORT), Pass);
    let qos = format!("{link}{}", mlnx_qos("0 0 0 1 0 0 0 0", "dscp"));
    let report = texts_since(&qos, &qos);
    assert_eq!(status(&report, "pfc-enabled", PORT), Pass);
    assert_eq!(status(&report, "dscp-trust", PORT), Unknown);
    // A script that shows all interfaces (made after its words).
    let heading = "======== show configuration for device eth0 / mlx5_0========";
    let qos = qos.replace("# mlnx_qos -i eth0", heading);
    assert!(qos.contains(heading));
    assert_eq!(status(&texts_since(&qos, &qos), "pfc-enabled", PORT), Pass);
}

#[test]
fn infiniband_has_no_roce_to_check() {
    let made = Machine::bare(1).port("mlx5_0", "InfiniBand", 400);
    for check in ["pfc-enabled", "dscp-trust", "ecn-enabled", "rdma-loss", "pfc-storm"] {
        assert_eq!(only_status(&made.report(), check), NotApplicable, "{check}");
        // A port of unknown state or link layer may be one.
        let open = one(1).port_file("mlx5_0", "state", "").report_expecting("lossless = true");
        assert_eq!(only_status(&open, check), Unknown, "{check}");
        let open = one(1).port_file("mlx5_0", "link_layer", "Unknown").report();
        assert_eq!(only_status(&open, check), Unknown, "{check}");
        let down = one(1).port_file("mlx5_0", "state", "1: DOWN").report();
        assert_eq!(only_status(&down, check), NotApplicable, "{check}");
    }
}
