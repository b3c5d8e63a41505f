//! The traffic of a job in one step: given in bytes, or computed from the transformer that it trains.

use super::order::Dimension;
use crate::error::{Error, Result};
use crate::units::{SIZES, quantity};
use std::str::FromStr;

/// Bytes of one value: activations and gradients in 16 bits.
const VALUE: f64 = 2.0;

/// The bytes that each rank sends in one dimension, in one step.
///
/// ```
/// use nvtopo::solve::{Dimension, Traffic};
///
/// let traffic: Traffic = "tp=34.4GB".parse()?;
/// assert_eq!((traffic.dimension, traffic.bytes), (Dimension::Tp, 34_400_000_000));
/// assert_eq!("pp=1GiB".parse::<Traffic>()?.bytes, 1 << 30);
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// The dimension.
    pub dimension: Dimension,
    /// Bytes that one rank sends: of an all-reduce of n bytes among k ranks, 2 (k − 1) / k · n; to the next stage of a
    /// pipeline, what goes there and what comes back.
    pub bytes: u64,
}

impl FromStr for Traffic {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let help = "write it as tp=34.4GB, in bytes that a rank sends in one step";
        let Some((dimension, bytes)) = text.split_once('=') else {
            return Err(Error::request(format!("'{text}' is no traffic")).help(help));
        };
        let bytes = quantity(bytes, SIZES)
            .ok_or_else(|| Error::request(format!("'{bytes}' is no number of bytes")).help(help))?;
        Ok(Self { dimension: dimension.parse()?, bytes })
    }
}

/// A transformer in training, as far as its communication goes.
///
/// With t, c, e, d, p the sizes of tp, cp, ep, dp, pp, and L layers on a pipeline's fullest stage, each rank sends in one
/// step, in bytes (values of 2 bytes; b: sequences in a micro-batch, m: micro-batches, s: sequence, h: hidden size, P:
/// parameters without those of spread experts, X: parameters of the experts):
///
/// - tp: L · 4 · 2 (t − 1) / t · b s/c h · 2 · m. Two all-reduces of the activations forward and two backward in each layer
///   (Shoeybi et al., Megatron-LM, 2019; Narayanan et al., SC'21, section 3.2).
/// - cp: L · 3 (c − 1) · 2 b s/c h/t · 2 · m. Keys and values go around a ring forward, and again with their gradients
///   backward (Liu et al., Ring Attention, 2023). Grouped queries move less.
/// - ep: L · 4 (e − 1) / e · k · b s/(c t) h · 2 · m. Each token goes to its k experts and back, forward and backward, evenly
///   spread (Lepikhin et al., `GShard`, 2020; Megatron-core divides the tokens among the tensor ranks).
/// - dp: 2 (n − 1) / n · P / (t p) · 2 among n = d c ranks. Gradients are all-reduced once, among context ranks as well.
/// - edp: 2 (n − 1) / n · X / (t e p) · 2 among n = d c / e ranks. With e = 1 the experts are part of P instead.
/// - pp: 2 · b s/c h · 2 · m. Activations to the next stage and their gradients back, without interleaving (Narayanan et al.,
///   section 3.2).
///
/// Reductions in 32 bits, sharded optimizers that gather parameters, or recomputation move more: give the traffic of
/// that dimension instead.
///
/// ```
/// use nvtopo::solve::Transformer;
///
/// let model: Transformer = "layers=32,hidden=4096,sequence=4096,micro-batches=8,parameters=6.7B".parse()?;
/// assert_eq!(model.parameters, 6_700_000_000);
/// # Ok::<(), nvtopo::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transformer {
    /// Layers.
    pub layers: u64,
    /// The hidden size.
    pub hidden: u64,
    /// Tokens of a sequence.
    pub sequence: u64,
    /// Sequences in a micro-batch.
    pub micro_batch: u64,
    /// Micro-batches of one step, for each data-parallel replica.
    pub micro_batches: u64,
    /// Parameters, without those of the experts.
    pub parameters: u64,
    /// The experts, where it has some.
    pub experts: Option<Experts>,
}

/// The experts of a transformer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Experts {
    /// Parameters of all experts together.
    pub parameters: u64,
    /// The number of experts to which a token goes.
    pub top_k: u64,
}

/// The sizes of a job's dimensions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) tp: usize,
    pub(super) cp: usize,
    pub(super) ep: usize,
    pub(super) dp: usize,
    pub(super) pp: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { tp: 1, cp: 1, ep: 1, dp: 1, pp: 1 }
    }
}

impl Sizes {
    /// Returns the size of a dimension.
    pub(super) fn of(&self, dimension: Dimension) -> usize {
        match dimension {
            Dimension::Tp => self.tp,
            Dimension::Cp => self.cp,
            Dimension::Ep => self.ep,
            Dimension::Dp => self.dp,
            Dimension::Edp => self.cp * self.dp / self.ep,
            Dimension::Pp => self.pp,
        }
    }
}

