//! The rates that the graph says are possible, and the part of them that protocols leave for data.
//!
//! Wires carry headers, checksums and credits beside data, so that no benchmark reaches their rate. Each part here has its
//! source; a rate of unknown basis is no expectation.

use crate::device::nic;
use crate::figure::Subject;
use nvtopo::model::{Basis, LinkKind, LinkLayer, NodeId, NodeKind, P2pStatus, Pair, Rate, rates};
use nvtopo::{Bandwidth, ComputeCapability, PathType, Topology};

/// The part of a C2C link's rate that copies from and to the host reach.
///
/// Source: Schieffer et al., "Harnessing Integrated CPU-GPU System Memory for HPC: a first look into Grace Hopper" (2024): of
/// 450 GB/s, 375 to the GPU and 297 from it.
const C2C: [(bool, f64); 2] = [(true, 375.0 / 450.0), (false, 297.0 / 450.0)];

/// The part of PCIe's rate that is left between two devices whose data goes through the root complex of an Intel CPU.
///
/// Source: NCCL 2.30, `src/graph/topo.h`: it counts 6/5 of the bandwidth there.
const INTEL_ROOT_COMPLEX: f64 = 5.0 / 6.0;

/// Bytes of a packet of `RoCE` v2 beside its data: preamble, gap, Ethernet, IPv4, UDP, base transport header, two checksums.
///
/// Source: IEEE 802.3 (20 and 18), RFC 791 (20), RFC 768 (8), `InfiniBand` architecture specification 1.2.1 annex 17 (12 and 4).
const ROCE_HEADERS: f64 = 82.0;

/// Bytes of a packet of `InfiniBand` within a subnet beside its data: local route, base transport, two checksums.
///
/// Source: `InfiniBand` architecture specification 1.2.1, chapter 5.
const IB_HEADERS: f64 = 26.0;

/// Bytes that `RoCE` keeps free of an interface's MTU for the largest headers. Source: Linux, `include/rdma/ib_addr.h`.
const ROCE_RESERVED: u32 = 96;

/// A rate that is possible.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Possible {
    /// The rate of the wires.
    pub wires: Bandwidth,
    /// The rate that data can reach.
    pub reachable: Bandwidth,
    /// The link that limits it, for people: `18 NVLinks`.
    pub limit: String,
    /// The source of the part that data can reach.
    pub source: &'static str,
}

impl Possible {
    fn new(wires: Bandwidth, part: f64, limit: impl Into<String>, source: &'static str) -> Self {
        let reachable = Bandwidth::from_gb_per_s(wires.as_gb_per_s() * part);
        Self { wires, reachable, limit: limit.into(), source }
    }
}

const NCCL: &str = "NCCL plans with it (src/graph/topo.h)";

/// Returns the bandwidth that is possible for a subject.
///
/// Errors with the reason, for people, where the graph does not say: an unknown path, a link of unknown generation, GPUs without
/// access to each other.
///
/// ```
/// use nvtopo_validate::{Subject, possible};
///
/// let dgx = nvtopo::Topology::preset("dgx-a100")?;
/// let own = possible(&dgx, &Subject::Path { from: 0, to: 1 }).unwrap();
/// assert_eq!((own.wires.to_string(), own.reachable.to_string()), ("300 GB/s".to_owned(), "240 GB/s".to_owned()));
/// assert_eq!(own.limit, "12 NVLinks");
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn possible(topology: &Topology, subject: &Subject) -> Result<Possible, String> {
    let count = topology.devices().len();
    if subject.devices().iter().any(|device| *device >= count) {
        return Err("the device is not of this machine".to_owned());
    }
    match subject {
        Subject::Path { from, to } => path(topology, *from, *to),
        Subject::ToGpu(gpu) => host(topology, *gpu, true),
        Subject::FromGpu(gpu) => host(topology, *gpu, false),
        Subject::Adapter(nic) => port(topology, *nic),
        Subject::Group(gpus) => group(topology, gpus),
    }
}

