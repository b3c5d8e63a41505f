//! The checks of the kubelet and of labels, on a made machine and recorded state files.

use crate::machine::Machine;
use crate::support::{data, finding, findings, of_texts, only_status, status};
use nvtopo_audit::Status::{Fail, NotApplicable, Pass, Unknown, Warn};
use nvtopo_audit::{Report, check};

/// The tests whose verdicts count as cases of their checks.
pub(crate) const CASES: &[fn()] = &[
    without_a_kubelet_nothing_is_judged,
    flags_of_the_process_go_over_its_files,
    policies_of_cpus,
    policies_of_topology,
    pods_that_never_start,
    policies_of_memory,
    containers_have_cpus_and_memory_near_their_gpus,
    hints_of_devices,
    versions_of_the_driver,
    tags_of_the_drivers_image_are_compared,
    files_of_the_kubelet_are_found_among_other_outputs,
    labels_say_what_the_hardware_says,
    schedulers_that_know_numa_nodes,
];

const HEAD: &str = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";

/// A machine with a kubelet of these settings.
fn kubelet(settings: &str) -> Machine {
    let mut machine = Machine::new();
    machine.set("var/lib/kubelet/config.yaml", &format!("{HEAD}{settings}"));
    machine
}

fn report(settings: &str) -> Report {
    kubelet(settings).report()
}

fn recorded(name: &str) -> String {
    std::fs::read_to_string(data(&format!("audit/kubelet/{name}"))).unwrap()
}

#[test]
fn without_a_kubelet_nothing_is_judged() {
    let (plain, declared) = (Machine::new().report(), Machine::new().report_expecting("kubernetes = true"));
    for own in
        check::checks().filter(|own| own.theme == check::Theme::Kubernetes && own.code != "driver-stack-skew")
    {
        assert_eq!(only_status(&plain, own.code), NotApplicable, "{}", own.code);
        assert_eq!(only_status(&declared, own.code), Unknown, "{}", own.code);
    }
}

#[test]
fn flags_of_the_process_go_over_its_files() {
    let mut machine = kubelet("cpuManagerPolicy: none\n");
    machine.set("proc/2/comm", "kthreadd").set("proc/9/comm", "kubelet");
    let flags = "/usr/bin/kubelet\0--config=/var/lib/kubelet/config.yaml\0--config-dir\0/etc/kubelet.d\0--reserved-cpus=0,4\0";
    machine.set("proc/9/cmdline", flags);
    machine.set("etc/kubelet.d/10-cpus.conf", &format!("{HEAD}cpuManagerPolicy: static\n"));
    let report = machine.report();
    assert_eq!(
        finding(&report, "kubelet-config-source", "node").text,
        "its settings are from var/lib/kubelet/config.yaml, then etc/kubelet.d/10-cpus.conf, then flags of the process"
    );
    assert_eq!(only_status(&report, "cpu-manager-static"), Pass);
    assert_eq!(only_status(&report, "reserved-cpus"), Pass);
    // A file that is named and not there makes all of it unknown.
    machine.remove("var/lib/kubelet/config.yaml");
    assert_eq!(only_status(&machine.report(), "cpu-manager-static"), Unknown);
    assert_eq!(only_status(&report_of_broken(), "kubelet-config-source"), Unknown);
    assert_eq!(
        status(
            &self::report("evictionHard: {memory.avail: 1Gi}\n"),
            "kubelet-config-source",
            "evictionHard.memory.avail"
        ),
        Warn
    );
}

