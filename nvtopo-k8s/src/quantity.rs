//! Quantities of Kubernetes, such as `500m` or `64Gi`, read as the API reads them.
//!
//! Source: `k8s.io/apimachinery/pkg/api/resource/quantity.go` (`ParseQuantity`). The API reads numbers of any length; here the
//! largest is 2^127 billionths, which no machine has.

use nvtopo::{Error, Result};

/// The finest part that the API keeps.
const NANO: i128 = 1_000_000_000;
/// The billionths in a thousandth.
const MILLI: i128 = 1_000_000;
/// The most digits of a number, without zeros in front.
const MAX_DIGITS: usize = 36;

/// A quantity in billionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Quantity(i128);

/// A suffix as a base, and its exponent.
enum Scale {
    Tens(i32),
    Twos(u32),
}

impl Quantity {
    /// Reads a quantity.
    ///
    /// Errors with [`InvalidInput`](nvtopo::ErrorKind::InvalidInput) for what the API refuses.
    pub(crate) fn read(text: &str) -> Result<Self> {
        Self::parse(text).ok_or_else(|| {
            Error::input(format!("'{text}' is no quantity")).help("quantities are such as 2, 500m or 64Gi")
        })
    }

    /// The quantity of a text; `None` where the API refuses it.
    ///
    /// Less than a billionth counts as one. A number with a binary suffix is at most 2^63 - 1. A suffix without a number is
    /// nothing of it, as there, up to `Ti`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        let (whole, rest) = rest.split_at(end);
        let behind = rest.strip_prefix('.').unwrap_or_default();
        let end = behind.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(behind.len());
        let (part, suffix) = if rest.starts_with('.') { behind.split_at(end) } else { ("", rest) };
        if text.is_empty() {
            return None;
        }
        let scale = scale(suffix)?;
        // The API takes a way with large numbers here that reads no number as an error.
        if whole.is_empty() && part.is_empty() && matches!(scale, Scale::Tens(..-9) | Scale::Twos(50..)) {
            return None;
        }
        let part = part.trim_end_matches('0');
        let digits = format!("{whole}{part}");
        let digits = digits.trim_start_matches('0');
        if digits.len() > MAX_DIGITS {
            return None;
        }
        let number: i128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
        let tens = 9 - i32::try_from(part.len()).ok()?;
        let nano = match scale {
            Scale::Tens(exponent) => times_tens(number, tens.checked_add(exponent)?)?,
            Scale::Twos(exponent) => {
                let most = i128::from(i64::MAX) * NANO;
                match number.checked_mul(1 << exponent) {
                    Some(scaled) => times_tens(scaled, tens).unwrap_or(most).min(most),
                    // Too large a product is above the most, but for the finest parts.
                    None => (part.len() < 20).then_some(most)?,
                }
            }
        };
        Some(Self(if negative { -nano } else { nano }))
    }

    /// Whole ones, such as bytes.
    pub(crate) fn of(value: u64) -> Self {
        Self(i128::from(value) * NANO)
    }

    /// The amount, rounded up.
    pub(crate) fn value(self) -> u64 {
        u64::try_from(round_up(self.0.max(0), NANO)).unwrap_or(u64::MAX)
    }

    /// Returns true for a whole number, as far as thousandths tell: they are rounded up, as the kubelet compares them.
    pub(crate) fn is_whole(self) -> bool {
        round_up(self.0, MILLI) % 1000 == 0
    }

    pub(crate) fn is_zero(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn is_negative(self) -> bool {
        self.0 < 0
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The bytes as the shortest exact quantity, for people; parts of one are rounded up.
    pub(crate) fn shown(self) -> String {
        let bytes = round_up(self.0, NANO);
        let units = [(30, "Gi"), (20, "Mi"), (10, "Ki")];
        let exact = units.into_iter().find(|(shift, _)| bytes != 0 && bytes % (1 << shift) == 0);
        match exact {
            Some((shift, unit)) => format!("{}{unit}", bytes >> shift),
            None => bytes.to_string(),
        }
    }
}

/// Mebibytes as the shortest exact quantity.
pub(crate) fn mebibytes(count: u64) -> String {
    Quantity::of(count << 20).shown()
}

/// A number times a power of ten, rounded away from nothing; `None` where it is too large.
fn times_tens(number: i128, tens: i32) -> Option<i128> {
    if number == 0 {
        return Some(0);
    }
    match 10_i128.checked_pow(tens.unsigned_abs()) {
        Some(power) if tens >= 0 => number.checked_mul(power),
        Some(power) => Some(round_up(number, power)),
        // Less than the finest part counts as one.
        None => (tens < 0).then_some(1),
    }
}

fn round_up(value: i128, by: i128) -> i128 {
    value / by + value.signum() * i128::from(value % by != 0)
}

fn scale(suffix: &str) -> Option<Scale> {
    const TENS: [(&str, i32); 10] = [
        ("n", -9),
        ("u", -6),
        ("m", -3),
        ("", 0),
        ("k", 3),
        ("M", 6),
        ("G", 9),
        ("T", 12),
        ("P", 15),
        ("E", 18),
    ];
    const TWOS: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    if let Some((_, exponent)) = TENS.iter().find(|(own, _)| *own == suffix) {
        return Some(Scale::Tens(*exponent));
    }
    if let Some(at) = (1..).zip(TWOS).find_map(|(at, own)| (own == suffix).then_some(at)) {
        return Some(Scale::Twos(10 * at));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    Some(Scale::Tens(exponent.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The billionths of a text.
    fn nano(text: &str) -> Option<i128> {
        Quantity::parse(text).map(|read| read.0)
    }

    #[test]
    fn quantities_are_read_as_the_api_does() {
        let text = include_str!("../../tests/data/k8s/quantities.tsv");
        let mut read = 0;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let [text, expected] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let expected = (expected != "refused").then(|| expected.parse().unwrap());
            assert_eq!(nano(text), expected, "{text:?}");
            read += 1;
        }
        assert!(read > 100, "{read}");
    }

    #[test]
    fn longer_numbers_than_machines_have_are_refused() {
        for text in ["1e99", "1e2147483648", &"9".repeat(40), &format!("0.{}", "3".repeat(60)), "9e30"] {
            assert_eq!(nano(text), None, "{text}");
        }
        assert_eq!(nano(&"0".repeat(100_000)), Some(0));
        assert_eq!(nano("0e2147483647"), None);
    }

    #[test]
    fn parts_count_as_the_kubelet_counts_them() {
        let read = |text| Quantity::parse(text).unwrap();
        assert_eq!((read("1500m").value(), read("1n").value(), read("-1").value()), (2, 1, 0));
        for (text, whole) in [("1500m", false), ("16000m", true), ("1.9995", true), ("1.9985", false)] {
            assert_eq!(read(text).is_whole(), whole, "{text}");
        }
        assert_eq!(read("1100Mi").shown(), "1100Mi");
        assert_eq!(read("1").plus(read("1k")).minus(Quantity::of(1)), read("1000"));
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_as_the_same(bytes in 0_u64..1 << 50) {
            let amount = Quantity::of(bytes);
            prop_assert_eq!(Quantity::parse(&amount.shown()), Some(amount));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}", other in "[+-]?[0-9.]{0,30}[eEinumkKMGTP+-]{0,3}[0-9]{0,12}") {
            let _ = (nano(&text), nano(&other));
        }
    }
}
