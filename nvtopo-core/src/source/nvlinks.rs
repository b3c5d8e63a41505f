//! NVLinks one by one, as sources tell of them: which should be up and are not.

use crate::model::{Fragment, Gpu, NoteKind};
use std::collections::{BTreeMap, BTreeSet};

/// Notes the links that are down on a GPU and up on others of its model, and returns the indices of such GPUs. Where links
/// are down on all, none is wired.
pub(super) fn note_down(fragment: &mut Fragment) -> BTreeSet<u32> {
    let gpus: Vec<&Gpu> = fragment.nodes.iter().filter_map(|node| node.kind.as_gpu()).collect();
    let up = |gpu: &Gpu| gpu.nvlinks.iter().filter(|link| link.up == Some(true)).count();
    let mut most: BTreeMap<&Option<String>, usize> = BTreeMap::new();
    for gpu in &gpus {
        let most = most.entry(&gpu.model).or_default();
        *most = up(gpu).max(*most);
    }
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
        fragment.note(NoteKind::Conflict, text);
    }
    noted
}
