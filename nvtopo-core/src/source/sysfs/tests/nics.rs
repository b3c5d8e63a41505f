//! Network adapters: ports, interfaces, bonds, and virtual functions in containers.

use super::*;
use crate::model::{LinkLayer, Nic, PortState};

const PATH: &str = "pci0000:80/0000:80:01.0";

impl Made {
    /// Adds an RDMA device of a function.
    fn rdma(self, path: &str, name: &str) -> Self {
        self.link(&format!("sys/class/infiniband/{name}"), &format!("../../devices/{path}/infiniband/{name}"))
    }

    /// Adds one more interface of a function.
    fn nic_name(self, path: &str, interface: &str) -> Self {
        self.link(&format!("sys/class/net/{interface}"), &format!("../../devices/{path}/net/{interface}"))
    }

    /// Adds a port of it.
    fn port(self, path: &str, name: &str, number: u32, facts: [&str; 3]) -> Self {
        let folder = format!("sys/devices/{path}/infiniband/{name}/ports/{number}");
        let [state, layer, rate] = facts;
        self.file(&format!("{folder}/state"), state)
            .file(&format!("{folder}/link_layer"), layer)
            .file(&format!("{folder}/rate"), rate)
    }

    /// Adds a file of an interface of the function.
    fn of_interface(self, path: &str, interface: &str, name: &str, content: &str) -> Self {
        self.file(&format!("sys/devices/{path}/net/{interface}/{name}"), content)
    }
}

fn only(made: &Made) -> Nic {
    let topology = made.topology();
    let nics: Vec<&Nic> = topology.nics().collect();
    assert_eq!(nics.len(), 1, "{nics:?}");
    nics[0].clone()
}

#[test]
fn an_rdma_device_tells_of_its_port() {
    let made = Made::new()
        .nic(PATH, "ib0")
        .rdma(PATH, "mlx5_0")
        .port(PATH, "mlx5_0", 1, ["4: ACTIVE\n", "InfiniBand\n", "400 Gb/sec (4X NDR)\n"])
        .file(&format!("sys/devices/{PATH}/infiniband/mlx5_0/hca_type"), "MT4129\n")
        .file(&format!("sys/devices/{PATH}/infiniband/mlx5_0/board_id"), "MT_0000000838\n")
        .file(&format!("sys/devices/{PATH}/infiniband/mlx5_0/fw_ver"), "28.41.1000\n")
        .of_interface(PATH, "ib0", "mtu", "4092\n")
        .of_interface(PATH, "ib0", "operstate", "down\n");
    let nic = only(&made);
    assert_eq!((nic.model.as_deref(), nic.firmware.as_deref()), (Some("MT4129"), Some("28.41.1000")));
    assert_eq!((nic.state, nic.link_layer), (Some(PortState::Active), Some(LinkLayer::InfiniBand)));
    assert_eq!((nic.rate, nic.mtu, nic.bond), (Some(Bandwidth::from_gb_per_s(50.0)), Some(4092), None));
    assert_eq!((nic.pci.vendor, nic.port), (Some(0x15b3), Some(1)));

    for (text, expected) in [
        ("1: DOWN", Some(PortState::Down)),
        ("2: INIT", Some(PortState::Initialize)),
        ("3: ARMED", Some(PortState::Armed)),
        // The interface knows more.
        ("5: ACTIVE_DEFER", Some(PortState::Down)),
        ("", Some(PortState::Down)),
    ] {
        let folder = format!("sys/devices/{PATH}/infiniband/mlx5_0/ports/1");
        std::fs::write(made.0.join(folder).join("state"), text).unwrap();
        assert_eq!(only(&made).state, expected, "{text}");
    }
    let made = made.file(&format!("sys/devices/{PATH}/infiniband/mlx5_0/hca_type"), "\n");
    assert_eq!(only(&made).model.as_deref(), Some("MT_0000000838"));
}

