//! The checks of RDMA ports and of packet sizes.

use crate::machine::Machine;
use crate::support::{Folder, audit, data, finding, findings, of_files, of_text, only_status, status};
use nvtopo::source::{Contents, Locator};
use nvtopo_audit::Report;
use nvtopo_audit::Status::{Fail, NotApplicable, Pass, Unknown, Warn};
use std::io::Read;

/// The tests whose verdicts count as cases of their checks.
pub(crate) const CASES: &[fn()] = &[
    a_sound_host_passes_as_its_authors_say,
    files_and_saved_outputs_give_the_same_verdicts,
    a_port_that_is_down_fails,
    second_ports_that_no_card_uses_are_by_design,
    recorded_outputs_of_tools_are_judged,
    mixed_link_layers_warn,
    a_slower_port_warns,
    a_machine_without_rdma_has_nothing_to_check,
    addresses_of_roce_are_judged,
    cables_are_judged_by_growth,
    recorded_counters_that_rest_pass,
    programs_need_device_files,
    links_that_are_lost_again_and_again_fail_as_their_authors_say,
    losses_are_counted_over_the_ends_of_years_and_not_by_excerpts,
    holders_of_resources_are_listed,
    small_packets_warn,
    interfaces_of_one_network_agree,
    overlays_fit_into_what_is_below,
];

/// Two ports of InfiniBand (made).
fn pair() -> Machine {
    Machine::bare(100).port("mlx5_0", "InfiniBand", 400).port("mlx5_1", "InfiniBand", 400)
}

/// The recorded `/sys/class/infiniband` of an H100 host, as a machine with CPUs (which are made).
fn recorded() -> Machine {
    let file = std::fs::File::open(data("audit/gpud/infiniband-class-testdata.tar.gz")).unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let mut made = Machine::bare(100);
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let mut text = String::new();
        if let (Some((_, path)), Ok(_)) =
            (path.split_once("sys-class-infiniband-h100.0/"), entry.read_to_string(&mut text))
            && !path.is_empty()
            && !path.ends_with('/')
        {
            made = made.with(&format!("sys/class/infiniband/{path}"), text.trim());
        }
    }
    made
}

/// The output of `ibstat` on the recorded host (made from its files), with one port changed.
fn ibstat(state: &str, rate: u32) -> String {
    let device = |name: &str, model: &str, state: &str, rate: u32, layer: &str| {
        format!(
            "CA '{name}'\n\tCA type: {model}\n\tNumber of ports: 1\n\tPort 1:\n\t\tState: {state}\n\t\tPhysical state: LinkUp\n\
             \t\tRate: {rate}\n\t\tLink layer: {layer}\n"
        )
    };
    let mut text = String::new();
    for number in [0, 1, 4, 5, 6, 7, 8, 9] {
        let (state, rate) = if number == 6 { (state, rate) } else { ("Active", 400) };
        text += &device(&format!("mlx5_{number}"), "MT4129", state, rate, "InfiniBand");
    }
    text + &device("mlx5_bond_0", "MT41692", "Active", 200, "Ethernet")
}

fn verdicts(report: &Report, checks: &[&str]) -> Vec<(String, String, String)> {
    let all = checks.iter().flat_map(|check| findings(report, check));
    all.map(|own| (own.check.code.to_owned(), own.subject.clone(), own.status.word().to_owned())).collect()
}

#[test]
fn a_sound_host_passes_as_its_authors_say() {
    let report = recorded().report();
    assert_eq!(findings(&report, "rdma-port-active").len(), 9);
    assert_eq!(only_status(&report, "rdma-port-active"), Pass);
    assert_eq!(only_status(&report, "rdma-link-layer"), Pass, "the bond is not of the GPUs' network");
    assert_eq!(status(&report, "rdma-rate", "mlx5_9 port 1"), Pass);
    assert_eq!(status(&report, "rdma-rate", "mlx5_bond_0 port 1"), Unknown, "it is the only one of its kind");
    assert_eq!(status(&report, "rocev2-gid", "mlx5_bond_0 port 1"), Unknown, "the archive has no addresses");
    let report = recorded().report_expecting("rdma-rate = 50.0");
    assert_eq!(status(&report, "rdma-rate", "mlx5_0 port 1"), Pass);
    let report = recorded().report_expecting("rdma-rate = 100.0");
    assert_eq!(status(&report, "rdma-rate", "mlx5_0 port 1"), Fail);
}

