//! The metrics of a node, as values: families of samples with labels. A server or a file writes them as text.
//!
//! An unknown value has no sample. Traffic of NVLinks, and counters of PCIe and RDMA, are left to `dcgm-exporter` and
//! `node_exporter`, which publish them already.

use crate::board;
use crate::finding::Status;
use crate::profile::Profile;
use crate::report::Report;
use nvtopo::model::{FabricState, NvLinkFar};
use std::collections::BTreeMap;

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value that goes up and down.
    Gauge,
    /// A value that only grows, until the node starts anew.
    Counter,
}

/// A metric with its samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// The name, without the `_total` of counters.
    pub name: &'static str,
    /// A line for people.
    pub help: &'static str,
    /// The kind.
    pub kind: Kind,
    /// The samples.
    pub samples: Vec<Sample>,
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The labels by name.
    pub labels: Vec<(&'static str, String)>,
    /// The value, in base units: bytes, seconds.
    pub value: f64,
}

/// Returns the metrics of a report and of the machine that it judges, which was read at a time (in seconds since 1970).
pub fn metrics(report: &Report, profile: &Profile, read_at: f64) -> Vec<Family> {
    let mut families = vec![
        gauge(
            "nvtopo_build_info",
            "Version of the exporter",
            vec![info([("version", env!("CARGO_PKG_VERSION").to_owned())])],
        ),
        gauge(
            "nvtopo_snapshot_timestamp_seconds",
            "Unix time of the last reading of the node",
            vec![Sample { labels: Vec::new(), value: read_at }],
        ),
    ];
    families.extend(of_gpus(report, profile));
    families.extend(of_nvlinks(report, profile));
    families.extend(of_paths(report));
    families.push(of_checks(report));
    families.retain(|family| !family.samples.is_empty());
    families
}

fn gauge(name: &'static str, help: &'static str, samples: Vec<Sample>) -> Family {
    Family { name, help, kind: Kind::Gauge, samples }
}

fn info<const N: usize>(labels: [(&'static str, String); N]) -> Sample {
    value(labels, 1.0)
}

fn value<const N: usize>(labels: [(&'static str, String); N], value: f64) -> Sample {
    Sample { labels: labels.into(), value }
}

fn of_gpus(report: &Report, profile: &Profile) -> Vec<Family> {
    let topology = report.topology();
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
        if let Some(node) = near.known().and_then(|nodes| nodes.iter().next()) {
            nodes.push(value([("gpu", number.clone())], f64::from(node)));
        }
        if let Some(fabric) = gpu.fabric.as_ref().filter(|fabric| fabric.state != FabricState::Unknown) {
            for state in FabricState::ALL.into_iter().filter(|state| *state != FabricState::Unknown) {
                let labels = [("gpu", number.clone()), ("state", state.word().replace('-', "_"))];
                states.push(value(labels, f64::from(u8::from(state == fabric.state))));
            }
        }
    }
    let expected = profile.expect.gpus.map(|gpus| Sample { labels: Vec::new(), value: gpus as f64 });
    vec![
        gauge("nvtopo_gpu_info", "Identity of a GPU", infos),
        gauge("nvtopo_gpu_numa_node", "NUMA node near a GPU", nodes),
        gauge("nvtopo_gpus_expected", "GPUs that the profile expects", expected.into_iter().collect()),
        gauge(
            "nvtopo_gpu_fabric_state",
            "Registration of a GPU with its NVLink fabric, one series for each state",
            states,
        ),
    ]
}

fn of_nvlinks(report: &Report, profile: &Profile) -> Vec<Family> {
    let (mut up, mut peers, mut speeds, mut expected) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for gpu in report.topology().gpus() {
        let number = || ("gpu", gpu.index.to_string());
        if let Some(board) = board::of_gpu(profile, gpu) {
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
        gauge("nvtopo_nvlink_links_expected", "NVLinks that the board or the profile gives a GPU", expected),
        gauge(
            "nvtopo_nvlink_speed_bytes_per_second",
            "Line rate of an active NVLink in one direction",
            speeds,
        ),
    ]
}

fn of_paths(report: &Report) -> Vec<Family> {
    let topology = report.topology();
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

fn of_checks(report: &Report) -> Family {
    let mut counts: BTreeMap<(&str, &str, Status), usize> = BTreeMap::new();
    for finding in report.findings() {
        let check = finding.check;
        *counts.entry((check.code, check.severity.word(), finding.effective())).or_default() += 1;
    }
    let samples = counts.into_iter().map(|((check, severity, status), count)| {
        let words = [("check", check), ("severity", severity), ("status", status.word())];
        value(words.map(|(name, word)| (name, word.to_owned())), count as f64)
    });
    gauge("nvtopo_check_subjects", "Subjects of a check in each status", samples.collect())
}
