//! Trees made up for single questions: files as the kernel writes them on machines without a record, and files as it
//! would never write them.

mod caches;
mod machine;
mod nics;
mod pcie;

use crate::model::{LinkKind, MachineIdentity, NodeKind, NoteKind, Origin};
use crate::source::Locator;
use crate::{Bandwidth, ErrorKind, PathType, Result, Topology};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

const CPU: &str = "sys/devices/system/cpu";
const NODE: &str = "sys/devices/system/node";

/// A tree that goes when the test ends.
struct Made(PathBuf);

impl Drop for Made {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Made {
    fn empty() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("nvtopo-sysfs-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let made = Self(std::env::temp_dir().join(name));
        std::fs::create_dir_all(&made.0).unwrap();
        made
    }

    /// Returns two packages with four CPUs and a NUMA node each, without SMT.
    fn new() -> Self {
        let mut made = Self::empty().file(&format!("{CPU}/online"), "0-7\n");
        for cpu in 0..8 {
            let package = cpu / 4;
            made = made.cpu(cpu, package, ["0f", "f0"][package as usize]);
        }
        made.file(&format!("{NODE}/online"), "0-1\n").node(0, "0f").node(1, "f0")
    }

    fn cpu(self, cpu: u32, package: u32, siblings: &str) -> Self {
        let folder = format!("{CPU}/cpu{cpu}/topology");
        self.file(&format!("{folder}/physical_package_id"), &package.to_string())
            .file(&format!("{folder}/core_id"), &cpu.to_string())
            .file(&format!("{folder}/package_cpus"), siblings)
            .file(&format!("{folder}/core_cpus"), &format!("{:x}", 1 << cpu))
    }

    fn node(self, node: u32, cpus: &str) -> Self {
        self.file(&format!("{NODE}/node{node}/cpumap"), cpus)
            .file(&format!("{NODE}/node{node}/meminfo"), &format!("Node {node} MemTotal:  1024 kB\n"))
    }

    fn file(self, path: &str, content: &str) -> Self {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    fn link(self, path: &str, target: &str) -> Self {
        let path = self.0.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path).unwrap();
        self
    }

    /// Adds a PCI device below `pci0000:00` or the root that the path names, with its entry on the bus.
    fn pci(self, path: &str, vendor: &str, class: &str, numa: &str) -> Self {
        let address = path.rsplit('/').next().unwrap();
        let folder = format!("sys/devices/{path}");
        self.file(&format!("{folder}/class"), class)
            .file(&format!("{folder}/vendor"), vendor)
            .file(&format!("{folder}/numa_node"), numa)
            .link(&format!("sys/bus/pci/devices/{address}"), &format!("../../../devices/{path}"))
    }

    fn gpu(self, path: &str, numa: &str) -> Self {
        self.pci(path, "0x10de", "0x030200", numa)
    }

    fn nic(self, path: &str, interface: &str) -> Self {
        self.pci(path, "0x15b3", "0x020000", "1")
            .link(&format!("sys/class/net/{interface}"), &format!("../../devices/{path}/net/{interface}"))
    }

    fn bridge(self, path: &str) -> Self {
        self.pci(path, "0x8086", "0x060400", "1")
    }

    fn speed(self, path: &str, kind: &str, speed: &str, width: &str) -> Self {
        self.file(&format!("sys/devices/{path}/{kind}_link_speed"), speed)
            .file(&format!("sys/devices/{path}/{kind}_link_width"), width)
    }

    fn read(&self) -> Result<Topology> {
        Topology::open(&[Locator::Path(self.0.clone())])
    }

