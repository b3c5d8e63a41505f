//! The checks of locality, on made machines but where a test names a recorded one.

use crate::machine::{HALVES, Machine, pci};
use crate::support::{finding, findings, of_dell, of_files, of_preset, of_text, only_status, status, worst};
use nvtopo_audit::AuditedProcess;
use nvtopo_audit::Status::{Fail, NotApplicable, Pass, Unknown, Warn};

/// The tests whose verdicts count as cases of their checks.
pub(crate) const CASES: &[fn()] = &[
    a_gpu_without_a_numa_node_fails_on_two,
    several_numa_nodes_in_a_package_warn,
    more_numa_nodes_than_the_kubelet_takes_fail,
    the_cpus_and_memory_of_a_process_are_judged,
    a_control_group_has_the_limits_of_the_one_above,
    each_gpu_has_an_adapter_of_its_own_on_recorded_and_made_machines,
    a_gpu_without_an_adapter_below_its_switch_fails,
    a_matrix_tells_pairs_and_no_packages,
    ports_that_manage_switches_are_no_adapters,
    interrupts_far_from_their_adapter_warn,
];

const GPU: &str = HALVES[0].gpu;
const NIC: &str = HALVES[0].nic;

#[test]
fn a_gpu_without_a_numa_node_fails_on_two() {
    assert_eq!(only_status(&Machine::new().report(), "gpu-numa-node"), Pass);
    let mut machine = Machine::new();
    machine.set(&pci(GPU, "numa_node"), "-1");
    // Others below the host bridge name a node, which is no help to the device plugin.
    let report = machine.report();
    assert_eq!(status(&report, "gpu-numa-node", "GPU0"), Fail);
    assert_eq!(status(&report, "gpu-numa-node", "GPU1"), Pass);
    machine.remove("sys/devices/system/node/node1").set("sys/devices/system/node/online", "0");
    machine.set(&pci(HALVES[1].gpu, "numa_node"), "-1");
    assert_eq!(only_status(&machine.report(), "gpu-numa-node"), Warn, "one node");
    let links = of_files(&["audit/gpud/nvidia-smi.nvlink.status.a100.txt"]);
    assert_eq!(only_status(&links, "gpu-numa-node"), Unknown);
    // The driver names all nodes where the kernel names none.
    let matrix = |nodes: &str| format!("\tGPU0\tCPU Affinity\tNUMA Affinity\nGPU0\t X \t0-111\t{nodes}\n");
    assert_eq!(only_status(&of_text(&matrix("0-1")), "gpu-numa-node"), Unknown);
    assert_eq!(only_status(&of_text(&matrix("1")), "gpu-numa-node"), Pass);
    // Nothing lists adapters.
    for check in
        ["gpu-nic-pairing", "nic-other-socket", "acs-on-p2p-path", "gpudirect-module", "rdma-memlock"]
    {
        assert_eq!(only_status(&links, check), Unknown, "{check}");
    }
    assert_eq!(only_status(of_dell(), "gpu-numa-node"), Pass);
}

#[test]
fn several_numa_nodes_in_a_package_warn() {
    assert_eq!(only_status(&Machine::new().report(), "numa-subdivision"), Pass);
    let mut machine = Machine::new();
    for cpu in 0..8 {
        let folder = format!("sys/devices/system/cpu/cpu{cpu}/topology");
        machine.set(&format!("{folder}/physical_package_id"), "0");
        machine.set(&format!("{folder}/core_id"), &cpu.to_string());
        machine.set(&format!("{folder}/core_siblings_list"), "0-7");
    }
    let report = machine.report();
    let found = finding(&report, "numa-subdivision", "node");
    assert_eq!((found.status, found.text.as_str()), (Warn, "a processor package has 2 NUMA nodes with CPUs"));
    let report = of_dell();
    assert_eq!(only_status(report, "numa-subdivision"), Unknown);
}

#[test]
fn more_numa_nodes_than_the_kubelet_takes_fail() {
    let mut machine = Machine::new();
    machine.set("sys/devices/system/node/online", "0-9");
    for node in 2..10 {
        machine.set(&format!("sys/devices/system/node/node{node}/cpulist"), "");
        machine.set(
            &format!("sys/devices/system/node/node{node}/meminfo"),
            &format!("Node {node} MemTotal: 1024 kB"),
        );
    }
    assert!(
        findings(&machine.report(), "numa-subdivision").iter().any(|own| own.status == Unknown),
        "no kubelet"
    );
    machine
        .set("var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\ntopologyManagerPolicy: restricted");
    let report = machine.report();
    assert_eq!(worst(&report, "numa-subdivision"), Fail, "{report:#?}");
    let more = "topologyManagerPolicy: restricted\ntopologyManagerPolicyOptions:\n  max-allowable-numa-nodes: \"10\"";
    machine.set("var/lib/kubelet/config.yaml", more);
    assert_eq!(only_status(&machine.report(), "numa-subdivision"), Pass);
}

