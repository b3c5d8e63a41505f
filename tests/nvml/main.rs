//! Live discovery with NVIDIA's driver, which a stand-in plays: what the stand-in is told of a machine comes back,
//! and whatever goes wrong becomes a note and loses nothing else.
//!
//! The stand-in takes its machine from the environment of its process, so each case is a process of its own: this
//! program again, running only the test [`child`].

mod counters;
mod facts;
mod instances;
mod slow;
mod snapshot;
mod tree;

use nvtopo::model::{NodeKind, NoteKind};
use nvtopo::source::{Live, PRESETS};
use nvtopo::{CpuLimits, CudaOrder, Part, PathType, Request, Topology, VisibleGpus};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Environment variables of a child.
const ROOT: &str = "NVTOPO_TEST_ROOT";
const LIBRARY: &str = "NVTOPO_TEST_LIBRARY";
const OUT: &str = "NVTOPO_TEST_OUT";
/// Set where the child reads the counters, or the processes by that word, and not the machine.
const COUNTERS: &str = "NVTOPO_TEST_COUNTERS";
/// The timeout of a child in milliseconds.
const TIMEOUT: &str = "NVTOPO_TEST_TIMEOUT";

#[test]
fn child() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let (library, out) = (std::env::var_os(LIBRARY).unwrap(), std::env::var_os(OUT).unwrap());
    let timeout = std::env::var(TIMEOUT).map_or(3000, |milliseconds| milliseconds.parse().unwrap());
    let timeout = Duration::from_millis(timeout);
    let live = Live::default().with_root(root).with_nvml(library).with_timeout(timeout);
    let text = match std::env::var(COUNTERS).as_deref() {
        Err(_) => {
            let found = live.read().unwrap();
            snapshot::check(&live, &found);
            found.to_json()
        }
        Ok("processes") => counters::processes_to_text(live.gpu_processes()),
        Ok(_) => counters::to_text(live.nvlink_counters()),
    };
    std::fs::write(out, text).unwrap();
}

/// A machine on disk: its description for the stand-in, and its sysfs tree.
struct Machine {
    folder: PathBuf,
    /// The preset, with the addresses that it leaves open.
    truth: Topology,
}

impl Drop for Machine {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Machine {
    fn new(preset: &str) -> Self {
        Self::with(preset, |_| true)
    }

    fn with(preset: &str, kinds: impl Fn(&NodeKind) -> bool) -> Self {
        Self::of(with_names(preset), kinds)
    }

    fn of(truth: Topology, kinds: impl Fn(&NodeKind) -> bool) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("nvtopo-nvml-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("machine.json"), truth.to_json()).unwrap();
        tree::write(&folder.join("root"), &truth, kinds);
        Self { folder, truth }
    }

    fn discover(&self, faults: &str) -> Topology {
        self.discover_by(&stand_in(), faults)
    }

    /// Discovers within a timeout in milliseconds.
    fn discover_within(&self, timeout: u32, faults: &str) -> Topology {
        let text = self.ask(&stand_in(), faults, &[(TIMEOUT, &timeout.to_string())]);
        Topology::parse("out.json", &text).unwrap()
    }

    fn discover_by(&self, library: &Path, faults: &str) -> Topology {
        Topology::parse("out.json", &self.ask(library, faults, &[])).unwrap()
    }

    /// Returns the output of a child.
    fn ask(&self, library: &Path, faults: &str, more: &[(&str, &str)]) -> Vec<u8> {
        let out = self.folder.join("out.json");
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .envs([(ROOT, self.folder.join("root")), (OUT, out.clone()), (LIBRARY, library.to_owned())])
            .env("FAKE_NVML_MACHINE", self.folder.join("machine.json"))
            .env("FAKE_NVML_FAULTS", faults)
            .envs(more.iter().copied())
            .output()
            .unwrap();
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
        std::fs::read(out).unwrap()
    }