    fn topology(&self) -> Topology {
        self.read().unwrap()
    }
}

fn path(topology: &Topology, a: usize, b: usize) -> Option<PathType> {
    topology.pairs().pair(a, b).path
}

fn has_note(topology: &Topology, kind: NoteKind, words: &str) -> bool {
    topology.notes().iter().any(|note| note.kind() == kind && note.text.contains(words))
}

#[test]
fn a_two_function_nic_below_one_root_port_is_pix() {
    let made = Made::new()
        .bridge("pci0000:80/0000:80:01.0")
        .nic("pci0000:80/0000:80:01.0/0000:81:00.0", "ens1f0")
        .nic("pci0000:80/0000:80:01.0/0000:81:00.1", "ens1f1")
        .bridge("pci0000:80/0000:80:02.0")
        .nic("pci0000:80/0000:80:02.0/0000:82:00.0", "ens2");
    let topology = made.topology();
    assert_eq!(path(&topology, 0, 1), Some(PathType::Pix));
    assert_eq!(path(&topology, 0, 2), Some(PathType::Phb));
    let switches = topology.nodes().filter(|(_, node)| matches!(node.kind, NodeKind::PcieSwitch(_)));
    assert_eq!(switches.count(), 1, "the port above a single device is a wire");
    assert_eq!(topology.local_cpus(topology.devices()[0]).known().unwrap().to_string(), "4-7");
}

#[test]
fn a_switch_is_one_node_and_shared_ports_are_on_it() {
    let up = "pci0000:80/0000:80:01.0/0000:81:00.0";
    let made = Made::new()
        .bridge("pci0000:80/0000:80:01.0")
        .bridge(up)
        .bridge(&format!("{up}/0000:82:00.0"))
        .gpu(&format!("{up}/0000:82:00.0/0000:83:00.0"), "1")
        .pci(&format!("{up}/0000:82:00.0/0000:83:00.1"), "0x10de", "0x040300", "1")
        .bridge(&format!("{up}/0000:82:01.0"))
        .nic(&format!("{up}/0000:82:01.0/0000:84:00.0"), "ib0")
        .nic(&format!("{up}/0000:82:01.0/0000:84:00.1"), "ib1")
        .bridge("pci0000:80/0000:80:02.0")
        .bridge("pci0000:80/0000:80:02.0/0000:90:00.0");
    let topology = made.topology();
    assert_eq!((topology.gpus().len(), topology.nics().len()), (1, 2));
    assert_eq!(path(&topology, 0, 1), Some(PathType::Pix));
    assert_eq!(path(&topology, 1, 2), Some(PathType::Pix));
    let switches: Vec<_> = topology
        .nodes()
        .filter_map(|(_, node)| match &node.kind {
            NodeKind::PcieSwitch(switch) => switch.address.map(|address| address.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(switches, ["0000:81:00.0"], "one node, and none for the empty switch");
}

#[test]
fn cascaded_switches_are_pxb_and_the_slowest_wire_counts() {
    let first = "pci0000:80/0000:80:01.0/0000:81:00.0";
    let second = format!("{first}/0000:82:00.0/0000:83:00.0");
    let gpu = format!("{second}/0000:84:00.0/0000:85:00.0");
    let nic = format!("{first}/0000:82:01.0/0000:90:00.0");
    let made = Made::new()
        .bridge("pci0000:80/0000:80:01.0")
        .bridge(first)
        .bridge(&format!("{first}/0000:82:00.0"))
        .bridge(&second)
        .bridge(&format!("{second}/0000:84:00.0"))
        .gpu(&gpu, "1")
        .bridge(&format!("{first}/0000:82:01.0"))
        .nic(&nic, "ib0")
        .speed(&nic, "current", "16.0 GT/s PCIe", "16")
        .speed(&format!("{first}/0000:82:01.0"), "current", "8.0 GT/s PCIe", "16")
        // An idle GPU and its port show a slow link.
        .speed(&gpu, "current", "2.5 GT/s PCIe", "16")
        .speed(&gpu, "max", "32.0 GT/s PCIe", "16")
        .speed(&format!("{second}/0000:84:00.0"), "current", "2.5 GT/s PCIe", "16")
        .speed(&format!("{second}/0000:84:00.0"), "max", "16.0 GT/s PCIe", "16");
    let topology = made.topology();
    assert_eq!(path(&topology, 0, 1), Some(PathType::Pxb));
    let rate = |device: usize| {
        let id = topology.devices()[device];
        let (_, link) = topology.links_of(id).find(|(_, link)| link.kind == LinkKind::Pcie).unwrap();
        link.rate.unwrap().bandwidth.as_mb_per_s()
    };
    assert_eq!((rate(0), rate(1)), (31_507, 15_753));
}

#[test]
fn virtual_functions_and_gpus_of_virtual_machines_are_left_out() {
    let made = Made::new()
        .nic("pci0000:00/0000:00:03.0", "eth0")
        .nic("pci0000:00/0000:00:03.1", "eth0v0")
        .link("sys/devices/pci0000:00/0000:00:03.1/physfn", "../0000:00:03.0")
        .gpu("pci0000:00/0000:00:04.0", "0")
        .link("sys/devices/pci0000:00/0000:00:04.0/driver", "../../../bus/pci/drivers/vfio-pci")
        .gpu("pci0000:00/0000:00:05.0", "0");
    let topology = made.topology();
    let names: Vec<&str> = topology.nics().map(|nic| &*nic.name).collect();
    assert_eq!(names, ["eth0"]);
    let gpus: Vec<_> = topology.gpus().map(|gpu| (gpu.index, gpu.address.unwrap().device)).collect();
    assert_eq!(gpus, [(0, 5)]);
    assert!(has_note(&topology, NoteKind::Unknown, "vfio-pci"));
    for (driver, count) in [("nvgrace-gpu-vfio-pci", 0), ("pci-stub", 0), ("xen-pciback", 0), ("nvidia", 1)] {
        let made = Made::new().gpu("pci0000:00/0000:00:04.0", "0").link(
            "sys/devices/pci0000:00/0000:00:04.0/driver",
            &format!("../../../bus/pci/drivers/{driver}"),
        );
        let topology = made.topology();
        assert_eq!(topology.gpus().count(), count, "{driver}");
        assert_eq!(has_note(&topology, NoteKind::Unknown, &format!("({driver})")), count == 0);
    }
}

#[test]
fn an_unknown_numa_node_stays_unknown() {
    let made = Made::new()
        .gpu("pci0000:00/0000:00:04.0", "-1")
        .file("sys/devices/pci0000:00/0000:00:04.0/local_cpulist", "0-7")
        .gpu("pci0000:10/0000:10:04.0", "-1")
        .file("sys/devices/pci0000:10/0000:10:04.0/local_cpulist", "4-7")
        .gpu("pci0000:20/0000:20:04.0", "-1")
        .file("sys/devices/pci0000:20/0000:20:04.0/local_cpulist", "2-3");
    let topology = made.topology();
    let node =
        |device: usize| topology.local_nodes(topology.devices()[device]).known().map(ToString::to_string);
    let cpus =
        |device: usize| topology.local_cpus(topology.devices()[device]).known().map(ToString::to_string);
    assert_eq!((node(0), cpus(0)), (None, None));
    assert_eq!((node(1).as_deref(), cpus(1).as_deref()), (Some("1"), Some("4-7")));
    assert_eq!((node(2), cpus(2).as_deref()), (None, Some("2-3")));
    assert!(!topology.nvlink_known());
    assert!(has_note(&topology, NoteKind::Unknown, "NVLink"));
}

#[test]
fn with_one_numa_node_there_is_no_doubt() {
    let made = Made::empty()
        .cpu(0, 0, "3")
        .cpu(1, 0, "3")
        .file("proc/meminfo", "MemTotal:       2048 kB\n")
        .gpu("pci0000:00/0000:00:04.0", "-1");
    let topology = made.topology();
    assert_eq!(topology.local_nodes(topology.devices()[0]).known().unwrap().to_string(), "0");
    assert_eq!(topology.numa_nodes().next().unwrap().memory, Some(2 << 20));
    assert!(has_note(&topology, NoteKind::Inferred, "node 0"));
    assert!(topology.nvlink_known(), "one GPU has nobody to be linked to");
}

#[test]
fn conflicting_numa_nodes_are_noted_and_each_device_keeps_its_own() {
    let made = Made::new()
        .gpu("pci0000:00/0000:00:04.0", "0")
        .gpu("pci0000:00/0000:00:05.0", "1")
        .gpu("pci0000:00/0000:00:06.0", "1");
    let topology = made.topology();
    let nodes: Vec<String> =
        topology.devices().iter().map(|id| topology.local_nodes(*id).known().unwrap().to_string()).collect();
    assert_eq!(nodes, ["0", "1", "1"]);
    assert!(has_note(&topology, NoteKind::Conflict, "0000:00:00.0"));
}

#[test]
fn the_driver_names_gpus_and_their_memory() {
    let gpus = "proc/driver/nvidia/gpus/0009:01:00.0";
    let made = Made::new()
        .file(&format!("{NODE}/online"), "0-2\n")
        .node(2, "00")
        .gpu("pci0009:00/0009:01:00.0", "1")
        .file(
            &format!("{gpus}/information"),
            "Model: \t\t NVIDIA GH200 480GB\nGPU UUID: \t GPU-5c3ee4a8-6b1c-4c5e-8d9a-0123456789ab\n",
        )
        .file(&format!("{gpus}/numa_status"), "Node:      2\nStatus:    online\n");
    let topology = made.topology();
    let gpu = topology.gpus().next().unwrap();
    assert_eq!((gpu.model.as_deref(), gpu.memory_node.known()), (Some("NVIDIA GH200 480GB"), Some(&2)));
    assert!(gpu.uuid.is_some());
    assert_eq!(topology.numa_nodes().nth(2).unwrap().gpu, gpu.address);
}

#[test]
fn an_integrated_gpu_takes_no_node_from_the_cpus() {
    let made = Made::new()
        .gpu("pci0000:00/0000:01:00.0", "0")
        .file("proc/driver/nvidia/gpus/0000:01:00.0/numa_status", "Node:      0\nStatus:    online\n");
    let topology = made.topology();
    assert_eq!(topology.gpus().next().unwrap().memory_node.known(), None);
    assert_eq!(topology.numa_nodes().next().unwrap().cpus.len(), 4);
}

#[test]
fn cgroups_limit_what_may_be_used() {
    let v2 = Made::new()
        .file("sys/fs/cgroup/cpuset.cpus.effective", "0-7")
        .file("sys/fs/cgroup/jobs/cpuset.cpus.effective", "2-3,5\n")
        .file("sys/fs/cgroup/jobs/cpuset.mems.effective", "1\n")
        .file("proc/self/cgroup", "0::/jobs/step\n");
    let machine = v2.topology();
    let allowed = (&machine.machine().allowed_cpus, &machine.machine().allowed_nodes);
    assert_eq!(*allowed.0, Some("2-3,5".parse().unwrap()));
    assert_eq!(*allowed.1, Some("1".parse().unwrap()));

    let mounted = Made::new()
        .file("proc/mounts", "none /my\\040cg cgroup rw,cpuset 0 0\n")
        .file("my cg/job/cpuset.cpus", "0-3")
        .file("my cg/job/cpuset.mems", "0-1")
        .file("proc/self/cgroup", "9:memory:/x\n3:cpuset:/job\n");
    let machine = mounted.topology();
    assert_eq!(machine.machine().allowed_cpus, Some("0-3".parse().unwrap()));
    assert_eq!(machine.machine().allowed_nodes, None, "all nodes are no restriction");

    let foreign = Made::new().file("proc/self/status", "Cpus_allowed_list:\t0\nMems_allowed_list:\t0\n");
    assert_eq!(foreign.topology().machine().allowed_cpus, None, "that is the recorder's affinity");
}

#[test]
fn offline_and_isolated_cpus_are_told_apart() {
    let made = Made::new()
        .file(&format!("{CPU}/online"), "0-2,4-7")
        .file(&format!("{CPU}/isolated"), "1-3\n")
        .file(&format!("{CPU}/nohz_full"), "2-4\n");
    let machine = made.topology();
    assert_eq!(machine.cpus().to_string(), "0-2,4-7");
    assert_eq!(machine.machine().offline_cpus.to_string(), "3");
    assert_eq!(machine.machine().isolated_cpus.to_string(), "1-2");
    assert_eq!(machine.machine().nohz_full_cpus.to_string(), "2,4");
    let machine = made.file(&format!("{CPU}/nohz_full"), "(null)\n").topology();
    assert!(machine.machine().nohz_full_cpus.is_empty());
    assert!(!has_note(&machine, NoteKind::Damage, "nohz_full"));
}

#[test]
fn the_identity_is_a_digest() {
    let id = "0123456789abcdef0123456789abcdef";
    let made = Made::new().file("etc/machine-id", id);
    let topology = made.topology();
    let Origin::Machine(identity) = topology.origin() else { panic!("{:?}", topology.origin()) };
    assert_eq!(identity, &super::identity(&super::Tree::new(&made.0)));
    assert!(identity.boot.is_none() && !id.contains(identity.machine.as_deref().unwrap()));
    let blank = Made::new().file("etc/machine-id", "uninitialized\n");
    assert_eq!(super::identity(&super::Tree::new(&blank.0)), MachineIdentity::default());
}

#[test]
fn a_folder_around_the_root_is_looked_through() {
    let made = Made::new();
    let outer = Made::empty();
    std::fs::rename(&made.0, outer.0.join("machine")).unwrap();
    assert_eq!(outer.topology().cpus().len(), 8);
    let error = Made::empty().read().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("sys/devices/system/cpu"), "{error}");
}

#[test]
fn links_do_not_lead_out_of_the_tree() {
    let made = Made::new()
        .link("etc/machine-id", "/etc/machine-id")
        .link("proc/sys/kernel/random", "../../../../../../../../proc/sys/kernel/random");
    let topology = made.topology();
    assert_eq!(topology.origin(), &Origin::Unknown);
    // Inside, an absolute link starts at the tree's own root.
    let made =
        Made::new().file("run/id", "0123456789abcdef0123456789abcdef").link("etc/machine-id", "/run/id");
    assert!(matches!(made.topology().origin(), Origin::Machine(_)));
}

#[test]
fn hostile_trees_are_read_or_refused() {
    let long = "1,".repeat(400_000);
    let node = format!("{NODE}/node0");
    let made = Made::new()
        .file(&format!("{CPU}/cpu4294967295/topology/core_id"), "0")
        .file(&format!("{CPU}/cpu99999999999999999999/online"), "1")
        .file(&format!("{CPU}/cpu1/topology/core_id"), &"9".repeat(100_000))
        .file(&format!("{CPU}/cpu2/topology/core_cpus"), &"f".repeat(100_000))
        .file(&format!("{CPU}/cpu3/topology/package_cpus"), "ffffffff,,")
        .file(&format!("{CPU}/cpu0/cache"), "a file where a folder should be")
        .file(&format!("{CPU}/cpu4/cache/index0/level"), "-7")
        .file(&format!("{CPU}/cpu4/cache/index0/shared_cpu_map"), "00")
        .file(&format!("{CPU}/cpu4/cache/index0/size"), "é")
        .file(&format!("{NODE}/online"), "0-65535")
        .file(&format!("{node}/distance"), "10 99999999999 x")
        .file(&format!("{node}/meminfo"), "MemTotal: 18446744073709551615 kB")
        .file(&format!("{CPU}/isolated"), &long)
        .link(&format!("{CPU}/cpu5/cache"), "../cpu5/cache")
        .link("sys/bus/pci/devices/0000:00:01.0", "0000:00:01.0")
        .link("sys/bus/pci/devices/0000:00:02.0", "../../../../../../../../../../etc")
        .link("sys/class/net/eth0", "../../devices/pci0000:00/0000:00:01.0/net/eth0")
        .file("sys/bus/pci/devices/0000:00:03.0/class", "0x02zz00")
        .file("sys/bus/pci/devices/0000:00:04.0/class", "0x020000")
        .file("sys/class/infiniband", "no folder");
    let topology = made.topology();
    assert_eq!(topology.cpus().to_string(), "0-7");
    assert!(has_note(&topology, NoteKind::Damage, "cpu4294967295"));
    assert!(has_note(&topology, NoteKind::Damage, "isolated is longer"));
    assert_eq!(topology.nics().len(), 1);
    assert!(topology.notes().len() < 40, "{:?}", topology.notes());
}

#[test]
fn cpuinfo_alone_names_the_cpus() {
    let made = Made::empty().file("proc/cpuinfo", "processor\t: 0\nmodel name\t: X\n\nprocessor\t: 1\n");
    let topology = made.topology();
    assert_eq!(topology.cpus().to_string(), "0-1");
    assert!(has_note(&topology, NoteKind::Unknown, "share a core"));
}

#[test]
fn numbers_make_cores_and_packages_where_sets_are_missing() {
    let mut made = Made::empty();
    for (cpu, (package, core)) in [("0", "0"), ("0", "0"), ("1", "0"), ("1", "-1")].into_iter().enumerate() {
        made = made
            .file(&format!("{CPU}/cpu{cpu}/topology/physical_package_id"), package)
            .file(&format!("{CPU}/cpu{cpu}/topology/core_id"), core);
    }
    let topology = made.topology();
    let count = |is: fn(&NodeKind) -> bool| topology.nodes().filter(|(_, node)| is(&node.kind)).count();
    assert_eq!(count(|kind| matches!(kind, NodeKind::Package(_))), 2);
    assert_eq!(count(|kind| matches!(kind, NodeKind::Core(_))), 2);
    assert_eq!(count(|kind| matches!(kind, NodeKind::Pu(_))), 4);
}

#[test]
fn copies_instead_of_links_are_looked_up_in_the_tree_of_devices() {
    let port = "pci0000:80/0000:80:01.0";
    let devices = || {
        Made::new()
            .bridge(port)
            .nic(&format!("{port}/0000:81:00.0"), "ens1f0")
            .nic(&format!("{port}/0000:81:00.1"), "ens1f1")
    };
    let without_bus = devices();
    std::fs::remove_dir_all(without_bus.0.join("sys/bus")).unwrap();
    assert_eq!(path(&without_bus.topology(), 0, 1), Some(PathType::Pix));

    let copied = devices();
    for function in ["0000:81:00.0", "0000:81:00.1"] {
        std::fs::remove_file(copied.0.join("sys/bus/pci/devices").join(function)).unwrap();
    }
    let class = |function: &str| format!("sys/bus/pci/devices/{function}/class");
    let copied = copied.file(&class("0000:81:00.0"), "0x020000").file(&class("0000:81:00.1"), "0x020000");
    assert_eq!(path(&copied.topology(), 0, 1), Some(PathType::Pix));
}

#[test]
fn a_tree_without_cpus_is_an_error_that_says_why() {
    let made = Made::empty().file(CPU, "a file");
    let error = made.read().unwrap_err();
    assert!(error.to_string().contains("should be a directory"), "{error}");
    let made = Made::empty().file(&format!("{CPU}/online"), "7").file(&format!("{CPU}/cpu0/online"), "0");
    assert_eq!(made.read().unwrap_err().kind(), ErrorKind::InvalidInput);
    let made = Made::new().file(&format!("{CPU}/online"), "");
    assert_eq!(made.topology().cpus().len(), 8, "a list without CPUs is damaged");
}

#[test]
fn pipes_do_not_block() {
    let made = Made::new();
    let pipe = made.0.join("proc/cpuinfo");
    std::fs::create_dir_all(pipe.parent().unwrap()).unwrap();
    let done = std::process::Command::new("mkfifo").arg(&pipe).status();
    if done.is_ok_and(|status| status.success()) {
        assert_eq!(made.topology().cpus().len(), 8);
    }
    assert!(super::find_root(Path::new("/dev/null")).is_err());
}
