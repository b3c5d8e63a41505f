//! A parallel job: the sizes of its dimensions, the order of its ranks, and its traffic.

use super::cost::{Family, Pattern};
use super::groups::Grid;
use super::order::{Dimension, RankOrder};
use super::traffic::{Sizes, Traffic, Transformer};
use crate::error::{Error, ErrorKind, Result};

/// The most ranks that one job may have.
const MAX_RANKS: usize = 128;

/// A parallel job whose ranks are to be mapped to GPUs.
///
/// The groups are those of Megatron-core and, without contexts and experts, of DeepSpeed. Dense layers live on the grid tp ×
/// cp × dp × pp; gradients are reduced among all context and data ranks. Experts live on a second grid of the same order,
/// tp × ep × edp × pp with edp = cp · dp / ep, where edp stands in dp's place: Megatron-core's expert rank generator with
/// its default of as many expert tensor ranks as tensor ranks.
///
/// ```
/// use nvtopo::{ParallelJob, Topology};
///
/// let dgx1 = Topology::preset("dgx-1-v100")?;
/// let model = "layers=32,hidden=4096,sequence=4096,micro-batches=8,parameters=6.7B".parse()?;
/// let map = ParallelJob::new().tp(2).dp(4).model(model).map(&dgx1)?;
/// assert_eq!(map.gpu_of_rank(), [0, 3, 1, 2, 4, 7, 5, 6]);
/// assert!(map.is_optimal());
/// println!("{:.2}x as fast as in the launcher's order", map.gain());
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ParallelJob {
    sizes: Sizes,
    order: RankOrder,
    model: Option<Transformer>,
    traffic: Vec<Traffic>,
}

impl ParallelJob {
    /// Creates a job of one rank, with all sizes 1.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the number of ranks that share each tensor.
    pub fn tp(mut self, size: usize) -> Self {
        self.sizes.tp = size;
        self
    }

    /// Sets the number of ranks that share each sequence.
    pub fn cp(mut self, size: usize) -> Self {
        self.sizes.cp = size;
        self
    }

    /// Sets the number of ranks that experts are spread over; they are among the context and data ranks, and make the
    /// job no larger.
    pub fn ep(mut self, size: usize) -> Self {
        self.sizes.ep = size;
        self
    }

    /// Sets the number of replicas.
    pub fn dp(mut self, size: usize) -> Self {
        self.sizes.dp = size;
        self
    }

    /// Sets the number of pipeline stages.
    pub fn pp(mut self, size: usize) -> Self {
        self.sizes.pp = size;
        self
    }

    /// Sets the order of ranks through the dimensions; [`RankOrder::default`] otherwise.
    pub fn order(mut self, order: RankOrder) -> Self {
        self.order = order;
        self
    }

    /// Sets the transformer from which the traffic is computed.
    pub fn model(mut self, model: Transformer) -> Self {
        self.model = Some(model);
        self
    }

    /// Sets the traffic of one dimension, which takes precedence over that of a model. 0 bytes: the dimension does not
    /// count.
    pub fn traffic(mut self, traffic: Traffic) -> Self {
        self.traffic.retain(|other| other.dimension != traffic.dimension);
        self.traffic.push(traffic);
        self
    }

    /// Returns the number of ranks: tp · cp · dp · pp.
    pub fn ranks(&self) -> Result<usize> {
        let Sizes { tp, cp, ep, dp, pp } = self.sizes;
        let sizes = [tp, cp, dp, pp];
        if sizes.contains(&0) || ep == 0 {
            return Err(Error::request("a dimension of the job has size 0").help("the least size is 1"));
        }
        let ranks = sizes.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
        ranks.filter(|ranks| *ranks <= MAX_RANKS).ok_or_else(|| {
            let name = |size: &usize| size.to_string();
            let product = sizes.iter().map(name).collect::<Vec<_>>().join(" · ");
            Error::new(ErrorKind::Unsupported, format!("{product} ranks are more than {MAX_RANKS}"))
                .help("map the ranks of one machine or NVLink domain at a time")
        })
    }

    /// Returns the groups of one dimension, with their ranks in the order that Megatron-core gives them.
    ///
    /// ```
    /// use nvtopo::{ParallelJob, solve::Dimension};
    ///
    /// let job = ParallelJob::new().tp(2).dp(2).pp(2);
    /// assert_eq!(job.groups(Dimension::Dp)?, [[0, 2], [1, 3], [4, 6], [5, 7]]);
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn groups(&self, dimension: Dimension) -> Result<Vec<Vec<usize>>> {
        let [dense, experts] = self.grids()?;
        Ok(match dimension {
            Dimension::Dp => dense.groups(&[Dimension::Dp, Dimension::Cp]),
            Dimension::Edp => experts.groups(&[Dimension::Dp]),
            Dimension::Ep => experts.groups(&[Dimension::Ep]),
            _ => dense.groups(&[dimension]),
        })
    }

