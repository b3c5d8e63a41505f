//! A real program under the best placement and under a deliberately poor one, in turn.
//!
//! The two differ by their GPUs, by their CPUs, or by both. They alternate, the first of each two runs changes too, and a verdict
//! is given only where the rank-sum test tells the two apart from chance.

mod measure;
mod placements;
mod slo;

pub use measure::{Better, Measure};
pub use placements::{Placements, Poor};
pub use slo::{Held, Slo, SloEntry};

use crate::plan::Step;
use crate::render::add;
use crate::report::Verdict;
use crate::run::{Output, RunOptions, run_once, stopped};
use crate::spread::{chance, median, range};
use nvtopo::{Error, Result, Topology};
use serde_json::json;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::sync::atomic::Ordering;

/// The greatest chance of a difference, both ways, that counts as one.
const CHANCE: f64 = 0.05;

/// The fewest runs of each placement by which the test can tell two apart.
const FEWEST: usize = 4;

/// Options of a comparison.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkloadOptions {
    /// The number of runs of each placement; 0 counts as 1.
    pub runs: usize,
    /// The number of runs of the best placement before, which do not count.
    pub warmup: usize,
    /// The number that is compared.
    pub measure: Measure,
    /// Time limit, trust and stop.
    pub run: RunOptions,
}

impl Default for WorkloadOptions {
    /// Five runs of each by wall time, after one that does not count.
    fn default() -> Self {
        Self { runs: 5, warmup: 1, measure: Measure::default(), run: RunOptions::default() }
    }
}

impl WorkloadOptions {
    /// Sets the number of runs of each placement.
    #[must_use]
    pub fn runs(mut self, runs: usize) -> Self {
        self.runs = runs;
        self
    }

    /// Sets the number of runs before, which do not count.
    #[must_use]
    pub fn warmup(mut self, warmup: usize) -> Self {
        self.warmup = warmup;
        self
    }

    /// Sets the number that is compared.
    #[must_use]
    pub fn measure(mut self, measure: Measure) -> Self {
        self.measure = measure;
        self
    }

    /// Sets time limit, trust and stop.
    #[must_use]
    pub fn run(mut self, run: RunOptions) -> Self {
        self.run = run;
        self
    }
}

/// The figures of a program under two placements.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Comparison {
    /// The names of the GPUs and CPUs of both placements, the best first.
    pub names: [String; 2],
    /// The number that was compared.
    pub measure: Measure,
    /// The values under the best placement, in the order of the runs.
    pub best: Vec<f64>,
    /// The values under the poor one.
    pub poor: Vec<f64>,
    /// Remarks for people: runs that could not be bound.
    pub remarks: Vec<String>,
}

/// Runs a command under both placements in turn. `progress` is told of each run before it starts, with its place from 0, the
/// number of all, and the name of the placement.
///
/// Errors where the topology is not this machine's, where a run fails or cannot be bound, where its output lacks the number, and
/// where the caller stops it.
pub fn compare(
    topology: &Topology,
    placements: &Placements,
    command: &[OsString],
    options: &WorkloadOptions,
    progress: &mut dyn FnMut(usize, usize, &str),
) -> Result<Comparison> {
    let (program, arguments) = command.split_first().ok_or_else(no_command)?;
    let arguments = texts(arguments)?;
    nvtopo::apply::check_machine(topology, options.run.trust)?;
    let step = |own: &Step| Step { arguments: arguments.clone(), ..own.clone() };
    let steps = [("best", step(&placements.best)), ("poor", step(&placements.poor))];
    let runs = options.runs.max(1);
    let order = std::iter::repeat_n(None, options.warmup)
        .chain((0..runs).flat_map(|run| if run % 2 == 0 { [Some(0), Some(1)] } else { [Some(1), Some(0)] }));
    let mut values = [Vec::new(), Vec::new()];
    let mut remarks: Vec<String> = Vec::new();
    for (place, own) in order.enumerate() {
        let (name, step) = &steps[own.unwrap_or(0)];
        progress(place, options.warmup + 2 * runs, name);
        let outcome = run_once(topology, step, program, &options.run);
        if options.run.stop.load(Ordering::Relaxed) {
            return Err(stopped());
        }
        let (Output { stdout, stderr, warnings }, time) = outcome
            .map_err(|why| Error::input(format!("{} under the {name} placement {why}", program.display())))?;
        // Without its CPUs a placement is not the one that is compared.
        if let Some(why) = warnings.iter().find(|warning| warning.starts_with("not bound")) {
            return Err(Error::new(nvtopo::ErrorKind::Refused, format!("the {name} placement was {why}")));
        }
        for warning in warnings {
            if !remarks.contains(&warning) {
                remarks.push(warning);
            }
        }
        let value = options.measure.read(&stdout, &stderr, time)?;
        if let Some(own) = own {
            values[own].push(value);
        }
    }
    let [best, poor] = values;
    let names = [placements.name(topology, true), placements.name(topology, false)];
    Ok(Comparison { names, measure: options.measure.clone(), best, poor, remarks })
}

