//! Facts of the PCI bus: numbers, links, IOMMU, virtual functions, ACS, and disks.

use super::*;
use crate::model::{Nvme, PciFacts, PcieSpeed, PcieTraining, VirtualFunctions};

impl Made {
    /// Adds a file of a device.
    fn of(self, path: &str, name: &str, content: &str) -> Self {
        self.file(&format!("sys/devices/{path}/{name}"), content)
    }

    /// Adds the configuration space of a port, as the superuser sees it: its type, and the control register of its
    /// ACS.
    fn config(self, path: &str, kind: u8, acs: Option<u8>) -> Self {
        let mut config = vec![0; 4096];
        (config[0x34], config[0x40], config[0x42]) = (0x40, 0x10, kind << 4 | 2);
        // Error reporting, then ACS.
        let next: u32 = if acs.is_some() { 0x148 << 20 } else { 0 };
        config[0x100..0x104].copy_from_slice(&(next | 0x1_0001).to_le_bytes());
        config[0x148..0x14c].copy_from_slice(&0x1_000d_u32.to_le_bytes());
        config[0x14e] = acs.unwrap_or_default();
        self.bytes(&format!("sys/devices/{path}/config"), &config)
    }

    fn bytes(self, path: &str, content: &[u8]) -> Self {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }
}

const ROOT: u8 = 4;
const UPSTREAM: u8 = 5;
const DOWNSTREAM: u8 = 6;

/// The bits that Linux sets for virtual machines: source validation and every redirection.
const ISOLATED: u8 = 0b1_1101;

fn gpu(topology: &Topology) -> &PciFacts {
    &topology.gpus().next().unwrap().pci
}

#[test]
fn devices_tell_who_made_them_and_how_their_links_run() {
    let (port, path) = ("pci0000:80/0000:80:01.0", "pci0000:80/0000:80:01.0/0000:81:00.0");
    let made = Made::new()
        .bridge(port)
        .speed(port, "max", "16 GT/s", "16")
        .gpu(path, "1")
        .of(path, "device", "0x2330\n")
        .of(path, "subsystem_vendor", "0x10de\n")
        .of(path, "subsystem_device", "0x16c1\n")
        .speed(path, "current", "2.5 GT/s PCIe", "8")
        .speed(path, "max", "32.0 GT/s PCIe", "16")
        .of(path, "sriov_totalvfs", "16\n")
        .of(path, "sriov_numvfs", "2\n")
        .link(&format!("sys/devices/{path}/iommu_group"), "../../../../kernel/iommu_groups/27")
        .file("sys/kernel/iommu_groups/27/type", "DMA-FQ\n");
    let speed = |generation, width| PcieSpeed { generation: Some(generation), width: Some(width) };
    let expected = PciFacts {
        class: None,
        vendor: Some(0x10de),
        device: Some(0x2330),
        subsystem_vendor: Some(0x10de),
        subsystem_device: Some(0x16c1),
        link: Some(PcieTraining { now: speed(1, 8), device: speed(5, 16), port: speed(4, 16) }),
        iommu_group: Some(27),
        iommu_mode: Some("DMA-FQ".to_owned()),
        virtual_functions: Some(VirtualFunctions { enabled: 2, total: 16 }),
    };
    assert_eq!(gpu(&made.topology()), &expected);
}

#[test]
fn what_is_damaged_or_says_nothing_is_unknown() {
    let path = "pci0000:00/0000:00:04.0";
    let made = Made::new()
        .gpu(path, "0")
        .of(path, "device", "2330")
        .of(path, "subsystem_vendor", "0x123456")
        .speed(path, "current", "Unknown", "0")
        .speed(path, "max", "Unknown speed", "255")
        .of(path, "sriov_totalvfs", "many")
        .link(&format!("sys/devices/{path}/iommu_group"), "../../../kernel/iommu_groups/-1");
    let expected = PciFacts { vendor: Some(0x10de), ..PciFacts::default() };
    assert_eq!(gpu(&made.topology()), &expected);
    // Half of a link is still something.
    let made = made.speed(path, "current", "Unknown", "16");
    let now = PcieSpeed { generation: None, width: Some(16) };
    let training = PcieTraining { now, ..PcieTraining::default() };
    assert_eq!(gpu(&made.topology()).link, Some(training));
}

