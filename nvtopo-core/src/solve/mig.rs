//! Instances of divided GPUs (MIG): where a new one should lie so that most of what may come next still fits.
//!
//! An instance is a run of memory slices that begins at certain places only, so that a badly placed small one blocks large ones.
//! It has no NVLink, whatever its GPU has; which GPU is chosen depends on what is left, not on paths.
//!
//! Source of the geometry: the placements that `nvidia-smi mig -lgipp` lists on A100, H100 and their successors, and on A30
//! (NVIDIA, "Multi-Instance GPU User Guide", chapter on supported profiles).

use crate::error::{Error, Result};
use crate::model::{Gpu, Topology};

/// A size of instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigProfile {
    /// Compute slices, by which profiles are named: 3 for `3g`.
    pub slices: u32,
    /// Memory slices.
    pub memory_slices: u32,
    /// The memory slices at which one can begin.
    pub starts: &'static [u32],
}

/// How a GPU can be divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigGeometry {
    /// Compute slices in all.
    pub slices: u32,
    /// Memory slices in all.
    pub memory_slices: u32,
    /// The profiles, the smallest first.
    pub profiles: &'static [MigProfile],
}

const fn profile(slices: u32, memory_slices: u32, starts: &'static [u32]) -> MigProfile {
    MigProfile { slices, memory_slices, starts }
}

/// Seven compute slices: A100, H100 and their successors.
pub const SEVEN_SLICES: MigGeometry = MigGeometry {
    slices: 7,
    memory_slices: 8,
    profiles: &[
        profile(1, 1, &[0, 1, 2, 3, 4, 5, 6]),
        profile(2, 2, &[0, 2, 4]),
        profile(3, 4, &[0, 4]),
        profile(4, 4, &[0]),
        profile(7, 8, &[0]),
    ],
};

/// Four compute slices: A30.
pub const FOUR_SLICES: MigGeometry = MigGeometry {
    slices: 4,
    memory_slices: 4,
    profiles: &[profile(1, 1, &[0, 1, 2, 3]), profile(2, 2, &[0, 2]), profile(4, 4, &[0])],
};

/// Where a new instance should lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlicePlacement {
    /// The position of the GPU in [`Topology::gpus`].
    pub gpu: usize,
    /// The first memory slice.
    pub start: u32,
    /// How many memory slices.
    pub size: u32,
}

/// What is taken of one GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Taken {
    /// A bit for each memory slice.
    memory: u32,
    slices: u32,
}

impl MigGeometry {
    /// How a GPU can be divided. `None`: it is not known, or not at all.
    pub fn of(gpu: &Gpu) -> Option<Self> {
        let model = gpu.model.as_deref().unwrap_or_default();
        let named = |names: &[&str]| names.iter().any(|name| model.contains(name));
        if named(&["A30"]) && !named(&["A300"]) {
            return Some(FOUR_SLICES);
        }
        named(&["A100", "H100", "H200", "GH200", "H800", "A800", "H20", "B200", "B300"])
            .then_some(SEVEN_SLICES)
    }

    /// Whether an instance can begin at a slice beside what is taken.
    fn fits(taken: Taken, profile: &MigProfile, start: u32, slices: u32) -> bool {
        taken.memory & mask(profile, start) == 0 && taken.slices.saturating_add(profile.slices) <= slices
    }

    /// How many instances of a profile fit at once beside what is taken: they are laid one after another, since the places of one
    /// profile never overlap in part.
    fn room(&self, mut taken: Taken, profile: &MigProfile) -> u32 {
        let mut room = 0;
        for start in profile.starts {
            if Self::fits(taken, profile, *start, self.slices) {
                taken = with(taken, profile, *start);
                room += 1;
            }
        }
        room
    }

    /// What is left for the next instances, in millionths for each profile: how many fit, as a part of how many fit on an
    /// empty GPU.
    fn left(&self, taken: Taken) -> u32 {
        let part = |profile: &MigProfile| {
            1_000_000 * self.room(taken, profile) / self.room(Taken::default(), profile).max(1)
        };
        self.profiles.iter().map(part).sum()
    }

    /// The first slice of a new instance such that most is left. `None`: it does not fit.
    fn best_start(&self, taken: Taken, profile: &MigProfile) -> Option<(u32, u32)> {
        let starts = profile.starts.iter().filter(|start| Self::fits(taken, profile, **start, self.slices));
        // Of equal ones the last: the first places are those at which large instances begin.
        starts.map(|start| (self.left(with(taken, profile, *start)), *start)).max()
    }
}

const fn mask(profile: &MigProfile, start: u32) -> u32 {
    ((1 << profile.memory_slices) - 1) << start
}

fn with(taken: Taken, profile: &MigProfile, start: u32) -> Taken {
    Taken { memory: taken.memory | mask(profile, start), slices: taken.slices + profile.slices }
}