#[test]
fn a_saved_list_of_processes_goes_over_a_saved_configuration() {
    let processes = "  PID COMMAND\n    1 /sbin/init\n  812 /usr/bin/kubelet --config=/var/lib/kubelet/config.yaml --reserved-cpus=0,4\n";
    let settings = format!("{HEAD}cpuManagerPolicy: static\n");
    let matrix = "\tGPU0\tCPU Affinity\tNUMA Affinity\nGPU0\t X \t0-7\t0\n";
    let texts = [("topo.txt", matrix), ("ps.txt", processes), ("kubelet.yaml", settings.as_str())];
    let report = of_texts(&texts, "");
    assert_eq!(only_status(&report, "cpu-manager-static"), Pass);
    let text = "its settings are from kubelet.yaml, then flags of the process";
    assert_eq!(finding(&report, "kubelet-config-source", "node").text, text);
    // A program that only names the kubelet is none.
    let log = processes.replace("  812", "  811 journalctl -fu kubelet\n  812");
    assert_eq!(
        only_status(&of_texts(&[texts[0], ("ps.txt", &log), texts[2]], ""), "cpu-manager-static"),
        Pass
    );
    // Files that go over the configuration are not there, unless the kubelet itself tells its settings.
    let over = processes.replace("--reserved", "--config-dir=/etc/kubelet.d --reserved");
    let open = of_texts(&[texts[0], ("ps.txt", &over), texts[2]], "");
    assert_eq!(only_status(&open, "cpu-manager-static"), Unknown);
    // Without the file that it names, all of it is unknown.
    assert_eq!(only_status(&of_texts(&texts[..2], ""), "cpu-manager-static"), Unknown);
}

fn report_of_broken() -> Report {
    report("cpuManagerPolicy: [\n")
}

#[test]
fn policies_of_cpus() {
    let check = "cpu-manager-static";
    assert_eq!(only_status(&report(""), check), Fail);
    let mut machine = kubelet("cpuManagerPolicy: static\nreservedSystemCPUs: 0,4\n");
    assert_eq!(only_status(&machine.report(), check), Pass);
    machine.set("var/lib/kubelet/cpu_manager_state", &recorded("cpu_manager_state.none.json"));
    let text = "its policy is static, and its state file is of none: the kubelet does not start";
    assert_eq!(finding(&machine.report(), check, "node").text, text);

    let check = "reserved-cpus";
    assert_eq!(only_status(&report("cpuManagerPolicy: static\n"), check), Fail);
    assert_eq!(only_status(&report("cpuManagerPolicy: static\nkubeReserved: {cpu: 500m}\n"), check), Pass);
    assert_eq!(only_status(&report(""), check), NotApplicable);
    assert_eq!(status(&report("reservedSystemCPUs: 0-3\n"), check, "GPU0"), Warn);
    assert_eq!(status(&report("reservedSystemCPUs: 0,99\n"), check, "reservedSystemCPUs"), Fail);
    // A matrix names the CPUs near GPUs only.
    let settings = format!("{HEAD}topologyManagerPolicy: single-numa-node\nreservedSystemCPUs: 0-1\n");
    let matrix =
        "\tGPU0\tGPU1\tCPU Affinity\tNUMA Affinity\nGPU0\t X \tSYS\t32-63\t0\nGPU1\tSYS\t X \t96-127\t1\n";
    let report = of_texts(&[("topo.txt", matrix), ("kubelet.yaml", &settings)], "");
    for check in [check, "policy-fits-board"] {
        assert_eq!(only_status(&report, check), Unknown, "{check}");
    }
    // A saved state tells of a kubelet.
    let state = recorded("cpu_manager_state.none.json");
    let report = of_texts(&[("topo.txt", matrix), ("var/lib/kubelet/cpu_manager_state", &state)], "");
    assert_eq!(only_status(&report, check), Unknown);
    assert_eq!(only_status(&of_texts(&[("topo.txt", matrix)], ""), check), NotApplicable);
}

#[test]
fn policies_of_topology() {
    for (policy, expected) in
        [("none", Fail), ("best-effort", Warn), ("restricted", Pass), ("single-numa-node", Pass), ("x", Fail)]
    {
        let report = report(&format!("topologyManagerPolicy: {policy}\n"));
        assert_eq!(only_status(&report, "topology-manager-policy"), expected, "{policy}");
    }
    let check = "topology-manager-scope";
    assert_eq!(only_status(&report(""), check), NotApplicable);
    assert_eq!(
        only_status(&report("topologyManagerPolicy: restricted\ntopologyManagerScope: pod\n"), check),
        Pass
    );
    let mut machine = kubelet("topologyManagerPolicy: restricted\n");
    assert_eq!(only_status(&machine.report(), check), Unknown);
    machine.set(CHECKPOINT, &held(&[("a", "0", "0")]));
    assert_eq!(only_status(&machine.report(), check), Pass);
    machine.set(CHECKPOINT, &held(&[("a", "0", "0"), ("b", "1", "1")]));
    assert_eq!(only_status(&machine.report(), check), Warn);
}

