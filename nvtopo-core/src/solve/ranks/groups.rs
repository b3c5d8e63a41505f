//! The groups of ranks: ranks as points of a grid whose first axis runs fastest.

use super::order::Dimension;

/// One axis of a grid of ranks.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    pub(super) dimension: Dimension,
    pub(super) size: usize,
    /// The distance between neighbouring ranks.
    pub(super) stride: usize,
}

impl Axis {
    /// Returns the coordinate of a rank on the axis.
    pub(super) fn coordinate(&self, rank: usize) -> usize {
        rank / self.stride % self.size
    }
}

/// Ranks by their coordinates.
pub(super) struct Grid(Vec<Axis>);

impl Grid {
    /// Creates a grid, the fastest axis first. The product of the sizes must not overflow.
    pub(super) fn new(sizes: impl IntoIterator<Item = (Dimension, usize)>) -> Self {
        let mut stride = 1;
        let axis = |(dimension, size)| {
            let axis = Axis { dimension, size, stride };
            stride *= size;
            axis
        };
        Self(sizes.into_iter().map(axis).collect())
    }

    pub(super) fn axes(&self) -> &[Axis] {
        &self.0
    }

    /// Returns the groups of ranks that differ in these dimensions only, in the order and with the inner order of
    /// Megatron-core's `RankGenerator.get_ranks`.
    pub(super) fn groups(&self, inside: &[Dimension]) -> Vec<Vec<usize>> {
        let (inner, outer): (Vec<Axis>, Vec<Axis>) =
            self.0.iter().partition(|axis| inside.contains(&axis.dimension));
        let inner = offsets(&inner);
        offsets(&outer).iter().map(|base| inner.iter().map(|offset| base + offset).collect()).collect()
    }
}

/// Returns the ranks that these axes reach from rank 0, the first axis fastest.
fn offsets(axes: &[Axis]) -> Vec<usize> {
    axes.iter().fold(vec![0], |offsets, axis| {
        let steps = (0..axis.size).flat_map(|step| offsets.iter().map(move |own| own + step * axis.stride));
        steps.collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Dimension::{Dp, Pp, Tp};

    /// The example in the description of `generate_masked_orthogonal_rank_groups`: sizes 2, 3, 4 of tp, dp, pp.
    #[test]
    fn groups_are_those_of_megatrons_generator() {
        let grid = Grid::new([(Tp, 2), (Dp, 3), (Pp, 4)]);
        let groups = grid.groups(&[Dp]);
        assert_eq!((groups.len(), &groups[0], &groups[1]), (8, &vec![0, 2, 4], &vec![1, 3, 5]));
        assert_eq!(groups[7], [19, 21, 23]);
        let both = grid.groups(&[Tp, Pp]);
        assert_eq!(both[1], [2, 3, 8, 9, 14, 15, 20, 21]);
    }
}
