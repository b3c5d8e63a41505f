//! The checks of the kernel, on a made machine: each passes, fails or warns, and is unknown somewhere.

use crate::machine::Machine;
use crate::support::{finding, findings, of_files, of_text, only_status, status};
use nvtopo_audit::Status::{Fail, NotApplicable, Pass, Unknown, Warn};

/// The tests whose verdicts count as cases of their checks.
pub(crate) const CASES: &[fn()] = &[
    isolated_cpus_stay_out_of_the_shared_pool,
    boot_arguments_name_the_same_cpus,
    nodes_with_gpus_have_their_huge_pages,
    modes_of_memory,
    governors_and_cpus_that_are_offline,
    remote_allocations_are_judged_between_two_readings,
    a_saved_boot_line_tells_as_the_file_does,
];

const KUBELET: &str = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";

#[test]
fn isolated_cpus_stay_out_of_the_shared_pool() {
    let check = "isolcpus-vs-shared-pool";
    let mut machine = Machine::new();
    machine.set("sys/devices/system/cpu/isolated", "2-3");
    assert_eq!(only_status(&machine.report(), check), NotApplicable);
    machine.set(
        "var/lib/kubelet/config.yaml",
        &format!("{KUBELET}cpuManagerPolicy: static\nreservedSystemCPUs: 0,4\n"),
    );
    assert_eq!(only_status(&machine.report(), check), Unknown);
    let state =
        |shared: &str| format!(r#"{{"policyName":"static","defaultCpuSet":"{shared}","checksum":1}}"#);
    machine.set("var/lib/kubelet/cpu_manager_state", &state("0-1,4-7"));
    assert_eq!(only_status(&machine.report(), check), Pass);
    machine.set("var/lib/kubelet/cpu_manager_state", &state("0-2,4-7"));
    assert!(finding(&machine.report(), check, "node").text.starts_with("containers share CPUs 2,"));
    machine.set("var/lib/kubelet/cpu_manager_state", &state("not a list"));
    assert_eq!(only_status(&machine.report(), check), Unknown);
    machine.set("sys/devices/system/cpu/isolated", "");
    assert_eq!(only_status(&machine.report(), check), Pass);
    // Without the CPU manager all CPUs are shared.
    machine.set("var/lib/kubelet/config.yaml", KUBELET).remove("var/lib/kubelet/cpu_manager_state");
    machine.set("sys/devices/system/cpu/isolated", "7");
    assert_eq!(only_status(&machine.report(), check), Fail);
}

#[test]
fn boot_arguments_name_the_same_cpus() {
    let check = "nohz-rcu-consistent";
    let of = |line: &str| {
        let mut machine = Machine::new();
        machine.set("proc/cmdline", line);
        only_status(&machine.report(), check)
    };
    assert_eq!(of("root=/dev/sda1"), NotApplicable);
    assert_eq!(of("isolcpus=2-3"), NotApplicable);
    assert_eq!(of("isolcpus=nohz,domain,2-3 nohz_full=2-3 rcu_nocbs=2-3"), Pass);
    assert_eq!(of("isolcpus=managed_irq,2-3 nohz_full=2-4"), Warn);
    assert_eq!(of("isolcpus=2-3 rcu_nocbs=all"), Warn);
    let mut machine = Machine::new();
    machine.remove("proc/cmdline");
    assert_eq!(only_status(&machine.report(), check), Unknown);
}

#[test]
fn nodes_with_gpus_have_their_huge_pages() {
    let check = "hugepages-per-node";
    let expected = "huge-pages = [\"1GiB:4\"]";
    let mut machine = Machine::new();
    assert_eq!(only_status(&machine.report(), check), NotApplicable);
    assert_eq!(only_status(&machine.report_expecting(expected), check), Unknown);
    let text = "\tGPU0\tCPU Affinity\tNUMA Affinity\nGPU0\t X \t0-15\t0\n";
    assert_eq!(only_status(&of_text(text), check), Unknown, "a matrix tells no huge pages");
    let pages = |machine: &mut Machine, node: u32, count: u32| {
        let folder = format!("sys/devices/system/node/node{node}/hugepages/hugepages-1048576kB");
        for file in ["nr_hugepages", "free_hugepages"] {
            machine.set(&format!("{folder}/{file}"), &count.to_string());
        }
    };
    pages(&mut machine, 0, 4);
    pages(&mut machine, 1, 4);
    assert_eq!(only_status(&machine.report_expecting(expected), check), Pass);
    pages(&mut machine, 1, 3);
    let report = machine.report_expecting(expected);
    assert_eq!(status(&report, check, "NUMA node 0"), Pass);
    let found = finding(&report, check, "NUMA node 1");
    assert_eq!(
        (found.status, found.text.as_str()),
        (Fail, "it has 3 huge pages of 1024 MiB, where 4 are promised")
    );
    pages(&mut machine, 1, 0);
    assert_eq!(status(&machine.report(), check, "NUMA node 1"), Warn);
}

#[test]
fn modes_of_memory() {
    let mut machine = Machine::new();
    for check in ["thp-mode", "numa-balancing"] {
        assert_eq!(only_status(&machine.report(), check), if check == "thp-mode" { Unknown } else { Pass });
    }
    machine.set("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never");
    machine.set("sys/kernel/mm/transparent_hugepage/defrag", "[always] defer madvise never");
    assert_eq!(only_status(&machine.report(), "thp-mode"), Warn);
    machine.set("sys/kernel/mm/transparent_hugepage/defrag", "always defer [madvise] never");
    assert_eq!(only_status(&machine.report(), "thp-mode"), Pass);

    machine.set("proc/sys/kernel/numa_balancing", "1");
    assert_eq!(only_status(&machine.report(), "numa-balancing"), Pass);
    // A kubelet whose settings cannot be read may pin memory.
    machine.set("var/lib/kubelet/config.yaml", "cpuManagerPolicy: [");
    assert_eq!(only_status(&machine.report(), "numa-balancing"), Unknown);
    machine.set("var/lib/kubelet/config.yaml", KUBELET);
    assert_eq!(only_status(&machine.report(), "numa-balancing"), Pass);
    machine.remove("var/lib/kubelet/config.yaml");
    assert_eq!(only_status(&machine.report_expecting("kubernetes = true"), "numa-balancing"), Unknown);
    machine.set(
        "var/lib/kubelet/memory_manager_state",
        r#"{"policyName":"Static","machineState":{},"checksum":1}"#,
    );
    assert_eq!(only_status(&machine.report(), "numa-balancing"), Warn);
    machine.set("proc/sys/kernel/numa_balancing", "0");
    assert_eq!(only_status(&machine.report(), "numa-balancing"), Pass);
    machine.set("proc/sys/kernel/numa_balancing", "x");
    assert_eq!(only_status(&machine.report(), "numa-balancing"), Unknown);
}

#[test]
fn governors_and_cpus_that_are_offline() {
    let mut machine = Machine::new();
    assert_eq!(only_status(&machine.report(), "cpu-governor"), Unknown);
    assert_eq!(only_status(&machine.report(), "cpus-offline"), Pass);
    for cpu in 0..8 {
        machine.set(&format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor"), "performance");
    }
    assert_eq!(only_status(&machine.report(), "cpu-governor"), Pass);
    machine.set("sys/devices/system/cpu/cpu5/cpufreq/scaling_governor", "powersave");
    let report = machine.report();
    assert_eq!(
        finding(&report, "cpu-governor", "node").text,
        "the governor is powersave on CPUs 5, where performance is expected"
    );
    machine.set("sys/devices/system/cpu/present", "0-9");
    assert_eq!(finding(&machine.report(), "cpus-offline", "node").text, "CPUs 8-9 are offline");
    machine.set("sys/devices/system/cpu/present", "0-15").set("sys/devices/system/cpu/smt/control", "off");
    assert_eq!(only_status(&machine.report(), "cpus-offline"), Pass);
    let report = of_files(&["audit/gpud/nvidia-smi.nvlink.status.a100.txt"]);
    assert_eq!(only_status(&report, "cpus-offline"), Unknown);
}

#[test]
fn remote_allocations_are_judged_between_two_readings() {
    let check = "numa-remote-rate";
    let of = |seconds: u32, local: u32, other: u32| {
        let mut machine = Machine::new();
        for node in 0..2 {
            let text = format!("numa_hit {local}\nnuma_miss 0\nlocal_node {local}\nother_node {other}");
            machine.set(&format!("sys/devices/system/node/node{node}/numastat"), &text);
        }
        machine.set("proc/uptime", &format!("{seconds}.00 1.00"));
        machine
    };
    let then = of(1000, 5000, 4000);
    assert_eq!(only_status(&of(1010, 6000, 4010).report(), check), Unknown);
    assert_eq!(only_status(&of(1010, 6000, 4010).report_since(&then), check), Pass);
    let report = of(1010, 6000, 4500).report_since(&then);
    assert_eq!(status(&report, check, "NUMA node 1"), Warn);
    // The counters were reset, or nothing happened.
    assert_eq!(only_status(&of(1010, 10, 4500).report_since(&then), check), Unknown);
    assert_eq!(only_status(&of(1010, 5000, 4000).report_since(&then), check), Unknown);
    assert_eq!(findings(&report, check).len(), 2);
}

#[test]
fn a_saved_boot_line_tells_as_the_file_does() {
    let mut machine = Machine::new();
    machine.remove("proc/cmdline");
    let line = "BOOT_IMAGE=/vmlinuz isolcpus=2-3 nohz_full=2-5\n";
    let report = machine.report_beside(&[("cmdline.txt", line)], "");
    assert_eq!(only_status(&report, "nohz-rcu-consistent"), Warn);
}
