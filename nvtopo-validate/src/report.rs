//! [`Report`]: each figure beside what is possible and what its equals reach, with a verdict.

use crate::figure::{Metric, Subject, program_name};
use crate::possible::{Possible, floor, possible};
use crate::reading::collective;
use crate::reading::sections::PEERS_OFF;
use crate::results::{Failed, Results};
use crate::spread::{median, range};
use crate::suspects::{Suspect, find};
use nvtopo::Topology;
use std::collections::BTreeMap;

/// The fewest figures that are equals of each other: of three, two may be wrong.
pub(crate) const EQUALS: usize = 4;

/// A figure above the wires' rate by more than this is of something else: drivers report up to 7 % more than is published.
const ABOVE: f64 = 1.07;

/// The verdict on a figure, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// It reaches what is possible, and what its equals reach.
    Pass,
    /// Nothing to compare it with, or more than is possible.
    Unknown,
    /// It falls short.
    Weak,
}

impl Verdict {
    /// The word in texts and documents.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Unknown => "unknown",
            Self::Weak => "weak",
        }
    }
}

/// The figures of one subject by one program, judged.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Judged {
    /// The program.
    pub program: &'static str,
    /// The test of the program, where it has several for the same devices.
    pub test: Option<&'static str>,
    /// The devices.
    pub subject: Subject,
    /// The quantity.
    pub metric: Metric,
    /// The values of all runs, in the metric's unit.
    pub values: Vec<f64>,
    /// Their median, which is judged.
    pub value: f64,
    /// The bandwidth that is possible. `None`: the graph does not say, or the figure is a latency.
    pub possible: Option<Possible>,
    /// The number of figures of equal devices over equal links, this one included, and their median, where they are enough.
    pub equals: Option<(usize, f64)>,
    /// The verdict.
    pub verdict: Verdict,
    /// The reason, for people.
    pub why: String,
    /// The class of its equals.
    pub(crate) class: String,
}

/// The limits by which figures are judged.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Judge {
    /// The part by which a bandwidth may stay below what data can reach.
    pub tolerance: f64,
    /// The part by which a bandwidth may be worse than the median of its equals.
    pub equal_tolerance: f64,
    /// The part by which a latency may be worse than the median of its equals.
    pub latency_tolerance: f64,
}

impl Default for Judge {
    /// 10 % below what is possible, 5 % below equals, and a quarter for latencies, which vary more.
    fn default() -> Self {
        Self { tolerance: 0.1, equal_tolerance: 0.05, latency_tolerance: 0.25 }
    }
}

impl Judge {
    /// Sets the part by which a bandwidth may stay below what data can reach.
    #[must_use]
    pub fn tolerance(mut self, part: f64) -> Self {
        self.tolerance = part;
        self
    }

    /// Sets the part by which a bandwidth may be worse than the median of its equals.
    #[must_use]
    pub fn equal_tolerance(mut self, part: f64) -> Self {
        self.equal_tolerance = part;
        self
    }

    /// Sets the part by which a latency may be worse than the median of its equals.
    #[must_use]
    pub fn latency_tolerance(mut self, part: f64) -> Self {
        self.latency_tolerance = part;
        self
    }