#[test]
fn pods_that_never_start() {
    let check = "policy-fits-board";
    let single =
        "cpuManagerPolicy: static\nreservedSystemCPUs: 0,4\ntopologyManagerPolicy: single-numa-node\n";
    let found = report(single);
    let found = finding(&found, check, "policy single-numa-node");
    assert_eq!(found.status, Warn);
    assert_eq!(
        found.text,
        "pods of 2 GPUs never start: no NUMA node has so many GPUs near it; under best-effort or restricted they do"
    );
    let subject = "policy single-numa-node";
    assert_eq!(status(&kubelet(single).report_expecting("largest-pod = 2"), check, subject), Fail);
    assert_eq!(status(&kubelet(single).report_expecting("largest-pod = 1"), check, subject), Pass);
    assert_eq!(status(&kubelet(single).report_expecting("largest-pod = 9"), check, subject), Fail);
    assert_eq!(only_status(&report(&single.replace("single-numa-node", "restricted")), check), Pass);
    assert_eq!(only_status(&report_of_broken(), check), Unknown);
    let refused = format!("{single}cpuManagerPolicyOptions:\n  align-by-socket: \"true\"\n");
    let found = report(&refused);
    let text = "the kubelet refuses align-by-socket together with single-numa-node";
    assert_eq!(
        (finding(&found, check, "node").status, finding(&found, check, "node").text.as_str()),
        (Fail, text)
    );
}

#[test]
fn policies_of_memory() {
    let check = "memory-manager-static";
    assert_eq!(only_status(&report(""), check), NotApplicable);
    let sums = "memoryManagerPolicy: Static\nsystemReserved: {memory: 1Gi}\nreservedMemory:\n- {numaNode: 0, limits: {memory: SUM}}\n";
    assert_eq!(only_status(&report(&sums.replace("SUM", "1124Mi")), check), Pass);
    assert_eq!(only_status(&report(&sums.replace("SUM", "1Gi")), check), Fail);
    let mut machine = kubelet("");
    let pages = "sys/devices/system/node/node0/hugepages/hugepages-2048kB";
    machine.set(&format!("{pages}/nr_hugepages"), "8").set(&format!("{pages}/free_hugepages"), "8");
    assert_eq!(only_status(&machine.report(), check), Warn);
    machine
        .set("var/lib/kubelet/memory_manager_state", &recorded("memory_manager_state.static-oldschema.json"));
    assert_eq!(only_status(&machine.report(), check), Fail);
}

const CHECKPOINT: &str = "var/lib/kubelet/device-plugins/kubelet_internal_checkpoint";

/// A checkpoint: containers of one pod, each with the NUMA node of a hint and a GPU.
fn held(containers: &[(&str, &str, &str)]) -> String {
    let entries = containers.iter().map(|(name, node, gpu)| {
        format!(
            r#"{{"PodUID":"p","ContainerName":"{name}","ResourceName":"nvidia.com/gpu","DeviceIDs":{{"{node}":["{gpu}"]}},"AllocResp":""}}"#
        )
    });
    let entries: Vec<String> = entries.collect();
    format!(
        r#"{{"Data":{{"PodDeviceEntries":[{}],"RegisteredDevices":{{"nvidia.com/gpu":["0","1"]}}}},"Checksum":1}}"#,
        entries.join(",")
    )
}