#[test]
fn of_several_ports_the_active_one_counts_and_a_note_says_so() {
    let two = |first: &str, second: &str| {
        Made::new()
            .nic(PATH, "eth0")
            .nic_name(PATH, "ib1")
            .rdma(PATH, "mlx4_0")
            .port(PATH, "mlx4_0", 1, [first, "Ethernet", "10 Gb/sec (4X SDR)"])
            .port(PATH, "mlx4_0", 2, [second, "InfiniBand", "56 Gb/sec (4X FDR)"])
            .of_interface(PATH, "eth0", "dev_port", "0")
            .of_interface(PATH, "eth0", "mtu", "1500")
            .of_interface(PATH, "ib1", "dev_id", "0x1")
            .of_interface(PATH, "ib1", "mtu", "65520")
    };
    let made = two("1: DOWN", "4: ACTIVE");
    let nic = only(&made);
    assert_eq!((nic.state, nic.link_layer), (Some(PortState::Active), Some(LinkLayer::InfiniBand)));
    assert_eq!((nic.rate, nic.mtu), (Some(Bandwidth::from_gb_per_s(7.0)), Some(65520)));
    assert_eq!(nic.net_devices, ["eth0", "ib1"]);
    assert_eq!(nic.port, Some(2));
    assert!(has_note(
        &made.topology(),
        NoteKind::Inferred,
        "mlx4_0 has 2 ports; what is said of it is of port 2"
    ));

    let made = two("4: ACTIVE", "4: ACTIVE");
    assert_eq!((only(&made).link_layer, only(&made).mtu), (Some(LinkLayer::Ethernet), Some(1500)));
    let made = two("1: DOWN", "2: INIT");
    assert_eq!((only(&made).state, only(&made).rate), (Some(PortState::Down), None));
    assert!(has_note(&made.topology(), NoteKind::Inferred, "as none is active"));
}

#[test]
fn an_interface_tells_for_itself() {
    let made = Made::new()
        .nic(PATH, "ens1")
        .link(&format!("sys/devices/{PATH}/driver"), "../../../bus/pci/drivers/ice")
        .of_interface(PATH, "ens1", "operstate", "up\n")
        .of_interface(PATH, "ens1", "type", "1\n")
        .of_interface(PATH, "ens1", "mtu", "9000\n")
        .of_interface(PATH, "ens1", "speed", "25000\n");
    let nic = only(&made);
    assert_eq!((nic.model.as_deref(), nic.firmware), (Some("ice"), None));
    assert_eq!((nic.state, nic.link_layer), (Some(PortState::Active), Some(LinkLayer::Ethernet)));
    assert_eq!((nic.rate, nic.mtu), (Some(Bandwidth::from_mb_per_s(3125)), Some(9000)));
    for (state, carrier, expected) in [
        ("lowerlayerdown", "1", Some(PortState::Down)),
        ("unknown", "1", Some(PortState::Active)),
        ("unknown", "0", Some(PortState::Down)),
        ("unknown", "", None),
        ("dormant", "1", None),
    ] {
        std::fs::write(made.0.join(format!("sys/devices/{PATH}/net/ens1/operstate")), state).unwrap();
        std::fs::write(made.0.join(format!("sys/devices/{PATH}/net/ens1/carrier")), carrier).unwrap();
        assert_eq!(only(&made).state, expected, "{state} {carrier}");
    }
    let made = made.of_interface(PATH, "ens1", "mtu", "-5").of_interface(PATH, "ens1", "type", "32");
    assert_eq!((only(&made).mtu, only(&made).link_layer), (None, Some(LinkLayer::InfiniBand)));
}

