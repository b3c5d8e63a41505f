//! The time to divide GPUs into sets, beside the walk through all divisions that NVIDIA's device plugin makes,
//! in the same run. Rounds alternate, so that a busy machine slows both; the ratio is what counts.
//!
//! The walk is a port of `bestEffortPolicy` in NVIDIA/go-gpuallocator (Apache 2.0), written anew: the same order, the same
//! lists built anew at each step, and the score of a pair read from the list of its links each time. It finds the links of
//! a pair in an array where the original asks a map, which favours the walk. Two faults are left out: lists that
//! share memory, and an answer padded with no GPU.
//!
//! With `--all`, 16 GPUs in sets of 3 and 5 too, for which the walk needs half a minute each.

mod timing;

use nvtopo::Topology;
use nvtopo_simulate::partition::{Scores, best};
use std::hint::black_box;
use std::time::Duration;
use timing::{now, time};

const ROUNDS: usize = 25;
const CALLS: u32 = 20;

fn main() {
    let all = std::env::args().any(|argument| argument == "--all");
    println!("{:<22} {:>4} {:>12} {:>14} {:>9}", "machine", "GPUs", "nvtopo", "all divisions", "ratio");
    for preset in ["dgx-1-v100", "dgx-h100", "l40s-8-pcie"] {
        let topology = Topology::preset(preset).expect("a preset");
        let scores = Scores::of(&topology).expect("few enough GPUs");
        for count in 2..=7 {
            // The least speedup at each size.
            row(preset, &scores, count, ROUNDS, 20.0);
        }
    }
    let islands = Scores::new(16, |a, b| if a / 8 == b / 8 { 610 } else { 10 }).expect("few enough GPUs");
    row("2 islands of 8", &islands, 8, ROUNDS, 40.0);
    let dgx2 = Topology::preset("dgx-2").expect("a preset");
    let dgx2 = Scores::of(&dgx2).expect("few enough GPUs");
    row("dgx-2", &dgx2, 8, ROUNDS, 40.0);
    // Nothing about this one can be exchanged, and no bound is tight.
    let uneven = Scores::new(16, |a, b| 100 * (((a * 31 + b * 17) * (a + b + 7)) % 7) as u16 + 10);
    let uneven = uneven.expect("few enough GPUs");
    for count in 2..=6 {
        if all || count % 2 == 0 {
            row("16 uneven", &uneven, count, 1, 500.0);
            row("dgx-2", &dgx2, count, 1, 500.0);
        }
    }
}

fn row(name: &str, scores: &Scores, count: usize, rounds: usize, goal: f64) {
    let free = (1 << scores.gpus()) - 1;
    let devices = devices(scores);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        // Several calls at once: a look at the clock takes a good part of one.
        let once = || best(black_box(scores), black_box(free), 0, count).expect("enough GPUs").total;
        ours.push(time(|| (0..CALLS).map(|_| black_box(once())).max()) / CALLS);
        if rounds > 1 {
            theirs.push(time(|| walk(black_box(&devices), count)));
        }
    }
    let start = now();
    let (total, set) = walk(&devices, count);
    if rounds == 1 {
        theirs.push(now().saturating_sub(start));
    }
    let found = best(scores, free, 0, count).expect("enough GPUs");
    assert_eq!(found.total, total, "{name}, {count} GPUs");
    assert_eq!(found.chosen, set, "{name}, {count} GPUs: ties are broken alike too");
    // On a machine with other work, the round that was disturbed least says most.
    let least = |times: Vec<Duration>| times.into_iter().min().expect("a round");
    let (ours, theirs) = (least(ours), least(theirs));
    let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
    let reached = if ratio < goal { format!("  below {goal}x") } else { String::new() };
    println!("{name:<22} {count:>4} {ours:>12.2?} {theirs:>14.2?} {ratio:>8.1}x{reached}");
}

struct Device {
    index: usize,
    /// The scores of the links to each other device.
    links: Vec<Vec<u32>>,
}

