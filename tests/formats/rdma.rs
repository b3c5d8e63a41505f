//! The outputs of tools that list RDMA devices and network interfaces.

use nvtopo::model::{LinkLayer, Nic, NoteCode, PortState, TopologyBuilder};
use nvtopo::{Bandwidth, NodeSet, Topology};

fn recorded(name: &str) -> Topology {
    let bytes = std::fs::read(super::data("rdma").join(name)).unwrap();
    Topology::parse(name, &bytes).unwrap_or_else(|error| panic!("{error}"))
}

fn read(text: &str) -> Topology {
    Topology::parse("rdma", text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

fn merged(texts: &[&str]) -> Topology {
    let mut builder = TopologyBuilder::new();
    for text in texts {
        builder = builder.with(nvtopo::source::parse("tool", text.as_bytes()).unwrap());
    }
    builder.build().unwrap()
}

fn nic<'a>(topology: &'a Topology, name: &str) -> &'a Nic {
    topology.nics().find(|nic| nic.name == name).unwrap_or_else(|| panic!("{name}"))
}

fn names(topology: &Topology) -> Vec<&str> {
    topology.nics().map(|nic| nic.name.as_str()).collect()
}

const UP: Option<PortState> = Some(PortState::Active);
const DOWN: Option<PortState> = Some(PortState::Down);

/// Checks name, port, interfaces, and state of each NIC.
fn are(topology: &Topology, expected: &[(&str, &[&str], Option<PortState>)]) {
    let told: Vec<_> = topology
        .nics()
        .map(|nic| {
            assert_eq!((nic.rdma_device.as_ref(), nic.port), (Some(&nic.name), Some(1)));
            let interfaces: Vec<&str> = nic.net_devices.iter().map(String::as_str).collect();
            (nic.name.as_str(), interfaces, nic.state)
        })
        .collect();
    let expected: Vec<_> = expected.iter().map(|(name, own, state)| (*name, own.to_vec(), *state)).collect();
    assert_eq!(told, expected);
}

#[test]
fn ibdev2netdev_tells_the_interface_of_each_device() {
    let topology = recorded("ibdev2netdev-bond-mixed.txt");
    let rows: [(&str, &[&str], _); 4] = [
        ("mlx5_4", &["eth4"], DOWN),
        ("mlx5_5", &["eth5"], DOWN),
        ("mlx5_bond_0", &[], UP),
        ("mlx5_bond_1", &[], UP),
    ];
    are(&topology, &rows);
    let bonds: Vec<_> = topology.nics().map(|nic| nic.bond.as_deref()).collect();
    assert_eq!(bonds, [None, None, Some("bond0"), Some("bond1")]);

    let rows: [(&str, &[&str], _); 4] = [
        ("mlx5_0", &["ens3np0"], DOWN),
        ("mlx5_1", &["enp77s0np0"], DOWN),
        ("mlx5_2", &["ens9f0np0"], UP),
        ("mlx5_3", &["ens9f1np1"], UP),
    ];
    are(&recorded("ibdev2netdev-connectx-mixed-state.txt"), &rows);

    let rows: [(&str, &[&str], _); 4] = [
        ("mlx5_0", &["eth01"], UP),
        ("mlx5_1", &["eth02"], DOWN),
        ("mlx5_2", &["eth03"], DOWN),
        ("mlx5_3", &["eth04"], DOWN),
    ];
    are(&recorded("ibdev2netdev-renamed-eth.txt"), &rows);

    let rows: [(&str, &[&str], _); 2] =
        [("mlx5_0", &["enp94s0f0np0"], DOWN), ("mlx5_1", &["enp94s0f1np1"], UP)];
    let topology = recorded("ibdev2netdev-two-port-dash-line.txt");
    are(&topology, &rows);
    assert!(topology.notes().is_empty(), "{:?}", topology.notes());
}

