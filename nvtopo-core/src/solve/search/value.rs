//! The value of a set of GPUs.

use crate::query::Weight;

/// What a set is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// How good it is; greater is better.
    pub worth: Weight,
    /// Whether that is all that it is worth, and not just what was found of it.
    pub proven: bool,
    /// How much work it was to find out, in steps of the search for the best set.
    pub effort: u32,
}

/// Bits of a packed value that hold the effort, of which sixteen steps are the least that is told apart.
const EFFORT_BITS: u32 = 14;

impl Value {
    /// In one number, which is never 0.
    pub(super) fn pack(self) -> u64 {
        let effort = u64::from(self.effort / 16).min((1 << EFFORT_BITS) - 1);
        ((self.worth.0 << EFFORT_BITS | effort) << 1 | u64::from(self.proven)).wrapping_add(1)
    }

    pub(super) fn unpack(packed: u64) -> Self {
        let packed = packed.wrapping_sub(1);
        let effort = (packed >> 1) as u32 % (1 << EFFORT_BITS) * 16;
        Self { worth: Weight(packed >> (EFFORT_BITS + 1)), proven: packed & 1 == 1, effort }
    }
}

impl From<Weight> for Value {
    fn from(worth: Weight) -> Self {
        Self { worth, proven: true, effort: 0 }
    }
}
