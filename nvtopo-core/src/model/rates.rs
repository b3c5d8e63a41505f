//! The bandwidth of links by generation: every nominal and typical rate, each with its source.
//!
//! Nominal rates are what the link's makers publish, one direction, after line coding. Where nothing is
//! published (the interconnect between sockets), NCCL's planning constants stand in, marked as typical.

use crate::ids::ComputeCapability;
use crate::model::link::{Basis, Link, LinkKind, Rate};
use crate::units::Bandwidth;

/// Per NVLink, one direction, in MB/s, by NVLink generation 1 to 5.
///
/// Sources: NVIDIA architecture white papers. P100: 4 links, 160 GB/s both ways; V100: 6 links, 300 GB/s; A100:
/// 12 links, 600 GB/s; H100: 18 links, 900 GB/s; B200: 18 links, 1800 GB/s.
const NVLINK: [u64; 5] = [20_000, 25_000, 25_000, 25_000, 50_000];

/// Wire rate and rate that NCCL plans with of one NVLink, in MB/s: P100, V100 to H100, bridges of RTX A6000, and B200.
///
/// Source: NCCL 2.30, `src/graph/topo.h`.
const PLANNED_NVLINK: [(u64, u64); 4] =
    [(20_000, 18_000), (25_000, 20_000), (14_062, 12_000), (50_000, 40_100)];

/// Per PCIe lane, one direction, in kB/s, by PCIe generation 1 to 6.
///
/// Source: PCI-SIG; transfer rate times line coding (8b/10b, 128b/130b from generation 3, 242B/256B flits in 6).
const PCIE_LANE: [(&str, u64); 6] = [
    ("2.5", 250_000),
    ("5.0", 500_000),
    ("8.0", 984_615),
    ("16.0", 1_969_231),
    ("32.0", 3_938_462),
    ("64.0", 7_562_500),
];

/// Per NVLink of the bridges of Ampere workstation GPUs, one direction, in kB/s.
///
/// Source: NVIDIA RTX A6000 data sheet: 4 links, 112.5 GB/s both ways.
const NVLINK_RTX: u64 = 14_062_500;

/// Per link of NVLink-C2C, one direction, in MB/s.
///
/// Source: NVIDIA Grace Hopper white paper, 900 GB/s both ways, by the ten links that `nvidia-smi c2c -s` lists there.
const C2C: u64 = 45_000;

/// The links of C2C of a GPU by the first number of its compute capability: a Grace has ten, for the GPU of GH200 or for the
/// two of GB200 and GB300.
///
/// Source of the five: the count that NCCL's topology file of a GB300 NVL72 gives each GPU.
const C2C_LINKS: [(u16, u16); 2] = [(9, 10), (10, 5)];

/// The most NVLinks that one GPU of any generation has. Source: NVML, `NVML_NVLINK_MAX_LINKS`.
pub const MAX_NVLINKS: u16 = 18;

/// Creates NVLinks of a known generation (1 to 5).
pub fn nvlink(generation: u8, links: u16) -> Link {
    let per_link = NVLINK.get(usize::from(generation).wrapping_sub(1));
    let rate = per_link.map(|rate| mb_per_s(rate * u64::from(links), Basis::Nominal));
    Link { lanes: Some(links), rate, ..Link::new(LinkKind::NvLink) }
}

/// Creates NVLinks of a bridge between two RTX A6000 (or RTX 3090, A40).
pub fn nvlink_rtx(links: u16) -> Link {
    let rate = mb_per_s(NVLINK_RTX * u64::from(links) / 1000, Basis::Nominal);
    Link { lanes: Some(links), rate: Some(rate), ..Link::new(LinkKind::NvLink) }
}

/// Creates NVLinks of unknown generation: 25 GB/s for each is assumed, the rate of generations 2, 3 and 4.
pub fn nvlink_assumed(links: u16) -> Link {
    let rate = Some(mb_per_s(25_000 * u64::from(links), Basis::Assumed));
    Link { lanes: Some(links), rate, ..Link::new(LinkKind::NvLink) }
}

/// Returns the rate of NVLinks of the fastest generation.
pub(crate) fn fastest_nvlink(links: u16) -> Bandwidth {
    let fastest = NVLINK.into_iter().max().unwrap_or_default();
    Bandwidth::from_mb_per_s(fastest * u64::from(links))
}

