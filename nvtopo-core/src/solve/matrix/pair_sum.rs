//! The greatest sum of pairs.

use super::pairs::{BestSet, PairMatrix};
use super::pick::Pick;
use super::{branch, enumerate};
use crate::solve::search::set::Set;

pub(super) fn best(matrix: &PairMatrix, free: Set, include: Set, count: usize) -> BestSet {
    let pick = Pick::new(matrix, free, include, count);
    let (picked, gain) = match pick.size {
        0..=8 => enumerate::pick::<8>(matrix, &pick),
        9..=16 => enumerate::pick::<16>(matrix, &pick),
        _ => return branch::best(matrix, &pick),
    };
    let (set, value) = pick.answer(picked, gain);
    BestSet::proven(set, value)
}
