//! NVLinks that follow from the other ends of GPUs' ports, where their kinds become known only once all sources are there.

use crate::ids::PciAddress;
use crate::model::{
    Fragment, Gpu, Link, LinkKind, NodeId, NodeKind, Note, NoteCode, NvLinkFar, NvLinkPort, NvSwitch, Rate,
    rates,
};
use crate::units::Bandwidth;
use std::collections::{BTreeMap, BTreeSet};

/// The NVLinks of a GPU to one end: their number, and what they carry together.
#[derive(Clone, Copy, Default)]
struct Bundle {
    links: u16,
    reported: Option<Bandwidth>,
}

/// Joins what two sources tell of a GPU's NVLinks one by one: what the first does not tell, the second fills in.
///
/// A source that lists only links that are up counts them through. Where one lists as many as are up for the other, they
/// are those, in order.
pub(super) fn join_ports(base: &[NvLinkPort], other: &[NvLinkPort]) -> Vec<NvLinkPort> {
    let (base_is_whole, whole, part) =
        if base.len() < other.len() { (false, other, base) } else { (true, base, other) };
    let up: Vec<u32> = whole.iter().filter(|port| port.up != Some(false)).map(|port| port.number).collect();
    let counts_through = part.len() < whole.len()
        && part.len() == up.len()
        && part.iter().zip(0..).all(|(port, place)| port.number == place && port.up != Some(false));
    let number = |port: &NvLinkPort| if counts_through { up[port.number as usize] } else { port.number };
    let mut joined: BTreeMap<u32, NvLinkPort> = whole.iter().map(|port| (port.number, *port)).collect();
    for port in part {
        let own = joined.entry(number(port)).or_insert(NvLinkPort::new(number(port)));
        let (first, second) = if base_is_whole { (*own, port) } else { (*port, &*own) };
        *own = NvLinkPort {
            number: own.number,
            up: first.up.or(second.up),
            generation: first.generation.or(second.generation),
            reported: first.reported.or(second.reported),
            far: if first.far == NvLinkFar::Unknown { second.far } else { first.far },
        };
    }
    joined.into_values().collect()
}

/// Tells the kinds of devices at the other ends of ports of which only the address is known, and links GPUs by them where no
/// NVLinks are known yet.
pub(super) fn link_by_ends(fragment: &mut Fragment) {
    let gpus: Vec<NodeId> = (0..)
        .map(NodeId)
        .zip(&fragment.nodes)
        .filter(|(_, node)| node.kind.as_gpu().is_some())
        .map(|(id, _)| id)
        .collect();
    let is_open = |id: &NodeId| {
        let gpu = fragment.nodes[id.index()].kind.as_gpu();
        gpu.is_some_and(|gpu| gpu.nvlinks.iter().any(|port| matches!(port.far, NvLinkFar::Device(_))))
    };
    if !gpus.iter().any(is_open) {
        return;
    }
    tell_kinds(fragment, &gpus);
    let is_nvlink = |(_, _, link): &(NodeId, NodeId, Link)| link.kind == LinkKind::NvLink;
    if !fragment.nvlink_known && !fragment.links.iter().any(is_nvlink) {
        link(fragment, &gpus);
    }
}

/// Tells GPUs by their addresses, and NVSwitches by the number of GPUs that lead to them.
fn tell_kinds(fragment: &mut Fragment, gpus: &[NodeId]) {
    let mut places = BTreeSet::new();
    let mut leading: BTreeMap<PciAddress, usize> = BTreeMap::new();
    for gpu in gpus.iter().filter_map(|id| fragment.nodes[id.index()].kind.as_gpu()) {
        places.extend(gpu.address);
        let ends = gpu.nvlinks.iter().filter_map(|port| match port.far {
            NvLinkFar::Device(address) => Some(address),
            _ => None,
        });
        for end in ends.collect::<BTreeSet<_>>() {
            *leading.entry(end).or_default() += 1;
        }
    }
    for id in gpus {
        let NodeKind::Gpu(gpu) = &mut fragment.nodes[id.index()].kind else { continue };
        for port in &mut gpu.nvlinks {
            let NvLinkFar::Device(address) = port.far else { continue };
            port.far = match leading.get(&address) {
                _ if places.contains(&address) => NvLinkFar::Gpu(address),
                Some(2..) => NvLinkFar::Switch(Some(address)),
                _ => continue,
            };
        }
    }
}