/// Creates NVLinks of a GPU whose architecture, or else the NVLink version that NVML reports, is known.
///
/// The architecture goes first: drivers are known to report version 5.0 for the NVLinks of H100, which are of
/// generation 4. Source of the versions: `nvmlNvlinkVersion_t`.
pub fn nvlink_of(capability: Option<ComputeCapability>, version: Option<u32>, links: u16) -> Link {
    let (bridge, generation) = match capability {
        Some(own) => ((own.major, own.minor) == (8, 6), nvlink_of_architecture(own)),
        None => (version == Some(5), version.and_then(nvlink_of_version)),
    };
    match generation {
        _ if bridge => nvlink_rtx(links),
        Some(generation) if usize::from(generation) <= NVLINK.len() => nvlink(generation, links),
        _ => nvlink_assumed(links),
    }
}

/// Returns the generation of NVLink of an architecture.
pub(crate) fn nvlink_of_architecture(capability: ComputeCapability) -> Option<u8> {
    match (capability.major, capability.minor) {
        (6, _) => Some(1),
        (7, _) => Some(2),
        (8, 0 | 6) => Some(3),
        (9, _) => Some(4),
        (10, _) => Some(5),
        _ => None,
    }
}

/// Returns the generation of NVLink of a version that NVML reports.
///
/// Source: `nvmlNvlinkVersion_t`, which counts 2.0 and 2.2, 3.0 and 3.1.
pub(crate) fn nvlink_of_version(version: u32) -> Option<u8> {
    [1, 2, 2, 3, 3, 4, 5, 6].get((version as usize).checked_sub(1)?).copied()
}

/// Returns the version that NVML reports of a generation of NVLink: the first of it.
///
/// Source: `nvmlNvlinkVersion_t`.
#[cfg(feature = "yaml")]
pub(crate) fn nvlink_version(generation: u8) -> Option<u32> {
    (1..=8).find(|version| nvlink_of_version(*version) == Some(generation))
}

/// Returns the generation of NVLinks that carry this many MB/s each, where only one does.
#[cfg(feature = "yaml")]
pub(crate) fn nvlink_of_speed(mb_per_s: u64) -> Option<u8> {
    let mut found = (1..).zip(NVLINK).filter(|(_, rate)| *rate == mb_per_s).map(|(generation, _)| generation);
    found.next().filter(|_| found.next().is_none())
}

/// Creates NVLinks of a reported rate each, which tells the generation: drivers print the nominal rate or a
/// little more (25.781 GB/s on V100, 26.562 on H100, 53.125 on GB200).
pub fn nvlink_reported(each: Bandwidth, links: u16) -> Link {
    let is_near = |nominal: u64| {
        let own = each.as_mb_per_s();
        (nominal * 95 / 100..=nominal * 107 / 100).contains(&own)
    };
    let generations = (1..).zip(NVLINK).find(|(_, rate)| is_near(*rate));
    let reported = Some(each.times(u64::from(links)));
    let link = match generations {
        Some((generation, _)) => nvlink(generation, links),
        None if is_near(NVLINK_RTX / 1000) => nvlink_rtx(links),
        None => {
            let rate = reported.map(|bandwidth| Rate { bandwidth, basis: Basis::Reported });
            Link { lanes: Some(links), rate, ..Link::new(LinkKind::NvLink) }
        }
    };
    Link { reported, ..link }
}

/// Returns the rate that NCCL plans with for one NVLink of a wire rate: the part that its protocol leaves for data. Four fifths
/// for an NVLink of an unknown generation.
///
/// Source: NCCL 2.30, `src/graph/topo.h`.
///
/// ```
/// use nvtopo::{Bandwidth, model::rates::planned_nvlink};
///
/// assert_eq!(planned_nvlink(Bandwidth::from_gb_per_s(50.0)).to_string(), "40.1 GB/s");
/// ```
pub fn planned_nvlink(wire: Bandwidth) -> Bandwidth {
    let own = wire.as_mb_per_s();
    let known = PLANNED_NVLINK.iter().find(|(wire, _)| *wire == own);
    Bandwidth::from_mb_per_s(known.map_or(own * 4 / 5, |(_, planned)| *planned))
}

/// Returns the rate that NCCL plans with for a PCIe link of a wire rate: 12 GB/s where generation 3 with 16 lanes carries 15.75.
///
/// Source: NCCL 2.30, `src/graph/topo.h`.
///
/// ```
/// use nvtopo::{Bandwidth, model::rates::planned_pcie};
///
/// assert_eq!(planned_pcie(Bandwidth::from_gb_per_s(63.0)).to_string(), "48 GB/s");
/// ```
pub fn planned_pcie(wire: Bandwidth) -> Bandwidth {
    Bandwidth::from_mb_per_s(wire.as_mb_per_s() * 12_000 / 15_753)
}

