//! `nvtopo simulate`: jobs played on a machine, with a bar that shows how far it is.

use super::{open, renderer, style, write_picture};
use crate::args::SimulateArgs;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nvtopo::Result;
use nvtopo::render::svg;
use nvtopo::solve::SizeMix;
use nvtopo::solve::simulate::{self, Options, Stream, Workload, capacity};

/// The offered load where nothing else says it.
const LOAD: f64 = 0.9;

pub(crate) fn simulate(args: &SimulateArgs) -> Result<String> {
    let renderer = renderer(&args.input.output)?;
    let topology = open(&args.input.source)?;
    let gpus = capacity(&topology);
    let workload = workload(args, gpus)?;
    let mut options = Options { policies: args.policy.clone(), seed: args.seed, ..Options::default() };
    if let Some(objectives) = &args.objective {
        options.objectives.clone_from(objectives);
    }
    // Hidden where standard error is no terminal.
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {percent:>3} %") {
        bar.set_style(style);
    }
    let report = simulate::simulate(&topology, &workload, &options, &mut |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let report = report?;
    if let Some(path) = &args.plot {
        write_picture(path, &svg::simulation(&report))?;
    }
    Ok(renderer.simulation(&report, style()))
}

fn workload(args: &SimulateArgs, gpus: usize) -> Result<Workload> {
    let mix = match &args.sizes {
        Some(mix) => mix.clone(),
        None => SizeMix::usual(gpus)?,
    };
    let stream = Stream { load: args.load.unwrap_or(LOAD), jobs: args.jobs, mix, seed: args.seed };
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
