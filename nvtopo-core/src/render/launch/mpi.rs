//! Open MPI's files of ranks. Version 4 counts CPUs as the kernel does where it is told so, version 5 only in the order of
//! the machine's tree.

use super::{LaunchFormat, lines};
use crate::cpuset::CpuSet;
use crate::solve::{Plan, logical_cpus};
use std::fmt::Write;

pub(super) const RANKFILE_4: LaunchFormat = LaunchFormat {
    name: "rankfile-ompi4",
    summary: "a rankfile of Open MPI 4",
    print: |plan| file("mpirun --mca rmaps_rank_file_physical 1 --rankfile FILE", plan, CpuSet::to_string),
};

pub(super) const RANKFILE_5: LaunchFormat = LaunchFormat {
    name: "rankfile-ompi5",
    summary: "a rankfile of Open MPI 5 (PRRTE)",
    print: |plan| {
        let order = logical_cpus(plan.topology());
        let logical = |cpus: &CpuSet| {
            let places = (0..).zip(&order).filter(|(_, cpu)| cpus.contains(**cpu));
            places.map(|(place, _)| place).collect::<CpuSet>().to_string()
        };
        file("mpirun --use-hwthread-cpus --map-by rankfile:file=FILE", plan, logical)
    },
};

pub(super) const HOROVODRUN: LaunchFormat = LaunchFormat {
    name: "horovodrun",
    summary: "a rankfile, and how horovodrun takes it (over MPI; over gloo it drops it: start nvtopo exec there)",
    print: |plan| {
        let how = "horovodrun --mpi --binding-args \"--mca rmaps_rank_file_physical 1 --rankfile FILE\"";
        file(how, plan, CpuSet::to_string)
    },
};

fn file(how: &str, plan: &Plan, list: impl Fn(&CpuSet) -> String) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "# {how}");
    out + &lines(plan, |rank, part| format!("rank {rank}=localhost slot={}", list(&part.cpus)))
}
