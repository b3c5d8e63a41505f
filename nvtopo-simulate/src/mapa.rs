//! The effective bandwidth that MAPA's regression predicts.
//!
//! MAPA (Ranganath et al., SC'21) looks at a job as a ring and at the links that the ring uses: x pairs with at least two
//! NVLinks, y with one, z with none; of all rings through the set the best prediction counts. It is no bandwidth to rely on:
//! better links often lower it, for it is not monotone, and it goes below zero (for 4, 2 and 2 links around eight GPUs).
//!
//! Source of the coefficients: socal-ucr/MAPA (`src/Props.hh`).

/// The most GPUs of a ring whose links are counted.
const MAX_RING: usize = 10;

/// Links of each kind around a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Links {
    pub(crate) double: usize,
    pub(crate) single: usize,
    pub(crate) none: usize,
}

impl Links {
    /// GB/s that MAPA adds up around a ring: what it measured on V100, both directions of each link together.
    pub(crate) fn sum(self) -> f64 {
        (50 * self.double + 25 * self.single + 10 * self.none) as f64
    }

    /// GB/s by MAPA's regression.
    pub(crate) fn predicted(self) -> f64 {
        let (x, y, z) = (self.double as f64, self.single as f64, self.none as f64);
        let linear = 16.396_704_55 * x + 4.536_821_878 * y + 1.556_234_04 * z;
        let inverse = -20.694_845_81 / (x + 1.0) - 9.467_461_958 / (y + 1.0) + 7.615_106_783 / (z + 1.0);
        let pairwise = -7.973_335_727 * x * y + 12.733_237_72 * y * z - 4.195_655_221 * x * z;
        let inverse_pairwise =
            -8.413_419_363 / (x * y + 1.0) + 62.851_258_07 / (y * z + 1.0) + 27.418_325_88 / (x * z + 1.0);
        let triplet = -5.114_108_079 * x * y * z - 46.973_900_71 / (x * y * z + 1.0);
        linear + inverse + pairwise + inverse_pairwise + triplet
    }
}

/// The best of what rings through so many GPUs can use by some measure, given the NVLinks of each pair. `None`: there are too
/// few or too many.
pub(crate) fn best_ring(
    count: usize,
    nvlinks: impl Fn(usize, usize) -> u16,
    measure: impl Fn(Links) -> f64,
) -> Option<f64> {
    if !(2..=MAX_RING).contains(&count) {
        return None;
    }
    let counts = count + 1;
    let place = |double: usize, single: usize| double * counts + single;
    let step = |a: usize, b: usize| match nvlinks(a, b) {
        0 => place(0, 0),
        1 => place(0, 1),
        _ => place(1, 0),
    };
    // For each set with the first, and each of its members, the links that paths from the first through all to this one can
    // use: a bit for each count of double and single ones.
    let all = (1usize << count) - 1;
    let mut paths = vec![0u128; count << count];
    paths[count] = 1;
    for set in (1..all).step_by(2) {
        for last in (0..count).filter(|last| set >> last & 1 == 1) {
            let here = paths[set * count + last];
            for next in (0..count).filter(|next| here != 0 && set >> next & 1 == 0) {
                paths[(set | 1 << next) * count + next] |= here << step(last, next);
            }
        }
    }
    // A ring of two goes over the same pair twice.
    let rings = (1..count).fold(0, |rings, last| rings | paths[all * count + last] << step(last, 0));
    let found = (0..counts).flat_map(|double| (0..counts - double).map(move |single| (double, single)));
    let found = found.filter(|(double, single)| rings >> place(*double, *single) & 1 == 1);
    let links = found.map(|(double, single)| Links { double, single, none: count - double - single });
    links.map(measure).max_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prediction_is_the_published_one_with_its_faults() {
        let predicted = |double, single, none| Links { double, single, none }.predicted();
        // It goes below zero, and a better link lowers it.
        assert!((predicted(4, 2, 2) + 43.0).abs() < 1.0, "{}", predicted(4, 2, 2));
        let mut lower = 0;
        let mut all = 0;
        for edges in 2..=8 {
            for (double, single) in
                (0..=edges).flat_map(|double| (0..=edges - double).map(move |s| (double, s)))
            {
                let none = edges - double - single;
                let own = predicted(double, single, none);
                if none > 0 {
                    all += 1;
                    lower += usize::from(predicted(double, single + 1, none - 1) < own);
                }
                if single > 0 {
                    all += 1;
                    lower += usize::from(predicted(double + 1, single - 1, none) < own);
                }
            }
        }
        assert_eq!((lower, all), (108, 238));
    }

    #[test]
    fn rings_use_what_the_machine_has() {
        let dgx1 = nvtopo::Topology::preset("dgx-1-v100").unwrap();
        let best = |gpus: &[usize]| {
            let nvlinks = |a: usize, b: usize| dgx1.pairs().pair(gpus[a], gpus[b]).nvlinks;
            best_ring(gpus.len(), nvlinks, Links::sum).unwrap()
        };
        // There and back over two NVLinks; two single ones and a double; 0-3-2-1, of which only the way back is single; and all
        // eight over double ones.
        let found = [&[0, 3][..], &[0, 1, 2], &[0, 1, 2, 3], &[0, 1, 2, 3, 4, 5, 6, 7]].map(best);
        assert_eq!(found.map(|sum| sum as u32), [100, 100, 175, 400]);
    }
}
