//! A port of `bestEffortPolicy` in NVIDIA/go-gpuallocator (Apache 2.0), written anew: the same order, the same lists built anew
//! at each step, and the score of a pair read from the list of its links each time. It finds the links of a pair in an array
//! where the original asks a map, which favours the walk. Two faults are left out: lists that share memory, and an answer
//! padded with no GPU.

use nvtopo_simulate::partition::Scores;

/// A GPU as the walk sees it.
pub(crate) struct Device {
    index: usize,
    /// The scores of the links to each other device.
    links: Vec<Vec<u32>>,
}

/// Returns the GPUs with the scores of their links.
pub(crate) fn devices(scores: &Scores) -> Vec<Device> {
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

/// Returns the greatest total of all divisions into sets of `count`, and the best set of the first that has it.
pub(crate) fn walk(devices: &[Device], count: usize) -> (u32, u32) {
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
