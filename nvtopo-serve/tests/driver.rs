//! This machine with a stand-in for NVIDIA's library: traffic, processes, events, and a driver that hangs.

use crate::program::{Program, Scratch};
use crate::prometheus::promtool;
use std::io::Write as _;
use std::time::{Duration, Instant};

/// A directory with the stand-in under the name of NVIDIA's library, and the machine that it plays.
struct Driver(Scratch);

impl Driver {
    fn new(preset: &str) -> Self {
        let folder = Scratch::new("driver");
        std::fs::create_dir_all(&folder.0).unwrap();
        let library = std::env::current_exe().unwrap().with_file_name("libfake_nvml.so");
        assert!(library.exists(), "{} was not built", library.display());
        std::os::unix::fs::symlink(library, folder.0.join("libnvidia-ml.so.1")).unwrap();
        let topology = nvtopo::Topology::preset(preset).unwrap();
        std::fs::write(folder.0.join("machine.json"), topology.to_json()).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.0.join(name).display().to_string()
    }

    fn start(&self, faults: &str, arguments: &[&str]) -> Program {
        let variables = [
            ("LD_LIBRARY_PATH", self.0.text().to_owned()),
            ("FAKE_NVML_MACHINE", self.path("machine.json")),
            ("FAKE_NVML_FAULTS", faults.to_owned()),
        ];
        Program::begin(&[&["--interval", "1s"], arguments].concat(), &variables)
    }
}

/// Returns the value of a series; the labels as they are written.
fn series(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    Some(line.parse().unwrap())
}

#[test]
fn scrapes_go_on_while_the_driver_hangs_and_it_is_told() {
    let driver = Driver::new("hgx-a100-4");
    let hanging = driver.path("hanging");
    let mut program = driver.start(&format!("hang-while:2:{hanging}"), &["--kernel-log", "/dev/null"]);
    program.wait("/readyz", "HTTP/1.1 200");
    let sound = program.get("/metrics", "");
    assert_eq!(series(&sound, "nvtopo_source_success{source=\"nvml\"}"), Some(1.0), "{sound}");
    let last = series(&sound, "nvtopo_snapshot_timestamp_seconds").unwrap();
    assert!(
        sound.contains("nvtopo_topology_info{") && sound.contains("nvtopo_nvlink_up{gpu=\"2\",link=\"0\"} 1")
    );

    std::fs::write(&hanging, "").unwrap();
    let begun = Instant::now();
    let mut longest = Duration::ZERO;
    loop {
        let started = Instant::now();
        assert!(program.get("/metrics", "").starts_with("HTTP/1.1 200"));
        assert!(program.get("/healthz", "").starts_with("HTTP/1.1 200"));
        longest = longest.max(started.elapsed());
        let ready = program.get("/readyz", "");
        if ready.starts_with("HTTP/1.1 503") {
            assert!(ready.contains("NVIDIA's driver hangs"), "{ready}");
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(120));
        std::thread::sleep(Duration::from_millis(20));
    }
    println!(
        "not ready {:.1} s after the driver hung; the longest pair of scrapes took {longest:?}",
        begun.elapsed().as_secs_f64()
    );
    assert!(longest < Duration::from_secs(2), "{longest:?}");
    let text = program.get("/metrics", "");
    assert_eq!(series(&text, "nvtopo_source_success{source=\"nvml\"}"), Some(0.0), "{text}");
    // The age is that of the last complete reading, and nothing is said to have changed.
    let then = series(&text, "nvtopo_snapshot_timestamp_seconds").unwrap();
    assert!(then >= last && then < last + begun.elapsed().as_secs_f64() + 2.0, "{then} {last}");
    assert!(
        !text.contains("nvtopo_topology_info{") && !text.contains("nvtopo_nvlink_up{gpu=\"2\""),
        "{text}"
    );
    assert!(text.contains("nvtopo_nvlink_up{gpu=\"1\",link=\"0\"} 1"), "others are told: {text}");

    // It answers again.
    std::fs::remove_file(&hanging).unwrap();
    program.wait("/readyz", "HTTP/1.1 200");
    let text = program.get("/metrics", "");
    assert!(series(&text, "nvtopo_snapshot_timestamp_seconds").unwrap() > then, "{text}");
    assert!(text.contains("nvtopo_topology_info{"));

    std::fs::write(&hanging, "").unwrap();
    program.wait("/readyz", "HTTP/1.1 503");
    let told = Instant::now();
    assert!(program.end().success());
    assert!(told.elapsed() < Duration::from_secs(6), "{:?}", told.elapsed());
    std::fs::remove_file(&hanging).unwrap();
}

