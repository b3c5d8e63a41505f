//! The NVLinks that boards give their GPUs, by PCI device, or by the product's name where a source tells no PCI device.

use crate::evidence::Evidence;
use crate::profile::Profile;
use nvtopo::model::Gpu;

/// The NVLinks of a GPU on its board.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Board {
    /// The number of links; 0 for parts without NVLink.
    pub(crate) links: u16,
    /// The rate of a link in GB/s, one direction. `None` for parts without NVLink.
    pub(crate) rate: Option<f64>,
}

/// The PCI devices of GPUs of vendor 0x10de, their products' names, and their NVLinks.
///
/// Bridged cards (H100 PCIe and NVL, A100 PCIe, A40, RTX) are not listed: how many links are up depends on the bridges in
/// them. Sources: PCI ID database for devices; links and rates: NVIDIA's data sheets of the SXM parts, and the line rates
/// that their drivers print (25 or 25.781, 26.562, 53.125 GB/s).
const BOARDS: &[(&[u16], &[&str], Board)] = &[
    // Tesla P100-SXM2 12 and 16 GB.
    (&[0x15f9], &["Tesla P100-SXM2-16GB"], Board { links: 4, rate: Some(20.0) }),
    // Tesla V100-SXM2 16 and 32 GB, SXM3.
    (
        &[0x1db1, 0x1db5, 0x1db8],
        &["Tesla V100-SXM2-16GB", "Tesla V100-SXM2-32GB", "Tesla V100-SXM3-32GB", "Tesla V100-SXM3-32GB-H"],
        Board { links: 6, rate: Some(25.0) },
    ),
    // A100 SXM4 40 and 80 GB.
    (
        &[0x20b0, 0x20b2],
        &["NVIDIA A100-SXM4-40GB", "NVIDIA A100-SXM4-80GB", "A100-SXM4-40GB", "A100-SXM4-80GB"],
        Board { links: 12, rate: Some(25.0) },
    ),
    // A800 SXM4 80 GB.
    (&[0x20f3], &["NVIDIA A800-SXM4-80GB"], Board { links: 8, rate: Some(25.0) }),
    // H100 SXM5 80 and 64 GB, H200 SXM, H20.
    (
        &[0x2330, 0x2335, 0x2329],
        &["NVIDIA H100 80GB HBM3", "NVIDIA H200", "NVIDIA H20"],
        Board { links: 18, rate: Some(26.562) },
    ),
    // H800 SXM5.
    (&[0x2324], &["NVIDIA H800"], Board { links: 8, rate: Some(26.562) }),
    // B200, B300, GB200, GB300.
    (
        &[0x2901, 0x3182, 0x2941, 0x31c2],
        &["NVIDIA B200", "NVIDIA B300 SXM6 AC", "NVIDIA GB200", "NVIDIA GB300"],
        Board { links: 18, rate: Some(53.125) },
    ),
    // T4, A10, A16, L4, L40, L40S: parts without NVLink.
    (
        &[0x1eb8, 0x2236, 0x25b6, 0x27b8, 0x26b5, 0x26b9],
        &["Tesla T4", "NVIDIA A10", "NVIDIA A16", "NVIDIA L4", "NVIDIA L40", "NVIDIA L40S"],
        Board { links: 0, rate: None },
    ),
];

const NVIDIA: u16 = 0x10de;

/// Returns whether a GPU is a part of racks, whose NVSwitches connect several machines: GB200 or GB300.
pub(crate) fn is_of_rack(gpu: &Gpu) -> bool {
    match (gpu.pci.device, &gpu.model) {
        (Some(device), _) => [0x2941, 0x31c2].contains(&device),
        (None, Some(model)) => ["GB200", "GB300"].iter().any(|part| model.contains(part)),
        (None, None) => false,
    }
}

/// Returns whether a GPU is of a generation before Hopper, whose NVSwitches keep no register of GPUs.
pub(crate) fn is_before_fabrics(gpu: &Gpu) -> bool {
    match gpu.compute_capability {
        Some(capability) => capability.major < 9,
        None => listed(gpu).and_then(|board| board.rate).is_some_and(|rate| rate <= 25.0),
    }
}

/// Returns the NVLinks that the profile, else the board, else the baseline gives a GPU. `None`: unknown.
pub(crate) fn of(evidence: &Evidence<'_>, gpu: &Gpu) -> Option<Board> {
    of_gpu(evidence.profile, gpu).or_else(|| accepted(evidence, gpu))
}

/// Returns the NVLinks that the baseline gives a GPU, by its UUID, else its address, else its number.
fn accepted(evidence: &Evidence<'_>, gpu: &Gpu) -> Option<Board> {
    let before = evidence.baseline?.topology();
    let find = |is: &dyn Fn(&Gpu) -> bool| before.gpus().position(is);
    let position = find(&|own| own.uuid.is_some() && own.uuid == gpu.uuid)
        .or_else(|| find(&|own| own.address.is_some() && own.address == gpu.address))
        .or_else(|| find(&|own| own.index == gpu.index))?;
    let own = before.gpus().nth(position)?;
    let up = || own.nvlinks.iter().filter(|port| port.up == Some(true));
    let links = match (own.nvlinks.is_empty(), before.nvlink_known()) {
        (false, _) if own.nvlinks.iter().any(|port| port.up.is_none()) => return None,
        (false, _) => up().count() as u16,
        (true, true) => before.nvlinks_of(position).0,
        (true, false) => return None,
    };
    Some(Board {
        links,
        rate: up().filter_map(|port| port.reported).min().map(nvtopo::Bandwidth::as_gb_per_s),
    })
}

/// Does the same without evidence.
pub(crate) fn of_gpu(profile: &Profile, gpu: &Gpu) -> Option<Board> {
    let expected = &profile.expect;
    let own = listed(gpu);
    let links = expected.nvlinks_per_gpu.or(own.map(|own| own.links))?;
    Some(Board { links, rate: expected.nvlink_rate.or(own.and_then(|own| own.rate)) })
}

fn listed(gpu: &Gpu) -> Option<Board> {
    let device = gpu.pci.device.filter(|_| gpu.pci.vendor.is_none_or(|vendor| vendor == NVIDIA));
    let found = match (device, &gpu.model) {
        (Some(device), _) => BOARDS.iter().find(|(devices, _, _)| devices.contains(&device)),
        (None, Some(model)) => BOARDS.iter().find(|(_, models, _)| models.contains(&model.as_str())),
        (None, None) => None,
    };
    found.map(|(_, _, board)| *board)
}