#[test]
fn a_bond_is_named_and_a_bridge_is_not() {
    let made = Made::new().nic(PATH, "ens1").link(&format!("sys/devices/{PATH}/net/ens1/master"), "../br0");
    assert_eq!(only(&made).bond, None);
    std::fs::create_dir_all(made.0.join("sys/class/net/br0/bonding")).unwrap();
    assert_eq!(only(&made).bond.as_deref(), Some("br0"));
    let made = Made::new()
        .nic(PATH, "ens1")
        .file("sys/class/net/bonding_masters", "bond0 ../../x bond1\n")
        .file("sys/class/net/bond1/bonding/slaves", "ens0 ens1\n");
    assert_eq!(only(&made).bond.as_deref(), Some("bond1"));
}

#[test]
fn rdma_over_a_bond_has_both_interfaces() {
    let made = Made::new()
        .nic(PATH, "ens1f0np0")
        .nic_name(PATH, "ens1f1np1")
        .rdma(PATH, "mlx5_bond_0")
        .port(PATH, "mlx5_bond_0", 1, ["4: ACTIVE", "Ethernet", "200 Gb/sec (2X NDR)"])
        .of_interface(PATH, "ens1f0np0", "mtu", "1500")
        .of_interface(PATH, "ens1f1np1", "mtu", "9000")
        .link(&format!("sys/devices/{PATH}/net/ens1f1np1/master"), "../../../../virtual/net/bond0")
        .file("sys/devices/virtual/net/bond0/bonding/slaves", "ens1f1np1")
        .link("sys/class/net/bond0", "../../devices/virtual/net/bond0");
    let nic = only(&made);
    assert_eq!(nic.name, "mlx5_bond_0");
    assert_eq!(nic.net_devices, ["ens1f0np0", "ens1f1np1"]);
    assert_eq!((nic.bond.as_deref(), nic.mtu), (Some("bond0"), Some(9000)));
    assert_eq!(nic.rate, Some(Bandwidth::from_gb_per_s(25.0)));
    // Without a bond the one that is up stands for both.
    let made = Made::new()
        .nic(PATH, "a")
        .nic_name(PATH, "b")
        .of_interface(PATH, "b", "operstate", "up")
        .of_interface(PATH, "b", "mtu", "9000");
    assert_eq!((&*only(&made).name, only(&made).mtu), ("a", Some(9000)));
}

#[test]
fn in_a_container_a_virtual_function_is_the_nic() {
    let (port, physical) = ("pci0000:80/0000:80:01.0", "pci0000:80/0000:80:01.0/0000:81:00.0");
    let function = |number| format!("{port}/0000:81:00.{number}");
    let made = || {
        Made::new()
            .bridge(port)
            .pci(physical, "0x15b3", "0x020700", "1")
            .speed(physical, "current", "32.0 GT/s PCIe", "16")
            .nic(&function(1), "eth0")
            .rdma(&function(1), "mlx5_2")
            .speed(&function(1), "current", "Unknown", "0")
            .pci(&function(2), "0x15b3", "0x020700", "1")
            .link(&format!("sys/devices/{}/physfn", function(1)), "../0000:81:00.0")
            .link(&format!("sys/devices/{}/physfn", function(2)), "../0000:81:00.0")
    };
    let nic = only(&made());
    assert_eq!((&*nic.name, nic.address.unwrap().function), ("mlx5_2", 1));
    assert_eq!(nic.pci.link.unwrap().now.generation, Some(5), "the link is the card's");
    // The card itself is the NIC if it is visible.
    let host = made().rdma(physical, "mlx5_0").nic_name(physical, "ens1");
    assert_eq!(only(&host).name, "mlx5_0");
    // Its RDMA device is shown to every container, and may be of use or not.
    let topology = made().rdma(physical, "mlx5_0").topology();
    let names: Vec<(&str, &[String])> = topology.nics().map(|nic| (&*nic.name, &*nic.net_devices)).collect();
    assert_eq!(names, [("mlx5_0", &[][..]), ("mlx5_2", &["eth0".to_owned()][..])]);
    assert_eq!(path(&topology, 0, 1), Some(PathType::Pix));
    // So are those of functions that other containers have, and these are not ours.
    let topology = made().rdma(physical, "mlx5_0").rdma(&function(2), "mlx5_3").topology();
    assert_eq!(topology.nics().count(), 2);
}

