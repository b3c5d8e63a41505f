//! Commands and properties that bind one process each: a line for each rank. Memory is preferred, never a hard limit.

use super::{LaunchFormat, lines};
use crate::solve::{MemoryPolicy, Part};

pub(super) const TASKSET: LaunchFormat =
    LaunchFormat::new("taskset", "a line of taskset for each rank", |plan, _| {
        lines(plan, |_, part| format!("taskset -c {}", part.cpus))
    });

pub(super) const NUMACTL: LaunchFormat =
    LaunchFormat::new("numactl", "a line of numactl for each rank", |plan, memory| {
        lines(plan, |_, part| format!("numactl --physcpubind={}{}", part.cpus, numactl(part, memory)))
    })
    .memory(Some(MemoryPolicy::Preferred), &MemoryPolicy::ALL);

pub(super) const SYSTEMD: LaunchFormat = LaunchFormat::new(
    "systemd",
    "properties for systemd-run, for each rank; of several preferred nodes the local one",
    |plan, memory| {
        lines(plan, |_, part| {
            format!("-p \"CPUAffinity={}\"{}", part.cpus.to_systemd(), systemd(part, memory))
        })
    },
)
.memory(Some(MemoryPolicy::Preferred), &MemoryPolicy::ALL);

fn numactl(part: &Part, memory: Option<MemoryPolicy>) -> String {
    let nodes = &part.mems;
    match memory {
        None => String::new(),
        Some(MemoryPolicy::Local) => " --localalloc".to_owned(),
        Some(_) if nodes.is_empty() => String::new(),
        Some(MemoryPolicy::Bind) => format!(" --membind={nodes}"),
        Some(MemoryPolicy::Interleave) => format!(" --interleave={nodes}"),
        Some(MemoryPolicy::Preferred) if nodes.len() == 1 => format!(" --preferred={nodes}"),
        Some(MemoryPolicy::Preferred) => format!(" --preferred-many={nodes}"),
    }
}

fn systemd(part: &Part, memory: Option<MemoryPolicy>) -> String {
    let nodes = &part.mems;
    let by = |policy: &str| format!(" -p NUMAPolicy={policy} -p \"NUMAMask={}\"", nodes.to_systemd());
    match memory {
        None => String::new(),
        Some(MemoryPolicy::Local) => " -p NUMAPolicy=local".to_owned(),
        Some(_) if nodes.is_empty() => String::new(),
        Some(MemoryPolicy::Bind) => by("bind"),
        Some(MemoryPolicy::Interleave) => by("interleave"),
        Some(MemoryPolicy::Preferred) if nodes.len() == 1 => {
            format!(" -p NUMAPolicy=preferred -p NUMAMask={nodes}")
        }
        // systemd gives the kernel's first preferred policy, which takes one node.
        Some(MemoryPolicy::Preferred) => " -p NUMAPolicy=local".to_owned(),
    }
}
