//! The request for a new instance, and its placement.

use super::geometry::{MigGeometry, MigProfile, taken};
use crate::error::{Error, Result};
use crate::model::{Gpu, Topology};
use crate::solve::process::{GpuRef, is_admitted, no_gpu_error};
use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

/// A size of instances as people name it: `3`, `3g`, or with its memory as the driver does, `3g.40gb`.
///
/// ```
/// use nvtopo::solve::mig::InstanceSize;
///
/// let size: InstanceSize = "3g.40gb".parse()?;
/// assert_eq!((size.slices, size.gigabytes), (3, Some(40)));
/// assert_eq!("3".parse::<InstanceSize>()?, InstanceSize::slices(3));
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct InstanceSize {
    /// Compute slices.
    pub slices: u32,
    /// The memory in the profile's name. `None`: the least that instances of so many slices have.
    pub gigabytes: Option<u64>,
}

impl InstanceSize {
    /// Returns the size of a number of compute slices, with the least memory that these have.
    pub const fn slices(slices: u32) -> Self {
        Self { slices, gigabytes: None }
    }

    fn is(self, geometry: &MigGeometry, profile: &MigProfile, memory: Option<u64>) -> bool {
        let named = |asked| memory.is_some_and(|memory| geometry.gigabytes(profile, memory) == asked);
        profile.slices == self.slices && self.gigabytes.is_none_or(named)
    }
}

impl FromStr for InstanceSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let lower = text.trim().to_ascii_lowercase();
        let wrong = |help: String| Error::request(format!("'{text}' is no size of MIG instances")).help(help);
        if let Some((name, _)) = lower.split_once(['+', '-']).filter(|(name, _)| !name.is_empty()) {
            return Err(wrong(format!(
                "ask for '{name}': what is added to it says nothing of where it lies"
            )));
        }
        let (slices, memory) = lower.split_once('.').map_or((&*lower, None), |(own, rest)| (own, Some(rest)));
        let number = slices.strip_suffix('g').unwrap_or(slices).parse().ok();
        let gigabytes = memory.map(|memory| memory.strip_suffix("gb").and_then(|own| own.parse().ok()));
        match (number, gigabytes) {
            (Some(slices), None) => Ok(Self::slices(slices)),
            (Some(slices), Some(Some(gigabytes))) => Ok(Self { slices, gigabytes: Some(gigabytes) }),
            _ => Err(wrong("give a profile, such as 3g.40gb, or a number of compute slices".to_owned())),
        }
    }
}

impl fmt::Display for InstanceSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}g", self.slices)?;
        self.gigabytes.map_or(Ok(()), |gigabytes| write!(f, ".{gigabytes}gb"))
    }
}

/// A request for a new instance on one of the MIG-enabled GPUs.
///
/// ```
/// use nvtopo::solve::mig::InstanceRequest;
/// use nvtopo::{ErrorKind, Topology};
///
/// // Two divided H100s; on the second an instance lies already.
/// let machine = Topology::parse("machine", br#"{"format": "nvtopo-topology", "version": 1, "topology": {
///     "source": "nvml", "nvlink_known": true, "nodes": [{"machine": {}},
///     {"gpu": {"parent": 0, "index": 0, "model": "NVIDIA H100", "memory_bytes": 85520809984,
///              "mig": {"current": true, "pending": true}}},
///     {"gpu": {"parent": 0, "index": 1, "model": "NVIDIA H100", "memory_bytes": 85520809984,
///              "mig": {"current": true, "pending": true}}},
///     {"gpu_instance": {"parent": 2, "profile": "1g.10gb", "placement": {"start": 4, "size": 1}}}]}}"#)?;
/// let place = InstanceRequest::new("1g.10gb".parse()?).solve(&machine)?;
/// assert_eq!((place.gpu, place.start, place.size), (1, 6, 1)); // 7g still fits on the first
/// let refused = InstanceRequest::new("5g".parse()?).solve(&machine).unwrap_err();
/// assert_eq!(refused.kind(), ErrorKind::InvalidRequest);
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct InstanceRequest {
    size: InstanceSize,
    only: Option<Vec<GpuRef>>,
    exclude: Vec<GpuRef>,
}

/// The place of a new instance.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstancePlacement {
    /// The position of the GPU in [`Topology::gpus`].
    pub gpu: usize,
    /// The name of its profile, such as `3g.40gb`. `None`: the memory of the GPU is not known.
    pub profile: Option<String>,
    /// The number of its compute slices.
    pub slices: u32,
    /// The first memory slice.
    pub start: u32,
    /// The number of its memory slices.
    pub size: u32,
}

/// The GPUs seen during the search, for the error message.
#[derive(Default)]
struct Seen {
    /// The profiles that the MIG-enabled GPUs have, by name.
    profiles: Vec<String>,
    /// The number of GPUs that have the requested profile.
    known: usize,
    /// The number of these whose slices in use are hidden.
    hidden: usize,
    /// The number of GPUs whose memory is not known, by which profiles are named.
    nameless: usize,
}

