//! Made machines, file by file: one of two packages, each with a GPU and an RDMA adapter below one PCIe switch, and a bare
//! one that gets the ports a test names.

use nvtopo::source::{Contents, Locator, Redaction, SavedText, Snapshot};
use nvtopo_audit::{Audit, Profile, Report};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Something at a path.
#[derive(Clone)]
enum Entry {
    File(Vec<u8>),
    Link(String),
}

/// The files and links below the root of a machine.
#[derive(Clone)]
pub(crate) struct Machine(BTreeMap<String, Entry>);

/// The PCI functions of a half of the machine: root port, upper side of the switch, its lower sides, GPU, adapter.
pub(crate) struct Half {
    pub(crate) root: &'static str,
    pub(crate) gpu_port: &'static str,
    pub(crate) nic_port: &'static str,
    pub(crate) gpu: &'static str,
    pub(crate) nic: &'static str,
}

pub(crate) const HALVES: [Half; 2] = [
    Half {
        root: "0000:00:01.0",
        gpu_port: "0000:02:00.0",
        nic_port: "0000:02:01.0",
        gpu: "0000:03:00.0",
        nic: "0000:04:00.0",
    },
    Half {
        root: "0000:80:01.0",
        gpu_port: "0000:82:00.0",
        nic_port: "0000:82:01.0",
        gpu: "0000:83:00.0",
        nic: "0000:84:00.0",
    },
];

/// The path of a PCI function's file.
pub(crate) fn pci(address: &str, file: &str) -> String {
    format!("sys/bus/pci/devices/{address}/{file}")
}

const CLASS: &str = "sys/class/infiniband";

/// The counters that the kernel keeps by port, and not by device.
const OF_PORT: [&str; 6] = [
    "link_downed",
    "link_error_recovery",
    "local_link_integrity_errors",
    "port_rcv_errors",
    "port_rcv_packets",
    "symbol_error",
];

const ENDPOINT: u8 = 0;
const ROOT_PORT: u8 = 4;
const UPSTREAM: u8 = 5;
const DOWNSTREAM: u8 = 6;

impl Machine {
    /// Creates the machine, in which every check of PCIe, locality and isolation passes or does not apply.
    pub(crate) fn new() -> Self {
        let mut machine = Self(BTreeMap::new());
        machine.host();
        for (node, half) in HALVES.iter().enumerate() {
            let bus = &half.root[5..7];
            let root = format!("sys/devices/pci0000:{bus}/{}", half.root);
            let upper = format!("{root}/0000:{}1:00.0", &bus[..1]);
            machine.function(half.root, &root, node, ("0x060400", "0x8086", "0x352a"), ROOT_PORT);
            machine.function(
                &upper[root.len() + 1..],
                &upper,
                node,
                ("0x060400", "0x1000", "0xc030"),
                UPSTREAM,
            );
            for (port, device, kind, driver) in [
                (half.gpu_port, half.gpu, ("0x030200", "0x10de", "0x2330"), "nvidia"),
                (half.nic_port, half.nic, ("0x020700", "0x15b3", "0x1021"), "mlx5_core"),
            ] {
                let below = format!("{upper}/{port}");
                machine.function(port, &below, node, ("0x060400", "0x1000", "0xc030"), DOWNSTREAM);
                let folder = format!("{below}/{device}");
                machine.function(device, &folder, node, kind, ENDPOINT);
                let up = "../".repeat(folder.matches('/').count());
                machine.link(&format!("{folder}/driver"), &format!("{up}bus/pci/drivers/{driver}"));
                machine.set(&format!("sys/bus/pci/drivers/{driver}/bind"), "");
            }
            machine.gpu(half.gpu);
            machine.nic(half.nic, node);
        }
        machine
    }

    /// Creates a machine of eight CPUs without devices, as it is so many seconds after its start.
    pub(crate) fn bare(seconds: u32) -> Self {
        let mut machine = Self(BTreeMap::new());
        machine.set("sys/devices/system/cpu/online", "0-7");
        machine.set("sys/devices/system/cpu/cpu0/topology/core_id", "0");
        machine.set("proc/stat", "cpu 1 2 3\nbtime 1700000000");
        machine.set("proc/uptime", &format!("{seconds}.00 1.00"));
        machine
    }

    /// Returns it with another text of a file.
    pub(crate) fn with(&self, path: &str, text: &str) -> Self {
        let mut machine = self.clone();
        machine.set(path, text);
        machine
    }

