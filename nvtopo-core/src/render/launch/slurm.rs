//! Slurm's masks. By srun's manual, `--mem-bind` knows nodes for each task, local memory, and with `prefer` one preferred node for each task.
//! It has no interleaving.

use super::LaunchFormat;
use crate::solve::MemoryPolicy;

pub(super) const SRUN: LaunchFormat =
    LaunchFormat::new("srun", "options of srun: one mask for each task", |plan, memory| {
        let masks: Vec<String> = plan.parts().iter().map(|part| part.cpus.to_hex()).collect();
        let nodes: Vec<String> = plan.parts().iter().map(|part| part.mems.to_hex()).collect();
        let memory = match memory {
            Some(MemoryPolicy::Bind) => format!(" --mem-bind=mask_mem:{}", nodes.join(",")),
            Some(MemoryPolicy::Local) => " --mem-bind=local".to_owned(),
            Some(MemoryPolicy::Preferred) => {
                let first: Vec<String> = plan.parts().iter().map(|part| part.mems.to_string()).collect();
                format!(" --mem-bind=prefer,map_mem:{}", first.join(","))
            }
            _ => String::new(),
        };
        format!("--cpu-bind=mask_cpu:{}{memory}\n", masks.join(","))
    })
    .memory(None, &[MemoryPolicy::Preferred, MemoryPolicy::Bind, MemoryPolicy::Local])
    .of_one_node();
