//! Slurm's masks.

use super::LaunchFormat;
use crate::solve::MemoryPolicy;

pub(super) const SRUN: LaunchFormat = LaunchFormat {
    name: "srun",
    summary: "options of srun: one mask for each task",
    memory: None,
    memory_words: &[MemoryPolicy::Bind, MemoryPolicy::Local],
    print: |plan, memory| {
        let masks: Vec<String> = plan.parts().iter().map(|part| part.cpus.to_hex()).collect();
        let nodes: Vec<String> = plan.parts().iter().map(|part| part.mems.to_hex()).collect();
        let memory = match memory {
            Some(MemoryPolicy::Bind) => format!(" --mem-bind=mask_mem:{}", nodes.join(",")),
            Some(MemoryPolicy::Local) => " --mem-bind=local".to_owned(),
            _ => String::new(),
        };
        format!("--cpu-bind=mask_cpu:{}{memory}\n", masks.join(","))
    },
};