impl InstanceRequest {
    /// Creates a request for one instance.
    pub fn new(size: InstanceSize) -> Self {
        Self { size, only: None, exclude: Vec::new() }
    }

    /// Restricts the request to these GPUs.
    pub fn only<R: Into<GpuRef>>(mut self, gpus: impl IntoIterator<Item = R>) -> Self {
        self.only.get_or_insert_default().extend(gpus.into_iter().map(Into::into));
        self
    }

    /// Excludes these GPUs.
    pub fn exclude<R: Into<GpuRef>>(mut self, gpus: impl IntoIterator<Item = R>) -> Self {
        self.exclude.extend(gpus.into_iter().map(Into::into));
        self
    }

    /// Chooses the place among the MIG-enabled GPUs: where the room left for further instances shrinks least, all
    /// profiles alike; of equal GPUs the fullest, then the lowest.
    ///
    /// Errors with [`InvalidRequest`](crate::ErrorKind::InvalidRequest) where no MIG-enabled GPU has such a profile or all
    /// GPUs are excluded, and with [`Unsatisfiable`](crate::ErrorKind::Unsatisfiable) where no GPU is MIG-enabled, or none
    /// has room. GPUs on which the places of present instances are unknown (drivers show them to administrators only) are not chosen.
    pub fn solve(&self, topology: &Topology) -> Result<InstancePlacement> {
        if topology.gpus().len() == 0 {
            return Err(no_gpu_error(topology));
        }
        let wanted = is_admitted(topology, self.only.as_deref(), &self.exclude)?;
        if !(0..topology.gpus().len()).any(&wanted) {
            return Err(Error::request("the request leaves no GPU to choose from").help("exclude fewer GPUs"));
        }
        let usable = |position: usize, gpu: &Gpu| {
            wanted(position) && gpu.unusable.is_none() && gpu.mig.is_some_and(|mig| mig.current)
        };
        let mut seen = Seen::default();
        let mut best = None;
        for (position, gpu) in topology.gpus().enumerate().filter(|(position, gpu)| usable(*position, gpu)) {
            let Some(geometry) = MigGeometry::of(gpu) else { continue };
            let Some(profile) = seen.profile(self.size, &geometry, gpu.memory) else { continue };
            let Some(taken) = taken(topology, position) else {
                seen.hidden += 1;
                continue;
            };
            let Some((left, start)) = geometry.best_start(taken, profile) else { continue };
            let lost = geometry.left(taken) - left;
            let key = (lost, Reverse(taken.memory.count_ones()), position);
            if best.as_ref().is_none_or(|(least, _)| key < *least) {
                let (slices, size) = (profile.slices, profile.memory_slices);
                let profile = gpu.memory.map(|memory| geometry.name(profile, memory));
                best = Some((key, InstancePlacement { gpu: position, profile, slices, start, size }));
            }
        }
        best.map(|(_, placement)| placement).ok_or_else(|| seen.refusal(self.size))
    }
}

