//! The subcommands, each in a few steps: open, ask the core, hand over to a renderer.

mod answers;
mod audit;
mod bind;
mod completions;
mod draw;
mod drill;
mod exec;
mod fleet;
mod k8s;
mod report;
mod run;
mod simulate;
mod validate;

pub(crate) use answers::{convert, cpus, diff, place, plan, presets, ranks, show, snapshot};
pub(crate) use audit::audit;
pub(crate) use completions::completions;
pub(crate) use draw::draw;
pub(crate) use drill::drill;
pub(crate) use exec::exec;
pub(crate) use fleet::{baseline, fleet};
pub(crate) use k8s::k8s;
pub(crate) use report::report;
pub(crate) use run::run;
pub(crate) use simulate::simulate;
pub(crate) use validate::{compare, validate};

use crate::args::{ChoiceArgs, OutputArgs, RateArgs, RuleArgs, SourceArgs};
use crate::output::is_quiet;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nvtopo::solve::{AllowedSets, HugePageNeed};
use nvtopo::source::read_text;
use nvtopo::{Bytes, CpuLimits, CpuRules, CpuSet, Request, Result, Topology, nic_interrupt_cpus};
use nvtopo_draw::{Render, Style, by_name};
use std::path::Path;

/// A bar that shows how far it is, where standard error is a terminal.
fn progress_bar() -> ProgressBar {
    let target = if is_quiet() { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(None, target);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {percent:>3} %") {
        bar.set_style(style);
    }
    bar
}

/// Colour where standard output is a terminal and nothing (`NO_COLOR`, `TERM=dumb`) speaks against it, and the width of that
/// terminal.
fn style() -> Style {
    let choice = anstream::AutoStream::choice(&std::io::stdout());
    let width = terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| width.0.into());
    // A terminal that does not know its width, as over a serial line, says 0.
    let width = width.filter(|width| *width > 0);
    let of_shell = || std::env::var("COLUMNS").ok()?.parse().ok().filter(|width| *width > 0);
    let width = width.or_else(of_shell);
    Style::default()
        .with_color(choice != anstream::ColorChoice::Never)
        .with_quiet(is_quiet())
        .with_width(width)
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

/// Reads the table of a file.
fn allowed_sets(path: &Path) -> Result<AllowedSets> {
    AllowedSets::read(&path.display().to_string(), &read_text(path)?)
}

/// Returns the rules by which CPUs are dealt out on this topology, among the allowed ones.
fn rules(args: &RuleArgs, topology: &Topology, allowed: Option<CpuSet>) -> CpuRules {
    let of_nics = nic_interrupt_cpus(topology, args.reserve_nic_cores);
    let reserved = args.reserve.clone().unwrap_or_default().union(&of_nics);
    let limits = CpuLimits { allowed, reserved, isolated: args.isolated, cores: args.cores };
    CpuRules { policy: args.policy, smt: args.smt, limits, ..CpuRules::default() }
}