/// Returns a ConnectX-7 function with vital product data.
fn adapter(made: Made, path: &str, rdma: &str, data: &str) -> Made {
    made.pci(path, "0x15b3", "0x020700", "1")
        .file(&format!("sys/devices/{path}/device"), "0x1021\n")
        .file(&format!("sys/devices/{path}/vpd"), data)
        .rdma(path, rdma)
}

#[test]
fn functions_that_manage_nvswitches_are_no_nics() {
    let made = || {
        let made =
            adapter(Made::new(), "pci0000:80/0000:80:01.0", "mlx5_0", "\u{2}X SN=1 SMDL=SW_MNG:PCI=V0");
        let made = adapter(made, "pci0000:80/0000:80:02.0", "mlx5_1", "SMDL=SW_MNG");
        adapter(made, "pci0000:80/0000:80:03.0", "mlx5_2", "MODL=CX71343DAC")
    };
    let names = |topology: &Topology| topology.nics().map(|nic| nic.name.clone()).collect::<Vec<_>>();
    let topology = made().gpu("pci0000:00/0000:00:04.0", "0").topology();
    assert_eq!(names(&topology), ["mlx5_2"]);
    assert!(has_note(&topology, NoteKind::Unknown, "2 of the ConnectX-7 functions manage NVSwitches"));
    // Without GPUs, or where NVSwitches are visible, nothing is read.
    assert_eq!(made().topology().nics().count(), 3);
    let seen =
        made().gpu("pci0000:00/0000:00:04.0", "0").pci("pci0000:00/0000:00:05.0", "0x10de", "0x068000", "0");
    assert_eq!(seen.topology().nics().count(), 3);
    // A file that cannot be read is no damage.
    let hidden = made().gpu("pci0000:00/0000:00:04.0", "0");
    for number in 1..4 {
        let file = hidden.0.join(format!("sys/devices/pci0000:80/0000:80:0{number}.0/vpd"));
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
    }
    assert_eq!(hidden.topology().nics().count(), 3);
    assert!(!has_note(&hidden.topology(), NoteKind::Damage, "vpd"));
}

/// Returns vital product data with the UUID of an adapter, as it is recorded.
fn owned(uuid: &str) -> String {
    format!("V3={uuid}")
}

#[test]
fn an_adapter_is_as_far_as_its_dma_function() {
    let (one, other) = ("81ac0d9e1b3bec118000b8cef6f50d2c", "91ac0d9e1b3bec118000b8cef6f50d2c");
    let board = |second: &str| {
        let mut made = Made::new().gpu("pci0000:00/0000:00:00.0/0000:01:00.0/0000:02:00.0/0000:03:00.0", "0");
        made = made.bridge("pci0000:00/0000:00:00.0").bridge("pci0000:00/0000:00:00.0/0000:01:00.0");
        made = made.bridge("pci0000:00/0000:00:00.0/0000:01:00.0/0000:02:00.0");
        let dma = "pci0000:00/0000:00:00.0/0000:01:00.0/0000:02:01.0/0000:04:00.0";
        made = made.bridge("pci0000:00/0000:00:00.0/0000:01:00.0/0000:02:01.0");
        made =
            made.pci(dma, "0x15b3", "0x080100", "0").file(&format!("sys/devices/{dma}/device"), "0x2100\n");
        made = made.file(&format!("sys/devices/{dma}/vpd"), &owned(one));
        for (place, name, uuid) in
            [("pci0002:00/0002:00:01.0", "mlx5_0", one), ("pci0002:00/0002:00:02.0", "mlx5_1", second)]
        {
            made = adapter(made, place, name, &if uuid.is_empty() { String::new() } else { owned(uuid) });
            made = made.file(&format!("sys/devices/{place}/device"), "0x1023\n");
        }
        made
    };
    let topology = board(other).topology();
    assert_eq!(path(&topology, 0, 1), Some(PathType::Pix));
    assert_ne!(path(&topology, 0, 2), Some(PathType::Pix));
    assert_eq!(topology.nics().map(|nic| &*nic.name).collect::<Vec<_>>(), ["mlx5_0", "mlx5_1"]);
    assert_eq!(topology.nics().next().unwrap().address.unwrap().to_string(), "0002:00:01.0");
    assert!(has_note(&topology, NoteKind::Inferred, "were placed where these are: 0002:00:01.0"));
    assert!(!has_note(&topology, NoteKind::Unknown, "DMA functions"));
    // Both functions of one adapter go by it.
    let topology = board(one).topology();
    assert_eq!([path(&topology, 0, 1), path(&topology, 0, 2)], [Some(PathType::Pix); 2]);
    // A file that only the superuser can read leaves the distance open.
    let topology = board("").topology();
    assert_ne!(path(&topology, 0, 2), Some(PathType::Pix));
    assert!(has_note(&topology, NoteKind::Unknown, "which is whose is told to the superuser only"));
    assert!(has_note(&topology, NoteKind::Unknown, "nearer to GPUs than said here: 0002:00:02.0"));
}