    /// Returns it without what is at a path, and below it.
    pub(crate) fn without(&self, path: &str) -> Self {
        let mut machine = self.clone();
        machine.remove(path);
        machine
    }

    /// Returns it with an active port of an RDMA device.
    pub(crate) fn port(&self, device: &str, layer: &str, gigabits: u32) -> Self {
        self.with(&format!("{CLASS}/{device}/hca_type"), "MT4129")
            .port_file(device, "state", "4: ACTIVE")
            .port_file(device, "phys_state", "5: LinkUp")
            .port_file(device, "rate", &format!("{gigabits} Gb/sec (4X NDR)"))
            .port_file(device, "link_layer", layer)
    }

    /// Returns it with an active Ethernet port that has an interface and an address of RoCE v2.
    pub(crate) fn roce(&self, device: &str, interface: &str) -> Self {
        let machine = self
            .port(device, "Ethernet", 400)
            .with(&format!("sys/class/net/{interface}/mtu"), "9000")
            .port_file(device, "gid_attrs/ndevs/0", interface);
        let kinds = [
            ("IB/RoCE v1", "fe80:0000"),
            ("RoCE v2", "fe80:0000"),
            ("IB/RoCE v1", "fd00:0001"),
            ("RoCE v2", "fd00:0001"),
        ];
        kinds.into_iter().enumerate().fold(machine, |machine, (index, (kind, begin))| {
            let address = format!("{begin}:0000:0000:0000:0000:0000:0001");
            machine.port_file(device, &format!("gid_attrs/types/{index}"), kind).port_file(
                device,
                &format!("gids/{index}"),
                &address,
            )
        })
    }

    /// Returns it with a file of a device's first port.
    pub(crate) fn port_file(&self, device: &str, file: &str, text: &str) -> Self {
        self.with(&format!("{CLASS}/{device}/ports/1/{file}"), text)
    }

    /// Returns it with counters of a device's first port.
    pub(crate) fn counters(&self, device: &str, counters: &[(&str, u64)]) -> Self {
        counters.iter().fold(self.clone(), |machine, (name, value)| {
            let kind = if OF_PORT.contains(name) { "counters" } else { "hw_counters" };
            machine.port_file(device, &format!("{kind}/{name}"), &value.to_string())
        })
    }

    /// Sets the text of a file. A path through a link of the bus leads to the device's folder.
    pub(crate) fn set(&mut self, path: &str, text: &str) -> &mut Self {
        self.bytes(path, format!("{text}\n").into_bytes())
    }

    pub(crate) fn bytes(&mut self, path: &str, bytes: Vec<u8>) -> &mut Self {
        let path = self.place(path);
        self.0.insert(path, Entry::File(bytes));
        self
    }

    pub(crate) fn link(&mut self, path: &str, target: &str) -> &mut Self {
        let path = self.place(path);
        self.0.insert(path, Entry::Link(target.to_owned()));
        self
    }

    /// Removes what is at a path, and below it.
    pub(crate) fn remove(&mut self, path: &str) -> &mut Self {
        let path = self.place(path);
        self.0.retain(|own, _| own != &path && !own.starts_with(&format!("{path}/")));
        self
    }

    /// Sets the control register of access control services of a port.
    pub(crate) fn acs(&mut self, port: &str, control: u16) -> &mut Self {
        self.poke(port, 0x106, control)
    }