#[test]
fn files_and_saved_outputs_give_the_same_verdicts() {
    let checks = ["rdma-port-active", "rdma-link-layer", "rdma-rate"];
    let cases = [
        (recorded(), ibstat("Active", 400)),
        (recorded().port_file("mlx5_6", "rate", "200 Gb/sec (2X NDR)"), ibstat("Active", 200)),
        (recorded().port_file("mlx5_6", "state", "1: DOWN"), ibstat("Down", 400)),
        (recorded().port_file("mlx5_6", "state", "2: INIT"), ibstat("Initializing", 400)),
    ];
    for (place, (files, text)) in cases.iter().enumerate() {
        let (of_files, of_text) = (files.report(), of_text(text));
        assert_eq!(verdicts(&of_files, &checks), verdicts(&of_text, &checks), "case {place}");
    }
}

#[test]
fn a_port_that_is_down_fails() {
    let report = pair()
        .port_file("mlx5_1", "state", "1: DOWN")
        .port_file("mlx5_1", "phys_state", "3: Disabled")
        .report();
    let found = finding(&report, "rdma-port-active", "mlx5_1 port 1");
    assert_eq!(
        (found.status, found.text.as_str()),
        (Fail, "it is down (Disabled), where active is expected")
    );
    assert_eq!(status(&report, "rdma-port-active", "mlx5_0 port 1"), Pass);
    let report = pair().port_file("mlx5_1", "state", "5: ACTIVE_DEFER").report();
    assert_eq!(status(&report, "rdma-port-active", "mlx5_1 port 1"), Fail);
    let report = pair().port_file("mlx5_1", "state", "").report();
    assert_eq!(status(&report, "rdma-port-active", "mlx5_1 port 1"), Unknown);
    let unused =
        pair().port_file("mlx5_1", "state", "1: DOWN").report_expecting("unused-nics = [\"mlx5_1\"]");
    assert_eq!(status(&unused, "rdma-port-active", "mlx5_1 port 1"), NotApplicable);
}

#[test]
fn second_ports_that_no_card_uses_are_by_design() {
    let text = |second_of_last: &str| {
        format!(
            "0000:1a:00.0 mlx5_0 (MT4123 - X) CX6 fw 20.1 port 1 (ACTIVE) ==> a (Up)\n\
             0000:1a:00.1 mlx5_1 (MT4123 - X) CX6 fw 20.1 port 1 (DOWN  ) ==> b (Down)\n\
             0000:5a:00.0 mlx5_2 (MT4123 - X) CX6 fw 20.1 port 1 (ACTIVE) ==> c (Up)\n\
             0000:5a:00.1 mlx5_3 (MT4123 - X) CX6 fw 20.1 port 1 ({second_of_last}) ==> d (Down)\n"
        )
    };
    let report = of_text(&text("DOWN  "));
    assert_eq!(status(&report, "rdma-port-active", "mlx5_1 port 1"), NotApplicable);
    let report = of_text(&text("ACTIVE"));
    assert_eq!(status(&report, "rdma-port-active", "mlx5_1 port 1"), Fail, "the other card has two");
    // ibstat tells no addresses, and one number for all devices of a card (made).
    let ports = [("mlx5_0", "90", "Active"), ("mlx5_1", "90", "Down"), ("mlx5_2", "a0", "Active")];
    let ibstat = |ports: &[(&str, &str, &str)]| {
        let one = |(device, image, state): (&str, &str, &str)| {
            format!(
                "CA '{device}'\n\tCA type: MT4129\n\tNumber of ports: 1\n\tSystem image GUID: 0xfc4cea0300f942{image}\n\
                 \tPort 1:\n\t\tState: {state}\n\t\tPhysical state: x\n\t\tRate: 200\n\t\tLink layer: Ethernet\n"
            )
        };
        of_text(&ports.iter().copied().map(one).collect::<String>())
    };
    let beside = |image: &'static str, state: &'static str| {
        ibstat(&[&ports[..], &[("mlx5_3", image, state)]].concat())
    };
    let second = |report: &Report| status(report, "rdma-port-active", "mlx5_1 port 1");
    assert_eq!(second(&beside("a0", "Down")), NotApplicable);
    assert_eq!(second(&beside("a0", "Active")), Fail, "the other card has two");
    assert_eq!(second(&beside("b0", "Down")), Fail, "a card has none");
    // Names made of addresses (those of a DGX Spark, whose one card is in two slots).
    let names = ["roceP2p1s0f0", "roceP2p1s0f1", "rocep1s0f0", "rocep1s0f1"];
    let spark = names.map(|name| (name, "30", if name.ends_with('0') { "Active" } else { "Down" }));
    for (name, _, state) in spark {
        let expected = if state == "Active" { Pass } else { NotApplicable };
        assert_eq!(status(&ibstat(&spark), "rdma-port-active", &format!("{name} port 1")), expected);
    }
}

