//! Facts of the machine as a whole: kinds of cores, huge pages, and the hypervisor.

use super::*;
use crate::model::{CoreClass, HugePages, Stated};

fn classes(made: &Made) -> String {
    let topology = made.topology();
    let class = |kind: &NodeKind| match kind {
        NodeKind::Core(core) => Some(match core.class {
            Some(CoreClass::Performance) => 'P',
            Some(CoreClass::Efficiency) => 'E',
            Some(CoreClass::Priority) => '+',
            Some(CoreClass::Standard) => '.',
            None => '-',
        }),
        _ => None,
    };
    topology.nodes().filter_map(|(_, node)| class(&node.kind)).collect()
}

#[test]
fn kernels_name_the_kinds_of_cores_on_x86() {
    let made = Made::new().file("sys/devices/cpu_core/cpus", "0-2\n");
    assert_eq!(classes(&made), "--------", "one kind is no difference");
    let made = made.file("sys/devices/cpu_atom/cpus", "4-6\n");
    assert_eq!(classes(&made), "PPP-EEE-");
    let made = made.file("sys/devices/cpu_lowpower/cpus", "7\n");
    assert_eq!(classes(&made), "PPP-EEEE");
    let made = made.file("sys/devices/cpu_atom/cpus", "x").file("sys/devices/cpu_lowpower/cpus", "900");
    assert_eq!(classes(&made), "--------");
    assert!(has_note(&made.topology(), NoteKind::Damage, "cpu_atom"));
}

#[test]
fn kernels_tell_the_capacity_of_cores_on_arm() {
    let made = |capacities: [&str; 8]| {
        (0..8).zip(capacities).fold(Made::new(), |made: Made, (cpu, capacity)| {
            made.file(&format!("{CPU}/cpu{cpu}/cpu_capacity"), capacity)
        })
    };
    for (capacities, expected) in [
        (["1024"; 8], "--------"),
        (["718", "731", "997", "1017", "1024", "718", "718", "997"], "EEPPPEEP"),
        (["1000", "1024", "1010", "1024", "1024", "1024", "1024", "990"], "--------"),
        (["446", "446", "871", "871", "1024", "446", "446", "1024"], "EEPPPEEP"),
        (["446", "1024", "x", "1024", "1024", "446", "446", "1024"], "--------"),
        (["0"; 8], "--------"),
    ] {
        assert_eq!(classes(&made(capacities)), expected, "{capacities:?}");
    }
}

#[test]
fn priority_cores_are_told_by_their_clocks() {
    let made = |files: &[(&str, [u32; 8])]| {
        files.iter().fold(Made::new(), |made, (name, values)| {
            (0..8).zip(values).fold(made, |made: Made, (cpu, value)| {
                made.file(&format!("{CPU}/cpu{cpu}/{name}"), &format!("{value}\n"))
            })
        })
    };
    let (base, highest, most) =
        ("cpufreq/base_frequency", "acpi_cppc/highest_perf", "cpufreq/cpuinfo_max_freq");
    let (slow, fast) = (2_100_000, 2_800_000);
    let base_clocks = (base, [slow, slow, fast, fast, slow, slow, slow, slow]);
    for (files, expected) in [
        (&[base_clocks][..], "..++...."),
        (&[(base, [slow; 8]), (highest, [46, 46, 39, 39, 39, 39, 39, 46])], "++.....+"),
        (&[base_clocks, (highest, [46, 46, 39, 39, 39, 39, 39, 46])], "..++...."),
        (&[(most, [slow, slow, fast, fast, slow, slow, slow, slow])], "..++...."),
        // Favoured cores, and cores that are ranked one by one.
        (&[(highest, [45, 45, 47, 47, 45, 45, 45, 45])], "--------"),
        (&[(highest, [236, 231, 226, 216, 206, 196, 181, 166])], "--------"),
        (&[(base, [0; 8])], "--------"),
        // A capacity that differs is a matter of the make, and comes first.
        (&[("cpu_capacity", [1024, 1024, 512, 512, 512, 512, 1024, 1024]), base_clocks], "PPEEEEPP"),
        (&[("cpu_capacity", [1024; 8]), base_clocks], "..++...."),
    ] {
        assert_eq!(classes(&made(files)), expected, "{files:?}");
    }
    // A file that cannot be read leaves it unknown.
    let damaged = made(&[base_clocks]).file(&format!("{CPU}/cpu5/{base}"), "fast");
    assert_eq!(classes(&damaged), "--------");
}

#[test]
fn cores_of_one_cpu_are_told_at_once_and_not_believed_against_the_first() {
    let cores = |made: &Made| {
        made.topology().nodes().filter(|(_, node)| matches!(node.kind, NodeKind::Core(_))).count()
    };
    let set = |made: Made, cpu: u32, set: &str| made.file(&format!("{CPU}/cpu{cpu}/topology/core_cpus"), set);
    let wide = || set(set(Made::new(), 2, "0c"), 3, "0c");
    for (made, expected) in [(wide(), 7), (wide().file(&format!("{CPU}/smt/active"), "1\n"), 7)] {
        assert_eq!(cores(&made), expected);
    }
    assert_eq!(cores(&wide().file(&format!("{CPU}/smt/active"), "0\n")), 8);
    // The answer of kernels that have no scheduler for it.
    let made = set(set(wide(), 0, "03"), 1, "03").file(&format!("{CPU}/smt/active"), "0\n");
    assert_eq!(cores(&made), 6);
    // A CPU without any facts is none.
    let made = Made::new().file(&format!("{CPU}/smt/active"), "0\n");
    std::fs::remove_dir_all(made.0.join(CPU).join("cpu3/topology")).unwrap();
    assert_eq!((cores(&made), made.topology().cpus().len()), (7, 7));
}