#[test]
fn a_driver_that_hangs_from_the_start_leaves_the_program_alive() {
    let driver = Driver::new("hgx-a100-4");
    let mut program = driver.start("hang:0", &["--kernel-log", "/dev/null"]);
    let text = program.wait("/metrics", "nvtopo_source_success{source=\"nvml\"} 0");
    assert!(!text.contains("nvtopo_snapshot_timestamp_seconds"), "no reading was complete: {text}");
    assert!(program.get("/readyz", "").starts_with("HTTP/1.1 503"));
    assert!(program.end().success());
}

#[test]
fn traffic_events_and_jobs_of_this_machine_are_told() {
    let driver = Driver::new("dgx-h100");
    let log = driver.path("kmsg");
    let line = |number: u32, text: &str| format!("4,{number},{number}000000,-;{text}\n");
    std::fs::write(&log, line(1, "NVRM: Xid (PCI:0000:01:00): 13, pid=1, name=old, x")).unwrap();
    let own = std::process::id();
    let program = driver.start(&format!("pids:3:{own}"), &["--kernel-log", &log]);
    program.wait("/readyz", "HTTP/1.1 200");
    let text = program.get("/metrics", "");
    let (_, body) = text.split_once("\r\n\r\n").unwrap();
    assert_eq!(promtool(&["check", "metrics"], body), "");
    // The stand-in counts GPU * 100000 + link * 1000 + field, in KiB.
    let sent = "nvtopo_nvlink_bytes_total{gpu=\"3\",link=\"5\",direction=\"sent\"}";
    assert_eq!(series(&text, sent), Some(f64::from(305_138 * 1024)), "{text}");
    let errors = "nvtopo_nvlink_errors_total{gpu=\"3\",link=\"5\",error=\"replays\"}";
    assert_eq!(series(&text, errors), Some(305_000.0));
    assert!(text.contains("nvtopo_nvlink_group_info{gpu=\"0\",group=\"0-7\"} 1"));
    assert_eq!(series(&text, "nvtopo_source_success{source=\"kernel_log\"}"), Some(1.0));
    // Its counters rest, so its rate is known to be 0 from the second reading on.
    let rate = "nvtopo_nvlink_group_bytes_per_second{group=\"0-7\",direction=\"received\"} 0";
    program.wait("/metrics", rate);

    let address = gpu_address(&text, 3);
    let mut file = std::fs::OpenOptions::new().append(true).open(&log).unwrap();
    let events = [
        format!(
            "NVRM: Xid ({address}): 74, pid='<unknown>', name=<unknown>, NVLink: fatal error detected on link 14(0x0)"
        ),
        format!("NVRM: Xid ({address}): 31, pid={own}, name=python3, channel 0x00000007"),
    ];
    for (number, event) in (2..).zip(&events) {
        file.write_all(line(number, event).as_bytes()).unwrap();
    }
    let text = program.wait("/metrics", "xid=\"74\"");
    let labels = |code: u32, link: &str| format!("{{device=\"{address}\",xid=\"{code}\",gpu=\"3\"{link}}}");
    let count = |code, link| series(&text, &format!("nvtopo_xid_events_total{}", labels(code, link)));
    assert_eq!((count(74, ",link=\"14\""), count(31, "")), (Some(1.0), Some(1.0)), "{text}");
    let last = series(&text, &format!("nvtopo_xid_last_timestamp_seconds{}", labels(31, "")));
    assert!(last.is_some_and(|last| last > 1e9), "{text}");
    // Checks see the log too: a GPU that fell off the bus fails.
    let fallen = format!("NVRM: Xid ({}): 79, GPU has fallen off the bus.", gpu_address(&text, 5));
    file.write_all(line(9, &fallen).as_bytes()).unwrap();
    program.wait(
        "/metrics",
        "nvtopo_check_subjects{check=\"gpu-count\",severity=\"critical\",status=\"fail\"} 1",
    );
    // Who sees the host's processes is told the jobs.
    if std::fs::read_to_string("/proc/2/comm").is_ok_and(|name| name == "kthreadd\n") {
        let struck = "nvtopo_event_job_info{gpu=\"3\",event=\"xid\",code=\"74\",job_kind=\"";
        assert!(text.contains(struck), "{text}");
        assert!(text.contains("nvtopo_gpu_job_info{gpu=\"3\",job_kind=\""));
        assert!(program.log().contains("xid 74 at "), "{}", program.log());
    }
}

fn gpu_address(text: &str, gpu: u32) -> String {
    let line =
        text.lines().find(|line| line.starts_with(&format!("nvtopo_gpu_info{{gpu=\"{gpu}\","))).unwrap();
    let (_, rest) = line.split_once("pci_bus_id=\"").unwrap();
    rest.split_once('"').unwrap().0.to_owned()
}
