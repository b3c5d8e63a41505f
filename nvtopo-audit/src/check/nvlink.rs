//! NVLinks of GPUs: their number, speed, version and ends.

use super::{Check, Theme};
use crate::board;
use crate::evidence::{Evidence, NODE};
use crate::finding::{Severity, Verdicts};
use crate::reading::nvlink_ends::claims;
use nvtopo::Bandwidth;
use nvtopo::model::{Gpu, GroupShape, NodeId, NoteCode, NvLinkFar, NvLinkPort, P2p, P2pStatus, Provenance};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const CHECKS: &[Check] = &[
    Check {
        code: "nvlink-links-active",
        theme: Theme::Nvlink,
        severity: Severity::Critical,
        claim: "Every GPU has as many active NVLinks as its board gives it.",
        evidence: "The driver's state of each NVLink (nvidia-smi nvlink -s), or the number of links of each pair (nvidia-smi \
                   topo -m); the board by the GPU's PCI device.",
        rule: "Fails where fewer links are up than the board or the profile has; unknown where the state of a link cannot be \
               read, a saved list is cut, or the board is not known. Warns where more are up. Does not apply to a GPU in MIG mode, nor to boards without NVLink.",
        remedy: "Reset the GPU; restart the fabric manager; if links stay down, have the board serviced.",
        source: "NVML, nvmlDeviceGetNvLinkState; NVIDIA's data sheets",
        run: links_active,
    },
    Check {
        code: "nvlink-speed",
        theme: Theme::Nvlink,
        severity: Severity::Critical,
        claim: "Every active NVLink runs at the line rate of its generation.",
        evidence: "The speed that the driver reports of each link (nvidia-smi nvlink -s).",
        rule: "Fails where a link is slower than 94 % of the line rate: drivers print 25 or 25.781 GB/s, 50 or 53.125. Warns \
               where links of one GPU differ. Unknown where the speed of an active link, the links or the line rate are not \
               told, and where a link is told to be faster than the line rate by a fifth: no link is. Does not apply where no \
               NVLink is up.",
        remedy: "Reset the GPU; power-cycle the baseboard; if a link stays slow, have the board serviced.",
        source: "NVML, NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON; line rates of NVIDIA's boards",
        run: speed,
    },
    Check {
        code: "nvlink-version",
        theme: Theme::Nvlink,
        severity: Severity::Warning,
        claim: "All NVLinks of a GPU speak the same version.",
        evidence: "The generation of each link, by the GPU's architecture or the driver's report.",
        rule: "Fails where the active links of one GPU are of several generations. Unknown where that of one is not told. \
               Does not apply where no NVLink is up.",
        remedy: "Look for a mixed board or a wrong bridge.",
        source: "NVML, nvmlDeviceGetNvLinkVersion",
        run: version,
    },
    Check {
        code: "nvlink-peers-complete",
        theme: Theme::Nvlink,
        severity: Severity::Critical,
        claim: "Every active NVLink ends at a device that is known, and each far end is used once.",
        evidence: "The device at the other end of each link, and the number of the link there (nvidia-smi nvlink -R).",
        rule: "Fails where two links have one far end, where a link between two GPUs is counted by one of them only, and where \
               only some far ends are known (unknown on racks: GB200, GB300). Warns where a far end is of unknown kind and \
               without the number of its link. Unknown where no source tells far ends. Does not apply where no NVLink is up.",
        remedy: "Read again when the fabric manager is up; if an end stays unknown, have the board serviced.",
        source: "NVML, nvmlDeviceGetNvLinkRemotePciInfo_v2",
        run: peers,
    },
    Check {
        code: "nvlink-symmetry",
        theme: Theme::Nvlink,
        severity: Severity::Warning,
        claim: "GPUs of one model have as many NVLinks as each other, and behind NVSwitches every pair has as many.",
        evidence: "The NVLinks of each GPU and of each pair, from ports or from nvidia-smi topo -m.",
        rule: "Fails where pairs behind NVSwitches have unequal numbers of links. Warns where GPUs of one model on a board \
               without NVSwitches do. Unequal pairs of a mesh are by design. Unknown where no source tells NVLinks. Does not apply \
               to a single GPU, to GPUs in MIG mode, and without NVLinks.",
        remedy: "Treat the GPU with the fewest links as one with a link down.",
        source: "derived from the graph",
        run: symmetry,
    },
    Check {
        code: "gpu-p2p-status",
        theme: Theme::Nvlink,
        severity: Severity::Critical,
        claim: "GPUs that NVLink connects may use each other's memory.",
        evidence: "The driver's peer-to-peer status of each pair (nvidia-smi topo -p2p rw).",
        rule: "Fails where a pair with NVLinks may not read or write, or where every pair that was asked is not supported (NS). \
               Warns where another pair over PCIe may not, as the chipset, the path or the GPU does not support it. Unknown \
               where the driver does not know it (U), or nothing tells. Does not apply to a single GPU.",
        remedy: "Reboot; look at the driver's registry keys, the IOMMU and ACS.",
        source: "NVML, nvmlDeviceGetP2PStatus",
        run: p2p,
    },
    super::nvlink_errors::CHECK,
];

