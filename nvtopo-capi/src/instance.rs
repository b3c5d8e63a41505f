//! `nvtopo_instance_placement`: where a new instance of a divided GPU (MIG) should lie.
#![allow(unsafe_code, reason = "`no_mangle` is an unsafe attribute; there is no unsafe block here")]

use crate::handle::{Text, given};
use crate::request::named_gpus;
use crate::status::{answer, nvtopo_status};
use crate::topology::nvtopo_topology;
use nvtopo::solve::mig::{InstancePlacement, InstanceRequest};
use std::ffi::c_char;
use std::mem::MaybeUninit;

/// Where a new instance (MIG) should lie.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct nvtopo_instance_placement {
    /// The position of the GPU among the devices of the topology.
    pub device: usize,
    /// The index of the GPU: the one that nvidia-smi shows.
    pub index: u32,
    /// The number of its compute slices.
    pub slices: u32,
    /// The first memory slice.
    pub start: u32,
    /// The number of its memory slices.
    pub size: u32,
    /// The name of its profile, such as "3g.40gb"; "" when the memory of the GPU is not known.
    pub profile: [c_char; 48],
}

/// Where a new instance should lie among the GPUs that are divided: where what is left for the next instances shrinks least;
/// of equal GPUs the fullest. `size` is a profile, such as "3g.40gb", or a number of compute slices, such as "3". `only` are
/// the GPUs to choose from, by names as in `nvtopo_request_only_named`; "" are
/// none, and NULL are all.
///
///     nvtopo_instance_placement place;
///     if (nvtopo_topology_place_instance(topology, "3g.40gb", NULL, &place) == NVTOPO_STATUS_OK)
///         printf("nvidia-smi mig -i %u -cgi %s:%u -C\n", (unsigned)place.index, place.profile, (unsigned)place.start);
///
/// Fails with `NVTOPO_STATUS_INVALID_REQUEST` where no divided GPU has such a profile, and `NVTOPO_STATUS_UNSATISFIABLE`
/// where none has room. A GPU on which the places of present instances are not known, which drivers tell to administrators
/// only, is not chosen.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_topology_place_instance(
    topology: Option<&nvtopo_topology>,
    size: Text,
    only: Text,
    placement: Option<&mut MaybeUninit<nvtopo_instance_placement>>,
) -> nvtopo_status {
    answer(placement, "placement", || {
        let topology = given(topology, "topology")?;
        let mut request = InstanceRequest::new(size.read("size")?.parse()?);
        if let Some(names) = only.optional("only")? {
            request = request.only(named_gpus(names)?);
        }
        let found = request.solve(&topology.topology)?;
        let index = topology.topology.gpus().nth(found.gpu).map_or(0, |gpu| gpu.index);
        Ok(nvtopo_instance_placement::of(&found, index))
    })
}

impl nvtopo_instance_placement {
    fn of(found: &InstancePlacement, index: u32) -> Self {
        let mut profile = [0; 48];
        // The last one stays the NUL.
        let room = profile.len() - 1;
        let name = found.profile.as_deref().unwrap_or_default().bytes();
        for (place, byte) in profile[..room].iter_mut().zip(name) {
            *place = byte.cast_signed();
        }
        Self { device: found.gpu, index, slices: found.slices, start: found.start, size: found.size, profile }
    }
}
