//! Many scrapes: 200 a second, while the memory, the threads and the open files of the program stay as they are.

use crate::program::Program;
use std::time::{Duration, Instant};

/// The scrapes in a second, and the seconds: `NVTOPOD_SCRAPE_SECONDS`, else few.
const RATE: u32 = 200;
const SECONDS: u32 = 3;

/// The use of a process: resident memory in kB, threads, open files.
#[derive(Clone, Copy, Debug)]
struct Use {
    memory: u64,
    threads: u64,
    files: usize,
}

fn usage(pid: u32) -> Use {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    Use { memory: field("VmRSS:"), threads: field("Threads:"), files }
}

#[test]
fn memory_is_flat_under_many_scrapes() {
    let seconds = std::env::var("NVTOPOD_SCRAPE_SECONDS").map_or(SECONDS, |text| text.parse().unwrap());
    // Read anew every second, so that readings replace each other under the scrapes.
    let program = Program::start(&["--from", "preset:dgx-h100", "--interval", "1s"]);
    let (mut scrapes, mut bytes, mut longest) = (0_u32, 0_usize, Duration::ZERO);
    let mut scrape_for = |seconds: u32| {
        let (start, count) = (Instant::now(), RATE * seconds);
        for number in 0..count {
            let due = start + Duration::from_secs(1) / RATE * number;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let begun = Instant::now();
            let accept = if number % 2 == 0 { "accept: application/openmetrics-text\r\n" } else { "" };
            let answer = program.get("/metrics", accept);
            assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("nvtopo_check_subjects{"));
            longest = longest.max(begun.elapsed());
            (scrapes, bytes) = (scrapes + 1, bytes + answer.len());
        }
        start.elapsed()
    };
    // The first ones fill the allocator's pools.
    scrape_for(2);
    let before = usage(program.pid());
    let took = scrape_for(seconds);
    let after = usage(program.pid());
    println!(
        "{} scrapes in {:.1} s, {} kB each, the longest {:.0} ms; resident memory {} kB before, {} kB after",
        RATE * seconds,
        took.as_secs_f64(),
        bytes / scrapes as usize / 1000,
        longest.as_secs_f64() * 1e3,
        before.memory,
        after.memory
    );
    assert!(after.memory < before.memory + 2048, "{before:?} {after:?}");
    assert!(after.threads <= before.threads + 1 && after.files <= before.files + 4, "{before:?} {after:?}");
}