/// The lowest share of the line rate that a sound link may report.
const LEAST_SPEED: f64 = 0.94;

/// The largest part of the line rate that a link can be told to run at.
const MOST_SPEED: f64 = 1.2;

/// The reasons why NVLinks of a GPU are not judged.
const IS_DIVIDED: &str = "it is in MIG mode, in which NVLinks are not used";
const NO_LINKS: &str = "its board has no NVLink";

fn is_divided(gpu: &Gpu) -> bool {
    gpu.mig.is_some_and(|mig| mig.current)
}

/// The number of active NVLinks of a GPU.
enum Active {
    Known(u16),
    /// At least so many are active. The state of some others is not told.
    AtLeast(u16, usize),
    Unknown,
}

fn active(evidence: &Evidence<'_>, position: usize, gpu: &Gpu) -> Active {
    if !gpu.nvlinks.is_empty() {
        let up = gpu.nvlinks.iter().filter(|port| port.up == Some(true)).count() as u16;
        let open = gpu.nvlinks.iter().filter(|port| port.up.is_none()).count();
        let open = open + unlisted(evidence, position, gpu);
        return if open == 0 { Active::Known(up) } else { Active::AtLeast(up, open) };
    }
    // A GPU whose links are all down lists none. The code of a note says so, and not of which GPU.
    let lists_none = |(position, _, own): &(usize, NodeId, &Gpu)| {
        let has_none = own.nvlinks.is_empty() && evidence.topology.nvlinks_of(*position).0 == 0;
        has_none && !is_divided(own) && !has_no_board(evidence, own)
    };
    let down =
        evidence.topology.notes().iter().filter(|note| note.code() == NoteCode::AllNvlinksDown).count();
    if down > 0 && lists_none(&(position, NodeId::MACHINE, gpu)) {
        let is_all = down >= evidence.gpus().filter(lists_none).count();
        return if is_all { Active::Known(0) } else { Active::Unknown };
    }
    if evidence.topology.nvlink_known() {
        return Active::Known(evidence.topology.nvlinks_of(position).0);
    }
    Active::Unknown
}

/// Returns how many NVLinks of its board are not in a saved list. `nvidia-smi` lists those that are down too, so the list is
/// cut, unless that of a like GPU is as long.
fn unlisted(evidence: &Evidence<'_>, position: usize, gpu: &Gpu) -> usize {
    let topology = evidence.topology;
    let (id, listed) = (topology.devices()[position], gpu.nvlinks.len());
    let node = topology.node(id);
    let mut sources = node.learned.iter().map(|fact| fact.provenance).chain([node.provenance]);
    let is_saved = sources.any(|own| own == Provenance::Smi) && !evidence.is_asked(id, gpu, |_| false);
    let is_cut = || {
        let alike =
            |(_, _, own): &(usize, NodeId, &Gpu)| own.model == gpu.model && own.nvlinks.len() == listed;
        topology.notes().iter().any(|note| note.code() == NoteCode::TextCut)
            || evidence.gpus().filter(alike).nth(1).is_none()
    };
    let of_board = board::of(evidence, gpu).map_or(0, |board| usize::from(board.links));
    if is_saved && of_board > listed && is_cut() { of_board - listed } else { 0 }
}

/// Returns whether a GPU's board has no NVLink.
fn has_no_board(evidence: &Evidence<'_>, gpu: &Gpu) -> bool {
    board::of(evidence, gpu).is_some_and(|board| board.links == 0)
}

