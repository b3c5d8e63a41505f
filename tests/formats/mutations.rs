//! Recorded texts, damaged at random: each goes through the readers, all writers, the readers again, a comparison and a picture.
//!
//! The test does a few rounds of a fixed seed. `just attack SECONDS` goes on for longer, with a seed of its own, and leaves what
//! fails in the folder that it names.

use super::data;
use super::through::through;
use nvtopo::Topology;
use nvtopo::source::MAX_INPUT;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Longer than any input of this size should take, in a build without optimization on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);

/// Numbers that break arithmetic.
const NUMBERS: [&str; 12] = [
    "-1",
    "0",
    "1",
    "63",
    "64",
    "255",
    "256",
    "65535",
    "65536",
    "4294967295",
    "18446744073709551615",
    "99999999999999999999999",
];

/// Pseudorandom numbers (`SplitMix64`).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below the bound, and 0 where that is 0.
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// A range within a length, mostly a short one.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length);
        let most = if self.below(4) == 0 { length } else { 200 };
        start..(start + self.below(most)).min(length)
    }
}

/// Damages a text in one way.
fn damage(bytes: &mut Vec<u8>, others: &[(PathBuf, Vec<u8>)], random: &mut Random) {
    let length = bytes.len();
    match random.below(9) {
        0 if length > 0 => {
            let place = random.below(length);
            bytes[place] ^= 1 << random.below(8);
        }
        1 => bytes.truncate(random.below(length)),
        2 => {
            let block = bytes[random.range(length)].to_vec();
            let place = random.below(length);
            bytes.splice(place..place, block);
        }
        3 => _ = bytes.drain(random.range(length)),
        4 | 5 => {
            let mut lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            let (a, b) = (random.below(lines.len()), random.below(lines.len()));
            match random.below(3) {
                0 => lines.swap(a, b),
                1 => _ = lines.remove(a),
                _ => lines.insert(b, lines[a].clone()),
            }
            *bytes = lines.join(&b'\n');
        }
        6 | 7 => number(bytes, random),
        _ => {
            let other = &others[random.below(others.len())].1;
            let block = &other[random.range(other.len())];
            let place = random.below(length);
            bytes.splice(place..place, block.iter().copied());
        }
    }
}

/// Replaces one number by another.
fn number(bytes: &mut Vec<u8>, random: &mut Random) {
    let is_start =
        |place: &usize| bytes[*place].is_ascii_digit() && (*place == 0 || !bytes[place - 1].is_ascii_digit());
    let starts: Vec<usize> = (0..bytes.len()).filter(is_start).collect();
    if starts.is_empty() {
        return;
    }
    let start = starts[random.below(starts.len())];
    let end = (start..bytes.len()).find(|place| !bytes[*place].is_ascii_digit()).unwrap_or(bytes.len());
    bytes.splice(start..end, NUMBERS[random.below(NUMBERS.len())].bytes());
}

/// The recorded texts up to a size, with what stands in archives left packed.
fn seeds(largest: usize) -> Vec<(PathBuf, Vec<u8>)> {
    let (mut found, mut folders) = (Vec::new(), vec![data("")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            if bytes.len() <= largest && path.extension().is_none_or(|end| end != "md") {
                found.push((path, bytes));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn damaged_texts_are_refused_or_go_through_everything() {
    let seconds = std::env::var("NVTOPO_ATTACK_SECONDS")
        .ok()
        .map(|text| text.parse::<u64>().expect("a number of seconds"));
    let seeds = seeds(if seconds.is_some() { 200_000 } else { 6_000 });
    let originals: Vec<Option<Topology>> =
        seeds.iter().map(|(_, bytes)| Topology::parse("seed", bytes).ok()).collect();
    assert!(originals.iter().flatten().count() > 60);
    let seed = seconds.map_or(1, |_| std::time::UNIX_EPOCH.elapsed().unwrap().as_secs());
    let (mut random, begin) = (Random(seed), Instant::now());
    let (mut tried, mut read, mut failed) = (0, 0, Vec::new());
    // What is being tried, and since when: a case that hangs is told, and ends the test.
    let current: Mutex<Option<(Instant, Vec<u8>)>> = Mutex::new(None);
    let is_over = |tried: usize| seconds.map_or(tried >= 300, |seconds| begin.elapsed().as_secs() >= seconds);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(50));
                if let Some((since, bytes)) = &*current.lock().unwrap()
                    && since.elapsed() > LIMIT
                {
                    println!("{} took more than {LIMIT:?}", keep(bytes, tried_name("slow", bytes)).display());
                    std::process::abort();
                }
            }
        });
        while !is_over(tried) && failed.len() < 20 {
            let place = random.below(seeds.len());
            let mut bytes = seeds[place].1.clone();
            for _ in 0..=random.below(4) {
                damage(&mut bytes, &seeds, &mut random);
            }
            assert!(bytes.len() as u64 <= MAX_INPUT);
            *current.lock().unwrap() = Some((Instant::now(), bytes.clone()));
            match catch_unwind(AssertUnwindSafe(|| through(&bytes, originals[place].as_ref()))) {
                Ok(is_read) => read += usize::from(is_read),
                Err(_) => failed.push(keep(&bytes, tried_name("failed", &bytes))),
            }
            *current.lock().unwrap() = None;
            tried += 1;
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    println!("seed {seed}: {tried} tried, {read} read, {} failed, {:?}", failed.len(), begin.elapsed());
    assert!(failed.is_empty(), "{failed:?}");
    assert!(
        read * 4 > tried,
        "most are refused, {read} of {tried} are read: the damage is too great to try anything"
    );
}

fn tried_name(why: &str, bytes: &[u8]) -> String {
    let digest = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    format!("{why}-{digest:016x}")
}

/// Keeps an input, and returns where.
fn keep(bytes: &[u8], name: String) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("attack");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}
