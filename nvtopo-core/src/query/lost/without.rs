//! The machine without its lost parts. What is left says what a machine says that has lost them: NVLinks are down and not
//! absent, CPUs are offline, devices are gone.

use super::find::{Losses, LostLinks, find};
use super::{LostPart, NvLinkChoice, lanes};
use crate::cpuset::CpuSet;
use crate::error::{Error, Result};
use crate::ids::PciAddress;
use crate::model::{
    Fragment, Link, Measured, NodeId, NodeKind, Note, NoteCode, NvLinkFar, NvLinkPort, Nvlinks, Origin, P2p,
    P2pStatus, Rate, Stated, Topology, freeze, named,
};
use crate::units::Bandwidth;
use std::collections::{BTreeMap, BTreeSet};

impl Topology {
    /// Returns the machine as it would be without some of its parts.
    ///
    /// Devices are gone, with everything below them, and the others keep their numbers. NVLinks are down, as they are when they
    /// fail: ports say so where they are known, and a note does. CPUs are offline. A measured bandwidth counts no longer where the
    /// NVLinks that are left cannot carry it, nor does peer-to-peer access that went over NVLinks that are down. The answer is of
    /// no machine that exists, and no process can be bound by it.
    ///
    /// Errors with [`InvalidRequest`](crate::ErrorKind::InvalidRequest) for parts that are not there, and say which are; for NVLinks
    /// where no source tells them; and where no CPU would be left.
    ///
    /// ```
    /// let dgx = nvtopo::Topology::preset("dgx-h100")?;
    /// let degraded = dgx.without(&["gpu:3".parse()?, "nvlink:0:1".parse()?])?;
    /// assert_eq!(degraded.gpus().len(), 7);
    /// assert_eq!(degraded.nvlinks_of(0).0, 17);
    /// assert!(dgx.without(&["nic:eth9".parse()?]).unwrap_err().to_string().contains("there are mlx5_0"));
    /// # Ok::<(), nvtopo::Error>(())
    /// ```
    pub fn without(&self, parts: &[LostPart]) -> Result<Self> {
        let losses = find(self, parts)?;
        let mut machine = Remains { before: self, fragment: Fragment::of(self) };
        for lost in &losses.links {
            machine.lose_links(lost)?;
        }
        let gone = machine.lose_nodes(&losses);
        let gone = machine.lose_cpus(&losses.cpus, gone);
        machine.finish(&gone)
    }
}

/// The machine while parts of it are taken away. Nodes keep their numbers until the end.
struct Remains<'a> {
    before: &'a Topology,
    fragment: Fragment,
}

