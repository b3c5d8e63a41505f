//! Trees and all-to-all: the bounds from the tightest cut through a set of GPUs.

use super::fabric::Fabric;
use super::{MAX_EXACT, cuts, members};
use crate::model::Topology;
use crate::units::Bandwidth;

impl Topology {
    /// Returns the bandwidth that an all-gather over trees of NVLink can reach among these GPUs, by their positions in
    /// [`gpus`](Self::gpus), in GB/s of bus bandwidth: (k − 1) · min c(A) / |A| over the proper parts A of the k GPUs,
    /// where c(A) is the capacity of A's NVLinks to the others. Never below the bandwidth of [`rings`](Self::rings)
    /// over NVLink. Zero where NVLink does not join them all.
    ///
    /// Source: the optimum of spanning tree packing, as in ForestColl (Zhao et al., 2024).
    ///
    /// `None`: fewer than two GPUs or more than 16, one that occurs twice, a position that does not exist, or an NVLink of
    /// unknown rate.
    ///
    /// ```
    /// let dgx1 = nvtopo::Topology::preset("dgx-1-v100")?;
    /// assert_eq!(dgx1.tree_bandwidth(&[1, 2, 3]).unwrap().to_string(), "75 GB/s");
    /// assert_eq!(dgx1.rings(&[1, 2, 3]).unwrap().bandwidth.to_string(), "50 GB/s");
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn tree_bandwidth(&self, gpus: &[usize]) -> Option<Bandwidth> {
        let count = gpus.len() as u64;
        self.tightest(gpus, |here| (count - 1, here.max(count - here)))
    }

    /// Returns an upper bound on the rate at which each of these GPUs can send when all send to all over NVLink, in
    /// GB/s: (k − 1) · min c(A) / (|A| · (k − |A|)) over the proper parts A of the k GPUs. The exact value can be lower
    /// on meshes, and is reached on NVSwitches.
    ///
    /// `None` as for [`tree_bandwidth`](Self::tree_bandwidth).
    ///
    /// ```
    /// let dgx = nvtopo::Topology::preset("dgx-a100")?;
    /// assert_eq!(dgx.all_to_all_bound(&[0, 1, 2, 3]).unwrap().to_string(), "300 GB/s");
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn all_to_all_bound(&self, gpus: &[usize]) -> Option<Bandwidth> {
        let count = gpus.len() as u64;
        self.tightest(gpus, |here| (count - 1, here * (count - here)))
    }

    /// Returns the least of c(A) · times / divisor over all cuts, where the two are given by the size of one side.
    fn tightest(&self, gpus: &[usize], factors: impl Fn(u64) -> (u64, u64)) -> Option<Bandwidth> {
        let set = members(self, gpus).filter(|set| set.len() <= MAX_EXACT)?;
        let fabric = Fabric::of(self, &set)?;
        let mut least = u64::MAX;
        cuts::each(&fabric, |part, capacity| {
            let (times, divisor) = factors(u64::from(part.count_ones()));
            least = least.min(capacity.saturating_mul(times) / divisor);
        });
        Some(Bandwidth::from_mb_per_s(least))
    }
}