#[test]
fn recorded_outputs_of_tools_are_judged() {
    let report = of_files(&["rdma/ibstatus-one-port-down.txt"]);
    assert_eq!(status(&report, "rdma-port-active", "mlx5_0 port 1"), Fail);
    assert_eq!(status(&report, "rdma-port-active", "mlx5_1 port 1"), Pass);
    let report = of_files(&["rdma/rdma-link-cloudlab-xl170-blank-lines.txt"]);
    assert_eq!(status(&report, "rdma-port-active", "mlx5_3 port 1"), Fail);
    let report = of_files(&["rdma/rdma-link.json"]);
    assert_eq!(status(&report, "rdma-port-active", "mlx5_1 port 1"), Fail);
    let report = of_files(&["rdma/ibdev2netdev-connectx-mixed-state.txt"]);
    assert_eq!(findings(&report, "rdma-port-active").len(), 4);
    let report = of_files(&["rdma/ibv-devinfo-connectx6-ethernet.txt"]);
    assert_eq!(status(&report, "rdma-port-active", "mlx5_0 port 1"), Pass);
    assert_eq!(status(&report, "mtu-active", "mlx5_0 port 1"), Unknown, "max_mtu is not the active one");
}

#[test]
fn mixed_link_layers_warn() {
    let report = pair().port("mlx5_2", "Ethernet", 400).report();
    assert_eq!(status(&report, "rdma-link-layer", "node"), Warn);
    let named = "compute-nics = [\"mlx5_0\", \"mlx5_1\"]";
    let report = pair().port("mlx5_2", "Ethernet", 400).report_expecting(named);
    assert_eq!(status(&report, "rdma-link-layer", "node"), Pass);
    let report = pair().port_file("mlx5_1", "link_layer", "Unknown").report();
    assert_eq!(status(&report, "rdma-link-layer", "node"), Unknown);
}

#[test]
fn a_slower_port_warns() {
    let three = pair().port("mlx5_2", "InfiniBand", 200);
    let report = three.report();
    assert_eq!(status(&report, "rdma-rate", "mlx5_2 port 1"), Warn);
    assert_eq!(status(&report, "rdma-rate", "mlx5_0 port 1"), Pass);
    let report = pair().port_file("mlx5_1", "rate", "unknown").report();
    assert_eq!(status(&report, "rdma-rate", "mlx5_1 port 1"), Unknown);
    let report = three.port_file("mlx5_2", "state", "").report();
    assert_eq!(status(&report, "rdma-rate", "mlx5_2 port 1"), Warn, "its state is not known");
    let down = Machine::bare(1).port("mlx5_0", "InfiniBand", 400).port_file("mlx5_0", "state", "1: DOWN");
    assert_eq!(only_status(&down.report(), "rdma-rate"), NotApplicable);
}