    /// Returns the stand-in without some of its symbols, as the library of an older driver.
    fn older_library(&self, lacks: &[&str]) -> PathBuf {
        let mut bytes = std::fs::read(stand_in()).unwrap();
        for symbol in lacks {
            let name = [b"\0", symbol.as_bytes(), b"\0"].concat();
            let places: Vec<usize> = (0..bytes.len() - name.len())
                .filter(|&place| bytes[place] == 0 && bytes[place..].starts_with(&name))
                .collect();
            assert!(!places.is_empty(), "{symbol}");
            for place in places {
                bytes[place + 1] = b'-';
            }
        }
        let path = self.folder.join("libolder.so");
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// Returns the stand-in's library, which Cargo puts beside the tests.
fn stand_in() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let library = tests.with_file_name("libfake_nvml.so");
    assert!(library.exists(), "{} was not built", library.display());
    library
}

/// Returns a preset with an address and a UUID for each GPU.
fn with_names(preset: &str) -> Topology {
    let text = Topology::preset(preset).unwrap().to_json();
    let mut document: serde_json::Value = serde_json::from_str(&text).unwrap();
    for node in document["topology"]["nodes"].as_array_mut().unwrap() {
        if let Some(gpu) = node.get_mut("gpu") {
            let index = gpu["index"].as_u64().unwrap();
            gpu["uuid"] = format!("GPU-5c3ee4a8-6b1c-4c5e-8d9a-0123456789{index:02x}").into();
            if gpu.get("address").is_none() {
                gpu["address"] = format!("0000:{:02x}:00.0", 8 * index + 1).into();
            }
        }
    }
    Topology::parse("machine.json", document.to_string().as_bytes()).unwrap()
}

fn notes(topology: &Topology) -> String {
    let notes: Vec<String> = topology.notes().iter().map(ToString::to_string).collect();
    notes.join("\n")
}

#[track_caller]
fn assert_note(topology: &Topology, words: &str) {
    assert!(notes(topology).contains(words), "no '{words}' in:\n{}", notes(topology));
}

/// Returns the notes, but for those that tell that the driver hides something: they are of the machine, not of a fault.
fn faults_noted(topology: &Topology) -> Vec<String> {
    let noted = topology.notes().iter().filter(|note| note.kind() != NoteKind::Inferred);
    noted.map(ToString::to_string).collect()
}

/// Asserts that the GPUs of `truth` were found with all their facts, without those that `except` names.
#[track_caller]
fn assert_same(found: &Topology, truth: &Topology, except: &[usize]) {
    assert_eq!(found.gpus().len(), truth.gpus().len());
    let whole = |gpu: &usize| !except.contains(gpu);
    for gpu in (0..truth.gpus().len()).filter(whole) {
        let (own, expected) = (found.gpus().nth(gpu).unwrap(), truth.gpus().nth(gpu).unwrap());
        assert_eq!(own.index, expected.index);
        assert_eq!((own.uuid, own.address), (expected.uuid, expected.address), "{}", own.name());
        assert_eq!((&own.model, own.memory), (&expected.model, expected.memory), "{}", own.name());
        assert_eq!(own.memory_node, expected.memory_node, "{}", own.name());
        let (id, expected) = (found.devices()[gpu], truth.devices()[gpu]);
        assert_eq!(found.local_cpus(id), truth.local_cpus(expected), "{}", own.name());
        assert_eq!(found.local_nodes(id), truth.local_nodes(expected), "{}", own.name());
        for other in (0..truth.gpus().len()).filter(whole) {
            let (own, expected) = (found.pairs().pair(gpu, other), truth.pairs().pair(gpu, other));
            assert_eq!((own.path, own.nvlinks), (expected.path, expected.nvlinks), "GPU{gpu} and GPU{other}");
            if own.path != Some(PathType::Sys) {
                assert_eq!(own.rate, expected.rate, "GPU{gpu} and GPU{other}");
            }
        }
    }
}

#[test]
fn every_preset_comes_back() {
    for preset in PRESETS {
        let machine = Machine::new(preset.name);
        let found = machine.discover("");
        assert_same(&found, &machine.truth, &[]);
        assert_eq!(faults_noted(&found), Vec::<String>::new(), "{}", preset.name);
        assert_eq!(found.nvlink_groups(), machine.truth.nvlink_groups(), "{}", preset.name);
        let facts = found.machine();
        assert_eq!((facts.driver.as_deref(), facts.cuda.as_deref()), (Some("570.124.06"), Some("12.8")));
        assert!(found.gpus().all(|gpu| gpu.compute_capability.is_some()));
        assert!(found.nvlink_known());
        let c2c = |topology: &Topology| {
            let links = topology.links().filter(|(_, _, link)| link.kind == nvtopo::model::LinkKind::C2c);
            links.map(|(_, _, link)| (link.lanes, link.rate)).collect::<Vec<_>>()
        };
        assert_eq!(c2c(&found), c2c(&machine.truth), "{}", preset.name);
    }
}

#[test]
fn the_driver_alone_is_enough_for_pairs() {
    let machine = Machine::with("dgx-1-v100", |_| false);
    let found = machine.discover("");
    assert_same(&found, &machine.truth, &[]);
}

#[test]
fn a_link_that_is_down_is_missed_and_told() {
    let machine = Machine::new("dgx-1-v100");
    let whole = machine.discover("");
    let found = machine.discover("down:0:0");
    assert_note(&found, "GPU0: 5 NVLinks are up, and 6 on others of its model; down: 0");
    let lost: Vec<(usize, usize, u16)> = (0..8)
        .flat_map(|a| (a + 1..8).map(move |b| (a, b)))
        .map(|(a, b)| (a, b, whole.pairs().pair(a, b).nvlinks - found.pairs().pair(a, b).nvlinks))
        .filter(|(_, _, lost)| *lost > 0)
        .collect();
    assert!(matches!(lost[..], [(0, _, 1)]), "{lost:?}");

    let switched = Machine::new("dgx-h100");
    let found = switched.discover("down:2:17");
    assert_note(&found, "GPU2: 17 NVLinks are up, and 18 on others of its model; down: 17");
    assert_eq!([(2, 3), (3, 4)].map(|(a, b)| found.pairs().pair(a, b).nvlinks), [17, 18]);
}

#[test]
fn a_gpu_off_the_bus_takes_nothing_with_it() {
    let machine = Machine::new("dgx-a100");
    for fault in ["lost:3", "gone:3"] {
        let found = machine.discover(fault);
        assert_same(&found, &machine.truth, &[3]);
        assert_note(&found, "GPU3 has fallen off the bus");
        assert_eq!(faults_noted(&found).len(), 1, "{}", notes(&found));
        let unusable: Vec<_> = found.gpus().map(|gpu| gpu.unusable.as_deref()).collect();
        assert_eq!(unusable.iter().position(Option::is_some), Some(3), "{fault}");
        assert_eq!(unusable[3], Some("has fallen off the bus"));
        // The kernel still has it.
        assert_eq!(found.gpus().nth(3).unwrap().address, machine.truth.gpus().nth(3).unwrap().address);
    }
}

#[test]
fn a_gpu_that_wants_a_reset_is_named() {
    let machine = Machine::new("dgx-a100");
    for (fault, why, note) in [
        ("stuck:3", Some("needs a reset"), "GPU3 needs a reset (nvml"),
        ("recovery:3:1", Some("needs a reset"), "GPU3: the driver asks for a reset; no job can use it"),
        (
            "recovery:3:2",
            Some("needs a restart of the machine"),
            "GPU3: the driver asks for a restart of the machine",
        ),
        ("recovery:3:3", None, "GPU3: the driver asks to end peer-to-peer traffic with it"),
        ("recovery:3:4", None, "GPU3: the driver asks to take the jobs off it and to reset it"),
        (
            "denied:3",
            Some("cannot be opened by the driver"),
            "GPU3: the driver did not answer nvmlDeviceGetHandleByIndex: the current user does not have permission",
        ),
    ] {
        let found = machine.discover(fault);
        assert_same(&found, &machine.truth, &[3]);
        assert_note(&found, note);
        assert_eq!(found.gpus().nth(3).unwrap().unusable.as_deref(), why, "{fault}");
        assert!(found.gpus().enumerate().all(|(gpu, own)| gpu == 3 || own.unusable.is_none()), "{fault}");
    }
    assert_eq!(faults_noted(&machine.discover("recovery:3:0,recovery:4:99")), Vec::<String>::new());
}

#[test]
fn gpus_that_are_not_shown_are_left_out_and_the_others_have_the_drivers_numbers() {
    let machine = Machine::new("dgx-1-v100");
    let found = machine.discover("hidden:0,hidden:1");
    assert_eq!(found.gpus().len(), 6);
    for (gpu, truth) in found.gpus().zip(machine.truth.gpus().skip(2)) {
        assert_eq!((gpu.index + 2, gpu.address, gpu.uuid), (truth.index, truth.address, truth.uuid));
    }
    let counts = |topology: &Topology, a, b| topology.pairs().pair(a, b).nvlinks;
    assert_eq!(counts(&found, 0, 1), counts(&machine.truth, 2, 3));
    assert_note(&found, "does not show these GPUs to this process");
    assert_eq!(faults_noted(&found).len(), 1, "{}", notes(&found));
}

#[test]
fn which_gpu_is_gone_is_not_guessed() {
    let machine = Machine::new("dgx-1-v100");
    let found = machine.discover("hidden:0,gone:1");
    let indices: Vec<u32> = found.gpus().map(|gpu| gpu.index).collect();
    assert_eq!(indices, [0, 1, 2, 3, 4, 5, 6]);
    let gone = found.gpus().nth(1).unwrap();
    assert_eq!((gone.address, gone.unusable.as_deref()), (None, Some("has fallen off the bus")));
    assert_note(&found, "GPU1 has fallen off the bus");
    assert_note(&found, "left out: 0000:06:00.0, 0000:0a:00.0");
}

#[test]
fn what_is_not_supported_is_no_trouble() {
    let machine = Machine::new("hgx-a100-4");
    let calls = ["nvmlDeviceGetMemoryAffinity", "nvmlDeviceGetNvLinkVersion", "nvmlDeviceGetMigMode"];
    let faults: Vec<String> = calls.iter().map(|call| format!("unsupported:{call}")).collect();
    let found = machine.discover(&faults.join(","));
    assert_same(&found, &machine.truth, &[]);
    assert_eq!(faults_noted(&found), Vec::<String>::new());
}

#[test]
fn a_call_that_fails_is_told_with_the_gpus() {
    let machine = Machine::new("hgx-a100-4");
    let found = machine.discover("failing:nvmlDeviceGetCpuAffinity");
    assert_same(&found, &machine.truth, &[]);
    let expected = "GPU0, GPU1, GPU2, GPU3: the driver did not answer nvmlDeviceGetCpuAffinity";
    assert_note(&found, expected);
    assert_eq!(faults_noted(&found).len(), 1, "{}", notes(&found));
    let found = machine.discover("failing:nvmlDeviceGetNvLinkState");
    assert_note(&found, "the driver does not tell of all NVLinks");
    assert!(!found.nvlink_known());
}

#[test]
fn libraries_of_older_drivers_are_read_as_far_as_they_go() {
    let machine = Machine::new("hgx-a100-4");
    let lacks =
        ["nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetNvLinkRemoteDeviceType", "nvmlDeviceGetC2cModeInfoV"];
    let found = machine.discover_by(&machine.older_library(&lacks), "");
    assert_same(&found, &machine.truth, &[]);
    assert_eq!(faults_noted(&found), Vec::<String>::new());
    let found = machine.discover_by(&machine.older_library(&["nvmlDeviceGetNvLinkState"]), "");
    assert!(!found.nvlink_known());
    assert_note(&found, "the driver does not tell of all NVLinks");
    let found = machine.discover_by(&machine.older_library(&["nvmlInit_v2"]), "");
    assert_note(&found, "NVLinks are unknown");
}

#[test]
fn a_driver_that_does_not_start_leaves_the_kernels_view() {
    let machine = Machine::new("dgx-h100");
    let found = machine.discover("mismatch");
    assert_note(
        &found,
        "the NVIDIA driver failed: its library and its kernel module are of different versions",
    );
    assert_eq!(faults_noted(&found).len(), 1, "{}", notes(&found));
    assert!(!found.nvlink_known());
    assert_eq!(found.gpus().len(), 8);
    let found = machine.discover("not-loaded");
    assert_note(&found, "NVIDIA driver is not loaded; load it (modprobe nvidia); NVLinks are unknown");
    assert!(found.driver_trouble().unwrap().contains("is not loaded"));
    assert_eq!(machine.discover("").driver_trouble(), None);
}

#[test]
fn hidden_switches_are_one() {
    let machine = Machine::new("dgx-a100");
    let found = machine.discover("anonymous");
    assert_same(&found, &machine.truth, &[]);
    assert_note(&found, "the driver hides the NVSwitches");
}

#[test]
fn without_a_library_the_reason_is_told_with_and_without_gpus() {
    let nowhere = Path::new("/nowhere/libnvidia-ml.so.1");
    let found = Machine::new("dgx-a100").discover_by(nowhere, "");
    assert_note(&found, "the NVIDIA driver library could not be opened");
    assert_note(&found, "; NVLinks are unknown");
    assert_eq!(faults_noted(&found).len(), 1, "{}", notes(&found));
    // Without a GPU this is the reason why there is none, in each error too.
    let found = Machine::with("dgx-a100", |_| false).discover_by(nowhere, "");
    let reason = "no NVIDIA GPU is on the PCI bus, and the NVIDIA driver library could not be opened";
    assert_note(&found, reason);
    for error in [Request::gpus(1).solve(&found).unwrap_err(), found.device("GPU0").unwrap_err()] {
        assert!(error.to_string().contains("has no GPU"), "{error}");
    }
    let error = Request::gpus(1).solve(&found).unwrap_err();
    assert!(error.message().contains(reason), "{error}");
    let part =
        Part::of_visible(&found, &VisibleGpus::all(&found, CudaOrder::PciBusId), None, &CpuLimits::default())
            .unwrap();
    assert!(part.remarks.iter().any(|remark| remark.contains(reason)), "{:?}", part.remarks);
}

#[test]
fn faults_of_the_fabric_are_told_and_such_gpus_chosen_last() {
    let machine = Machine::new("dgx-h100");
    // Bandwidth that is degraded; routes that are unhealthy; too few NVLinks; and what only the summary says.
    let found = machine.discover("health:0:425:3,health:1:1450:2,health:2:410:2,health:3:0:2");
    let words = |gpu: usize| found.gpu_faults(gpu).iter().map(|fault| fault.word()).collect::<Vec<_>>();
    assert_eq!(words(0), ["degraded-bandwidth"]);
    assert_eq!(words(1), ["insufficient-nvlinks"]);
    assert_eq!(words(2), ["unhealthy-route"]);
    assert_eq!(words(3), ["unhealthy"]);
    assert_eq!(words(4), [""; 0]);
    assert_note(&found, "GPU0: its bandwidth in the NVLink fabric is degraded; such GPUs are chosen last");
    let json = found.to_json();
    for word in ["degraded-bandwidth", "insufficient-nvlinks", "unhealthy-route", "unhealthy"] {
        assert!(json.contains(&format!("\"{word}\"")), "{word}");
    }
    assert_eq!(Topology::parse("out.json", json.as_bytes()).unwrap().gpu_faults(0), found.gpu_faults(0));
    let placement = Request::gpus(4).solve(&found).unwrap();
    assert_eq!(placement.gpu_indices(), [4, 5, 6, 7]);
    assert_eq!(placement.remarks().len(), 4, "{:?}", placement.remarks());
    let text = placement.remarks().join("\n");
    assert!(text.contains("GPU0 is chosen last: its bandwidth in the NVLink fabric is degraded"), "{text}");
    // No more of them are taken than needed, and a note says so.
    let placement = Request::gpus(5).solve(&found).unwrap();
    assert!([4, 5, 6, 7].iter().all(|gpu| placement.gpu_indices().contains(gpu)), "{placement}");
    assert!(!placement.remarks().is_empty());
    let named = Request::gpus(1).only([0]).solve(&found).unwrap();
    assert!(named.remarks().join(" ").contains("degraded"), "{:?}", named.remarks());
}

#[test]
fn a_gpu_that_is_cut_off_from_the_fabric_is_chosen_alone_or_where_named() {
    let machine = Machine::new("dgx-h100");
    let sound = 0b10_10_10_10;
    // Firmware, location, state, chassis, system; a partition that was not assigned, and none: all of them keep it out.
    for mask in [6 << 8, 7 << 8, 8 << 8, 3 << 8, 2 << 8, 0b10 << 12, 4 << 8].map(|bits: u32| bits | sound) {
        let found = machine.discover(&format!("health:0:{mask}:2,health:1:425:3"));
        let why = found.cut_off(0).unwrap().to_string();
        assert_eq!(found.cut_off(1), None);
        assert_note(
            &found,
            &format!("GPU0: {why}; such GPUs are not chosen together with others unless named"),
        );
        let placement = Request::gpus(7).solve(&found).unwrap();
        assert_eq!(placement.gpu_indices(), [1, 2, 3, 4, 5, 6, 7]);
        let told = format!("GPU0 is not chosen together with others unless named: {why}");
        assert!(placement.remarks().contains(&told), "{:?}", placement.remarks());

        let error = Request::gpus(8).solve(&found).unwrap_err();
        assert_eq!(error.kind(), nvtopo::ErrorKind::Unsatisfiable);
        assert!(
            error.message().contains(&format!("not chosen together with others: GPU0 ({why})")),
            "{error}"
        );
        assert!(error.to_string().contains("name such a GPU"), "{error}");
        for named in [Request::gpus(8).include([0]), Request::gpus(8).only(0..8)] {
            assert_eq!(named.solve(&found).unwrap().gpu_indices(), [0, 1, 2, 3, 4, 5, 6, 7]);
        }
        // Of those that are named too, it comes after one that is only slow.
        let some = Request::gpus(2).only([0, 1, 2]).solve(&found).unwrap();
        assert_eq!(some.gpu_indices(), [1, 2]);

        // Alone it is the last, and that is said.
        for (exclude, expected) in [(0..0, 2), (2..8, 1), (1..8, 0)] {
            let one = Request::gpus(1).exclude(exclude).solve(&found).unwrap();
            assert_eq!(
                (one.gpu_indices()[0] >= 2, expected >= 2),
                (expected >= 2, one.gpu_indices()[0] >= 2)
            );
            if expected < 2 {
                assert_eq!(one.gpu_indices(), [expected]);
                assert!(!one.remarks().is_empty());
            }
        }
        let chooser = nvtopo::Chooser::new(&found).unwrap();
        assert_eq!(chooser.choose(0xff, 8), None);
        assert_eq!(chooser.choose(0xff, 7), Some(0xfe));
        assert_eq!((chooser.choose(0b11, 1), chooser.choose(0b01, 1)), (Some(0b10), Some(0b01)));

        let mut node = nvtopo::solve::Allocator::new(&found).unwrap();
        assert_eq!(node.room_for(&Request::gpus(8)).unwrap(), (0, true));
        assert_eq!(node.room_for(&Request::gpus(4)).unwrap(), (1, true));
        assert!(node.place_all(&[Request::gpus(4), Request::gpus(4)]).is_err());
        let jobs = node.place_all(&[Request::gpus(7), Request::gpus(1)]).unwrap();
        assert_eq!(jobs.jobs.len(), 2);
        let job = nvtopo::ParallelJob::new().tp(8).traffic("tp=1GB".parse().unwrap());
        let error = job.map(&found).unwrap_err();
        assert!(error.to_string().contains("GPU0 is left out"), "{error}");
    }
}

#[test]
fn gpus_that_are_all_without_a_partition_are_alike() {
    let mask = 0b10_10_10_10 | 0b10 << 12;
    let all: Vec<String> = (0..8).map(|gpu| format!("health:{gpu}:{mask}:2")).collect();
    let found = Machine::new("dgx-h100").discover(&all.join(","));
    assert!(!found.gpu_faults(0).is_empty());
    assert_eq!(found.cut_off(0), None);
    assert_eq!(Request::gpus(8).solve(&found).unwrap().gpu_indices().len(), 8);
}

#[test]
fn a_gpu_that_did_not_register_is_cut_off_where_others_did() {
    let whole = Machine::new("dgx-h100").discover("");
    assert_eq!(whole.cut_off(0), None);
    let json = whole.to_json();
    let (before, after) = json.split_once("\"status\": 0").unwrap();
    let one = Topology::parse("one.json", format!("{before}\"status\": 23{after}").as_bytes()).unwrap();
    assert_eq!(one.cut_off(0), Some(nvtopo::GpuFault::OutOfFabric));
    assert!(!Request::gpus(7).solve(&one).unwrap().gpu_indices().contains(&0));
    assert!(Request::gpus(8).solve(&one).is_err());
    // If all failed, all are alike.
    let none = Machine::new("dgx-h100").discover("fabric:failed");
    assert_eq!(none.cut_off(0), None);
    assert_eq!(Request::gpus(8).solve(&none).unwrap().gpu_indices().len(), 8);
}