/// Where a new instance of so many compute slices should lie, among the GPUs that are divided: where what is left for the next
/// instances shrinks least, all profiles alike; of equal GPUs the fullest, then the lowest.
///
/// [`InvalidRequest`](crate::ErrorKind::InvalidRequest) where no GPU has such a profile,
/// [`Unsatisfiable`](crate::ErrorKind::Unsatisfiable) where none has room. GPUs on which the places of present instances are not
/// known, which drivers tell to administrators only, are not chosen.
///
/// ```
/// use nvtopo::{ErrorKind, Topology, solve::mig::place_slice};
///
/// let dgx = Topology::preset("dgx-h100")?; // no GPU of a preset is divided
/// assert_eq!(place_slice(&dgx, 3).unwrap_err().kind(), ErrorKind::InvalidRequest);
/// # Ok::<(), nvtopo::Error>(())
/// ```
pub fn place_slice(topology: &Topology, slices: u32) -> Result<SlicePlacement> {
    let divided = |gpu: &Gpu| gpu.unusable.is_none() && gpu.mig.is_some_and(|mig| mig.current);
    let mut known = 0;
    let mut hidden = 0;
    let mut best = None;
    for (position, gpu) in topology.gpus().enumerate().filter(|(_, gpu)| divided(gpu)) {
        let Some(geometry) = MigGeometry::of(gpu) else { continue };
        let Some(profile) = geometry.profiles.iter().find(|profile| profile.slices == slices) else {
            continue;
        };
        known += 1;
        let Some(taken) = taken(topology, position) else {
            hidden += 1;
            continue;
        };
        let Some((left, start)) = geometry.best_start(taken, profile) else { continue };
        let lost = geometry.left(taken) - left;
        let key = (lost, std::cmp::Reverse(taken.memory.count_ones()), position);
        if best.is_none_or(|(least, _)| key < least) {
            best = Some((key, SlicePlacement { gpu: position, start, size: profile.memory_slices }));
        }
    }
    if let Some((_, placement)) = best {
        return Ok(placement);
    }
    match (known, hidden) {
        (0, _) => Err(Error::request(format!("no GPU here is divided (MIG) and has instances of {slices} slices"))
            .help("profiles have 1, 2, 3, 4 or 7 slices; 1, 2 or 4 on A30")),
        (_, 0) => Err(Error::unsatisfiable(format!("no divided GPU has room for {slices} slices"))),
        (_, hidden) => Err(Error::unsatisfiable(format!(
            "no divided GPU has room for {slices} slices, as far as is known: of {hidden} it is hidden what is taken"
        ))
        .help("the driver tells where instances lie to administrators only")),
    }
}

