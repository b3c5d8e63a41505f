//! Which NICs are nearest to a GPU.

use crate::model::{PathType, Topology};

/// The NICs on the best path class from a GPU, as positions in [`Topology::devices`], with that class. None when
/// there is no NIC or no path is known.
///
/// ```
/// let dgx = nvtopo::Topology::preset("dgx-h100")?;
/// let (nics, path) = nvtopo::nearest_nics(&dgx, 0);
/// assert_eq!((dgx.device_name(nics[0]).as_str(), path), ("mlx5_0", Some(nvtopo::PathType::Pix)));
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn nearest_nics(topology: &Topology, gpu: usize) -> (Vec<usize>, Option<PathType>) {
    let first = topology.gpus().len();
    let paths = (first..topology.devices().len())
        .filter_map(|nic| Some((nic, topology.pairs().pair(gpu, nic).path?)));
    let best = paths.clone().map(|(_, path)| path).min();
    (paths.filter(|(_, path)| Some(*path) == best).map(|(nic, _)| nic).collect(), best)
}
