//! The state of a link, and what other questions of `nvidia-smi nvlink` tell of it.

use super::heading::plain;
use crate::ids::PciAddress;
use crate::source::plain::{is_number, number};
use crate::source::text::Line;
use crate::units::Bandwidth;
use std::fmt;

/// The highest number of a link that is believed, so that a damaged one names few that are missing.
///
/// Source: NVML, `NVML_NVLINK_MAX_LINKS`, is 36 at most so far.
const MAX_NUMBER: u32 = 63;

/// The state of a link.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    /// Up, with this bandwidth.
    Rate(Bandwidth),
    Up,
    Down,
    /// Another word for its state.
    Word(String),
}

/// The word for a link that saves power. As NVML's own state for it, it is one of links that are up.
pub(super) const SLEEP: &str = "sleep";

impl State {
    pub(super) fn up(&self) -> Option<bool> {
        match self {
            Self::Rate(_) | Self::Up => Some(true),
            Self::Down => Some(false),
            Self::Word(word) => word.eq_ignore_ascii_case(SLEEP).then_some(true),
        }
    }

    pub(super) fn word(&self) -> Option<&String> {
        if let Self::Word(word) = self { Some(word) } else { None }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate(rate) => write!(f, "{rate}"),
            Self::Up => f.write_str("up"),
            Self::Down => f.write_str("down"),
            Self::Word(word) => f.write_str(word),
        }
    }
}

/// Reads `Link 3: 25.781 GB/s`, `Link 3: <inactive>` or `Link 3: Sleep`. Lines of other questions have numbers or a
/// second colon: `Link 3: Replay Errors: 0`.
pub(super) fn state(line: &Line<'_>) -> Option<(u32, State)> {
    let (name, value) = plain(line).strip_prefix("Link ")?.split_once(':')?;
    let number = number(name).filter(|number| *number <= MAX_NUMBER)?;
    let value = value.trim();
    if let Some(rate) = value.strip_suffix("GB/s") {
        // Some locales write a comma.
        let rate =
            rate.trim().replace(',', ".").parse::<f64>().ok().filter(|rate| (0.0..1e4).contains(rate))?;
        return Some((number, State::Rate(Bandwidth::from_gb_per_s(rate))));
    }
    let word = value.strip_prefix('<').and_then(|value| value.strip_suffix('>')).unwrap_or(value);
    let of_words = |c: char| c.is_ascii_alphabetic() || matches!(c, ' ' | '-' | '_' | '/');
    if word.is_empty() || word.len() > 40 || !word.chars().all(of_words) {
        return None;
    }
    let state = match &*word.to_ascii_lowercase() {
        "inactive" | "down" | "disabled" | "off" => State::Down,
        "active" | "up" | "enabled" | "on" => State::Up,
        _ => State::Word(word.to_owned()),
    };
    Some((number, state))
}

/// Returns whether a line has the status of a link: a rate, or one word.
pub(super) fn has_status(line: &Line<'_>) -> bool {
    match state(line) {
        Some((_, State::Word(word))) => !word.contains(' '),
        Some(_) => true,
        None => false,
    }
}

/// The answer to another question about a link.
pub(super) enum Other<'l> {
    /// The device at its other end (`-p`, `-R`).
    Remote(PciAddress),
    /// A capability, and whether it has it (`-c`).
    Capability(&'l str, bool),
    /// A count of errors (`-e`).
    Errors(&'l str, u64),
}

/// Reads `Link 0: 00000000:88:00.0`, `Link 0: Remote Device 00000000:88:00.0: Link 11`, `Link 0, P2P is supported: true` and
/// `Link 0: Replay Errors: 0`.
pub(super) fn other<'l>(line: &'l Line<'_>) -> Option<(u32, Other<'l>)> {
    let rest = plain(line).strip_prefix("Link ")?;
    let (name, value) = rest.split_once([':', ','])?;
    let number = number(name).filter(|number| *number <= MAX_NUMBER)?;
    let value = value.trim();
    let address = value.strip_prefix("Remote Device ").unwrap_or(value).trim();
    let address = address.split_once(": Link").map_or(address, |(address, _)| address);
    if address.matches(':').count() == 2 {
        return Some((number, Other::Remote(address.parse().ok()?)));
    }
    let (what, told) = value.rsplit_once(':')?;
    let (what, told) = (what.trim(), told.trim());
    let other = match told {
        "true" | "false" => Other::Capability(what, told == "true"),
        _ if what.to_ascii_lowercase().contains("error") => {
            Other::Errors(what, told.parse().ok().filter(|_| is_number(told))?)
        }
        _ => return None,
    };
    Some((number, other))
}