fn devices(scores: &Scores) -> Vec<Device> {
    // One link over PCIe and one that stands for the NVLinks.
    let links = |score: u16| [u32::from(score % 100), u32::from(score - score % 100)];
    let device = |index: usize| Device {
        index,
        links: (0..scores.gpus())
            .map(|other| links(scores.pair(index, other)).into_iter().filter(|link| *link > 0).collect())
            .collect(),
    };
    (0..scores.gpus()).map(device).collect()
}

/// A device, or what a list is filled up with.
type Slot<'a> = Option<&'a Device>;

/// The greatest total of all divisions, and the best set of the first that has it.
fn walk(devices: &[Device], count: usize) -> (u32, u32) {
    let mut slots: Vec<Slot<'_>> = devices.iter().map(Some).collect();
    while !slots.len().is_multiple_of(count) {
        slots.push(None);
    }
    let padding = fillers(&slots);
    let mut best: Option<(u32, Vec<Vec<Slot<'_>>>)> = None;
    divide(&slots, count, padding, &mut Vec::new(), &mut |sets| {
        if !sets.iter().any(|set| fillers(set) == 0) {
            return;
        }
        let total = sets.iter().map(|set| score(set)).sum();
        if best.as_ref().is_none_or(|(most, _)| total > *most) {
            best = Some((total, sets.to_vec()));
        }
    });
    let (total, sets) = best.expect("some division");
    let whole = sets.iter().filter(|set| fillers(set) == 0);
    let set = whole.reduce(|best, set| if score(set) > score(best) { set } else { best });
    let set = set.expect("a full set").iter().flatten().fold(0, |set, device| set | 1 << device.index);
    (total, set)
}

fn divide<'a>(
    slots: &[Slot<'a>],
    count: usize,
    padding: usize,
    sets: &mut Vec<Vec<Slot<'a>>>,
    call: &mut impl FnMut(&[Vec<Slot<'a>>]),
) {
    if slots.len() == count {
        sets.push(slots.to_vec());
        call(sets);
        sets.pop();
        return;
    }
    each_set(&slots[1..], count - 1, &mut |others| {
        let mut set = vec![slots[0]];
        set.extend_from_slice(others);
        let filled = fillers(&set);
        if filled != 0 && filled != padding {
            return;
        }
        let rest: Vec<Slot<'a>> = slots.iter().copied().filter(|slot| !contains(&set, *slot)).collect();
        sets.push(set);
        divide(&rest, count, padding, sets, call);
        sets.pop();
    });
}

fn contains(set: &[Slot<'_>], slot: Slot<'_>) -> bool {
    set.iter().any(|other| match (other, slot) {
        (Some(a), Some(b)) => std::ptr::eq(*a, b),
        (None, None) => true,
        _ => false,
    })
}

fn fillers(set: &[Slot<'_>]) -> usize {
    set.iter().filter(|slot| slot.is_none()).count()
}

/// Calls with all sets of some slots, in order, like loops one inside the other.
fn each_set<'a>(slots: &[Slot<'a>], size: usize, call: &mut impl FnMut(&[Slot<'a>])) {
    if size == 0 || size > slots.len() {
        return;
    }
    let (mut level, mut indices, mut set) = (0, vec![0; size], vec![None; size]);
    loop {
        if indices[level] == slots.len() {
            if level == 0 {
                break;
            }
            level -= 1;
            indices[level] += 1;
            continue;
        }
        set[level] = slots[indices[level]];
        if level + 1 < size {
            level += 1;
            indices[level] = indices[level - 1] + 1;
            continue;
        }
        call(&set);
        indices[level] += 1;
    }
}

fn score(set: &[Slot<'_>]) -> u32 {
    let mut total = 0;
    each_set(set, 2, &mut |pair| {
        if let [Some(a), Some(b)] = pair {
            let (links, back) = (&a.links[b.index], &b.links[a.index]);
            assert_eq!(links.len(), back.len(), "links go both ways");
            total += links.iter().sum::<u32>();
        }
    });
    total
}
