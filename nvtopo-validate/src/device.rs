//! The devices that can be measured, and those that cannot, with the reason.

use nvtopo::model::{LinkLayer, PortState};
use nvtopo::{Topology, VisibleGpus};

/// NVIDIA's number as a vendor of PCI devices.
const NVIDIA: u16 = 0x10de;

/// A device, or a pair of devices, that is not measured.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftOut {
    /// Its name.
    pub name: String,
    /// The reason.
    pub why: String,
}

impl LeftOut {
    pub(crate) fn new(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self { name: name.into(), why: why.into() }
    }
}

/// Returns the positions of the GPUs that can be measured, and the others with the reason: GPUs that this process does not see,
/// MIG-enabled ones, those of other makers, those for screens, and broken ones.
///
/// ```
/// let dgx = nvtopo::Topology::preset("dgx-h100")?;
/// assert_eq!(nvtopo_validate::gpus(&dgx, None).0.len(), 8);
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn gpus(topology: &Topology, visible: Option<&VisibleGpus>) -> (Vec<usize>, Vec<LeftOut>) {
    let (mut found, mut left_out) = (Vec::new(), Vec::new());
    for (position, gpu) in topology.gpus().enumerate() {
        let is_hidden = visible.is_some_and(|own| !own.positions().contains(&position));
        let why = if is_hidden {
            "CUDA_VISIBLE_DEVICES hides it"
        } else if gpu.pci.vendor.is_some_and(|vendor| vendor != NVIDIA) {
            "it is not NVIDIA's"
        } else if gpu.is_display() {
            "it is for screens"
        } else if gpu.mig.is_some_and(|mode| mode.current) {
            "it is MIG-enabled: its instances have no NVLink and share its PCIe link"
        } else if let Some(fault) = &gpu.unusable {
            fault
        } else {
            found.push(position);
            continue;
        };
        left_out.push(LeftOut::new(gpu.name(), why));
    }
    (found, left_out)
}

/// Returns the positions in [`Topology::devices`] of the NICs whose RDMA ports can be measured, and the other RDMA devices with
/// the reason: a port that is not active.
///
/// ```
/// let dgx = nvtopo::Topology::preset("dgx-h100")?;
/// assert_eq!(nvtopo_validate::ports(&dgx).0.first(), Some(&8));
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn ports(topology: &Topology) -> (Vec<usize>, Vec<LeftOut>) {
    let first = topology.gpus().len();
    let (mut found, mut left_out) = (Vec::new(), Vec::new());
    for (place, nic) in topology.nics().enumerate() {
        match nic.state {
            _ if nic.rdma_device.is_none() => {}
            Some(PortState::Active) | None => found.push(first + place),
            Some(state) => {
                left_out.push(LeftOut::new(&nic.name, format!("its port is {state:?}").to_lowercase()));
            }
        }
    }
    (found, left_out)
}

/// Returns the link layer of the NIC at a position, where it is known.
pub(crate) fn layer(topology: &Topology, device: usize) -> Option<LinkLayer> {
    nic(topology, device)?.link_layer
}

/// Returns the NIC at a position in [`Topology::devices`].
pub(crate) fn nic(topology: &Topology, device: usize) -> Option<&nvtopo::model::Nic> {
    topology.nics().nth(device.checked_sub(topology.gpus().len())?)
}

/// Returns every pair of some devices once, in rounds of pairs without a common device, as a round-robin tournament is held: the
/// first of them reach all devices.
pub(crate) fn pairs(devices: &[usize]) -> Vec<(usize, usize)> {
    let mut circle: Vec<Option<usize>> = devices.iter().copied().map(Some).collect();
    if circle.len() % 2 == 1 {
        circle.push(None);
    }
    let count = circle.len();
    let mut pairs = Vec::new();
    for _ in 1..count {
        for place in 0..count / 2 {
            if let (Some(a), Some(b)) = (circle[place], circle[count - 1 - place]) {
                pairs.push((a.min(b), a.max(b)));
            }
        }
        circle[1..].rotate_right(1);
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_pair_is_there_once_and_the_first_ones_reach_all_devices() {
        for count in 0..12_usize {
            let devices: Vec<usize> = (0..count).map(|device| device * 3).collect();
            let pairs = pairs(&devices);
            let different: BTreeSet<_> = pairs.iter().collect();
            assert_eq!((pairs.len(), different.len()), (count * count.saturating_sub(1) / 2, pairs.len()));
            let reached: BTreeSet<usize> = pairs.iter().take(count / 2).flat_map(|(a, b)| [*a, *b]).collect();
            assert_eq!(reached.len(), count / 2 * 2);
        }
    }
}
