//! Quantities of resources: `2`, `500m`, `64Gi`.

use nvtopo::{Error, Result};

/// An amount in thousandths, as far as the kubelet looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Quantity(i128);

impl Quantity {
    /// Reads what the API writes. Less than a thousandth counts as one, as there.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        Self::read(text.trim()).ok_or_else(|| {
            Error::input(format!("'{text}' is no quantity")).help("quantities are such as 2, 500m or 64Gi")
        })
    }

    fn read(text: &str) -> Option<Self> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && part.is_empty() || part.contains('.') || whole.len() + part.len() > 24 {
            return None;
        }
        let digits: i128 = format!("{whole}{part}").parse().ok()?;
        let (factor, tens) = scale(suffix)?;
        // In thousandths, times what the suffix says, over the digits behind the point.
        let tens = tens + 3 - i32::try_from(part.len()).ok()?;
        let scaled = digits.checked_mul(factor)?;
        let power = 10_i128.checked_pow(tens.unsigned_abs())?;
        let thousandths = if tens >= 0 { scaled.checked_mul(power)? } else { round_up(scaled, power) };
        Some(Self(if negative { -thousandths } else { thousandths }))
    }

    /// The amount, rounded up.
    pub(crate) fn value(self) -> u64 {
        u64::try_from(round_up(self.0.max(0), 1000)).unwrap_or(u64::MAX)
    }

    pub(crate) fn is_whole(self) -> bool {
        self.0 % 1000 == 0
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
}

fn round_up(value: i128, by: i128) -> i128 {
    value / by + i128::from(value % by > 0)
}

/// A suffix as a factor and a power of ten.
fn scale(suffix: &str) -> Option<(i128, i32)> {
    let binary = |power: u32| Some((1_i128 << (10 * power), 0));
    match suffix {
        "" => Some((1, 0)),
        "n" => Some((1, -9)),
        "u" => Some((1, -6)),
        "m" => Some((1, -3)),
        "k" => Some((1, 3)),
        "M" => Some((1, 6)),
        "G" => Some((1, 9)),
        "T" => Some((1, 12)),
        "P" => Some((1, 15)),
        "E" => Some((1, 18)),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            let exponent: i32 = exponent.parse().ok()?;
            (-30..=30).contains(&exponent).then_some((1, exponent))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_the_api_does() {
        for (text, thousandths) in [
            ("2", 2000),
            ("2.0", 2000),
            ("500m", 500),
            ("0.5", 500),
            (".5", 500),
            ("1e3", 1_000_000),
            ("1E-2", 10),
            ("1Ki", 1_024_000),
            ("1.5Gi", 1_610_612_736_000),
            ("1n", 1),
            ("1E", 1_000_000_000_000_000_000_000),
            ("-1", -1000),
        ] {
            assert_eq!(Quantity::parse(text).unwrap(), Quantity(thousandths), "{text}");
        }
        for text in ["", "x", "1 2", "1.2.3", "Gi", "1KI", "1e99", "--1", ".", &"9".repeat(40)] {
            assert!(Quantity::parse(text).is_err(), "{text}");
        }
        assert_eq!(Quantity::parse("1500m").unwrap().value(), 2);
        assert!(!Quantity::parse("1500m").unwrap().is_whole());
        assert!(Quantity::parse("16000m").unwrap().is_whole());
    }
}