#[test]
fn without_a_group_the_iommu_is_off_where_the_kernel_knows_groups() {
    let iommu = |made: &Made| gpu(&made.topology()).iommu_mode.clone();
    let path = "pci0000:00/0000:00:04.0";
    let made = Made::new().gpu(path, "0");
    assert_eq!(iommu(&made), None);
    std::fs::create_dir_all(made.0.join("sys/kernel/iommu_groups")).unwrap();
    assert_eq!(iommu(&made).as_deref(), Some("off"));
    let made = made.link(&format!("sys/devices/{path}/iommu_group"), "../../../kernel/iommu_groups/0");
    assert_eq!(iommu(&made), None, "kernels before 5.11 do not tell the mode");
    let made = made.file("sys/kernel/iommu_groups/0/type", &"long".repeat(100));
    assert_eq!(iommu(&made), None);
}

/// Returns two switches in a row: a GPU and a NIC below the second, a NIC below the first, and one at the root. The
/// ports have these controls of ACS, `None` for a port without: of the root, above the second switch, above the NIC of
/// the first, above the GPU, and above the NIC beside it.
fn switches(acs: [Option<u8>; 5]) -> Made {
    let root = "pci0000:80/0000:80:01.0";
    let first = format!("{root}/0000:81:00.0");
    let (a, b) = (format!("{first}/0000:82:00.0"), format!("{first}/0000:82:01.0"));
    let second = format!("{a}/0000:83:00.0");
    let (c, d) = (format!("{second}/0000:84:00.0"), format!("{second}/0000:84:01.0"));
    let mut made = Made::new()
        .gpu(&format!("{c}/0000:85:00.0"), "1")
        .nic(&format!("{d}/0000:86:00.0"), "ib0")
        .nic(&format!("{b}/0000:87:00.0"), "ib1")
        .nic("pci0000:80/0000:80:02.0", "eth0");
    for (path, kind) in [(&first, UPSTREAM), (&second, UPSTREAM)] {
        // Its own ACS is for what passes between its functions.
        made = made.bridge(path).config(path, kind, Some(ISOLATED));
    }
    for ((path, kind), acs) in
        [(root, ROOT), (&a, DOWNSTREAM), (&b, DOWNSTREAM), (&c, DOWNSTREAM), (&d, DOWNSTREAM)]
            .into_iter()
            .zip(acs)
    {
        made = made.bridge(path).config(path, kind, acs);
    }
    made
}

/// Returns whether the GPU's writes go up: to the NIC beside it, to that of the first switch, and to that at the root.
fn redirected(topology: &Topology) -> [Option<bool>; 3] {
    let devices = topology.devices();
    let names: Vec<String> = (0..devices.len()).map(|device| topology.device_name(device)).collect();
    let id = |name: &str| devices[names.iter().position(|own| own == name).unwrap()];
    ["ib0", "ib1", "eth0"].map(|nic| topology.redirected(devices[0], id(nic)))
}

#[test]
fn the_ports_where_ways_part_redirect() {
    let (clear, on) = (Some(0b1), Some(ISOLATED));
    for (acs, expected) in [
        ([clear, clear, clear, clear, clear], [Some(false), Some(false), None]),
        ([None, None, None, None, None], [Some(false), Some(false), None]),
        ([on, clear, clear, clear, clear], [Some(false), Some(false), None]),
        ([clear, clear, clear, on, clear], [Some(true), Some(false), None]),
        ([clear, clear, clear, clear, on], [Some(true), Some(false), None]),
        ([clear, on, clear, clear, clear], [Some(false), Some(true), None]),
        ([clear, clear, Some(0b100), clear, clear], [Some(false), Some(true), None]),
        ([clear, clear, Some(0b1000), clear, clear], [Some(false), Some(true), None]),
        ([on, on, on, on, on], [Some(true), Some(true), None]),
    ] {
        assert_eq!(redirected(&switches(acs).topology()), expected, "{acs:?}");
    }
}

