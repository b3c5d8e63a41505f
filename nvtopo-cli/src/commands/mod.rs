//! The subcommands, each in a few steps: open, ask the core, hand over to a renderer.

mod bind;
mod exec;
mod k8s;
mod plan;
mod ranks;
mod run;
mod simulate;
mod snapshot;

pub(crate) use exec::exec;
pub(crate) use k8s::k8s;
pub(crate) use plan::plan;
pub(crate) use ranks::ranks;
pub(crate) use run::run;
pub(crate) use simulate::simulate;
pub(crate) use snapshot::snapshot;

use crate::args::{
    ChoiceArgs, CpusArgs, OutputArgs, PlaceArgs, PresetsArgs, RateArgs, RuleArgs, ShowArgs, SourceArgs,
};
use crate::output::is_quiet;
use nvtopo::apply::{Trust, allowed_cpus, check_machine, cpus_here, visible_here};
use nvtopo::render::{Render, SELECTION_FORMATS, Style, by_name};
use nvtopo::solve::mig::{InstanceRequest, InstanceSize};
use nvtopo::solve::{AllowedSets, HugePageNeed};
use nvtopo::{
    Bytes, CpuLimits, CpuRules, CpuSet, Error, Request, Result, Topology, nic_interrupt_cpus, save_file,
    share_cpus_by,
};
use nvtopo_draw::svg;
use std::path::Path;

/// Colour where standard output is a terminal and nothing (`NO_COLOR`, `TERM=dumb`) speaks against it, and the width of that
/// terminal.
fn style() -> Style {
    let choice = anstream::AutoStream::choice(&std::io::stdout());
    let width = terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| width.0.into());
    // A terminal that does not know its width, as over a serial line, says 0.
    let width = width.filter(|width| *width > 0);
    Style { color: choice != anstream::ColorChoice::Never, quiet: is_quiet(), width }
}

pub(crate) fn show(args: &ShowArgs) -> Result<String> {
    let topology = open_with(&args.input.source, &args.input.rates)?;
    if let Some(path) = &args.plot {
        let picture = svg::topology(&topology);
        if path == Path::new("-") {
            return Ok(picture);
        }
        save_file(path, picture.as_bytes())?;
    }
    Ok(renderer(&args.input.output)?.topology(&topology, style()))
}

pub(crate) fn place(args: &PlaceArgs) -> Result<String> {
    let topology = open_with(&args.source, &args.rates)?;
    let selection = SELECTION_FORMATS.iter().find(|format| format.name == args.format);
    if let (Some(format), true) = (selection, args.mig.is_some() || args.explain) {
        let what =
            if args.explain { "--explain tells more than the GPUs" } else { "--mig chooses no whole GPU" };
        return Err(Error::wrong_use(
            format!("{what}, and --format {} names these only", format.name),
            "leave one of them out",
        ));
    }
    if let Some(size) = args.mig {
        let placement = instance_request(size, &args.choice).solve(&topology)?;
        return Ok(by_name(&args.format)?.instance(&topology, &placement, style()));
    }
    let limits = args.cpus.limits(cpus_here(&topology)?);
    let mut request = request(args.gpus.unwrap_or_default(), &args.choice, &limits)?;
    if let Some(visible) = visible_here(&topology, &bind::variable) {
        request = request.visible(&visible);
    }
    if let Some(format) = selection {
        return format.print(&request.solve(&topology)?);
    }
    let renderer = by_name(&args.format)?;
    if args.explain {
        return Ok(renderer.explanation(&request.explain(&topology)?, style()));
    }
    Ok(renderer.placement(&request.solve(&topology)?, style()))
}

pub(crate) fn cpus(args: &CpusArgs) -> Result<String> {
    let topology = open(&args.source)?;
    let here = check_machine(&topology, Trust::ThisMachine).is_ok();
    let allowed = here.then(|| allowed_cpus(args.rules.scope)).transpose()?;
    let shares = share_cpus_by(&topology, &rules(&args.rules, &topology, allowed));
    Ok(renderer(&args.output)?.shares(&topology, &shares, style()))
}

pub(crate) fn presets(args: &PresetsArgs) -> Result<String> {
    Ok(renderer(&args.output)?.presets(style()))
}

fn open(source: &SourceArgs) -> Result<Topology> {
    Topology::open(&source.from)
}

/// The topology with the rates that links are to count with.
fn open_with(source: &SourceArgs, rates: &RateArgs) -> Result<Topology> {
    let topology = open(source)?;
    Ok(if rates.reported { topology.with_reported_rates() } else { topology })
}

fn renderer(output: &OutputArgs) -> Result<&'static dyn Render> {
    by_name(&output.format)
}

fn request(gpus: usize, choice: &ChoiceArgs, limits: &CpuLimits) -> Result<Request> {
    let mut request = Request::gpus(gpus)
        .exclude(choice.exclude())
        .include(choice.include())
        .require(choice.require.iter().copied())
        .prefer(choice.prefer.iter().copied())
        .reserved_cpus(limits.reserved.clone())
        .isolated(limits.isolated)
        .cores(limits.cores);
    if let Some(allowed) = &limits.allowed {
        request = request.allowed_cpus(allowed.clone());
    }
    if let Some(only) = choice.only() {
        request = request.only(only);
    }
    if let Some(objectives) = &choice.objective {
        request = request.objectives(objectives.iter().cloned());
    }
    if let Some(mix) = &choice.mix {
        request = request.mix(mix.clone());
    }
    if let Some(tolerance) = choice.tolerance {
        request = request.tolerance(tolerance.as_f64());
    }
    if let Some(cpus) = choice.needs.cpus_per_gpu {
        request = request.cpus_per_gpu(cpus);
    }
    if let Some(gpus) = choice.needs.gpus_per_nic {
        request = request.gpus_per_nic(gpus.get());
    }
    if let Some(Bytes(bytes)) = choice.needs.memory_per_gpu {
        request = request.memory_per_gpu(bytes);
    }
    for HugePageNeed { size: Bytes(size), count } in &choice.needs.hugepages_per_gpu {
        request = request.hugepages_per_gpu(*size, *count);
    }
    if choice.free {
        request = request.free();
    }
    if let Some(Bytes(bytes)) = choice.free_memory {
        request = request.free_memory(bytes);
    }
    if let Some(table) = &choice.allowed_sets {
        request = request.allowed_sets(allowed_sets(table)?);
    }
    Ok(request)
}

/// The table of a file.
fn allowed_sets(path: &Path) -> Result<AllowedSets> {
    AllowedSets::read(&path.display().to_string(), &k8s::text_of(path)?)
}

fn instance_request(size: InstanceSize, choice: &ChoiceArgs) -> InstanceRequest {
    let request = InstanceRequest::new(size).exclude(choice.exclude());
    match choice.only() {
        Some(only) => request.only(only),
        None => request,
    }
}

/// How CPUs are dealt out on this topology, among the allowed ones.
fn rules(args: &RuleArgs, topology: &Topology, allowed: Option<CpuSet>) -> CpuRules {
    let of_nics = nic_interrupt_cpus(topology, args.reserve_nic_cores);
    let reserved = args.reserve.clone().unwrap_or_default().union(&of_nics);
    let limits = CpuLimits { allowed, reserved, isolated: args.isolated, cores: args.cores };
    CpuRules { policy: args.policy, smt: args.smt, limits, ..CpuRules::default() }
}