impl Transformer {
    /// Returns the bytes that a rank sends in a dimension; `None` where the model does not determine them.
    pub(super) fn bytes(&self, dimension: Dimension, sizes: &Sizes) -> Option<u64> {
        let [tp, cp, ep, pp] = [sizes.tp, sizes.cp, sizes.ep, sizes.pp].map(|size| size as f64);
        let replicas = sizes.dp as f64 * cp;
        let layers = self.layers.div_ceil(sizes.pp as u64) as f64;
        let steps = self.micro_batches as f64;
        // The activations of one micro-batch, as a context rank holds them.
        let activations = self.micro_batch as f64 * self.sequence as f64 / cp * self.hidden as f64 * VALUE;
        let all_reduce = |ranks: f64, bytes: f64| 2.0 * (ranks - 1.0) / ranks * bytes;
        let spread = self.experts.filter(|_| sizes.ep > 1);
        let resident = self.experts.filter(|_| sizes.ep == 1).map_or(0, |experts| experts.parameters);
        let bytes = match dimension {
            Dimension::Tp => layers * 4.0 * all_reduce(tp, activations) * steps,
            Dimension::Cp => layers * 3.0 * (cp - 1.0) * 2.0 * activations / tp * steps,
            Dimension::Ep => layers * 4.0 * (ep - 1.0) / ep * spread?.top_k as f64 * activations / tp * steps,
            Dimension::Dp => {
                all_reduce(replicas, (self.parameters as f64 + resident as f64) / (tp * pp) * VALUE)
            }
            Dimension::Edp => all_reduce(replicas / ep, spread?.parameters as f64 / (tp * ep * pp) * VALUE),
            Dimension::Pp => 2.0 * activations * steps,
        };
        Some(bytes.round() as u64)
    }
}

impl FromStr for Transformer {
    type Err = Error;

    /// Reads `layers=32,hidden=4096,sequence=4096,micro-batches=8,parameters=6.7B`; optional are `micro-batch=1`,
    /// `expert-parameters` and `top-k`.
    fn from_str(text: &str) -> Result<Self> {
        const KEYS: [&str; 8] = [
            "layers",
            "hidden",
            "sequence",
            "micro-batches",
            "parameters",
            "micro-batch",
            "expert-parameters",
            "top-k",
        ];
        let mut values = [None; KEYS.len()];
        for entry in text.split(',') {
            let (key, value) = entry.split_once('=').unwrap_or((entry, ""));
            let wrong = |what: String| {
                Error::request(what).help("layers, hidden, sequence, micro-batches and parameters are needed; micro-batch, expert-parameters and top-k are not")
            };
            let Some(place) = KEYS.iter().position(|own| *own == key.trim()) else {
                return Err(wrong(format!("a model has no '{}'", key.trim())));
            };
            let number = quantity(value, COUNTS).filter(|number| *number > 0);
            let number = number.ok_or_else(|| wrong(format!("'{value}' is no number of {}", KEYS[place])))?;
            if values[place].replace(number).is_some() {
                return Err(wrong(format!("{} is given twice", KEYS[place])));
            }
        }
        let need = |place: usize| {
            values[place].ok_or_else(|| Error::request(format!("the model lacks {}=…", KEYS[place])))
        };
        let experts = match (values[6], values[7]) {
            (None, None) => None,
            (parameters, top_k) => Some(Experts {
                parameters: parameters.map_or_else(|| need(6), Ok)?,
                top_k: top_k.map_or_else(|| need(7), Ok)?,
            }),
        };
        Ok(Self {
            layers: need(0)?,
            hidden: need(1)?,
            sequence: need(2)?,
            micro_batches: need(3)?,
            parameters: need(4)?,
            micro_batch: values[5].unwrap_or(1),
            experts,
        })
    }
}

/// The suffixes of a count: 7B is seven billion.
const COUNTS: &[(&str, f64)] =
    &[("", 1.0), ("k", 1e3), ("K", 1e3), ("M", 1e6), ("B", 1e9), ("G", 1e9), ("T", 1e12)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_units() {
        for (text, expected) in [
            ("12", Some(12)),
            ("1e9", Some(1_000_000_000)),
            ("34.4GB", Some(34_400_000_000)),
            ("2 MiB", Some(2 << 20)),
            ("0", Some(0)),
            ("-1", None),
            ("nan", None),
            ("inf", None),
            ("1e30", None),
            ("7 apples", None),
            ("", None),
            ("ü", None),
        ] {
            assert_eq!(quantity(text, SIZES), expected, "{text}");
        }
        assert_eq!(quantity("6.7B", COUNTS), Some(6_700_000_000));
    }

    #[test]
    fn models_say_what_they_lack() {
        for (text, said) in [
            ("layers=32", "lacks hidden"),
            ("layers=32,layers=3", "twice"),
            ("depth=3", "no 'depth'"),
            ("layers=0", "'0' is no number of layers"),
            ("layers=1,hidden=1,sequence=1,micro-batches=1,parameters=1,top-k=2", "lacks expert-parameters"),
        ] {
            let error = text.parse::<Transformer>().unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn experts_move_tokens_and_their_own_gradients() {
        let model: Transformer =
            "layers=8,hidden=1024,sequence=2048,micro-batches=2,parameters=1e9,expert-parameters=8e9,top-k=2"
                .parse()
                .unwrap();
        let spread = Sizes { tp: 2, cp: 1, ep: 4, dp: 4, pp: 1 };
        // 8 layers · 4 · 3/4 · 2 experts · 2048 · 1024 · 2 B / 2 tensor ranks · 2 micro-batches.
        assert_eq!(model.bytes(Dimension::Ep, &spread), Some(8 * 3 * 2 * 2048 * 1024 * 2));
        // 3/4 · 2 · 1e9 / 2 · 2 B; each expert is on one data rank only.
        assert_eq!(model.bytes(Dimension::Dp, &spread), Some(1_500_000_000));
        assert_eq!(model.bytes(Dimension::Edp, &spread), Some(0));
        let whole = Sizes { ep: 1, ..spread };
        assert_eq!(model.bytes(Dimension::Dp, &whole), Some(13_500_000_000));
        assert_eq!(model.bytes(Dimension::Ep, &whole), None);
    }
}
