//! The weight of a path: one number that orders by bandwidth, then by nearness of the path.

use crate::model::{Pair, PathType};
use crate::units::Bandwidth;

/// Bits below the bandwidth that hold the nearness. The sum over all pairs of 128 GPUs fits: 8128 pairs
/// of nearness 10 at most.
const NEARNESS_BITS: u32 = 17;

/// The highest bandwidth in MB/s that is distinguished; the sum over all pairs then fits in 64 bits.
const MAX_MB_PER_S: u64 = u32::MAX as u64;

/// A bandwidth, and the nearness of the path as tie-break: a minimum or a sum of weights orders first by the
/// minimum or sum of bandwidths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(pub(crate) u64);

impl Weight {
    /// An upper bound on every weight and every sum of weights.
    pub const MAX: Self = Self(u64::MAX);

    /// Returns the weight of a bandwidth without a known path class.
    // Not inlined: where a bandwidth may be unknown, the compiler computes it of that as well, and memory checkers
    // report an error.
    #[inline(never)]
    pub fn of(bandwidth: Bandwidth) -> Self {
        Self(bandwidth.as_mb_per_s().min(MAX_MB_PER_S) << NEARNESS_BITS)
    }

    /// Returns the weight of a bandwidth over paths of which the worst is of a class.
    pub(crate) fn over(bandwidth: Bandwidth, path: PathType) -> Self {
        Self(Self::of(bandwidth).0 | nearness(path))
    }

    /// Returns the weight of the same path with at most a bandwidth.
    pub(crate) fn at_most(self, bandwidth: Bandwidth) -> Self {
        let near = self.0 % (1 << NEARNESS_BITS);
        Self(Self::of(bandwidth.min(self.bandwidth())).0 | near)
    }

    /// Returns the class of the worst path, where one is known. Meaningless for sums.
    pub(crate) fn path(self) -> Option<PathType> {
        let near = self.0 % (1 << NEARNESS_BITS);
        PathType::ALL.into_iter().find(|path| near > 0 && nearness(*path) == near)
    }

    /// Returns the bandwidth.
    pub fn bandwidth(self) -> Bandwidth {
        Bandwidth::from_mb_per_s(self.0 >> NEARNESS_BITS)
    }
}

fn nearness(path: PathType) -> u64 {
    PathType::Dis as u64 - path as u64
}

/// Returns the weight of a pair; zero where nothing is known.
pub(crate) fn of_pair(pair: Pair) -> Weight {
    let near = pair.path.map_or(0, nearness);
    let Some(rate) = pair.rate else { return Weight(near) };
    Weight(Weight::of(rate.bandwidth).0 | near)
}
