//! Links from `NV#`: direct ones between two GPUs, or those to NVSwitches where a GPU has too few for direct ones.

use super::cell::Word;
use super::columns::gpu_index;
use super::table::{Matrix, Pairs};
use crate::model::{Fragment, NodeId, NoteCode, NoteKind, NvSwitch, components, rates};

/// Adds the NVLinks, and returns the number of pairs of GPUs of which nothing is known.
pub(super) fn link(fragment: &mut Fragment, matrix: &Matrix, pairs: &Pairs, ids: &[NodeId]) -> usize {
    let gpus: Vec<usize> =
        (0..pairs.len()).filter(|device| gpu_index(matrix.name(*device)).is_some()).collect();
    // A common switch explains a pair, even where its cells are missing.
    let mut switch_of = vec![None; pairs.len()];
    let mut switched = Vec::new();
    let linked = |a: usize, b: usize| matches!(pairs.word(gpus[a], gpus[b]), Word::Nv(_));
    for group in components(gpus.len(), linked).into_iter().filter(|group| group.len() > 1) {
        let group: Vec<usize> = group.into_iter().map(|member| gpus[member]).collect();
        if let Some(count) = links_to_switch(&group, pairs) {
            let switch = fragment.add_inferred(NodeId::MACHINE, NvSwitch::default());
            for gpu in &group {
                fragment.link(ids[*gpu], switch, rates::nvlink_assumed(count));
                switch_of[*gpu] = Some(switch);
            }
            switched.push((group.len(), count));
        } else {
            link_directly(fragment, matrix, pairs, &group, ids);
        }
    }
    note(fragment, &switched, pairs);
    let share_switch = |a: usize, b: usize| switch_of[a].is_some() && switch_of[a] == switch_of[b];
    let unseen = |(index, a): (usize, &usize)| {
        let others = gpus[index + 1..].iter().filter(|b| pairs.word(*a, **b) == Word::Unknown);
        others.filter(|b| !share_switch(*a, **b)).count()
    };
    gpus.iter().enumerate().map(unseen).sum()
}

/// Returns the number of links of each GPU of the group to a switch, if one must be there: all pairs show the same
/// count, and no GPU has enough links for each pair to have its own.
fn links_to_switch(group: &[usize], pairs: &Pairs) -> Option<u16> {
    let mut count = None;
    let mut most = 0;
    for a in group {
        let mut peers = 0;
        for b in group.iter().filter(|b| *b != a) {
            match pairs.word(*a, *b) {
                Word::Nv(links) if count.is_none_or(|count| count == links) => {
                    count = Some(links);
                    peers += 1;
                }
                Word::Unknown => {}
                _ => return None,
            }
        }
        most = most.max(peers);
    }
    count.filter(|count| u32::from(*count) * most > u32::from(rates::MAX_NVLINKS))
}

fn link_directly(fragment: &mut Fragment, matrix: &Matrix, pairs: &Pairs, group: &[usize], ids: &[NodeId]) {
    let mut overfull = None;
    for (index, a) in group.iter().enumerate() {
        let links = |b: &usize| if let Word::Nv(links) = pairs.word(*a, *b) { links } else { 0 };
        let total: u32 = group.iter().map(|b| u32::from(links(b))).sum();
        overfull = overfull.or((total > u32::from(rates::MAX_NVLINKS)).then_some((*a, total)));
        for b in &group[index + 1..] {
            if links(b) > 0 {
                fragment.link(ids[*a], ids[*b], rates::nvlink_assumed(links(b)));
            }
        }
    }
    if let Some((gpu, total)) = overfull {
        let (name, most) = (matrix.name(gpu), rates::MAX_NVLINKS);
        let text = format!("{name} has {total} NVLinks by the matrix, and no GPU has more than {most}");
        fragment.note(NoteKind::Conflict, text);
    }
}

fn note(fragment: &mut Fragment, switched: &[(usize, u16)], pairs: &Pairs) {
    for (gpus, count) in switched {
        fragment.note(
            NoteCode::NvswitchesInferred,
            format!(
                "{gpus} GPUs with {count} NVLinks for each pair must be on NVSwitches, which are shown as one"
            ),
        );
    }
    if pairs.any(|word| matches!(word, Word::Nv(_))) {
        let text = "the generation of NVLink is unknown; 25 GB/s for each link in one direction is assumed";
        fragment.note(NoteCode::NvlinkRateAssumed, text);
    }
}

/// Says where the absence of `NV#` is no proof that there is no NVLink.
pub(super) fn note_unknown(fragment: &mut Fragment, matrix: &Matrix, pairs: &Pairs, unseen: usize) {
    let gpus = (0..pairs.len()).filter(|device| gpu_index(matrix.name(*device)).is_some()).count();
    if gpus == 1 {
        // Links to NVSwitches are in no cell of its own.
        fragment.set_nvlink_unknown();
    }
    if gpus < 2 {
        return;
    }
    if unseen > 0 {
        fragment.set_nvlink_unknown();
        fragment.note(
            NoteCode::NvlinksPartlyUnknown,
            format!("{unseen} pairs of GPUs are not in the text; they may have NVLinks"),
        );
    }
    if pairs.any(|word| matches!(word, Word::Nv(_))) {
        return;
    }
    let text = match matrix.pci_only {
        Some(true) => "the text is that of 'topo -mp', which does not show NVLinks; there may be some",
        Some(false) => return,
        None if matrix.lists_nvlink => return,
        None => {
            "no pair has NVLinks and no legend explains NV#; the text may be that of 'topo -mp', which does not show NVLinks"
        }
    };
    fragment.set_nvlink_unknown();
    fragment.note(NoteCode::NvlinksUnknown, text);
}
