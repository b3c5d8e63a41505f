//! Sets of GPUs as bits.

pub(in crate::solve) use crate::bits::members;
use crate::model::{Gpu, Topology};

/// The greatest number of GPUs that one request chooses from.
pub(in crate::solve) const MAX_CANDIDATES: usize = 128;

/// A set of GPUs, one bit for each GPU.
pub type Set = u128;

/// Returns the set of some GPUs, each below 128.
pub(in crate::solve) fn of(gpus: impl IntoIterator<Item = usize>) -> Set {
    gpus.into_iter().fold(0, |set, gpu| set | 1 << gpu)
}

/// Returns the set of the first `gpus` GPUs.
pub(in crate::solve) fn all(gpus: usize) -> Set {
    Set::MAX.checked_shr(Set::BITS - gpus as u32).unwrap_or(0)
}

/// Returns the set of the GPUs after one.
pub(in crate::solve) fn above(gpu: usize) -> Set {
    !(Set::MAX >> (Set::BITS as usize - 1 - gpu))
}

/// Returns the positions in [`Topology::gpus`] of the GPUs that a job can use whole and together with others if it names none:
/// GPUs that are usable, have MIG disabled, do not serve displays, and take part in the NVLink fabric if the others do.
///
/// ```
/// let dgx1 = nvtopo::Topology::preset("dgx-1-v100")?;
/// assert!(nvtopo::solve::joint_gpus(&dgx1).eq(0..8));
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn joint_gpus(topology: &Topology) -> impl Iterator<Item = usize> {
    usable(topology).filter(|gpu| topology.cut_off(*gpu).is_none())
}

/// Returns the positions of the GPUs that a job can use whole: usable GPUs with MIG disabled that do not serve displays.
pub(in crate::solve) fn usable(topology: &Topology) -> impl Iterator<Item = usize> {
    let usable =
        |gpu: &Gpu| gpu.unusable.is_none() && !gpu.mig.is_some_and(|mig| mig.current) && !gpu.is_display();
    topology.gpus().enumerate().filter(move |(_, gpu)| usable(gpu)).map(|(position, _)| position)
}
