//! `nvtopo_local_rank`: which process of a job this is, as its launcher says it in variables.
#![allow(unsafe_code, reason = "`no_mangle` is an unsafe attribute; there is no unsafe block here")]

use crate::environment::{Variables, own};
use crate::handle::Texts;
use crate::status::{Failure, answer, nvtopo_status};
use nvtopo::LocalRank;
use std::mem::MaybeUninit;

/// The place of a process among those of its job on this machine.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct nvtopo_local_rank {
    /// Its rank, from 0 on; -1 where no launcher says one.
    pub rank: i64,
    /// The number of ranks on this machine; 0 where no launcher says it.
    pub size: usize,
}

/// The local rank of this process, by the variables of torchrun, accelerate, `DeepSpeed`, Horovod, Open MPI, MPICH, Intel MPI,
/// PALS, MVAPICH, Flux or Slurm. `nvtopo_list_name` lists the variables.
///
/// Fails with `NVTOPO_STATUS_INVALID_REQUEST` where a variable is no number, or the rank is not below the number of ranks.
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_local_rank_here(
    local: Option<&mut MaybeUninit<nvtopo_local_rank>>,
) -> nvtopo_status {
    answer(local, "local", || told(own))
}

/// The local rank of another process, by `count` of its variables, each a text such as `SLURM_LOCALID=3`.
///
/// Fails as `nvtopo_local_rank_here` does, and where a text has no "=".
#[unsafe(no_mangle)]
pub extern "C" fn nvtopo_local_rank_of(
    variables: Texts,
    count: usize,
    local: Option<&mut MaybeUninit<nvtopo_local_rank>>,
) -> nvtopo_status {
    answer(local, "local", || {
        let variables = Variables::read(&variables, count)?;
        told(|name| variables.get(name))
    })
}

fn told(variable: impl Fn(&str) -> Option<String>) -> Result<nvtopo_local_rank, Failure> {
    let told = LocalRank::from_environment(variable)?;
    Ok(nvtopo_local_rank {
        rank: told.and_then(|told| i64::try_from(told.rank).ok()).unwrap_or(-1),
        size: told.and_then(|told| told.size).unwrap_or(0),
    })
}
