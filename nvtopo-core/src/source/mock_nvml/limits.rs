//! Notes on what the mock shows otherwise than the topology: facts that it cannot tell, and facts that it has to have.

use super::links::Links;
use super::places::{self, Places};
use crate::model::{Note, NoteCode, NvLinkFar, P2pStatus, Topology};
use crate::source::Written;
use crate::units::several;
use std::collections::BTreeMap;

/// The most GPUs that the mock shows. Source: `MaxDevices` in `engine/device.go`.
pub(super) const MOST_GPUS: usize = 8;

/// Collects what to note, each with the GPUs or pairs that it is of.
#[derive(Default)]
pub(super) struct Limits(BTreeMap<(NoteCode, &'static str), Vec<String>>);

impl Limits {
    /// Adds a fact that the mock cannot tell, or not as it is.
    pub(super) fn lost(&mut self, text: &'static str, of: impl Into<String>) {
        self.0.entry((NoteCode::NotExpressed, text)).or_default().push(of.into());
    }

    /// Adds a fact that the mock has to have and the topology does not know.
    pub(super) fn assumed(&mut self, text: &'static str, of: impl Into<String>) {
        self.0.entry((NoteCode::Inferred, text)).or_default().push(of.into());
    }

    /// Writes the notes.
    pub(super) fn note(self, written: &mut Written) {
        for ((code, text), of) in self.0 {
            let of: Vec<String> = of.into_iter().filter(|name| !name.is_empty()).collect();
            let text = if of.is_empty() { text.to_owned() } else { format!("{text}: {}", several(&of)) };
            written.note(Note::new(code, text));
        }
    }

    /// Adds the pairs of GPUs that the mock shows with another path, other NVLinks or other access.
    pub(super) fn pairs(&mut self, topology: &Topology, places: &Places, links: &[Links], far: &[NvLinkFar]) {
        let shown = links.len().min(MOST_GPUS);
        let direct = |a: usize, b: usize| links[a].count(|end| *end == far[b]);
        let switched = |gpu: usize| links[gpu].count(|end| matches!(end, NvLinkFar::Switch(_)));
        for (a, b) in (0..shown).flat_map(|b| (0..b).map(move |a| (a, b))) {
            let names = || format!("{} and {}", topology.device_name(a), topology.device_name(b));
            let nvlinks = direct(a, b).min(direct(b, a)) + switched(a).min(switched(b));
            if nvlinks != usize::from(topology.pairs().pair(a, b).nvlinks) {
                self.lost("the mock shows another number of NVLinks, as it joins all NVSwitches", names());
            }
            let path = places::path(topology, a, b);
            if path != Some(places.path(a, b)) {
                let text = if path.is_none() {
                    "the mock shows a path that is not known"
                } else {
                    "the mock knows the paths PIX, PHB and SYS only, and shows one of them instead"
                };
                let more = path.map_or(String::new(), |path| format!(" ({path} as {})", places.path(a, b)));
                self.lost(text, names() + &more);
            }
            let p2p = topology.p2p(topology.devices()[a], topology.devices()[b]);
            let stated = p2p.map(|p2p| [p2p.read, p2p.write, p2p.nvlink, p2p.atomics]).unwrap_or_default();
            let mut known = stated.into_iter().flatten().filter(|status| *status != P2pStatus::Unknown);
            if known.any(|status| (status == P2pStatus::Ok) != (nvlinks > 0)) {
                self.lost(
                    "the mock allows peer-to-peer access of every kind over NVLinks, and no other",
                    names(),
                );
            }
        }
    }
}