#[test]
fn a_machine_without_rdma_has_nothing_to_check() {
    let bare = Machine::bare(1).with("sys/class/net/lo/mtu", "65536").with("sys/class/tty/tty0/dev", "4:0");
    for check in ["rdma-port-active", "rocev2-gid", "pfc-enabled", "rdma-phy", "mtu-active"] {
        assert_eq!(only_status(&bare.report(), check), NotApplicable, "{check}");
        let report = of_text("GPU 0: NVIDIA A10 (UUID: GPU-00000000-0000-0000-0000-000000000001)\n");
        assert_eq!(only_status(&report, check), Unknown, "{check}");
    }
}

#[test]
fn addresses_of_roce_are_judged() {
    let one = Machine::bare(1).roce("mlx5_0", "eth0");
    let found = one.report();
    assert_eq!(finding(&found, "rocev2-gid", "mlx5_0 port 1").text, "index 3 is an address of RoCE v2");
    let port = "sys/class/infiniband/mlx5_0/ports/1";
    let local = one.without(&format!("{port}/gid_attrs/types/3"));
    assert_eq!(status(&local.report(), "rocev2-gid", "mlx5_0 port 1"), Warn);
    let none = local.without(&format!("{port}/gid_attrs/types/1"));
    assert_eq!(status(&none.report(), "rocev2-gid", "mlx5_0 port 1"), Fail);
    // A redacted snapshot keeps the kinds of addresses, and not the addresses.
    let secret = one.without(&format!("{port}/gids"));
    assert_eq!(status(&secret.report(), "rocev2-gid", "mlx5_0 port 1"), Unknown);
    let open = one.without("sys/class/infiniband/mlx5_0/ports/1/state");
    assert_eq!(status(&open.report(), "rocev2-gid", "mlx5_0 port 1"), Pass, "its state is not known");
    let iwarp = one.with("sys/class/infiniband/mlx5_0/node_type", "4: RNIC");
    assert_eq!(only_status(&iwarp.report(), "rocev2-gid"), NotApplicable);
    let with_state = |file: &str| {
        let gids = std::fs::read_to_string(data(file)).unwrap();
        let name = if file.contains("connectx6") { "mlx5_0" } else { "rocep105s0" };
        of_text(&format!("link {name}/1 state ACTIVE physical_state LINK_UP netdev x\n{gids}"))
    };
    assert_eq!(status(&with_state("rdma/show-gids-connectx6-roce.txt"), "rocev2-gid", "mlx5_0 port 1"), Pass);
    let cut = with_state("rdma/show-gids-rocep-names-cut.txt");
    assert_eq!(status(&cut, "rocev2-gid", "rocep105s0 port 1"), Unknown, "the end of the list is cut");
    let empty = with_state("rdma/show-gids-empty-container.txt");
    assert_eq!(status(&empty, "rocev2-gid", "rocep105s0 port 1"), Fail);
}

