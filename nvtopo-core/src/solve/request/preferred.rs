//! The preferred allocation of a device plugin for Kubernetes: the choice among the available devices for a container
//! (`GetPreferredAllocation` of the kubelet's device plugin API, v1beta1).

use super::builder::Request;
use crate::error::{Error, Result};
use crate::model::Topology;
use crate::solve::process::{GpuRef, Match, find_instance};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Chooses the devices for a container that asks for `size` of the `available` ones, `must_include` among them, and returns their
/// positions in `available`.
///
/// Devices are named as plugins name them: by the UUID, index or PCI address of the GPU, `nvidia0` by its device file, or the
/// UUID of a MIG instance; a suffix of `::` and a number marks one of several replicas that share the device.
///
/// - Whole GPUs are chosen as [`Request`] chooses them, with the other GPUs of the node taken: NVLink groups stay whole, and a
///   single GPU comes from a group that is broken already.
/// - Replicas come from different GPUs as long as there are some, the least shared ones first.
/// - MIG instances come from the GPU that has the fewest left and enough, so that other GPUs can be repartitioned.
/// - GPUs with faults come after the others, then unusable GPUs, and names that are not in this topology. None of them is an
///   error: if a plugin fails here, the kubelet refuses the pod, and every one after it.
///
/// Errors with [`InvalidRequest`](crate::ErrorKind::InvalidRequest) if fewer devices are available than asked for, or one that
/// must be included is not available.
///
/// ```
/// use nvtopo::{Topology, solve::preferred_allocation};
///
/// // GPU0 and GPU1 are linked, and GPU2 and GPU3. GPU1 is in use.
/// let node = Topology::preset("rtx-a6000-4-bridged")?;
/// let available = ["0", "2", "3"];
/// assert_eq!(preferred_allocation(&node, &available, &[], 1)?, [0]);
/// assert_eq!(preferred_allocation(&node, &available, &[], 2)?, [1, 2]);
/// assert_eq!(preferred_allocation(&node, &["GPU-gone", "1"], &[], 1)?, [1]);
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn preferred_allocation(
    topology: &Topology,
    available: &[&str],
    must_include: &[&str],
    size: usize,
) -> Result<Vec<usize>> {
    if size > available.len() {
        let message = format!("{size} devices were asked for, and {} are available", available.len());
        return Err(Error::request(message));
    }
    if must_include.len() > size {
        return Err(Error::request(format!("{} devices must be included in {size}", must_include.len())));
    }
    let mut chosen: BTreeSet<usize> = BTreeSet::new();
    for must in must_include {
        let position = (0..available.len()).find(|at| available[*at] == *must && !chosen.contains(at));
        let missing = || Error::request(format!("'{must}' must be included and is not available"));
        chosen.insert(position.ok_or_else(missing)?);
    }
    let mut choice = Choice { topology, devices: devices(topology, available), chosen, size };
    choice.take_gpus();
    choice.take_instances();
    choice.take_others();
    Ok(choice.chosen.into_iter().collect())
}

/// A device by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Device {
    /// A whole GPU, or a replica of it.
    Gpu(usize),
    /// A MIG instance of a GPU, or a replica of it.
    Instance(usize),
    /// Not in this topology.
    Unknown,
}

fn devices(topology: &Topology, names: &[&str]) -> Vec<Device> {
    let by_minor: BTreeMap<u32, usize> =
        topology.gpus().enumerate().filter_map(|(gpu, facts)| Some((facts.minor?, gpu))).collect();
    let device = |name: &&str| {
        let name = name.split_once("::").map_or(*name, |(name, _)| name);
        if let Some(minor) = name.strip_prefix("nvidia").and_then(|minor| minor.parse().ok()) {
            return by_minor.get(&minor).map_or(Device::Unknown, |gpu| Device::Gpu(*gpu));
        }
        match name.parse() {
            Ok(GpuRef::Instance(name)) => match find_instance(topology, &name) {
                Match::One(instance) => Device::Instance(instance.gpu),
                _ => Device::Unknown,
            },
            Ok(gpu) => gpu.resolve(topology).map_or(Device::Unknown, Device::Gpu),
            Err(_) => Device::Unknown,
        }
    };
    names.iter().map(device).collect()
}

/// The state of the choice: the devices, the chosen ones, and the number wanted.
struct Choice<'a> {
    topology: &'a Topology,
    devices: Vec<Device>,
    chosen: BTreeSet<usize>,
    size: usize,
}

