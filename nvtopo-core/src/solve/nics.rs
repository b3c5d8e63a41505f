//! Which NICs are nearest to a GPU.

use crate::model::{PathType, PortState, Topology};

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

/// One NIC for each GPU, by the GPU's position: of those nearest to it that are not known to be down, the one that the
/// fewest other GPUs got, so that GPUs that are equally near take turns. All GPUs of the machine are counted, so that two
/// jobs agree. `None` where there is no NIC or no path is known.
///
/// ```
/// let dgx = nvtopo::Topology::preset("dgx-h100")?;
/// let nics = nvtopo::fair_nics(&dgx);
/// assert_eq!(dgx.device_name(nics[0].unwrap()), "mlx5_0");
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn fair_nics(topology: &Topology) -> Vec<Option<usize>> {
    let gpus = topology.gpus().len();
    let states: Vec<Option<PortState>> = topology.nics().map(|nic| nic.state).collect();
    let up = |nic: &usize| states[nic - gpus].is_none_or(|state| state == PortState::Active);
    let mut taken = vec![0; topology.devices().len()];
    let mut choose = |gpu: usize| {
        let (near, _) = nearest_nics(topology, gpu);
        let nic = near.into_iter().filter(up).min_by_key(|nic| (taken[*nic], *nic))?;
        taken[nic] += 1;
        Some(nic)
    };
    (0..gpus).map(&mut choose).collect()
}
