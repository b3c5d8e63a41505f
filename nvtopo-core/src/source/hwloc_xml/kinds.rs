//! Kinds of cores: what the file says of CPUs that are not alike.
//!
//! hwloc lists kinds by efficiency, but also where the clocks of favoured cores differ a little, which are of one class.

use super::super::capacity;
use super::element::Element;
use super::set::Bitmap;
use crate::error::Result;
use crate::model::CoreClass;

/// The CPUs of each kind, with its class.
#[derive(Default)]
pub(super) struct Kinds(Vec<(Bitmap, CoreClass)>);

impl Kinds {
    /// The class of a CPU's core.
    pub(super) fn class_of(&self, cpu: u32) -> Option<CoreClass> {
        self.0.iter().find(|(cpus, _)| cpus.contains(cpu)).map(|(_, class)| *class)
    }
}

/// Reads the kinds: by the maker's names, else by what Linux says that CPUs can do, else by their clocks.
pub(super) fn read(topology: Element<'_>) -> Result<Kinds> {
    let (mut kinds, mut infos) = (Vec::new(), Vec::new());
    for kind in topology.below("cpukind") {
        if let Some(cpus) = kind.set("cpuset")? {
            kinds.push(cpus);
            infos.push(kind);
        }
    }
    let named = |name: Option<&str>| match name? {
        "IntelCore" => Some(CoreClass::Performance),
        "IntelAtom" | "IntelLowPower" => Some(CoreClass::Efficiency),
        _ => None,
    };
    let numbers =
        |name: &str| -> Option<Vec<u32>> { infos.iter().map(|kind| kind.info(name)?.parse().ok()).collect() };
    let made_for: Option<Vec<CoreClass>> = infos.iter().map(|kind| named(kind.info("CoreType"))).collect();
    let differ = |classes: &Vec<CoreClass>| classes.iter().any(|class| Some(class) != classes.first());
    let classes = made_for.filter(differ);
    let classes = classes.or_else(|| capacity::classes(&numbers("LinuxCapacity")?));
    let classes = classes.or_else(|| capacity::clocks(&numbers("FrequencyBaseMHz")?));
    let classes = classes.or_else(|| capacity::clocks(&numbers("FrequencyMaxMHz")?));
    Ok(classes.map_or_else(Kinds::default, |classes| Kinds(kinds.into_iter().zip(classes).collect())))
}