fn link(fragment: &mut Fragment, gpus: &[NodeId]) {
    let mut ends: Vec<BTreeMap<NvLinkFar, Bundle>> = Vec::new();
    let mut places: BTreeMap<PciAddress, usize> = BTreeMap::new();
    for (position, gpu) in gpus.iter().filter_map(|id| fragment.nodes[id.index()].kind.as_gpu()).enumerate() {
        if let Some(address) = gpu.address {
            places.entry(address).or_insert(position);
        }
        let mut own: BTreeMap<NvLinkFar, Bundle> = BTreeMap::new();
        for port in gpu.nvlinks.iter().filter(|port| port.up != Some(false)) {
            let bundle = own.entry(port.far).or_default();
            let first = bundle.links == 0;
            bundle.links = bundle.links.saturating_add(1);
            let sum = bundle.reported.zip(port.reported).map(|(sum, own)| [sum, own].into_iter().sum());
            bundle.reported = if first { port.reported } else { sum };
        }
        ends.push(own);
    }
    let mut untold: Vec<String> = Vec::new();
    for (a, own) in ends.iter().enumerate() {
        for (end, bundle) in own {
            let NvLinkFar::Gpu(address) = end else { continue };
            let Some(b) = places.get(address).copied().filter(|b| *b != a) else { continue };
            // Each link has two ends, of which one may be told.
            let back = fragment.nodes[gpus[a].index()].kind.as_gpu().and_then(|gpu| gpu.address);
            let back = back.and_then(|back| ends[b].get(&NvLinkFar::Gpu(back)));
            match back {
                Some(_) if b < a => {}
                Some(back) => {
                    let fewer = if bundle.links <= back.links { bundle } else { back };
                    fragment.links.push((gpus[a], gpus[b], bundled(fragment, gpus[a], *fewer)));
                }
                None => fragment.links.push((gpus[a], gpus[b], bundled(fragment, gpus[a], *bundle))),
            }
        }
        if own.keys().any(|end| matches!(end, NvLinkFar::Device(_))) {
            untold.extend(fragment.nodes[gpus[a].index()].kind.as_gpu().map(Gpu::name));
        }
    }
    link_switches(fragment, gpus, &ends);
    let lacks = |own: &BTreeMap<NvLinkFar, Bundle>| own.is_empty() || own.contains_key(&NvLinkFar::Unknown);
    if untold.is_empty() && !ends.iter().any(lacks) {
        fragment.nvlink_known = true;
        fragment.notes.retain(|note| note.code() != NoteCode::NvlinksUnknown);
    } else if !untold.is_empty() && gpus.len() > 1 {
        let text =
            format!("{}: NVLinks lead to devices of unknown kind; they were left out", untold.join(", "));
        let note = Note::new(NoteCode::NvlinksPartlyUnknown, text);
        // A topology that was written and read again has it already.
        if !fragment.notes.contains(&note) {
            fragment.notes.push(note);
        }
    }
}

