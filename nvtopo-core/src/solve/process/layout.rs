//! The layout of the ranks of a machine: the GPUs of each, and its number of cores.

use crate::error::{Error, Result};
use crate::units::count_of;

words! {
    /// The order in which ranks follow each other.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum Distribution {
        /// Neighbours together: rank 0 gets the first GPUs, rank 1 the next. Ranks that share a GPU, or a NUMA node where they use
        /// no GPU, follow each other.
        Block = "block",
        /// In turns: with 4 ranks, rank 0 gets GPUs 0 and 4, rank 1 GPUs 1 and 5. Ranks that follow each other are on different
        /// GPUs, or NUMA nodes where they use no GPU.
        Cyclic = "cyclic",
    }
    /// Returns its word.
    word, |text| {
        Error::request(format!("there is no distribution '{text}'")).help("there are block and cyclic")
    }
}

/// The layout of the ranks of a machine: the GPUs and cores that each gets.
///
/// ```
/// use nvtopo::{CpuRules, CudaOrder, Plan, RankLayout, Topology, VisibleGpus};
///
/// let dgx = Topology::preset("dgx-h100")?;
/// let visible = VisibleGpus::all(&dgx, CudaOrder::PciBusId);
/// let layout = RankLayout { gpus: Some(2), cores: Some(8), ..RankLayout::default() };
/// let plan = Plan::new(&dgx, &visible, 4, &CpuRules { layout, ..CpuRules::default() })?;
/// assert_eq!(plan.parts()[1].gpus, [2, 3]);
/// assert_eq!(plan.parts()[1].cpus.to_string(), "28-35,140-147");
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RankLayout {
    /// The number of GPUs for each rank. 0: the ranks use no GPU, and share the CPUs of the machine equally. `None`:
    /// one, which ranks share where there are more ranks than GPUs.
    pub gpus: Option<usize>,
    /// The order in which ranks follow each other. `None`: [`Block`](Distribution::Block), but ranks that share GPUs
    /// begin again at the first.
    pub distribution: Option<Distribution>,
    /// The number of cores for each rank, of those that it would get; the rest stays free. `None`: all.
    pub cores: Option<usize>,
}

impl RankLayout {
    /// Refuses a cyclic distribution where the number of ranks is unknown.
    pub(in crate::solve) fn check_turns(&self, ranks: Option<usize>) -> Result<()> {
        if ranks.is_none() && self.distribution == Some(Distribution::Cyclic) {
            return Err(Error::request(
                "how many local ranks there are is unknown, so nobody can tell which take turns",
            )
            .help("leave the distribution out, or take a launcher that tells it, such as torchrun or nvtopo run"));
        }
        Ok(())
    }

    /// Returns the places of each rank's devices among all devices.
    ///
    /// Errors with [`Unsatisfiable`](crate::ErrorKind::Unsatisfiable) where there are too few.
    pub(in crate::solve) fn places(&self, devices: usize, ranks: usize) -> Result<Vec<Vec<usize>>> {
        let Some(each) = self.gpus else {
            let place = |rank: usize| match self.distribution {
                Some(Distribution::Block) if ranks > devices => rank * devices / ranks,
                _ => rank % devices,
            };
            return Ok((0..ranks).map(|rank| vec![place(rank)]).collect());
        };
        if each.saturating_mul(ranks) > devices {
            let (of, each_has) = (count_of(ranks, "rank"), count_of(each, "GPU"));
            let need = if ranks == 1 { "needs" } else { "need" };
            let message = format!("{of} with {each_has} each {need} more than the {devices} that they see");
            return Err(Error::unsatisfiable(message).help(format!(
                "there are enough for {}; without a number of GPUs for each rank, ranks share them",
                count_of(devices / each.max(1), "rank")
            )));
        }
        let place = |rank: usize, nth: usize| match self.distribution.unwrap_or(Distribution::Block) {
            Distribution::Block => rank * each + nth,
            Distribution::Cyclic => nth * ranks + rank,
        };
        Ok((0..ranks).map(|rank| (0..each).map(|nth| place(rank, nth)).collect()).collect())
    }
}
