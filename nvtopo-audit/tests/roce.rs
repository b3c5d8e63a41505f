//! The checks of RDMA over Ethernet.

use crate::made::{Made, texts_since};
use crate::support::{finding, only_status, status};
use nvtopo_audit::Report;
use nvtopo_audit::Status::{self, Fail, NotApplicable, Pass, Unknown, Warn};

const PORT: &str = "mlx5_0 port 1";

fn one(seconds: u32) -> Made {
    Made::after(seconds).roce("mlx5_0", "eth0")
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

fn pfc_of(name: &str, text: &str, profile: &str) -> (Status, String) {
    let report = one(1).with("saved.txt", text).audit_by(name, profile);
    let found = finding(&report, "pfc-enabled", PORT);
    (found.status, found.text.clone())
}

#[test]
fn flow_control_is_read_of_any_tool() {
    let dcb =
        |list: &str| format!("$ dcb pfc show dev eth0\npfc-cap 8 macsec-bypass off delay 0\nprio-pfc {list}");
    let only = "0:off 1:off 2:off 3:on 4:off 5:off 6:off 7:off";
    let expected = (Pass, "PFC is on for priority 3 alone".to_owned());
    assert_eq!(pfc_of("pfc-dcb", &dcb(only), ""), expected);
    assert_eq!(pfc_of("pfc-old", &dcb(only).replace("prio-pfc", "pg-pfc"), ""), expected);
    assert_eq!(pfc_of("pfc-qos", &mlnx_qos("0   0   0   1   0   0   0   0", "dscp"), ""), expected);
    assert_eq!(pfc_of("pfc-stat", &ethtool(&[("rx_prio3_pause", 0)]), ""), expected);
    let off = dcb("0:off 1:off 2:off 3:off 4:off 5:off 6:off 7:off");
    assert_eq!(pfc_of("pfc-off", &off, "").0, Unknown);
    assert_eq!(pfc_of("pfc-lossless", &off, "[expect]\nlossless = true").0, Fail);
    assert_eq!(pfc_of("pfc-lossy", &off, "[expect]\nlossless = false").0, NotApplicable);
    assert_eq!(pfc_of("pfc-wrong", &dcb(only), "[expect]\npfc-priority = 5").0, Fail);
    assert_eq!(pfc_of("pfc-two", &mlnx_qos("0 0 0 1 1 0 0 0", "dscp"), "").0, Warn);
    assert_eq!(pfc_of("pfc-global", &ethtool(&[("rx_global_pause", 7)]), "").0, Warn);
    assert_eq!(pfc_of("pfc-none", "nothing of use", "").0, Unknown);
    assert_eq!(pfc_of("pfc-cut", &dcb("0:off 1:off 2:off 3:on"), "").0, Unknown);
    // Statistics of another driver do not tell.
    assert_eq!(pfc_of("pfc-other", "# ethtool -S eth0\nNIC statistics:\n     rx_packets: 5", "").0, Unknown);
}

#[test]
fn an_output_without_a_command_is_known_by_its_file() {
    let made = one(1)
        .with("mlnx_qos_eth0.txt", &mlnx_qos("0 0 0 1 0 0 0 0", "dscp").replace("# mlnx_qos -i eth0\n", ""));
    assert_eq!(status(&made.audit("by-file"), "pfc-enabled", PORT), Pass);
    let made =
        one(1).with("mlnx_qos.txt", &mlnx_qos("0 0 0 1 0 0 0 0", "dscp").replace("# mlnx_qos -i eth0\n", ""));
    assert_eq!(status(&made.audit("by-nothing"), "pfc-enabled", PORT), Unknown);
}

#[test]
fn traffic_is_classified_by_dscp() {
    let with = |text: &str| one(1).with("saved.txt", text);
    let dscp = with(&mlnx_qos("0 0 0 1 0 0 0 0", "dscp"));
    assert_eq!(status(&dscp.audit("trust"), "dscp-trust", PORT), Pass);
    let pcp = one(1).with("sys/class/net/eth0/qos/trust", "pcp");
    assert_eq!(status(&pcp.audit("trust-pcp"), "dscp-trust", PORT), Warn);
    assert_eq!(status(&one(1).audit("trust-none"), "dscp-trust", PORT), Unknown);
    let class = "sys/class/infiniband/mlx5_0/tc/1/traffic_class";
    let marked = dscp.clone().with(class, "Global tclass=106").audit("trust-26");
    let text = "RDMA traffic has DSCP 26, which is of priority 3";
    assert_eq!(finding(&marked, "dscp-trust", PORT).text, text);
    let wrong = dscp.with(class, "Global tclass=236").audit("trust-59");
    assert_eq!(status(&wrong, "dscp-trust", PORT), Warn, "DSCP 59 is of priority 7");
}

/// A machine with NVIDIA's own driver: the switches of both roles by priority (made).
fn vendor(np: &str, rp: &str) -> Made {
    let flags = |made: Made, role: &str, flags: &str| {
        flags.chars().enumerate().fold(made, |made, (priority, flag)| {
            made.with(&format!("sys/class/net/eth0/ecn/{role}/enable/{priority}"), &flag.to_string())
        })
    };
    flags(flags(one(1), "roce_np", np), "roce_rp", rp)
}

#[test]
fn congestion_control_is_on_at_both_roles() {
    let third = "[expect]\npfc-priority = 3";
    // The recorded switches of prometheus/procfs.
    let recorded = vendor("11011011", "11110110");
    assert_eq!(status(&recorded.audit_by("ecn-2", "[expect]\npfc-priority = 2"), "ecn-enabled", PORT), Fail);
    assert_eq!(status(&recorded.audit_by("ecn-3", third), "ecn-enabled", PORT), Pass);
    assert_eq!(status(&recorded.audit("ecn-any"), "ecn-enabled", PORT), Unknown);
    let report = vendor("11111111", "00000000").audit("ecn-rp");
    assert_eq!(finding(&report, "ecn-enabled", PORT).text, "the reaction point is off for every priority");
    let all = vendor("11111111", "11111111");
    assert_eq!(status(&all.audit("ecn-all"), "ecn-enabled", PORT), Pass);
    assert_eq!(status(&one(1).audit("ecn-none"), "ecn-enabled", PORT), Unknown);
}

/// Audits growth of counters in ten seconds.
fn grown(name: &str, counters: &[(&str, u64)]) -> Report {
    let zero: Vec<(&str, u64)> = counters.iter().map(|(name, _)| (*name, 100)).collect();
    let then: Vec<(&str, u64)> = counters.iter().map(|(name, by)| (*name, 100 + by)).collect();
    one(60).counters("mlx5_0", &then).audit_since(name, &one(50).counters("mlx5_0", &zero))
}

#[test]
fn without_switches_the_counters_show_congestion_control() {
    let verdict = |name: &str, counters: &[(&str, u64)]| {
        let report = grown(name, counters);
        (status(&report, "ecn-enabled", PORT), status(&report, "rdma-congestion", PORT))
    };
    let counters = |marked, sent, handled, ignored| {
        let [a, b, c, d] = ["np_ecn_marked_roce_packets", "np_cnp_sent", "rp_cnp_handled", "rp_cnp_ignored"];
        [(a, marked), (b, sent), (c, handled), (d, ignored)]
    };
    assert_eq!(verdict("cc-both", &counters(5, 5, 5, 0)), (Pass, Pass));
    assert_eq!(verdict("cc-rest", &counters(0, 0, 0, 0)), (Unknown, Pass));
    assert_eq!(verdict("cc-rp", &counters(5, 5, 5, 1)), (Fail, Warn));
    assert_eq!(verdict("cc-np", &counters(5, 0, 5, 0)), (Fail, Warn));
    assert_eq!(verdict("cc-some", &[("np_cnp_sent", 5)]), (Unknown, Unknown));
}

#[test]
fn loss_is_judged_with_its_cause() {
    let verdict = |name: &str, counters: &[(&str, u64)]| status(&grown(name, counters), "rdma-loss", PORT);
    let report =
        grown("loss-fail", &[("out_of_sequence", 50), ("port_rcv_packets", 100_000), ("rp_cnp_ignored", 4)]);
    let found = finding(&report, "rdma-loss", PORT);
    assert_eq!(found.status, Fail);
    assert!(found.text.contains("0.050 %") && found.text.contains("reaction point is off"), "{}", found.text);
    assert_eq!(verdict("loss-few", &[("out_of_sequence", 5), ("port_rcv_packets", 100_000)]), Pass);
    assert_eq!(verdict("loss-fast", &[("out_of_sequence", 200), ("port_rcv_packets", 100_000_000)]), Warn);
    assert_eq!(verdict("loss-ack", &[("local_ack_timeout_err", 11)]), Warn);
    assert_eq!(verdict("loss-none", &[("out_of_sequence", 0)]), Pass);
    assert_eq!(verdict("loss-open", &[("np_cnp_sent", 0)]), Unknown);
    assert_eq!(
        only_status(&one(1).counters("mlx5_0", &[("out_of_sequence", 5)]).audit("loss-once"), "rdma-loss"),
        Unknown
    );
    let shrunk = one(60).counters("mlx5_0", &[("out_of_sequence", 1)]);
    let before = one(50).counters("mlx5_0", &[("out_of_sequence", 5)]);
    assert_eq!(status(&shrunk.audit_since("loss-reset", &before), "rdma-loss", PORT), Unknown);
}

#[test]
fn receivers_without_buffers_warn() {
    assert_eq!(status(&grown("recv", &[("out_of_buffer", 1)]), "rdma-receiver", PORT), Warn);
    assert_eq!(status(&grown("recv-0", &[("rnr_nak_retry_err", 0)]), "rdma-receiver", PORT), Pass);
    assert_eq!(status(&grown("recv-x", &[("np_cnp_sent", 0)]), "rdma-receiver", PORT), Unknown);
}

#[test]
fn storms_of_pauses_are_read_of_ethtool() {
    let storm = |name: &str, before: &[(&str, u64)], after: &[(&str, u64)]| {
        let (then, now) = (one(50).with("s.txt", &ethtool(before)), one(60).with("s.txt", &ethtool(after)));
        status(&now.audit_since(name, &then), "pfc-storm", PORT)
    };
    let rest = [
        ("tx_pause_storm_error_events", 2),
        ("tx_pause_storm_warning_events", 2),
        ("rx_prio3_pause_duration", 7),
    ];
    assert_eq!(storm("storm-rest", &rest, &rest), Pass);
    assert_eq!(storm("storm-fail", &rest, &[("tx_pause_storm_error_events", 3)]), Fail);
    assert_eq!(storm("storm-warn", &rest, &[("tx_pause_storm_warning_events", 3)]), Warn);
    assert_eq!(storm("storm-long", &rest, &[("rx_prio3_pause_duration", 1_500_000)]), Warn);
    assert_eq!(storm("storm-short", &rest, &[("rx_prio3_pause_duration", 500_000)]), Pass);
    assert_eq!(storm("storm-none", &rest, &[]), Unknown);
}

#[test]
fn saved_outputs_alone_give_the_same_verdicts() {
    let link = "link mlx5_0/1 state ACTIVE physical_state LINK_UP netdev eth0\n";
    let text = |counters: &[(&str, u64)]| format!("{link}{}", ethtool(counters));
    let before = text(&[("tx_pause_storm_error_events", 2), ("rx_discards_phy", 1), ("out_of_buffer", 1)]);
    let after = text(&[("tx_pause_storm_error_events", 3), ("rx_discards_phy", 1), ("out_of_buffer", 1)]);
    let report = texts_since("roce-text", &after, &before, "");
    assert_eq!(status(&report, "pfc-storm", PORT), Fail);
    assert_eq!(status(&report, "rdma-receiver", PORT), Pass);
    let qos = format!("{link}{}", mlnx_qos("0 0 0 1 0 0 0 0", "dscp"));
    let report = texts_since("qos-text", &qos, &qos, "");
    assert_eq!(status(&report, "pfc-enabled", PORT), Pass);
    assert_eq!(status(&report, "dscp-trust", PORT), Pass);
}

#[test]
fn infiniband_has_no_roce_to_check() {
    let made = Made::after(1).port("mlx5_0", "InfiniBand", 400);
    for check in ["pfc-enabled", "dscp-trust", "ecn-enabled", "rdma-loss", "pfc-storm"] {
        assert_eq!(only_status(&made.audit("roce-ib"), check), NotApplicable, "{check}");
    }
}
