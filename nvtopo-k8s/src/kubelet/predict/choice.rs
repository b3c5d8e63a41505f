//! The choice among suitable devices: what the device plugin prefers, else any.

use super::node::Resource;
use nvtopo::{Request, Result, Topology};
use std::collections::BTreeMap;

/// A device plugin's preference among devices that would do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Plugin {
    /// It prefers GPUs that are linked best, as NVIDIA's does where nothing keeps it from it (`GetPreferredAllocation`).
    #[default]
    Linked,
    /// It prefers none. The kubelet then takes any; the first ones are told here.
    Silent,
}

/// Chooses devices where the kubelet would ask the plugin.
pub(crate) trait Chooser {
    /// Chooses this number of devices, beside those that the container has already.
    fn choose(
        &mut self,
        topology: &Topology,
        resource: &Resource,
        of: &[usize],
        given: &[usize],
        count: usize,
    ) -> Result<Vec<usize>>;
}

/// A plugin's choice. Answers are kept, as searches ask the same again.
#[derive(Debug, Default)]
pub(crate) struct ByPlugin {
    plugin: Plugin,
    /// True where a choice was left to chance.
    pub(crate) any: bool,
    known: BTreeMap<(Vec<u32>, Vec<u32>, usize), Vec<u32>>,
}

impl ByPlugin {
    pub(crate) fn new(plugin: Plugin) -> Self {
        Self { plugin, ..Self::default() }
    }
}

impl Chooser for ByPlugin {
    fn choose(
        &mut self,
        topology: &Topology,
        resource: &Resource,
        of: &[usize],
        given: &[usize],
        count: usize,
    ) -> Result<Vec<usize>> {
        let gpu = |device: &usize| resource.devices[*device].gpu;
        let gpus: Option<Vec<u32>> = of.iter().map(gpu).collect();
        let had: Option<Vec<u32>> = given.iter().map(gpu).collect();
        let (Plugin::Linked, Some(gpus), Some(had)) = (self.plugin, gpus, had) else {
            self.any |= count < of.len();
            return Ok(of.iter().copied().take(count).collect());
        };
        let key = (gpus, had, count);
        let chosen = self.known.entry(key).or_insert_with_key(|(gpus, had, _)| {
            let request = Request::gpus(count + had.len()).only(gpus.iter().chain(had).copied());
            let placed = request.include(had.iter().copied()).solve(topology);
            // What no placement can be made of is taken as it comes.
            placed.map_or_else(|_| gpus.clone(), |placement| placement.gpu_indices())
        });
        let wanted = |device: &&usize| gpu(device).is_some_and(|gpu| chosen.contains(&gpu));
        let mut devices: Vec<usize> = of.iter().filter(wanted).copied().collect();
        devices.truncate(count);
        Ok(devices)
    }
}
