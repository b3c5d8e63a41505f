//! `nvtopo simulate`: jobs played on a machine, with a bar that shows how far it is.

use super::{open_with, progress_bar, renderer, style};
use crate::args::SimulateArgs;
use nvtopo::solve::SizeMix;
use nvtopo::{Result, save_file};
use nvtopo_simulate::{Options, Stream, Workload, capacity, render};
use std::path::Path;

/// The offered load where nothing else says it.
const LOAD: f64 = 0.9;

pub(crate) fn simulate(args: &SimulateArgs) -> Result<String> {
    let renderer = renderer(&args.input.output)?;
    let topology = open_with(&args.input.source, &args.input.rates)?;
    let gpus = capacity(&topology);
    let workload = workload(args, gpus)?;
    let mut options = Options::default().policies(&args.policy).seed(args.seed);
    if let Some(objectives) = &args.objective {
        options = options.objectives(objectives);
    }
    let bar = progress_bar();
    let report = nvtopo_simulate::simulate(&topology, &workload, &options, &mut |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let report = report?;
    if let Some(path) = &args.plot {
        let picture = render::svg(&report);
        if path == Path::new("-") {
            return Ok(picture);
        }
        save_file(path, picture.as_bytes())?;
    }
    Ok(if renderer.name() == "json" { render::json(&report) } else { render::text(&report, style()) })
}

fn workload(args: &SimulateArgs, gpus: usize) -> Result<Workload> {
    let mix = match &args.sizes {
        Some(mix) => mix.clone(),
        None => SizeMix::usual(gpus)?,
    };
    let stream = Stream::new(mix).load(args.load.unwrap_or(LOAD)).jobs(args.jobs).seed(args.seed);
    let Some(path) = &args.trace else {
        return Workload::random(&stream, gpus);
    };
    let bytes = nvtopo::source::read_file(path)?;
    let workload = Workload::from_csv(&path.display().to_string(), &bytes, &stream, gpus)?;
    match args.load {
        Some(load) => workload.with_load(load, gpus),
        None => Ok(workload),
    }
}