#[test]
fn its_long_form_tells_places_types_and_firmware() {
    let topology = recorded("ibdev2netdev-v-connectx6-vpi.txt");
    let rows: [(&str, &[&str], _); 3] =
        [("mlx5_0", &["p5p1"], UP), ("mlx5_1", &["p4p1"], UP), ("mlx5_2", &["p2p1"], UP)];
    are(&topology, &rows);
    let places: Vec<String> = topology.nics().map(|nic| nic.address.unwrap().to_string()).collect();
    assert_eq!(places, ["0000:01:00.0", "0000:41:00.0", "0000:8f:00.0"]);
    for nic in topology.nics() {
        assert_eq!((nic.model.as_deref(), nic.firmware.as_deref()), (Some("MT4123"), Some("20.28.1002")));
    }
    let topology = recorded("ibdev2netdev-v-vf-down.txt");
    let rows: [(&str, &[&str], _); 4] = [
        ("mlx5_0", &["ib0"], UP),
        ("mlx5_1", &["ib1"], UP),
        ("mlx5_2", &["ib2"], DOWN),
        ("mlx5_3", &["ib3"], DOWN),
    ];
    are(&topology, &rows);
    assert_eq!(nic(&topology, "mlx5_3").model.as_deref(), Some("MT4116"));
    assert_eq!(nic(&topology, "mlx5_3").firmware.as_deref(), Some("12.23.1020"));
    // Without the state of the port, an interface of IP over InfiniBand that is down tells nothing.
    assert_eq!(nic(&read("mlx5_0 port 1 ==> ib0 (Down)\n"), "mlx5_0").state, None);
}

#[test]
fn rdma_link_tells_states() {
    let rows: [(&str, &[&str], _); 4] = [
        ("mlx5_0", &["eno33"], UP),
        ("mlx5_1", &["eno34"], DOWN),
        ("mlx5_2", &["enp65s0f0"], UP),
        ("mlx5_3", &["enp65s0f1"], DOWN),
    ];
    let topology = recorded("rdma-link-cloudlab-xl170-blank-lines.txt");
    are(&topology, &rows);
    assert!(topology.nics().all(|nic| nic.link_layer == Some(LinkLayer::Ethernet)));

    let topology = recorded("rdma-link-high-index-no-netdev.txt");
    let rows: [(&str, &[&str], _); 6] = [
        ("mlx5_0", &[], UP),
        ("mlx5_2", &[], UP),
        ("mlx5_49", &[], UP),
        ("mlx5_39", &["eno0"], UP),
        ("mlx5_113", &[], UP),
        ("mlx5_103", &[], UP),
    ];
    are(&topology, &rows);
    assert_eq!(nic(&topology, "mlx5_0").link_layer, None);

    let topology = recorded("rdma-dev-and-link-old-version-quoted-mail.txt");
    are(&topology, &[("ibp0s9", &[], UP)]);
    let own = nic(&topology, "ibp0s9");
    assert_eq!((own.firmware.as_deref(), own.link_layer), (Some("4.4.9999"), Some(LinkLayer::InfiniBand)));
    assert!(topology.notes()[0].text.contains("2 ports"), "{:?}", topology.notes());

    let rows: [(&str, &[&str], _); 2] = [("mlx5_0", &["ens1f0np0"], UP), ("mlx5_1", &["ens1f1np1"], DOWN)];
    are(&recorded("rdma-link.json"), &rows);
}

#[test]
fn ibstat_ibstatus_and_ibv_devinfo_tell_ports() {
    let topology = recorded("ibstat-mt4125-ib100.txt");
    are(&topology, &[("mlx5_0", &[], UP)]);
    let own = nic(&topology, "mlx5_0");
    assert_eq!((own.model.as_deref(), own.firmware.as_deref()), (Some("MT4125"), Some("22.32.2306")));
    assert_eq!(
        (own.link_layer, own.rate),
        (Some(LinkLayer::InfiniBand), Some(Bandwidth::from_gb_per_s(12.5)))
    );

    let topology = recorded("ibstatus-one-port-down.txt");
    are(&topology, &[("mlx5_0", &[], DOWN), ("mlx5_1", &[], UP)]);
    assert_eq!(nic(&topology, "mlx5_0").rate, None);
    assert_eq!(nic(&topology, "mlx5_1").rate, Some(Bandwidth::from_gb_per_s(12.5)));
    assert!(topology.nics().all(|nic| nic.link_layer == Some(LinkLayer::Ethernet)));

    let topology = recorded("ibv-devinfo-connectx6-ethernet.txt");
    are(&topology, &[("mlx5_0", &[], UP)]);
    let own = nic(&topology, "mlx5_0");
    assert_eq!((own.model.as_deref(), own.firmware.as_deref()), (Some("MT4123"), Some("20.39.2048")));
    let verbose = "hca_id: mlx5_0\n port: 1\n  state: PORT_ACTIVE (4)\n  active_width: 4X (2)\n  active_speed: 50.0 Gbps (64)\n";
    assert_eq!(nic(&read(verbose), "mlx5_0").rate, Some(Bandwidth::from_gb_per_s(25.0)));
}

