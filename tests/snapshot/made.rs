//! A machine that is full of secrets, made up file by file.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The words that must not leave the machine.
pub(crate) const SECRETS: [&str; 25] = [
    "falcon17",
    "cluster.acme.example",
    "0123456789abcdef0123456789abcdef",
    "b5b1e5ce-52c3-4b0e-9c47-6f1e9c0aa001",
    "5c3ee4a8-6b1c-4c5e-8d9a-aaaaaaaaaa01",
    "f8615163-0000-1000-2000-00224812ab12",
    "00:22:48:12:ab:12",
    "a85e45c0ffee",
    "a8:5e:45:c0:ff:ee",
    "9803:9b03:0012:3456",
    "98039b0300123456",
    "1324321000777",
    "SN-4711-XYZ",
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "user-4242.slice",
    "job_31337",
    "alice",
    "nas.acme.example",
    "10.20.30.40",
    "root=UUID",
    "0123456701234567",
    "kubepods-pod77",
    "acme",
    "MT2345X98765",
    "4711",
];

/// A tree that goes when the test ends.
pub(crate) struct Made(pub(crate) PathBuf);

impl Drop for Made {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Made {
    /// A folder without anything in it.
    pub(crate) fn empty() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("nvtopo-snap-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let made = Self(std::env::temp_dir().join(name));
        std::fs::create_dir_all(&made.0).unwrap();
        made
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn link(&self, path: &str, target: &str) {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
    }

    /// A PCI device with its entry on the bus.
    fn pci(&self, path: &str, vendor: &str, class: &str, node: u32) {
        let folder = format!("sys/devices/{path}");
        self.file(&format!("{folder}/class"), class);
        self.file(&format!("{folder}/vendor"), vendor);
        self.file(&format!("{folder}/numa_node"), node.to_string());
        let address = path.rsplit('/').next().unwrap();
        self.link(&format!("sys/bus/pci/devices/{address}"), &format!("../../../devices/{path}"));
    }

    /// Two packages, two GPUs, two network adapters, a cgroup, and secrets wherever the kernel has some.
    pub(crate) fn machine() -> Self {
        let made = Self::empty();
        made.processors();
        made.devices();
        made.names();
        made.groups();
        made
    }

    fn processors(&self) {
        let cpu = "sys/devices/system/cpu";
        self.file(&format!("{cpu}/online"), "0-7\n");
        for number in 0..8 {
            let folder = format!("{cpu}/cpu{number}/topology");
            self.file(&format!("{folder}/physical_package_id"), (number / 4).to_string());
            self.file(&format!("{folder}/core_id"), number.to_string());
            self.file(&format!("{folder}/package_cpus"), ["0f", "f0"][number / 4]);
            self.file(&format!("{folder}/core_cpus"), format!("{:x}", 1 << number));
        }
        self.file("sys/devices/system/node/online", "0-1\n");
        for node in 0..2 {
            let folder = format!("sys/devices/system/node/node{node}");
            self.file(&format!("{folder}/cpumap"), ["0f", "f0"][node]);
            self.file(&format!("{folder}/meminfo"), format!("Node {node} MemTotal:  1055763456 kB\n"));
            self.file(&format!("{folder}/distance"), "10 10");
        }
        let cpuinfo =
            "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Xeon\nSerial\t: 0123456701234567\n";
        self.file("proc/cpuinfo", cpuinfo);
        self.file("proc/cmdline", "root=UUID=b5b1e5ce-52c3-4b0e-9c47-6f1e9c0aa001 ip=10.20.30.40 numa=off\n");
    }

    fn devices(&self) {
        for (bus, node) in [("17", 0), ("97", 1)] {
            let root = format!("pci0000:{:x}", u32::from_str_radix(bus, 16).unwrap() - 1);
            let gpu = format!("{root}/0000:{bus}:00.0");
            self.pci(&gpu, "0x10de", "0x030200", node);
            let information = format!(
                "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 7\nGPU UUID: \t \
                 GPU-5c3ee4a8-6b1c-4c5e-8d9a-aaaaaaaaaa01\nBus Location: \t 0000:{bus}:00.0\nSerial: 1324321000777\n"
            );
            let folder = format!("proc/driver/nvidia/gpus/0000:{bus}:00.0");
            self.file(&format!("{folder}/information"), information.replace("aa01", &format!("aa{bus}")));
        }
        self.file(
            "proc/driver/nvidia/gpus/0000:17:00.0/information",
            "Model: \t NVIDIA H100\nGPU UUID: \t GPU-5c3ee4a8-6b1c-4c5e-8d9a-aaaaaaaaaa01\nSerial: 1324321000777\n",
        );
        let nic = "pci0000:80/0000:81:00.0";
        self.pci(nic, "0x15b3", "0x020000", 0);
        for interface in ["enxa85e45c0ffee", "falcon17-data"] {
            self.link(&format!("sys/class/net/{interface}"), &format!("../../devices/{nic}/net/{interface}"));
            let folder = format!("sys/devices/{nic}/net/{interface}");
            self.file(&format!("{folder}/speed"), "100000\n");
            self.file(&format!("{folder}/mtu"), "9000\n");
            self.file(&format!("{folder}/address"), "a8:5e:45:c0:ff:ee\n");
        }
        self.link("sys/class/net/acme-vpn", "../../devices/virtual/net/acme-vpn");
        self.file("sys/devices/virtual/net/acme-vpn/mtu", "1420\n");
        // A bond, through which the kernel tells its ports.
        let bond = "sys/devices/virtual/net/bond0";
        self.link("sys/class/net/bond0", "../../devices/virtual/net/bond0");
        self.file(&format!("{bond}/bonding/slaves"), "enxa85e45c0ffee falcon17-data\n");
        self.file("sys/class/net/bonding_masters", "bond0\n");
        let rdma = "ibx98039b0300123456";
        self.link(&format!("sys/class/infiniband/{rdma}"), &format!("../../devices/{nic}/infiniband/{rdma}"));
        let folder = format!("sys/devices/{nic}/infiniband/{rdma}");
        self.file(&format!("{folder}/node_guid"), "9803:9b03:0012:3456\n");
        self.file(&format!("{folder}/node_desc"), "falcon17 mlx5_0\n");
        self.file(&format!("{folder}/hca_type"), "MT4129\n");
        self.file(&format!("{folder}/fw_ver"), "230.0.157.0\n");
        self.file(&format!("{folder}/ports/1/rate"), "400 Gb/sec (4X NDR)\n");
        self.file(&format!("{folder}/ports/1/state"), "4: ACTIVE\n");
        self.telling_names();
        // It manages NVSwitches, as what holds its serial number tells.
        let manager = "pci0000:80/0000:83:00.0";
        self.pci(manager, "0x15b3", "0x020700", 0);
        self.file(&format!("sys/devices/{manager}/device"), "0x1021\n");
        self.file(
            &format!("sys/devices/{manager}/vpd"),
            "\u{2}ConnectX-7 SN MT2345X98765 SMDL=SW_MNG:PCI=V0",
        );
        // A hypervisor's bus, with the address in the name.
        let vmbus = "LNXSYSTM:00/VMBUS:00/f8615163-0000-1000-2000-00224812ab12";
        self.link("sys/class/infiniband/mana_0", &format!("../../devices/{vmbus}/infiniband/mana_0"));
        self.link("sys/class/net/eth1", &format!("../../devices/{vmbus}/net/eth1"));
        self.file(&format!("sys/devices/{vmbus}/net/eth1/address"), "00:22:48:12:ab:12\n");
    }

    /// An adapter whose names hold that of the machine in longer words, beside one that does not.
    fn telling_names(&self) {
        let nic = "pci0000:80/0000:82:00.0";
        self.pci(nic, "0x15b3", "0x020700", 0);
        for (interface, mtu) in [("falcon17ib0", "4092\n"), ("ib9", "2044\n"), ("Falcon17p1", "1500\n")] {
            self.link(&format!("sys/class/net/{interface}"), &format!("../../devices/{nic}/net/{interface}"));
            self.file(&format!("sys/devices/{nic}/net/{interface}/mtu"), mtu);
        }
        self.link(&format!("sys/devices/{nic}/net/ib9/master"), "../myfalcon17br");
        let bond = "sys/devices/virtual/net/myfalcon17br";
        self.link("sys/class/net/myfalcon17br", "../../devices/virtual/net/myfalcon17br");
        self.file(&format!("{bond}/bonding/slaves"), "falcon17ib0 ib9\n");
        self.link(&format!("{bond}/lower_falcon17ib0"), &format!("../../../{nic}/net/falcon17ib0"));
        self.file("sys/class/net/bonding_masters", "bond0 myfalcon17br\n");
        for (rdma, rate) in [("mlx5_3", "100"), ("0falcon17", "400")] {
            let folder = format!("devices/{nic}/infiniband/{rdma}");
            self.link(&format!("sys/class/infiniband/{rdma}"), &format!("../../{folder}"));
            self.file(&format!("sys/{folder}/ports/1/rate"), format!("{rate} Gb/sec (4X)\n"));
            self.file(&format!("sys/{folder}/ports/1/state"), "4: ACTIVE\n");
        }
    }

    fn names(&self) {
        self.file("etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        self.file("proc/sys/kernel/random/boot_id", "b5b1e5ce-52c3-4b0e-9c47-6f1e9c0aa001\n");
        self.file("proc/sys/kernel/hostname", "falcon17.cluster.acme.example\n");
        self.file("sys/class/dmi/id/product_name", "Server of falcon17, SN-4711-XYZ\n");
        self.file("sys/class/dmi/id/product_serial", "SN-4711-XYZ\n");
    }

    fn groups(&self) {
        let id = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        let group = format!("kubepods-pod77/user-4242.slice/job_31337/{id}");
        self.file("proc/self/cgroup", format!("5:memory:/alice\n0::/{group}\n"));
        let mounts = "nas.acme.example:/home/alice /home/alice nfs rw,addr=10.20.30.40 0 0\n\
                      falcon17 /srv/acme/cg cgroup2 rw,relatime 0 0\n";
        self.file("proc/mounts", mounts);
        self.file("srv/acme/cg/cgroup.controllers", "cpu cpuset\n");
        self.file("srv/acme/cg/cpuset.cpus.effective", "0-7\n");
        self.file("srv/acme/cg/kubepods-pod77/cpuset.cpus.effective", "0-6\n");
        self.file(&format!("srv/acme/cg/{group}/cpuset.cpus.effective"), "1-3\n");
        self.file(&format!("srv/acme/cg/{group}/cpuset.mems.effective"), "0\n");
    }
}
