//! The admission of a pod: hints, one hint of them, and what the managers then give.

use super::choice::Chooser;
use super::hints::{Hint, Hints, Mask, Policy, Scope};
use super::managers::{self, Reusable};
use super::node::{Node, State};
use super::pod::{Container, Kind, Pod};
use super::{Failure, Settings};
use nvtopo::{CpuSet, Result};
use std::collections::BTreeMap;

/// The resources that one container was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) container: String,
    pub(crate) hint: Option<Hint>,
    /// `None`: it runs on what is shared.
    pub(crate) cpus: Option<CpuSet>,
    pub(crate) devices: BTreeMap<String, Vec<usize>>,
    /// The nodes of its memory, and how much of each kind.
    pub(crate) memory: Option<(Mask, BTreeMap<String, u64>)>,
}

/// The end of an admission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Admission {
    /// `None`: admitted.
    pub(crate) failure: Option<Failure>,
    /// The resources of each container, up to the one that failed.
    pub(crate) given: Vec<Given>,
    pub(crate) state: State,
}

/// An admission under way.
struct Run<'a> {
    node: &'a Node,
    settings: &'a Settings,
    pod: &'a Pod,
    state: State,
    cpus_again: CpuSet,
    devices_again: BTreeMap<String, Vec<usize>>,
    memory_again: Reusable,
    chooser: &'a mut dyn Chooser,
}

/// Admits a pod, or tells why not.
///
/// Errors where a plugin's choice cannot be made.
pub(crate) fn admit(
    node: &Node,
    settings: &Settings,
    pod: &Pod,
    state: &State,
    (policy, scope): (Policy, Scope),
    chooser: &mut dyn Chooser,
) -> Result<Admission> {
    let mut run = Run {
        node,
        settings,
        pod,
        state: state.clone(),
        cpus_again: CpuSet::new(),
        devices_again: BTreeMap::new(),
        memory_again: Reusable::new(),
        chooser,
    };
    let mut given = Vec::new();
    let merge = |hints: &[Hints]| node.numa.merge(policy, settings.prefer_closest_numa_nodes, hints);
    let mut pod_hint = None;
    if policy != Policy::None && scope == Scope::Pod {
        let (hint, admitted) = merge(&run.pod_hints());
        if !admitted {
            return Ok(Admission { failure: Some(Failure::TopologyAffinity), given, state: run.state });
        }
        pod_hint = Some(hint);
    }
    for container in &pod.containers {
        let hint = match pod_hint {
            Some(hint) => hint,
            None if policy == Policy::None => Hint::NONE,
            None => {
                let (hint, admitted) = merge(&run.container_hints(container));
                if !admitted {
                    let failure = Some(Failure::TopologyAffinity);
                    return Ok(Admission { failure, given, state: run.state });
                }
                hint
            }
        };
        let mut own = Given { container: container.name.clone(), ..Given::default() };
        own.hint = (policy != Policy::None).then_some(hint);
        if let Some(failure) = run.give(container, hint, &mut own)? {
            return Ok(Admission { failure: Some(failure), given, state: run.state });
        }
        given.push(own);
    }
    Ok(Admission { failure: None, given, state: run.state })
}