#[test]
fn show_gids_tells_interfaces() {
    let topology = recorded("show-gids-connectx6-roce.txt");
    are(&topology, &[("mlx5_0", &["ens1f0"], None)]);
    assert_eq!(nic(&topology, "mlx5_0").link_layer, Some(LinkLayer::Ethernet));
    assert!(topology.notes().is_empty(), "{:?}", topology.notes());

    let topology = recorded("show-gids-empty-container.txt");
    assert!(topology.nics().len() == 0 && topology.notes()[0].text.contains("no RDMA device"));

    let topology = recorded("show-gids-rocep-names-cut.txt");
    let rows: [(&str, &[&str], _); 3] = [
        ("rocep105s0", &["enp105s0"], None),
        ("rocep121s0", &["enp121s0"], None),
        ("rocep193s0f0", &["enp193s0f0np0"], None),
    ];
    are(&topology, &rows);
    let cut = "mlx5_0 1 0 fe80:0000:0000:0000:0e42:a1ff:fe5d:4db8  v1 ens1f0\nn_gids_found=6\n";
    assert_eq!(read(cut).notes()[0].code(), NoteCode::TextCut);
}

#[test]
fn ethtool_tells_driver_firmware_speed_and_link() {
    let text = "$ ethtool -i eth2\ndriver: mlx4_en\nversion: 4.0-2.0.0 (28 Mar 2017)\nfirmware-version: 2.40.7000 (MT_1)\n\
                bus-info: 0000:07:00.0\nsupports-statistics: yes\n\nSettings for eth2:\n\tSpeed: 40000Mb/s\n\tPort: FIBRE\n\
                \tLink detected: yes\nSettings for bond0:\n\tSpeed: 80000Mb/s\n\tLink detected: yes\n";
    let topology = read(text);
    assert_eq!(names(&topology), ["eth2"]);
    let own = nic(&topology, "eth2");
    assert_eq!((own.model.as_deref(), own.firmware.as_deref()), (Some("mlx4_en"), Some("2.40.7000")));
    assert_eq!(own.address.unwrap().to_string(), "0000:07:00.0");
    assert_eq!(
        (own.state, own.rate, own.link_layer),
        (UP, Some(Bandwidth::from_gb_per_s(5.0)), Some(LinkLayer::Ethernet))
    );
    let down = read("Settings for ens1:\n\tSpeed: Unknown!\n\tLink detected: no\n");
    assert_eq!((nic(&down, "ens1").state, nic(&down, "ens1").rate), (DOWN, None));
    let nameless = read("driver: ice\nfirmware-version: 4.40\nbus-info: 0000:17:00.1\n");
    assert_eq!(names(&nameless), ["0000:17:00.1"]);
    let error = Topology::parse("counters", b"NIC statistics:\n     rx_packets: 12\n").unwrap_err();
    assert!(error.to_string().contains("counters of ethtool -S"), "{error}");
}

#[test]
fn mst_tells_places_and_numa_nodes() {
    let topology = recorded("mst-status-v-power.txt");
    are(&topology, &[("mlx5_1", &["ib1"], None), ("mlx5_0", &["ib0"], None)]);
    let own = nic(&topology, "mlx5_0");
    assert_eq!(
        (own.address.unwrap().to_string().as_str(), own.model.as_deref()),
        ("0004:01:00.0", Some("MT4115"))
    );
    assert_eq!(own.nodes.known(), Some(&NodeSet::from_iter([1])));
    let text = "DEVICE_TYPE MST PCI RDMA NET NUMA\n\
                BlueField3(rev:1) /dev/mst/mt41692_pciconf0 03:00.0 mlx5_0 net-pf0hpf,net-p0 -1\n\
                BlueField2(rev:1) /dev/mst/mt41686_pciconf0 10:00.0  -1\n";
    let topology = read(text);
    assert_eq!(names(&topology), ["mlx5_0", "0000:10:00.0"]);
    assert_eq!(nic(&topology, "mlx5_0").net_devices, ["pf0hpf", "p0"]);
    assert!(topology.nics().all(|nic| nic.nodes.known().is_none()));
}

