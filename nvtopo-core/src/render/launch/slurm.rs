//! Slurm's masks.

use super::LaunchFormat;

pub(super) const SRUN: LaunchFormat = LaunchFormat {
    name: "srun",
    summary: "an option of srun: one mask for each task",
    print: |plan| {
        let masks: Vec<String> = plan.parts().iter().map(|part| part.cpus.to_hex()).collect();
        format!("--cpu-bind=mask_cpu:{}\n", masks.join(","))
    },
};
