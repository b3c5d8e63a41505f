//! Formats of MPI implementations. Open MPI reads rankfiles: version 4 counts CPUs as the kernel does where an option says so,
//! version 5 only in the order of the hwloc tree. MPICH and Intel MPI take an option. None has a memory policy.

use super::{LaunchFormat, lines};
use crate::cpuset::CpuSet;
use crate::solve::{Part, Plan, logical_cpus};
use std::fmt::Write;

pub(super) const RANKFILE_4: LaunchFormat =
    LaunchFormat::new("rankfile-ompi4", "a rankfile of Open MPI 4", |plan, _| {
        file("mpirun --mca rmaps_rank_file_physical 1 --rankfile FILE", plan, CpuSet::to_string)
    });

pub(super) const RANKFILE_5: LaunchFormat =
    LaunchFormat::new("rankfile-ompi5", "a rankfile of Open MPI 5 (PRRTE)", |plan, _| {
        let order = logical_cpus(plan.topology());
        let logical = |cpus: &CpuSet| {
            let places = (0..).zip(&order).filter(|(_, cpu)| cpus.contains(**cpu));
            places.map(|(place, _)| place).collect::<CpuSet>().to_string()
        };
        file("mpirun --use-hwthread-cpus --map-by rankfile:file=FILE", plan, logical)
    });

pub(super) const HOROVODRUN: LaunchFormat = LaunchFormat::new(
    "horovodrun",
    "a rankfile, and how horovodrun takes it (over MPI; over gloo it drops it: start nvtopo exec there)",
    |plan, _| {
        let how = "horovodrun --mpi --binding-args \"--mca rmaps_rank_file_physical 1 --rankfile FILE\"";
        file(how, plan, CpuSet::to_string)
    },
);

pub(super) const MPICH: LaunchFormat =
    LaunchFormat::new("mpich", "an option of MPICH's mpiexec (Hydra): the CPUs of each rank", |plan, _| {
        // Older versions read no ranges of CPUs.
        let cpus = |part: &Part| part.cpus.iter().map(|cpu| cpu.to_string()).collect::<Vec<_>>().join("+");
        format!("-bind-to user:{}\n", plan.parts().iter().map(cpus).collect::<Vec<_>>().join(","))
    });

pub(super) const INTEL_MPI: LaunchFormat =
    LaunchFormat::new("intel-mpi", "an option of Intel MPI's mpiexec: a mask for each rank", |plan, _| {
        let masks: Vec<String> = plan.parts().iter().map(|part| part.cpus.to_hex()).collect();
        format!("-genv I_MPI_PIN_DOMAIN=[{}]\n", masks.join(","))
    });

fn file(how: &str, plan: &Plan, list: impl Fn(&CpuSet) -> String) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "# {how}");
    out + &lines(plan, |rank, part| format!("rank {rank}=localhost slot={}", list(&part.cpus)))
}