/// Creates links of NVLink-C2C between a Grace CPU and its GPU.
pub fn c2c(links: u16) -> Link {
    let rate = mb_per_s(C2C * u64::from(links), Basis::Nominal);
    Link { lanes: Some(links), rate: Some(rate), ..Link::new(LinkKind::C2c) }
}

/// Creates NVLink-C2C of a GPU whose number of links is unknown: all links of its architecture, where that is known.
pub fn c2c_of(capability: Option<ComputeCapability>) -> Link {
    let known = capability.and_then(|own| C2C_LINKS.iter().find(|(major, _)| *major == own.major));
    let rate = known.and_then(|(_, links)| c2c(*links).rate);
    Link { rate, ..Link::new(LinkKind::C2c) }
}

/// Creates a PCIe link of a known generation (1 to 6) and width.
pub fn pcie(generation: u8, width: u16) -> Link {
    let speed = PCIE_LANE.get(usize::from(generation).wrapping_sub(1)).map_or("", |(speed, _)| speed);
    pcie_at(speed, Some(width))
}

/// Reads the generation of a PCIe link from the kernel's text for its speed: `16.0 GT/s PCIe` or `16 GT/s` is 4.
pub fn pcie_generation(speed: &str) -> Option<u8> {
    let number: f32 = speed.split_whitespace().next()?.parse().ok()?;
    (1..).zip(PCIE_LANE).find(|(_, (name, _))| name.parse() == Ok(number)).map(|(generation, _)| generation)
}

/// Reads a PCIe link from the kernel's text for its speed: `16.0 GT/s PCIe`, `8 GT/s`, `Unknown`, or nothing.
pub fn pcie_at(speed: &str, width: Option<u16>) -> Link {
    let per_lane = pcie_generation(speed).map(|generation| PCIE_LANE[usize::from(generation) - 1]);
    // The kernel prints width 0 or 255 for a link that is down or not a link.
    let lanes = width.filter(|width| (1..=32).contains(width));
    let rate = per_lane
        .zip(lanes)
        .map(|((_, rate), lanes)| mb_per_s(rate * u64::from(lanes) / 1000, Basis::Nominal));
    Link { lanes, rate, ..Link::new(LinkKind::Pcie) }
}

/// Returns the rate assumed for a PCIe link of unknown speed and width: that of generation 3 with 16 lanes, as in NCCL.
pub fn pcie_assumed() -> Rate {
    mb_per_s(15_754, Basis::Assumed)
}

/// Creates a PCIe link that exists, with unknown speed and width.
pub fn pcie_unknown() -> Link {
    Link::new(LinkKind::Pcie)
}

/// Returns the rate of the interconnect between NUMA nodes, by the CPU's model name.
///
/// Source: NCCL, `src/graph/topo.h`: GB/s that it plans with between CPUs. NCCL tells Intel's generations by CPUID
/// model; model names do it here.
pub fn smp(cpu_model: Option<&str>) -> Rate {
    let Some(model) = cpu_model else { return mb_per_s(10_000, Basis::Assumed) };
    let model = model.to_ascii_lowercase();
    let has = |word: &str| model.contains(word);
    let intel = || {
        // Xeon Scalable: the second digit is the generation. 4 is Sapphire Rapids, 5 Emerald Rapids.
        let number = model.split(|c: char| !c.is_ascii_digit()).find(|part| part.len() == 4)?;
        let scalable = ["platinum", "gold", "silver", "bronze", "cpu max"].into_iter().any(has);
        match number.as_bytes()[1] {
            _ if !scalable => None,
            b'1'..=b'3' => Some(10_000),
            b'4' => Some(22_000),
            _ => Some(40_000),
        }
    };
    let typical = match () {
        () if has("amd") => 16_000,
        () if has("power9") => 32_000,
        () if has("grace") || has("neoverse") => 6_000,
        () if has("xeon 6") || has("xeon(r) 6") => 40_000,
        () if has("intel") => intel().unwrap_or(6_000),
        () => return mb_per_s(10_000, Basis::Assumed),
    };
    mb_per_s(typical, Basis::Typical)
}

