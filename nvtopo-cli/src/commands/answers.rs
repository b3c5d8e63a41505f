//! The subcommands that answer and are done: `show`, `place`, `ranks`, `cpus`, `plan`, `diff`, `snapshot`, `convert` and
//! `presets`.

use super::bind::variable;
use super::{open, open_with, renderer, request, rules, style};
use crate::args::{
    ChoiceArgs, ConvertArgs, CpusArgs, DiffArgs, PlaceArgs, PlanArgs, PresetsArgs, RanksArgs, ShowArgs,
    SnapshotArgs,
};
use crate::output::{not_written, print_bytes, remark};
use nvtopo::apply::{Scope, cpus_here, plan_here, visible_here};
use nvtopo::diff::Diff;
use nvtopo::render::{SELECTION_FORMATS, launch_format};
use nvtopo::solve::mig::{InstanceRequest, InstanceSize};
use nvtopo::source::{Locator, Redaction, Snapshot, WriteOptions};
use nvtopo::{CpuLimits, CpuRules, Error, ParallelJob, Result, Topology, save_file, share_cpus};
use nvtopo_draw::{Picture, PictureFormat, RENDERERS, by_name};
use std::io::{self, IsTerminal};
use std::path::Path;

pub(crate) fn show(args: &ShowArgs) -> Result<String> {
    let topology = open_with(&args.input.source, &args.input.rates)?;
    if let Some(path) = &args.plot {
        let picture = Picture::new(&topology).with_scale(2.0);
        if path == Path::new("-") {
            return Ok(picture.svg());
        }
        let format = PictureFormat::of_file(path).unwrap_or(PictureFormat::Svg);
        save_file(path, &picture.draw(format)?)?;
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
    let limits = args.cpus.limits(cpus_here(&topology, Scope::default())?);
    let mut request = request(args.gpus.unwrap_or_default(), &args.choice, &limits)?;
    if let Some(visible) = visible_here(&topology, &variable) {
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

fn instance_request(size: InstanceSize, choice: &ChoiceArgs) -> InstanceRequest {
    let request = InstanceRequest::new(size).exclude(choice.exclude());
    match choice.only() {
        Some(only) => request.only(only),
        None => request,
    }
}

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

pub(crate) fn cpus(args: &CpusArgs) -> Result<String> {
    let topology = open(&args.source)?;
    let allowed = cpus_here(&topology, args.rules.scope)?;
    let shares = share_cpus(&topology, &rules(&args.rules, &topology, allowed));
    Ok(renderer(&args.output)?.shares(&topology, &shares, style()))
}

pub(crate) fn plan(args: &PlanArgs) -> Result<String> {
    let topology = open(&args.source)?;
    let rules = CpuRules { layout: args.layout.layout(), ..rules(&args.rules, &topology, None) };
    let here = plan_here(&topology, args.ranks, rules, args.rules.scope, None, &variable)?;
    match RENDERERS.iter().find(|render| render.name() == args.format) {
        Some(_) if args.memory.is_some() => Err(Error::wrong_use(
            format!("--memory is for launchers, and --format {} tells the memory nodes alone", args.format),
            "leave it out, or name a launcher's format",
        )),
        Some(render) => Ok(render.plan(&here.plan, style())),
        None => launch_format(&args.format)?.print_with(&here.plan, args.memory.unwrap_or_default()),
    }
}

pub(crate) fn snapshot(args: &SnapshotArgs) -> Result<String> {
    let to_stdout = args.output == Path::new("-");
    if to_stdout && io::stdout().is_terminal() {
        return Err(not_written(io::Error::other("a snapshot is no text for a terminal; give -o FILE")));
    }
    let redaction = if args.redact { Redaction::Identifiers } else { Redaction::None };
    let snapshot = Snapshot::take_with(&args.from, redaction, nvtopo_audit::record)?;
    if to_stdout {
        print_bytes(&snapshot.to_bytes()?)?;
    } else {
        let size = snapshot.write(&args.output)?;
        remark(&format!("wrote {}, {size} bytes", args.output.display()));
    }
    if !snapshot.is_redacted() {
        remark("it holds serial numbers, UUIDs and names of this machine; --redact leaves them out");
    }
    Ok(String::new())
}

pub(crate) fn convert(args: &ConvertArgs) -> Result<String> {
    let topology = open_with(&args.source, &args.rates)?;
    let mut options = WriteOptions::default();
    options.node.clone_from(&args.node);
    options.devices.clone_from(&args.devices);
    let written = topology.write_with(&args.to, &options)?;
    for note in topology.notes().iter().chain(&written.notes) {
        remark(&note.to_string());
    }
    if args.output == Path::new("-") {
        return Ok(written.text);
    }
    save_file(&args.output, written.text.as_bytes())?;
    Ok(String::new())
}

/// Returns the text to print, and the exit code: 1 where the machines differ.
pub(crate) fn diff(args: &DiffArgs) -> Result<(String, u8)> {
    if matches!((&args.before, &args.after), (Locator::Stdin, Locator::Stdin)) {
        return Err(Error::request("only one side can be standard input; name a file for the other"));
    }
    let [before, after] =
        [&args.before, &args.after].map(|source| Topology::open(std::slice::from_ref(source)));
    let (before, after) = (before?, after?);
    let diff = if args.structure { Diff::of_structure(&before, &after) } else { Diff::new(&before, &after) };
    Ok((renderer(&args.output)?.diff(&diff, style()), u8::from(!diff.is_empty())))
}

pub(crate) fn presets(args: &PresetsArgs) -> Result<String> {
    Ok(renderer(&args.output)?.presets(style()))
}
