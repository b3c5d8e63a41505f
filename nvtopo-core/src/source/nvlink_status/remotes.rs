//! The other ends of NVLinks, and the places of the GPUs that follow from them.

use super::link::State;
use super::{GpuStatus, Status};
use crate::ids::PciAddress;
use crate::model::{Gpu, NoteCode, NvLinkFar, NvLinkPort};
use std::collections::{BTreeMap, BTreeSet};

impl GpuStatus {
    pub(super) fn new(gpu: Gpu) -> Self {
        let (links, remotes) = (BTreeMap::new(), BTreeMap::new());
        Self { gpu, links, remotes, others: BTreeSet::new(), instances: Vec::new() }
    }

    /// Returns the links one by one.
    pub(super) fn ports(&self) -> Vec<NvLinkPort> {
        let remotes = self.remotes_by_link();
        let told = self.links.keys().chain(remotes.keys());
        let numbers: BTreeSet<u32> = if self.links.is_empty() && remotes.is_empty() {
            self.others.clone()
        } else {
            told.copied().collect()
        };
        let port = |number: u32| {
            let (state, remote) = (self.links.get(&number), remotes.get(&number));
            let reported = if let Some(State::Rate(rate)) = state { Some(*rate) } else { None };
            // The driver names the other end of links that are up.
            let up = state.map_or(remote.map(|_| true), State::up);
            let far = remote.map_or(NvLinkFar::Unknown, |address| NvLinkFar::Device(*address));
            NvLinkPort { number, up, generation: None, reported, far }
        };
        numbers.into_iter().map(port).collect()
    }

    /// Returns the other ends by the numbers of the links. Some drivers count only the links that are up where they list the
    /// other ends, so that a link that is down seems to have one.
    fn remotes_by_link(&self) -> BTreeMap<u32, PciAddress> {
        let up: Vec<u32> = self
            .links
            .iter()
            .filter(|(_, state)| state.up() == Some(true))
            .map(|(number, _)| *number)
            .collect();
        let differ = self.remotes.keys().any(|number| !up.contains(number));
        if differ && up.len() == self.remotes.len() {
            return up.into_iter().zip(self.remotes.values().copied()).collect();
        }
        self.remotes.clone()
    }
}

impl Status {
    /// Places the GPUs where their NVLinks lead to each other: the other ends of all are then the GPUs themselves, and the
    /// driver numbers these by their addresses.
    pub(super) fn place(&mut self) {
        let ends: BTreeSet<PciAddress> =
            self.gpus.values().flat_map(|status| status.remotes.values().copied()).collect();
        if ends.len() != self.gpus.len() || ends.len() < 2 {
            return;
        }
        let places: BTreeMap<u32, PciAddress> = self.gpus.keys().copied().zip(ends).collect();
        let leading = |from: u32, to: u32| {
            let (status, to) = (self.gpus.get(&from), places.get(&to));
            status.map_or(0, |status| status.remotes.values().filter(|end| Some(*end) == to).count())
        };
        let fits = |a: u32, b: u32| if a == b { leading(a, a) == 0 } else { leading(a, b) == leading(b, a) };
        if !places.keys().all(|a| places.keys().all(|b| fits(*a, *b))) {
            return;
        }
        for (index, address) in places {
            if let Some(status) = self.gpus.get_mut(&index) {
                status.gpu.address = Some(address);
            }
        }
        let text = "the addresses of the GPUs were concluded from the other ends of their NVLinks, in the order of their numbers";
        self.note(NoteCode::Inferred, text.to_owned());
    }
}
