//! Rings beside those that NCCL's planning code finds, on machines for which it was run alone.

use nvtopo::{Bandwidth, PathType, Topology};
use serde::Deserialize;
use std::fmt::Write as _;
use std::path::Path;

/// The decisions of NCCL for every set of a machine.
#[derive(Deserialize)]
struct Machine {
    name: String,
    nvlinks: Vec<Vec<u32>>,
    path: Vec<Vec<String>>,
    sets: Vec<Set>,
}

#[derive(Deserialize)]
struct Set {
    gpus: Vec<usize>,
    total: f64,
    r#type: String,
}

impl Machine {
    /// As `nvidia-smi topo -m` prints it; four GPUs a socket.
    fn topology(&self) -> Topology {
        let gpus = self.nvlinks.len();
        let names: Vec<String> = (0..gpus).map(|gpu| format!("GPU{gpu}")).collect();
        let mut text = format!("\t{}", names.join("\t"));
        text.push_str("\tCPU Affinity\tNUMA Affinity\n");
        for a in 0..gpus {
            let _ = write!(text, "GPU{a}");
            for b in 0..gpus {
                match self.nvlinks[a][b] {
                    0 => write!(text, "\t{}", self.path[a][b]),
                    links => write!(text, "\tNV{links}"),
                }
                .unwrap();
            }
            let _ = writeln!(text, "\t{}\t{}", if a < 4 { "0-7" } else { "8-15" }, a / 4);
        }
        Topology::parse(&self.name, text.as_bytes()).unwrap()
    }
}

fn machines() -> Vec<Machine> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/nccl-search");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|file| file.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    files.iter().map(|file| serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()).collect()
}

#[test]
fn sets_are_ordered_as_by_nccl() {
    let machines = machines();
    assert_eq!(machines.len(), 12);
    let (mut sets, mut pairs, mut opposite) = (0, 0, 0);
    for machine in &machines {
        let topology = machine.topology();
        for size in 2..=machine.nvlinks.len() {
            let found: Vec<(&Set, Bandwidth)> = machine
                .sets
                .iter()
                .filter(|set| set.gpus.len() == size)
                .map(|set| (set, topology.rings(&set.gpus).unwrap().bandwidth))
                .collect();
            sets += found.len();
            let (own_pairs, before) = (found.len() * (found.len() - 1) / 2, opposite);
            pairs += own_pairs;
            for (at, (a, own_a)) in found.iter().enumerate() {
                for (b, own_b) in &found[..at] {
                    let theirs = a.total.total_cmp(&b.total);
                    if theirs.is_ne() && theirs == own_a.cmp(own_b).reverse() {
                        opposite += 1;
                    }
                }
            }
            assert!((opposite - before) * 1000 <= own_pairs, "{}, {size} GPUs", machine.name);
            // Every set that NCCL finds best is among the best.
            let most = found.iter().map(|(set, _)| set.total).fold(0.0, f64::max);
            let best = found.iter().map(|(_, own)| *own).max().unwrap();
            for (set, own) in found.iter().filter(|(set, _)| set.total >= most) {
                assert_eq!(*own, best, "{}: {:?}", machine.name, set.gpus);
            }
        }
    }
    assert_eq!(sets, 2964);
    assert!(opposite * 1000 <= pairs, "{opposite} of {pairs} pairs of sets are in the opposite order");
}

#[test]
fn rings_use_the_classes_of_paths_that_nccl_uses() {
    for machine in machines() {
        let topology = machine.topology();
        for set in &machine.sets {
            let rings = topology.rings(&set.gpus).unwrap();
            let theirs: PathType = set.r#type.parse().unwrap();
            // What NCCL's search misses in its time is no matter of classes.
            let nvlink = |path: PathType| path <= PathType::Nvb;
            assert_eq!(nvlink(rings.path.unwrap()), nvlink(theirs), "{}: {:?}", machine.name, set.gpus);
            if theirs == PathType::Nvl || rings.path == Some(PathType::Nvl) {
                assert_eq!(rings.path, Some(theirs), "{}: {:?}", machine.name, set.gpus);
            }
        }
    }
}