/// Returns the ports that are up of each GPU that has some. Of another GPU the reason is a verdict.
fn up_ports<'e>(evidence: &'e Evidence<'_>, verdicts: &mut Verdicts) -> Vec<(&'e Gpu, Vec<&'e NvLinkPort>)> {
    evidence.has_no_gpus(verdicts);
    let mut found = Vec::new();
    for (position, _, gpu) in evidence.gpus() {
        let up: Vec<&NvLinkPort> = gpu.nvlinks.iter().filter(|port| port.up == Some(true)).collect();
        match active(evidence, position, gpu) {
            _ if !up.is_empty() => found.push((gpu, up)),
            _ if is_divided(gpu) => verdicts.not_applicable(gpu.name(), IS_DIVIDED),
            _ if has_no_board(evidence, gpu) => verdicts.not_applicable(gpu.name(), NO_LINKS),
            Active::Known(0) => verdicts.not_applicable(gpu.name(), "no NVLink of it is up"),
            _ => verdicts.unknown(gpu.name(), "no source tells its NVLinks one by one"),
        }
    }
    found
}

fn links_active(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    evidence.has_no_gpus(verdicts);
    for (position, _, gpu) in evidence.gpus() {
        let name = gpu.name();
        if is_divided(gpu) {
            verdicts.not_applicable(name, IS_DIVIDED);
            continue;
        }
        let active = active(evidence, position, gpu);
        let Some(board) = board::of(evidence, gpu) else {
            let board = format!("its board ({})", gpu.model.as_deref().unwrap_or("of unknown model"));
            let text = match active {
                Active::Known(1) => format!("1 NVLink is up; how many {board} has is not known"),
                Active::Known(links) => format!("{links} NVLinks are up; how many {board} has is not known"),
                _ => format!("how many NVLinks {board} has is not known"),
            };
            verdicts.unknown(name, text);
            continue;
        };
        match active {
            _ if board.links == 0 => verdicts.not_applicable(name, NO_LINKS),
            Active::Known(links) if links < board.links => {
                let down = down(&gpu.nvlinks);
                verdicts.fail(name, format!("{links} of {} NVLinks are up{down}", board.links));
            }
            Active::Known(links) if links > board.links => {
                verdicts.warn(
                    name,
                    format!("{links} NVLinks are up, more than the {} that were expected", board.links),
                );
            }
            Active::Known(links) => verdicts.pass(name, format!("all {links} NVLinks are up")),
            Active::AtLeast(links, open) if usize::from(links) + open < usize::from(board.links) => {
                let (down, all) = (down(&gpu.nvlinks), board.links);
                let text =
                    format!("{links} of {all} NVLinks are up, and the state of {open} is not told{down}");
                verdicts.fail(name, text);
            }
            Active::AtLeast(0, _) if gpu.nvlinks.iter().all(|port| port.up.is_none()) => {
                verdicts
                    .unknown(name, format!("no source tells which of its {} NVLinks are up", board.links));
            }
            Active::AtLeast(links, open) => {
                let all = board.links;
                let text = format!("{links} of {all} NVLinks are up, and the state of {open} is not told");
                verdicts.unknown(name, text);
            }
            Active::Unknown => verdicts.unknown(name, "no source tells the state of its NVLinks"),
        }
    }
}

/// Names the ports that are down.
fn down(ports: &[NvLinkPort]) -> String {
    let down: Vec<String> =
        ports.iter().filter(|port| port.up == Some(false)).map(|port| port.number.to_string()).collect();
    if down.is_empty() { String::new() } else { format!("; down: link {}", down.join(", ")) }
}

fn speed(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    for (gpu, up) in up_ports(evidence, verdicts) {
        let rates: BTreeMap<u32, Bandwidth> =
            up.iter().filter_map(|port| Some((port.number, port.reported?))).collect();
        if rates.len() < up.len() {
            let text = format!("the speed of {} active NVLinks is not told", up.len() - rates.len());
            verdicts.unknown(gpu.name(), text);
            continue;
        }
        let (slowest, least) =
            rates.iter().min_by_key(|(_, rate)| **rate).map_or((0, None), |(n, rate)| (*n, Some(*rate)));
        let most = rates.values().max().copied();
        let (Some(least), Some(most)) = (least, most) else { continue };
        let expected = board::of(evidence, gpu).and_then(|board| board.rate);
        match expected {
            Some(rate) if least.as_gb_per_s() < rate * LEAST_SPEED => {
                let slow = rates.values().filter(|own| own.as_gb_per_s() < rate * LEAST_SPEED).count();
                let text = format!(
                    "link {slowest} runs at {least}, where {rate} GB/s is expected ({slow} of {} are slow)",
                    rates.len()
                );
                verdicts.fail(gpu.name(), text);
            }
            Some(rate) if most.as_gb_per_s() > rate * MOST_SPEED => {
                let text = format!("a link is told to run at {most}, where the line rate is {rate} GB/s");
                verdicts.unknown(gpu.name(), text);
            }
            _ if least < most => {
                verdicts.warn(gpu.name(), format!("link {slowest} runs at {least}, others at {most}"));
            }
            Some(_) => {
                verdicts.pass(gpu.name(), format!("all {} active NVLinks run at {least}", rates.len()));
            }
            None => verdicts
                .unknown(gpu.name(), format!("all run at {least}; the line rate of its board is not known")),
        }
    }
}