#[test]
fn cables_are_judged_by_growth() {
    let quiet =
        [("link_downed", 3), ("symbol_error", 70), ("port_rcv_errors", 9), ("link_error_recovery", 1)];
    let before = pair().counters("mlx5_0", &quiet);
    let after = |seconds: u32, counters: &[(&str, u64)]| {
        let made = Machine::bare(seconds).port("mlx5_0", "InfiniBand", 400).port("mlx5_1", "InfiniBand", 400);
        made.counters("mlx5_0", &quiet).counters("mlx5_0", counters)
    };
    let judge = |counters: &[(&str, u64)]| {
        let report = after(110, counters).report_since(&before);
        let found = finding(&report, "rdma-phy", "mlx5_0 port 1");
        (found.status, found.text.clone())
    };
    assert_eq!(judge(&[]).0, Pass, "values that do not grow are no fault");
    assert_eq!(judge(&[("link_downed", 4)]), (Fail, "link_downed grew by 1".to_owned()));
    assert_eq!(judge(&[("symbol_error", 75)]).0, Fail);
    assert_eq!(judge(&[("symbol_error", 71)]).0, Warn);
    assert_eq!(judge(&[("port_rcv_errors", 59)]).0, Pass, "5 a second");
    assert_eq!(judge(&[("port_rcv_errors", 200)]).0, Warn);
    assert_eq!(judge(&[("link_error_recovery", 3)]).0, Pass, "two in ten seconds are no rate");
    assert_eq!(judge(&[("link_error_recovery", 4)]).0, Warn);
    assert_eq!(judge(&[("symbol_error", 0)]).0, Unknown, "it was reset");
    // A counter that one reading tells may have grown; what another shows is worse.
    let path = "sys/class/infiniband/mlx5_0/ports/1/counters/link_downed";
    for now in
        [after(110, &[]).with(path, "abc"), after(110, &[]).with(path, ""), after(110, &[]).without(path)]
    {
        let report = now.report_since(&before);
        let found = finding(&report, "rdma-phy", "mlx5_0 port 1");
        let text = "one of the two readings does not tell link_downed";
        assert_eq!((found.status, found.text.as_str()), (Unknown, text));
    }
    let worse = after(110, &[("symbol_error", 75)]).with(path, "abc");
    assert_eq!(status(&worse.report_since(&before), "rdma-phy", "mlx5_0 port 1"), Fail);
    let report = after(110, &[]).report_since(&before);
    assert_eq!(status(&report, "rdma-phy", "mlx5_1 port 1"), Unknown, "it has no counters");
    let report = after(50, &[("link_downed", 4)]).report_since(&before);
    assert_eq!(status(&report, "rdma-phy", "node"), Unknown, "the machine was started anew");
    let later = after(110, &[]).with("proc/stat", "btime 1700009999");
    assert_eq!(status(&later.report_since(&before), "rdma-phy", "node"), Unknown);
    assert_eq!(only_status(&before.report(), "rdma-phy"), Unknown, "one reading");
    let untimed = after(110, &[("port_rcv_errors", 200)]).without("proc/uptime");
    assert_eq!(status(&untimed.report_since(&before), "rdma-phy", "mlx5_0 port 1"), Unknown);
}

#[test]
fn recorded_counters_that_rest_pass() {
    let report = recorded().report_since(&recorded());
    assert_eq!(status(&report, "rdma-phy", "mlx5_0 port 1"), Pass);
    assert_eq!(findings(&report, "rdma-phy").len(), 9);
}

