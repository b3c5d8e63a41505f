//! The layout of the ranks of a machine: how many GPUs, which of them, and how many cores.

use crate::cpuset::CpuSet;
use crate::error::{Error, Result};
use crate::model::Topology;
use crate::solve::cpus::{CpuRules, class_cpus, core_groups, cores};
use crate::solve::process::visible::VisibleGpus;
use crate::units::count_of;
use std::fmt;
use std::str::FromStr;

/// How ranks follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Distribution {
    /// Neighbours together: rank 0 gets the first GPUs, rank 1 the next. Ranks that share a GPU, or a NUMA node where they use
    /// no GPU, follow each other.
    Block,
    /// In turns: with 4 ranks, rank 0 gets GPUs 0 and 4, rank 1 GPUs 1 and 5. Ranks that follow each other are on different
    /// GPUs, or NUMA nodes where they use no GPU.
    Cyclic,
}

impl Distribution {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Block, Self::Cyclic];
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Block => "block",
            Self::Cyclic => "cyclic",
        })
    }
}

impl FromStr for Distribution {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|distribution| distribution.to_string() == text).ok_or_else(|| {
            Error::request(format!("there is no distribution '{text}'")).help("there are block and cyclic")
        })
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
    /// The number of GPUs for each rank. 0: the ranks use no GPU, and share the CPUs of the machine equally. `None`: one, which ranks
    /// share where they are more than the GPUs.
    pub gpus: Option<usize>,
    /// How ranks follow each other. `None`: [`Block`](Distribution::Block), but ranks that share GPUs begin again at the
    /// first.
    pub distribution: Option<Distribution>,
    /// The number of cores for each rank, of those that it would get; the rest stays free. `None`: all.
    pub cores: Option<usize>,
}

impl RankLayout {
    /// How many ranks there are where nobody says so: as many as these GPUs are enough for, at least one.
    ///
    /// Errors with [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for ranks without GPUs, which can be any number.
    pub fn ranks_for(&self, visible: &VisibleGpus) -> Result<usize> {
        match self.gpus {
            Some(0) => Err(Error::request("how many ranks share the CPUs is unknown")
                .help("say how many there are: without GPUs they can be any number")),
            Some(each) => Ok((visible.devices.len() / each).max(1)),
            None => Ok(visible.devices.len().max(1)),
        }
    }

    /// Refuses ranks that take turns where nobody knows how many there are.
    pub(in crate::solve) fn check_turns(&self, ranks: Option<usize>) -> Result<()> {
        if ranks.is_none() && self.distribution == Some(Distribution::Cyclic) {
            return Err(Error::request(
                "how many local ranks there are is unknown, so nobody can tell which take turns",
            )
            .help("leave the distribution out, or take a launcher that tells it, such as torchrun or nvtopo run"));
        }
        Ok(())
    }

    /// The places of each rank's devices among so many. `all_see_others`: each rank sees its own, and means all of them.
    ///
    /// Errors with [`Unsatisfiable`](crate::ErrorKind::Unsatisfiable) where there are too few.
    pub(in crate::solve) fn places(
        &self,
        devices: usize,
        ranks: usize,
        all_see_others: bool,
    ) -> Result<Vec<Vec<usize>>> {
        if all_see_others {
            return Ok(vec![(0..devices).collect(); ranks]);
        }
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

    /// Leaves each rank, from number `first` on, the cores that were asked for, of as few level 3 caches as can be, and tells what
    /// is free then.
    ///
    /// Errors with [`InvalidRequest`](crate::ErrorKind::InvalidRequest) where the policy shares CPUs, and with
    /// [`Unsatisfiable`](crate::ErrorKind::Unsatisfiable) where a rank has fewer.
    pub(in crate::solve) fn trim(
        topology: &Topology,
        rules: &CpuRules,
        first: usize,
        ranks: &mut [CpuSet],
        remarks: &mut Vec<String>,
    ) -> Result<()> {
        let Some(count) = rules.layout.cores else { return Ok(()) };
        if count == 0 {
            return Err(Error::request("0 cores for each rank").help("give 1 or more"));
        }
        if !rules.policy.is_disjoint() {
            let message =
                format!("the policy {} shares CPUs, and sets no cores apart for a rank", rules.policy);
            return Err(Error::request(message).help("take another policy, or leave the number of cores out"));
        }
        let before = ranks.iter().fold(CpuSet::new(), |all, own| all.union(own));
        for (rank, own) in ranks.iter_mut().enumerate() {
            let there = cores(topology, own, &mut Vec::new());
            if there.len() < count {
                return Err(Error::unsatisfiable(format!(
                    "rank {} has a share of {} (CPUs {own}), and {count} were asked for for each rank",
                    first + rank,
                    count_of(there.len(), "core")
                ))
                .help("shares are cut over all GPUs of the machine; ask for fewer cores, or take another policy"));
            }
            *own = best_cores(topology, &there, count);
        }
        let after = ranks.iter().fold(CpuSet::new(), |all, own| all.union(own));
        let free = before.difference(&after);
        if !free.is_empty() {
            remarks.push(format!(
                "CPUs {free} stay free, as {} for each rank {} asked for",
                count_of(count, "core"),
                if count == 1 { "was" } else { "were" }
            ));
        }
        Ok(())
    }
}

/// So many of some cores: those of the fastest class, of as few caches as can be.
fn best_cores(topology: &Topology, there: &[CpuSet], count: usize) -> CpuSet {
    let mut taken = CpuSet::new();
    let mut missing = count;
    for class in class_cpus(topology, there) {
        let of_class = there.iter().filter(|core| core.first().is_some_and(|first| class.contains(first)));
        let of_class: Vec<CpuSet> = of_class.cloned().collect();
        let some = missing.min(of_class.len());
        taken = taken.union(&fewest_caches(topology, &of_class, some));
        missing -= some;
    }
    taken
}

/// So many of some cores: those under the smallest cache that has enough, else under the largest and then the next.
fn fewest_caches(topology: &Topology, there: &[CpuSet], count: usize) -> CpuSet {
    let mut groups = core_groups(topology, there);
    let mut taken: Vec<CpuSet> = Vec::new();
    while taken.len() < count && !groups.is_empty() {
        let missing = count - taken.len();
        let sizes = groups.iter().map(Vec::len).enumerate();
        let enough =
            sizes.clone().filter(|(_, size)| *size >= missing).min_by_key(|(place, size)| (*size, *place));
        let best = enough.or_else(|| sizes.max_by_key(|(place, size)| (*size, std::cmp::Reverse(*place))));
        let Some((place, _)) = best else { break };
        taken.extend(groups.remove(place).into_iter().take(missing));
    }
    taken.iter().fold(CpuSet::new(), |all, core| all.union(core))
}
