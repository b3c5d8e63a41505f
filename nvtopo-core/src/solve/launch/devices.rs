//! The devices of a job on this machine, and how its ranks divide them.

use crate::cpuset::CpuSet;
use crate::error::Result;
use crate::model::Topology;
use crate::solve::cpus::shares::Shares;
use crate::solve::cpus::split;
use crate::solve::process::{OrderBasis, RankLayout, VisibleDevice, VisibleGpus};
use crate::units::count_of;

/// The devices of a job, in the order in which its ranks take them.
pub(super) struct Devices<'a> {
    topology: &'a Topology,
    pub(super) visible: &'a VisibleGpus,
    /// Empty where it is unknown which rank uses which.
    pub(super) list: Vec<VisibleDevice>,
}

impl<'a> Devices<'a> {
    /// Returns the visible devices, if their order is known where that matters.
    pub(super) fn of(
        topology: &'a Topology,
        visible: &'a VisibleGpus,
        counted: bool,
        remarks: &mut Vec<String>,
    ) -> Self {
        remarks.extend_from_slice(&visible.remarks);
        let known = |device: &&VisibleDevice| device.gpu < topology.gpus().len();
        let mut list: Vec<VisibleDevice> = visible.devices.iter().filter(known).copied().collect();
        if visible.unresolved {
            list.clear();
        } else if list.is_empty() {
            let none = "no GPU is visible, so there is nothing to be near to";
            let why = topology.driver_trouble().map_or_else(String::new, |why| format!(": {why}"));
            remarks.push(format!("{none}{why}"));
        } else if counted && list.len() > 1 {
            remarks.extend(visible.order.remark().map(str::to_owned));
            if visible.order == OrderBasis::Unknown {
                list.clear();
            }
        }
        Self { topology, visible, list }
    }

    /// Tells whether each rank may see another device than these: a launcher that shows each rank one GPU only shows
    /// each a different one, for that rank to use whatever its number.
    pub(super) fn may_differ(&self, layout: &RankLayout) -> bool {
        let each = layout.gpus.unwrap_or(1);
        self.list.len() == each && self.topology.gpus().len() > each && !self.visible.same_for_all
    }

    /// Returns the devices of one rank of an unknown number.
    pub(super) fn of_rank(&self, rank: usize, layout: &RankLayout) -> Result<Vec<VisibleDevice>> {
        if layout.gpus.is_none() {
            return Ok(vec![self.list[rank % self.list.len()]]);
        }
        if self.may_differ(layout) {
            return Ok(self.list.clone());
        }
        layout.check_turns(None)?;
        let mut places = layout.places(self.list.len(), rank.saturating_add(1))?;
        Ok(places.pop().unwrap_or_default().into_iter().map(|place| self.list[place]).collect())
    }

    /// Returns the remark for devices that a layout leaves unused.
    pub(super) fn unused(&self, layout: &RankLayout, places: &[Vec<usize>]) -> Option<String> {
        layout.gpus?;
        let unused = (0..self.list.len()).filter(|place| !places.iter().any(|own| own.contains(place)));
        let names: Vec<String> =
            unused.map(|place| self.topology.device_name(self.list[place].gpu)).collect();
        (!names.is_empty()).then(|| format!("no rank uses {}", names.join(", ")))
    }

    /// Returns the remark for ranks that share devices because they outnumber them.
    pub(super) fn too_few_for(&self, ranks: usize, layout: &RankLayout) -> Option<String> {
        let devices = self.list.len();
        let share = layout.gpus.is_none() && devices > 0 && ranks > devices && !self.may_differ(layout);
        share.then(|| {
            let whole = self.list.iter().all(|device| device.instance.is_none());
            let devices = count_of(devices, if whole { "GPU" } else { "device" });
            format!("there are more local ranks than the {devices} that they use: {ranks} ranks share them")
        })
    }
}

/// Returns the share of some devices in the CPUs.
pub(super) fn devices_share(topology: &Topology, shares: &Shares, devices: &[VisibleDevice]) -> CpuSet {
    let shares: Vec<CpuSet> = devices.iter().map(|device| device_share(topology, shares, *device)).collect();
    shares.iter().collect()
}

/// Returns a device's share of the CPUs: that of its GPU, which all instances of the GPU divide, visible or not, so
/// that jobs on two of them have different ones.
fn device_share(topology: &Topology, shares: &Shares, device: VisibleDevice) -> CpuSet {
    let cpus = &shares.gpus[device.gpu].cpus;
    let instances: Vec<_> = topology.gpu_instances(device.gpu).map(|(id, _)| Some(id)).collect();
    match instances.iter().position(|id| *id == device.instance) {
        Some(place) if instances.len() <= cpus.len() => {
            split(topology, cpus, instances.len()).swap_remove(place)
        }
        _ => cpus.clone(),
    }
}