#[test]
fn what_several_tools_tell_of_an_adapter_comes_together() {
    let ethtool = "Settings for ens1f0:\n\tSpeed: 100000Mb/s\n\tLink detected: yes\n";
    let pairs = "mlx5_0 port 1 ==> ens1f0 (Up)\n";
    let place = "0000:1a:00.0 mlx5_0 (MT4125 - X) CX fw 22.32.1 port 1 (ACTIVE) ==> ens1f0 (Up)\n";
    let driver = "driver: mlx5_core\nfirmware-version: 22.32.1\nbus-info: 0000:1a:00.0\n";
    let matrix = "\tGPU0\tmlx5_0\tCPU Affinity\nGPU0\t X \tPIX\t0-3\nmlx5_0\tPIX\t X \n";
    let orders: [[&str; 5]; 3] = [
        [ethtool, pairs, place, driver, matrix],
        [matrix, driver, ethtool, place, pairs],
        [driver, ethtool, pairs, place, matrix],
    ];
    for texts in orders {
        let topology = merged(&texts);
        assert_eq!(names(&topology), ["mlx5_0"], "{texts:?}");
        let own = nic(&topology, "mlx5_0");
        assert_eq!((own.state, own.rate), (UP, Some(Bandwidth::from_gb_per_s(12.5))));
        assert_eq!(
            (own.firmware.as_deref(), own.net_devices.join(" ").as_str()),
            (Some("22.32.1"), "ens1f0")
        );
        assert_eq!(own.address.unwrap().to_string(), "0000:1a:00.0");
        assert_eq!(topology.pairs().pair(0, 1).path, Some(nvtopo::PathType::Pix));
        let conflicts = topology.notes().iter().filter(|note| note.code() == NoteCode::SourcesDisagree);
        assert_eq!(conflicts.count(), 0, "{:?}", topology.notes());
    }
    // One text of several tools needs no cutting.
    let topology = read(&[ethtool, pairs, driver, place].concat());
    assert_eq!(names(&topology), ["mlx5_0"]);
}