fn path(topology: &Topology, from: usize, to: usize) -> Result<Possible, String> {
    let gpus = topology.gpus().len();
    if from >= gpus && to >= gpus {
        // Between two ports lies the network, which is as fast as the slower of them.
        return Ok(least([port(topology, from)?, port(topology, to)?]));
    }
    let pair = topology.pairs().pair(from, to);
    if from < gpus && to < gpus {
        return between_gpus(topology, (from, to), pair);
    }
    let own = over_host(topology, (from, to), pair)?;
    Ok(least([own, port(topology, from.max(to))?]))
}

fn between_gpus(topology: &Topology, (a, b): (usize, usize), pair: Pair) -> Result<Possible, String> {
    if pair.path == Some(PathType::Nvl) {
        let rate = nvlink_rate(topology, a, b, pair).ok_or("the rate of its NVLinks is unknown")?;
        let limit = count_of(pair.nvlinks, "NVLink");
        return match rate.basis {
            Basis::Assumed => Err("the generation of its NVLinks is unknown".to_owned()),
            Basis::Measured => Ok(measured(rate)),
            _ => Ok(Possible::new(rate.bandwidth, nvlink_part(rate, pair.nvlinks), limit, NCCL)),
        };
    }
    let (a, b) = (topology.devices()[a], topology.devices()[b]);
    let barred = |status: Option<P2pStatus>| {
        status.is_some_and(|own| !matches!(own, P2pStatus::Ok | P2pStatus::Unknown))
    };
    if topology.p2p(a, b).is_some_and(|p2p| barred(p2p.read) || barred(p2p.write)) {
        return Err(
            "the GPUs cannot access each other, so that copies go through memory of the host".to_owned()
        );
    }
    let places = |id: NodeId| topology.devices().iter().position(|own| *own == id).unwrap_or_default();
    over_host(topology, (places(a), places(b)), pair)
}

/// Returns the rate of a pair's NVLinks: where their generation is unknown, by the models of both GPUs, if these are known.
fn nvlink_rate(topology: &Topology, a: usize, b: usize, pair: Pair) -> Option<Rate> {
    let by_model = |device: usize| {
        let gpu = topology.gpus().nth(device)?;
        let capability =
            gpu.compute_capability.or_else(|| ComputeCapability::of_model(gpu.model.as_deref()?));
        rates::nvlink_of(Some(capability?), None, pair.nvlinks).rate
    };
    match pair.rate {
        Some(rate) if rate.basis == Basis::Assumed => {
            let both = (by_model(a), by_model(b));
            Some(both.0.filter(|own| Some(*own) == both.1).unwrap_or(rate))
        }
        rate => rate,
    }
}

/// The most NVLinks that two GPUs have over a bridge, or of the first generation.
const BRIDGED: u16 = 4;

/// Returns the least rate that the NVLinks of two GPUs carry, whatever their generation is. `None`: it is known, or there are none.
pub(crate) fn floor(topology: &Topology, subject: &Subject) -> Option<Possible> {
    let Subject::Path { from, to } = *subject else { return None };
    let gpus = topology.gpus().len();
    let pair = (from < gpus && to < gpus).then(|| topology.pairs().pair(from, to))?;
    let links = pair.nvlinks;
    let is_open = pair.rate.is_some_and(|rate| rate.basis == Basis::Assumed);
    if pair.path != Some(PathType::Nvl) || !is_open || links == 0 {
        return None;
    }
    // Slower ones than those of the second generation are few.
    let link = if links > BRIDGED { rates::nvlink(2, links) } else { rates::nvlink_rtx(links) };
    let limit = format!("{} of the slowest kind", count_of(links, "NVLink"));
    Some(Possible::new(link.rate?.bandwidth, nvlink_part(link.rate?, links), limit, NCCL))
}

