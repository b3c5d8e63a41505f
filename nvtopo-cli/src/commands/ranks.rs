//! `nvtopo ranks`: which rank of a parallel job uses which GPU.

use super::{open, renderer, request, style};
use crate::args::{CpuArgs, RanksArgs};
use nvtopo::{ParallelJob, Result};

pub(crate) fn ranks(args: &RanksArgs) -> Result<String> {
    let topology = open(&args.input.source)?;
    let job = job(args);
    let chosen = request(job.ranks()?, &args.choice, &CpuArgs { reserve: None }).solve(&topology)?;
    let gpus: Vec<usize> = chosen.gpus().iter().map(|gpu| gpu.position).collect();
    let map = job.map_to(&topology, &gpus)?;
    Ok(renderer(&args.input.output)?.ranks(&map, style()))
}

fn job(args: &RanksArgs) -> ParallelJob {
    let mut job = ParallelJob::new()
        .tp(args.tp)
        .cp(args.cp)
        .ep(args.ep)
        .dp(args.dp)
        .pp(args.pp)
        .order(args.order.clone());
    if let Some(model) = args.model {
        job = job.model(model);
    }
    args.traffic.iter().fold(job, |job, traffic| job.traffic(*traffic))
}
