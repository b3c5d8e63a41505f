//! Kinds of cores: what the file says of CPUs that are not alike.
//!
//! hwloc lists kinds by efficiency, but also where only the clocks of favoured cores differ, which are of one kind.

use super::super::capacity;
use super::element::Element;
use super::set::Bitmap;
use crate::error::Result;
use crate::model::CoreClass;

/// The kinds that were made for different things, with their CPUs.
#[derive(Default)]
pub(super) struct Kinds(Vec<(Bitmap, CoreClass)>);

impl Kinds {
    /// What a CPU was made for.
    pub(super) fn class_of(&self, cpu: u32) -> Option<CoreClass> {
        self.0.iter().find(|(cpus, _)| cpus.contains(cpu)).map(|(_, class)| *class)
    }
}

/// Reads the kinds: by the maker's names, else by what Linux says that CPUs can do.
pub(super) fn read(topology: Element<'_>) -> Result<Kinds> {
    let mut kinds = Vec::new();
    for kind in topology.below("cpukind") {
        if let Some(cpus) = kind.set("cpuset")? {
            kinds.push((cpus, kind.info("CoreType"), kind.info("LinuxCapacity")));
        }
    }
    let named = |name: Option<&str>| match name? {
        "IntelCore" => Some(CoreClass::Performance),
        "IntelAtom" | "IntelLowPower" => Some(CoreClass::Efficiency),
        _ => None,
    };
    let capacities: Option<Vec<u32>> =
        kinds.iter().map(|(.., capacity)| capacity.as_ref()?.parse().ok()).collect();
    let classes: Option<Vec<CoreClass>> = kinds.iter().map(|(_, name, _)| named(*name)).collect();
    let classes = classes.or_else(|| capacity::classes(&capacities?)).unwrap_or_default();
    if classes.iter().all(|class| Some(class) == classes.first()) {
        return Ok(Kinds::default());
    }
    Ok(Kinds(kinds.into_iter().map(|(cpus, ..)| cpus).zip(classes).collect()))
}
