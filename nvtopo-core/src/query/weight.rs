//! The weight of a path: one number that orders by bandwidth, then by how near the path is.

use crate::model::{Pair, PathType};
use crate::units::Bandwidth;

/// Bits below the bandwidth that hold the nearness. The sum over all pairs of 128 GPUs fits: 8128 pairs
/// of nearness 10 at most.
const NEARNESS_BITS: u32 = 17;

/// The highest bandwidth in MB/s that is told apart; the sum over all pairs then fits in 64 bits.
const MAX_MB_PER_S: u64 = u32::MAX as u64;

/// A bandwidth, and the nearness of the path as tie-break: a minimum or a sum of weights orders first by the
/// minimum or sum of bandwidths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(pub(crate) u64);

impl Weight {
    /// Above every weight and every sum of weights.
    pub const MAX: Self = Self(u64::MAX);

    /// A bandwidth, of which no path is known to be near.
    // Inlined where a bandwidth may be unknown, it is computed of that as well, and memory checkers take that for a mistake.
    #[inline(never)]
    pub fn of(bandwidth: Bandwidth) -> Self {
        Self(bandwidth.as_mb_per_s().min(MAX_MB_PER_S) << NEARNESS_BITS)
    }

    /// A bandwidth over paths of which the worst is of a class.
    pub(crate) fn over(bandwidth: Bandwidth, path: PathType) -> Self {
        Self(Self::of(bandwidth).0 | nearness(path))
    }

    /// The same path with no more than a bandwidth.
    pub(crate) fn at_most(self, bandwidth: Bandwidth) -> Self {
        let near = self.0 % (1 << NEARNESS_BITS);
        Self(Self::of(bandwidth.min(self.bandwidth())).0 | near)
    }

    /// The class of the worst path, where one is known. Of sums it means nothing.
    pub(crate) fn path(self) -> Option<PathType> {
        let near = self.0 % (1 << NEARNESS_BITS);
        PathType::ALL.into_iter().find(|path| near > 0 && nearness(*path) == near)
    }

    /// The part that is bandwidth.
    pub fn bandwidth(self) -> Bandwidth {
        Bandwidth::from_mb_per_s(self.0 >> NEARNESS_BITS)
    }
}

fn nearness(path: PathType) -> u64 {
    PathType::Dis as u64 - path as u64
}

/// What a pair is worth. One of which nothing is known is worth nothing.
pub(crate) fn of_pair(pair: Pair) -> Weight {
    let near = pair.path.map_or(0, nearness);
    let Some(rate) = pair.rate else { return Weight(near) };
    Weight(Weight::of(rate.bandwidth).0 | near)
}
