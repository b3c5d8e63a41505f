//! The order in which CUDA counts GPUs.
//!
//! It may differ from that of `nvidia-smi`: by default CUDA puts the fastest GPU first, by a heuristic that NVIDIA does
//! not publish. It is not guessed here.
//!
//! Source: CUDA Programming Guide, "CUDA Environment Variables".

use crate::model::{Gpu, Topology};
use std::convert::Infallible;
use std::str::FromStr;

/// The value of `CUDA_DEVICE_ORDER`.
///
/// ```
/// use nvtopo::CudaOrder;
///
/// assert_eq!("PCI_BUS_ID".parse(), Ok(CudaOrder::PciBusId));
/// assert_eq!("anything else".parse(), Ok(CudaOrder::FastestFirst)); // as CUDA reads it
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CudaOrder {
    /// The fastest first: the default of CUDA.
    #[default]
    FastestFirst,
    /// By the place on the PCI bus, as `nvidia-smi` counts.
    PciBusId,
}

impl FromStr for CudaOrder {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(if text.trim() == "PCI_BUS_ID" { Self::PciBusId } else { Self::FastestFirst })
    }
}

words! {
    /// The basis on which CUDA's order of GPUs is known.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum OrderBasis {
        /// The variable sets it, or the GPUs are of one model.
        #[default]
        Known = "known",
        /// The models of the GPUs are unknown; they are taken to be one, and the order to be that of the PCI bus.
        Assumed = "assumed",
        /// The GPUs are of several models.
        Unknown = "unknown",
    }
    /// Returns its word.
    word
}

impl OrderBasis {
    /// Returns a remark for people: the uncertainty, and the remedy.
    pub(in crate::solve) const fn remark(self) -> Option<&'static str> {
        match self {
            Self::Known => None,
            Self::Assumed => Some(
                "the models of the GPUs are unknown, so CUDA is taken to count them in the order of the PCI bus; set \
                 CUDA_DEVICE_ORDER=PCI_BUS_ID to be sure",
            ),
            Self::Unknown => Some(
                "the GPUs are of several models, which CUDA counts in an order of its own; set \
                 CUDA_DEVICE_ORDER=PCI_BUS_ID, or name GPUs by their UUIDs",
            ),
        }
    }
}

impl Topology {
    /// Returns the positions of the GPUs in the order in which CUDA counts them. `None` where it is unknown: CUDA puts
    /// the fastest first, and the GPUs are not known to be of one model.
    ///
    /// [`Gpu::index`](crate::model::Gpu::index) counts as `nvidia-smi` does, in the order of the PCI bus.
    ///
    /// ```
    /// use nvtopo::CudaOrder;
    ///
    /// let dgx = nvtopo::Topology::preset("dgx-h100")?;
    /// assert_eq!(dgx.cuda_order(CudaOrder::FastestFirst), Some(vec![0, 1, 2, 3, 4, 5, 6, 7]));
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn cuda_order(&self, order: CudaOrder) -> Option<Vec<usize>> {
        (basis(self, order) == OrderBasis::Known).then(|| by_bus(self))
    }
}

/// Returns how CUDA's order is known, if it is taken to be that of the bus.
pub(super) fn basis(topology: &Topology, order: CudaOrder) -> OrderBasis {
    if order == CudaOrder::PciBusId || topology.gpus().len() < 2 {
        return OrderBasis::Known;
    }
    let differ = |facts: Vec<String>| facts.iter().any(|fact| *fact != facts[0]);
    let capability = |gpu: &Gpu| gpu.compute_capability.map(|capability| capability.to_string());
    let models: Vec<String> = topology.gpus().filter_map(|gpu| gpu.model.clone()).collect();
    let all_known = models.len() == topology.gpus().len();
    match differ(models) || differ(topology.gpus().filter_map(capability).collect()) {
        true => OrderBasis::Unknown,
        false if all_known => OrderBasis::Known,
        false => OrderBasis::Assumed,
    }
}

/// Returns the positions by address where all addresses are known, else by index.
pub(super) fn by_bus(topology: &Topology) -> Vec<usize> {
    let addresses: Option<Vec<_>> = topology.gpus().map(|gpu| gpu.address).collect();
    let mut positions: Vec<usize> = (0..topology.gpus().len()).collect();
    if let Some(addresses) = addresses {
        positions.sort_by_key(|position| addresses[*position]);
    }
    positions
}

/// Finds the GPU that has this number where CUDA counts along the bus. Where the topology lacks some of the machine's
/// GPUs, their numbers stay free.
pub(super) fn at_ordinal(topology: &Topology, ordinal: u64) -> Option<usize> {
    // Positions are by increasing index.
    let mut numbered = topology.gpus().zip(by_bus(topology));
    numbered.find(|(gpu, _)| u64::from(gpu.index) == ordinal).map(|(_, position)| position)
}