impl Seen {
    /// Finds the requested profile on a GPU.
    fn profile(
        &mut self,
        size: InstanceSize,
        geometry: &MigGeometry,
        memory: Option<u64>,
    ) -> Option<&'static MigProfile> {
        self.nameless += usize::from(memory.is_none());
        for profile in geometry.all() {
            let name = memory
                .map_or_else(|| format!("{}g", profile.slices), |memory| geometry.name(profile, memory));
            if !self.profiles.contains(&name) {
                self.profiles.push(name);
            }
        }
        let found = geometry.all().find(|profile| size.is(geometry, profile, memory))?;
        self.known += 1;
        Some(found)
    }

    fn refusal(&self, size: InstanceSize) -> Error {
        if self.profiles.is_empty() {
            return Error::unsatisfiable("no GPU to choose from is known to be divided (MIG)")
                .help("an administrator divides a GPU with `nvidia-smi -i GPU -mig 1`");
        }
        match (self.known, self.hidden) {
            (0, _) if self.nameless > 0 && size.gigabytes.is_some() => Error::request(format!(
                "it cannot be told which GPU has instances of {size}: the memory of {} is not known",
                self.nameless
            ))
            .help(format!("ask by the number of compute slices: {}g", size.slices)),
            (0, _) => Error::request(format!("no divided GPU (MIG) here has instances of {size}"))
                .help(format!("there are {}", self.profiles.join(", "))),
            (_, 0) => Error::unsatisfiable(format!("no divided GPU has room for {size}")),
            (_, hidden) => Error::unsatisfiable(format!(
                "no divided GPU has room for {size}, as far as is known: of {hidden} it is hidden what is taken"
            ))
            .help("the driver tells where instances lie to administrators only"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::model::{Fragment, GpuInstance, MigMode, MigPlacement, NodeId, Provenance, TopologyBuilder};

    fn machine(instances: &[&[Option<(u32, u32)>]]) -> Topology {
        let mut fragment = Fragment::new(Provenance::Preset);
        for (index, own) in instances.iter().enumerate() {
            let gpu = Gpu {
                index: index as u32,
                model: Some("NVIDIA H100 80GB HBM3".to_owned()),
                memory: Some(81_559 << 20),
                mig: Some(MigMode { current: true, pending: true }),
                ..Gpu::default()
            };
            let gpu = fragment.add(NodeId::MACHINE, gpu);
            for (number, place) in own.iter().enumerate() {
                let placement = place.map(|(start, size)| MigPlacement { start, size });
                let instance =
                    GpuInstance { gpu_instance: Some(number as u32), placement, ..GpuInstance::default() };
                fragment.add(gpu, instance);
            }
        }
        TopologyBuilder::new().with(fragment).build().unwrap()
    }

    fn place(topology: &Topology, size: &str) -> Result<InstancePlacement> {
        InstanceRequest::new(size.parse()?).solve(topology)
    }

    #[test]
    fn a_slice_goes_where_it_blocks_least() {
        // The first is empty, the second has 1g at slice 4: one more 1g there blocks nothing that is not blocked
        // already.
        let both = machine(&[&[], &[Some((4, 1))]]);
        let placement = place(&both, "1g").unwrap();
        assert_eq!((placement.gpu, placement.size), (1, 1));
        let whole = place(&both, "7g").unwrap();
        assert_eq!(
            (whole.gpu, whole.start, whole.size, whole.profile.as_deref()),
            (0, 0, 8, Some("7g.80gb"))
        );
        let full = machine(&[&[Some((0, 8))]]);
        assert_eq!(place(&full, "1g").unwrap_err().kind(), ErrorKind::Unsatisfiable);
        // An instance with a profile name that no GPU has takes all slices.
        let mut fragment = Fragment::new(Provenance::Preset);
        let mig = Some(MigMode { current: true, pending: true });
        let gpu = Gpu { model: Some("NVIDIA H100".to_owned()), mig, ..Gpu::default() };
        let gpu = fragment.add(NodeId::MACHINE, gpu);
        for start in [0, 1] {
            let placement = Some(MigPlacement { start, size: 1 });
            let profile = Some(format!("{}g.1gb", u32::MAX));
            let instance = GpuInstance { profile, placement, ..GpuInstance::default() };
            fragment.add(gpu, instance);
        }
        let odd = TopologyBuilder::new().with(fragment).build().unwrap();
        assert_eq!(place(&odd, "1g").unwrap_err().kind(), ErrorKind::Unsatisfiable);
        let hidden = place(&machine(&[&[None]]), "1g").unwrap_err();
        assert!(hidden.to_string().contains("hidden"), "{hidden}");
        assert_eq!(place(&full, "5g").unwrap_err().kind(), ErrorKind::InvalidRequest);
        // The memory of this one is unknown, and so are the names of its profiles.
        let nameless = place(&odd, "1g.10gb").unwrap_err();
        assert_eq!(nameless.kind(), ErrorKind::InvalidRequest);
        assert!(nameless.to_string().contains("by the number of compute slices: 1g"), "{nameless}");
    }

    #[test]
    fn profiles_are_asked_for_by_name() {
        let empty = machine(&[&[]]);
        let sizes = |size: &str| {
            let placement = place(&empty, size).unwrap();
            (placement.slices, placement.size, placement.profile.unwrap())
        };
        assert_eq!(sizes("1"), (1, 1, "1g.10gb".to_owned()));
        assert_eq!(sizes("1g.20gb"), (1, 2, "1g.20gb".to_owned()));
        assert_eq!(sizes(" 3G.40GB"), (3, 4, "3g.40gb".to_owned()));
        let other = place(&empty, "1g.5gb").unwrap_err();
        assert_eq!(other.kind(), ErrorKind::InvalidRequest);
        assert!(
            other.to_string().contains("1g.10gb, 2g.20gb, 3g.40gb, 4g.40gb, 7g.80gb, 1g.20gb"),
            "{other}"
        );
        for (wrong, said) in [
            ("", "a profile, such as 3g.40gb"),
            ("g", "a profile"),
            ("3g.40", "a profile"),
            ("1c.3g.40gb", "a profile"),
            ("-1", "a profile"),
            ("1g.10gb+me", "ask for '1g.10gb'"),
        ] {
            let error = wrong.parse::<InstanceSize>().unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
        for text in ["3g", "3g.40gb"] {
            assert_eq!(text.parse::<InstanceSize>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn only_the_gpus_that_may_be_are_looked_at() {
        let three = machine(&[&[Some((4, 4))], &[Some((0, 8))], &[]]);
        let on = |request: InstanceRequest| request.solve(&three).map(|placement| placement.gpu);
        let half = InstanceRequest::new(InstanceSize::slices(3));
        assert_eq!(on(half.clone()).unwrap(), 0);
        assert_eq!(on(half.clone().exclude([0])).unwrap(), 2);
        assert_eq!(on(half.clone().only([2, 1])).unwrap(), 2);
        assert_eq!(on(half.clone().only([1])).unwrap_err().kind(), ErrorKind::Unsatisfiable);
        assert_eq!(on(half.clone().only([0]).exclude([0])).unwrap_err().kind(), ErrorKind::InvalidRequest);
        assert_eq!(on(half.only([7])).unwrap_err().kind(), ErrorKind::InvalidRequest);
    }
}
