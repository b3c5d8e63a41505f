//! `nvtopo validate` and `nvtopo compare`: measurements of links, and of a real program under two placements.

use super::bind::variable;
use super::{open, style};
use crate::args::{BetterWhat, CanaryWhen, CompareArgs, PoorWhat, ReportFormat, ValidateArgs};
use crate::output::{BAD, Failure, is_quiet, remark, report as report_error};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::SignedDuration;
use nvtopo::apply::{Scope, Trust, allowed_cpus, check_machine, cpus_here, visible_here};
use nvtopo::source::read_file;
use nvtopo::source::read_text;
use nvtopo::{CpuSet, Error, Result, Topology, save_file};
use nvtopo_validate::benchmark::{BENCHMARKS, Benchmark, by_name};
use nvtopo_validate::canary::{self, Advice, Record};
use nvtopo_validate::workload::{
    Better, Comparison, Measure, Placements, Poor, Slo, SloEntry, WorkloadOptions, compare as run_both,
};
use nvtopo_validate::{Job, Judge, Plan, PlanOptions, Results, RunOptions, Verdict, find};
use std::io::{IsTerminal as _, stderr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Something falls short.
const SHORT: u8 = 1;
/// Not enough is known for a verdict.
const UNCLEAR: u8 = 3;
/// Ended by an interrupt, as shells have it.
const INTERRUPTED: u8 = 130;

/// The text to print, and the exit code.
pub(crate) fn validate(args: &ValidateArgs) -> Result<(String, u8), Failure> {
    let topology = open(&args.source)?;
    let before = match (args.canary, &args.record) {
        (Some(CanaryWhen::After), Some(file)) => {
            Some(Record::parse(&file.display().to_string(), &read_file(file)?)?)
        }
        _ => None,
    };
    if args.dry_run {
        let plan = plan(args, &topology, &chosen(args, None)?, cpus_here(&topology, Scope::Affinity)?);
        tell(&plan);
        let text = match args.format {
            ReportFormat::Text => plan.to_script(&topology, time_limit(args.time_limit)?),
            ReportFormat::Json => plan.to_json(&topology),
        };
        return Ok((text, crate::DONE));
    }
    if let (Some(CanaryWhen::Before), Some(file)) = (args.canary, &args.record) {
        check_place(file)?;
    }
    let results = if args.results.is_empty() {
        measure(args, &topology, before.as_ref())?
    } else {
        let mut results = Results::default();
        for file in &args.results {
            results.read_saved(&topology, &file.display().to_string(), &read_file(file)?)?;
        }
        results
    };
    if let Some(before) = before {
        let canary = before.compare(&Record::new(&topology, &results), args.equal_tolerance.as_f64());
        let text = match args.format {
            ReportFormat::Text => canary.to_text(style().width),
            ReportFormat::Json => canary.to_json(),
        };
        let code = match canary.advice() {
            Advice::GoOn => crate::DONE,
            Advice::RollBack => SHORT,
            _ => UNCLEAR,
        };
        return Ok((text, code));
    }
    let judge =
        Judge::default().tolerance(args.tolerance.as_f64()).equal_tolerance(args.equal_tolerance.as_f64());
    let report = judge.report(&topology, &results);
    let text = match args.format {
        ReportFormat::Text => report.to_text(style().width, args.all),
        ReportFormat::Json => report.to_json(),
    };
    if let (Some(CanaryWhen::Before), Some(file)) = (args.canary, &args.record) {
        if results.figures.is_empty() {
            report_error("no run has a result, so there is nothing to compare with later");
            return Ok((text, BAD));
        }
        let record = Record::new(&topology, &results).to_json();
        if !is_saved(file, record) {
            return Ok((text, BAD));
        }
        if !results.failed.is_empty() {
            let many = results.failed.len();
            remark(&format!("{many} without a result: no later figures can be compared with those"));
            return Ok((text, UNCLEAR));
        }
        return Ok((text, crate::DONE));
    }
    Ok((text, code(report.verdict(args.max_unknown))))
}

/// Errors where a file cannot be written later: what takes an hour to measure should not be lost.
fn check_place(file: &Path) -> Result<()> {
    let cannot = |error| Error::cannot_write(file, error);
    let real = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    if real.is_dir() {
        return Err(cannot(std::io::ErrorKind::IsADirectory.into()));
    }
    // A device or a pipe is written to directly.
    if real.exists() && !real.is_file() {
        return Ok(());
    }
    // As the file will be: beside it, and then renamed.
    let probe = real.with_file_name(format!(".nvtopo-{}.part", std::process::id()));
    std::fs::OpenOptions::new().write(true).create_new(true).open(&probe).map_err(cannot)?;
    std::fs::remove_file(&probe).map_err(cannot)
}

/// Returns whether a file was written, and tells why it was not: what was measured is printed even so.
fn is_saved(file: &Path, content: Result<String>) -> bool {
    match content.and_then(|content| save_file(file, content.as_bytes())) {
        Ok(()) => remark(&format!("wrote {}", file.display())),
        Err(error) => {
            report_error(&error.to_string());
            return false;
        }
    }
    true
}

fn code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Pass => crate::DONE,
        Verdict::Weak => SHORT,
        _ => UNCLEAR,
    }
}