#[test]
fn wrong_text_is_refused_with_its_place() {
    for (text, line, column, words) in [
        ("> mlx5_0 port 1x ==> ib0 (Up)\n", 1, 15, "'1x'"),
        ("link mlx5_0/x state ACTIVE physical_state LINK_UP\n", 1, 13, "'x'"),
        ("CA 'mlx5_0'\n\tPort 0:\n", 2, 7, "'0'"),
        ("mlx5_0 999 0 fe80:0000:0000:0000:0e42:a1ff:fe5d:4db8 v1 e\n", 1, 8, "'999'"),
        ("[{\"ifname\":\"mlx5_0\",\"physical_state\":\n]", 2, 1, "no valid JSON"),
        ("[{\"ifname\":\"mlx5_0\",\"port\":0,\"physical_state\":\"x\"}]", 1, 1, "no number of a port"),
        ("DEVICE_TYPE MST PCI\n", 1, 1, "names no RDMA device"),
    ] {
        let error = Topology::parse("rdma", text.as_bytes()).unwrap_err();
        assert_eq!((error.line(), error.column()), (Some(line), Some(column)), "{text}: {error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let many: Vec<String> =
        (0..2049).map(|number| format!("mlx5_{number} port 1 ==> e{number} (Up)")).collect();
    let many = many.join("\n");
    let error = Topology::parse("rdma", many.as_bytes()).unwrap_err();
    assert_eq!(error.line(), Some(2049), "{error}");
}

#[test]
fn nothing_that_is_cut_or_changed_breaks_the_reader() {
    for path in super::files("rdma", "") {
        let bytes = std::fs::read(&path).unwrap();
        for end in (0..bytes.len()).step_by(17) {
            let _ = Topology::parse("cut", &bytes[..end]);
        }
        for at in (0..bytes.len()).step_by(17) {
            for byte in [b'9', b' ', b'\n', b'/', 0xff] {
                let mut changed = bytes.clone();
                changed[at] = byte;
                let _ = Topology::parse("changed", &changed);
            }
        }
    }
}

/// Two tools that contradict each other may be of two hosts, and the notes say so.
#[test]
fn tools_that_disagree_are_noted() {
    let ibstat = "CA 'mlx5_0'\n\tCA type: MT4129\n\tFirmware version: 28.42.1000\n\tPort 1:\n\t\tState: Active\n\t\tRate: 400\n\t\tLink layer: InfiniBand\n";
    let line = "0000:01:00.0 mlx5_0 (MT4123 - MCX653105A-HDAT) ConnectX-6 VPI fw 20.28.1002 port 1 (DOWN  ) ==> p5p1 (Down)\n";
    let more = "mlx5_1 port 1 ==> p6p1 (Up)\n";
    for text in [format!("{ibstat}\n{line}{more}"), format!("{line}{more}\n{ibstat}")] {
        let topology = read(&text);
        let notes = super::notes_of(&topology, NoteCode::SourcesDisagree);
        let [note] = notes[..] else { panic!("{notes:?}") };
        for word in ["mlx5_0", "ibstat", "ibdev2netdev", "firmware", "type", "state"] {
            assert!(note.contains(word), "{word}: {note}");
        }
        assert_eq!(
            super::notes_of(&topology, NoteCode::OneSourceOnly),
            ["ibdev2netdev lists mlx5_1, and ibstat does not"]
        );
    }
    // What agrees, and what only one tells, is no contradiction.
    let line = "mlx5_0 port 1 ==> ib0 (Down)\n";
    let topology = read(&format!("{ibstat}\n{line}"));
    assert_eq!(topology.notes(), []);
    let own = nic(&topology, "mlx5_0");
    assert_eq!((own.net_devices.as_slice(), own.state), (&["ib0".to_owned()][..], UP));
    // The prompts of two hosts are a proof.
    let text = format!("[root@n17 ~]# ibstat\n{ibstat}\n[root@n18 ~]# ibdev2netdev\n{line}");
    let error = Topology::parse("two", text.as_bytes()).unwrap_err();
    assert!(error.message().contains("n17 in line 1, n18 here") && error.line() == Some(10), "{error}");
    assert!(Topology::parse("one", text.replace("n18", "n17").as_bytes()).is_ok());
}

/// Lines of `ibdev2netdev` are found among other outputs without the name of the tool above them.
#[test]
fn lines_stand_among_other_outputs() {
    let list = "GPU 0: A (UUID: GPU-00000000-0000-4000-8000-000000000001)\n";
    let line = "0000:01:00.0 mlx5_0 (MT4123 - MCX653105A-HDAT) ConnectX-6 VPI fw 20.28.1002 port 1 (ACTIVE) ==> p5p1 (Up)\n";
    for text in [
        format!("{list}{line}"),
        format!("{line}{list}"),
        format!("{list}link mlx5_0/1 state ACTIVE physical_state LINK_UP\n"),
    ] {
        let topology = read(&text);
        assert_eq!((topology.gpus().len(), names(&topology)), (1, vec!["mlx5_0"]), "{text}");
    }
}

#[test]
fn a_remark_in_the_place_of_entries_is_noted() {
    let text = "mlx5_0 port 1 ==> fabric0 (Up)\n... (mlx5_1~mlx5_15 都是 fabricN (Up))\nmlx5_16 port 1 ==> ibp195s0f0 (Down)\n";
    let topology = read(text);
    assert_eq!(names(&topology), ["mlx5_0", "mlx5_16"]);
    let cut = topology.notes().iter().find(|note| note.code() == NoteCode::TextCut).unwrap();
    assert!(cut.text.contains("line 2"), "{cut}");
}

/// The matrix and the list of adapters are of two tools, the latter of which come together under one name.
#[test]
fn no_note_sets_a_tool_against_itself() {
    let text = "$ lspci -tv\n-[0000:00]-+-01.0-[01]----00.0  NVIDIA Corporation GH100 [H100 SXM5 80GB]\n           \\-02.0-[02]----00.0  Mellanox Technologies MT2910 Family [ConnectX-7]\n\n$ ibdev2netdev\nmlx5_0 port 1 ==> eth0 (Up)\n";
    let topology = read(text);
    let against = |text: &str| text.contains("only system-tool knows");
    assert!(!topology.notes().iter().any(|note| against(&note.text)));
}