    /// Judges results, each test by itself. Figures with peer access switched off are no measure of a link: the others of their
    /// program have to reach them.
    pub fn report(&self, topology: &Topology, results: &Results) -> Report {
        let mut groups: BTreeMap<(&'static str, Subject, Metric, Option<&'static str>), Vec<f64>> =
            BTreeMap::new();
        let mut detours: BTreeMap<(&'static str, Subject), Vec<f64>> = BTreeMap::new();
        for figure in &results.figures {
            let (program, subject) = (figure.program, figure.subject.clone());
            let values = if figure.test == Some(PEERS_OFF) {
                detours.entry((program, subject)).or_default()
            } else {
                groups.entry((program, subject, figure.metric, figure.test)).or_default()
            };
            values.push(figure.value);
        }
        // With peer access switched off alone, nothing tells how quick its links are.
        let mut failed = results.failed.clone();
        for (program, subject) in detours.keys() {
            let is_it = |own: &(&'static str, Subject, Metric, Option<&'static str>)| {
                (&own.0, &own.1) == (program, subject)
            };
            let is_told = |own: &Failed| (&own.program, &own.subject) == (program, subject);
            if !groups.keys().any(is_it) && !failed.iter().any(is_told) {
                let why = "it was measured with peer access switched off only".to_owned();
                let (test, subject) = (None, subject.clone());
                failed.push(Failed { program, test, subject, why, is_run: false });
            }
        }
        let mut judged = Vec::new();
        let mut classes: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for ((program, subject, metric, test), values) in groups {
            let value = median(&values).unwrap_or_default();
            let rate = if collective::is_of_rings(topology, program, &subject) {
                possible(topology, &subject)
            } else {
                Err("the graph has no rate of this collective".to_owned())
            };
            let program_of = program_name(program, test);
            let class = class(topology, &program_of, &subject, metric, rate.as_ref().ok());
            classes.entry(class.clone()).or_default().push(value);
            let (possible, why) = match rate {
                _ if metric == Metric::Latency => (None, "the graph has no latencies".to_owned()),
                Ok(possible) => (Some(possible), String::new()),
                Err(why) => (None, why),
            };
            let verdict = Verdict::Unknown;
            judged.push(Judged {
                program,
                test,
                subject,
                metric,
                values,
                value,
                possible,
                equals: None,
                verdict,
                why,
                class,
            });
        }
        for own in &mut judged {
            let all = &classes[&own.class];
            own.equals = median(all).filter(|_| all.len() >= EQUALS).map(|middle| (all.len(), middle));
            let detour = detours.get(&(own.program, own.subject.clone())).and_then(|all| median(all));
            self.judge(topology, own, detour);
        }
        let suspects = find(topology, &judged);
        Report { topology: topology.clone(), judged, failed, suspects, remarks: results.remarks.clone() }
    }

    /// Judges a figure. `detour` is that of the same devices through memory of the host.
    fn judge(&self, topology: &Topology, own: &mut Judged, detour: Option<f64>) {
        let metric = own.metric;
        let value = metric.show(own.value);
        let is_group = matches!(own.subject, Subject::Group(_));
        if let Some(possible) = &own.possible {
            let (wires, reachable) = (possible.wires.as_gb_per_s(), possible.reachable.as_gb_per_s());
            // In-network reduction (NVLink SHARP) lets a collective seem faster than its wires.
            if own.value > wires * ABOVE && !is_group {
                own.verdict = Verdict::Unknown;
                own.why = format!(
                    "{value} is more than the {} of {}: it is of something else, or the links are faster than is known",
                    metric.show(wires),
                    possible.limit
                );
                return;
            }
            let part = if reachable > 0.0 { own.value / reachable * 100.0 } else { 100.0 };
            own.why = format!(
                "{value}; {} are expected of {} ({part:.0} %)",
                metric.show(reachable),
                possible.limit
            );
            own.verdict = Verdict::Pass;
            if own.value < reachable * (1.0 - self.tolerance) {
                own.verdict = Verdict::Weak;
            }
        }
        let floor = if own.possible.is_none() { floor(topology, &own.subject) } else { None };
        if let Some(floor) = &floor {
            let least = floor.reachable.as_gb_per_s();
            if own.value < least * (1.0 - self.tolerance) {
                own.verdict = Verdict::Weak;
                own.why = format!("{value}; {} are the least of {}", metric.show(least), floor.limit);
            }
        }
        if let Some(detour) = detour.filter(|detour| own.value < detour * (1.0 - self.tolerance)) {
            own.verdict = Verdict::Weak;
            own.why = format!(
                "{value}, and {} through memory of the host, with peer access switched off: ACS or the IOMMU may send it \
                 through the CPUs",
                metric.show(detour)
            );
        }
        if own.verdict == Verdict::Weak {
            return;
        }
        let Some((count, middle)) = own.equals else {
            if own.possible.is_none() {
                own.why = format!("{value}; {}, and fewer than {EQUALS} equal ones were measured", own.why);
            }
            return;
        };
        let allowed = match metric {
            Metric::Bandwidth => self.equal_tolerance,
            Metric::Latency => self.latency_tolerance,
        };
        let loss = metric.loss(own.value, middle).unwrap_or_default();
        if loss > allowed {
            let worse = if metric == Metric::Bandwidth { "less" } else { "more" };
            own.verdict = Verdict::Weak;
            own.why = format!(
                "{value}, {:.0} % {worse} than the {} of {count} equal ones",
                loss * 100.0,
                metric.show(middle)
            );
        } else if own.possible.is_none() {
            let like = format!("{value}, as {count} equal ones with {}; {}", metric.show(middle), own.why);
            // Links that are all slow are equal, too. The graph has no latencies, of which nothing else can be asked.
            let is_enough = floor.is_some() || metric == Metric::Latency;
            own.verdict = if is_enough { Verdict::Pass } else { Verdict::Unknown };
            own.why = if is_enough { like } else { format!("{like}: all of them may be slow") };
        }
    }
}

/// The class of equals: figures of one program over paths of one class and rate, between devices of one model.
fn class(
    topology: &Topology,
    program: &str,
    subject: &Subject,
    metric: Metric,
    rate: Option<&Possible>,
) -> String {
    let model = |device: &usize| {
        let gpu = topology.gpus().nth(*device).map(|gpu| gpu.model.clone());
        let nic = || crate::device::nic(topology, *device).map(|nic| nic.model.clone());
        gpu.or_else(nic).flatten().unwrap_or_default()
    };
    let mut models: Vec<String> = subject.devices().iter().map(model).collect();
    models.sort_unstable();
    models.dedup();
    let path = match *subject {
        Subject::Path { from, to } => {
            let pair = topology.pairs().pair(from, to);
            format!("{:?} {} {:?}", pair.path, pair.nvlinks, crate::device::layer(topology, from))
        }
        Subject::ToGpu(_) => "to GPU".to_owned(),
        Subject::FromGpu(_) => "from GPU".to_owned(),
        Subject::Adapter(_) => "adapter".to_owned(),
        Subject::Group(ref gpus) => format!("group of {}", gpus.len()),
    };
    let rate = rate.map(|rate| rate.reachable.as_mb_per_s());
    format!("{program} {} {path} {rate:?} {}", metric.word(), models.join(", "))
}

/// The verdicts on results.
#[derive(Clone, Debug)]
pub struct Report {
    pub(crate) topology: Topology,
    pub(crate) judged: Vec<Judged>,
    pub(crate) failed: Vec<Failed>,
    pub(crate) suspects: Vec<Suspect>,
    pub(crate) remarks: Vec<String>,
}

impl Report {
    /// Returns the figures with their verdicts, by program and devices.
    pub fn judged(&self) -> &[Judged] {
        &self.judged
    }