/// The benchmarks that were asked for: those of a record, where one is compared with, else all.
fn chosen(args: &ValidateArgs, before: Option<&Record>) -> Result<Vec<&'static Benchmark>> {
    match before {
        _ if !args.only.is_empty() => args.only.iter().map(|name| by_name(name.trim())).collect(),
        Some(before) => {
            let programs = before.programs();
            Ok(BENCHMARKS.iter().filter(|own| programs.contains(&own.program)).collect())
        }
        None => Ok(BENCHMARKS.iter().collect()),
    }
}

fn plan(args: &ValidateArgs, topology: &Topology, benchmarks: &[&Benchmark], cpus: Option<CpuSet>) -> Plan {
    let runs = args.runs.map(std::num::NonZero::get);
    let options = PlanOptions::default()
        .visible(visible_here(topology, &variable))
        .allowed(cpus)
        .limit(args.limit.map(std::num::NonZero::get))
        .runs(runs.unwrap_or(if args.canary.is_some() { canary::RUNS } else { 1 }));
    Plan::new(topology, benchmarks, &options)
}

fn tell(plan: &Plan) {
    for own in &plan.left_out {
        remark(&format!("{} is left out: {}", own.name, own.why));
    }
    plan.remarks.iter().for_each(|text| remark(text));
}

fn measure(args: &ValidateArgs, topology: &Topology, before: Option<&Record>) -> Result<Results, Failure> {
    let trust = trust(args.trust_topology);
    check_machine(topology, trust)?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let asked = chosen(args, before)?;
    let (found, missing): (Vec<_>, Vec<_>) =
        asked.iter().copied().partition(|own| find(own.program, &path).is_some());
    let names = |list: &[&Benchmark]| list.iter().map(|own| own.program).collect::<Vec<_>>().join(", ");
    if found.is_empty() {
        let homes: Vec<&str> = missing.iter().map(|own| own.home).collect();
        let text = format!("no benchmark is installed: none of {} is in PATH", names(&missing));
        let help = format!(
            "they come from {}; --dry-run prints the commands, --results reads saved outputs",
            unique(homes)
        );
        return Err(Error::wrong_use(text, help).into());
    }
    if !missing.is_empty() {
        remark(&format!("not installed: {}", names(&missing)));
    }
    let plan = plan(args, topology, &found, Some(allowed_cpus(Scope::Affinity)?));
    tell(&plan);
    if plan.jobs.is_empty() {
        let text = format!("this machine has nothing that {} can measure", names(&found));
        return Err(Error::unsatisfiable(text).into());
    }
    let (stop, options) = run_options(args.time_limit, trust)?;
    let bar = Progress::new(plan.jobs.len());
    let mut progress = |place: usize, job: &Job| {
        bar.tell(place, job.program, &job.subject.name(topology));
    };
    let results = plan.run(topology, &|program| find(program, &path), &options, &mut progress);
    bar.end();
    results.map_err(|error| interrupted(error, &stop))
}

fn unique(mut words: Vec<&str>) -> String {
    words.dedup();
    words.join(", ")
}

fn trust(unknown: bool) -> Trust {
    if unknown { Trust::Unknown } else { Trust::ThisMachine }
}

fn time_limit(limit: SignedDuration) -> Result<Duration> {
    limit.try_into().ok().filter(|limit: &Duration| !limit.is_zero()).ok_or_else(|| {
        Error::wrong_use("a run that may take no time cannot end", "give a time as --time-limit 90s")
    })
}

/// The options of runs, and the flag that an interrupt sets: programs in process groups of their own do not get it themselves.
fn run_options(limit: SignedDuration, trust: Trust) -> Result<(Arc<AtomicBool>, RunOptions)> {
    let limit = time_limit(limit)?;
    let stop = Arc::new(AtomicBool::new(false));
    #[cfg(unix)]
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        // Where it cannot be heard, the signal ends this process as ever.
        let _ = signal_hook::flag::register(signal, stop.clone());
    }
    let options = RunOptions::default().time_limit(limit).trust(trust).stop(stop.clone());
    Ok((stop, options))
}

fn interrupted(error: Error, stop: &AtomicBool) -> Failure {
    let failure = Failure::from(error);
    if stop.load(Ordering::Relaxed) { Failure { code: INTERRUPTED, ..failure } } else { failure }
}