/// Links GPUs with NVSwitches. Where GPUs share none, one stands for all, for how these are joined is not told.
fn link_switches(fragment: &mut Fragment, gpus: &[NodeId], ends: &[BTreeMap<NvLinkFar, Bundle>]) {
    let of = |own: &BTreeMap<NvLinkFar, Bundle>| -> BTreeSet<PciAddress> {
        own.keys()
            .filter_map(|end| if let NvLinkFar::Switch(address) = end { *address } else { None })
            .collect()
    };
    let all: Vec<BTreeSet<PciAddress>> = ends.iter().map(of).filter(|own| !own.is_empty()).collect();
    let Some(first) = all.first() else { return };
    let are_apart = all.iter().any(|own| own.is_disjoint(first));
    let fabric = are_apart.then(|| fragment.add_inferred(NodeId::MACHINE, NvSwitch::default()));
    if are_apart {
        let text = "the GPUs are on different NVSwitches, and it is not told how NVLinks join these; it was taken that they do, \
                    and one NVSwitch stands for all of them";
        fragment.note(NoteCode::NvswitchesInferred, text);
    }
    let mut nodes: BTreeMap<PciAddress, NodeId> = BTreeMap::new();
    let known = (0..).map(NodeId).zip(&fragment.nodes);
    nodes.extend(known.filter_map(|(id, node)| match &node.kind {
        NodeKind::NvSwitch(switch) => Some((switch.address?, id)),
        _ => None,
    }));
    for (gpu, own) in gpus.iter().zip(ends) {
        let mut links: BTreeMap<NodeId, Vec<Bundle>> = BTreeMap::new();
        for (end, bundle) in own {
            let NvLinkFar::Switch(Some(address)) = *end else { continue };
            let node = fabric.unwrap_or_else(|| {
                *nodes.entry(address).or_insert_with(|| {
                    fragment.add(NodeId::MACHINE, NvSwitch { address: Some(address), ..NvSwitch::default() })
                })
            });
            links.entry(node).or_default().push(*bundle);
        }
        for (node, bundles) in links {
            let reported: Option<Vec<Bandwidth>> = bundles.iter().map(|bundle| bundle.reported).collect();
            let links = bundles.iter().fold(0_u16, |sum, bundle| sum.saturating_add(bundle.links));
            let all = Bundle { links, reported: reported.map(|all| all.into_iter().sum()) };
            let link = bundled(fragment, *gpu, all);
            fragment.links.push((*gpu, node, link));
        }
    }
}

/// Takes the ports that are down from a preset's NVLinks between GPUs and NVSwitches, where every port of a GPU is told. The
/// last go first: which NVSwitch a port leads to is not told, and so GPUs that lost as many still share the others.
pub(super) fn take_ports_down(fragment: &mut Fragment) {
    for id in (0..fragment.nodes.len() as u32).map(NodeId) {
        let Some(gpu) = fragment.nodes[id.index()].kind.as_gpu() else { continue };
        let (ports, nodes) = (&gpu.nvlinks, &fragment.nodes);
        let down = ports.iter().filter(|port| port.up == Some(false)).count();
        let is_told = ports.iter().all(|port| port.up.is_some());
        let leads_to_switch = |end: NodeId| matches!(nodes[end.index()].kind, NodeKind::NvSwitch(_));
        let own = fragment.links.iter_mut().filter(|(a, b, link)| {
            link.kind == LinkKind::NvLink
                && (*a == id && leads_to_switch(*b) || *b == id && leads_to_switch(*a))
        });
        let mut own: Vec<&mut Link> = own.map(|(_, _, link)| link).collect();
        let count: usize = own.iter().map(|link| usize::from(link.lanes.unwrap_or_default())).sum();
        if down == 0 || !is_told || count != ports.len() {
            continue;
        }
        let mut left = down;
        for link in own.iter_mut().rev() {
            let all = link.lanes.unwrap_or_default();
            let up = all.saturating_sub(u16::try_from(left).unwrap_or(u16::MAX));
            left -= usize::from(all - up);
            link.rate = link.rate.map(|rate| {
                let bandwidth = rate.bandwidth.as_mb_per_s() * u64::from(up) / u64::from(all.max(1));
                Rate { bandwidth: Bandwidth::from_mb_per_s(bandwidth), ..rate }
            });
            link.lanes = Some(up);
        }
    }
    fragment.links.retain(|(_, _, link)| link.kind != LinkKind::NvLink || link.lanes != Some(0));
}

/// Returns the link that NVLinks with the same two ends form.
fn bundled(fragment: &Fragment, gpu: NodeId, bundle: Bundle) -> Link {
    let capability = fragment.nodes[gpu.index()].kind.as_gpu().and_then(|gpu| gpu.compute_capability);
    Link { reported: bundle.reported, ..rates::nvlink_of(capability, None, bundle.links) }
}
