//! The dimensions of a parallel job, and the order of its ranks through them, in Megatron's or DeepSpeed's words.

use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

words! {
    /// A dimension of a job: one way to divide its work, with groups of ranks that communicate.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[non_exhaustive]
    pub enum Dimension {
        /// Tensor parallelism: layers are cut, activations are all-reduced. DeepSpeed's `model`.
        Tp = "tp",
        /// Context parallelism: sequences are cut, keys and values go around a ring.
        Cp = "cp",
        /// Expert parallelism: experts are spread out, tokens are exchanged by all-to-all.
        Ep = "ep",
        /// Data parallelism: gradients are all-reduced, among context ranks as well. DeepSpeed's `data`.
        Dp = "dp",
        /// Expert data parallelism: the gradients of the experts are all-reduced.
        Edp = "edp",
        /// Pipeline parallelism: layers are spread out, activations go to the next stage. DeepSpeed's `pipe`.
        Pp = "pp",
    }
    /// Returns Megatron's short name: `tp`, `cp`, `ep`, `dp`, `edp`, `pp`.
    name, Display
}

impl Dimension {
    /// Returns the name of DeepSpeed's axis, where it has one.
    const fn axis(self) -> Option<&'static str> {
        match self {
            Self::Tp => Some("model"),
            Self::Dp => Some("data"),
            Self::Pp => Some("pipe"),
            _ => None,
        }
    }
}

impl FromStr for Dimension {
    type Err = Error;

    /// Reads the names of both frameworks: `tp` or `model`, `dp` or `data`, `pp` or `pipe`, and `cp`, `ep`, `edp`.
    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim().to_ascii_lowercase();
        let named = Self::ALL.into_iter().find(|own| own.name() == text || own.axis() == Some(&text));
        named.ok_or_else(|| {
            Error::request(format!("'{text}' is no dimension of a parallel job"))
                .help("there are tp (model), cp, ep, dp (data), edp and pp (pipe)")
        })
    }
}

/// The order of ranks through the dimensions.
///
/// Megatron-core writes the fastest dimension first, joined by `-`; DeepSpeed lists its axes with the fastest last. Both
/// of these are the order of the framework's default:
///
/// ```
/// use nvtopo::RankOrder;
///
/// let megatron: RankOrder = "tp-cp-ep-dp-pp".parse()?; // initialize_model_parallel(order=…)
/// let deepspeed: RankOrder = "pipe,data,model".parse()?; // PipeModelDataParallelTopology
/// assert_eq!(megatron, RankOrder::default());
/// assert_eq!(deepspeed.to_string(), "pipe,data,model");
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RankOrder {
    /// The axes, the fastest first.
    axes: Vec<Dimension>,
    deepspeed: bool,
}

impl RankOrder {
    /// Returns the dimensions, the fastest first.
    pub fn axes(&self) -> &[Dimension] {
        &self.axes
    }

    /// Returns a dimension in the words of this order: `tp`, or `model` where the order is DeepSpeed's.
    pub fn word(&self, dimension: Dimension) -> &'static str {
        dimension.axis().filter(|_| self.deepspeed).unwrap_or(dimension.name())
    }
}

impl Default for RankOrder {
    /// Returns Megatron-core's order: `tp-cp-ep-dp-pp`.
    fn default() -> Self {
        use Dimension::{Cp, Dp, Ep, Pp, Tp};
        Self { axes: vec![Tp, Cp, Ep, Dp, Pp], deepspeed: false }
    }
}

impl fmt::Display for RankOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.axes.iter().map(|dimension| self.word(*dimension));
        let text = if self.deepspeed {
            words.rev().collect::<Vec<_>>().join(",")
        } else {
            words.collect::<Vec<_>>().join("-")
        };
        f.write_str(&text)
    }
}

impl FromStr for RankOrder {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |what: String| {
            Error::request(format!("the order '{text}' {what}"))
                .help("write Megatron's (tp-cp-ep-dp-pp, the fastest first) or DeepSpeed's (pipe,data,model, the fastest last)")
        };
        let words: Vec<String> =
            text.split(['-', ',']).map(|word| word.trim().to_ascii_lowercase()).collect();
        let deepspeed =
            words.iter().all(|word| Dimension::ALL.iter().any(|own| own.axis() == Some(word.as_str())));
        let mut axes = Vec::new();
        for word in &words {
            let known = Dimension::ALL.into_iter().find(|own| {
                let name = if deepspeed { own.axis() } else { Some(own.name()) };
                *own != Dimension::Edp && name == Some(word)
            });
            let Some(dimension) = known else { return Err(wrong(format!("names '{word}'"))) };
            if axes.contains(&dimension) {
                return Err(wrong(format!("names {word} twice")));
            }
            axes.push(dimension);
        }
        if text.contains(if deepspeed { '-' } else { ',' }) {
            return Err(wrong("mixes both ways of writing".to_owned()));
        }
        if deepspeed {
            axes.reverse();
        }
        Ok(Self { axes, deepspeed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_round_trip_in_both_ways_of_writing() {
        for text in ["tp-cp-ep-dp-pp", "tp-pp-dp", "pipe,data,model", "data,pipe", "model"] {
            assert_eq!(text.parse::<RankOrder>().unwrap().to_string(), text);
        }
        assert_eq!(
            "pipe,data,model".parse::<RankOrder>().unwrap().axes(),
            "tp-dp-pp".parse::<RankOrder>().unwrap().axes()
        );
    }

    #[test]
    fn wrong_orders_say_what_is_wrong() {
        for (text, said) in [
            ("", "names ''"),
            ("tp-tp", "tp twice"),
            ("tp-edp", "'edp'"),
            ("tp-data", "'data'"),
            ("tp,dp", "mixes"),
            ("pipe-data", "mixes"),
        ] {
            let error = text.parse::<RankOrder>().unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
