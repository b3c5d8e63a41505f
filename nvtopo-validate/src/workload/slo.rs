//! The service-level objectives of a node: what its workloads have to reach, in TOML.

use super::{Better, Comparison, Outcome};
use crate::spread::median;
use nvtopo::{Error, Result};
use serde::{Deserialize, Serialize};

/// The thresholds of a node's workloads.
///
/// ```
/// let slo = nvtopo_validate::workload::Slo::parse("slo.toml", r#"
/// [[workload]]
/// command = "./train"
/// gpus = 4
/// measure = "seconds"
/// better = "lower"
/// limit = 12.5
/// "#)?;
/// assert!(slo.find("./train", 4, "seconds").is_some());
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Slo {
    /// The workloads.
    #[serde(rename = "workload")]
    pub workloads: Vec<SloEntry>,
}

/// The threshold of a workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct SloEntry {
    /// The command with its arguments.
    pub command: String,
    /// The number of GPUs.
    pub gpus: usize,
    /// The pattern of the number, or `seconds` for the wall time.
    pub measure: String,
    /// `lower` or `higher`: the direction in which the number is better.
    pub better: String,
    /// The worst median under the best placement that is accepted.
    pub limit: f64,
    /// The least ratio of the best placement to the poor one, where one is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_ratio: Option<f64>,
}

/// A threshold that was held against a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Held {
    /// True where the comparison meets it.
    pub is_met: bool,
    /// The figure and the threshold, for people.
    pub text: String,
}

impl SloEntry {
    /// Creates the threshold that a comparison meets, with a tolerance; with a least ratio where the runs tell the two apart.
    ///
    /// Errors where nothing was measured.
    pub fn accept(command: &str, gpus: usize, comparison: &Comparison, tolerance: f64) -> Result<Self> {
        let middle = median(&comparison.best).ok_or_else(|| Error::request("nothing was measured"))?;
        let limit = match comparison.measure.better {
            Better::Lower => middle * (1.0 + tolerance),
            Better::Higher => middle * (1.0 - tolerance),
        };
        let told = comparison.ratio().filter(|_| comparison.outcome() == Outcome::BestIsBetter);
        let rounded = |value: f64| (value * 1e6).round() / 1e6;
        Ok(Self {
            command: command.to_owned(),
            gpus,
            measure: comparison.measure.name().to_owned(),
            better: comparison.measure.better.word().to_owned(),
            limit: rounded(limit),
            least_ratio: told.map(|ratio| rounded((ratio * (1.0 - tolerance)).max(1.0))),
        })
    }

    /// Holds the thresholds against a comparison.
    ///
    /// Errors with [`InvalidInput`](nvtopo::ErrorKind::InvalidInput) where the threshold is of the other direction.
    pub fn check(&self, comparison: &Comparison) -> Result<Vec<Held>> {
        let measure = &comparison.measure;
        if measure.better.word() != self.better {
            let (own, run) = (&self.better, measure.better.word());
            return Err(Error::input(format!(
                "the threshold of '{}' is for {own} numbers, and {run} ones were asked for",
                self.command
            ))
            .help(format!("add --better {own}")));
        }
        let mut held = Vec::new();
        if let Some(middle) = median(&comparison.best) {
            let (is_met, side) = match measure.better {
                Better::Lower => (middle <= self.limit, "most"),
                Better::Higher => (middle >= self.limit, "least"),
            };
            let (middle, limit) = (measure.show_in_full(middle), measure.show(self.limit));
            held.push(Held { is_met, text: format!("{middle}, at {side} {limit}") });
        }
        if let Some(least) = self.least_ratio {
            let ratio = comparison.ratio();
            let own = ratio.map_or_else(|| "an unknown number of".to_owned(), |ratio| format!("{ratio:.2}"));
            let text = format!("{own} times as good as the poor placement, at least {least:.2}");
            held.push(Held { is_met: ratio.is_some_and(|ratio| ratio >= least), text });
        }
        Ok(held)
    }
}

impl Slo {
    /// Reads thresholds. Messages call the text by `name`.
    ///
    /// Errors with [`InvalidInput`](nvtopo::ErrorKind::InvalidInput) and the line for text that is no TOML, for keys that are
    /// not known, and for numbers that are none.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let slo: Self = toml::from_str(text).map_err(|error| {
            let byte = error.span().map_or(0, |span| span.start);
            Error::input(error.message().to_owned()).in_input(name).at_byte(text, byte)
        })?;
        for own in &slo.workloads {
            let is_sound = own.limit.is_finite() && own.least_ratio.is_none_or(f64::is_finite);
            let is_direction =
                [Better::Lower, Better::Higher].iter().any(|better| better.word() == own.better);
            if !is_sound || !is_direction {
                let text = format!(
                    "the threshold of '{}' needs a number as its limit, and better = \"lower\" or \"higher\"",
                    own.command
                );
                return Err(Error::input(text).in_input(name));
            }
        }
        Ok(slo)
    }

    /// Returns the threshold of a workload.
    pub fn find(&self, command: &str, gpus: usize, measure: &str) -> Option<&SloEntry> {
        self.workloads
            .iter()
            .find(|own| (own.command.as_str(), own.gpus, own.measure.as_str()) == (command, gpus, measure))
    }

    /// Adds a threshold in the place of an earlier one of the same workload.
    pub fn accept(&mut self, entry: SloEntry) {
        self.workloads.retain(|own| {
            (&own.command, own.gpus, &own.measure) != (&entry.command, entry.gpus, &entry.measure)
        });
        self.workloads.push(entry);
    }

    /// Writes the thresholds as TOML.
    ///
    /// Errors with [`InvalidInput`](nvtopo::ErrorKind::InvalidInput) for numbers that TOML cannot hold.
    pub fn to_toml(&self) -> Result<String> {
        let text = toml::to_string(self).map_err(|error| Error::input(error.to_string()))?;
        Ok(format!("# Thresholds of this node's workloads, written by nvtopo compare --accept.\n\n{text}"))
    }
}