#[test]
fn the_cpus_and_memory_of_a_process_are_judged() {
    let machine = Machine::new();
    let report = machine.report();
    assert_eq!(only_status(&report, "gpu-cpus-allowed"), Pass, "it is not confined");
    assert_eq!(only_status(&report, "gpu-mems-allowed"), Pass);
    let mut machine = Machine::new();
    machine.set("proc/self/status", "Cpus_allowed_list:\t0-3\nMems_allowed_list:\t0");
    let report = machine.report();
    assert_eq!(status(&report, "gpu-cpus-allowed", "GPU0"), Pass);
    let found = finding(&report, "gpu-cpus-allowed", "GPU1");
    let text = "this process may run on CPUs 0-3, and 4-7 are near it";
    assert_eq!((found.status, found.text.as_str()), (Fail, text));
    assert_eq!(status(&report, "gpu-mems-allowed", "GPU1"), Fail);
    // Another process, and one that is not in the evidence.
    machine.set("proc/77/status", "Cpus_allowed_list:\t0-4\nMems_allowed_list:\t0-1");
    let report = machine.report_with(|audit| audit.process(AuditedProcess::Pid(77)));
    let found = finding(&report, "gpu-cpus-allowed", "GPU0");
    let text = "1 of the 5 CPUs that process 77 may run on are far from it";
    assert_eq!((found.status, found.text.as_str()), (Warn, text));
    assert_eq!(only_status(&report, "gpu-mems-allowed"), Pass);
    machine.set("var/lib/kubelet/memory_manager_state", r#"{"policyName":"Static","machineState":{}}"#);
    let report = machine.report_with(|audit| audit.process(AuditedProcess::Pid(77)));
    assert_eq!(only_status(&report, "gpu-mems-allowed"), Warn);
    let report = machine.report_with(|audit| audit.process(AuditedProcess::Pid(78)));
    assert_eq!(only_status(&report, "gpu-cpus-allowed"), Unknown);
    assert_eq!(only_status(&report, "gpu-mems-allowed"), Unknown);
}

#[test]
fn a_control_group_has_the_limits_of_the_one_above() {
    let mut machine = Machine::new();
    machine.set("sys/fs/cgroup/kubepods/cpuset.cpus.effective", "4-7");
    machine.set("sys/fs/cgroup/kubepods/cpuset.mems.effective", "1");
    let of = |machine: &Machine, path: &str| {
        machine.report_with(|audit| audit.process(AuditedProcess::Cgroup(path.into())))
    };
    let report = of(&machine, "/kubepods/pod1");
    assert_eq!(status(&report, "gpu-cpus-allowed", "GPU1"), Pass);
    assert_eq!(status(&report, "gpu-cpus-allowed", "GPU0"), Fail);
    assert_eq!(status(&report, "gpu-mems-allowed", "GPU0"), Fail);
    for path in ["../../etc", "nobody"] {
        assert_eq!(only_status(&of(&machine, path), "gpu-cpus-allowed"), Unknown, "{path}");
    }
    // Version 1 of control groups.
    machine.remove("sys/fs/cgroup/kubepods").set("sys/fs/cgroup/cpuset/a/cpuset.cpus", "0-3");
    assert_eq!(status(&of(&machine, "a/b"), "gpu-cpus-allowed", "GPU0"), Pass);
}

#[test]
fn each_gpu_has_an_adapter_of_its_own_on_recorded_and_made_machines() {
    let report = of_dell();
    assert_eq!(findings(report, "gpu-nic-pairing").len(), 8);
    assert_eq!(only_status(report, "gpu-nic-pairing"), Pass);
    assert_eq!(only_status(report, "nic-other-socket"), Pass);
    for preset in ["dgx-h100", "dgx-a100"] {
        assert_eq!(only_status(&of_preset(preset), "gpu-nic-pairing"), Pass, "{preset}");
    }
    assert_eq!(only_status(&Machine::new().report(), "gpu-nic-pairing"), Pass);
    // Four adapters for eight GPUs.
    let report = of_preset("dgx-1-v100");
    assert_eq!(worst(&report, "gpu-nic-pairing"), Warn);
    let shared = findings(&report, "gpu-nic-pairing").iter().filter(|own| own.status == Warn).count();
    assert_eq!((shared, findings(&report, "gpu-nic-pairing").len()), (4, 8));
}

#[test]
fn a_gpu_without_an_adapter_below_its_switch_fails() {
    let mut machine = Machine::new();
    machine.remove("sys/class/infiniband/mlx5_1").remove(&format!("sys/bus/pci/devices/{}", HALVES[1].nic));
    let report = machine.report();
    let found = finding(&report, "gpu-nic-pairing", "GPU1");
    let text = "the nearest RDMA adapter is mlx5_0 at SYS, while other GPUs have one at PXB or nearer";
    assert_eq!((found.status, found.text.as_str()), (Fail, text));
    let found = finding(&report, "nic-other-socket", "GPU1");
    assert_eq!(found.status, Fail, "{}", found.text);
    assert_eq!(status(&report, "nic-other-socket", "GPU0"), Pass);
    // A virtual machine may hide the switch.
    machine.set("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu hypervisor");
    assert_eq!(status(&machine.report(), "gpu-nic-pairing", "GPU1"), Unknown);
    machine.remove("sys/class/infiniband/mlx5_0").remove(&format!("sys/bus/pci/devices/{NIC}"));
    assert_eq!(only_status(&machine.report(), "gpu-nic-pairing"), NotApplicable);
    assert_eq!(only_status(&machine.report(), "nic-other-socket"), NotApplicable);
}

#[test]
fn a_matrix_tells_pairs_and_no_packages() {
    let matrix = "\tGPU0\tGPU1\tNIC0\tCPU Affinity\tNUMA Affinity\nGPU0\t X \tSYS\tPIX\t0-3\t0\nGPU1\tSYS\t X \tSYS\t4-7\t1\n\
                  NIC0\tPIX\tSYS\t X \t\t\n\nLegend:\n\n  X    = Self\n\nNIC Legend:\n\n  NIC0: mlx5_0\n";
    let report = of_text(matrix);
    assert_eq!(status(&report, "gpu-nic-pairing", "GPU0"), Pass);
    assert_eq!(status(&report, "gpu-nic-pairing", "GPU1"), Fail);
    assert_eq!(status(&report, "nic-other-socket", "GPU1"), Unknown);
    assert_eq!(status(&report, "nic-other-socket", "GPU0"), Pass);
}

#[test]
fn ports_that_manage_switches_are_no_adapters() {
    // As on HGX B200: ConnectX-7 functions without NVSwitches on the bus, with their mark in vital product data.
    let mut machine = Machine::new();
    machine.set(&pci(NIC, "vpd"), "SMDL=SW_MNG");
    let report = machine.report();
    assert_eq!(status(&report, "gpu-nic-pairing", "GPU0"), Fail);
    assert_eq!(status(&report, "gpu-nic-pairing", "GPU1"), Pass);
    assert!(findings(&report, "pcie-width").iter().all(|own| own.subject != "mlx5_0"));
}

#[test]
fn interrupts_far_from_their_adapter_warn() {
    assert_eq!(only_status(&Machine::new().report(), "nic-irq-locality"), Pass);
    let mut machine = Machine::new();
    machine.set("proc/irq/100/smp_affinity_list", "0-7");
    let report = machine.report();
    let found = finding(&report, "nic-irq-locality", "mlx5_0");
    assert_eq!((found.status, found.text.as_str()), (Warn, "CPUs far from it may serve 1 of 4 interrupts"));
    machine.set("proc/irq/100/smp_affinity_list", "2").set("sys/devices/system/cpu/isolated", "2");
    let report = machine.report();
    assert_eq!(finding(&report, "nic-irq-locality", "mlx5_0").text, "isolated CPUs serve 1 of 4 interrupts");
    machine.remove("proc/irq");
    assert_eq!(only_status(&machine.report(), "nic-irq-locality"), Unknown);
}

#[test]
fn presets_have_no_fault_in_pcie_locality_and_isolation() {
    for preset in nvtopo::source::PRESETS {
        let report = of_preset(preset.name);
        let themes = ["pcie", "locality", "isolation"];
        let own = report.findings().iter().filter(|own| themes.contains(&own.check.theme.word()));
        let bad: Vec<_> = own.filter(|own| own.status == Fail).collect();
        assert!(bad.is_empty(), "{}: {bad:#?}", preset.name);
    }
}

#[test]
fn recorded_machines_of_any_kind_are_audited() {
    let mut audited = 0;
    for kind in ["lspci", "topo-m", "nccl-xml", "rdma", "hostile"] {
        let folder = crate::support::data(kind);
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let locator = nvtopo::source::Locator::Path(entry.path());
            if let Ok(contents) = nvtopo::source::Contents::open(&[locator]) {
                crate::support::of(&contents);
                audited += 1;
            }
        }
    }
    assert!(audited > 50, "{audited}");
}