#[test]
fn huge_pages_are_counted_on_each_node() {
    let pages = |node: u32, size: u64, name: &str| {
        format!("{NODE}/node{node}/hugepages/hugepages-{size}kB/{name}_hugepages")
    };
    let made = Made::new()
        .file(&pages(0, 2048, "nr"), "512\n")
        .file(&pages(0, 2048, "free"), "500\n")
        .file(&pages(0, 1_048_576, "nr"), "4\n")
        .file(&pages(0, 1_048_576, "free"), "0\n")
        .file(&pages(0, 64, "nr"), "0\n")
        .file(&pages(1, 2048, "nr"), "0\n")
        .file(&pages(1, 1_048_576, "nr"), "many\n");
    let topology = made.topology();
    let pages: Vec<_> = topology.numa_nodes().map(|node| node.huge_pages.clone()).collect();
    let (small, large) =
        (HugePages { size: 2 << 20, total: 512, free: 500 }, HugePages { size: 1 << 30, total: 4, free: 0 });
    let none = |size: u64| HugePages { size, total: 0, free: 0 };
    // A count that cannot be read is unknown.
    assert_eq!(pages, [vec![none(64 << 10), small, large], vec![none(2 << 20)]]);
}

#[test]
fn who_runs_the_machine_is_told() {
    let dmi = "sys/class/dmi/id";
    let known = |name: &str| Stated::Known(name.to_owned());
    let (guest, host, arm) = (Some("fpu vme hypervisor lm"), Some("fpu vme lm hypervisor_x"), None);
    for (flags, vendor, product, expected) in [
        (guest, "QEMU", "Standard PC (Q35 + ICH9, 2009)", known("QEMU")),
        (guest, "Red Hat", "KVM", known("KVM")),
        (guest, "OpenStack Foundation", "OpenStack Nova", known("KVM")),
        (guest, "VMware, Inc.", "VMware7,1", known("VMware")),
        (guest, "Microsoft Corporation", "Virtual Machine", known("Microsoft Hyper-V")),
        (guest, "Xen", "HVM domU", known("Xen")),
        (guest, "Amazon EC2", "p5.48xlarge", known("Amazon EC2")),
        (guest, "Google", "Google Compute Engine", known("Google Compute Engine")),
        (guest, "innotek GmbH", "VirtualBox", known("VirtualBox")),
        (guest, "", "", known("unnamed")),
        (guest, "Dell Inc.", "PowerEdge R740", known("unnamed")),
        (host, "Dell Inc.", "PowerEdge R740", Stated::NotAvailable),
        (host, "Amazon EC2", "p4d.metal", Stated::NotAvailable),
        (host, "", "", Stated::NotAvailable),
        (arm, "NVIDIA", "NVIDIA_DGX_Spark", Stated::Unstated),
        (arm, "Amazon EC2", "c7g.16xlarge", known("Amazon EC2")),
        (arm, "Amazon EC2", "c7g.metal", Stated::NotAvailable),
        (arm, "Microsoft Corporation", "Surface", Stated::Unstated),
        (arm, "", "", Stated::Unstated),
    ] {
        let mut made = Made::new().file("proc/cpuinfo", "processor\t: 0\nFeatures\t: fp hypervisor\n");
        if let Some(flags) = flags {
            made = made.file("proc/cpuinfo", &format!("processor\t: 0\nflags\t\t: {flags}\n"));
        }
        if !vendor.is_empty() {
            made =
                made.file(&format!("{dmi}/sys_vendor"), vendor).file(&format!("{dmi}/product_name"), product);
        }
        assert_eq!(made.topology().machine().hypervisor, expected, "{flags:?} {vendor} {product}");
    }
    let xen = Made::new().file("proc/cpuinfo", "flags\t\t: fpu\n").file("sys/hypervisor/type", "xen\n");
    assert_eq!(xen.topology().machine().hypervisor, known("Xen"));
    let power = Made::new().file("proc/device-tree/hypervisor/compatible", "linux,kvm\0");
    assert_eq!(power.topology().machine().hypervisor, known("KVM"));
}

#[test]
fn siblings_without_the_cpu_itself_are_not_believed() {
    let cores = |mask: &str| {
        let topology = Made::new().file(&format!("{CPU}/cpu1/topology/core_cpus"), mask).topology();
        assert_eq!(topology.cpus().to_string(), "0-7", "{mask}");
        topology.nodes().filter(|(_, node)| matches!(node.kind, NodeKind::Core(_))).count()
    };
    assert_eq!(cores("06"), 7);
    for mask in ["08", "80", "00", ""] {
        assert_eq!(cores(mask), 8, "{mask}");
    }
}