/// Creates a link between two NUMA nodes.
pub fn smp_link(cpu_model: Option<&str>) -> Link {
    Link { rate: Some(smp(cpu_model)), ..Link::new(LinkKind::Smp) }
}

fn mb_per_s(rate: u64, basis: Basis) -> Rate {
    Rate { bandwidth: Bandwidth::from_mb_per_s(rate), basis }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mb(rate: Option<Rate>) -> u64 {
        rate.map_or(0, |rate| rate.bandwidth.as_mb_per_s())
    }

    #[test]
    fn nvlink_is_counted_by_generation() {
        assert_eq!(mb(nvlink(4, 18).rate), 450_000);
        assert_eq!(mb(nvlink(5, 18).rate), 900_000);
        assert_eq!(nvlink(9, 4).rate, None);
    }

    #[test]
    fn the_architecture_decides_before_the_reported_version() {
        let capability = |text: &str| Some(text.parse().unwrap());
        assert_eq!(nvlink_of(capability("9.0"), Some(7), 18), nvlink(4, 18));
        assert_eq!(nvlink_of(capability("8.6"), None, 4), nvlink_rtx(4));
        assert_eq!(nvlink_of(None, Some(4), 12), nvlink(3, 12));
        assert_eq!(nvlink_of(capability("99.0"), Some(99), 2), nvlink_assumed(2));
    }

    #[test]
    fn c2c_is_counted_by_links() {
        assert_eq!((mb(c2c(10).rate), mb(c2c(5).rate)), (450_000, 225_000));
        let of = |text: &str| c2c_of(Some(text.parse().unwrap())).rate;
        assert_eq!((mb(of("9.0")), mb(of("10.0")), mb(of("10.3"))), (450_000, 225_000, 225_000));
        assert_eq!((of("12.1"), c2c_of(None).rate), (None, None));
    }

    #[test]
    fn what_drivers_report_tells_the_generation() {
        for (reported, nominal, basis) in [
            (14.062, 14_062, Basis::Nominal),
            (25.0, 25_000, Basis::Nominal),
            (25.781, 25_000, Basis::Nominal),
            (26.562, 25_000, Basis::Nominal),
            (53.125, 50_000, Basis::Nominal),
            (37.0, 37_000, Basis::Reported),
        ] {
            let link = nvlink_reported(Bandwidth::from_gb_per_s(reported), 1);
            assert_eq!((mb(link.rate), link.rate.unwrap().basis), (nominal, basis), "{reported}");
            assert_eq!(link.reported, Some(Bandwidth::from_gb_per_s(reported)));
        }
    }

    #[test]
    fn pcie_is_read_as_the_kernel_spells_it() {
        assert_eq!(mb(pcie_at("16.0 GT/s PCIe", Some(16)).rate), 31_507);
        assert_eq!(mb(pcie_at("8 GT/s", Some(16)).rate), 15_753);
        assert_eq!(mb(pcie(5, 16).rate), 63_015);
        assert_eq!(
            ["2.5 GT/s PCIe", "5 GT/s", "64.0 GT/s", "", "3"].map(pcie_generation),
            [Some(1), Some(2), Some(6), None, None]
        );
        for (speed, width) in [("Unknown", Some(16)), ("", Some(0)), ("8 GT/s", Some(255)), ("8 GT/s", None)]
        {
            assert_eq!(pcie_at(speed, width).rate, None);
        }
    }

    #[test]
    fn smp_knows_the_cpus() {
        for (model, expected, basis) in [
            ("AMD EPYC 7742 64-Core Processor", 16_000, Basis::Typical),
            ("Intel(R) Xeon(R) Platinum 8168 CPU @ 2.70GHz", 10_000, Basis::Typical),
            ("Intel(R) Xeon(R) Platinum 8480C", 22_000, Basis::Typical),
            ("INTEL(R) XEON(R) PLATINUM 8570", 40_000, Basis::Typical),
            ("Intel(R) Xeon(R) CPU Max 9480", 22_000, Basis::Typical),
            ("Intel(R) Xeon(R) CPU E5-2698 v4 @ 2.20GHz", 6_000, Basis::Typical),
            ("POWER9, altivec supported", 32_000, Basis::Typical),
        ] {
            assert_eq!((mb(Some(smp(Some(model)))), smp(Some(model)).basis), (expected, basis), "{model}");
        }
        assert_eq!(smp(None).basis, Basis::Assumed);
    }
}
