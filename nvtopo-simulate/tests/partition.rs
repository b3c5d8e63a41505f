//! The division of GPUs into sets against a walk through all divisions.

use nvtopo::Topology;
use nvtopo_simulate::partition::{Partition, Scores, best};
use proptest::prelude::*;

/// All divisions in order: by the members of their sets, a smaller set after the full ones that begin like it.
fn divisions(left: &[usize], count: usize) -> Vec<Vec<u32>> {
    if left.is_empty() {
        return vec![vec![]];
    }
    let rest = left.len() % count;
    let mut all = Vec::new();
    for set in extensions(&left[..1], &left[1..], count, rest) {
        let other: Vec<usize> = left.iter().copied().filter(|gpu| !set.contains(gpu)).collect();
        let mask = set.iter().fold(0, |mask, gpu| mask | 1 << gpu);
        all.extend(divisions(&other, count).into_iter().map(|sets| [vec![mask], sets].concat()));
    }
    all
}

fn extensions(set: &[usize], open: &[usize], full: usize, rest: usize) -> Vec<Vec<usize>> {
    if set.len() == full {
        return vec![set.to_vec()];
    }
    let mut all = Vec::new();
    for (index, gpu) in open.iter().enumerate() {
        all.extend(extensions(&[set, &[*gpu]].concat(), &open[index + 1..], full, rest));
    }
    if set.len() == rest {
        all.push(set.to_vec());
    }
    all
}

fn brute_force(scores: &Scores, free: u32, required: u32, count: usize) -> Option<Partition> {
    let gpus: Vec<usize> = (0..scores.gpus()).filter(|gpu| free >> gpu & 1 == 1).collect();
    let holds = |set: &&u32| set.count_ones() as usize == count && **set & required == required;
    let mut found: Option<Partition> = None;
    for sets in divisions(&gpus, count) {
        let total = sets.iter().map(|set| scores.of_set(*set)).sum();
        let Some(first) = sets.iter().find(holds) else { continue };
        if found.as_ref().is_none_or(|best| total > best.total) {
            let better = |best, set| if scores.of_set(set) > scores.of_set(best) { set } else { best };
            let chosen = sets.iter().filter(holds).copied().fold(*first, better);
            found = Some(Partition { sets, total, chosen });
        }
    }
    found
}

fn machine(most: usize, levels: u16) -> impl Strategy<Value = Scores> {
    (1..=most).prop_flat_map(move |gpus| {
        prop::collection::vec(0..=levels, gpus * gpus)
            .prop_map(move |cells| Scores::new(gpus, |a, b| cells[a * gpus + b]).unwrap())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, ..ProptestConfig::default() })]

    #[test]
    fn the_best_division_is_the_first_best_of_all(
        // Few levels leave many divisions equal.
        scores in prop_oneof![machine(8, 2), machine(8, 1000)],
        free in 0u32..256,
        required in 0u32..256,
    ) {
        let free = free & ((1 << scores.gpus()) - 1);
        for required in [0, free & required, free & required & (required >> 1)] {
            for count in 1..=8 {
                let fits = free.count_ones() >= count && required.count_ones() <= count;
                let expected = fits.then(|| brute_force(&scores, free, required, count as usize).unwrap());
                prop_assert_eq!(best(&scores, free, required, count as usize), expected);
            }
        }
    }

    #[test]
    fn ten_gpus_are_divided_as_well(scores in machine(10, 3), count in 2usize..=5) {
        // Above eight the bounds are tightened first.
        prop_assume!(scores.gpus() >= 9);
        let free = (1 << scores.gpus()) - 1;
        prop_assert_eq!(best(&scores, free, 0, count), brute_force(&scores, free, 0, count));
        prop_assert_eq!(best(&scores, free, 0b10, count), brute_force(&scores, free, 0b10, count));
    }
}

#[test]
fn machines_are_divided_as_nvidias_plugin_does() {
    // Totals that the plugin's own code was seen to reach.
    let dgx1 = Scores::of(&Topology::preset("dgx-1-v100").unwrap()).unwrap();
    let totals = [2, 3, 4, 5].map(|count| best(&dgx1, 0xff, 0, count).unwrap().total);
    assert_eq!(totals, [920, 1430, 2240, 1970]);
    // Its best five have four GPUs of one half, and no ring of NVLink.
    let five = best(&dgx1, 0xff, 0, 5).unwrap().chosen;
    assert!((five & 0xf).count_ones() == 4 || (five & 0xf0).count_ones() == 4, "{five:b}");
}

#[test]
fn the_required_gpu_gets_what_the_division_left_it() {
    // Two islands: dividing all 16 GPUs into fives breaks one of them, and GPU 9 is not asked what it would like.
    let islands = Scores::new(16, |a, b| if a / 8 == b / 8 { 1234 } else { 10 }).unwrap();
    let found = best(&islands, 0xffff, 1 << 9, 5).unwrap();
    assert_eq!(found.sets.iter().map(|set| islands.of_set(*set)).sum::<u32>(), found.total);
    assert!(found.chosen >> 9 & 1 == 1 && found.chosen.count_ones() == 5);
}

#[test]
fn questions_without_an_answer_have_none() {
    let scores = Scores::new(4, |_, _| 1).unwrap();
    for (free, required, count) in
        [(0b1111, 0, 0), (0b0111, 0, 4), (0b0111, 0b1000, 2), (0b1111, 0b111, 2), (0b1_0000, 0, 1), (0, 0, 1)]
    {
        assert_eq!(best(&scores, free, required, count), None, "{free:b} {required:b} {count}");
    }
    assert!(Scores::new(17, |_, _| 1).is_err());
    assert_eq!(best(&Scores::new(0, |_, _| 0).unwrap(), 0, 0, 1), None);
}
