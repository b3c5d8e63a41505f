//! `Chooser`: which GPUs, and nothing else, for schedulers that keep the state of a machine themselves.

use crate::arguments::{Bits, Count, GpuArguments, Mix, Names};
use crate::topology::Topology;
use crate::{call, indices_of};
use pyo3::prelude::*;

/// Chooses GPUs of one machine from any that are free, and says nothing else of them. The answers are those of
/// Topology.place, and are memoized: a repeated request costs next to nothing.
///
/// Args:
///     topology: the machine.
///     objectives: what counts, most important first, as in Topology.place.
///     mix: how often jobs of each size come, as in Topology.place.
///
/// Raises UnsupportedError for a machine of more than 128 GPUs.
///
/// >>> import nvtopo
/// >>> chooser = nvtopo.Chooser(nvtopo.preset("dgx-1-v100"))
/// >>> chooser.choose(range(8), 2), chooser.choose_mask(0b1111_0110, 2)
/// ([0, 3], 6)
#[pyclass(frozen, module = "nvtopo")]
pub(crate) struct Chooser {
    topology: nvtopo::Topology,
    chooser: nvtopo::Chooser,
}

#[pymethods]
impl Chooser {
    #[new]
    #[pyo3(signature = (topology, *, objectives=None, mix=None))]
    fn new(
        py: Python<'_>,
        topology: &Bound<'_, Topology>,
        objectives: Option<Names>,
        mix: Option<Mix>,
    ) -> PyResult<Self> {
        let topology = topology.get().0.clone();
        let mix = mix.map(|mix| mix.mix);
        let names = objectives.map(|names| names.0).unwrap_or_default();
        let chooser = call(py, || nvtopo::Chooser::by_objectives(&topology, names, mix.as_ref()))?;
        Ok(Self { topology, chooser })
    }

    /// The indices of the best `count` of the free GPUs, increasing. None: there are not so many, or `count` is 0.
    ///
    /// Args:
    ///     free: the free GPUs, each named as in Topology.place.
    ///     count: how many.
    ///
    /// Raises InvalidRequestError where there is no such GPU.
    fn choose(&self, py: Python<'_>, free: GpuArguments, count: Count) -> PyResult<Option<Vec<u32>>> {
        let GpuArguments(free) = free;
        call(py, || {
            let positions = free.iter().map(|gpu| gpu.resolve(&self.topology));
            let free = positions.collect::<nvtopo::Result<Vec<usize>>>()?;
            let free = free.into_iter().fold(0, |free, position| free | 1 << position);
            let chosen = self.chooser.choose(free, count.0);
            let members = |set: u128| (0..self.topology.gpus().len()).filter(move |gpu| set >> gpu & 1 == 1);
            Ok(chosen.map(|set| indices_of(&self.topology, &members(set).collect::<Vec<usize>>())))
        })
    }

    /// As choose, in bits: bit n stands for `Topology.gpus[n]`, which is the GPU of index n where the indices have no gaps.
    /// Bits of no GPU are not looked at.
    ///
    /// Args:
    ///     free: the free GPUs, below 2 to the power of 128.
    ///     count: how many.
    ///
    /// Raises OverflowError for negative and larger numbers.
    fn choose_mask(&self, py: Python<'_>, free: Bits, count: Count) -> Option<u128> {
        py.detach(|| self.chooser.choose(free.0, count.0))
    }

    fn __repr__(&self) -> String {
        format!("<Chooser of {} GPUs>", self.topology.gpus().len())
    }
}