fn version(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    for (gpu, up) in up_ports(evidence, verdicts) {
        let told = up.iter().filter(|port| port.generation.is_some()).count();
        let generations: BTreeSet<u8> = up.iter().filter_map(|port| port.generation).collect();
        let all: Vec<String> = generations.iter().map(u8::to_string).collect();
        match all.as_slice() {
            [] => verdicts.unknown(gpu.name(), "no source tells the version of its NVLinks"),
            [one] if told < up.len() => {
                let text = format!(
                    "{told} of {} NVLinks are of generation {one}, and the others tell none",
                    up.len()
                );
                verdicts.unknown(gpu.name(), text);
            }
            [one] => verdicts.pass(gpu.name(), format!("all NVLinks are of generation {one}")),
            several => {
                verdicts
                    .fail(gpu.name(), format!("its NVLinks are of generations {}", several.join(" and ")));
            }
        }
    }
}

fn peers(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let to = |gpu: &Gpu, address| {
        let ports = gpu.nvlinks.iter().filter(|port| port.up == Some(true));
        ports.filter(|port| port.far == NvLinkFar::Gpu(address)).count()
    };
    let claims = claims(evidence);
    for (gpu, up) in up_ports(evidence, verdicts) {
        let total = up.len();
        let open = up.iter().filter(|port| port.far == NvLinkFar::Unknown).count();
        if open == total {
            verdicts.unknown(gpu.name(), "no source tells the far ends of its NVLinks");
            continue;
        }
        let claimed = |port: &&&NvLinkPort| {
            let own = (gpu.index, port.number);
            claims.iter().find(|(_, links)| links.contains(&own))
        };
        let shared = up.iter().filter_map(|port| claimed(&port)).find(|(_, links)| links.len() > 1);
        let untyped =
            up.iter().filter(|port| matches!(port.far, NvLinkFar::Device(_)) && claimed(port).is_none());
        let untyped = untyped.count();
        let uneven = evidence.gpus().find_map(|(_, _, other)| {
            let (own, far) = (gpu.address?, other.address?);
            let (there, back) = (to(gpu, far), to(other, own));
            // Ports of which the other GPU does not tell the ends are no contradiction.
            let told =
                other.nvlinks.iter().all(|port| port.up == Some(false) || port.far != NvLinkFar::Unknown);
            (own != far && there > back && told && !other.nvlinks.is_empty())
                .then(|| (other.name(), there, back))
        });
        if let Some(((device, number), links)) = shared {
            let names: Vec<String> =
                links.iter().map(|(gpu, link)| format!("link {link} of GPU{gpu}")).collect();
            verdicts.fail(
                gpu.name(),
                format!("link {number} of {device} is the far end of {}", names.join(" and ")),
            );
        } else if let Some((other, there, back)) = uneven {
            let text = format!("{there} of its NVLinks end at {other}, of which {back} lead back");
            verdicts.fail(gpu.name(), text);
        } else if open > 0 && board::is_of_rack(gpu) {
            verdicts
                .unknown(gpu.name(), format!("the far ends of {open} of {total} active NVLinks are outside"));
        } else if open > 0 {
            verdicts.fail(gpu.name(), format!("{open} of {total} active NVLinks have no known far end"));
        } else if untyped > 0 {
            verdicts.warn(
                gpu.name(),
                format!("{untyped} of {total} active NVLinks end at a device of unknown kind"),
            );
        } else {
            verdicts.pass(gpu.name(), format!("the far ends of all {total} active NVLinks are known"));
        }
    }
}