/// Returns the rate of a path over PCIe and the CPUs.
fn over_host(topology: &Topology, (a, b): (usize, usize), pair: Pair) -> Result<Possible, String> {
    let rate = pair.rate.ok_or("its path is unknown")?;
    match rate.basis {
        Basis::Measured => Ok(measured(rate)),
        Basis::Assumed => Err("the generation of its PCIe links is unknown".to_owned()),
        // Only the interconnect of NUMA nodes has such rates: those that NCCL plans with.
        Basis::Typical => Ok(Possible::new(rate.bandwidth, 1.0, "the interconnect of the NUMA nodes", NCCL)),
        _ => {
            let slower = [a, b].into_iter().filter_map(|device| uplink(topology, device));
            let limit =
                slower.min_by_key(|(rate, _)| rate.bandwidth).map_or("PCIe".to_owned(), |(_, limit)| limit);
            let mut own = pcie(rate.bandwidth, limit);
            let through_root = matches!(pair.path, Some(PathType::Phb | PathType::Node | PathType::Sys));
            if through_root && is_intel(topology) {
                own.reachable = Bandwidth::from_gb_per_s(own.reachable.as_gb_per_s() * INTEL_ROOT_COMPLEX);
            }
            Ok(own)
        }
    }
}

/// Returns true for a machine with Intel's CPUs.
fn is_intel(topology: &Topology) -> bool {
    let mut packages = topology.nodes().filter_map(|(_, node)| match &node.kind {
        NodeKind::Package(package) => package.model.as_deref(),
        _ => None,
    });
    topology.machine().cpu.vendor.as_deref() == Some("GenuineIntel")
        || packages.any(|model| model.contains("Intel"))
}

fn host(topology: &Topology, gpu: usize, to_gpu: bool) -> Result<Possible, String> {
    let id = topology.devices()[gpu];
    let c2c = topology.links_of(id).find(|(_, link)| link.kind == LinkKind::C2c);
    if let Some((_, link)) = c2c {
        let rate = link.rate.ok_or("the rate of its C2C links is unknown")?;
        let part = C2C.iter().find(|(own, _)| *own == to_gpu).map_or(1.0, |(_, part)| *part);
        return Ok(Possible::new(rate.bandwidth, part, "NVLink-C2C", "measured by Schieffer et al. (2024)"));
    }
    let (rate, limit) = uplink(topology, gpu).ok_or("the generation of its PCIe link is unknown")?;
    Ok(pcie(rate.bandwidth, limit))
}

/// Returns the rate between a NIC's port and memory of the host.
fn port(topology: &Topology, device: usize) -> Result<Possible, String> {
    let own = nic(topology, device).ok_or("it is no NIC")?;
    let rate = own.rate.filter(|rate| *rate > Bandwidth::ZERO);
    let rate = rate.ok_or_else(|| format!("the rate of the port of {} is unknown", own.name))?;
    let (part, source) = if own.link_layer == Some(LinkLayer::InfiniBand) {
        let data = 2048.0;
        (data / (data + IB_HEADERS), "headers of InfiniBand with packets of 2048 bytes")
    } else {
        // An MTU without a link layer may be that of IP over InfiniBand.
        let data = f64::from(roce_mtu(own.mtu.filter(|_| own.link_layer.is_some())));
        let is_known = own.link_layer.is_some() && own.mtu.is_some();
        let source = if is_known {
            "headers of RoCE v2 at the interface's MTU"
        } else {
            "headers of RoCE v2 with packets of 1024 bytes, as its link layer or MTU is unknown"
        };
        (data / (data + ROCE_HEADERS), source)
    };
    let network = Possible::new(rate, part, format!("the port of {}", own.name), source);
    // Where PCIe is unknown, the port alone is a limit that holds.
    let Some((rate, limit)) = uplink(topology, device) else { return Ok(network) };
    Ok(least([network, pcie(rate.bandwidth, limit)]))
}