/// The outcome of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// The best placement is better.
    BestIsBetter,
    /// The poor placement is better.
    PoorIsBetter,
    /// The runs do not tell.
    Unclear,
}

impl Outcome {
    /// The word in documents.
    pub const fn code(self) -> &'static str {
        match self {
            Self::BestIsBetter => "best-is-better",
            Self::PoorIsBetter => "poor-is-better",
            Self::Unclear => "unclear",
        }
    }
}

impl Comparison {
    /// Creates a comparison of values that were measured elsewhere.
    pub fn of(measure: Measure, best: Vec<f64>, poor: Vec<f64>) -> Self {
        Self { names: ["best".to_owned(), "poor".to_owned()], measure, best, poor, remarks: Vec::new() }
    }

    /// Returns how many times as good the best placement is as the poor one, by the medians. `None` where that is no number, or one of
    /// them is below 0.
    pub fn ratio(&self) -> Option<f64> {
        self.ratio_of(median(&self.best)?, median(&self.poor)?)
    }

    /// Returns the least and the greatest such ratio of two runs that stand beside each other.
    pub fn ratios(&self) -> Option<(f64, f64)> {
        let ratios: Option<Vec<f64>> =
            self.best.iter().zip(&self.poor).map(|(best, poor)| self.ratio_of(*best, *poor)).collect();
        range(&ratios?)
    }

    fn ratio_of(&self, best: f64, poor: f64) -> Option<f64> {
        let ratio = match self.measure.better {
            Better::Higher => best / poor,
            Better::Lower => poor / best,
        };
        let is_sound = measure::is_sound(best) && measure::is_sound(poor);
        (is_sound && ratio.is_finite()).then_some(ratio)
    }

    /// Returns the outcome: one of the two is better where chance alone makes such a difference in at most 5 % of cases.
    pub fn outcome(&self) -> Outcome {
        let (best_low, poor_low) = (chance(&self.best, &self.poor), chance(&self.poor, &self.best));
        let (better, worse) = match self.measure.better {
            Better::Higher => (poor_low, best_low),
            Better::Lower => (best_low, poor_low),
        };
        if better * 2.0 <= CHANCE {
            Outcome::BestIsBetter
        } else if worse * 2.0 <= CHANCE {
            Outcome::PoorIsBetter
        } else {
            Outcome::Unclear
        }
    }

    /// Returns the verdict: by the thresholds alone, where some were held against it, else by the outcome.
    pub fn judge(&self, held: &[Held]) -> Verdict {
        match self.outcome() {
            _ if held.iter().any(|own| !own.is_met) => Verdict::Weak,
            _ if !held.is_empty() => Verdict::Pass,
            Outcome::BestIsBetter => Verdict::Pass,
            Outcome::PoorIsBetter => Verdict::Weak,
            Outcome::Unclear => Verdict::Unknown,
        }
    }

    /// Returns the verdict in a sentence.
    pub fn verdict(&self) -> String {
        let ratio = match (self.ratio(), self.ratios()) {
            (Some(ratio), Some((low, high))) => {
                format!("{ratio:.2} times as good as the poor one ({low:.2} to {high:.2})")
            }
            _ => "without a ratio, as a value is not above 0".to_owned(),
        };
        match self.outcome() {
            Outcome::BestIsBetter => format!("the best placement is {ratio}"),
            Outcome::PoorIsBetter => format!("the poor placement is better: the best one is {ratio}"),
            Outcome::Unclear if self.best.len() < FEWEST => {
                format!(
                    "{} runs of each cannot tell the two apart (--runs {FEWEST} or more can)",
                    self.best.len()
                )
            }
            Outcome::Unclear => format!("the runs do not tell the two apart: the best placement is {ratio}"),
        }
    }