/// What the instances of a GPU take. `None`: it is not known of one of them.
fn taken(topology: &Topology, gpu: usize) -> Option<Taken> {
    let mut taken = Taken::default();
    // Compute instances of one GPU instance share its place.
    let mut seen = Vec::new();
    for (_, instance) in topology.gpu_instances(gpu) {
        let place = instance.placement?;
        if seen.contains(&(instance.gpu_instance, place.start)) {
            continue;
        }
        seen.push((instance.gpu_instance, place.start));
        let size = place.size.min(8);
        let memory = ((1u32 << size) - 1).checked_shl(place.start)?;
        let profile = SEVEN_SLICES.profiles.iter().rev().find(|profile| profile.memory_slices == size)?;
        let slices = instance.profile.as_deref().and_then(|profile| profile.split('g').next()?.parse().ok());
        taken.memory |= memory;
        // A name can say anything.
        taken.slices = taken.slices.saturating_add(slices.unwrap_or(profile.slices));
    }
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::model::{
        Fragment, GpuInstance, MigMode, MigPlacement, NodeId, NodeKind, Provenance, TopologyBuilder,
    };
    use std::collections::BTreeSet;

    /// All that can be taken of a GPU, by placing instances in any order.
    fn states(geometry: &MigGeometry) -> BTreeSet<Vec<(u32, u32)>> {
        let mut all = BTreeSet::from([Vec::new()]);
        let mut open = vec![Vec::new()];
        while let Some(state) = open.pop() {
            let taken = state.iter().fold(Taken::default(), |taken, (slices, start)| {
                with(
                    taken,
                    geometry.profiles.iter().find(|profile| profile.slices == *slices).unwrap(),
                    *start,
                )
            });
            for profile in geometry.profiles {
                for start in profile.starts {
                    if MigGeometry::fits(taken, profile, *start, geometry.slices) {
                        let mut next = state.clone();
                        next.push((profile.slices, *start));
                        next.sort_unstable();
                        if all.insert(next.clone()) {
                            open.push(next);
                        }
                    }
                }
            }
        }
        all
    }

    #[test]
    fn the_geometry_has_the_known_number_of_states() {
        // Counted elsewhere for the A100.
        assert_eq!(states(&SEVEN_SLICES).len(), 298);
    }

    #[test]
    fn small_instances_leave_room_for_large_ones() {
        let [one, two, three, four, seven] = SEVEN_SLICES.profiles else { panic!("five profiles") };
        let empty = Taken::default();
        // One slice at the end leaves 4g at the beginning, one at the beginning does not.
        assert_eq!(SEVEN_SLICES.best_start(empty, one).unwrap().1, 6);
        assert_eq!(SEVEN_SLICES.best_start(empty, two).unwrap().1, 4);
        assert_eq!(SEVEN_SLICES.best_start(empty, three).unwrap().1, 4);
        assert_eq!(SEVEN_SLICES.best_start(with(empty, three, 4), four).unwrap().1, 0);
        assert_eq!(SEVEN_SLICES.best_start(with(empty, one, 6), seven), None);
    }

    #[test]
    fn as_many_are_accepted_as_by_any_fixed_place() {
        // Instances that come and go by chance; the same ones for every rule.
        let accepted = |rule: &dyn Fn(Taken, &MigProfile) -> Option<u32>| {
            let mut seed = 7u64;
            let mut draw = |below: usize| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (seed >> 33) as usize % below
            };
            let mut present: Vec<(usize, u32, u32)> = Vec::new();
            let mut slices = 0;
            for step in 0..100_000u32 {
                present.retain(|(_, _, end)| *end > step);
                let (index, end) = (draw(SEVEN_SLICES.profiles.len()), step + 1 + draw(9) as u32);
                let profile = &SEVEN_SLICES.profiles[index];
                let taken = present.iter().fold(Taken::default(), |taken, (index, start, _)| {
                    with(taken, &SEVEN_SLICES.profiles[*index], *start)
                });
                if let Some(start) = rule(taken, profile) {
                    present.push((index, start, end));
                    slices += profile.slices;
                }
            }
            slices
        };
        let fit = |taken: Taken, profile: &MigProfile| {
            let starts: Vec<u32> = profile.starts.to_vec();
            let fits = move |start: &u32| MigGeometry::fits(taken, profile, *start, 7);
            starts.into_iter().filter(fits).collect::<Vec<_>>()
        };
        let ours = accepted(&|taken, profile| Some(SEVEN_SLICES.best_start(taken, profile)?.1));
        let first = accepted(&|taken, profile| fit(taken, profile).first().copied());
        let last = accepted(&|taken, profile| fit(taken, profile).last().copied());
        assert!(ours > first && f64::from(ours) > 0.995 * f64::from(last), "{ours} {first} {last}");
    }

    fn machine(instances: &[&[Option<(u32, u32)>]]) -> Topology {
        let mut fragment = Fragment::new(Provenance::Preset);
        for (index, own) in instances.iter().enumerate() {
            let gpu = Gpu {
                index: index as u32,
                model: Some("NVIDIA H100 80GB HBM3".to_owned()),
                mig: Some(MigMode { current: true, pending: true }),
                ..Gpu::default()
            };
            let gpu = fragment.add(NodeId::MACHINE, NodeKind::Gpu(Box::new(gpu)));
            for (number, place) in own.iter().enumerate() {
                let placement = place.map(|(start, size)| MigPlacement { start, size });
                let instance =
                    GpuInstance { gpu_instance: Some(number as u32), placement, ..GpuInstance::default() };
                fragment.add(gpu, NodeKind::GpuInstance(Box::new(instance)));
            }
        }
        TopologyBuilder::new().with(fragment).build().unwrap()
    }

    #[test]
    fn a_slice_goes_where_it_blocks_least() {
        // The first is empty, the second has 1g at slice 4: one more 1g blocks nothing there that is not blocked.
        let both = machine(&[&[], &[Some((4, 1))]]);
        let placement = place_slice(&both, 1).unwrap();
        assert_eq!((placement.gpu, placement.size), (1, 1));
        assert_eq!(place_slice(&both, 7).unwrap(), SlicePlacement { gpu: 0, start: 0, size: 8 });
        let full = machine(&[&[Some((0, 8))]]);
        assert_eq!(place_slice(&full, 1).unwrap_err().kind(), ErrorKind::Unsatisfiable);
        // A name of a profile that no GPU has takes all that there is.
        let mut fragment = Fragment::new(Provenance::Preset);
        let mig = Some(MigMode { current: true, pending: true });
        let gpu = Gpu { model: Some("NVIDIA H100".to_owned()), mig, ..Gpu::default() };
        let gpu = fragment.add(NodeId::MACHINE, NodeKind::Gpu(Box::new(gpu)));
        for start in [0, 1] {
            let placement = Some(MigPlacement { start, size: 1 });
            let profile = Some(format!("{}g.1gb", u32::MAX));
            let instance = GpuInstance { profile, placement, ..GpuInstance::default() };
            fragment.add(gpu, NodeKind::GpuInstance(Box::new(instance)));
        }
        let odd = TopologyBuilder::new().with(fragment).build().unwrap();
        assert_eq!(place_slice(&odd, 1).unwrap_err().kind(), ErrorKind::Unsatisfiable);
        let hidden = place_slice(&machine(&[&[None]]), 1).unwrap_err();
        assert!(hidden.to_string().contains("hidden"), "{hidden}");
        assert_eq!(place_slice(&full, 5).unwrap_err().kind(), ErrorKind::InvalidRequest);
    }
}