/// Returns whether a note says, once, that it is unknown what ports redirect.
fn is_noted(made: &Made) -> bool {
    let topology = made.topology();
    let count = topology.notes().iter().filter(|note| note.text.contains("(ACS)")).count();
    assert!(count <= 1);
    count == 1
}

#[test]
fn what_an_ordinary_user_may_not_read_is_unknown() {
    let made = switches([Some(ISOLATED); 5]);
    let folder = made.0.join("sys/devices/pci0000:80/0000:80:01.0/0000:81:00.0");
    let configs = ["0000:82:00.0/0000:83:00.0/0000:84:00.0", "0000:82:01.0"];
    let cut = |length| {
        for config in configs {
            let file = std::fs::File::options().write(true).open(folder.join(config).join("config")).unwrap();
            file.set_len(length).unwrap();
        }
    };
    // One that redirects is enough.
    cut(256);
    assert_eq!(redirected(&made.topology()), [Some(true), Some(true), None]);
    assert!(!is_noted(&switches([Some(0); 5])) && is_noted(&made));
    let made = switches([Some(0); 5]);
    let folder = made.0.join("sys/devices/pci0000:80/0000:80:01.0/0000:81:00.0");
    for (length, config) in [(64, configs[0]), (0, configs[1])] {
        let file = std::fs::File::options().write(true).open(folder.join(config).join("config")).unwrap();
        file.set_len(length).unwrap();
    }
    assert_eq!(redirected(&made.topology()), [None; 3]);
    assert!(is_noted(&made));
    let without = Made::new()
        .bridge("pci0000:80/0000:80:01.0")
        .nic("pci0000:80/0000:80:01.0/0000:81:00.0", "ens1f0")
        .nic("pci0000:80/0000:80:01.0/0000:81:00.1", "ens1f1");
    let topology = without.topology();
    assert_eq!(topology.redirected(topology.devices()[0], topology.devices()[1]), None);
    // Only where a GPU is concerned, and something that it could write to past the host bridge.
    assert!(!is_noted(&without));
    let alone =
        Made::new().bridge("pci0000:80/0000:80:01.0").gpu("pci0000:80/0000:80:01.0/0000:81:00.0", "1");
    assert!(!is_noted(&alone));
    let apart = alone.bridge("pci0000:80/0000:80:02.0").nic("pci0000:80/0000:80:02.0/0000:82:00.0", "ens2");
    assert!(!is_noted(&apart));
    let beside = apart.gpu("pci0000:80/0000:80:01.0/0000:81:00.1", "1");
    assert!(!is_noted(&beside), "without any configuration space nothing is hidden");
    assert!(is_noted(&beside.file("sys/devices/pci0000:80/0000:80:01.0/config", &"@".repeat(64))));
    // The functions of a card meet at the port above it, which may send all of it up.
    for (acs, expected) in [(Some(0b1_0000), true), (Some(0), false), (None, false)] {
        let path = "pci0000:80/0000:80:01.0";
        let made = Made::new()
            .bridge(path)
            .config(path, ROOT, acs)
            .nic(&format!("{path}/0000:81:00.0"), "ens1f0")
            .nic(&format!("{path}/0000:81:00.1"), "ens1f1");
        let topology = made.topology();
        let (a, b) = (topology.devices()[0], topology.devices()[1]);
        assert_eq!(topology.redirected(a, b), Some(expected), "{acs:?}");
    }
}

fn disks(topology: &Topology) -> Vec<Nvme> {
    let disk = |kind: &NodeKind| if let NodeKind::Nvme(nvme) = kind { Some(Nvme::clone(nvme)) } else { None };
    topology.nodes().filter_map(|(_, node)| disk(&node.kind)).collect()
}