#[test]
fn containers_have_cpus_and_memory_near_their_gpus() {
    let mut machine = kubelet("");
    assert_eq!(only_status(&machine.report(), "cpu-manager-state"), Unknown);
    machine.set(CHECKPOINT, &held(&[("a", "0", "0"), ("b", "1", "1"), ("c", "1", "GPU-gone")]));
    let cpus = r#"{"policyName":"static","defaultCpuSet":"0","entries":{"p":{"a":"1-2","b":"3-4","c":"6","other":"7"}},"checksum":1}"#;
    machine.set("var/lib/kubelet/cpu_manager_state", cpus);
    let memory = r#"{"policyName":"Static","machineState":{},"entries":{"p":{
        "a":[{"numaAffinity":[0],"type":"memory","size":1}],"b":[{"numaAffinity":[0],"type":"memory","size":1}]}},"checksum":1}"#;
    machine.set("var/lib/kubelet/memory_manager_state", memory);
    let report = machine.report();
    let check = "cpu-manager-state";
    assert_eq!((status(&report, check, "p/a"), status(&report, check, "p/c")), (Pass, Unknown));
    assert_eq!(
        finding(&report, check, "p/b").text,
        "its CPUs 3 are not near its GPUs, near which CPUs 4-7 are"
    );
    assert_eq!(findings(&report, check).len(), 3);
    assert_eq!(status(&report, "memory-manager-state", "p/a"), Pass);
    assert_eq!(
        finding(&report, "memory-manager-state", "p/b").text,
        "its memory is from NUMA nodes 0, and its GPUs are near 1"
    );
    machine.set("var/lib/kubelet/memory_manager_state", "{");
    assert_eq!(only_status(&machine.report(), "memory-manager-state"), Unknown);
    machine.set("var/lib/kubelet/memory_manager_state", &recorded("memory_manager_state.none.json"));
    assert_eq!(only_status(&machine.report(), "memory-manager-state"), NotApplicable);
}

#[test]
fn hints_of_devices() {
    let check = "device-hints";
    let mut machine = kubelet("");
    machine.set(CHECKPOINT, &recorded("kubelet_internal_checkpoint.tegra.json"));
    assert_eq!(status(&machine.report(), check, "tegra"), Fail);
    machine.set(CHECKPOINT, &held(&[("a", "0", "0")]));
    assert_eq!(only_status(&machine.report(), check), Pass);
    machine.set(CHECKPOINT, &held(&[]));
    assert_eq!(only_status(&machine.report(), check), Unknown);
    // A saved copy tells the same.
    let saved = recorded("kubelet_internal_checkpoint.tegra.json");
    assert_eq!(only_status(&Machine::new().report_beside(&[("checkpoint", &saved)], ""), check), Fail);
}

#[test]
fn versions_of_the_driver() {
    let check = "driver-stack-skew";
    let mut machine = Machine::new();
    assert_eq!(only_status(&machine.report(), check), Unknown);
    let link = "usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1";
    machine.link(link, "libnvidia-ml.so.570.124.06");
    assert_eq!(only_status(&machine.report(), check), Pass);
    let node = "kind: Node\nmetadata:\n  name: a\n  labels: {nvidia.com/cuda.driver.major: '570', nvidia.com/cuda.driver.minor: '86', nvidia.com/cuda.driver.rev: '15'}\n";
    let report = machine.report_beside(&[("node.yaml", node)], "");
    assert_eq!(status(&report, check, "nvidia.com/cuda.driver"), Warn);
    machine.link(link, "libnvidia-ml.so.570.133.20");
    assert_eq!(only_status(&machine.report(), check), Fail);
    let said = "Failed to initialize NVML: Driver/library version mismatch\n";
    assert_eq!(only_status(&Machine::new().report_beside(&[("smi.txt", said)], ""), check), Fail);
}

#[test]
fn tags_of_the_drivers_image_are_compared() {
    let check = "driver-stack-skew";
    let mut machine = Machine::new();
    machine.link("usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1", "libnvidia-ml.so.570.124.06");
    let of = |tag: &str| {
        let pod = format!(
            "kind: Pod\nmetadata:\n  name: nvidia-driver-daemonset-x\nspec:\n  containers:\n  - image: nvcr.io/nvidia/driver:{tag}\n    name: c\n"
        );
        status(&machine.report_beside(&[("pod.yaml", &pod)], ""), check, "image of the driver")
    };
    assert_eq!(of("570.124.06-ubuntu22.04"), Pass);
    assert_eq!(of("570-5.15.0-1050-ubuntu22.04"), Pass);
    assert_eq!(of("580.65.06-ubuntu22.04"), Warn);
    let other = "  - image: nvcr.io/nvidia/k8s-device-plugin:v0.17.0\n";
    assert_eq!(only_status(&machine.report_beside(&[("pod.yaml", other)], ""), check), Pass);
}

