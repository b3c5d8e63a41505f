//! `nvtopo ranks`: which rank of a parallel job uses which GPU.

use super::{open_with, renderer, request, style};
use crate::args::RanksArgs;
use crate::output::remark;
use nvtopo::{CpuLimits, ParallelJob, Result};

pub(crate) fn ranks(args: &RanksArgs) -> Result<String> {
    let topology = open_with(&args.input.source, &args.input.rates)?;
    let job = job(args);
    let chosen = request(job.ranks()?, &args.choice, &CpuLimits::default())?.solve(&topology)?;
    // The map tells of ranks; what was said of the GPUs would be lost.
    let unmet = chosen.unmet().iter().map(|unmet| format!("not {unmet}"));
    let met = chosen.preference().map(|preference| format!("it meets {preference}"));
    for text in chosen.remarks().iter().cloned().chain(unmet).chain(met) {
        remark(&text);
    }
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