    /// Sets two bytes of the configuration space of a function.
    pub(crate) fn poke(&mut self, address: &str, at: usize, value: u16) -> &mut Self {
        let path = self.place(&pci(address, "config"));
        if let Some(Entry::File(config)) = self.0.get_mut(&path) {
            config[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        self
    }

    fn place(&self, path: &str) -> String {
        let Some(rest) = path.strip_prefix("sys/bus/pci/devices/") else { return path.to_owned() };
        let (address, file) = rest.split_once('/').unwrap_or((rest, ""));
        match self.0.get(&format!("sys/bus/pci/devices/{address}")) {
            Some(Entry::Link(target)) if !file.is_empty() => {
                format!("sys/{}/{file}", target.trim_start_matches("../"))
            }
            _ => path.to_owned(),
        }
    }

    fn host(&mut self) {
        self.set("sys/devices/system/cpu/online", "0-7").set("sys/devices/system/cpu/present", "0-7");
        for cpu in 0..8 {
            let folder = format!("sys/devices/system/cpu/cpu{cpu}/topology");
            self.set(&format!("{folder}/physical_package_id"), &(cpu / 4).to_string());
            self.set(&format!("{folder}/core_id"), &(cpu % 4).to_string());
            self.set(&format!("{folder}/thread_siblings_list"), &cpu.to_string());
            let package = if cpu < 4 { "0-3" } else { "4-7" };
            self.set(&format!("{folder}/core_siblings_list"), package);
        }
        self.set("sys/devices/system/node/online", "0-1");
        for (node, cpus) in ["0-3", "4-7"].iter().enumerate() {
            let folder = format!("sys/devices/system/node/node{node}");
            self.set(&format!("{folder}/cpulist"), cpus);
            self.set(&format!("{folder}/meminfo"), &format!("Node {node} MemTotal: 65536000 kB"));
            self.set(&format!("{folder}/distance"), if node == 0 { "10 21" } else { "21 10" });
        }
        self.set("proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu vme");
        self.set("proc/cmdline", "BOOT_IMAGE=/vmlinuz root=/dev/sda1 iommu=pt");
        self.set("proc/sys/kernel/osrelease", "5.15.0-1050-nvidia");
        self.set(
            "proc/driver/nvidia/version",
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.124.06  Release Build",
        );
        for module in ["ib_core", "mlx5_core", "nvidia"] {
            self.set(&format!("sys/module/{module}/initstate"), "live");
        }
        self.set("sys/module/ib_core/parameters/netns_mode", "N");
        self.set("proc/self/status", "Name:\tsh\nCpus_allowed_list:\t0-7\nMems_allowed_list:\t0-1");
        self.set(
            "proc/self/limits",
            "Max locked memory         unlimited            unlimited            bytes",
        );
        self.set("proc/uptime", "1000.00 1.00").set("proc/stat", "cpu 1 2 3\nbtime 1700000000");
    }

    fn function(&mut self, address: &str, folder: &str, node: usize, kind: (&str, &str, &str), port: u8) {
        let up = "../".repeat(3);
        self.link(&format!("sys/bus/pci/devices/{address}"), &format!("{up}{}", &folder[4..]));
        let mut file = |name: &str, text: &str| {
            self.set(&format!("{folder}/{name}"), text);
        };
        file("class", kind.0);
        file("vendor", kind.1);
        file("device", kind.2);
        file("numa_node", &node.to_string());
        file("local_cpulist", ["0-3", "4-7"][node]);
        for which in ["current", "max"] {
            file(&format!("{which}_link_speed"), "32.0 GT/s PCIe");
            file(&format!("{which}_link_width"), "16");
        }
        for (kind, total) in [("correctable", "COR"), ("nonfatal", "NONFATAL"), ("fatal", "FATAL")] {
            file(&format!("aer_dev_{kind}"), &format!("Undefined 0\nTOTAL_ERR_{total} 0"));
        }
        file("irq", "0");
        file("resource", "0x0 0x0 0x0");
        self.link(&format!("{folder}/subsystem"), "../../../../bus/pci");
        let mut config = vec![0; 4096];
        // The first bytes tell the maker, that there are capabilities, and whether it is a bridge.
        let number = |text: &str| u16::from_str_radix(&text[2..6], 16).unwrap().to_le_bytes();
        (config[0], config[1], config[2], config[3]) =
            (number(kind.1)[0], number(kind.1)[1], number(kind.2)[0], number(kind.2)[1]);
        (config[0x06], config[0x34], config[0x40], config[0x42]) = (0x10, 0x40, 0x10, port << 4 | 2);
        let class = u32::from_str_radix(&kind.0[2..], 16).unwrap();
        config[0x09..0x0c].copy_from_slice(&class.to_le_bytes()[..3]);
        if port != ENDPOINT {
            config[0x0e] = 1;
            let bus = u8::from_str_radix(&address[5..7], 16).unwrap();
            let below = match (port, &address[8..10]) {
                (DOWNSTREAM, "01") => bus + 2,
                _ => bus + 1,
            };
            (config[0x18], config[0x19], config[0x1a]) = (bus, below, below | 0x0f);
            config[0x100..0x104].copy_from_slice(&0x0001_000d_u32.to_le_bytes());
            config[0x104..0x106].copy_from_slice(&0x5f_u16.to_le_bytes());
        }
        // Link capabilities and status: 32 GT/s, 16 lanes.
        config[0x4c..0x50].copy_from_slice(&(5_u32 | 16 << 4).to_le_bytes());
        config[0x52..0x54].copy_from_slice(&(5_u16 | 16 << 4).to_le_bytes());
        self.bytes(&format!("{folder}/config"), config);
    }

    fn gpu(&mut self, address: &str) {
        let gib = |size: u64, from: u64| {
            format!("{from:#018x} {:#018x} 0x000000000014220c", from + (size << 20) - 1)
        };
        let (registers, window) = (gib(16, 0x2140_4200_0000), gib(128 << 10, 0x2100_0000_0000));
        let none = "0x0000000000000000 0x0000000000000000 0x0000000000000000";
        self.set(
            &pci(address, "resource"),
            &format!("{registers}\n{none}\n{window}\n{none}\n{none}\n{none}\n{none}"),
        );
        let folder = format!("proc/driver/nvidia/gpus/{address}/information");
        self.set(&folder, "Model: \t\t NVIDIA H100 80GB HBM3\nDevice Minor: \t 0");
    }

    fn nic(&mut self, address: &str, number: usize) {
        // The largest read request has 4096 bytes.
        self.poke(address, 0x48, 5 << 12);
        let device = format!("mlx5_{number}");
        let folder = self.place(&pci(address, &format!("infiniband/{device}")));
        self.link(&format!("sys/class/infiniband/{device}"), &format!("../../{}", &folder[4..]));
        self.set(&format!("{folder}/hca_type"), "MT4129");
        for (file, text) in
            [("state", "4: ACTIVE"), ("rate", "400 Gb/sec (4X NDR)"), ("link_layer", "InfiniBand")]
        {
            self.set(&format!("{folder}/ports/1/{file}"), text);
        }
        for vector in 0..4 {
            let number = 100 + number * 10 + vector;
            self.set(&pci(address, &format!("msi_irqs/{number}")), "msix");
            let near = if number < 110 { "0-3" } else { "4-7" };
            self.set(&format!("proc/irq/{number}/smp_affinity_list"), near);
        }
    }

    /// Writes the machine to a directory.
    pub(crate) fn write(&self) -> Written {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name =
            format!("nvtopo-audit-{}-machine-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let root = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&root);
        self.write_to(&root);
        Written(root)
    }

    /// Writes the machine to a directory that stays.
    pub(crate) fn write_to(&self, root: &Path) {
        for (path, entry) in &self.0 {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            match entry {
                Entry::File(bytes) => std::fs::write(path, bytes).unwrap(),
                Entry::Link(target) => std::os::unix::fs::symlink(target, path).unwrap(),
            }
        }
    }

    /// Audits the machine by all checks.
    pub(crate) fn report(&self) -> Report {
        self.report_with(|audit| audit)
    }

    /// Audits the machine with settings.
    pub(crate) fn report_with(&self, set: impl FnOnce(Audit<'_>) -> Audit<'_>) -> Report {
        let written = self.write();
        let contents = written.read();
        set(Audit::of(&contents)).run().unwrap()
    }

    /// Audits the machine as it is after an earlier reading.
    pub(crate) fn report_since(&self, earlier: &Self) -> Report {
        let written = earlier.write();
        let contents = written.read();
        let (now, then) = (self.write(), contents);
        let contents = now.read();
        Audit::of(&contents).earlier(&then).run().unwrap()
    }

    /// Audits the machine with saved outputs beside it, by the words of a profile.
    pub(crate) fn report_beside(&self, texts: &[(&str, &str)], expected: &str) -> Report {
        let written = self.write();
        let mut contents = written.read();
        contents.texts.extend(texts.iter().map(|(name, text)| SavedText::new(*name, *text)));
        crate::support::audit(&contents, None, expected)
    }

    /// Audits the machine by the words of a profile.
    pub(crate) fn report_expecting(&self, expected: &str) -> Report {
        let profile = Profile::parse("profile", &format!("[expect]\n{expected}\n")).unwrap();
        self.report_with(|audit| audit.profile(profile))
    }
}

/// A directory with a machine, which is removed at the end.
pub(crate) struct Written(pub(crate) PathBuf);

impl Written {
    pub(crate) fn read(&self) -> Contents {
        Contents::open(&[Locator::Path(self.0.clone())]).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Takes a snapshot with everything that the audit reads, and reads it.
    pub(crate) fn read_snapshot(&self) -> Contents {
        let snapshot =
            Snapshot::take_with(&Locator::Path(self.0.clone()), Redaction::None, nvtopo_audit::record)
                .unwrap();
        let path = self.0.with_extension("snapshot");
        std::fs::write(&path, snapshot.to_bytes().unwrap()).unwrap();
        let contents = Contents::open(&[Locator::Path(path.clone())]);
        let _ = std::fs::remove_file(path);
        contents.unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