impl Choice<'_> {
    fn missing(&self) -> usize {
        self.size - self.chosen.len()
    }

    /// Returns the positions of the remaining devices of each GPU, by a kind of device.
    fn left(&self, gpu: impl Fn(Device) -> Option<usize>) -> BTreeMap<usize, Vec<usize>> {
        let mut left: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (position, device) in self.devices.iter().enumerate() {
            if let Some(gpu) = gpu(*device).filter(|_| !self.chosen.contains(&position)) {
                left.entry(gpu).or_default().push(position);
            }
        }
        left
    }

    /// Takes usable whole GPUs, each once before any of them twice.
    fn take_gpus(&mut self) {
        let usable: Vec<bool> = self.topology.gpus().map(|gpu| gpu.unusable.is_none()).collect();
        let whole = |device: Device| match device {
            Device::Gpu(gpu) if usable[gpu] => Some(gpu),
            _ => None,
        };
        let mut used: BTreeSet<usize> =
            self.chosen.iter().filter_map(|position| whole(self.devices[*position])).collect();
        while self.missing() > 0 {
            let left = self.left(whole);
            if left.keys().all(|gpu| used.contains(gpu)) {
                if left.is_empty() {
                    return;
                }
                // Each GPU has given one: the next round begins.
                used.clear();
            }
            let mut fresh: Vec<usize> = left.keys().copied().filter(|gpu| !used.contains(gpu)).collect();
            let count = self.missing().min(fresh.len());
            // The least shared ones are taken in any case; among equals the topology decides.
            fresh.sort_by_key(|gpu| Reverse(left[gpu].len()));
            let last = left[&fresh[count - 1]].len();
            let sound = |gpu: &usize| self.topology.gpu_faults(*gpu).is_empty();
            let sure = fresh.iter().copied().filter(|gpu| left[gpu].len() > last && sound(gpu));
            let include: Vec<usize> = used.iter().copied().chain(sure).collect();
            fresh.retain(|gpu| left[gpu].len() >= last);
            let gpus = self.best(&fresh, &used, &include, count);
            for gpu in gpus.unwrap_or_else(|| fresh[..count].to_vec()) {
                self.chosen.insert(left[&gpu][0]);
                used.insert(gpu);
            }
        }
    }

    /// Takes MIG instances: from the GPU with the fewest left that has enough, else from the one with the most.
    fn take_instances(&mut self) {
        let instance = |device: Device| match device {
            Device::Instance(gpu) => Some(gpu),
            _ => None,
        };
        while self.missing() > 0 {
            let left = self.left(instance);
            let enough =
                left.values().filter(|left| left.len() >= self.missing()).min_by_key(|left| left.len());
            let most = || left.values().rev().max_by_key(|left| left.len());
            let Some(from) = enough.or_else(most) else { return };
            let taken: Vec<usize> = from.iter().copied().take(self.missing()).collect();
            self.chosen.extend(taken);
        }
    }

    /// Takes the remaining devices: unusable GPUs, then unknown names.
    fn take_others(&mut self) {
        let mut rest: Vec<usize> =
            (0..self.devices.len()).filter(|position| !self.chosen.contains(position)).collect();
        rest.sort_by_key(|position| self.devices[*position] == Device::Unknown);
        let missing = self.missing();
        self.chosen.extend(rest.into_iter().take(missing));
    }

    /// Finds the best `count` of the `open` GPUs besides the `used` ones, with all of `include`; `None` if there is no decision.
    fn best(
        &self,
        open: &[usize],
        used: &BTreeSet<usize>,
        include: &[usize],
        count: usize,
    ) -> Option<Vec<usize>> {
        let indices: Vec<u32> = self.topology.gpus().map(|gpu| gpu.index).collect();
        let named = |gpu: &usize| indices[*gpu];
        let placement = Request::gpus(used.len() + count)
            .only(open.iter().chain(used).map(named))
            .include(include.iter().map(named))
            .solve(self.topology)
            .ok()?;
        let chosen = placement.gpus().iter().map(|gpu| gpu.position);
        Some(chosen.filter(|gpu| !used.contains(gpu)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::PRESETS;
    use proptest::prelude::*;

    fn preferred(topology: &Topology, available: &[&str], must: &[&str], size: usize) -> Vec<String> {
        let positions = preferred_allocation(topology, available, must, size).unwrap();
        positions.into_iter().map(|position| available[position].to_owned()).collect()
    }

    #[test]
    fn one_gpu_that_failed_never_stops_the_node() {
        let mut document: serde_json::Value =
            serde_json::from_str(&Topology::preset("dgx-h100").unwrap().to_json()).unwrap();
        let nodes = document["topology"]["nodes"].as_array_mut().unwrap();
        let gpu = nodes.iter_mut().find(|node| node["gpu"]["index"] == 3).unwrap();
        gpu["gpu"]["unusable"] = "has fallen off the bus".into();
        let node = Topology::parse("failed.json", document.to_string().as_bytes()).unwrap();
        let all = ["0", "1", "2", "3", "4", "5", "6", "7", "GPU-00000000-gone"];
        for size in 0..=all.len() {
            let chosen = preferred(&node, &all, &[], size);
            assert_eq!(chosen.len(), size);
            assert_eq!(chosen.iter().any(|id| id == "3"), size > 7, "{chosen:?}");
            assert_eq!(chosen.iter().any(|id| id == "GPU-00000000-gone"), size > 8, "{chosen:?}");
        }
        // The kubelet may insist on it; the rest is still chosen well.
        assert_eq!(preferred(&node, &all, &["3", "GPU-00000000-gone"], 3).len(), 3);
        // A node with no known facts at all.
        let document =
            br#"{"format":"nvtopo-topology","version":1,"topology":{"source":"sysfs","nvlink_known":false,
            "nodes":[{"machine":{}}]}}"#;
        let unknown = Topology::parse("unknown.json", document).unwrap();
        assert_eq!(preferred(&unknown, &["a", "b", "c"], &["b"], 2), ["a", "b"]);
    }

    #[test]
    fn groups_stay_whole_and_singles_come_from_broken_ones() {
        let node = Topology::preset("rtx-a6000-4-bridged").unwrap();
        assert_eq!(preferred(&node, &["0", "2", "3"], &[], 1), ["0"]);
        assert_eq!(preferred(&node, &["0", "1", "3"], &[], 1), ["3"]);
        assert_eq!(preferred(&node, &["3", "1", "0"], &[], 2), ["1", "0"]);
        assert_eq!(preferred(&node, &["0", "1", "2", "3"], &["3"], 2), ["2", "3"]);
        assert_eq!(preferred(&node, &["0", "1", "2", "3"], &["1", "2"], 2), ["1", "2"]);
    }

    #[test]
    fn replicas_come_from_the_least_shared_gpus() {
        let node = Topology::preset("rtx-a6000-4-bridged").unwrap();
        let available = ["0::0", "0::1", "1::1", "2::0", "2::1", "3::0"];
        assert_eq!(preferred(&node, &available, &[], 1).len(), 1);
        let one = preferred(&node, &available, &[], 1);
        assert!(one[0].starts_with('0') || one[0].starts_with('2'), "{one:?}");
        assert_eq!(preferred(&node, &available, &[], 2), ["0::0", "2::0"]);
        assert_eq!(preferred(&node, &available, &["3::0"], 2), ["2::0", "3::0"]);
        assert_eq!(preferred(&node, &available, &[], 5).len(), 5);
        assert_eq!(preferred(&node, &["0::0", "0::1", "0::2"], &[], 3).len(), 3);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let node = Topology::preset("rtx-a6000-4-bridged").unwrap();
        let refused = |must: &[&str], size| preferred_allocation(&node, &["0", "1"], must, size).unwrap_err();
        assert!(refused(&[], 3).to_string().contains("2 are available"));
        assert!(refused(&["2"], 1).to_string().contains("'2' must be included"));
        assert!(refused(&["0", "1"], 1).to_string().contains("2 devices must be included in 1"));
        assert!(refused(&["0", "0"], 2).to_string().contains("not available"));
    }

    proptest! {
        #[test]
        fn as_many_are_chosen_as_asked_for_with_all_that_must_be(
            preset in 0..PRESETS.len(),
            free in proptest::collection::vec(any::<bool>(), 16),
            replicas in 1usize..3,
            size in 0usize..12,
            must in 0usize..3,
        ) {
            let node = Topology::preset(PRESETS[preset].name).unwrap();
            let gpus = node.gpus().len();
            let free: Vec<usize> = (0..gpus).filter(|gpu| free[gpu % 16]).collect();
            let name = |gpu: &usize, copy: usize| if replicas == 1 { gpu.to_string() } else { format!("{gpu}::{copy}") };
            let names: Vec<String> =
                free.iter().flat_map(|gpu| (0..replicas).map(move |copy| name(gpu, copy))).collect();
            let available: Vec<&str> = names.iter().map(String::as_str).collect();
            let size = size.min(available.len());
            let must: Vec<&str> = available.iter().rev().take(must.min(size)).copied().collect();
            let chosen = preferred_allocation(&node, &available, &must, size).unwrap();
            prop_assert_eq!(chosen.len(), size);
            prop_assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(must.iter().all(|must| chosen.iter().any(|at| available[*at] == *must)));
            if replicas == 1 && size > 0 {
                let indices: Vec<u32> = free.iter().map(|gpu| *gpu as u32).collect();
                let include: Vec<u32> = must.iter().map(|gpu| gpu.parse().unwrap()).collect();
                let placement = Request::gpus(size).only(indices).include(include).solve(&node).unwrap();
                let mut same: Vec<String> = placement.gpu_indices().iter().map(u32::to_string).collect();
                same.sort_by_key(|gpu| available.iter().position(|name| name == gpu));
                prop_assert_eq!(chosen.iter().map(|at| available[*at]).collect::<Vec<_>>(), same);
            }
        }
    }
}
