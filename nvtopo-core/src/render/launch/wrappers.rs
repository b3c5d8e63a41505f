//! Commands and properties that bind one process each: a line for each rank. Memory is preferred, never a hard limit.

use super::{LaunchFormat, lines};
use crate::solve::Part;

pub(super) const TASKSET: LaunchFormat = LaunchFormat {
    name: "taskset",
    summary: "a line of taskset for each rank",
    print: |plan| lines(plan, |_, part| format!("taskset -c {}", part.cpus)),
};

pub(super) const NUMACTL: LaunchFormat = LaunchFormat {
    name: "numactl",
    summary: "a line of numactl for each rank",
    print: |plan| lines(plan, |_, part| format!("numactl --physcpubind={}{}", part.cpus, preferred(part))),
};

pub(super) const SYSTEMD: LaunchFormat = LaunchFormat {
    name: "systemd",
    summary: "properties for systemd-run, for each rank",
    print: |plan| {
        lines(plan, |_, part| {
            let memory = match part.mems.len() {
                0 => String::new(),
                // systemd gives the kernel's first preferred policy, which takes one node.
                1 => format!(" -p NUMAPolicy=preferred -p NUMAMask={}", part.mems.to_systemd()),
                _ => " -p NUMAPolicy=local".to_owned(),
            };
            format!("-p \"CPUAffinity={}\"{memory}", part.cpus.to_systemd())
        })
    },
};

fn preferred(part: &Part) -> String {
    match part.mems.len() {
        0 => String::new(),
        1 => format!(" --preferred={}", part.mems),
        _ => format!(" --preferred-many={}", part.mems),
    }
}
