//! Conclusions that several sources draw alike: product names, links between NUMA nodes, NVLinks that are down, and
//! classes of cores.

use crate::model::{CoreClass, Fragment, Gpu, NodeId, NoteCode, NoteKind, rates};
use std::collections::{BTreeMap, BTreeSet};

/// Placeholders that firmware writes where the maker left a name empty.
const PLACEHOLDERS: [&str; 7] = [
    "to be filled by o.e.m.",
    "system product name",
    "default string",
    "not specified",
    "not applicable",
    "none",
    "product name",
];

/// Returns the product's name of a machine, as its firmware has it, unless it is a placeholder.
pub(super) fn product_name(text: &str) -> Option<String> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    (!text.is_empty() && !PLACEHOLDERS.contains(&lower.as_str())).then(|| text.to_owned())
}

/// Returns the kernel's numbers, and the lowest free ones for those that it left out.
pub(super) fn numbers(known: impl Iterator<Item = Option<u32>> + Clone) -> Vec<u32> {
    let taken: BTreeSet<u32> = known.clone().flatten().collect();
    let mut free = (0..).filter(|number| !taken.contains(number));
    known.map(|number| number.or_else(|| free.next()).unwrap_or_default()).collect()
}

/// The text of `nvlinks-unknown` for a file without the other ends of NVLinks.
pub(super) const NVLINKS_OF_FILE: &str = "the file does not tell which GPUs NVLink connects";

/// Beyond this many nodes the links between them, which grow with the square, are left out.
pub(super) const MAX_LINKED: usize = 64;

/// Links the NUMA nodes with CPUs of one machine, each with every other.
pub(super) fn link_numa_nodes(fragment: &mut Fragment, nodes: &[NodeId], cpu_model: Option<&str>) {
    if nodes.len() > MAX_LINKED {
        let text = format!("the links between {} NUMA nodes were left out", nodes.len());
        fragment.note(NoteKind::Unknown, text);
        return;
    }
    for (index, a) in nodes.iter().enumerate() {
        for b in &nodes[index + 1..] {
            fragment.link(*a, *b, rates::smp_link(cpu_model));
        }
    }
}

/// Notes the links that are down on a GPU and up on others of its model, and returns the indices of such GPUs. Where
/// links are down on all, none is wired.
pub(super) fn note_links_down(fragment: &mut Fragment) -> BTreeSet<u32> {
    let gpus: Vec<&Gpu> = fragment.nodes.iter().filter_map(|node| node.kind.as_gpu()).collect();
    let up = |gpu: &Gpu| gpu.nvlinks.iter().filter(|link| link.up == Some(true)).count();
    let most = most_by_model(gpus.iter().map(|gpu| (*gpu, up(gpu))));
    let (mut texts, mut noted) = (Vec::new(), BTreeSet::new());
    for gpu in gpus {
        let (up, most) = (up(gpu), most.get(&gpu.model).copied().unwrap_or_default());
        let down = gpu.nvlinks.iter().filter(|link| link.up == Some(false));
        let down: Vec<String> = down.map(|link| link.number.to_string()).collect();
        if up < most && !down.is_empty() {
            let down = down.join(", ");
            noted.insert(gpu.index);
            texts.push(format!(
                "{}: {up} NVLinks are up, and {most} on others of its model; down: {down}",
                gpu.name()
            ));
        }
    }
    for text in texts {
        fragment.note(NoteCode::NvlinksDown, text);
    }
    noted
}

/// Returns the highest of the counts of the GPUs of each model.
pub(super) fn most_by_model<'a>(
    counts: impl Iterator<Item = (&'a Gpu, usize)>,
) -> BTreeMap<&'a Option<String>, usize> {
    let mut most = BTreeMap::new();
    for (gpu, count) in counts {
        let most: &mut usize = most.entry(&gpu.model).or_default();
        *most = count.max(*most);
    }
    most
}

/// Returns the class of each core by its capacity beside the best one (Linux: 1024). `None`: they are alike.
///
/// Cores of one kind differ a little where some may run at higher clocks: those of a GB10 have 997 to 1024 and 718 to
/// 731. So the middle divides the kinds, and a tenth between the best and the least is no difference.
pub(super) fn classes_by_capacity(capacities: &[u32]) -> Option<Vec<CoreClass>> {
    let (least, best) = (u64::from(*capacities.iter().min()?), u64::from(*capacities.iter().max()?));
    if least * 10 >= best * 9 {
        return None;
    }
    let class = |capacity: &u32| {
        if u64::from(*capacity) * 2 > least + best { CoreClass::Performance } else { CoreClass::Efficiency }
    };
    Some(capacities.iter().map(class).collect())
}

/// Returns the class of each core by its clock. `None`: they are alike, or their clocks form no two classes.
///
/// Most cores of one make differ a little, and the firmware of some machines ranks each of them. Two classes are two
/// groups of clocks that are a tenth of the best one apart, and farther than any two clocks within one of them.
pub(super) fn classes_by_clock(clocks: &[u32]) -> Option<Vec<CoreClass>> {
    let mut sorted = clocks.to_vec();
    sorted.sort_unstable();
    let (first, last) = (*sorted.first()?, *sorted.last()?);
    let (gap, below, above) =
        sorted.windows(2).map(|pair| (pair[1] - pair[0], pair[0], pair[1])).max_by_key(|(gap, ..)| *gap)?;
    if first == 0 || u64::from(gap) * 10 < u64::from(last) || gap <= below - first || gap <= last - above {
        return None;
    }
    let class = |clock: &u32| if *clock < above { CoreClass::Standard } else { CoreClass::Priority };
    Some(clocks.iter().map(class).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_without_a_number_take_free_ones() {
        assert_eq!(numbers([None, Some(0), None].into_iter()), [1, 0, 2]);
    }

    #[test]
    fn clocks_make_two_classes_or_none() {
        let marks = |values: &[u32]| {
            classes_by_clock(values).map(|classes| {
                classes
                    .iter()
                    .map(|class| if *class == CoreClass::Priority { '+' } else { '.' })
                    .collect::<String>()
            })
        };
        // Base clocks of a Xeon Gold 6252N, and turbo clocks of priority cores.
        assert_eq!(marks(&[2100, 2100, 2800, 2100]).as_deref(), Some("..+."));
        assert_eq!(marks(&[46, 39, 39, 46]).as_deref(), Some("+..+"));
        // A hybrid CPU of which nothing else is known, with two favoured cores.
        assert_eq!(marks(&[64, 67, 39, 39]).as_deref(), Some("++.."));
        // Favoured cores differ a little.
        assert_eq!(marks(&[45, 45, 47, 47]), None);
        // Preferred cores are ranked one by one.
        assert_eq!(marks(&[236, 231, 221, 211, 206, 196, 186, 176, 171, 166]), None);
        assert_eq!(marks(&[30, 30]), None);
        assert_eq!(marks(&[0, 30]), None);
        assert_eq!(marks(&[30]), None);
        assert_eq!(marks(&[]), None);
        assert_eq!(marks(&[u32::MAX, 1]).as_deref(), Some("+."));
    }
}