#[test]
fn disks_are_placed_and_measured() {
    let port = "pci0000:80/0000:80:01.0";
    let (disk, other) = (format!("{port}/0000:81:00.0"), "pci0000:00/0000:00:05.0");
    let made = Made::new()
        .bridge(port)
        .pci(&disk, "0x144d", "0x010802", "1")
        .speed(&disk, "current", "16.0 GT/s PCIe", "4")
        .link("sys/class/nvme/nvme3", &format!("../../devices/{disk}/nvme/nvme3"))
        .of(&disk, "nvme/nvme3/model", "SAMSUNG MZQL23T8HCLS-00A07              \n")
        .of(&disk, "nvme/nvme3/nvme3n1/size", "2000\n")
        .of(&disk, "nvme/nvme3/nvme3n1/nvme3n1p1/size", "1000\n")
        // Of the first another way is shown too; of the second only the way.
        .of(&disk, "nvme/nvme3/nvme3c3n1/size", "2000\n")
        .of(&disk, "nvme/nvme3/nvme3c3n2/size", "24\n")
        // Over a network, and without a driver.
        .link("sys/class/nvme/nvme4", "../../devices/virtual/nvme-fabrics/ctl/nvme4")
        .file("sys/devices/virtual/nvme-fabrics/ctl/nvme4/model", "Linux")
        .pci("pci0000:80/0000:80:05.0", "0x144d", "0x010802", "1")
        // The layout before Linux 4.1.
        .pci(other, "0x8086", "0x010802", "0")
        .of(other, "block/nvme0n1/size", "18446744073709551615");
    let topology = made.topology();
    let model = Some("SAMSUNG MZQL23T8HCLS-00A07");
    let facts = |disk: &Nvme| (disk.name.clone(), disk.size, disk.address.unwrap().to_string());
    let disks = disks(&topology);
    assert_eq!(disks.iter().map(|disk| disk.model.as_deref()).collect::<Vec<_>>(), [None, model]);
    let expected = [("nvme0", None, "0000:00:05.0"), ("nvme3", Some(2024 * 512), "0000:81:00.0")]
        .map(|(name, size, address)| (name.to_owned(), size, address.to_owned()));
    assert_eq!(disks.iter().map(facts).collect::<Vec<_>>(), expected);
    let (id, node) =
        topology.nodes().filter(|(_, node)| matches!(node.kind, NodeKind::Nvme(_))).last().unwrap();
    let NodeKind::HostBridge(host) = &topology.node(node.parent.unwrap()).kind else { panic!("{node:?}") };
    assert_eq!(host.address.unwrap().bus, 0x80);
    let (_, link) = topology.links_of(id).next().unwrap();
    assert_eq!(link.rate.unwrap().bandwidth.as_mb_per_s(), 7876);
}

#[test]
fn a_disk_beside_a_gpu_shares_its_switch() {
    let up = "pci0000:80/0000:80:01.0/0000:81:00.0";
    let disk = format!("{up}/0000:82:01.0/0000:84:00.0");
    let made = Made::new()
        .bridge("pci0000:80/0000:80:01.0")
        .bridge(up)
        .bridge(&format!("{up}/0000:82:00.0"))
        .gpu(&format!("{up}/0000:82:00.0/0000:83:00.0"), "1")
        .bridge(&format!("{up}/0000:82:01.0"))
        .pci(&disk, "0x144d", "0x010802", "1")
        .link("sys/class/nvme/nvme0", &format!("../../devices/{disk}/nvme/nvme0"));
    let topology = made.topology();
    let parent = topology.node(topology.devices()[0]).parent;
    let disk = topology.nodes().find(|(_, node)| matches!(node.kind, NodeKind::Nvme(_))).unwrap().1;
    assert_eq!(disk.parent, parent);
    assert!(matches!(topology.node(parent.unwrap()).kind, NodeKind::PcieSwitch(_)));
}