#[test]
fn files_of_the_kubelet_are_found_among_other_outputs() {
    let state = r#"{"policyName":"static","defaultCpuSet":"0,4","entries":{},"checksum":1}"#;
    let text = format!(
        "$ nvidia-smi -L\nGPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-00000000-0000-0000-0000-000000000001)\n\
         $ cat /var/lib/kubelet/config.yaml\n{HEAD}cpuManagerPolicy: static\nreservedSystemCPUs: 0,4\nevictionHard:\n  memory.available: 100Mi\n\
         $ cat /var/lib/kubelet/cpu_manager_state\n{state}\n$ uname -r\n5.15.0\n"
    );
    let report = Machine::new().report_beside(&[("all.txt", &text)], "");
    assert_eq!(only_status(&report, "cpu-manager-static"), Pass);
    assert_eq!(finding(&report, "reserved-cpus", "node").text, "CPUs 0,4 are reserved");
    let configz = r#"{"kubeletconfig":{"cpuManagerPolicy":"none"}}"#;
    let text =
        format!("$ kubectl get --raw /api/v1/nodes/a/proxy/configz\n{configz}\n$ cat state\n{state}\n");
    let report = Machine::new().report_beside(&[("all.txt", &text)], "");
    let text = "its policy is none, and its state file is of static: the kubelet does not start";
    assert_eq!(finding(&report, "cpu-manager-static", "node").text, text);
}

#[test]
fn labels_say_what_the_hardware_says() {
    let check = "label-drift";
    let node = |count: u32| {
        format!(
            "kind: Node\nmetadata:\n  name: a\n  labels: {{nvtopo.io/gpu.count: '{count}', nvidia.com/gpu.count: '2', nvtopo.io/mig: 'off'}}\n"
        )
    };
    let report = Machine::new().report_beside(&[("node.yaml", &node(2))], "");
    assert_eq!((status(&report, check, "node"), status(&report, check, "nvtopo.io/mig")), (Pass, Unknown));
    let report = Machine::new().report_beside(&[("node.yaml", &node(8))], "");
    assert_eq!(
        finding(&report, check, "nvtopo.io/gpu.count").text,
        "the label says 8, and the hardware says 2"
    );
    let two = format!("{}---\n{}", node(2), node(2).replace("name: a", "name: b"));
    assert_eq!(only_status(&Machine::new().report_beside(&[("nodes.yaml", &two)], ""), check), Unknown);
    let mut machine = Machine::new();
    machine.set("proc/sys/kernel/hostname", "b");
    assert_eq!(status(&machine.report_beside(&[("nodes.yaml", &two)], ""), check, "node"), Pass);
}

#[test]
fn schedulers_that_know_numa_nodes() {
    let check = "scheduler-awareness";
    assert_eq!(only_status(&report("topologyManagerPolicy: best-effort\n"), check), NotApplicable);
    let mut machine = kubelet("topologyManagerPolicy: restricted\n");
    assert_eq!(only_status(&machine.report(), check), Unknown);
    let config = "kind: KubeSchedulerConfiguration\nprofiles: []\n";
    assert_eq!(only_status(&machine.report_beside(&[("s.yaml", config)], ""), check), Warn);
    let aware = "kind: KubeSchedulerConfiguration\nprofiles: [{plugins: {filter: {enabled: [{name: NodeResourceTopologyMatch}]}}}]\n";
    assert_eq!(only_status(&machine.report_beside(&[("s.yaml", aware)], ""), check), Pass);
    machine.set("var/lib/kubelet/plugins/gpu.nvidia.com/checkpoint.json", "{}");
    assert_eq!(only_status(&machine.report(), check), Pass);
}