#[test]
fn programs_need_device_files() {
    let class = "sys/class/infiniband_verbs";
    let both =
        pair().with(&format!("{class}/abi_version"), "6").with(&format!("{class}/uverbs0/ibdev"), "mlx5_0");
    let report = both.report();
    assert_eq!(status(&report, "rdma-chardev", "mlx5_0"), Pass);
    assert_eq!(status(&report, "rdma-chardev", "mlx5_1"), Fail);
    let no_file = both.with("dev/infiniband/rdma_cm", "");
    assert_eq!(status(&no_file.report(), "rdma-chardev", "mlx5_0"), Fail);
    assert_eq!(only_status(&pair().report(), "rdma-chardev"), Unknown);
    // The class is the host's, and the files are the container's.
    let container = both.with("dev/shm/x", "");
    assert_eq!(status(&container.report(), "rdma-chardev", "mlx5_0"), Fail);
    let [tree, replayed] = {
        let written = container.write();
        [written.read(), written.read_snapshot()].map(|contents| {
            audit(&contents, None, "")
                .findings()
                .iter()
                .filter(|own| own.check.code == "rdma-chardev")
                .cloned()
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(tree, replayed, "a snapshot tells the same");
    // Tools of libibverbs list the devices that they can open.
    let tools = "    device          \t   node GUID\n    ------          \t----------------\n    mlx5_0          \t506b4b0300c1f2a0\n";
    let report = pair().report_beside(&[("ibv_devices.txt", tools)], "");
    assert_eq!(
        (status(&report, "rdma-chardev", "mlx5_0"), status(&report, "rdma-chardev", "mlx5_1")),
        (Pass, Unknown)
    );
    let report =
        pair().report_beside(&[("ibv_devinfo.txt", "hca_id:\tmlx5_1\n\ttransport:\tInfiniBand (0)\n")], "");
    assert_eq!(status(&report, "rdma-chardev", "mlx5_1"), Pass);
    let report = pair().report_beside(&[("ibv_devinfo.txt", "No IB devices found\n")], "");
    assert_eq!(only_status(&report, "rdma-chardev"), Fail);
    let unloaded = pair().with("sys/module/ib_core/refcnt", "1");
    assert_eq!(only_status(&unloaded.report(), "rdma-chardev"), Fail);
}

#[test]
fn links_that_are_lost_again_and_again_fail_as_their_authors_say() {
    let check = "nic-link-losses";
    let log =
        |name: &str| std::fs::read_to_string(data(&format!("audit/azurehpc-health-checks/{name}"))).unwrap();
    let of = |text: &str| pair().report_beside(&[("syslog", text)], "");
    let found = of(&log("1dev_6flap_syslog"));
    let text = "it lost its link 6 times in the last 24 hours of the log";
    assert_eq!((status(&found, check, "ib6"), finding(&found, check, "ib6").text.as_str()), (Fail, text));
    assert_eq!(only_status(&of(&log("0flap_syslog")), check), Pass);
    assert_eq!(only_status(&pair().report(), check), Unknown);
    // Made: losses of another day do not count, and two warn.
    let line =
        |day: u32, text: &str| format!("Aug {day} 06:18:01 node kernel: mlx5_core 0000:0c:00.0 {text}\n");
    let days = |days: &[u32]| {
        let losses: String = days.iter().map(|day| line(*day, "rdma0: Link down")).collect();
        losses + &line(20, "rdma0: Link up")
    };
    assert_eq!(only_status(&of(&days(&[16, 17, 18, 20])), check), Pass);
    assert_eq!(status(&of(&days(&[17, 18, 20, 20])), check, "rdma0"), Warn);
    // Made, in the form of the kernel's log of a port that flapped.
    let ports = |device: &str| -> String {
        let lines = |second: u32| {
            format!(
                "[ 44{second}0.115811] mlx5_core 0000:c1:00.0 {device}: Port: 1 Link DOWN\n\
                 [ 44{second}5.769587] mlx5_core 0000:c1:00.0 {device}: Port: 1 Link ACTIVE\n"
            )
        };
        (1..6).map(lines).collect()
    };
    let found = of(&ports("mlx5_3"));
    let text = "it lost its link 5 times in the last 24 hours of the log";
    let own = finding(&found, check, "mlx5_3 port 1");
    assert_eq!((own.status, own.text.as_str()), (Fail, text));
    // A virtual function belongs to a guest, which may restart.
    let listed =
        "c1:00.0 Infiniband controller: Mellanox Technologies MT28908 Family [ConnectX-6 Virtual Function]\n";
    let report = pair().report_beside(&[("dmesg", &ports("mlx5_3")), ("lspci.txt", listed)], "");
    assert_eq!(only_status(&report, check), Pass);
}

#[test]
fn losses_are_counted_over_the_ends_of_years_and_not_by_excerpts() {
    let check = "nic-link-losses";
    let of = |text: &str| pair().report_beside(&[("log", text)], "");
    // Made: six losses in the last hour of the year, in the forms of syslog and of dmesg.
    let lost = |time: &dyn Fn(u32) -> String, end: &str| {
        let lines: Vec<String> = (1..7)
            .map(|minute| format!("{}mlx5_core 0000:0c:00.0 rdma0: Link down\n", time(minute)))
            .collect();
        let lines = lines.concat();
        format!("{lines}{end} usb x: y\n")
    };
    for (time, end) in [
        (
            &|minute| format!("2026-12-31T23:0{minute}:00+00:00 n1 kernel: ") as String,
            "2027-01-01T00:30:00+00:00 n1 kernel:",
        ),
        (&|minute| format!("Dec 31 23:0{minute}:00 n1 kernel: "), "Jan  1 00:30:00 n1 kernel:"),
        (&|minute| format!("Feb 28 23:0{minute}:00 n1 kernel: "), "Mar  1 00:30:00 n1 kernel:"),
        (&|minute| format!("[Thu Dec 31 23:0{minute}:00 2026] "), "[Fri Jan  1 00:30:00 2027]"),
        (&|minute| format!("[  {minute}.5] "), "[ 9.0]"),
        (&|minute| format!("6,{minute},{minute}500000,-;"), "6,9,9000000,-;"),
    ] as [(&dyn Fn(u32) -> String, &str); 6]
    {
        assert_eq!(status(&of(&lost(time, end)), check, "rdma0"), Fail, "{end}");
    }
    // Made: lines of GPUs alone say nothing of the network, unless they cover a day.
    let xids = |end: u32| {
        format!("[10.3] NVRM: Xid (PCI:0003:00:00): 74\n[{end}.5] NVRM: Xid (PCI:0003:00:00): 74\n")
    };
    assert_eq!(only_status(&of(&xids(11)), check), Unknown);
    assert_eq!(only_status(&of(&xids(90_000)), check), Pass);
    assert_eq!(
        only_status(&of(&format!("{}[12.0] mlx5_core 0000:0c:00.0 rdma0: Link up\n", xids(11))), check),
        Pass
    );
}

#[test]
fn holders_of_resources_are_listed() {
    let link = "link mlx5_0/1 state ACTIVE physical_state LINK_UP netdev eth0\n";
    let rows = "$ rdma resource show qp\nlink mlx5_0/1 lqpn 1 type GSI state RTS sq-psn 0 comm [ib_core]\n\
                link mlx5_0/1 lqpn 70 rqpn 9 type RC state RTS rq-psn 1 sq-psn 2 path-mig-state MIGRATED pid 42 comm python\n";
    let folder = Folder::of("holders", &[("link.txt", link), ("qp.txt", rows)]);
    let report = audit(&folder.read(), None, "");
    assert_eq!(
        finding(&report, "rdma-consumers", "node").text,
        "RDMA resources are held by python (1 process)"
    );
    let report = audit(&folder.read(), None, "rdma-processes = [\"nccl\"]");
    assert_eq!(status(&report, "rdma-consumers", "node"), Warn);
    let json = r#"[{"ifindex":0,"ifname":"mlx5_0","port":1,"lqpn":70,"type":"RC","state":"RTS","pid":42,"comm":"python"}]"#;
    let folder = Folder::of("holders-json", &[("link.txt", link), ("qp.json", json)]);
    assert_eq!(status(&audit(&folder.read(), None, ""), "rdma-consumers", "node"), Pass);
    assert_eq!(only_status(&of_text(link), "rdma-consumers"), Unknown);
}

#[test]
fn small_packets_warn() {
    let one = Machine::bare(1).roce("mlx5_0", "eth0");
    assert_eq!(status(&one.report(), "mtu-active", "mlx5_0 port 1"), Pass);
    let small = one.with("sys/class/net/eth0/mtu", "1500");
    let report = small.report();
    let found = finding(&report, "mtu-active", "mlx5_0 port 1");
    let text = "the MTU 1500 of eth0 leaves RDMA 1024 bytes, where 4096 are possible";
    assert_eq!((found.status, found.text.as_str()), (Warn, text));
    let just = one.with("sys/class/net/eth0/mtu", "4192");
    assert_eq!(status(&just.report(), "mtu-active", "mlx5_0 port 1"), Pass);
    let less = one.with("sys/class/net/eth0/mtu", "4191");
    assert_eq!(status(&less.report(), "mtu-active", "mlx5_0 port 1"), Warn);
    let told = one.with("devinfo.txt", "hca_id: mlx5_0\n\tport: 1\n\t\tactive_mtu: 1024 (3)");
    assert_eq!(status(&told.report(), "mtu-active", "mlx5_0 port 1"), Fail);
    let open = one.without("sys/class/net/eth0/mtu");
    assert_eq!(status(&open.report(), "mtu-active", "mlx5_0 port 1"), Unknown);
    assert_eq!(only_status(&pair().report(), "mtu-active"), Unknown);
    let open = small.port_file("mlx5_0", "state", "");
    assert_eq!(status(&open.report(), "mtu-active", "mlx5_0 port 1"), Warn, "its state is not known");
}

#[test]
fn interfaces_of_one_network_agree() {
    let two = Machine::bare(1).roce("mlx5_0", "eth0").roce("mlx5_1", "eth1");
    assert_eq!(status(&two.report(), "mtu-aligned", "node"), Pass);
    let report = two.with("sys/class/net/eth1/mtu", "4200").report();
    let found = finding(&report, "mtu-aligned", "node");
    assert_eq!((found.status, found.text.as_str()), (Fail, "the MTU is 4200 on eth1; 9000 on eth0"));
    let report = two.report_expecting("mtu = 4200");
    assert_eq!(status(&report, "mtu-aligned", "node"), Fail);
    let open = two.without("sys/class/net/eth1/mtu");
    assert_eq!(status(&open.report(), "mtu-aligned", "node"), Unknown);
    // A VLAN, as files and as a saved output.
    let vlan = two
        .with("sys/class/net/eth0/ifindex", "2")
        .with("sys/class/net/eth0.7/ifindex", "5")
        .with("sys/class/net/eth0.7/iflink", "2")
        .with("sys/class/net/eth0.7/uevent", "DEVTYPE=vlan")
        .with("sys/class/net/eth0.7/mtu", "1500");
    assert_eq!(status(&vlan.report(), "mtu-aligned", "node"), Fail);
    let saved = two.with("ip-link.txt", "7: eth0.7@eth0: <BROADCAST,UP> mtu 1500 qdisc noqueue state UP");
    assert_eq!(status(&saved.report(), "mtu-aligned", "node"), Fail);
}

#[test]
fn overlays_fit_into_what_is_below() {
    let one = Machine::bare(1).roce("mlx5_0", "eth0").with("sys/class/net/eth0/ifindex", "2");
    let overlay = |mtu: &str| {
        one.with("sys/class/net/flannel.1/ifindex", "7")
            .with("sys/class/net/flannel.1/iflink", "2")
            .with("sys/class/net/flannel.1/uevent", "DEVTYPE=vxlan")
            .with("sys/class/net/flannel.1/mtu", mtu)
    };
    assert_eq!(status(&overlay("8950").report(), "mtu-overlay", "flannel.1"), Pass);
    assert_eq!(status(&overlay("8951").report(), "mtu-overlay", "flannel.1"), Fail);
    let open = overlay("8950").without("sys/class/net/flannel.1/iflink");
    assert_eq!(status(&open.report(), "mtu-overlay", "flannel.1"), Unknown);
    let by_packet = one
        .with("sys/class/net/genev_sys_6081/mtu", "65000")
        .with("sys/class/net/genev_sys_6081/uevent", "DEVTYPE=geneve");
    assert_eq!(status(&by_packet.report(), "mtu-overlay", "genev_sys_6081"), NotApplicable);
    assert_eq!(only_status(&one.report(), "mtu-overlay"), NotApplicable);
}

#[test]
fn presets_do_not_fail() {
    for preset in nvtopo::source::PRESETS {
        let contents = Contents::open(&[Locator::Preset(preset.name.to_owned())]).unwrap();
        let report = audit(&contents, None, "");
        let themes = ["rdma", "mtu", "roce"];
        let own = report.findings().iter().filter(|own| themes.contains(&own.check.theme.word()));
        let bad: Vec<_> = own.filter(|own| own.status >= Warn).collect();
        assert!(bad.is_empty(), "{}: {bad:#?}", preset.name);
    }
}