impl Remains<'_> {
    /// Takes NVLinks down.
    fn lose_links(&mut self, lost: &LostLinks) -> Result<()> {
        let (mut ends, mut port) = (lost.ends.clone(), None);
        if let NvLinkChoice::Number(number) = lost.which {
            let far = self.port(lost, number)?;
            ends.retain(|end| self.is_at(*end, far));
            if ends.is_empty() && far == NvLinkFar::Unknown {
                ends.clone_from(&lost.ends);
            }
            if ends.is_empty() {
                let name = named::device_name(self.before, lost.gpu);
                return Err(Error::request(format!("link {number} of {name} ends elsewhere")).help(format!(
                    "name it without the other end: nvlink:{}#{number}",
                    name.trim_start_matches("GPU")
                )));
            }
            port = Some(number);
        }
        let is_end = |far: NodeId| ends.contains(&far);
        let is_lost = |(a, b, link): &(NodeId, NodeId, Link)| {
            let joins = *a == lost.gpu && is_end(*b) || *b == lost.gpu && is_end(*a);
            joins && link.kind.is_fabric()
        };
        let places: Vec<usize> =
            (0..self.fragment.links.len()).filter(|place| is_lost(&self.fragment.links[*place])).collect();
        let there: u32 = places.iter().map(|place| u32::from(lanes(&self.fragment.links[*place].2))).sum();
        let mut left = match lost.which {
            NvLinkChoice::All => there,
            NvLinkChoice::Count(count) => count.into(),
            NvLinkChoice::Number(_) => 1,
        };
        if left > there {
            let text = format!("{} loses {left} NVLinks where {there} are up", lost.part);
            return Err(Error::request(text).help("name fewer of them"));
        }
        for &place in &places {
            let (a, b, link) = &mut self.fragment.links[place];
            let taken = left.min(lanes(link).into()) as u16;
            take(link, taken);
            left -= u32::from(taken);
            let far = if *a == lost.gpu { *b } else { *a };
            if port.is_none() {
                self.ports_down(lost.gpu, far, taken);
            }
            self.ports_down(far, lost.gpu, taken);
        }
        if let Some(number) = port {
            self.each_port(lost.gpu, |own| own.number == number, 1);
        }
        let mut place = 0..;
        self.fragment.links.retain(|(_, _, link)| {
            let is_named = place.next().is_some_and(|place| places.binary_search(&place).is_ok());
            !is_named || link.lanes != Some(0)
        });
        Ok(())
    }

    /// Returns the far end of a port that is up.
    fn port(&self, lost: &LostLinks, number: u32) -> Result<NvLinkFar> {
        let gpu = self.fragment.nodes[lost.gpu.index()].kind.as_gpu();
        let ports = gpu.map(|gpu| gpu.nvlinks.as_slice()).unwrap_or_default();
        let name = named::device_name(self.before, lost.gpu);
        let own = ports.iter().find(|port| port.number == number);
        match own {
            Some(port) if port.up != Some(false) => Ok(port.far),
            Some(_) => Err(Error::request(format!("link {number} of {name} is down already"))),
            None => {
                let numbers: Vec<String> = ports.iter().map(|port| port.number.to_string()).collect();
                let advice = match numbers.as_slice() {
                    [] => {
                        "no source numbers its NVLinks; :1 instead of the number loses one of them".to_owned()
                    }
                    numbers => format!("there are {}", numbers.join(", ")),
                };
                Err(Error::request(format!("{name} has no NVLink {number}")).help(advice))
            }
        }
    }

    /// Returns whether the far end that a port tells is a node.
    fn is_at(&self, node: NodeId, far: NvLinkFar) -> bool {
        let own = address(&self.fragment.nodes[node.index()].kind);
        match (far, &self.fragment.nodes[node.index()].kind) {
            (NvLinkFar::Switch(far), NodeKind::NvSwitch(_)) => far.is_none() || own.is_none() || own == far,
            (NvLinkFar::Gpu(far), NodeKind::Gpu(_))
            | (NvLinkFar::Device(far), NodeKind::Gpu(_) | NodeKind::NvSwitch(_)) => own == Some(far),
            _ => false,
        }
    }

    /// Takes so many ports of a GPU down that lead to a node, as far as they are known.
    fn ports_down(&mut self, gpu: NodeId, far: NodeId, count: u16) {
        let ends: Vec<bool> = match self.fragment.nodes[gpu.index()].kind.as_gpu() {
            Some(gpu) => gpu.nvlinks.iter().map(|port| self.is_at(far, port.far)).collect(),
            None => return,
        };
        let mut told = ends.into_iter();
        let left = self.each_port(gpu, |_| told.next().unwrap_or_default(), count);
        self.each_port(gpu, |port| port.far == NvLinkFar::Unknown, left);
    }

    /// Takes ports of a GPU down, and returns how many are still to be found.
    fn each_port(&mut self, gpu: NodeId, mut is_it: impl FnMut(&NvLinkPort) -> bool, mut count: u16) -> u16 {
        let NodeKind::Gpu(gpu) = &mut self.fragment.nodes[gpu.index()].kind else { return 0 };
        for port in &mut gpu.nvlinks {
            if is_it(port) && count > 0 && port.up != Some(false) {
                (port.up, port.far, port.reported) = (Some(false), NvLinkFar::Unknown, None);
                count -= 1;
            }
        }
        count
    }

    /// Finds the nodes that are gone with the lost ones, and takes down the NVLinks that led to them.
    fn lose_nodes(&mut self, losses: &Losses) -> BTreeSet<NodeId> {
        let mut gone = losses.nodes.clone();
        self.add_below(&mut gone);
        self.lose_memory(&mut gone);
        let cut = self.fragment.links.iter().filter(|(_, _, link)| link.kind.is_fabric());
        let cut: Vec<(NodeId, NodeId, u16)> = cut
            .filter_map(|(a, b, link)| match (gone.contains(a), gone.contains(b)) {
                (true, false) => Some((*b, *a, lanes(link))),
                (false, true) => Some((*a, *b, lanes(link))),
                _ => None,
            })
            .collect();
        for (own, far, links) in cut {
            self.ports_down(own, far, links);
        }
        gone
    }

    /// Adds what is below nodes. A parent stands before its children.
    fn add_below(&self, gone: &mut BTreeSet<NodeId>) {
        for (id, node) in (0..).map(NodeId).zip(&self.fragment.nodes) {
            if node.parent.is_some_and(|parent| gone.contains(&parent)) {
                gone.insert(id);
            }
        }
    }

    /// Takes away the NUMA nodes that are the memory of lost GPUs.
    fn lose_memory(&mut self, gone: &mut BTreeSet<NodeId>) {
        let lost: BTreeSet<PciAddress> =
            gone.iter().filter_map(|id| self.fragment.nodes[id.index()].kind.as_gpu()?.address).collect();
        let kept = (0..).map(NodeId).zip(&self.fragment.nodes).filter(|(id, _)| !gone.contains(id));
        let parents: BTreeSet<NodeId> = kept.filter_map(|(_, node)| node.parent).collect();
        let mut numbers = BTreeSet::new();
        for (id, node) in (0..).map(NodeId).zip(&mut self.fragment.nodes) {
            let NodeKind::NumaNode(numa) = &mut node.kind else { continue };
            if !numa.gpu.is_some_and(|gpu| lost.contains(&gpu)) {
                continue;
            }
            if numa.cpus.is_empty() && !parents.contains(&id) {
                gone.insert(id);
                numbers.insert(numa.os_index);
            } else {
                numa.gpu = None;
            }
        }
        for node in self.fragment.nodes.iter_mut().filter(|_| !numbers.is_empty()) {
            match &mut node.kind {
                NodeKind::NumaNode(numa) => numa.distances.retain(|(other, _)| !numbers.contains(other)),
                NodeKind::Machine(machine) => {
                    if let Some(nodes) = &mut machine.allowed_nodes {
                        for number in &numbers {
                            nodes.remove(*number);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Takes CPUs offline, and adds the nodes that are gone with them.
    fn lose_cpus(&mut self, lost: &CpuSet, mut gone: BTreeSet<NodeId>) -> BTreeSet<NodeId> {
        if lost.is_empty() {
            return gone;
        }
        let mut emptied = BTreeSet::new();
        for (id, node) in (0..).map(NodeId).zip(&mut self.fragment.nodes) {
            match &mut node.kind {
                NodeKind::Machine(machine) => {
                    machine.offline_cpus |= lost;
                    machine.allowed_cpus = machine.allowed_cpus.as_ref().map(|own| own.difference(lost));
                }
                NodeKind::NumaNode(numa) => numa.cpus = numa.cpus.difference(lost),
                NodeKind::Cache(cache) if !cache.cpus.is_disjoint(lost) => {
                    cache.cpus = cache.cpus.difference(lost);
                    emptied.extend(cache.cpus.is_empty().then_some(id));
                }
                NodeKind::Group(group) if !group.cpus.is_disjoint(lost) => {
                    group.cpus = group.cpus.difference(lost);
                    emptied.extend(group.cpus.is_empty().then_some(id));
                }
                NodeKind::Pu(pu) if lost.contains(pu.os_index) => drop(gone.insert(id)),
                kind => {
                    if let Some((Stated::Known(cpus), _)) = kind.near_mut() {
                        *cpus = cpus.difference(lost);
                    }
                }
            }
        }
        // What held only CPUs that are gone is gone too, from the leaves up.
        let mut children: BTreeMap<NodeId, (usize, usize)> = BTreeMap::new();
        for (index, node) in self.fragment.nodes.iter().enumerate().rev() {
            let id = NodeId(index as u32);
            let (all, lost) = children.get(&id).copied().unwrap_or_default();
            let holds_cpus = matches!(node.kind, NodeKind::Core(_) | NodeKind::Cache(_) | NodeKind::Group(_));
            if holds_cpus && all == lost && (lost > 0 || emptied.contains(&id)) {
                gone.insert(id);
            }
            if let Some(parent) = node.parent {
                let own = children.entry(parent).or_default();
                own.0 += 1;
                own.1 += usize::from(gone.contains(&id));
            }
        }
        self.lift(&gone);
        gone
    }

    /// Puts what is below a node that is gone, and not gone itself, below the next one up.
    fn lift(&mut self, gone: &BTreeSet<NodeId>) {
        for index in 0..self.fragment.nodes.len() {
            let mut parent = self.fragment.nodes[index].parent;
            while let Some(own) = parent.filter(|own| gone.contains(own)) {
                parent = self.fragment.nodes[own.index()].parent;
            }
            self.fragment.nodes[index].parent = parent;
        }
    }

    /// Builds what is left.
    fn finish(mut self, gone: &BTreeSet<NodeId>) -> Result<Topology> {
        self.fragment.origin = Origin::Unknown;
        let links = self.fragment.links.iter().filter(|(a, b, _)| !gone.contains(a) && !gone.contains(b));
        let nodes = &self.fragment.nodes;
        let nvlinks = Nvlinks::of(links.map(|(a, b, link)| (*a, *b, link)), |id| &nodes[id.index()]);
        let count = |of: &Nvlinks, a, b| of.between(a, b).map_or(0, |pair| pair.nvlinks);
        let before = self.before.nvlinks();
        self.fragment.notes.extend(self.notes(&nvlinks, gone));
        for p2p in &mut self.fragment.p2p {
            if count(before, p2p.a, p2p.b) > 0 && count(&nvlinks, p2p.a, p2p.b) == 0 {
                forget_access(p2p);
            }
        }
        let (open, measured): (Vec<Measured>, Vec<Measured>) = std::mem::take(&mut self.fragment.measured)
            .into_iter()
            .partition(|own| count(&nvlinks, own.from, own.to) < count(before, own.from, own.to));
        self.fragment.measured = measured;
        let kept = (0..self.fragment.nodes.len() as u32).map(NodeId).filter(|id| !gone.contains(id));
        let moved: BTreeMap<NodeId, NodeId> = kept.zip((0..).map(NodeId)).collect();
        self.fragment.remove_leaves(gone);
        let after = freeze(self.fragment)?;
        let place: BTreeMap<NodeId, usize> = after.devices().iter().copied().zip(0..).collect();
        let mut measured = after.measurements().to_vec();
        for own in open {
            let Some((from, to)) = moved.get(&own.from).zip(moved.get(&own.to)) else { continue };
            let Some((a, b)) = place.get(from).zip(place.get(to)) else { continue };
            let most = after.pairs().pair(*a, *b).rate.map(|rate| rate.bandwidth);
            if most.is_some_and(|most| own.bandwidth <= most) {
                measured.push(Measured { from: *from, to: *to, bandwidth: own.bandwidth });
            }
        }
        if measured.len() == after.measurements().len() {
            return Ok(after);
        }
        measured.sort_by_key(|own| (own.from, own.to));
        Ok(after.map_measured(measured, |port| port))
    }

    /// Returns the notes on NVLinks that are down now.
    fn notes(&self, nvlinks: &Nvlinks, gone: &BTreeSet<NodeId>) -> Vec<Note> {
        let count = |of: &Nvlinks, id| of.of_node(id).map(|(_, own)| u32::from(own.links)).sum::<u32>();
        let gpus = &self.before.devices()[..self.before.gpus().len()];
        let note = |id: &NodeId| {
            let (was, up) = (count(self.before.nvlinks(), *id), count(nvlinks, *id));
            let name = named::device_name(self.before, *id);
            match up {
                _ if up >= was => None,
                0 => Some(Note::new(NoteCode::AllNvlinksDown, format!("{name}: all NVLinks are down"))),
                _ => Some(Note::new(NoteCode::NvlinksDown, format!("{name}: {up} of {was} NVLinks are up"))),
            }
        };
        gpus.iter().filter(|id| !gone.contains(id)).filter_map(note).collect()
    }
}

/// Takes so many NVLinks from a link, with their part of its rate.
fn take(link: &mut Link, count: u16) {
    let all = lanes(link);
    let left = all.saturating_sub(count);
    let part = |bandwidth: Bandwidth| {
        let share = u128::from(bandwidth.as_mb_per_s()) * u128::from(left) / u128::from(all.max(1));
        Bandwidth::from_mb_per_s(share as u64)
    };
    link.lanes = Some(left);
    link.rate = link.rate.map(|rate| Rate { bandwidth: part(rate.bandwidth), ..rate });
    link.reported = link.reported.map(part);
}

/// Makes the access between two GPUs unknown that no NVLink joins any more. What was denied stays so.
fn forget_access(p2p: &mut P2p) {
    for status in [&mut p2p.read, &mut p2p.write, &mut p2p.nvlink, &mut p2p.atomics] {
        if *status == Some(P2pStatus::Ok) {
            *status = None;
        }
    }
}

fn address(kind: &NodeKind) -> Option<PciAddress> {
    match kind {
        NodeKind::Gpu(gpu) => gpu.address,
        NodeKind::NvSwitch(switch) => switch.address,
        _ => None,
    }
}