#[test]
fn rdma_devices_are_named_and_rated() {
    let made = Made::new()
        .nic("pci0000:80/0000:80:01.0", "ib0")
        .link("sys/class/infiniband/mlx5_0", "../../devices/pci0000:80/0000:80:01.0/infiniband/mlx5_0")
        .file("sys/devices/pci0000:80/0000:80:01.0/infiniband/mlx5_0/ports/1/rate", "400 Gb/sec (4X NDR)\n")
        .pci("pci0000:80/0000:80:02.0", "0x1077", "0x0c0600", "1")
        .link("sys/class/infiniband/qib0", "../../devices/pci0000:80/0000:80:02.0/infiniband/qib0")
        .file("sys/devices/pci0000:80/0000:80:02.0/infiniband/qib0/ports/1/rate", "10 Gb/sec (4X SDR)\n")
        .file("sys/devices/pci0000:80/0000:80:02.0/infiniband/qib0/ports/1/state", "1: DOWN\n")
        .pci("pci0000:80/0000:80:03.0", "0x8086", "0x020000", "1")
        .pci("pci0000:80/0000:80:04.0", "0x15b3", "0x0c0600", "1")
        .link("sys/class/infiniband/mana_0", "../../devices/LNXSYSTM:00/VMBUS:00/x-y/infiniband/mana_0")
        .link("sys/class/infiniband/rxe0", "../../devices/virtual/infiniband/rxe0");
    let topology = made.topology();
    let nics: Vec<_> = topology
        .nics()
        .map(|nic| (&*nic.name, nic.net_devices.len(), nic.rate.map(Bandwidth::as_gb_per_s)))
        .collect();
    let expected = [
        ("mlx5_0", 1, Some(50.0)),
        ("qib0", 0, None),
        ("0000:80:03.0", 0, None),
        ("0000:80:04.0", 0, None),
        ("mana_0", 0, None),
    ];
    assert_eq!(nics, expected);
}

#[test]
fn a_speed_that_the_kernel_does_not_know_is_unknown() {
    let rate =
        |speed: &str| only(&Made::new().nic(PATH, "ens1").of_interface(PATH, "ens1", "speed", speed)).rate;
    for speed in ["-1\n", "0\n", "4294967295\n", "65535000\n", "\n", "fast\n"] {
        assert_eq!(rate(speed), None, "{speed}");
    }
    assert_eq!(rate("800000\n"), Some(Bandwidth::from_gb_per_s(100.0)));
    assert_eq!(rate("1000\n"), Some(Bandwidth::from_mb_per_s(125)));
}