    /// Returns the order of the ranks.
    pub fn rank_order(&self) -> &RankOrder {
        &self.order
    }

    /// Returns the sizes in words: `tp 2 × dp 4`.
    pub fn shape(&self) -> String {
        let word = |dimension: Dimension| {
            let size = self.sizes.of(dimension);
            (size > 1).then(|| format!("{} {size}", self.order.word(dimension)))
        };
        let dense = [Dimension::Tp, Dimension::Cp, Dimension::Dp, Dimension::Pp];
        let words: Vec<String> = dense.into_iter().filter_map(word).collect();
        let experts = if self.sizes.ep > 1 { format!(", ep {}", self.sizes.ep) } else { String::new() };
        if words.is_empty() { "one rank".to_owned() } else { words.join(" × ") + &experts }
    }

    /// Returns the bytes that each rank sends in a dimension in one step.
    pub fn bytes(&self, dimension: Dimension) -> Result<u64> {
        let told = self.traffic.iter().find(|traffic| traffic.dimension == dimension);
        let modelled = || self.model.and_then(|model| model.bytes(dimension, &self.sizes));
        told.map(|traffic| traffic.bytes).or_else(modelled).ok_or_else(|| {
            let word = self.order.word(dimension);
            Error::request(format!("the bytes that {word} moves in one step are unknown")).help(format!(
                "give them by --traffic ({word}=0 where they do not count), or describe the model by --model"
            ))
        })
    }

    /// Returns the dimensions that communicate: with groups of more than one rank and with traffic.
    pub(super) fn families(&self) -> Result<Vec<Family>> {
        let mut families = Vec::new();
        for dimension in Dimension::ALL {
            let mut groups = self.groups(dimension)?;
            let skipped = dimension == Dimension::Edp && self.sizes.ep == 1;
            if skipped || groups.iter().all(|group| group.len() < 2) {
                continue;
            }
            let pattern = match dimension {
                Dimension::Ep => Pattern::AllToAll,
                Dimension::Pp => Pattern::Pair,
                _ => Pattern::Ring,
            };
            if pattern == Pattern::Pair {
                groups = groups.iter().flat_map(|stages| stages.windows(2).map(<[usize]>::to_vec)).collect();
            }
            let bytes = self.bytes(dimension)?;
            if bytes > 0 {
                families.push(Family { dimension, pattern, bytes, groups });
            }
        }
        Ok(families)
    }

    /// Returns the grid of the dense layers, and that of the experts.
    pub(super) fn grids(&self) -> Result<[Grid; 2]> {
        self.ranks()?;
        let sizes = self.sizes;
        let named = |dimension: Dimension, size: usize| -> Result<()> {
            if size == 1 || self.order.axes().contains(&dimension) {
                return Ok(());
            }
            let order = &self.order;
            Err(Error::request(format!("{dimension} is {size}, but the order '{order}' does not name it")))
        };
        for dimension in [Dimension::Tp, Dimension::Cp, Dimension::Ep, Dimension::Dp, Dimension::Pp] {
            named(dimension, sizes.of(dimension))?;
        }
        let (ep, replicas) = (sizes.ep, sizes.cp * sizes.dp);
        if !replicas.is_multiple_of(ep) {
            let message = format!("ep {ep} does not divide the {replicas} context and data ranks");
            return Err(Error::request(message));
        }
        let of_dense = Sizes { ep: 1, ..sizes };
        let of_experts =
            if ep > 1 { Sizes { cp: 1, dp: sizes.of(Dimension::Edp), ..sizes } } else { of_dense };
        named(Dimension::Dp, if ep > 1 { of_experts.dp } else { 1 })?;
        let grid = |own: Sizes| Grid::new(self.order.axes().iter().map(|axis| (*axis, own.of(*axis))));
        let (dense, experts) = (grid(of_dense), grid(of_experts));
        // Megatron-core refuses this as well: a rank would be of two stages.
        if dense.groups(&[Dimension::Pp]) != experts.groups(&[Dimension::Pp]) {
            return Err(Error::request(format!(
                "with the order '{}' and ep {ep}, dense layers and experts would have different pipelines",
                self.order
            ))
            .help("put pp last"));
        }
        Ok([dense, experts])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::Topology;
    use crate::solve::ranks::cost::Problem;

    /// Builds the problem of mapping a job to GPUs of a machine.
    pub(in crate::solve) fn problem<T>(
        job: &ParallelJob,
        topology: &Topology,
        gpus: &[usize],
        ask: impl FnOnce(&Problem<'_>) -> T,
    ) -> T {
        let problem = Problem::new(topology, gpus, job.families().unwrap(), job.grids().unwrap()).unwrap();
        ask(&problem)
    }
}
