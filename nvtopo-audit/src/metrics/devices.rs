//! Families of devices: GPUs, their NVLinks, and the paths between them.

use super::{Family, Sample, alone, gauge, info, value};
use crate::board;
use crate::evidence::Evidence;
use nvtopo::model::{FabricState, NvLinkFar, Stated};

/// Returns the families of GPUs.
pub(super) fn gpus(evidence: &Evidence<'_>) -> Vec<Family> {
    let topology = evidence.topology;
    let machine = topology.machine();
    let mut infos = Vec::new();
    let mut nodes = Vec::new();
    let mut states = Vec::new();
    for (position, gpu) in topology.gpus().enumerate() {
        let number = gpu.index.to_string();
        let facts = [
            ("uuid", gpu.uuid.as_ref().map(ToString::to_string)),
            ("pci_bus_id", gpu.address.map(|own| own.to_string())),
            ("model", gpu.model.clone()),
            ("driver_version", machine.driver.clone()),
            ("vbios_version", gpu.firmware.clone()),
        ];
        let known = facts.into_iter().filter_map(|(name, fact)| Some((name, fact?)));
        infos.push(Sample {
            labels: [("gpu", number.clone())].into_iter().chain(known).collect(),
            value: 1.0,
        });
        let near = topology.local_nodes(topology.devices()[position]);
        let node = match near {
            Stated::Known(nodes) => nodes.iter().next().map(f64::from),
            // As the kernel writes it.
            Stated::NotAvailable => Some(-1.0),
            Stated::Unstated | Stated::Unreadable => None,
        };
        nodes.extend(node.map(|node| value([("gpu", number.clone())], node)));
        if let Some(fabric) = gpu.fabric.as_ref().filter(|fabric| fabric.state != FabricState::Unknown) {
            for state in FabricState::ALL.into_iter().filter(|state| *state != FabricState::Unknown) {
                let labels = [("gpu", number.clone()), ("state", state.word().replace('-', "_"))];
                states.push(value(labels, f64::from(u8::from(state == fabric.state))));
            }
        }
    }
    let accepted = || evidence.baseline.map(|own| own.topology().gpus().len()).filter(|gpus| *gpus > 0);
    let expected = evidence.profile.expect.gpus.or_else(accepted).map(|gpus| alone(gpus as f64));
    vec![
        gauge("nvtopo_gpu_info", "Identity of a GPU", infos),
        gauge("nvtopo_gpu_numa_node", "NUMA node near a GPU; -1 where the platform has none for it", nodes),
        gauge(
            "nvtopo_gpus_expected",
            "GPUs that the profile or the baseline expects",
            expected.into_iter().collect(),
        ),
        gauge(
            "nvtopo_gpu_fabric_state",
            "Registration of a GPU with its NVLink fabric, one series for each state",
            states,
        ),
    ]
}

/// Returns the families of NVLinks.
pub(super) fn nvlinks(evidence: &Evidence<'_>) -> Vec<Family> {
    let (mut up, mut peers, mut speeds, mut expected) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for gpu in evidence.topology.gpus() {
        let number = || ("gpu", gpu.index.to_string());
        if let Some(board) = board::of(evidence, gpu) {
            expected.push(value([number()], f64::from(board.links)));
        }
        for port in &gpu.nvlinks {
            let link = || ("link", port.number.to_string());
            if let Some(is_up) = port.up {
                up.push(value([number(), link()], f64::from(u8::from(is_up))));
            }
            if let Some(rate) = port.reported.filter(|_| port.up == Some(true)) {
                speeds.push(value([number(), link()], rate.as_gb_per_s() * 1e9));
            }
            let (kind, address) = match port.far {
                NvLinkFar::Gpu(address) => ("gpu", Some(address)),
                NvLinkFar::Switch(address) => ("nvswitch", address),
                NvLinkFar::Cpu => ("cpu", None),
                _ => continue,
            };
            let peer = address.map_or_else(String::new, |own| own.to_string());
            peers.push(info([number(), link(), ("peer", peer), ("peer_type", kind.to_owned())]));
        }
    }
    vec![
        gauge("nvtopo_nvlink_up", "Whether an NVLink is active", up),
        gauge("nvtopo_nvlink_peer_info", "Device at the far end of an NVLink", peers),
        gauge(
            "nvtopo_nvlink_links_expected",
            "NVLinks that the profile, the board or the baseline gives a GPU",
            expected,
        ),
        gauge(
            "nvtopo_nvlink_speed_bytes_per_second",
            "Line rate of an active NVLink in one direction",
            speeds,
        ),
    ]
}

/// Returns the families of paths between devices.
pub(super) fn paths(evidence: &Evidence<'_>) -> Vec<Family> {
    let topology = evidence.topology;
    let (mut pairs, mut rates, mut nics) = (Vec::new(), Vec::new(), Vec::new());
    let gpus: Vec<_> = topology.gpus().map(|gpu| gpu.index.to_string()).collect();
    for (a, own) in gpus.iter().enumerate() {
        for (b, peer) in gpus.iter().enumerate().skip(a + 1) {
            let pair = topology.pairs().pair(a, b);
            let labels = || [("gpu", own.clone()), ("peer_gpu", peer.clone())];
            if let Some(path) = pair.path {
                let [gpu, peer] = labels();
                pairs.push(info([gpu, peer, ("path", path.to_string())]));
            }
            if let Some(rate) = pair.rate {
                rates.push(value(labels(), rate.bandwidth.as_gb_per_s() * 1e9));
            }
        }
        let (near, path) = nvtopo::nearest_nics(topology, a);
        for nic in near {
            let name = topology.device_name(nic);
            if let Some(path) = path {
                nics.push(info([("gpu", own.clone()), ("nic", name), ("path", path.to_string())]));
            }
        }
    }
    vec![
        gauge("nvtopo_gpu_pair_info", "Class of the best path between two GPUs", pairs),
        gauge(
            "nvtopo_gpu_pair_bandwidth_bytes_per_second",
            "Bandwidth of the best path between two GPUs in one direction",
            rates,
        ),
        gauge("nvtopo_gpu_nic_info", "NICs nearest to a GPU, and the class of the path to them", nics),
    ]
}