fn symmetry(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let topology = evidence.topology;
    evidence.has_no_gpus(verdicts);
    let mut models: BTreeMap<Option<&str>, Vec<(usize, &Gpu)>> = BTreeMap::new();
    for (position, _, gpu) in evidence.gpus().filter(|(_, _, gpu)| !is_divided(gpu)) {
        models.entry(gpu.model.as_deref()).or_default().push((position, gpu));
    }
    for (model, gpus) in models {
        let model = model.map_or_else(|| "GPUs of unknown model".to_owned(), str::to_owned);
        if gpus.len() == 1 {
            verdicts.not_applicable(model, "there is one GPU of it");
            continue;
        }
        if gpus.iter().all(|(_, gpu)| has_no_board(evidence, gpu)) {
            verdicts.not_applicable(model, NO_LINKS);
            continue;
        }
        if !topology.nvlink_known() {
            verdicts.unknown(model, "no source tells which GPUs NVLink connects");
            continue;
        }
        let degree = |position: usize| topology.nvlinks_of(position).0;
        let most = gpus.iter().map(|(position, _)| degree(*position)).max().unwrap_or(0);
        if most == 0 {
            verdicts.not_applicable(model, "no NVLink of it is up");
            continue;
        }
        let fewer: Vec<String> = gpus
            .iter()
            .filter(|(position, _)| degree(*position) < most)
            .map(|(position, gpu)| format!("{} has {}", gpu.name(), degree(*position)))
            .collect();
        let is_switched = |a: usize, b: usize| {
            let mut groups =
                topology.nvlink_groups().iter().filter(|group| group.shape == GroupShape::Switched);
            groups.any(|group| group.gpus.contains(&a) && group.gpus.contains(&b))
        };
        let through_switch =
            |(a, b): (usize, usize)| is_switched(a, b).then(|| (a, b, topology.pairs().pair(a, b).nvlinks));
        let pairs: Vec<(usize, usize, u16)> = gpus
            .iter()
            .enumerate()
            .flat_map(|(at, (a, _))| gpus[at + 1..].iter().map(move |(b, _)| (*a, *b)))
            .filter_map(through_switch)
            .collect();
        let widest = pairs.iter().map(|(_, _, links)| *links).max();
        let narrow: Vec<_> = pairs.iter().filter(|(_, _, links)| Some(*links) < widest).collect();
        match (narrow.first(), widest) {
            (Some(_), Some(_)) if !fewer.is_empty() => {
                verdicts.fail(model, format!("{}, others {most}", fewer.join(", ")));
            }
            (Some((a, b, links)), Some(widest)) => {
                let name = |position: usize| topology.device_name(position);
                let text = format!("{} and {} have {links} NVLinks, others {widest}", name(*a), name(*b));
                verdicts.fail(model, text);
            }
            _ if fewer.is_empty() => verdicts.pass(model, format!("each GPU has {most} NVLinks")),
            _ => verdicts.warn(model, format!("{}, others {most}", fewer.join(", "))),
        }
    }
    verdicts.otherwise_not_applicable("its GPUs are in MIG mode");
}

fn p2p(evidence: &Evidence<'_>, verdicts: &mut Verdicts) {
    let topology = evidence.topology;
    if evidence.has_no_gpus(verdicts) {
        return;
    }
    if topology.gpus().len() < 2 {
        verdicts.not_applicable(NODE, "it has one GPU");
        return;
    }
    // The worse of reading and writing, of pairs that were asked for one of them.
    let status = |p2p: &P2p| {
        let told = [p2p.read, p2p.write];
        let denied =
            told.into_iter().flatten().find(|own| !matches!(own, P2pStatus::Ok | P2pStatus::Unknown));
        denied
            .or_else(|| told.into_iter().flatten().find(|own| *own != P2pStatus::Ok))
            .or(p2p.read)
            .or(p2p.write)
    };
    let told: Vec<(&P2p, P2pStatus)> =
        topology.all_p2p().iter().filter_map(|p2p| Some((p2p, status(p2p)?))).collect();
    if told.is_empty() {
        verdicts.unknown(NODE, "no source tells the peer-to-peer access of pairs");
        return;
    }
    if told.iter().all(|(_, status)| *status == P2pStatus::Ok) {
        verdicts.pass(NODE, format!("all {} pairs that were asked may access each other", told.len()));
        return;
    }
    let is_none = told.iter().all(|(_, status)| *status == P2pStatus::NotSupported);
    let position = |id| topology.devices().iter().position(|own| *own == id);
    for (p2p, status) in told.iter().filter(|(_, status)| *status != P2pStatus::Ok) {
        let (Some(a), Some(b)) = (position(p2p.a), position(p2p.b)) else { continue };
        let subject = format!("{} and {}", topology.device_name(a), topology.device_name(b));
        let (links, word) = (topology.pairs().pair(a, b).nvlinks, status.word());
        if *status == P2pStatus::Unknown {
            verdicts.unknown(subject, "the driver does not know whether they may access each other (U)");
        } else if links > 0 {
            verdicts.fail(
                subject,
                format!("{links} NVLinks connect them, and the driver denies access ({word})"),
            );
        } else if is_none {
            verdicts
                .fail(subject, format!("the driver denies access ({word}), as to every pair that was asked"));
        } else {
            verdicts.warn(subject, format!("the driver denies access over PCIe ({word})"));
        }
    }
}
