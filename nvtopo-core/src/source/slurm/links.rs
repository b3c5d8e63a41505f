//! The order of GPUs and their NVLinks, by `Links=`: the numbers of links to each device, with -1 in the place of its own.
//!
//! Source: `gres.conf(5)`; the places are those of the GPUs by PCI bus address. Without them the order of lines is the order.

use super::device::Device;
use crate::model::{Fragment, NodeId, NoteCode, components, rates};
use std::collections::BTreeMap;

/// Returns the devices with their places, in order.
pub(super) fn place(fragment: &mut Fragment, devices: Vec<Device>) -> Vec<(usize, Device)> {
    let mut placed: BTreeMap<usize, Device> = BTreeMap::new();
    let (mut unplaced, mut wrong) = (Vec::new(), Vec::new());
    for mut device in devices {
        let own = device.links.as_ref().map(|links| {
            let mut itself = links.iter().enumerate().filter(|(_, count)| **count == -1);
            itself.next().filter(|_| itself.next().is_none()).map(|(place, _)| place)
        });
        match own {
            Some(Some(place)) if !placed.contains_key(&place) => _ = placed.insert(place, device),
            Some(_) => {
                wrong.push(device.line.to_string());
                device.links = None;
                unplaced.push(device);
            }
            None => unplaced.push(device),
        }
    }
    if !wrong.is_empty() {
        let text = format!(
            "Links= must have -1 once, in a place that no other line has: those of line {} are left out",
            wrong.join(", ")
        );
        fragment.note(NoteCode::Conflict, text);
    }
    let free: Vec<usize> = (0..).filter(|place| !placed.contains_key(place)).take(unplaced.len()).collect();
    placed.extend(free.into_iter().zip(unplaced));
    placed.into_iter().collect()
}

/// Adds the NVLinks between the GPUs, whose nodes are `ids`.
pub(super) fn link(fragment: &mut Fragment, placed: &[(usize, Device)], ids: &[NodeId]) {
    let is_plain = |device: &Device| !device.is_instance;
    let count = |a: usize, b: usize| -> u16 {
        let [(_, one), (place, other)] = [&placed[a], &placed[b]];
        let links = one.links.as_ref().filter(|_| is_plain(one) && is_plain(other));
        links.and_then(|links| links.get(*place)).and_then(|count| u16::try_from(*count).ok()).unwrap_or(0)
    };
    let of_pair = |a: usize, b: usize| count(a, b).max(count(b, a));
    let total = placed.len();
    let has_any = (0..total).any(|a| (0..a).any(|b| of_pair(a, b) > 0));
    if total > 1 && (!has_any || placed.iter().any(|(_, device)| device.links.is_none())) {
        let text = if placed.iter().any(|(_, device)| device.links.is_some()) {
            "Links= does not tell all NVLinks: Slurm's own detection writes 0 for those to NVSwitches"
        } else {
            "there is no Links=, so NVLinks are unknown"
        };
        if placed.iter().any(|(_, device)| is_plain(device)) {
            fragment.note(NoteCode::NvlinksUnknown, text);
        }
        fragment.set_nvlink_unknown();
    }
    let longest = placed.iter().filter_map(|(_, device)| Some(device.links.as_ref()?.len())).max();
    if let Some(longest) = longest.filter(|longest| *longest > total) {
        let text = format!("Links= counts {longest} devices, and {total} have a line");
        fragment.note(NoteCode::TextCut, text);
    }
    if !has_any {
        return;
    }
    if placed.iter().any(|(_, device)| device.is_other_make) {
        fragment.note(
            NoteCode::Unknown,
            "Links= of GPUs that are not NVIDIA's are left out: their kind is unknown",
        );
        return;
    }
    let differ = |a: usize, b: usize| {
        let both = placed[a].1.links.is_some() && placed[b].1.links.is_some();
        both && count(a, b) != count(b, a)
    };
    let pairs = (0..total).flat_map(|b| (0..b).map(move |a| (a, b)));
    let apart: Vec<(usize, usize)> = pairs.filter(|(a, b)| differ(*a, *b)).collect();
    if let Some((a, b)) = apart.first().copied() {
        let text = format!(
            "Links= of two lines differ for {} pairs, of which the larger number is taken: the line of place {} has {} \
             to place {}, whose line has {}",
            apart.len(),
            placed[a].0,
            count(a, b),
            placed[b].0,
            count(b, a)
        );
        fragment.note(NoteCode::Conflict, text);
    }
    let mut overfull = None;
    for group in components(total, |a, b| of_pair(a, b) > 0).into_iter().filter(|group| group.len() > 1) {
        let alike = of_pair(group[0], group[1]);
        let pairs = || group.iter().flat_map(|a| group.iter().filter(move |b| a < *b).map(move |b| (*a, *b)));
        let most = u32::from(rates::MAX_NVLINKS);
        let is_switched = u32::from(alike) * (group.len() as u32 - 1) > most
            && pairs().all(|(a, b)| of_pair(a, b) == alike);
        if is_switched {
            let switch = fragment.add_inferred(NodeId::MACHINE, crate::model::NvSwitch::default());
            for gpu in &group {
                fragment.link(ids[*gpu], switch, rates::nvlink_assumed(alike));
            }
            let text = format!(
                "{} GPUs with {alike} NVLinks for each pair must be on NVSwitches, which are shown as one",
                group.len()
            );
            fragment.note(NoteCode::NvswitchesInferred, text);
            continue;
        }
        for (a, b) in pairs().filter(|(a, b)| of_pair(*a, *b) > 0) {
            fragment.link(ids[a], ids[b], rates::nvlink_assumed(of_pair(a, b)));
        }
        let sum =
            |a: &usize| group.iter().filter(|b| *b != a).map(|b| u32::from(of_pair(*a, *b))).sum::<u32>();
        overfull =
            overfull.or(group.iter().map(|gpu| (placed[*gpu].0, sum(gpu))).find(|(_, sum)| *sum > most));
    }
    if let Some((place, sum)) = overfull {
        let most = rates::MAX_NVLINKS;
        let text = format!("GPU{place} has {sum} NVLinks by Links=, and no GPU has more than {most}");
        fragment.note(NoteCode::Conflict, text);
    }
    let text = "the generation of NVLink is unknown; 25 GB/s for each link in one direction is assumed";
    fragment.note(NoteCode::NvlinkRateAssumed, text);
}