/// How far the runs are, on standard error: a bar on a terminal, else a line for each program.
struct Progress {
    bar: ProgressBar,
    program: std::cell::RefCell<String>,
}

impl Progress {
    fn new(count: usize) -> Self {
        let target = if is_quiet() { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(count as u64), target);
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}") {
            bar.set_style(style);
        }
        Self { bar, program: std::cell::RefCell::default() }
    }

    fn tell(&self, place: usize, program: &str, subject: &str) {
        self.bar.set_position(place as u64);
        self.bar.set_message(nvtopo::printable(&format!("{program} {subject}")).into_owned());
        if !stderr().is_terminal() && *self.program.borrow() != program {
            remark(&format!(
                "{program}, run {} of {}: {subject} …",
                place + 1,
                self.bar.length().unwrap_or_default()
            ));
            program.clone_into(&mut self.program.borrow_mut());
        }
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// The text to print, and the exit code.
pub(crate) fn compare(args: &CompareArgs) -> Result<(String, u8), Failure> {
    let topology = open(&args.source)?;
    let trust = trust(args.trust_topology);
    let measure = match &args.metric {
        Some(pattern) => Measure::of(pattern, better(args.better))?,
        None => Measure::default(),
    };
    let command = args.command.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let slo = match &args.slo {
        Some(file) if file.exists() || !args.accept => {
            Some(Slo::parse(&file.display().to_string(), &read_text(file)?)?)
        }
        Some(_) => Some(Slo::default()),
        None => None,
    };
    let entry = slo.as_ref().and_then(|slo| slo.find(&command, args.gpus, measure.name()));
    if let (Some(file), None, false) = (&args.slo, entry, args.accept) {
        let text =
            format!("there is no threshold of '{command}' on {} GPUs by '{}'", args.gpus, measure.name());
        return Err(Error::input(text)
            .in_input(&file.display().to_string())
            .help("--accept writes one")
            .into());
    }
    if let (Some(entry), false) = (entry, args.accept) {
        // A threshold of the other direction is told before anything runs.
        entry.check(&Comparison::of(measure.clone(), Vec::new(), Vec::new()))?;
    }
    let cpus = if args.dry_run {
        cpus_here(&topology, Scope::Affinity)?
    } else {
        check_machine(&topology, trust)?;
        Some(allowed_cpus(Scope::Affinity)?)
    };
    let visible = visible_here(&topology, &variable);
    let placements = Placements::new(&topology, args.gpus, poor(args.poor), visible.as_ref(), cpus.as_ref())?;
    if args.dry_run {
        let text = match args.format {
            ReportFormat::Text => placements.to_script(&topology, &args.command)?,
            ReportFormat::Json => placements.to_json(&topology, &args.command)?,
        };
        return Ok((text, crate::DONE));
    }
    if let (Some(file), true) = (&args.slo, args.accept) {
        check_place(file)?;
    }
    let (stop, run) = run_options(args.time_limit, trust)?;
    let options =
        WorkloadOptions::default().runs(args.runs.get()).warmup(args.warmup).measure(measure).run(run);
    let bar = Progress::new(args.warmup + 2 * args.runs.get());
    let mut progress = |place: usize, _: usize, name: &str| {
        bar.tell(place, "compare", &format!("under the {name} placement"));
    };
    let compared = run_both(&topology, &placements, &args.command, &options, &mut progress);
    bar.end();
    let compared = compared.map_err(|error| interrupted(error, &stop))?;
    let (mut held, mut saved) = (Vec::new(), true);
    match (slo.clone(), &args.slo) {
        (Some(mut slo), Some(file)) if args.accept => {
            let entry = SloEntry::accept(&command, args.gpus, &compared, args.tolerance.as_f64());
            saved = is_saved(
                file,
                entry.and_then(|entry| {
                    slo.accept(entry);
                    slo.to_toml()
                }),
            );
        }
        _ => held = entry.map_or(Ok(Vec::new()), |entry| entry.check(&compared))?,
    }
    let text = match args.format {
        ReportFormat::Text => compared.to_text(style().width, &held),
        ReportFormat::Json => compared.to_json(&held),
    };
    Ok((text, if saved { code(compared.judge(&held)) } else { BAD }))
}

fn better(word: BetterWhat) -> Better {
    match word {
        BetterWhat::Higher => Better::Higher,
        BetterWhat::Lower => Better::Lower,
    }
}

fn poor(word: PoorWhat) -> Poor {
    match word {
        PoorWhat::Gpus => Poor::Gpus,
        PoorWhat::Cpus => Poor::Cpus,
        PoorWhat::Both => Poor::Both,
    }
}
