//! Metrics of made and recorded machines: each family where it is known, and none where it is not.

use crate::machine::{HALVES, Machine, pci};
use crate::support::{Folder, data};
use nvtopo::source::{Contents, Files, GpuProcess, Locator};
use nvtopo_audit::metrics::{DriverEvents, GpuWork, Metrics};
use nvtopo_audit::{Audit, Baseline, Profile};
use std::collections::BTreeMap;

/// The samples of a family, by their labels as `name=value,…`.
type Samples = BTreeMap<String, f64>;

/// Returns the samples by the name of their family.
fn families(
    contents: &Contents,
    set: impl for<'a> FnOnce(Metrics<'a>) -> Metrics<'a>,
) -> BTreeMap<&'static str, Samples> {
    let (profile, report) = (Profile::default(), Audit::of(contents).run().unwrap());
    told(&set(Metrics::of(contents, &report, &profile)))
}

fn told(metrics: &Metrics<'_>) -> BTreeMap<&'static str, Samples> {
    let samples = |family: nvtopo_audit::metrics::Family| {
        let labels = |sample: &nvtopo_audit::metrics::Sample| -> String {
            let parts: Vec<String> =
                sample.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
            parts.join(",")
        };
        let all: Samples = family.samples.iter().map(|sample| (labels(sample), sample.value)).collect();
        assert_eq!(all.len(), family.samples.len(), "{} has a series twice", family.name);
        (family.name, all)
    };
    metrics.families().into_iter().map(samples).collect()
}

fn of(samples: &[(&str, f64)]) -> Samples {
    samples.iter().map(|(labels, value)| ((*labels).to_owned(), *value)).collect()
}

#[test]
fn identity_sources_and_pcie_errors_of_a_machine() {
    let mut machine = Machine::new();
    machine.set(&pci(HALVES[0].gpu, "aer_dev_fatal"), "Undefined 0\nTOTAL_ERR_FATAL 3");
    machine.remove(&pci(HALVES[1].nic, "aer_dev_correctable"));
    let written = machine.write();
    let contents = written.read();
    let told = families(&contents, |metrics| metrics);
    let identity = &told["nvtopo_topology_info"];
    let fingerprint = nvtopo_audit::structure(&contents.topology);
    assert_eq!(identity.len(), 1);
    assert!(
        identity.keys().all(|labels| labels.contains(&format!("fingerprint={}", &fingerprint[7..23]))),
        "{identity:?}"
    );
    let sources = &told["nvtopo_source_success"];
    assert_eq!(sources.get("source=sysfs_pci"), Some(&1.0));
    // No driver was asked, and there is no kubelet.
    assert!(!sources.contains_key("source=nvml") && !sources.contains_key("source=kubelet"), "{sources:?}");
    let errors = &told["nvtopo_pcie_aer_errors"];
    let of_device =
        |device: &str, severity: &str| errors.get(&format!("device={device},severity={severity}"));
    assert_eq!(of_device(HALVES[0].gpu, "fatal"), Some(&3.0), "{errors:?}");
    // The ports above count, and what is not counted has no sample.
    assert_eq!(of_device(HALVES[0].root, "correctable"), Some(&0.0));
    assert_eq!(
        (of_device(HALVES[1].nic, "correctable"), of_device(HALVES[1].nic, "fatal")),
        (None, Some(&0.0))
    );
    assert!(!told.contains_key("nvtopo_containers_misaligned"));
    assert!(
        !told.contains_key("nvtopo_snapshot_timestamp_seconds") && !told.contains_key("nvtopo_drift_changes")
    );

    let hanging = families(&contents, |metrics| metrics.driver_hangs(true).read_at(17.0));
    assert!(!hanging.contains_key("nvtopo_topology_info"));
    assert_eq!(hanging["nvtopo_source_success"].get("source=nvml"), Some(&0.0));
    assert_eq!(hanging["nvtopo_snapshot_timestamp_seconds"], of(&[("", 17.0)]));
}

#[test]
fn containers_are_counted_where_they_are_known() {
    let mut machine = Machine::new();
    machine.set("var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\ncpuManagerPolicy: static");
    let held = |nic: &str| {
        let device = |name: &str, resource: &str, id: &str| {
            format!(
                r#"{{"PodUID":"p","ContainerName":"{name}","ResourceName":"{resource}","DeviceIDs":{{"0":["{id}"]}}}}"#
            )
        };
        let all = [
            device("a", "nvidia.com/gpu", "0"),
            device("b", "nvidia.com/gpu", "1"),
            device("a", "nvidia.com/mlnxnics", nic),
            device("b", "example.com/fpga", "card7"),
        ];
        format!(
            r#"{{"Data":{{"PodDeviceEntries":[{}],"RegisteredDevices":{{}}}},"Checksum":1}}"#,
            all.join(",")
        )
    };
    let checkpoint = "var/lib/kubelet/device-plugins/kubelet_internal_checkpoint";
    let cpus = |of_b: &str| {
        format!(
            r#"{{"policyName":"static","defaultCpuSet":"0","entries":{{"p":{{"a":"1-2","b":"{of_b}"}}}},"checksum":1}}"#
        )
    };
    let state = "var/lib/kubelet/cpu_manager_state";
    let count = |machine: &Machine| {
        let written = machine.write();
        let contents = written.read();
        families(&contents, |metrics| metrics).remove("nvtopo_containers_misaligned").unwrap_or_default()
    };
    machine.set(checkpoint, &held(HALVES[0].nic)).set(state, &cpus("5"));
    assert_eq!(count(&machine), of(&[("kind=cpu", 0.0), ("kind=nic", 0.0)]));
    machine.set(checkpoint, &held(HALVES[1].nic)).set(state, &cpus("3"));
    assert_eq!(count(&machine), of(&[("kind=cpu", 1.0), ("kind=nic", 1.0)]));
    // A GPU that is not known leaves the number open.
    machine
        .set(checkpoint, &held(HALVES[0].nic).replace(r#"["1"]"#, r#"["GPU-gone"]"#))
        .set(state, &cpus("5"));
    assert_eq!(count(&machine), of(&[("kind=nic", 0.0)]));
}

#[test]
fn drift_is_counted_by_kind() {
    let with = |line: &str| {
        let mut machine = Machine::new();
        machine.set("proc/cmdline", line);
        machine.write()
    };
    let (before, after) = (with("quiet"), with("quiet pci=noats"));
    let (before, after) = (before.read(), after.read());
    let baseline = Baseline::of(&before).with_date("1970-01-01T00:16:40Z");
    let same = families_with(&before, &baseline);
    let drift = &same["nvtopo_drift_changes"];
    let (lost, line) = ("kind=gpu_lost,severity=critical", "kind=kernel_cmdline_changed,severity=warning");
    assert!(drift.values().all(|count| *count == 0.0) && drift.contains_key(lost), "{drift:?}");
    // The made machine tells no NVLinks, so nothing is said of them.
    assert!(!drift.contains_key("kind=nvlink_lost,severity=critical"), "{drift:?}");
    assert_eq!(same["nvtopo_baseline_timestamp_seconds"], of(&[("", 1000.0)]));
    assert_eq!(same["nvtopo_gpus_expected"], of(&[("", 2.0)]));
    let changed = families_with(&after, &baseline);
    let expected: Samples =
        drift.keys().map(|kind| (kind.clone(), if kind == line { 1.0 } else { 0.0 })).collect();
    assert_eq!(changed["nvtopo_drift_changes"], expected);
    assert_eq!(changed["nvtopo_topology_info"], same["nvtopo_topology_info"], "its structure is the same");

    let preset = |name: &str| Contents::open(&[Locator::Preset(name.to_owned())]).unwrap();
    let (whole, half) = (preset("dgx-a100"), preset("hgx-a100-4"));
    let fewer = families_with(&half, &Baseline::of(&whole));
    assert_eq!(fewer["nvtopo_drift_changes"].get(lost), Some(&4.0));
    assert_ne!(fewer["nvtopo_topology_info"], families(&whole, |metrics| metrics)["nvtopo_topology_info"]);
    // A driver that hangs hides what it would tell.
    let (profile, report) = (Profile::default(), Audit::of(&half).run().unwrap());
    let baseline = Baseline::of(&whole);
    let hanging = told(&Metrics::of(&half, &report, &profile).baseline(&baseline).driver_hangs(true));
    assert!(!hanging.contains_key("nvtopo_drift_changes"));
}

fn families_with(contents: &Contents, baseline: &Baseline) -> BTreeMap<&'static str, Samples> {
    let (profile, report) = (Profile::default(), Audit::of(contents).run().unwrap());
    told(&Metrics::of(contents, &report, &profile).baseline(baseline))
}

#[test]
fn saved_counters_of_nvlinks_are_told_by_link_and_groups_by_gpu() {
    let text =
        "GPU 0: NVIDIA B200 (UUID: GPU-00000000-0000-0000-0000-000000000001)\n\t Link 0: Rx Errors: 7\n";
    let folder = Folder::of("metrics-links", &[("errors.txt", text)]);
    let told = families(&folder.read(), |metrics| metrics);
    assert_eq!(told["nvtopo_nvlink_errors"], of(&[("gpu=0,link=0,error=receive_errors", 7.0)]));
    assert!(!told.contains_key("nvtopo_nvlink_bytes"));
    let pairs = Contents::open(&[Locator::Preset("rtx-a6000-4-bridged".to_owned())]).unwrap();
    let told = families(&pairs, |metrics| metrics);
    let groups: Vec<&str> = told["nvtopo_nvlink_group_info"].keys().map(String::as_str).collect();
    assert_eq!(groups, ["gpu=0,group=0-1", "gpu=1,group=0-1", "gpu=2,group=2-3", "gpu=3,group=2-3"]);
    assert!(!told.contains_key("nvtopo_nvlink_group_bytes_per_second"));
}

#[test]
fn the_diagnosis_of_ports_needs_two_readings() {
    let made = |seconds: u32, marked: u64| {
        Machine::bare(seconds)
            .roce("mlx5_0", "eth0")
            .counters("mlx5_0", &[("np_ecn_marked_roce_packets", marked), ("np_cnp_sent", 5)])
    };
    let (before, after) = (made(100, 10).write(), made(110, 900).write());
    let (then, now) = (before.read(), after.read());
    let alone = families(&now, |metrics| metrics);
    assert!(!alone.contains_key("nvtopo_rdma_diagnosis_info"));
    let (profile, report) = (Profile::default(), Audit::of(&now).run().unwrap());
    let told = told(&Metrics::of(&now, &report, &profile).earlier(&then));
    let expected = "device=mlx5_0,port=1,diagnosis=notification-point-off";
    assert_eq!(told["nvtopo_rdma_diagnosis_info"], of(&[(expected, 1.0)]));
}

#[test]
fn events_of_saved_logs_are_resolved_to_links_and_counted_once() {
    let remote = std::fs::read_to_string(data("nvlink-status/h100-2gpu-remote-switches.txt")).unwrap();
    // Made, in the form of NVIDIA's documents: port 46 of this switch is link 0 of GPU0.
    let log = "[ 10.5] nvidia-nvswitch0: SXid (PCI:0000:07:00.0): 24007, Fatal, Link 46 sourcetrack timeout error\n\
               [ 10.5] nvidia-nvswitch0: SXid (PCI:0000:07:00.0): 24007, Severity 1 Engine instance 46\n\
               [ 11.0] nvidia-nvswitch0: SXid (PCI:0000:07:00.0): 20009, Non-fatal, Link 63 RX Short Error Rate\n\
               [ 12.0] NVRM: Xid (PCI:0000:99:00): 79, pid=17, name=python3, GPU has fallen off the bus.\n";
    let files = [
        ("remote.txt", remote.as_str()),
        ("dmesg.txt", log),
        ("syslog.txt", log),
        ("proc/stat", "cpu 1 2\nbtime 1700000000\n"),
    ];
    let folder = Folder::of("metrics-events", &files);
    let contents = folder.read();
    let mut events = DriverEvents::default();
    events.learn(&contents);
    events.set_saved(&contents);
    events.set_saved(&contents);
    let (profile, report) = (Profile::default(), Audit::of(&contents).run().unwrap());
    let told = told(&Metrics::of(&contents, &report, &profile).events(&events));
    let fatal = "nvswitch=0000:07:00.0,port=46,severity=fatal,sxid=24007,gpu=0,link=0";
    // No link leads to port 63.
    let other = "nvswitch=0000:07:00.0,port=63,severity=non_fatal,sxid=20009";
    assert_eq!(told["nvtopo_sxid_events"], of(&[(fatal, 1.0), (other, 1.0)]));
    assert_eq!(told["nvtopo_xid_events"], of(&[("device=0000:99:00.0,xid=79", 1.0)]));
    assert_eq!(told["nvtopo_source_success"].get("source=kernel_log"), Some(&1.0));
}

/// The files of a process: its threads by their last CPUs, its control group, and its memory.
fn process(machine: &mut Machine, pid: u32, cpus: &[u32], group: &str, maps: &str) {
    // Field 22 is the start, field 39 the CPU.
    let stat = |cpu: u32| {
        let fields: Vec<String> =
            (4..=52).map(|field| if field == 39 { cpu } else { field }.to_string()).collect();
        format!("{pid} (a) b (c) S {}", fields.join(" "))
    };
    let folder = format!("proc/{pid}");
    machine.set(&format!("{folder}/stat"), &stat(0)).set(&format!("{folder}/cgroup"), group);
    machine.set(&format!("{folder}/numa_maps"), maps);
    for (thread, cpu) in (pid..).zip(cpus) {
        machine.set(&format!("{folder}/task/{thread}/stat"), &stat(*cpu));
    }
}

/// Returns processes on GPUs, as the driver tells them.
fn on(processes: &[(u32, u32)]) -> Vec<GpuProcess> {
    processes.iter().map(|(gpu, pid)| GpuProcess::new(*gpu, *pid)).collect()
}

#[test]
fn threads_and_memory_far_from_gpus_are_told_with_jobs() {
    let mut machine = Machine::new();
    machine.set("proc/2/comm", "kthreadd");
    let maps = "7f00 default anon=10 dirty=10 N0=6 N1=4 kernelpagesize_kB=4\n7f01 default file=/lib/x mapped=1\n\
                7f02 default huge anon=1 N1=1 kernelpagesize_kB=2048\n";
    process(
        &mut machine,
        10,
        &[0, 1, 5],
        "0::/system.slice/slurmstepd.scope/job_123/step_0/user/task_0",
        maps,
    );
    let pod = "1b2c3d4e-5f60-7182-93a4-b5c6d7e8f901";
    let slice = format!("kubepods-burstable-pod{}.slice", pod.replace('-', "_"));
    let group = format!("12:cpu:/\n0::/kubepods.slice/{slice}/cri-containerd-{}.scope", "ab".repeat(32));
    process(&mut machine, 20, &[6], &group, "7f00 default N1=1 kernelpagesize_kB=4");
    process(
        &mut machine,
        30,
        &[0, 7],
        &format!("0::/system.slice/docker-{}.scope", "cd".repeat(32)),
        "7f00 default N0=1 N1=1 kernelpagesize_kB=4",
    );
    let written = machine.write();
    let contents = written.read();
    let files = Files::of(&written.0);
    // Process 30 is on both GPUs, so all of it is near; 99 has ended.
    let processes = on(&[(0, 10), (1, 20), (0, 30), (1, 30), (0, 99)]);
    let work = GpuWork::read(&files, &contents.topology, &processes, None);
    let (profile, report) = (Profile::default(), Audit::of(&contents).run().unwrap());
    let families = told(&Metrics::of(&contents, &report, &profile).work(&work));
    let kib = 1024.0;
    assert_eq!(
        families["nvtopo_gpu_process_memory_bytes"],
        of(&[
            ("gpu=0,locality=near", 6.0 * 4.0 * kib + 8.0 * kib),
            ("gpu=0,locality=far", 4.0 * 4.0 * kib + 2048.0 * kib),
            ("gpu=1,locality=near", 12.0 * kib),
            ("gpu=1,locality=far", 0.0),
        ])
    );
    assert_eq!(
        families["nvtopo_gpu_process_threads"],
        of(&[
            ("gpu=0,locality=near", 4.0),
            ("gpu=0,locality=far", 1.0),
            ("gpu=1,locality=near", 3.0),
            ("gpu=1,locality=far", 0.0),
        ])
    );
    let container = "job_kind=container,job_id=cdcdcdcdcdcd";
    let jobs = [
        "gpu=0,job_kind=slurm,job_id=123".to_owned(),
        format!("gpu=0,{container}"),
        format!("gpu=1,job_kind=pod,job_id={pod}"),
        format!("gpu=1,{container}"),
    ];
    assert_eq!(families["nvtopo_gpu_job_info"], jobs.into_iter().map(|labels| (labels, 1.0)).collect());

    // Memory is counted anew only where nothing is known of the process.
    process(&mut machine, 20, &[6], &group, "7f00 default N0=9 kernelpagesize_kB=4");
    machine.remove("proc/30/numa_maps");
    let rewritten = machine.write();
    let files = Files::of(&rewritten.0);
    let again = GpuWork::read(&files, &contents.topology, &processes, Some(&work));
    let kept = told(&Metrics::of(&contents, &report, &profile).work(&again));
    assert_eq!(kept["nvtopo_gpu_process_memory_bytes"], families["nvtopo_gpu_process_memory_bytes"]);
    let anew = GpuWork::read(&files, &contents.topology, &processes, None);
    let anew = told(&Metrics::of(&contents, &report, &profile).work(&anew));
    // Of process 30, which is on both GPUs, nothing is known any more.
    assert!(!anew.contains_key("nvtopo_gpu_process_memory_bytes"), "{anew:?}");

    // An event strikes the job of the process that it names, else all on the GPU.
    let mut events = DriverEvents::default();
    events.learn(&contents);
    let line = |tail: &str| format!("NVRM: Xid (PCI:{}): {tail}\n", HALVES[0].gpu.trim_end_matches(".0"));
    let new = events.add(&(line("31, pid=10, name=python3, x") + &line("79, GPU has fallen off the bus")));
    let named: Vec<_> = new.iter().map(|event| events.clone().strike(event, &work, 1.0).len()).collect();
    assert_eq!((events.resolve(&new[0]), named), ((Some(0), None), vec![1, 2]));
    events.strike(&new[0], &work, 1.0);
    let struck = told(&Metrics::of(&contents, &report, &profile).events(&events));
    let expected = "gpu=0,event=xid,code=31,job_kind=slurm,job_id=123";
    assert_eq!(struck["nvtopo_event_job_info"], of(&[(expected, 1.0)]));

    // Numbers of processes are others outside of the host.
    machine.set("proc/2/comm", "bash");
    let inside = machine.write();
    let work = GpuWork::read(&Files::of(&inside.0), &contents.topology, &processes, None);
    assert!(work.jobs_on(0).is_empty());
}