    /// Returns the runs, and the pairs of saved outputs, without a result.
    pub fn failed(&self) -> &[Failed] {
        &self.failed
    }

    /// Returns the links that explain the figures that fall short, those that explain the most first.
    pub fn suspects(&self) -> &[Suspect] {
        &self.suspects
    }

    /// Returns the number of figures with a verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.judged.iter().filter(|own| own.verdict == verdict).count()
    }

    /// Returns the verdict on the machine: weak where a figure is, or a run has no result; unknown where more figures are than
    /// `max_unknown`, pairs without a figure in a saved output included. Without that number any number may be.
    pub fn verdict(&self, max_unknown: Option<usize>) -> Verdict {
        let (runs, pairs): (Vec<_>, Vec<_>) = self.failed.iter().partition(|own| own.is_run);
        let unknown = self.count(Verdict::Unknown) + pairs.len();
        if self.count(Verdict::Weak) > 0 || !runs.is_empty() {
            Verdict::Weak
        } else if max_unknown.is_some_and(|most| unknown > most) {
            Verdict::Unknown
        } else {
            Verdict::Pass
        }
    }
}

impl Judged {
    /// Returns the name of the program and its test, such as `nvbandwidth write_ce`.
    pub(crate) fn program_name(&self) -> String {
        program_name(self.program, self.test)
    }

    /// Returns the least and the greatest value of its runs.
    pub fn range(&self) -> (f64, f64) {
        range(&self.values).unwrap_or((self.value, self.value))
    }
}
