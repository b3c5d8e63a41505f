//! Options of container engines, a line for each rank. Memory nodes are left out by default: there they are a hard limit.

use super::{LaunchFormat, lines};
use crate::solve::{MemoryPolicy, Part, Plan};

pub(super) const DOCKER: LaunchFormat =
    LaunchFormat::new("docker", "options of docker run for each rank", |plan, memory| {
        lines(plan, |_, part| {
            let device = uuids(plan, part).map(|uuids| format!(" --gpus '\"device={uuids}\"'"));
            format!("{}{}", cpuset(part, memory), device.unwrap_or_default())
        })
    })
    .memory(None, &[MemoryPolicy::Bind]);

pub(super) const PODMAN: LaunchFormat = LaunchFormat::new(
    "podman",
    "options of podman run for each rank, with the GPU by its CDI name",
    |plan, memory| {
        lines(plan, |_, part| {
            let devices = uuids(plan, part).unwrap_or_default();
            let devices: Vec<String> = devices
                .split(',')
                .filter(|uuid| !uuid.is_empty())
                .map(|uuid| format!(" --device nvidia.com/gpu={uuid}"))
                .collect();
            format!("{}{}", cpuset(part, memory), devices.concat())
        })
    },
)
.memory(None, &[MemoryPolicy::Bind]);

fn cpuset(part: &Part, memory: Option<MemoryPolicy>) -> String {
    let memory = memory.map(|_| format!(" --cpuset-mems={}", part.mems));
    format!("--cpuset-cpus={}{}", part.cpus, memory.unwrap_or_default())
}

/// Returns the UUIDs of whole GPUs, where all are known.
fn uuids(plan: &Plan, part: &Part) -> Option<String> {
    let own = plan.topology().gpus().enumerate().filter(|(position, _)| part.gpus.contains(position));
    let uuids: Option<Vec<String>> = own.map(|(_, gpu)| gpu.uuid.map(|uuid| uuid.to_string())).collect();
    uuids.filter(|uuids| !uuids.is_empty() && part.instances.is_empty()).map(|uuids| uuids.join(","))
}
