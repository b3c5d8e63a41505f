//! Geometry of MIG: the instances into which a GPU can be divided, and the room left on it.
//!
//! An instance is a run of memory slices that begins at certain places only, so that a badly placed small one blocks
//! large ones.
//!
//! Source of the geometry: the placements that `nvidia-smi mig -lgipp` lists on A100, H100 and their successors, and on A30
//! (NVIDIA, "Multi-Instance GPU User Guide", chapter on supported profiles).

use crate::model::{Gpu, Topology};

/// A MIG profile: the size of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigProfile {
    /// Compute slices, by which profiles are named: 3 for `3g`.
    pub slices: u32,
    /// Memory slices.
    pub memory_slices: u32,
    /// The memory slices at which an instance can begin.
    pub starts: &'static [u32],
}

/// The slices and profiles of a GPU model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigGeometry {
    /// Compute slices in all.
    pub slices: u32,
    /// Memory slices in all.
    pub memory_slices: u32,
    /// The profiles, the smallest first.
    pub profiles: &'static [MigProfile],
    /// Profiles with more memory than the others of as many compute slices. They can be requested, and the measure of
    /// the room left ignores them.
    pub wide: &'static [MigProfile],
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
    wide: &[profile(1, 2, &[0, 2, 4, 6])],
};

/// Four compute slices: A30.
pub const FOUR_SLICES: MigGeometry = MigGeometry {
    slices: 4,
    memory_slices: 4,
    profiles: &[profile(1, 1, &[0, 1, 2, 3]), profile(2, 2, &[0, 2]), profile(4, 4, &[0])],
    wide: &[],
};

/// The slices of one GPU that are in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// A bit for each memory slice.
    pub(super) memory: u32,
    slices: u32,
}

impl MigGeometry {
    /// Returns the geometry of a GPU. `None`: unknown, or the GPU has no MIG.
    pub fn of(gpu: &Gpu) -> Option<Self> {
        let model = gpu.model.as_deref().unwrap_or_default();
        let named = |names: &[&str]| names.iter().any(|name| model.contains(name));
        if named(&["A30"]) && !named(&["A300"]) {
            return Some(FOUR_SLICES);
        }
        named(&["A100", "H100", "H200", "GH200", "H800", "A800", "H20", "B200", "B300"])
            .then_some(SEVEN_SLICES)
    }

    /// Returns the name of a profile in `nvidia-smi` on a GPU with `memory` bytes, such as `3g.40gb`: the memory is
    /// that of the GPU in whole GiB, in proportion, rounded.
    ///
    /// Source: `getMigMemorySizeGB` of NVIDIA/go-nvlib, which names profiles as the driver does.
    ///
    /// ```
    /// use nvtopo::solve::mig::SEVEN_SLICES;
    ///
    /// let h200 = 143_771 << 20;
    /// let names = SEVEN_SLICES.profiles.iter().map(|profile| SEVEN_SLICES.name(profile, h200));
    /// assert_eq!(names.collect::<Vec<_>>(), ["1g.18gb", "2g.35gb", "3g.71gb", "4g.71gb", "7g.141gb"]);
    /// ```
    pub fn name(&self, profile: &MigProfile, memory: u64) -> String {
        format!("{}g.{}gb", profile.slices, self.gigabytes(profile, memory))
    }

    /// Returns the memory by which a profile is named.
    pub(super) fn gigabytes(&self, profile: &MigProfile, memory: u64) -> u64 {
        let all = u64::from(self.memory_slices.max(1));
        let part = u128::from(memory.div_ceil(1 << 30)) * u128::from(profile.memory_slices);
        ((part + u128::from(all) / 2) / u128::from(all)) as u64
    }

    /// Returns all profiles that can be requested.
    pub(super) fn all(&self) -> impl Iterator<Item = &'static MigProfile> {
        self.profiles.iter().chain(self.wide)
    }

    /// Tells whether an instance can begin at a slice beside the slices in use.
    fn fits(taken: Taken, profile: &MigProfile, start: u32, slices: u32) -> bool {
        taken.memory & mask(profile, start) == 0 && taken.slices.saturating_add(profile.slices) <= slices
    }

    /// Returns the number of instances of a profile that fit at once beside the slices in use. Greedy packing is exact,
    /// since the places of one profile never overlap in part.
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

    /// Returns the room left for further instances, in millionths summed over the profiles: the number that fits,
    /// relative to the number that fits on an empty GPU.
    pub(super) fn left(&self, taken: Taken) -> u32 {
        let part = |profile: &MigProfile| {
            1_000_000 * self.room(taken, profile) / self.room(Taken::default(), profile).max(1)
        };
        self.profiles.iter().map(part).sum()
    }

    /// Chooses the first slice of a new instance such that most room is left. `None`: it does not fit.
    pub(super) fn best_start(&self, taken: Taken, profile: &MigProfile) -> Option<(u32, u32)> {
        let starts = profile.starts.iter().filter(|start| Self::fits(taken, profile, **start, self.slices));
        // The last of equal ones: large instances begin at the first places.
        starts.map(|start| (self.left(with(taken, profile, *start)), *start)).max()
    }
}

const fn mask(profile: &MigProfile, start: u32) -> u32 {
    ((1 << profile.memory_slices) - 1) << start
}

fn with(taken: Taken, profile: &MigProfile, start: u32) -> Taken {
    Taken { memory: taken.memory | mask(profile, start), slices: taken.slices + profile.slices }
}

/// Returns the slices that the instances of a GPU use. `None`: unknown for one of them.
pub(super) fn taken(topology: &Topology, gpu: usize) -> Option<Taken> {
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
        // The name may hold any number.
        taken.slices = taken.slices.saturating_add(slices.unwrap_or(profile.slices));
    }
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Lists all sets of instances that a GPU can hold, by placing them in any order.
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
        // A published count for the A100.
        assert_eq!(states(&SEVEN_SLICES).len(), 298);
    }

    #[test]
    fn profiles_have_the_driver_s_names() {
        let names = |geometry: &MigGeometry, mebibytes: u64| {
            geometry
                .all()
                .map(|profile| geometry.name(profile, mebibytes << 20))
                .collect::<Vec<_>>()
                .join(" ")
        };
        // As the user guide lists them.
        assert_eq!(names(&SEVEN_SLICES, 40_536), "1g.5gb 2g.10gb 3g.20gb 4g.20gb 7g.40gb 1g.10gb");
        assert_eq!(names(&SEVEN_SLICES, 81_559), "1g.10gb 2g.20gb 3g.40gb 4g.40gb 7g.80gb 1g.20gb");
        assert_eq!(names(&SEVEN_SLICES, 95_830), "1g.12gb 2g.24gb 3g.47gb 4g.47gb 7g.94gb 1g.24gb");
        assert_eq!(names(&SEVEN_SLICES, 183_359), "1g.23gb 2g.45gb 3g.90gb 4g.90gb 7g.180gb 1g.45gb");
        assert_eq!(names(&FOUR_SLICES, 24_576), "1g.6gb 2g.12gb 4g.24gb");
        assert!(names(&FOUR_SLICES, u64::MAX >> 20).starts_with("1g."));
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
}