impl Run<'_> {
    fn available_cpus(&self) -> CpuSet {
        self.state.shared.difference(&self.settings.reserved_cpus)
    }

    fn has_cpus(&self) -> bool {
        self.settings.static_cpus
    }

    fn cpu_hints(&self, count: u64) -> Hints {
        if !self.has_cpus() || count == 0 {
            return None;
        }
        let by_socket = self.settings.cpu_options.align_by_socket;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        Some(managers::cpus(self.node, &self.available_cpus(), &self.cpus_again, count, by_socket))
    }

    /// The hints of the memory manager, one list for each kind of memory. No nodes at all count as no preference.
    fn memory_hints(&self, request: &BTreeMap<String, u64>) -> Vec<Hints> {
        if self.settings.reserved_memory.is_none() {
            return vec![None];
        }
        let hints = managers::memory(&self.state.memory, &self.memory_again, request);
        if hints.is_empty() { vec![None] } else { vec![Some(hints); request.len()] }
    }

    fn container_hints(&self, container: &Container) -> Vec<Hints> {
        let mut all = Vec::new();
        for (name, resource) in &self.node.resources {
            let count = container.devices(name);
            if container.limits.contains_key(name) {
                let taken = self.state.taken.get(name).map(Vec::as_slice).unwrap_or_default();
                let again = self.devices_again.get(name).map(Vec::as_slice).unwrap_or_default();
                all.push(managers::devices(resource, taken, again, count));
            }
        }
        all.push(self.cpu_hints(self.pod.exclusive_cpus(container)));
        all.extend(self.memory_hints(&self.pod.memory(container)));
        all
    }

    fn pod_hints(&self) -> Vec<Hints> {
        let mut all = Vec::new();
        for (name, resource) in &self.node.resources {
            if self.pod.containers.iter().any(|container| container.limits.contains_key(name)) {
                let taken = self.state.taken.get(name).map(Vec::as_slice).unwrap_or_default();
                all.push(managers::devices(resource, taken, &[], self.pod.all_devices(name)));
            }
        }
        all.push(self.cpu_hints(self.pod.all_exclusive_cpus()));
        all.extend(self.memory_hints(&self.pod.all_memory()));
        all
    }

    /// Allocates for a container as the managers do: devices, CPUs, memory, in this order.
    fn give(&mut self, container: &Container, hint: Hint, own: &mut Given) -> Result<Option<Failure>> {
        let node = self.node;
        for (name, resource) in &node.resources {
            let count = container.devices(name);
            if count == 0 {
                continue;
            }
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            let (free, again) = (self.free(name).len(), self.devices_again.get(name).map_or(0, Vec::len));
            let Some(devices) = self.give_devices(name, resource, count, hint)? else {
                let needed = count.saturating_sub(again);
                return Ok(Some(Failure::Unexpected(format!(
                    "requested number of devices unavailable for {name}. Requested: {needed}, Available: {free}"
                ))));
            };
            let again = self.devices_again.entry(name.clone()).or_default();
            match container.kind {
                Kind::Init => again.extend(
                    devices.iter().filter(|device| !again.contains(device)).copied().collect::<Vec<_>>(),
                ),
                Kind::Sidecar | Kind::App => again.retain(|device| !devices.contains(device)),
            }
            own.devices.insert(name.clone(), devices);
        }
        if self.has_cpus()
            && let Some(failure) = self.give_cpus(container, hint, own)
        {
            return Ok(Some(failure));
        }
        if self.settings.reserved_memory.is_some() {
            return Ok(self.give_memory(container, hint, own));
        }
        Ok(None)
    }

    fn free(&self, name: &str) -> Vec<usize> {
        let taken = self.state.taken.get(name).map(Vec::as_slice).unwrap_or_default();
        let all = self.node.resources.get(name).map_or(0, |resource| resource.devices.len());
        (0..all).filter(|device| !taken.contains(device)).collect()
    }

    /// The devices of a container. `None`: there are too few.
    fn give_devices(
        &mut self,
        name: &str,
        resource: &super::node::Resource,
        count: usize,
        hint: Hint,
    ) -> Result<Option<Vec<usize>>> {
        let mut again = self.devices_again.get(name).cloned().unwrap_or_default();
        again.sort_unstable();
        again.truncate(count);
        let mut given = again;
        let needed = count - given.len();
        if needed > 0 {
            let free = self.free(name);
            if free.len() < needed {
                return Ok(None);
            }
            let near = hint.affinity.filter(|_| resource.aligns());
            let is_near =
                |device: &usize| near.is_some_and(|mask| mask.touches(resource.devices[*device].nodes));
            let aligned: Vec<usize> = free.iter().copied().filter(is_near).collect();
            let topology = &self.node.topology;
            if needed < aligned.len() {
                let chosen = self.chooser.choose(topology, resource, &aligned, &given, needed)?;
                given.extend(chosen);
            } else {
                given.extend(&aligned);
                let rest = count - given.len();
                if rest > 0 {
                    let mut others: Vec<usize> = free.into_iter().filter(|device| !is_near(device)).collect();
                    // Those without a node come last.
                    others.sort_by_key(|device| near.is_some() && resource.devices[*device].nodes.is_empty());
                    let chosen = self.chooser.choose(topology, resource, &others, &given, rest)?;
                    given.extend(chosen);
                }
            }
        }
        given.sort_unstable();
        let taken = self.state.taken.entry(name.to_owned()).or_default();
        taken.extend(given.iter().copied());
        taken.sort_unstable();
        taken.dedup();
        Ok(Some(given))
    }

    fn give_cpus(&mut self, container: &Container, hint: Hint, own: &mut Given) -> Option<Failure> {
        let count = usize::try_from(self.pod.exclusive_cpus(container)).unwrap_or(usize::MAX);
        if count == 0 {
            return None;
        }
        let reserved = &self.settings.reserved_cpus;
        if self.settings.cpu_options.full_pcpus_only {
            let threads = self.node.cpus.cpus_per_core();
            if !count.is_multiple_of(threads) {
                let message = format!("requested {count} cpus not multiple cpus per core = {threads}");
                return Some(Failure::SmtAlignment(message));
            }
            let whole = self.state.shared.difference(&self.node.cpus.with_siblings(reserved)).len();
            if count > whole {
                let message = format!(
                    "not enough free physical CPUs: available physical CPUs = {whole}, requested CPUs = {count}, CPUs per core = {threads}"
                );
                return Some(Failure::SmtAlignment(message));
            }
        }
        let available = self.available_cpus().union(&self.cpus_again);
        let near = hint.affinity.map(Mask::to_set);
        let Ok(cpus) = self.node.cpus.take(&available, count, near.as_ref()) else {
            let free = available.len();
            let message =
                format!("not enough cpus available to satisfy request: requested={count}, available={free}");
            return Some(Failure::Unexpected(message));
        };
        self.state.shared = self.state.shared.difference(&cpus);
        self.cpus_again = match container.kind {
            Kind::Init => self.cpus_again.union(&cpus),
            Kind::Sidecar | Kind::App => self.cpus_again.difference(&cpus),
        };
        own.cpus = Some(cpus);
        None
    }

    fn give_memory(&mut self, container: &Container, hint: Hint, own: &mut Given) -> Option<Failure> {
        let request = self.pod.memory(container);
        if !self.pod.guaranteed || self.pod.whole_resources || request.is_empty() {
            return None;
        }
        let failed = |what: &str| Some(Failure::Unexpected(format!("[memorymanager] {what}")));
        let mut best = hint;
        if best.affinity.is_none() {
            let hints = managers::memory(&self.state.memory, &self.memory_again, &request);
            let Some(found) = managers::best_of(hints) else {
                return failed(
                    "failed to get the default NUMA affinity, no NUMA nodes with enough memory is available",
                );
            };
            if !found.preferred && best.preferred {
                return failed("failed to find the default preferred hint");
            }
            best = found;
        }
        let mask = best.affinity.unwrap_or_default();
        let free = |kind: &str| {
            let nodes = mask.nodes().filter_map(|node| self.state.memory.get(&node)?.kinds.get(kind));
            nodes.map(|memory| memory.free).fold(0, u64::saturating_add)
        };
        if request.iter().any(|(kind, size)| free(kind) < *size) {
            let hints = managers::memory(&self.state.memory, &self.memory_again, &request);
            let wider = hints.into_iter().filter(|hint| hint.affinity.is_some_and(|all| all.contains(mask)));
            let Some(found) = managers::best_of(wider) else {
                return failed("failed to find NUMA nodes to extend the current topology hint");
            };
            if !found.preferred && best.preferred {
                return failed("failed to find the extended preferred hint");
            }
            best = found;
        }
        let mask = best.affinity.unwrap_or_default();
        if managers::violates(&self.state.memory, mask, false) {
            return failed("preferred hint violates NUMA node allocation");
        }
        for (kind, size) in &request {
            let again = self.memory_again.get(&(mask, kind.clone())).copied().unwrap_or(0);
            let mut rest = size.saturating_sub(again);
            for node in mask.nodes() {
                let Some(own) = self.state.memory.get_mut(&node) else { continue };
                own.assignments = own.assignments.saturating_add(1);
                own.cells = mask;
                if let Some(memory) = own.kinds.get_mut(kind) {
                    let part = rest.min(memory.free);
                    memory.free -= part;
                    rest -= part;
                }
            }
            let again = self.memory_again.entry((mask, kind.clone())).or_default();
            match container.kind {
                Kind::Init => *again = (*again).max(*size),
                Kind::Sidecar | Kind::App => *again = again.saturating_sub(*size),
            }
        }
        own.memory = Some((mask, request));
        None
    }
}
