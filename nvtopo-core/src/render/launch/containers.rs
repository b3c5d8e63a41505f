//! Options of container engines, a line for each rank. The nodes of memory are left out: there they are a hard limit.

use super::{LaunchFormat, lines};
use crate::solve::{Part, Plan};

pub(super) const DOCKER: LaunchFormat = LaunchFormat {
    name: "docker",
    summary: "options of docker run for each rank",
    print: |plan| {
        lines(plan, |_, part| {
            let device = uuids(plan, part).map(|uuids| format!(" --gpus '\"device={uuids}\"'"));
            format!("--cpuset-cpus={}{}", part.cpus, device.unwrap_or_default())
        })
    },
};

pub(super) const PODMAN: LaunchFormat = LaunchFormat {
    name: "podman",
    summary: "options of podman run for each rank, with the GPU by its CDI name",
    print: |plan| {
        lines(plan, |_, part| {
            let devices = uuids(plan, part).unwrap_or_default();
            let devices: Vec<String> = devices
                .split(',')
                .filter(|uuid| !uuid.is_empty())
                .map(|uuid| format!(" --device nvidia.com/gpu={uuid}"))
                .collect();
            format!("--cpuset-cpus={}{}", part.cpus, devices.concat())
        })
    },
};

/// The UUIDs of whole GPUs, where all are known.
fn uuids(plan: &Plan, part: &Part) -> Option<String> {
    let own = plan.topology().gpus().enumerate().filter(|(position, _)| part.gpus.contains(position));
    let uuids: Option<Vec<String>> = own.map(|(_, gpu)| gpu.uuid.map(|uuid| uuid.to_string())).collect();
    uuids.filter(|uuids| !uuids.is_empty() && part.instances.is_empty()).map(|uuids| uuids.join(","))
}
