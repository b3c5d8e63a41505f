//! The time to read a machine, beside libhwloc in the same run: on this machine, on recorded ones, and from hwloc's XML.
//!
//! CPU time of the thread that reads, user and system, since the two should not be told apart by what else the machine
//! does. hwloc reads all devices too, and loads no plugins. It takes a recorded machine from the environment of its
//! process, so each tree is a process of its own: this program again. A row counts only if both found the same CPUs.

use hwlocality::Topology as Hwloc;
use hwlocality::object::types::ObjectType;
use hwlocality::topology::builder::{BuildFlags, TypeFilter};
use nvtopo::Topology;
use nvtopo::source::Locator;
use rustix::time::{ClockId, clock_gettime};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const ROUNDS: usize = 25;

fn main() {
    if let Some(root) = std::env::var_os("NVTOPO_BENCH_ROOT") {
        row(&std::env::var("NVTOPO_BENCH_NAME").expect("a name"), Path::new(&root));
        return;
    }
    println!("{:<40} {:>5} {:>11} {:>11} {:>7}", "machine", "CPUs", "nvtopo", "hwloc", "ratio");
    child("this machine", Path::new("/"));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/sysfs");
    let mut archives: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("recorded machines")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    archives.retain(|path| path.to_string_lossy().ends_with(".tar.bz2"));
    archives.sort();
    let place = std::env::temp_dir().join(format!("nvtopo-bench-{}", std::process::id()));
    for archive in archives {
        let name = archive.file_name().expect("a name").to_string_lossy().replace(".tar.bz2", "");
        let file = std::fs::File::open(&archive).expect("a file");
        tar::Archive::new(bzip2::read::BzDecoder::new(file)).unpack(place.join(&name)).expect("an archive");
        let root = std::fs::read_dir(place.join(&name))
            .expect("a folder")
            .next()
            .expect("one folder")
            .expect("an entry");
        child(&name, &root.path());
    }
    let _ = std::fs::remove_dir_all(place);
    // Of the recorded files, one that libhwloc 2.9 reads: it refuses those of hwloc 3.
    let name = "llnl-g4dnmetal.xml";
    child(name, &Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/hwloc-xml").join(name));
}

fn child(name: &str, root: &Path) {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.env("NVTOPO_BENCH_ROOT", root).env("NVTOPO_BENCH_NAME", name);
    // Its plugins ask OpenCL and X servers, and loading them would be most of what a small machine costs.
    command.env("HWLOC_PLUGINS_PATH", "/nonexistent");
    if root.is_dir() && root != Path::new("/") {
        command.env("HWLOC_FSROOT", root).env("HWLOC_THISSYSTEM", "0");
        // CPUID describes this machine's CPU, not the recorded one's.
        command.env("HWLOC_COMPONENTS", "linux,stop");
    }
    let status = command.status().expect("a process");
    assert!(status.success(), "{name}");
}

fn row(name: &str, from: &Path) {
    let ours = || Topology::open(&[Locator::Path(from.to_owned())]).expect("a machine");
    let theirs = || {
        let mut builder = Hwloc::builder();
        if from.is_file() {
            builder = builder.from_xml_file(from).expect("a file");
        }
        let builder = builder.with_io_type_filter(TypeFilter::KeepAll).expect("a filter");
        builder.with_flags(BuildFlags::INCLUDE_DISALLOWED).expect("a flag").build().expect("a machine")
    };
    // One after the other: taking turns, each would find the processor's caches filled by the other.
    let own = (0..ROUNDS).map(|_| time(ours)).collect();
    let other = (0..ROUNDS).map(|_| time(theirs)).collect();
    let cpus = (ours().cpus().len(), theirs().objects_with_type(ObjectType::PU).count());
    let (own, other) = (median(own), median(other));
    let ratio = other.as_secs_f64() / own.as_secs_f64();
    let verdict = if cpus.0 == cpus.1 { format!("{ratio:>6.2}x") } else { format!("hwloc found {}", cpus.1) };
    println!("{name:<40} {:>5} {own:>11.1?} {other:>11.1?} {verdict}", cpus.0);
}

fn time<T>(call: impl FnOnce() -> T) -> Duration {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap_or(0))
    };
    let start = now();
    std::hint::black_box(call());
    now().saturating_sub(start)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