    /// Returns the comparison for people, with the thresholds that were held against it. `width` in columns; 100 without it.
    pub fn to_text(&self, width: Option<usize>, held: &[Held]) -> String {
        let width = width.unwrap_or(100).max(40);
        let mut text = String::new();
        for (name, placement, values) in
            [("best", &self.names[0], &self.best), ("poor", &self.names[1], &self.poor)]
        {
            let (Some(middle), Some((low, high))) = (median(values), range(values)) else { continue };
            let show = |value: f64| self.measure.show(value);
            let line = format!(
                "{name}  {}  ({} to {}; {} runs)  {placement}",
                self.measure.show_in_full(middle),
                show(low),
                show(high),
                values.len()
            );
            add(&mut text, "", &line, width);
        }
        add(&mut text, "", &self.verdict(), width);
        for own in held {
            let word = if own.is_met { "met" } else { "not met" };
            add(&mut text, "", &format!("threshold {word}: {}", own.text), width);
        }
        for remark in &self.remarks {
            add(&mut text, "note: ", remark, width);
        }
        text
    }

    /// Returns the comparison as a JSON document: `best` and `poor` with their names and values, `measure`, `ratio`, `outcome`,
    /// `verdict`, and the `thresholds`.
    pub fn to_json(&self, held: &[Held]) -> String {
        let placement = |name: &str, values: &[f64]| json!({ "placement": name, "values": values, "median": median(values) });
        let thresholds: Vec<_> =
            held.iter().map(|own| json!({ "met": own.is_met, "text": own.text })).collect();
        let document = json!({
            "format": "nvtopo-comparison", "version": 1, "measure": self.measure.name(),
            "better": self.measure.better.word(),
            "best": placement(&self.names[0], &self.best), "poor": placement(&self.names[1], &self.poor),
            "ratio": self.ratio(), "ratios": self.ratios().map(|(low, high)| [low, high]),
            "outcome": self.outcome().code(), "verdict": self.verdict(), "thresholds": thresholds,
            "remarks": self.remarks,
        });
        format!("{document:#}\n")
    }
}

/// Returns the arguments of a command as text.
///
/// Errors where one is no UTF-8.
fn texts(arguments: &[OsString]) -> Result<Vec<String>> {
    let text = |word: &OsString| {
        let message = || Error::request(format!("the argument '{}' is no UTF-8", word.display()));
        word.to_str().map(str::to_owned).ok_or_else(message)
    };
    arguments.iter().map(text).collect()
}

impl Placements {
    /// Returns the commands of both placements for a shell, each under a comment.
    ///
    /// Errors for no command, and for arguments that are no UTF-8.
    pub fn to_script(&self, topology: &Topology, command: &[OsString]) -> Result<String> {
        let mut text = String::new();
        for (name, placement, command) in self.commands(topology, command)? {
            let _ = writeln!(text, "# {name}: {placement}\n{command}");
        }
        Ok(text)
    }

    /// Returns the commands of both placements as a JSON document. Errors as [`to_script`](Self::to_script).
    pub fn to_json(&self, topology: &Topology, command: &[OsString]) -> Result<String> {
        let commands = self.commands(topology, command)?;
        let placements = commands.map(
            |(name, placement, command)| json!({ "name": name, "placement": placement, "command": command }),
        );
        let document = json!({ "format": "nvtopo-comparison-plan", "version": 1, "placements": placements });
        Ok(format!("{document:#}\n"))
    }

    /// The name, the placement and the command of both.
    fn commands(
        &self,
        topology: &Topology,
        command: &[OsString],
    ) -> Result<[(&'static str, String, String); 2]> {
        let (program, arguments) = command.split_first().ok_or_else(no_command)?;
        let arguments = texts(arguments)?;
        let own = |name, step: &Step, best| {
            let step = Step { arguments: arguments.clone(), ..step.clone() };
            (name, self.name(topology, best), step.command(&program.to_string_lossy()))
        };
        Ok([own("best", &self.best, true), own("poor", &self.poor, false)])
    }
}

fn no_command() -> Error {
    Error::request("no command is given")
}