/// Returns the data of one packet of `RoCE`, by the MTU of the interface; the least usual one where that is unknown.
fn roce_mtu(interface: Option<u32>) -> u32 {
    let room = interface.unwrap_or(1500).saturating_sub(ROCE_RESERVED);
    [4096, 2048, 1024, 512].into_iter().find(|mtu| *mtu <= room).unwrap_or(256)
}

fn group(topology: &Topology, gpus: &[usize]) -> Result<Possible, String> {
    let rings = topology.rings(gpus).ok_or("the rings of its GPUs are unknown")?;
    let table = topology.pairs();
    let all = || gpus.iter().flat_map(|a| gpus.iter().map(|b| (*a, *b, table.pair(*a, *b))));
    let pairs = || all().map(|(.., pair)| pair).filter(|pair| pair.path != Some(PathType::Loc));
    // The rings were planned with the assumed rate, which may be the real one.
    let is_open = |(a, b, pair): (usize, usize, Pair)| {
        let assumed = pair.rate.filter(|rate| rate.basis == Basis::Assumed);
        let known = nvlink_rate(topology, a, b, pair).filter(|rate| rate.basis != Basis::Assumed);
        assumed.is_some_and(|rate| known.is_none_or(|known| known.bandwidth != rate.bandwidth))
    };
    if all().any(is_open) {
        return Err("the generation of some of its links is unknown".to_owned());
    }
    if pairs().any(|pair| pair.rate.is_some_and(|rate| rate.basis == Basis::Measured)) {
        return Ok(Possible::new(rings.bandwidth, 1.0, "the rings of its GPUs", MEASURED));
    }
    let over_nvlink = matches!(rings.path, Some(PathType::Nvl | PathType::Nvb));
    let part = if over_nvlink {
        let each = pairs().filter(|pair| pair.nvlinks > 0);
        let parts = each.filter_map(|pair| Some(nvlink_part(pair.rate?, pair.nvlinks)));
        parts.min_by(f64::total_cmp).ok_or("the rate of its NVLinks is unknown")?
    } else {
        part_of_pcie(rings.bandwidth)
    };
    Ok(Possible::new(rings.bandwidth, part, "the rings of its GPUs", NCCL))
}

const MEASURED: &str = "measured before";

fn measured(rate: Rate) -> Possible {
    Possible::new(rate.bandwidth, 1.0, "an earlier measurement", MEASURED)
}

/// Returns the part of NVLinks that NCCL plans with.
fn nvlink_part(rate: Rate, links: u16) -> f64 {
    let each = Bandwidth::from_mb_per_s(rate.bandwidth.as_mb_per_s() / u64::from(links.max(1)));
    rates::planned_nvlink(each).as_gb_per_s() / each.as_gb_per_s().max(f64::MIN_POSITIVE)
}

fn part_of_pcie(wires: Bandwidth) -> f64 {
    rates::planned_pcie(wires).as_gb_per_s() / wires.as_gb_per_s().max(f64::MIN_POSITIVE)
}

fn pcie(wires: Bandwidth, limit: String) -> Possible {
    Possible { wires, reachable: rates::planned_pcie(wires), limit, source: NCCL }
}

fn least<const N: usize>(all: [Possible; N]) -> Possible {
    let mut all = Vec::from(all);
    all.sort_by_key(|own| own.reachable);
    all.swap_remove(0)
}

/// Returns the slowest PCIe link from a device up to its host bridge, with its name. `None`: none is known.
fn uplink(topology: &Topology, device: usize) -> Option<(Rate, String)> {
    let links = crate::path::pcie_up(topology, topology.devices()[device]);
    let known = links.into_iter().filter_map(|(below, link)| Some((link.rate?, below, link.lanes)));
    let (rate, below, lanes) = known.min_by_key(|(rate, ..)| rate.bandwidth)?;
    let lanes = lanes.map_or(String::new(), |lanes| format!(" x{lanes}"));
    Some((rate, format!("PCIe{lanes} of {}", crate::path::node_name(topology, below))))
}

fn count_of(number: u16, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
